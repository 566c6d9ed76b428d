//! Events: everything that a client has to tell. They come one at a time and in order, inside the loop.

use std::ffi::{c_char, c_void, CStr};
use std::mem::size_of;
use std::ptr;
use std::sync::Arc;

use super::activation::enos_activation;
use super::guard::getter;
use super::handle::{enos_client, name_client};
use super::status::enos_status;
use crate::client::EventSink;
use crate::log;
use crate::session::event::{Event, EventKind};
use crate::text;

/// What an event tells. Later versions add types: ignore those that you do not know.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum enos_event_type {
    /// Online as the device: publish from here on. All subscriptions have been asked for, ahead of what you publish.
    ENOS_EVENT_CONNECTED = 1,
    /// The link is gone, or an attempt failed. retry_in_ms says when the next attempt follows (0: none will, until you
    /// call enos_client_connect()), detail what happened and what to do. status is
    ///
    ///   - ENOS_OK: you asked for it, with enos_client_disconnect();
    ///   - ENOS_ERR_NETWORK: nobody answered, the link broke, or the broker is not available (CONNACK 3);
    ///   - ENOS_ERR_TLS: a certificate or key cannot be used, or the handshake failed; detail says why;
    ///   - ENOS_ERR_CREDENTIALS: the broker refused what the device signed with (CONNACK 4 or 5);
    ///   - ENOS_ERR_ACTIVATION_REFUSED: it refused the product secret. That is wrong, or the device is active already
    ///     and has to be deleted and registered anew in the EnOS console;
    ///   - ENOS_ERR_STORAGE: the storage cannot be read, so that nobody knows whether there is a device secret.
    ///     detail_code is what it returned;
    ///   - ENOS_ERR_PROTOCOL: the broker refused in another way (CONNACK 1, 2 and others), or sent a packet that MQTT
    ///     3.1.1 does not allow it to, or a message with QoS 2;
    ///   - ENOS_ERR_CONFLICT: three times in a row or more, the broker took the login and ended the connection soon after.
    ///     Another client is probably logged in as this device: the two would throw each other out for ever, so this one
    ///     waits, 1 to 2 minutes at first, 8 to 16 in the end, until a connection has stood for 17.
    ///
    /// For a CONNACK, detail_code is its return code.
    ENOS_EVENT_DISCONNECTED = 2,
    /// The device secret has arrived, is stored, and was read back. activation is set. CONNECTED follows.
    ENOS_EVENT_ACTIVATED = 3,
    /// The device secret has arrived and could not be stored. activation is set; status and detail say why, detail_code
    /// is what your storage returned, retry_in_ms when it is tried again. The library tries for as long as the process
    /// lives; you may also save it by hand and call enos_client_activation_saved().
    ENOS_EVENT_PERSIST_FAILED = 4,
    /// A message came in: topic, payload, qos. One PUBLISH is one event, of this type or of a more special one. A message
    /// on the topic of an activation, whosever it is, never comes as this: there may be a secret in it.
    ENOS_EVENT_MESSAGE = 5,
    /// The outcome of enos_client_publish() or enos_client_reply(), and of a durable message that does not wait for a
    /// reply: token, status.
    ENOS_EVENT_DELIVERED = 6,
    /// The outcome of enos_client_subscribe(): token, status, topic (the filter), qos (the one that was granted). With
    /// token 0: a subscription was refused or not answered on a later link, or is granted again after that.
    ENOS_EVENT_SUBSCRIBED = 7,
    /// The outcome of enos_client_unsubscribe(): token, status, topic (the filter).
    ENOS_EVENT_UNSUBSCRIBED = 8,
    /// The outcome of an enos_client_post_*() call, and of a durable post with ENOS_PUBLISH_UNTIL_REPLY: token, status,
    /// detail_code (EnOS's code), payload (the reply, JSON). ENOS_OK: EnOS answered 200. ENOS_ERR_REFUSED: it answered
    /// another code, or the broker refuses the topic of the replies (detail_code 128).
    ENOS_EVENT_REPLY = 9,
    /// Messages were dropped: because the inbound queue was full (enos_config_set_queue_limits()), because they were too
    /// large (enos_config_set_max_message()), or because they came on the topic of an activation that is not awaited.
    /// detail_code says how many. Events of other types are never dropped.
    ENOS_EVENT_OVERFLOW = 10,
    /// A call was refused with ENOS_ERR_QUEUE_FULL before, and there is room again: for one call of that kind at least
    /// (publishes and posts; replies to commands; calls to subscribe), or for an eighth of the outbox. Told once after a
    /// refusal.
    ENOS_EVENT_ROOM = 11,
    /// The outbox has to wait, and nothing is lost meanwhile. status is
    ///
    ///   - ENOS_ERR_STORAGE: the storage does not let it be read, or neither removes a message nor takes a dead letter;
    ///     detail_code is what it returned, retry_in_ms when it is tried again. With retry_in_ms 0: both records that say
    ///     where the outbox is are unreadable; what was in it stays in the storage, and is not sent any more;
    ///   - ENOS_ERR_REFUSED, ENOS_ERR_TIMEOUT, ENOS_ERR_NETWORK: the broker does not grant the topic on which EnOS's
    ///     replies come, and the first message waits for one.
    ENOS_EVENT_OUTBOX_FAILED = 12,
    /// What enos_client_disconnect() began has come to its end: exactly one for each call that returned ENOS_OK, also when
    /// there was nothing to do. It comes after DISCONNECTED and after the outcomes of all calls but two: a subscribe that no
    /// broker has answered yet, and a durable message that is not through. Theirs come on a later link. status is
    ///
    ///   - ENOS_OK: the device is offline, and no device secret is unsaved: enos_client_destroy() may follow. While the
    ///     storage does not take a secret, this does not come;
    ///   - ENOS_ERR_STATE: enos_client_connect() was called before that, and has taken the disconnect back.
    ENOS_EVENT_STOPPED = 15,
    /// The broker took the product secret, and has sent no device secret so far (enos_config_set_activation_timeout()).
    /// The client stays connected and waits on; retry_in_ms says when it logs in once more. status is
    /// ENOS_ERR_ACTIVATION_TIMEOUT. When messages came that could not be used, detail says what was wrong with them.
    ENOS_EVENT_ACTIVATION_LATE = 16,
    /// A dead letter had to go, because the outbox was full of newer messages: token, status ENOS_ERR_QUEUE_FULL. The
    /// outcome of its message was told before.
    ENOS_EVENT_DEAD_LETTER_DROPPED = 19,
}

/// One event. The library's, with all that it points to, and valid until the callback returns: copy what you keep.
/// Fields that an event's type does not use are 0, "" or NULL.
#[repr(C)]
pub struct enos_event {
    /// The size of the library's struct: later versions are longer. Read only what your header declares.
    pub struct_size: usize,
    /// One of enum enos_event_type.
    pub r#type: i32,
    /// ENOS_OK, or what went wrong.
    pub status: enos_status,
    /// A number from outside: a CONNACK return code, EnOS's code, your storage's code, a count. See the type.
    pub detail_code: i32,
    /// 0 or 1.
    pub qos: i32,
    /// Of the call that this is the one outcome of; 0 if none.
    pub token: u64,
    /// Milliseconds until the next attempt; 0 if none.
    pub retry_in_ms: u32,
    /// 0.
    pub reserved: u32,
    /// Words for a log. Never NULL, never holds a secret; '?' stands for line breaks and other controls.
    pub detail: *const c_char,
    /// Never NULL; a NUL follows the topic_len bytes. What a hostile broker sends may hold a NUL in the middle.
    pub topic: *const c_char,
    /// Without the NUL.
    pub topic_len: usize,
    /// payload_len bytes, with no NUL after them. Never NULL.
    pub payload: *const u8,
    /// In bytes.
    pub payload_len: usize,
    /// In ACTIVATED and PERSIST_FAILED; NULL in all others. Not yours to free.
    pub activation: *const enos_activation,
}

/// Receives a client's events, inside enos_client_loop() or enos_client_wait() on the thread that called it, or on the
/// thread of enos_client_loop_start(). Every enos_client_* function may be called from it, save _destroy, _loop,
/// _loop_stop, _wait and _flush (ENOS_ERR_IN_CALLBACK), and none of them waits (a durable publish takes as long as your
/// storage). The network goes on beside a slow callback, but further events wait for it.
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
        Box::new(move |client, event| {
            let callback = self;
            // SAFETY: enos_config_set_event_cb()'s contract: callable with its ctx while the client lives.
            with_c_event(event, |c_event| unsafe { (callback.call)(callback.ctx, name_client(client), c_event) })
        })
    }
}

/// Makes the event that C sees, for as long as `f` runs.
fn with_c_event(event: &Event, f: impl FnOnce(&enos_event)) {
    let detail: String = event.detail.chars().map(text::plain).collect();
    let detail = with_nul(detail.bytes());
    let topic = with_nul(event.topic.iter().copied());
    let activation = event.activation.as_ref().and_then(|activation| {
        enos_activation::new(Arc::clone(activation))
            .inspect_err(|error| log::error("event", format_args!("{error}")))
            .ok()
    });
    f(&enos_event {
        struct_size: size_of::<enos_event>(),
        r#type: event_type(event.kind) as i32,
        status: event.status as i32,
        detail_code: event.detail_code,
        qos: event.qos,
        token: event.token,
        retry_in_ms: event.retry_in_ms,
        reserved: 0,
        detail: detail.as_ptr().cast(),
        topic: topic.as_ptr().cast(),
        topic_len: event.topic.len(),
        // An empty vector's pointer is not one to show.
        payload: if event.payload.is_empty() { c"".as_ptr().cast() } else { event.payload.as_ptr() },
        payload_len: event.payload.len(),
        activation: activation.as_ref().map_or(ptr::null(), ptr::from_ref),
    });
}

fn with_nul(bytes: impl Iterator<Item = u8>) -> Vec<u8> {
    bytes.chain([0]).collect()
}

fn event_type(kind: EventKind) -> enos_event_type {
    match kind {
        EventKind::Connected => enos_event_type::ENOS_EVENT_CONNECTED,
        EventKind::Disconnected => enos_event_type::ENOS_EVENT_DISCONNECTED,
        EventKind::Activated => enos_event_type::ENOS_EVENT_ACTIVATED,
        EventKind::PersistFailed => enos_event_type::ENOS_EVENT_PERSIST_FAILED,
        EventKind::Message => enos_event_type::ENOS_EVENT_MESSAGE,
        EventKind::Delivered => enos_event_type::ENOS_EVENT_DELIVERED,
        EventKind::Subscribed => enos_event_type::ENOS_EVENT_SUBSCRIBED,
        EventKind::Unsubscribed => enos_event_type::ENOS_EVENT_UNSUBSCRIBED,
        EventKind::Reply => enos_event_type::ENOS_EVENT_REPLY,
        EventKind::Overflow => enos_event_type::ENOS_EVENT_OVERFLOW,
        EventKind::Room => enos_event_type::ENOS_EVENT_ROOM,
        EventKind::OutboxFailed => enos_event_type::ENOS_EVENT_OUTBOX_FAILED,
        EventKind::Stopped => enos_event_type::ENOS_EVENT_STOPPED,
        EventKind::ActivationLate => enos_event_type::ENOS_EVENT_ACTIVATION_LATE,
        EventKind::DeadLetterDropped => enos_event_type::ENOS_EVENT_DEAD_LETTER_DROPPED,
    }
}

/// An event type's name, for logs.
///
/// @param type  every value is accepted.
/// @return      static text, e.g. "CONNECTED"; "UNKNOWN" for a value that is no type.
#[no_mangle]
pub extern "C" fn enos_event_name(r#type: i32) -> *const c_char {
    const NAMES: [&CStr; 20] = [
        c"UNKNOWN",
        c"CONNECTED",
        c"DISCONNECTED",
        c"ACTIVATED",
        c"PERSIST_FAILED",
        c"MESSAGE",
        c"DELIVERED",
        c"SUBSCRIBED",
        c"UNSUBSCRIBED",
        c"REPLY",
        c"OVERFLOW",
        c"ROOM",
        c"OUTBOX_FAILED",
        c"UNKNOWN",
        c"UNKNOWN",
        c"STOPPED",
        c"ACTIVATION_LATE",
        c"UNKNOWN",
        c"UNKNOWN",
        c"DEAD_LETTER_DROPPED",
    ];
    getter(NAMES[0], || usize::try_from(r#type).ok().and_then(|at| NAMES.get(at)).copied().unwrap_or(NAMES[0])).as_ptr()
}

#[cfg(test)]
mod tests;
