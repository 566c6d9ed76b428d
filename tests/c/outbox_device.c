/* A device that publishes numbered durable messages, and dies at a given point.
 *
 * Its storage is the library's directory behind its own vtable. It passes points before, in and after each storage
 * call. With CRASH_AT=n in the environment the power fails at the n-th point: the disk has what a power cut may leave
 * of the present call (SEED chooses), and the process ends. Each call that has returned is synced.
 *
 * It prints "try N" before a message and "accepted N" after it. A fifth of the messages are in batches of three. */
#include "device.h"

static long crash_at, points;
static unsigned seed;
static const char *path;

static int dies_here(void)
{
    return ++points == crash_at;
}

static void pass_point(void)
{
    if (dies_here())
        raise(SIGKILL);
}

static int chance(void)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 16) & 1;
}

/* A file that was being written and not synced: a part of it, or its length filled with zeros. */
static void leave_torn(const char *key, const uint8_t *data, size_t len)
{
    char name[512];
    FILE *file;

    snprintf(name, sizeof name, "%s/%s.enos-tmp", path, key);
    file = fopen(name, "wb");
    if (!file)
        return;
    if (chance()) {
        fwrite(data, 1, len / 2, file);
    } else {
        static const uint8_t hollow[65536];
        fwrite(hollow, 1, len, file);
    }
    fclose(file);
}

static int32_t cut_load(void *ctx, const char *key, uint8_t *buf, size_t cap, size_t *out_len)
{
    (void)ctx;
    pass_point();
    return directory.load(directory.ctx, key, buf, cap, out_len);
}

/* The changes of one call; a power cut in it may leave any of them. */
static int32_t change(const enos_storage_change *changes, size_t count)
{
    int32_t result = 0;

    pass_point();
    if (dies_here()) {
        for (size_t i = 0; i < count; i++) {
            const enos_storage_change *one = &changes[i];
            if (chance() && one->data)
                directory.store(directory.ctx, one->key, one->data, one->len);
            else if (chance() && one->data)
                leave_torn(one->key, one->data, one->len);
            else if (chance() && !one->data)
                directory.erase(directory.ctx, one->key);
        }
        raise(SIGKILL);
    }
    if (count > 1)
        result = directory.batch(directory.ctx, changes, count);
    else if (changes->data)
        result = directory.store(directory.ctx, changes->key, changes->data, changes->len);
    else
        result = directory.erase(directory.ctx, changes->key);
    pass_point();
    return result;
}

static int32_t cut_store(void *ctx, const char *key, const uint8_t *data, size_t len)
{
    enos_storage_change one = {key, data, len};

    (void)ctx;
    return change(&one, 1);
}

static int32_t cut_erase(void *ctx, const char *key)
{
    enos_storage_change one = {key, NULL, 0};

    (void)ctx;
    return change(&one, 1);
}

static int32_t cut_batch(void *ctx, const enos_storage_change *changes, size_t count)
{
    (void)ctx;
    return change(changes, count);
}

static void on_event(void *ctx, enos_client *client, const enos_event *event)
{
    (void)ctx, (void)client;
    if (event->token >> 62 == 0)
        return;
    printf("%s %d %s\n", enos_event_name(event->type), (int)event->status, event->detail);
    fflush(stdout);
    pass_point();
}

static unsigned long say(const char *what, unsigned long first, unsigned long count)
{
    for (unsigned long i = first; i < first + count; i++)
        printf("%s %lu\n", what, i);
    fflush(stdout);
    return first + count;
}

/* One message, or three together; large ones take several records. */
static unsigned long publish(enos_client *client, unsigned long number)
{
    static uint8_t large[150000];
    unsigned long count = number % 15 == 4 ? 3 : 1;
    char topics[3][32];
    enos_request messages[3];

    say("try", number, count);
    for (unsigned long i = 0; i < count; i++) {
        snprintf(topics[i], sizeof topics[i], "n/%lu", number + i);
        ENOS_INIT(&messages[i]);
        messages[i].operation = ENOS_OP_PUBLISH;
        messages[i].flags = ENOS_REQUEST_DURABLE;
        messages[i].name = topics[i];
        messages[i].params = large;
        messages[i].params_len = number % 10 == 7 ? sizeof large : 20;
    }
    if (count == 1)
        MUST(enos_client_publish(client, topics[0], large, messages[0].params_len, 1, ENOS_REQUEST_DURABLE, NULL));
    else
        MUST(enos_client_request_batch(client, messages, count, NULL, NULL));
    return say("accepted", number, count);
}

int main(int argc, char **argv)
{
    enos_storage storage;
    enos_config *config;
    enos_client *client;
    unsigned long number, count, half, end;

    if (argc != 7) {
        fprintf(stderr, "usage: %s URI DIRECTORY FIRST COUNT CRASH_AT SEED\n", argv[0]);
        return 2;
    }
    path = argv[2];
    number = strtoul(argv[3], NULL, 10);
    count = strtoul(argv[4], NULL, 10);
    half = number + count / 2;
    end = number + count;
    crash_at = strtol(argv[5], NULL, 10);
    seed = (unsigned)strtoul(argv[6], NULL, 10);
    alarm(120);

    ENOS_INIT(&directory);
    MUST(enos_storage_directory_create(path, &directory));
    ENOS_INIT(&storage);
    storage.load = cut_load;
    storage.store = cut_store;
    storage.erase = cut_erase;
    storage.batch = cut_batch;

    config = configure(argv[1], "pk", "dk", on_event);
    MUST(enos_config_set_device_secret(config, "secret", ENOS_NUL_TERMINATED));
    MUST(enos_config_set_storage(config, &storage));
    MUST(enos_config_set_reconnect(config, 100, 500));
    MUST(enos_config_set_connect_budget(config, 0, 0, 0));
    MUST(enos_config_set_inflight(config, 8));
    client = create(config);

    /* Half of them offline, half of them online. */
    while (number < half)
        number = publish(client, number);
    MUST(enos_client_connect(client));
    while (number < end) {
        number = publish(client, number);
        MUST(enos_client_loop(client, 1));
    }
    MUST(enos_client_flush(client, 60000));
    MUST(enos_client_destroy(client));
    directory.release(directory.ctx);
    printf("points %ld\n", points);
    return 0;
}
