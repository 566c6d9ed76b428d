/*
 * Answering commands: measure points are set and read, and a service is invoked.
 *
 *     ENOS_PRODUCT_SECRET=... 05_commands SERVER PRODUCT_KEY DEVICE_KEY DIRECTORY
 *
 * EnOS sends the next command only after the answer to the previous one. The library therefore answers what this program
 * does not: with 1101 if there is no handler, with 1102 if the answer is late. Work that takes long must not block the
 * callback: enos_command_retain() keeps the command, to be answered later and from any thread (see docs/commands.md).
 * The program ends at SIGINT or SIGTERM.
 */
#include "example.h"

#include <stdio.h>

/* The codes from 2000 on are for the device's own use. */
enum { DONE = 200, NO_SUCH_POINT = 2001, OUT_OF_RANGE = 2002 };

static double setpoint = 20.0;

/* params: {"setpoint":21.5} */
static int32_t set_points(enos_value params, enos_json *data)
{
    double wanted;

    (void)data; /* {}, if nothing is put */
    if (enos_value_double(enos_value_at(params, "/setpoint"), &wanted) != ENOS_OK)
        return NO_SUCH_POINT;
    if (wanted < 5.0 || wanted > 30.0)
        return OUT_OF_RANGE;
    setpoint = wanted;
    return DONE;
}

/* params: ["temperature","setpoint"]; data: {"temperature":20.1,"setpoint":21.5} */
static int32_t get_points(enos_value params, enos_json *data)
{
    int wants_temperature = 0, wants_setpoint = 0;
    enos_value key, name;
    size_t cursor = 0;

    while (enos_value_next(params, &cursor, &key, &name) == 1)
        if (enos_value_equals(name, "temperature", ENOS_NUL_TERMINATED))
            wants_temperature = 1;
        else if (enos_value_equals(name, "setpoint", ENOS_NUL_TERMINATED))
            wants_setpoint = 1;
        else
            return NO_SUCH_POINT;
    enos_json_begin_object(data, NULL);
    if (wants_temperature)
        enos_json_double(data, "temperature", temperature());
    if (wants_setpoint)
        enos_json_double(data, "setpoint", setpoint);
    enos_json_end(data);
    return DONE;
}

/* A service of the product's thing model. params: {"times":3}; data: {"blinked":3} */
static int32_t blink(enos_value params, enos_json *data)
{
    int64_t times;

    if (enos_value_int(enos_value_at(params, "/times"), &times) != ENOS_OK || times < 1 || times > 10)
        return OUT_OF_RANGE;
    enos_json_begin_object(data, NULL);
    enos_json_int(data, "blinked", times);
    enos_json_end(data);
    return DONE;
}

static const struct {
    int32_t type;
    const char *name;                                       /* only services have one */
    int32_t (*handler)(enos_value params, enos_json *data); /* returns the code */
} handlers[] = {
    {ENOS_COMMAND_MEASUREPOINT_SET, "", set_points},
    {ENOS_COMMAND_MEASUREPOINT_GET, "", get_points},
    {ENOS_COMMAND_SERVICE, "blink", blink},
};

static void answer(enos_command *command, const char *topic)
{
    enos_value params = enos_command_params(command);
    enos_json *data = NULL;
    size_t i = 0, count = sizeof handlers / sizeof handlers[0];
    int32_t code;

    printf("%s %.*s: ", topic, (int)params.len, params.len > 0 ? params.text : "");
    while (i < count && (handlers[i].type != enos_command_get_type(command) ||
                         strcmp(handlers[i].name, enos_command_name(command)) != 0))
        i++;
    if (i == count) {
        printf("no handler\n"); /* the library answers with 1101 */
        return;
    }
    if (enos_json_new(&data) != ENOS_OK) {
        fail("no memory");
        return;
    }
    code = handlers[i].handler(params, data);
    if (enos_command_reply(command, code, enos_json_size(data) > 0 ? data : NULL, NULL, NULL) == ENOS_OK)
        printf("code %d\n", (int)code);
    else
        fail("not answered");
    enos_json_free(data);
}

static void on_event(void *ctx, enos_client *client, const enos_event *event)
{
    (void)client;
    if (event->type == ENOS_EVENT_COMMAND)
        answer(event->command, event->topic);
    else
        tell(ctx, event);
}

int main(int argc, char **argv)
{
    return run_example(argc, argv, on_event, NULL, argc > 3 ? argv[3] : NULL);
}
