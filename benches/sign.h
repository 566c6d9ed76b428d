/* One implementation of signing a CONNECT (secure mode 2), which sign.c measures. */

#ifndef SIGN_H
#define SIGN_H

#include <stddef.h>
#include <stdint.h>

enum method { HMAC_SHA1, PLAIN_SHA256 };

#define CLIENT_ID "bench-client"
#define DEVICE_KEY "bench-device"
#define PRODUCT_KEY "bench-product"
#define SECRET "0123456789abcdefghij"

/* Writes the password in upper-case hexadecimal, with a NUL. */
void sign(enum method method, uint64_t timestamp_ms, char out[65]);

#endif
