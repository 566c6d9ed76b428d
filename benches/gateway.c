/* Measures a gateway with sub-devices against enos-sim: gateway_<library> <port>, or gateway_<library> <port> heap
 *
 * The cloud knows the gateway and the sub-devices of gateway.h. */

#include "gateway.h"

#include "bench.h"
#include "relay.h"

#include <malloc.h>
#include <string.h>

enum { LOGINS = 20, WINDOW = 100, POSTS = 10000, WARM_UP = 2000 };

/* Until the last sub-device is logged in, and until each has posted and has the reply. */
static void measure_logins(int port, unsigned sub_devices, unsigned logins)
{
    static double us_online[LOGINS], us_posted[LOGINS];
    char measure[64];

    for (unsigned i = 0; i < logins; i++) {
        gateway_open(port, sub_devices);
        gateway_connect();
        us_online[i] = (double)(gateway_online_at() - gateway_connected_at()) / 1e3;
        gateway_post(sub_devices, sub_devices);
        us_posted[i] = (double)(now_ns() - gateway_connected_at()) / 1e3;
        gateway_close();
    }
    snprintf(measure, sizeof measure, "subs_%u_online", sub_devices);
    report(measure, median(us_online, logins));
    snprintf(measure, sizeof measure, "subs_%u_posted", sub_devices);
    report(measure, median(us_posted, logins));
}

/* The packets from the CONNACK on, until all can post. Each reply to a login is acknowledged, too. */
static void measure_packets(int port, unsigned sub_devices)
{
    char measure[64];
    unsigned logins;

    gateway_open(relay_start(port), sub_devices);
    gateway_connect();
    gateway_post(sub_devices, sub_devices);
    logins = relay_packets(3) - sub_devices;
    gateway_close();
    snprintf(measure, sizeof measure, "subs_%u_packets", sub_devices);
    report(measure, relay_packets(8) + 2 * logins);
}

static double measure_posts(int port, unsigned sub_devices)
{
    char measure[64];
    uint64_t start, cpu;
    double rate;

    gateway_open(port, sub_devices);
    gateway_connect();
    gateway_post(WINDOW, WARM_UP);
    start = now_ns();
    cpu = cpu_ns();
    gateway_post(WINDOW, POSTS);
    rate = POSTS / ((double)(now_ns() - start) / 1e9);
    snprintf(measure, sizeof measure, "subs_%u_posts", sub_devices);
    report(measure, rate);
    snprintf(measure, sizeof measure, "subs_%u_cpu", sub_devices);
    report(measure, (double)(cpu_ns() - cpu) / 1e3 / POSTS);
    gateway_close();
    return rate;
}

/* What malloc has given out, for a gateway whose sub-devices have all posted. */
static double heap_kib(int port, unsigned sub_devices)
{
    struct mallinfo2 before = mallinfo2(), after;

    gateway_open(port, sub_devices);
    gateway_connect();
    gateway_post(WINDOW, sub_devices + 1);
    after = mallinfo2();
    gateway_close();
    return (double)(after.uordblks + after.hblkhd - before.uordblks - before.hblkhd) / 1024;
}

static void measure_heap(int port)
{
    static const unsigned counts[] = {0, 1, 200, MOST_SUB_DEVICES};
    double none = 0;

    heap_kib(port, MOST_SUB_DEVICES); /* what is allocated once in a process */
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        double heap = heap_kib(port, counts[i]);
        char measure[64];

        if (counts[i] == 0) {
            none = heap;
            continue;
        }
        snprintf(measure, sizeof measure, "subs_%u_heap", counts[i]);
        report(measure, heap - none);
    }
}

int main(int argc, char **argv)
{
    int port = argc > 1 ? atoi(argv[1]) : 0;
    double one;

    need(argc == 2 || (argc == 3 && strcmp(argv[2], "heap") == 0), "usage: gateway_<library> <port> [heap]");
    if (argc == 3) {
        measure_heap(port);
        return 0;
    }
    measure_logins(port, 200, LOGINS);
    measure_logins(port, MOST_SUB_DEVICES, LOGINS / 10);
    measure_packets(port, 200);
    one = measure_posts(port, 0);
    report("subs_share", measure_posts(port, 200) / one);
    measure_posts(port, MOST_SUB_DEVICES);
    return 0;
}
