/* A device that is activated, posts, and is destroyed, and stops on the way for a look into its memory.
 *
 * The product secret comes on the standard input, a line: from nowhere else may it be in this process. Each stop is a
 * line on the standard output; a byte on the standard input ends it. */
#include <enos.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int online, replied, failing;
static enos_storage directory;

static int32_t load(void *ctx, const char *key, uint8_t *buf, size_t cap, size_t *out_len)
{
    (void)ctx;
    return directory.load(directory.ctx, key, buf, cap, out_len);
}

static int32_t store(void *ctx, const char *key, const uint8_t *data, size_t len)
{
    (void)ctx;
    if (failing > 0 && strncmp(key, "pending", 7) == 0) {
        --failing;
        return -5;
    }
    return directory.store(directory.ctx, key, data, len);
}

static int32_t erase(void *ctx, const char *key)
{
    (void)ctx;
    return directory.erase(directory.ctx, key);
}

static void release(void *ctx)
{
    (void)ctx;
    directory.release(directory.ctx);
}

static void stop(const char *name)
{
    char byte;

    if (write(1, name, strlen(name)) < 0 || write(1, "\n", 1) < 0 || read(0, &byte, 1) != 1)
        exit(3);
}

static void on_event(void *ctx, enos_client *client, const enos_event *event)
{
    (void)ctx, (void)client;
    if (event->type == ENOS_EVENT_PERSIST_FAILED)
        stop("unsaved");
    online |= event->type == ENOS_EVENT_CONNECTED;
    replied |= event->type == ENOS_EVENT_REPLY;
}

static void must(enos_status status)
{
    if (status != ENOS_OK) {
        fprintf(stderr, "%s: %s\n", enos_strerror(status), enos_last_error());
        exit(1);
    }
}

/* Reads the secret to where it goes, and wipes it. */
static void set_product_secret(enos_config *config)
{
    char secret[128];
    volatile char *wipe = secret;
    size_t len = 0;

    while (len < sizeof secret && read(0, secret + len, 1) == 1 && secret[len] != '\n')
        ++len;
    must(enos_config_set_product_secret(config, secret, len));
    for (len = 0; len < sizeof secret; ++len)
        wipe[len] = 0;
}

int main(int argc, char **argv)
{
    enos_storage storage;
    enos_config *config = NULL;
    enos_client *client = NULL;

    if (argc != 4) {
        fprintf(stderr, "usage: %s URI DIRECTORY STORES_THAT_FAIL\n", argv[0]);
        return 2;
    }
    failing = atoi(argv[3]);
    alarm(120);
    ENOS_INIT(&directory);
    must(enos_storage_directory(argv[2], &directory));
    ENOS_INIT(&storage);
    storage.load = load;
    storage.store = store;
    storage.erase = erase;
    storage.release = release;
    must(enos_config_new(&config));
    must(enos_config_set_server(config, argv[1]));
    must(enos_config_set_identity(config, "pk", "dk"));
    set_product_secret(config);
    must(enos_config_set_storage(config, &storage));
    must(enos_config_set_event_cb(config, on_event, NULL));
    must(enos_config_set_connect_budget(config, 0, 1000, 0));
    must(enos_client_create(config, &client));
    enos_config_free(config);
    stop("created");

    must(enos_client_connect(client));
    while (!online)
        must(enos_client_loop(client, ENOS_FOREVER));
    must(enos_client_post_measurepoints(client, "{\"measurepoints\":{\"t\":1}}", ENOS_NUL_TERMINATED, 0, NULL));
    while (!replied)
        must(enos_client_loop(client, ENOS_FOREVER));
    stop("online");

    must(enos_client_disconnect(client));
    must(enos_client_wait(client, ENOS_STATE_IDLE, 60000));
    must(enos_client_destroy(client));
    stop("destroyed");
    return 0;
}
