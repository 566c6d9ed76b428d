/* libmosquitto, with its loop on the thread that uses it. */

#include "mqtt.h"

#include "bench.h"

#include <mosquitto.h>
#include <poll.h>

void (*client_heard)(const void *payload, size_t length);

/* Each thread has a client of its own. */
static __thread struct mosquitto *client;
static __thread int broker_port;
static __thread uint64_t connected_at;
static __thread int disconnected, subscribed;
static __thread int qos;
static __thread unsigned to_send, to_be_done;

static void send_one(void)
{
    to_send--;
    need(mosquitto_publish(client, NULL, TOPIC, sizeof PAYLOAD - 1, PAYLOAD, qos, false) == MOSQ_ERR_SUCCESS,
         "mosquitto_publish");
}

static void on_connect(struct mosquitto *m, void *ctx, int code)
{
    (void)m;
    (void)ctx;
    need(code == 0, mosquitto_connack_string(code));
    connected_at = now_ns();
}

static void on_disconnect(struct mosquitto *m, void *ctx, int code)
{
    (void)m;
    (void)ctx;
    need(code == 0, mosquitto_strerror(code));
    disconnected = 1;
}

static void on_publish(struct mosquitto *m, void *ctx, int id)
{
    (void)m;
    (void)ctx;
    (void)id;
    to_be_done--;
    if (to_send > 0)
        send_one();
}

static void on_subscribe(struct mosquitto *m, void *ctx, int id, int count, const int *granted)
{
    (void)m;
    (void)ctx;
    (void)id;
    (void)count;
    (void)granted;
    subscribed = 1;
}

static void on_message(struct mosquitto *m, void *ctx, const struct mosquitto_message *message)
{
    (void)m;
    (void)ctx;
    client_heard(message->payload, (size_t)message->payloadlen);
}

/* Uses the library's loop or, with POLLED, a loop of poll(). */
static void loop(void)
{
#ifdef POLLED
    struct pollfd ready = {.fd = mosquitto_socket(client), .events = POLLIN};
    int code = MOSQ_ERR_SUCCESS;

    if (mosquitto_want_write(client))
        ready.events |= POLLOUT;
    need(poll(&ready, 1, 1000) >= 0, "poll");
    if (ready.revents & POLLOUT)
        code = mosquitto_loop_write(client, 1);
    if (code == MOSQ_ERR_SUCCESS && ready.revents & ~POLLOUT)
        code = mosquitto_loop_read(client, 1);
    if (code == MOSQ_ERR_SUCCESS)
        code = mosquitto_loop_misc(client);
#else
    int code = mosquitto_loop(client, 1000, 1);
#endif

    need(code == MOSQ_ERR_SUCCESS || disconnected, mosquitto_strerror(code));
}

static int set_certificates(const char *directory)
{
    char ca[256], certificate[256], key[256];

    snprintf(ca, sizeof ca, "%s/ca.pem", directory);
    snprintf(certificate, sizeof certificate, "%s/" CERTIFICATE ".pem", directory);
    snprintf(key, sizeof key, "%s/" CERTIFICATE ".key", directory);
    return mosquitto_tls_set(client, ca, NULL, certificate, key, NULL);
}

void client_open(int port, const char *certificates)
{
    static __thread unsigned number;
    char device[32], user[64];

    if (number == 0)
        need(mosquitto_lib_init() == MOSQ_ERR_SUCCESS, "mosquitto_lib_init");
    snprintf(device, sizeof device, "bench-device-%03u", number++);
    snprintf(user, sizeof user, "%s&bench-product", device);
    broker_port = port;
    client = mosquitto_new(device, true, NULL);
    need(client != NULL, "mosquitto_new");
    need(certificates == NULL || set_certificates(certificates) == MOSQ_ERR_SUCCESS, "mosquitto_tls_set");
    need(mosquitto_username_pw_set(client, user, "DCF3F4B8D77D78B6598BDCC65A0A65C8BB3C1B08") == MOSQ_ERR_SUCCESS,
         "mosquitto_username_pw_set");
    /* Paho and libenos set this by default; without it, libmosquitto is slower. */
    mosquitto_int_option(client, MOSQ_OPT_TCP_NODELAY, 1);
    /* This program itself keeps the window. */
    mosquitto_max_inflight_messages_set(client, 0);
    mosquitto_connect_callback_set(client, on_connect);
    mosquitto_disconnect_callback_set(client, on_disconnect);
    mosquitto_publish_callback_set(client, on_publish);
    mosquitto_subscribe_callback_set(client, on_subscribe);
    mosquitto_message_callback_set(client, on_message);
}

uint64_t client_connect(void)
{
    connected_at = 0;
    disconnected = 0;
    need(mosquitto_connect(client, HOST, broker_port, KEEP_ALIVE_S) == MOSQ_ERR_SUCCESS, "mosquitto_connect");
    while (connected_at == 0)
        loop();
    return connected_at;
}

void client_disconnect(void)
{
    need(mosquitto_disconnect(client) == MOSQ_ERR_SUCCESS, "mosquitto_disconnect");
    while (!disconnected)
        loop();
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
    need(mosquitto_subscribe(client, NULL, filter, 0) == MOSQ_ERR_SUCCESS, "mosquitto_subscribe");
    while (!subscribed)
        loop();
}
