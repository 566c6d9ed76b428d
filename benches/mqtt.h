/*
 * One client library, which mqtt.c and tls.c measure. All libraries do the same: three login fields, clean session,
 * MQTT 3.1.1, and the next message as soon as one of the window is done.
 */

#ifndef MQTT_H
#define MQTT_H

#include <stddef.h>
#include <stdint.h>

#define HOST "127.0.0.1"
#define KEEP_ALIVE_S 60
#define CERTIFICATE "bench-device"
#define TOPIC "/sys/bench-product/bench-device/thing/measurepoint/post"
/* A command to the first device that client_open() makes. */
#define COMMAND_TOPIC "/sys/bench-product/bench-device-000/thing/service/limit"
#define PAYLOAD \
    "{\"id\":\"123456\",\"version\":\"1.0\",\"method\":\"thing.measurepoint.post\"," \
    "\"params\":{\"measurepoints\":{\"temperature\":21.5,\"humidity\":48},\"time\":1524448722000}}"

/*
 * Makes a client, which the functions below then use; an earlier one stays as it is. With a directory of certificates
 * (`enos-sim ca`) it uses TLS, checks the broker's name, and has a client certificate.
 */
void client_open(int port, const char *certificates);

/* Connects, and returns the time at which the program is told of the CONNACK. */
uint64_t client_connect(void);

/* Disconnects, and waits until the library reports that it is done. */
void client_disconnect(void);

/* Publishes `window` messages at once, and one more whenever one is done. Returns when all are done. */
void client_publish(int qos, unsigned window, unsigned count);

/*
 * Subscribes. Each message that then arrives in client_publish() is passed to client_heard. Not all libraries have
 * these.
 */
void client_subscribe(const char *filter);

/* Answers this many commands with the code 200 as they come. Returns when all answers are acknowledged. */
void client_answer(unsigned count);
extern void (*client_heard)(const void *payload, size_t length);

#endif
