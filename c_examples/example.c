#define _POSIX_C_SOURCE 200809L

#include "example.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, enos_last_error());
    return 1;
}

enos_status create(const char *server, const char *product_key, const char *device_key, const enos_storage *storage,
                   enos_event_cb on_event, void *ctx, enos_client **client)
{
    const char *secret = getenv("ENOS_PRODUCT_SECRET"), *version = getenv("ENOS_FIRMWARE_VERSION");
    enos_config *config = NULL;
    enos_status status;

    if ((status = enos_config_new(&config)) == ENOS_OK &&
        (status = enos_config_set_server(config, server)) == ENOS_OK &&
        (status = enos_config_set_identity(config, product_key, device_key)) == ENOS_OK &&
        (status = enos_config_set_storage(config, storage)) == ENOS_OK &&
        (status = enos_config_set_product_secret(config, secret, ENOS_NUL_TERMINATED)) == ENOS_OK &&
        (version == NULL || (status = enos_config_set_firmware_version(config, version)) == ENOS_OK) &&
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
    enos_json *json = NULL;
    enos_request request;
    enos_status status;

    if ((status = enos_json_new(&json)) != ENOS_OK)
        return status;
    enos_json_begin_measurepoints(json, wall_clock_ms());
    enos_json_double(json, point, value);
    enos_json_end(json);
    ENOS_INIT(&request);
    request.operation = ENOS_OP_MEASUREPOINT_POST;
    request.json = json;
    status = enos_client_request(client, &request, token);
    enos_json_free(json);
    return status;
}

static int64_t clock_ms(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t wall_clock_ms(void)
{
    return clock_ms(CLOCK_REALTIME);
}

double temperature(void)
{
    return 20.0 + (double)(clock_ms(CLOCK_MONOTONIC) / 1000 % 50) / 10.0;
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

/* The loop of 03_poll_loop.c, with a timeout in place of the timer. */
static int run(enos_client *client, int signals, void (*each_second)(void *ctx, enos_client *client), void *ctx)
{
    struct pollfd fds[] = {{signals, POLLIN, 0}, {enos_client_fd(client), POLLIN, 0}};
    struct signalfd_siginfo info;
    int64_t due = clock_ms(CLOCK_MONOTONIC), left;

    if (fds[1].fd < 0 || enos_client_connect(client) != ENOS_OK)
        return fail("connect");
    for (;;) {
        if (each_second != NULL && due <= clock_ms(CLOCK_MONOTONIC)) {
            each_second(ctx, client);
            due = clock_ms(CLOCK_MONOTONIC) + 1000;
        }
        left = due - clock_ms(CLOCK_MONOTONIC);
        if (poll(fds, 2, each_second == NULL ? -1 : left > 0 ? (int)left : 0) < 0 && errno != EINTR) {
            perror("poll");
            return 1;
        }
        if (fds[0].revents != 0)
            return read(signals, &info, sizeof info) == sizeof info ? 0 : 1;
        if (enos_client_loop(client, 0) != ENOS_OK)
            return fail("loop");
    }
}

int run_example(int argc, char **argv, enos_event_cb on_event, void (*each_second)(void *ctx, enos_client *client),
                void *ctx)
{
    enos_client *client = NULL;
    enos_storage storage;
    int signals, result, ended;

    if (argc != 5) {
        fprintf(stderr, "ENOS_PRODUCT_SECRET=... %s SERVER PRODUCT_KEY DEVICE_KEY DIRECTORY\n", argv[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    if ((signals = catch_signals()) < 0)
        return 1;
    ENOS_INIT(&storage);
    if (enos_storage_directory(argv[4], &storage) != ENOS_OK)
        return fail("storage");
    if (create(argv[1], argv[2], argv[3], &storage, on_event, ctx, &client) != ENOS_OK)
        return 1;
    result = run(client, signals, each_second, ctx);
    ended = finish(client);
    close(signals);
    return result != 0 ? result : ended;
}
