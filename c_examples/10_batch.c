/*
 * Several readings in one durable batch: all of them are in the storage when the call returns, or none is, for the price
 * of one. Each reading keeps its own time, and has its own outcome.
 *
 *     ENOS_PRODUCT_SECRET=... 10_batch SERVER PRODUCT_KEY DEVICE_KEY DIRECTORY
 *
 * It measures each second, and stores a batch after BATCH readings, online or not. Readings that EnOS gets late are sent
 * as history (ENOS_REQUEST_RESUME), because they are not the latest any more. It ends at SIGINT or SIGTERM.
 */
#include "example.h"

#include <inttypes.h>
#include <stdio.h>

#define BATCH 5
#define FLAGS (ENOS_REQUEST_DURABLE | ENOS_REQUEST_UNTIL_REPLY | ENOS_REQUEST_RESUME)

typedef struct device {
    const char *key;
    enos_json *readings[BATCH]; /* builders keep their memory, so that a reading costs no allocation */
    size_t count;
    unsigned stored, completed;
} device;

/* Stores all readings, or none. If they are refused, they are tried again at the next second. */
static void store(device *self, enos_client *client)
{
    enos_request requests[BATCH];
    uint64_t tokens[BATCH];
    size_t bad;

    for (size_t i = 0; i < BATCH; i++) {
        ENOS_INIT(&requests[i]);
        requests[i].operation = ENOS_OP_MEASUREPOINT_POST;
        requests[i].flags = FLAGS;
        requests[i].json = self->readings[i];
    }
    bad = BATCH;
    if (enos_client_request_batch(client, requests, BATCH, tokens, &bad) != ENOS_OK) {
        if (bad < BATCH) /* this one can never be sent, for example because of a NaN; without it the rest can */
            fprintf(stderr, "reading %zu is wrong\n", bad);
        fail("not stored");
        return;
    }
    printf("%d readings are stored, tokens %" PRIu64 " to %" PRIu64 "\n", BATCH, tokens[0], tokens[BATCH - 1]);
    self->stored += BATCH;
    self->count = 0;
}

static void each_second(void *ctx, enos_client *client)
{
    device *self = ctx;

    if (self->count < BATCH) {
        enos_json *reading = self->readings[self->count++];
        enos_json_clear(reading);
        enos_json_begin_measurepoints(reading, wall_clock_ms());
        enos_json_double(reading, "temperature", temperature());
        enos_json_double(reading, "power", 1500.5);
        enos_json_end(reading);
    }
    if (self->count == BATCH)
        store(self, client);
}

static void on_event(void *ctx, enos_client *client, const enos_event *event)
{
    device *self = ctx;

    (void)client;
    tell(self->key, event);
    if (event->type == ENOS_EVENT_REPLY && event->status == ENOS_OK) /* also for readings of an earlier run */
        printf("EnOS has %u of %u readings\n", ++self->completed, self->stored);
}

int main(int argc, char **argv)
{
    device self = {.key = argc > 3 ? argv[3] : NULL};
    int result = 0;

    for (size_t i = 0; i < BATCH; i++) {
        if (enos_json_new(&self.readings[i]) != ENOS_OK)
            return fail("memory");
        enos_json_set_nonfinite(self.readings[i], ENOS_NONFINITE_LEAVE_OUT); /* a broken sensor costs only its point */
    }
    result = run_example(argc, argv, on_event, each_second, &self);
    for (size_t i = 0; i < BATCH; i++)
        enos_json_free(self.readings[i]);
    return result;
}
