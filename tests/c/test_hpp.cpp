// enos.hpp: its exceptions, its results, the release of resources, moves of objects, and values.
#include <enos.hpp>

#include "check.h"

#include <limits>
#include <type_traits>
#include <utility>

static_assert(std::is_move_constructible<enos::client>::value && !std::is_copy_constructible<enos::client>::value, "");
static_assert(std::is_move_constructible<enos::config>::value && !std::is_copy_constructible<enos::config>::value, "");
static_assert(!std::is_copy_constructible<enos::directory>::value && !std::is_copy_assignable<enos::directory>::value,
              "");
static_assert(std::is_copy_constructible<enos::client_ref>::value, "");
static_assert(std::is_move_constructible<enos::json>::value && !std::is_copy_constructible<enos::json>::value, "");

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

void reads_values()
{
    const std::string text = " {\"a\":{\"b/c\":[1,-2.5,true,\"x\\u0000y\"]},\"big\":18446744073709551615,\"n\":null} ";
    enos::value all = enos::value::parse(text), list = all["/a"]["/b~1c"], nothing;
    CHECK(all && all.type() == ENOS_VALUE_OBJECT && all.count() == 3 && list.count() == 4 && list.json()[0] == '[');
    CHECK(!nothing && !nothing["/a"]["/b"] && nothing.json().empty() && nothing.count() == ENOS_ERR_NOT_FOUND);
    CHECK(!all[std::string("/a\0", 3)] && all[std::string("/n")].type() == ENOS_VALUE_NULL);

    CHECK(list["/0"].as_int() == 1 && list["/1"].as_double() == -2.5 && list["/2"].as_bool());
    CHECK(all["/big"].as_uint() == UINT64_MAX && list["/3"].as_text() == std::string("x\0y", 3));
    CHECK(list["/3"].equals(std::string("x\0y", 3)) && !list["/3"].equals("x"));
    CHECK(all["/x"].as_int(-7) == -7 && all["/n"].as_double(0.5) == 0.5 && all["/n"].as_text("none") == "none");
    CHECK(list["/0"].as_uint(7) == 1 && !list["/0"].as_bool(false));
    CHECK(thrown([&] { all["/x"].as_int(); }) == ENOS_ERR_NOT_FOUND);
    CHECK(thrown([&] { all["/big"].as_int(); }) == ENOS_ERR_TOO_LARGE);
    CHECK(thrown([&] { all["/n"].as_text(); }) == ENOS_ERR_INVALID_ARG);
    CHECK(thrown([&] { enos::value::parse("[1,]"); }) == ENOS_ERR_PARSE);
    bool flag = true;
    std::string unchanged = "as it was";
    CHECK(list["/0"].read(flag) == ENOS_ERR_INVALID_ARG && flag);
    CHECK(list["/0"].read(unchanged) == ENOS_ERR_INVALID_ARG && unchanged == "as it was");

    std::string keys;
    for (const enos::value::item &member : all)
        keys += member.key.as_text() + (member.value.type() == ENOS_VALUE_NULL ? "0 " : " ");
    CHECK(keys == "a big n0 ");
    int elements = 0;
    for (enos::value::iterator at = list.begin(); at != list.end(); ++at)
        elements += !at->key && at->value;
    CHECK(elements == 4);
    for (const enos::value::item &none : nothing)
        CHECK(!none.value);
}

void builds_values()
{
    enos::json first;
    enos::json json(std::move(first));
    CHECK(first.get() == nullptr && json.get() != nullptr && first.put(1).size() == 0);

    json.begin_measurepoints(5).put("t", 21.1f).begin_point("p", 9).put(1500.5).end().begin_point("q").put(1);
    json.end().end();
    CHECK(json.str() == "{\"measurepoints\":{\"t\":21.1,\"p\":{\"value\":1500.5,\"quality\":9},\"q\":{\"value\":1}},"
                        "\"time\":5}");
    CHECK(json.size() == json.str().size());

    json.clear()
        .begin_object()
        .put("i", -1)
        .put("u", UINT64_MAX)
        .put("c", static_cast<unsigned char>(7))
        .put("b", true);
    json.put("z", nullptr)
        .put("s", std::string("a\0b", 3))
        .put("l", "text")
        .put("part", enos::value::parse("[1]")["/0"]);
    json.begin_array("list").begin_array().end().begin_object().end().put("x").put(2LL).raw(" {} ").text_lossy("\xFF");
    json.end().begin_object("o").end().raw("r", "[ 1]").text_lossy("y", "\xFE!").end();
    CHECK(json.str() == "{\"i\":-1,\"u\":18446744073709551615,\"c\":7,\"b\":true,\"z\":null,\"s\":\"a\\u0000b\","
                        "\"l\":\"text\",\"part\":1,\"list\":[[],{},\"x\",2,{},\"\xEF\xBF\xBD\"],\"o\":{},\"r\":[ 1],"
                        "\"y\":\"\xEF\xBF\xBD!\"}");

    json.clear().nonfinite(ENOS_NONFINITE_LEAVE_OUT).begin_measurepoints();
    json.put("broken", std::numeric_limits<double>::quiet_NaN()).put("fine", 1).end();
    CHECK(json.left_out() == 1 && json.str() == "{\"measurepoints\":{\"fine\":1}}");

    CHECK(thrown([&] { json.clear().begin_object().str(); }) == ENOS_ERR_STATE);
    json.clear().begin_object().put(std::string("k\0", 2), 1).put("later", 2).end();
    CHECK(thrown([&] { json.str(); }) == ENOS_ERR_INVALID_ARG);
    json.clear().begin_object().put("k", 1).put("k", 2).end();
    CHECK(thrown([&] { json.str(); }) == ENOS_ERR_STATE);
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
    reads_values();
    builds_values();
    handles();
    directories(argv[1]);
    CHECK_STATUS(enos_log_set(nullptr, nullptr, 0), ENOS_OK);
    CHECK(!log.empty() && log.find("hush") == std::string::npos);
    return checked();
}
