/* A relay between a client and its broker, which counts the packets of the client: the SUBSCRIBEs and PUBLISHes. */

#ifndef RELAY_H
#define RELAY_H

#include "bench.h"
#include "packets.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

static int relay_listener, relay_broker_port;
static unsigned relay_count[16];

/* Counts the packets that begin in these bytes. A packet is a byte, a length of one to four bytes, and that many bytes. */
static inline void relay_look(const unsigned char *bytes, size_t length)
{
    static size_t left;
    static unsigned shift;
    static enum { FIRST, LENGTH, BODY } at = FIRST;

    for (size_t i = 0; i < length;) {
        switch (at) {
        case FIRST:
            __atomic_add_fetch(&relay_count[bytes[i] >> 4], 1, __ATOMIC_SEQ_CST);
            left = shift = 0;
            at = LENGTH;
            i++;
            break;
        case LENGTH:
            left |= (size_t)(bytes[i] & 127) << shift;
            shift += 7;
            if ((bytes[i++] & 128) == 0)
                at = left > 0 ? BODY : FIRST;
            break;
        case BODY: {
            size_t some = length - i < left ? length - i : left;

            i += some;
            left -= some;
            if (left == 0)
                at = FIRST;
            break;
        }
        }
    }
}

static inline void *relay_run(void *unused)
{
    static unsigned char bytes[65536];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)relay_broker_port)};
    struct pollfd ends[2] = {{.events = POLLIN}, {.events = POLLIN}};
    ssize_t came = 1;

    (void)unused;
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    ends[0].fd = accept(relay_listener, NULL, NULL);
    ends[1].fd = socket(AF_INET, SOCK_STREAM, 0);
    need(connect(ends[1].fd, (struct sockaddr *)&address, sizeof address) == 0, "connect");
    while (came > 0) {
        need(poll(ends, 2, -1) > 0, "poll");
        for (int from = 0; from < 2 && came > 0; from++) {
            if (ends[from].revents == 0)
                continue;
            came = recv(ends[from].fd, bytes, sizeof bytes, 0);
            if (came <= 0)
                break;
            if (from == 0)
                relay_look(bytes, (size_t)came);
            put(ends[1 - from].fd, bytes, (size_t)came);
        }
    }
    close(ends[0].fd);
    close(ends[1].fd);
    return NULL;
}

/* Starts a relay for one connection, and returns its port. */
static inline int relay_start(int broker_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    pthread_t thread;

    relay_broker_port = broker_port;
    relay_listener = socket(AF_INET, SOCK_STREAM, 0);
    need(bind(relay_listener, (struct sockaddr *)&address, length) == 0 && listen(relay_listener, 1) == 0 &&
             getsockname(relay_listener, (struct sockaddr *)&address, &length) == 0 &&
             pthread_create(&thread, NULL, relay_run, NULL) == 0 && pthread_detach(thread) == 0,
         "the relay");
    return ntohs(address.sin_port);
}

/* PUBLISH is 3, SUBSCRIBE is 8. */
static inline unsigned relay_packets(unsigned type)
{
    return __atomic_load_n(&relay_count[type], __ATOMIC_SEQ_CST);
}

#endif
