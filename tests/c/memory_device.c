/* A device that is activated, posts, and is destroyed, and stops several times so that its memory can be searched.
 *
 * The product secret comes from standard input, one line, so that there is no other copy in this process. Each stop
 * prints a line, and ends with a byte on standard input. */
#include "device.h"

static int online, replied, failing;

static int32_t fail_at_first(enum call call, int after, const char *key)
{
    if (call != STORE || after || failing == 0 || strncmp(key, "secrets", 7) != 0)
        return 0;
    --failing;
    return -5;
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

/* Reads the secret, passes it to the config, and wipes it. */
static void set_product_secret(enos_config *config)
{
    char secret[128];
    volatile char *wipe = secret;
    size_t len = 0;

    while (len < sizeof secret && read(0, secret + len, 1) == 1 && secret[len] != '\n')
        ++len;
    MUST(enos_config_set_product_secret(config, secret, len));
    for (len = 0; len < sizeof secret; ++len)
        wipe[len] = 0;
}

int main(int argc, char **argv)
{
    enos_config *config;
    enos_client *client;

    if (argc != 4) {
        fprintf(stderr, "usage: %s URI DIRECTORY STORES_THAT_FAIL\n", argv[0]);
        return 2;
    }
    failing = atoi(argv[3]);
    alarm(120);
    config = configure(argv[1], "pk", "dk", on_event);
    set_directory(config, argv[2], fail_at_first);
    set_product_secret(config);
    MUST(enos_config_set_connect_budget(config, 0, 1000, 0));
    client = create(config);
    stop("created");

    MUST(enos_client_connect(client));
    while (!online)
        MUST(enos_client_loop(client, ENOS_FOREVER));
    MUST(enos_client_post_measurepoints(client, "{\"measurepoints\":{\"t\":1}}", ENOS_NUL_TERMINATED, 0, NULL));
    while (!replied)
        MUST(enos_client_loop(client, ENOS_FOREVER));
    stop("online");
    end(client);
    stop("destroyed");
    return 0;
}
