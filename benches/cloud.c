/* Measures libenos against enos-sim: cloud <port>
 *
 * Its product "bench-product" accepts any device key, with the product secret "bench-secret". The storage is in memory,
 * so that the disk does not affect the result. */

#include "bench.h"

#include <enos.h>
#include <string.h>

enum { ACTIVATIONS = 200, POSTS = 10000, WARM_UP = 500, KEYS = 8 };

#define PARAMS "{\"measurepoints\":{\"temperature\":21.5,\"humidity\":48},\"time\":1524448722000}"

static struct value {
    char key[64];
    uint8_t data[1024];
    size_t length;
} values[KEYS];

static enos_client *client;
/* 0: not yet reached. */
static uint64_t activated_at, connected_at;
static unsigned to_post, to_be_replied;

static struct value *find(const char *key)
{
    for (int i = 0; i < KEYS; i++)
        if (strcmp(values[i].key, key) == 0)
            return &values[i];
    return NULL;
}

static int32_t load(void *ctx, const char *key, uint8_t *buf, size_t cap, size_t *out_len)
{
    struct value *value = find(key);

    (void)ctx;
    if (value == NULL)
        return ENOS_STORAGE_NOT_FOUND;
    *out_len = value->length;
    if (value->length > cap)
        return ENOS_STORAGE_TOO_SMALL;
    memcpy(buf, value->data, value->length);
    return ENOS_STORAGE_OK;
}

static int32_t store(void *ctx, const char *key, const uint8_t *data, size_t len)
{
    struct value *value = find(key);

    (void)ctx;
    if (value == NULL)
        value = find("");
    if (value == NULL || len > sizeof value->data || strlen(key) >= sizeof value->key)
        return -1;
    strcpy(value->key, key);
    memcpy(value->data, data, len);
    value->length = len;
    return ENOS_STORAGE_OK;
}

static int32_t erase(void *ctx, const char *key)
{
    struct value *value = find(key);

    (void)ctx;
    if (value != NULL)
        value->key[0] = '\0';
    return ENOS_STORAGE_OK;
}

static void post_one(void)
{
    to_post--;
    need(enos_client_post_measurepoints(client, PARAMS, sizeof PARAMS - 1, 0, NULL) == ENOS_OK, enos_last_error());
}

static void on_event(void *ctx, enos_client *c, const enos_event *event)
{
    (void)ctx;
    (void)c;
    need(event->status == ENOS_OK, event->detail);
    switch (event->type) {
    case ENOS_EVENT_ACTIVATED:
        activated_at = now_ns();
        break;
    case ENOS_EVENT_CONNECTED:
        connected_at = now_ns();
        break;
    case ENOS_EVENT_REPLY:
        need(event->detail_code == 200, "the reply's code");
        to_be_replied--;
        if (to_post > 0)
            post_one();
        break;
    default:
        break;
    }
}

/* A device that the cloud does not know yet. */
static void open_device(int port)
{
    static unsigned number;
    enos_config *config;
    enos_storage storage;
    char uri[64], device[32];

    memset(values, 0, sizeof values);
    activated_at = connected_at = 0;
    ENOS_INIT(&storage);
    storage.load = load;
    storage.store = store;
    storage.erase = erase;
    snprintf(uri, sizeof uri, "tcp://127.0.0.1:%d", port);
    snprintf(device, sizeof device, "bench-device-%ld-%u", (long)(now_ns() % 1000000000), number++);
    need(enos_config_new(&config) == ENOS_OK && enos_config_set_server(config, uri) == ENOS_OK &&
             enos_config_set_identity(config, "bench-product", device) == ENOS_OK &&
             enos_config_set_product_secret(config, "bench-secret", ENOS_NUL_TERMINATED) == ENOS_OK &&
             enos_config_set_storage(config, &storage) == ENOS_OK &&
             enos_config_set_inflight(config, 1000) == ENOS_OK &&
             /* Otherwise EnOS's limit of one login a second would determine the result. */
             enos_config_set_connect_budget(config, 0, 0, 0) == ENOS_OK &&
             enos_config_set_event_cb(config, on_event, NULL) == ENOS_OK &&
             enos_client_create(config, &client) == ENOS_OK,
         enos_last_error());
    enos_config_free(config);
}

static void loop(void)
{
    need(enos_client_loop(client, ENOS_FOREVER) == ENOS_OK, enos_last_error());
}

static void measure_activation(int port)
{
    static double to_secret[ACTIVATIONS], to_online[ACTIVATIONS];

    for (int i = 0; i < ACTIVATIONS; i++) {
        uint64_t start;

        open_device(port);
        start = now_ns();
        need(enos_client_connect(client) == ENOS_OK, enos_last_error());
        while (connected_at == 0)
            loop();
        to_secret[i] = (double)(activated_at - start) / 1e3;
        to_online[i] = (double)(connected_at - start) / 1e3;
        need(enos_client_destroy(client) == ENOS_OK, enos_last_error());
    }
    report("activated", median(to_secret, ACTIVATIONS));
    report("online", median(to_online, ACTIVATIONS));
}

static void post(unsigned window, unsigned count)
{
    to_post = to_be_replied = count;
    for (unsigned i = 0; i < window && to_post > 0; i++)
        post_one();
    while (to_be_replied > 0)
        loop();
}

static void measure_posts(const char *measure, unsigned window, unsigned count)
{
    uint64_t start;

    post(window, WARM_UP);
    start = now_ns();
    post(window, count);
    report(measure, count / ((double)(now_ns() - start) / 1e9));
}

int main(int argc, char **argv)
{
    need(argc == 2, "usage: cloud <port>");
    measure_activation(atoi(argv[1]));
    open_device(atoi(argv[1]));
    need(enos_client_connect(client) == ENOS_OK, enos_last_error());
    while (connected_at == 0)
        loop();
    measure_posts("posts_1", 1, POSTS / 10);
    measure_posts("posts_10", 10, POSTS);
    measure_posts("posts_100", 100, POSTS);
    return 0;
}
