// Durable messages that are published together. They are a part of the header's chapter on the outbox.

use std::ffi::c_char;
use std::mem::size_of;

use super::guard::on_client;
use super::handle::enos_client;
use super::input::{bytes, null, text, versioned, Versioned};
use super::output::Out;
use super::status::enos_status;
use crate::client::check_flags;
use crate::error::{Error, Result, Status};
use crate::protocol::outbox::MAX_TOGETHER;
use crate::protocol::{Operation, Request};
use crate::storage::vtable::MAX_VALUE_LEN;

/// The kind of an enos_message.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum enos_message_kind {
    /// A message of enos_client_publish() at QoS 1.
    ENOS_MESSAGE_PUBLISH = 0,
    /// A post of enos_client_post_measurepoints(): the payload is the value of "params", and topic is NULL.
    ENOS_MESSAGE_MEASUREPOINTS = 1,
}

/// A message of a batch. It is yours, and copied.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct enos_message {
    /// sizeof(enos_message); ENOS_INIT() sets it. It is the same for all messages of a batch.
    pub struct_size: usize,
    /// One of enum enos_message_kind.
    pub kind: i32,
    /// ENOS_REQUEST_* bits; ENOS_REQUEST_DURABLE has to be among them.
    pub flags: u32,
    /// The topic of an ENOS_MESSAGE_PUBLISH; NULL for other kinds.
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

/// Publishes durable messages together, all or none. They cost the same as one message: one store, and later one erase.
///
/// Storage callbacks run inside this call, as inside every durable publish.
///
/// @param client      the client.
/// @param messages    the first of `count`, one behind the other.
/// @param count       1 to 256. Several have at most about 60 KiB in total, a single one at most 524287 bytes.
/// @param out_tokens  receives `count` tokens, in the order of the messages; may be NULL.
/// @param out_bad     receives the index of the message that is at fault, as enos_last_error() names it; SIZE_MAX when it
///                    is none of them. May be NULL.
/// @retval ENOS_OK               all are in your storage; each will have its event.
/// @retval ENOS_ERR_STATE        there is no storage.
/// @retval ENOS_ERR_QUEUE_FULL   no room in the outbox; ENOS_EVENT_ROOM tells when there is. Nothing was kept.
/// @retval ENOS_ERR_STORAGE      your storage failed. Nothing was stored, if a store that fails leaves nothing behind.
/// @retval ENOS_ERR_TOO_LARGE    one has 512 KiB or more, together they are over 60 KiB, or over the outbox's own limit.
/// @retval ENOS_ERR_STRUCT_SIZE  a message was not made with ENOS_INIT().
/// @retval ENOS_ERR_INVALID_ARG  count, or a message: no such kind, topic or flag; a post whose params are not as
///                               enos_client_post_measurepoints() wants those of a durable one.
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn enos_client_publish_batch(
    client: *mut enos_client,
    messages: *const enos_message,
    count: usize,
    out_tokens: *mut u64,
    out_bad: *mut usize,
) -> enos_status {
    // SAFETY: the header's contract for each argument.
    unsafe {
        let set_bad = |bad| {
            if let Some(out_bad) = Out::optional(out_bad) {
                out_bad.set(bad);
            }
        };
        set_bad(usize::MAX);
        on_client(client, |client| {
            let mut bad = usize::MAX;
            let messages = batch(messages, count, &mut bad);
            set_bad(bad);
            let mut at = 0;
            client.publish_durable(messages?, &mut |token| {
                if !out_tokens.is_null() {
                    out_tokens.add(at).write_unaligned(token);
                }
                at += 1;
            })
        })
    }
}

/// `bad` is the index of a message that is at fault.
///
/// # Safety
/// `first` is NULL or points to `count` structs of the size that each says it has, as the header describes them.
unsafe fn batch(first: *const enos_message, count: usize, bad: &mut usize) -> Result<Vec<Request>> {
    if first.is_null() {
        return Err(null("messages"));
    }
    if !(1..=MAX_TOGETHER).contains(&count) {
        return Err(Error::invalid(format!("count is {count}; it can be 1 to {MAX_TOGETHER}")));
    }
    // SAFETY: the caller's promise; every version begins with its size.
    let stride = unsafe { first.cast::<usize>().read_unaligned() };
    let mut total = 0usize;
    let mut messages = Vec::with_capacity(count);
    for at in 0..count {
        // SAFETY: the caller's promise: the structs lie one behind the other, all as large as the first.
        let message = unsafe { one_of(first.byte_add(at.saturating_mul(stride)), stride) };
        let message = message.map_err(|error| {
            *bad = at;
            Error::new(error.status, format!("messages[{at}]: {}", error.message))
        })?;
        total = total.saturating_add(message.size());
        if count > 1 && total > MAX_VALUE_LEN {
            let words = "the messages are more than a batch can hold together: 60 KiB";
            return Err(Error::new(Status::ENOS_ERR_TOO_LARGE, words));
        }
        messages.push(message);
    }
    Ok(messages)
}

/// # Safety
/// `message` points to a struct of the size that it says it has, as the header describes it.
unsafe fn one_of(message: *const enos_message, stride: usize) -> Result<Request> {
    // SAFETY: the caller's promise.
    let message = unsafe { versioned(message, "messages")? };
    if message.struct_size != stride {
        return Err(Error::invalid("its struct_size is not that of the first one; set each with ENOS_INIT()"));
    }
    // SAFETY: the caller's promise.
    unsafe { request(&message, bytes(message.payload.cast(), message.len, "payload")?) }
}

/// # Safety
/// `message` is as the header describes it.
unsafe fn request(message: &enos_message, payload: &[u8]) -> Result<Request> {
    let Some(flags) = check_flags(message.flags)? else {
        return Err(Error::invalid("flags: a message of a batch needs ENOS_REQUEST_DURABLE"));
    };
    match message.kind {
        kind if kind == enos_message_kind::ENOS_MESSAGE_PUBLISH as i32 => {
            // SAFETY: the caller's promise.
            let topic = unsafe { text(message.topic, "topic") }?;
            flags.request(Operation::ENOS_OP_PUBLISH, topic, payload)
        }
        kind if kind == enos_message_kind::ENOS_MESSAGE_MEASUREPOINTS as i32 => {
            if !message.topic.is_null() {
                return Err(Error::invalid("topic: a post of measure points has its own; it has to be NULL"));
            }
            flags.request(Operation::ENOS_OP_MEASUREPOINT_POST, "", payload)
        }
        kind => Err(Error::invalid(format!("kind is {kind}, which is none of enum enos_message_kind"))),
    }
}
