//! The state machine: (state, input, now) -> actions. No socket, clock, thread or callback, so that every order of
//! happenings at every time can be tried without a broker.
//!
//! It is total: each state answers each input, as follows (`-`: nothing happens).
//!
//! | input | Idle | Loading | Waiting | LoggingIn | Awaiting | Persisting | Online | Closing |
//! |---|---|---|---|---|---|---|---|---|
//! | connect() | Loading, or log in | as wanted | log in, budget permitting | as wanted | wait anew | online is wanted | - | log in once closed |
//! | disconnect() | stopped | Idle once loaded | Idle | abandon, Idle; as product: as Awaiting, if the CONNECT has gone out | Closing soon | close the link, go on storing | Closing | Idle once closed |
//! | activation_saved() | error | error | error | error | error | as if stored | error | error |
//! | publish(), post(), answer() | error | error | error | error | error | error | accepted | error |
//! | subscribe() | for the next link | for the next link | for the next link | for the next link | for the next link | for the next link | asked for | for the next link |
//! | unsubscribe() | done | done | done | done | done | done | asked for | done |
//! | loaded | - | log in, or Waiting | - | - | - | - | - | - |
//! | secrets stored | - | - | - | - | - | Closing, or retry | - | - |
//! | link up | - | - | - | Online or Awaiting | - | - | - | - |
//! | refused | - | - | - | next pair, or Waiting | - | - | - | as closed |
//! | failed, lost, closed | - | - | - | Waiting | Waiting | the link is gone | Waiting | log in, or Idle |
//! | activation arrives | - | - | - | - | Persisting | stored beside | dropped | Persisting |
//! | time | - | - | log in | abandon | ask, report, log in again | store again | overdue replies | abandon |
//!
//! Durable messages are accepted in every state: the [`outbox`] sends them when the device is online. So are
//! subscriptions: Online begins by asking for each that was not taken back.
//!
//! connect() after disconnect() takes it back where it was not through yet. After a failure it waits for a second, so
//! that a host may call it at each.
//!
//! Happenings on a link carry the number of its attempt; those of an earlier one are nothing to a later one.
#![forbid(unsafe_code)]

mod activation;
mod backoff;
mod budget;
mod calls;
mod conflict;
mod credentials;
mod durable;
pub mod event;
mod io;
mod leave;
mod login;
mod outbox;
mod requests;
mod round;
mod saving;
mod secrets;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use zeroize::Zeroizing;

use crate::error::{Error, Result, Status};
use crate::log::Level;
pub use crate::model::link::{LinkEvent, LinkRequest};
use crate::protocol::{topic, SecureMode};

pub use budget::BudgetLimits;
pub use credentials::{Accepted, Candidate, Origin};
pub use event::{Event, EventKind, State};
pub use io::{Action, Burden, Input, Loaded, Now, OutboxEnds, PageFound, StorageFailure};
pub use outbox::{OutboxSettings, Place};
pub use requests::MAX_ANSWERS;
pub use secrets::KeptSecret;
pub use settings::Settings;

use backoff::Backoff;
use budget::Budget;
use conflict::Conflict;
use credentials::Credentials;
use outbox::Outbox;
use requests::Requests;
use round::Round;
use saving::Saving;

/// How long an orderly disconnect lets what is in flight finish.
const LINGER_MS: u64 = 2_000;
/// How long after that the link is dropped without waiting for Paho's word.
const LINGER_GRACE_MS: u64 = 1_000;
/// A link that has stood this long was a success: the next loss starts the backoff anew.
const STABLE_MS: u64 = 60_000;

enum Phase {
    Idle,
    Loading,
    Waiting {
        until: u64,
    },
    LoggingIn {
        candidate: Candidate,
        began: u64,
        deadline: Option<u64>,
    },
    /// The product secret was accepted; the device secret has to come.
    Awaiting {
        ask_at: Option<u64>,
        report_at: Option<u64>,
        close_at: Option<u64>,
    },
    /// A device secret is in hand and in no storage yet.
    Persisting {
        store_at: Option<u64>,
        link: SecretsLink,
    },
    /// `stalled`: the library itself ends the link, for the broker takes nothing any more.
    Online {
        since: u64,
        stalled: bool,
    },
    /// `draining`: what is under way has still a moment to come to its end. `deadline` None: the link is being dropped.
    /// `activating`: it is that of an activation.
    Closing {
        deadline: Option<u64>,
        draining: bool,
        activating: bool,
    },
}

/// The link on which the device secret has come: there may be more to come.
#[derive(Clone, Copy, PartialEq)]
enum SecretsLink {
    Up,
    /// It was told to disconnect.
    Ending,
    Gone,
}

pub struct Session {
    settings: Settings,
    rng: fastrand::Rng,
    phase: Phase,
    /// The host has asked to be online, and has not taken that back.
    wanted: bool,
    /// The host has asked for a disconnect and is owed the event that it is through.
    owed_disconnected: bool,
    /// So many disconnects are owed the event that the device is offline and no secret unsaved.
    owed_stopped: usize,
    attempt: u64,
    credentials: Credentials,
    /// Every secret's record was read: only then is the lack of one a reason to activate.
    complete: bool,
    round: Round,
    budget: Budget,
    backoff: Backoff,
    store_backoff: Backoff,
    conflict: Conflict,
    saving: Saving,
    /// How many activations the present login has brought.
    activations: usize,
    activation_logins: u32,
    /// How many messages of this login were no activation that can be used, and what was wrong with the last.
    rejected: (u32, String),
    /// When the last attempt or link came to its end.
    failed_at: Option<u64>,
    /// What the last DISCONNECTED since the device was online said.
    trouble: Option<String>,
    /// Why the device is not online and will not soon be: what `wait` returns.
    standing: Option<Error>,
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
            credentials: Credentials::new(
                settings.device_secret.take(),
                settings.product_secret.take(),
                settings.sign_method,
            ),
            budget: Budget::new(settings.budget),
            backoff: Backoff::new(settings.reconnect_min_ms, settings.reconnect_max_ms),
            store_backoff: Backoff::new(activation::STORE_AGAIN_MIN_MS, activation::STORE_AGAIN_MAX_MS),
            conflict: Conflict::default(),
            requests: Requests::new(settings.inflight, settings.reply_timeout_ms, first_id),
            outbox: settings.outbox.map(|outbox| Box::new(Outbox::new(outbox, settings.identity.clone()))),
            phase: Phase::Idle,
            wanted: false,
            owed_disconnected: false,
            owed_stopped: 0,
            attempt: 0,
            complete: false,
            round: Round::default(),
            saving: Saving::default(),
            activations: 0,
            activation_logins: 0,
            rejected: (0, String::new()),
            failed_at: None,
            trouble: None,
            standing: None,
            actions: VecDeque::new(),
            settings,
            rng,
        }
    }

    pub fn state(&self) -> State {
        match &self.phase {
            Phase::Idle => State::Idle,
            Phase::Loading => State::Connecting,
            Phase::Waiting { .. } | Phase::Closing { .. } => State::Waiting,
            Phase::LoggingIn { candidate, .. } if candidate.origin == Origin::Product => State::Activating,
            Phase::LoggingIn { .. } => State::Connecting,
            Phase::Awaiting { .. } => State::Activating,
            Phase::Persisting { .. } => State::Persisting,
            Phase::Online { .. } => State::Online,
        }
    }

    /// Why the last attempt failed; "" when none has.
    pub fn trouble(&self) -> &str {
        self.trouble.as_deref().unwrap_or_default()
    }

    /// Why waiting for a state is in vain for now: a refusal with only a long wait left, or nothing under way at all.
    pub fn standing(&self) -> Option<Error> {
        match (&self.standing, &self.phase) {
            (Some(error), _) => Some(error.clone()),
            (None, Phase::Idle) => {
                Some(Error::new(Status::ENOS_ERR_STATE, "nothing is under way; call enos_client_connect() first"))
            }
            _ => None,
        }
    }

    /// A device secret is in hand that is in no storage yet.
    pub fn has_unsaved_secret(&self) -> bool {
        !self.saving.is_safe()
    }

    #[cfg(test)]
    fn secrets_in_hand(&self) -> Vec<String> {
        self.credentials.kept.all().iter().map(|kept| kept.secret.as_str().to_owned()).collect()
    }

    /// The device secret, which is sent once, may be on its way on the present link.
    pub fn is_activating(&self) -> bool {
        match &self.phase {
            Phase::LoggingIn { candidate, .. } => candidate.mode() == SecureMode::Product,
            Phase::Awaiting { .. } | Phase::Persisting { .. } => true,
            Phase::Closing { activating, .. } => *activating,
            Phase::Idle | Phase::Loading | Phase::Waiting { .. } | Phase::Online { .. } => false,
        }
    }

    /// Whether the link of this attempt is wanted after all, by what has come on it after [`Action::Abandon`].
    pub fn wants_link(&self, attempt: u64) -> bool {
        let wanted = match &self.phase {
            Phase::LoggingIn { deadline, .. } => deadline.is_some(),
            Phase::Awaiting { .. } => true,
            Phase::Persisting { link, .. } => *link == SecretsLink::Up,
            _ => false,
        };
        wanted && attempt == self.attempt
    }

    /// Whether the host wants to be offline while this attempt logs in.
    pub fn is_withdrawn(&self, attempt: u64) -> bool {
        !self.wanted && attempt == self.attempt && matches!(self.phase, Phase::LoggingIn { .. })
    }

    /// How many actions wait for somebody to run the loop, or will.
    pub fn backlog(&self) -> usize {
        self.actions.len() + self.owed_stopped
    }

    pub fn has_actions(&self) -> bool {
        !self.actions.is_empty()
    }

    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Whether nothing is under way, and nothing to be done. Memory that was needed for it goes then: a burst would leave
    /// as much as it took.
    pub fn release(&mut self) -> bool {
        let rests = self.actions.is_empty() && self.is_quiet();
        if rests {
            self.actions = VecDeque::new();
            self.requests.release();
        }
        rests
    }

    /// The next action, if it may be performed now.
    pub fn next_action_if(&mut self, may_be: impl FnOnce(&Action) -> bool) -> Option<Action> {
        self.actions.front().filter(|next| may_be(next))?;
        self.next_action()
    }

    /// When [`Input::Tick`] is due, CLOCK_BOOTTIME milliseconds.
    pub fn deadline(&self) -> Option<u64> {
        let phase = match &self.phase {
            Phase::Idle | Phase::Loading | Phase::Online { .. } => None,
            Phase::Waiting { until } => Some(*until),
            Phase::LoggingIn { deadline, .. } | Phase::Closing { deadline, .. } => *deadline,
            Phase::Awaiting { ask_at, report_at, close_at } => {
                [ask_at, report_at, close_at].into_iter().flatten().min().copied()
            }
            Phase::Persisting { store_at, .. } => *store_at,
        };
        let outbox = self.outbox.as_deref().and_then(Outbox::deadline);
        [phase, self.requests.deadline(), outbox].into_iter().flatten().min()
    }

    pub fn handle(&mut self, now: Now, input: Input) {
        let tidy = matches!(input, Input::Tick);
        self.take_in(now, input);
        self.run_outbox(now, tidy);
        self.requests.tell_room(&mut self.actions);
        if matches!(self.phase, Phase::Closing { draining: true, .. }) && self.is_quiet() {
            self.end_link(now);
        }
    }

    fn take_in(&mut self, now: Now, input: Input) {
        match input {
            Input::Tick => self.on_time(now),
            Input::Loaded(loaded) => self.on_loaded(now, *loaded),
            Input::SecretsStored(result) => self.on_secrets_stored(now, result),
            Input::Dropped(count) => {
                let code = i32::try_from(count).unwrap_or(i32::MAX);
                let words = format!(
                    "{count} inbound messages were dropped: they were too large, the queue was full, or they came on the \
                     topic of an activation that is not awaited"
                );
                self.emit(Event::new(EventKind::Overflow, Status::ENOS_ERR_QUEUE_FULL, words).code(code));
            }
            Input::Link { attempt, what } if attempt == self.attempt => self.on_link(now, what),
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
        match what {
            LinkEvent::Connected => self.on_up(now),
            LinkEvent::Refused { code } => self.on_refused(now, code),
            LinkEvent::Failed { status, reason, connect_sent } => self.on_failed(now, status, reason, connect_sent),
            LinkEvent::Lost { status, reason } => self.on_lost(now, status, &reason),
            LinkEvent::Closed => self.on_lost(now, Status::ENOS_ERR_NETWORK, "the connection was closed"),
            LinkEvent::Delivered { token } => self.requests.delivered(token, &mut self.actions),
            LinkEvent::NotDelivered { token, reason } => {
                self.requests.not_delivered(token, &reason, &mut self.actions);
            }
            LinkEvent::Subscribed { token, granted } => {
                // A request has one filter so far.
                let granted = granted.first().copied().flatten();
                self.requests.subscribed(token, granted, &mut self.actions);
            }
            LinkEvent::Unsubscribed { token } => self.requests.unsubscribed(token, &mut self.actions),
            LinkEvent::Message { topic, payload, qos } => self.on_message(now, topic, payload, qos),
        }
    }

    fn on_time(&mut self, now: Now) {
        self.requests.expire(now.ms, &mut self.actions);
        let due = |at: Option<u64>| at.is_some_and(|at| at <= now.ms);
        match &mut self.phase {
            Phase::Waiting { until } if *until <= now.ms => self.log_in(now),
            Phase::LoggingIn { deadline, .. } if due(*deadline) => {
                *deadline = None;
                let reason = format!("no answer within {} ms", self.settings.connect_timeout_ms);
                self.actions.push_back(Action::Abandon { attempt: self.attempt, reason });
            }
            Phase::Closing { deadline, draining: true, .. } if due(*deadline) => self.end_link(now),
            Phase::Closing { deadline, .. } if due(*deadline) => {
                *deadline = None;
                let reason = "the connection was closed".to_owned();
                self.actions.push_back(Action::Abandon { attempt: self.attempt, reason });
            }
            Phase::Awaiting { .. } => self.on_awaiting_time(now),
            Phase::Persisting { store_at, .. } if due(*store_at) => self.store_activation(),
            _ => {}
        }
    }

    fn emit(&mut self, event: Event) {
        self.actions.push_back(Action::Emit(event));
    }

    fn log(&mut self, level: Level, text: impl Into<String>) {
        self.actions.push_back(Action::Log(level, text.into()));
    }
}
