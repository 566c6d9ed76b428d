//! The activation message: pure functions without I/O. A client reads the message itself, and its events have the
//! content. These functions are for a host with its own MQTT stack. They may be called from any thread, and the getters
//! in every callback.
//!
//! After a login with the product secret (ENOS_SECURE_MODE_PRODUCT) the cloud publishes the device secret ONCE, without
//! a request, on /ext/session/{product key}/{device key}/thing/activate/info (or .../thing/activated/info). A host with
//! its own MQTT stack passes each inbound message to enos_activation_parse(). On ENOS_OK it stores the secret so that
//! it survives a power cut. Only then it publishes enos_activation_reply(), disconnects, and logs in as the device.

use std::ffi::{c_char, CString};
use std::ptr;
use std::sync::Arc;

use super::guard::{getter, guard};
use super::handle::Boxed;
use super::input::{bytes, text};
use super::output::{set_all, Out, TextOut};
use super::status::enos_status;
use crate::error::{Error, Result, Status};
use crate::panic;
use crate::protocol::{Activation, Identity};

/// A device secret that has arrived: opaque. An object from enos_activation_parse() is yours until
/// enos_activation_free(); one in an event belongs to the library.
pub struct enos_activation {
    activation: Arc<Activation>,
    product_key: CString,
    device_key: CString,
    asset_id: Option<CString>,
}

impl Boxed for enos_activation {}

impl enos_activation {
    pub(super) fn new(activation: Arc<Activation>) -> Result<enos_activation> {
        let c = |text: &str| {
            CString::new(text).map_err(|_| Error::new(Status::ENOS_ERR_PARSE, "the activation holds a NUL character"))
        };
        Ok(enos_activation {
            product_key: c(activation.product_key())?,
            device_key: c(activation.device_key())?,
            asset_id: activation.asset_id().map(c).transpose()?,
            activation,
        })
    }
}

/// # Safety
/// `activation` is NULL or a handle as the header describes it.
unsafe fn field(
    activation: *const enos_activation,
    read: impl FnOnce(&enos_activation) -> *const c_char,
) -> *const c_char {
    // SAFETY: the caller's promise.
    getter(ptr::null(), || unsafe { enos_activation::borrow(activation, "activation") }.map_or(ptr::null(), read))
}

/// Reads a message that may be the activation of this device.
///
/// @param product_key  of this device.
/// @param device_key   of this device.
/// @param topic        of the message, as it came in: any bytes.
/// @param topic_len    in bytes, or ENOS_NUL_TERMINATED.
/// @param payload      of the message: any bytes. Wipe yours after use: it holds the secret.
/// @param payload_len  in bytes, or ENOS_NUL_TERMINATED.
/// @param out          receives the activation, yours to free with enos_activation_free().
/// @retval ENOS_OK                     an activation of this device.
/// @retval ENOS_ERR_NOT_ACTIVATION     another message: its topic or its method is not that of an activation.
/// @retval ENOS_ERR_IDENTITY_MISMATCH  an activation of another device: its topic or its params name one.
/// @retval ENOS_ERR_PARSE              no JSON, or no device secret in it, or an empty one.
/// @retval ENOS_ERR_TOO_LARGE          more than 64 KiB.
/// @retval ENOS_ERR_INVALID_ARG        a key is out of its range (see enos_sign_params), or not UTF-8.
#[no_mangle]
pub unsafe extern "C" fn enos_activation_parse(
    product_key: *const c_char,
    device_key: *const c_char,
    topic: *const c_char,
    topic_len: usize,
    payload: *const u8,
    payload_len: usize,
    out: *mut *mut enos_activation,
) -> enos_status {
    guard(|| {
        // SAFETY: the header's contract for each argument.
        let (out, product_key, device_key, topic, payload) = unsafe {
            (
                Out::new(out, "out")?,
                text(product_key, "product_key")?,
                text(device_key, "device_key")?,
                bytes(topic.cast(), topic_len, "topic")?,
                bytes(payload.cast(), payload_len, "payload")?,
            )
        };
        let identity = Identity::new(product_key, device_key, None)?;
        let activation = Activation::parse(&identity, topic, payload)?;
        out.set(enos_activation::new(Arc::new(activation))?.give());
        Ok(())
    })
}

/// The product key that the secret belongs to: the one that was passed in.
///
/// @param activation  may be NULL.
/// @return  the key, valid until the activation is freed or, in an event, until the callback returns; NULL for NULL.
#[no_mangle]
pub unsafe extern "C" fn enos_activation_product_key(activation: *const enos_activation) -> *const c_char {
    // SAFETY: the header's contract.
    unsafe { field(activation, |a| a.product_key.as_ptr()) }
}

/// The device key that the secret belongs to: the one that was passed in.
///
/// @param activation  may be NULL.
/// @return  the key, valid until the activation is freed or, in an event, until the callback returns; NULL for NULL.
#[no_mangle]
pub unsafe extern "C" fn enos_activation_device_key(activation: *const enos_activation) -> *const c_char {
    // SAFETY: the header's contract.
    unsafe { field(activation, |a| a.device_key.as_ptr()) }
}

/// The device secret as plain text. Store it, and never log it.
///
/// @param activation  may be NULL.
/// @return  the secret, never empty, at most 1024 bytes of UTF-8; valid until the activation is freed or, in an event,
///          until the callback returns; NULL for NULL.
#[no_mangle]
pub unsafe extern "C" fn enos_activation_device_secret(activation: *const enos_activation) -> *const c_char {
    // SAFETY: the header's contract.
    unsafe { field(activation, |a| a.activation.device_secret().as_c_str().as_ptr()) }
}

/// The asset of the device on EnOS.
///
/// @param activation  may be NULL.
/// @return  its id, valid until the activation is freed or, in an event, until the callback returns; NULL when the
///          cloud sent none, and for NULL.
#[no_mangle]
pub unsafe extern "C" fn enos_activation_asset_id(activation: *const enos_activation) -> *const c_char {
    // SAFETY: the header's contract.
    unsafe { field(activation, |a| a.asset_id.as_ref().map_or(ptr::null(), |id| id.as_ptr())) }
}

/// Makes the answer that tells the cloud that the secret has arrived. Publish it when the secret is stored, never
/// before. QoS 0 is enough.
///
/// @param activation   the activation.
/// @param topic        receives the topic and a NUL; NULL with topic_cap 0 asks for the capacity.
/// @param topic_cap    the size of topic in bytes.
/// @param topic_len    receives the topic's length without the NUL.
/// @param payload      receives the payload, JSON text, and a NUL; NULL with payload_cap 0 asks for the capacity.
/// @param payload_cap  the size of payload in bytes.
/// @param payload_len  receives the payload's length without the NUL: what to publish.
/// @retval ENOS_OK                    both are there.
/// @retval ENOS_ERR_BUFFER_TOO_SMALL  one of them does not fit: topic_len and payload_len are the capacities that they
///                                    need, NUL included.
#[no_mangle]
pub unsafe extern "C" fn enos_activation_reply(
    activation: *const enos_activation,
    topic: *mut c_char,
    topic_cap: usize,
    topic_len: *mut usize,
    payload: *mut c_char,
    payload_cap: usize,
    payload_len: *mut usize,
) -> enos_status {
    guard(|| {
        // SAFETY: the header's contract for each argument.
        let (activation, topic_out, payload_out) = unsafe {
            (
                enos_activation::borrow(activation, "activation")?,
                TextOut::new(topic, topic_cap, topic_len, "topic")?,
                TextOut::new(payload, payload_cap, payload_len, "payload")?,
            )
        };
        let (topic, payload) = activation.activation.reply();
        set_all([(topic_out, topic.as_bytes()), (payload_out, &payload)])
    })
}

/// Wipes and frees an activation from enos_activation_parse(). Pointers from its getters are not valid any more. Legal
/// in every callback.
///
/// @param activation  may be NULL: nothing happens.
#[no_mangle]
pub unsafe extern "C" fn enos_activation_free(activation: *mut enos_activation) {
    // The message of a panic is in the log. C cannot do anything about it.
    // SAFETY: the header's contract.
    let _ = panic::catch(|| unsafe { enos_activation::free(activation) });
}
