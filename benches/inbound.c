/* Measures the latency of received messages while the receiver publishes at a window of 10: inbound_<library> <port> */
#define _GNU_SOURCE

#include "packets.h"
#include "publishing.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <unistd.h>

#define PROBES_TOPIC "bench/probes"

enum { PROBES = 1500, APART_NS = 1000000, OF_WARM_UP = 100 };

static double late_us[PROBES];
static volatile unsigned heard;

static void on_message(const void *payload, size_t length)
{
    uint64_t sent;

    need(length == sizeof sent && heard < PROBES, "a message of nobody's");
    memcpy(&sent, payload, sizeof sent);
    late_us[heard++] = (double)(now_ns() - sent) / 1e3;
}

/* The other client sends a message each millisecond, which contains the time of sending. */
static void *send_probes(void *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(*(uint16_t *)port)};
    struct timespec apart = {0, APART_NS};
    unsigned char packet[256] = {0x10, 17,           0, 4, 'M', 'Q', 'T', 'T', 4,  2,
                                 0,    KEEP_ALIVE_S, 0, 5, 'p', 'r', 'o', 'b', 'e'};
    unsigned char answer[4];
    int sender = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    size_t length;

    inet_pton(AF_INET, HOST, &address.sin_addr);
    setsockopt(sender, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    need(connect(sender, (struct sockaddr *)&address, sizeof address) == 0, "connect");
    put(sender, packet, 19);
    need(recv(sender, answer, sizeof answer, MSG_WAITALL) == sizeof answer, "CONNACK");
    packet[0] = 0x30;
    length = 2 + put_text(packet + 2, PROBES_TOPIC);
    packet[1] = (unsigned char)(length - 2 + sizeof(uint64_t));
    for (unsigned i = 0; i < PROBES; i++) {
        uint64_t now;

        nanosleep(&apart, NULL);
        now = now_ns();
        memcpy(packet + length, &now, sizeof now);
        put(sender, packet, length + sizeof now);
    }
    put(sender, "\xe0\0", 2);
    close(sender);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t sender;
    uint16_t port;

    need(argc == 2, "usage: inbound_<library> <port>");
    port = (uint16_t)atoi(argv[1]);
    client_heard = on_message;
    client_open(port, NULL);
    client_connect();
    client_subscribe(PROBES_TOPIC);
    publish(1, 10, WARM_UP);
    need(pthread_create(&sender, NULL, send_probes, &port) == 0, "pthread_create");
    while (heard < PROBES)
        publish(1, 10, 100);
    pthread_join(sender, NULL);
    qsort(late_us + OF_WARM_UP, PROBES - OF_WARM_UP, sizeof *late_us, compare_doubles);
    report("inbound_50", late_us[OF_WARM_UP + (PROBES - OF_WARM_UP) / 2]);
    report("inbound_99", late_us[OF_WARM_UP + (PROBES - OF_WARM_UP) * 99 / 100]);
    client_disconnect();
    return 0;
}
