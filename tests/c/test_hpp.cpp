// enos.hpp: its exceptions, its results, the release of resources, and moves of objects.
#include <enos.hpp>

#include "check.h"

#include <type_traits>
#include <utility>

static_assert(std::is_move_constructible<enos::client>::value && !std::is_copy_constructible<enos::client>::value, "");
static_assert(std::is_move_constructible<enos::config>::value && !std::is_copy_constructible<enos::config>::value, "");
static_assert(!std::is_copy_constructible<enos::directory>::value && !std::is_copy_assignable<enos::directory>::value,
              "");
static_assert(std::is_copy_constructible<enos::client_ref>::value, "");

namespace {

int released;

struct Counter {
    int disconnected = 0;
    enos_client *about = nullptr;
    void operator()(enos::client_ref client, const enos_event &event)
    {
        disconnected += event.type == ENOS_EVENT_DISCONNECTED;
        about = client.get();
    }
};

template <class Call> enos_status thrown(Call call)
{
    try {
        call();
    } catch (const enos::error &error) {
        CHECK(error.what()[0] != '\0'); // a copy of the text: freeing the config has replaced the thread's text
        return error.status();
    }
    return ENOS_OK;
}

enos_storage counting()
{
    enos_storage storage;
    ENOS_INIT(&storage);
    CHECK(storage.struct_size == sizeof storage && storage.ctx == nullptr);
    storage.load = [](void *, const char *, uint8_t *, size_t, size_t *) -> int32_t { return ENOS_STORAGE_NOT_FOUND; };
    storage.store = [](void *, const char *, const uint8_t *, size_t) -> int32_t { return ENOS_STORAGE_OK; };
    storage.erase = [](void *, const char *) -> int32_t { return ENOS_STORAGE_OK; };
    storage.release = [](void *) { ++released; };
    return storage;
}

void handles()
{
    Counter counter;
    {
        enos::config first;
        first.server("tcp://127.0.0.1:1")
            .identity("pk", "dk")
            .device_secret("hush")
            .storage(counting())
            .outbox_limits(1, 4096);
        enos::config config(std::move(first.on_event(counter)));
        CHECK(first.get() == nullptr && config.get() != nullptr);
        enos::check(enos_config_set_reconnect(config.get(), 0, 0));

        enos::client made(config);
        enos::client client(std::move(made));
        CHECK(made.get() == nullptr && client.get() != nullptr && client.fd() >= 0);
        CHECK(client.wait(ENOS_STATE_ONLINE, 0) == ENOS_ERR_STATE);
        client.connect();
        while (counter.disconnected == 0)
            client.loop();
        CHECK(counter.about == client.get() && released == 0);
        CHECK(client.stats().attempts == 1 && client.stats().last_connack == -1);

        enos::sent refused = client.publish("t", std::string("a\0b", 3));
        CHECK(!refused && refused.status() == ENOS_ERR_STATE && enos_last_error()[0] != '\0');
        CHECK(thrown([&] { refused.token(); }) == ENOS_ERR_STATE);
        CHECK(client.subscribe(std::string("a\0b", 3)).status() == ENOS_ERR_INVALID_ARG);
        CHECK(client.publish("t", "x", 1, ENOS_REQUEST_DURABLE).status() == ENOS_OK);
        CHECK(client.outbox().messages == 1 && client.flush(0) == ENOS_ERR_NETWORK);
        enos::client_ref somebodys(client);
        somebodys.loop_start();
        CHECK(thrown([&] { somebodys.loop(0); }) == ENOS_ERR_STATE);
    }
    CHECK(released == 1);
}

void directories(const std::string &path)
{
    CHECK(thrown([&] { enos::directory missing(path); }) == ENOS_ERR_STORAGE);
    {
        enos::directory given_to_none(enos::directory::create(path));
        enos::directory moved(std::move(given_to_none));
        CHECK(thrown([&] { enos::directory twice(path); }) == ENOS_ERR_STATE);
    }
    {
        enos::config config;
        config.storage(enos::directory(path));
        CHECK(thrown([&] { enos::directory twice(path); }) == ENOS_ERR_STATE);
    }
    enos::directory again(path);
}

} // namespace

int main(int, char **argv)
{
    std::string log;
    enos_sign_params params;
    ENOS_INIT(&params);
    CHECK(params.struct_size == sizeof params && params.client_id == nullptr);
    CHECK_STATUS(
        enos_log_set(
            [](void *ctx, const enos_log_record *record) { *static_cast<std::string *>(ctx) += record->message; }, &log,
            ENOS_LOG_TRACE),
        ENOS_OK);
    CHECK(thrown([] { enos::config().server("http://x"); }) == ENOS_ERR_INVALID_ARG);
    CHECK(thrown([] { enos::config().identity(std::string("p\0k", 3), "dk"); }) == ENOS_ERR_INVALID_ARG);
    CHECK(thrown([] { enos::client client{enos::config()}; }) == ENOS_ERR_INVALID_ARG);
    CHECK(thrown([] { enos::check(ENOS_OK); }) == ENOS_OK);
    handles();
    directories(argv[1]);
    CHECK_STATUS(enos_log_set(nullptr, nullptr, 0), ENOS_OK);
    CHECK(!log.empty() && log.find("hush") == std::string::npos);
    return checked();
}
