//! The functions that Paho calls. They run inside a call of the library, with the client's lock held, and only copy
//! data and push events.

use super::context::{not_delivered, Context, Ticket};
use super::failure::{self, Facts};
use crate::error::Status;
use crate::model::link::LinkEvent;
use crate::panic;
use paho_engine::link::Fault;
use paho_engine::sys as paho;
use std::ffi::{c_char, c_int, c_void, CStr};
use zeroize::Zeroize;

/// A panic must not unwind into Paho.
fn guard(f: impl FnOnce()) {
    // The panic is in the log already.
    let _ = panic::catch(f);
}

/// # Safety
/// `context` is the address of a link's context, which lives until destroy has returned.
unsafe fn context<'a>(context: *mut c_void) -> &'a Context {
    // SAFETY: the caller's promise.
    unsafe { &*context.cast() }
}

pub unsafe extern "C" fn on_connected(link: *mut c_void, _: *mut paho::MQTTAsync_successData) {
    // SAFETY: the link's context.
    guard(|| unsafe { context(link) }.connected());
}

pub unsafe extern "C" fn on_not_connected(link: *mut c_void, data: *mut paho::MQTTAsync_failureData) {
    guard(|| {
        // SAFETY: the link's context.
        let link = unsafe { context(link) };
        // SAFETY: Paho passes data that lives across the call, its message NULL or a C string.
        let connack = unsafe { data.as_ref().and_then(|data| connack(data)) };
        // SAFETY: in a callback.
        let fault = unsafe { link.fault() };
        let tls = match (fault, &link.secured) {
            (Some(Fault::Tls(fault)), Some(secured)) if connack.is_none() => secured.explain(fault),
            _ => None,
        };
        let (address, connect_sent) = (link.address, link.connect_sent());
        link.not_connected(failure::not_connected(Facts { address, connack, connect_sent, fault, tls }));
    });
}

/// The code of a CONNACK that refuses. The code alone is not enough: it may be Paho's own, or a byte of another packet.
///
/// # Safety
/// The message is NULL or a C string.
unsafe fn connack(data: &paho::MQTTAsync_failureData) -> Option<u8> {
    // SAFETY: the caller's promise.
    let is_connack = !data.message.is_null() && unsafe { CStr::from_ptr(data.message) } == c"CONNACK return code";
    u8::try_from(data.code).ok().filter(|code| is_connack && *code > 0)
}

pub unsafe extern "C" fn on_lost(link: *mut c_void, _: *mut c_char) {
    // SAFETY: the link's context.
    let link = unsafe { context(link) };
    // SAFETY: in a callback.
    guard(|| link.ended(failure::lost(link.address, unsafe { link.fault() })));
}

pub unsafe extern "C" fn on_closed(link: *mut c_void, _: *mut paho::MQTTAsync_successData) {
    // SAFETY: the link's context.
    guard(|| unsafe { context(link) }.closed());
}

pub unsafe extern "C" fn on_message(
    link: *mut c_void,
    topic: *mut c_char,
    topic_len: c_int,
    mut message: *mut paho::MQTTAsync_message,
) -> c_int {
    // SAFETY: Paho passes a topic of topic_len bytes (0: a C string) and a message. Both are ours from here on, and each
    // is freed once at the end; the payload is wiped before that.
    unsafe {
        let topic_len = match usize::try_from(topic_len) {
            Ok(len) if len > 0 => len,
            _ => libc::strlen(topic),
        };
        let payload: &mut [u8] = match usize::try_from((*message).payloadlen) {
            Ok(len) if len > 0 && !(*message).payload.is_null() => {
                std::slice::from_raw_parts_mut((*message).payload.cast(), len)
            }
            _ => &mut [],
        };
        let topic_bytes = std::slice::from_raw_parts(topic.cast(), topic_len);
        guard(|| context(link).message(topic_bytes, payload, &*message));
        payload.zeroize();
        paho::MQTTAsync_freeMessage(&mut message);
        paho::MQTTAsync_free(topic.cast());
    }
    // 1 means handled, also for a message that was dropped. Otherwise Paho would queue it.
    1
}

/// Ends a call: takes the ticket back and pushes the outcome.
///
/// # Safety
/// `ticket` is from [`Context::begin`], and this is the one time that Paho gives it back.
unsafe fn settle(ticket: *mut c_void, outcome: impl FnOnce(&Ticket) -> LinkEvent) {
    // SAFETY: the caller's promise.
    let ticket = unsafe { Box::from_raw(ticket.cast::<Ticket>()) };
    guard(|| ticket.context.settle(ticket.token, outcome(&ticket)));
}

pub unsafe extern "C" fn on_published(ticket: *mut c_void, _: *mut paho::MQTTAsync_successData) {
    // SAFETY: the ticket of a publish.
    unsafe { settle(ticket, |ticket| LinkEvent::Delivered { token: ticket.token }) }
}

pub unsafe extern "C" fn on_subscribed(ticket: *mut c_void, data: *mut paho::MQTTAsync_successData) {
    // SAFETY: the ticket of a subscribe. Paho passes data that lives across the call: for one filter its code in `qos`,
    // for more an array with one code for each, or NULL if there was no memory for that.
    unsafe {
        settle(ticket, |&Ticket { token, filters, .. }| {
            let codes = match (data.as_ref(), filters) {
                (None, _) => return not_delivered(token),
                (Some(data), 1) => std::slice::from_ref(&data.alt.qos),
                (Some(data), _) if data.alt.qosList.is_null() => {
                    return LinkEvent::NotDelivered {
                        token,
                        status: Status::ENOS_ERR_NO_MEMORY,
                        reason: "there is no memory for the broker's answer".into(),
                    }
                }
                (Some(data), _) => std::slice::from_raw_parts(data.alt.qosList, filters),
            };
            LinkEvent::Subscribed { token, granted: codes.iter().map(|code| granted(*code)).collect() }
        })
    }
}

/// The QoS that a code of a SUBACK grants. The code for a refusal is 0x80; any other above 2 is no code at all.
fn granted(code: c_int) -> Option<u8> {
    u8::try_from(code).ok().filter(|qos| *qos <= 2)
}

/// The link has ended, or the broker has refused the one filter of a SUBSCRIBE. (Of several filters Paho reports each
/// refusal to [`on_subscribed`].)
pub unsafe extern "C" fn on_not_subscribed(ticket: *mut c_void, data: *mut paho::MQTTAsync_failureData) {
    // SAFETY: Paho passes data that lives across the call. Its own codes are negative; 0x80 is the broker's refusal.
    let refused = unsafe { data.as_ref().is_some_and(|data| data.code == 0x80) };
    let outcome = |ticket: &Ticket| match refused {
        true => LinkEvent::Subscribed { token: ticket.token, granted: vec![None] },
        false => not_delivered(ticket.token),
    };
    // SAFETY: the ticket of a subscribe.
    unsafe { settle(ticket, outcome) }
}

pub unsafe extern "C" fn on_unsubscribed(ticket: *mut c_void, _: *mut paho::MQTTAsync_successData) {
    // SAFETY: the ticket of an unsubscribe.
    unsafe { settle(ticket, |ticket| LinkEvent::Unsubscribed { token: ticket.token }) }
}

pub unsafe extern "C" fn on_failed(ticket: *mut c_void, _: *mut paho::MQTTAsync_failureData) {
    // SAFETY: the ticket of a publish or an unsubscribe.
    unsafe { settle(ticket, |ticket| not_delivered(ticket.token)) }
}
