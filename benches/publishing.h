/* Measures publishing. */

#ifndef PUBLISHING_H
#define PUBLISHING_H

#include "bench.h"
#include "mqtt.h"

enum { MESSAGES = 20000, WARM_UP = 1000 };

/* After unacknowledged messages, one acknowledged message shows that the broker has read them all. */
static inline void publish(int qos, unsigned window, unsigned count)
{
    client_publish(qos, window, count);
    if (qos == 0)
        client_publish(1, 1, 1);
}

static inline void measure_publishing(const char *measure, const char *cpu_measure, int qos, unsigned window,
                                      unsigned count)
{
    uint64_t start, cpu;

    publish(qos, window, WARM_UP);
    start = now_ns();
    cpu = cpu_ns();
    publish(qos, window, count);
    report(measure, count / ((double)(now_ns() - start) / 1e9));
    report(cpu_measure, (double)(cpu_ns() - cpu) / 1e3 / count);
}

#endif
