#define _POSIX_C_SOURCE 200809L

#include "example.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <time.h>

int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, enos_last_error());
    return 1;
}

enos_status create(const char *server, const char *product_key, const char *device_key, const enos_storage *storage,
                   enos_event_cb on_event, void *ctx, enos_client **client)
{
    const char *secret = getenv("ENOS_PRODUCT_SECRET");
    enos_config *config = NULL;
    enos_status status;

    if ((status = enos_config_new(&config)) == ENOS_OK &&
        (status = enos_config_set_server(config, server)) == ENOS_OK &&
        (status = enos_config_set_identity(config, product_key, device_key)) == ENOS_OK &&
        (status = enos_config_set_storage(config, storage)) == ENOS_OK &&
        (status = enos_config_set_product_secret(config, secret, ENOS_NUL_TERMINATED)) == ENOS_OK &&
        (status = enos_config_set_event_cb(config, on_event, ctx)) == ENOS_OK)
        status = enos_client_create(config, client);
    if (status != ENOS_OK)
        fail("configuration");
    enos_config_free(config); /* the client has a copy */
    return status;
}

void tell(const char *device_key, const enos_event *event)
{
    printf("%s %s: %s, code %d; %s; next attempt in %u ms\n", device_key, enos_event_name(event->type),
           enos_strerror(event->status), (int)event->detail_code, event->detail, (unsigned)event->retry_in_ms);
}

enos_status post(enos_client *client, const char *point, double value, uint64_t *token)
{
    char params[256];
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(params, sizeof params, "{\"measurepoints\":{\"%s\":%.1f},\"time\":%lld}", point, value,
             (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000);
    return enos_client_post_measurepoints(client, params, ENOS_NUL_TERMINATED, 0, token);
}

double temperature(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return 20.0 + (double)(now.tv_sec % 50) / 10.0;
}

int catch_signals(void)
{
    sigset_t set;
    int fd;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0 || (fd = signalfd(-1, &set, SFD_CLOEXEC)) < 0) {
        perror("signals");
        return -1;
    }
    return fd;
}

int finish(enos_client *client)
{
    enos_status status;

    enos_client_disconnect(client);
    enos_client_wait(client, ENOS_STATE_IDLE, 5000);
    /*
     * The cloud sends a device secret once, so the program must not end while a secret is unsaved (see PERSIST_FAILED).
     */
    while ((status = enos_client_destroy(client)) == ENOS_ERR_UNSAVED_SECRET)
        if (enos_client_loop(client, 1000) != ENOS_OK)
            return fail("loop");
    return status == ENOS_OK ? 0 : fail("destroy");
}
