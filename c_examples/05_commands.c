/*
 * Answering commands: measure points are set and read, a service is invoked, and unknown commands are refused.
 *
 *     ENOS_PRODUCT_SECRET=... 05_commands SERVER PRODUCT_KEY DEVICE_KEY DIRECTORY
 *
 * A command is an ENOS_EVENT_COMMAND; you need not subscribe to it. Each command gets one answer, because EnOS sends the
 * next command only after the answer: what this program does not answer, the library does. For work that takes long,
 * call enos_command_retain(), and let another thread answer and call enos_command_release(). The program ends at SIGINT
 * or SIGTERM.
 */
#define _POSIX_C_SOURCE 200809L

#include "example.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The codes from 2000 on are for the device's own use. */
enum { DONE = 200, NO_SUCH_POINT = 2001, OUT_OF_RANGE = 2002 };

static double setpoint = 20.0;

/* params: {"setpoint":21.5} */
static int32_t set_points(enos_value params, enos_json *data)
{
    double wanted;

    (void)data;
    if (enos_value_double(enos_value_at(params, "/setpoint"), &wanted) != ENOS_OK)
        return NO_SUCH_POINT;
    if (!(wanted >= 5.0 && wanted <= 30.0))
        return OUT_OF_RANGE;
    setpoint = wanted;
    return DONE;
}

/* params: ["temperature","setpoint"]; data: {"temperature":20.1,"setpoint":21.5} */
static int32_t get_points(enos_value params, enos_json *data)
{
    size_t cursor = 0;
    enos_value key, name;

    while (enos_value_next(params, &cursor, &key, &name) == 1) {
        if (enos_value_equals(name, "temperature", ENOS_NUL_TERMINATED))
            enos_json_float(data, "temperature", (float)temperature());
        else if (enos_value_equals(name, "setpoint", ENOS_NUL_TERMINATED))
            enos_json_double(data, "setpoint", setpoint);
        else
            return NO_SUCH_POINT;
    }
    return DONE;
}

/* A service of the product's thing model. params: {"times":3}; data: {"blinked":3} */
static int32_t blink(enos_value params, enos_json *data)
{
    int64_t times;

    if (enos_value_int(enos_value_at(params, "/times"), &times) != ENOS_OK || times < 1 || times > 10)
        return OUT_OF_RANGE;
    enos_json_int(data, "blinked", times);
    return DONE;
}

/* What runs the command; NULL if there is nothing, and the library answers 1101. */
static int32_t (*handler(const enos_command *command))(enos_value params, enos_json *data)
{
    switch (enos_command_get_type(command)) {
    case ENOS_COMMAND_MEASUREPOINT_SET:
        return set_points;
    case ENOS_COMMAND_MEASUREPOINT_GET:
        return get_points;
    case ENOS_COMMAND_SERVICE:
        return strcmp(enos_command_name(command), "blink") == 0 ? blink : NULL;
    default:
        return NULL;
    }
}

static void answer(enos_command *command, const char *topic)
{
    int32_t (*run)(enos_value, enos_json *) = handler(command);
    enos_value params = enos_command_params(command);
    const char *text = "";
    enos_json *data = NULL;
    int32_t code;

    if (run == NULL) {
        printf("%s %.*s: code 1101, {}\n", topic, (int)params.len, params.len > 0 ? params.text : "");
        return;
    }
    enos_json_new(&data); /* if there is no memory, the answer is without data */
    enos_json_begin_object(data, NULL);
    if ((code = run(params, data)) != DONE) {
        enos_json_clear(data);
        enos_json_begin_object(data, NULL);
    }
    enos_json_end(data);
    if (enos_command_reply(command, code, data, NULL, NULL) != ENOS_OK)
        fprintf(stderr, "not answered: %s\n", enos_last_error());
    else if (data == NULL || enos_json_result(data, &text, NULL) == ENOS_OK)
        printf("%s %.*s: code %d, %s\n", topic, (int)params.len, params.len > 0 ? params.text : "", (int)code, text);
    enos_json_free(data);
}

static void on_event(void *ctx, enos_client *client, const enos_event *event)
{
    (void)client;
    if (event->type == ENOS_EVENT_COMMAND)
        answer(event->command, event->topic); /* the command is valid until this returns */
    else
        tell(ctx, event);
}

/* The loop of 03_poll_loop.c, without the timer. */
static int run(enos_client *client, int signals)
{
    struct pollfd fds[] = {{signals, POLLIN, 0}, {enos_client_fd(client), POLLIN, 0}};

    if (fds[1].fd < 0 || enos_client_connect(client) != ENOS_OK)
        return fail("connect");
    for (;;) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR) {
            perror("poll");
            return 1;
        }
        if (fds[0].revents != 0)
            return 0;
        if (enos_client_loop(client, 0) != ENOS_OK)
            return fail("loop");
    }
}

int main(int argc, char **argv)
{
    enos_client *client = NULL;
    enos_storage storage;
    int signals, result, ended;

    if (argc != 5) {
        fprintf(stderr, "ENOS_PRODUCT_SECRET=... %s SERVER PRODUCT_KEY DEVICE_KEY DIRECTORY\n", argv[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    if ((signals = catch_signals()) < 0)
        return 1;
    ENOS_INIT(&storage);
    if (enos_storage_directory(argv[4], &storage) != ENOS_OK)
        return fail("storage");
    if (create(argv[1], argv[2], argv[3], &storage, on_event, argv[3], &client) != ENOS_OK)
        return 1;

    result = run(client, signals);
    ended = finish(client);
    close(signals);
    return result != 0 ? result : ended;
}
