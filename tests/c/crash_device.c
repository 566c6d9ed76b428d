/* A device that is activated, comes online, goes offline and ends; or kills itself on the way.
 *
 * Its storage is the library's directory behind a vtable of its own. Before and after each storage call, and in each
 * event, it passes a point; with CRASH_AT=n in the environment it raises SIGKILL at the n-th. For ssl:// the environment
 * names TLS_CA, TLS_CERT and TLS_KEY. */
#include <enos.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static long crash_at, points;
static int online;
static enos_storage directory;

static void pass_point(void)
{
    if (++points == crash_at)
        raise(SIGKILL);
}

static int32_t load(void *ctx, const char *key, uint8_t *buf, size_t cap, size_t *out_len)
{
    int32_t result;

    (void)ctx;
    pass_point();
    result = directory.load(directory.ctx, key, buf, cap, out_len);
    pass_point();
    return result;
}

static int32_t store(void *ctx, const char *key, const uint8_t *data, size_t len)
{
    int32_t result;

    (void)ctx;
    pass_point();
    result = directory.store(directory.ctx, key, data, len);
    pass_point();
    return result;
}

static int32_t erase(void *ctx, const char *key)
{
    int32_t result;

    (void)ctx;
    pass_point();
    result = directory.erase(directory.ctx, key);
    pass_point();
    return result;
}

static void release(void *ctx)
{
    (void)ctx;
    directory.release(directory.ctx);
}

static void on_event(void *ctx, enos_client *client, const enos_event *event)
{
    (void)ctx, (void)client;
    printf("%s %d %s\n", enos_event_name(event->type), (int)event->status, event->detail);
    fflush(stdout);
    online |= event->type == ENOS_EVENT_CONNECTED;
    pass_point();
}

static void must(enos_status status, const char *what)
{
    if (status != ENOS_OK) {
        printf("%s: %s: %s\n", what, enos_strerror(status), enos_last_error());
        exit(1);
    }
}

static unsigned number(const char *text)
{
    return (unsigned)strtoul(text, NULL, 10);
}

int main(int argc, char **argv)
{
    enos_storage storage;
    enos_config *config = NULL;
    enos_client *client = NULL;
    const char *at = getenv("CRASH_AT"), *ca = getenv("TLS_CA");

    if (argc != 9) {
        fprintf(stderr, "usage: %s URI DIRECTORY PRODUCT_KEY DEVICE_KEY PRODUCT_SECRET CONNECTS WINDOW SPACING\n", argv[0]);
        return 2;
    }
    crash_at = at ? strtol(at, NULL, 10) : 0;
    alarm(60);

    ENOS_INIT(&directory);
    must(enos_storage_directory(argv[2], &directory), "directory");
    ENOS_INIT(&storage);
    storage.load = load;
    storage.store = store;
    storage.erase = erase;
    storage.release = release;

    must(enos_config_new(&config), "config");
    must(enos_config_set_server(config, argv[1]), "server");
    if (ca)
        must(enos_config_set_tls(config, ca, getenv("TLS_CERT"), getenv("TLS_KEY")), "tls");
    must(enos_config_set_identity(config, argv[3], argv[4]), "identity");
    must(enos_config_set_product_secret(config, argv[5], ENOS_NUL_TERMINATED), "product secret");
    must(enos_config_set_storage(config, &storage), "storage");
    must(enos_config_set_event_cb(config, on_event, NULL), "events");
    must(enos_config_set_reconnect(config, 100, 500), "reconnect");
    must(enos_config_set_connect_budget(config, number(argv[6]), number(argv[7]), number(argv[8])), "budget");
    must(enos_client_create(config, &client), "create");
    enos_config_free(config);

    must(enos_client_connect(client), "connect");
    while (!online)
        must(enos_client_loop(client, ENOS_FOREVER), "loop");
    must(enos_client_disconnect(client), "disconnect");
    must(enos_client_wait(client, ENOS_STATE_IDLE, 60000), "wait");
    must(enos_client_destroy(client), "destroy");
    printf("points %ld\n", points);
    return 0;
}
