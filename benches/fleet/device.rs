//! One device in one outage, with the session of libenos, or with the policy that is common elsewhere.

use enos::internals::error::Status;
use enos::internals::model::link::LinkEvent;
use enos::internals::model::sign::SignMethod;
use enos::internals::protocol::{Identity, Secret};
use enos::internals::session::{
    Action, BudgetLimits, CommandSettings, EventKind, Input, Now, Session, Settings, State, SubdeviceSettings,
};

/// The beginning of the outage on the clock of a session, which has been online for a long time then.
const BEGINS_MS: u64 = 10_000_000;
/// The range of a packet's latency.
const LATENCY_MS: std::ops::RangeInclusive<u64> = 5..=100;
const CONNECT_TIMEOUT_MS: u64 = 30_000;

/// What the cloud does while it is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nobody listens: a connection is refused at once, and no CONNECT is sent.
    Refuses,
    /// It accepts connections and never answers the CONNECT, as a load balancer does.
    Hangs,
}

#[derive(Clone, Copy, Debug)]
pub struct Outage {
    pub kind: Kind,
    pub lasts_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The session of libenos, with its default settings.
    Enos,
    /// 1 s, doubled at each failure up to 30 s, without jitter or budget.
    Doubling,
}

/// The result; times are in milliseconds since the link was lost.
pub struct Life {
    /// When each CONNECT arrived at the cloud.
    pub connects: Vec<u64>,
    /// When the host was told of the loss, and of the new connection.
    pub told: u64,
    pub back: u64,
    /// Whether EnOS banned the device.
    pub banned: bool,
}

/// EnOS's rule: the 4th CONNECT within 2 minutes bans the device for 5 minutes.
#[derive(Default)]
struct Gate {
    connects: Vec<u64>,
    barred_until: u64,
    banned: bool,
}

impl Gate {
    /// A CONNECT arrives; returns whether it may be answered.
    fn take(&mut self, now: u64) -> bool {
        self.connects.push(now);
        if now < self.barred_until {
            return false;
        }
        let within = self.connects.iter().rev().take_while(|at| **at + 120_000 > now).count();
        if within >= 4 {
            self.barred_until = now + 300_000;
            self.banned = true;
        }
        within < 4
    }
}

pub fn live(policy: Policy, outage: Outage, seed: u64) -> Life {
    match policy {
        Policy::Enos => enos(outage, seed),
        Policy::Doubling => doubling(outage, seed),
    }
}

fn doubling(outage: Outage, seed: u64) -> Life {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut gate = Gate::default();
    let mut now = rng.u64(LATENCY_MS);
    let told = now;
    let mut wait = 1_000;
    loop {
        now += wait;
        wait = (wait * 2).min(30_000);
        let arrives = now + rng.u64(LATENCY_MS);
        now = arrives + rng.u64(LATENCY_MS);
        match outage.kind {
            Kind::Refuses if arrives < outage.lasts_ms => {}
            Kind::Hangs if arrives < outage.lasts_ms => {
                gate.take(arrives);
                now = arrives + CONNECT_TIMEOUT_MS;
            }
            _ if gate.take(arrives) => break,
            _ => {}
        }
    }
    Life { connects: gate.connects, told, back: now, banned: gate.banned }
}

/// The cloud and the network around one session, in virtual time.
struct World {
    session: Session,
    rng: fastrand::Rng,
    outage: Outage,
    gate: Gate,
    now: u64,
    /// When the host was told of the first loss.
    told: Option<u64>,
    /// The next event of the session's attempt, and its time.
    due: Option<(u64, u64, LinkEvent)>,
}

fn enos(outage: Outage, seed: u64) -> Life {
    let (session, rng) = (Session::new(settings(), seed), fastrand::Rng::with_seed(!seed));
    let mut world = World { session, rng, outage, gate: Gate::default(), now: 0, told: None, due: None };
    world.session.connect(world.now());
    let first = world.go_online();
    world.gate = Gate::default();
    world.now = BEGINS_MS + world.rng.u64(LATENCY_MS);
    world.tell(first, LinkEvent::Lost { status: Status::ENOS_ERR_NETWORK, reason: String::new() });
    world.go_online();
    let connects = world.gate.connects.iter().map(|at| at - BEGINS_MS).collect();
    let told = world.told.expect("a loss is told") - BEGINS_MS;
    Life { connects, told, back: world.now - BEGINS_MS, banned: world.gate.banned }
}

impl World {
    fn now(&self) -> Now {
        Now { ms: self.now, wall_ms: 1_700_000_000_000 + self.now }
    }

    fn tell(&mut self, attempt: u64, what: LinkEvent) {
        self.session.handle(self.now(), Input::Link { attempt, what });
    }

    /// Runs until the session is online, and returns the attempt.
    fn go_online(&mut self) -> u64 {
        loop {
            self.perform();
            let deadline = self.session.deadline();
            match self.due.take_if(|(at, ..)| deadline.is_none_or(|deadline| *at < deadline)) {
                Some((at, attempt, what)) => {
                    self.now = at;
                    self.tell(attempt, what);
                    if self.session.state() == State::Online {
                        return attempt;
                    }
                }
                None => {
                    self.now = deadline.expect("a session on its way has something to wait for").max(self.now);
                    self.session.handle(self.now(), Input::Tick);
                }
            }
        }
    }

    fn perform(&mut self) {
        while let Some(action) = self.session.next_action() {
            match action {
                Action::Load => self.session.handle(self.now(), Input::Loaded(Box::default())),
                Action::Open { attempt, .. } => self.open(attempt),
                Action::Abandon { attempt, reason } => {
                    self.due = None;
                    self.tell(attempt, failed(reason, true));
                }
                Action::Emit(event) if event.kind == EventKind::Disconnected => {
                    self.told.get_or_insert(self.now);
                }
                _ => {}
            }
        }
    }

    fn open(&mut self, attempt: u64) {
        let arrives = self.now + self.rng.u64(LATENCY_MS);
        let answer = match self.outage.kind {
            _ if !(BEGINS_MS..BEGINS_MS + self.outage.lasts_ms).contains(&arrives) => match self.gate.take(arrives) {
                true => Some(LinkEvent::Connected),
                false => Some(LinkEvent::Refused { code: 5 }),
            },
            Kind::Refuses => Some(failed("refused".to_owned(), false)),
            Kind::Hangs => {
                self.gate.take(arrives);
                None
            }
        };
        let heard = arrives + self.rng.u64(LATENCY_MS);
        self.due = answer.map(|answer| (heard, attempt, answer));
    }
}

fn failed(reason: String, connect_sent: bool) -> LinkEvent {
    LinkEvent::Failed { status: Status::ENOS_ERR_NETWORK, reason, connect_sent }
}

/// The library's default configuration, for a device with a secret.
fn settings() -> Settings {
    Settings {
        subdevices: SubdeviceSettings { limit: 200, batch: 100, join_ms: 50 },
        identity: Identity::new("pk", "dk", None).unwrap(),
        device_secret: Some(Secret::new(b"device-secret").unwrap()),
        product_secret: None,
        sign_method: Some(SignMethod::HmacSha1),
        reactivation: true,
        connect_timeout_ms: CONNECT_TIMEOUT_MS,
        activation_timeout_ms: 30_000,
        reply_timeout_ms: 30_000,
        reconnect_min_ms: 1_000,
        reconnect_max_ms: 120_000,
        budget: BudgetLimits { connects: 3, window_ms: 125_000, spacing_ms: 1_100 },
        inflight: 10,
        subscribe_batch: 100,
        commands: CommandSettings::default(),
        firmware_version: None,
        outbox: None,
    }
}
