/*
 * Events and attributes. At its start the device asks EnOS for its attributes: what the operator has set there counts,
 * and what is not set yet gets the device's own value. An event tells EnOS at once that something has happened.
 *
 *     ENOS_PRODUCT_SECRET=... 09_events_and_attributes SERVER PRODUCT_KEY DEVICE_KEY DIRECTORY
 *
 * The attribute "limit" is a temperature. When the device is warmer, it sends the event "overheat". The event is durable,
 * so it reaches EnOS also if the device is offline, or loses its power. The program ends at SIGINT or SIGTERM.
 */
#include "example.h"

#include <stdio.h>

typedef struct device {
    const char *key;
    double limit;
    int asked;     /* for the attributes */
    int has_asked; /* and the answer has come */
    int is_hot;
} device;

static void query_attributes(device *self, enos_client *client)
{
    enos_request request;

    ENOS_INIT(&request);
    request.operation = ENOS_OP_ATTRIBUTE_QUERY;
    request.params = "{\"attributes\":[\"limit\"]}"; /* an empty array: all attributes */
    request.params_len = ENOS_NUL_TERMINATED;
    if (enos_client_request(client, &request, NULL) == ENOS_OK)
        self->asked = 1;
    else
        fail("attributes");
}

static void update_attributes(device *self, enos_client *client)
{
    enos_json *json = NULL;
    const char *params;
    size_t len;

    if (enos_json_new(&json) != ENOS_OK)
        return;
    enos_json_begin_object(json, NULL);
    enos_json_begin_object(json, "attributes");
    enos_json_double(json, "limit", self->limit);
    enos_json_end(json);
    enos_json_end(json);
    if (enos_json_result(json, &params, &len) != ENOS_OK ||
        enos_client_update_attributes(client, params, len, ENOS_REQUEST_DURABLE | ENOS_REQUEST_UNTIL_REPLY, NULL) !=
            ENOS_OK)
        fail("attributes");
    enos_json_free(json);
}

/* The answer to the query. data: {"limit":22.5}; an attribute that is not set is not there. */
static void on_attributes(device *self, enos_client *client, const enos_event *event)
{
    if (event->status != ENOS_OK) { /* refused, or no answer in time: ask again on the next link */
        self->asked = 0;
        return;
    }
    self->has_asked = 1;
    if (enos_value_double(enos_value_at(event->data, "/limit"), &self->limit) != ENOS_OK)
        update_attributes(self, client);
    printf("the limit is %.1f\n", self->limit);
}

static void send_event(enos_client *client, double measured)
{
    enos_json *json = NULL;
    const char *params;
    size_t len;

    if (enos_json_new(&json) != ENOS_OK)
        return;
    enos_json_begin_object(json, NULL);
    enos_json_begin_object(json, "events");
    enos_json_double(json, "temperature", measured);
    enos_json_end(json);
    enos_json_int(json, "time", wall_clock_ms());
    enos_json_end(json);
    if (enos_json_result(json, &params, &len) != ENOS_OK ||
        enos_client_post_event(client, "overheat", params, len, ENOS_REQUEST_DURABLE | ENOS_REQUEST_UNTIL_REPLY,
                               NULL) != ENOS_OK)
        fail("event");
    enos_json_free(json);
}

static void each_second(void *ctx, enos_client *client)
{
    device *self = ctx;
    double measured = temperature();
    int is_hot = self->has_asked && measured >= self->limit;

    if (is_hot && !self->is_hot) {
        printf("overheat: %.1f\n", measured);
        send_event(client, measured);
    }
    self->is_hot = is_hot;
}

static void on_event(void *ctx, enos_client *client, const enos_event *event)
{
    device *self = ctx;

    tell(self->key, event);
    if (event->type == ENOS_EVENT_CONNECTED && !self->asked)
        query_attributes(self, client);
    else if (event->type == ENOS_EVENT_REPLY && event->operation == ENOS_OP_ATTRIBUTE_QUERY)
        on_attributes(self, client, event);
    else if (event->type == ENOS_EVENT_REPLY && event->operation == ENOS_OP_EVENT_POST && event->status == ENOS_OK)
        printf("EnOS has the event\n");
}

int main(int argc, char **argv)
{
    device self = {.key = argc > 3 ? argv[3] : NULL, .limit = 20.0};

    return run_example(argc, argv, on_event, each_second, &self);
}
