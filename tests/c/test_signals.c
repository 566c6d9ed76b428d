/*
 * A process that gets a signal each millisecond, whose handler wakes the client. System calls of the host's thread are
 * interrupted all the time, the library's own threads get no signal, and a whole session works normally.
 *
 * argv[1]: the port of a broker on 127.0.0.1 that accepts and answers everything.
 */
#define _GNU_SOURCE
#include "check.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

#define MESSAGES 500

static enos_client *client;
static pthread_t host;
static volatile sig_atomic_t handled, elsewhere;

static void on_signal(int number)
{
    (void)number;
    ++handled;
    if (!pthread_equal(pthread_self(), host))
        ++elsewhere;
    errno = E2BIG;
    enos_client_wake(client);
    if (errno != E2BIG)
        ++elsewhere;
}

struct heard {
    int connected, delivered, failed, subscribed, disconnected;
};

static void on_event(void *ctx, enos_client *c, const enos_event *event)
{
    struct heard *heard = ctx;

    (void)c;
    heard->connected += event->type == ENOS_EVENT_CONNECTED;
    heard->delivered += event->type == ENOS_EVENT_DELIVERED && event->status == ENOS_OK;
    heard->subscribed += event->type == ENOS_EVENT_SUBSCRIBED && event->status == ENOS_OK;
    heard->disconnected += event->type == ENOS_EVENT_DISCONNECTED && event->status == ENOS_OK;
    heard->failed += event->status != ENOS_OK;
}

static void loop_until(const int *count, int at_least)
{
    while (*count < at_least)
        if (enos_client_loop(client, ENOS_FOREVER) != ENOS_OK)
            break;
}

int main(int argc, char **argv)
{
    struct heard heard = {0, 0, 0, 0, 0};
    struct itimerval each_ms = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    struct sigaction action;
    enos_config *config = NULL;
    char uri[64];
    int i, accepted = 0;

    if (argc != 2)
        return 2;
    host = pthread_self();
    snprintf(uri, sizeof uri, "tcp://localhost:%s", argv[1]);
    CHECK_STATUS(enos_config_new(&config), ENOS_OK);
    CHECK_STATUS(enos_config_set_server(config, uri), ENOS_OK);
    CHECK_STATUS(enos_config_set_identity(config, "pk", "dk"), ENOS_OK);
    CHECK_STATUS(enos_config_set_device_secret(config, "secret", ENOS_NUL_TERMINATED), ENOS_OK);
    CHECK_STATUS(enos_config_set_event_cb(config, on_event, &heard), ENOS_OK);
    CHECK_STATUS(enos_client_create(config, &client), ENOS_OK);
    enos_config_free(config);

    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    CHECK(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &each_ms, NULL) == 0);

    /* Each signal ends an idle loop. */
    for (i = 0; i < 20; ++i)
        if (enos_client_loop(client, ENOS_FOREVER) != ENOS_OK)
            break;
    CHECK(i == 20 && handled > 0);

    CHECK_STATUS(enos_client_connect(client), ENOS_OK);
    CHECK_STATUS(enos_client_wait(client, ENOS_STATE_ONLINE, 30000), ENOS_OK);
    CHECK_STATUS(enos_client_subscribe(client, "s", 1, NULL), ENOS_OK);
    loop_until(&heard.subscribed, 1);
    while (accepted < MESSAGES) {
        enos_status status = enos_client_publish(client, "t", (const uint8_t *)"x", 1, 1, 0, NULL);

        if (status == ENOS_OK)
            ++accepted;
        else if (status != ENOS_ERR_QUEUE_FULL || enos_client_loop(client, ENOS_FOREVER) != ENOS_OK)
            break;
    }
    CHECK(accepted == MESSAGES);
    loop_until(&heard.delivered, MESSAGES);
    CHECK(heard.connected == 1 && heard.delivered == MESSAGES && heard.failed == 0);

    /* With the library's thread, which gets none of them. */
    CHECK_STATUS(enos_client_loop_start(client), ENOS_OK);
    CHECK_STATUS(enos_client_disconnect(client), ENOS_OK);
    CHECK_STATUS(enos_client_wait(client, ENOS_STATE_IDLE, 30000), ENOS_OK);
    CHECK_STATUS(enos_client_loop_stop(client), ENOS_OK);
    CHECK(heard.disconnected == 1 && heard.failed == 0);

    CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0 && elsewhere == 0);
    CHECK_STATUS(enos_client_destroy(client), ENOS_OK);
    return checked();
}
