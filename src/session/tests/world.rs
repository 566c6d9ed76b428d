//! A world to put a session in: storage, network, cloud and clock, each as unkind as its rates say.

use std::collections::{BTreeMap, BTreeSet};

use zeroize::Zeroizing;

use super::super::*;
use crate::protocol::{Identity, Secret, SecureMode, SignMethod};

pub const PRODUCT: &str = "product-secret";

/// In thousandths, how often something goes wrong.
#[derive(Clone, Copy, Default)]
pub struct Rates {
    pub load_fails: u64,
    pub store_fails: u64,
    pub connect_fails: u64,
    pub no_answer: u64,
    pub spurious_refusal: u64,
    pub push_lost: u64,
    pub push_twice: u64,
    pub push_forged: u64,
    pub link_lost: u64,
    pub no_reply: u64,
    pub power_cut: u64,
    pub host_meddles: u64,
}

/// What survives a power cut: the host's storage.
#[derive(Clone, Default)]
pub struct Disk {
    pub current: Option<KeptSecret>,
    pub previous: Option<KeptSecret>,
    pub pending: Vec<KeptSecret>,
    pub accepted: Option<Accepted>,
    pub budget: Option<Vec<u64>>,
}

impl Disk {
    pub fn holds(&self, secret: &str) -> bool {
        let all = self.current.iter().chain(&self.previous).chain(&self.pending);
        all.into_iter().any(|kept| kept.secret.as_str() == secret)
    }
}

/// The cloud's side of the device.
pub struct Cloud {
    pub method: SignMethod,
    pub secret: Option<String>,
    /// A login as the device ends product logins.
    pub active: bool,
    pub issued: u32,
    pub connects: Vec<u64>,
}

enum Due {
    Link(u64, LinkInput),
    Connect(u64, SecureMode, Secret, SignMethod),
}

pub struct World {
    pub now: u64,
    pub rates: Rates,
    pub rng: fastrand::Rng,
    pub disk: Disk,
    pub cloud: Cloud,
    pub session: Session,
    pub events: Vec<Event>,
    pub violations: Vec<String>,
    settings: Settings,
    due: BTreeMap<(u64, u64), Due>,
    order: u64,
    link: Option<u64>,
    accepted: BTreeSet<u64>,
    saved_by_hand: BTreeSet<String>,
    /// Since when device logins have been refused.
    refused_since: Option<u64>,
    power_cut: bool,
}

pub fn settings() -> Settings {
    Settings {
        identity: Identity::new("pk", "dk", None).unwrap(),
        device_secret: None,
        product_secret: Some(Secret::new(PRODUCT.as_bytes()).unwrap()),
        sign_method: None,
        reactivation: true,
        connect_timeout_ms: 30_000,
        activation_timeout_ms: 30_000,
        reply_timeout_ms: 30_000,
        reconnect_min_ms: 1_000,
        reconnect_max_ms: 120_000,
        budget: BudgetLimits { connects: 3, window_ms: 125_000, spacing_ms: 1_100 },
        inflight: 10,
    }
}

impl World {
    pub fn new(seed: u64, settings: Settings, method: SignMethod) -> World {
        let mut rng = fastrand::Rng::with_seed(seed);
        World {
            now: 10_000,
            rates: Rates::default(),
            disk: Disk::default(),
            cloud: Cloud { method, secret: None, active: false, issued: 0, connects: Vec::new() },
            session: Session::new(settings.clone(), rng.u64(..)),
            events: Vec::new(),
            violations: Vec::new(),
            settings,
            due: BTreeMap::new(),
            order: 0,
            link: None,
            accepted: BTreeSet::new(),
            saved_by_hand: BTreeSet::new(),
            refused_since: None,
            power_cut: false,
            rng,
        }
    }

    pub fn now(&self) -> Now {
        Now { ms: self.now, wall_ms: 1_700_000_000_000 + self.now }
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
        self.session.disconnect(self.now());
        self.perform();
    }

    pub fn feed(&mut self, input: Input) {
        if self.power_cut {
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

    pub fn violate(&mut self, words: String) {
        self.violations.push(format!("at {} ms: {words}", self.now));
    }

    /// Lets time pass until something happens, or `until`.
    pub fn step(&mut self, until: u64) {
        let next_due = self.due.keys().next().map(|&(at, _)| at);
        let next = [next_due, self.session.deadline()].into_iter().flatten().min().unwrap_or(until).min(until);
        self.now = self.now.max(next);
        while let Some((&key, _)) = self.due.range(..=(self.now, u64::MAX)).next() {
            let Some(due) = self.due.remove(&key) else { break };
            self.happen(due);
        }
        self.feed(Input::Tick);
        self.check_way_out();
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

    fn check_way_out(&mut self) {
        let stuck = match self.session.state() {
            State::Idle | State::Online => false,
            _ => !self.power_cut && self.session.deadline().is_none() && self.due.is_empty(),
        };
        if stuck {
            self.violate(format!("{} has no way out", self.session.state().name()));
        }
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Link(attempt, what) if self.link == Some(attempt) => {
                if let LinkInput::Failed { .. } | LinkInput::Refused { .. } | LinkInput::Lost { .. } | LinkInput::Closed = what
                {
                    self.link = None;
                }
                self.feed(Input::Link { attempt, what });
            }
            Due::Link(..) => {}
            Due::Connect(attempt, mode, secret, method) if self.link == Some(attempt) => {
                self.arrive(attempt, mode, &secret, method);
            }
            Due::Connect(..) => {}
        }
    }

    /// A CONNECT reaches the cloud.
    fn arrive(&mut self, attempt: u64, mode: SecureMode, secret: &Secret, method: SignMethod) {
        let window = self.cloud.connects.iter().filter(|&&at| at + 120_000 > self.now).count();
        let spacing = self.cloud.connects.last().map_or(u64::MAX, |&at| self.now - at);
        if window >= 3 || spacing < 1_000 {
            self.violate(format!("CONNECT number {} in 2 minutes, {spacing} ms after the last", window + 1));
        }
        self.cloud.connects.push(self.now);
        if self.happens(self.rates.no_answer) {
            return;
        }
        let refused = self.happens(self.rates.spurious_refusal)
            || method != self.cloud.method
            || match mode {
                SecureMode::Device => self.cloud.secret.as_deref() != Some(secret.as_str()),
                SecureMode::Product => self.cloud.active || secret.as_str() != PRODUCT,
            };
        let delay = self.rng.u64(0..200);
        if refused {
            let code = 4 + self.rng.u8(0..2);
            if mode == SecureMode::Device {
                self.refused_since.get_or_insert(self.now);
            }
            return self.later(delay, Due::Link(attempt, LinkInput::Refused { code }));
        }
        self.later(delay, Due::Link(attempt, LinkInput::Up));
        match mode {
            SecureMode::Device => self.cloud.active = true,
            SecureMode::Product => self.push(attempt, delay),
        }
        if self.happens(self.rates.link_lost) {
            let after = delay + self.rng.u64(0..100_000);
            self.later(after, Due::Link(attempt, LinkInput::Lost { reason: "reset".into() }));
        }
    }

    fn push(&mut self, attempt: u64, delay: u64) {
        let issued = &mut self.cloud.issued;
        let secret = self.cloud.secret.get_or_insert_with(|| {
            *issued += 1;
            format!("device-secret-{issued}")
        });
        let secret = secret.clone();
        if self.happens(self.rates.push_forged) {
            let forged = format!("forged-{}", self.rng.u32(..));
            self.later(delay, Due::Link(attempt, activation(&forged)));
        }
        if !self.happens(self.rates.push_lost) {
            let after = delay + self.rng.u64(0..3_000);
            self.later(after, Due::Link(attempt, activation(&secret)));
            if self.happens(self.rates.push_twice) {
                self.later(after + 1, Due::Link(attempt, activation(&secret)));
            }
        }
    }

    fn perform(&mut self) {
        while let Some(action) = self.session.next_action() {
            if self.power_cut {
                return;
            }
            if self.happens(self.rates.power_cut) {
                self.power_cut = true;
                return;
            }
            if let Some(answer) = self.perform_one(action) {
                self.session.handle(self.now(), answer);
            }
        }
    }

    fn perform_one(&mut self, action: Action) -> Option<Input> {
        match action {
            Action::Load => return Some(Input::Loaded(Box::new(self.load()))),
            Action::StorePending(pending) => {
                let result = self.write(|disk| disk.pending = pending.clone());
                return Some(Input::PendingStored(result));
            }
            Action::Promote { current, previous } => return Some(Input::Promoted(self.promote(current, previous))),
            Action::StoreAccepted(accepted) => drop(self.write(|disk| disk.accepted = Some(accepted))),
            Action::StoreBudget(stamps) => self.disk.budget = Some(stamps),
            Action::Open { attempt, candidate, .. } => self.open(attempt, &candidate),
            Action::Abandon { attempt, reason } => {
                self.link = self.link.filter(|&link| link != attempt);
                return Some(Input::Link { attempt, what: LinkInput::Failed { reason, connect_sent: true } });
            }
            Action::Disconnect { attempt, .. } => {
                let delay = self.rng.u64(0..100);
                self.later(delay, Due::Link(attempt, LinkInput::Closed));
            }
            Action::Send(request) => self.send(request),
            Action::Emit(event) => self.emit(event),
            Action::Log(..) => {}
        }
        None
    }

    fn load(&mut self) -> Loaded {
        let failure = || StorageFailure { code: -7, message: "the flash does not answer".into() };
        let rate = self.rates.load_fails;
        let current = if self.happens(rate) { Err(failure()) } else { Ok(self.disk.current.clone()) };
        let previous = if self.happens(rate) { Err(failure()) } else { Ok(self.disk.previous.clone()) };
        let pending = if self.happens(rate) { Err(failure()) } else { Ok(self.disk.pending.clone()) };
        let budget = self.disk.budget.clone().map(|stamps| (stamps, true));
        Loaded { current, previous, pending, accepted: self.disk.accepted, budget }
    }

    fn write(&mut self, write: impl FnOnce(&mut Disk)) -> std::result::Result<(), StorageFailure> {
        if self.happens(self.rates.store_fails) {
            return Err(StorageFailure { code: -5, message: "the flash is full".into() });
        }
        let before = self.disk.clone();
        write(&mut self.disk);
        let valid = self.cloud.secret.clone();
        if valid.is_some_and(|valid| before.holds(&valid) && !self.disk.holds(&valid)) {
            self.violate("the valid secret was destroyed in the storage".into());
        }
        Ok(())
    }

    fn promote(
        &mut self,
        current: KeptSecret,
        previous: Option<KeptSecret>,
    ) -> std::result::Result<(), StorageFailure> {
        if let Some(previous) = previous {
            self.write(|disk| disk.previous = Some(previous))?;
        }
        self.write(|disk| disk.current = Some(current))?;
        self.write(|disk| disk.pending.clear())
    }

    fn open(&mut self, attempt: u64, candidate: &Candidate) {
        let unsaved = !self.disk.holds(candidate.secret.as_str())
            && !self.saved_by_hand.contains(candidate.secret.as_str())
            && self.settings.device_secret.as_ref() != Some(&candidate.secret);
        if candidate.mode() == SecureMode::Device && unsaved {
            self.violate(format!("a login with a secret that is not stored: {candidate}"));
        }
        if candidate.mode() == SecureMode::Product && self.session.has_unsaved_secret() {
            self.violate("a login as product with a secret unsaved".into());
        }
        let held = self.disk.current.is_some() || !self.disk.pending.is_empty();
        let refused_for = self.refused_since.map_or(0, |since| self.now - since);
        if candidate.mode() == SecureMode::Product && held && refused_for < 330_000 {
            self.violate(format!("a re-activation after refusals of {refused_for} ms, which may be a ban"));
        }
        self.link = Some(attempt);
        let delay = self.rng.u64(0..50);
        if self.happens(self.rates.connect_fails) {
            let what = LinkInput::Failed { reason: "refused".into(), connect_sent: false };
            return self.later(delay, Due::Link(attempt, what));
        }
        self.later(delay, Due::Connect(attempt, candidate.mode(), candidate.secret.clone(), candidate.method));
    }

    fn send(&mut self, request: LinkRequest) {
        let Some(attempt) = self.link else { return };
        let delay = self.rng.u64(0..100);
        if let LinkRequest::Publish { topic, .. } = &request {
            let valid = self.cloud.secret.clone().unwrap_or_default();
            let stored = self.disk.holds(&valid) || self.saved_by_hand.contains(&valid);
            if topic.ends_with("info_reply") && !stored && self.rates.push_forged == 0 {
                self.violate("the activation was acknowledged before it was stored".into());
            }
        }
        let (token, silent) = (request.token(), self.happens(self.rates.no_reply));
        let what = match request {
            LinkRequest::Publish { topic, payload, .. } => {
                if topic.ends_with("/post") && !silent {
                    let id = crate::protocol::envelope::parse_command(&payload).unwrap().id;
                    let topic = format!("{topic}_reply").into_bytes();
                    let payload = Zeroizing::new(format!(r#"{{"id":"{id}","code":200,"data":""}}"#).into_bytes());
                    self.later(delay + 1, Due::Link(attempt, LinkInput::Message { topic, payload, qos: 0 }));
                }
                LinkInput::Delivered { token }
            }
            LinkRequest::Subscribe { token, qos, .. } => LinkInput::Subscribed { token, granted: (!silent).then_some(qos) },
            LinkRequest::Unsubscribe { token, .. } => LinkInput::Unsubscribed { token },
        };
        self.later(delay, Due::Link(attempt, what));
    }

    fn emit(&mut self, event: Event) {
        if event.token != 0 && !self.accepted.remove(&event.token) {
            self.violate(format!("token {} has a second outcome: {:?}", event.token, event.kind));
        }
        if event.kind == EventKind::PersistFailed && self.happens(self.rates.host_meddles) {
            if let Some(activation) = &event.activation {
                self.saved_by_hand.extend(self.session.pending_secrets());
                self.saved_by_hand.insert(activation.device_secret().as_str().to_owned());
                self.session.activation_saved(self.now()).unwrap();
            }
        }
        if event.kind == EventKind::Connected {
            self.refused_since = None;
        }
        self.events.push(event);
    }

    /// An operator deletes the device in the console and registers it anew.
    pub fn register_anew(&mut self) {
        self.cloud.secret = None;
        self.cloud.active = false;
        if let Some(attempt) = self.link {
            self.later(0, Due::Link(attempt, LinkInput::Lost { reason: "deleted".into() }));
        }
    }

    /// The power goes, and comes back: memory is lost, the disk is not. Also when it is due inside an action.
    pub fn reboot_if_cut(&mut self, force: bool) {
        if !std::mem::take(&mut self.power_cut) && !force {
            return;
        }
        self.due.clear();
        self.link = None;
        self.refused_since = None;
        self.accepted.clear();
        self.now += 500;
        self.session = Session::new(self.settings.clone(), self.rng.u64(..));
        self.connect();
    }

    /// Every accepted call has had its outcome.
    pub fn check_outcomes(&mut self) {
        if !self.accepted.is_empty() {
            self.violate(format!("no outcome for the tokens {:?}", self.accepted));
        }
    }

    pub fn kinds(&self) -> Vec<(EventKind, Status)> {
        self.events.iter().map(|event| (event.kind, event.status)).collect()
    }
}

pub fn activation(secret: &str) -> LinkInput {
    let payload = format!(
        r#"{{"id":"1","version":"1.0","method":"thing.activate.info","params":{{"assetId":"a","productKey":"pk","deviceKey":"dk","deviceSecret":"{secret}"}}}}"#
    );
    LinkInput::Message {
        topic: b"/ext/session/pk/dk/thing/activate/info".to_vec(),
        payload: Zeroizing::new(payload.into_bytes()),
        qos: 0,
    }
}
