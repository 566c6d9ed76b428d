//! The surroundings of a session: storage, network, cloud, clock and host. Each fails as often as its rates say.

mod attacker;
mod checks;
mod cloud;
mod commands;
mod device;
mod drops;
mod durable;
mod flash;
mod ledger;
mod rates;
mod requests;
mod subdevices;

use std::collections::{BTreeMap, BTreeSet};

use super::lost;
use crate::error::Status;
use crate::model::sign::{SecureMode, SignMethod};
use crate::protocol::Secret;
use crate::session::*;
use crate::storage::queue::{Queue, QueueLimits};

pub use attacker::Attacker;
pub use cloud::{activation, Cloud, Dislikes};
use commands::Commands;
pub use device::{proven, settings, Disk, End};
pub use durable::{queues, DEVICES, LIMITS};
pub use flash::{Flash, FlashRates};
use ledger::Ledger;
pub use rates::Rates;
use requests::Promise;
use subdevices::with_subdevices;

pub const PRODUCT: &str = "product-secret";

enum Due {
    Link(u64, LinkEvent),
    /// The activation message with this secret.
    Push(u64, String),
    Connect(u64, SecureMode, Secret, SignMethod),
    /// A command of the cloud: link, number.
    Command(u64, u64),
    /// The host answers a command that it has kept: its key, its number.
    Answer(u64, u64),
    /// A message of the outbox that is on its way to the cloud: link, token, number, topic, id.
    Durable(u64, u64, u64, String, Option<String>),
    /// The reply to a raw request: topic and payload.
    RawReply(Vec<u8>, Vec<u8>),
    /// The host confirms that it has saved the secrets that it was told of.
    Saved,
    /// The host wants to be online again.
    Reconnect,
}

/// The link of an attempt.
struct Wire {
    attempt: u64,
    is_product: bool,
    connect_sent: bool,
    /// From this time on, packets are lost.
    silent_from: u64,
    /// The attacker is the other end of the connection.
    is_forged: bool,
    /// Requests without an outcome.
    open: BTreeSet<u64>,
    /// The host's filters that were subscribed to on this link.
    asked: BTreeSet<String>,
}

pub struct World {
    pub now: u64,
    pub rates: Rates,
    pub rng: fastrand::Rng,
    pub disk: Disk,
    pub cloud: Cloud,
    pub attacker: Option<Attacker>,
    attacker_until: u64,
    pub session: Session,
    pub events: Vec<Event>,
    pub violations: Vec<String>,
    settings: Settings,
    due: BTreeMap<(u64, u64), Due>,
    order: u64,
    wire: Option<Wire>,
    accepted: BTreeSet<u64>,
    /// What the outcomes of requests have to have, by their tokens.
    promised: BTreeMap<u64, Promise>,
    /// The filters that the host has subscribed to and not unsubscribed from.
    wanted: BTreeSet<String>,
    /// Whether the last load of the secrets failed.
    load_failed: bool,
    /// All secrets that were ever stored.
    stored: BTreeSet<String>,
    /// The secrets that the host has saved by hand, in that order.
    saved_by_hand: Vec<String>,
    /// Since when device logins have been refused.
    refused_since: Option<u64>,
    /// Until this time the cloud may count CONNECTs that the session does not know, because their stamps were not
    /// stored or could not be read.
    uncounted_until: u64,
    end: Option<End>,
    performing: bool,
    /// Calls of disconnect() in this process, and how many STOPPED events have come.
    disconnects: usize,
    stopped: usize,
    boot: u64,
    booted_at: u64,
    clock_off_by: u64,
    pub flash: Flash,
    /// Of the client's own device, and of its sub-devices.
    pub queues: [Queue; DEVICES],
    pub limits: QueueLimits,
    pub ledgers: [Ledger; DEVICES],
    /// Whether each sub-device is logged in.
    is_logged_in: [bool; DEVICES],
    pub commands: Commands,
    last_arrival: u64,
}

impl World {
    pub fn new(seed: u64, settings: Settings, method: SignMethod) -> World {
        let mut rng = fastrand::Rng::with_seed(seed);
        let flash = Flash::new(seed);
        World {
            queues: queues(&flash, LIMITS),
            flash,
            limits: LIMITS,
            ledgers: Default::default(),
            is_logged_in: Default::default(),
            commands: Commands::default(),
            last_arrival: 0,
            now: 10_000,
            rates: Rates::default(),
            disk: Disk::default(),
            cloud: Cloud::new(method),
            attacker: None,
            attacker_until: 0,
            session: with_subdevices(Session::new(settings.clone(), rng.u64(..))),
            events: Vec::new(),
            violations: Vec::new(),
            settings,
            due: BTreeMap::new(),
            order: 0,
            wire: None,
            accepted: BTreeSet::new(),
            promised: BTreeMap::new(),
            wanted: BTreeSet::new(),
            load_failed: false,
            stored: BTreeSet::new(),
            saved_by_hand: Vec::new(),
            refused_since: None,
            uncounted_until: 0,
            end: None,
            performing: false,
            disconnects: 0,
            stopped: 0,
            boot: 0,
            booted_at: 0,
            clock_off_by: 0,
            rng,
        }
    }

    /// The time as the session sees it: since the boot, and by a wall clock that may be wrong.
    pub fn now(&self) -> Now {
        let wall_ms = (1_700_000_000_000 + self.now).wrapping_add(self.clock_off_by);
        Now { ms: self.now - self.booted_at, wall_ms }
    }

    fn happens(&mut self, rate: u64) -> bool {
        rate > 0 && self.rng.u64(0..1000) < rate
    }

    fn later(&mut self, in_ms: u64, due: Due) {
        self.order += 1;
        self.due.insert((self.now + in_ms, self.order), due);
    }

    pub fn connect(&mut self) {
        self.session.connect(self.now());
        self.perform();
    }

    pub fn disconnect(&mut self) {
        self.disconnects += 1;
        self.session.disconnect(self.now());
        self.perform();
    }

    pub fn feed(&mut self, input: Input) {
        if self.end.is_some() {
            return;
        }
        self.session.handle(self.now(), input);
        self.perform();
    }

    /// Makes a call. If the session accepts it, the call has to get an outcome.
    pub fn call(&mut self, call: impl FnOnce(&mut Session, Now) -> Result<u64>) -> Result<u64> {
        let now = self.now();
        let token = call(&mut self.session, now)?;
        self.accepted.insert(token);
        self.perform();
        Ok(token)
    }

    pub fn subscribe(&mut self, filter: &str) {
        self.wanted.insert(filter.to_owned());
        drop(self.call(|session, now| session.subscribe(now, filter, 1)));
    }

    pub fn unsubscribe(&mut self, filter: &str) {
        self.wanted.remove(filter);
        drop(self.call(|session, now| session.unsubscribe(now, filter)));
    }

    pub fn violate(&mut self, words: String) {
        self.violations.push(format!("at {} ms: {words}", self.now));
    }

    /// Lets time pass until something happens, or `until`.
    pub fn step(&mut self, until: u64) {
        let next_due = self.due.keys().next().map(|&(at, _)| at);
        let deadline = self.session.deadline().map(|at| at + self.booted_at);
        let next = [next_due, deadline].into_iter().flatten().min().unwrap_or(until).min(until);
        self.now = self.now.max(next);
        self.meet_attacker();
        if self.happens(self.rates.clock_jumps) {
            self.clock_off_by = self.rng.u64(..);
        }
        if self.happens(self.rates.host_disconnects) {
            self.disconnect();
            let after = self.rng.u64(0..10_000);
            self.later(after, Due::Reconnect);
        }
        // A slow storage makes time pass while this is given to the session. Later inputs wait until then.
        let until = self.now;
        while let Some((&key, _)) = self.due.range(..=(until, u64::MAX)).next() {
            let Some(due) = self.due.remove(&key) else { break };
            // After its end a process neither sends nor receives.
            if self.end.is_none() {
                self.happen(due);
            }
        }
        // Storage calls of this pass take time.
        let ticked = self.now;
        self.feed(Input::Tick);
        self.log_in_and_out();
        self.check_commands(ticked);
        if self.happens(self.rates.host_ends) {
            self.destroy();
        }
        self.check_way_out();
        self.check_unsaved();
        self.check_subscriptions();
    }

    pub fn run_until(&mut self, until: u64) {
        while self.now < until {
            self.step(until);
        }
    }

    /// Runs until the state is reached. Returns false after `for_ms`.
    pub fn run_to(&mut self, state: State, for_ms: u64) -> bool {
        let until = self.now + for_ms;
        while self.session.state() != state && self.now < until {
            self.step(until);
        }
        self.session.state() == state
    }

    fn happen(&mut self, due: Due) {
        // The device itself finds out that the link has ended.
        let passes = matches!(
            &due,
            Due::Link(_, LinkEvent::Lost { .. } | LinkEvent::Closed) | Due::Saved | Due::Reconnect | Due::Answer(..)
        );
        if !passes && self.is_silent() {
            return;
        }
        match due {
            Due::Link(attempt, what) if self.is_on(attempt) => {
                if what.is_end() {
                    // As Paho does it: requests in progress end before the loss of the link is reported.
                    let open = self.wire.take().map(|wire| wire.open).unwrap_or_default();
                    for token in open {
                        let what = LinkEvent::NotDelivered {
                            token,
                            status: Status::ENOS_ERR_NETWORK,
                            reason: "the connection ended".into(),
                        };
                        self.feed(Input::Link { attempt, what });
                    }
                }
                if let LinkEvent::Delivered { token }
                | LinkEvent::Subscribed { token, .. }
                | LinkEvent::Unsubscribed { token } = &what
                {
                    if let Some(wire) = &mut self.wire {
                        wire.open.remove(token);
                    }
                    self.answer_is_out(*token);
                }
                self.feed(Input::Link { attempt, what });
            }
            Due::Push(attempt, secret) if self.is_on(attempt) => {
                self.feed(Input::Link { attempt, what: activation(&secret) });
                self.check_in_hand(&secret);
            }
            Due::Connect(attempt, mode, secret, method) if self.is_on(attempt) => {
                self.arrive(attempt, mode, &secret, method);
            }
            Due::Durable(attempt, token, number, topic, id) if self.is_on(attempt) => {
                self.durable_arrives(attempt, token, number, &topic, id);
            }
            Due::RawReply(topic, payload) => self.raw_reply_arrives(topic, payload),
            Due::Command(attempt, number) if self.is_on(attempt) => self.command_arrives(attempt, number),
            Due::Answer(key, number) => self.answer_later(key, number),
            Due::Link(..) | Due::Push(..) | Due::Connect(..) | Due::Durable(..) | Due::Command(..) => {}
            Due::Saved => {
                // The secret may have been stored meanwhile. Then the call returns an error, which does no harm.
                let _ = self.session.activation_saved(self.now());
                self.perform();
            }
            Due::Reconnect => self.connect(),
        }
    }

    fn is_silent(&self) -> bool {
        self.wire.as_ref().is_some_and(|wire| wire.silent_from <= self.now)
    }

    fn is_on(&self, attempt: u64) -> bool {
        self.wire.as_ref().is_some_and(|wire| wire.attempt == attempt)
    }

    /// An operator deletes the device in the console and registers it again.
    pub fn register_anew(&mut self) {
        self.cloud.secret = None;
        self.cloud.active = false;
        if let Some(wire) = &self.wire {
            self.later(0, Due::Link(wire.attempt, lost("deleted")));
        }
    }

    /// The process ends, at random or now, and is started again. Its memory is lost; the disk is not.
    pub fn restart(&mut self, now: Option<End>) {
        let Some(end) = self.end.take().or(now) else { return };
        self.due.clear();
        self.wire = None;
        self.refused_since = None;
        self.accepted.clear();
        self.promised.clear();
        (self.disconnects, self.stopped) = (0, 0);
        self.wanted.clear();
        self.commands.next_life();
        self.now += self.rng.u64(1..1_000);
        if end == End::PowerCut {
            self.boot += 1;
            self.booted_at = self.now;
            self.now += self.rng.u64(500..20_000);
        }
        // As the header asks: a secret that was saved by hand is given to the next process.
        if let Some(saved) = self.saved_by_hand.last() {
            self.settings.device_secret = Some(Secret::new(saved.as_bytes()).unwrap());
        }
        self.session = with_subdevices(Session::new(self.settings.clone(), self.rng.u64(..)));
        self.next_life();
        self.connect();
    }

    /// The device can find the secret that the cloud accepts, also after a restart.
    pub fn keeps(&self, secret: &str) -> bool {
        self.disk.holds(secret) || self.saved_by_hand.iter().any(|saved| saved == secret)
    }

    pub fn is_configured(&self, secret: &str) -> bool {
        self.settings.device_secret.as_ref().is_some_and(|configured| configured.as_str() == secret)
    }

    pub fn kinds(&self) -> Vec<(EventKind, Status)> {
        self.events.iter().map(|event| (event.kind, event.status)).collect()
    }
}
