//! The session: what the client does next, given what has happened so far. It is a state machine without a socket, a clock,
//! a thread or a callback, so that tests can try every order of events at every time without a broker.
//!
//! Calls of the host and [`Input`]s go in, and [`Action`]s come out. The session itself is only a router. The rooms behind
//! it do the work, and do not know each other, except that the outbox and the commands send through [`exchange`]:
//!
//! - [`connection`]: logging in, activation, waiting and retrying. Its states are documented there.
//! - [`exchange`]: the calls that were accepted, each until its one outcome. Most need the state Online. subscribe() and
//!   unsubscribe() are accepted in every state, and each new link begins by asking for every filter.
//! - [`outboxes`]: durable messages, which are accepted in every state and sent when their device is online. The client's
//!   own device and each sub-device have an [`outbox`] each.
//! - [`gateway`]: the sub-devices, which log in over the device's connection.
//! - [`commands`]: the commands of the cloud, each until its one answer is out.
//! - [`ota`]: the offers of firmware, and what has to be remembered of an update across a restart.
//!
//! Link events carry the number of their attempt. Events of an earlier attempt are ignored.
#![forbid(unsafe_code)]

mod backoff;
mod batch;
mod calls;
mod command_calls;
mod commands;
mod connection;
mod credential;
mod durable;
pub mod event;
mod exchange;
mod firmware;
mod gateway;
mod inbound;
mod io;
pub mod ota;
mod outbox;
mod outboxes;
mod settings;
mod subdevices;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use crate::error::Result;
use crate::model::link::LinkEvent;
use crate::protocol::Identity;

pub use calls::Call;
pub use commands::HandleEnd;
pub use credential::{Accepted, Credential};
pub use durable::Appended;
pub use event::{Event, EventKind, State};
pub use exchange::MAX_ANSWERS;
pub use gateway::NewSubdevice;
pub use io::{Action, Burden, Done, Handed, Input, Loaded, Now, Task};
pub use outbox::{Named, Place};
pub use settings::{BudgetLimits, CommandSettings, OutboxSettings, Settings, SubdeviceSettings};

use commands::Commands;
use connection::{Change, Connection, Context};
use exchange::Exchange;
use gateway::Gateway;
use io::LinkEnd;
use ota::Ota;
use outboxes::Outboxes;

pub struct Session {
    settings: Settings,
    rng: fastrand::Rng,
    connection: Connection,
    exchange: Exchange,
    /// `None` until the first command, because it takes memory.
    commands: Option<Box<Commands>>,
    /// `None` until the first sub-device.
    gateway: Option<Box<Gateway>>,
    /// `None` until a firmware version is reported, or a firmware is offered.
    ota: Option<Box<Ota>>,
    /// When the device was last online as itself.
    login_ms: u64,
    /// `None`: there is no storage to keep messages in.
    outboxes: Option<Box<Outboxes>>,
    actions: VecDeque<Action>,
}

impl Session {
    pub fn new(mut settings: Settings, seed: u64) -> Session {
        let mut rng = fastrand::Rng::with_seed(seed);
        let first_id = rng.u64(1..1 << 48);
        Session {
            connection: Connection::new(&mut settings),
            exchange: Exchange::new(&settings, first_id),
            commands: None,
            gateway: None,
            ota: None,
            login_ms: 0,
            outboxes: settings.outbox.map(|outbox| Box::new(Outboxes::new(outbox, settings.identity.clone()))),
            actions: VecDeque::new(),
            settings,
            rng,
        }
    }

    pub fn connect(&mut self, now: Now) {
        self.begin_ota(now);
        let (connection, mut cx) = self.parts(now);
        connection.connect(&mut cx);
    }

    pub fn disconnect(&mut self, now: Now) {
        self.with_connection(now, Connection::disconnect);
    }

    /// The host has saved a device secret by hand.
    pub fn activation_saved(&mut self, now: Now) -> Result<()> {
        let (connection, mut cx) = self.parts(now);
        let change = connection.activation_saved(&mut cx)?;
        self.with_connection(now, |_, _| change);
        Ok(())
    }

    pub fn identity(&self) -> &Identity {
        &self.settings.identity
    }

    /// The state of the connection.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    pub fn state(&self) -> State {
        self.connection.state()
    }

    /// How many actions wait to be performed by the loop.
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

    /// Frees the memory of a burst if nothing is in flight and there are no actions. Returns true if it did.
    pub fn release(&mut self) -> bool {
        let rests = self.actions.is_empty() && self.is_quiet();
        if rests {
            self.actions = VecDeque::new();
            self.exchange.release();
            self.commands.as_deref_mut().map(Commands::release);
            self.outboxes.as_deref_mut().map(Outboxes::release);
        }
        rests
    }

    /// When [`Input::Tick`] is due, CLOCK_BOOTTIME milliseconds.
    pub fn deadline(&self) -> Option<u64> {
        let outbox = self.outboxes.as_deref().and_then(Outboxes::deadline);
        let commands = self.commands.as_deref().and_then(Commands::deadline);
        let gateway = self.gateway.as_deref().and_then(Gateway::deadline);
        let ota = self.ota.as_deref().and_then(Ota::deadline);
        let deadlines = [self.connection.deadline(), self.exchange.deadline(), commands, gateway, ota, outbox];
        deadlines.into_iter().flatten().min()
    }

    pub fn handle(&mut self, now: Now, input: Input) {
        let tidy = matches!(input, Input::Tick);
        self.route(now, input);
        self.exchange.give_turns(now.ms, &mut self.actions);
        self.run_outboxes(now, tidy, tidy);
        while self.exchange.give_turns(now.ms, &mut self.actions) {
            self.run_outboxes(now, tidy, false);
        }
        self.run_ota(now);
        self.with_any_commands(now, Commands::run);
        self.exchange.send_posts(false, now.ms, &mut self.actions);
        self.run_gateway(now);
        self.exchange.tell_room(&mut self.actions);
        self.end_drained_link(now);
    }

    fn route(&mut self, now: Now, input: Input) {
        match input {
            Input::Tick => {
                self.exchange.expire(now.ms, &mut self.actions);
                self.with_any_commands(now, Commands::expire);
                self.with_any_commands(now, |commands, around| commands.tell_refused(around.actions));
                self.with_connection(now, Connection::tick);
            }
            Input::Loaded(mut loaded) => {
                self.commands_loaded(now, std::mem::take(&mut loaded.commands));
                let (connection, mut cx) = self.parts(now);
                connection.loaded(*loaded, &mut cx);
            }
            Input::SecretsStored(result) => {
                self.with_connection(now, |connection, cx| connection.secrets_stored(result.err(), cx));
            }
            Input::Dropped(count) => self.actions.push_back(Action::Emit(Event::dropped(count))),
            Input::Link { attempt, what } if attempt == self.connection.attempt => self.on_link(now, what),
            Input::Link { .. } => {}
            Input::Outbox { subdevice, done } => {
                self.with_outbox(now, subdevice, |outbox, around| outbox.done(done, around));
            }
            Input::SubdeviceLoaded { id, result } => {
                self.with_gateway(now, |gateway, around| gateway.loaded(id, result, around));
            }
            Input::SubdeviceStored { id, result } => {
                self.with_gateway(now, |gateway, around| gateway.stored(id, result, around));
            }
        }
    }

    fn on_link(&mut self, now: Now, what: LinkEvent) {
        let (exchange, actions) = (&mut self.exchange, &mut self.actions);
        match what {
            LinkEvent::Delivered { token } => exchange.delivered(token, actions),
            LinkEvent::NotDelivered { token, status, reason } => exchange.not_delivered(token, status, reason, actions),
            LinkEvent::Subscribed { token, granted } => {
                exchange.subscribed(token, granted, now.ms, actions);
            }
            LinkEvent::Unsubscribed { token } => exchange.done(token, actions),
            LinkEvent::Message { topic, payload, qos, retained } => {
                self.on_message(now, Event::message(topic, payload, qos, retained));
            }
            other => self.with_connection(now, |connection, cx| connection.link_event(other, cx)),
        }
    }

    fn parts(&mut self, now: Now) -> (&mut Connection, Context<'_>) {
        let Session { connection, settings, rng, actions, .. } = self;
        (connection, Context { now, settings, rng, actions })
    }

    /// Calls the connection, and tells the others what that has changed for them.
    fn with_connection(&mut self, now: Now, call: impl FnOnce(&mut Connection, &mut Context) -> Option<Change>) {
        let before = self.actions.len();
        let (connection, mut cx) = self.parts(now);
        match call(connection, &mut cx) {
            None => {}
            Some(Change::Online) => {
                self.exchange.link_up(now.ms, &mut self.actions);
                self.login_ms = now.ms;
                self.with_any_commands(now, Commands::link_up);
                self.with_gateway(now, Gateway::link_up);
                self.ota.as_deref_mut().map(Ota::link_up);
                self.with_outboxes(now, Outboxes::link_up);
            }
            Some(Change::Closing) => {
                self.exchange.send_posts(true, now.ms, &mut self.actions);
                self.exchange.closing(&mut self.actions);
                self.with_gateway(now, |gateway, _| gateway.closing());
                self.with_outboxes(now, Outboxes::stop);
                self.end_drained_link(now);
            }
            Some(Change::Offline { reason, end }) => {
                // The outcomes of calls come before DISCONNECTED.
                let later = self.actions.split_off(before);
                self.with_outboxes(now, |outboxes, session| outboxes.link_down(end, session));
                self.exchange.link_down(&reason, end != LinkEnd::Planned, &mut self.actions);
                self.with_any_commands(now, Commands::link_down);
                self.with_gateway(now, |gateway, around| gateway.link_down(end != LinkEnd::Planned, around));
                self.actions.extend(later);
            }
        }
    }

    /// A link that is to be closed waits for what is in flight.
    fn end_drained_link(&mut self, now: Now) {
        if self.connection.is_draining() && self.is_quiet() {
            let (connection, mut cx) = self.parts(now);
            connection.end_link(&mut cx);
        }
    }
}
