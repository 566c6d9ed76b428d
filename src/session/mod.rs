//! The session: what the client does next, given what has happened so far. It is a state machine without a socket, a clock,
//! a thread or a callback, so that tests can try every order of events at every time without a broker.
//!
//! Calls of the host and [`Input`]s go in, and [`Action`]s come out. The session itself is only a router. The rooms behind
//! it do the work, and do not know each other, except that the outbox sends its messages through [`requests`]:
//!
//! - [`connection`]: logging in, activation, waiting and retrying. Its states are documented there.
//! - [`requests`]: the calls that were accepted, each until its one outcome. Most need the state Online. subscribe() and
//!   unsubscribe() are accepted in every state, and each new link begins by asking for every filter.
//! - [`outbox`]: durable messages, which are accepted in every state and sent when the device is online.
//!
//! Link events carry the number of their attempt. Events of an earlier attempt are ignored.
#![forbid(unsafe_code)]

mod backoff;
mod calls;
mod connection;
mod durable;
pub mod event;
mod io;
mod outbox;
mod requests;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use zeroize::Zeroizing;

use crate::error::{Error, Result, Status};
pub use crate::model::link::{LinkEvent, LinkRequest};
use crate::protocol::topic;

pub use connection::{Accepted, BudgetLimits, Credential, DeviceSecret};
pub use event::{Event, EventKind, State};
pub use io::{Action, Burden, Input, Loaded, Now, OutboxEnds, PageFound, StorageFailure};
pub use outbox::{OutboxSettings, Place};
pub use requests::MAX_ANSWERS;
pub use settings::Settings;

use connection::{Change, Connection, Context};
use io::Outcome;
use outbox::Outbox;
use requests::{Replied, Requests};

pub struct Session {
    settings: Settings,
    rng: fastrand::Rng,
    connection: Connection,
    requests: Requests,
    /// `None`: there is no storage to keep messages in.
    outbox: Option<Box<Outbox>>,
    actions: VecDeque<Action>,
}

impl Session {
    pub fn new(mut settings: Settings, seed: u64) -> Session {
        let mut rng = fastrand::Rng::with_seed(seed);
        let first_id = rng.u64(1..1 << 48);
        Session {
            connection: Connection::new(&mut settings),
            requests: Requests::new(settings.inflight, settings.reply_timeout_ms, first_id),
            outbox: settings.outbox.map(|outbox| Box::new(Outbox::new(outbox, settings.identity.clone()))),
            actions: VecDeque::new(),
            settings,
            rng,
        }
    }

    pub fn connect(&mut self, now: Now) {
        let (connection, mut cx) = self.connection(now);
        connection.connect(&mut cx);
    }

    pub fn disconnect(&mut self, now: Now) {
        self.with_connection(now, Connection::disconnect);
    }

    /// The host has saved a device secret by hand.
    pub fn activation_saved(&mut self, now: Now) -> Result<()> {
        let mut result = Ok(());
        self.with_connection(now, |connection, cx| {
            let saved = connection.activation_saved(cx);
            saved.map_err(|error| result = Err(error)).ok().flatten()
        });
        result
    }

    pub fn state(&self) -> State {
        self.connection.state()
    }

    /// Why the last attempt failed; "" if none has.
    pub fn last_error(&self) -> &str {
        self.connection.last_error()
    }

    /// Why it makes no sense to wait for a state now: only a long wait is left, or nothing is under way.
    pub fn blocked_by(&self) -> Option<Error> {
        self.connection.blocked_by()
    }

    /// A device secret is in memory that is not stored yet.
    pub fn has_unsaved_secret(&self) -> bool {
        self.connection.has_unsaved_secret()
    }

    /// The device secret, which is sent once, may be on its way on the present link.
    pub fn is_activating(&self) -> bool {
        self.connection.is_activating()
    }

    /// Whether the link of this attempt is wanted after all, because of what has come on it after [`Action::Abandon`].
    pub fn wants_link(&self, attempt: u64) -> bool {
        self.connection.wants_link(attempt)
    }

    /// Whether the host wants to be offline while this attempt logs in.
    pub fn is_withdrawn(&self, attempt: u64) -> bool {
        self.connection.is_withdrawn(attempt)
    }

    /// How many actions wait for somebody to run the loop, or will.
    pub fn backlog(&self) -> usize {
        self.actions.len() + self.connection.stops_pending()
    }

    pub fn has_actions(&self) -> bool {
        !self.actions.is_empty()
    }

    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The next action, if it may be performed now.
    pub fn next_action_if(&mut self, may_be: impl FnOnce(&Action) -> bool) -> Option<Action> {
        self.actions.front().filter(|next| may_be(next))?;
        self.next_action()
    }

    /// Gives back the memory of a burst, if nothing is in flight and nothing is to be done. True if so.
    pub fn release(&mut self) -> bool {
        let rests = self.actions.is_empty() && self.is_quiet();
        if rests {
            self.actions = VecDeque::new();
            self.requests.release();
        }
        rests
    }

    /// When [`Input::Tick`] is due, CLOCK_BOOTTIME milliseconds.
    pub fn deadline(&self) -> Option<u64> {
        let outbox = self.outbox.as_deref().and_then(Outbox::deadline);
        [self.connection.deadline(), self.requests.deadline(), outbox].into_iter().flatten().min()
    }

    pub fn handle(&mut self, now: Now, input: Input) {
        let tidy = matches!(input, Input::Tick);
        self.route(now, input);
        self.run_outbox(now, tidy);
        self.requests.tell_room(&mut self.actions);
        self.end_drained_link(now);
    }

    fn route(&mut self, now: Now, input: Input) {
        match input {
            Input::Tick => {
                self.requests.expire(now.ms, &mut self.actions);
                self.with_connection(now, Connection::tick);
            }
            Input::Loaded(loaded) => {
                let (connection, mut cx) = self.connection(now);
                connection.loaded(*loaded, &mut cx);
            }
            Input::SecretsStored(result) => {
                self.with_connection(now, |connection, cx| connection.secrets_stored(result, cx));
            }
            Input::Dropped(count) => self.actions.push_back(Action::Emit(Event::dropped(count))),
            Input::Link { attempt, what } if attempt == self.connection.attempt => self.on_link(now, what),
            Input::Link { .. } => {}
            Input::OutboxOpened(result) => self.on_outbox_opened(now, result),
            Input::PageRead { page, result } => {
                self.with_outbox(now, |outbox, around| outbox.page_read(page, result, around));
            }
            Input::PagesFinished { through, result } => {
                self.with_outbox(now, |outbox, around| outbox.pages_finished(through, result, around));
            }
            Input::SetAside { token, result } => {
                self.with_outbox(now, |outbox, around| outbox.aside_stored(token, result, around));
            }
        }
    }

    fn on_link(&mut self, now: Now, what: LinkEvent) {
        let (requests, actions) = (&mut self.requests, &mut self.actions);
        match what {
            LinkEvent::Delivered { token } => requests.delivered(token, actions),
            LinkEvent::NotDelivered { token, reason } => requests.not_delivered(token, &reason, actions),
            LinkEvent::Subscribed { token, granted } => {
                // A request has one filter so far.
                requests.subscribed(token, granted.first().copied().flatten(), actions);
            }
            LinkEvent::Unsubscribed { token } => requests.unsubscribed(token, actions),
            LinkEvent::Message { topic, payload, qos } => self.on_message(now, topic, payload, qos),
            other => self.with_connection(now, |connection, cx| connection.link_event(other, cx)),
        }
    }

    /// Every inbound message comes here, and its topic decides who gets it.
    fn on_message(&mut self, now: Now, topic: Vec<u8>, payload: Zeroizing<Vec<u8>>, qos: u8) {
        if topic::is_activation_topic(&topic) {
            // Not to the host, whatever it is: there may be a secret in it, and hosts log what they are given.
            let (connection, mut cx) = self.connection(now);
            return connection.activation_message(&topic, &payload, &mut cx);
        }
        let mut event = Event::new(EventKind::Message, Status::ENOS_OK, "");
        event.qos = i32::from(qos);
        match self.requests.reply(&topic, &payload) {
            Some(Replied::Call(reply)) => event = reply,
            Some(Replied::Kept { request, code, words }) => {
                let outcome = Outcome::Reply { code, words, topic, payload: payload.to_vec() };
                return self.with_outbox(now, |outbox, around| outbox.outcome(request, outcome, around));
            }
            // The host gets it as a message, and may know more.
            Some(Replied::Unclear) => self.with_outbox(now, |outbox, around| outbox.send_one_by_one(around)),
            None => {}
        }
        (event.topic, event.payload) = (topic, payload);
        self.actions.push_back(Action::Emit(event));
    }

    fn connection(&mut self, now: Now) -> (&mut Connection, Context<'_>) {
        let Session { connection, settings, rng, actions, .. } = self;
        (connection, Context { now, settings, rng, actions })
    }

    /// Calls the connection, and tells the others what that has changed for them.
    fn with_connection(&mut self, now: Now, call: impl FnOnce(&mut Connection, &mut Context) -> Option<Change>) {
        let before = self.actions.len();
        let (connection, mut cx) = self.connection(now);
        match call(connection, &mut cx) {
            None => {}
            Some(Change::Online) => {
                self.requests.link_up(now.ms, &mut self.actions);
                self.with_outbox(now, |outbox, around| outbox.link_up(around.now));
            }
            Some(Change::Closing) => {
                self.with_outbox(now, |outbox, _| outbox.stop());
                self.end_drained_link(now);
            }
            Some(Change::Offline { reason, end }) => {
                // The outcomes of calls come before DISCONNECTED.
                let later = self.actions.split_off(before);
                self.with_outbox(now, |outbox, around| outbox.link_down(end, around));
                self.requests.link_down(&reason, &mut self.actions);
                self.actions.extend(later);
            }
        }
    }

    /// A link that is to be closed waits for what is in flight.
    fn end_drained_link(&mut self, now: Now) {
        if self.connection.is_draining() && self.is_quiet() {
            let (connection, mut cx) = self.connection(now);
            connection.end_link(&mut cx);
        }
    }
}
