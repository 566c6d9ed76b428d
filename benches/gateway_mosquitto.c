/*
 * libmosquitto and OpenSSL, with the least that a firmware has to do by itself: it signs the logins, sends them in batches
 * of 100, subscribes to the replies of each batch in one packet, and counts the replies. It does not look into them.
 */

#include "gateway.h"

#include "bench.h"

#include <mosquitto.h>
#include <openssl/evp.h>
#include <string.h>

#define TIMESTAMP "1700000000000"
#define SESSION "/ext/session/" GATEWAY_PRODUCT "/" GATEWAY_DEVICE "/combine/login/batch"

enum { BATCH = 100 };

static struct mosquitto *client;
static unsigned sub_devices, online, subscribed, next, number, to_post, to_be_replied;
static uint64_t connected_at, online_at;

/* The gateway's client id is its device key, also for the sub-devices of a batch. */
static void sign(const char *product_key, const char *device_key, const char *secret, char out[65])
{
    char content[256];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int length;
    int used =
        snprintf(content, sizeof content, "clientId" GATEWAY_DEVICE "deviceKey%sproductKey%stimestamp" TIMESTAMP "%s",
                 device_key, product_key, secret);

    need(EVP_Digest(content, (size_t)used, digest, &length, EVP_sha256(), NULL), "EVP_Digest");
    for (unsigned int i = 0; i < length; i++)
        sprintf(out + 2 * i, "%02X", digest[i]);
}

static void post_topic(char *topic, size_t size, unsigned n, const char *reply)
{
    char key[16];

    snprintf(key, sizeof key, SUB_DEVICE, n);
    if (sub_devices == 0)
        snprintf(topic, size, "/sys/" GATEWAY_PRODUCT "/" GATEWAY_DEVICE "/thing/measurepoint/post%s", reply);
    else
        snprintf(topic, size, "/sys/" SUB_PRODUCT "/%s/thing/measurepoint/post%s", key, reply);
}

static void publish(const char *topic, const char *payload, int length)
{
    need(mosquitto_publish(client, NULL, topic, length, payload, 1, false) == MOSQ_ERR_SUCCESS, "mosquitto_publish");
}

static void log_in_batch(void)
{
    static char payload[BATCH * 256];
    unsigned end = online + BATCH < sub_devices ? online + BATCH : sub_devices;
    int used =
        sprintf(payload,
                "{\"id\":\"%u\",\"version\":\"1.0\",\"method\":\"combine.login.batch\",\"params\":{\"clientId\":"
                "\"" GATEWAY_DEVICE "\",\"timestamp\":\"" TIMESTAMP "\",\"signMethod\":\"sha256\",\"subDevices\":[",
                ++number);

    for (unsigned i = online; i < end; i++) {
        char key[16], digest[65];

        snprintf(key, sizeof key, SUB_DEVICE, i);
        sign(SUB_PRODUCT, key, SUB_SECRET, digest);
        used +=
            sprintf(payload + used,
                    "%s{\"productKey\":\"" SUB_PRODUCT "\",\"deviceKey\":\"%s\",\"sign\":\"%s\",\"secureMode\":\"2\"}",
                    i == online ? "" : ",", key, digest);
    }
    used += sprintf(payload + used, "]}}");
    publish(SESSION, payload, used);
}

static void subscribe_batch(unsigned from, unsigned count)
{
    static char topics[BATCH][128];
    char *filters[BATCH];

    for (unsigned i = 0; i < count; i++) {
        post_topic(topics[i], sizeof topics[i], from + i, "_reply");
        filters[i] = topics[i];
    }
    need(mosquitto_subscribe_multiple(client, NULL, (int)count, filters, 1, 0, NULL) == MOSQ_ERR_SUCCESS, "subscribe");
}

static void post_one(void)
{
    char topic[128], payload[256];
    int used;

    post_topic(topic, sizeof topic, sub_devices > 0 ? next++ % sub_devices : 0, "");
    used = snprintf(payload, sizeof payload,
                    "{\"id\":\"%u\",\"version\":\"1.0\",\"method\":\"thing.measurepoint.post\",\"params\":" PARAMS "}",
                    ++number);
    publish(topic, payload, used);
    to_post--;
}

static void on_connect(struct mosquitto *m, void *ctx, int code)
{
    static const char *const replies = SESSION "_reply";

    (void)m;
    (void)ctx;
    need(code == 0, mosquitto_connack_string(code));
    connected_at = now_ns();
    if (sub_devices == 0)
        subscribe_batch(0, 1);
    else
        need(mosquitto_subscribe(client, NULL, replies, 1) == MOSQ_ERR_SUCCESS, "subscribe");
}

static void on_subscribe(struct mosquitto *m, void *ctx, int id, int count, const int *granted)
{
    (void)m;
    (void)ctx;
    (void)id;
    (void)granted;
    if (sub_devices > 0 && subscribed == 0 && online == 0)
        log_in_batch();
    else
        subscribed += (unsigned)count;
}

static void on_message(struct mosquitto *m, void *ctx, const struct mosquitto_message *message)
{
    (void)m;
    (void)ctx;
    need(strstr(message->payload, "\"code\":200") != NULL, message->payload);
    if (strcmp(message->topic, SESSION "_reply") == 0) {
        unsigned from = online;

        online = online + BATCH < sub_devices ? online + BATCH : sub_devices;
        if (online < sub_devices)
            log_in_batch();
        else
            online_at = now_ns();
        subscribe_batch(from, online - from);
        return;
    }
    to_be_replied--;
    if (to_post > 0)
        post_one();
}

static void loop(void)
{
    int code = mosquitto_loop(client, 1000, 1);

    need(code == MOSQ_ERR_SUCCESS, mosquitto_strerror(code));
}

void gateway_open(int port, unsigned count)
{
    static int is_ready;
    char password[65];

    if (!is_ready++)
        need(mosquitto_lib_init() == MOSQ_ERR_SUCCESS, "mosquitto_lib_init");
    sub_devices = count;
    online = subscribed = next = 0;
    client = mosquitto_new(GATEWAY_DEVICE "|securemode=2,signmethod=sha256,timestamp=" TIMESTAMP "|", true, NULL);
    need(client != NULL, "mosquitto_new");
    sign(GATEWAY_PRODUCT, GATEWAY_DEVICE, GATEWAY_SECRET, password);
    need(mosquitto_username_pw_set(client, GATEWAY_DEVICE "&" GATEWAY_PRODUCT, password) == MOSQ_ERR_SUCCESS,
         "user name");
    mosquitto_int_option(client, MOSQ_OPT_TCP_NODELAY, 1);
    mosquitto_max_inflight_messages_set(client, 0);
    mosquitto_connect_callback_set(client, on_connect);
    mosquitto_subscribe_callback_set(client, on_subscribe);
    mosquitto_message_callback_set(client, on_message);
    need(mosquitto_connect(client, "127.0.0.1", port, 60) == MOSQ_ERR_SUCCESS, "mosquitto_connect");
}

void gateway_connect(void)
{
    while (subscribed < sub_devices || subscribed == 0)
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
    mosquitto_disconnect(client);
    mosquitto_destroy(client);
}
