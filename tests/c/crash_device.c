/* A device that is activated, comes online, goes offline and ends, or kills itself before.
 *
 * With SUBDEVICES=n in the environment it is a gateway, and waits until its sub-devices, which are activated with the
 * product secret SUB_SECRET, are online. With REGISTER=n it registers them before, and has no product secret of them.
 *
 * It passes a point before and after each storage call, and in each event. With CRASH_AT=n in the environment it raises
 * SIGKILL at the n-th point. For ssl:// the environment has TLS_CA, TLS_CERT and TLS_KEY. */
#include "device.h"

static long crash_at, points;
static int online, subdevices, subdevices_online, registers;

static void add_subdevices(enos_client *client);
static void register_subdevices(enos_client *client);

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
    (void)ctx;
    printf("%s %d %s\n", enos_event_name(event->type), (int)event->status, event->detail);
    fflush(stdout);
    if (event->type == ENOS_EVENT_CONNECTED && !online && registers)
        register_subdevices(client);
    if (event->type == ENOS_EVENT_REPLY && event->status == ENOS_OK)
        add_subdevices(client);
    online |= event->type == ENOS_EVENT_CONNECTED;
    subdevices_online += event->subdevice_state == ENOS_SUBDEVICE_STATE_ONLINE;
    pass_point();
}

static unsigned number(const char *text)
{
    return (unsigned)strtoul(text, NULL, 10);
}

static void add_subdevices(enos_client *client)
{
    int i;

    for (i = 0; i < subdevices; i++) {
        enos_subdevice_options options;
        char key[16];

        sprintf(key, "s%03d", i);
        ENOS_INIT(&options);
        options.product_key = "sub";
        options.device_key = key;
        options.flags = ENOS_SUBDEVICE_ADD_TOPOLOGY;
        if (getenv("SUB_SECRET") != NULL) {
            options.product_secret = getenv("SUB_SECRET");
            options.product_secret_len = ENOS_NUL_TERMINATED;
        }
        MUST(enos_client_add_subdevices(client, &options, 1, NULL));
    }
}

static void register_subdevices(enos_client *client)
{
    char params[2000] = "[";
    size_t at = 1;
    enos_request request;
    int i;

    for (i = 0; i < subdevices; i++)
        at += (size_t)sprintf(params + at, "%s{\"productKey\":\"sub\",\"deviceKey\":\"s%03d\",\"deviceName\":\"x\"}",
                              i > 0 ? "," : "", i);
    params[at++] = ']';
    ENOS_INIT(&request);
    request.operation = ENOS_OP_SUBDEVICE_REGISTER;
    request.flags = ENOS_REQUEST_KEEP_SECRETS;
    request.params = params;
    request.params_len = at;
    MUST(enos_client_request(client, &request, NULL));
}

int main(int argc, char **argv)
{
    enos_config *config;
    enos_client *client;
    const char *at = getenv("CRASH_AT"), *ca = getenv("TLS_CA");

    if (argc != 9) {
        fprintf(stderr, "usage: %s URI DIRECTORY PRODUCT_KEY DEVICE_KEY PRODUCT_SECRET CONNECTS WINDOW SPACING\n",
                argv[0]);
        return 2;
    }
    crash_at = at ? strtol(at, NULL, 10) : 0;
    subdevices = getenv("SUBDEVICES") ? atoi(getenv("SUBDEVICES")) : 0;
    registers = getenv("REGISTER") != NULL;
    alarm(60);
    config = configure(argv[1], argv[3], argv[4], on_event);
    set_directory(config, argv[2], watch);
    if (ca)
        MUST(enos_config_set_tls(config, ca, getenv("TLS_CERT"), getenv("TLS_KEY")));
    MUST(enos_config_set_product_secret(config, argv[5], ENOS_NUL_TERMINATED));
    MUST(enos_config_set_reconnect(config, 100, 500));
    MUST(enos_config_set_connect_budget(config, number(argv[6]), number(argv[7]), number(argv[8])));
    client = create(config);
    if (!registers)
        add_subdevices(client);
    MUST(enos_client_connect(client));
    while (!online || subdevices_online < subdevices)
        MUST(enos_client_loop(client, ENOS_FOREVER));
    end(client);
    printf("points %ld\n", points);
    return 0;
}
