/*
 * Several devices in one process: one client for each device, one storage directory and one poll() for all. An online
 * client has four descriptors (one of them is the connection), and no thread.
 *
 *     ENOS_PRODUCT_SECRET=... 06_several_devices SERVER PRODUCT_KEY DIRECTORY DEVICE_KEY...
 *
 * Each device is activated by itself. The keys in the storage contain a digest of its identity, so the devices do not
 * collide. For devices of several products, make one config for each product, because the product secrets differ. All
 * devices report once a second, and the program ends at SIGINT or SIGTERM.
 */
#define _POSIX_C_SOURCE 200809L

#include "example.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

typedef struct device {
    const char *key;
    enos_client *client;
    int online;
} device;

/* One callback for all devices; ctx is the device. */
static void on_event(void *ctx, enos_client *client, const enos_event *event)
{
    device *self = ctx;

    (void)client;
    tell(self->key, event);
    if (event->type == ENOS_EVENT_CONNECTED || event->type == ENOS_EVENT_DISCONNECTED)
        self->online = event->type == ENOS_EVENT_CONNECTED;
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void report(const device *devices, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (devices[i].online && post(devices[i].client, "temperature", temperature(), NULL) != ENOS_OK)
            fprintf(stderr, "%s not reported: %s\n", devices[i].key, enos_last_error());
}

/* fds has an entry for each device, in order, and a last one for the signals. */
static int run(device *devices, size_t count, struct pollfd *fds, int signals)
{
    int64_t due = now_ms();

    for (size_t i = 0; i < count; i++) {
        fds[i] = (struct pollfd){.fd = enos_client_fd(devices[i].client), .events = POLLIN};
        if (fds[i].fd < 0 || enos_client_connect(devices[i].client) != ENOS_OK)
            return fail(devices[i].key);
    }
    fds[count] = (struct pollfd){.fd = signals, .events = POLLIN};
    for (;;) {
        int64_t left = due - now_ms();
        if (left <= 0) {
            report(devices, count);
            left = REPORT_EVERY_S * 1000;
            due = now_ms() + left;
        }
        if (poll(fds, count + 1, (int)left) < 0) {
            if (errno == EINTR)
                continue;
            perror("poll");
            return 1;
        }
        if (fds[count].revents != 0)
            return 0;
        for (size_t i = 0; i < count; i++)
            if (fds[i].revents != 0 && enos_client_loop(devices[i].client, 0) != ENOS_OK)
                return fail(devices[i].key);
    }
}

int main(int argc, char **argv)
{
    size_t count = argc > 4 ? (size_t)argc - 4 : 0, made = 0;
    device *devices = calloc(count + 1, sizeof *devices);
    struct pollfd *fds = calloc(count + 1, sizeof *fds);
    enos_storage storage;
    int signals, result = 1;

    if (count == 0 || devices == NULL || fds == NULL) {
        fprintf(stderr, "ENOS_PRODUCT_SECRET=... %s SERVER PRODUCT_KEY DIRECTORY DEVICE_KEY...\n", argv[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    if ((signals = catch_signals()) < 0)
        return 1;
    ENOS_INIT(&storage);
    if (enos_storage_directory(argv[3], &storage) != ENOS_OK)
        return fail("storage");
    for (; made < count; made++) {
        device *self = &devices[made];
        self->key = argv[4 + made];
        /* All share one storage, which is released with the last client. */
        if (create(argv[1], argv[2], self->key, &storage, on_event, self, &self->client) != ENOS_OK)
            break;
    }
    if (made == count)
        result = run(devices, count, fds, signals);
    for (size_t i = 0; i < made; i++)
        enos_client_disconnect(devices[i].client); /* all together; finish() then waits for each */
    for (size_t i = 0; i < made; i++)
        if (finish(devices[i].client) != 0)
            result = 1;
    close(signals);
    free(fds);
    free(devices);
    return result;
}
