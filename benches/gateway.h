/* A gateway in one client library, which gateway.c measures. The sub-devices are sub-0000, sub-0001 and so on. */

#ifndef GATEWAY_H
#define GATEWAY_H

#include <stdint.h>

#define GATEWAY_PRODUCT "bench-gateway"
#define GATEWAY_DEVICE "bench-gateway"
#define GATEWAY_SECRET "bench-gateway-secret"
#define SUB_PRODUCT "bench-sub"
#define SUB_DEVICE "sub-%04u"
#define SUB_SECRET "bench-sub-secret"
#define PARAMS "{\"measurepoints\":{\"temperature\":21.5,\"humidity\":48},\"time\":1524448722000}"

enum { MOST_SUB_DEVICES = 2000 };

/* Makes a gateway with so many sub-devices, in the place of an earlier one. */
void gateway_open(int port, unsigned sub_devices);

/* Connects. Returns when all sub-devices are logged in. */
void gateway_connect(void);

/* When the program was told of the CONNACK, and that the last sub-device is logged in. */
uint64_t gateway_connected_at(void);
uint64_t gateway_online_at(void);

/*
 * Posts measure points, and awaits the replies: `window` at once, and one more whenever one is replied to. Those of the
 * sub-devices take turns; without sub-devices, it is the gateway that posts.
 */
void gateway_post(unsigned window, unsigned count);

void gateway_close(void);

#endif
