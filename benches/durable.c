/* Measures the cost of storing messages until they can be sent: durable_<how> <directory>
 *
 * It uses the disk of the directory. There is no connection, and nothing is sent. */

#include "durable.h"

#include "bench.h"

/* This many in total, or as many as fit into a second. */
enum { MESSAGES = 20000, WARM_UP = 3 };

static void measure_keeping(const char *measure, unsigned together)
{
    uint64_t start, end;
    unsigned count = 0;

    for (int i = 0; i < WARM_UP; i++)
        keep(together);
    start = now_ns();
    do {
        keep(together);
        count += together;
        end = now_ns();
    } while (count < MESSAGES && end - start < 1000000000u);
    report(measure, count / ((double)(end - start) / 1e9));
}

int main(int argc, char **argv)
{
    need(argc == 2, "usage: durable_<how> <directory>");
    keep_open(argv[1]);
    measure_keeping("durable_1", 1);
    measure_keeping("durable_10", 10);
    measure_keeping("durable_100", 100);
    return 0;
}
