/* Measures reading an activation: nanoseconds of CPU time for a message. */

#include "parse.h"

#include "bench.h"

#include <string.h>

enum { BATCHES = 50, BATCH = 2000 };

#define PAYLOAD \
    "{\"id\":\"1\",\"version\":\"1.0\",\"method\":\"thing.activate.info\",\"params\":{\"assetId\":\"bench-asset\"," \
    "\"productKey\":\"" PRODUCT_KEY "\",\"deviceKey\":\"" DEVICE_KEY "\",\"deviceSecret\":\"0123456789abcdefghij\"}}"

int main(void)
{
    static double per_call[BATCHES];
    char out[65];

    /* This is also the warm-up. */
    for (int i = 0; i < BATCH; i++)
        parse(TOPIC, PAYLOAD, sizeof PAYLOAD - 1, out);
    need(strcmp(out, "0123456789abcdefghij") == 0, "the secret is wrong");
    for (int batch = 0; batch < BATCHES; batch++) {
        uint64_t start = cpu_ns();

        for (int i = 0; i < BATCH; i++)
            parse(TOPIC, PAYLOAD, sizeof PAYLOAD - 1, out);
        per_call[batch] = (double)(cpu_ns() - start) / BATCH;
    }
    report("parse", median(per_call, BATCHES));
    return 0;
}
