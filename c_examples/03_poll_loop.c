/*
 * The firmware's own event loop: one poll() over the client's descriptor and the firmware's own descriptors, here a
 * timer and the signals. It needs no thread, no lock and no timeout, and sleeps while there is nothing to do. epoll and
 * select() work in the same way, and so do the loops of frameworks (GLib, libuv, sd-event): watch the descriptor for
 * input, and call enos_client_loop(client, 0) when there is some.
 *
 *     ENOS_PRODUCT_SECRET=... 03_poll_loop SERVER PRODUCT_KEY DEVICE_KEY DIRECTORY
 *
 * It reports while it is online, and ends at SIGINT or SIGTERM.
 */
#define _POSIX_C_SOURCE 200809L

#include "example.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/timerfd.h>
#include <unistd.h>

typedef struct device {
    const char *key;
    int timer; /* runs only while the device is online, so that it does not wake a board that waits for its network */
} device;

static void set_timer(int timer, time_t every)
{
    struct itimerspec spec = {.it_interval.tv_sec = every, .it_value = {every, 0}}; /* 0: stop it */

    if (timerfd_settime(timer, 0, &spec, NULL) != 0)
        perror("timer");
}

/* Runs inside enos_client_loop(), on this program's only thread, so it needs no locks. */
static void on_event(void *ctx, enos_client *client, const enos_event *event)
{
    device *self = ctx;

    (void)client;
    tell(self->key, event);
    if (event->type == ENOS_EVENT_CONNECTED)
        set_timer(self->timer, REPORT_EVERY_S);
    else if (event->type == ENOS_EVENT_DISCONNECTED)
        set_timer(self->timer, 0);
}

static void on_timer(const device *self, enos_client *client)
{
    uint64_t expirations;

    if (read(self->timer, &expirations, sizeof expirations) != sizeof expirations)
        return; /* it was stopped just now */
    if (post(client, "temperature", temperature(), NULL) != ENOS_OK)
        fprintf(stderr, "not reported: %s\n", enos_last_error());
}

static int run(device *self, enos_client *client, int signals)
{
    enum { SIGNALS, TIMER, CLOUD, COUNT };
    struct pollfd fds[COUNT] = {
        [SIGNALS] = {.fd = signals, .events = POLLIN},
        [TIMER] = {.fd = self->timer, .events = POLLIN},
        [CLOUD] = {.fd = enos_client_fd(client), .events = POLLIN}, /* the same for as long as the client lives */
    };

    if (fds[CLOUD].fd < 0 || enos_client_connect(client) != ENOS_OK)
        return fail("connect");
    for (;;) {
        /* No timeout: the library's timers make its descriptor readable as well. */
        if (poll(fds, COUNT, -1) < 0) {
            if (errno == EINTR)
                continue;
            perror("poll");
            return 1;
        }
        if (fds[SIGNALS].revents != 0)
            return 0;
        if (fds[TIMER].revents != 0)
            on_timer(self, client);
        if (fds[CLOUD].revents != 0 && enos_client_loop(client, 0) != ENOS_OK)
            return fail("loop");
    }
}

int main(int argc, char **argv)
{
    device self;
    enos_client *client = NULL;
    enos_storage storage;
    int signals, result, ended;

    if (argc != 5) {
        fprintf(stderr, "ENOS_PRODUCT_SECRET=... %s SERVER PRODUCT_KEY DEVICE_KEY DIRECTORY\n", argv[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    self.key = argv[3];
    if ((signals = catch_signals()) < 0)
        return 1;
    if ((self.timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)) < 0) {
        perror("timer");
        return 1;
    }
    ENOS_INIT(&storage);
    if (enos_storage_directory(argv[4], &storage) != ENOS_OK)
        return fail("storage");
    if (create(argv[1], argv[2], argv[3], &storage, on_event, &self, &client) != ENOS_OK)
        return 1;

    result = run(&self, client, signals);
    ended = finish(client); /* events come until here, and they use the timer */
    close(self.timer);
    close(signals);
    return result != 0 ? result : ended;
}
