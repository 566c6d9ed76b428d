//! Stores the secrets of activations until they survive a loss of power, and stores that a secret has logged in.
//!
//! One store is in progress at a time. Its result applies to what it contained. Later changes go into the next one.

use std::sync::Arc;

use super::rotation::Rotation;
use super::{ActivationLink, Change, Connection, Context, Phase, LINGER_GRACE_MS, LINGER_MS, STORE_AGAIN_MIN_MS};
use crate::error::{Error, Result, Status};
use crate::log::Level;
use crate::model::link::LinkRequest;
use crate::model::storage::StorageError;
use crate::protocol::{Activation, Secret};
use crate::session::event::{Event, EventKind};
use crate::session::io::Action;

/// An activation whose secret is in no storage yet.
struct Unsaved {
    activation: Arc<Activation>,
    /// The host was told by a PERSIST_FAILED event, and can save it by hand.
    told: bool,
    /// The store in progress contains it.
    storing: bool,
}

#[derive(Default)]
pub struct Saving {
    /// Oldest first.
    unsaved: Vec<Unsaved>,
    /// A login with a secret is not stored yet.
    login: bool,
    under_way: bool,
    /// The store in progress lacks something.
    again: bool,
}

impl Saving {
    /// Every device secret is stored.
    pub fn is_safe(&self) -> bool {
        self.unsaved.is_empty()
    }

    pub fn add(&mut self, activation: Activation) {
        self.unsaved.push(Unsaved { activation: Arc::new(activation), told: false, storing: false });
    }

    /// A secret has logged in. True if that is to be stored, or an earlier login still is.
    pub fn note_login(&mut self, is_new: bool) -> bool {
        self.login |= is_new;
        self.login
    }

    /// A store is wanted. True: it begins now and contains everything.
    pub fn begin(&mut self) -> bool {
        self.again = self.under_way;
        if self.under_way {
            return false;
        }
        self.under_way = true;
        self.unsaved.iter_mut().for_each(|unsaved| unsaved.storing = true);
        true
    }

    /// The store that was under way has succeeded. Returns the newest activation that it contained. Another store is to
    /// follow if it lacks something.
    pub fn stored(&mut self) -> Option<Arc<Activation>> {
        self.under_way = false;
        self.login &= self.again;
        let newest = self.unsaved.iter().rfind(|unsaved| unsaved.storing).map(|saved| Arc::clone(&saved.activation));
        self.unsaved.retain(|unsaved| !unsaved.storing);
        newest
    }

    pub fn failed(&mut self) {
        self.under_way = false;
        self.unsaved.iter_mut().for_each(|unsaved| unsaved.storing = false);
    }

    /// The unsaved activations. The caller tells the host of them.
    pub fn tell(&mut self) -> Vec<Arc<Activation>> {
        self.unsaved.iter_mut().for_each(|unsaved| unsaved.told = true);
        self.unsaved.iter().map(|unsaved| Arc::clone(&unsaved.activation)).collect()
    }

    /// The host has saved by hand the first one that it was told of; `None` if it was told of none.
    pub fn saved_by_hand(&mut self) -> Option<Arc<Activation>> {
        let told = self.unsaved.iter().position(|unsaved| unsaved.told)?;
        Some(self.unsaved.remove(told).activation)
    }
}

impl Connection {
    pub(super) fn store_secrets(&mut self, cx: &mut Context) {
        if self.saving.begin() {
            cx.actions.push_back(Action::StoreSecrets(self.credentials.device.all().to_vec()));
        }
    }

    /// The store that was under way has succeeded or failed.
    pub fn secrets_stored(&mut self, failure: Option<StorageError>, cx: &mut Context) -> Option<Change> {
        if let Some(failure) = failure {
            self.saving.failed();
            self.store_failed(failure, cx);
            return None;
        }
        let saved = self.saving.stored();
        if self.saving.again {
            self.store_secrets(cx);
            return None;
        }
        self.saved(saved?, "the device secret is stored and read back", cx)
    }

    fn store_failed(&mut self, failure: StorageError, cx: &mut Context) {
        let Phase::Persisting { store_at, .. } = &mut self.phase else {
            let words = format!("{}; which secret has logged in is stored at the next login", failure.message);
            return cx.log(Level::Warn, words);
        };
        let wait = self.store_backoff.next(cx.rng).max(STORE_AGAIN_MIN_MS);
        *store_at = Some(cx.now.ms + wait);
        for activation in self.saving.tell() {
            let event = Event::new(EventKind::PersistFailed, Status::ENOS_ERR_STORAGE, failure.message.clone());
            cx.emit(Event { activation: Some(activation), ..event.code(failure.code).retry_in(wait) });
        }
        if !self.wanted {
            self.leave_persisting(cx);
        }
    }

    /// The host has saved by hand what a PERSIST_FAILED event has told: the first such secret, if there are several. Other
    /// secrets are stored as before.
    pub fn activation_saved(&mut self, cx: &mut Context) -> Result<Option<Change>> {
        let Some(saved) = self.saving.saved_by_hand() else {
            let words = "there is no device secret that an event has told of and that is in no storage yet";
            return Err(Error::new(Status::ENOS_ERR_STATE, words));
        };
        if self.has_unsaved_secret() {
            return Ok(None);
        }
        Ok(self.saved(saved, "the device secret was saved by the host", cx))
    }

    /// No secret is unsaved any more.
    fn saved(&mut self, activation: Arc<Activation>, words: &str, cx: &mut Context) -> Option<Change> {
        let Phase::Persisting { link, .. } = self.phase else { return None };
        self.store_backoff.reset();
        self.activation_logins = 0;
        self.rotation = Rotation::default();
        let event = Event::new(EventKind::Activated, Status::ENOS_OK, words);
        cx.emit(Event { activation: Some(Arc::clone(&activation)), ..event });
        match link {
            ActivationLink::Up => {
                let (topic, payload) = activation.reply();
                cx.actions.push_back(Action::Send(LinkRequest::Publish { token: 0, topic, payload, qos: 0 }));
                return Some(self.close(cx));
            }
            ActivationLink::Closing { deadline } => {
                self.phase = Phase::Closing { deadline, draining: false, activating: true };
            }
            ActivationLink::Gone => self.rest(cx),
        }
        None
    }

    /// The host wants to be offline while a secret is unsaved. Only the link ends.
    pub(super) fn leave_persisting(&mut self, cx: &mut Context) {
        match &mut self.phase {
            Phase::Persisting { link: link @ ActivationLink::Up, .. } => {
                *link = ActivationLink::Closing { deadline: Some(cx.now.ms + LINGER_MS + LINGER_GRACE_MS) };
                cx.actions.push_back(Action::Disconnect { attempt: self.attempt, linger_ms: LINGER_MS });
            }
            Phase::Persisting { link: ActivationLink::Closing { .. }, .. } => {}
            _ => self.tell_disconnected(cx),
        }
    }

    /// The device has logged in with this secret. That is stored if it is news. It is not stored while the records could
    /// not be read, because it would overwrite what they hold.
    pub(super) fn note_login(&mut self, secret: &Secret, cx: &mut Context) {
        let is_new = self.credentials.device.logged_in(secret);
        if self.all_loaded && self.saving.note_login(is_new) {
            self.store_secrets(cx);
        }
    }
}
