/*
 * A complete device. It is activated with the product secret at its first start and logs in with its own secret at each
 * later start. It reports measure points and answers commands. It has one thread, and its own storage (flash_store.c).
 *
 *     ENOS_PRODUCT_SECRET=... 02_activate_and_report SERVER PRODUCT_KEY DEVICE_KEY STORE [POSTS]
 *
 * SERVER is tcp://host:port or ssl://host:port, STORE the file that is used as the flash partition. The program ends
 * after POSTS acknowledged posts, or at SIGINT or SIGTERM. The secret comes from the environment because every user can
 * read command lines. The settings for ssl:// come from there as well, as paths of PEM files: ENOS_CA has the
 * authorities to trust (by default the system's), ENOS_CERT and ENOS_KEY are the device's own certificate and its key
 * (by default none).
 */
#define _POSIX_C_SOURCE 200809L

#include "flash_store.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REPORT_EVERY_MS 1000 /* for a demonstration; in the field a minute or more is enough */

typedef struct device {
    int online;
    long acknowledged;
    enos_json *json; /* one builder for all reports; it keeps its memory */
} device;

static enos_client *client;
static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
    enos_client_wake(client); /* the loop may be waiting */
}

static void handle_signals(void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static int64_t clock_ms(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, enos_last_error());
    return 1;
}

/* In place of a sensor. */
static double temperature(void)
{
    return 20.0 + (double)(clock_ms(CLOCK_MONOTONIC) / 100 % 50) / 10.0;
}

static void report(device *self)
{
    const char *params;
    size_t len;

    enos_json_clear(self->json);
    enos_json_begin_measurepoints(self->json, clock_ms(CLOCK_REALTIME));
    enos_json_double(self->json, "temperature", temperature());
    enos_json_end(self->json);
    if (enos_json_result(self->json, &params, &len) == ENOS_OK &&
        enos_client_post_measurepoints(client, params, len, 0, NULL) == ENOS_OK)
        printf("report %s\n", params);
    else /* the link was just lost, or too many posts wait for their replies; the next report is due soon */
        fprintf(stderr, "not reported: %s\n", enos_last_error());
}

/* A command that is left unanswered is answered by the library: with 1101, there is no handler. */
static void answer(const enos_event *event)
{
    enos_value params = enos_command_params(event->command);

    printf("command on %s: %.*s\n", event->topic, (int)params.len, params.len > 0 ? params.text : "");
    if (enos_command_get_type(event->command) != ENOS_COMMAND_MEASUREPOINT_SET)
        printf("no handler\n");
    else if (enos_command_reply(event->command, 200, NULL, NULL, NULL) != ENOS_OK)
        fprintf(stderr, "not answered: %s\n", enos_last_error());
    else
        printf("answered with code 200\n");
}

static void on_event(void *ctx, enos_client *c, const enos_event *event)
{
    device *self = ctx;

    (void)c;
    switch (event->type) {
    case ENOS_EVENT_CONNECTED:
        self->online = 1;
        printf("CONNECTED as the device\n");
        break;
    case ENOS_EVENT_DISCONNECTED:
        self->online = 0;
        if (event->status == ENOS_OK) /* this program asked for it */
            printf("DISCONNECTED: %s\n", event->detail);
        else /* the library tries again by itself; the text is for the log */
            printf("DISCONNECTED: %s; %s; next attempt in %u ms\n", enos_strerror(event->status), event->detail,
                   (unsigned)event->retry_in_ms);
        break;
    case ENOS_EVENT_ACTIVATED:
        printf("ACTIVATED: the device secret is stored\n");
        break;
    case ENOS_EVENT_PERSIST_FAILED:
        /*
         * The cloud sends the secret once, and only this process has it. Keep the device powered and the process
         * running, and repair the flash; the library tries again. Or save the result of enos_activation_device_secret()
         * in another place, safe from a power cut, and then call enos_client_activation_saved().
         */
        printf("NOT STORED YET, do not switch off: %s (%d); next attempt in %u ms\n", event->detail,
               (int)event->detail_code, (unsigned)event->retry_in_ms);
        break;
    case ENOS_EVENT_COMMAND:
        answer(event);
        break;
    case ENOS_EVENT_REPLY:
        if (event->status == ENOS_OK)
            self->acknowledged++;
        printf("reply %s, code %d: %.*s\n", enos_strerror(event->status), (int)event->detail_code,
               (int)event->payload_len, (const char *)event->payload);
        break;
    default: /* later versions of the library have more events */
        if (event->status != ENOS_OK)
            printf("%s: %s; %s\n", enos_event_name(event->type), enos_strerror(event->status), event->detail);
    }
}

static enos_status set_tls(enos_config *config)
{
    const char *ca = getenv("ENOS_CA"), *cert = getenv("ENOS_CERT"), *key = getenv("ENOS_KEY");

    if (ca == NULL && cert == NULL && key == NULL)
        return ENOS_OK; /* ssl:// is checked nevertheless, with the system's authorities */
    return enos_config_set_tls(config, ca, cert, key);
}

static enos_status create(char **argv, const enos_storage *storage, device *self)
{
    const char *secret = getenv("ENOS_PRODUCT_SECRET");
    enos_config *config = NULL;
    enos_status status;

    if ((status = enos_config_new(&config)) == ENOS_OK &&
        (status = enos_config_set_server(config, argv[1])) == ENOS_OK && (status = set_tls(config)) == ENOS_OK &&
        (status = enos_config_set_identity(config, argv[2], argv[3])) == ENOS_OK &&
        (status = enos_config_set_storage(config, storage)) == ENOS_OK &&
        (status = enos_config_set_product_secret(config, secret, ENOS_NUL_TERMINATED)) == ENOS_OK &&
        (status = enos_config_set_event_cb(config, on_event, self)) == ENOS_OK)
        status = enos_client_create(config, &client);
    if (status != ENOS_OK)
        fail("configuration");
    enos_config_free(config); /* the client has a copy */
    return status;
}

/* Runs until a signal arrives, or `posts` reports are acknowledged. */
static enos_status run(device *self, long posts)
{
    int64_t next = 0;
    enos_status status = enos_client_connect(client);

    while (status == ENOS_OK && !stop && (posts == 0 || self->acknowledged < posts)) {
        int64_t left = next - clock_ms(CLOCK_MONOTONIC);
        if (self->online && left <= 0) {
            report(self);
            left = REPORT_EVERY_MS;
            next = clock_ms(CLOCK_MONOTONIC) + left;
        }
        status = enos_client_loop(client, self->online ? (uint32_t)left : ENOS_FOREVER);
    }
    return status;
}

int main(int argc, char **argv)
{
    char *rest = "";
    long posts = argc == 6 ? strtol(argv[5], &rest, 10) : 0;
    device self = {0, 0, NULL};
    enos_storage storage;
    enos_status status;
    int result;

    if (argc < 5 || argc > 6 || posts < 0 || *rest != '\0') {
        fprintf(stderr, "ENOS_PRODUCT_SECRET=... %s SERVER PRODUCT_KEY DEVICE_KEY STORE [POSTS]\n", argv[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    if ((result = flash_store_open(argv[4], &storage)) < 0) {
        fprintf(stderr, "%s: %s\n", argv[4], strerror(-result));
        return 1;
    }
    if (create(argv, &storage, &self) != ENOS_OK || enos_json_new(&self.json) != ENOS_OK)
        return 1;
    handle_signals(on_signal);
    if (run(&self, posts) != ENOS_OK)
        return fail("loop");

    handle_signals(SIG_DFL); /* a second signal ends it at once */
    enos_client_disconnect(client);
    enos_client_wait(client, ENOS_STATE_IDLE, 5000);
    while ((status = enos_client_destroy(client)) == ENOS_ERR_UNSAVED_SECRET)
        enos_client_loop(client, 1000); /* see PERSIST_FAILED */
    enos_json_free(self.json);
    return status == ENOS_OK ? 0 : fail("destroy");
}
