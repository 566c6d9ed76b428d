//! Events: everything that a client reports. They are delivered one at a time and in order, inside the loop.

use std::ffi::{c_char, c_void};
use std::mem::size_of;
use std::ptr;
use std::sync::Arc;

use super::activation::enos_activation;
use super::firmware::enos_firmware;
use super::guard::getter;
use super::handle::{enos_client, enos_command, name_client, name_command};
use super::status::enos_status;
use super::value::enos_value;
use crate::client::{CommandHandle, EventSink};
use crate::log;
use crate::model::event::EventKind;
use crate::protocol::Operation;
use crate::session::event::Event;
use crate::text;

/// One event. The event and everything that it points to belong to the library, and are valid until the callback
/// returns: copy what you keep. Fields that the type of the event does not use are 0, "" or NULL.
#[repr(C)]
pub struct enos_event {
    /// The size of the library's struct: later versions are longer. Read only what your header declares.
    pub struct_size: usize,
    /// One of enum enos_event_type.
    pub r#type: i32,
    /// ENOS_OK, or the error.
    pub status: enos_status,
    /// A number from elsewhere: a CONNACK return code, EnOS's code, your storage's code, a count. See the type.
    pub detail_code: i32,
    /// 0 or 1.
    pub qos: i32,
    /// The token of the call that has this outcome; 0 if there is none.
    pub token: u64,
    /// Milliseconds until the next attempt; 0 if none. For a raw request without its reply, until the next one is sent.
    pub retry_in_ms: u32,
    /// 0.
    pub reserved: u32,
    /// A text for a log. It is never NULL and never holds a secret; '?' stands for line breaks and other control
    /// characters.
    pub detail: *const c_char,
    /// Never NULL; a NUL follows the topic_len bytes. A topic from a hostile broker may contain a NUL.
    pub topic: *const c_char,
    /// Without the NUL.
    pub topic_len: usize,
    /// payload_len bytes, with no NUL after them. Never NULL.
    pub payload: *const u8,
    /// In bytes.
    pub payload_len: usize,
    /// Set in ACTIVATED and PERSIST_FAILED; NULL in all others. Do not free it.
    pub activation: *const enos_activation,
    /// One of enum enos_operation: of the request, publish or post that has this outcome; 0 if there is none.
    pub operation: i32,
    /// MESSAGE: 1 if the broker sent it because it was retained, 0 if not.
    pub retained: i32,
    /// COMMAND: the command; NULL in all others. It is valid until the callback returns, or until you release it if you
    /// retain it.
    pub command: *mut enos_command,
    /// The sub-device that it is about; 0: the client's own device.
    pub subdevice: u64,
    /// What you have set in the enos_request that has this outcome, or, in SUBDEVICE_STATE, ACTIVATED, PERSIST_FAILED
    /// and COMMAND, in the options of the sub-device; NULL if nothing, and after a restart.
    pub user: *mut c_void,
    /// REPLY: the "data" of EnOS's answer. {NULL, 0} if there is none.
    pub data: enos_value,
    /// REPLY: the "message" of EnOS's answer. {NULL, 0} if there is none.
    pub message: enos_value,
    /// SUBDEVICE_STATE: one of enum enos_subdevice_state; 0 in all others.
    pub subdevice_state: i32,
    /// 0.
    pub reserved_2: u32,
    /// OTA_OFFER and OTA: the firmware; NULL in all others. Copy it with enos_firmware_copy() to keep it.
    pub firmware: *const enos_firmware,
}

/// Receives a client's events, inside enos_client_loop() or enos_client_wait() on the thread that called it, or on the
/// thread of enos_client_loop_start(). It may call every enos_client_* function, except for _destroy, _loop,
/// _loop_stop, _wait and _flush (ENOS_ERR_IN_CALLBACK). None of the calls waits (a durable publish takes as long as
/// your storage). While a callback is slow the connection is kept, but further events wait.
///
/// @param ctx     what enos_config_set_event_cb() was given.
/// @param client  the client that it is about: the pointer that enos_client_create() wrote.
/// @param event   the event; valid until the callback returns.
pub type enos_event_cb =
    Option<unsafe extern "C" fn(ctx: *mut c_void, client: *mut enos_client, event: *const enos_event)>;

type EventFn = unsafe extern "C" fn(*mut c_void, *mut enos_client, *const enos_event);

/// The host's callback with its ctx.
#[derive(Clone, Copy)]
pub(super) struct EventCallback {
    call: EventFn,
    ctx: *mut c_void,
}

// SAFETY: the header says that the callback runs on whichever thread loops.
unsafe impl Send for EventCallback {}
// SAFETY: as above; and one call of a client at a time.
unsafe impl Sync for EventCallback {}

impl EventCallback {
    pub(super) fn new(cb: enos_event_cb, ctx: *mut c_void) -> Option<EventCallback> {
        cb.map(|call| EventCallback { call, ctx })
    }

    pub(super) fn into_sink(self) -> EventSink {
        Box::new(move |client, event, command| {
            let callback = self;
            let client = name_client(client);
            // SAFETY: enos_config_set_event_cb()'s contract: callable with its ctx while the client lives.
            with_c_event(event, command, |c_event| unsafe { (callback.call)(callback.ctx, client, c_event) })
        })
    }
}

/// Makes the event for C, which is valid while `f` runs.
fn with_c_event(event: &Event, command: Option<&Arc<CommandHandle>>, f: impl FnOnce(&enos_event)) {
    // That of a command is not copied.
    let payload = command.map_or(&event.payload, |command| &command.command().payload);
    let detail: String = event.detail.chars().map(text::plain).collect();
    let detail = with_nul(detail.bytes());
    let topic = with_nul(event.topic.iter().copied());
    let activation = event.activation.as_ref().and_then(|activation| {
        enos_activation::new(Arc::clone(activation))
            .inspect_err(|error| log::error("event", format_args!("{error}")))
            .ok()
    });
    let firmware = event.firmware.as_ref().and_then(|offer| {
        enos_firmware::new(Arc::clone(offer)).inspect_err(|error| log::error("event", format_args!("{error}"))).ok()
    });
    f(&enos_event {
        struct_size: size_of::<enos_event>(),
        r#type: event.kind as i32,
        status: event.status as i32,
        detail_code: event.detail_code,
        qos: event.qos,
        token: event.token,
        retry_in_ms: event.retry_in_ms,
        reserved: 0,
        detail: detail.as_ptr().cast(),
        topic: topic.as_ptr().cast(),
        topic_len: event.topic.len(),
        // C must not get the pointer of an empty vector.
        payload: if payload.is_empty() { c"".as_ptr().cast() } else { payload.as_ptr() },
        payload_len: payload.len(),
        activation: activation.as_ref().map_or(ptr::null(), ptr::from_ref),
        operation: event.operation,
        retained: event.retained.into(),
        command: command.map_or(ptr::null_mut(), name_command),
        subdevice: event.subdevice,
        user: ptr::with_exposed_provenance_mut(event.user),
        data: member(event, "/data"),
        message: member(event, "/message"),
        subdevice_state: event.subdevice_state,
        reserved_2: 0,
        firmware: firmware.as_ref().map_or(ptr::null(), ptr::from_ref),
    });
}

/// A member of a reply, unless the reply is plain bytes.
fn member(event: &Event, pointer: &str) -> enos_value {
    let is_raw = Operation::from_number(event.operation).is_some_and(Operation::has_raw_reply);
    let payload = match event.kind {
        EventKind::Reply if !is_raw => event.payload.as_slice(),
        _ => &[],
    };
    enos_value::at(payload, pointer)
}

fn with_nul(bytes: impl Iterator<Item = u8>) -> Vec<u8> {
    bytes.chain([0]).collect()
}

/// An event type's name, for logs.
///
/// @param type  every value is accepted.
/// @return      static text, e.g. "CONNECTED"; "UNKNOWN" for a value that is no type.
#[no_mangle]
pub extern "C" fn enos_event_name(r#type: i32) -> *const c_char {
    getter(c"UNKNOWN", || EventKind::from_number(r#type).map_or(c"UNKNOWN", EventKind::c_name)).as_ptr()
}

#[cfg(test)]
mod tests;
