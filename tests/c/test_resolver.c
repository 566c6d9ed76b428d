/*
 * A name server that never answers, and a healthy client beside it: all times are bounded, including the time to
 * destroy the client that waits for the name. This program overrides the C library's getaddrinfo().
 *
 * argv[1]: the port of a broker on 127.0.0.1 that accepts everything.
 */
#define _GNU_SOURCE
#include "check.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int asked, answered, open_hole;

/* "black.hole" is looked up until open_hole is set; any other name is 127.0.0.1. */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    struct addrinfo *found = calloc(1, sizeof *found);
    struct sockaddr_in *address = calloc(1, sizeof *address);

    (void)service;
    (void)hints;
    if (found == NULL || address == NULL)
        abort();
    if (strcmp(name, "black.hole") == 0) {
        pthread_mutex_lock(&lock);
        ++asked;
        pthread_cond_broadcast(&changed);
        while (!open_hole)
            pthread_cond_wait(&changed, &lock);
        ++answered;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
    }
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    found->ai_family = AF_INET;
    found->ai_socktype = SOCK_STREAM;
    found->ai_addr = (struct sockaddr *)address;
    found->ai_addrlen = sizeof *address;
    *out = found;
    return 0;
}

void freeaddrinfo(struct addrinfo *found)
{
    free(found->ai_addr);
    free(found);
}

static long now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The events of the client of the black hole; its loop runs on this program's thread. */
struct heard {
    int connected, failed;
};

static void on_event(void *ctx, enos_client *client, const enos_event *event)
{
    struct heard *heard = ctx;

    (void)client;
    if (event->type == ENOS_EVENT_CONNECTED)
        ++heard->connected;
    if (event->type == ENOS_EVENT_DISCONNECTED && event->status == ENOS_ERR_NETWORK)
        ++heard->failed;
}

static enos_client *create(const char *host, const char *port, struct heard *heard)
{
    enos_config *config = NULL;
    enos_client *client = NULL;
    char uri[64];

    snprintf(uri, sizeof uri, "tcp://%s:%s", host, port);
    CHECK_STATUS(enos_config_new(&config), ENOS_OK);
    CHECK_STATUS(enos_config_set_server(config, uri), ENOS_OK);
    CHECK_STATUS(enos_config_set_identity(config, "pk", host), ENOS_OK);
    CHECK_STATUS(enos_config_set_device_secret(config, "secret", ENOS_NUL_TERMINATED), ENOS_OK);
    CHECK_STATUS(enos_config_set_connect_timeout(config, 1000), ENOS_OK);
    CHECK_STATUS(enos_config_set_reconnect(config, 100, 100), ENOS_OK);
    CHECK_STATUS(enos_config_set_connect_budget(config, 0, 0, 0), ENOS_OK);
    CHECK_STATUS(enos_config_set_event_cb(config, on_event, heard), ENOS_OK);
    CHECK_STATUS(enos_client_create(config, &client), ENOS_OK);
    enos_config_free(config);
    return client;
}

static void wait_for(const int *count, int at_least)
{
    pthread_mutex_lock(&lock);
    while (*count < at_least)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

int main(int argc, char **argv)
{
    struct heard lost = {0, 0}, lost_too = {0, 0}, well = {0, 0};
    enos_client *hole, *hole_too, *healthy;
    long start;
    int failed;

    if (argc != 2)
        return 2;
    hole = create("black.hole", argv[1], &lost);
    CHECK_STATUS(enos_client_connect(hole), ENOS_OK);
    start = now_ms();
    CHECK_STATUS(enos_client_loop(hole, 0), ENOS_OK);
    CHECK(now_ms() - start < 5000);
    wait_for(&asked, 1);

    /* A healthy client, whose name has to be looked up as well. */
    healthy = create("healthy.host", argv[1], &well);
    CHECK_STATUS(enos_client_loop_start(healthy), ENOS_OK);
    CHECK_STATUS(enos_client_connect(healthy), ENOS_OK);
    CHECK_STATUS(enos_client_wait(healthy, ENOS_STATE_ONLINE, 20000), ENOS_OK);

    /* The time of the look-up counts; the next attempts share the running look-up. */
    while (lost.failed < 3)
        if (enos_client_loop(hole, 5000) != ENOS_OK)
            break;
    CHECK(now_ms() - start >= 1000);
    CHECK(lost.failed == 3 && asked == 1);

    /* Destroying it does not wait for the name server. */
    start = now_ms();
    CHECK_STATUS(enos_client_destroy(hole), ENOS_OK);
    CHECK(now_ms() - start < 2000);
    hole_too = create("black.hole", argv[1], &lost_too);
    CHECK_STATUS(enos_client_loop_start(hole_too), ENOS_OK);
    CHECK_STATUS(enos_client_connect(hole_too), ENOS_OK);
    CHECK_STATUS(enos_client_wait(hole_too, ENOS_STATE_CONNECTING, 20000), ENOS_OK);
    start = now_ms();
    CHECK_STATUS(enos_client_disconnect(hole_too), ENOS_OK);
    CHECK_STATUS(enos_client_wait(hole_too, ENOS_STATE_IDLE, 20000), ENOS_OK);
    CHECK(now_ms() - start < 2000);

    /* A late answer finds a destroyed client, and one that does not need it any more. */
    failed = lost.failed;
    pthread_mutex_lock(&lock);
    open_hole = 1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    wait_for(&answered, 1);
    CHECK(asked == 1 && enos_client_state(hole_too) == ENOS_STATE_IDLE && lost.failed == failed);
    /* It can go online by that name from now on. */
    CHECK_STATUS(enos_client_connect(hole_too), ENOS_OK);
    CHECK_STATUS(enos_client_wait(hole_too, ENOS_STATE_ONLINE, 20000), ENOS_OK);
    CHECK_STATUS(enos_client_destroy(hole_too), ENOS_OK);
    CHECK_STATUS(enos_client_destroy(healthy), ENOS_OK);
    CHECK(lost_too.connected == 1 && well.connected == 1 && well.failed == 0);
    return checked();
}
