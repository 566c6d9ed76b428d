/* One client library, for mqtt.c and tls.c to measure. All of them send the same and wait for the same:
 * the login's three fields, clean session, MQTT 3.1.1, and the next message as soon as one of the window is done. */

#ifndef MQTT_H
#define MQTT_H

#include <stddef.h>
#include <stdint.h>

#define HOST "127.0.0.1"
#define KEEP_ALIVE_S 60
#define CERTIFICATE "bench-device"
#define TOPIC "/sys/bench-product/bench-device/thing/measurepoint/post"
#define PAYLOAD \
    "{\"id\":\"123456\",\"version\":\"1.0\",\"method\":\"thing.measurepoint.post\"," \
    "\"params\":{\"measurepoints\":{\"temperature\":21.5,\"humidity\":48},\"time\":1524448722000}}"

/* Makes a client, which what is below is then about; an earlier one stays as it is. With a directory of certificates
 * (`enos-sim ca`), it speaks TLS, checks the broker's name, and shows a certificate of its own. */
void client_open(int port, const char *certificates);

/* Connects; when CONNACK has come back and been told to the program, the moment of that. */
uint64_t client_connect(void);

/* Disconnects, and waits until the library says that it has. */
void client_disconnect(void);

/* Publishes: `window` at once, and one more whenever one is done. Returns when all are. */
void client_publish(int qos, unsigned window, unsigned count);

/* Subscribes; each message that comes from then on, in client_publish(), is handed to client_heard. Not all libraries have
 * these. */
void client_subscribe(const char *filter);
extern void (*client_heard)(const void *payload, size_t length);

#endif
