/*
 * Commands in eight threads: each one is answered twice, read and released, in any order, while commands come. In the end
 * the client is destroyed, and the commands that are left are answered and released after that.
 *
 *     command_device SERVER COMMANDS
 *
 * The server is a broker that delivers the device's own publishes to it, such as Mosquitto.
 */
#define _POSIX_C_SOURCE 200809L

#include <enos.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS 8
#define PLACES 64
#define TOPIC "/sys/pk/dk/thing/service/x"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static enos_command *waiting[PLACES];
static size_t count;
static long answered, outcomes, wanted;
static int ended, failed;

static void need(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "%s: %s\n", what, enos_last_error());
        failed = 1;
        abort();
    }
}

static void on_event(void *ctx, enos_client *client, const enos_event *event)
{
    (void)ctx;
    (void)client;
    pthread_mutex_lock(&lock);
    if (event->type == ENOS_EVENT_COMMAND && count < PLACES) {
        need(enos_command_retain(event->command) == ENOS_OK, "retain");
        waiting[count++] = event->command;
    } else if (event->type == ENOS_EVENT_DELIVERED && event->topic_len == sizeof TOPIC - 1 + 6) {
        outcomes++;
    }
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

/* Takes a command from anywhere in the list; NULL at the end. */
static enos_command *take(unsigned *seed)
{
    enos_command *command = NULL;

    pthread_mutex_lock(&lock);
    while (count == 0 && !ended)
        pthread_cond_wait(&changed, &lock);
    if (count > 0) {
        size_t place = (*seed = *seed * 1103515245u + 12345u) / 65536u % count;
        command = waiting[place];
        waiting[place] = waiting[--count];
    }
    pthread_mutex_unlock(&lock);
    return command;
}

static void use(enos_command *command, int is_gone)
{
    enos_value params = enos_command_params(command);
    enos_status first, second;
    int64_t number = 0;
    size_t len = 0;

    need(enos_command_get_type(command) == ENOS_COMMAND_SERVICE, "type");
    need(strcmp(enos_command_name(command), "x") == 0, "name");
    need(enos_value_int(enos_value_at(params, "/n"), &number) == ENOS_OK && number > 0, "params");
    need(enos_command_raw(command, &len) != NULL && len > 0, "raw");
    first = enos_command_reply_text(command, 200, "{}", 2, "done", NULL);
    second = enos_command_reply(command, 200, NULL, NULL, NULL);
    need(second == ENOS_ERR_STATE && (first == ENOS_OK || (is_gone && first == ENOS_ERR_STATE)), "reply");
    pthread_mutex_lock(&lock);
    answered += first == ENOS_OK;
    pthread_mutex_unlock(&lock);
    if (number % 3 == 0) {
        need(enos_command_retain(command) == ENOS_OK, "retain");
        enos_command_release(command);
    }
    enos_command_release(command);
}

static void *work(void *arg)
{
    unsigned seed = *(unsigned *)arg;
    enos_command *command;

    while ((command = take(&seed)) != NULL)
        use(command, 0);
    return NULL;
}

static enos_client *create(const char *server)
{
    enos_config *config = NULL;
    enos_client *client = NULL;

    need(enos_config_new(&config) == ENOS_OK, "config");
    need(enos_config_set_server(config, server) == ENOS_OK, "server");
    need(enos_config_set_identity(config, "pk", "dk") == ENOS_OK, "identity");
    need(enos_config_set_device_secret(config, "secret", ENOS_NUL_TERMINATED) == ENOS_OK, "secret");
    need(enos_config_set_connect_budget(config, 0, 0, 0) == ENOS_OK, "budget");
    need(enos_config_set_command_timeout(config, NULL, 60000) == ENOS_OK, "timeout");
    need(enos_config_set_event_cb(config, on_event, NULL) == ENOS_OK, "callback");
    need(enos_client_create(config, &client) == ENOS_OK, "create");
    enos_config_free(config);
    need(enos_client_loop_start(client) == ENOS_OK && enos_client_connect(client) == ENOS_OK, "connect");
    need(enos_client_wait(client, ENOS_STATE_ONLINE, 30000) == ENOS_OK, "online");
    need(enos_client_subscribe(client, TOPIC, 1, NULL) == ENOS_OK, "subscribe");
    need(enos_client_flush(client, 30000) == ENOS_OK, "flush");
    return client;
}

static void command(enos_client *client, long number)
{
    char payload[96];
    int len = snprintf(payload, sizeof payload, "{\"id\":%ld,\"method\":\"m\",\"params\":{\"n\":%ld}}", number, number);

    need(enos_client_publish(client, TOPIC, (const uint8_t *)payload, (size_t)len, 1, 0, NULL) == ENOS_OK, "publish");
}

int main(int argc, char **argv)
{
    unsigned seeds[THREADS];
    pthread_t threads[THREADS];
    enos_client *client;

    if (argc != 3)
        return 2;
    wanted = strtol(argv[2], NULL, 10);
    client = create(argv[1]);
    for (unsigned i = 0; i < THREADS; i++) {
        seeds[i] = i + 1;
        need(pthread_create(&threads[i], NULL, work, &seeds[i]) == 0, "thread");
    }
    for (long number = 1; number <= wanted; number++) {
        pthread_mutex_lock(&lock);
        while (answered + 16 < number)
            pthread_cond_wait(&changed, &lock);
        pthread_mutex_unlock(&lock);
        command(client, number);
    }
    pthread_mutex_lock(&lock);
    while (outcomes < wanted)
        pthread_cond_wait(&changed, &lock);
    ended = 1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);

    /* These are left when the client is gone. */
    for (long number = 1; number <= 8; number++)
        command(client, number);
    pthread_mutex_lock(&lock);
    while (count < 8)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    need(enos_client_destroy(client) == ENOS_OK, "destroy");
    while (count > 0)
        use(waiting[--count], 1);
    printf("%ld commands, %ld answers\n", wanted, answered);
    return answered == wanted && !failed ? 0 : 1;
}
