/*
 * A system that has no thread left: each call that needs one returns an error, nothing is lost, and the next one works
 * when there are threads again. This program overrides the C library's pthread_create().
 *
 * argv[1]: the port of a broker on 127.0.0.1 that accepts everything.
 */
#define _GNU_SOURCE
#include "check.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

/* How many of the next calls are refused; whether all are refused. */
static int refused, none_left;

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument)
{
    int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    void *found = dlsym(RTLD_NEXT, "pthread_create");

    if (none_left) {
        ++refused;
        return EAGAIN;
    }
    memcpy(&real, &found, sizeof real);
    return real(thread, attributes, start, argument);
}

/* The last event of a failed attempt. */
struct heard {
    int connected, failed;
    enos_status status;
    char detail[512];
};

static void on_event(void *ctx, enos_client *client, const enos_event *event)
{
    struct heard *heard = ctx;

    (void)client;
    if (event->type == ENOS_EVENT_CONNECTED)
        ++heard->connected;
    if (event->type == ENOS_EVENT_DISCONNECTED && event->status != ENOS_OK) {
        ++heard->failed;
        heard->status = event->status;
        snprintf(heard->detail, sizeof heard->detail, "%s", event->detail);
    }
}

static enos_client *create(const char *host, const char *port, struct heard *heard)
{
    enos_config *config = NULL;
    enos_client *client = NULL;
    char uri[64];

    snprintf(uri, sizeof uri, "tcp://%s:%s", host, port);
    CHECK_STATUS(enos_config_new(&config), ENOS_OK);
    CHECK_STATUS(enos_config_set_server(config, uri), ENOS_OK);
    CHECK_STATUS(enos_config_set_identity(config, "pk", "dk"), ENOS_OK);
    CHECK_STATUS(enos_config_set_device_secret(config, "secret", ENOS_NUL_TERMINATED), ENOS_OK);
    CHECK_STATUS(enos_config_set_reconnect(config, 100, 100), ENOS_OK);
    CHECK_STATUS(enos_config_set_connect_budget(config, 0, 0, 0), ENOS_OK);
    CHECK_STATUS(enos_config_set_event_cb(config, on_event, heard), ENOS_OK);
    CHECK_STATUS(enos_client_create(config, &client), ENOS_OK);
    enos_config_free(config);
    return client;
}

static int descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int count = 0;

    if (directory == NULL)
        abort();
    while (readdir(directory) != NULL)
        ++count;
    closedir(directory);
    return count;
}

/* A client fails repeatedly while no thread of this name can be created, and goes online when one can. */
static void attempts_fail_until_there_is(const char *thread, const char *host, const char *port)
{
    struct heard heard = {0, 0, ENOS_OK, ""};
    enos_client *client = create(host, port, &heard);
    int before = 0;

    none_left = 1;
    refused = 0;
    CHECK_STATUS(enos_client_connect(client), ENOS_OK);
    while (heard.failed < 10 && heard.connected == 0) {
        if (enos_client_loop(client, 10000) != ENOS_OK)
            break;
        if (heard.failed == 1 && before == 0)
            before = descriptors();
    }
    CHECK(heard.failed == 10 && heard.connected == 0 && refused >= 10);
    CHECK(heard.status == ENOS_ERR_NO_MEMORY);
    CHECK(strstr(heard.detail, thread) != NULL && strstr(heard.detail, "limits of threads") != NULL);
    CHECK(descriptors() == before);

    none_left = 0;
    CHECK_STATUS(enos_client_wait(client, ENOS_STATE_ONLINE, 20000), ENOS_OK);
    CHECK_STATUS(enos_client_destroy(client), ENOS_OK);
    CHECK(heard.connected == 1);
}

/* The thread of the loop: the call returns the error. */
static void a_loop_starts_when_there_is_a_thread(const char *port)
{
    struct heard heard = {0, 0, ENOS_OK, ""};
    enos_client *client = create("127.0.0.1", port, &heard);

    none_left = 1;
    CHECK_STATUS(enos_client_loop_start(client), ENOS_ERR_NO_MEMORY);
    CHECK(strstr(enos_last_error(), "limits of threads") != NULL);
    CHECK_STATUS(enos_client_loop(client, 0), ENOS_OK);
    none_left = 0;
    CHECK_STATUS(enos_client_loop_start(client), ENOS_OK);
    CHECK_STATUS(enos_client_connect(client), ENOS_OK);
    CHECK_STATUS(enos_client_wait(client, ENOS_STATE_ONLINE, 20000), ENOS_OK);
    CHECK_STATUS(enos_client_destroy(client), ENOS_OK);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    attempts_fail_until_there_is("enos-keeper", "127.0.0.1", argv[1]);
    attempts_fail_until_there_is("enos-resolve", "localhost", argv[1]);
    a_loop_starts_when_there_is_a_thread(argv[1]);
    return checked();
}
