/* A socket and packets made by hand, on one thread: the limit for a library. */
#define _GNU_SOURCE

#include "mqtt.h"

#include "bench.h"
#include "packets.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TOPIC_LENGTH = sizeof TOPIC - 1, PAYLOAD_LENGTH = sizeof PAYLOAD - 1 };

static int client = -1, broker_port;
static char device[32], user[64];
static unsigned char in[65536];
static size_t held;

/* Waits for input; returns how many acknowledgements have come, each of four bytes. */
static unsigned acknowledged(void)
{
    ssize_t came = recv(client, in + held, sizeof in - held, 0);
    size_t count;

    need(came > 0, "recv");
    held += (size_t)came;
    count = held / 4;
    memmove(in, in + 4 * count, held % 4);
    held %= 4;
    return (unsigned)count;
}

static size_t publish_packet(unsigned char *packet, int qos, unsigned id)
{
    size_t length = 2 + TOPIC_LENGTH + (qos > 0 ? 2 : 0) + PAYLOAD_LENGTH, at = 1;

    packet[0] = qos > 0 ? 0x32 : 0x30;
    at += put_length(packet + at, length);
    at += put_text(packet + at, TOPIC);
    if (qos > 0) {
        packet[at++] = (unsigned char)(id >> 8);
        packet[at++] = (unsigned char)id;
    }
    memcpy(packet + at, PAYLOAD, PAYLOAD_LENGTH);
    return at + PAYLOAD_LENGTH;
}

void client_open(int port, const char *certificates)
{
    static unsigned number;

    need(certificates == NULL, "no TLS by hand");
    broker_port = port;
    snprintf(device, sizeof device, "bench-device-%03u", number++);
    snprintf(user, sizeof user, "%s&bench-product", device);
}

uint64_t client_connect(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)broker_port)};
    unsigned char body[256] = {0, 4, 'M', 'Q', 'T', 'T', 4, 0xc2, 0, KEEP_ALIVE_S}, packet[300];
    size_t length = 10, at = 1;
    int on = 1;

    inet_pton(AF_INET, HOST, &address.sin_addr);
    client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    need(connect(client, (struct sockaddr *)&address, sizeof address) == 0, "connect");
    length += put_text(body + length, device);
    length += put_text(body + length, user);
    length += put_text(body + length, "DCF3F4B8D77D78B6598BDCC65A0A65C8BB3C1B08");
    packet[0] = 0x10;
    at += put_length(packet + at, length);
    memcpy(packet + at, body, length);
    put(client, packet, at + length);
    held = 0;
    need(acknowledged() == 1, "no CONNACK");
    return now_ns();
}

void client_disconnect(void)
{
    put(client, "\xe0\0", 2);
    close(client);
}

void client_publish(int qos, unsigned window, unsigned count)
{
    static unsigned char together[1000 * (TOPIC_LENGTH + PAYLOAD_LENGTH + 16)];
    unsigned to_send = count, to_be_done = qos > 0 ? count : 0, room = window;

    for (unsigned id = 1; to_send > 0 || to_be_done > 0;) {
        size_t length = 0;

        for (; room > 0 && to_send > 0; room--, to_send--, id = id % 65535 + 1)
            length += publish_packet(together + length, qos, id);
        put(client, together, length);
        if (qos == 0) {
            room = window;
        } else {
            unsigned done = acknowledged();

            to_be_done -= done;
            room += done;
        }
    }
}
