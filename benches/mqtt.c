/* Measures a client library against a broker on this machine: mqtt_<library> <port> */

#include "mqtt.h"

#include "bench.h"
#include "publishing.h"

#include <sys/resource.h>

enum { CONNECTS = 500, WINDOW = 100 };

/* This many, or as many as fit into 3 seconds. */
static void measure_connects(void)
{
    static double us[CONNECTS];
    uint64_t cpu = cpu_ns(), end = now_ns() + 3000000000u;
    size_t count = 0;

    while (count < CONNECTS && now_ns() < end) {
        uint64_t start = now_ns();

        us[count++] = (double)(client_connect() - start) / 1e3;
        client_disconnect();
    }
    report("connect", median(us, count));
    report("connect_cpu", (double)(cpu_ns() - cpu) / 1e3 / (double)count);
}

int main(int argc, char **argv)
{
    struct rusage usage;

    need(argc == 2, "usage: mqtt_<library> <port>");
    client_open(atoi(argv[1]), NULL);
    client_connect();
    client_disconnect();
    measure_connects();

    client_connect();
    measure_publishing("qos0", "qos0_cpu", 0, WINDOW, MESSAGES);
    measure_publishing("qos1_1", "qos1_1_cpu", 1, 1, MESSAGES / 10);
    measure_publishing("qos1_10", "qos1_10_cpu", 1, 10, MESSAGES);
    measure_publishing("qos1_100", "qos1_100_cpu", 1, 100, MESSAGES);
    measure_publishing("qos1_1000", "qos1_1000_cpu", 1, 1000, MESSAGES);
    client_disconnect();

    getrusage(RUSAGE_SELF, &usage);
    report("memory", (double)usage.ru_maxrss);
    return 0;
}
