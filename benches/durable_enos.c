/* libenos: durable publishing, into a storage in a directory. */

#include "durable.h"

#include "bench.h"
#include "mqtt.h"

#include <enos.h>

enum { TOGETHER = 256 };

static enos_client *client;
static enos_request messages[TOGETHER];

void keep_open(const char *directory)
{
    enos_config *config = NULL;
    enos_storage storage;

    ENOS_INIT(&storage);
    need(enos_storage_directory_create(directory, &storage) == ENOS_OK && enos_config_new(&config) == ENOS_OK &&
             enos_config_set_server(config, "tcp://" HOST) == ENOS_OK &&
             enos_config_set_identity(config, "bench-product", "bench-device") == ENOS_OK &&
             enos_config_set_device_secret(config, "0123456789abcdefghij", ENOS_NUL_TERMINATED) == ENOS_OK &&
             enos_config_set_storage(config, &storage) == ENOS_OK && enos_client_create(config, &client) == ENOS_OK,
         enos_last_error());
    enos_config_free(config);
    for (int i = 0; i < TOGETHER; i++) {
        ENOS_INIT(&messages[i]);
        messages[i].operation = ENOS_OP_PUBLISH;
        messages[i].flags = ENOS_REQUEST_DURABLE;
        messages[i].name = TOPIC;
        messages[i].params = PAYLOAD;
        messages[i].params_len = sizeof PAYLOAD - 1;
    }
}

void keep(unsigned count)
{
    need(enos_client_request_batch(client, messages, count, NULL, NULL) == ENOS_OK, enos_last_error());
}
