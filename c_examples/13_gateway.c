/*
 * A gateway with inverters behind it: it reads them over Modbus, and reports each of them as a device of its own.
 *
 *     ENOS_PRODUCT_SECRET=... ENOS_INVERTER_SECRET=... 13_gateway SERVER PRODUCT_KEY DEVICE_KEY DIRECTORY TABLE
 *
 * TABLE is a file with a line for each inverter: its product key, its device key, its Modbus address. A line that is added
 * while the program runs is an inverter that is added. ENOS_INVERTER_SECRET is the product secret of the inverters: each is
 * activated when it logs in for the first time, and its device secret is kept in DIRECTORY, like the gateway's own.
 */
#include "example.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_INVERTERS 100 /* EnOS documents 200 for a gateway; above 100, see enos_config_set_inflight() */

enum { DONE = 200, NO_SUCH_POINT = 2001 }; /* from 2000 on the codes are the device's own */

typedef struct inverter {
    char product_key[65], device_key[65];
    int address;
    uint64_t id;  /* of the sub-device */
    int silent;   /* it did not answer the last time, and is offline in EnOS */
    double limit; /* the measure point "limit", in watts: EnOS may set it */
    int reads;
} inverter;

static inverter inverters[MAX_INVERTERS]; /* they keep their places, because the library has pointers to them */
static size_t count;
static const char *table;
static enos_json *json; /* one builder for all messages; it keeps its memory */

/* In place of Modbus. The inverter at address 7 does not answer for a while. */
static int read_power(inverter *self, double *watts)
{
    self->reads++;
    *watts = self->limit * 0.9;
    return self->address == 7 && self->reads > 3 && self->reads < 7 ? -1 : 0;
}

static int is_known(const inverter *one)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(inverters[i].product_key, one->product_key) == 0 &&
            strcmp(inverters[i].device_key, one->device_key) == 0)
            return 1;
    return 0;
}

/* Reads the table, and adds the inverters that are new with one call. They log in when the gateway is online. */
static void add_inverters(enos_client *client)
{
    static enos_subdevice_options options[MAX_INVERTERS];
    uint64_t ids[MAX_INVERTERS];
    size_t known = count;
    FILE *file = fopen(table, "r");

    if (file == NULL) {
        perror(table);
        return;
    }
    while (count < MAX_INVERTERS) {
        inverter *one = &inverters[count];
        enos_subdevice_options *option = &options[count - known];

        *one = (inverter){.limit = 5000.0};
        if (fscanf(file, "%64s %64s %d", one->product_key, one->device_key, &one->address) != 3)
            break;
        if (is_known(one))
            continue;
        ENOS_INIT(option);
        option->product_key = one->product_key;
        option->device_key = one->device_key;
        option->product_secret = getenv("ENOS_INVERTER_SECRET");
        option->product_secret_len = ENOS_NUL_TERMINATED;
        option->user = one; /* comes back in its events */
        count++;
    }
    fclose(file);
    if (count == known)
        return;
    if (enos_client_add_subdevices(client, options, count - known, ids) != ENOS_OK) {
        fail(table); /* none was added: the next second tries again */
        count = known;
    }
    for (size_t i = known; i < count; i++)
        inverters[i].id = ids[i - known];
}

static void report(enos_client *client, inverter *self, double watts)
{
    enos_request request;

    enos_json_clear(json);
    enos_json_begin_measurepoints(json, wall_clock_ms());
    enos_json_double(json, "power", watts);
    enos_json_double(json, "limit", self->limit);
    enos_json_end(json);
    ENOS_INIT(&request);
    request.operation = ENOS_OP_MEASUREPOINT_POST;
    request.subdevice = self->id;
    request.json = json;
    request.user = self;
    if (enos_client_request(client, &request, NULL) != ENOS_OK)
        fail(self->device_key); /* for example, too many posts wait for their replies */
}

static void each_second(void *ctx, enos_client *client)
{
    (void)ctx;
    add_inverters(client);
    for (size_t i = 0; i < count; i++) {
        inverter *self = &inverters[i];
        double watts;
        int silent = read_power(self, &watts) != 0;

        if (silent != self->silent) { /* as long as it does not answer, EnOS is to show it as offline */
            if (enos_client_set_subdevice_online(client, self->id, !silent) == ENOS_OK)
                self->silent = silent;
            else
                fail(self->device_key);
        }
        if (!silent && enos_client_subdevice_state(client, self->id) == ENOS_SUBDEVICE_STATE_ONLINE)
            report(client, self, watts);
    }
}

/* The library answers what this leaves unanswered: with 1101, no handler. */
static void answer(inverter *self, enos_command *command)
{
    int32_t code = NO_SUCH_POINT;

    if (enos_command_get_type(command) != ENOS_COMMAND_MEASUREPOINT_SET)
        return;
    if (enos_value_double(enos_value_at(enos_command_params(command), "/limit"), &self->limit) == ENOS_OK)
        code = DONE; /* and write it over Modbus */
    if (enos_command_reply(command, code, NULL, NULL, NULL) != ENOS_OK)
        fail(self->device_key);
}

static void on_event(void *ctx, enos_client *client, const enos_event *event)
{
    /* In events of sub-devices, user is that of the options or that of the request. Here both are the inverter. */
    inverter *self = event->subdevice == 0 ? NULL : event->user;

    (void)ctx;
    (void)client;
    if (event->type == ENOS_EVENT_COMMAND && self != NULL)
        answer(self, event->command);
    if (event->type == ENOS_EVENT_SUBDEVICE_STATE)
        printf("%s is %s: %s\n", self->device_key, enos_subdevice_state_name(event->subdevice_state), event->detail);
    else if (event->type != ENOS_EVENT_REPLY || event->status != ENOS_OK)
        tell(self == NULL ? "the gateway" : self->device_key, event);
}

int main(int argc, char **argv)
{
    int result;

    if (argc != 6 || getenv("ENOS_INVERTER_SECRET") == NULL) {
        fprintf(stderr,
                "ENOS_PRODUCT_SECRET=... ENOS_INVERTER_SECRET=... %s SERVER PRODUCT_KEY DEVICE_KEY DIRECTORY TABLE\n",
                argv[0]);
        return 2;
    }
    table = argv[5];
    if (enos_json_new(&json) != ENOS_OK)
        return fail("json");
    result = run_example(5, argv, on_event, each_second, NULL);
    enos_json_free(json);
    return result;
}
