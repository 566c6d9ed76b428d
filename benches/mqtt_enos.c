/* libenos, with its loop on the thread that uses it. */

#include "mqtt.h"

#include "bench.h"

#include <enos.h>
#include <poll.h>

void (*client_heard)(const void *payload, size_t length);

/* Each thread has a client of its own. */
static __thread enos_client *client;
static __thread uint64_t connected_at;
static __thread int qos, subscribed;
static __thread unsigned to_send, to_be_done;

static void send_one(void)
{
    to_send--;
    need(enos_client_publish(client, TOPIC, (const uint8_t *)PAYLOAD, sizeof PAYLOAD - 1, qos, 0, NULL) == ENOS_OK,
         enos_last_error());
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
    case ENOS_EVENT_DELIVERED:
        to_be_done--;
        if (to_send > 0)
            send_one();
        break;
    case ENOS_EVENT_SUBSCRIBED:
        subscribed = 1;
        break;
    case ENOS_EVENT_COMMAND:
        need(enos_command_reply(event->command, 200, NULL, NULL, NULL) == ENOS_OK, enos_last_error());
        break;
    case ENOS_EVENT_MESSAGE:
        client_heard(event->payload, event->payload_len);
        break;
    default:
        break;
    }
}

/* Uses the library's loop or, with POLLED, a loop of poll(). */
static void loop(void)
{
    uint32_t timeout = ENOS_FOREVER;
#ifdef POLLED
    struct pollfd ready = {.fd = enos_client_fd(client), .events = POLLIN};

    need(poll(&ready, 1, -1) == 1, "poll");
    timeout = 0;
#endif
    need(enos_client_loop(client, timeout) == ENOS_OK, enos_last_error());
}

static enos_status set_certificates(enos_config *config, const char *directory)
{
    char ca[256], certificate[256], key[256];

    snprintf(ca, sizeof ca, "%s/ca.pem", directory);
    snprintf(certificate, sizeof certificate, "%s/" CERTIFICATE ".pem", directory);
    snprintf(key, sizeof key, "%s/" CERTIFICATE ".key", directory);
    return enos_config_set_tls(config, ca, certificate, key);
}

void client_open(int port, const char *certificates)
{
    static __thread unsigned number;
    enos_config *config;
    char uri[64], device[32];

    snprintf(uri, sizeof uri, "%s://" HOST ":%d", certificates ? "ssl" : "tcp", port);
    snprintf(device, sizeof device, "bench-device-%03u", number++);
    need(enos_config_new(&config) == ENOS_OK && enos_config_set_server(config, uri) == ENOS_OK &&
             enos_config_set_identity(config, "bench-product", device) == ENOS_OK &&
             enos_config_set_device_secret(config, "0123456789abcdefghij", ENOS_NUL_TERMINATED) == ENOS_OK &&
             enos_config_set_keep_alive(config, KEEP_ALIVE_S) == ENOS_OK &&
             enos_config_set_inflight(config, 1000) == ENOS_OK &&
             (certificates == NULL || set_certificates(config, certificates) == ENOS_OK) &&
             /* EnOS allows few CONNECTs; this broker has no limit. */
             enos_config_set_connect_budget(config, 0, 0, 0) == ENOS_OK &&
             enos_config_set_event_cb(config, on_event, NULL) == ENOS_OK &&
             enos_client_create(config, &client) == ENOS_OK,
         enos_last_error());
    enos_config_free(config);
}

uint64_t client_connect(void)
{
    connected_at = 0;
    need(enos_client_connect(client) == ENOS_OK, enos_last_error());
    while (connected_at == 0)
        loop();
    return connected_at;
}

void client_disconnect(void)
{
    need(enos_client_disconnect(client) == ENOS_OK, enos_last_error());
    need(enos_client_wait(client, ENOS_STATE_IDLE, 10000) == ENOS_OK, enos_last_error());
}

void client_publish(int quality, unsigned window, unsigned count)
{
    qos = quality;
    to_send = to_be_done = count;
    for (unsigned i = 0; i < window && to_send > 0; i++)
        send_one();
    while (to_be_done > 0)
        loop();
}

void client_subscribe(const char *filter)
{
    need(enos_client_subscribe(client, filter, 1, NULL) == ENOS_OK, enos_last_error());
    while (!subscribed)
        loop();
}

void client_answer(unsigned count)
{
    to_be_done = count;
    while (to_be_done > 0)
        loop();
}
