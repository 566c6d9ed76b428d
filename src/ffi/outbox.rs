//! The outbox: durable publishing. A message with ENOS_REQUEST_DURABLE is in your storage when the call returns
//! ENOS_OK. It is removed only when it is completed: when the broker has acknowledged it (QoS 1), or, with
//! ENOS_REQUEST_UNTIL_REPLY, when EnOS has answered 200. It survives a loss of the link, days offline, the end of the
//! process, and a power cut. Durable publishing needs enos_config_set_storage(), and works in every state, offline too.
//!
//! At least once: messages that were in flight when the link or the process ended are sent again. In order: a message
//! is sent only after those before it; if one has to be sent again, those behind it are sent again as well. A reply to
//! a message that was sent again in the meantime, or to a post without ENOS_REQUEST_UNTIL_REPLY, is a MESSAGE.
//!
//! Each device has an outbox of its own: the client's device, and each sub-device. The messages of one wait for no
//! other, share nothing but the rate and the link, and take turns on it. Those of a sub-device are accepted in each of
//! its states, and sent while it is online. The limits hold for each outbox by itself. Removing a sub-device leaves its
//! messages in the storage. They are sent after the sub-device is added again, in this process or a later one.
//!
//! Tokens of durable messages begin at 2^62, so they differ from those of other calls. Those of the client's own device
//! stay valid across restarts, and none is used twice for one device's storage. The token of a sub-device's message has
//! bit 63, the sub-device's id in bits 42 to 62, and its place in the outbox in the bits below: no other message of the
//! process has it. It is valid as long as the id, and enos_client_outbox_each() shows the messages with new tokens
//! after a restart. Each message has one event, DELIVERED, or REPLY with ENOS_REQUEST_UNTIL_REPLY, as soon as its
//! outcome is known. After a restart the event may come a second time, because the process may have ended between the
//! event and the removal.
//!
//!     ENOS_OK                  completed
//!     ENOS_ERR_DEAD_LETTER     it can never succeed and is a dead letter from now on; the next ones are sent. EnOS has
//!                              refused it for good: detail_code is its code, any but 200, 429, 5xx, 6205 and 6305,
//!                              which are tried again. Or it failed three times in a row, and then three times right
//!                              after another message that had passed on the same link, and between these also as the
//!                              first. A failure is a lost link or no answer (detail_code 0), or one of the codes that
//!                              are tried again (detail_code is the code, and it takes ten of them in a row). Without
//!                              another message that passes, no message is blamed, and it is tried again
//!     ENOS_ERR_QUEUE_FULL      it was the oldest in a full outbox (ENOS_OUTBOX_DROP_OLDEST)
//!     ENOS_ERR_STORAGE         the storage returned damaged data. If possible, the damaged bytes become a dead letter.
//!                              Always DELIVERED, without an operation. For a batch there is one event with its first
//!                              token, for the whole batch, and one for each other message that has a user
//!
//! Dead letters stay in the storage until you drop them. enos_client_outbox_each() lists them, or the waiting messages;
//! enos_client_outbox_drop() removes a message of either kind. Dead letters and waiting messages share the limits of
//! the outbox: if a new message needs the room, the oldest dead letters are removed, each with an event
//! (DEAD_LETTER_DROPPED).
//!
//! Costs: one store when a message or a batch (enos_client_request_batch()) is accepted, one erase when it is
//! completed, and one more store for every 16 that are accepted or removed. A message over 64 KiB takes a store and an
//! erase for each 64 KiB. A loss of the link with messages in flight costs one store, and so does a post without a good
//! answer; a message that becomes a dead letter costs two. Memory use does not grow with the number of waiting
//! messages, except for those with a user, which take up to 32 bytes each. The first use finds both ends of the queue,
//! with some 70 loads of keys that mostly do not exist, and reads nothing else.

use std::ffi::{c_char, c_void};
use std::mem::size_of;

use super::client::timeout;
use super::config::{enos_config, set};
use super::guard::on_client;
use super::handle::enos_client;
use super::input::{null, Versioned};
use super::output::StructOut;
use super::status::enos_status;
use crate::error::Error;
use crate::protocol::Request;
use crate::storage::queue::DeadLetter;

/// What happens to a durable message for which the outbox has no room.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum enos_outbox_policy {
    /// The message is refused (ENOS_ERR_QUEUE_FULL). ENOS_EVENT_ROOM tells when there is room again.
    ENOS_OUTBOX_REFUSE = 0,
    /// The oldest messages are dropped, each with its event (ENOS_ERR_QUEUE_FULL).
    ENOS_OUTBOX_DROP_OLDEST = 1,
}

/// The state of an outbox.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct enos_outbox_info {
    /// sizeof(enos_outbox_info); ENOS_INIT() sets it.
    pub struct_size: usize,
    /// Messages that are not completed. One that you have dropped counts until those before it are completed.
    pub messages: u64,
    /// Bytes that they take up in the storage, approximately.
    pub bytes: u64,
    /// How many messages have ever become dead letters.
    pub dead_letters_ever: u64,
    /// How many messages this client has dropped because the outbox was full.
    pub dropped: u64,
    /// Dead letters that are there now.
    pub dead_letters: u64,
}

// SAFETY: repr(C), begins with its size; zero is a valid value of each field.
unsafe impl Versioned for enos_outbox_info {
    const NAME: &'static str = "enos_outbox_info";
    const V0_1: usize = std::mem::offset_of!(enos_outbox_info, dead_letters);
}

/// Which messages enos_client_outbox_each() shows.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum enos_outbox_which {
    /// Those that are not completed, in the order in which they were accepted.
    ENOS_OUTBOX_WAITING = 0,
    /// Those that can never succeed, the oldest first.
    ENOS_OUTBOX_DEAD_LETTERS = 1,
}

/// A message in the outbox, as enos_client_outbox_each() shows it. The message and everything that it points to belong
/// to the library, and are valid until the callback returns.
#[repr(C)]
pub struct enos_outbox_message {
    /// The size of the library's struct: later versions are longer. Read only what your header declares.
    pub struct_size: usize,
    /// The token of the message.
    pub token: u64,
    /// For a dead letter, EnOS's code, or 0 for any other reason. 0 for a waiting message.
    pub code: i32,
    /// One of enum enos_operation; 0 if the message cannot be read.
    pub operation: i32,
    /// The request's name: the topic of a publish, the identifier of an event; "" if its operation has none. NULL if
    /// the message cannot be read, or only by a later version of the library.
    pub name: *const c_char,
    /// Its payload, or the post's "params"; never NULL.
    pub payload: *const u8,
    /// In bytes.
    pub len: usize,
}

/// Receives a message of the outbox, inside enos_client_outbox_each(), on the thread that called it. No lock of the
/// library is held, so it may call every enos_client_* function, for instance enos_client_outbox_drop(), or a durable
/// publish of the same message.
///
/// @param ctx      what enos_client_outbox_each() was given.
/// @param message  the message; valid until the callback returns.
/// @return         0: continue with the next one; any other value: stop.
pub type enos_outbox_cb = Option<unsafe extern "C" fn(ctx: *mut c_void, message: *const enos_outbox_message) -> i32>;

/// Sets how much each outbox may hold, and what happens when it is full: that of the client's own device, and that of
/// each sub-device.
///
/// @param config    the config.
/// @param messages  1 to 1000000000. Default: 100000.
/// @param bytes     4096 to 2^40, as they are stored. Default: 67108864 (64 MiB).
/// @param policy    one of enum enos_outbox_policy. Default: ENOS_OUTBOX_REFUSE.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  out of that range; 0 is also out of range.
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

/// Sets how fast the outboxes are sent, all together. They take turns, message by message. Other messages of the client
/// are never held back, but count: the outboxes get the rest of the rate. EnOS documents a limit of 1 MB a second for a
/// device.
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

/// Waits until every accepted call has had its event and every durable message is completed that can be sent: those of
/// the client's own device, and those of the sub-devices that are online. It does not wait for sub-devices in other
/// states. It loops, or waits for the thread that loops, as enos_client_wait() does.
///
/// @param client      the client.
/// @param timeout_ms  milliseconds; 0: only look; ENOS_FOREVER: no limit.
/// @retval ENOS_OK               nothing is under way, and these outboxes are empty.
/// @retval ENOS_ERR_TIMEOUT      something still is. Nothing is lost.
/// @retval ENOS_ERR_STATE        the client is not connected, and nothing is under way that could empty the outbox:
///                               call enos_client_connect() first.
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

/// Returns the state of an outbox after its last change. If this is the first use of the outbox, storage callbacks run
/// inside this call, or it waits for another thread whose call is the first. After that it never waits for the storage.
///
/// @param client     the client.
/// @param subdevice  whose outbox; 0: that of the client's own device.
/// @param out        made with ENOS_INIT(); receives the numbers.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_STATE        there is no storage.
/// @retval ENOS_ERR_NOT_FOUND    the client has no such sub-device.
/// @retval ENOS_ERR_STORAGE      your storage failed.
/// @retval ENOS_ERR_STRUCT_SIZE  out was not made with ENOS_INIT().
#[no_mangle]
pub unsafe extern "C" fn enos_client_outbox_info(
    client: *mut enos_client,
    subdevice: u64,
    out: *mut enos_outbox_info,
) -> enos_status {
    // SAFETY: the header's contract for each argument.
    unsafe {
        on_client(client, |client| {
            let out = StructOut::new(out, "out")?;
            let counts = client.outbox(subdevice)?;
            out.set(enos_outbox_info {
                struct_size: size_of::<enos_outbox_info>(),
                messages: counts.held.messages,
                bytes: counts.held.bytes,
                dead_letters_ever: counts.dead_letters_ever,
                dropped: counts.dropped,
                dead_letters: counts.dead_letters,
            });
            Ok(())
        })
    }
}

/// Lists the messages in an outbox: those that wait, or the dead letters. Storage callbacks run inside this call, one
/// load for each message or batch, and it waits for other calls that use the storage. Messages that are added or
/// removed meanwhile may be listed or not.
///
/// A batch that an earlier version of the library could not read is one dead letter. Each of its messages is shown,
/// with the token that they share, and enos_client_outbox_drop() removes all of them.
///
/// @param client     the client.
/// @param subdevice  whose outbox; 0: that of the client's own device.
/// @param which      one of enum enos_outbox_which.
/// @param cb         called for each.
/// @param ctx        passed to it; may be NULL.
/// @retval ENOS_OK               all were shown, or cb has stopped it.
/// @retval ENOS_ERR_STATE        there is no storage.
/// @retval ENOS_ERR_NOT_FOUND    the client has no such sub-device.
/// @retval ENOS_ERR_STORAGE      your storage failed.
/// @retval ENOS_ERR_INVALID_ARG  there is no such which.
#[no_mangle]
pub unsafe extern "C" fn enos_client_outbox_each(
    client: *mut enos_client,
    subdevice: u64,
    which: i32,
    cb: enos_outbox_cb,
    ctx: *mut c_void,
) -> enos_status {
    // SAFETY: the header's contract for each argument.
    unsafe {
        on_client(client, |client| {
            let cb = cb.ok_or_else(|| null("cb"))?;
            let look = |token, code, message: Option<&Request>| show(token, code, message, |shown| cb(ctx, shown) == 0);
            match which {
                w if w == enos_outbox_which::ENOS_OUTBOX_WAITING as i32 => {
                    client.each_waiting(subdevice, &mut |token, message| look(token, 0, message))
                }
                w if w == enos_outbox_which::ENOS_OUTBOX_DEAD_LETTERS as i32 => {
                    client.each_dead_letter(subdevice, &mut |DeadLetter { token, code, messages }| {
                        messages.iter().all(|message| look(*token, *code, message.as_ref()))
                    })
                }
                w => Err(Error::invalid(format!("which is {w}, which is none of enum enos_outbox_which"))),
            }
        })
    }
}

fn show(token: u64, code: i32, message: Option<&Request>, cb: impl FnOnce(&enos_outbox_message) -> bool) -> bool {
    let name: Option<Vec<u8>> = message.map(|message| message.name.bytes().chain([0]).collect());
    let payload = message.map_or(&[][..], |message| &message.params);
    cb(&enos_outbox_message {
        struct_size: size_of::<enos_outbox_message>(),
        token,
        code,
        operation: message.map_or(0, |message| message.operation as i32),
        name: name.as_ref().map_or(std::ptr::null(), |name| name.as_ptr().cast()),
        // C must not get the pointer of an empty slice.
        payload: if payload.is_empty() { c"".as_ptr().cast() } else { payload.as_ptr() },
        len: payload.len(),
    })
}

/// Drops a message from its outbox: one that waits, or a dead letter. When the call returns, the message is removed
/// from your storage. It is not sent any more, although one that is in flight may still arrive, and it has no event,
/// unless that is already queued. Its room is free at once if it was the oldest, otherwise when those before it are
/// completed.
///
/// Storage callbacks run inside this call; it waits for other calls that use the storage.
///
/// @param client  the client.
/// @param token   the message's token.
/// @retval ENOS_OK             it is gone.
/// @retval ENOS_ERR_NOT_FOUND  it neither waits nor is a dead letter: it is completed, or never existed. Or its
///                             sub-device was removed.
/// @retval ENOS_ERR_STATE      there is no storage; or it is becoming a dead letter at this moment: try again after its
///                             event.
/// @retval ENOS_ERR_STORAGE    your storage failed: it may be gone or not.
#[no_mangle]
pub unsafe extern "C" fn enos_client_outbox_drop(client: *mut enos_client, token: u64) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { on_client(client, |client| client.drop_durable(token)) }
}
