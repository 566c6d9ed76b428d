/* libenos. It logs the sub-devices in by itself. */

#include "gateway.h"

#include "bench.h"

#include <enos.h>
#include <stddef.h>

static enos_client *client;
static uint64_t ids[MOST_SUB_DEVICES];
static unsigned sub_devices, online, next, to_post, to_be_replied;
static uint64_t connected_at, online_at;

static void post_one(void)
{
    enos_request request;

    ENOS_INIT(&request);
    request.operation = ENOS_OP_MEASUREPOINT_POST;
    request.subdevice = sub_devices > 0 ? ids[next++ % sub_devices] : 0;
    request.params = PARAMS;
    request.params_len = sizeof PARAMS - 1;
    need(enos_client_request(client, &request, NULL) == ENOS_OK, enos_last_error());
    to_post--;
}

static void on_event(void *ctx, enos_client *c, const enos_event *event)
{
    (void)ctx;
    (void)c;
    need(event->status == ENOS_OK, event->detail);
    switch (event->type) {
    case ENOS_EVENT_CONNECTED:
        connected_at = now_ns();
        break;
    case ENOS_EVENT_SUBDEVICE_STATE:
        if (event->subdevice_state == ENOS_SUBDEVICE_STATE_ONLINE && ++online == sub_devices)
            online_at = now_ns();
        break;
    case ENOS_EVENT_REPLY:
        to_be_replied--;
        if (to_post > 0)
            post_one();
        break;
    default:
        break;
    }
}

static void loop(void)
{
    need(enos_client_loop(client, ENOS_FOREVER) == ENOS_OK, enos_last_error());
}

static void add_sub_devices(void)
{
    static enos_subdevice_options options[MOST_SUB_DEVICES];
    static char keys[MOST_SUB_DEVICES][16];

    for (unsigned i = 0; i < sub_devices; i++) {
        snprintf(keys[i], sizeof keys[i], SUB_DEVICE, i);
        ENOS_INIT(&options[i]);
        options[i].product_key = SUB_PRODUCT;
        options[i].device_key = keys[i];
        options[i].device_secret = SUB_SECRET;
        options[i].device_secret_len = ENOS_NUL_TERMINATED;
    }
    need(enos_client_add_subdevices(client, options, sub_devices, ids) == ENOS_OK, enos_last_error());
}

void gateway_open(int port, unsigned count)
{
    enos_config *config;
    char uri[64];

    sub_devices = count;
    online = 0;
    snprintf(uri, sizeof uri, "tcp://127.0.0.1:%d", port);
    need(enos_config_new(&config) == ENOS_OK && enos_config_set_server(config, uri) == ENOS_OK &&
             enos_config_set_identity(config, GATEWAY_PRODUCT, GATEWAY_DEVICE) == ENOS_OK &&
             enos_config_set_device_secret(config, GATEWAY_SECRET, ENOS_NUL_TERMINATED) == ENOS_OK &&
             enos_config_set_sign_method(config, ENOS_SIGN_SHA256) == ENOS_OK &&
             enos_config_set_subdevice_limit(config, MOST_SUB_DEVICES) == ENOS_OK &&
             enos_config_set_inflight(config, MOST_SUB_DEVICES) == ENOS_OK &&
             /* Otherwise EnOS's limit of one login a second would determine the result. */
             enos_config_set_connect_budget(config, 0, 0, 0) == ENOS_OK &&
             enos_config_set_event_cb(config, on_event, NULL) == ENOS_OK &&
             enos_client_create(config, &client) == ENOS_OK,
         enos_last_error());
    enos_config_free(config);
    if (sub_devices > 0)
        add_sub_devices();
}

void gateway_connect(void)
{
    connected_at = 0;
    need(enos_client_connect(client) == ENOS_OK, enos_last_error());
    while (connected_at == 0 || online < sub_devices)
        loop();
}

uint64_t gateway_connected_at(void)
{
    return connected_at;
}

uint64_t gateway_online_at(void)
{
    return online_at;
}

void gateway_post(unsigned window, unsigned count)
{
    to_post = to_be_replied = count;
    for (unsigned i = 0; i < window && to_post > 0; i++)
        post_one();
    while (to_be_replied > 0)
        loop();
}

void gateway_close(void)
{
    need(enos_client_destroy(client) == ENOS_OK, enos_last_error());
}
