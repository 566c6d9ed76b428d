// enos.hpp: its exceptions, its results, the release of resources, and moves of objects.
#include <enos.hpp>

#include "check.h"

#include <algorithm>
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

struct Device {
    std::vector<uint64_t> outcomes;
    std::string data;
    void *user = nullptr;
    void operator()(enos::client_ref, const enos_event &event)
    {
        if (event.type != ENOS_EVENT_REPLY && event.type != ENOS_EVENT_DELIVERED)
            return;
        CHECK(event.status == ENOS_OK);
        outcomes.push_back(event.token);
        if (event.operation == ENOS_OP_ATTRIBUTE_QUERY) {
            data.assign(event.data.text, event.data.len);
            user = event.user;
        }
    }
};

void await(enos::client_ref client, const Device &device, uint64_t token)
{
    while (std::find(device.outcomes.begin(), device.outcomes.end(), token) == device.outcomes.end())
        client.loop();
}

void requests(enos::client_ref client, Device &device)
{
    const std::string limit = "{\"attributes\":{\"limit\":1.5}}",
                      post = "{\"measurepoints\":{\"t\":1},\"time\":1700000000000}";
    const uint32_t kept = ENOS_REQUEST_DURABLE | ENOS_REQUEST_UNTIL_REPLY;

    CHECK(client.topic("thing/service/+") == "/sys/pk/dk/thing/service/+");
    CHECK(thrown([&] { client.topic(std::string("a\0b", 3)); }) == ENOS_ERR_INVALID_ARG);
    await(client, device, client.update_attributes(limit).token());
    await(client, device, client.post_event("hot", "{\"events\":{\"t\":1},\"time\":1700000000000}").token());
    enos::request query(ENOS_OP_ATTRIBUTE_QUERY);
    query.params("{\"attributes\":[]}").timeout_ms(10000).user(&device);
    await(client, device, client.request(query).token());
    CHECK(device.data == "{\"limit\":1.5}" && device.user == &device);

    enos_json *json = nullptr;
    enos::check(enos_json_new(&json));
    enos_json_raw(json, nullptr, post.data(), post.size());
    std::vector<enos::request> batch(2, enos::request(ENOS_OP_MEASUREPOINT_POST).flags(kept).json(json));
    batch.push_back(enos::request(ENOS_OP_EVENT_POST)
                        .name("hot")
                        .params("{\"events\":{\"t\":1},\"time\":1700000000000}")
                        .flags(kept));
    enos::sent_batch sent = client.request_batch(batch);
    CHECK(sent && sent.tokens().size() == 3 && sent.bad() == SIZE_MAX);
    for (uint64_t token : sent.tokens())
        await(client, device, token);
    batch.push_back(enos::request(ENOS_OP_EVENT_POST).flags(kept)); // without a name
    sent = client.request_batch(batch);
    CHECK(!sent && sent.status() == ENOS_ERR_INVALID_ARG && sent.bad() == 3);
    CHECK(thrown([&] { sent.tokens(); }) == ENOS_ERR_INVALID_ARG);
    enos_json_free(json);
}

void device(const char *uri, const char *secret, const std::string &path)
{
    Device device;
    enos::config config;
    config.server(uri).identity("pk", "dk").device_secret(secret).on_event(device);
    config.storage(enos::directory::create(path));
    enos::client client(config);
    client.connect();
    CHECK(client.wait(ENOS_STATE_ONLINE, 10000) == ENOS_OK);
    requests(client, device);
}

} // namespace

int main(int argc, char **argv)
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
    if (argc > 3)
        device(argv[2], argv[3], std::string(argv[1]) + "-device");
    CHECK_STATUS(enos_log_set(nullptr, nullptr, 0), ENOS_OK);
    CHECK(!log.empty() && log.find("hush") == std::string::npos);
    return checked();
}
