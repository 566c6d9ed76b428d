/* Measures an implementation of signing: nanoseconds of CPU time for a password. */

#include "sign.h"

#include "bench.h"

#include <string.h>

enum { BATCHES = 50, BATCH = 2000 };

static double measure(enum method method, const char *expected)
{
    static double per_call[BATCHES];
    char out[65];

    /* Both implementations must compute the same password. This is also the warm-up. */
    for (int i = 0; i < BATCH; i++)
        sign(method, 1524448722000u, out);
    need(strcmp(out, expected) == 0, "the password is wrong");
    for (int batch = 0; batch < BATCHES; batch++) {
        uint64_t start = cpu_ns();

        for (int i = 0; i < BATCH; i++)
            sign(method, 1524448722000u + (uint64_t)i, out);
        per_call[batch] = (double)(cpu_ns() - start) / BATCH;
    }
    return median(per_call, BATCHES);
}

int main(void)
{
    report("sign_hmac", measure(HMAC_SHA1, "830A22DB97A820B1E81D41D1D5B4A873A976208E"));
    report("sign_sha256", measure(PLAIN_SHA256, "95D35AF314B4FAFE3383F580305E318B97E22DAA68AB7257F11FD8D22D76638A"));
    return 0;
}
