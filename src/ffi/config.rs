//! Configuration: the settings of a client, in an opaque object. Fill it in with the setters, create clients from it
//! (each copies it), and free it. Use it from one thread at a time.
//!
//! A server, an identity and a secret are required. The secret is either the device secret, or the product secret
//! together with a storage. Each setter checks its own arguments and replaces the former value. On an error the former
//! value stays. Texts and secrets are copied.

use std::ffi::{c_char, c_void};

use super::event::{enos_event_cb, EventCallback};
use super::guard::guard;
use super::handle::Boxed;
use super::input::{bytes, text, versioned};
use super::output::Out;
use super::sign::enos_sign_method;
use super::status::enos_status;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::protocol::SignMethod;
use crate::storage::vtable::{enos_storage, HostStorage};

/// The settings of a client: opaque. Yours until enos_config_free().
#[derive(Default)]
pub struct enos_config {
    pub(super) config: Config,
    pub(super) events: Option<EventCallback>,
}

impl Boxed for enos_config {}

/// The body of a setter: `set` has exclusive access to the config.
///
/// # Safety
/// `config` is NULL or a handle as the header describes it.
pub(super) unsafe fn set(config: *mut enos_config, set: impl FnOnce(&mut enos_config) -> Result<()>) -> enos_status {
    // SAFETY: the caller's promise.
    guard(|| set(unsafe { enos_config::borrow_mut(config, "config") }?))
}

/// Makes a config with all defaults.
///
/// @param out  receives the config, yours to free with enos_config_free().
/// @retval ENOS_OK  done.
#[no_mangle]
pub unsafe extern "C" fn enos_config_new(out: *mut *mut enos_config) -> enos_status {
    guard(|| {
        // SAFETY: the header's contract.
        let out = unsafe { Out::new(out, "out") }?;
        out.set(enos_config::default().give());
        Ok(())
    })
}

/// Wipes and frees a config. Clients that were made from it live on. A storage that nothing else uses is released.
/// In a log or storage callback nothing is freed: enos_last_error() says so.
///
/// @param config  may be NULL: nothing happens.
#[no_mangle]
pub unsafe extern "C" fn enos_config_free(config: *mut enos_config) {
    guard(|| {
        // SAFETY: the header's contract.
        unsafe { enos_config::free(config) };
        Ok(())
    });
}

/// Sets the broker. Required.
///
/// @param config  the config.
/// @param uri     tcp://host or tcp://host:port; the port is 11883 unless given. host is a name, an IPv4 address, or an
///                IPv6 address in brackets: tcp://[::1]:11883. On tcp:// anyone on the way can read and forge messages,
///                the device secret included. ssl://host or ssl://host:port, 18883 unless given, is TLS
///                (enos_config_set_tls()).
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  not of that form; enos_last_error() says why.
/// @retval ENOS_ERR_UNSUPPORTED  ssl://, and this build has no TLS (enos_features()).
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_server(config: *mut enos_config, uri: *const c_char) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { set(config, |c| c.config.set_server(text(uri, "uri")?)) }
}

/// Sets who the device is. Required.
///
/// @param config       the config.
/// @param product_key  1 to 64 characters, none of them a control character or one of `/ + # & | , =`.
/// @param device_key   as product_key.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  out of that range, or not UTF-8; enos_last_error() says which and why.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_identity(
    config: *mut enos_config,
    product_key: *const c_char,
    device_key: *const c_char,
) -> enos_status {
    // SAFETY: the header's contract.
    unsafe {
        set(config, |c| c.config.set_identity(text(product_key, "product_key")?, text(device_key, "device_key")?))
    }
}

/// Sets the free part of the MQTT client id, for instance a serial number or a MAC address.
///
/// @param config     the config.
/// @param client_id  1 to 64 characters, none of them a control character or one of `| , =`. Default: the device key.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  out of that range, or not UTF-8.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_client_id(config: *mut enos_config, client_id: *const c_char) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { set(config, |c| c.config.set_client_id(text(client_id, "client_id")?)) }
}

/// Sets the device secret, for a device that got one in the factory. It is tried before a stored one until one of them
/// has worked. Default: none; the client uses the one in the storage, or gets one by activation.
///
/// @param config  the config.
/// @param secret  1 to 1024 bytes of UTF-8 without NUL. Copied; wipe yours.
/// @param len     in bytes, or ENOS_NUL_TERMINATED.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  out of that range.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_device_secret(
    config: *mut enos_config,
    secret: *const c_char,
    len: usize,
) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { set(config, |c| c.config.set_device_secret(bytes(secret.cast(), len, "secret")?)) }
}

/// Sets the product secret. A device that has no secret of its own is activated with it, once. This needs a storage.
/// Default: none.
///
/// @param config  the config.
/// @param secret  1 to 1024 bytes of UTF-8 without NUL. Copied; wipe yours.
/// @param len     in bytes, or ENOS_NUL_TERMINATED.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  out of that range.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_product_secret(
    config: *mut enos_config,
    secret: *const c_char,
    len: usize,
) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { set(config, |c| c.config.set_product_secret(bytes(secret.cast(), len, "secret")?)) }
}

/// Sets how CONNECTs are signed.
///
/// @param config  the config.
/// @param method  one of enum enos_sign_method. Default: ENOS_SIGN_AUTO (0).
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  no such method.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_sign_method(config: *mut enos_config, method: i32) -> enos_status {
    let set_method = |c: &mut enos_config| {
        let chosen = match method {
            auto if auto == enos_sign_method::ENOS_SIGN_AUTO as i32 => None,
            _ => Some(SignMethod::try_from(method).map_err(|_| {
                let known = "0 (AUTO), 1 (HMACSHA1), 2 (SHA1) or 3 (SHA256)";
                Error::invalid(format!("sign_method is {method}; it can be {known}"))
            })?),
        };
        c.config.set_sign_method(chosen);
        Ok(())
    };
    // SAFETY: the header's contract.
    unsafe { set(config, set_method) }
}

/// Sets where the library keeps what must survive the process. Required with a product secret, and always advisable:
/// the connect budget and the sign method that worked are also stored there.
///
/// @param config   the config.
/// @param storage  made with ENOS_INIT() or by enos_storage_directory(). The struct is copied; what its ctx points to
///                 stays in use until its release. On an error it is not released. Default: none.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_NULL_ARG     also: load, store or erase is NULL.
/// @retval ENOS_ERR_STRUCT_SIZE  storage was not made with ENOS_INIT(), or is of a later version.
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn enos_config_set_storage(
    config: *mut enos_config,
    storage: *const enos_storage,
) -> enos_status {
    let set_storage = |c: &mut enos_config| {
        // SAFETY: the header's contract, for the struct and for what stands in it.
        let storage = unsafe { HostStorage::new(&versioned(storage, "storage")?) }?;
        c.config.set_storage(storage);
        Ok(())
    };
    // SAFETY: the header's contract.
    unsafe { set(config, set_storage) }
}

/// Sets the callback for events.
///
/// @param config  the config.
/// @param cb      the callback; NULL for none. Default: none.
/// @param ctx     passed to the callback; may be NULL. Yours, and in use until each client made from this config is
///                destroyed.
/// @retval ENOS_OK  done.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_event_cb(
    config: *mut enos_config,
    cb: enos_event_cb,
    ctx: *mut c_void,
) -> enos_status {
    let set_events = |c: &mut enos_config| {
        c.events = EventCallback::new(cb, ctx);
        Ok(())
    };
    // SAFETY: the header's contract.
    unsafe { set(config, set_events) }
}

/// Sets the longest silence on the link before a PINGREQ is sent. A silent peer is noticed after about two and a half
/// times as long.
///
/// @param config   the config.
/// @param seconds  10 to 1200. EnOS documents 60 to 300; less is for networks that forget idle connections sooner.
///                 Default: 60.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  out of that range; 0 is also out of range.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_keep_alive(config: *mut enos_config, seconds: u32) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { set(config, |c| c.config.set_keep_alive(seconds)) }
}

/// Sets how long an attempt to connect may take, from resolving the name to the broker's answer.
///
/// @param config  the config.
/// @param ms      100 to 600000. Default: 30000.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  out of that range; 0 is also out of range.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_connect_timeout(config: *mut enos_config, ms: u32) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { set(config, |c| c.config.set_connect_timeout(ms)) }
}

/// Sets how long the device secret may take after a login with the product secret before that is reported
/// (ACTIVATION_LATE). The client keeps waiting for it, and logs in once more after 10 minutes.
///
/// @param config  the config.
/// @param ms      100 to 600000. Default: 30000.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  out of that range; 0 is also out of range.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_activation_timeout(config: *mut enos_config, ms: u32) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { set(config, |c| c.config.set_activation_timeout(ms)) }
}

/// Sets the delays between attempts after a loss of the link, counted from when the connect budget has room. Each is
/// random: at least min_ms; at most twice min_ms after the first failure, twice as much after each further one, and never
/// more than max_ms. If very many devices share one broker, raise min_ms: when all of them lose their links at once and
/// the broker takes them back at once, they come back between min_ms and twice min_ms later. With min_ms equal to max_ms
/// nothing is random.
///
/// @param config  the config.
/// @param min_ms  100 to 3600000. Default: 1000.
/// @param max_ms  min_ms to 3600000. Default: 120000. 0,0: no attempt by itself; call enos_client_connect(). (The steps
///                of an activation are not such attempts and continue.)
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  out of that range.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_reconnect(config: *mut enos_config, min_ms: u32, max_ms: u32) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { set(config, |c| c.config.set_reconnect(min_ms, max_ms)) }
}

/// Sets whether a device whose secret is repeatedly refused (for longer than EnOS's ban of 5 minutes) may be activated
/// again with the product secret. This is for devices that were deleted and registered again in the console. The old
/// secret is kept.
///
/// @param config  the config.
/// @param on      0: off; any other value: on. Default: on.
/// @retval ENOS_OK  done.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_reactivation(config: *mut enos_config, on: i32) -> enos_status {
    let set_reactivation = |c: &mut enos_config| {
        c.config.set_reactivation(on != 0);
        Ok(())
    };
    // SAFETY: the header's contract.
    unsafe { set(config, set_reactivation) }
}

/// Sets how many CONNECTs may be sent. The defaults keep to EnOS's rule, with a margin: it bars a device for 5 minutes
/// at the 4th CONNECT in 2 minutes, and allows one a second. Change them only for another broker. The count is kept in
/// the storage, so that a crash loop does not cause the ban either; without a storage it is kept in the process.
///
/// @param config      the config.
/// @param connects    at most so many in window_ms, 0 to 16. Default: 3. 0, for a test broker, removes the limit: window_ms
///                    is ignored, and ENOS_ERR_CONFLICT is never reported.
/// @param window_ms   1000 to 3600000. Default: 125000.
/// @param spacing_ms  0 to 60000 between the end of one attempt and the next. Default: 1100. 0: none.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  out of that range.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_connect_budget(
    config: *mut enos_config,
    connects: u32,
    window_ms: u32,
    spacing_ms: u32,
) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { set(config, |c| c.config.set_connect_budget(connects, window_ms, spacing_ms)) }
}

/// Sets how long the answer to an accepted call may take: the reply to a post, the acknowledgement of a publish, a
/// subscribe or an unsubscribe. After that its event comes with ENOS_ERR_TIMEOUT. On a slow link, allow for the time in
/// the queue.
///
/// @param config  the config.
/// @param ms      100 to 600000. Default: 30000.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  out of that range; 0 is also out of range.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_reply_timeout(config: *mut enos_config, ms: u32) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { set(config, |c| c.config.set_reply_timeout(ms)) }
}

/// Sets how many accepted publishes and posts may be without their outcome; one more is ENOS_ERR_QUEUE_FULL. Answers to
/// commands and subscriptions have limits of their own, and durable messages wait in the outbox.
///
/// @param config    the config.
/// @param messages  1 to 10000. Default: 100.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  out of that range; 0 is also out of range.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_inflight(config: *mut enos_config, messages: u32) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { set(config, |c| c.config.set_inflight(messages)) }
}

/// Sets how many topic filters a SUBSCRIBE packet may have. On a new connection the client subscribes to all of your
/// filters again, and to the topics on which EnOS's replies come. If the broker refuses every filter of a packet or does
/// not answer it, the client tries again with packets of half as many filters, down to 1. If the broker accepts those, or
/// if it ends connections instead of an answer, the next packets are smaller, too. When it has accepted packets of that
/// size on two connections, the client tries twice as many, up to this setting, and less often each time that this fails.
/// enos_client_subscribe() while ONLINE sends a packet of its own.
///
/// @param config   the config.
/// @param filters  1 to 256. Default: 100.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  out of that range; 0 is also out of range.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_subscribe_batch(config: *mut enos_config, filters: u32) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { set(config, |c| c.config.set_subscribe_batch(filters)) }
}

/// Sets how much may wait for the loop. If the queue is full, messages are dropped, and ENOS_EVENT_OVERFLOW tells how
/// many. An expected activation is never dropped.
///
/// @param config            the config.
/// @param inbound_messages  1 to 1000000. Default: 1000.
/// @param inbound_bytes     1024 to 1073741824, topics and payloads together; not less than max_message
///                          (enos_client_create() checks that). Default: 4194304.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  out of that range; 0 is also out of range.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_queue_limits(
    config: *mut enos_config,
    inbound_messages: u32,
    inbound_bytes: usize,
) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { set(config, |c| c.config.set_queue_limits(inbound_messages, inbound_bytes)) }
}

/// Sets the largest payload that may come in. A larger one is dropped and counted (ENOS_EVENT_OVERFLOW); one that is
/// larger by the 64 KiB that a topic can have ends the connection before any of it is stored: DISCONNECTED with
/// ENOS_ERR_NETWORK. An expected activation is accepted nevertheless, with up to 64 KiB.
///
/// @param config  the config.
/// @param bytes   1024 to 268435455. Default: 1048576.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  out of that range; 0 is also out of range.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_max_message(config: *mut enos_config, bytes: usize) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { set(config, |c| c.config.set_max_message(bytes)) }
}

/// Binds the connection to a network interface, for boards with several (cellular and Ethernet). The kernel may require
/// CAP_NET_RAW. If the interface is missing, connecting fails with ENOS_ERR_NETWORK.
///
/// @param config  the config.
/// @param name    1 to 15 bytes, e.g. "wwan0". Default: the routing table decides.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  not a name that an interface can have.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_bind_interface(config: *mut enos_config, name: *const c_char) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { set(config, |c| c.config.set_bind_interface(text(name, "name")?)) }
}
