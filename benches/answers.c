/*
 * Measures the time from a command to the device's answer: answers_<library> <port>. Another client acts as EnOS. It
 * sends the next command when it has the answer.
 */
#define _GNU_SOURCE

#include "packets.h"

#include "mqtt.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <unistd.h>

enum { COMMANDS = 400, OF_WARM_UP = 50 };

static double took_us[COMMANDS];
static uint64_t cloud_cpu;

/* Receives the next packet. All that arrive here have less than 130 bytes. */
static unsigned char next_packet(int cloud, unsigned char *body)
{
    unsigned char head[2];

    need(recv(cloud, head, 2, MSG_WAITALL) == 2 && head[1] < 128, "a packet");
    need(head[1] == 0 || recv(cloud, body, head[1], MSG_WAITALL) == head[1], "a packet's body");
    return head[0];
}

static size_t command_packet(unsigned char *packet, unsigned number)
{
    char payload[128];
    size_t length = put_text(packet + 2, COMMAND_TOPIC), of_payload;

    packet[0] = 0x32;
    packet[2 + length++] = (unsigned char)((number + 1) >> 8);
    packet[2 + length++] = (unsigned char)(number + 1);
    of_payload =
        (size_t)snprintf(payload, sizeof payload, "{\"id\":\"%u\",\"version\":\"1.0\",\"params\":{\"p\":5.5}}", number);
    memcpy(packet + 2 + length, payload, of_payload);
    packet[1] = (unsigned char)(length + of_payload);
    need(packet[1] < 128, "a command is too long");
    return 2 + length + of_payload;
}

static void *send_commands(void *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(*(uint16_t *)port)};
    unsigned char packet[256] = {0x10, 17,           0, 4, 'M', 'Q', 'T', 'T', 4,  2,
                                 0,    KEEP_ALIVE_S, 0, 5, 'c', 'l', 'o', 'u', 'd'};
    unsigned char body[128];
    int cloud = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    size_t length;

    inet_pton(AF_INET, HOST, &address.sin_addr);
    setsockopt(cloud, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    need(connect(cloud, (struct sockaddr *)&address, sizeof address) == 0, "connect");
    put(cloud, packet, 19);
    need(next_packet(cloud, body) == 0x20, "CONNACK");
    packet[0] = 0x82;
    packet[2] = 0;
    packet[3] = 1;
    length = 2 + put_text(packet + 4, COMMAND_TOPIC "_reply");
    packet[2 + length++] = 0;
    packet[1] = (unsigned char)length;
    put(cloud, packet, 2 + length);
    need(next_packet(cloud, body) == 0x90, "SUBACK");
    for (unsigned i = 0; i < COMMANDS; i++) {
        uint64_t start;

        length = command_packet(packet, i);
        start = now_ns();
        put(cloud, packet, length);
        /* The broker's acknowledgement comes before or after the answer. */
        for (int came = 0; came < 2; came++) {
            unsigned char kind = next_packet(cloud, body);

            if (kind >> 4 == 3)
                took_us[i] = (double)(now_ns() - start) / 1e3;
            else
                need(kind == 0x40, "PUBACK");
        }
        need(took_us[i] > 0, "an answer");
    }
    put(cloud, "\xe0\0", 2);
    close(cloud);
    cloud_cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t cloud;
    uint64_t cpu;
    uint16_t port;

    need(argc == 2, "usage: answers_<library> <port>");
    port = (uint16_t)atoi(argv[1]);
    client_open(port, NULL);
    client_connect();
    client_subscribe(COMMAND_TOPIC);
    cpu = cpu_ns();
    need(pthread_create(&cloud, NULL, send_commands, &port) == 0, "pthread_create");
    client_answer(COMMANDS);
    pthread_join(cloud, NULL);
    cpu = cpu_ns() - cpu - cloud_cpu;
    qsort(took_us + OF_WARM_UP, COMMANDS - OF_WARM_UP, sizeof *took_us, compare_doubles);
    report("answer_50", took_us[OF_WARM_UP + (COMMANDS - OF_WARM_UP) / 2]);
    report("answer_99", took_us[OF_WARM_UP + (COMMANDS - OF_WARM_UP) * 99 / 100]);
    report("answer_cpu", (double)cpu / 1e3 / COMMANDS);
    client_disconnect();
    return 0;
}
