/* A device that takes the firmware that it is offered, or is started after that, and ends or kills itself before.
 *
 * With TAKE=1 in the environment it runs until it has installed what is offered. Otherwise it runs until the cloud knows
 * its version and all that it has to tell.
 *
 * It passes a point before and after each storage call, in each event, and before and after the call that installs. With
 * CRASH_AT=n in the environment it raises SIGKILL at the n-th point. */
#include "device.h"

static long crash_at, points;
static int online, answered;
static enos_firmware *offered;

static void pass_point(void)
{
    if (++points == crash_at)
        raise(SIGKILL);
}

static int32_t watch(enum call call, int after, const char *key)
{
    (void)call, (void)after, (void)key;
    pass_point();
    return 0;
}

static void on_event(void *ctx, enos_client *client, const enos_event *event)
{
    (void)ctx, (void)client;
    printf("%s %d %s\n", enos_event_name(event->type), (int)event->status, event->detail);
    fflush(stdout);
    online |= event->type == ENOS_EVENT_CONNECTED;
    answered |= event->type == ENOS_EVENT_REPLY && event->operation == ENOS_OP_OTA_VERSION_QUERY;
    if (event->type == ENOS_EVENT_OTA_OFFER && !offered)
        MUST(enos_firmware_copy(event->firmware, &offered));
    pass_point();
}

static void take(enos_client *client)
{
    while (!offered)
        MUST(enos_client_loop(client, ENOS_FOREVER));
    MUST(enos_ota_report(client, offered, 100, "installing", NULL));
    pass_point();
    MUST(enos_ota_installed(client, offered));
    printf("installed\n");
    fflush(stdout);
    pass_point();
}

/* The requests of a device are answered in order, so the version was reported before. */
static void settle(enos_client *client)
{
    enos_request request;

    while (!online)
        MUST(enos_client_loop(client, ENOS_FOREVER));
    ENOS_INIT(&request);
    request.operation = ENOS_OP_OTA_VERSION_QUERY;
    MUST(enos_client_request(client, &request, NULL));
    while (!answered)
        MUST(enos_client_loop(client, ENOS_FOREVER));
    MUST(enos_client_flush(client, 30000));
}

int main(int argc, char **argv)
{
    enos_config *config;
    enos_client *client;
    const char *at = getenv("CRASH_AT");

    if (argc != 7) {
        fprintf(stderr, "usage: %s URI DIRECTORY PRODUCT_KEY DEVICE_KEY DEVICE_SECRET VERSION\n", argv[0]);
        return 2;
    }
    crash_at = at ? strtol(at, NULL, 10) : 0;
    alarm(60);
    config = configure(argv[1], argv[3], argv[4], on_event);
    set_directory(config, argv[2], watch);
    MUST(enos_config_set_device_secret(config, argv[5], ENOS_NUL_TERMINATED));
    MUST(enos_config_set_firmware_version(config, argv[6]));
    MUST(enos_config_set_reconnect(config, 100, 500));
    MUST(enos_config_set_connect_budget(config, 0, 0, 0));
    client = create(config);
    MUST(enos_client_connect(client));
    if (getenv("TAKE"))
        take(client);
    else
        settle(client);
    end(client);
    enos_firmware_free(offered);
    printf("points %ld\n", points);
    return 0;
}
