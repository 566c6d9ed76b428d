//! Configuration: the settings of a client, in an opaque object. Fill it in with the setters, create clients from it
//! (each copies it), and free it. Use it from one thread at a time.
//!
//! A server, an identity and a secret are required. The secret is either the device secret, or the product secret
//! together with a storage. An integration channel takes the place of identity and secret. Each setter checks its own
//! arguments and replaces the former value. On an error the former value stays. Texts and secrets are copied.

use std::ffi::{c_char, c_void};

use super::event::{enos_event_cb, EventCallback};
use super::guard::guard;
use super::handle::Boxed;
use super::input::{bytes, text, versioned};
use super::output::Out;
use super::status::enos_status;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::model::sign::{enos_sign_method, SignMethod};
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

/// Sets who the device is. Required, unless the client is an integration channel.
///
/// @param config       the config.
/// @param product_key  1 to 64 characters, none of them a control character or one of `/ + # & | , =`.
/// @param device_key   as product_key, but not "%channel%", which stands for an integration channel.
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

/// Makes the client an integration channel: it logs in as a product, and sends the data of the product's devices, which
/// need no login of their own. This takes the place of enos_config_set_identity() and of the secrets: if one of them or
/// a client id is set as well, enos_client_create() returns ENOS_ERR_INVALID_ARG.
///
/// The login has secure mode 4, the product key as its client id, `%channel%&<product key>` as its user name, and is
/// signed with the product secret. Envision's SDKs do the same, with plain digests. It follows the sign method, the
/// connect budget and the rules for reconnects as the login of a device does. A storage is needed for durable messages
/// only. The product secret is never stored.
///
/// The channel sends ENOS_OP_INTEGRATION_MEASUREPOINT_POST and the three requests after it, live or durable, and
/// enos_client_publish(). What only a device can do (the other requests, enos_client_topic(), sub-devices) returns
/// ENOS_ERR_UNSUPPORTED. EnOS sends no commands to it: a message that is no reply is an ENOS_EVENT_MESSAGE.
///
/// @param config       the config.
/// @param product_key  as that of enos_config_set_identity().
/// @param secret       the product secret: 1 to 1024 bytes of UTF-8 without NUL. Copied; wipe yours.
/// @param len          in bytes, or ENOS_NUL_TERMINATED.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  out of that range; enos_last_error() says which and why.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_integration_channel(
    config: *mut enos_config,
    product_key: *const c_char,
    secret: *const c_char,
    len: usize,
) -> enos_status {
    let set_channel = |c: &mut enos_config| {
        // SAFETY: the header's contract.
        let (product_key, secret) =
            unsafe { (text(product_key, "product_key")?, bytes(secret.cast(), len, "secret")?) };
        c.config.set_integration_channel(product_key, secret)
    };
    // SAFETY: the header's contract.
    unsafe { set(config, set_channel) }
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
        let chosen = SignMethod::from_number(method);
        if chosen.is_none() && method != enos_sign_method::ENOS_SIGN_AUTO as i32 {
            let known = "0 (AUTO), 1 (HMACSHA1), 2 (SHA1) or 3 (SHA256)";
            return Err(Error::invalid(format!("sign_method is {method}; it can be {known}")));
        }
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
