//! A sub-device: what the host has given, and where it stands.

use crate::error::Status;
use crate::model::sign::{SecureMode, SignMethod};
use crate::model::subdevice::SubdeviceState;
use crate::protocol::subdevice::{keys, Login};
use crate::protocol::{Identity, Secret};
use crate::session::backoff::Backoff;
use crate::session::event::{Event, EventKind};

use super::secrets::Unsaved;

/// The wait after a login that was refused.
const AGAIN_MIN_MS: u64 = 1_000;
const AGAIN_MAX_MS: u64 = 300_000;
/// If the host takes it offline and online again, its next login is at least so much later than the one before.
const BETWEEN_LOGINS_MS: u64 = 5_000;
/// After so long online, a loss of the login is not held against it.
const STEADY_MS: u64 = AGAIN_MAX_MS;

/// A sub-device as the host adds it. The identity has the client id.
pub struct NewSubdevice {
    pub identity: Identity,
    pub device_secret: Option<Secret>,
    pub product_secret: Option<Secret>,
    /// `None`: that of the gateway's login.
    pub method: Option<SignMethod>,
    pub add_topology: bool,
    pub online: bool,
    /// Comes back in events.
    pub user: usize,
}

/// What is known of the device secrets in the host's storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// Not read yet.
    Unknown,
    Reading,
    Known,
}

pub struct Subdevice {
    pub identity: Identity,
    pub user: usize,
    pub state: SubdeviceState,
    /// The host wants it to be online.
    pub wanted: bool,
    /// The host has removed it. It stays until its secret is stored.
    pub removed: bool,
    /// It is logged in on the present link as far as the cloud knows, or may be.
    pub logged_in: bool,
    /// EnOS has disabled or deleted it since its login began.
    pub ordered: bool,
    /// The first token of its present login: outcomes of earlier ones say nothing about it.
    pub first_token: u64,
    /// Its device secret may still come on the present link: a login that was to bring it has had no answer.
    pub secret_may_come: bool,
    /// Its login failed in a batch, or by itself: it logs in without others until that succeeds.
    pub alone: bool,
    /// Its login is not requested before this time.
    pub login_at: u64,
    /// One login is tried although it is disabled.
    pub try_disabled: bool,
    pub add_topology: bool,
    pub method: Option<SignMethod>,
    /// Device secrets, the one to use first at the front.
    pub secrets: Vec<Secret>,
    /// Which of the secrets is used next.
    pub at: usize,
    pub product_secret: Option<Secret>,
    pub stored: Stored,
    pub unsaved: Option<Box<Unsaved>>,
    backoff: Backoff,
    online_since: u64,
    last_login: Option<u64>,
}

impl Subdevice {
    /// `has_storage`: secrets may be stored.
    pub fn new(new: NewSubdevice, has_storage: bool) -> Subdevice {
        let NewSubdevice { identity, device_secret, product_secret, method, add_topology, online, user } = new;
        let stored = if device_secret.is_none() && has_storage { Stored::Unknown } else { Stored::Known };
        Subdevice {
            identity,
            user,
            state: SubdeviceState::Offline,
            wanted: online,
            removed: false,
            logged_in: false,
            ordered: false,
            first_token: 0,
            secret_may_come: false,
            alone: false,
            login_at: 0,
            try_disabled: false,
            add_topology,
            method,
            secrets: Vec::from_iter(device_secret),
            at: 0,
            product_secret,
            stored,
            unsaved: None,
            backoff: Backoff::new(AGAIN_MIN_MS, AGAIN_MAX_MS),
            online_since: 0,
            last_login: None,
        }
    }

    pub fn keys(&self) -> String {
        keys(self.identity.product_key(), self.identity.device_key())
    }

    /// Whether it is to log in as soon as its time has come.
    pub fn wants_login(&self) -> bool {
        let may = match self.state {
            SubdeviceState::Online | SubdeviceState::Deleted => false,
            SubdeviceState::Disabled => self.try_disabled,
            _ => true,
        };
        let can = self.unsaved.is_none() && self.stored == Stored::Known && self.login().is_some();
        may && self.wanted && !self.removed && can
    }

    /// What it logs in with. A sub-device that has a device secret never uses the product secret.
    pub fn login(&self) -> Option<Login<'_>> {
        let identity = &self.identity;
        match (self.secrets.get(self.at), &self.product_secret) {
            (Some(secret), _) => Some(Login { identity, secret, mode: SecureMode::ENOS_SECURE_MODE_DEVICE }),
            (None, Some(secret)) if self.secrets.is_empty() => {
                Some(Login { identity, secret, mode: SecureMode::ENOS_SECURE_MODE_PRODUCT })
            }
            _ => None,
        }
    }

    pub fn is_activating(&self) -> bool {
        self.secrets.is_empty() && self.product_secret.is_some()
    }

    pub fn login_begins(&mut self, now: u64) {
        self.last_login = Some(now);
        (self.logged_in, self.ordered) = (true, false);
        self.secret_may_come |= self.is_activating();
        self.try_disabled &= self.state != SubdeviceState::Disabled;
    }

    /// It was removed, and nothing is left to do for it.
    pub fn is_over(&self) -> bool {
        self.removed && self.unsaved.is_none() && !self.secret_may_come
    }

    pub fn came_online(&mut self, now: u64) {
        (self.online_since, self.alone, self.add_topology) = (now, false, false);
        // The one that works is the first the next time.
        let works = std::mem::take(&mut self.at);
        if works < self.secrets.len() {
            self.secrets[..=works].rotate_right(1);
        }
    }

    /// It is not online any more.
    pub fn leaves(&mut self, now: u64) {
        if self.state == SubdeviceState::Online && now.saturating_sub(self.online_since) >= STEADY_MS {
            self.backoff.reset();
        }
    }

    /// It is not logged in any more, or its login has failed. Returns how long it waits for the next one.
    pub fn waits(&mut self, now: u64, rng: &mut fastrand::Rng) -> u64 {
        self.leaves(now);
        let wait = self.backoff.next(rng).max(AGAIN_MIN_MS);
        (self.alone, self.login_at) = (true, now.saturating_add(wait));
        wait
    }

    /// The host or EnOS wants it to log in now.
    pub fn is_due(&mut self, now: u64) {
        let soonest = self.last_login.map_or(0, |at| at.saturating_add(BETWEEN_LOGINS_MS));
        self.login_at = soonest.max(now);
    }

    /// The event that tells its state.
    pub fn event(&self, id: u64, status: Status, words: impl Into<String>) -> Event {
        let event = Event::new(EventKind::SubdeviceState, status, words);
        Event { subdevice: id, subdevice_state: self.state as i32, user: self.user, ..event }
    }
}
