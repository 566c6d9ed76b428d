//! The outbox: durable publishing. A message with ENOS_PUBLISH_DURABLE is in your storage when the call returns ENOS_OK,
//! and leaves it only when it is through: when the broker has acknowledged it (QoS 1), or, with
//! ENOS_PUBLISH_UNTIL_REPLY, when EnOS has answered 200. Whatever lies in between: loss of the link, a day offline, the
//! end of the process, a power cut. It needs enos_config_set_storage(), and may be called in every state, offline too.
//!
//! At least once: what was under way when the link or the process ended is sent again. In order: a message goes out only
//! when those before it are under way; where one has to be sent again, so have those behind it. Their events come in that
//! order. A reply that comes for one that is sent again by then, or for a post without ENOS_PUBLISH_UNTIL_REPLY, is a
//! MESSAGE.
//!
//! Tokens of durable messages are apart from those of other calls (from 2^62 on), stay valid across restarts, and never
//! come twice for one device's storage. Each has one event, DELIVERED, or REPLY with ENOS_PUBLISH_UNTIL_REPLY; after a
//! restart it may come a second time, for the process may have ended between the event and the removal.
//!
//!     ENOS_OK                  through
//!     ENOS_ERR_SET_ASIDE       it can never succeed: EnOS has refused it for good (detail_code is its code: any but 200,
//!                              429, 5xx, 6205 and 6305, which are tried again), or the link was lost three times while it
//!                              was under way. It is kept apart, see enos_client_asides(), and the next ones go on
//!     ENOS_ERR_QUEUE_FULL      it was the oldest in a full outbox (ENOS_OUTBOX_DROP_OLDEST)
//!     ENOS_ERR_STORAGE         the storage gave something else back than it was given; that is kept apart, if it can be.
//!                              Always DELIVERED, and for a batch one event with its first token, for all of them
//!
//! What it costs: one store when a message is accepted and one erase when it is through, for a whole batch at a time
//! (enos_client_publish_batch()), and one store more for every 16 that are accepted or removed (the same one for both,
//! when they keep step). A message over 64 KiB takes a store and an erase for each 64 KiB. A loss of the link with
//! messages under way is one store, a message that is set aside two. Memory does not grow with what waits. At the first
//! use it looks for both ends of the queue, some 70 loads of keys that mostly do not exist, and reads none of the rest.

use std::ffi::{c_char, c_void};
use std::mem::size_of;

use super::client::timeout;
use super::config::{enos_config, set};
use super::guard::on_client;
use super::handle::enos_client;
use super::input::{bytes, null, text, versioned, Versioned};
use super::output::StructOut;
use super::status::enos_status;
use crate::client::{check_flags, copy};
use crate::error::{Error, Result, Status};
use crate::protocol::durable::MAX_TOGETHER;
use crate::protocol::{topic, Content, Durable};
use crate::storage::queue::Aside;
use crate::storage::vtable::MAX_VALUE_LEN;

/// What becomes of a durable message for which the outbox has no room.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum enos_outbox_policy {
    /// It is refused: ENOS_ERR_QUEUE_FULL; ENOS_EVENT_ROOM tells when there is room again.
    ENOS_OUTBOX_REFUSE = 0,
    /// The oldest go, each with its event (ENOS_ERR_QUEUE_FULL).
    ENOS_OUTBOX_DROP_OLDEST = 1,
}

/// What an enos_message is.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum enos_message_kind {
    /// As enos_client_publish() has it, at QoS 1.
    ENOS_MESSAGE_PUBLISH = 0,
    /// As enos_client_post_measurepoints() has it: the payload is the value of "params", topic is NULL.
    ENOS_MESSAGE_MEASUREPOINTS = 1,
}

/// A message of a batch. Yours; copied.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct enos_message {
    /// sizeof(enos_message); ENOS_INIT() sets it. The same for all of a batch.
    pub struct_size: usize,
    /// One of enum enos_message_kind.
    pub kind: i32,
    /// ENOS_PUBLISH_* bits; ENOS_PUBLISH_DURABLE has to be among them.
    pub flags: u32,
    /// ENOS_MESSAGE_PUBLISH: where to. Else NULL.
    pub topic: *const c_char,
    /// May be NULL when len is 0.
    pub payload: *const u8,
    /// In bytes, or ENOS_NUL_TERMINATED.
    pub len: usize,
}

// SAFETY: repr(C), begins with its size; zero is a valid value of each field.
unsafe impl Versioned for enos_message {
    const NAME: &'static str = "enos_message";
    const V0_1: usize = size_of::<enos_message>();
}

/// How the outbox stands.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct enos_outbox_info {
    /// sizeof(enos_outbox_info); ENOS_INIT() sets it.
    pub struct_size: usize,
    /// Messages that are not through.
    pub messages: u64,
    /// Bytes that they take up in the storage, near enough.
    pub bytes: u64,
    /// How many were ever set aside.
    pub set_aside: u64,
    /// How many this client has dropped for want of room.
    pub dropped: u64,
}

// SAFETY: repr(C), begins with its size; zero is a valid value of each field.
unsafe impl Versioned for enos_outbox_info {
    const NAME: &'static str = "enos_outbox_info";
    const V0_1: usize = size_of::<enos_outbox_info>();
}

/// Looks at a message that was set aside. Inside enos_client_asides(), on the thread that called it, with no lock of the
/// library held: every enos_client_* function may be called, a durable publish of the same message for instance.
///
/// @param ctx      what enos_client_asides() was given.
/// @param token    the message's token.
/// @param code     EnOS's code; 0 when it was another reason.
/// @param topic    where to; "" for a post of measure points. NULL: it cannot be read any more.
/// @param payload  its payload, or the post's "params"; never NULL.
/// @param len      in bytes.
/// @return         0: keep it; all else: remove it.
pub type enos_aside_cb = Option<
    unsafe extern "C" fn(
        ctx: *mut c_void,
        token: u64,
        code: i32,
        topic: *const c_char,
        payload: *const u8,
        len: usize,
    ) -> i32,
>;

/// Sets how much the outbox holds, and what happens when it is full.
///
/// @param config    the config.
/// @param messages  1 to 1000000000. Default: 100000.
/// @param bytes     4096 to 2^40, as they are stored. Default: 67108864 (64 MiB).
/// @param policy    one of enum enos_outbox_policy. Default: ENOS_OUTBOX_REFUSE.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  out of that range; 0 is, too.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_outbox_limits(
    config: *mut enos_config,
    messages: u32,
    bytes: u64,
    policy: i32,
) -> enos_status {
    let set_limits = |c: &mut enos_config| {
        let drop_oldest = match policy {
            p if p == enos_outbox_policy::ENOS_OUTBOX_REFUSE as i32 => false,
            p if p == enos_outbox_policy::ENOS_OUTBOX_DROP_OLDEST as i32 => true,
            _ => return Err(Error::invalid(format!("policy is {policy}, which is none of enum enos_outbox_policy"))),
        };
        c.config.set_outbox_limits(messages, bytes, drop_oldest)
    };
    // SAFETY: the header's contract.
    unsafe { set(config, set_limits) }
}

/// Sets how fast the outbox is emptied. What else the client publishes is never held back, and counts: the outbox takes
/// what is left. EnOS documents a throughput of 1 MB a second for a device.
///
/// @param config       the config.
/// @param bytes_per_s  1000 to 1000000000. Default: 1000000. 0: no limit.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  out of that range.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_outbox_rate(config: *mut enos_config, bytes_per_s: u32) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { set(config, |c| c.config.set_outbox_rate(bytes_per_s)) }
}

/// Publishes durable messages together, all or none, for the price of one: one store, and later one erase.
///
/// Storage callbacks run inside this call, as inside every durable publish.
///
/// @param client      the client.
/// @param messages    the first of `count`, one behind the other.
/// @param count       1 to 256. Together they may have some 60 KiB; a single one as much as EnOS takes.
/// @param out_tokens  receives `count` tokens, in the order of the messages; may be NULL.
/// @retval ENOS_OK               all are in your storage; each will have its event.
/// @retval ENOS_ERR_STATE        there is no storage.
/// @retval ENOS_ERR_QUEUE_FULL   no room in the outbox; ENOS_EVENT_ROOM tells when there is. Nothing was kept.
/// @retval ENOS_ERR_STORAGE      your storage failed; nothing was kept, as far as it does what it says.
/// @retval ENOS_ERR_TOO_LARGE    one is over 512 KiB, together they are over 60 KiB, or over the outbox's own limit.
/// @retval ENOS_ERR_STRUCT_SIZE  a message was not made with ENOS_INIT().
/// @retval ENOS_ERR_INVALID_ARG  count, or a message: no such kind, topic or flag; a post whose params are no object with
///                               a "time" in milliseconds since 1970.
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn enos_client_publish_batch(
    client: *mut enos_client,
    messages: *const enos_message,
    count: usize,
    out_tokens: *mut u64,
) -> enos_status {
    // SAFETY: the header's contract for each argument.
    unsafe {
        on_client(client, |client| {
            let messages = batch(messages, count)?;
            let mut at = 0;
            client.publish_durable(messages, &mut |token| {
                if !out_tokens.is_null() {
                    out_tokens.add(at).write_unaligned(token);
                }
                at += 1;
            })
        })
    }
}

/// # Safety
/// `first` is NULL or points to `count` structs of the size that each says it has, as the header describes them.
unsafe fn batch(first: *const enos_message, count: usize) -> Result<Vec<Durable>> {
    if first.is_null() {
        return Err(null("messages"));
    }
    if !(1..=MAX_TOGETHER).contains(&count) {
        return Err(Error::invalid(format!("count is {count}; it can be 1 to {MAX_TOGETHER}")));
    }
    // SAFETY: the caller's promise; every version begins with its size.
    let stride = unsafe { first.cast::<usize>().read_unaligned() };
    let mut total = 0usize;
    (0..count)
        .map(|at| {
            // SAFETY: the caller's promise: the structs lie one behind the other, all as large as the first.
            let message = unsafe { versioned(first.byte_add(at.saturating_mul(stride)), "messages")? };
            if message.struct_size != stride {
                return Err(Error::invalid("messages differ in their struct_size; set each with ENOS_INIT()"));
            }
            // SAFETY: the caller's promise.
            let payload = unsafe { bytes(message.payload.cast(), message.len, "payload") }?;
            total = total.saturating_add(payload.len());
            if count > 1 && total > MAX_VALUE_LEN {
                let words = "the messages are more than a batch can hold together: 60 KiB";
                return Err(Error::new(Status::ENOS_ERR_TOO_LARGE, words));
            }
            // SAFETY: the caller's promise.
            unsafe { durable(&message, payload) }
        })
        .collect()
}

/// # Safety
/// `message` is as the header describes it.
unsafe fn durable(message: &enos_message, payload: &[u8]) -> Result<Durable> {
    let Some((until_reply, resume)) = check_flags(message.flags)? else {
        return Err(Error::invalid("flags: a message of a batch needs ENOS_PUBLISH_DURABLE"));
    };
    let content = match message.kind {
        kind if kind == enos_message_kind::ENOS_MESSAGE_PUBLISH as i32 => {
            // SAFETY: the caller's promise.
            let topic = unsafe { text(message.topic, "topic") }?;
            topic::validate_publish_topic(topic)?;
            Content::Publish { topic: topic.to_owned(), payload: copy(payload)? }
        }
        kind if kind == enos_message_kind::ENOS_MESSAGE_MEASUREPOINTS as i32 => {
            if !message.topic.is_null() {
                return Err(Error::invalid("topic: a post of measure points has its own; it has to be NULL"));
            }
            Content::Measurepoints { params: copy(payload)? }
        }
        kind => return Err(Error::invalid(format!("kind is {kind}, which is none of enum enos_message_kind"))),
    };
    Ok(Durable { content, until_reply, resume })
}

/// Waits until every accepted call has had its event and every durable message is through; loops meanwhile, or waits for
/// the thread that loops, as enos_client_wait() does.
///
/// @param client      the client.
/// @param timeout_ms  milliseconds; 0: only look; ENOS_FOREVER: no limit.
/// @retval ENOS_OK               nothing is under way, and the outbox is empty.
/// @retval ENOS_ERR_TIMEOUT      something still is. Nothing is lost.
/// @retval ENOS_ERR_STATE        the client is not connected, and nothing is under way that could empty the outbox: call
///                               enos_client_connect() first.
/// @retval ENOS_ERR_CREDENTIALS, ENOS_ERR_ACTIVATION_REFUSED, ENOS_ERR_ACTIVATION_TIMEOUT, ENOS_ERR_STORAGE,
///         ENOS_ERR_NETWORK, ENOS_ERR_TLS, ENOS_ERR_PROTOCOL, ENOS_ERR_CONFLICT
///                               as for enos_client_wait(): only a long wait is left. Or ENOS_ERR_STORAGE: the outbox
///                               cannot be read.
/// @retval ENOS_ERR_IN_CALLBACK  called from a callback.
#[no_mangle]
pub unsafe extern "C" fn enos_client_flush(client: *mut enos_client, timeout_ms: u32) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { on_client(client, |client| client.flush(timeout(timeout_ms))) }
}

/// Tells how the outbox stands. Storage callbacks run inside this call when it is the first use of the outbox.
///
/// @param client  the client.
/// @param out     made with ENOS_INIT(); receives the numbers.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_STATE        there is no storage.
/// @retval ENOS_ERR_STORAGE      your storage failed.
/// @retval ENOS_ERR_STRUCT_SIZE  out was not made with ENOS_INIT().
#[no_mangle]
pub unsafe extern "C" fn enos_client_outbox_info(client: *mut enos_client, out: *mut enos_outbox_info) -> enos_status {
    // SAFETY: the header's contract for each argument.
    unsafe {
        on_client(client, |client| {
            let out = StructOut::new(out, "out")?;
            let state = client.outbox()?;
            out.set(enos_outbox_info {
                struct_size: size_of::<enos_outbox_info>(),
                messages: state.held.messages,
                bytes: state.held.bytes,
                set_aside: state.set_aside,
                dropped: state.dropped,
            });
            Ok(())
        })
    }
}

/// Shows the messages that were set aside, the last 64 of them; a newer one takes the place of the oldest. Storage
/// callbacks run inside this call.
///
/// @param client  the client.
/// @param cb      called for each, in no particular order.
/// @param ctx     passed to it; may be NULL.
/// @retval ENOS_OK           all were shown.
/// @retval ENOS_ERR_STATE    there is no storage.
/// @retval ENOS_ERR_STORAGE  your storage failed.
#[no_mangle]
pub unsafe extern "C" fn enos_client_asides(
    client: *mut enos_client,
    cb: enos_aside_cb,
    ctx: *mut c_void,
) -> enos_status {
    // SAFETY: the header's contract for each argument.
    unsafe {
        on_client(client, |client| {
            let cb = cb.ok_or_else(|| null("cb"))?;
            client.asides(&mut |aside| {
                show(aside, |topic, payload, len| cb(ctx, aside.token, aside.code, topic, payload, len))
            })
        })
    }
}

fn show(aside: &Aside, cb: impl FnOnce(*const c_char, *const u8, usize) -> i32) -> bool {
    let Some(message) = &aside.message else {
        return cb(std::ptr::null(), c"".as_ptr().cast(), 0) != 0;
    };
    let topic = match &message.content {
        Content::Publish { topic, .. } => topic.as_str(),
        Content::Measurepoints { .. } => "",
    };
    let topic: Vec<u8> = topic.bytes().chain([0]).collect();
    let payload = message.content.payload();
    // An empty vector's pointer is not one to show.
    let start = if payload.is_empty() { c"".as_ptr().cast() } else { payload.as_ptr() };
    cb(topic.as_ptr().cast(), start, payload.len()) != 0
}
