/* Measures clients on several threads, each on its own core: threads_<library>
 *
 * The broker of each client is a thread on the same core that acknowledges. So with a client on each core, each has the
 * same resources as a single client on one core. */
#define _GNU_SOURCE

#include "packets.h"
#include "publishing.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

enum { MOST = 64, COUNT = 50000 };

struct pair {
    int core, listener, port;
    double rate;
};

static pthread_barrier_t begins;
static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;

static void stay_on(int core)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(core, &set);
    need(sched_setaffinity(0, sizeof set, &set) == 0, "sched_setaffinity");
}

/* The length of the first packet; 0: it is not complete. */
static size_t whole(const unsigned char *at, size_t held)
{
    size_t length = 0, i = 0;

    do {
        if (++i >= held)
            return 0;
        length |= (size_t)(at[i] & 127) << (7 * (i - 1));
    } while (at[i] & 128);
    return i + 1 + length <= held ? i + 1 + length : 0;
}

/* Answers a packet: a CONNECT, or a PUBLISH at QoS 1, whose id follows the topic. */
static size_t answer(const unsigned char *packet, unsigned char *out)
{
    size_t body = 1;

    while (packet[body++] & 128)
        continue;
    if (packet[0] == 0x10) {
        memcpy(out, "\x20\2\0\0", 4);
        return 4;
    }
    if (packet[0] != 0x32)
        return 0;
    body += 2u + (size_t)(packet[body] << 8 | packet[body + 1]);
    memcpy(out, "\x40\2", 2);
    memcpy(out + 2, packet + body, 2);
    return 4;
}

static void *acknowledge(void *argument)
{
    struct pair *pair = argument;
    static __thread unsigned char in[65536], out[65536];
    size_t held = 0;
    int client, on = 1;

    stay_on(pair->core);
    client = accept(pair->listener, NULL, NULL);
    need(client >= 0, "accept");
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    for (;;) {
        ssize_t came = recv(client, in + held, sizeof in - held, 0);
        size_t at = 0, answers = 0, length;

        if (came <= 0)
            break;
        held += (size_t)came;
        while ((length = whole(in + at, held - at)) > 0) {
            answers += answer(in + at, out + answers);
            at += length;
        }
        put(client, out, answers);
        memmove(in, in + at, held - at);
        held -= at;
    }
    close(client);
    return NULL;
}

static void *run_client(void *argument)
{
    struct pair *pair = argument;
    uint64_t start;

    stay_on(pair->core);
    pthread_mutex_lock(&opening);
    client_open(pair->port, NULL);
    pthread_mutex_unlock(&opening);
    client_connect();
    client_publish(1, 10, WARM_UP);
    pthread_barrier_wait(&begins);
    start = now_ns();
    client_publish(1, 10, COUNT);
    pair->rate = COUNT / ((double)(now_ns() - start) / 1e9);
    client_disconnect();
    return NULL;
}

static void listen_for(struct pair *pair)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;

    inet_pton(AF_INET, HOST, &address.sin_addr);
    pair->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    need(bind(pair->listener, (struct sockaddr *)&address, sizeof address) == 0, "bind");
    need(listen(pair->listener, 1) == 0, "listen");
    need(getsockname(pair->listener, (struct sockaddr *)&address, &length) == 0, "getsockname");
    pair->port = ntohs(address.sin_port);
}

/* The total messages a second of this many clients. */
static double rate_of(int clients)
{
    struct pair pairs[MOST];
    pthread_t threads[MOST], brokers[MOST];
    double rate = 0;

    pthread_barrier_init(&begins, NULL, (unsigned)clients);
    for (int i = 0; i < clients; i++) {
        pairs[i].core = i;
        listen_for(&pairs[i]);
        need(pthread_create(&brokers[i], NULL, acknowledge, &pairs[i]) == 0, "pthread_create");
        need(pthread_create(&threads[i], NULL, run_client, &pairs[i]) == 0, "pthread_create");
    }
    for (int i = 0; i < clients; i++) {
        pthread_join(threads[i], NULL);
        pthread_join(brokers[i], NULL);
        close(pairs[i].listener);
        rate += pairs[i].rate;
    }
    pthread_barrier_destroy(&begins);
    return rate;
}

int main(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    double one = rate_of(1), all;

    report("cores_1", one);
    all = rate_of((int)(cores < MOST ? cores : MOST));
    report("cores_all", all);
    report("cores_scale", all / one);
    return 0;
}
