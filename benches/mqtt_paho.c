/* Paho C's asynchronous client: its threads run the callbacks, which send the next message. */

#include "mqtt.h"

#include "bench.h"

#include <MQTTAsync.h>
#include <semaphore.h>

static MQTTAsync client;
static char device[32];
/* All are empty without TLS. */
static char ca[256], certificate[256], key[256];
static uint64_t connected_at;
/* The thread of the callbacks posts it, and the program waits for it. */
static sem_t done;
static int qos;
/* Only the thread of the callbacks uses these while messages are in flight. */
static unsigned to_send, to_be_done;

static void on_failure(void *ctx, MQTTAsync_failureData *failure)
{
    (void)ctx;
    need(0, failure && failure->message ? failure->message : "Paho");
}

static void on_connected(void *ctx, MQTTAsync_successData *data)
{
    (void)ctx;
    (void)data;
    connected_at = now_ns();
    sem_post(&done);
}

static void on_disconnected(void *ctx, MQTTAsync_successData *data)
{
    (void)ctx;
    (void)data;
    sem_post(&done);
}

static void on_delivered(void *ctx, MQTTAsync_successData *data);

static void send_one(void)
{
    MQTTAsync_responseOptions options = MQTTAsync_responseOptions_initializer;

    options.onSuccess = on_delivered;
    options.onFailure = on_failure;
    need(MQTTAsync_send(client, TOPIC, sizeof PAYLOAD - 1, PAYLOAD, qos, 0, &options) == MQTTASYNC_SUCCESS,
         "MQTTAsync_send");
}

static void on_delivered(void *ctx, MQTTAsync_successData *data)
{
    (void)ctx;
    (void)data;
    if (to_send > 0) {
        to_send--;
        send_one();
    }
    if (--to_be_done == 0)
        sem_post(&done);
}

static void wait_done(void)
{
    while (sem_wait(&done) != 0)
        continue;
}

void client_open(int port, const char *certificates)
{
    static unsigned number;
    MQTTAsync_createOptions options = MQTTAsync_createOptions_initializer;
    char uri[64];

    if (number == 0)
        sem_init(&done, 0, 0);
    snprintf(device, sizeof device, "bench-device-%03u", number++);
    snprintf(uri, sizeof uri, "%s://" HOST ":%d", certificates ? "ssl" : "tcp", port);
    if (certificates) {
        snprintf(ca, sizeof ca, "%s/ca.pem", certificates);
        snprintf(certificate, sizeof certificate, "%s/" CERTIFICATE ".pem", certificates);
        snprintf(key, sizeof key, "%s/" CERTIFICATE ".key", certificates);
    }
    options.MQTTVersion = MQTTVERSION_3_1_1;
    options.maxBufferedMessages = 1000;
    need(MQTTAsync_createWithOptions(&client, uri, device, MQTTCLIENT_PERSISTENCE_NONE, NULL, &options) ==
             MQTTASYNC_SUCCESS,
         "MQTTAsync_create");
#ifdef ON_MESSAGE
    /* Paho accepts it only before the client connects. */
    need(MQTTAsync_setCallbacks(client, NULL, NULL, ON_MESSAGE, NULL) == MQTTASYNC_SUCCESS, "MQTTAsync_setCallbacks");
#endif
}

uint64_t client_connect(void)
{
    MQTTAsync_connectOptions options = MQTTAsync_connectOptions_initializer;
    MQTTAsync_SSLOptions tls = MQTTAsync_SSLOptions_initializer;
    char user[64];

    snprintf(user, sizeof user, "%s&bench-product", device);
    if (ca[0]) {
        tls.trustStore = ca;
        tls.keyStore = certificate;
        tls.privateKey = key;
        tls.verify = 1;
        options.ssl = &tls;
    }
    options.keepAliveInterval = KEEP_ALIVE_S;
    options.cleansession = 1;
    options.maxInflight = 1000;
    options.MQTTVersion = MQTTVERSION_3_1_1;
    options.username = user;
    options.password = "DCF3F4B8D77D78B6598BDCC65A0A65C8BB3C1B08";
    options.onSuccess = on_connected;
    options.onFailure = on_failure;
    need(MQTTAsync_connect(client, &options) == MQTTASYNC_SUCCESS, "MQTTAsync_connect");
    wait_done();
    return connected_at;
}

void client_disconnect(void)
{
    MQTTAsync_disconnectOptions options = MQTTAsync_disconnectOptions_initializer;

    options.onSuccess = on_disconnected;
    options.onFailure = on_failure;
    need(MQTTAsync_disconnect(client, &options) == MQTTASYNC_SUCCESS, "MQTTAsync_disconnect");
    wait_done();
}

void client_publish(int quality, unsigned window, unsigned count)
{
    unsigned first = window < count ? window : count;

    qos = quality;
    to_be_done = count;
    to_send = count - first;
    for (unsigned i = 0; i < first; i++)
        send_one();
    wait_done();
}
