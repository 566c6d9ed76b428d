/*
 * A device over TLS that makes every call on a thread with 64 KiB of stack, and a thread that is cancelled in a call:
 *
 *     small_stack URI CA CERT KEY
 */
#define _GNU_SOURCE
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "enos.h"

#define STACK (64 * 1024)

static char **arguments;
static enos_client *client;
static int online, replied;
static pthread_barrier_t begun;

static void on_event(void *ctx, enos_client *of, const enos_event *event)
{
    (void)ctx;
    (void)of;
    printf("%s: %s; %s\n", enos_event_name(event->type), enos_strerror(event->status), event->detail);
    online |= event->type == ENOS_EVENT_CONNECTED;
    replied |= event->type == ENOS_EVENT_REPLY && event->status == ENOS_OK;
}

static void check(enos_status status)
{
    if (status != ENOS_OK) {
        printf("%s: %s\n", enos_strerror(status), enos_last_error());
        exit(1);
    }
}

static void await(const int *happened)
{
    int turns = 0;

    while (!*happened && turns++ < 300)
        check(enos_client_loop(client, 100));
    if (!*happened) {
        puts("it did not happen");
        exit(2);
    }
}

static void *device(void *unused)
{
    static const char params[] = "{\"measurepoints\":{\"temperature\":21.5},\"time\":1}";
    enos_config *config;

    (void)unused;
    check(enos_config_new(&config));
    check(enos_config_set_server(config, arguments[1]));
    check(enos_config_set_identity(config, "pk", "dk"));
    check(enos_config_set_device_secret(config, "the-device-s3cret", ENOS_NUL_TERMINATED));
    check(enos_config_set_tls(config, arguments[2], arguments[3], arguments[4]));
    check(enos_config_set_event_cb(config, on_event, NULL));
    check(enos_client_create(config, &client));
    enos_config_free(config);
    check(enos_client_connect(client));
    await(&online);
    check(enos_client_post_measurepoints(client, params, sizeof params - 1, 0, NULL));
    await(&replied);
    return NULL;
}

/* It is cancelled while it waits; that takes effect when the call has returned. */
static void *loop(void *unused)
{
    (void)unused;
    pthread_barrier_wait(&begun);
    for (int turns = 0; turns < 1000; turns++) {
        enos_client_loop(client, 200);
        pthread_testcancel();
    }
    return NULL;
}

static void *destroy(void *unused)
{
    (void)unused;
    check(enos_client_disconnect(client));
    check(enos_client_wait(client, ENOS_STATE_IDLE, 20000));
    check(enos_client_destroy(client));
    return NULL;
}

static void run(void *(*body)(void *), int cancel)
{
    const struct timespec moment = {0, 50 * 1000 * 1000};
    pthread_attr_t attributes;
    pthread_t thread;
    void *result;

    pthread_attr_init(&attributes);
    if (pthread_attr_setstacksize(&attributes, STACK) != 0 || pthread_create(&thread, &attributes, body, NULL) != 0)
        exit(3);
    if (cancel) {
        pthread_barrier_wait(&begun);
        nanosleep(&moment, NULL); /* so that the thread is probably in the call; it does not matter if it is not */
        pthread_cancel(thread);
    }
    pthread_join(thread, &result);
    if (cancel && result != PTHREAD_CANCELED)
        exit(4);
    pthread_attr_destroy(&attributes);
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 3;
    arguments = argv;
    pthread_barrier_init(&begun, NULL, 2);
    run(device, 0);
    for (int i = 0; i < 10; i++)
        run(loop, 1);
    run(destroy, 0);
    puts("all of it");
    return 0;
}
