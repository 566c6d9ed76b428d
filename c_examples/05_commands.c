/*
 * Answering commands: measure points are set and read, a service is invoked, and unknown commands are refused. Each
 * command gets an answer with the id of the command, because EnOS sends the next command only after the answer.
 *
 *     ENOS_PRODUCT_SECRET=... 05_commands SERVER PRODUCT_KEY DEVICE_KEY DIRECTORY
 *
 * A command is a MESSAGE on /sys/{product key}/{device key}/thing/service/{service}; you need not subscribe to it. Its
 * caller waits 30 seconds by default. For work that takes long, copy topic and id to another thread, which calls
 * enos_client_reply() when it is done. The program ends at SIGINT or SIGTERM.
 *
 * The library acknowledges a command to the broker when it has queued it, before on_event() sees it. If the process
 * ends in between, MQTT does not send the command again. EnOS does, because it got no answer.
 */
#define _POSIX_C_SOURCE 200809L

#include "example.h"
#include "json.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The codes from 2000 on are for the device's own use. */
enum { DONE = 200, NO_HANDLER = 1101, NO_SUCH_POINT = 2001, OUT_OF_RANGE = 2002 };

static double setpoint = 20.0;

/* Reads a number from an object. */
static int number(const char *json, size_t len, const char *name, double *out)
{
    char text[32], *rest;

    if (!json_text(json, len, name, text, sizeof text))
        return 0;
    *out = strtod(text, &rest);
    return rest != text && *rest == '\0';
}

/* params: {"setpoint":21.5} */
static int32_t set_points(const char *params, size_t len, char *data, size_t cap)
{
    double wanted;

    snprintf(data, cap, "{}");
    if (!number(params, len, "setpoint", &wanted))
        return NO_SUCH_POINT;
    if (!(wanted >= 5.0 && wanted <= 30.0))
        return OUT_OF_RANGE;
    setpoint = wanted;
    return DONE;
}

/* params: ["temperature","setpoint"]; data: {"temperature":20.1,"setpoint":21.5} */
static int32_t get_points(const char *params, size_t len, char *data, size_t cap)
{
    static const char *const names[] = {"\"temperature\"", "\"setpoint\""};
    const double values[] = {temperature(), setpoint};
    int wanted[] = {0, 0};
    const char *name;
    size_t name_len, used;

    snprintf(data, cap, "{}");
    for (size_t place = 0; (name_len = json_element(params, len, place, &name)) > 0; place++) {
        size_t i = 0;
        while (i < 2 && (strlen(names[i]) != name_len || memcmp(names[i], name, name_len) != 0))
            i++;
        if (i == 2)
            return NO_SUCH_POINT;
        wanted[i] = 1;
    }
    used = (size_t)snprintf(data, cap, "{");
    for (size_t i = 0; i < 2; i++)
        if (wanted[i])
            used += (size_t)snprintf(data + used, cap - used, "%s%s:%.1f", used > 1 ? "," : "", names[i], values[i]);
    snprintf(data + used, cap - used, "}");
    return DONE;
}

/* A service of the product's thing model. params: {"times":3}; data: {"blinked":3} */
static int32_t blink(const char *params, size_t len, char *data, size_t cap)
{
    double times;

    snprintf(data, cap, "{}");
    if (!number(params, len, "times", &times) || !(times >= 1 && times <= 10))
        return OUT_OF_RANGE;
    snprintf(data, cap, "{\"blinked\":%d}", (int)times);
    return DONE;
}

static const struct {
    const char *service;
    int32_t (*handler)(const char *params, size_t len, char *data, size_t cap); /* returns the code */
} services[] = {{"measurepoint/set", set_points}, {"measurepoint/get", get_points}, {"blink", blink}};

static void answer(enos_client *client, const enos_event *command)
{
    static const char prefix[] = "/thing/service/";
    const char *json = (const char *)command->payload, *params = "", *service = strstr(command->topic, prefix);
    size_t params_len = json_member(json, command->payload_len, "params", &params);
    char id[64], data[256] = "{}";
    int32_t code = NO_HANDLER;

    if (!json_text(json, command->payload_len, "id", id, sizeof id)) {
        fprintf(stderr, "not answered: the command has no id\n");
        return;
    }
    for (size_t i = 0; service != NULL && i < sizeof services / sizeof services[0]; i++)
        if (strcmp(service + sizeof prefix - 1, services[i].service) == 0)
            code = services[i].handler(params, params_len, data, sizeof data);
    if (enos_client_reply(client, command->topic, id, code, data, ENOS_NUL_TERMINATED, NULL) != ENOS_OK)
        fprintf(stderr, "not answered: %s\n", enos_last_error());
    else
        printf("%s %.*s: code %d, %s\n", command->topic, (int)params_len, params, (int)code, data);
}

static void on_event(void *ctx, enos_client *client, const enos_event *event)
{
    if (event->type == ENOS_EVENT_MESSAGE)
        answer(client, event); /* the payload is valid until this returns */
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
