//! A world to put a session in: storage, network, cloud, clock and host, each as unkind as its rates say.

mod attacker;
mod checks;
mod cloud;
mod device;
mod drops;
mod durable;
mod flash;

use std::collections::{BTreeMap, BTreeSet};

use super::super::*;
use super::lost;
use crate::protocol::{Secret, SecureMode, SignMethod};
use crate::storage::queue::{Queue, QueueLimits};

pub use attacker::Attacker;
pub use cloud::{activation, Cloud, Dislikes};
pub use device::{proven, settings, Disk, End};
pub use durable::{queue, Ledger, LIMITS};
pub use flash::{Flash, FlashRates};

pub const PRODUCT: &str = "product-secret";

/// In thousandths, how often something goes wrong.
#[derive(Clone, Copy, Default)]
pub struct Rates {
    pub load_fails: u64,
    pub store_fails: u64,
    /// Of the records that are a help and no promise: the budget's stamps, and what was accepted.
    pub hint_fails: u64,
    pub connect_fails: u64,
    /// The CONNECT takes its time to go out.
    pub connect_slow: u64,
    pub no_answer: u64,
    pub spurious_refusal: u64,
    pub push_lost: u64,
    pub push_twice: u64,
    pub push_forged: u64,
    /// Somebody gets onto the path for a time.
    pub attacked: u64,
    pub link_lost: u64,
    /// Packets vanish from some time on, both ways; the keep-alive finds out much later.
    pub half_open: u64,
    pub no_reply: u64,
    /// The process dies and is started again.
    pub killed: u64,
    /// The board reboots.
    pub power_cut: u64,
    /// The host saves by hand what it is told of, and says so some time later.
    pub host_saves: u64,
    pub host_disconnects: u64,
    /// The host ends its process in order: it destroys the client, if that is not refused.
    pub host_ends: u64,
    /// A call of the storage takes its time; what comes meanwhile waits, also calls of the host's other threads.
    pub storage_slow: u64,
    pub clock_jumps: u64,
    /// The outbox's storage.
    pub flash: FlashRates,
    /// Of durable messages: EnOS refuses some for good, the broker hangs up at some.
    pub poison: u64,
    pub deadly: u64,
    /// Some are never answered.
    pub mute: u64,
    /// EnOS has trouble that passes.
    pub busy: u64,
    pub ack_lost: u64,
    /// A filter of a SUBSCRIBE is refused.
    pub filter_refused: u64,
}

enum Due {
    Link(u64, LinkEvent),
    /// The cloud's message with this secret.
    Push(u64, String),
    Connect(u64, SecureMode, Secret, SignMethod),
    /// A message of the outbox, on its way to the cloud: link, token, number, topic, id.
    Durable(u64, u64, u64, String, Option<String>),
    /// The host says that it has saved what it was told of.
    Saved,
    /// The host wants to be online again.
    Reconnect,
}

/// The link of an attempt.
struct Wire {
    attempt: u64,
    is_product: bool,
    connect_sent: bool,
    /// From then on nothing gets through.
    silent_from: u64,
    /// It ends at the attacker's.
    is_forged: bool,
    /// Requests without an outcome.
    open: BTreeSet<u64>,
    /// The filters of the host's that were asked for.
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
    /// The filters that the host has subscribed and not taken back.
    wanted: BTreeSet<String>,
    /// Of the last time that the secrets were read.
    load_failed: bool,
    /// All that was in the storage at some time.
    stored: BTreeSet<String>,
    /// What the host was told of and has saved, in that order.
    saved_by_hand: Vec<String>,
    /// Since when device logins have been refused.
    refused_since: Option<u64>,
    /// Until then the cloud may count CONNECTs that the session cannot know of: their stamps were not stored or read.
    uncounted_until: u64,
    end: Option<End>,
    performing: bool,
    /// Disconnects of this process, and how many of them were told to have come to their end.
    disconnects: usize,
    stopped: usize,
    boot: u64,
    booted_at: u64,
    clock_off_by: u64,
    pub flash: Flash,
    pub queue: Queue,
    pub limits: QueueLimits,
    pub ledger: Ledger,
    last_arrival: u64,
}

impl World {
    pub fn new(seed: u64, settings: Settings, method: SignMethod) -> World {
        let mut rng = fastrand::Rng::with_seed(seed);
        let flash = Flash::new(seed);
        World {
            queue: queue(&flash, LIMITS),
            flash,
            limits: LIMITS,
            ledger: Ledger::default(),
            last_arrival: 0,
            now: 10_000,
            rates: Rates::default(),
            disk: Disk::default(),
            cloud: Cloud::new(method),
            attacker: None,
            attacker_until: 0,
            session: Session::new(settings.clone(), rng.u64(..)),
            events: Vec::new(),
            violations: Vec::new(),
            settings,
            due: BTreeMap::new(),
            order: 0,
            wire: None,
            accepted: BTreeSet::new(),
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

    /// As the session sees it: since its boot, and by a clock that may be wrong.
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

    /// Accepted or not, the call is the session's business; an accepted one is owed an outcome.
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
        // What comes while this is told, for the storage takes its time, is told after the time.
        let until = self.now;
        while let Some((&key, _)) = self.due.range(..=(until, u64::MAX)).next() {
            let Some(due) = self.due.remove(&key) else { break };
            // The dead send nothing, and hear nothing.
            if self.end.is_none() {
                self.happen(due);
            }
        }
        self.feed(Input::Tick);
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

    /// Until the state is reached; false after `for_ms`.
    pub fn run_to(&mut self, state: State, for_ms: u64) -> bool {
        let until = self.now + for_ms;
        while self.session.state() != state && self.now < until {
            self.step(until);
        }
        self.session.state() == state
    }

    fn happen(&mut self, due: Due) {
        // What ends the link is found out on this side.
        let passes =
            matches!(&due, Due::Link(_, LinkEvent::Lost { .. } | LinkEvent::Closed) | Due::Saved | Due::Reconnect);
        if !passes && self.is_silent() {
            return;
        }
        match due {
            Due::Link(attempt, what) if self.is_on(attempt) => {
                if what.is_end() {
                    // As Paho does it: what was under way is given back before the loss is told.
                    let open = self.wire.take().map(|wire| wire.open).unwrap_or_default();
                    for token in open {
                        let what = LinkEvent::NotDelivered { token, reason: "the connection ended".into() };
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
            Due::Link(..) | Due::Push(..) | Due::Connect(..) | Due::Durable(..) => {}
            Due::Saved => {
                // It may have been stored meanwhile: then that is an error to the host, and no harm.
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

    /// An operator deletes the device in the console and registers it anew.
    pub fn register_anew(&mut self) {
        self.cloud.secret = None;
        self.cloud.active = false;
        if let Some(wire) = &self.wire {
            self.later(0, Due::Link(wire.attempt, lost("deleted")));
        }
    }

    /// The process ends, by chance or now, and is started again: memory is lost, the disk is not.
    pub fn restart(&mut self, now: Option<End>) {
        let Some(end) = self.end.take().or(now) else { return };
        self.due.clear();
        self.wire = None;
        self.refused_since = None;
        self.accepted.clear();
        (self.disconnects, self.stopped) = (0, 0);
        self.wanted.clear();
        self.now += self.rng.u64(1..1_000);
        if end == End::PowerCut {
            self.boot += 1;
            self.booted_at = self.now;
            self.now += self.rng.u64(500..20_000);
        }
        // As the header has it: what was saved by hand is given to the next process.
        if let Some(saved) = self.saved_by_hand.last() {
            self.settings.device_secret = Some(Secret::new(saved.as_bytes()).unwrap());
        }
        self.session = Session::new(self.settings.clone(), self.rng.u64(..));
        self.next_life();
        self.connect();
    }

    /// What the cloud wants is somewhere where the device can find it, also after a restart.
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
