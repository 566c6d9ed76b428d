/* One implementation of reading an activation, which parse.c measures. */

#ifndef PARSE_H
#define PARSE_H

#include <stddef.h>

#define PRODUCT_KEY "bench-product"
#define DEVICE_KEY "bench-device"
#define TOPIC "/ext/session/" PRODUCT_KEY "/" DEVICE_KEY "/thing/activate/info"

/* Writes the device secret of a message; a message that is not this device's activation ends the program. */
void parse(const char *topic, const char *payload, size_t length, char out[65]);

#endif
