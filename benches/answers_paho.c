/* A device that is made by hand: mqtt_paho.c's client, and cJSON for the commands and their answers. */

#include <MQTTAsync.h>

static int on_command(void *ctx, char *topic, int topic_length, MQTTAsync_message *message);

#define ON_MESSAGE on_command
#include "mqtt_paho.c"

#include <cjson/cJSON.h>
#include <string.h>

static void on_done(void *ctx, MQTTAsync_successData *data)
{
    (void)ctx;
    (void)data;
    sem_post(&done);
}

static int on_command(void *ctx, char *topic, int topic_length, MQTTAsync_message *message)
{
    MQTTAsync_responseOptions options = MQTTAsync_responseOptions_initializer;
    cJSON *command = cJSON_ParseWithLength(message->payload, (size_t)message->payloadlen);
    cJSON *answer = cJSON_CreateObject();
    char reply_topic[256], *payload;

    (void)ctx;
    (void)topic_length;
    cJSON_AddStringToObject(answer, "id", cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(command, "id")));
    cJSON_AddNumberToObject(answer, "code", 200);
    cJSON_AddObjectToObject(answer, "data");
    payload = cJSON_PrintUnformatted(answer);
    need(payload != NULL, "cJSON");
    snprintf(reply_topic, sizeof reply_topic, "%s_reply", topic);
    options.onSuccess = on_done;
    options.onFailure = on_failure;
    need(MQTTAsync_send(client, reply_topic, (int)strlen(payload), payload, 1, 0, &options) == MQTTASYNC_SUCCESS,
         "MQTTAsync_send");
    cJSON_free(payload);
    cJSON_Delete(answer);
    cJSON_Delete(command);
    MQTTAsync_freeMessage(&message);
    MQTTAsync_free(topic);
    return 1;
}

void client_subscribe(const char *filter)
{
    MQTTAsync_responseOptions options = MQTTAsync_responseOptions_initializer;

    options.onSuccess = on_done;
    options.onFailure = on_failure;
    need(MQTTAsync_subscribe(client, filter, 1, &options) == MQTTASYNC_SUCCESS, "MQTTAsync_subscribe");
    wait_done();
}

void client_answer(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        wait_done();
}
