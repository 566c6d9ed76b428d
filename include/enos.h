/**
 * @file enos.h
 *
 * libenos connects a device to the EnOS cloud over MQTT 3.1.1. It signs the connection, activates the device, keeps the
 * device secret that the cloud sends only once, and moves data both ways. It needs Linux, and C99 or C++11 or later.
 *
 * Contents: a whole program, how to link, conventions, threads; then status codes and errors, the log, signing, the
 * activation message, reading and building JSON, storage, events, configuration, TLS, the client, messages, requests,
 * the outbox. A firmware that uses the client needs neither signing nor the activation message. A firmware with its own
 * MQTT stack needs those two.
 *
 * This file is generated from the sources of the library. Do not edit it.
 *
 *
 * A whole program
 * ===============
 *
 * It activates the device on its first run, logs in with the stored secret on each later run, and reports a measure
 * point whenever it comes online.
 *
 * @code
 *     #include <enos.h>
 *     #include <signal.h>
 *     #include <stdio.h>
 *     #include <time.h>
 *
 *     static enos_client *client;
 *     static volatile sig_atomic_t stop;
 *     static int stopped;
 *
 *     static void on_signal(int number)
 *     {
 *         (void)number;
 *         stop = 1;
 *         enos_client_wake(client);
 *     }
 *
 *     static void on_event(void *ctx, enos_client *c, const enos_event *event)
 *     {
 *         char params[96];
 *
 *         (void)ctx;
 *         printf("%s: %s; %s\n", enos_event_name(event->type), enos_strerror(event->status), event->detail);
 *         if (event->type == ENOS_EVENT_STOPPED)
 *             stopped = 1;
 *         if (event->type != ENOS_EVENT_CONNECTED)
 *             return;
 *         snprintf(params, sizeof params, "{\"measurepoints\":{\"temperature\":%.1f},\"time\":%lld}", 21.5,
 *                  (long long)time(NULL) * 1000);
 *         if (enos_client_post_measurepoints(c, params, ENOS_NUL_TERMINATED, 0, NULL) != ENOS_OK)
 *             fprintf(stderr, "not posted: %s\n", enos_last_error());
 *     }
 *
 *     static int fail(const char *what)
 *     {
 *         fprintf(stderr, "%s: %s\n", what, enos_last_error());
 *         return 1;
 *     }
 *
 *     int main(void)
 *     {
 *         enos_storage storage;
 *         enos_config *config = NULL;
 *
 *         ENOS_INIT(&storage);
 *         if (enos_storage_directory("/var/lib/my-device", &storage) != ENOS_OK) // made at provisioning
 *             return fail("storage");
 *         if (enos_config_new(&config) != ENOS_OK ||
 *             enos_config_set_server(config, "tcp://mqtt.example.com:11883") != ENOS_OK ||
 *             enos_config_set_identity(config, "my-product-key", "my-device-key") != ENOS_OK ||
 *             enos_config_set_product_secret(config, "my-product-secret", ENOS_NUL_TERMINATED) != ENOS_OK ||
 *             enos_config_set_storage(config, &storage) != ENOS_OK ||
 *             enos_config_set_event_cb(config, on_event, NULL) != ENOS_OK ||
 *             enos_client_create(config, &client) != ENOS_OK)
 *             return fail("configuration");
 *         enos_config_free(config);
 *         signal(SIGINT, on_signal);
 *
 *         if (enos_client_connect(client) != ENOS_OK)
 *             return fail("connect");
 *         while (!stop)
 *             if (enos_client_loop(client, ENOS_FOREVER) != ENOS_OK)
 *                 return fail("loop");
 *
 *         if (enos_client_disconnect(client) != ENOS_OK)
 *             return fail("disconnect");
 *         while (!stopped) // offline, and a device secret that has arrived is stored
 *             if (enos_client_loop(client, ENOS_FOREVER) != ENOS_OK)
 *                 return fail("loop");
 *         return enos_client_destroy(client) == ENOS_OK ? 0 : fail("destroy");
 *     }
 * @endcode
 *
 *
 * How to link
 * ===========
 *
 *     cc main.c $(pkg-config --cflags --libs enos)
 *
 *     find_package(enos CONFIG REQUIRED)                CMake; add_subdirectory() of the sources gives the same target
 *     target_link_libraries(my_firmware PRIVATE enos::enos)
 *
 * At run time the program needs libenos.so.N (N is ENOS_ABI_VERSION), the C library, libgcc_s, and OpenSSL's libssl and
 * libcrypto of the version that it was built with (libssl.so.3 for OpenSSL 3), except in a build without TLS or with
 * OpenSSL linked in statically. Before version 1.0 a minor version may change the ABI, and then also its number. The
 * number of a retired status, event type or flag is never used again.
 *
 *
 * Conventions
 * ===========
 *
 * These conventions hold for every function, unless the function's comment says otherwise.
 *
 * Results. A call that can fail returns enos_status: ENOS_OK (0), or a negative code for the program. enos_last_error()
 * has words for a person: which argument, what is wrong with it, what to do. Output arguments ("receives ...") are
 * written only if the result is ENOS_OK.
 *
 * Any such call may return these statuses, which are not repeated for each function:
 *   - ENOS_ERR_NULL_ARG     a pointer is NULL. Every pointer is checked; the comment says where NULL is allowed.
 *   - ENOS_ERR_INVALID_ARG  a text is not UTF-8, or a length is larger than any object can be.
 *   - ENOS_ERR_IN_CALLBACK  called from a storage or log callback; nothing was done.
 *   - ENOS_ERR_NO_MEMORY    there is not enough memory. (If a very small allocation fails, Rust aborts the process.)
 *   - ENOS_ERR_PANIC        a fault of libenos itself was caught. The process continues. If the fault was in a call on
 *                           a client, that client can only be destroyed; every other call on it is ENOS_ERR_PANIC
 *                           again.
 *
 * Input texts are NUL-terminated UTF-8. Nothing is trimmed or cut off: a text that is too long is refused. Payloads and
 * secrets are a pointer and a length in bytes. (NULL, 0) is empty, and with ENOS_NUL_TERMINATED as the length the
 * library measures it. Any other length that no object can have, such as the (size_t)-1 of a failed read(), is
 * ENOS_ERR_INVALID_ARG. All input is copied before the call returns.
 *
 * Output texts are written to your buffer, with a NUL. If the buffer is too small, the result is
 * ENOS_ERR_BUFFER_TOO_SMALL, the length is the capacity needed (with the NUL), and the buffer, if there is one, holds
 * an empty text. To ask for the capacity, pass (NULL, 0) as the buffer.
 *
 * Structs begin with struct_size. Call ENOS_INIT(&it) before you or the library fill one in. The library reads and
 * writes no more than that size, so that a program works with later libraries, whose structs are longer. A size smaller
 * than that of version 0.1, or a value in fields that the library does not know, is ENOS_ERR_STRUCT_SIZE.
 *
 * Numbers. Enumerations are passed as int32_t and are checked. Switches are int32_t: 0 is off, any other value is on.
 * Sets of bits are uint32_t; an unknown bit is ENOS_ERR_INVALID_ARG. Times are milliseconds ("_ms") unless the name
 * says otherwise.
 *
 * Ownership. An object from a _new, _create or _parse function is yours until you pass it to the _free or _destroy
 * function of its kind; both accept NULL. The arguments of a callback, and what a getter returns, belong to the
 * library: copy what you keep. Neither side frees memory of the other.
 *
 *
 * Threads
 * =======
 *
 * Pure functions (version, errors, names, signing, activation, values) may be called from any thread. enos_client_*
 * functions may be called from any thread, several at once on one client, except that enos_client_destroy() must not
 * overlap another call on that client. A config, an activation or a JSON builder may be used by one thread at a time.
 *
 * YOUR CODE RUNS ONLY ON YOUR OWN THREADS, AND ON THE ONE THAT enos_client_loop_start() MAKES. Event and log callbacks
 * run inside enos_client_loop() or enos_client_wait(), on the thread that called it, or on that one. Storage callbacks
 * run there, or inside a call of yours whose comment says so. No lock of the library is held while an event or log
 * callback runs. While a storage callback runs, other calls that need the storage wait. A slow callback delays the
 * events behind it.
 *
 * While a callback is slow, or no thread loops a client, nothing is read from its connection for up to half a
 * keep-alive. Then the library's keeper thread checks the connection. If there is something to do, the keeper takes
 * over until a thread loops again: it reads and queues inbound messages at once, acknowledges them, and sends PINGREQs.
 * If there is nothing to do, it checks again after another half keep-alive.
 *
 * What a callback may call:
 *   - an event callback: every function except enos_client_destroy(), _loop(), _wait(), _flush() and _loop_stop(),
 *     which return ENOS_ERR_IN_CALLBACK. None of the calls waits.
 *   - a storage or log callback: nothing that returns an enos_status (ENOS_ERR_IN_CALLBACK).
 * If one of your callbacks takes a lock, do not hold that lock while you call an enos_* function. A callback must not
 * throw, longjmp, or end its thread.
 *
 * The process:
 *   - The library raises no SIGPIPE, and does not change its disposition.
 *   - It reads nothing from the environment, except for what OpenSSL reads for TLS (OPENSSL_CONF, SSL_CERT_FILE,
 *     SSL_CERT_DIR and the like).
 *   - All its descriptors are close-on-exec. (OpenSSL opens its openssl.cnf and the system's authorities without that
 *     flag, and closes them at once.)
 *   - It stays loaded: dlclose() does nothing.
 *   - It does not survive a fork() without an exec.
 *   - It never writes to stdout or stderr.
 *   - A call needs at most 64 KiB of stack, TLS included, in addition to what your callbacks need.
 *   - While a thread is in a call, its cancellation (pthread_cancel()) is delayed until the call has returned.
 */

#ifndef ENOS_H
#define ENOS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/** The version of this header; enos_version() is the version of the library that runs. */
#define ENOS_VERSION_MAJOR 0
/** See ENOS_VERSION_MAJOR. */
#define ENOS_VERSION_MINOR 1
/** See ENOS_VERSION_MAJOR. */
#define ENOS_VERSION_PATCH 0

/** The number of the ABI, which is also in the SONAME: libenos.so.1. Compare it with enos_abi_version(). */
#define ENOS_ABI_VERSION 1

/** As a length: the text ends at its NUL, and the library measures it. No object can have this length. */
#define ENOS_NUL_TERMINATED (((size_t)-1 >> 1) + 1)

/** As the time of measure points: no time. */
#define ENOS_NO_TIME INT64_MIN

/** As a timeout: no limit. */
#define ENOS_FOREVER 0xFFFFFFFFu

/** A bit of enos_features(): ssl:// and enos_config_set_tls*(). */
#define ENOS_FEATURE_TLS 0x1u

/** A bit of enos_features(): ENOS_REQUEST_DURABLE. */
#define ENOS_FEATURE_DURABLE 0x2u

/** A bit of enos_features(): enos_ota_download(). */
#define ENOS_FEATURE_OTA 0x4u

/** Does the work of ENOS_INIT(). */
static inline void enos_init_struct(void *it, size_t size)
{
  *(size_t *)memset(it, 0, size) = size;
}

/** Prepares a struct that you or the library fill in: sets all of it to zero, then its size. Evaluates p once. */
#define ENOS_INIT(p) enos_init_struct((p), sizeof *(p) + 0 * sizeof (p)->struct_size)

/** Marks a call whose result must not be ignored: the compiler warns. */
#if defined(__GNUC__)
#define ENOS_MUST_USE __attribute__((warn_unused_result))
#else
#define ENOS_MUST_USE
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------------------
 * Status codes, version, errors. These functions may be called from any thread, before any other function, and in
 * every callback.
 * ------------------------------------------------------------------------------------------------ */

/**
 * What a call or an outcome came to. 0 is success, every error is negative; a retired number is never used again.
 */
typedef enum enos_status_code {
  /**
   * Done, or accepted.
   */
  ENOS_OK = 0,
  /**
   * A pointer that must not be NULL is NULL.
   */
  ENOS_ERR_NULL_ARG = -1,
  /**
   * An argument is out of its range; enos_last_error() names it and says why.
   */
  ENOS_ERR_INVALID_ARG = -2,
  /**
   * The caller's buffer is too small; the length written is the capacity needed, NUL included.
   */
  ENOS_ERR_BUFFER_TOO_SMALL = -3,
  /**
   * There is not enough memory.
   */
  ENOS_ERR_NO_MEMORY = -4,
  /**
   * The call does not fit the state that the object is in.
   */
  ENOS_ERR_STATE = -5,
  /**
   * The call is not legal inside a callback; nothing was done.
   */
  ENOS_ERR_IN_CALLBACK = -6,
  /**
   * The given time is over.
   */
  ENOS_ERR_TIMEOUT = -7,
  /**
   * What was asked for does not exist.
   */
  ENOS_ERR_NOT_FOUND = -8,
  /**
   * This build, or EnOS, does not support it.
   */
  ENOS_ERR_UNSUPPORTED = -9,
  /**
   * struct_size is smaller than version 0.1 of the struct, or the struct has fields set that this library does not
   * know.
   */
  ENOS_ERR_STRUCT_SIZE = -10,
  /**
   * As many messages as the limit allows have no outcome yet, or are in the outbox; ENOS_EVENT_ROOM tells when to go
   * on.
   */
  ENOS_ERR_QUEUE_FULL = -11,
  /**
   * Larger than a limit allows.
   */
  ENOS_ERR_TOO_LARGE = -12,
  /**
   * Not JSON, or not the message that was expected.
   */
  ENOS_ERR_PARSE = -20,
  /**
   * It is a message, but not an activation.
   */
  ENOS_ERR_NOT_ACTIVATION = -21,
  /**
   * The message or the record belongs to another device.
   */
  ENOS_ERR_IDENTITY_MISMATCH = -22,
  /**
   * The host's storage failed, or contains a damaged record.
   */
  ENOS_ERR_STORAGE = -30,
  /**
   * The client holds a device secret that is in no storage yet.
   */
  ENOS_ERR_UNSAVED_SECRET = -31,
  /**
   * A durable message can never succeed, and is a dead letter (enos_client_outbox_each()).
   */
  ENOS_ERR_DEAD_LETTER = -32,
  /**
   * A durable message was not sent, because a newer one of its kind says all that it would have said.
   */
  ENOS_ERR_SUPERSEDED = -33,
  /**
   * The network or the broker went away, or never answered.
   */
  ENOS_ERR_NETWORK = -40,
  /**
   * TLS: a certificate or key cannot be used, or the handshake failed. The words say why.
   */
  ENOS_ERR_TLS = -41,
  /**
   * The broker refused what the device signed with.
   */
  ENOS_ERR_CREDENTIALS = -42,
  /**
   * The broker refused the product secret: it is wrong, or the device is active already.
   */
  ENOS_ERR_ACTIVATION_REFUSED = -43,
  /**
   * The broker took the product secret, but sent no device secret in time.
   */
  ENOS_ERR_ACTIVATION_TIMEOUT = -44,
  /**
   * The peer broke the MQTT or the EnOS protocol.
   */
  ENOS_ERR_PROTOCOL = -45,
  /**
   * Another client is probably logged in as the same device: each login of the one ends the other's connection.
   */
  ENOS_ERR_CONFLICT = -46,
  /**
   * EnOS answered with a code other than 200, or the broker refused a subscription; detail_code is that code.
   */
  ENOS_ERR_REFUSED = -47,
  /**
   * A firmware was installed, and another version runs after the restart.
   */
  ENOS_ERR_NOT_INSTALLED = -50,
  /**
   * You have cancelled it.
   */
  ENOS_ERR_CANCELLED = -51,
  /**
   * The digest of a firmware's image is not the one that was offered.
   */
  ENOS_ERR_DIGEST = -52,
  /**
   * A fault of the library, caught at the boundary; the process goes on.
   */
  ENOS_ERR_PANIC = -99,
} enos_status_code;

/**
 * The result of a function that can fail: ENOS_OK (0), or a negative value of enum enos_status_code.
 */
typedef int32_t enos_status;

/**
 * The library's version.
 *
 * @return  static text, e.g. "0.1.0"; never NULL.
 */
const char *enos_version(void);

/**
 * The number of the library's ABI, which is also that of its SONAME. Compare it with ENOS_ABI_VERSION at start-up when
 * the library is loaded with dlopen() or shipped apart from the program:
 *
 *     if (enos_abi_version() != ENOS_ABI_VERSION) { ... the wrong libenos.so ... }
 *
 * @return  the number of the library that runs.
 */
uint32_t enos_abi_version(void);

/**
 * The optional features of this build.
 *
 * @return  a set of ENOS_FEATURE_* bits.
 */
uint32_t enos_features(void);

/**
 * A short text for a status.
 *
 * @param code  an enos_status; every value is accepted.
 * @return      static text; never NULL, "unknown status" for a value that is none.
 */
const char *enos_strerror(enos_status code);

/**
 * The calling thread's last failure in words: which argument, what is wrong, what to do. This is for a log, and not to
 * be parsed. It never holds a secret; '?' stands for line breaks and other control characters.
 *
 * @return  the words, "" when the thread's last call succeeded; never NULL. Valid until the thread's next enos_* call.
 *          The functions that return no enos_status neither set nor clear it, except for enos_config_free().
 */
const char *enos_last_error(void);

/* ------------------------------------------------------------------------------------------------
 * The log: messages for a person. It is off by default, and the library never writes to stdout or stderr.
 *
 * Records wait in a queue until a client's loop (enos_client_loop(), _wait(), or the thread of
 * enos_client_loop_start()) delivers them. Your callback runs only there, one call at a time. The queue holds 256
 * records; if no thread loops, later ones are dropped, and a record then says how many. No record contains a secret or
 * the payload of a message. Line breaks, other control characters and bidirectional controls are replaced by '?'.
 * ------------------------------------------------------------------------------------------------ */

/**
 * How important a record is.
 */
typedef enum enos_log_level {
  /**
   * Something is broken and stays broken until somebody acts.
   */
  ENOS_LOG_ERROR = 1,
  /**
   * Something went wrong, and the library handles it.
   */
  ENOS_LOG_WARN = 2,
  /**
   * For an operator: connected, activated, lost.
   */
  ENOS_LOG_INFO = 3,
  /**
   * For a firmware engineer.
   */
  ENOS_LOG_DEBUG = 4,
  /**
   * Each MQTT packet in both directions, with the target "mqtt": its kind, its size with the header, its QoS, packet
   * id and topic if it has them, and the codes of an answer. Of a CONNECT, only the size.
   */
  ENOS_LOG_TRACE = 5,
} enos_log_level;

/**
 * One record. The record and everything that it points to belong to the library, and are valid during the call.
 */
typedef struct enos_log_record {
  /**
   * The size of the library's struct: later versions are longer. Read only what your header declares.
   */
  size_t struct_size;
  /**
   * One of enum enos_log_level.
   */
  int32_t level;
  /**
   * 0.
   */
  uint32_t reserved;
  /**
   * When it was written, which may be long before it is delivered: milliseconds since 1970 by the system's clock at
   * that moment.
   */
  uint64_t time_ms;
  /**
   * The part of the library that wrote it, e.g. "session". Never NULL.
   */
  const char *target;
  /**
   * The text, at most 1024 bytes of UTF-8. Never NULL.
   */
  const char *message;
} enos_log_record;

/**
 * Receives log records. It must not call any enos_* function, except for enos_strerror(), the _name functions and
 * others that return no status.
 *
 * @param ctx     what enos_log_set() was given.
 * @param record  the record.
 */
typedef void (*enos_log_cb)(void *ctx, const struct enos_log_record *record);

/**
 * Sets the log callback of the process, in place of an earlier one. When this returns, no call of the earlier callback
 * is running or will be made, so its ctx may be freed. (Do not hold a lock that the earlier callback takes.)
 *
 * @param cb         the callback; NULL switches the log off and drops what waits. Default: NULL.
 * @param ctx        passed to the callback; may be NULL. Yours, and used until the callback is replaced.
 * @param max_level  ENOS_LOG_ERROR to ENOS_LOG_TRACE: records of this level and of more important ones. Ignored if cb
 *                   is NULL.
 * @retval ENOS_OK               done.
 * @retval ENOS_ERR_INVALID_ARG  max_level is no level; nothing was changed.
 * @retval ENOS_ERR_IN_CALLBACK  called from a log or storage callback; nothing was changed.
 */
enos_status enos_log_set(enos_log_cb cb, void *ctx, int32_t max_level);

/* ------------------------------------------------------------------------------------------------
 * Signing: pure functions without I/O and clock. A client signs by itself; these functions are for a host with its own
 * MQTT stack. They may be called from any thread.
 *
 * EnOS requires three fields of a CONNECT (MQTT 3.1.1, clean session) that are made from the device's keys and a
 * secret:
 *
 *     client id   <client id>|securemode=2,signmethod=hmacsha1,timestamp=1524448722000|
 *     user name   <device key>&<product key>
 *     password    40 or 64 hexadecimal digits, upper case
 *
 * Fill in one enos_sign_params and call all three functions with it. A new timestamp changes the client id and the
 * password.
 * ------------------------------------------------------------------------------------------------ */

/**
 * The secret that signs.
 */
typedef enum enos_secure_mode {
  /**
   * The device's own secret: the ordinary login.
   */
  ENOS_SECURE_MODE_DEVICE = 2,
  /**
   * The product's secret: the login of a device that has no secret yet. EnOS answers with the activation message.
   */
  ENOS_SECURE_MODE_PRODUCT = 3,
  /**
   * For clients only: the product's secret, for the login of an integration channel. See
   * enos_config_set_integration_channel().
   */
  ENOS_SECURE_MODE_INTEGRATION = 4,
} enos_secure_mode;

/**
 * How the password is computed. The EnOS version of a cloud decides which methods it accepts.
 */
typedef enum enos_sign_method {
  /**
   * For clients only, and their default: HMACSHA1, then SHA1 if HMACSHA1 is refused. The accepted method is stored
   * in the storage. AUTO never tries SHA256.
   */
  ENOS_SIGN_AUTO = 0,
  /**
   * Label hmacsha1, HMAC-SHA1: the EnOS document as written.
   */
  ENOS_SIGN_HMACSHA1 = 1,
  /**
   * Label hmacsha1, plain SHA-1: what Envision's own SDKs send.
   */
  ENOS_SIGN_SHA1 = 2,
  /**
   * Label sha256, plain SHA-256: EnOS 2.1 and later.
   */
  ENOS_SIGN_SHA256 = 3,
} enos_sign_method;

/**
 * The input of the signing functions. It is yours, and is read only during the call. Start with ENOS_INIT().
 */
typedef struct enos_sign_params {
  /**
   * sizeof(enos_sign_params); ENOS_INIT() sets it.
   */
  size_t struct_size;
  /**
   * 1 to 64 characters, none of them a control character or one of `| , =`. NULL: the device key.
   */
  const char *client_id;
  /**
   * 1 to 64 characters, none of them a control character or one of `/ + # & | , =`.
   */
  const char *product_key;
  /**
   * As product_key.
   */
  const char *device_key;
  /**
   * The device secret (mode 2) or the product secret (mode 3): 1 to 1024 bytes of UTF-8 without NUL. Only
   * enos_sign_password() uses it.
   */
  const char *secret;
  /**
   * In bytes, or ENOS_NUL_TERMINATED.
   */
  size_t secret_len;
  /**
   * One of enum enos_secure_mode, but not ENOS_SECURE_MODE_INTEGRATION.
   */
  int32_t secure_mode;
  /**
   * One of enum enos_sign_method, but not ENOS_SIGN_AUTO.
   */
  int32_t sign_method;
  /**
   * Milliseconds since 1970-01-01 UTC; signed, and shown in the client id. A board without a clock may use any
   * value: Envision's C SDK always sends 2524608000000.
   */
  uint64_t timestamp_ms;
} enos_sign_params;

/**
 * Makes the password of a CONNECT.
 *
 * @param params   what to sign.
 * @param out      receives the text and a NUL; 65 bytes are always enough. NULL with cap 0 asks for the capacity.
 * @param cap      the size of out in bytes.
 * @param out_len  receives the length without the NUL; on ENOS_ERR_BUFFER_TOO_SMALL the capacity needed, with it.
 * @retval ENOS_OK                    out holds the password. It is as good as the secret: wipe it after use.
 * @retval ENOS_ERR_BUFFER_TOO_SMALL  see out_len.
 * @retval ENOS_ERR_INVALID_ARG       a field is out of its range; enos_last_error() names it.
 * @retval ENOS_ERR_STRUCT_SIZE       params was not made with ENOS_INIT(), or is of a later version.
 */
enos_status enos_sign_password(const struct enos_sign_params *params, char *out, size_t cap, size_t *out_len);

/**
 * Makes the client id of a CONNECT.
 *
 * @param params   what to sign; the secret is ignored.
 * @param out      receives the text and a NUL. NULL with cap 0 asks for the capacity.
 * @param cap      the size of out in bytes.
 * @param out_len  receives the length without the NUL; on ENOS_ERR_BUFFER_TOO_SMALL the capacity needed, with it.
 * @retval ENOS_OK                    out holds the client id.
 * @retval ENOS_ERR_BUFFER_TOO_SMALL  see out_len.
 * @retval ENOS_ERR_INVALID_ARG       a field is out of its range; enos_last_error() names it.
 * @retval ENOS_ERR_STRUCT_SIZE       params was not made with ENOS_INIT(), or is of a later version.
 */
enos_status enos_sign_client_id(const struct enos_sign_params *params, char *out, size_t cap, size_t *out_len);

/**
 * Makes the user name of a CONNECT.
 *
 * @param params   what to sign; the secret is ignored.
 * @param out      receives the text and a NUL. NULL with cap 0 asks for the capacity.
 * @param cap      the size of out in bytes.
 * @param out_len  receives the length without the NUL; on ENOS_ERR_BUFFER_TOO_SMALL the capacity needed, with it.
 * @retval ENOS_OK                    out holds the user name.
 * @retval ENOS_ERR_BUFFER_TOO_SMALL  see out_len.
 * @retval ENOS_ERR_INVALID_ARG       a field is out of its range; enos_last_error() names it.
 * @retval ENOS_ERR_STRUCT_SIZE       params was not made with ENOS_INIT(), or is of a later version.
 */
enos_status enos_sign_username(const struct enos_sign_params *params, char *out, size_t cap, size_t *out_len);

/* ------------------------------------------------------------------------------------------------
 * The activation message: pure functions without I/O. A client reads the message itself, and its events have the
 * content. These functions are for a host with its own MQTT stack. They may be called from any thread, and the getters
 * in every callback.
 *
 * After a login with the product secret (ENOS_SECURE_MODE_PRODUCT) the cloud publishes the device secret ONCE, without
 * a request, on /ext/session/{product key}/{device key}/thing/activate/info (or .../thing/activated/info). A host with
 * its own MQTT stack passes each inbound message to enos_activation_parse(). On ENOS_OK it stores the secret so that
 * it survives a power cut. Only then it publishes enos_activation_reply(), disconnects, and logs in as the device.
 * ------------------------------------------------------------------------------------------------ */

/**
 * A device secret that has arrived: opaque. An object from enos_activation_parse() is yours until
 * enos_activation_free(); one in an event belongs to the library.
 */
typedef struct enos_activation enos_activation;

/**
 * Reads a message that may be the activation of this device.
 *
 * @param product_key  of this device.
 * @param device_key   of this device.
 * @param topic        of the message, as it came in: any bytes.
 * @param topic_len    in bytes, or ENOS_NUL_TERMINATED.
 * @param payload      of the message: any bytes. Wipe yours after use: it holds the secret.
 * @param payload_len  in bytes, or ENOS_NUL_TERMINATED.
 * @param out          receives the activation, yours to free with enos_activation_free().
 * @retval ENOS_OK                     an activation of this device.
 * @retval ENOS_ERR_NOT_ACTIVATION     another message: its topic or its method is not that of an activation.
 * @retval ENOS_ERR_IDENTITY_MISMATCH  an activation of another device: its topic or its params name one.
 * @retval ENOS_ERR_PARSE              no JSON, or no device secret in it, or an empty one.
 * @retval ENOS_ERR_TOO_LARGE          more than 64 KiB.
 * @retval ENOS_ERR_INVALID_ARG        a key is out of its range (see enos_sign_params), or not UTF-8.
 */
enos_status enos_activation_parse(const char *product_key,
                                  const char *device_key,
                                  const char *topic,
                                  size_t topic_len,
                                  const uint8_t *payload,
                                  size_t payload_len,
                                  struct enos_activation **out);

/**
 * The product key that the secret belongs to: the one that was passed in.
 *
 * @param activation  may be NULL.
 * @return  the key, valid until the activation is freed or, in an event, until the callback returns; NULL for NULL.
 */
const char *enos_activation_product_key(const struct enos_activation *activation);

/**
 * The device key that the secret belongs to: the one that was passed in.
 *
 * @param activation  may be NULL.
 * @return  the key, valid until the activation is freed or, in an event, until the callback returns; NULL for NULL.
 */
const char *enos_activation_device_key(const struct enos_activation *activation);

/**
 * The device secret as plain text. Store it, and never log it.
 *
 * @param activation  may be NULL.
 * @return  the secret, never empty, at most 1024 bytes of UTF-8; valid until the activation is freed or, in an event,
 *          until the callback returns; NULL for NULL.
 */
const char *enos_activation_device_secret(const struct enos_activation *activation);

/**
 * The asset of the device on EnOS.
 *
 * @param activation  may be NULL.
 * @return  its id, valid until the activation is freed or, in an event, until the callback returns; NULL when the
 *          cloud sent none, and for NULL.
 */
const char *enos_activation_asset_id(const struct enos_activation *activation);

/**
 * Makes the answer that tells the cloud that the secret has arrived. Publish it when the secret is stored, never
 * before. QoS 0 is enough.
 *
 * @param activation   the activation.
 * @param topic        receives the topic and a NUL; NULL with topic_cap 0 asks for the capacity.
 * @param topic_cap    the size of topic in bytes.
 * @param topic_len    receives the topic's length without the NUL.
 * @param payload      receives the payload, JSON text, and a NUL; NULL with payload_cap 0 asks for the capacity.
 * @param payload_cap  the size of payload in bytes.
 * @param payload_len  receives the payload's length without the NUL: what to publish.
 * @retval ENOS_OK                    both are there.
 * @retval ENOS_ERR_BUFFER_TOO_SMALL  one of them does not fit: topic_len and payload_len are the capacities that they
 *                                    need, NUL included.
 */
enos_status enos_activation_reply(const struct enos_activation *activation,
                                  char *topic,
                                  size_t topic_cap,
                                  size_t *topic_len,
                                  char *payload,
                                  size_t payload_cap,
                                  size_t *payload_len);

/**
 * Wipes and frees an activation from enos_activation_parse(). Pointers from its getters are not valid any more. Legal
 * in every callback.
 *
 * @param activation  may be NULL: nothing happens.
 */
void enos_activation_free(struct enos_activation *activation);

/* ------------------------------------------------------------------------------------------------
 * Reading JSON in place: in an event, or in a text of your own. It can be used without a client as well.
 *
 * An enos_value is a view: a pointer and a length. It is passed by value, and nothing is copied or freed. It is valid
 * as long as the text that it points into. Only enos_value_parse() allocates, and only for the time of the call, if an
 * object and those around it have more than 32 keys together.
 *
 * {NULL, 0} is a missing value. A look-up in a missing value gives a missing value, so look-ups can be chained, and
 * one check at the end is enough:
 *
 *     double power;
 *     if (enos_value_double(enos_value_at(params, "/limits/power"), &power) == ENOS_OK) ...
 *
 * The functions that read a value return ENOS_ERR_NOT_FOUND if it is missing, ENOS_ERR_INVALID_ARG if it has another
 * type, ENOS_ERR_PARSE if it is not JSON, and ENOS_ERR_TOO_LARGE if it is a number that does not fit: nothing is
 * rounded, truncated or saturated.
 *
 * Call enos_value_parse() first: it checks all of a text. Every function also accepts an unchecked value, such as
 * {payload, payload_len} of an event. Then the result may be meaningless, but the function reads nothing outside the
 * value, does not recurse, and needs time linear in its length. If an object contains a key twice, which
 * enos_value_parse() refuses, the first one counts.
 *
 * Any thread may call these functions, also in an event callback. In a storage or log callback, those that return an
 * enos_status fail with ENOS_ERR_IN_CALLBACK.
 * ------------------------------------------------------------------------------------------------ */

/**
 * The type of a value.
 */
typedef enum enos_value_kind {
  /**
   * The value is missing.
   */
  ENOS_VALUE_NONE = 0,
  /**
   * null.
   */
  ENOS_VALUE_NULL = 1,
  /**
   * true or false.
   */
  ENOS_VALUE_BOOL = 2,
  /**
   * A number, whole or not.
   */
  ENOS_VALUE_NUMBER = 3,
  /**
   * A text.
   */
  ENOS_VALUE_TEXT = 4,
  /**
   * An array.
   */
  ENOS_VALUE_ARRAY = 5,
  /**
   * An object.
   */
  ENOS_VALUE_OBJECT = 6,
} enos_value_kind;

/**
 * A JSON value: where its text is.
 */
typedef struct enos_value {
  /**
   * The first byte; NULL if the value is missing. There is no NUL after the text.
   */
  const char *text;
  /**
   * The length in bytes.
   */
  size_t len;
} enos_value;

/**
 * Checks a text, and returns its value.
 *
 * @param text  any bytes. They must stay valid as long as the value is used.
 * @param len   in bytes, or ENOS_NUL_TERMINATED.
 * @param out   receives the value.
 * @retval ENOS_OK         it is one JSON value (RFC 8259), and every reader reads it alike.
 * @retval ENOS_ERR_PARSE  it is not JSON, or more than one value; it has more than 64 levels; or it contains half of a
 *                         surrogate pair, a number that is too large for a double, or an object with a key twice.
 */
enos_status enos_value_parse(const char *text, size_t len, struct enos_value *out);

/**
 * The part of a value that a JSON Pointer (RFC 6901) refers to: "" is the whole value, "/a/0" the first element of the
 * member "a". In a key, "~1" stands for "/" and "~0" for "~". Each call scans the value once for each level of the
 * pointer. To visit all elements, use enos_value_next().
 *
 * @param value    may be missing.
 * @param pointer  the JSON Pointer.
 * @return  the part; {NULL, 0} if it is missing or the pointer is invalid. It is valid as long as value is.
 */
struct enos_value enos_value_at(struct enos_value value, const char *pointer);

/**
 * The type of a value.
 *
 * @param value  may be missing.
 * @return  one of enum enos_value_kind; ENOS_ERR_PARSE if no JSON value begins like this.
 */
int32_t enos_value_type(struct enos_value value);

/**
 * Iterates over an object or an array, in the order of the text.
 *
 *     size_t cursor = 0;
 *     while (enos_value_next(params, &cursor, &key, &value) == 1) ...
 *
 * @param container  an object or an array.
 * @param cursor     0 before the first call; each call advances it.
 * @param key        receives the key of the member, a text (enos_value_equals(), enos_value_text()), or {NULL, 0} for
 *                   an array. May be NULL.
 * @param value      receives the member or element.
 * @return  1 if there was one; 0 if there are no more. Negative: ENOS_ERR_NOT_FOUND, ENOS_ERR_INVALID_ARG (it is
 *          neither an object nor an array), ENOS_ERR_PARSE, ENOS_ERR_NULL_ARG. enos_last_error() is left as it is.
 */
int32_t enos_value_next(struct enos_value container, size_t *cursor, struct enos_value *key, struct enos_value *value);

/**
 * The number of members of an object or elements of an array.
 *
 * @param container  an object or an array.
 * @return  the number. Negative: the errors of enos_value_next(), and ENOS_ERR_TOO_LARGE above 2^31 - 1.
 */
int32_t enos_value_count(struct enos_value container);

/**
 * Whether a value is this text, byte for byte, after its escapes are resolved. The text may contain NULs.
 *
 * @param value     a text, such as a key.
 * @param expected  UTF-8.
 * @param len       in bytes, or ENOS_NUL_TERMINATED.
 * @return  1 if it is; 0 if it is another text, has another type or is missing.
 */
int32_t enos_value_equals(struct enos_value value, const char *expected, size_t len);

/**
 * Reads a whole number. 100, 100.0 and 1e2 are the same.
 *
 * @param value  the number.
 * @param out    receives it.
 * @retval ENOS_OK               read.
 * @retval ENOS_ERR_NOT_FOUND    the value is missing.
 * @retval ENOS_ERR_INVALID_ARG  it is not a whole number.
 * @retval ENOS_ERR_TOO_LARGE    it is below -2^63 or above 2^63 - 1.
 * @retval ENOS_ERR_PARSE        it is not JSON.
 */
enos_status enos_value_int(struct enos_value value, int64_t *out);

/**
 * Reads a whole number that is not negative, as enos_value_int() does.
 *
 * @param value  the number.
 * @param out    receives it.
 * @retval ENOS_OK               read.
 * @retval ENOS_ERR_NOT_FOUND    the value is missing.
 * @retval ENOS_ERR_INVALID_ARG  it is not a whole number.
 * @retval ENOS_ERR_TOO_LARGE    it is negative, or above 2^64 - 1.
 * @retval ENOS_ERR_PARSE        it is not JSON.
 */
enos_status enos_value_uint(struct enos_value value, uint64_t *out);

/**
 * Reads a number as the nearest double. A number that is nearer to 0 than to any other double becomes 0.
 *
 * @param value  the number.
 * @param out    receives it.
 * @retval ENOS_OK               read.
 * @retval ENOS_ERR_NOT_FOUND    the value is missing.
 * @retval ENOS_ERR_INVALID_ARG  it is not a number.
 * @retval ENOS_ERR_TOO_LARGE    it is larger than any double.
 * @retval ENOS_ERR_PARSE        it is not JSON.
 */
enos_status enos_value_double(struct enos_value value, double *out);

/**
 * Reads true or false.
 *
 * @param value  the value.
 * @param out    receives 1 or 0.
 * @retval ENOS_OK               read.
 * @retval ENOS_ERR_NOT_FOUND    the value is missing.
 * @retval ENOS_ERR_INVALID_ARG  it is neither.
 * @retval ENOS_ERR_PARSE        it is not JSON.
 */
enos_status enos_value_bool(struct enos_value value, int32_t *out);

/**
 * Reads a text, with its escapes resolved.
 *
 * @param value       the text.
 * @param buffer      receives the text and a NUL after it. (NULL, 0) asks for the capacity.
 * @param cap         the capacity of the buffer, in bytes.
 * @param buffer_len  receives the length without the final NUL. The text itself may contain NULs. If the buffer is too
 *                    small, it receives the capacity that is needed.
 * @retval ENOS_OK                    read.
 * @retval ENOS_ERR_NOT_FOUND         the value is missing.
 * @retval ENOS_ERR_INVALID_ARG       it is not a text.
 * @retval ENOS_ERR_BUFFER_TOO_SMALL  the buffer is too small.
 * @retval ENOS_ERR_PARSE             it is not JSON or not UTF-8, or contains half of a surrogate pair.
 */
enos_status enos_value_text(struct enos_value value, char *buffer, size_t cap, size_t *buffer_len);

/* ------------------------------------------------------------------------------------------------
 * Building JSON: the params of a request or the data of an answer, without a JSON library. It can be used without a
 * client as well. If your firmware has a JSON library of its own, you do not need these functions: the other functions
 * accept and return JSON as text.
 *
 * A builder appends to one text. Begin an object or an array, put members, end it. Most calls return nothing: the
 * builder keeps the first error, and ignores later calls. enos_json_result(), or the call that uses the text, returns
 * that error and names the key at which it happened. So one check at the end is enough, and an incomplete text is
 * never used.
 *
 * A member of an object has a key. An element of an array and the outermost value have none (NULL). The result is
 * always valid JSON: valid UTF-8, no key twice in an object, at most 64 levels. It does not depend on the locale.
 *
 * Only one thread at a time may use a builder. All calls are allowed in an event callback.
 * ------------------------------------------------------------------------------------------------ */

/**
 * What to do with a number that JSON cannot represent: NaN and the infinities.
 */
typedef enum enos_nonfinite {
  /**
   * It becomes an error of the text.
   */
  ENOS_NONFINITE_ERROR = 0,
  /**
   * It is written as null.
   */
  ENOS_NONFINITE_NULL = 1,
  /**
   * It is left out with its key, or with its whole measure point. It is counted (enos_json_left_out()), and a log
   * record of the level ENOS_LOG_INFO names the key. In an array it is written as null: otherwise the elements
   * behind it would move up.
   */
  ENOS_NONFINITE_LEAVE_OUT = 2,
} enos_nonfinite;

/**
 * A builder of JSON: opaque. enos_json_new() makes it, and it is yours until enos_json_free().
 */
typedef struct enos_json enos_json;

/**
 * Makes an empty builder.
 *
 * @param out  receives the builder. Free it with enos_json_free().
 * @retval ENOS_OK  made.
 */
enos_status enos_json_new(struct enos_json **out);

/**
 * Frees a builder, and the text that enos_json_result() returned.
 *
 * @param json  may be NULL.
 */
void enos_json_free(struct enos_json *json);

/**
 * Empties a builder and clears its error. The builder keeps its memory: if the next text has the same size, it does
 * not allocate.
 *
 * @param json  may be NULL.
 */
void enos_json_clear(struct enos_json *json);

/**
 * Chooses what happens to NaN and the infinities from now on. enos_json_clear() does not change it.
 *
 * @param json    may be NULL.
 * @param policy  one of enum enos_nonfinite. Another number becomes an error of the text. The default is
 *                ENOS_NONFINITE_ERROR.
 */
void enos_json_set_nonfinite(struct enos_json *json, int32_t policy);

/**
 * Begins an object.
 *
 * @param json  may be NULL.
 * @param key   the member's key in an object, otherwise NULL.
 */
void enos_json_begin_object(struct enos_json *json, const char *key);

/**
 * Begins an array.
 *
 * @param json  may be NULL.
 * @param key   the member's key in an object, otherwise NULL.
 */
void enos_json_begin_array(struct enos_json *json, const char *key);

/**
 * Begins the params of a post of measure points: {"measurepoints":{...},"time":...}. Members follow, with the id as
 * the key. Each is a value or a point (enos_json_begin_point()). One enos_json_end() closes all of it.
 *
 * It is the outermost value, or, in a batch, an element of the array that enos_json_begin_array() has begun.
 *
 * @param json     may be NULL.
 * @param time_ms  when they were measured, in milliseconds since 1970. With ENOS_NO_TIME there is no time, and EnOS
 *                 takes the time of arrival.
 */
void enos_json_begin_measurepoints(struct enos_json *json, int64_t time_ms);

/**
 * Begins a measure point with a quality: "id":{"value":...,"quality":...}. Then put one value without a key, and call
 * enos_json_end().
 *
 * @param json     may be NULL.
 * @param id       the id of the measure point.
 * @param quality  EnOS documents 0 to 9; a negative number leaves it out.
 */
void enos_json_begin_point(struct enos_json *json, const char *id, int32_t quality);

/**
 * Ends the innermost object, array, measure point or post.
 *
 * @param json  may be NULL.
 */
void enos_json_end(struct enos_json *json);

/**
 * Puts a text.
 *
 * @param json  may be NULL.
 * @param key   the member's key in an object, otherwise NULL.
 * @param text  UTF-8, which is checked: invalid bytes become an error of the text. It may contain NULs.
 * @param len   in bytes, or ENOS_NUL_TERMINATED.
 */
void enos_json_text(struct enos_json *json, const char *key, const char *text, size_t len);

/**
 * Puts a text that may not be UTF-8, such as one from a meter. Invalid bytes are replaced by U+FFFD.
 *
 * @param json  may be NULL.
 * @param key   the member's key in an object, otherwise NULL.
 * @param text  any bytes.
 * @param len   in bytes, or ENOS_NUL_TERMINATED.
 */
void enos_json_text_lossy(struct enos_json *json, const char *key, const char *text, size_t len);

/**
 * Puts a whole number.
 *
 * @param json   may be NULL.
 * @param key    the member's key in an object, otherwise NULL.
 * @param value  written exactly. A reader that uses doubles rounds numbers beyond 2^53.
 */
void enos_json_int(struct enos_json *json, const char *key, int64_t value);

/**
 * Puts a whole number that is not negative, as enos_json_int() does.
 *
 * @param json   may be NULL.
 * @param key    the member's key in an object, otherwise NULL.
 * @param value  the number.
 */
void enos_json_uint(struct enos_json *json, const char *key, uint64_t value);

/**
 * Puts a double: the fewest digits that read back as this double, at most 24 bytes. 100.0 is written as 100.
 *
 * @param json   may be NULL.
 * @param key    the member's key in an object, otherwise NULL.
 * @param value  the number. For NaN and the infinities, see enos_json_set_nonfinite().
 */
void enos_json_double(struct enos_json *json, const char *key, double value);

/**
 * Puts a float: the fewest digits that read back as this float. 21.1f is written as 21.1. enos_json_double() would
 * write 21.100000381469727.
 *
 * @param json   may be NULL.
 * @param key    the member's key in an object, otherwise NULL.
 * @param value  the number. For NaN and the infinities, see enos_json_set_nonfinite().
 */
void enos_json_float(struct enos_json *json, const char *key, float value);

/**
 * Puts true or false.
 *
 * @param json   may be NULL.
 * @param key    the member's key in an object, otherwise NULL.
 * @param value  0 is false, any other number is true.
 */
void enos_json_bool(struct enos_json *json, const char *key, int32_t value);

/**
 * Puts null.
 *
 * @param json  may be NULL.
 * @param key   the member's key in an object, otherwise NULL.
 */
void enos_json_null(struct enos_json *json, const char *key);

/**
 * Puts JSON that is already encoded. It is checked as in enos_value_parse(); if it is invalid, that is an error of the
 * text.
 *
 * @param json  may be NULL.
 * @param key   the member's key in an object, otherwise NULL.
 * @param text  one JSON value.
 * @param len   in bytes, or ENOS_NUL_TERMINATED.
 */
void enos_json_raw(struct enos_json *json, const char *key, const char *text, size_t len);

/**
 * Puts a part of a received message, as enos_json_raw() does. If the value does not exist, that is an error of the
 * text.
 *
 * @param json   may be NULL.
 * @param key    the member's key in an object, otherwise NULL.
 * @param value  the part.
 */
void enos_json_value(struct enos_json *json, const char *key, enos_value value);

/**
 * The length of the text so far, for example to see if another reading fits.
 *
 * @param json  may be NULL.
 * @return  the length in bytes; 0 for NULL.
 */
size_t enos_json_size(const struct enos_json *json);

/**
 * How many numbers were left out since the builder was cleared: see ENOS_NONFINITE_LEAVE_OUT.
 *
 * @param json  may be NULL.
 * @return  the count; 0 for NULL.
 */
uint32_t enos_json_left_out(const struct enos_json *json);

/**
 * The whole text, or the first error.
 *
 * @param json  the builder.
 * @param text  receives the text, with a NUL after it. It belongs to the builder, and is valid until the builder is
 *              changed or freed.
 * @param len   receives its length in bytes, without the NUL; may be NULL.
 * @retval ENOS_OK                the text is complete.
 * @retval ENOS_ERR_STATE         something is still open, nothing was put, or a put was not allowed where it was made:
 *                                a key was missing, unexpected or used twice, or it was a second value.
 * @retval ENOS_ERR_INVALID_ARG   a text or key is not UTF-8, or a number is not finite.
 * @retval ENOS_ERR_PARSE         JSON that was put as such is invalid.
 * @retval ENOS_ERR_NOT_FOUND     a value was missing.
 * @retval ENOS_ERR_TOO_LARGE     more than 64 levels.
 */
enos_status enos_json_result(const struct enos_json *json, const char **text, size_t *len);

/* ------------------------------------------------------------------------------------------------
 * Storage: where the library keeps what must survive the process. The firmware supplies it (flash, a database, a
 * file), or uses the ready-made directory below.
 *
 * It is required for activation with a product secret. A client with a configured device secret works without it, but
 * then the connect budget and the result of ENOS_SIGN_AUTO are lost when the process ends.
 * ------------------------------------------------------------------------------------------------ */

/**
 * What a storage callback returns. On failure, it returns a negative number of your own instead.
 */
typedef enum enos_storage_result {
  /**
   * Done.
   */
  ENOS_STORAGE_OK = 0,
  /**
   * There is no value for this key. Only this answer allows the library to activate the device. If the storage
   * cannot be read, return a negative number instead.
   */
  ENOS_STORAGE_NOT_FOUND = 1,
  /**
   * load only: the value is longer than `cap`, and `*out_len` is its length.
   */
  ENOS_STORAGE_TOO_SMALL = 2,
} enos_storage_result;

/**
 * One change of a batch, for enos_storage.batch. It belongs to the library, and is valid until the callback returns.
 */
typedef struct enos_storage_change {
  /**
   * The key to change.
   */
  const char *key;
  /**
   * The new value. If it is NULL, remove the key and its value, as erase does.
   */
  const uint8_t *data;
  /**
   * The length of data in bytes; 0 if data is NULL.
   */
  size_t len;
} enos_storage_change;

/**
 * Where the library keeps what must survive the process: a small key-value store that the firmware supplies.
 *
 * Keys are NUL-terminated, 1 to 64 bytes of [a-z0-9._-]. Values are 1 to 65536 bytes. A device has four of them,
 * hardly ever longer than 1 KiB, and one of the four is rewritten before and after each CONNECT. Durable publishing
 * adds one for each message (or each batch) that is not completed, and two that are rewritten in turn, once for every
 * 16 that are accepted or removed. Several devices may share one storage: a key holds a digest of the device's
 * identity; a value holds the identity itself, a version and a checksum. The storage need not interpret keys or
 * values.
 *
 * Threads: the callbacks run inside enos_client_loop(), on the thread that called it or on the one that
 * enos_client_loop_start() made, or inside your own call (a durable publish). For one storage, only one callback runs
 * at a time: other calls that need the storage wait, and no other calls do. So a callback must not wait for a thread
 * that is in such a call. A callback may take as long as the flash needs: the connection is kept alive meanwhile. It
 * must not call any enos_* function (ENOS_ERR_IN_CALLBACK), throw or longjmp.
 *
 * Ownership: `key`, `buf` and `data` belong to the library, and are valid until the callback returns. `ctx` and what
 * it points to are yours until `release`. The struct itself is copied. If several configs get the same ctx and
 * functions, they share one storage: there is still one call at a time, and one release.
 *
 * Return values: enos_storage_result, or a negative number of your own for a failure, which you receive in
 * enos_event.detail_code. A failure is retried with a growing delay. It never leads to an activation.
 * enos_event.detail_code. A failure is retried with a growing delay; it never leads to an activation.
 */
typedef struct enos_storage {
  /**
   * sizeof(enos_storage); ENOS_INIT() sets it.
   */
  size_t struct_size;
  /**
   * Passed to each callback; may be NULL.
   */
  void *ctx;
  /**
   * Reads the value of `key`. Must not be NULL.
   *
   * If the value fits into the `cap` bytes at `buf`, write it there, write its length in bytes to `*out_len`, and
   * return ENOS_STORAGE_OK. If it does not fit, write its length to `*out_len` and return ENOS_STORAGE_TOO_SMALL:
   * the library calls again with a buffer of that size. (If the length is unknown, leave `*out_len` unchanged: the
   * library calls again with 65536 bytes.) Never write more than `cap` bytes. Return ENOS_STORAGE_NOT_FOUND if there
   * is no such key, and only then.
   */
  int32_t (*load)(void *ctx, const char *key, uint8_t *buf, size_t cap, size_t *out_len);
  /**
   * Writes the `len` bytes at `data` as the value of `key`, and replaces an older value. Must not be NULL.
   *
   * Return ENOS_STORAGE_OK only if the value survives a power cut from now on: the cloud sends a device secret once,
   * and after this OK the library confirms to the cloud that it has the secret. Replace atomically: if the power
   * fails at any moment, a later load returns either the old value or the new one, complete, and never
   * ENOS_STORAGE_NOT_FOUND if there was a value. (On a file system: write another file, fsync, rename, fsync the
   * directory.) After a failure, the old value stays.
   */
  int32_t (*store)(void *ctx, const char *key, const uint8_t *data, size_t len);
  /**
   * Removes `key` and its value. If the key does not exist, that is a success. Must not be NULL.
   */
  int32_t (*erase)(void *ctx, const char *key);
  /**
   * May be NULL. Called once, when the last config or client that uses the storage is freed, on the thread that
   * freed it. No callback runs after it. A storage that was released must not be given to a config again.
   */
  void (*release)(void *ctx);
  /**
   * May be NULL: then store and erase are called one by one. For a storage that can make several changes at the cost
   * of one (one sync, one transaction). Each change must be as atomic as store is. No key occurs twice, and the
   * order does not matter. Return ENOS_STORAGE_OK only if all changes survive a power cut. After a failure, or a
   * power cut during the call, each change may have been made or not.
   */
  int32_t (*batch)(void *ctx, const struct enos_storage_change *changes, size_t count);
} enos_storage;

/**
 * A ready-made storage for a Linux file system: a directory with one file for each key. Each file is written whole,
 * synced and renamed, so that a power cut at any moment leaves the old value or the new one.
 *
 * This function never creates the directory: if its file system is not mounted yet, an empty directory would mean that
 * this device has no secret, and its activation would be refused. enos_storage_directory_create() creates it.
 *
 * The following is refused: a directory that does not belong to the effective user, or that gives any right to group
 * or others; a symbolic link in its place; a parent that belongs to neither root nor the effective user, or that
 * everybody can write to, unless it is sticky (like /tmp). If the group can write to the parent, there is a warning in
 * the log.
 *
 * The directory is locked until the release: only one storage can use it at a time, in all processes together. Give
 * the same enos_storage to all clients that share the directory. If it was given to a config, the library releases it
 * when the last config or client that uses it is freed. If it was given to none, release it with
 * out->release(out->ctx).
 *
 * Each use checks the path first. If it no longer leads to the directory that was opened (a file system was mounted
 * over it, it was moved or removed, the process has changed its root), nothing is read or written: the callback fails
 * with -ESTALE until the storage is released and opened again.
 *
 * @param path  the path of the directory, UTF-8.
 * @param out   made with ENOS_INIT(); receives the storage, for enos_config_set_storage(). Its callbacks fail with
 *              negated errno values.
 * @retval ENOS_OK               out is ready.
 * @retval ENOS_ERR_STATE        the directory is in use already, by this process or by another.
 * @retval ENOS_ERR_STORAGE      the directory does not exist, cannot be opened or cannot be trusted; enos_last_error()
 *                               says why.
 * @retval ENOS_ERR_INVALID_ARG  path is empty or not UTF-8.
 * @retval ENOS_ERR_STRUCT_SIZE  out was not made with ENOS_INIT().
 */
ENOS_MUST_USE enos_status enos_storage_directory(const char *path, struct enos_storage *out);

/**
 * Like enos_storage_directory(), but creates the directory with mode 0700 if it is missing, and makes that durable.
 * Its parent must exist. Use it for provisioning, and for a run that is known to be the first one.
 *
 * @param path  as in enos_storage_directory().
 * @param out   as in enos_storage_directory().
 * @retval ENOS_OK               out is ready.
 * @retval ENOS_ERR_STATE        the directory is in use already, by this process or by another.
 * @retval ENOS_ERR_STORAGE      the directory cannot be created, opened or trusted; enos_last_error() says why.
 * @retval ENOS_ERR_INVALID_ARG  path is empty or not UTF-8.
 * @retval ENOS_ERR_STRUCT_SIZE  out was not made with ENOS_INIT().
 */
ENOS_MUST_USE enos_status enos_storage_directory_create(const char *path, struct enos_storage *out);

/* ------------------------------------------------------------------------------------------------
 * A firmware that EnOS offers. Offers come as ENOS_EVENT_OTA_OFFER; see the chapter on firmware updates. The functions
 * of this chapter are pure: any thread may call them, also in an event callback.
 * ------------------------------------------------------------------------------------------------ */

/**
 * Where a firmware stands, as far as the client has recorded it.
 */
typedef enum enos_firmware_state {
  /**
   * EnOS offers it.
   */
  ENOS_FIRMWARE_OFFERED = 1,
  /**
   * It was downloaded, and its size and its digest are right. Its slot is not written to until it is installed or
   * given up.
   */
  ENOS_FIRMWARE_VERIFIED = 2,
  /**
   * enos_ota_installed() was called: the next start runs it.
   */
  ENOS_FIRMWARE_INSTALLED = 3,
  /**
   * This very image was the last that has failed, other than by a download that was given up.
   */
  ENOS_FIRMWARE_FAILED = 4,
} enos_firmware_state;

/**
 * A firmware: opaque. One from enos_firmware_parse() or enos_firmware_copy() is yours until enos_firmware_free(); one
 * in an event belongs to the library until the callback returns.
 */
typedef struct enos_firmware enos_firmware;

/**
 * Reads a firmware from JSON: an element of "data" in the reply to ENOS_OP_OTA_VERSION_QUERY, which also comes as
 * ENOS_EVENT_OTA_OFFER, or one that you have stored. The state of the result is ENOS_FIRMWARE_OFFERED.
 *
 * @param value      an object with the texts version, fileUrl (up to 8192 bytes), signMethod and sign, none of them
 *                   empty, and fileSize, a number or a text.
 * @param subdevice  the sub-device that it is for; 0: the client's own device.
 * @param out        receives the firmware, yours to free with enos_firmware_free().
 * @retval ENOS_OK             done.
 * @retval ENOS_ERR_NOT_FOUND  the value is missing.
 * @retval ENOS_ERR_PARSE      it is not such an object.
 */
enos_status enos_firmware_parse(enos_value value, uint64_t subdevice, struct enos_firmware **out);

/**
 * The version.
 *
 * @param firmware  may be NULL.
 * @return  a text that is valid as long as the firmware; NULL for NULL.
 */
const char *enos_firmware_version(const struct enos_firmware *firmware);

/**
 * Where the image is, as EnOS says it. It is often relative to the HTTP address of your EnOS environment, and may be
 * valid for a short time only.
 *
 * @param firmware  may be NULL.
 * @return  a text that is valid as long as the firmware; NULL for NULL.
 */
const char *enos_firmware_url(const struct enos_firmware *firmware);

/**
 * How the digest is computed, as EnOS says it: "md5" or "sha256", in any case.
 *
 * @param firmware  may be NULL.
 * @return  a text that is valid as long as the firmware; NULL for NULL.
 */
const char *enos_firmware_sign_method(const struct enos_firmware *firmware);

/**
 * The digest of the image, in hexadecimal digits of any case.
 *
 * @param firmware  may be NULL.
 * @return  a text that is valid as long as the firmware; NULL for NULL.
 */
const char *enos_firmware_sign(const struct enos_firmware *firmware);

/**
 * The size of the image.
 *
 * @param firmware  may be NULL.
 * @return  bytes; 0 for NULL.
 */
uint64_t enos_firmware_size(const struct enos_firmware *firmware);

/**
 * The sub-device that the firmware is for.
 *
 * @param firmware  may be NULL.
 * @return  0: the client's own device.
 */
uint64_t enos_firmware_subdevice(const struct enos_firmware *firmware);

/**
 * Where the firmware stood when the event came. It does not change later.
 *
 * @param firmware  may be NULL.
 * @return  one of enum enos_firmware_state; 0 for NULL.
 */
int32_t enos_firmware_get_state(const struct enos_firmware *firmware);

/**
 * The name of a state, for logs.
 *
 * @param state  every value is accepted.
 * @return       static text, e.g. "OFFERED"; "UNKNOWN" for a value that is no state.
 */
const char *enos_firmware_state_name(int32_t state);

/**
 * Copies a firmware, for example to keep that of an event.
 *
 * @param firmware  the firmware.
 * @param out       receives the copy, yours to free with enos_firmware_free().
 * @retval ENOS_OK  done.
 */
enos_status enos_firmware_copy(const struct enos_firmware *firmware, struct enos_firmware **out);

/**
 * Frees a firmware from enos_firmware_parse() or enos_firmware_copy().
 *
 * @param firmware  may be NULL: nothing happens.
 */
void enos_firmware_free(struct enos_firmware *firmware);

/* ------------------------------------------------------------------------------------------------
 * Events: everything that a client reports. They are delivered one at a time and in order, inside the loop.
 * ------------------------------------------------------------------------------------------------ */

/**
 * What an event tells. Later versions add types: ignore those that you do not know.
 */
typedef enum enos_event_type {
  /**
   * Online as the device: publish from here on. All subscriptions have been requested, before anything that you
   * publish.
   */
  ENOS_EVENT_CONNECTED = 1,
  /**
   * The link is gone, or an attempt failed. retry_in_ms says when the next attempt follows (0: none will, until you
   * call enos_client_connect()), detail what happened and what to do. status is
   *
   *   - ENOS_OK: you asked for it, with enos_client_disconnect();
   *   - ENOS_ERR_NETWORK: nobody answered, the link broke, or the broker is not available (CONNACK 3);
   *   - ENOS_ERR_TLS: a certificate or key cannot be used, or the handshake failed; detail says why;
   *   - ENOS_ERR_CREDENTIALS: the broker refused what the device signed with (CONNACK 4 or 5);
   *   - ENOS_ERR_ACTIVATION_REFUSED: it refused the product secret. The product secret is wrong, or the device is
   *     already active and has to be deleted and registered anew in the EnOS console;
   *   - ENOS_ERR_STORAGE: the storage cannot be read, so that nobody knows whether there is a device secret.
   *     detail_code is what it returned;
   *   - ENOS_ERR_PROTOCOL: the broker refused in another way (CONNACK 1, 2 and others), or sent a packet that MQTT
   *     3.1.1 does not allow it to, or a message with QoS 2;
   *   - ENOS_ERR_CONFLICT: three times in a row or more, the broker took the login and ended the connection soon
   *     after. Another client is probably logged in as this device: the two would throw each other out for ever, so
   *     this one waits, 1 to 2 minutes at first, 8 to 16 in the end, until a connection has stood for 17.
   *
   * For a CONNACK, detail_code is its return code.
   */
  ENOS_EVENT_DISCONNECTED = 2,
  /**
   * The device secret has arrived, is stored, and was read back. activation is set. CONNECTED follows.
   */
  ENOS_EVENT_ACTIVATED = 3,
  /**
   * The device secret has arrived and could not be stored. activation is set; status and detail say why, detail_code
   * is what your storage returned, retry_in_ms when it is tried again. The library keeps trying as long as the
   * process lives. You may also save it by hand and call enos_client_activation_saved().
   */
  ENOS_EVENT_PERSIST_FAILED = 4,
  /**
   * A message came in: topic, payload, qos, retained. One PUBLISH is one event, of this type or of a more special
   * one. A message on an activation topic, of any device, never comes as this event, because it may contain a
   * secret.
   */
  ENOS_EVENT_MESSAGE = 5,
  /**
   * The outcome of enos_client_publish(), of enos_command_reply() and its like, and of a durable request that does
   * not wait for a reply: token, operation, user, status.
   */
  ENOS_EVENT_DELIVERED = 6,
  /**
   * The outcome of enos_client_subscribe(): token, status, topic (the filter), qos (the one that was granted). With
   * token 0: a subscription was refused or not answered on a later link, or is granted again after that.
   */
  ENOS_EVENT_SUBSCRIBED = 7,
  /**
   * The outcome of enos_client_unsubscribe(): token, status, topic (the filter).
   */
  ENOS_EVENT_UNSUBSCRIBED = 8,
  /**
   * The outcome of a request (enos_client_request(), enos_client_post_*() and others), if a durable one has
   * ENOS_REQUEST_UNTIL_REPLY: token, operation, user, status, detail_code (EnOS's code), payload (the whole reply),
   * data and message (parts of it). ENOS_OK: EnOS answered 200. ENOS_ERR_REFUSED: it answered another code, or the
   * broker refuses the topic of the replies (detail_code 128).
   */
  ENOS_EVENT_REPLY = 9,
  /**
   * Messages were dropped: because the inbound queue was full (enos_config_set_queue_limits()), because they were
   * too large (enos_config_set_max_message()), or because they came on an activation topic and were not expected.
   * detail_code says how many. Events of other types are never dropped.
   *
   * With the status ENOS_ERR_REFUSED, detail_code commands were not handed over. detail says why, and what the
   * library has answered. See the chapter on commands.
   */
  ENOS_EVENT_OVERFLOW = 10,
  /**
   * A call was refused with ENOS_ERR_QUEUE_FULL before, and there is room again: for at least one call of that kind
   * (publishes and requests; calls to subscribe), or for an eighth of the outbox. Told once after a refusal.
   */
  ENOS_EVENT_ROOM = 11,
  /**
   * The outbox has to wait. Nothing is lost meanwhile. status is
   *
   *   - ENOS_ERR_STORAGE: the storage does not let it be read, or neither removes a message nor takes a dead letter;
   *     detail_code is what it returned, retry_in_ms when it is tried again. With retry_in_ms 0: both records that
   *     say where the outbox is are unreadable; what was in it stays in the storage, and is not sent any more;
   *   - ENOS_ERR_REFUSED, ENOS_ERR_TIMEOUT, ENOS_ERR_NETWORK: the broker does not grant the topic on which EnOS's
   *     replies come, and the first message waits for one.
   */
  ENOS_EVENT_OUTBOX_FAILED = 12,
  /**
   * The cloud asks the device for something: command, topic, payload. Answer it with enos_command_reply() in the
   * callback, or retain it with enos_command_retain() and answer it later. See the chapter on commands.
   */
  ENOS_EVENT_COMMAND = 13,
  /**
   * The state of a sub-device has changed: subdevice, user (that of enos_client_add_subdevices()), subdevice_state,
   * and detail, which says why. status is
   *
   *   - ENOS_OK: it is as you wanted it;
   *   - ENOS_ERR_REFUSED: EnOS answered detail_code. It names the reasons of a batch in one text, so that some of it
   *     may be about other sub-devices;
   *   - ENOS_ERR_TIMEOUT: EnOS has not answered;
   *   - ENOS_ERR_NETWORK: the gateway's link is gone;
   *   - ENOS_ERR_STORAGE: the storage cannot be read, so that nobody knows whether there is a device secret;
   *   - ENOS_ERR_CREDENTIALS: there is no secret to log in with.
   *
   * retry_in_ms says when the next login follows; 0: none will, or as soon as it is its turn.
   */
  ENOS_EVENT_SUBDEVICE_STATE = 14,
  /**
   * What enos_client_disconnect() began has come to its end: exactly one for each call that returned ENOS_OK, also
   * when there was nothing to do. It comes after DISCONNECTED and after the outcomes of all calls, except for three:
   * a subscribe that no broker has answered yet, a durable message that is not completed, and an answer to a command
   * that was given offline. Their outcomes come on a later link, that of the answer also at the command's deadline.
   * status is
   *
   *   - ENOS_OK: the device is offline, and no device secret is unsaved: enos_client_destroy() may follow. While the
   *     storage does not take a secret, this does not come;
   *   - ENOS_ERR_STATE: enos_client_connect() was called before that, and has taken the disconnect back.
   */
  ENOS_EVENT_STOPPED = 15,
  /**
   * The broker took the product secret, and has sent no device secret so far (enos_config_set_activation_timeout()).
   * The client stays connected and waits on; retry_in_ms says when it logs in once more. status is
   * ENOS_ERR_ACTIVATION_TIMEOUT. When messages came that could not be used, detail says what was wrong with them.
   */
  ENOS_EVENT_ACTIVATION_LATE = 16,
  /**
   * EnOS offers a firmware: firmware, subdevice, user (that of enos_client_add_subdevices()). Take it, or refuse it
   * with enos_ota_report(), now or later. It is told again after a restart as long as you do neither.
   * enos_firmware_get_state() says whether this very image was taken or has failed before. status is
   *
   *   - ENOS_OK: EnOS has been told that the offer has arrived;
   *   - ENOS_ERR_STORAGE: the offer could not be stored, which EnOS has been told; it is not told again after a
   *     restart. You may take it nevertheless.
   */
  ENOS_EVENT_OTA_OFFER = 17,
  /**
   * The progress of a download, its one outcome, or the outcome of an installation: firmware, subdevice, status. For an
   * installation token is 0, and status is
   *
   *   - ENOS_OK: the version that was installed runs;
   *   - ENOS_ERR_NOT_INSTALLED: another version runs after the installation. EnOS is told step -4;
   *   - ENOS_ERR_STORAGE: the record of the updates cannot be read, and is forgotten: nobody knows whether an
   *     installation was under way. firmware is NULL.
   */
  ENOS_EVENT_OTA = 18,
  /**
   * A dead letter was removed, because the outbox was full of newer messages: token, status ENOS_ERR_QUEUE_FULL. Its
   * own outcome came before.
   */
  ENOS_EVENT_DEAD_LETTER_DROPPED = 19,
} enos_event_type;

/**
 * One device's connection: opaque. From enos_client_create(), yours until enos_client_destroy() has succeeded.
 */
typedef struct enos_client enos_client;

/**
 * A command: opaque. It belongs to the library until the callback returns, and to you as well from
 * enos_command_retain() until enos_command_release(): see the chapter on commands.
 */
typedef struct enos_command enos_command;

/**
 * One event. The event and everything that it points to belong to the library, and are valid until the callback
 * returns: copy what you keep. Fields that the type of the event does not use are 0, "" or NULL.
 */
typedef struct enos_event {
  /**
   * The size of the library's struct: later versions are longer. Read only what your header declares.
   */
  size_t struct_size;
  /**
   * One of enum enos_event_type.
   */
  int32_t type;
  /**
   * ENOS_OK, or the error.
   */
  enos_status status;
  /**
   * A number from elsewhere: a CONNACK return code, EnOS's code, your storage's code, a count. See the type.
   */
  int32_t detail_code;
  /**
   * 0 or 1.
   */
  int32_t qos;
  /**
   * The token of the call that has this outcome; 0 if there is none.
   */
  uint64_t token;
  /**
   * Milliseconds until the next attempt; 0 if none. For a raw request without its reply, until the next one is sent.
   */
  uint32_t retry_in_ms;
  /**
   * 0.
   */
  uint32_t reserved;
  /**
   * A text for a log. It is never NULL and never holds a secret; '?' stands for line breaks and other control
   * characters.
   */
  const char *detail;
  /**
   * Never NULL; a NUL follows the topic_len bytes. A topic from a hostile broker may contain a NUL.
   */
  const char *topic;
  /**
   * Without the NUL.
   */
  size_t topic_len;
  /**
   * payload_len bytes, with no NUL after them. Never NULL.
   */
  const uint8_t *payload;
  /**
   * In bytes.
   */
  size_t payload_len;
  /**
   * Set in ACTIVATED and PERSIST_FAILED; NULL in all others. Do not free it.
   */
  const enos_activation *activation;
  /**
   * One of enum enos_operation: of the request, publish or post that has this outcome; 0 if there is none.
   */
  int32_t operation;
  /**
   * MESSAGE: 1 if the broker sent it because it was retained, 0 if not.
   */
  int32_t retained;
  /**
   * COMMAND: the command; NULL in all others. It is valid until the callback returns, or until you release it if you
   * retain it.
   */
  struct enos_command *command;
  /**
   * The sub-device that it is about; 0: the client's own device.
   */
  uint64_t subdevice;
  /**
   * What you have set in the enos_request that has this outcome, or, in SUBDEVICE_STATE, ACTIVATED, PERSIST_FAILED
   * and COMMAND, in the options of the sub-device; NULL if nothing, and after a restart.
   */
  void *user;
  /**
   * REPLY: the "data" of EnOS's answer. {NULL, 0} if there is none.
   */
  enos_value data;
  /**
   * REPLY: the "message" of EnOS's answer. {NULL, 0} if there is none.
   */
  enos_value message;
  /**
   * SUBDEVICE_STATE: one of enum enos_subdevice_state; 0 in all others.
   */
  int32_t subdevice_state;
  /**
   * 0.
   */
  uint32_t reserved_2;
  /**
   * OTA_OFFER and OTA: the firmware; NULL in all others. Copy it with enos_firmware_copy() to keep it.
   */
  const enos_firmware *firmware;
} enos_event;

/**
 * Receives a client's events, inside enos_client_loop() or enos_client_wait() on the thread that called it, or on the
 * thread of enos_client_loop_start(). It may call every enos_client_* function, except for _destroy, _loop,
 * _loop_stop, _wait and _flush (ENOS_ERR_IN_CALLBACK). None of the calls waits (a durable publish takes as long as
 * your storage). While a callback is slow the connection is kept, but further events wait.
 *
 * @param ctx     what enos_config_set_event_cb() was given.
 * @param client  the client that it is about: the pointer that enos_client_create() wrote.
 * @param event   the event; valid until the callback returns.
 */
typedef void (*enos_event_cb)(void *ctx, struct enos_client *client, const struct enos_event *event);

/**
 * An event type's name, for logs.
 *
 * @param type  every value is accepted.
 * @return      static text, e.g. "CONNECTED"; "UNKNOWN" for a value that is no type.
 */
const char *enos_event_name(int32_t type);

/* ------------------------------------------------------------------------------------------------
 * Configuration: the settings of a client, in an opaque object. Fill it in with the setters, create clients from it
 * (each copies it), and free it. Use it from one thread at a time.
 *
 * A server, an identity and a secret are required. The secret is either the device secret, or the product secret
 * together with a storage. An integration channel takes the place of identity and secret. Each setter checks its own
 * arguments and replaces the former value. On an error the former value stays. Texts and secrets are copied.
 * ------------------------------------------------------------------------------------------------ */

/**
 * The settings of a client: opaque. Yours until enos_config_free().
 */
typedef struct enos_config enos_config;

/**
 * Makes a config with all defaults.
 *
 * @param out  receives the config, yours to free with enos_config_free().
 * @retval ENOS_OK  done.
 */
enos_status enos_config_new(struct enos_config **out);

/**
 * Wipes and frees a config. Clients that were made from it live on. A storage that nothing else uses is released.
 * In a log or storage callback nothing is freed: enos_last_error() says so.
 *
 * @param config  may be NULL: nothing happens.
 */
void enos_config_free(struct enos_config *config);

/**
 * Sets the broker. Required.
 *
 * @param config  the config.
 * @param uri     tcp://host or tcp://host:port; the port is 11883 unless given. host is a name, an IPv4 address, or an
 *                IPv6 address in brackets: tcp://[::1]:11883. On tcp:// anyone on the way can read and forge messages,
 *                the device secret included. ssl://host or ssl://host:port, 18883 unless given, is TLS
 *                (enos_config_set_tls()).
 * @retval ENOS_OK               done.
 * @retval ENOS_ERR_INVALID_ARG  not of that form; enos_last_error() says why.
 * @retval ENOS_ERR_UNSUPPORTED  ssl://, and this build has no TLS (enos_features()).
 */
enos_status enos_config_set_server(struct enos_config *config, const char *uri);

/**
 * Sets who the device is. Required, unless the client is an integration channel.
 *
 * @param config       the config.
 * @param product_key  1 to 64 characters, none of them a control character or one of `/ + # & | , =`.
 * @param device_key   as product_key, but not "%channel%", which stands for an integration channel.
 * @retval ENOS_OK               done.
 * @retval ENOS_ERR_INVALID_ARG  out of that range, or not UTF-8; enos_last_error() says which and why.
 */
enos_status enos_config_set_identity(struct enos_config *config, const char *product_key, const char *device_key);

/**
 * Sets the free part of the MQTT client id, for instance a serial number or a MAC address.
 *
 * @param config     the config.
 * @param client_id  1 to 64 characters, none of them a control character or one of `| , =`. Default: the device key.
 * @retval ENOS_OK               done.
 * @retval ENOS_ERR_INVALID_ARG  out of that range, or not UTF-8.
 */
enos_status enos_config_set_client_id(struct enos_config *config, const char *client_id);

/**
 * Sets the device secret, for a device that got one in the factory. It is tried before a stored one until one of them
 * has worked. Default: none; the client uses the one in the storage, or gets one by activation.
 *
 * @param config  the config.
 * @param secret  1 to 1024 bytes of UTF-8 without NUL. Copied; wipe yours.
 * @param len     in bytes, or ENOS_NUL_TERMINATED.
 * @retval ENOS_OK               done.
 * @retval ENOS_ERR_INVALID_ARG  out of that range.
 */
enos_status enos_config_set_device_secret(struct enos_config *config, const char *secret, size_t len);

/**
 * Sets the product secret. A device that has no secret of its own is activated with it, once. This needs a storage.
 * Default: none.
 *
 * @param config  the config.
 * @param secret  1 to 1024 bytes of UTF-8 without NUL. Copied; wipe yours.
 * @param len     in bytes, or ENOS_NUL_TERMINATED.
 * @retval ENOS_OK               done.
 * @retval ENOS_ERR_INVALID_ARG  out of that range.
 */
enos_status enos_config_set_product_secret(struct enos_config *config, const char *secret, size_t len);

/**
 * Makes the client an integration channel: it logs in as a product, and sends the data of the product's devices, which
 * need no login of their own. This takes the place of enos_config_set_identity() and of the secrets: if one of them or
 * a client id is set as well, enos_client_create() returns ENOS_ERR_INVALID_ARG.
 *
 * The login has secure mode 4, the product key as its client id, `%channel%&<product key>` as its user name, and is
 * signed with the product secret. Envision's SDKs do the same, with plain digests. It follows the sign method, the
 * connect budget and the rules for reconnects as the login of a device does. A storage is needed for durable messages
 * only. The product secret is never stored.
 *
 * The channel sends ENOS_OP_INTEGRATION_MEASUREPOINT_POST and the three requests after it, live or durable, and
 * enos_client_publish(). What only a device can do (the other requests, enos_client_topic(), sub-devices) returns
 * ENOS_ERR_UNSUPPORTED. EnOS sends no commands to it: a message that is no reply is an ENOS_EVENT_MESSAGE.
 *
 * @param config       the config.
 * @param product_key  as that of enos_config_set_identity().
 * @param secret       the product secret: 1 to 1024 bytes of UTF-8 without NUL. Copied; wipe yours.
 * @param len          in bytes, or ENOS_NUL_TERMINATED.
 * @retval ENOS_OK               done.
 * @retval ENOS_ERR_INVALID_ARG  out of that range; enos_last_error() says which and why.
 */
enos_status enos_config_set_integration_channel(struct enos_config *config,
                                                const char *product_key,
                                                const char *secret,
                                                size_t len);

/**
 * Sets how CONNECTs are signed.
 *
 * @param config  the config.
 * @param method  one of enum enos_sign_method. Default: ENOS_SIGN_AUTO (0).
 * @retval ENOS_OK               done.
 * @retval ENOS_ERR_INVALID_ARG  no such method.
 */
enos_status enos_config_set_sign_method(struct enos_config *config, int32_t method);

/**
 * Sets where the library keeps what must survive the process. Required with a product secret, and always advisable:
 * the connect budget and the sign method that worked are also stored there.
 *
 * @param config   the config.
 * @param storage  made with ENOS_INIT() or by enos_storage_directory(). The struct is copied; what its ctx points to
 *                 stays in use until its release. On an error it is not released. Default: none.
 * @retval ENOS_OK               done.
 * @retval ENOS_ERR_NULL_ARG     also: load, store or erase is NULL.
 * @retval ENOS_ERR_STRUCT_SIZE  storage was not made with ENOS_INIT(), or is of a later version.
 */
ENOS_MUST_USE enos_status enos_config_set_storage(struct enos_config *config, const enos_storage *storage);

/**
 * Binds the connection to a network interface, for boards with several (cellular and Ethernet). The kernel may require
 * CAP_NET_RAW. If the interface is missing, connecting fails with ENOS_ERR_NETWORK.
 *
 * @param config  the config.
 * @param name    1 to 15 bytes, e.g. "wwan0". Default: the routing table decides.
 * @retval ENOS_OK               done.
 * @retval ENOS_ERR_INVALID_ARG  not a name that an interface can have.
 */
enos_status enos_config_set_bind_interface(struct enos_config *config, const char *name);

/**
 * Sets whether a device whose secret is repeatedly refused (for longer than EnOS's ban of 5 minutes) may be activated
 * again with the product secret. This is for devices that were deleted and registered again in the console. The old
 * secret is kept.
 *
 * @param config  the config.
 * @param on      0: off; any other value: on. Default: on.
 * @retval ENOS_OK  done.
 */
enos_status enos_config_set_reactivation(struct enos_config *config, int32_t on);

/**
 * Sets the callback for events.
 *
 * @param config  the config.
 * @param cb      the callback; NULL for none. Default: none.
 * @param ctx     passed to the callback; may be NULL. Yours, and in use until each client made from this config is
 *                destroyed.
 * @retval ENOS_OK  done.
 */
enos_status enos_config_set_event_cb(struct enos_config *config, enos_event_cb cb, void *ctx);

/* ------------------------------------------------------------------------------------------------
 * Timeouts, retries and limits of a config. The defaults keep to what EnOS documents, and suit most devices.
 * ------------------------------------------------------------------------------------------------ */

/**
 * Sets the longest silence on the link before a PINGREQ is sent. A silent peer is noticed after about two and a half
 * times as long.
 *
 * @param config   the config.
 * @param seconds  10 to 1200. EnOS documents 60 to 300; less is for networks that forget idle connections sooner.
 *                 Default: 60.
 * @retval ENOS_OK               done.
 * @retval ENOS_ERR_INVALID_ARG  out of that range; 0 is also out of range.
 */
enos_status enos_config_set_keep_alive(enos_config *config, uint32_t seconds);

/**
 * Sets how long an attempt to connect may take, from resolving the name to the broker's answer.
 *
 * @param config  the config.
 * @param ms      100 to 600000. Default: 30000.
 * @retval ENOS_OK               done.
 * @retval ENOS_ERR_INVALID_ARG  out of that range; 0 is also out of range.
 */
enos_status enos_config_set_connect_timeout(enos_config *config, uint32_t ms);

/**
 * Sets how long the device secret may take after a login with the product secret before that is reported
 * (ACTIVATION_LATE). The client keeps waiting for it, and logs in once more after 10 minutes.
 *
 * @param config  the config.
 * @param ms      100 to 600000. Default: 30000.
 * @retval ENOS_OK               done.
 * @retval ENOS_ERR_INVALID_ARG  out of that range; 0 is also out of range.
 */
enos_status enos_config_set_activation_timeout(enos_config *config, uint32_t ms);

/**
 * Sets the delays between attempts after a loss of the link, counted from when the connect budget has room. Each is
 * random: at least min_ms; at most twice min_ms after the first failure, twice as much after each further one, and
 * never more than max_ms. If very many devices share one broker, raise min_ms: when all of them lose their links at
 * once and the broker takes them back at once, they come back between min_ms and twice min_ms later. With min_ms equal
 * to max_ms nothing is random.
 *
 * @param config  the config.
 * @param min_ms  100 to 3600000. Default: 1000.
 * @param max_ms  min_ms to 3600000. Default: 120000. 0,0: no attempt by itself; call enos_client_connect(). (The steps
 *                of an activation are not such attempts and continue.)
 * @retval ENOS_OK               done.
 * @retval ENOS_ERR_INVALID_ARG  out of that range.
 */
enos_status enos_config_set_reconnect(enos_config *config, uint32_t min_ms, uint32_t max_ms);

/**
 * Sets how many CONNECTs may be sent. The defaults keep to EnOS's rule, with a margin: it bars a device for 5 minutes
 * at the 4th CONNECT in 2 minutes, and allows one a second. Change them only for another broker. The count is kept in
 * the storage, so that a crash loop does not cause the ban either; without a storage it is kept in the process.
 *
 * @param config      the config.
 * @param connects    at most so many in window_ms, 0 to 16. Default: 3. 0, for a test broker, removes the limit:
 *                    window_ms is ignored, and ENOS_ERR_CONFLICT is never reported.
 * @param window_ms   1000 to 3600000. Default: 125000.
 * @param spacing_ms  0 to 60000 between the end of one attempt and the next. Default: 1100. 0: none.
 * @retval ENOS_OK               done.
 * @retval ENOS_ERR_INVALID_ARG  out of that range.
 */
enos_status enos_config_set_connect_budget(enos_config *config,
                                           uint32_t connects,
                                           uint32_t window_ms,
                                           uint32_t spacing_ms);

/**
 * Sets how long the answer to an accepted call may take: the reply to a post, the acknowledgement of a publish, a
 * subscribe or an unsubscribe. After that its event comes with ENOS_ERR_TIMEOUT. On a slow link, allow for the time in
 * the queue.
 *
 * @param config  the config.
 * @param ms      100 to 600000. Default: 30000.
 * @retval ENOS_OK               done.
 * @retval ENOS_ERR_INVALID_ARG  out of that range; 0 is also out of range.
 */
enos_status enos_config_set_reply_timeout(enos_config *config, uint32_t ms);

/**
 * Sets how many accepted publishes and posts may be without their outcome; one more is ENOS_ERR_QUEUE_FULL. Answers to
 * commands and subscriptions have limits of their own, and durable messages wait in the outbox.
 *
 * @param config    the config.
 * @param messages  1 to 10000. Default: 100.
 * @retval ENOS_OK               done.
 * @retval ENOS_ERR_INVALID_ARG  out of that range; 0 is also out of range.
 */
enos_status enos_config_set_inflight(enos_config *config, uint32_t messages);

/**
 * Sets how many topic filters a SUBSCRIBE packet may have. On a new connection the client subscribes to all of your
 * filters again, and to the topics on which EnOS's replies come. If the broker refuses every filter of a packet or
 * does not answer it, the client tries again with packets of half as many filters, down to 1. If the broker accepts
 * those, or if it ends connections instead of an answer, the next packets are smaller, too. When it has accepted
 * packets of that size on two connections, the client tries twice as many, up to this setting, and less often each
 * time that this fails. enos_client_subscribe() while ONLINE sends a packet of its own.
 *
 * @param config   the config.
 * @param filters  1 to 256. Default: 100.
 * @retval ENOS_OK               done.
 * @retval ENOS_ERR_INVALID_ARG  out of that range; 0 is also out of range.
 */
enos_status enos_config_set_subscribe_batch(enos_config *config, uint32_t filters);

/**
 * Sets how much may wait for the loop. If the queue is full, messages are dropped, and ENOS_EVENT_OVERFLOW tells how
 * many. An expected activation is never dropped.
 *
 * @param config            the config.
 * @param inbound_messages  1 to 1000000. Default: 1000.
 * @param inbound_bytes     1024 to 1073741824, topics and payloads together; not less than max_message
 *                          (enos_client_create() checks that). Default: 4194304.
 * @retval ENOS_OK               done.
 * @retval ENOS_ERR_INVALID_ARG  out of that range; 0 is also out of range.
 */
enos_status enos_config_set_queue_limits(enos_config *config, uint32_t inbound_messages, size_t inbound_bytes);

/**
 * Sets the largest payload that may come in. A larger one is dropped and counted (ENOS_EVENT_OVERFLOW); one that is
 * larger by the 64 KiB that a topic can have ends the connection before any of it is stored: DISCONNECTED with
 * ENOS_ERR_NETWORK. An expected activation is accepted nevertheless, with up to 64 KiB.
 *
 * @param config  the config.
 * @param bytes   1024 to 268435455. Default: 1048576.
 * @retval ENOS_OK               done.
 * @retval ENOS_ERR_INVALID_ARG  out of that range; 0 is also out of range.
 */
enos_status enos_config_set_max_message(enos_config *config, size_t bytes);

/* ------------------------------------------------------------------------------------------------
 * TLS: setters of a config for servers at ssl://. They are not needed if one of the system's authorities has issued
 * the broker's certificate. EnOS has an authority of its own.
 *
 * These rules always hold: TLS 1.2 or 1.3 with modern ciphers. The broker's certificate has to come from a trusted
 * authority, be valid today, and be for the broker's name: one of its DNS names, or one of its addresses if the server
 * is given by its address. Its common name is ignored. A certificate of the device does not replace its secret: the
 * signed password is sent over TLS as well.
 *
 * enos_client_create() reads the files, and fails with ENOS_ERR_TLS and a text if one of them cannot be used. They are
 * read again before each CONNECT: a renewed certificate is used from the next CONNECT on, without a restart. If a new
 * file is broken or half written, the present connection stays, and the next attempts fail with ENOS_ERR_TLS until the
 * files are whole. Write each new file beside the old one and rename() it over that, the key before the certificate.
 * An expired certificate of the device cannot be used. One that is not valid yet is tried, with a warning in the log,
 * because it is more likely that the clock is wrong. For a server at tcp:// these settings are ignored.
 *
 * PEM text may have Windows line ends, a byte order mark, and other text around its blocks. The device's intermediate
 * certificates may be in any order. UTF-16 and OpenSSL's own TRUSTED CERTIFICATE are refused with ENOS_ERR_TLS.
 *
 * Revocation lists (X509 CRL) in the CA file are used, each for the certificates of the authority that has issued it.
 * Certificates of an authority without a list are not checked for revocation. If a list has expired, the certificates
 * of its authority are refused, like revoked ones, until the file has a new list, or none. So use lists only if they
 * are renewed in time, in a way that does not need this connection.
 *
 * The system's authorities are loaded once for the process. They are loaded again when their file or directory has
 * changed, and after an hour.
 *
 * A handshake that fails is DISCONNECTED with ENOS_ERR_TLS; its detail says why, in one line. The next attempt follows
 * as after a loss of the link. (Over TLS 1.3 the broker's refusal of the device's certificate arrives only after the
 * CONNECT, so it counts for the connect budget.)
 * ------------------------------------------------------------------------------------------------ */

/**
 * Sets the certificates, as PEM files. Replaces all three, and what enos_config_set_tls_pem() was given.
 *
 * @param config  the config.
 * @param ca      path of a file with the authorities to trust, and no others; NULL for the system's. Default: NULL.
 *                Root certificates, that is: one in between is not trusted for itself. Their revocation lists may
 *                stand there too. A file has at most 4 MiB.
 * @param cert    path of a file with the device's certificate, followed by intermediate ones if there are any; NULL
 *                for none. Default: NULL.
 * @param key     path of a file with the certificate's private key, RSA or EC, encrypted or not (it may be the same
 *                file); NULL for none. Default: NULL.
 * @retval ENOS_OK               done; no file is read yet.
 * @retval ENOS_ERR_INVALID_ARG  one of cert and key without the other, an empty path, or not UTF-8.
 * @retval ENOS_ERR_UNSUPPORTED  this build has no TLS.
 */
enos_status enos_config_set_tls(enos_config *config, const char *ca, const char *cert, const char *key);

/**
 * Sets the certificates, as PEM text in memory: for firmware that keeps keys elsewhere than in files. None of it is
 * ever written to a file. Replaces all three, and what enos_config_set_tls() was given.
 *
 * @param config    the config.
 * @param ca        as for enos_config_set_tls(), but the text itself: 1 byte to 4 MiB. NULL for the system's
 *                  authorities.
 * @param ca_len    in bytes, or ENOS_NUL_TERMINATED; ignored when ca is NULL.
 * @param cert      as for ca; NULL for none.
 * @param cert_len  as for ca_len.
 * @param key       as for ca; NULL for none. Copied; wipe yours.
 * @param key_len   as for ca_len.
 * @retval ENOS_OK               done; the text is not judged yet.
 * @retval ENOS_ERR_INVALID_ARG  one of cert and key without the other, or a length out of range.
 * @retval ENOS_ERR_UNSUPPORTED  this build has no TLS.
 */
enos_status enos_config_set_tls_pem(enos_config *config,
                                    const char *ca,
                                    size_t ca_len,
                                    const char *cert,
                                    size_t cert_len,
                                    const char *key,
                                    size_t key_len);

/**
 * Sets the password of an encrypted private key. The library never asks for it on the terminal.
 *
 * @param config    the config.
 * @param password  1 to 1024 bytes. Copied; wipe yours. NULL for none. Default: NULL.
 * @param len       in bytes, or ENOS_NUL_TERMINATED; ignored when password is NULL.
 * @retval ENOS_OK               done.
 * @retval ENOS_ERR_INVALID_ARG  out of that range.
 * @retval ENOS_ERR_UNSUPPORTED  this build has no TLS.
 */
enos_status enos_config_set_tls_key_password(enos_config *config, const char *password, size_t len);

/**
 * Sets the name that the broker's certificate has to be for, when the broker is reached by another one: through a
 * tunnel, or by its address. It is also the name that is sent to the broker (SNI); an address is not sent.
 *
 * @param config       the config.
 * @param server_name  a host name or an IP address (IPv6 without brackets); NULL for the host of
 *                     enos_config_set_server(). Default: NULL.
 * @retval ENOS_OK               done.
 * @retval ENOS_ERR_INVALID_ARG  neither; enos_last_error() says why.
 * @retval ENOS_ERR_UNSUPPORTED  this build has no TLS.
 */
enos_status enos_config_set_tls_server_name(enos_config *config, const char *server_name);

/**
 * INSECURE. Accepts any broker whose certificate comes from a trusted authority, whatever name it is for: with the
 * system's authorities, that is anyone on the network path who owns a domain. Use it for a test, or until the broker's
 * certificate is corrected; enos_config_set_tls_server_name() is usually the better way. The log has a warning at each
 * attempt to connect. There is no way to switch off the rest of the check.
 *
 * @param config  the config.
 * @param skip    not 0: skip the check of the name; 0: check it. Default: 0.
 * @retval ENOS_OK               done.
 * @retval ENOS_ERR_UNSUPPORTED  this build has no TLS.
 */
enos_status enos_config_set_tls_insecure_skip_name_check(enos_config *config, int32_t skip);

/* ------------------------------------------------------------------------------------------------
 * Client: the connection of one device. Every function may be called from any thread, several at once on one client,
 * except that enos_client_destroy() must not overlap another call on it.
 *
 * A thread has to run the loop; without it nothing happens, and no event is delivered. There are three ways, and a
 * client uses one of them:
 *
 *     your thread          while (running) enos_client_loop(client, 1000);
 *     your event loop      poll enos_client_fd() for input, without a timeout; when it is readable,
 *                          enos_client_loop(client, 0)
 *     the library's thread enos_client_loop_start(); your callbacks then run on that thread
 *
 * After enos_client_connect():
 *
 *     a device secret is      CONNECTED. A refusal is DISCONNECTED with ENOS_ERR_CREDENTIALS, and the next of the
 *     there                   secrets in hand and sign methods is tried; when all have been, after 10 to 60 minutes
 *     none is, but a          the device secret arrives, is stored and read back: ACTIVATED, then CONNECTED. It is
 *     product secret          never given up: when it cannot be stored, PERSIST_FAILED, again and again
 *     the link is lost        calls without an outcome get theirs, then DISCONNECTED with ENOS_ERR_NETWORK; the next
 *                             attempt follows by itself (enos_config_set_reconnect())
 *
 * Only ENOS_STORAGE_NOT_FOUND means that there is no device secret. A storage that fails never causes an activation.
 * ------------------------------------------------------------------------------------------------ */

/**
 * Where a client stands.
 */
typedef enum enos_state {
  /**
   * Not connected, and nothing is under way.
   */
  ENOS_STATE_IDLE = 0,
  /**
   * Logging in with the product secret, or waiting for the device secret.
   */
  ENOS_STATE_ACTIVATING = 1,
  /**
   * The device secret has arrived and is being stored.
   */
  ENOS_STATE_PERSISTING = 2,
  /**
   * Reading the storage, or logging in as the device.
   */
  ENOS_STATE_CONNECTING = 3,
  /**
   * Connected as the device.
   */
  ENOS_STATE_ONLINE = 4,
  /**
   * Between two attempts, or closing the connection.
   */
  ENOS_STATE_WAITING = 5,
} enos_state;

/**
 * The counters of a client since it was created. Later versions of this struct are longer.
 */
typedef struct enos_stats {
  /**
   * sizeof(enos_stats); ENOS_INIT() sets it.
   */
  size_t struct_size;
  /**
   * Bytes that the system has accepted for sending, TLS and MQTT included.
   */
  uint64_t bytes_sent;
  /**
   * Bytes that were received, TLS and MQTT included.
   */
  uint64_t bytes_received;
  /**
   * Messages that were sent. Each PUBLISH counts, also one that is sent again.
   */
  uint64_t messages_sent;
  /**
   * Messages that were received, without those that were dropped.
   */
  uint64_t messages_received;
  /**
   * Messages that were received and dropped (ENOS_EVENT_OVERFLOW).
   */
  uint64_t messages_dropped;
  /**
   * Attempts to connect, from the look-up of the name on.
   */
  uint64_t attempts;
  /**
   * Logins that the broker accepted, those of an activation included.
   */
  uint64_t connects;
  /**
   * Connections that ended unexpectedly after an accepted login.
   */
  uint64_t losses;
  /**
   * The return code of the last CONNACK; -1 if there was none yet.
   */
  int32_t last_connack;
  /**
   * How long the broker took to answer one of the last requests (a QoS 1 publish or a subscribe), in milliseconds,
   * including the time that request and answer waited in queues; 0 if none was measured yet.
   */
  uint32_t round_trip_ms;
  /**
   * Commands that were handed over (ENOS_EVENT_COMMAND).
   */
  uint64_t commands;
  /**
   * Commands that were not handed over (ENOS_EVENT_OVERFLOW with ENOS_ERR_REFUSED).
   */
  uint64_t commands_refused;
} enos_stats;

/**
 * Returns the client's counters. It never waits, and is legal in every event callback.
 *
 * @param client  the client.
 * @param out     made with ENOS_INIT(); receives the numbers.
 * @retval ENOS_OK               done.
 * @retval ENOS_ERR_STRUCT_SIZE  out was not made with ENOS_INIT().
 */
enos_status enos_client_stats(enos_client *client, struct enos_stats *out);

/**
 * Makes a client. This uses no network and no storage, starts no thread and calls no callback.
 *
 * @param config  what it is made from; copied, so it may be changed or freed afterwards.
 * @param out     receives the client, yours to destroy with enos_client_destroy().
 * @retval ENOS_OK               done.
 * @retval ENOS_ERR_INVALID_ARG  the config lacks something that is required, or its values do not go together;
 *                               enos_last_error() names the setter.
 * @retval ENOS_ERR_TLS          for a server at ssl://: a certificate or key cannot be read or used; enos_last_error()
 *                               names the file and says why.
 * @retval ENOS_ERR_NO_MEMORY    out of memory or of descriptors.
 */
ENOS_MUST_USE enos_status enos_client_create(const enos_config *config, enos_client **out);

/**
 * Begins to go online, and to stay online until enos_client_disconnect(): activates the device if it has no secret,
 * logs in as the device, and connects again after a loss. Returns at once; the outcome is an event, CONNECTED or
 * DISCONNECTED. During a wait between two attempts it shortens the wait as far as the connect budget permits, but not
 * to less than a second after a failure. If the client is online or connecting, it changes nothing.
 *
 * @param client  the client.
 * @retval ENOS_OK              begun, or under way already.
 * @retval ENOS_ERR_QUEUE_FULL  no thread runs the loop, and thousands of calls and events wait for it. Run it.
 */
enos_status enos_client_connect(enos_client *client);

/**
 * Goes offline and stays offline. Returns at once. Calls without an outcome have a moment to get it. Raw requests that
 * wait for their turn have theirs at once: ENOS_ERR_NETWORK, not sent. Then DISCONNECTED with ENOS_OK comes, if the
 * device was not offline. The client waits some 2 seconds for a device secret that may be on its way. It keeps a
 * secret that is not stored yet, and continues to store it. STOPPED comes when all of this is done, exactly once for
 * each call, also if there was nothing to do.
 *
 * @param client  the client.
 * @retval ENOS_OK              begun, or nothing to do.
 * @retval ENOS_ERR_QUEUE_FULL  no thread runs the loop, as for enos_client_connect().
 */
enos_status enos_client_disconnect(enos_client *client);

/**
 * Closes the connection, ends the thread of enos_client_loop_start(), wipes and frees the client. No more events come,
 * not even for calls without an outcome: to get those, disconnect and loop until STOPPED first. Waits for a callback
 * that runs on the library's thread. No other call on this client may be running or follow.
 *
 * @param client  may be NULL: nothing happens, ENOS_OK.
 * @retval ENOS_OK                  the client is gone.
 * @retval ENOS_ERR_UNSAVED_SECRET  a device secret has arrived and is in no storage yet. Nothing was freed, and a
 *                                  loop's thread continues. Loop until it is stored, or, when storing fails, save it
 *                                  (it is in the PERSIST_FAILED event), call enos_client_activation_saved(), try
 *                                  again.
 * @retval ENOS_ERR_IN_CALLBACK     called from a callback. Nothing was freed.
 */
ENOS_MUST_USE enos_status enos_client_destroy(enos_client *client);

/**
 * Tells the client that you have saved the device secret of a PERSIST_FAILED event by hand, safe from a power cut. The
 * client stops trying to store it, and logs in as the device. Give the secret to the next process with
 * enos_config_set_device_secret(), or return it from your storage's load. If several secrets have arrived (one of them
 * may be forged), each has its event: save all of them, and call this once for each.
 *
 * @param client  the client.
 * @retval ENOS_OK         done.
 * @retval ENOS_ERR_STATE  no PERSIST_FAILED event has reported a secret that is still unsaved.
 */
ENOS_MUST_USE enos_status enos_client_activation_saved(enos_client *client);

/**
 * Returns the client's present state. Events tell more, and report every change. Legal in every callback.
 *
 * @param client  the client.
 * @return  one of enum enos_state; negative (an enos_status) on failure.
 */
int32_t enos_client_state(const enos_client *client);

/**
 * A state's name, for logs.
 *
 * @param state  every value is accepted.
 * @return       static text, e.g. "ONLINE"; "UNKNOWN" for a value that is no state.
 */
const char *enos_state_name(int32_t state);

/**
 * Waits until there is something to do, at most timeout_ms, then does what is due: reads and writes the storage,
 * delivers events and log records. The network does not wait for this call. One call delivers at most 256 events. With
 * a timeout of 0 it makes at most one call of your storage, so that a slow storage delays your loop no longer than
 * that. Changes of the outbox that belong together (removing completed messages, storing a dead letter) count as one
 * call. The rest is left for the next call: until all is done, the descriptor of enos_client_fd() stays readable, and
 * no call waits.
 *
 * @param client      the client.
 * @param timeout_ms  milliseconds; 0: do not wait; ENOS_FOREVER: no limit.
 * @retval ENOS_OK               what was due is done, or the time is over, or a signal or enos_client_wake() ended the
 *                               wait.
 * @retval ENOS_ERR_STATE        another thread loops this client already, or enos_client_loop_start() runs.
 * @retval ENOS_ERR_IN_CALLBACK  called from a callback.
 */
enos_status enos_client_loop(enos_client *client, uint32_t timeout_ms);

/**
 * Loops until a state is reached. While another thread loops, the library's or one of yours, it waits for that thread
 * instead, and loops itself when that thread has left the loop. It returns when the state is reached, which can be
 * before the event that belongs to it is delivered. To wait for an event, such as STOPPED, loop until it has come.
 *
 * @param client      the client.
 * @param state       one of enum enos_state.
 * @param timeout_ms  milliseconds; 0: only look; ENOS_FOREVER: no limit.
 * @retval ENOS_OK               the state was reached.
 * @retval ENOS_ERR_TIMEOUT      it was not, in that time.
 * @retval ENOS_ERR_INVALID_ARG  no such state.
 * @retval ENOS_ERR_STATE        nothing is under way that could lead there: call enos_client_connect() first.
 * @retval ENOS_ERR_CREDENTIALS, ENOS_ERR_ACTIVATION_REFUSED, ENOS_ERR_ACTIVATION_TIMEOUT, ENOS_ERR_STORAGE,
 *         ENOS_ERR_NETWORK, ENOS_ERR_TLS, ENOS_ERR_PROTOCOL, ENOS_ERR_CONFLICT
 *                               an attempt ended so, and only a long wait (minutes) or no further attempt is left:
 *                               returned at once. The client continues by itself; enos_last_error() says what to do.
 * @retval ENOS_ERR_IN_CALLBACK  called from a callback.
 */
enos_status enos_client_wait(enos_client *client, int32_t state, uint32_t timeout_ms);

/**
 * A descriptor for your own poll(), select() or epoll: readable when enos_client_loop(client, 0) has something to do.
 * It includes the timers: poll it without a timeout. Legal in every callback.
 *
 * @param client  the client.
 * @return  the descriptor: the library's, valid until the client is destroyed; do nothing with it but wait. Negative
 *          (an enos_status) on failure.
 */
int enos_client_fd(const enos_client *client);

/**
 * Ends the present wait of the client's loop, or the next one. Safe in a signal handler, legal in every callback.
 *
 * @param client  may be NULL: nothing happens.
 */
void enos_client_wake(enos_client *client);

/**
 * Starts a thread of the library that loops this client. All signals are blocked on it, except for those of a fault of
 * its own (SIGSEGV and the like). Your callbacks run on it, and have 256 KiB of stack there.
 *
 * @param client  the client.
 * @retval ENOS_OK               it runs.
 * @retval ENOS_ERR_STATE        it runs already, or a thread is in enos_client_loop(), _wait() or _flush() on this
 *                               client (also when it is called from an event callback there).
 * @retval ENOS_ERR_NO_MEMORY    the system has no thread left.
 */
enos_status enos_client_loop_start(enos_client *client);

/**
 * Ends the thread of enos_client_loop_start(), and waits until it has ended. After that no callback runs on it. The
 * connection stays. enos_client_destroy() calls this by itself.
 *
 * @param client  the client.
 * @retval ENOS_OK               it has ended, or there was none.
 * @retval ENOS_ERR_IN_CALLBACK  called from a callback.
 */
enos_status enos_client_loop_stop(enos_client *client);

/* ------------------------------------------------------------------------------------------------
 * Messages. Every accepted call (ENOS_OK) has exactly one event with its token. The token is written before that event
 * can be delivered:
 *
 *     QoS 0             DELIVERED when it is written to the socket
 *     QoS 1             DELIVERED when the broker has acknowledged it
 *     subscribe         SUBSCRIBED at the first answer of a broker to it, on this link or a later one
 *     unsubscribe       UNSUBSCRIBED when the broker has acknowledged it, or the link is gone, or there is none,
 *                       or the client needs the topic for the replies to its own requests
 *     request, post_*   REPLY: ENOS_OK when EnOS answered 200; ENOS_ERR_REFUSED when it answered another code, which
 *                       is in detail_code; or another status. An ENOS_OP_PUBLISH, and a durable request without
 *                       ENOS_REQUEST_UNTIL_REPLY, have DELIVERED in place of REPLY, as for QoS 1
 *     command_reply*    DELIVERED when the broker has acknowledged it
 *
 * If no answer comes within enos_config_set_reply_timeout(), or the request's own timeout_ms, the event has
 * ENOS_ERR_TIMEOUT. If the link is lost, publishes and requests without an outcome have ENOS_ERR_NETWORK. In both
 * cases the message may have arrived or not, and it is not sent again. If detail says that the request was not sent,
 * it has not arrived: it was still waiting for the broker to grant the topic of its reply, or for its turn (raw
 * requests). A reply that comes later is a MESSAGE. Answers to commands may be sent on the next link: see the chapter
 * on commands.
 *
 * Limits. Publishes and requests share the limit of enos_config_set_inflight(). Answers to commands have places of
 * their own, so that a device can answer however much it posts. Calls to subscribe and unsubscribe have a limit of
 * 1000. A call beyond a limit is ENOS_ERR_QUEUE_FULL, and ENOS_EVENT_ROOM tells when to continue.
 *
 * Messages that come in. A message with QoS 1 is acknowledged to the broker when it is in the inbound queue, before
 * the firmware gets it. If the process ends in between, the broker does not send it again, because each login is a new
 * session. The chapter on commands says what that means for them.
 *
 * Durable messages survive both. The chapter on the outbox describes their outcomes.
 *
 * A call that returns an error has no event. None of them waits for the network. A topic is 1 to 65535 bytes of UTF-8.
 *
 * JSON that you pass (params, the data of an answer) is UTF-8, nests 64 levels at most, and has to mean the same to
 * every reader. Text that is not JSON is ENOS_ERR_INVALID_ARG. So are half of a surrogate pair in a string ("\ud800"),
 * a number that is too large for a double (1e999), and an object with the same member twice. EnOS would refuse some of
 * these without saying which message it means.
 * ------------------------------------------------------------------------------------------------ */

/**
 * How a message is sent: the bits of a uint32_t.
 */
typedef enum enos_request_flags {
  /**
   * The message is in your storage before the call returns. It is sent until it is acknowledged, across outages and
   * restarts: see the chapter on the outbox. QoS 1 only.
   */
  ENOS_REQUEST_DURABLE = 1,
  /**
   * With ENOS_REQUEST_DURABLE: the message stays in the outbox until EnOS has answered 200, and its outcome is
   * REPLY. Without this flag the message is completed when the broker has acknowledged it (DELIVERED), whatever EnOS
   * answers.
   */
  ENOS_REQUEST_UNTIL_REPLY = 2,
  /**
   * With ENOS_REQUEST_DURABLE, for posts of measure points: if the post is sent on a later link than the one on
   * which it was accepted, after an outage or a restart, it is sent to thing/measurepoint/resume (a batch to
   * thing/measurepoint/resume/batch). EnOS stores it, but does not take it for the latest value.
   */
  ENOS_REQUEST_RESUME = 4,
  /**
   * With ENOS_REQUEST_DURABLE, for posts of measure points, events and log records: the post may have no "time", and
   * neither may the items of a batch of measure points. EnOS takes the time of arrival.
   */
  ENOS_REQUEST_WITHOUT_TIME = 8,
  /**
   * For the same posts but not for batches, on a board whose clock is not set yet: if the post has no "time", it
   * gets the time of this call. If the clock is before 2020, the post waits until the clock is set, and later
   * messages wait behind it. After a reboot the time of the call cannot be computed any more, and the post is sent
   * without a time.
   */
  ENOS_REQUEST_STAMP = 16,
  /**
   * For ENOS_OP_SUBDEVICE_REGISTER: the device secrets in the reply are kept in your storage, as if each device had
   * been activated. The REPLY comes when the storage has been tried for each. See the chapter on sub-devices.
   */
  ENOS_REQUEST_KEEP_SECRETS = 32,
  /**
   * For ENOS_OP_MEASUREPOINT_POST without ENOS_REQUEST_DURABLE: the post may go in one message with those of other
   * devices of the gateway. See the chapter on sub-devices.
   */
  ENOS_REQUEST_JOIN = 64,
  /**
   * For a batch of measure points (ENOS_OP_MEASUREPOINT_POST_BATCH, _RESUME_BATCH, and with ENOS_REQUEST_JOIN): the
   * items of sub-devices that are offline are taken as well. EnOS refuses the whole batch otherwise.
   */
  ENOS_REQUEST_ALLOW_OFFLINE_SUBDEVICE = 256,
  /**
   * For a batch of measure points: EnOS takes what is valid, and leaves out the rest. It refuses the whole batch
   * otherwise.
   */
  ENOS_REQUEST_SKIP_INVALID_POINTS = 512,
} enos_request_flags;

/**
 * Publishes a message.
 *
 * @param client     the client.
 * @param topic      1 to 65535 bytes, no + and no #.
 * @param payload    any bytes; may be NULL when len is 0. Copied.
 * @param len        in bytes, at most 524287 (EnOS refuses 512 KiB), or ENOS_NUL_TERMINATED.
 * @param qos        0 or 1.
 * @param flags      0, or ENOS_REQUEST_DURABLE (with qos 1).
 * @param out_token  receives the token; may be NULL.
 * @retval ENOS_OK               accepted: DELIVERED will come. If durable: it is in your storage.
 * @retval ENOS_ERR_STATE        not online; if durable: there is no storage.
 * @retval ENOS_ERR_QUEUE_FULL   too many calls have no outcome yet (enos_config_set_inflight()), or the outbox is
 *                               full: ENOS_EVENT_ROOM tells when to continue.
 * @retval ENOS_ERR_TOO_LARGE    the payload has 512 KiB or more; or it is durable, and larger than the outbox may be.
 * @retval ENOS_ERR_STORAGE      durable: your storage failed, and nothing was kept.
 * @retval ENOS_ERR_UNSUPPORTED  qos 2.
 * @retval ENOS_ERR_INVALID_ARG  no such topic, qos or flag, or they do not go together.
 */
ENOS_MUST_USE
enos_status enos_client_publish(enos_client *client,
                                const char *topic,
                                const uint8_t *payload,
                                size_t len,
                                int32_t qos,
                                uint32_t flags,
                                uint64_t *out_token);

/**
 * Subscribes to a topic filter. Messages come as ENOS_EVENT_MESSAGE. The call is accepted in every state, offline too.
 * The subscription lasts until enos_client_unsubscribe() or the end of the client, even if the broker refuses it: the
 * library requests it on each link, right after the login, before it sends what is published in the CONNECTED event.
 * Subscribing again changes the QoS, and requests the subscription once more. EnOS delivers commands to a device
 * without this, and the library itself subscribes to the replies to your requests.
 *
 * ENOS_EVENT_SUBSCRIBED, with the filter as its topic, reports the broker's answers:
 *
 *     with the call's token      once, at the first answer after the call. Offline, or when the link is lost before
 *                                the broker has answered, it comes on a later link. ENOS_OK: granted, with this qos.
 *                                ENOS_ERR_REFUSED: refused (detail_code 128). ENOS_ERR_TIMEOUT: no answer by
 *                                enos_config_set_reply_timeout(). ENOS_ERR_STATE: taken back before there was an
 *                                answer
 *     with the token 0           on each later link on which it is refused, or not answered: the same statuses; and
 *                                once with ENOS_OK when it is granted again after that. Other renewals that are
 *                                granted have no event
 *
 * @param client     the client.
 * @param filter     1 to 65535 bytes; + and # as MQTT has them. At most 256 filters at a time.
 * @param qos        0 or 1: the highest that messages are to come with.
 * @param out_token  receives the token; may be NULL.
 * @retval ENOS_OK               accepted: SUBSCRIBED will come.
 * @retval ENOS_ERR_QUEUE_FULL   there are 256 filters: unsubscribe one first. Or 1000 calls to subscribe and
 *                               unsubscribe have no outcome yet (ENOS_EVENT_ROOM tells when to continue), or no thread
 *                               runs the loop.
 * @retval ENOS_ERR_UNSUPPORTED  qos 2.
 * @retval ENOS_ERR_INVALID_ARG  no such filter or qos.
 */
enos_status enos_client_subscribe(enos_client *client, const char *filter, int32_t qos, uint64_t *out_token);

/**
 * Ends a subscription: it is not requested any more. Accepted in every state, offline too. UNSUBSCRIBED comes with
 * ENOS_OK when the broker has answered, or when the link is lost before that, because the subscription ends with the
 * link. It comes at once if there is no link, or if the client needs the topic for the replies to its own requests;
 * the broker then continues to send on the topic. With ENOS_ERR_TIMEOUT the broker has not answered, and may continue
 * to send until the link ends. A call to subscribe that has no outcome yet gets it now: SUBSCRIBED with
 * ENOS_ERR_STATE.
 *
 * @param client     the client.
 * @param filter     as it was subscribed.
 * @param out_token  receives the token; may be NULL.
 * @retval ENOS_OK               accepted: UNSUBSCRIBED will come.
 * @retval ENOS_ERR_QUEUE_FULL   1000 calls to subscribe and unsubscribe have no outcome yet (ENOS_EVENT_ROOM tells
 *                               when to continue), or no thread runs the loop.
 * @retval ENOS_ERR_INVALID_ARG  no such filter.
 */
enos_status enos_client_unsubscribe(enos_client *client, const char *filter, uint64_t *out_token);

/* ------------------------------------------------------------------------------------------------
 * Requests: what a device tells or asks EnOS. enum enos_operation lists them. The library adds topic, id, version and
 * method, sends at QoS 1, subscribes to the topic of the reply before the first request, and finds the reply by its
 * topic and id.
 *
 * An accepted request has exactly one outcome: ENOS_EVENT_REPLY, or DELIVERED for ENOS_OP_PUBLISH and for a durable
 * request without ENOS_REQUEST_UNTIL_REPLY. It has the request's token, operation and user; a REPLY has EnOS's answer
 * in payload, and "data" and "message" of it as values.
 *
 * The library refuses only what cannot be right: params that are not JSON or have another shape, a message of 512 KiB
 * or more, and a durable request without the time that it needs or with an implausible one. EnOS judges the rest,
 * counts and lengths included, and its code is in detail_code. A code that the library does not know is passed on as
 * it is. EnOS may send the code as a number or as a text.
 *
 * A message that the broker has retained is never a reply. The client stays subscribed to at most 256 topics of
 * replies: for a new one it gives up the one that was used least recently of those that no request needs.
 *
 * Raw requests (ENOS_OP_RAW_UP). Their replies have no id and no code: the first message on the topic of the reply
 * ends the request with ENOS_OK and detail_code 200, and payload is what the script of the product has returned. So
 * only one raw request at a time waits for its reply; the others wait for their turn, in order. The time of each
 * begins when it is sent, so the wait for the turn has no limit of its own: enos_config_set_inflight() limits how many
 * wait. The next one waits for longer when a late reply could be taken for its own:
 *
 *     after a raw request without its reply     for one more enos_config_set_reply_timeout(), which is retry_in_ms of
 *     (ENOS_ERR_TIMEOUT, ENOS_ERR_NETWORK)      the event
 *     after a durable raw request without       until its reply comes, but at most for two
 *     ENOS_REQUEST_UNTIL_REPLY                  enos_config_set_reply_timeout() after it was acknowledged
 *
 * A reply that comes meanwhile is a MESSAGE. Durable raw requests without ENOS_REQUEST_UNTIL_REPLY do not wait for
 * each other. But they, and what is behind them in the outbox, wait while a raw request waits for its turn or for its
 * reply. So a live raw request with a long timeout_ms can hold up the outbox for that long.
 *
 * If EnOS sends the same raw reply twice, the second cannot be told from that of the next request. A broker may also
 * send a reply once for each subscription that matches. So do not subscribe to a filter with + or # that matches the
 * topic of raw replies; the client logs a warning if you do.
 * ------------------------------------------------------------------------------------------------ */

/**
 * What a device tells or asks EnOS. The numbers are in programs and on flash: each is explicit, and none is used
 * again. The limits are those of EnOS's documentation. EnOS checks them, the library does not.
 */
typedef enum enos_operation {
  /**
   * A request that this version of the library does not know. The request's name is the path behind the device key,
   * such as "thing/x/y". The method "thing.x.y" and the topic of the reply follow from it.
   *
   * Topic /sys/{product key}/{device key}/{name}
   * Params: an object or an array; can be durable
   */
  ENOS_OP_OTHER = 1,
  /**
   * Publishes bytes at QoS 1 on a topic of your choice, which is the request's name. There is no reply.
   *
   * Topic {topic}
   * Params: any bytes; can be durable
   */
  ENOS_OP_PUBLISH = 2,
  /**
   * Reports measure points. `params` is `{"measurepoints":{<id>:<value>,...},"time":<milliseconds since 1970>}`. A
   * value is a number, a text, an array, an object, or `{"value":<value>,"quality":<0 to 9>}`. If there is no
   * `time`, EnOS takes the time of arrival. A durable post needs at least one measure point.
   *
   * Topic /sys/{product key}/{device key}/thing/measurepoint/post
   * Params: an object; can be durable, with ENOS_REQUEST_RESUME
   */
  ENOS_OP_MEASUREPOINT_POST = 10,
  /**
   * Reports several readings together, also of a gateway's sub-devices. `params` is
   * `[{"productKey":...,"deviceKey":...,"measurepoints":{...},"time":...},...]`. An item without keys is of the
   * device itself. EnOS takes all items or none, unless `ENOS_REQUEST_SKIP_INVALID_POINTS` is set. If an item has no
   * `time`, EnOS takes the time of arrival. A durable batch needs at least one item, and each item at least one
   * measure point.
   *
   * Topic /sys/{product key}/{device key}/thing/measurepoint/post/batch
   * Params: an array; can be durable, with ENOS_REQUEST_RESUME
   */
  ENOS_OP_MEASUREPOINT_POST_BATCH = 11,
  /**
   * Reports measure points of the past: EnOS stores them, but does not take them for the latest, and they trigger no
   * alert. `params` is the same as in `ENOS_OP_MEASUREPOINT_POST`.
   *
   * Topic /sys/{product key}/{device key}/thing/measurepoint/resume
   * Params: an object; can be durable
   */
  ENOS_OP_MEASUREPOINT_RESUME = 12,
  /**
   * Reports several readings of the past together. `params` is the same as in `ENOS_OP_MEASUREPOINT_POST_BATCH`.
   *
   * Topic /sys/{product key}/{device key}/thing/measurepoint/resume/batch
   * Params: an array; can be durable
   */
  ENOS_OP_MEASUREPOINT_RESUME_BATCH = 13,
  /**
   * Reports an event of the thing model. The request's name is the event's identifier. `params` is
   * `{"events":{<output>:<value>,...},"time":<milliseconds since 1970>}`.
   *
   * Topic /sys/{product key}/{device key}/thing/event/{name}/post
   * Params: an object; can be durable
   */
  ENOS_OP_EVENT_POST = 20,
  /**
   * Sets attributes of the device. `params` is `{"attributes":{<id>:<value>,...}}`, with at most 200 attributes.
   *
   * Topic /sys/{product key}/{device key}/thing/attribute/update
   * Params: an object; can be durable
   */
  ENOS_OP_ATTRIBUTE_UPDATE = 30,
  /**
   * Asks for attributes. `params` is `{"attributes":[<id>,...]}`, with at most 200. An empty array, or no params,
   * asks for all. The reply's data is `{<id>:<value>,...}`.
   *
   * Topic /sys/{product key}/{device key}/thing/attribute/query
   * Params: an object; cannot be durable
   */
  ENOS_OP_ATTRIBUTE_QUERY = 31,
  /**
   * Deletes attributes. `params` is `{"attributes":[<id>,...]}`, with at most 200. An empty array deletes nothing.
   *
   * Topic /sys/{product key}/{device key}/thing/attribute/delete
   * Params: an object; can be durable
   */
  ENOS_OP_ATTRIBUTE_DELETE = 32,
  /**
   * Sets tags of the device. `params` is `[{"tagKey":<key>,"tagValue":<text>},...]`, with at most 200 tags. A key
   * has letters, digits and `_`, and does not begin with a digit.
   *
   * Topic /sys/{product key}/{device key}/thing/tag/update
   * Params: an array; can be durable
   */
  ENOS_OP_TAG_UPDATE = 40,
  /**
   * Asks for tags. `params` is `{"tags":[<key>,...]}`. An empty array, or no params, asks for all. The reply's data
   * is `{<key>:<text>,...}`.
   *
   * Topic /sys/{product key}/{device key}/thing/tag/query
   * Params: an object; cannot be durable
   */
  ENOS_OP_TAG_QUERY = 41,
  /**
   * Deletes tags. `params` is `{"tags":[<key>,...]}`. An empty array deletes nothing.
   *
   * Topic /sys/{product key}/{device key}/thing/tag/delete
   * Params: an object; can be durable
   */
  ENOS_OP_TAG_DELETE = 42,
  /**
   * Asks for the device's thing model. `params` is `{}`. The reply's data is an object with `tslAttributeMap`,
   * `tslMeasurepointMap`, `tslEventMap` and `tslServiceMap`.
   *
   * Topic /sys/{product key}/{device key}/thing/tsltemplate/get
   * Params: an object; cannot be durable
   */
  ENOS_OP_MODEL_GET = 50,
  /**
   * Sends bytes that a script of the product decodes in the cloud. The reply is the bytes that the script returns.
   * They have no id, so only one such request at a time waits for its reply: see the chapter on requests.
   *
   * Topic /sys/{product key}/{device key}/thing/model/up_raw
   * Params: any bytes; can be durable
   */
  ENOS_OP_RAW_UP = 51,
  /**
   * Sends a log record. `params` is `{"logs":{"traceId":...,"level":...,"module":...,"content":...},"time":...}`.
   * Each member is optional. Of Envision's SDKs, only the one for Java (2022) has this.
   *
   * Topic /sys/{product key}/{device key}/thing/log/post
   * Params: an object; can be durable
   */
  ENOS_OP_LOG_POST = 60,
  /**
   * Reports the quality of the network. `params` is `{"reportTime":...,"collectTime":...,"rssi":...,"snr":...,
   * "packetLossRate":...,"networkType":<text>,"errorInfo":<text>}`. All members but `reportTime` are optional. Of
   * Envision's SDKs, only the one for Java (2022) has this.
   *
   * Topic /sys/{product key}/{device key}/network/status/report
   * Params: an object; can be durable
   */
  ENOS_OP_NETWORK_STATUS_REPORT = 61,
  /**
   * Reports which nodes behind the device are connected. `params` is
   * `{"nodes":[{"nodeId":...,"state":<1 connected, 2 not, 3 unknown>},...],"isFull":<bool>,"relations":{...},
   * "reportTime":...}`. Of Envision's SDKs, only the one for Java (2022) has this.
   *
   * Topic /sys/{product key}/{device key}/connection/state/post
   * Params: an object; can be durable
   */
  ENOS_OP_CONNECTION_STATE_POST = 62,
  /**
   * Reports the version of the firmware. `params` is `{"version":<text>}`. EnOS offers an update only to a device
   * that has reported one, and a report of the new version completes an update.
   *
   * Topic /sys/{product key}/{device key}/ota/device/inform
   * Params: an object; can be durable: only the newest of those that wait is sent
   */
  ENOS_OP_OTA_VERSION_REPORT = 70,
  /**
   * Reports the progress of an update. `params` is `{"step":<text>,"desc":<text>}`. The step is "0" to "100", in
   * percent, or a failure: "-1" any, "-2" download, "-3" verification, "-4" writing, "-5" ignored.
   *
   * Topic /sys/{product key}/{device key}/ota/device/progress
   * Params: an object; can be durable: only the newest of those that wait is sent
   */
  ENOS_OP_OTA_PROGRESS = 71,
  /**
   * Asks for the firmware that is offered on request. `params` is `{}`. The reply's data is an array of objects with
   * `version`, `signMethod`, `sign`, `fileUrl` and `fileSize`.
   *
   * Topic /sys/{product key}/{device key}/ota/device/getversion
   * Params: an object; cannot be durable
   */
  ENOS_OP_OTA_VERSION_QUERY = 72,
  /**
   * Registers sub-devices. `params` is `[{"productKey":...,"deviceKey":...,"deviceName":...},...]`, with at most
   * 1000 items.
   *
   * Topic /sys/{product key}/{device key}/thing/device/register
   * Params: an array; cannot be durable; for a gateway only
   */
  ENOS_OP_SUBDEVICE_REGISTER = 80,
  /**
   * Adds sub-devices to the gateway's topology. `params` is `[{"productKey":...,"deviceKey":...,"clientId":...,
   * "timestamp":...,"signMethod":...,"sign":...},...]`.
   *
   * Topic /sys/{product key}/{device key}/thing/topo/add
   * Params: an array; cannot be durable; for a gateway only
   */
  ENOS_OP_TOPOLOGY_ADD = 81,
  /**
   * Removes sub-devices from the gateway's topology. `params` is `[{"productKey":...,"deviceKey":...},...]`.
   *
   * Topic /sys/{product key}/{device key}/thing/topo/delete
   * Params: an array; cannot be durable; for a gateway only
   */
  ENOS_OP_TOPOLOGY_DELETE = 82,
  /**
   * Asks for the gateway's topology. `params` is `{}`. The reply's data is
   * `[{"productKey":...,"deviceKey":...},...]`.
   *
   * Topic /sys/{product key}/{device key}/thing/topo/get
   * Params: an object; cannot be durable; for a gateway only
   */
  ENOS_OP_TOPOLOGY_GET = 83,
  /**
   * Logs a sub-device in, out, or several in. The library sends these itself: enos_client_add_subdevices().
   *
   * Topic /ext/session/{product key}/{device key}/combine/login
   * Params: an object; sent by the library only
   */
  ENOS_OP_SUBDEVICE_LOGIN = 84,
  /**
   * See `ENOS_OP_SUBDEVICE_LOGIN`.
   *
   * Topic /ext/session/{product key}/{device key}/combine/login/batch
   * Params: an object; sent by the library only
   */
  ENOS_OP_SUBDEVICE_LOGIN_BATCH = 85,
  /**
   * See `ENOS_OP_SUBDEVICE_LOGIN`.
   *
   * Topic /ext/session/{product key}/{device key}/combine/logout
   * Params: an object; sent by the library only
   */
  ENOS_OP_SUBDEVICE_LOGOUT = 86,
  /**
   * Reports measure points of several devices of a product. `params` is
   * `[{"deviceKey":...,"measurepoints":{...},"time":...},...]`.
   *
   * Topic /sys/{product key}/integration/measurepoint/post
   * Params: an array; can be durable; for an integration channel only
   */
  ENOS_OP_INTEGRATION_MEASUREPOINT_POST = 90,
  /**
   * Reports events of several devices of a product. `params` is
   * `[{"deviceKey":...,"events":{<event>:{...}},"time":...},...]`.
   *
   * Topic /sys/{product key}/integration/event/post
   * Params: an array; can be durable; for an integration channel only
   */
  ENOS_OP_INTEGRATION_EVENT_POST = 91,
  /**
   * Reports attributes of several devices of a product. `params` is `[{"deviceKey":...,"attributes":{...}},...]`.
   *
   * Topic /sys/{product key}/integration/attribute/post
   * Params: an array; can be durable; for an integration channel only
   */
  ENOS_OP_INTEGRATION_ATTRIBUTE_POST = 92,
  /**
   * Sends bytes that a script of the product decodes in the cloud.
   *
   * Topic /sys/{product key}/integration/model/up_raw
   * Params: any bytes; can be durable; for an integration channel only
   */
  ENOS_OP_INTEGRATION_RAW_UP = 93,
} enos_operation;

/**
 * A request. It is yours, and copied.
 */
typedef struct enos_request {
  /**
   * sizeof(enos_request); ENOS_INIT() sets it. It is the same for all requests of a batch.
   */
  size_t struct_size;
  /**
   * One of enum enos_operation.
   */
  int32_t operation;
  /**
   * ENOS_REQUEST_* bits.
   */
  uint32_t flags;
  /**
   * The id of a sub-device; 0: the client's own device.
   */
  uint64_t subdevice;
  /**
   * The event's identifier, the path or the topic; NULL if the operation has none.
   */
  const char *name;
  /**
   * The params as a builder. At most one of json and params is set. Without both, the operation's empty params are
   * sent: {}, [] or no bytes; a query asks for everything.
   */
  const enos_json *json;
  /**
   * The params as JSON text, or the bytes of a raw request or of a publish.
   */
  const void *params;
  /**
   * In bytes, or ENOS_NUL_TERMINATED.
   */
  size_t params_len;
  /**
   * For the reply, in milliseconds. 0: enos_config_set_reply_timeout(). With ENOS_REQUEST_DURABLE it must be 0.
   */
  uint32_t timeout_ms;
  /**
   * 0.
   */
  uint32_t reserved;
  /**
   * Comes back in the outcome. After a restart, the outcome of a durable request has NULL.
   */
  void *user;
} enos_request;

/**
 * Sends a request.
 *
 * @param client     the client.
 * @param request    the request; copied.
 * @param out_token  receives the token; may be NULL.
 * @retval ENOS_OK               accepted: its outcome will come. If durable: it is in your storage.
 * @retval ENOS_ERR_STATE        not online, or the sub-device is not; if durable: there is no storage, or EnOS has
 *                               deleted the sub-device. Or the builder has an open object or array.
 * @retval ENOS_ERR_QUEUE_FULL   too many calls have no outcome yet (enos_config_set_inflight()), or the outbox is full:
 *                               ENOS_EVENT_ROOM tells when to continue.
 * @retval ENOS_ERR_TOO_LARGE    the message has 512 KiB or more; or it is durable, and larger than the outbox may be.
 * @retval ENOS_ERR_STORAGE      durable: your storage failed, and nothing was kept.
 * @retval ENOS_ERR_UNSUPPORTED  a sub-device, or this client, cannot send it.
 * @retval ENOS_ERR_NOT_FOUND    no such sub-device.
 * @retval ENOS_ERR_STRUCT_SIZE  the request was not made with ENOS_INIT().
 * @retval ENOS_ERR_INVALID_ARG  there is no such operation, name or flag; params are not JSON that every reader reads
 *                               alike, or not the object or array that the operation takes; both json and params are
 *                               set; or the request is durable, and its operation cannot be durable, or it has no
 *                               plausible time. An error that the builder has kept is returned as it is.
 */
ENOS_MUST_USE
enos_status enos_client_request(enos_client *client,
                                const struct enos_request *request,
                                uint64_t *out_token);

/**
 * Accepts durable requests together, all or none. They cost the same as one: one store, and later one erase.
 *
 * Storage callbacks run inside this call, as inside every durable request.
 *
 * @param client      the client.
 * @param requests    an array of `count` requests, copied. Each has ENOS_REQUEST_DURABLE, and any operation that can
 *                    be durable.
 * @param count       1 to 256. Several have at most about 60 KiB in total, a single one at most 524287 bytes.
 * @param out_tokens  receives `count` tokens, in the order of the requests; may be NULL.
 * @param out_bad     receives the index of the request that is at fault, or SIZE_MAX if none of them is.
 *                    enos_last_error() says what is wrong with it. May be NULL.
 * @retval ENOS_OK               all are in your storage; each will have its event.
 * @retval ENOS_ERR_STATE        there is no storage, or EnOS has deleted a sub-device. Or a builder has an open object
 *                               or array.
 * @retval ENOS_ERR_QUEUE_FULL   no room in the outbox; ENOS_EVENT_ROOM tells when there is. Nothing was kept.
 * @retval ENOS_ERR_STORAGE      your storage failed. Nothing was stored, if a store that fails leaves nothing behind.
 * @retval ENOS_ERR_TOO_LARGE    one has 512 KiB or more, together they are over 60 KiB, or over the outbox's own
 *                               limit.
 * @retval ENOS_ERR_UNSUPPORTED  a sub-device, or this client, cannot send one of them.
 * @retval ENOS_ERR_NOT_FOUND    no such sub-device.
 * @retval ENOS_ERR_STRUCT_SIZE  a request was not made with ENOS_INIT().
 * @retval ENOS_ERR_INVALID_ARG  count, or a request, as for enos_client_request().
 */
ENOS_MUST_USE
enos_status enos_client_request_batch(enos_client *client,
                                      const struct enos_request *requests,
                                      size_t count,
                                      uint64_t *out_tokens,
                                      size_t *out_bad);

/**
 * Reports measure points: ENOS_OP_MEASUREPOINT_POST.
 *
 * @param client     the client.
 * @param params     a JSON object in UTF-8, e.g. {"measurepoints":{"temperature":21.5},"time":1524448722000}
 * @param len        in bytes, or ENOS_NUL_TERMINATED. The whole message is at most 524287 bytes.
 * @param flags      0, or ENOS_REQUEST_DURABLE, alone or with ENOS_REQUEST_UNTIL_REPLY and ENOS_REQUEST_RESUME. A
 *                   durable post has to have "measurepoints", an object with at least one member, and a "time", in
 *                   milliseconds since 1970; or ENOS_REQUEST_STAMP, or ENOS_REQUEST_WITHOUT_TIME.
 * @param out_token  receives the token; may be NULL.
 * @retval ENOS_OK  accepted. The errors are those of enos_client_request().
 */
ENOS_MUST_USE
enos_status enos_client_post_measurepoints(enos_client *client,
                                           const char *params,
                                           size_t len,
                                           uint32_t flags,
                                           uint64_t *out_token);

/**
 * Reports an event of the thing model: ENOS_OP_EVENT_POST.
 *
 * @param client     the client.
 * @param event      the event's identifier.
 * @param params     a JSON object in UTF-8, e.g. {"events":{"temperature":91.5},"time":1524448722000}
 * @param len        in bytes, or ENOS_NUL_TERMINATED.
 * @param flags      0, or ENOS_REQUEST_DURABLE, alone or with ENOS_REQUEST_UNTIL_REPLY. A durable event has to have a
 *                   "time"; or ENOS_REQUEST_STAMP, or ENOS_REQUEST_WITHOUT_TIME.
 * @param out_token  receives the token; may be NULL.
 * @retval ENOS_OK  accepted. The errors are those of enos_client_request().
 */
ENOS_MUST_USE
enos_status enos_client_post_event(enos_client *client,
                                   const char *event,
                                   const char *params,
                                   size_t len,
                                   uint32_t flags,
                                   uint64_t *out_token);

/**
 * Sets attributes of the device: ENOS_OP_ATTRIBUTE_UPDATE.
 *
 * @param client     the client.
 * @param params     a JSON object in UTF-8, e.g. {"attributes":{"serial":"4711"}}
 * @param len        in bytes, or ENOS_NUL_TERMINATED.
 * @param flags      0, or ENOS_REQUEST_DURABLE, alone or with ENOS_REQUEST_UNTIL_REPLY.
 * @param out_token  receives the token; may be NULL.
 * @retval ENOS_OK  accepted. The errors are those of enos_client_request().
 */
ENOS_MUST_USE
enos_status enos_client_update_attributes(enos_client *client,
                                          const char *params,
                                          size_t len,
                                          uint32_t flags,
                                          uint64_t *out_token);

/**
 * Writes the topic or filter of a path of the client's own device: /sys/{product key}/{device key}/{path}. With it you
 * can subscribe to topics that EnOS may add.
 *
 * @param client  the client.
 * @param path    such as "thing/service/+": no / at its start, + and # as in a filter.
 * @param buffer  receives the text and a NUL; NULL with cap 0 asks for the capacity.
 * @param cap     the buffer's size in bytes.
 * @param len     receives the length without the NUL; with ENOS_ERR_BUFFER_TOO_SMALL, the capacity that is needed.
 * @retval ENOS_OK                    written.
 * @retval ENOS_ERR_BUFFER_TOO_SMALL  nothing but an empty text was written.
 * @retval ENOS_ERR_INVALID_ARG       no such path.
 * @retval ENOS_ERR_UNSUPPORTED       the client is an integration channel.
 */
enos_status enos_client_topic(const enos_client *client, const char *path, char *buffer, size_t cap, size_t *len);

/* ------------------------------------------------------------------------------------------------
 * Commands: what the cloud asks of the device. Each comes as ENOS_EVENT_COMMAND with a handle. On a link that stays up
 * it gets exactly one answer: yours, or the library's. EnOS sends the next command only after the answer, so silence
 * would block the device.
 *
 *     static void on_event(void *ctx, enos_client *client, const enos_event *event)
 *     {
 *         double power;
 *         if (event->type == ENOS_EVENT_COMMAND && strcmp(enos_command_name(event->command), "limit") == 0) {
 *             enos_value wanted = enos_value_at(enos_command_params(event->command), "/power");
 *             enos_status found = enos_value_double(wanted, &power);
 *             enos_command_reply(event->command, found == ENOS_OK ? 200 : 2001, NULL, NULL, NULL);
 *         }
 *     }
 *
 * The life of a handle. In the callback it is the library's. enos_command_retain() makes it yours as well: then you
 * may answer it later, from any thread. Each retain needs one enos_command_release(); an answer does not release
 * anything. A retained handle stays valid until its last release, also after enos_client_destroy(), and so does what
 * the getters return. Any thread may call the functions, also inside an event callback, and several threads at once.
 * None waits.
 *
 * What the library answers if you do not:
 *
 *     1101  the callback has returned, and you have neither answered nor retained the command
 *     1102  the deadline is over, or you have released the command without an answer
 *     200   in both cases, for ENOS_COMMAND_ENABLE, _DISABLE and _DELETE
 *     429   the limits of enos_config_set_command_limits() are reached, or it is too soon after the login
 *           (enos_config_set_command_quiet_time()); the command is not handed over
 *     460   the command cannot be read, but its id can; it is not handed over
 *
 * The library never answers traffic/control. ENOS_EVENT_OVERFLOW with ENOS_ERR_REFUSED tells how many commands were
 * not handed over, and enos_stats counts them. Commands that arrive faster than the callbacks return wait in the
 * connection. If a callback blocks for longer than half a keep-alive, the library continues to read. It drops the
 * messages for which the inbound queue has no room (enos_config_set_queue_limits()), and these may be commands.
 * OVERFLOW counts them.
 *
 * The deadline. The caller of the command waits 1 to 60 seconds, 30 by default, and the device is not told how long.
 * So the deadline is a setting of the device, enos_config_set_command_timeout(). Its time begins right before the
 * callback. While a callback blocks the loop, the library cannot answer; it does so as soon as the callback has
 * returned. The commands behind it wait: they are not refused, but their callers may have given up. If you answer
 * after the deadline, the call returns ENOS_ERR_STATE, and nothing is sent.
 *
 * If the link is lost, a command can still be answered. An answer that was not sent, or that the broker has not
 * acknowledged yet, goes out on the next link if the deadline is not over. An answer that was sent before is sent
 * again at most once, and only if it has no more than 64 KiB. EnOS may get it twice, with the same id. An answer that
 * the broker does not acknowledge has the outcome ENOS_ERR_TIMEOUT at the deadline or after the reply timeout,
 * whichever is later.
 *
 * Interrupted commands. After a login, EnOS sends a command again if it has no answer and has not given up. A command
 * that reboots the device would reboot it again and again. So the client stores a mark before the callback, and
 * removes it when the broker has acknowledged the answer. If the same command (topic, id and params) comes again in a
 * later process, enos_command_was_interrupted() is 1, and you decide. At most 64 commands are remembered, for 48
 * hours. This needs a storage, and costs one store and one erase for each command (with several at once, a store in
 * place of the erase), and the time that the storage takes; enos_config_set_command_record() switches it off. If the
 * storage fails, the command is handed over nevertheless, and the log says so. Before you reboot, answer, and wait for
 * the DELIVERED event with the token: then the broker has the answer, and the mark is gone.
 *
 * What is a command. EnOS delivers commands to a device without a subscription, and the library does not subscribe to
 * them. With another broker, subscribe to them with enos_client_subscribe(), e.g. to
 * /sys/{product key}/{device key}/thing/service/+. Then they come as COMMAND as well. A retained message is never a
 * command, because it would be carried out at each login. On a topic of commands, OVERFLOW tells of it, and it is not
 * answered. An id is a text, a number or null, and has at most 16 KiB. The answer has the id as it came; a command
 * without an id is answered without one. Commands with the same id are different commands.
 *
 * On the wire, the acknowledgement of a command goes out before its answer, and does not wait for your callback.
 * ------------------------------------------------------------------------------------------------ */

/**
 * What a command is, according to its topic. Later versions add types.
 */
typedef enum enos_command_type {
  /**
   * A command that this version has no type for: ota/device/upgrade, combine/enable, combine/disable,
   * combine/delete, traffic/control, and what EnOS adds later. Look at the topic of the event. A message on another
   * topic of the device is a command if it is a JSON object with a "method", and not one of the device's own
   * requests. The library answers all of these like other commands, except for traffic/control, which it never
   * answers.
   */
  ENOS_COMMAND_OTHER = 1,
  /**
   * A service of the product's thing model (thing/service/{name}): enos_command_name() is its identifier, and params
   * its input.
   */
  ENOS_COMMAND_SERVICE = 2,
  /**
   * Sets measure points (thing/service/measurepoint/set): params is an object, {"power":5.5}.
   */
  ENOS_COMMAND_MEASUREPOINT_SET = 3,
  /**
   * Reads measure points (thing/service/measurepoint/get): params is an array, ["power"]; the data of the answer
   * is an object, {"power":5.5}.
   */
  ENOS_COMMAND_MEASUREPOINT_GET = 4,
  /**
   * Bytes from the product's script (thing/model/down_raw): enos_command_raw(). They are answered with bytes,
   * enos_command_reply_raw(). If you do not answer, the library answers with the JSON of other commands, which your
   * script gets to decode.
   */
  ENOS_COMMAND_RAW = 5,
  /**
   * A synchronous call (rrpc/request/{id}). Its payload is JSON as that of a service, or any bytes, and so is the
   * answer.
   */
  ENOS_COMMAND_RRPC = 6,
  /**
   * The device was enabled (thing/enable).
   */
  ENOS_COMMAND_ENABLE = 7,
  /**
   * The device was disabled (thing/disable). EnOS may close the connection, and refuse logins until the device is
   * enabled again.
   */
  ENOS_COMMAND_DISABLE = 8,
  /**
   * The device was deleted (thing/delete). EnOS may close the connection, and refuses logins from now on.
   */
  ENOS_COMMAND_DELETE = 9,
} enos_command_type;

/**
 * What the command is.
 *
 * @param command  the command.
 * @return  one of enum enos_command_type; 0 for NULL.
 */
int32_t enos_command_get_type(const enos_command *command);

/**
 * The identifier of the service.
 *
 * @param command  the command.
 * @return  the identifier; "" if the command is not an ENOS_COMMAND_SERVICE. Never NULL.
 */
const char *enos_command_name(const enos_command *command);

/**
 * The "params" of the command.
 *
 * @param command  the command.
 * @return  any JSON; {NULL, 0} if the command has no params or is not JSON.
 */
enos_value enos_command_params(const enos_command *command);

/**
 * The whole payload of the command: for ENOS_COMMAND_RAW its bytes, for others the JSON around the params.
 *
 * @param command  the command.
 * @param len      receives the number of bytes; may be NULL.
 * @return  the bytes, with no NUL after them; NULL if the command is NULL, otherwise never.
 */
const uint8_t *enos_command_raw(const enos_command *command, size_t *len);

/**
 * The sub-device that the command is for.
 *
 * @param command  the command.
 * @return  0: the client's own device.
 */
uint64_t enos_command_subdevice(const enos_command *command);

/**
 * How long the command can still be answered, whether it was answered or not.
 *
 * @param command  the command.
 * @return  milliseconds until the deadline; 0: it is over.
 */
uint32_t enos_command_remaining_ms(const enos_command *command);

/**
 * How long after the last login the command came. If the caller wants that, EnOS keeps commands for a device that is
 * offline, for up to two days, and sends them one after the other after the login. So a small number is a hint that
 * the command is old.
 *
 * @param command  the command.
 * @return  milliseconds.
 */
uint32_t enos_command_since_login_ms(const enos_command *command);

/**
 * Whether an earlier process has had this command, and may not have sent the answer (see "Interrupted commands"). Run
 * it again, or answer it without running it.
 *
 * @param command  the command.
 * @return  1 if an earlier process had it, otherwise 0.
 */
int32_t enos_command_was_interrupted(const enos_command *command);

/**
 * Keeps a command beyond the callback. Each call needs one enos_command_release(). This does not fail because of the
 * limits: a command that was handed over is already counted.
 *
 * @param command  the command.
 * @retval ENOS_OK  it is valid until you have released it.
 */
ENOS_MUST_USE enos_status enos_command_retain(enos_command *command);

/**
 * Takes back one enos_command_retain(), after which you must not use the handle. If it was the last one, and the
 * command is not answered, the library answers.
 *
 * @param command  may be NULL: nothing happens.
 */
void enos_command_release(enos_command *command);

/**
 * Answers a command with JSON. A command has one answer. The answer does not release the command.
 *
 * @param command    the command.
 * @param code       200: done. 2000 and more: errors of the device's own. EnOS documents others.
 * @param data       a builder with the value of "data"; NULL: {}. It is copied, and stays yours.
 * @param message    the "message" for the caller, UTF-8; NULL: none.
 * @param out_token  receives the token; may be NULL.
 * @retval ENOS_OK               accepted: DELIVERED will come with the token.
 * @retval ENOS_ERR_STATE        the command was answered before, its deadline is over, or the client is gone. Nothing
 *                               is sent.
 * @retval ENOS_ERR_TOO_LARGE    the message has 512 KiB or more. As after every other error, the command can still be
 *                               answered.
 * @retval ENOS_ERR_INVALID_ARG  message is not UTF-8, the builder is empty or has an open object; or the command is an
 *                               ENOS_COMMAND_RAW, which is answered with enos_command_reply_raw(). An error that the
 *                               builder has kept is returned as it is.
 */
enos_status enos_command_reply(enos_command *command,
                               int32_t code,
                               const enos_json *data,
                               const char *message,
                               uint64_t *out_token);

/**
 * The same with a text, for a firmware with a JSON library of its own.
 *
 * @param command    the command.
 * @param code       as for enos_command_reply().
 * @param data       the value of "data", any JSON in UTF-8, at most 64 levels deep; NULL: {}.
 * @param len        in bytes, or ENOS_NUL_TERMINATED; ignored if data is NULL.
 * @param message    the "message" for the caller, UTF-8; NULL: none.
 * @param out_token  receives the token; may be NULL.
 * @retval ENOS_OK               accepted: DELIVERED will come with the token.
 * @retval ENOS_ERR_STATE        the command was answered before, its deadline is over, or the client is gone. Nothing
 *                               is sent.
 * @retval ENOS_ERR_TOO_LARGE    the message has 512 KiB or more. As after every other error, the command can still be
 *                               answered.
 * @retval ENOS_ERR_INVALID_ARG  data is not JSON that every reader reads (see the chapter on messages), message is not
 *                               UTF-8, or the command is an ENOS_COMMAND_RAW.
 */
enos_status enos_command_reply_text(enos_command *command,
                                    int32_t code,
                                    const char *data,
                                    size_t len,
                                    const char *message,
                                    uint64_t *out_token);

/**
 * Answers an ENOS_COMMAND_RAW or ENOS_COMMAND_RRPC with bytes.
 *
 * @param command    the command.
 * @param data       any bytes; may be NULL if len is 0.
 * @param len        in bytes, or ENOS_NUL_TERMINATED; at most 524287.
 * @param out_token  receives the token; may be NULL.
 * @retval ENOS_OK               accepted: DELIVERED will come with the token.
 * @retval ENOS_ERR_STATE        the command was answered before, its deadline is over, or the client is gone. Nothing
 *                               is sent.
 * @retval ENOS_ERR_TOO_LARGE    the answer has 512 KiB or more. As after every other error, the command can still be
 *                               answered.
 * @retval ENOS_ERR_INVALID_ARG  the command is answered with JSON.
 */
enos_status enos_command_reply_raw(enos_command *command, const void *data, size_t len, uint64_t *out_token);

/**
 * Sets how long a command can be answered. EnOS waits 1 to 60 seconds, as the caller wants, 30 by default.
 *
 * @param config   the config.
 * @param service  the identifier of a service; NULL: all commands that have no timeout of their own.
 * @param ms       500 to 60000. Default: 25000.
 * @retval ENOS_OK               done.
 * @retval ENOS_ERR_INVALID_ARG  out of that range; or service is not UTF-8, or cannot be an identifier.
 */
enos_status enos_config_set_command_timeout(enos_config *config, const char *service, uint32_t ms);

/**
 * Sets how many commands you may have at a time. A command counts from the callback until its last release. Further
 * commands are answered 429, and ENOS_EVENT_OVERFLOW tells of them.
 *
 * @param config    the config.
 * @param commands  1 to 10000. Default: 64.
 * @param bytes     1024 to 1073741824: the topics and payloads of these commands, and the answers that are not out
 *                  yet. Default: 1048576. A larger command is refused as well. No answer of yours is refused because
 *                  of this limit, so they can take 512 KiB more for each command that you have.
 * @retval ENOS_OK               done.
 * @retval ENOS_ERR_INVALID_ARG  out of that range; 0 is also out of range.
 */
enos_status enos_config_set_command_limits(enos_config *config, uint32_t commands, size_t bytes);

/**
 * Sets for how long after a login the library refuses commands: it answers 429, and ENOS_EVENT_OVERFLOW tells of them.
 * This is for machines that must not carry out the commands that EnOS has kept while the device was offline. EnOS
 * sends these one after the other, each after the answer to the one before it. enable, disable, delete and
 * traffic/control are not refused.
 *
 * @param config  the config.
 * @param ms      0 to 600000. Default: 0: none is refused.
 * @retval ENOS_OK               done.
 * @retval ENOS_ERR_INVALID_ARG  out of that range.
 */
enos_status enos_config_set_command_quiet_time(enos_config *config, uint32_t ms);

/**
 * Sets whether the client stores which commands are not answered yet, so that a later process can recognise them
 * (enos_command_was_interrupted()). Without a storage it does not. If it is off, the record of earlier processes is
 * removed.
 *
 * @param config  the config.
 * @param on      0: off; any other value: on. Default: on.
 * @retval ENOS_OK  done.
 */
enos_status enos_config_set_command_record(enos_config *config, int32_t on);

/* ------------------------------------------------------------------------------------------------
 * Sub-devices: the devices behind a gateway, which have no connection of their own. A sub-device is an id. The library
 * logs it in over the gateway's connection, again after each reconnect, and activates it if it has no device secret
 * yet. ENOS_EVENT_SUBDEVICE_STATE tells each change of its state.
 *
 * Requests: set the id in enos_request.subdevice. Every request that a sub-device may send can be sent with its id
 * while its state is ONLINE; enum enos_operation says which those are. Their outcomes have its id. Commands to it come
 * as ENOS_EVENT_COMMAND with its id, and are answered like any other.
 *
 * Logins. One login request is under way at a time. First come batches (enos_config_set_subdevice_batch()). Then each
 * sub-device that a batch names as failed, or does not name, logs in singly, which tells why. After a refusal it waits
 * for 1 second to 5 minutes, longer each time, and the others do not wait for it. If a batch is refused as a whole, or
 * not answered, smaller ones follow. After a login that is not answered, or that EnOS has no time for (429, 5xx, 6205,
 * 6305), all logins wait for a while: 1 second to 5 minutes after a batch or without an answer, and 1 second after a
 * single one. If you take a sub-device offline and online again, its next login is at least 5 seconds after the one
 * before.
 *
 * After a login the client subscribes to the topics on which the replies to the sub-device come: those that it has
 * used, and that of ENOS_OP_MEASUREPOINT_POST, for many sub-devices in one packet.
 *
 * Other gateways. EnOS does not tell a gateway when another one logs its sub-device in. The next request is refused
 * with code 1009. Then the state is REFUSED, and the sub-device logs in again after its wait. The wait begins at 1
 * second again only after 5 minutes online, so two gateways do not take turns without end.
 *
 * What EnOS tells the gateway (combine/enable, combine/disable, combine/delete) changes the states, and comes as a
 * command of type ENOS_COMMAND_OTHER as well, which the library answers with 200 unless you do. If it is about exactly
 * one of your sub-devices, the event has its id.
 *
 * Secrets. A sub-device with a product secret, and without a device secret in its options or in the storage, is
 * activated: its login brings the device secret, once. The library stores it and reads it back before it does anything
 * else with the sub-device (ENOS_EVENT_ACTIVATED with its id). If that fails: ENOS_EVENT_PERSIST_FAILED with its id,
 * and it is tried again as long as the process lives; enos_client_destroy() returns ENOS_ERR_UNSAVED_SECRET meanwhile.
 * Others go on. The storage has a record for each sub-device, as for the gateway itself.
 *
 * Registration (ENOS_OP_SUBDEVICE_REGISTER). With ENOS_REQUEST_KEEP_SECRETS the device secrets in the reply are kept
 * in the same way, and REPLY comes when the storage has been tried for each. Each device has an id in ACTIVATED and
 * PERSIST_FAILED, which is good for enos_client_subdevice_saved() only, and the request's user; event->activation has
 * its keys. It is a sub-device of the client when you add it. If the reply comes after the request has timed out, it
 * is a MESSAGE, and the secrets are kept as well.
 *
 * Joined posts. With ENOS_REQUEST_JOIN, posts of measure points of sub-devices and of the gateway that are accepted
 * within enos_config_set_join_time() go in one ENOS_OP_MEASUREPOINT_POST_BATCH of the gateway. It is sent earlier when
 * it has nearly 512 KiB, or when no other request can be accepted (enos_config_set_inflight()). Each post has its own
 * outcome: the code, topic and payload of the batch's reply. Other requests of the same device go behind its posts. A
 * post that finds no other goes by itself, and so do all posts as long as the broker does not let the gateway have the
 * replies to batches.
 *
 * If EnOS refuses a batch, each of its posts has that code, because EnOS does not say whose item is wrong. Then all
 * posts go by themselves for 10 seconds to 1 hour, longer after each such batch, and their own replies tell whose is
 * wrong. The codes for too many messages and for trouble in the cloud (429, 5xx, 6205, 6305) do not count. With
 * ENOS_REQUEST_SKIP_INVALID_POINTS and ENOS_REQUEST_ALLOW_OFFLINE_SUBDEVICE beside ENOS_REQUEST_JOIN, EnOS takes what
 * is valid. Posts with other such flags go in another message. Give each post a "time": of two posts of one device
 * without it in one message, EnOS may keep one.
 *
 * A sub-device takes up to 2 kB of memory beside its keys and secrets.
 * ------------------------------------------------------------------------------------------------ */

/**
 * Where a sub-device stands. Later versions may add states.
 */
typedef enum enos_subdevice_state {
  /**
   * The gateway is offline, or the sub-device is to be offline (enos_client_set_subdevice_online()), or it is the
   * turn of others to log in.
   */
  ENOS_SUBDEVICE_STATE_OFFLINE = 1,
  /**
   * Its login with the product secret is under way, or the device secret has arrived and is being stored.
   */
  ENOS_SUBDEVICE_STATE_ACTIVATING = 2,
  /**
   * Its login is under way.
   */
  ENOS_SUBDEVICE_STATE_LOGGING_IN = 3,
  /**
   * It is logged in: send its requests from here on.
   */
  ENOS_SUBDEVICE_STATE_ONLINE = 4,
  /**
   * EnOS has refused its login, or has not answered. The library tries again.
   */
  ENOS_SUBDEVICE_STATE_REFUSED = 5,
  /**
   * EnOS has disabled it (combine/disable). The library tries one login after each login of the gateway, and logs it
   * in when EnOS enables it (combine/enable).
   */
  ENOS_SUBDEVICE_STATE_DISABLED = 6,
  /**
   * EnOS has deleted it (combine/delete). It logs in again only if EnOS enables it, or if you ask for it with
   * enos_client_set_subdevice_online().
   */
  ENOS_SUBDEVICE_STATE_DELETED = 7,
} enos_subdevice_state;

/**
 * How a sub-device is added: the bits of a uint32_t.
 */
typedef enum enos_subdevice_flags {
  /**
   * If EnOS refuses its first login because it is not in the gateway's topology (code 740), the library adds it,
   * once.
   */
  ENOS_SUBDEVICE_ADD_TOPOLOGY = 1,
  /**
   * It is not logged in until enos_client_set_subdevice_online().
   */
  ENOS_SUBDEVICE_OFFLINE = 2,
} enos_subdevice_flags;

/**
 * A sub-device to be added. It is yours, and copied; wipe your copies of the secrets.
 */
typedef struct enos_subdevice_options {
  /**
   * sizeof(enos_subdevice_options); ENOS_INIT() sets it. It is the same for all of one call.
   */
  size_t struct_size;
  /**
   * As in enos_config_set_identity(). Required.
   */
  const char *product_key;
  /**
   * As in enos_config_set_identity(). Required.
   */
  const char *device_key;
  /**
   * As in enos_config_set_client_id(). NULL: the device key. A login of several is signed with the client id of the
   * gateway.
   */
  const char *client_id;
  /**
   * 1 to 1024 bytes. NULL: the one in the storage, or one that an activation brings. With it, the storage is not
   * read.
   */
  const char *device_secret;
  /**
   * In bytes, or ENOS_NUL_TERMINATED.
   */
  size_t device_secret_len;
  /**
   * 1 to 1024 bytes. NULL: it is not activated. It needs a storage.
   */
  const char *product_secret;
  /**
   * In bytes, or ENOS_NUL_TERMINATED.
   */
  size_t product_secret_len;
  /**
   * One of enum enos_sign_method. ENOS_SIGN_AUTO: that of the gateway's login.
   */
  int32_t sign_method;
  /**
   * ENOS_SUBDEVICE_* bits of enum enos_subdevice_flags.
   */
  uint32_t flags;
  /**
   * Comes back in SUBDEVICE_STATE, in ACTIVATED and PERSIST_FAILED of the sub-device, and in COMMAND.
   */
  void *user;
} enos_subdevice_options;

/**
 * A sub-device, as enos_client_subdevices() shows it. It and its texts belong to the library, and are valid until the
 * callback returns.
 */
typedef struct enos_subdevice {
  /**
   * The size of the library's struct: later versions are longer. Read only what your header declares.
   */
  size_t struct_size;
  /**
   * Its id.
   */
  uint64_t id;
  /**
   * Its product key.
   */
  const char *product_key;
  /**
   * Its device key.
   */
  const char *device_key;
  /**
   * One of enum enos_subdevice_state.
   */
  int32_t state;
  /**
   * 0.
   */
  uint32_t reserved;
  /**
   * What you have set in its options.
   */
  void *user;
} enos_subdevice;

/**
 * Receives a sub-device, inside enos_client_subdevices(), on the thread that called it. No lock of the library is
 * held, so it may call every enos_client_* function.
 *
 * @param ctx        what enos_client_subdevices() was given.
 * @param subdevice  the sub-device; valid until the callback returns.
 * @return           0: continue with the next one; any other value: stop.
 */
typedef int32_t (*enos_subdevice_cb)(void *ctx, const struct enos_subdevice *subdevice);

/**
 * Sets how many sub-devices may be online.
 *
 * @param config      the config.
 * @param subdevices  1 to 10000. Default: 200, which is what EnOS documents for a gateway.
 * @retval ENOS_OK               done.
 * @retval ENOS_ERR_INVALID_ARG  out of that range; 0 is also out of range.
 */
enos_status enos_config_set_subdevice_limit(enos_config *config, uint32_t subdevices);

/**
 * Sets how many sub-devices log in with one request. EnOS documents no limit. If it refuses a request of several as a
 * whole, or does not answer it, requests of half as many follow, down to 1, and it is tried less often with more.
 *
 * @param config      the config.
 * @param subdevices  1 to 1000. Default: 100.
 * @retval ENOS_OK               done.
 * @retval ENOS_ERR_INVALID_ARG  out of that range; 0 is also out of range.
 */
enos_status enos_config_set_subdevice_batch(enos_config *config, uint32_t subdevices);

/**
 * Sets how long a post with ENOS_REQUEST_JOIN waits for others that can go in the same message.
 *
 * @param config  the config.
 * @param ms      0 to 10000. Default: 50. 0: only for those that are accepted before the loop's next turn.
 * @retval ENOS_OK               done.
 * @retval ENOS_ERR_INVALID_ARG  out of that range.
 */
enos_status enos_config_set_join_time(enos_config *config, uint32_t ms);

/**
 * Adds sub-devices, all or none, in every state of the client. They log in when the gateway is online.
 *
 * @param client   the client: the gateway.
 * @param options  an array of `count` structs; copied.
 * @param count    1 to 10000.
 * @param out_ids  receives `count` ids, in the order of the options, before any event of them; may be NULL. Ids are
 *                 the process's, and none is used twice by a client.
 * @retval ENOS_OK               added.
 * @retval ENOS_ERR_QUEUE_FULL   more than enos_config_set_subdevice_limit() would be online; or nobody runs the loop.
 * @retval ENOS_ERR_STATE        one of them was removed while its login was under way, or while its device secret is
 *                               being stored, and that has not ended yet; or it was registered, and the secret is being
 *                               stored: add it later.
 * @retval ENOS_ERR_INVALID_ARG  count, or one of the options: enos_last_error() has its index. The client has a device
 *                               with these keys already; a key, secret, method or flag cannot be right; or a product
 *                               secret is set, and there is no storage.
 * @retval ENOS_ERR_UNSUPPORTED  the client is an integration channel.
 * @retval ENOS_ERR_NULL_ARG     options, or a key, is NULL.
 * @retval ENOS_ERR_STRUCT_SIZE  one of them was not made with ENOS_INIT().
 */
ENOS_MUST_USE
enos_status enos_client_add_subdevices(enos_client *client,
                                       const struct enos_subdevice_options *options,
                                       size_t count,
                                       uint64_t *out_ids);

/**
 * Takes a sub-device offline, or online again. Its id and its options stay. For example, an inverter does not answer,
 * and EnOS is to show that.
 *
 * @param client  the client.
 * @param id      the sub-device.
 * @param on      0: it is logged out, if it is logged in, and stays offline. Any other value: it is logged in, also if
 *                EnOS has disabled or deleted it.
 * @retval ENOS_OK              SUBDEVICE_STATE tells what follows, unless nothing changes.
 * @retval ENOS_ERR_NOT_FOUND   no such sub-device.
 * @retval ENOS_ERR_QUEUE_FULL  more than enos_config_set_subdevice_limit() would be online; or nobody runs the loop.
 */
ENOS_MUST_USE enos_status enos_client_set_subdevice_online(enos_client *client, uint64_t id, int32_t on);

/**
 * Removes a sub-device: it is logged out, and its id is not used any more. Its device secret and its durable messages
 * stay in the storage. A secret that is on its way is stored first. It waits while a storage callback runs on another
 * thread.
 *
 * @param client  the client.
 * @param id      the sub-device.
 * @retval ENOS_OK             removed. No event of its state follows.
 * @retval ENOS_ERR_NOT_FOUND  no such sub-device.
 */
enos_status enos_client_remove_subdevice(enos_client *client, uint64_t id);

/**
 * Tells that you have saved the device secret of a sub-device by hand, after a PERSIST_FAILED event with its id. The
 * library does not try to store it any more, and logs the sub-device in with it as long as the process lives.
 *
 * @param client  the client.
 * @param id      the sub-device.
 * @retval ENOS_OK             done.
 * @retval ENOS_ERR_NOT_FOUND  no such sub-device.
 * @retval ENOS_ERR_STATE      no PERSIST_FAILED event has told a secret of it that is unsaved still.
 */
enos_status enos_client_subdevice_saved(enos_client *client, uint64_t id);

/**
 * Returns the present state of a sub-device. Legal in every callback of events.
 *
 * @param client  the client.
 * @param id      the sub-device.
 * @return  one of enum enos_subdevice_state; negative (an enos_status) on failure: ENOS_ERR_NOT_FOUND if there is no
 *          such sub-device.
 */
int32_t enos_client_subdevice_state(const enos_client *client, uint64_t id);

/**
 * A state's name, for logs.
 *
 * @param state  every value is accepted.
 * @return       static text, e.g. "ONLINE"; "UNKNOWN" for a value that is no state.
 */
const char *enos_subdevice_state_name(int32_t state);

/**
 * Shows the sub-devices in the order in which they were added, until the callback stops it. Those that are added or
 * removed meanwhile may be missing or shown.
 *
 * @param client  the client.
 * @param cb      called for each.
 * @param ctx     passed to it.
 * @retval ENOS_OK            shown.
 * @retval ENOS_ERR_NULL_ARG  cb is NULL.
 */
enos_status enos_client_subdevices(const enos_client *client, enos_subdevice_cb cb, void *ctx);

/* ------------------------------------------------------------------------------------------------
 * Firmware updates. EnOS offers a firmware with the command ota/device/upgrade, or in the reply to
 * ENOS_OP_OTA_VERSION_QUERY. The library stores the offer, tells EnOS that it has arrived, and gives it to you as
 * ENOS_EVENT_OTA_OFFER. You decide, now or after a restart:
 *
 *   - take it: fetch the image yourself (fileUrl, size and digest are in the firmware), check it and install it. Then
 *     call enos_ota_installed() and restart;
 *   - refuse it: enos_ota_report() with step -5.
 *
 * EnOS offers a firmware only to a device that has reported its version. With enos_config_set_firmware_version() the
 * library reports it at the first CONNECTED, and once more on a later link if EnOS has not answered. Otherwise send
 * ENOS_OP_OTA_VERSION_REPORT yourself after each start. For a sub-device do that each time that it has started.
 *
 * When a version is reported, the library compares it with what was installed before. If they are equal, that is the
 * success of the update, for EnOS as well. If another version runs, the library tells EnOS step -4 once, and remembers
 * the image as one that has failed. Either comes as ENOS_EVENT_OTA with token 0. For the client's own device this
 * counts from the first client on that is created after the one that was told enos_ota_installed(). For a sub-device
 * each report after that counts.
 *
 * The newest offer replaces the one before it. While a firmware is verified or installed, its slot is not free: a newer
 * offer is told and stored, but no download of it begins until the first one runs or has failed. An offer of the
 * version that runs is not told; the library reports the version again, which ends the task of EnOS.
 *
 * Without a storage (enos_config_set_storage()) all of this is remembered only until the client is destroyed.
 * docs/ota.md has examples for a downloader of your own, RAUC and SWUpdate.
 * ------------------------------------------------------------------------------------------------ */

/**
 * Sets the version of the firmware that runs. The client reports it to EnOS at its first CONNECTED.
 *
 * @param config   the config.
 * @param version  1 to 512 bytes, without control characters. Default: none; the client reports no version.
 * @retval ENOS_OK               done.
 * @retval ENOS_ERR_INVALID_ARG  not such a text.
 */
enos_status enos_config_set_firmware_version(enos_config *config, const char *version);

/**
 * Tells EnOS how an update goes, with ENOS_OP_OTA_PROGRESS. If there is a storage, the report is durable, and waits for
 * EnOS's answer; it replaces an older report of the same device that was not sent yet (ENOS_ERR_SUPERSEDED). A refusal
 * or a failure ends the offer: it is not told again, and its slot is free. After a failure other than -2, which is not
 * the fault of the image, the same image has the state ENOS_FIRMWARE_FAILED when it is offered again.
 *
 * @param client     the client.
 * @param firmware   the firmware, of the client's own device or of a sub-device.
 * @param step       0 to 100: percent. -5: you do not want it. Other negative numbers are failures: -1 any, -2 the
 *                   download, -3 the verification, -4 the writing; the others are yours.
 * @param desc       words for EnOS's console; may be NULL.
 * @param out_token  receives the token; may be NULL.
 * @retval ENOS_OK               accepted: REPLY will come with the token.
 * @retval ENOS_ERR_STATE        there is no storage, and the device is not online.
 * @retval ENOS_ERR_QUEUE_FULL   too many calls have no outcome yet, or the outbox is full.
 * @retval ENOS_ERR_STORAGE      your storage does not take the report.
 * @retval ENOS_ERR_NOT_FOUND    the client has no such sub-device.
 * @retval ENOS_ERR_UNSUPPORTED  the client is an integration channel.
 * @retval ENOS_ERR_TOO_LARGE    desc is too long for a message.
 * @retval ENOS_ERR_INVALID_ARG  step is more than 100, or desc is not UTF-8.
 */
enos_status enos_ota_report(enos_client *client,
                            const enos_firmware *firmware,
                            int32_t step,
                            const char *desc,
                            uint64_t *out_token);

/**
 * Says that a firmware is installed, and that the next start of the device runs it. Call it right before the restart.
 * When it returns ENOS_OK, the storage has it, and the version that is reported after the restart decides (see above).
 *
 * @param client    the client.
 * @param firmware  the firmware, of the client's own device or of a sub-device.
 * @retval ENOS_OK             done.
 * @retval ENOS_ERR_STORAGE    your storage does not take it. Call it again before you restart.
 * @retval ENOS_ERR_NOT_FOUND  the client has no such sub-device.
 */
ENOS_MUST_USE enos_status enos_ota_installed(enos_client *client, const enos_firmware *firmware);

/* ------------------------------------------------------------------------------------------------
 * Downloads of firmware, over HTTP and HTTPS. This is an optional feature of a build (ENOS_FEATURE_OTA). Without it the
 * functions are there, and return ENOS_ERR_UNSUPPORTED.
 *
 * The image goes in blocks of at most 64 KiB to your sink, which writes them to a slot. If a connection is lost, the
 * download continues where it was, also after a restart. When all bytes are there, their number and their digest are
 * compared with the offer. Only if both are right, the sink's verified() is called.
 *
 * The functions of the sink are called on a thread of the library that runs while the download does, one at a time. So
 * a sink may take its time: nothing else waits for it. As in an event callback, all functions of the library may be
 * called in it except for enos_client_destroy(), _loop, _loop_stop, _wait and _flush.
 *
 * ENOS_EVENT_OTA tells the progress, with the token of the download, ENOS_OK and 0 to 99 percent in detail_code; then
 * its one outcome, after which the sink is not used any more:
 *
 *   - ENOS_OK with 100 in detail_code: verified() has returned ENOS_SINK_OK;
 *   - ENOS_ERR_REFUSED: the server answered detail_code, such as 403 or 404. The URL is wrong or has expired. Ask EnOS
 *     again (ENOS_OP_OTA_VERSION_QUERY), or set another URL: what is there is not fetched again;
 *   - ENOS_ERR_CANCELLED: you have cancelled it;
 *   - ENOS_ERR_DIGEST: the file on the server is not the one that was offered;
 *   - ENOS_ERR_STORAGE: the sink failed with detail_code, or your storage does not take that the image is verified;
 *   - ENOS_ERR_NETWORK: there was no new byte in 100 tries, or for a day;
 *   - ENOS_ERR_TLS, ENOS_ERR_PROTOCOL: in 5 tries, the server was not the right one, or its answers were not the image;
 *   - ENOS_ERR_TOO_LARGE: it would take more bytes than max_bytes;
 *   - ENOS_ERR_NO_MEMORY: there is no memory for a block.
 *
 * EnOS is told the progress in steps of about 5 percent, and a failure (-2, -3 or -4), which ends the offer, as
 * enos_ota_report() does. After ENOS_ERR_REFUSED and ENOS_ERR_CANCELLED it is told nothing: download again, or give the
 * firmware up with enos_ota_report().
 *
 * The server is checked with the authorities of enos_config_set_tls(). Its name is always checked. If it asks for a
 * certificate, it is shown the device's. Redirects are followed, without your headers if they lead to another server,
 * and never from https:// to http://. The environment variables for proxies of libcurl count.
 * ------------------------------------------------------------------------------------------------ */

/**
 * What a function of a sink returns. On failure, it returns a negative number of your own instead.
 */
typedef enum enos_sink_result {
  /**
   * Done.
   */
  ENOS_SINK_OK = 0,
  /**
   * It is not done yet. Call enos_ota_continue() when it is, from any thread. Meanwhile the download waits.
   */
  ENOS_SINK_LATER = 1,
} enos_sink_result;

/**
 * Flags of enos_ota_options.
 */
typedef enum enos_ota_flags {
  /**
   * Also an image that has failed before (ENOS_FIRMWARE_FAILED).
   */
  ENOS_OTA_RETRY_FAILED = 1,
} enos_ota_flags;

/**
 * Where the image goes: functions of yours. They must not unwind and not longjmp. The struct itself is copied; ctx is
 * yours, and has to be valid until the outcome, or until enos_client_destroy() has returned ENOS_OK.
 */
typedef struct enos_ota_sink {
  /**
   * sizeof(enos_ota_sink); ENOS_INIT() sets it.
   */
  size_t struct_size;
  /**
   * Passed to each function; may be NULL.
   */
  void *ctx;
  /**
   * Called once, first. Write to `*resume_at` how many bytes of this image (version, size and digest) the slot has from
   * an earlier download, before you return; 0, which is there already: none. They are read back for the digest, and the
   * download continues behind them. Must not be NULL.
   */
  int32_t (*begin)(void *ctx, const enos_firmware *firmware, uint64_t *resume_at);
  /**
   * Writes the `len` bytes at `data`, 1 to 65536, to the slot. Blocks come in order. A block ends at a multiple of
   * 65536 bytes of the image, at its end, or where a connection was lost. `offset` 0 begins anew: all bytes that are
   * there are given up. The data is valid until the function returns: copy it before you return ENOS_SINK_LATER. If
   * this returns ENOS_SINK_OK, begin() may count these bytes after a power cut only if they have survived it. Must not
   * be NULL.
   */
  int32_t (*block)(void *ctx, uint64_t offset, const uint8_t *data, size_t len);
  /**
   * Reads `len` bytes back, 1 to 65536, of those that begin() has counted. ENOS_SINK_LATER is not possible here. Must
   * not be NULL.
   */
  int32_t (*read)(void *ctx, uint64_t offset, uint8_t *buffer, size_t len);
  /**
   * The image is complete, and its size and digest are right. Your storage has that, so that it is not forgotten by a
   * power cut: then another download of this firmware reads it back, and calls this again. Install it here, or
   * later. Until enos_ota_installed(), or enos_ota_report() with a failure, no other download of this device begins.
   * Must not be NULL.
   */
  int32_t (*verified)(void *ctx, const enos_firmware *firmware);
  /**
   * The last call if the download fails: release what the slot occupies. With ENOS_ERR_CANCELLED and ENOS_ERR_REFUSED
   * you may keep it for the next download. May be NULL. Not called if verified() has returned ENOS_SINK_OK.
   */
  void (*failed)(void *ctx, const enos_firmware *firmware, enos_status status);
} enos_ota_sink;

/**
 * How a download is made.
 */
typedef struct enos_ota_options {
  /**
   * sizeof(enos_ota_options); ENOS_INIT() sets it.
   */
  size_t struct_size;
  /**
   * In place of the offer's: http:// or https://, up to 8192 bytes. The offer's URL may be only a path, or have
   * expired. NULL: the offer's.
   */
  const char *url;
  /**
   * Up to 32 lines "Name: value" for the server of the URL, each up to 8192 bytes; the last pointer is NULL. NULL:
   * none.
   */
  const char *const *headers;
  /**
   * How much may be fetched over all tries. 0: three times the size of the image.
   */
  uint64_t max_bytes;
  /**
   * 1000 to 1000000000. 0: no limit.
   */
  uint32_t bytes_per_s;
  /**
   * A set of enum enos_ota_flags.
   */
  uint32_t flags;
  /**
   * A connection is given up when it has brought fewer than 16 bytes a second for so long: 5 to 3600 seconds. 0: 60.
   */
  uint32_t stall_s;
  /**
   * 0.
   */
  uint32_t reserved;
} enos_ota_options;

/**
 * Begins to download a firmware. A client has one download at a time. It goes on whether the client is connected or
 * not. Storage callbacks may run inside this call.
 *
 * @param client     the client.
 * @param firmware   the firmware, of the client's own device or of a sub-device; copied.
 * @param sink       made with ENOS_INIT(); copied.
 * @param options    made with ENOS_INIT(), and copied; NULL: the defaults.
 * @param out_token  receives the token, before the sink is called; may be NULL.
 * @retval ENOS_OK               begun: the outcome will come with the token.
 * @retval ENOS_ERR_STATE        another download is under way; another firmware of this device is verified or
 *                               installed; or this image is installed, or has failed before and flags does not have
 *                               ENOS_OTA_RETRY_FAILED.
 * @retval ENOS_ERR_UNSUPPORTED  this build has no downloads, or no TLS, which the URL needs; libcurl does not use
 *                               libenos's OpenSSL; or the digest is neither MD5 nor SHA-256.
 * @retval ENOS_ERR_INVALID_ARG  the URL does not begin with http:// or https://, or an option is out of its range.
 * @retval ENOS_ERR_NULL_ARG     a function of the sink that must not be NULL is.
 * @retval ENOS_ERR_NOT_FOUND    the client has no such sub-device.
 * @retval ENOS_ERR_STORAGE      your storage does not let the record of the updates be read.
 * @retval ENOS_ERR_NO_MEMORY    no thread can be started.
 * @retval ENOS_ERR_STRUCT_SIZE  sink or options was not made with ENOS_INIT().
 */
enos_status enos_ota_download(enos_client *client,
                              const enos_firmware *firmware,
                              const struct enos_ota_sink *sink,
                              const struct enos_ota_options *options,
                              uint64_t *out_token);

/**
 * Finishes a call of the sink that has returned ENOS_SINK_LATER, or is about to. Any thread may call this.
 *
 * @param client  the client.
 * @param token   the download's.
 * @param result  ENOS_SINK_OK, or a negative number of yours: then the download has failed.
 * @retval ENOS_OK               the download continues.
 * @retval ENOS_ERR_STATE        it waits for no answer.
 * @retval ENOS_ERR_NOT_FOUND    there is no such download, or it has had its outcome.
 * @retval ENOS_ERR_INVALID_ARG  result is more than 0.
 * @retval ENOS_ERR_UNSUPPORTED  this build has no downloads.
 */
enos_status enos_ota_continue(enos_client *client, uint64_t token, int32_t result);

/**
 * Cancels a download. Its outcome, ENOS_ERR_CANCELLED, comes within a second, or as soon as the sink's function that
 * runs returns. One that has returned ENOS_SINK_LATER is not waited for.
 *
 * @param client  the client.
 * @param token   the download's.
 * @retval ENOS_OK               it will end.
 * @retval ENOS_ERR_STATE        the image is verified: it cannot be cancelled any more. enos_ota_report() gives it up.
 * @retval ENOS_ERR_NOT_FOUND    there is no such download, or it has had its outcome.
 * @retval ENOS_ERR_UNSUPPORTED  this build has no downloads.
 */
enos_status enos_ota_cancel(enos_client *client, uint64_t token);

/* ------------------------------------------------------------------------------------------------
 * The outbox: durable publishing. A message with ENOS_REQUEST_DURABLE is in your storage when the call returns
 * ENOS_OK. It is removed only when it is completed: when the broker has acknowledged it (QoS 1), or, with
 * ENOS_REQUEST_UNTIL_REPLY, when EnOS has answered 200. It survives a loss of the link, days offline, the end of the
 * process, and a power cut. Durable publishing needs enos_config_set_storage(), and works in every state, offline too.
 *
 * At least once: messages that were in flight when the link or the process ended are sent again. In order: a message
 * is sent only after those before it; if one has to be sent again, those behind it are sent again as well. A reply to
 * a message that was sent again in the meantime, or to a post without ENOS_REQUEST_UNTIL_REPLY, is a MESSAGE.
 *
 * Each device has an outbox of its own: the client's device, and each sub-device. The messages of one wait for no
 * other, share nothing but the rate and the link, and take turns on it. Those of a sub-device are accepted in each of
 * its states, and sent while it is online. The limits hold for each outbox by itself. Removing a sub-device leaves its
 * messages in the storage. They are sent after the sub-device is added again, in this process or a later one.
 *
 * Tokens of durable messages begin at 2^62, so they differ from those of other calls. Those of the client's own device
 * stay valid across restarts, and none is used twice for one device's storage. The token of a sub-device's message has
 * bit 63, the sub-device's id in bits 42 to 62, and its place in the outbox in the bits below: no other message of the
 * process has it. It is valid as long as the id, and enos_client_outbox_each() shows the messages with new tokens
 * after a restart. Each message has one event, DELIVERED, or REPLY with ENOS_REQUEST_UNTIL_REPLY, as soon as its
 * outcome is known. After a restart the event may come a second time, because the process may have ended between the
 * event and the removal.
 *
 *     ENOS_OK                  completed
 *     ENOS_ERR_DEAD_LETTER     it can never succeed and is a dead letter from now on; the next ones are sent. EnOS has
 *                              refused it for good: detail_code is its code, any but 200, 429, 5xx, 6205 and 6305,
 *                              which are tried again. Or it failed three times in a row, and then three times right
 *                              after another message that had passed on the same link, and between these also as the
 *                              first. A failure is a lost link or no answer (detail_code 0), or one of the codes that
 *                              are tried again (detail_code is the code, and it takes ten of them in a row). Without
 *                              another message that passes, no message is blamed, and it is tried again
 *     ENOS_ERR_QUEUE_FULL      it was the oldest in a full outbox (ENOS_OUTBOX_DROP_OLDEST)
 *     ENOS_ERR_STORAGE         the storage returned damaged data. If possible, the damaged bytes become a dead letter.
 *                              Always DELIVERED, without an operation. For a batch there is one event with its first
 *                              token, for the whole batch, and one for each other message that has a user
 *
 * Dead letters stay in the storage until you drop them. enos_client_outbox_each() lists them, or the waiting messages;
 * enos_client_outbox_drop() removes a message of either kind. Dead letters and waiting messages share the limits of
 * the outbox: if a new message needs the room, the oldest dead letters are removed, each with an event
 * (DEAD_LETTER_DROPPED).
 *
 * Costs: one store when a message or a batch (enos_client_request_batch()) is accepted, one erase when it is
 * completed, and one more store for every 16 that are accepted or removed. A message over 64 KiB takes a store and an
 * erase for each 64 KiB. A loss of the link with messages in flight costs one store, and so does a post without a good
 * answer; a message that becomes a dead letter costs two. Memory use does not grow with the number of waiting
 * messages, except for those with a user, which take up to 32 bytes each. The first use finds both ends of the queue,
 * with some 70 loads of keys that mostly do not exist, and reads nothing else.
 * ------------------------------------------------------------------------------------------------ */

/**
 * What happens to a durable message for which the outbox has no room.
 */
typedef enum enos_outbox_policy {
  /**
   * The message is refused (ENOS_ERR_QUEUE_FULL). ENOS_EVENT_ROOM tells when there is room again.
   */
  ENOS_OUTBOX_REFUSE = 0,
  /**
   * The oldest messages are dropped, each with its event (ENOS_ERR_QUEUE_FULL).
   */
  ENOS_OUTBOX_DROP_OLDEST = 1,
} enos_outbox_policy;

/**
 * Which messages enos_client_outbox_each() shows.
 */
typedef enum enos_outbox_which {
  /**
   * Those that are not completed, in the order in which they were accepted.
   */
  ENOS_OUTBOX_WAITING = 0,
  /**
   * Those that can never succeed, the oldest first.
   */
  ENOS_OUTBOX_DEAD_LETTERS = 1,
} enos_outbox_which;

/**
 * The state of an outbox.
 */
typedef struct enos_outbox_info {
  /**
   * sizeof(enos_outbox_info); ENOS_INIT() sets it.
   */
  size_t struct_size;
  /**
   * Messages that are not completed. One that you have dropped counts until those before it are completed.
   */
  uint64_t messages;
  /**
   * Bytes that they take up in the storage, approximately.
   */
  uint64_t bytes;
  /**
   * How many messages have ever become dead letters.
   */
  uint64_t dead_letters_ever;
  /**
   * How many messages this client has dropped because the outbox was full.
   */
  uint64_t dropped;
  /**
   * Dead letters that are there now.
   */
  uint64_t dead_letters;
} enos_outbox_info;

/**
 * A message in the outbox, as enos_client_outbox_each() shows it. The message and everything that it points to belong
 * to the library, and are valid until the callback returns.
 */
typedef struct enos_outbox_message {
  /**
   * The size of the library's struct: later versions are longer. Read only what your header declares.
   */
  size_t struct_size;
  /**
   * The token of the message.
   */
  uint64_t token;
  /**
   * For a dead letter, EnOS's code, or 0 for any other reason. 0 for a waiting message.
   */
  int32_t code;
  /**
   * One of enum enos_operation; 0 if the message cannot be read.
   */
  int32_t operation;
  /**
   * The request's name: the topic of a publish, the identifier of an event; "" if its operation has none. NULL if
   * the message cannot be read, or only by a later version of the library.
   */
  const char *name;
  /**
   * Its payload, or the post's "params"; never NULL.
   */
  const uint8_t *payload;
  /**
   * In bytes.
   */
  size_t len;
} enos_outbox_message;

/**
 * Receives a message of the outbox, inside enos_client_outbox_each(), on the thread that called it. No lock of the
 * library is held, so it may call every enos_client_* function, for instance enos_client_outbox_drop(), or a durable
 * publish of the same message.
 *
 * @param ctx      what enos_client_outbox_each() was given.
 * @param message  the message; valid until the callback returns.
 * @return         0: continue with the next one; any other value: stop.
 */
typedef int32_t (*enos_outbox_cb)(void *ctx, const struct enos_outbox_message *message);

/**
 * Sets how much each outbox may hold, and what happens when it is full: that of the client's own device, and that of
 * each sub-device.
 *
 * @param config    the config.
 * @param messages  1 to 1000000000. Default: 100000.
 * @param bytes     4096 to 2^40, as they are stored. Default: 67108864 (64 MiB).
 * @param policy    one of enum enos_outbox_policy. Default: ENOS_OUTBOX_REFUSE.
 * @retval ENOS_OK               done.
 * @retval ENOS_ERR_INVALID_ARG  out of that range; 0 is also out of range.
 */
enos_status enos_config_set_outbox_limits(enos_config *config, uint32_t messages, uint64_t bytes, int32_t policy);

/**
 * Sets how fast the outboxes are sent, all together. They take turns, message by message. Other messages of the client
 * are never held back, but count: the outboxes get the rest of the rate. EnOS documents a limit of 1 MB a second for a
 * device.
 *
 * @param config       the config.
 * @param bytes_per_s  1000 to 1000000000. Default: 1000000. 0: no limit.
 * @retval ENOS_OK               done.
 * @retval ENOS_ERR_INVALID_ARG  out of that range.
 */
enos_status enos_config_set_outbox_rate(enos_config *config, uint32_t bytes_per_s);

/**
 * Waits until every accepted call has had its event and every durable message is completed that can be sent: those of
 * the client's own device, and those of the sub-devices that are online. It does not wait for sub-devices in other
 * states. It loops, or waits for the thread that loops, as enos_client_wait() does.
 *
 * @param client      the client.
 * @param timeout_ms  milliseconds; 0: only look; ENOS_FOREVER: no limit.
 * @retval ENOS_OK               nothing is under way, and these outboxes are empty.
 * @retval ENOS_ERR_TIMEOUT      something still is. Nothing is lost.
 * @retval ENOS_ERR_STATE        the client is not connected, and nothing is under way that could empty the outbox:
 *                               call enos_client_connect() first.
 * @retval ENOS_ERR_CREDENTIALS, ENOS_ERR_ACTIVATION_REFUSED, ENOS_ERR_ACTIVATION_TIMEOUT, ENOS_ERR_STORAGE,
 *         ENOS_ERR_NETWORK, ENOS_ERR_TLS, ENOS_ERR_PROTOCOL, ENOS_ERR_CONFLICT
 *                               as for enos_client_wait(): only a long wait is left. Or ENOS_ERR_STORAGE: the outbox
 *                               cannot be read.
 * @retval ENOS_ERR_IN_CALLBACK  called from a callback.
 */
enos_status enos_client_flush(enos_client *client, uint32_t timeout_ms);

/**
 * Returns the state of an outbox after its last change. If this is the first use of the outbox, storage callbacks run
 * inside this call, or it waits for another thread whose call is the first. After that it never waits for the storage.
 *
 * @param client     the client.
 * @param subdevice  whose outbox; 0: that of the client's own device.
 * @param out        made with ENOS_INIT(); receives the numbers.
 * @retval ENOS_OK               done.
 * @retval ENOS_ERR_STATE        there is no storage.
 * @retval ENOS_ERR_NOT_FOUND    the client has no such sub-device.
 * @retval ENOS_ERR_STORAGE      your storage failed.
 * @retval ENOS_ERR_STRUCT_SIZE  out was not made with ENOS_INIT().
 */
enos_status enos_client_outbox_info(enos_client *client, uint64_t subdevice, struct enos_outbox_info *out);

/**
 * Lists the messages in an outbox: those that wait, or the dead letters. Storage callbacks run inside this call, one
 * load for each message or batch, and it waits for other calls that use the storage. Messages that are added or
 * removed meanwhile may be listed or not.
 *
 * A batch that an earlier version of the library could not read is one dead letter. Each of its messages is shown,
 * with the token that they share, and enos_client_outbox_drop() removes all of them.
 *
 * @param client     the client.
 * @param subdevice  whose outbox; 0: that of the client's own device.
 * @param which      one of enum enos_outbox_which.
 * @param cb         called for each.
 * @param ctx        passed to it; may be NULL.
 * @retval ENOS_OK               all were shown, or cb has stopped it.
 * @retval ENOS_ERR_STATE        there is no storage.
 * @retval ENOS_ERR_NOT_FOUND    the client has no such sub-device.
 * @retval ENOS_ERR_STORAGE      your storage failed.
 * @retval ENOS_ERR_INVALID_ARG  there is no such which.
 */
enos_status enos_client_outbox_each(enos_client *client,
                                    uint64_t subdevice,
                                    int32_t which,
                                    enos_outbox_cb cb,
                                    void *ctx);

/**
 * Drops a message from its outbox: one that waits, or a dead letter. When the call returns, the message is removed
 * from your storage. It is not sent any more, although one that is in flight may still arrive, and it has no event,
 * unless that is already queued. Its room is free at once if it was the oldest, otherwise when those before it are
 * completed.
 *
 * Storage callbacks run inside this call; it waits for other calls that use the storage.
 *
 * @param client  the client.
 * @param token   the message's token.
 * @retval ENOS_OK             it is gone.
 * @retval ENOS_ERR_NOT_FOUND  it neither waits nor is a dead letter: it is completed, or never existed. Or its
 *                             sub-device was removed.
 * @retval ENOS_ERR_STATE      there is no storage; or it is becoming a dead letter at this moment: try again after its
 *                             event.
 * @retval ENOS_ERR_STORAGE    your storage failed: it may be gone or not.
 */
enos_status enos_client_outbox_drop(enos_client *client, uint64_t token);

#ifdef __cplusplus
}
#endif

#endif /* ENOS_H */
