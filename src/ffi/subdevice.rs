//! Sub-devices: the devices behind a gateway, which have no connection of their own. A sub-device is an id. The library
//! logs it in over the gateway's connection, again after each reconnect, and activates it if it has no device secret
//! yet. ENOS_EVENT_SUBDEVICE_STATE tells each change of its state.
//!
//! Requests: set the id in enos_request.subdevice. Every request that a sub-device may send can be sent with its id
//! while its state is ONLINE; enum enos_operation says which those are. Their outcomes have its id. Commands to it come
//! as ENOS_EVENT_COMMAND with its id, and are answered like any other.
//!
//! Logins. One login request is under way at a time. First come batches (enos_config_set_subdevice_batch()). Then each
//! sub-device that a batch names as failed, or does not name, logs in singly, which tells why. After a refusal it waits
//! for 1 second to 5 minutes, longer each time, and the others do not wait for it. If a batch is refused as a whole, or
//! not answered, smaller ones follow. After a login that is not answered, or that EnOS has no time for (429, 5xx, 6205,
//! 6305), all logins wait for a while: 1 second to 5 minutes after a batch or without an answer, and 1 second after a
//! single one. If you take a sub-device offline and online again, its next login is at least 5 seconds after the one
//! before.
//!
//! After a login the client subscribes to the topics on which the replies to the sub-device come: those that it has
//! used, and that of ENOS_OP_MEASUREPOINT_POST, for many sub-devices in one packet.
//!
//! Other gateways. EnOS does not tell a gateway when another one logs its sub-device in. The next request is refused
//! with code 1009. Then the state is REFUSED, and the sub-device logs in again after its wait. The wait begins at 1
//! second again only after 5 minutes online, so two gateways do not take turns without end.
//!
//! What EnOS tells the gateway (combine/enable, combine/disable, combine/delete) changes the states, and comes as a
//! command of type ENOS_COMMAND_OTHER as well, which the library answers with 200 unless you do. If it is about exactly
//! one of your sub-devices, the event has its id.
//!
//! Secrets. A sub-device with a product secret, and without a device secret in its options or in the storage, is
//! activated: its login brings the device secret, once. The library stores it and reads it back before it does anything
//! else with the sub-device (ENOS_EVENT_ACTIVATED with its id). If that fails: ENOS_EVENT_PERSIST_FAILED with its id,
//! and it is tried again as long as the process lives; enos_client_destroy() returns ENOS_ERR_UNSAVED_SECRET meanwhile.
//! Others go on. The storage has a record for each sub-device, as for the gateway itself.
//!
//! Registration (ENOS_OP_SUBDEVICE_REGISTER). With ENOS_REQUEST_KEEP_SECRETS the device secrets in the reply are kept
//! in the same way, and REPLY comes when the storage has been tried for each. Each device has an id in ACTIVATED and
//! PERSIST_FAILED, which is good for enos_client_subdevice_saved() only, and the request's user; event->activation has
//! its keys. It is a sub-device of the client when you add it. If the reply comes after the request has timed out, it
//! is a MESSAGE, and the secrets are kept as well.
//!
//! Joined posts. With ENOS_REQUEST_JOIN, posts of measure points of sub-devices and of the gateway that are accepted
//! within enos_config_set_join_time() go in one ENOS_OP_MEASUREPOINT_POST_BATCH of the gateway. It is sent earlier when
//! it has nearly 512 KiB, or when no other request can be accepted (enos_config_set_inflight()). Each post has its own
//! outcome: the code, topic and payload of the batch's reply. Other requests of the same device go behind its posts. A
//! post that finds no other goes by itself, and so do all posts as long as the broker does not let the gateway have the
//! replies to batches.
//!
//! If EnOS refuses a batch, each of its posts has that code, because EnOS does not say whose item is wrong. Then all
//! posts go by themselves for 10 seconds to 1 hour, longer after each such batch, and their own replies tell whose is
//! wrong. The codes for too many messages and for trouble in the cloud (429, 5xx, 6205, 6305) do not count. With
//! ENOS_REQUEST_SKIP_INVALID_POINTS and ENOS_REQUEST_ALLOW_OFFLINE_SUBDEVICE beside ENOS_REQUEST_JOIN, EnOS takes what
//! is valid. Posts with other such flags go in another message. Give each post a "time": of two posts of one device
//! without it in one message, EnOS may keep one.
//!
//! A sub-device takes up to 2 kB of memory beside its keys and secrets.

use std::ffi::{c_char, c_void, CString};
use std::mem::size_of;

use super::client::look;
use super::config::{enos_config, set};
use super::guard::{getter, on_client};
use super::handle::enos_client;
use super::input::{bytes, null, optional_text, text, versioned, Versioned};
use super::status::enos_status;
use crate::client::MAX_SUBDEVICES_ADDED;
use crate::error::{Error, Result, Status};
use crate::model::sign::{enos_sign_method, SignMethod};
use crate::model::subdevice::{SubdeviceFlag, SubdeviceState};
use crate::protocol::{Identity, Secret};
use crate::session::NewSubdevice;

/// A sub-device to be added. It is yours, and copied; wipe your copies of the secrets.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct enos_subdevice_options {
    /// sizeof(enos_subdevice_options); ENOS_INIT() sets it. It is the same for all of one call.
    pub struct_size: usize,
    /// As in enos_config_set_identity(). Required.
    pub product_key: *const c_char,
    /// As in enos_config_set_identity(). Required.
    pub device_key: *const c_char,
    /// As in enos_config_set_client_id(). NULL: the device key. A login of several is signed with the client id of the
    /// gateway.
    pub client_id: *const c_char,
    /// 1 to 1024 bytes. NULL: the one in the storage, or one that an activation brings. With it, the storage is not
    /// read.
    pub device_secret: *const c_char,
    /// In bytes, or ENOS_NUL_TERMINATED.
    pub device_secret_len: usize,
    /// 1 to 1024 bytes. NULL: it is not activated. It needs a storage.
    pub product_secret: *const c_char,
    /// In bytes, or ENOS_NUL_TERMINATED.
    pub product_secret_len: usize,
    /// One of enum enos_sign_method. ENOS_SIGN_AUTO: that of the gateway's login.
    pub sign_method: i32,
    /// ENOS_SUBDEVICE_* bits of enum enos_subdevice_flags.
    pub flags: u32,
    /// Comes back in SUBDEVICE_STATE, in ACTIVATED and PERSIST_FAILED of the sub-device, and in COMMAND.
    pub user: *mut c_void,
}

// SAFETY: repr(C), begins with its size; zero is a valid value of each field.
unsafe impl Versioned for enos_subdevice_options {
    const NAME: &'static str = "enos_subdevice_options";
    const V0_1: usize = size_of::<enos_subdevice_options>();
}

/// A sub-device, as enos_client_subdevices() shows it. It and its texts belong to the library, and are valid until the
/// callback returns.
#[repr(C)]
pub struct enos_subdevice {
    /// The size of the library's struct: later versions are longer. Read only what your header declares.
    pub struct_size: usize,
    /// Its id.
    pub id: u64,
    /// Its product key.
    pub product_key: *const c_char,
    /// Its device key.
    pub device_key: *const c_char,
    /// One of enum enos_subdevice_state.
    pub state: i32,
    /// 0.
    pub reserved: u32,
    /// What you have set in its options.
    pub user: *mut c_void,
}

/// Receives a sub-device, inside enos_client_subdevices(), on the thread that called it. No lock of the library is
/// held, so it may call every enos_client_* function.
///
/// @param ctx        what enos_client_subdevices() was given.
/// @param subdevice  the sub-device; valid until the callback returns.
/// @return           0: continue with the next one; any other value: stop.
pub type enos_subdevice_cb = Option<unsafe extern "C" fn(ctx: *mut c_void, subdevice: *const enos_subdevice) -> i32>;

/// Sets how many sub-devices may be online.
///
/// @param config      the config.
/// @param subdevices  1 to 10000. Default: 200, which is what EnOS documents for a gateway.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  out of that range; 0 is also out of range.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_subdevice_limit(config: *mut enos_config, subdevices: u32) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { set(config, |c| c.config.set_subdevice_limit(subdevices)) }
}

/// Sets how many sub-devices log in with one request. EnOS documents no limit. If it refuses a request of several as a
/// whole, or does not answer it, requests of half as many follow, down to 1, and it is tried less often with more.
///
/// @param config      the config.
/// @param subdevices  1 to 1000. Default: 100.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  out of that range; 0 is also out of range.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_subdevice_batch(config: *mut enos_config, subdevices: u32) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { set(config, |c| c.config.set_subdevice_batch(subdevices)) }
}

/// Sets how long a post with ENOS_REQUEST_JOIN waits for others that can go in the same message.
///
/// @param config  the config.
/// @param ms      0 to 10000. Default: 50. 0: only for those that are accepted before the loop's next turn.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  out of that range.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_join_time(config: *mut enos_config, ms: u32) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { set(config, |c| c.config.set_join_time(ms)) }
}

/// Adds sub-devices, all or none, in every state of the client. They log in when the gateway is online.
///
/// @param client   the client: the gateway.
/// @param options  an array of `count` structs; copied.
/// @param count    1 to 10000.
/// @param out_ids  receives `count` ids, in the order of the options, before any event of them; may be NULL. Ids are
///                 the process's, and none is used twice by a client.
/// @retval ENOS_OK               added.
/// @retval ENOS_ERR_QUEUE_FULL   more than enos_config_set_subdevice_limit() would be online; or nobody runs the loop.
/// @retval ENOS_ERR_STATE        one of them was removed while its login was under way, or while its device secret is
///                               being stored, and that has not ended yet; or it was registered, and the secret is being
///                               stored: add it later.
/// @retval ENOS_ERR_INVALID_ARG  count, or one of the options: enos_last_error() has its index. The client has a device
///                               with these keys already; a key, secret, method or flag cannot be right; or a product
///                               secret is set, and there is no storage.
/// @retval ENOS_ERR_UNSUPPORTED  the client is an integration channel.
/// @retval ENOS_ERR_NULL_ARG     options, or a key, is NULL.
/// @retval ENOS_ERR_STRUCT_SIZE  one of them was not made with ENOS_INIT().
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn enos_client_add_subdevices(
    client: *mut enos_client,
    options: *const enos_subdevice_options,
    count: usize,
    out_ids: *mut u64,
) -> enos_status {
    // SAFETY: the header's contract for each argument.
    unsafe {
        on_client(client, |client| {
            let new = all(options, count)?;
            client.add_subdevices(new, &mut |first| {
                for at in (0..count).filter(|_| !out_ids.is_null()) {
                    out_ids.add(at).write_unaligned(first + at as u64);
                }
            })
        })
    }
}

/// Takes a sub-device offline, or online again. Its id and its options stay. For example, an inverter does not answer,
/// and EnOS is to show that.
///
/// @param client  the client.
/// @param id      the sub-device.
/// @param on      0: it is logged out, if it is logged in, and stays offline. Any other value: it is logged in, also if
///                EnOS has disabled or deleted it.
/// @retval ENOS_OK              SUBDEVICE_STATE tells what follows, unless nothing changes.
/// @retval ENOS_ERR_NOT_FOUND   no such sub-device.
/// @retval ENOS_ERR_QUEUE_FULL  more than enos_config_set_subdevice_limit() would be online; or nobody runs the loop.
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn enos_client_set_subdevice_online(client: *mut enos_client, id: u64, on: i32) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { on_client(client, |client| client.set_subdevice_online(id, on != 0)) }
}

/// Removes a sub-device: it is logged out, and its id is not used any more. Its device secret and its durable messages
/// stay in the storage. A secret that is on its way is stored first. It waits while a storage callback runs on another
/// thread.
///
/// @param client  the client.
/// @param id      the sub-device.
/// @retval ENOS_OK             removed. No event of its state follows.
/// @retval ENOS_ERR_NOT_FOUND  no such sub-device.
#[no_mangle]
pub unsafe extern "C" fn enos_client_remove_subdevice(client: *mut enos_client, id: u64) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { on_client(client, |client| client.remove_subdevice(id)) }
}

/// Tells that you have saved the device secret of a sub-device by hand, after a PERSIST_FAILED event with its id. The
/// library does not try to store it any more, and logs the sub-device in with it as long as the process lives.
///
/// @param client  the client.
/// @param id      the sub-device.
/// @retval ENOS_OK             done.
/// @retval ENOS_ERR_NOT_FOUND  no such sub-device.
/// @retval ENOS_ERR_STATE      no PERSIST_FAILED event has told a secret of it that is unsaved still.
#[no_mangle]
pub unsafe extern "C" fn enos_client_subdevice_saved(client: *mut enos_client, id: u64) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { on_client(client, |client| client.subdevice_saved(id)) }
}

/// Returns the present state of a sub-device. Legal in every callback of events.
///
/// @param client  the client.
/// @param id      the sub-device.
/// @return  one of enum enos_subdevice_state; negative (an enos_status) on failure: ENOS_ERR_NOT_FOUND if there is no
///          such sub-device.
#[no_mangle]
pub unsafe extern "C" fn enos_client_subdevice_state(client: *const enos_client, id: u64) -> i32 {
    // SAFETY: the header's contract.
    unsafe { look(client, |client| client.subdevice_state(id).map(|state| state as i32)) }
}

/// A state's name, for logs.
///
/// @param state  every value is accepted.
/// @return       static text, e.g. "ONLINE"; "UNKNOWN" for a value that is no state.
#[no_mangle]
pub extern "C" fn enos_subdevice_state_name(state: i32) -> *const c_char {
    getter(c"UNKNOWN", || SubdeviceState::from_number(state).map_or(c"UNKNOWN", SubdeviceState::c_name)).as_ptr()
}

/// Shows the sub-devices in the order in which they were added, until the callback stops it. Those that are added or
/// removed meanwhile may be missing or shown.
///
/// @param client  the client.
/// @param cb      called for each.
/// @param ctx     passed to it.
/// @retval ENOS_OK            shown.
/// @retval ENOS_ERR_NULL_ARG  cb is NULL.
#[no_mangle]
pub unsafe extern "C" fn enos_client_subdevices(
    client: *const enos_client,
    cb: enos_subdevice_cb,
    ctx: *mut c_void,
) -> enos_status {
    // SAFETY: the header's contract for each argument.
    unsafe {
        on_client(client, |client| {
            let cb = cb.ok_or_else(|| null("cb"))?;
            for (id, identity, state, user) in client.subdevices()? {
                // A key has no NUL.
                let c = |key: &str| CString::new(key).unwrap_or_default();
                let (product_key, device_key) = (c(identity.product_key()), c(identity.device_key()));
                let shown = enos_subdevice {
                    struct_size: size_of::<enos_subdevice>(),
                    id,
                    product_key: product_key.as_ptr(),
                    device_key: device_key.as_ptr(),
                    state: state as i32,
                    reserved: 0,
                    user: std::ptr::with_exposed_provenance_mut(user),
                };
                if cb(ctx, &raw const shown) != 0 {
                    break;
                }
            }
            Ok(())
        })
    }
}

/// # Safety
/// `first` is NULL or points to `count` structs of the size that each says it has, as the header describes them.
unsafe fn all(first: *const enos_subdevice_options, count: usize) -> Result<Vec<NewSubdevice>> {
    if first.is_null() {
        return Err(null("options"));
    }
    if !(1..=MAX_SUBDEVICES_ADDED).contains(&count) {
        return Err(Error::invalid(format!("count is {count}; it can be 1 to {MAX_SUBDEVICES_ADDED}")));
    }
    // SAFETY: the caller's promise; every version begins with its size.
    let stride = unsafe { first.cast::<usize>().read_unaligned() };
    let one = |at: usize| {
        // SAFETY: the caller's promise: the structs lie one behind the other, all as large as the first.
        let one = unsafe { one_of(first.byte_add(at.saturating_mul(stride)), stride) };
        one.map_err(|error| Error::new(error.status, format!("options[{at}]: {}", error.message)))
    };
    (0..count).map(one).collect()
}

/// # Safety
/// `options` points to a struct of the size that it says it has, as the header describes it.
unsafe fn one_of(options: *const enos_subdevice_options, stride: usize) -> Result<NewSubdevice> {
    // SAFETY: the caller's promise.
    let options = unsafe { versioned(options, "it")? };
    if options.struct_size != stride {
        return Err(Error::invalid("its struct_size is not that of the first one; set each with ENOS_INIT()"));
    }
    let unknown = options.flags & !SubdeviceFlag::KNOWN;
    if unknown != 0 {
        return Err(Error::invalid(format!("flags: {unknown:#x} is not known")));
    }
    let method = match options.sign_method {
        auto if auto == enos_sign_method::ENOS_SIGN_AUTO as i32 => None,
        number => Some(SignMethod::from_number(number).ok_or_else(|| {
            Error::invalid(format!("sign_method is {number}, which is none of enum enos_sign_method"))
        })?),
    };
    // SAFETY: the caller's promise for each field.
    unsafe {
        let client_id = optional_text(options.client_id, "client_id")?;
        Ok(NewSubdevice {
            identity: Identity::new(
                text(options.product_key, "product_key")?,
                text(options.device_key, "device_key")?,
                client_id,
            )?,
            device_secret: secret(options.device_secret, options.device_secret_len, "device_secret")?,
            product_secret: secret(options.product_secret, options.product_secret_len, "product_secret")?,
            method,
            add_topology: SubdeviceFlag::ENOS_SUBDEVICE_ADD_TOPOLOGY.is_in(options.flags),
            online: !SubdeviceFlag::ENOS_SUBDEVICE_OFFLINE.is_in(options.flags),
            user: options.user.expose_provenance(),
        })
    }
}

/// # Safety
/// As for [`bytes`].
unsafe fn secret(ptr: *const c_char, len: usize, name: &str) -> Result<Option<Secret>> {
    if ptr.is_null() && len == 0 {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    let given = unsafe { bytes(ptr.cast(), len, name) }?;
    Secret::new(given).map(Some).map_err(|error| match error.status {
        Status::ENOS_ERR_INVALID_ARG => Error::invalid(format!("{name}: {}", error.message)),
        _ => error,
    })
}
