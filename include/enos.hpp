/**
 * @file enos.hpp
 *
 * enos.h for C++11 and later: objects that free what they hold, exceptions for what must not fail. A thin cover and
 * nothing behind it: everything is inline, and what has no member here is called with get(). What each call does, its
 * ranges and statuses, and the rules for threads and callbacks stand in enos.h.
 *
 * A call that the program cannot go on without throws enos::error. Those that move messages return enos::sent: that a
 * device is not online is everyday. A program that is compiled without exceptions (-fno-exceptions) is aborted where an
 * exception would be thrown, and the words go to stderr. To have something else done, define ENOS_HPP_FAIL(status) before
 * you include this header. It must not return.
 *
 * @code
 *     struct { void operator()(enos::client_ref client, const enos_event &event) { ... } } handler;
 *     enos::config config;
 *     config.server("tcp://mqtt.example.com:11883").identity("my-product-key", "my-device-key");
 *     config.product_secret(secret).storage(enos::directory("/var/lib/my-device")).on_event(handler);
 *     enos::client client(config);
 *     client.connect();
 *     for (;;) client.loop();
 * @endcode
 *
 * Texts are std::string without a NUL; payloads may hold any byte. Handles can be moved, not copied; a command and a firmware can be both.
 */
#ifndef ENOS_HPP
#define ENOS_HPP

#include <enos.h>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

/** A result that is to be looked at, as ENOS_MUST_USE in C. */
#if __cplusplus >= 201703L
#define ENOS_NODISCARD [[nodiscard]]
#else
#define ENOS_NODISCARD ENOS_MUST_USE
#endif

/** For how long the end of an enos::client loops until a device secret is stored, in milliseconds. */
#ifndef ENOS_HPP_END_MS
#define ENOS_HPP_END_MS 10000
#endif

/** What a failure does: it throws an exception, if the program has exceptions. */
#ifndef ENOS_HPP_FAIL
#if defined(__cpp_exceptions) || defined(__EXCEPTIONS)
#define ENOS_HPP_FAIL(status) throw ::enos::error(status)
#else
#define ENOS_HPP_FAIL(status) (std::fprintf(stderr, "libenos: %s\n", ::enos::error(status).what()), std::abort())
#endif
#endif

/** The C++ cover of enos.h. */
namespace enos {

/** A call that failed: its status, and enos_last_error() as what(). */
class error : public std::runtime_error {
public:
    /** From a status, with the thread's enos_last_error(). */
    explicit error(enos_status status) : std::runtime_error(enos_last_error()), status_(status) {}
    /** One of enum enos_status_code. */
    enos_status status() const noexcept { return status_; }

private:
    enos_status status_;
};

/** Throws unless the status is ENOS_OK. For the functions that have no member here. */
inline void check(enos_status status)
{
    if (status != ENOS_OK)
        ENOS_HPP_FAIL(status);
}

/** A text for C. One that holds a NUL would be cut off there: it becomes one that is refused, as no UTF-8. */
inline const char *text(const std::string &s) noexcept
{
    return s.find('\0') == std::string::npos ? s.c_str() : "\xFF";
}

/**
 * JSON to read, in place: an enos_value. It is copied like a pointer, allocates nothing except for the std::string of
 * as_text(), and lives as long as the text that it points into. A look-up in a value that is missing is missing, too, so
 * look-ups can be chained:
 *
 * @code
 *     double power;
 *     if (params["/limits/power"].read(power) == ENOS_OK) ...
 *     int64_t mode = params["/mode"].as_int(0);
 *     for (enos::value::item member : params["/limits"]) ...member.key.as_text()...member.value.as_double()...
 * @endcode
 */
class value {
public:
    /** A value that is missing. */
    value() noexcept : value_() {}
    /** From the C struct. */
    value(const enos_value &from) noexcept : value_(from) {}
    /** enos_value_parse(): checks the text, which has to live as long as the value. */
    static value parse(const char *text, size_t len)
    {
        value parsed;
        check(enos_value_parse(text, len, &parsed.value_));
        return parsed;
    }
    /** The same, up to its NUL. */
    static value parse(const char *text) { return parse(text, ENOS_NUL_TERMINATED); }
    /** The same. The text is not copied. */
    static value parse(const std::string &text) { return parse(text.data(), text.size()); }
    /** A value does not live longer than its text. */
    static value parse(std::string &&text) = delete;

    /** For the C functions. */
    const enos_value &get() const noexcept { return value_; }
    /** Whether it is there. */
    explicit operator bool() const noexcept { return value_.text != nullptr; }
    /** enos_value_at(), with a JSON Pointer */
    value operator[](const char *pointer) const noexcept { return value(enos_value_at(value_, pointer)); }
    /** The same. */
    value operator[](const std::string &pointer) const noexcept { return (*this)[text(pointer)]; }
    /** An index is a text in a JSON Pointer: "/0". To visit all elements, use begin(). */
    value operator[](int) const = delete;
    /** enos_value_type(): one of enum enos_value_kind, or a status */
    int32_t type() const noexcept { return enos_value_type(value_); }
    /** enos_value_count(): the number of members or elements, or a status */
    int32_t count() const noexcept { return enos_value_count(value_); }
    /** enos_value_equals() */
    bool equals(const std::string &expected) const noexcept
    {
        return enos_value_equals(value_, expected.data(), expected.size()) == 1;
    }
    /** The JSON itself; "" when it is missing. */
    std::string json() const { return *this ? std::string(value_.text, value_.len) : std::string(); }

    /** enos_value_int(): out is unchanged unless it is ENOS_OK. */
    enos_status read(int64_t &out) const noexcept { return enos_value_int(value_, &out); }
    /** enos_value_uint() */
    enos_status read(uint64_t &out) const noexcept { return enos_value_uint(value_, &out); }
    /** enos_value_double() */
    enos_status read(double &out) const noexcept { return enos_value_double(value_, &out); }
    /** enos_value_bool() */
    enos_status read(bool &out) const noexcept
    {
        int32_t flag = 0;
        const enos_status status = enos_value_bool(value_, &flag);
        if (status == ENOS_OK)
            out = flag != 0;
        return status;
    }
    /** enos_value_text() */
    enos_status read(std::string &out) const
    {
        size_t capacity = 0;
        enos_status status = enos_value_text(value_, nullptr, 0, &capacity);
        if (status != ENOS_ERR_BUFFER_TOO_SMALL)
            return status;
        std::string read(capacity, '\0');
        status = enos_value_text(value_, &read[0], capacity, &capacity);
        if (status == ENOS_OK) {
            read.resize(capacity);
            out.swap(read);
        }
        return status;
    }

    /** The number; throws when it is none. */
    int64_t as_int() const { return as<int64_t>(); }
    /** The number; throws when it is none. */
    uint64_t as_uint() const { return as<uint64_t>(); }
    /** The number; throws when it is none. */
    double as_double() const { return as<double>(); }
    /** Throws when it is neither true nor false. */
    bool as_bool() const { return as<bool>(); }
    /** The text; throws when it is none. */
    std::string as_text() const { return as<std::string>(); }
    /** The number, or this one when there is none. */
    int64_t as_int(int64_t otherwise) const noexcept { return as(otherwise); }
    /** The number, or this one when there is none. */
    uint64_t as_uint(uint64_t otherwise) const noexcept { return as(otherwise); }
    /** The number, or this one when there is none. */
    double as_double(double otherwise) const noexcept { return as(otherwise); }
    /** Whether it is true, or this when it is neither true nor false. */
    bool as_bool(bool otherwise) const noexcept { return as(otherwise); }
    /** The text, or this one when there is none. */
    std::string as_text(const std::string &otherwise) const { return as(otherwise); }

    struct item;
    class iterator;
    /** enos_value_next(): the members of an object, or the elements of an array; none of another value. */
    iterator begin() const noexcept;
    /** The end of that. */
    iterator end() const noexcept;

private:
    template <class T> T as() const
    {
        T out = T();
        check(read(out));
        return out;
    }
    template <class T> T as(const T &otherwise) const
    {
        T out = T();
        return read(out) == ENOS_OK ? out : otherwise;
    }
    enos_value value_;
};

/** A member of an object, or an element of an array, whose key is missing. */
struct value::item {
    enos::value key;   ///< a text
    enos::value value; ///< what it has
};

/** Where a walk stands. */
class value::iterator {
public:
    /** The present member or element. */
    const item &operator*() const noexcept { return item_; }
    /** The same. */
    const item *operator->() const noexcept { return &item_; }
    /** Goes on to the next one. */
    iterator &operator++() noexcept
    {
        enos_value key = enos_value(), found = enos_value();
        there_ = enos_value_next(container_, &cursor_, &key, &found) == 1;
        item_.key = enos::value(key);
        item_.value = enos::value(found);
        return *this;
    }
    /** Whether one of them is at the end, and the other is not. */
    bool operator!=(const iterator &other) const noexcept { return there_ != other.there_; }

private:
    friend class enos::value;
    explicit iterator(const enos_value &container) noexcept : container_(container) {}
    enos_value container_;
    size_t cursor_ = 0;
    bool there_ = false;
    item item_;
};

inline value::iterator value::begin() const noexcept
{
    return ++iterator(value_);
}
inline value::iterator value::end() const noexcept
{
    return iterator(value_);
}

/**
 * JSON to build: an enos_json. Its calls can be chained. The first error stays, and comes out as an exception of str().
 *
 * @code
 *     enos::json json;
 *     json.begin_measurepoints(now_ms).put("temperature", 21.1f).begin_point("power", 9).put(1500.5).end().end();
 *     client.post_measurepoints(json.str());
 * @endcode
 */
class json {
public:
    /** enos_json_new() */
    json() { check(enos_json_new(&json_)); }
    /** Takes over what the other holds. */
    json(json &&other) noexcept : json_(other.json_) { other.json_ = nullptr; }
    ~json() { enos_json_free(json_); }

    /** For the C functions. */
    enos_json *get() const noexcept { return json_; }

    /** enos_json_clear() */
    json &clear() noexcept { return enos_json_clear(json_), *this; }
    /** enos_json_set_nonfinite() */
    json &nonfinite(enos_nonfinite policy) noexcept { return enos_json_set_nonfinite(json_, policy), *this; }
    /** enos_json_begin_object(), as the outermost value or an element */
    json &begin_object() noexcept { return enos_json_begin_object(json_, nullptr), *this; }
    /** enos_json_begin_object(), as a member */
    json &begin_object(const std::string &key) noexcept { return enos_json_begin_object(json_, text(key)), *this; }
    /** enos_json_begin_array(), as the outermost value or an element */
    json &begin_array() noexcept { return enos_json_begin_array(json_, nullptr), *this; }
    /** enos_json_begin_array(), as a member */
    json &begin_array(const std::string &key) noexcept { return enos_json_begin_array(json_, text(key)), *this; }
    /** enos_json_begin_measurepoints() */
    json &begin_measurepoints(int64_t time_ms = ENOS_NO_TIME) noexcept
    {
        return enos_json_begin_measurepoints(json_, time_ms), *this;
    }
    /** enos_json_begin_point() */
    json &begin_point(const std::string &id, int32_t quality = -1) noexcept
    {
        return enos_json_begin_point(json_, text(id), quality), *this;
    }
    /** enos_json_end() */
    json &end() noexcept { return enos_json_end(json_), *this; }

    /** Puts a member: a number, bool, nullptr, text, or value. */
    template <class T> json &put(const std::string &key, const T &value)
    {
        put_as(text(key), value);
        return *this;
    }
    /** Puts an element, the value of a point, or the outermost value. */
    template <class T> json &put(const T &value)
    {
        put_as(nullptr, value);
        return *this;
    }
    /** enos_json_text_lossy(), as a member */
    json &text_lossy(const std::string &key, const std::string &bytes) noexcept
    {
        return enos_json_text_lossy(json_, text(key), bytes.data(), bytes.size()), *this;
    }
    /** enos_json_text_lossy(), as an element */
    json &text_lossy(const std::string &bytes) noexcept
    {
        return enos_json_text_lossy(json_, nullptr, bytes.data(), bytes.size()), *this;
    }
    /** enos_json_raw(), as a member */
    json &raw(const std::string &key, const std::string &encoded) noexcept
    {
        return enos_json_raw(json_, text(key), encoded.data(), encoded.size()), *this;
    }
    /** enos_json_raw(), as an element */
    json &raw(const std::string &encoded) noexcept
    {
        return enos_json_raw(json_, nullptr, encoded.data(), encoded.size()), *this;
    }

    /** enos_json_size() */
    size_t size() const noexcept { return enos_json_size(json_); }
    /** enos_json_left_out() */
    uint32_t left_out() const noexcept { return enos_json_left_out(json_); }
    /** enos_json_result(): a copy of the text; throws the first error. */
    std::string str() const
    {
        const char *whole = nullptr;
        size_t len = 0;
        check(enos_json_result(json_, &whole, &len));
        return std::string(whole, len);
    }

private:
    template <class T> void put_as(const char *key, const T &number) noexcept
    {
        static_assert(std::is_integral<T>::value, "a number, bool, nullptr, text, or enos::value");
        if (std::is_signed<T>::value)
            enos_json_int(json_, key, static_cast<int64_t>(number));
        else
            enos_json_uint(json_, key, static_cast<uint64_t>(number));
    }
    void put_as(const char *key, double number) noexcept { enos_json_double(json_, key, number); }
    void put_as(const char *key, float number) noexcept { enos_json_float(json_, key, number); }
    void put_as(const char *key, bool flag) noexcept { enos_json_bool(json_, key, flag); }
    void put_as(const char *key, std::nullptr_t) noexcept { enos_json_null(json_, key); }
    void put_as(const char *key, const enos::value &value) noexcept { enos_json_value(json_, key, value.get()); }
    void put_as(const char *key, const std::string &s) noexcept { enos_json_text(json_, key, s.data(), s.size()); }
    void put_as(const char *key, const char *s) noexcept { enos_json_text(json_, key, s, ENOS_NUL_TERMINATED); }
    enos_json *json_ = nullptr;
};

/** What became of a call that sends: accepted, with the token that its outcome will carry, or refused. */
class sent {
public:
    /** Whether it was accepted: then exactly one event with its token will come. */
    explicit operator bool() const noexcept { return status_ == ENOS_OK; }
    /** ENOS_OK, or why it was refused; enos_last_error() has the words until the thread's next call. */
    enos_status status() const noexcept { return status_; }
    /** The token; throws when the call was refused. Call it before the thread's next enos call: it has the words. */
    uint64_t token() const
    {
        check(status_);
        return token_;
    }

private:
    friend class client_ref;
    friend class command_ref;
    enos_status status_ = ENOS_OK;
    uint64_t token_ = 0;
};

/** What became of a batch: all of its requests were accepted, or none. */
class sent_batch {
public:
    /** Whether all were accepted: then exactly one event for each token will come. */
    explicit operator bool() const noexcept { return status_ == ENOS_OK; }
    /** ENOS_OK, or why they were refused; enos_last_error() has the words until the thread's next call. */
    enos_status status() const noexcept { return status_; }
    /** The index of the request at fault; SIZE_MAX when it is none of them. */
    size_t bad() const noexcept { return bad_; }
    /** The tokens, in the order of the requests; throws when they were refused, like sent::token(). */
    const std::vector<uint64_t> &tokens() const
    {
        check(status_);
        return tokens_;
    }

private:
    friend class client_ref;
    enos_status status_ = ENOS_OK;
    size_t bad_ = SIZE_MAX;
    std::vector<uint64_t> tokens_;
};

/**
 * An enos_request that keeps its texts. Its setters can be chained:
 *
 * @code
 *     client.request(enos::request(ENOS_OP_TAG_QUERY).params("{\"tags\":[]}").timeout_ms(5000));
 * @endcode
 */
class request {
public:
    /** Without params, those of the operation that are empty are sent. */
    explicit request(enos_operation operation) noexcept { ENOS_INIT(&request_), request_.operation = operation; }

    /** The event's identifier, the path or the topic */
    request &name(const std::string &name)
    {
        name_ = name;
        has_name_ = true;
        return *this;
    }
    /** JSON, or the bytes of a raw message */
    request &params(const std::string &params)
    {
        params_ = params;
        has_params_ = true;
        return *this;
    }
    /** A builder, which is read by the call that sends the request: it has to live until then */
    request &json(const enos::json &json) noexcept { return request_.json = json.get(), *this; }
    /** ENOS_REQUEST_ bits */
    request &flags(uint32_t flags) noexcept { return request_.flags = flags, *this; }
    /** 0: the client's own device */
    request &subdevice(uint64_t id) noexcept { return request_.subdevice = id, *this; }
    /** For the reply; 0: the client's */
    request &timeout_ms(uint32_t ms) noexcept { return request_.timeout_ms = ms, *this; }
    /** Comes back in the outcome */
    request &user(void *user) noexcept { return request_.user = user, *this; }

    /** For the C functions: valid as long as this object is neither changed nor gone. */
    enos_request get() const noexcept
    {
        enos_request request = request_;
        if (has_name_)
            request.name = text(name_);
        if (has_params_) {
            request.params = params_.data();
            request.params_len = params_.size();
        }
        return request;
    }

private:
    enos_request request_;
    std::string name_, params_;
    bool has_name_ = false, has_params_ = false;
};

/**
 * An enos_subdevice_options that keeps its keys. It does not keep the secrets: their texts are not copied, and have to live
 * until the call that adds the sub-device. Its setters can be chained:
 *
 * @code
 *     uint64_t id = client.add_subdevice(enos::subdevice_options("my-product-key", "inverter-1").device_secret(secret));
 * @endcode
 */
class subdevice_options {
public:
    /** With both keys */
    subdevice_options(const std::string &product_key, const std::string &device_key)
        : product_key_(product_key), device_key_(device_key)
    {
        ENOS_INIT(&options_);
    }

    /** Without this one, it is the device key */
    subdevice_options &client_id(const std::string &id)
    {
        client_id_ = id;
        has_client_id_ = true;
        return *this;
    }
    /** Without this one, it is in the storage, or an activation brings it */
    subdevice_options &device_secret(const std::string &key) noexcept
    {
        options_.device_secret = key.data();
        options_.device_secret_len = key.size();
        return *this;
    }
    /** The same, up to its NUL */
    subdevice_options &device_secret(const char *key) noexcept
    {
        options_.device_secret = key;
        options_.device_secret_len = ENOS_NUL_TERMINATED;
        return *this;
    }
    /** The text has to live longer. */
    subdevice_options &device_secret(std::string &&key) = delete;
    /** For the activation */
    subdevice_options &product_secret(const std::string &key) noexcept
    {
        options_.product_secret = key.data();
        options_.product_secret_len = key.size();
        return *this;
    }
    /** The same, up to its NUL */
    subdevice_options &product_secret(const char *key) noexcept
    {
        options_.product_secret = key;
        options_.product_secret_len = ENOS_NUL_TERMINATED;
        return *this;
    }
    /** The text has to live longer. */
    subdevice_options &product_secret(std::string &&key) = delete;
    /** Without this one, it is that of the gateway */
    subdevice_options &sign_method(enos_sign_method method) noexcept
    {
        options_.sign_method = method;
        return *this;
    }
    /** ENOS_SUBDEVICE_ bits of enum enos_subdevice_flags */
    subdevice_options &flags(uint32_t flags) noexcept { return options_.flags = flags, *this; }
    /** Comes back in its events */
    subdevice_options &user(void *user) noexcept { return options_.user = user, *this; }

    /** For the C functions: valid as long as this object is neither changed nor gone. */
    enos_subdevice_options get() const noexcept
    {
        enos_subdevice_options options = options_;
        options.product_key = text(product_key_);
        options.device_key = text(device_key_);
        if (has_client_id_)
            options.client_id = text(client_id_);
        return options;
    }

private:
    enos_subdevice_options options_;
    std::string product_key_, device_key_, client_id_;
    bool has_client_id_ = false;
};

/** A copy of an enos_subdevice: a sub-device as it was when client_ref::subdevices() was called. */
struct subdevice {
    uint64_t id;             ///< for requests
    std::string product_key; ///< its product key
    std::string device_key;  ///< its device key
    int32_t state;           ///< one of enum enos_subdevice_state
    void *user;              ///< that of its options
};

/** A storage in a directory: given to a config, it is the library's; given to none, this releases it. */
class directory {
public:
    /** enos_storage_directory(): throws when there is no such directory. */
    explicit directory(const std::string &path) : directory(path, enos_storage_directory) {}
    /** enos_storage_directory_create(): makes it when it is missing; for provisioning and first runs. */
    static directory create(const std::string &path) { return directory(path, enos_storage_directory_create); }
    /** Takes over what the other holds. */
    directory(directory &&other) noexcept : storage_(other.storage_) { other.storage_.release = nullptr; }
    ~directory()
    {
        if (storage_.release != nullptr)
            storage_.release(storage_.ctx);
    }

private:
    friend class config;
    directory(const std::string &path, enos_status (*open)(const char *, enos_storage *))
    {
        ENOS_INIT(&storage_);
        check(open(text(path), &storage_));
    }
    enos_storage storage_;
};

/** A firmware of its own: a copy of that of an event, or one from JSON. */
class firmware {
public:
    /** enos_firmware_copy(): keeps the firmware of an event. */
    explicit firmware(const enos_firmware *from) : firmware_(nullptr) { check(enos_firmware_copy(from, &firmware_)); }
    /** enos_firmware_parse() */
    static firmware parse(const value &json, uint64_t subdevice = 0)
    {
        enos_firmware *parsed = nullptr;
        check(enos_firmware_parse(json.get(), subdevice, &parsed));
        return firmware(parsed, 0);
    }
    /** The same firmware once more. */
    firmware(const firmware &other) : firmware(other.firmware_) {}
    /** Takes over what the other holds. */
    firmware(firmware &&other) noexcept : firmware_(other.firmware_) { other.firmware_ = nullptr; }
    /** Ends what it held, and holds what the other held. */
    firmware &operator=(firmware other) noexcept
    {
        std::swap(firmware_, other.firmware_);
        return *this;
    }
    ~firmware() { enos_firmware_free(firmware_); }

    /** For the C functions. */
    const enos_firmware *get() const noexcept { return firmware_; }
    /** enos_firmware_version() */
    std::string version() const { return enos_firmware_version(firmware_); }
    /** enos_firmware_url() */
    std::string url() const { return enos_firmware_url(firmware_); }
    /** enos_firmware_sign_method() */
    std::string sign_method() const { return enos_firmware_sign_method(firmware_); }
    /** enos_firmware_sign() */
    std::string sign() const { return enos_firmware_sign(firmware_); }
    /** enos_firmware_size() */
    uint64_t size() const noexcept { return enos_firmware_size(firmware_); }
    /** enos_firmware_subdevice() */
    uint64_t subdevice() const noexcept { return enos_firmware_subdevice(firmware_); }
    /** enos_firmware_get_state(): one of enum enos_firmware_state */
    int32_t state() const noexcept { return enos_firmware_get_state(firmware_); }

private:
    firmware(enos_firmware *own, int) noexcept : firmware_(own) {}
    enos_firmware *firmware_;
};

/** A client that somebody else owns: what an event is about, or what a thread publishes with. Copied like a pointer. */
class client_ref {
public:
    /** From the C handle. */
    explicit client_ref(enos_client *client) noexcept : client_(client) {}

    /** For the C functions. */
    enos_client *get() const noexcept { return client_; }

    /** enos_client_connect() */
    void connect() { check(enos_client_connect(client_)); }
    /** enos_client_disconnect() */
    void disconnect() { check(enos_client_disconnect(client_)); }
    /** enos_client_loop() */
    void loop(uint32_t timeout_ms = ENOS_FOREVER) { check(enos_client_loop(client_, timeout_ms)); }
    /** enos_client_wait(): ENOS_OK, ENOS_ERR_TIMEOUT, or why that state will not come soon. */
    ENOS_NODISCARD enos_status wait(enos_state state, uint32_t timeout_ms)
    {
        return enos_client_wait(client_, state, timeout_ms);
    }
    /** enos_client_flush(): ENOS_OK, ENOS_ERR_TIMEOUT, or why nothing more goes out soon. */
    ENOS_NODISCARD enos_status flush(uint32_t timeout_ms) { return enos_client_flush(client_, timeout_ms); }
    /** enos_client_loop_start() */
    void loop_start() { check(enos_client_loop_start(client_)); }
    /** enos_client_loop_stop() */
    void loop_stop() { check(enos_client_loop_stop(client_)); }
    /** enos_client_wake(): safe in a signal handler */
    void wake() noexcept { enos_client_wake(client_); }
    /** enos_client_fd() */
    int fd() const noexcept { return enos_client_fd(client_); }
    /** enos_client_state(): one of enum enos_state */
    int32_t state() const noexcept { return enos_client_state(client_); }
    /** enos_client_stats() */
    enos_stats stats()
    {
        enos_stats stats;
        ENOS_INIT(&stats);
        check(enos_client_stats(client_, &stats));
        return stats;
    }
    /** enos_client_activation_saved() */
    void activation_saved() { check(enos_client_activation_saved(client_)); }

    /** enos_client_publish() */
    ENOS_NODISCARD sent publish(const std::string &topic, const std::string &payload, int32_t qos = 1,
                                uint32_t flags = 0)
    {
        sent call;
        const uint8_t *bytes = reinterpret_cast<const uint8_t *>(payload.data());
        call.status_ = enos_client_publish(client_, text(topic), bytes, payload.size(), qos, flags, &call.token_);
        return call;
    }
    /** enos_client_subscribe() */
    sent subscribe(const std::string &filter, int32_t qos = 1)
    {
        sent call;
        call.status_ = enos_client_subscribe(client_, text(filter), qos, &call.token_);
        return call;
    }
    /** enos_client_unsubscribe() */
    sent unsubscribe(const std::string &filter)
    {
        sent call;
        call.status_ = enos_client_unsubscribe(client_, text(filter), &call.token_);
        return call;
    }
    /** enos_client_post_measurepoints() */
    ENOS_NODISCARD sent post_measurepoints(const std::string &params, uint32_t flags = 0)
    {
        sent call;
        call.status_ = enos_client_post_measurepoints(client_, params.data(), params.size(), flags, &call.token_);
        return call;
    }
    /** enos_client_post_event() */
    ENOS_NODISCARD sent post_event(const std::string &event, const std::string &params, uint32_t flags = 0)
    {
        sent call;
        call.status_ = enos_client_post_event(client_, text(event), params.data(), params.size(), flags, &call.token_);
        return call;
    }
    /** enos_client_update_attributes() */
    ENOS_NODISCARD sent update_attributes(const std::string &params, uint32_t flags = 0)
    {
        sent call;
        call.status_ = enos_client_update_attributes(client_, params.data(), params.size(), flags, &call.token_);
        return call;
    }
    /** enos_client_request() */
    ENOS_NODISCARD sent request(const enos::request &request)
    {
        sent call;
        const enos_request given = request.get();
        call.status_ = enos_client_request(client_, &given, &call.token_);
        return call;
    }
    /** enos_client_request_batch() */
    ENOS_NODISCARD sent_batch request_batch(const std::vector<enos::request> &requests)
    {
        sent_batch call;
        std::vector<enos_request> given;
        given.reserve(requests.size());
        for (const enos::request &request : requests)
            given.push_back(request.get());
        call.tokens_.resize(given.size());
        call.status_ = enos_client_request_batch(client_, given.data(), given.size(), call.tokens_.data(), &call.bad_);
        return call;
    }
    /** enos_client_topic() */
    std::string topic(const std::string &path) const
    {
        size_t len = 0;
        enos_status status = enos_client_topic(client_, text(path), nullptr, 0, &len);
        if (status != ENOS_ERR_BUFFER_TOO_SMALL)
            check(status);
        std::string topic(len, '\0');
        check(enos_client_topic(client_, text(path), &topic[0], topic.size(), &len));
        topic.resize(len);
        return topic;
    }
    /** enos_client_outbox_info(); 0: of the client's own device */
    enos_outbox_info outbox(uint64_t subdevice = 0)
    {
        enos_outbox_info info;
        ENOS_INIT(&info);
        check(enos_client_outbox_info(client_, subdevice, &info));
        return info;
    }

    /** enos_ota_report() */
    sent ota_report(const firmware &firmware, int32_t step, const std::string &desc = "")
    {
        sent call;
        call.status_ = enos_ota_report(client_, firmware.get(), step, text(desc), &call.token_);
        return call;
    }
    /** enos_ota_installed(): ENOS_OK if the storage has it, and the device may restart. */
    ENOS_NODISCARD enos_status ota_installed(const firmware &firmware) noexcept
    {
        return enos_ota_installed(client_, firmware.get());
    }

    /** enos_client_add_subdevices(): their ids, in the order of the options; throws when none is added. */
    std::vector<uint64_t> add_subdevices(const std::vector<subdevice_options> &subdevices)
    {
        std::vector<enos_subdevice_options> given;
        given.reserve(subdevices.size());
        for (const subdevice_options &one : subdevices)
            given.push_back(one.get());
        std::vector<uint64_t> ids(given.size());
        check(enos_client_add_subdevices(client_, given.data(), given.size(), ids.data()));
        return ids;
    }
    /** The same for one: its id. */
    uint64_t add_subdevice(const subdevice_options &subdevice)
    {
        uint64_t id = 0;
        const enos_subdevice_options given = subdevice.get();
        check(enos_client_add_subdevices(client_, &given, 1, &id));
        return id;
    }
    /** enos_client_set_subdevice_online(): ENOS_OK, or why it stays as it is. */
    ENOS_NODISCARD enos_status set_subdevice_online(uint64_t id, bool on) noexcept
    {
        return enos_client_set_subdevice_online(client_, id, on);
    }
    /** enos_client_remove_subdevice() */
    enos_status remove_subdevice(uint64_t id) noexcept { return enos_client_remove_subdevice(client_, id); }
    /** enos_client_subdevice_saved() */
    void subdevice_saved(uint64_t id) { check(enos_client_subdevice_saved(client_, id)); }
    /** enos_client_subdevice_state(): one of enum enos_subdevice_state, or a status */
    int32_t subdevice_state(uint64_t id) const noexcept { return enos_client_subdevice_state(client_, id); }
    /** enos_client_subdevices(): all of them, in the order in which they were added. */
    std::vector<subdevice> subdevices() const
    {
        std::vector<subdevice> all;
        check(enos_client_subdevices(client_, &keep, &all));
        return all;
    }

private:
    static int32_t keep(void *all, const enos_subdevice *one) noexcept
    {
        const subdevice copy = {one->id, one->product_key, one->device_key, one->state, one->user};
        static_cast<std::vector<subdevice> *>(all)->push_back(copy);
        return 0;
    }

protected:
    enos_client *client_; ///< nullptr in a client that was moved from
};

/** A command that somebody else holds: that of an event, until the handler returns. Copied like a pointer. */
class command_ref {
public:
    /** From the C handle, such as event.command. */
    explicit command_ref(enos_command *command) noexcept : command_(command) {}

    /** For the C functions. */
    enos_command *get() const noexcept { return command_; }

    /** enos_command_get_type(): one of enum enos_command_type */
    int32_t type() const noexcept { return enos_command_get_type(command_); }
    /** enos_command_name() */
    std::string name() const { return enos_command_name(command_); }
    /** enos_command_params(): valid as long as somebody holds the command */
    value params() const noexcept { return value(enos_command_params(command_)); }
    /** enos_command_raw() */
    std::string raw() const
    {
        size_t len = 0;
        const uint8_t *bytes = enos_command_raw(command_, &len);
        return bytes == nullptr ? std::string() : std::string(reinterpret_cast<const char *>(bytes), len);
    }
    /** enos_command_subdevice() */
    uint64_t subdevice() const noexcept { return enos_command_subdevice(command_); }
    /** enos_command_remaining_ms() */
    uint32_t remaining_ms() const noexcept { return enos_command_remaining_ms(command_); }
    /** enos_command_since_login_ms() */
    uint32_t since_login_ms() const noexcept { return enos_command_since_login_ms(command_); }
    /** enos_command_was_interrupted() */
    bool was_interrupted() const noexcept { return enos_command_was_interrupted(command_) != 0; }

    /** enos_command_reply(), without data */
    sent reply(int32_t code)
    {
        sent call;
        call.status_ = enos_command_reply(command_, code, nullptr, nullptr, &call.token_);
        return call;
    }
    /** enos_command_reply() */
    sent reply(int32_t code, const json &data, const std::string &message = "")
    {
        sent call;
        call.status_ = enos_command_reply(command_, code, data.get(), given(message), &call.token_);
        return call;
    }
    /** enos_command_reply_text(), with JSON */
    sent reply_text(int32_t code, const std::string &data, const std::string &message = "")
    {
        sent call;
        call.status_ = enos_command_reply_text(command_, code, data.data(), data.size(), given(message), &call.token_);
        return call;
    }
    /** enos_command_reply_raw(), with any bytes */
    sent reply_raw(const std::string &data)
    {
        sent call;
        call.status_ = enos_command_reply_raw(command_, data.data(), data.size(), &call.token_);
        return call;
    }

private:
    static const char *given(const std::string &s) noexcept { return s.empty() ? nullptr : text(s); }

protected:
    enos_command *command_; ///< nullptr in a command that was moved from
};

/**
 * A command that is kept, to be answered later and from any thread: each copy holds it, and the last one to end releases it.
 * If nobody has answered it by then, the library answers that the handler has failed (1102). It may outlive the client.
 */
class command : public command_ref {
public:
    /** enos_command_retain() */
    explicit command(enos_command *command) : command_ref(command) { retain(); }
    /** The same for the command of an event. */
    explicit command(const command_ref &other) : command_ref(other) { retain(); }
    /** Holds the same command. */
    command(const command &other) : command_ref(other) { retain(); }
    /** Takes over what the other holds. */
    command(command &&other) noexcept : command_ref(other) { other.command_ = nullptr; }
    /** Ends what it held, and holds what the other held. */
    command &operator=(command other) noexcept
    {
        std::swap(command_, other.command_);
        return *this;
    }
    /** enos_command_release() */
    ~command() { enos_command_release(command_); }

private:
    void retain()
    {
        if (command_ != nullptr)
            check(enos_command_retain(command_));
    }
};

/** What a client is made from: a member for each setter of enos.h, by the same name. They can be chained. */
class config {
public:
    /** With every default in place. */
    config() { check(enos_config_new(&config_)); }
    /** Takes over what the other holds. */
    config(config &&other) noexcept : config_(other.config_) { other.config_ = nullptr; }
    ~config() { enos_config_free(config_); }

    /** For the C functions. */
    enos_config *get() const noexcept { return config_; }

    /** enos_config_set_server() */
    config &server(const std::string &uri) { return set(enos_config_set_server(config_, text(uri))); }
    /** enos_config_set_identity() */
    config &identity(const std::string &product_key, const std::string &device_key)
    {
        return set(enos_config_set_identity(config_, text(product_key), text(device_key)));
    }
    /** enos_config_set_device_secret() */
    config &device_secret(const std::string &key)
    {
        return set(enos_config_set_device_secret(config_, key.data(), key.size()));
    }
    /** enos_config_set_product_secret() */
    config &product_secret(const std::string &key)
    {
        return set(enos_config_set_product_secret(config_, key.data(), key.size()));
    }
    /** enos_config_set_integration_channel() */
    config &integration_channel(const std::string &product_key, const std::string &key)
    {
        return set(enos_config_set_integration_channel(config_, text(product_key), key.data(), key.size()));
    }
    /** enos_config_set_storage(), with a storage of one's own */
    config &storage(const enos_storage &storage) { return set(enos_config_set_storage(config_, &storage)); }
    /** The same with a directory, which is the library's from here on */
    config &storage(directory &&directory)
    {
        storage(directory.storage_);
        directory.storage_.release = nullptr;
        return *this;
    }
    /** enos_config_set_client_id() */
    config &client_id(const std::string &id) { return set(enos_config_set_client_id(config_, text(id))); }
    /** enos_config_set_sign_method() */
    config &sign_method(enos_sign_method method) { return set(enos_config_set_sign_method(config_, method)); }
    /** enos_config_set_keep_alive() */
    config &keep_alive(uint32_t seconds) { return set(enos_config_set_keep_alive(config_, seconds)); }
    /** enos_config_set_connect_timeout() */
    config &connect_timeout(uint32_t ms) { return set(enos_config_set_connect_timeout(config_, ms)); }
    /** enos_config_set_activation_timeout() */
    config &activation_timeout(uint32_t ms) { return set(enos_config_set_activation_timeout(config_, ms)); }
    /** enos_config_set_reply_timeout() */
    config &reply_timeout(uint32_t ms) { return set(enos_config_set_reply_timeout(config_, ms)); }
    /** enos_config_set_reconnect() */
    config &reconnect(uint32_t min_ms, uint32_t max_ms)
    {
        return set(enos_config_set_reconnect(config_, min_ms, max_ms));
    }
    /** enos_config_set_reactivation() */
    config &reactivation(bool on) { return set(enos_config_set_reactivation(config_, on)); }
    /** enos_config_set_connect_budget() */
    config &connect_budget(uint32_t connects, uint32_t window_ms, uint32_t spacing_ms)
    {
        return set(enos_config_set_connect_budget(config_, connects, window_ms, spacing_ms));
    }
    /** enos_config_set_inflight() */
    config &inflight(uint32_t messages) { return set(enos_config_set_inflight(config_, messages)); }
    /** enos_config_set_subscribe_batch() */
    config &subscribe_batch(uint32_t filters) { return set(enos_config_set_subscribe_batch(config_, filters)); }
    /** enos_config_set_queue_limits() */
    config &queue_limits(uint32_t inbound_messages, size_t inbound_bytes)
    {
        return set(enos_config_set_queue_limits(config_, inbound_messages, inbound_bytes));
    }
    /** enos_config_set_max_message() */
    config &max_message(size_t bytes) { return set(enos_config_set_max_message(config_, bytes)); }
    /** enos_config_set_command_timeout(); "" stands for all commands */
    config &command_timeout(const std::string &service, uint32_t ms)
    {
        return set(enos_config_set_command_timeout(config_, service.empty() ? nullptr : text(service), ms));
    }
    /** enos_config_set_command_limits() */
    config &command_limits(uint32_t commands, size_t bytes)
    {
        return set(enos_config_set_command_limits(config_, commands, bytes));
    }
    /** enos_config_set_command_quiet_time() */
    config &command_quiet_time(uint32_t ms) { return set(enos_config_set_command_quiet_time(config_, ms)); }
    /** enos_config_set_command_record() */
    config &command_record(bool on) { return set(enos_config_set_command_record(config_, on)); }
    /** enos_config_set_subdevice_limit() */
    config &subdevice_limit(uint32_t subdevices) { return set(enos_config_set_subdevice_limit(config_, subdevices)); }
    /** enos_config_set_subdevice_batch() */
    config &subdevice_batch(uint32_t subdevices) { return set(enos_config_set_subdevice_batch(config_, subdevices)); }
    /** enos_config_set_firmware_version() */
    config &firmware_version(const std::string &version)
    {
        return set(enos_config_set_firmware_version(config_, text(version)));
    }
    /** enos_config_set_join_time() */
    config &join_time(uint32_t ms) { return set(enos_config_set_join_time(config_, ms)); }
    /** enos_config_set_bind_interface() */
    config &bind_interface(const std::string &name) { return set(enos_config_set_bind_interface(config_, text(name))); }
    /** enos_config_set_tls(); "" stands for no file */
    config &tls(const std::string &ca, const std::string &certificate = "", const std::string &key = "")
    {
        return set(enos_config_set_tls(config_, given(ca), given(certificate), given(key)));
    }
    /** enos_config_set_tls_pem(); "" stands for no text */
    config &tls_pem(const std::string &ca, const std::string &certificate = "", const std::string &key = "")
    {
        return set(enos_config_set_tls_pem(config_, given(ca), ca.size(), given(certificate), certificate.size(),
                                           given(key), key.size()));
    }
    /** enos_config_set_tls_key_password() */
    config &tls_key_password(const std::string &password)
    {
        return set(enos_config_set_tls_key_password(config_, password.data(), password.size()));
    }
    /** enos_config_set_tls_server_name() */
    config &tls_server_name(const std::string &name)
    {
        return set(enos_config_set_tls_server_name(config_, text(name)));
    }
    /** enos_config_set_tls_insecure_skip_name_check() */
    config &tls_insecure_skip_name_check(bool on)
    {
        return set(enos_config_set_tls_insecure_skip_name_check(config_, on));
    }
    /** enos_config_set_outbox_rate() */
    config &outbox_rate(uint32_t bytes_per_s) { return set(enos_config_set_outbox_rate(config_, bytes_per_s)); }
    /** enos_config_set_outbox_limits() */
    config &outbox_limits(uint32_t messages, uint64_t bytes, enos_outbox_policy policy = ENOS_OUTBOX_REFUSE)
    {
        return set(enos_config_set_outbox_limits(config_, messages, bytes, policy));
    }
    /**
     * enos_config_set_event_cb(): the handler is called with (client_ref, const enos_event &). It is not copied and has
     * to outlive each client that is made from this config. It must not throw: that ends the process.
     */
    template <class Handler> config &on_event(Handler &handler)
    {
        return set(enos_config_set_event_cb(config_, &call<Handler>, &handler));
    }

private:
    config &set(enos_status status)
    {
        check(status);
        return *this;
    }
    static const char *given(const std::string &s) noexcept { return s.empty() ? nullptr : text(s); }
    template <class Handler> static void call(void *ctx, enos_client *client, const enos_event *event) noexcept
    {
        (*static_cast<Handler *>(ctx))(client_ref(client), *event);
    }
    enos_config *config_ = nullptr;
};

/**
 * A client of one's own. Its end waits, for ENOS_HPP_END_MS at most: a device secret that has arrived and is in no
 * storage yet is stored first, for the cloud sends it once. For an end with all events, disconnect and loop until STOPPED
 * before.
 */
class client : public client_ref {
public:
    /** enos_client_create() */
    explicit client(const config &config) : client_ref(nullptr) { check(enos_client_create(config.get(), &client_)); }
    /** Takes over what the other holds. */
    client(client &&other) noexcept : client_ref(other.client_) { other.client_ = nullptr; }
    /** end(ENOS_HPP_END_MS). If it has not ended by then, it is left to the process. */
    ~client() { static_cast<void>(end(ENOS_HPP_END_MS) == ENOS_OK); }

    /**
     * enos_client_destroy(). If a device secret is not stored yet, it loops for timeout_ms at most until it is. ENOS_OK: the
     * client is gone. ENOS_ERR_UNSAVED_SECRET: it is still there, and so is the secret; end it again later.
     */
    ENOS_NODISCARD enos_status end(uint32_t timeout_ms) noexcept
    {
        typedef std::chrono::steady_clock clock;
        const clock::time_point until = clock::now() + std::chrono::milliseconds(timeout_ms);
        enos_client_loop_stop(client_);
        enos_status status = enos_client_destroy(client_);
        while (status == ENOS_ERR_UNSAVED_SECRET && clock::now() < until && enos_client_loop(client_, 100) == ENOS_OK)
            status = enos_client_destroy(client_);
        if (status == ENOS_OK)
            client_ = nullptr;
        return status;
    }
};

} // namespace enos
#endif
