//! The connection: whether the host wants the device to be online, and how the device gets there. It logs in, activates
//! the device when there is no device secret, waits after a failure and tries again, and closes the link in order.
//!
//! It knows nothing of calls and of durable messages. What concerns those is the [`Change`] that a method returns.
//!
//! Each state handles each input (`-`: nothing happens; in Idle and Waiting, connect() right after a failure waits for a
//! second, so that a host may call it after each):
//!
//! | input | Idle | Loading | Waiting | LoggingIn | Awaiting | Persisting | Online | Closing |
//! |---|---|---|---|---|---|---|---|---|
//! | connect() | Loading, or log in | take back disconnect() | log in if the budget permits | take back disconnect() | take back disconnect(), wait anew | take back disconnect() | - | log in once closed |
//! | disconnect() | STOPPED | Idle once loaded | Idle | abandon, Idle; as the product: as Awaiting, if the CONNECT was sent | Closing after 2 s | close the link, go on storing | Closing | Idle once closed |
//! | activation_saved() | error | error | error | error | error | as if stored | error | error |
//! | loaded | - | log in, or Waiting | - | - | - | - | - | - |
//! | secrets stored | - | - | - | - | - | Closing, or store again later | - | - |
//! | link up | - | - | - | Online or Awaiting | - | - | - | - |
//! | refused | - | - | - | Waiting: for the next credential, or for long | as lost | as lost | as lost | as lost |
//! | failed, lost, closed | - | - | - | Waiting | Waiting | note that the link is gone | Waiting | log in, or Idle |
//! | activation arrives | - | - | - | - | Persisting | store it too | ignored | Persisting |
//! | time | - | - | log in | abandon | subscribe, report, log in again | store again; abandon the link that is to be closed | - | close, then abandon |

mod activation;
mod budget;
mod conflict;
mod credentials;
mod leave;
mod login;
mod retry;
mod rotation;
mod saving;
mod secrets;

use std::collections::VecDeque;

use super::backoff::Backoff;
use super::credential::{Credential, Origin};
use super::event::{Event, State};
use super::io::{Action, LinkEnd, Now};
use super::settings::Settings;
use crate::error::{Error, Status};
use crate::log::Level;
use crate::model::sign::SecureMode;
use crate::model::sign::SignMethod;

use budget::Budget;
use conflict::Conflict;
use credentials::Credentials;
use rotation::Rotation;
use saving::Saving;

/// How long an orderly disconnect waits for what is in flight.
const LINGER_MS: u64 = 2_000;
/// How long after that the link is dropped, if the transport has not said that it is closed.
const LINGER_GRACE_MS: u64 = 1_000;
/// Between two attempts to use the host's storage.
const STORE_AGAIN_MIN_MS: u64 = 1_000;
const STORE_AGAIN_MAX_MS: u64 = 60_000;

enum Phase {
    Idle,
    /// The stored secrets are being read.
    Loading,
    Waiting {
        until: u64,
    },
    /// `deadline` None: the attempt is being abandoned.
    LoggingIn {
        credential: Credential,
        began: u64,
        deadline: Option<u64>,
    },
    /// The product secret was accepted, and the device secret has not come yet.
    Awaiting {
        ask_at: Option<u64>,
        report_at: Option<u64>,
        close_at: Option<u64>,
    },
    /// A device secret has arrived and is not stored yet.
    Persisting {
        store_at: Option<u64>,
        link: ActivationLink,
    },
    /// `stalled`: the link is being dropped because the broker does not acknowledge anything.
    Online {
        since: u64,
        stalled: bool,
    },
    /// `draining`: the DISCONNECT waits for what is in flight. `deadline` None: the link is being dropped.
    /// `activating`: it is the link of an activation.
    Closing {
        deadline: Option<u64>,
        draining: bool,
        activating: bool,
    },
}

/// The link on which a device secret came. Another secret may follow on it.
#[derive(Clone, Copy, PartialEq)]
enum ActivationLink {
    Up,
    /// It was told to disconnect. `deadline` None: it is being dropped.
    Closing {
        deadline: Option<u64>,
    },
    Gone,
}

impl ActivationLink {
    fn deadline(&self) -> Option<u64> {
        match self {
            ActivationLink::Closing { deadline } => *deadline,
            ActivationLink::Up | ActivationLink::Gone => None,
        }
    }
}

/// What a method has changed for the rest of the session.
pub enum Change {
    /// The device has logged in.
    Online,
    /// The link is about to end. Nothing more is sent; what is in flight may still finish.
    Closing,
    /// The link on which the device was online has ended.
    Offline { reason: String, end: LinkEnd },
}

/// What the connection uses of its surroundings.
pub struct Context<'a> {
    pub now: Now,
    pub settings: &'a Settings,
    pub rng: &'a mut fastrand::Rng,
    pub actions: &'a mut VecDeque<Action>,
}

impl Context<'_> {
    fn emit(&mut self, event: Event) {
        self.actions.push_back(Action::Emit(event));
    }

    fn log(&mut self, level: Level, text: impl Into<String>) {
        self.actions.push_back(Action::Log(level, text.into()));
    }
}

pub struct Connection {
    phase: Phase,
    /// The number of the last attempt to log in, and of its link.
    pub(super) attempt: u64,
    /// The host wants the device to be online.
    wanted: bool,
    /// The host has asked for a disconnect, and DISCONNECTED has not told yet that it is done.
    disconnect_pending: bool,
    /// How many calls of disconnect() have not had their STOPPED yet.
    stops_pending: usize,
    pub(super) credentials: Credentials,
    rotation: Rotation,
    /// All records of secrets could be read. Only then does a missing device secret lead to an activation.
    all_loaded: bool,
    saving: Saving,
    /// Secrets of sub-devices are in no storage.
    others_unsaved: bool,
    budget: Budget,
    backoff: Backoff,
    store_backoff: Backoff,
    conflict: Conflict,
    /// Logins as the product that have not led to a stored device secret.
    activation_logins: u32,
    /// How many activation messages of this login could not be used, and why the last could not.
    rejected: (u32, String),
    /// When the last attempt or link failed.
    failed_at: Option<u64>,
    /// What the last DISCONNECTED said; `None` once the device is online again.
    last_error: Option<String>,
    /// Why the device will not be online soon: only a long wait is left, or no retry.
    blocked_by: Option<Error>,
}

impl Connection {
    /// Takes the secrets out of the settings.
    pub fn new(settings: &mut Settings) -> Connection {
        let (device, product) = (settings.device_secret.take(), settings.product_secret.take());
        let mut credentials = Credentials::new(device, product, settings.sign_method);
        if settings.identity.is_channel() {
            credentials.configured_as = Origin::Channel;
        }
        Connection {
            phase: Phase::Idle,
            attempt: 0,
            wanted: false,
            disconnect_pending: false,
            stops_pending: 0,
            credentials,
            rotation: Rotation::default(),
            all_loaded: false,
            saving: Saving::default(),
            others_unsaved: false,
            budget: Budget::new(settings.budget),
            backoff: Backoff::new(settings.reconnect_min_ms, settings.reconnect_max_ms),
            store_backoff: Backoff::new(STORE_AGAIN_MIN_MS, STORE_AGAIN_MAX_MS),
            conflict: Conflict::default(),
            activation_logins: 0,
            rejected: (0, String::new()),
            failed_at: None,
            last_error: None,
            blocked_by: None,
        }
    }

    pub fn state(&self) -> State {
        match &self.phase {
            Phase::Idle => State::Idle,
            Phase::Loading => State::Connecting,
            Phase::Waiting { .. } | Phase::Closing { .. } => State::Waiting,
            Phase::LoggingIn { .. } if !self.is_activating() => State::Connecting,
            Phase::LoggingIn { .. } | Phase::Awaiting { .. } => State::Activating,
            Phase::Persisting { .. } => State::Persisting,
            Phase::Online { .. } => State::Online,
        }
    }

    pub fn is_online(&self) -> bool {
        matches!(self.phase, Phase::Online { .. })
    }

    /// Why the last attempt failed; "" if none has.
    pub fn last_error(&self) -> &str {
        self.last_error.as_deref().unwrap_or_default()
    }

    /// Why it makes no sense to wait for a state now: only a long wait is left, or nothing is under way.
    pub fn blocked_by(&self) -> Option<Error> {
        match (&self.blocked_by, &self.phase) {
            (Some(error), _) => Some(error.clone()),
            (None, Phase::Idle) => {
                Some(Error::new(Status::ENOS_ERR_STATE, "nothing is under way; call enos_client_connect() first"))
            }
            _ => None,
        }
    }

    /// A device secret is in memory that is not stored yet.
    pub fn has_unsaved_secret(&self) -> bool {
        !self.saving.is_safe()
    }

    /// How many STOPPED events are still to come.
    pub fn stops_pending(&self) -> usize {
        self.stops_pending
    }

    /// The method of the last login that the broker has accepted.
    pub fn sign_method(&self) -> Option<SignMethod> {
        self.credentials.last_accepted.map(|accepted| accepted.method)
    }

    /// The device secret, which is sent once, may be on its way on the present link.
    pub fn is_activating(&self) -> bool {
        match &self.phase {
            Phase::LoggingIn { credential, .. } => credential.mode() == SecureMode::ENOS_SECURE_MODE_PRODUCT,
            Phase::Awaiting { .. } | Phase::Persisting { .. } => true,
            Phase::Closing { activating, .. } => *activating,
            Phase::Idle | Phase::Loading | Phase::Waiting { .. } | Phase::Online { .. } => false,
        }
    }

    /// Whether the link of this attempt is wanted after all, because of a message that has arrived on it after
    /// [`Action::Abandon`].
    pub fn wants_link(&self, attempt: u64) -> bool {
        let wanted = match &self.phase {
            Phase::LoggingIn { deadline, .. } => deadline.is_some(),
            Phase::Awaiting { .. } => true,
            Phase::Persisting { link, .. } => *link == ActivationLink::Up,
            _ => false,
        };
        wanted && attempt == self.attempt
    }

    /// Whether the host wants to be offline while this attempt logs in.
    pub fn is_withdrawn(&self, attempt: u64) -> bool {
        !self.wanted && attempt == self.attempt && matches!(self.phase, Phase::LoggingIn { .. })
    }

    /// When [`tick`](Self::tick) is due.
    pub fn deadline(&self) -> Option<u64> {
        match &self.phase {
            Phase::Idle | Phase::Loading | Phase::Online { .. } => None,
            Phase::Waiting { until } => Some(*until),
            Phase::LoggingIn { deadline, .. } | Phase::Closing { deadline, .. } => *deadline,
            Phase::Awaiting { ask_at, report_at, close_at } => {
                [ask_at, report_at, close_at].into_iter().flatten().min().copied()
            }
            Phase::Persisting { store_at, link } => [*store_at, link.deadline()].into_iter().flatten().min(),
        }
    }

    /// Does what is due by now.
    pub fn tick(&mut self, cx: &mut Context) -> Option<Change> {
        let due = |at: Option<u64>| at.is_some_and(|at| at <= cx.now.ms);
        match &mut self.phase {
            Phase::Waiting { until } if *until <= cx.now.ms => self.log_in(cx),
            Phase::LoggingIn { deadline, .. } if due(*deadline) => {
                *deadline = None;
                self.abandon(format!("no answer within {} ms", cx.settings.connect_timeout_ms), cx);
            }
            Phase::Closing { deadline, draining: true, .. } if due(*deadline) => self.end_link(cx),
            Phase::Closing { deadline, .. } if due(*deadline) => {
                *deadline = None;
                self.abandon("the connection was closed".to_owned(), cx);
            }
            Phase::Awaiting { .. } => return self.awaiting_tick(cx),
            Phase::Persisting { link, .. } if due(link.deadline()) => {
                *link = ActivationLink::Closing { deadline: None };
                self.abandon("the connection was closed".to_owned(), cx);
            }
            Phase::Persisting { store_at, .. } if due(*store_at) => {
                *store_at = None;
                self.store_secrets(cx);
            }
            _ => {}
        }
        None
    }

    fn abandon(&self, reason: String, cx: &mut Context) {
        cx.actions.push_back(Action::Abandon { attempt: self.attempt, reason });
    }
}
