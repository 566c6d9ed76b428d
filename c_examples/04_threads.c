/*
 * Threads: the library's thread runs the loop and the callback, two worker threads publish, and the main thread waits
 * for the end. Each worker posts one measure point and waits for its outcome, which the callback passes on.
 *
 *     ENOS_PRODUCT_SECRET=... 04_threads SERVER PRODUCT_KEY DEVICE_KEY DIRECTORY
 *
 * The one rule: hold no lock around an enos_* call if the callback takes that lock. An orderly shutdown has four steps:
 * tell the workers, disconnect (each waiting worker gets its outcome now), join the workers, stop the loop.
 */
#define _POSIX_C_SOURCE 200809L

#include "example.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define WORKERS 2

typedef struct outcome {
    uint64_t token; /* 0: this entry is free */
    enos_status status;
    int32_t code;
} outcome;

typedef struct device {
    const char *key;
    enos_client *client;
    pthread_mutex_t lock; /* protects the following members */
    pthread_cond_t changed;
    int online, stop;
    outcome outcomes[WORKERS]; /* not yet fetched; a worker has one post in flight at a time, so there is always room */
} device;

typedef struct worker {
    device *device;
    const char *point;
    pthread_t thread;
} worker;

/* Runs on the library's thread. It only records the event, because no other event is delivered while it runs. */
static void on_event(void *ctx, enos_client *client, const enos_event *event)
{
    device *self = ctx;

    (void)client;
    tell(self->key, event);
    pthread_mutex_lock(&self->lock);
    if (event->type == ENOS_EVENT_CONNECTED || event->type == ENOS_EVENT_DISCONNECTED)
        self->online = event->type == ENOS_EVENT_CONNECTED;
    for (size_t i = 0; event->type == ENOS_EVENT_REPLY && i < WORKERS; i++)
        if (self->outcomes[i].token == 0) {
            self->outcomes[i] = (outcome){event->token, event->status, event->detail_code};
            break;
        }
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
}

/* Waits until the device is online and a report is due. Returns 0 when the worker has to end. */
static int wait_until_due(device *self)
{
    struct timespec due;
    int go;

    clock_gettime(CLOCK_MONOTONIC, &due);
    due.tv_sec += REPORT_EVERY_S;
    pthread_mutex_lock(&self->lock);
    while (!self->stop && pthread_cond_timedwait(&self->changed, &self->lock, &due) == 0)
        ;
    while (!self->stop && !self->online)
        pthread_cond_wait(&self->changed, &self->lock);
    go = !self->stop;
    pthread_mutex_unlock(&self->lock);
    return go;
}

/* Every accepted call has exactly one outcome, so this wait ends, at the latest after the reply timeout. */
static outcome wait_for(device *self, uint64_t token)
{
    outcome found = {0, ENOS_OK, 0};

    pthread_mutex_lock(&self->lock);
    for (;;) {
        for (size_t i = 0; i < WORKERS && found.token == 0; i++)
            if (self->outcomes[i].token == token) {
                found = self->outcomes[i];
                self->outcomes[i].token = 0;
            }
        if (found.token != 0)
            break;
        pthread_cond_wait(&self->changed, &self->lock);
    }
    pthread_mutex_unlock(&self->lock);
    return found;
}

static void *work(void *arg)
{
    worker *self = arg;
    uint64_t token;

    while (wait_until_due(self->device)) {
        if (post(self->device->client, self->point, temperature(), &token) != ENOS_OK) {
            fprintf(stderr, "%s: not reported: %s\n", self->point, enos_last_error()); /* this thread's text */
            continue;
        }
        outcome got = wait_for(self->device, token);
        printf("%s: %s, code %d\n", self->point, enos_strerror(got.status), (int)got.code);
    }
    return NULL;
}

static int run(device *self, int signals)
{
    worker workers[WORKERS] = {{.device = self, .point = "inlet"}, {.device = self, .point = "outlet"}};
    struct signalfd_siginfo info;
    int started = 0, result = 0;

    if (enos_client_loop_start(self->client) != ENOS_OK || enos_client_connect(self->client) != ENOS_OK)
        result = fail("start");
    while (result == 0 && started < WORKERS)
        if (pthread_create(&workers[started].thread, NULL, work, &workers[started]) == 0)
            started++;
        else
            result = (fprintf(stderr, "no thread left\n"), 1);
    if (result == 0 && read(signals, &info, sizeof info) != sizeof info)
        result = (perror("signals"), 1);

    pthread_mutex_lock(&self->lock);
    self->stop = 1;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
    enos_client_disconnect(self->client);
    while (started > 0)
        pthread_join(workers[--started].thread, NULL);
    return enos_client_loop_stop(self->client) == ENOS_OK ? result : fail("stop");
}

int main(int argc, char **argv)
{
    device self = {.lock = PTHREAD_MUTEX_INITIALIZER};
    pthread_condattr_t monotonic;
    enos_storage storage;
    int signals, result, ended;

    if (argc != 5) {
        fprintf(stderr, "ENOS_PRODUCT_SECRET=... %s SERVER PRODUCT_KEY DEVICE_KEY DIRECTORY\n", argv[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    self.key = argv[3];
    pthread_condattr_init(&monotonic); /* setting the wall clock must not change the waits */
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&self.changed, &monotonic);
    if ((signals = catch_signals()) < 0)
        return 1;
    ENOS_INIT(&storage);
    if (enos_storage_directory(argv[4], &storage) != ENOS_OK)
        return fail("storage");
    if (create(argv[1], argv[2], argv[3], &storage, on_event, &self, &self.client) != ENOS_OK)
        return 1;

    result = run(&self, signals);
    ended = finish(self.client); /* this thread runs the loop for the rest */
    close(signals);
    return result != 0 ? result : ended;
}
