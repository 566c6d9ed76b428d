// The header from C++: its macros, its enumerations, callbacks without captures.
#include "check.h"

#include <string>

struct Seen {
    int events = 0;
    std::string log;
};

int main()
{
    Seen seen;
    enos_storage storage;
    enos_sign_params params;
    ENOS_INIT(&storage);
    ENOS_INIT(&params);
    CHECK(storage.struct_size == sizeof storage && storage.ctx == nullptr);
    CHECK(params.struct_size == sizeof params && params.client_id == nullptr);
    storage.load = [](void *, const char *, uint8_t *, size_t, size_t *) -> int32_t { return ENOS_STORAGE_NOT_FOUND; };
    storage.store = [](void *, const char *, const uint8_t *, size_t) -> int32_t { return ENOS_STORAGE_OK; };
    storage.erase = [](void *, const char *) -> int32_t { return ENOS_STORAGE_OK; };

    CHECK_STATUS(enos_log_set(
                     [](void *ctx, int32_t, const char *, const char *message) {
                         static_cast<Seen *>(ctx)->log += message;
                     },
                     &seen, ENOS_LOG_TRACE),
                 ENOS_OK);
    enos_config *config = nullptr;
    enos_client *client = nullptr;
    CHECK_STATUS(enos_config_new(&config), ENOS_OK);
    CHECK_STATUS(enos_config_set_server(config, "tcp://127.0.0.1:1"), ENOS_OK);
    CHECK_STATUS(enos_config_set_identity(config, "pk", "dk"), ENOS_OK);
    const std::string secret("hush");
    CHECK_STATUS(enos_config_set_device_secret(config, secret.data(), secret.size()), ENOS_OK);
    CHECK_STATUS(enos_config_set_sign_method(config, ENOS_SIGN_SHA256), ENOS_OK);
    CHECK_STATUS(enos_config_set_storage(config, &storage), ENOS_OK);
    CHECK_STATUS(enos_config_set_event_cb(
                     config,
                     [](void *ctx, enos_client *, const enos_event *event) {
                         static_cast<Seen *>(ctx)->events += event->type != ENOS_EVENT_MESSAGE;
                     },
                     &seen),
                 ENOS_OK);
    CHECK_STATUS(enos_client_create(config, &client), ENOS_OK);
    enos_config_free(config);
    CHECK_STATUS(enos_client_loop(client, 0), ENOS_OK);
    CHECK(seen.events == 0);
    CHECK_STATUS(enos_client_destroy(client), ENOS_OK);
    CHECK_STATUS(enos_log_set(nullptr, nullptr, 0), ENOS_OK);
    CHECK(seen.log.find("hush") == std::string::npos);
    return checked();
}
