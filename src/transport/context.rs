//! The state of a link: Paho's object, the connection under it, and the calls in progress.

use super::clock;
use super::convert::Handle;
use super::inbox::{Inbox, Welcome};
use super::tls::Secured;
use crate::error::Status;
use crate::model::link::LinkEvent;
use crate::sorted::SortedMap;
use paho_engine::link::{self as wire, Fault};
use paho_engine::{enos_paho_enter, enos_paho_leave, enos_paho_step, sys as paho};
use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use zeroize::Zeroizing;

/// The data of a link's callbacks. Paho holds its address from create until destroy has returned.
pub struct Context {
    pub address: SocketAddr,
    pub generation: u64,
    pub max_message: usize,
    pub handle: Handle,
    /// The settings of TLS, to explain its failures; `None` without TLS.
    pub secured: Option<Secured>,
    /// The connection. Paho has its address. It is used only with the client's lock held.
    wire: Wire,
    /// The CONNECT, or a part of it, was sent.
    sent: Arc<AtomicBool>,
    state: Mutex<State>,
}

struct Wire(UnsafeCell<wire::Link>);

// SAFETY: its content may move between threads, and one thread at a time uses it, with the client's lock held.
unsafe impl Send for Wire {}
// SAFETY: as above.
unsafe impl Sync for Wire {}

/// The state of a link after a step.
#[derive(Clone, Copy, Default)]
pub struct Standing {
    /// The step has found something to do.
    pub worked: bool,
    /// There may be more to read immediately.
    pub more: bool,
    pub interest: Option<wire::Interest>,
    /// When to step again if the socket is not ready before, in milliseconds of [`clock::boottime_ms`].
    pub deadline: Option<u64>,
}

struct State {
    /// `None` after the link was dropped: nothing is pushed any more.
    inbox: Option<Arc<Inbox>>,
    phase: Phase,
    /// Tokens without an outcome so far.
    waiting: SortedMap<u64, ()>,
    /// When a disconnect stops waiting for acknowledgements.
    linger_until: Option<u64>,
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Connecting,
    Connected,
    /// A disconnect was requested.
    Closing,
    Over,
}

/// One call in progress. Paho gets it as the call's context, and gives it back exactly once.
pub struct Ticket {
    pub context: Arc<Context>,
    pub token: u64,
    /// The number of filters in a SUBSCRIBE; its SUBACK has as many codes.
    pub filters: usize,
}

impl Context {
    pub fn new(
        handle: Handle,
        address: SocketAddr,
        max_message: usize,
        secured: Option<Secured>,
        wire: wire::Link,
        generation: u64,
        inbox: Arc<Inbox>,
    ) -> Context {
        let state =
            State { inbox: Some(inbox), phase: Phase::Connecting, waiting: SortedMap::new(), linger_until: None };
        let sent = wire.sent();
        let wire = Wire(UnsafeCell::new(wire));
        Context { address, generation, max_message, handle, secured, wire, sent, state: Mutex::new(state) }
    }

    /// Calls Paho with the client's lock held.
    ///
    /// # Safety
    /// The link is not destroyed before this returns; this is not inside a callback.
    pub unsafe fn enter<R>(&self, call: impl FnOnce(paho::MQTTAsync) -> R) -> R {
        struct Leave(paho::MQTTAsync);
        impl Drop for Leave {
            fn drop(&mut self) {
                // SAFETY: entered below.
                unsafe { enos_paho_leave(self.0) };
            }
        }
        // SAFETY: the caller's promise.
        unsafe { enos_paho_enter(self.handle.0) };
        let _leave = Leave(self.handle.0);
        call(self.handle.0)
    }

    /// The address of the connection, for Paho.
    pub fn wire(&self) -> *mut c_void {
        self.wire.0.get().cast()
    }

    /// Does what is due, and reads at most `count` packets if the socket may be ready. Never waits.
    ///
    /// # Safety
    /// As of [`enter`](Self::enter).
    pub unsafe fn step(&self, ready: bool, count: c_int) -> Standing {
        // SAFETY: the caller's promise; entered.
        unsafe {
            self.enter(|handle| {
                let before = (*self.wire.0.get()).moved();
                let more = enos_paho_step(handle, ready.into(), count) != 0;
                let worked = (*self.wire.0.get()).moved() != before;
                Standing { worked, more, ..self.look() }
            })
        }
    }

    /// The state of the link.
    ///
    /// # Safety
    /// As of [`enter`](Self::enter).
    pub unsafe fn standing(&self) -> Standing {
        // SAFETY: the caller's promise; entered.
        unsafe { self.enter(|_| self.look()) }
    }

    /// Calls the function if the connection has its socket, which stays open during the call.
    ///
    /// # Safety
    /// As of [`enter`](Self::enter).
    pub unsafe fn while_open(&self, call: impl FnOnce()) {
        // SAFETY: the caller's promise; entered.
        unsafe {
            self.enter(|_| {
                if self.look().interest.is_some() {
                    call();
                }
            });
        }
    }

    /// # Safety
    /// The client's lock is held, and Paho is not in a call of the connection's.
    unsafe fn look(&self) -> Standing {
        // SAFETY: the caller's promise.
        let wire = unsafe { &*self.wire.0.get() };
        let mut standing =
            Standing { worked: false, more: false, interest: wire.interest(), deadline: wire.deadline() };
        let mut state = self.state();
        state.waiting.release();
        if let (Phase::Closing, Some(until)) = (state.phase, state.linger_until) {
            // Paho's clock is sometimes slightly behind; then the link is stepped again.
            let until = until.max(clock::boottime_ms() + 5);
            standing.deadline = Some(standing.deadline.map_or(until, |at| at.min(until)));
        }
        standing
    }

    /// Whether the CONNECT, or a part of it, was sent.
    pub fn connect_sent(&self) -> bool {
        self.sent.load(Ordering::Relaxed)
    }

    /// Why the connection ended, for callbacks. `None` if Paho could not read a packet.
    ///
    /// # Safety
    /// The client's lock is held, as in every callback, and Paho is not in a call of the connection's.
    pub unsafe fn fault(&self) -> Option<&Fault> {
        // SAFETY: the caller's promise.
        unsafe { (*self.wire.0.get()).fault() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pushes no event from here on.
    pub fn mute(&self) {
        self.state().inbox = None;
    }

    /// Registers a call and creates its [`Ticket`]. `None` if the link is closing: Paho would accept the call, never begin
    /// it, and wait for it before it closes.
    pub fn begin(self: &Arc<Context>, token: u64, filters: usize) -> Option<*mut c_void> {
        let mut state = self.state();
        if matches!(state.phase, Phase::Closing | Phase::Over) {
            return None;
        }
        state.waiting.insert(token, ());
        Some(Box::into_raw(Box::new(Ticket { context: Arc::clone(self), token, filters })).cast())
    }

    /// Undoes [`begin`](Self::begin) if Paho did not accept the call. `false` if the link has ended in the meantime, so
    /// that the token has had its outcome.
    ///
    /// # Safety
    /// `ticket` is from `begin`, and Paho does not hold it.
    pub unsafe fn withdraw(&self, ticket: *mut c_void, token: u64) -> bool {
        // SAFETY: the caller's promise.
        drop(unsafe { Box::from_raw(ticket.cast::<Ticket>()) });
        self.state().waiting.remove(&token).is_some()
    }

    /// Enters the closing phase. `true` if Paho has to be told. Without a connection the link ends at once.
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
    pub fn connected(&self) {
        let mut state = self.state();
        if state.phase == Phase::Connecting {
            state.phase = Phase::Connected;
            state.push(self.generation, LinkEvent::Connected);
        }
    }

    pub fn not_connected(&self, event: LinkEvent) {
        let mut state = self.state();
        if state.phase == Phase::Connecting {
            state.phase = Phase::Over;
            state.push(self.generation, event);
        }
    }

    /// Ends a connection without a fault.
    pub fn closed(&self) {
        let reason = format!("the connection to {} was closed", self.address);
        self.ended(LinkEvent::Lost { status: Status::ENOS_ERR_NETWORK, reason });
    }

    /// Ends a connection: with `Closed` if that was asked for, otherwise with `lost`. Calls that Paho has not begun get
    /// their outcome here, because Paho would report them only at destroy.
    pub fn ended(&self, lost: LinkEvent) {
        let mut state = self.state();
        let event = match state.phase {
            Phase::Connected => lost,
            Phase::Closing => LinkEvent::Closed,
            Phase::Connecting | Phase::Over => return,
        };
        state.phase = Phase::Over;
        for token in std::mem::take(&mut state.waiting).into_keys() {
            state.push(self.generation, not_delivered(token));
        }
        state.push(self.generation, event);
    }

    /// Pushes the one outcome of a token.
    pub fn settle(&self, token: u64, event: LinkEvent) {
        let mut state = self.state();
        if state.waiting.remove(&token).is_some() {
            state.push(self.generation, event);
        }
    }

    /// How long a disconnect waits for acknowledgements from now on.
    pub fn linger(&self, ms: u64) {
        self.state().linger_until = Some(clock::boottime_ms() + ms);
    }

    pub fn message(&self, topic: &[u8], payload: &[u8], message: &paho::MQTTAsync_message) {
        let state = self.state();
        // A broker must not send a message before it has accepted the CONNECT.
        if !matches!(state.phase, Phase::Connected | Phase::Closing) {
            return;
        }
        let Some(inbox) = state.inbox.clone() else { return };
        let fits = match inbox.receive(self.generation, topic, payload.len()) {
            Welcome::Ordinary => payload.len() <= self.max_message,
            Welcome::Kept(_) => true,
            Welcome::Unwanted => false,
        };
        let copies = if fits { copy(topic).zip(copy(payload)) } else { None };
        match copies {
            Some((topic, payload)) => inbox.push(
                self.generation,
                LinkEvent::Message {
                    topic,
                    payload: Zeroizing::new(payload),
                    qos: message.qos as u8,
                    retained: message.retained != 0,
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

pub fn not_delivered(token: u64) -> LinkEvent {
    let reason = "the connection ended before the broker had answered".into();
    LinkEvent::NotDelivered { token, status: Status::ENOS_ERR_NETWORK, reason }
}

/// A copy without spare room, so that wiping it wipes all of it; `None` when there is no memory.
fn copy(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len()).ok()?;
    copy.extend_from_slice(bytes);
    Some(copy)
}
