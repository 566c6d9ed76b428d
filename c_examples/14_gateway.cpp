/*
 * C++: a gateway with two inverters behind it, which are in its topology in EnOS. 13_gateway.c has more of them, and shows
 * what to do when one does not answer.
 *
 *     ENOS_PRODUCT_SECRET=... ENOS_INVERTER_SECRET=... 14_gateway SERVER PRODUCT_KEY DEVICE_KEY DIRECTORY INVERTER_PRODUCT_KEY
 *
 * ENOS_INVERTER_SECRET is the product secret of the inverters, which are activated when they log in for the first time.
 */
#include <enos.hpp>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

namespace {

using milliseconds = std::chrono::milliseconds;
using steady = std::chrono::steady_clock;

volatile std::sig_atomic_t stop;
std::atomic<enos_client *> to_wake(nullptr);

extern "C" void on_signal(int)
{
    stop = 1;
    enos_client_wake(to_wake); /* the loop may be waiting; NULL is fine */
}

/* Lets the signals wake a client during its lifetime, also when an exception ends it. */
struct waking {
    explicit waking(enos::client_ref client) { to_wake = client.get(); }
    ~waking() { to_wake = nullptr; }
};

struct inverter {
    std::string device_key;
    double power; /* in place of Modbus */
    uint64_t id;  /* of the sub-device */
};

class gateway {
public:
    /* Adds all inverters with one call. They log in when the gateway is online. */
    void add(enos::client_ref client, const std::string &product_key, const std::string &product_secret)
    {
        std::vector<enos::subdevice_options> options;
        for (inverter &one : inverters_) {
            options.push_back(enos::subdevice_options(product_key, one.device_key));
            options.back().product_secret(product_secret).user(&one);
        }
        const std::vector<uint64_t> ids = client.add_subdevices(options);
        for (size_t at = 0; at < ids.size(); ++at)
            inverters_[at].id = ids[at];
    }

    /* Runs inside loop(), on the thread that called it. It must not throw. */
    void operator()(enos::client_ref, const enos_event &event)
    {
        const inverter *about = event.subdevice == 0 ? nullptr : static_cast<const inverter *>(event.user);
        std::cout << (about == nullptr ? "the gateway" : about->device_key) << ' ' << enos_event_name(event.type)
                  << ": ";
        if (event.type == ENOS_EVENT_SUBDEVICE_STATE)
            std::cout << enos_subdevice_state_name(event.subdevice_state) << ", ";
        std::cout << enos_strerror(event.status) << "; " << event.detail << '\n';
        stopped_ = stopped_ || event.type == ENOS_EVENT_STOPPED;
        if (event.type == ENOS_EVENT_COMMAND && about != nullptr &&
            enos_command_get_type(event.command) == ENOS_COMMAND_MEASUREPOINT_GET &&
            !enos::command_ref(event.command).reply(200, enos::json().begin_object().put("power", about->power).end()))
            std::cerr << "not answered: " << enos_last_error() << '\n';
    }

    bool stopped() const { return stopped_; }

    void report(enos::client_ref client)
    {
        for (inverter &one : inverters_) {
            if (client.subdevice_state(one.id) != ENOS_SUBDEVICE_STATE_ONLINE)
                continue;
            json_.clear().begin_measurepoints().put("power", one.power).end();
            if (!client.request(enos::request(ENOS_OP_MEASUREPOINT_POST).subdevice(one.id).json(json_).user(&one)))
                std::cerr << one.device_key << ": " << enos_last_error() << '\n';
        }
    }

private:
    std::vector<inverter> inverters_{{"inverter-1", 4500.0, 0}, {"inverter-2", 4200.0, 0}}; /* they keep their places */
    enos::json json_;
    bool stopped_ = false;
};

void run(char **argv, const char *secret, const std::string &inverter_secret)
{
    gateway self; /* declared before the client, which calls it until it is destroyed */
    enos::config config;
    config.server(argv[1]).identity(argv[2], argv[3]).product_secret(secret);
    config.storage(enos::directory(argv[4])).on_event(self);

    enos::client client(config);
    waking waking(client);
    self.add(client, argv[5], inverter_secret);
    client.connect();
    steady::time_point due = steady::now();
    while (!stop) {
        const steady::time_point now = steady::now();
        if (now >= due) {
            self.report(client);
            due = now + std::chrono::seconds(1); /* for a demonstration */
        }
        client.loop(static_cast<uint32_t>(std::chrono::duration_cast<milliseconds>(due - now).count()) + 1);
    }
    client.disconnect();
    while (!self.stopped()) /* until the device is offline and no secret is unsaved */
        client.loop();
}

} // namespace

int main(int argc, char **argv)
{
    const char *secret = std::getenv("ENOS_PRODUCT_SECRET"), *inverter_secret = std::getenv("ENOS_INVERTER_SECRET");

    if (argc != 6 || secret == nullptr || inverter_secret == nullptr) {
        std::cerr << "ENOS_PRODUCT_SECRET=... ENOS_INVERTER_SECRET=... " << argv[0]
                  << " SERVER PRODUCT_KEY DEVICE_KEY DIRECTORY INVERTER_PRODUCT_KEY\n";
        return 2;
    }
    std::cout << std::unitbuf;
    std::signal(SIGINT, on_signal);
    std::signal(SIGTERM, on_signal);
    try {
        run(argv, secret, inverter_secret);
    } catch (const enos::error &error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
    return 0;
}
