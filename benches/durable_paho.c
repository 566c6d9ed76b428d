/*
 * Paho C's asynchronous client with its own file persistence. Messages that wait for a connection are files, which are
 * written when the message is published, and not synced. It has no batches.
 */

#include "durable.h"

#include "bench.h"
#include "mqtt.h"

#include <MQTTAsync.h>

static MQTTAsync client;

void keep_open(const char *directory)
{
    MQTTAsync_createOptions options = MQTTAsync_createOptions_initializer;

    options.MQTTVersion = MQTTVERSION_3_1_1;
    options.sendWhileDisconnected = 1;
    options.allowDisconnectedSendAtAnyTime = 1;
    options.maxBufferedMessages = 1000000;
    need(MQTTAsync_createWithOptions(&client, "tcp://" HOST, "bench-device", MQTTCLIENT_PERSISTENCE_DEFAULT,
                                     (void *)directory, &options) == MQTTASYNC_SUCCESS,
         "MQTTAsync_create");
}

void keep(unsigned count)
{
    MQTTAsync_responseOptions options = MQTTAsync_responseOptions_initializer;

    while (count-- > 0)
        need(MQTTAsync_send(client, TOPIC, sizeof PAYLOAD - 1, PAYLOAD, 1, 0, &options) == MQTTASYNC_SUCCESS,
             "MQTTAsync_send");
}
