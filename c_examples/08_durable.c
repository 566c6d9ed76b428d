/*
 * Durable publishing: a device that measures all the time and connects now and then. Each value is in the flash before
 * the call returns, and stays there until EnOS has answered 200, across outages, restarts and power cuts.
 *
 *     ENOS_PRODUCT_SECRET=... 08_durable SERVER PRODUCT_KEY DEVICE_KEY FLASH [OFFLINE_S]
 *
 * It publishes in bursts; each burst costs one write and one removal. When it was offline for OFFLINE_S seconds (60 by
 * default), it connects, stays until the outbox is empty, and disconnects. EnOS allows three CONNECTs in two minutes;
 * the library keeps to that in any case. The program ends at SIGINT or SIGTERM, when all messages are completed, or after
 * FLUSH_MS. The next start then sends the rest.
 */
#define _POSIX_C_SOURCE 200809L

#include "example.h"
#include "flash_store.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SAMPLE_EVERY_MS 50
#define BURST 20
#ifndef FLUSH_MS
#define FLUSH_MS 10000
#endif
#define STORAGE_AGAIN_MS 1000
/* The capacity of the flash store, less some space for the device's own records: see flash_store.h. */
#ifndef OUTBOX_MESSAGES
#define OUTBOX_MESSAGES 2000
#endif
#define OUTBOX_BYTES 150000

typedef struct device {
    const char *key;
    enos_client *client;
    int64_t offline_ms, connect_at; /* 0: it is connected, or about to be */
    int online;
    int full;             /* the outbox was full, and ROOM has not come yet */
    int64_t publish_at;   /* the storage failed: do not publish before this time */
    int dead_letters;     /* there are dead letters */
    size_t count, missed; /* samples in this burst; samples that did not fit */
    char samples[BURST][96];
} device;

static int64_t clock_ms(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Each post has one outcome, also the posts of an earlier process. The firmware knows what a token was for. */
static void on_event(void *ctx, enos_client *client, const enos_event *event)
{
    device *self = ctx;

    (void)client;
    switch (event->type) {
    case ENOS_EVENT_REPLY: /* not printed for ENOS_OK, because there are many of them */
        if (event->status == ENOS_OK)
            return;
        self->dead_letters |= event->status == ENOS_ERR_DEAD_LETTER;
        break;
    case ENOS_EVENT_ROOM:
        self->full = 0;
        break;
    case ENOS_EVENT_OUTBOX_FAILED: /* raise an alarm; the library goes on trying */
        fprintf(stderr, "the flash cannot be read or written: code %d\n", (int)event->detail_code);
        break;
    case ENOS_EVENT_CONNECTED:
    case ENOS_EVENT_DISCONNECTED:
        self->online = event->type == ENOS_EVENT_CONNECTED;
        break;
    default:
        break;
    }
    tell(self->key, event);
}

/* A dead letter is printed and dropped; otherwise it would stay in the flash. */
static int32_t on_dead_letter(void *ctx, const enos_outbox_message *letter)
{
    device *self = ctx; /* letter->name is NULL if the letter cannot be read, "" for a post */

    printf("given up: token %" PRIu64 ", code %d, %.*s\n", letter->token, (int)letter->code, (int)letter->len,
           (const char *)letter->payload);
    if (enos_client_outbox_drop(self->client, letter->token) != ENOS_OK)
        fail("drop");
    return 0;
}

/* Publishes all of the burst, or nothing. If it is refused, it stays in RAM, and is tried again when that can help. */
static void publish(device *self)
{
    enos_request posts[BURST];
    enos_status status;

    for (size_t i = 0; i < self->count; i++) {
        ENOS_INIT(&posts[i]);
        posts[i].operation = ENOS_OP_MEASUREPOINT_POST;
        posts[i].flags = ENOS_REQUEST_DURABLE | ENOS_REQUEST_UNTIL_REPLY | ENOS_REQUEST_RESUME;
        posts[i].params = self->samples[i];
        posts[i].params_len = ENOS_NUL_TERMINATED;
    }
    status = enos_client_request_batch(self->client, posts, self->count, NULL, NULL);
    self->full = status == ENOS_ERR_QUEUE_FULL;
    if (status == ENOS_OK) {
        printf("%zu samples are in the flash\n", self->count);
        self->count = 0;
    } else {
        fprintf(stderr, "not kept: %s\n", enos_last_error());
        self->publish_at = clock_ms(CLOCK_MONOTONIC) + STORAGE_AGAIN_MS;
    }
}

static void sample(device *self)
{
    if (self->count == BURST) {
        self->missed++; /* alternatives: overwrite the oldest, or measure less often */
    } else {
        snprintf(self->samples[self->count++], sizeof self->samples[0],
                 "{\"measurepoints\":{\"temperature\":%.1f},\"time\":%" PRId64 "}", temperature(),
                 clock_ms(CLOCK_REALTIME));
    }
    if (self->count == BURST && !self->full && self->publish_at <= clock_ms(CLOCK_MONOTONIC))
        publish(self);
}

/* Stays connected only until all messages are completed. */
static void radio(device *self)
{
    enos_outbox_info info;
    int64_t now = clock_ms(CLOCK_MONOTONIC);

    ENOS_INIT(&info);
    if (self->connect_at != 0 && self->connect_at <= now) {
        if (enos_client_connect(self->client) == ENOS_OK)
            self->connect_at = 0;
    } else if (self->connect_at == 0 && self->online && enos_client_outbox_info(self->client, 0, &info) == ENOS_OK &&
               info.messages == 0) {
        printf("all is completed, %" PRIu64 " dead letters so far\n", info.dead_letters_ever);
        enos_client_disconnect(self->client);
        self->connect_at = now + self->offline_ms;
    }
    if (self->dead_letters) {
        self->dead_letters = 0;
        if (enos_client_outbox_each(self->client, 0, ENOS_OUTBOX_DEAD_LETTERS, on_dead_letter, self) != ENOS_OK)
            fail("dead letters");
    }
}

static int run(device *self, int signals)
{
    struct pollfd fds[] = {{.fd = signals, .events = POLLIN}, {.fd = enos_client_fd(self->client), .events = POLLIN}};
    int64_t due = clock_ms(CLOCK_MONOTONIC);

    self->connect_at = due + self->offline_ms;
    for (;;) {
        int64_t left = due - clock_ms(CLOCK_MONOTONIC);
        if (left <= 0) {
            sample(self);
            radio(self);
            left = SAMPLE_EVERY_MS;
            due = clock_ms(CLOCK_MONOTONIC) + left;
        }
        if (poll(fds, 2, (int)left) < 0) {
            if (errno == EINTR)
                continue;
            perror("poll");
            return 1;
        }
        if (fds[0].revents != 0)
            return 0;
        if (fds[1].revents != 0 && enos_client_loop(self->client, 0) != ENOS_OK)
            return fail("loop");
    }
}

/* Stores the last samples, and sends what can be sent within FLUSH_MS. */
static void flush(device *self)
{
    enos_outbox_info info;

    ENOS_INIT(&info);
    if (self->count > 0)
        publish(self);
    if (enos_client_connect(self->client) == ENOS_OK && enos_client_flush(self->client, FLUSH_MS) == ENOS_OK)
        printf("nothing is left to send, %zu samples had no room\n", self->missed + self->count);
    else if (enos_client_outbox_info(self->client, 0, &info) == ENOS_OK)
        printf("%" PRIu64 " messages stay for the next start\n", info.messages);
}

static enos_status create_durable(char **argv, const enos_storage *storage, device *self)
{
    const char *secret = getenv("ENOS_PRODUCT_SECRET");
    enos_config *config = NULL;
    enos_status status;

    if ((status = enos_config_new(&config)) == ENOS_OK &&
        (status = enos_config_set_server(config, argv[1])) == ENOS_OK &&
        (status = enos_config_set_identity(config, argv[2], argv[3])) == ENOS_OK &&
        (status = enos_config_set_storage(config, storage)) == ENOS_OK &&
        (status = enos_config_set_product_secret(config, secret, ENOS_NUL_TERMINATED)) == ENOS_OK &&
        (status = enos_config_set_outbox_limits(config, OUTBOX_MESSAGES, OUTBOX_BYTES, ENOS_OUTBOX_REFUSE)) ==
            ENOS_OK &&
        (status = enos_config_set_event_cb(config, on_event, self)) == ENOS_OK)
        status = enos_client_create(config, &self->client);
    if (status != ENOS_OK)
        fail("configuration");
    enos_config_free(config);
    return status;
}

int main(int argc, char **argv)
{
    char *rest = "";
    long offline_s = argc == 6 ? strtol(argv[5], &rest, 10) : 60;
    device self = {0};
    enos_storage storage;
    int signals, result, ended;

    if (argc < 5 || argc > 6 || offline_s < 0 || *rest != '\0') {
        fprintf(stderr, "ENOS_PRODUCT_SECRET=... %s SERVER PRODUCT_KEY DEVICE_KEY FLASH [OFFLINE_S]\n", argv[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    self.key = argv[3];
    self.offline_ms = offline_s * 1000;
    if ((signals = catch_signals()) < 0)
        return 1;
    if ((result = flash_store_open(argv[4], &storage)) < 0) {
        fprintf(stderr, "%s: %s\n", argv[4], result == -EBUSY ? "in use" : strerror(-result));
        return 1;
    }
    if (create_durable(argv, &storage, &self) != ENOS_OK)
        return 1;

    result = run(&self, signals);
    flush(&self);
    ended = finish(self.client);
    close(signals);
    return result != 0 ? result : ended;
}
