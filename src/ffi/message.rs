//! Messages. Every accepted call (ENOS_OK) has exactly one event with its token. The token is written before that event
//! can be delivered:
//!
//!     QoS 0             DELIVERED when it is written to the socket
//!     QoS 1             DELIVERED when the broker has acknowledged it
//!     subscribe         SUBSCRIBED at the first answer of a broker to it, on this link or a later one
//!     unsubscribe       UNSUBSCRIBED when the broker has acknowledged it, or the link is gone, or there is none,
//!                       or the client needs the topic for the replies to its own requests
//!     request, post_*   REPLY: ENOS_OK when EnOS answered 200; ENOS_ERR_REFUSED when it answered another code, which
//!                       is in detail_code; or another status. An ENOS_OP_PUBLISH, and a durable request without
//!                       ENOS_REQUEST_UNTIL_REPLY, have DELIVERED in place of REPLY, as for QoS 1
//!     command_reply*    DELIVERED when the broker has acknowledged it
//!
//! If no answer comes within enos_config_set_reply_timeout(), or the request's own timeout_ms, the event has
//! ENOS_ERR_TIMEOUT. If the link is lost, publishes and requests without an outcome have ENOS_ERR_NETWORK. In both
//! cases the message may have arrived or not, and it is not sent again. If detail says that the request was not sent,
//! it has not arrived: it was still waiting for the broker to grant the topic of its reply, or for its turn (raw
//! requests). A reply that comes later is a MESSAGE. Answers to commands may be sent on the next link: see the chapter
//! on commands.
//!
//! Limits. Publishes and requests share the limit of enos_config_set_inflight(). Answers to commands have places of
//! their own, so that a device can answer however much it posts. Calls to subscribe and unsubscribe have a limit of
//! 1000. A call beyond a limit is ENOS_ERR_QUEUE_FULL, and ENOS_EVENT_ROOM tells when to continue.
//!
//! Messages that come in. A message with QoS 1 is acknowledged to the broker when it is in the inbound queue, before
//! the firmware gets it. If the process ends in between, the broker does not send it again, because each login is a new
//! session. The chapter on commands says what that means for them.
//!
//! Durable messages survive both. The chapter on the outbox describes their outcomes.
//!
//! A call that returns an error has no event. None of them waits for the network. A topic is 1 to 65535 bytes of UTF-8.
//!
//! JSON that you pass (params, the data of an answer) is UTF-8, nests 64 levels at most, and has to mean the same to
//! every reader. Text that is not JSON is ENOS_ERR_INVALID_ARG. So are half of a surrogate pair in a string ("\ud800"),
//! a number that is too large for a double (1e999), and an object with the same member twice. EnOS would refuse some of
//! these without saying which message it means.

use std::ffi::c_char;

use super::guard::on_client;
use super::handle::enos_client;
use super::input::{bytes, text};
use super::request::token_out;
use super::status::enos_status;

/// Publishes a message.
///
/// @param client     the client.
/// @param topic      1 to 65535 bytes, no + and no #.
/// @param payload    any bytes; may be NULL when len is 0. Copied.
/// @param len        in bytes, at most 524287 (EnOS refuses 512 KiB), or ENOS_NUL_TERMINATED.
/// @param qos        0 or 1.
/// @param flags      0, or ENOS_REQUEST_DURABLE (with qos 1).
/// @param out_token  receives the token; may be NULL.
/// @retval ENOS_OK               accepted: DELIVERED will come. If durable: it is in your storage.
/// @retval ENOS_ERR_STATE        not online; if durable: there is no storage.
/// @retval ENOS_ERR_QUEUE_FULL   too many calls have no outcome yet (enos_config_set_inflight()), or the outbox is
///                               full: ENOS_EVENT_ROOM tells when to continue.
/// @retval ENOS_ERR_TOO_LARGE    the payload has 512 KiB or more; or it is durable, and larger than the outbox may be.
/// @retval ENOS_ERR_STORAGE      durable: your storage failed, and nothing was kept.
/// @retval ENOS_ERR_UNSUPPORTED  qos 2.
/// @retval ENOS_ERR_INVALID_ARG  no such topic, qos or flag, or they do not go together.
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn enos_client_publish(
    client: *mut enos_client,
    topic: *const c_char,
    payload: *const u8,
    len: usize,
    qos: i32,
    flags: u32,
    out_token: *mut u64,
) -> enos_status {
    // SAFETY: the header's contract for each argument.
    unsafe {
        on_client(client, |client| {
            let (topic, payload) = (text(topic, "topic")?, bytes(payload.cast(), len, "payload")?);
            client.publish(topic, payload, qos, flags, &mut token_out(out_token))
        })
    }
}

/// Subscribes to a topic filter. Messages come as ENOS_EVENT_MESSAGE. The call is accepted in every state, offline too.
/// The subscription lasts until enos_client_unsubscribe() or the end of the client, even if the broker refuses it: the
/// library requests it on each link, right after the login, before it sends what is published in the CONNECTED event.
/// Subscribing again changes the QoS, and requests the subscription once more. EnOS delivers commands to a device
/// without this, and the library itself subscribes to the replies to your requests.
///
/// ENOS_EVENT_SUBSCRIBED, with the filter as its topic, reports the broker's answers:
///
///     with the call's token      once, at the first answer after the call. Offline, or when the link is lost before
///                                the broker has answered, it comes on a later link. ENOS_OK: granted, with this qos.
///                                ENOS_ERR_REFUSED: refused (detail_code 128). ENOS_ERR_TIMEOUT: no answer by
///                                enos_config_set_reply_timeout(). ENOS_ERR_STATE: taken back before there was an
///                                answer
///     with the token 0           on each later link on which it is refused, or not answered: the same statuses; and
///                                once with ENOS_OK when it is granted again after that. Other renewals that are
///                                granted have no event
///
/// @param client     the client.
/// @param filter     1 to 65535 bytes; + and # as MQTT has them. At most 256 filters at a time.
/// @param qos        0 or 1: the highest that messages are to come with.
/// @param out_token  receives the token; may be NULL.
/// @retval ENOS_OK               accepted: SUBSCRIBED will come.
/// @retval ENOS_ERR_QUEUE_FULL   there are 256 filters: unsubscribe one first. Or 1000 calls to subscribe and
///                               unsubscribe have no outcome yet (ENOS_EVENT_ROOM tells when to continue), or no thread
///                               runs the loop.
/// @retval ENOS_ERR_UNSUPPORTED  qos 2.
/// @retval ENOS_ERR_INVALID_ARG  no such filter or qos.
#[no_mangle]
pub unsafe extern "C" fn enos_client_subscribe(
    client: *mut enos_client,
    filter: *const c_char,
    qos: i32,
    out_token: *mut u64,
) -> enos_status {
    // SAFETY: the header's contract for each argument.
    unsafe { on_client(client, |client| client.subscribe(text(filter, "filter")?, qos, &mut token_out(out_token))) }
}

/// Ends a subscription: it is not requested any more. Accepted in every state, offline too. UNSUBSCRIBED comes with
/// ENOS_OK when the broker has answered, or when the link is lost before that, because the subscription ends with the
/// link. It comes at once if there is no link, or if the client needs the topic for the replies to its own requests;
/// the broker then continues to send on the topic. With ENOS_ERR_TIMEOUT the broker has not answered, and may continue
/// to send until the link ends. A call to subscribe that has no outcome yet gets it now: SUBSCRIBED with
/// ENOS_ERR_STATE.
///
/// @param client     the client.
/// @param filter     as it was subscribed.
/// @param out_token  receives the token; may be NULL.
/// @retval ENOS_OK               accepted: UNSUBSCRIBED will come.
/// @retval ENOS_ERR_QUEUE_FULL   1000 calls to subscribe and unsubscribe have no outcome yet (ENOS_EVENT_ROOM tells
///                               when to continue), or no thread runs the loop.
/// @retval ENOS_ERR_INVALID_ARG  no such filter.
#[no_mangle]
pub unsafe extern "C" fn enos_client_unsubscribe(
    client: *mut enos_client,
    filter: *const c_char,
    out_token: *mut u64,
) -> enos_status {
    // SAFETY: the header's contract for each argument.
    unsafe { on_client(client, |client| client.unsubscribe(text(filter, "filter")?, &mut token_out(out_token))) }
}
