/* Measures libenos with a backlog of durable messages in a storage of files:
 *
 *     backlog fill <directory> <messages> <accepted together>     makes a backlog
 *     backlog open <directory>                                    how long a starting device takes to find it
 *     backlog drain <directory> <port> <name of the measure>      how fast it is sent, and with how much memory
 */

#include "bench.h"
#include "mqtt.h"

#include <enos.h>
#include <malloc.h>
#include <string.h>

enum { WINDOW = 100, TOGETHER = 256, OPENED = 20 };

static uint64_t connected_at;
static size_t most_heap;
static unsigned delivered;

/* In bytes, for the whole process. */
static size_t heap_now(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

/* In KiB: "VmRSS", the present resident set, or "VmHWM", its maximum. */
static double resident(const char *which)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[128];
    double kib = -1;

    need(file != NULL, "/proc/self/status");
    while (kib < 0 && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, which, strlen(which)) == 0)
            kib = atof(line + strlen(which) + 1);
    fclose(file);
    return kib;
}

static void on_event(void *ctx, enos_client *client, const enos_event *event)
{
    (void)ctx;
    (void)client;
    need(event->status == ENOS_OK, event->detail);
    if (event->type == ENOS_EVENT_CONNECTED)
        connected_at = now_ns();
    /* Measuring the heap takes a while, so it is done rarely. */
    if (event->type == ENOS_EVENT_DELIVERED && delivered++ % 64 == 0) {
        size_t heap = heap_now();

        if (heap > most_heap)
            most_heap = heap;
    }
}

static enos_client *create(const char *directory, int port)
{
    enos_config *config = NULL;
    enos_client *client = NULL;
    enos_storage storage;
    char uri[64];

    ENOS_INIT(&storage);
    snprintf(uri, sizeof uri, "tcp://" HOST ":%d", port);
    need(enos_storage_directory_create(directory, &storage) == ENOS_OK && enos_config_new(&config) == ENOS_OK &&
             enos_config_set_server(config, uri) == ENOS_OK &&
             enos_config_set_identity(config, "bench-product", "bench-device") == ENOS_OK &&
             enos_config_set_device_secret(config, "0123456789abcdefghij", ENOS_NUL_TERMINATED) == ENOS_OK &&
             enos_config_set_keep_alive(config, KEEP_ALIVE_S) == ENOS_OK &&
             enos_config_set_inflight(config, WINDOW) == ENOS_OK &&
             enos_config_set_storage(config, &storage) == ENOS_OK &&
             enos_config_set_outbox_limits(config, 10000000, (uint64_t)1 << 40, ENOS_OUTBOX_REFUSE) == ENOS_OK &&
             /* Otherwise EnOS's limits for throughput and CONNECTs would determine the result. */
             enos_config_set_outbox_rate(config, 0) == ENOS_OK &&
             enos_config_set_connect_budget(config, 0, 0, 0) == ENOS_OK &&
             enos_config_set_event_cb(config, on_event, NULL) == ENOS_OK &&
             enos_client_create(config, &client) == ENOS_OK,
         enos_last_error());
    enos_config_free(config);
    return client;
}

/* The first use of the outbox opens it. */
static uint64_t waiting(enos_client *client)
{
    enos_outbox_info info;

    ENOS_INIT(&info);
    need(enos_client_outbox_info(client, 0, &info) == ENOS_OK, enos_last_error());
    return info.messages;
}

static void destroy(enos_client *client)
{
    need(enos_client_destroy(client) == ENOS_OK, enos_last_error());
}

static void fill(const char *directory, unsigned count, unsigned together)
{
    static enos_request messages[TOGETHER];
    enos_client *client = create(directory, 1);

    need(together >= 1 && together <= TOGETHER, "that is no batch");
    for (unsigned i = 0; i < together; i++) {
        ENOS_INIT(&messages[i]);
        messages[i].operation = ENOS_OP_PUBLISH;
        messages[i].flags = ENOS_REQUEST_DURABLE;
        messages[i].name = TOPIC;
        messages[i].params = PAYLOAD;
        messages[i].params_len = sizeof PAYLOAD - 1;
    }
    while (count > 0) {
        unsigned some = count < together ? count : together;

        need(enos_client_request_batch(client, messages, some, NULL, NULL) == ENOS_OK, enos_last_error());
        count -= some;
    }
    destroy(client);
}

static void measure_open(const char *directory)
{
    static double us_directory[OPENED], us_outbox[OPENED];
    char measure[64];
    uint64_t messages = 0;

    for (int i = 0; i < OPENED; i++) {
        uint64_t start = now_ns(), opened;
        enos_client *client = create(directory, 1);

        opened = now_ns();
        messages = waiting(client);
        us_outbox[i] = (double)(now_ns() - opened) / 1e3;
        us_directory[i] = (double)(opened - start) / 1e3;
        destroy(client);
    }
    snprintf(measure, sizeof measure, "directory_%u", (unsigned)messages);
    report(measure, median(us_directory, OPENED));
    snprintf(measure, sizeof measure, "outbox_%u", (unsigned)messages);
    report(measure, median(us_outbox, OPENED));
}

static void measure_drain(const char *directory, int port, const char *name)
{
    double before = resident("VmRSS");
    size_t heap_before = heap_now();
    enos_client *client = create(directory, port);
    uint64_t messages = waiting(client);
    char measure[64];

    need(messages > 0, "there is no backlog");
    need(enos_client_connect(client) == ENOS_OK && enos_client_flush(client, ENOS_FOREVER) == ENOS_OK,
         enos_last_error());
    /* Messages that are through are also removed before the end. */
    while (waiting(client) > 0)
        need(enos_client_loop(client, ENOS_FOREVER) == ENOS_OK, enos_last_error());
    report(name, (double)messages / ((double)(now_ns() - connected_at) / 1e9));
    snprintf(measure, sizeof measure, "%s_heap", name);
    report(measure, (double)(most_heap - heap_before) / 1024);
    snprintf(measure, sizeof measure, "%s_resident", name);
    report(measure, resident("VmHWM") - before);
    destroy(client);
}

int main(int argc, char **argv)
{
    const char *task = argc > 1 ? argv[1] : "";

    if (strcmp(task, "fill") == 0 && argc == 5)
        fill(argv[2], (unsigned)atoi(argv[3]), (unsigned)atoi(argv[4]));
    else if (strcmp(task, "open") == 0 && argc == 3)
        measure_open(argv[2]);
    else if (strcmp(task, "drain") == 0 && argc == 5)
        measure_drain(argv[2], atoi(argv[3]), argv[4]);
    else
        need(0, "usage: see the top of benches/backlog.c");
    return 0;
}
