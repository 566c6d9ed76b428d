/*
 * Eight threads and one client: two publish durable messages, two live ones, one subscribes, one flushes and lists the
 * outbox, one asks for the state and connects, one runs the loop. In the end each accepted durable message has had one
 * event.
 */
#include "device.h"

#include <pthread.h>
#include <time.h>

#define SLOTS 512

static enos_client *client;
static long rounds;

/* The counters of the threads, and the events. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long durable, live, outcomes, durable_outcomes;
static int running = 1;

/* The storage: a table with one value in each slot. The library promises one call at a time, from any thread. */
static struct {
    char key[65];
    uint8_t *data;
    size_t len;
} slots[SLOTS];
static int inside;

static void enter(void)
{
    int others;

    pthread_mutex_lock(&lock);
    others = inside++;
    pthread_mutex_unlock(&lock);
    if (others) {
        printf("two storage callbacks at a time\n");
        exit(1);
    }
}

static int32_t leave(int32_t result)
{
    pthread_mutex_lock(&lock);
    inside--;
    pthread_mutex_unlock(&lock);
    return result;
}

static int find(const char *key)
{
    for (int i = 0; i < SLOTS; i++)
        if (slots[i].data && strcmp(slots[i].key, key) == 0)
            return i;
    return -1;
}

static int32_t table_load(void *ctx, const char *key, uint8_t *buf, size_t cap, size_t *out_len)
{
    int at;

    (void)ctx;
    enter();
    at = find(key);
    if (at < 0)
        return leave(ENOS_STORAGE_NOT_FOUND);
    *out_len = slots[at].len;
    if (slots[at].len > cap)
        return leave(ENOS_STORAGE_TOO_SMALL);
    memcpy(buf, slots[at].data, slots[at].len);
    return leave(ENOS_STORAGE_OK);
}

static void empty(const char *key)
{
    int at = find(key);

    if (at >= 0) {
        free(slots[at].data);
        slots[at].data = NULL;
    }
}

static int32_t table_erase(void *ctx, const char *key)
{
    (void)ctx;
    enter();
    empty(key);
    return leave(ENOS_STORAGE_OK);
}

static int32_t table_store(void *ctx, const char *key, const uint8_t *data, size_t len)
{
    (void)ctx;
    enter();
    empty(key);
    for (int i = 0; i < SLOTS; i++)
        if (!slots[i].data) {
            snprintf(slots[i].key, sizeof slots[i].key, "%s", key);
            slots[i].data = malloc(len);
            memcpy(slots[i].data, data, len);
            slots[i].len = len;
            return leave(ENOS_STORAGE_OK);
        }
    return leave(-1);
}

/* Any other answer is a fault. */
static int accepted(enos_status status, const char *what)
{
    if (status == ENOS_OK)
        return 1;
    if (status != ENOS_ERR_STATE && status != ENOS_ERR_QUEUE_FULL && status != ENOS_ERR_TIMEOUT)
        must(status, what);
    nanosleep(&(struct timespec){0, 2000000}, NULL);
    return 0;
}

static void count(long *what)
{
    pthread_mutex_lock(&lock);
    ++*what;
    pthread_mutex_unlock(&lock);
}

static int goes_on(void)
{
    int result;

    pthread_mutex_lock(&lock);
    result = running;
    pthread_mutex_unlock(&lock);
    return result;
}

static void on_event(void *ctx, enos_client *handle, const enos_event *event)
{
    (void)ctx, (void)handle;
    if (event->token)
        count(event->token >> 62 ? &durable_outcomes : &outcomes);
}

static void *publish_durable(void *arg)
{
    (void)arg;
    for (long i = 0; i < rounds; i++)
        if (accepted(enos_client_publish(client, "d", (const uint8_t *)"x", 1, 1, ENOS_REQUEST_DURABLE, NULL),
                     "durable"))
            count(&durable);
    return NULL;
}

static void *publish_live(void *arg)
{
    (void)arg;
    for (long i = 0; i < rounds; i++)
        if (accepted(enos_client_publish(client, "l", (const uint8_t *)"x", 1, (int32_t)(i & 1), 0, NULL), "live"))
            count(&live);
    return NULL;
}

static void *subscribe(void *arg)
{
    (void)arg;
    for (long i = 0; i < rounds; i++)
        if (accepted(i & 1 ? enos_client_unsubscribe(client, "s", NULL) : enos_client_subscribe(client, "s", 1, NULL),
                     "subscribe"))
            count(&live);
    return NULL;
}

static int32_t look(void *ctx, const enos_outbox_message *message)
{
    (void)ctx, (void)message;
    return 0;
}

static void *flush(void *arg)
{
    (void)arg;
    for (long i = 0; i < rounds / 4; i++) {
        enos_outbox_info info;

        accepted(enos_client_flush(client, 1), "flush");
        ENOS_INIT(&info);
        MUST(enos_client_outbox_info(client, 0, &info));
        if (i % 16 == 0)
            MUST(enos_client_outbox_each(client, 0, i % 32 ? ENOS_OUTBOX_WAITING : ENOS_OUTBOX_DEAD_LETTERS, look,
                                         NULL));
    }
    return NULL;
}

static void *watch(void *arg)
{
    (void)arg;
    for (long i = 0; i < rounds; i++) {
        enos_client_state(client);
        accepted(enos_client_wait(client, ENOS_STATE_ONLINE, 0), "wait");
        enos_client_wake(client);
        MUST(enos_client_connect(client));
    }
    return NULL;
}

static void *loop(void *arg)
{
    (void)arg;
    while (goes_on())
        accepted(enos_client_loop(client, 20), "loop");
    return NULL;
}

int main(int argc, char **argv)
{
    void *(*bodies[])(void *) = {publish_durable, publish_durable, publish_live, publish_live, subscribe, flush, watch};
    enum { BODIES = sizeof bodies / sizeof bodies[0] };
    pthread_t threads[BODIES], looping;
    enos_storage storage;
    enos_config *config;

    if (argc != 3) {
        fprintf(stderr, "usage: %s URI ROUNDS\n", argv[0]);
        return 2;
    }
    rounds = strtol(argv[2], NULL, 10);
    alarm(300);
    ENOS_INIT(&storage);
    storage.load = table_load;
    storage.store = table_store;
    storage.erase = table_erase;
    config = configure(argv[1], "pk", "dk", on_event);
    MUST(enos_config_set_device_secret(config, "secret", ENOS_NUL_TERMINATED));
    MUST(enos_config_set_storage(config, &storage));
    MUST(enos_config_set_connect_budget(config, 0, 0, 0));
    MUST(enos_config_set_outbox_limits(config, SLOTS / 2, 1 << 20, ENOS_OUTBOX_REFUSE));
    client = create(config);
    MUST(enos_client_connect(client));

    MUST(enos_client_wait(client, ENOS_STATE_ONLINE, 60000));
    pthread_create(&looping, NULL, loop, NULL);
    for (int i = 0; i < BODIES; i++)
        pthread_create(&threads[i], NULL, bodies[i], NULL);
    for (int i = 0; i < BODIES; i++)
        pthread_join(threads[i], NULL);
    MUST(enos_client_flush(client, 120000));
    MUST(enos_client_disconnect(client));
    MUST(enos_client_wait(client, ENOS_STATE_IDLE, 60000));
    pthread_mutex_lock(&lock);
    running = 0;
    pthread_mutex_unlock(&lock);
    pthread_join(looping, NULL);
    MUST(enos_client_loop(client, 0));
    MUST(enos_client_destroy(client));
    for (int i = 0; i < SLOTS; i++)
        free(slots[i].data);
    printf("durable %ld of %ld, others %ld of %ld\n", durable_outcomes, durable, outcomes, live);
    return durable_outcomes == durable && outcomes == live && durable > 0 && live > 0 ? 0 : 1;
}
