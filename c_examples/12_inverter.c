/*
 * A complete inverter: TLS, storage, activation at the first start, attributes at each start, measure points that survive
 * outages and power cuts, commands, a clean shutdown. One file and one thread, to copy and to change.
 *
 *     ENOS_PRODUCT_SECRET=... 12_inverter SERVER PRODUCT_KEY DEVICE_KEY DIRECTORY
 *
 * SERVER is ssl://host:port, DIRECTORY was made at provisioning. ENOS_CA, ENOS_CERT and ENOS_KEY are paths of PEM files:
 * the authorities to trust (by default the system's), the device's own certificate and its key (by default none).
 */
#define _POSIX_C_SOURCE 200809L

#include <enos.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REPORT_EVERY_MS 1000 /* for a demonstration; in the field a minute or more is enough */
#define MAX_POWER 5000.0
#define KEPT (ENOS_REQUEST_DURABLE | ENOS_REQUEST_UNTIL_REPLY) /* in the storage until EnOS has answered */

enum { DONE = 200, NO_SUCH_POINT = 2001, OUT_OF_RANGE = 2002 }; /* from 2000 on the codes are the device's own */

typedef struct inverter {
    int runs;
    double limit;    /* the measure point "limit", in watts: EnOS may set and read it */
    int has_limit;   /* EnOS has set it, or has answered that there is none */
    int stopped;     /* the client is offline, and no secret is unsaved */
    enos_json *json; /* one builder for all messages; it keeps its memory */
} inverter;

static enos_client *client;
static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
    enos_client_wake(client); /* the loop may be waiting */
}

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, enos_last_error());
    return 1;
}

static int64_t clock_ms(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void request(int32_t operation, uint32_t flags, const enos_json *json)
{
    enos_request request;

    ENOS_INIT(&request);
    request.operation = operation;
    request.flags = flags;
    request.json = json;
    if (enos_client_request(client, &request, NULL) != ENOS_OK)
        fail("not sent"); /* a full outbox, a failing flash: raise an alarm here */
}

static void report(inverter *self)
{
    enos_json_clear(self->json);
    enos_json_begin_measurepoints(self->json, clock_ms(CLOCK_REALTIME));
    enos_json_double(self->json, "power", self->runs ? self->limit * 0.9 : 0.0); /* in place of a sensor */
    enos_json_double(self->json, "limit", self->limit);
    enos_json_bool(self->json, "runs", self->runs);
    enos_json_end(self->json);
    request(ENOS_OP_MEASUREPOINT_POST, KEPT | ENOS_REQUEST_RESUME, self->json); /* what is late is sent as history */
}

/* At each start: the cloud learns what the device is, and the device how much it may deliver. */
static void attributes(inverter *self)
{
    enos_json_clear(self->json);
    enos_json_begin_object(self->json, NULL);
    enos_json_begin_object(self->json, "attributes");
    enos_json_text(self->json, "firmware", "1.4.2", ENOS_NUL_TERMINATED);
    enos_json_double(self->json, "ratedPower", MAX_POWER);
    enos_json_end(self->json);
    enos_json_end(self->json);
    request(ENOS_OP_ATTRIBUTE_UPDATE, KEPT, self->json);
    enos_json_clear(self->json);
    enos_json_raw(self->json, NULL, "{\"attributes\":[\"limit\"]}", ENOS_NUL_TERMINATED);
    request(ENOS_OP_ATTRIBUTE_QUERY, 0, self->json);
}

static int32_t set_limit(inverter *self, enos_value value)
{
    double wanted;

    if (enos_value_double(value, &wanted) != ENOS_OK)
        return NO_SUCH_POINT;
    if (wanted < 0.0 || wanted > MAX_POWER)
        return OUT_OF_RANGE;
    self->limit = wanted;
    self->has_limit = 1;
    return DONE;
}

/* The library answers what this leaves unanswered: with 1101, no handler. */
static void answer(inverter *self, enos_command *command)
{
    const char *name = enos_command_name(command);
    int32_t type = enos_command_get_type(command), code = 0;

    if (type == ENOS_COMMAND_MEASUREPOINT_SET) {
        code = set_limit(self, enos_value_at(enos_command_params(command), "/limit"));
    } else if (type == ENOS_COMMAND_SERVICE && (strcmp(name, "start") == 0 || strcmp(name, "stop") == 0)) {
        self->runs = strcmp(name, "start") == 0;
        code = DONE;
    }
    if (code != 0 && enos_command_reply(command, code, NULL, NULL, NULL) != ENOS_OK)
        fail("not answered");
}

static void on_event(void *ctx, enos_client *c, const enos_event *event)
{
    inverter *self = ctx;

    (void)c;
    if (event->type == ENOS_EVENT_COMMAND)
        answer(self, event->command);
    else if (event->type == ENOS_EVENT_STOPPED)
        self->stopped = 1;
    else if (event->type == ENOS_EVENT_CONNECTED && !self->has_limit)
        attributes(self);
    else if (event->operation == ENOS_OP_ATTRIBUTE_QUERY && event->status == ENOS_OK && !self->has_limit) {
        set_limit(self, enos_value_at(event->data, "/limit")); /* not there: the default stays */
        self->has_limit = 1;
    }
    if (event->type != ENOS_EVENT_REPLY || event->status != ENOS_OK)
        printf("%s: %s, code %d; %s\n", enos_event_name(event->type), enos_strerror(event->status),
               (int)event->detail_code, event->detail);
}

static enos_status create(char **argv, inverter *self)
{
    const char *secret = getenv("ENOS_PRODUCT_SECRET");
    enos_config *config = NULL;
    enos_storage storage;
    enos_status status;

    ENOS_INIT(&storage);
    if ((status = enos_storage_directory(argv[4], &storage)) == ENOS_OK &&
        (status = enos_config_new(&config)) == ENOS_OK &&
        (status = enos_config_set_storage(config, &storage)) == ENOS_OK && /* it is the config's from here on */
        (status = enos_config_set_server(config, argv[1])) == ENOS_OK &&
        (status = enos_config_set_tls(config, getenv("ENOS_CA"), getenv("ENOS_CERT"), getenv("ENOS_KEY"))) == ENOS_OK &&
        (status = enos_config_set_identity(config, argv[2], argv[3])) == ENOS_OK &&
        (status = enos_config_set_product_secret(config, secret, ENOS_NUL_TERMINATED)) == ENOS_OK &&
        (status = enos_config_set_event_cb(config, on_event, self)) == ENOS_OK)
        status = enos_client_create(config, &client);
    if (status != ENOS_OK)
        fail("configuration");
    enos_config_free(config);
    return status;
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_signal};
    inverter self = {.runs = 1, .limit = MAX_POWER};
    int64_t due = 0, left;
    if (argc != 5) {
        fprintf(stderr, "ENOS_PRODUCT_SECRET=... %s SERVER PRODUCT_KEY DEVICE_KEY DIRECTORY\n", argv[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (enos_json_new(&self.json) != ENOS_OK || create(argv, &self) != ENOS_OK)
        return 1;
    enos_json_set_nonfinite(self.json, ENOS_NONFINITE_LEAVE_OUT); /* a broken sensor costs only its own point */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (enos_client_connect(client) != ENOS_OK)
        return fail("connect");
    while (!stop) {
        if ((left = due - clock_ms(CLOCK_MONOTONIC)) <= 0) {
            report(&self); /* online or not */
            left = REPORT_EVERY_MS;
            due = clock_ms(CLOCK_MONOTONIC) + left;
        }
        if (enos_client_loop(client, (uint32_t)left) != ENOS_OK)
            return fail("loop");
    }
    enos_client_disconnect(client); /* what EnOS has not answered stays in the storage for the next start */
    while (!self.stopped)
        if (enos_client_loop(client, ENOS_FOREVER) != ENOS_OK)
            return fail("loop");
    enos_json_free(self.json);
    return enos_client_destroy(client) == ENOS_OK ? 0 : fail("destroy");
}
