/*
 * A device with a fault: it keeps the pointer to the payload of a message, and reads it after the callback.
 *
 *     keeping_device URI
 */
#include "device.h"

static const uint8_t *kept;

static void on_event(void *ctx, enos_client *client, const enos_event *event)
{
    (void)ctx, (void)client;
    if (event->type == ENOS_EVENT_MESSAGE) {
        kept = event->payload;
        printf("%02x\n", kept[100]);
    }
}

int main(int argc, char **argv)
{
    enos_config *config;
    enos_client *client;

    if (argc != 2)
        return 3;
    config = configure(argv[1], "pk", "dk", on_event);
    MUST(enos_config_set_device_secret(config, "secret", ENOS_NUL_TERMINATED));
    client = create(config);
    MUST(enos_client_connect(client));
    while (kept == NULL)
        MUST(enos_client_loop(client, ENOS_FOREVER));
    printf("%02x\n", kept[100]);
    end(client);
    return 0;
}
