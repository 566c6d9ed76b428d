/* Sockets and MQTT packets made by hand, for the peers of a client. */

#ifndef PACKETS_H
#define PACKETS_H

#include "bench.h"

#include <string.h>
#include <sys/socket.h>

static inline size_t put_text(unsigned char *at, const char *text)
{
    size_t length = strlen(text);

    at[0] = (unsigned char)(length >> 8);
    at[1] = (unsigned char)length;
    memcpy(at + 2, text, length);
    return length + 2;
}

static inline size_t put_length(unsigned char *at, size_t length)
{
    size_t count = 0;

    do {
        at[count] = length % 128;
        length /= 128;
        if (length > 0)
            at[count] |= 128;
        count++;
    } while (length > 0);
    return count;
}

static inline void put(int socket, const void *bytes, size_t length)
{
    const char *at = bytes;

    while (length > 0) {
        ssize_t sent = send(socket, at, length, MSG_NOSIGNAL);

        need(sent > 0, "send");
        at += sent;
        length -= (size_t)sent;
    }
}

#endif
