/*
 * A device that goes online over TLS, posts, and then ends in the given way:
 *
 *     tls_device URI CA CERT KEY destroy | exit | return | fail
 *
 * `exit` and `return` end the process while the client exists and its threads run. `fail` expects the handshake to
 * fail.
 */
#include "device.h"

static int online, replied, failed;

static void on_event(void *ctx, enos_client *client, const enos_event *event)
{
    (void)ctx, (void)client;
    printf("%s %d %s\n", enos_event_name(event->type), event->status, event->detail);
    online |= event->type == ENOS_EVENT_CONNECTED;
    replied |= event->type == ENOS_EVENT_REPLY && event->status == ENOS_OK;
    failed |= event->type == ENOS_EVENT_DISCONNECTED && event->status == ENOS_ERR_TLS;
}

/* Runs the loop until the event has come. */
static void await(enos_client *client, const int *happened)
{
    int turns = 0;

    while (!*happened && turns++ < 300)
        MUST(enos_client_loop(client, 100));
    if (!*happened)
        exit(2);
}

int main(int argc, char **argv)
{
    static const char params[] = "{\"measurepoints\":{\"temperature\":21.5},\"time\":1}";
    enos_config *config;
    enos_client *client;

    if (argc != 6)
        return 3;
    config = configure(argv[1], "pk", "dk", on_event);
    MUST(enos_config_set_device_secret(config, "the-device-s3cret", ENOS_NUL_TERMINATED));
    MUST(enos_config_set_tls(config, argv[2], argv[3], argv[4]));
    client = create(config);
    MUST(enos_client_connect(client));
    if (strcmp(argv[5], "fail") == 0) {
        await(client, &failed);
        MUST(enos_client_destroy(client));
        return 0;
    }
    await(client, &online);
    MUST(enos_client_post_measurepoints(client, params, sizeof params - 1, 0, NULL));
    await(client, &replied);
    if (strcmp(argv[5], "destroy") == 0)
        MUST(enos_client_destroy(client));
    if (strcmp(argv[5], "exit") == 0)
        exit(0);
    return 0;
}
