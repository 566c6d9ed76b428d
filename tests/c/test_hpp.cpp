// enos.hpp: its exceptions, its results, the release of resources, moves of objects, sub-devices, and values.
#include <enos.hpp>

#include "check.h"

#include <algorithm>
#include <limits>
#include <type_traits>
#include <utility>

static_assert(std::is_move_constructible<enos::client>::value && !std::is_copy_constructible<enos::client>::value, "");
static_assert(std::is_move_constructible<enos::config>::value && !std::is_copy_constructible<enos::config>::value, "");
static_assert(!std::is_copy_constructible<enos::directory>::value && !std::is_copy_assignable<enos::directory>::value,
              "");
static_assert(std::is_copy_constructible<enos::client_ref>::value, "");
static_assert(std::is_copy_assignable<enos::command>::value && std::is_nothrow_move_assignable<enos::command>::value,
              "");
static_assert(std::is_nothrow_move_constructible<enos::command>::value, "");
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

/* Keeps every command except those that it ignores. */
struct Device {
    std::vector<enos::command> kept;
    std::vector<uint64_t> outcomes;
    std::string data;
    void *user = nullptr;
    void operator()(enos::client_ref, const enos_event &event)
    {
        if (event.type == ENOS_EVENT_COMMAND && enos::command_ref(event.command).name() != "ignored")
            kept.push_back(enos::command(event.command));
        if (event.type != ENOS_EVENT_REPLY && event.type != ENOS_EVENT_DELIVERED)
            return;
        CHECK(event.status == ENOS_OK);
        outcomes.push_back(event.token);
        if (event.operation == ENOS_OP_ATTRIBUTE_QUERY) {
            data.assign(event.data.text, event.data.len);
            user = event.user;
        }
    }
    enos::command *find(const std::string &name)
    {
        for (enos::command &command : kept)
            if (command.name() == name)
                return &command;
        return nullptr;
    }
};

void await(enos::client_ref client, const Device &device, uint64_t token)
{
    while (std::find(device.outcomes.begin(), device.outcomes.end(), token) == device.outcomes.end())
        client.loop();
}

void requests(enos::client_ref client, Device &device)
{
    const std::string limit = "{\"attributes\":{\"limit\":1.5}}";
    const uint32_t kept = ENOS_REQUEST_DURABLE | ENOS_REQUEST_UNTIL_REPLY;

    CHECK(client.topic("thing/service/+") == "/sys/pk/dk/thing/service/+");
    CHECK(thrown([&] { client.topic(std::string("a\0b", 3)); }) == ENOS_ERR_INVALID_ARG);
    await(client, device, client.update_attributes(limit).token());
    await(client, device, client.post_event("hot", "{\"events\":{\"t\":1},\"time\":1700000000000}").token());
    enos::request query(ENOS_OP_ATTRIBUTE_QUERY);
    query.params("{\"attributes\":[]}").timeout_ms(10000).user(&device);
    await(client, device, client.request(query).token());
    CHECK(device.data == "{\"limit\":1.5}" && device.user == &device);

    enos::json json;
    json.begin_measurepoints(1700000000000).put("t", 1).end();
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
}

void commands(enos::client_ref client, Device &device)
{
    enos::command *kept = device.find("kept");
    enos::command copy(*kept), moved(std::move(*kept));
    CHECK(kept->get() == nullptr && copy.get() == moved.get() && kept->type() == 0 && kept->name().empty());
    CHECK(copy.type() == ENOS_COMMAND_SERVICE && copy.remaining_ms() > 0 && !copy.was_interrupted());
    CHECK(copy.subdevice() == 0 && copy.since_login_ms() < 60000 && copy.raw().find("params") != std::string::npos);
    CHECK(copy.params().json() == "{\"n\":1}" && copy.params()["/n"].as_int() == 1);
    CHECK(!copy.reply(200, enos::json())); // nothing was put, and it can still be answered
    CHECK(!copy.reply_text(200, "{\"open\":"));
    await(client, device, copy.reply_text(200, "{\"n\":2}", "done").token());
    CHECK(moved.reply(200, enos::json().put(1)).status() == ENOS_ERR_STATE);
    moved = copy;
    CHECK(moved.get() == copy.get());

    for (enos::command &command : device.kept)
        if (command.get() != nullptr && command.type() == ENOS_COMMAND_RAW) {
            CHECK(command.raw() == "raw");
            await(client, device, command.reply_raw(std::string("\1\0", 2)).token());
        }
    *device.find("dropped") = copy; // the one that it held is answered, because nobody holds it any more
}

/* Counts what it is told of sub-devices, and keeps the last state of each and their commands. */
struct Gateway {
    std::vector<enos_event> states;
    std::vector<enos::command> commands;
    enos_event reply = enos_event();
    void operator()(enos::client_ref, const enos_event &event)
    {
        if (event.type == ENOS_EVENT_SUBDEVICE_STATE)
            states.push_back(event);
        else if (event.type == ENOS_EVENT_COMMAND && event.subdevice != 0)
            commands.push_back(enos::command(event.command));
        else if (event.type == ENOS_EVENT_REPLY)
            reply = event;
    }
    bool last_is(uint64_t id, int32_t state) const
    {
        for (size_t at = states.size(); at-- > 0;)
            if (states[at].subdevice == id)
                return states[at].subdevice_state == state;
        return false;
    }
};

void until(enos::client_ref client, const Gateway &gateway, uint64_t id, int32_t state)
{
    while (!gateway.last_is(id, state))
        client.loop();
}

/* With a cloud in which sub/s1 to sub/s3 are its sub-devices; s2 is not active yet. It sends s1 a command. */
void subdevices(const char *uri, const char *secret, const std::string &path)
{
    const std::string own = secret, products = "the-sub-product-s3cret";
    Gateway gateway;
    enos::config config;
    config.server(uri).identity("pk", "dk").device_secret(secret).on_event(gateway);
    config.storage(enos::directory::create(path)).subdevice_limit(3).subdevice_batch(2).join_time(10);
    enos::client client(config);
    client.connect();
    CHECK(client.wait(ENOS_STATE_ONLINE, 10000) == ENOS_OK);

    std::vector<enos::subdevice_options> options(1, enos::subdevice_options("sub", "s1").device_secret(own));
    options.push_back(enos::subdevice_options("sub", "s2").product_secret(products).user(&gateway).client_id("second"));
    std::vector<uint64_t> ids = client.add_subdevices(options);
    ids.push_back(client.add_subdevice(enos::subdevice_options("sub", "s3")
                                           .device_secret(secret)
                                           .sign_method(ENOS_SIGN_SHA256)
                                           .flags(ENOS_SUBDEVICE_OFFLINE)));
    CHECK(ids.size() == 3 && ids[0] != 0 && ids[0] < ids[1] && ids[1] < ids[2]);
    CHECK(thrown([&] { client.add_subdevice(options[0]); }) == ENOS_ERR_INVALID_ARG);
    CHECK(thrown([&] { client.add_subdevices(std::vector<enos::subdevice_options>()); }) != ENOS_OK);
    CHECK(thrown([&] { client.add_subdevice(enos::subdevice_options("sub", std::string("a\0b", 3))); }) ==
          ENOS_ERR_INVALID_ARG);
    CHECK(thrown([&] { client.subdevice_saved(ids[0]); }) == ENOS_ERR_STATE);
    until(client, gateway, ids[0], ENOS_SUBDEVICE_STATE_ONLINE);
    until(client, gateway, ids[1], ENOS_SUBDEVICE_STATE_ONLINE);
    CHECK(client.subdevice_state(ids[2]) == ENOS_SUBDEVICE_STATE_OFFLINE);
    CHECK(client.set_subdevice_online(ids[2], true) == ENOS_OK);
    until(client, gateway, ids[2], ENOS_SUBDEVICE_STATE_ONLINE);
    CHECK(thrown([&] { client.add_subdevice(enos::subdevice_options("sub", "s4").device_secret("s")); }) ==
          ENOS_ERR_QUEUE_FULL);

    enos::request post(ENOS_OP_MEASUREPOINT_POST);
    const uint64_t token =
        client.request(post.subdevice(ids[1]).params("{\"measurepoints\":{\"power\":1}}").user(&ids)).token();
    while (gateway.reply.token != token)
        client.loop();
    CHECK(gateway.reply.status == ENOS_OK && gateway.reply.subdevice == ids[1] && gateway.reply.user == &ids);
    while (gateway.commands.empty())
        client.loop();
    CHECK(gateway.commands[0].subdevice() == ids[0] && gateway.commands[0].reply(200));
    gateway.commands.clear();

    CHECK(client.set_subdevice_online(ids[2], false) == ENOS_OK);
    until(client, gateway, ids[2], ENOS_SUBDEVICE_STATE_OFFLINE);
    CHECK(client.remove_subdevice(ids[0]) == ENOS_OK && client.remove_subdevice(ids[0]) == ENOS_ERR_NOT_FOUND);
    CHECK(client.set_subdevice_online(ids[0], true) == ENOS_ERR_NOT_FOUND);
    const std::vector<enos::subdevice> left = client.subdevices();
    CHECK(left.size() == 2 && left[0].id == ids[1] && left[0].product_key == "sub" && left[0].device_key == "s2");
    CHECK(left[0].state == ENOS_SUBDEVICE_STATE_ONLINE && left[0].user == &gateway && left[1].device_key == "s3");
    client.disconnect();
    CHECK(client.wait(ENOS_STATE_IDLE, 10000) == ENOS_OK);
}

/* With a cloud that has sent it the services kept, dropped, ignored and last, and raw data. */
void device(const char *uri, const char *secret, const std::string &path)
{
    Device device;
    enos::config config;
    config.server(uri).identity("pk", "dk").device_secret(secret).on_event(device);
    config.storage(enos::directory::create(path));
    {
        enos::client client(config);
        client.connect();
        while (device.kept.size() < 4)
            client.loop();
        commands(client, device);
        requests(client, device);
        client.disconnect();
        CHECK(client.wait(ENOS_STATE_IDLE, 10000) == ENOS_OK);
    }
    enos::command *last = device.find("last");
    CHECK(last != nullptr && last->reply(200).status() == ENOS_ERR_STATE);
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

void firmwares()
{
    const char *json =
        "{\"version\":\"2\",\"fileUrl\":\"/f\",\"signMethod\":\"md5\",\"sign\":\"00\",\"fileSize\":\"7\"}";
    enos::firmware parsed = enos::firmware::parse(enos::value::parse(json), 3);
    enos::firmware copy(parsed.get()), moved(std::move(parsed));
    copy = moved;
    CHECK(copy.version() == "2" && copy.url() == "/f" && copy.sign_method() == "md5" && copy.sign() == "00");
    CHECK(copy.size() == 7 && copy.subdevice() == 3 && copy.state() == ENOS_FIRMWARE_OFFERED);
    CHECK(thrown([] { enos::firmware::parse(enos::value::parse("{}")); }) == ENOS_ERR_PARSE);
    CHECK(thrown([] { enos::firmware none(static_cast<const enos_firmware *>(nullptr)); }) == ENOS_ERR_NULL_ARG);

    enos::config config;
    config.server("tcp://127.0.0.1:1").identity("pk", "dk").device_secret("s").firmware_version("1");
    CHECK(thrown([&] { config.firmware_version(""); }) == ENOS_ERR_INVALID_ARG);
    enos::client client(config);
    CHECK(client.ota_report(enos::firmware::parse(enos::value::parse(json)), 5, "words").status() == ENOS_ERR_STATE);
    CHECK_STATUS(client.ota_installed(copy), ENOS_ERR_NOT_FOUND);
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
    reads_values();
    builds_values();
    handles();
    firmwares();
    directories(argv[1]);
    if (argc > 4) {
        device(argv[2], argv[3], std::string(argv[1]) + "-device");
        subdevices(argv[4], argv[3], std::string(argv[1]) + "-gateway");
    }
    CHECK_STATUS(enos_log_set(nullptr, nullptr, 0), ENOS_OK);
    CHECK(!log.empty() && log.find("hush") == std::string::npos);
    return checked();
}
