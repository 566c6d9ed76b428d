/*
 * C++: enos.hpp on top of enos.h. Objects free their resources, calls that must not fail throw, and the event handler
 * is a member of an object, without std::function and without an allocation.
 *
 *     ENOS_PRODUCT_SECRET=... 07_cplusplus SERVER PRODUCT_KEY DEVICE_KEY DIRECTORY
 *
 * It reports while it is online, and ends at SIGINT or SIGTERM.
 */
#include <enos.hpp>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iostream>

namespace {

using seconds = std::chrono::seconds;
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

class device {
public:
    /* Runs inside loop(), on the thread that called it. It must not throw, so it checks the result of a post. */
    void operator()(enos::client_ref, const enos_event &event)
    {
        std::cout << enos_event_name(event.type) << ": " << enos_strerror(event.status) << "; " << event.detail << '\n';
        if (event.type == ENOS_EVENT_CONNECTED || event.type == ENOS_EVENT_DISCONNECTED)
            online_ = event.type == ENOS_EVENT_CONNECTED;
        else if (event.type == ENOS_EVENT_REPLY)
            std::cout << "reply, code " << event.detail_code << '\n';
        else if (event.type == ENOS_EVENT_STOPPED)
            stopped_ = true;
    }

    bool stopped() const { return stopped_; }

    /* Reports when that is due. Returns the time until the next report in milliseconds. */
    uint32_t work(enos::client_ref client)
    {
        if (!online_)
            return ENOS_FOREVER;
        const auto now = steady::now();
        if (now >= due_) {
            due_ = now + seconds(1); /* for a demonstration */
            if (!client.post_measurepoints(params()))
                std::cerr << "not reported: " << enos_last_error() << '\n';
        }
        return static_cast<uint32_t>(std::chrono::duration_cast<std::chrono::milliseconds>(due_ - now).count()) + 1;
    }

private:
    static std::string params()
    {
        const auto now = std::chrono::system_clock::now().time_since_epoch();
        const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
        return "{\"measurepoints\":{\"temperature\":21.5},\"time\":" + std::to_string(ms) + "}";
    }

    bool online_ = false;
    bool stopped_ = false;
    steady::time_point due_;
};

void run(char **argv, const char *secret)
{
    device self; /* declared before the client, which calls it until it is destroyed */
    enos::config config;
    config.server(argv[1]).identity(argv[2], argv[3]).product_secret(secret);
    config.storage(enos::directory(argv[4])).on_event(self);

    enos::client client(config);
    waking waking(client);
    client.connect();
    while (!stop)
        client.loop(self.work(client));

    client.disconnect();
    while (!self.stopped()) /* until the device is offline and no secret is unsaved */
        client.loop();
}

} // namespace

int main(int argc, char **argv)
{
    const char *secret = std::getenv("ENOS_PRODUCT_SECRET");

    if (argc != 5 || secret == nullptr) {
        std::cerr << "ENOS_PRODUCT_SECRET=... " << argv[0] << " SERVER PRODUCT_KEY DEVICE_KEY DIRECTORY\n";
        return 2;
    }
    std::cout << std::unitbuf;
    std::signal(SIGINT, on_signal);
    std::signal(SIGTERM, on_signal);
    try {
        run(argv, secret);
    } catch (const enos::error &error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
    return 0;
}
