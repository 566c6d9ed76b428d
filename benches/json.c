/* Measures building the params of a post, and reading commands: nanoseconds of CPU time for each. */

#include "json.h"

#include "bench.h"

#include <string.h>

enum { BATCHES = 50, BATCH = 500, POINTS = 40, MEMBERS = 200 };

static char ids[MEMBERS][16];
static double values[MEMBERS];
static char few[2048], many[16384];
static size_t few_length, many_length;
static double expected;

static size_t command(char *out, size_t cap, int members)
{
    size_t length = (size_t)snprintf(out, cap, "{\"id\":\"1\",\"version\":\"1.0\",\"params\":{");

    for (int i = 0; i < members; i++)
        length += (size_t)snprintf(out + length, cap - length, "%s\"%s\":%.10g", i ? "," : "", ids[i], values[i]);
    return length + (size_t)snprintf(out + length, cap - length, "},\"method\":\"thing.service.set\"}");
}

static void build_post(void)
{
    static const char *keys[POINTS];
    size_t length = 0;
    const char *text;

    for (int i = 0; i < POINTS; i++)
        keys[i] = ids[i];
    text = build(keys, values, POINTS, &length);
    need(length > POINTS * 8 && text[length - 1] == '}', "the post is wrong");
}

static void one_of_few(void)
{
    need(read_one(few, few_length, ids[13]) == values[13], "the member is wrong");
}

static void all_of_many(void)
{
    need(read_all(many, many_length) == expected, "the sum is wrong");
}

static void measure(const char *name, void (*call)(void))
{
    static double per_call[BATCHES];

    /* The first batch is the warm-up. */
    for (int batch = -1; batch < BATCHES; batch++) {
        uint64_t start = cpu_ns();

        for (int i = 0; i < BATCH; i++)
            call();
        if (batch >= 0)
            per_call[batch] = (double)(cpu_ns() - start) / BATCH;
    }
    report(name, median(per_call, BATCHES));
}

int main(void)
{
    for (int i = 0; i < MEMBERS; i++) {
        snprintf(ids[i], sizeof ids[i], "meter.value%d", i);
        values[i] = 20.1 + i * 0.37;
    }
    few_length = command(few, sizeof few, 20);
    many_length = command(many, sizeof many, MEMBERS);
    for (int i = 0; i < MEMBERS; i++) {
        char text[32];

        snprintf(text, sizeof text, "%.10g", values[i]);
        values[i] = strtod(text, NULL);
        expected += values[i];
    }
    measure("json_build", build_post);
    measure("json_one", one_of_few);
    measure("json_all", all_of_many);
    return 0;
}
