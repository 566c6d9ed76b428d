//! What Paho calls, on its own threads and with its process-wide mutex held: copy, push, return.

use super::inbox::{Inbox, LinkEvent};
use super::link::LinkOptions;
use super::tls::Secured;
use crate::error::Status;
use crate::panic;
use crate::sorted::SortedMap;
use paho_engine::{enos_paho_connect_sent, sys as paho};
use std::ffi::{c_char, c_int, c_void, CStr};
use std::net::SocketAddr;
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use zeroize::{Zeroize, Zeroizing};

/// What a link's callbacks know. Paho holds its address from create until destroy has returned.
pub struct Context {
    pub address: SocketAddr,
    pub generation: u64,
    pub max_message: usize,
    pub handle: Handle,
    /// What TLS was made from; `None` without TLS.
    pub secured: Option<Secured>,
    state: Mutex<State>,
}

/// Paho's object.
#[derive(Clone, Copy)]
pub struct Handle(pub paho::MQTTAsync);

// SAFETY: Paho's functions may be called from any thread, also at the same time: they take its mutex. Only destroy needs
// an owner, which is the link.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

struct State {
    /// `None` once the link is dropped: nothing is pushed any more.
    inbox: Option<Arc<Inbox>>,
    phase: Phase,
    /// Tokens whose outcome is still to come.
    waiting: SortedMap<u64, ()>,
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Connecting,
    Connected,
    /// Disconnect was asked for.
    Closing,
    Over,
}

/// One call under way: what Paho gets as its context, and gives back exactly once.
struct Ticket {
    context: Arc<Context>,
    token: u64,
}

impl Context {
    pub fn new(
        handle: Handle,
        options: &LinkOptions,
        secured: Option<Secured>,
        generation: u64,
        inbox: Arc<Inbox>,
    ) -> Context {
        let state = State { inbox: Some(inbox), phase: Phase::Connecting, waiting: SortedMap::new() };
        let LinkOptions { address, max_message, .. } = *options;
        Context { address, generation, max_message, handle, secured, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No event from here on.
    pub fn mute(&self) {
        self.state().inbox = None;
    }

    /// Notes a call that is about to be made, and makes what Paho is to carry for it. `None` when the link is closing:
    /// Paho would take the call, never begin it, and wait for it before it closes.
    pub fn begin(self: &Arc<Context>, token: u64) -> Option<*mut c_void> {
        let mut state = self.state();
        if matches!(state.phase, Phase::Closing | Phase::Over) {
            return None;
        }
        state.waiting.insert(token, ());
        Some(Box::into_raw(Box::new(Ticket { context: Arc::clone(self), token })).cast())
    }

    /// Takes back what [`begin`](Self::begin) made, when Paho did not accept the call. `false` when the link has
    /// ended meanwhile and the token has had its outcome.
    ///
    /// # Safety
    /// `ticket` is from `begin`, and Paho does not hold it.
    pub unsafe fn withdraw(&self, ticket: *mut c_void, token: u64) -> bool {
        // SAFETY: the caller's promise.
        drop(unsafe { Box::from_raw(ticket.cast::<Ticket>()) });
        self.state().waiting.remove(&token).is_some()
    }

    /// Enters the closing phase: `true` when Paho has to be told. Without a connection the link is over, and says so.
    pub fn close(&self) -> bool {
        let mut state = self.state();
        match state.phase {
            Phase::Connected => {
                state.phase = Phase::Closing;
                return true;
            }
            Phase::Connecting => {
                state.phase = Phase::Over;
                state.push(self.generation, LinkEvent::Closed);
            }
            Phase::Closing | Phase::Over => (),
        }
        false
    }

    /// Ends the attempt to connect.
    fn connected(&self) {
        let mut state = self.state();
        if state.phase == Phase::Connecting {
            state.phase = Phase::Connected;
            state.push(self.generation, LinkEvent::Connected);
        }
    }

    fn not_connected(&self, event: LinkEvent) {
        let mut state = self.state();
        if state.phase == Phase::Connecting {
            state.phase = Phase::Over;
            state.push(self.generation, event);
        }
    }

    /// Ends a connection: with what was asked for, or else with [`LinkEvent::Lost`]. Calls that Paho has not even
    /// begun would hear of it only at destroy.
    fn ended(&self, why: &str) {
        let mut state = self.state();
        let event = match state.phase {
            Phase::Connected => LinkEvent::Lost { reason: format!("the connection to {} {why}", self.address) },
            Phase::Closing => LinkEvent::Closed,
            Phase::Connecting | Phase::Over => return,
        };
        state.phase = Phase::Over;
        for token in std::mem::take(&mut state.waiting).into_keys() {
            state.push(self.generation, not_delivered(token));
        }
        state.push(self.generation, event);
    }

    /// Pushes the one outcome of a token. `true` when the link only waited for this one to close; never in a callback
    /// that comes out of destroy, whose thread holds Paho's mutex and could not take it again.
    fn settle(&self, token: u64, event: LinkEvent) -> bool {
        let mut state = self.state();
        if state.waiting.remove(&token).is_none() {
            return false;
        }
        state.push(self.generation, event);
        state.inbox.is_some() && state.phase == Phase::Closing && state.waiting.is_empty()
    }

    /// Queues a DISCONNECT that waits at most `linger_ms` for acknowledgements to come. Unlike destroy, it may be asked
    /// for inside a callback.
    ///
    /// # Safety
    /// The link is not destroyed before this returns.
    pub unsafe fn disconnect(&self, linger_ms: c_int) {
        let options = paho::MQTTAsync_disconnectOptions {
            timeout: linger_ms,
            onSuccess: Some(on_closed),
            context: ptr::from_ref(self).cast_mut().cast(),
            ..Default::default()
        };
        // SAFETY: the handle is valid, by the caller's promise; the options are copied.
        if unsafe { paho::MQTTAsync_disconnect(self.handle.0, &options) } != paho::MQTTASYNC_SUCCESS as c_int {
            // The connection is gone already.
            self.ended("was closed");
        }
    }

    fn message(&self, topic: &[u8], payload: &[u8], message: &paho::MQTTAsync_message) {
        let state = self.state();
        // A broker has nothing to say before it has accepted the CONNECT.
        if !matches!(state.phase, Phase::Connected | Phase::Closing) {
            return;
        }
        let Some(inbox) = state.inbox.clone() else { return };
        let fits = payload.len() <= self.max_message || inbox.keeps(topic, payload.len());
        let copies = if fits { copy(topic).zip(copy(payload)) } else { None };
        match copies {
            Some((topic, payload)) => inbox.push(
                self.generation,
                LinkEvent::Message {
                    topic,
                    payload: Zeroizing::new(payload),
                    qos: message.qos as u8,
                    retained: message.retained != 0,
                    duplicate: message.dup != 0,
                },
            ),
            None => inbox.count_dropped(),
        }
    }
}

impl State {
    fn push(&self, generation: u64, event: LinkEvent) {
        if let Some(inbox) = &self.inbox {
            inbox.push(generation, event);
        }
    }
}

fn not_delivered(token: u64) -> LinkEvent {
    LinkEvent::NotDelivered { token, reason: "the connection ended before the broker had answered".into() }
}

/// A copy without spare room, so that wiping it wipes all of it; `None` when there is no memory.
fn copy(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len()).ok()?;
    copy.extend_from_slice(bytes);
    Some(copy)
}

/// Nothing may unwind into Paho.
fn guard(f: impl FnOnce()) {
    // It has told the log already.
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
        let (code, said) = unsafe {
            match data.as_ref() {
                Some(data) if data.message.is_null() => (data.code, c""),
                Some(data) => (data.code, CStr::from_ptr(data.message)),
                None => (paho::MQTTASYNC_FAILURE, c""),
            }
        };
        // The code alone would not do: it is Paho's own, or a CONNACK's, or whatever a DISCONNECT packet holds.
        let connack = said == c"CONNACK return code";
        let address = link.address;
        let event = match u8::try_from(code) {
            Ok(code @ 1..) if connack => LinkEvent::Refused { code },
            _ => {
                // SAFETY: the handle is valid in a callback: destroy waits for the mutex that is held around it.
                let (sent, tls) = unsafe {
                    let tls = link.secured.as_ref().and_then(|secured| secured.explain(link.handle.0));
                    (enos_paho_connect_sent(link.handle.0) != 0, tls)
                };
                let status = if tls.is_some() { Status::ENOS_ERR_TLS } else { Status::ENOS_ERR_NETWORK };
                let reason = if let Some(words) = tls {
                    format!("TLS to {address}: {words}")
                } else if sent {
                    format!("{address} took the CONNECT, but the connection ended without a CONNACK")
                } else {
                    format!("no connection to {address}: refused, unreachable or reset")
                };
                LinkEvent::Failed { status, reason, connect_sent: sent }
            }
        };
        link.not_connected(event);
    });
}

pub unsafe extern "C" fn on_lost(link: *mut c_void, _: *mut c_char) {
    // SAFETY: the link's context.
    guard(|| unsafe { context(link) }.ended("was lost: closed or reset, or no answer to a keep-alive"));
}

/// A DISCONNECT of the broker's, which MQTT 3.1.1 does not have: Paho closes, and calls nothing else.
pub unsafe extern "C" fn on_disconnected(link: *mut c_void, _: *mut paho::MQTTProperties, _: paho::MQTTReasonCodes) {
    // SAFETY: the link's context.
    guard(|| unsafe { context(link) }.ended("was ended by the broker with a DISCONNECT packet"));
}

pub unsafe extern "C" fn on_closed(link: *mut c_void, _: *mut paho::MQTTAsync_successData) {
    // SAFETY: the link's context.
    guard(|| unsafe { context(link) }.ended("was closed"));
}

pub unsafe extern "C" fn on_message(
    link: *mut c_void,
    topic: *mut c_char,
    topic_len: c_int,
    mut message: *mut paho::MQTTAsync_message,
) -> c_int {
    // SAFETY: Paho hands over a topic of topic_len bytes (0: a C string) and a message, both ours from here on, and
    // freed once each at the end; the payload is wiped before.
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
    // Handled, dropped or not: Paho would queue it otherwise.
    1
}

/// Ends a call: takes the ticket back and pushes the outcome.
///
/// # Safety
/// `ticket` is from [`Context::begin`], and this is the one time that Paho gives it back.
unsafe fn settle(ticket: *mut c_void, outcome: impl FnOnce(u64) -> LinkEvent) {
    // SAFETY: the caller's promise.
    let ticket = unsafe { Box::from_raw(ticket.cast::<Ticket>()) };
    guard(|| {
        if ticket.context.settle(ticket.token, outcome(ticket.token)) {
            // By itself Paho looks every 3 s whether it may close.
            // SAFETY: destroy waits for the mutex that is held around this callback.
            unsafe { ticket.context.disconnect(0) };
        }
    });
}

pub unsafe extern "C" fn on_published(ticket: *mut c_void, _: *mut paho::MQTTAsync_successData) {
    // SAFETY: the ticket of a publish.
    unsafe { settle(ticket, |token| LinkEvent::Delivered { token }) }
}

pub unsafe extern "C" fn on_subscribed(ticket: *mut c_void, data: *mut paho::MQTTAsync_successData) {
    // SAFETY: Paho passes data that lives across the call, and for one filter the one code in `qos`.
    let granted = match unsafe { data.as_ref().map(|data| data.alt.qos) } {
        Some(qos @ 0..=2) => Ok(qos as u8),
        _ => Err(()),
    };
    // SAFETY: the ticket of a subscribe.
    unsafe { settle(ticket, |token| LinkEvent::Subscribed { token, granted }) }
}

pub unsafe extern "C" fn on_not_subscribed(ticket: *mut c_void, data: *mut paho::MQTTAsync_failureData) {
    // SAFETY: Paho passes data that lives across the call. Its own codes are negative; 0x80 is the broker's refusal.
    let refused = unsafe { data.as_ref().is_some_and(|data| data.code == 0x80) };
    let outcome = |token| match refused {
        true => LinkEvent::Subscribed { token, granted: Err(()) },
        false => not_delivered(token),
    };
    // SAFETY: the ticket of a subscribe.
    unsafe { settle(ticket, outcome) }
}

pub unsafe extern "C" fn on_unsubscribed(ticket: *mut c_void, _: *mut paho::MQTTAsync_successData) {
    // SAFETY: the ticket of an unsubscribe.
    unsafe { settle(ticket, |token| LinkEvent::Unsubscribed { token }) }
}

pub unsafe extern "C" fn on_failed(ticket: *mut c_void, _: *mut paho::MQTTAsync_failureData) {
    // SAFETY: the ticket of a publish or an unsubscribe.
    unsafe { settle(ticket, not_delivered) }
}
