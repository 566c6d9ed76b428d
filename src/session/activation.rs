//! Activation: the secret that the cloud sends once, from its arrival until it is where it survives power loss.

use std::sync::Arc;

use super::io::Outcome;
use super::requests::Replied;
use super::*;
use crate::protocol::{Activation, Secret};

/// How long the unasked push may take before the topics are subscribed as well, as the newer documents have it.
const ASK_AFTER_MS: u64 = 5_000;
/// After a login that brought no secret, the next one.
const LOGIN_AGAIN_MS: u64 = 600_000;
pub(super) const STORE_AGAIN_MIN_MS: u64 = 1_000;
pub(super) const STORE_AGAIN_MAX_MS: u64 = 60_000;

impl Session {
    pub(super) fn await_activation(&mut self, now: Now) {
        self.activation_logins = self.activation_logins.saturating_add(1);
        self.rejected = (0, String::new());
        self.log(Level::Info, "the product secret was accepted; waiting for the device secret");
        self.wait_for_secret(now);
        if !self.wanted {
            self.leave_activation(now);
        }
    }

    pub(super) fn wait_for_secret(&mut self, now: Now) {
        self.phase = Phase::Awaiting {
            ask_at: Some(now.ms.saturating_add(ASK_AFTER_MS)),
            report_at: Some(now.ms.saturating_add(self.settings.activation_timeout_ms)),
            close_at: None,
        };
    }

    /// The host wants to be offline. The secret may be on its way, and is not sent again: it gets the time of an orderly
    /// disconnect to arrive.
    pub(super) fn leave_activation(&mut self, now: Now) {
        let until = now.ms.saturating_add(LINGER_MS);
        match &mut self.phase {
            Phase::LoggingIn { deadline: Some(deadline), .. } => {
                *deadline = until.min(*deadline);
                // A CONNECT that went out later would not have all of that time, and the secret that it asks for is sent once.
                let reason = "disconnected by the host".to_owned();
                self.actions.push_back(Action::Withdraw { attempt: self.attempt, reason });
            }
            Phase::Awaiting { ask_at, report_at, close_at } => {
                (*ask_at, *report_at) = (None, None);
                *close_at = Some(close_at.map_or(until, |at| at.min(until)));
            }
            _ => {}
        }
    }

    pub(super) fn on_awaiting_time(&mut self, now: Now) {
        let Phase::Awaiting { ask_at, report_at, close_at } = &mut self.phase else { return };
        if ask_at.is_some_and(|at| at <= now.ms) {
            *ask_at = None;
            // Best effort: the push comes without, and whether EnOS grants this is not documented. Token 0 is
            // nobody's call, so its outcome is nobody's event.
            for filter in topic::activation_topics(&self.settings.identity) {
                self.actions.push_back(Action::Send(LinkRequest::Subscribe { token: 0, filters: vec![(filter, 1)] }));
            }
        }
        if report_at.is_some_and(|at| at <= now.ms) {
            *report_at = None;
            // Once after 10 minutes, for the push may have been lost; after that it is for a person to look.
            let wait = match self.activation_logins {
                0 | 1 => LOGIN_AGAIN_MS,
                _ => login::long_wait(&mut self.rng),
            };
            *close_at = Some(now.ms + wait);
            let timeout = self.settings.activation_timeout_ms;
            let rejected = match &self.rejected {
                (0, _) => String::new(),
                (count, words) => {
                    format!("; {count} messages that cannot be used came in its place, the last: {words}")
                }
            };
            let words = format!(
                "the product secret was accepted, but no device secret came within {timeout} ms{rejected}; staying connected for it"
            );
            self.standing = Some(Error::new(Status::ENOS_ERR_ACTIVATION_TIMEOUT, words.clone()));
            let event = Event::new(EventKind::ActivationLate, Status::ENOS_ERR_ACTIVATION_TIMEOUT, words);
            self.emit(event.retry_in(wait));
        } else if close_at.is_some_and(|at| at <= now.ms) {
            // What the cloud refused when this was begun, it may take by now: the device secrets, if any, come first.
            self.round.forget();
            self.close(now);
        }
    }

    pub(super) fn on_message(&mut self, now: Now, topic: Vec<u8>, payload: Zeroizing<Vec<u8>>, qos: u8) {
        let activating = match &self.phase {
            Phase::Awaiting { .. } | Phase::Persisting { .. } => true,
            // The link of an activation, on its way out: the cloud may have said more.
            Phase::Closing { activating, .. } => *activating,
            _ => false,
        };
        if topic::is_activation_topic(&topic) {
            // Whatever else it is: there may be a secret in it, and hosts write what they are handed into their logs.
            return match Activation::parse(&self.settings.identity, &topic, &payload) {
                Ok(activation) if activating => self.on_activation(now, activation),
                Ok(_) => self.log(Level::Warn, "an activation came that is not awaited; it is dropped"),
                Err(error) => self.reject(error),
            };
        }
        let mut event = Event::new(EventKind::Message, Status::ENOS_OK, "");
        event.qos = i32::from(qos);
        match self.requests.reply(&topic, &payload) {
            Some(Replied::Call(reply)) => event = reply,
            Some(Replied::Kept { request, code, words }) => {
                let outcome = Outcome::Reply { code, words, topic, payload: payload.to_vec() };
                return self.with_outbox(now, |outbox, around| outbox.outcome(request, outcome, around));
            }
            // It is a message to the host, who may know more.
            Some(Replied::Unclear) => self.with_outbox(now, |outbox, around| outbox.send_one_by_one(around)),
            None => {}
        }
        (event.topic, event.payload) = (topic, payload);
        self.emit(event);
    }

    /// ACTIVATION_LATE tells of it, if no better one comes.
    fn reject(&mut self, error: Error) {
        self.log(Level::Warn, format!("what came as an activation cannot be used: {}", error.message));
        self.rejected = (self.rejected.0.saturating_add(1), error.message);
    }

    fn on_activation(&mut self, now: Now, activation: Activation) {
        if !self.credentials.kept.add(&activation, self.attempt) {
            return self
                .log(Level::Info, "one more activation came; its secret is in hand already, or there is no room");
        }
        if self.activations > 0 {
            self.log(Level::Warn, "a second activation with another secret came; both are kept and tried");
        }
        self.activations += 1;
        self.standing = None;
        self.saving.add(activation);
        let link = match &self.phase {
            Phase::Awaiting { .. } => SecretsLink::Up,
            Phase::Persisting { link, .. } => *link,
            // Closing, and the end of that is still to come.
            _ => SecretsLink::Ending,
        };
        self.phase = Phase::Persisting { store_at: Some(now.ms), link };
        self.store_activation();
    }

    pub(super) fn store_activation(&mut self) {
        if let Phase::Persisting { store_at, .. } = &mut self.phase {
            *store_at = None;
            self.store_secrets();
        }
    }

    fn store_secrets(&mut self) {
        if self.saving.begin() {
            self.actions.push_back(Action::StoreSecrets(self.credentials.kept.all().to_vec()));
        }
    }

    pub(super) fn on_secrets_stored(&mut self, now: Now, result: std::result::Result<(), StorageFailure>) {
        match result {
            Ok(()) => {
                let saved = self.saving.stored();
                if self.saving.wants_more() {
                    self.store_secrets();
                } else if let Some(newest) = saved {
                    self.on_saved(now, newest, "the device secret is stored and read back");
                }
            }
            Err(failure) => {
                self.saving.failed();
                self.on_store_failed(now, failure);
            }
        }
    }

    fn on_store_failed(&mut self, now: Now, failure: StorageFailure) {
        let Phase::Persisting { store_at, .. } = &mut self.phase else {
            let words = format!("{}; which secret has logged in is stored at the next login", failure.message);
            return self.log(Level::Warn, words);
        };
        let wait = self.store_backoff.next(&mut self.rng).max(STORE_AGAIN_MIN_MS);
        *store_at = Some(now.ms + wait);
        for activation in self.saving.tell() {
            let mut event = Event::new(EventKind::PersistFailed, Status::ENOS_ERR_STORAGE, failure.message.clone())
                .code(failure.code)
                .retry_in(wait);
            event.activation = Some(activation);
            self.actions.push_back(Action::Emit(event));
        }
        if !self.wanted {
            self.leave_persisting_link();
        }
    }

    /// The host has saved by hand what it was told of: the first such, when there are several. What it was not told of
    /// yet, or has not said that it saved, is stored as before.
    pub fn activation_saved(&mut self, now: Now) -> Result<()> {
        let Some(saved) = self.saving.saved_by_hand() else {
            let words = "there is no device secret that an event has told of and that is in no storage yet";
            return Err(Error::new(Status::ENOS_ERR_STATE, words));
        };
        if self.saving.is_safe() {
            self.on_saved(now, saved, "the device secret was saved by the host");
        }
        Ok(())
    }

    fn on_saved(&mut self, now: Now, activation: Arc<Activation>, words: &str) {
        let Phase::Persisting { link, .. } = self.phase else { return };
        self.store_backoff.reset();
        self.activation_logins = 0;
        self.round = Round::default();
        let mut event = Event::new(EventKind::Activated, Status::ENOS_OK, words);
        event.activation = Some(Arc::clone(&activation));
        self.emit(event);
        match link {
            SecretsLink::Up => {
                let (topic, payload) = activation.reply();
                self.actions.push_back(Action::Send(LinkRequest::Publish { token: 0, topic, payload, qos: 0 }));
                self.close(now);
            }
            SecretsLink::Ending => {
                let deadline = Some(now.ms + LINGER_MS + LINGER_GRACE_MS);
                self.phase = Phase::Closing { deadline, draining: false, activating: true };
            }
            SecretsLink::Gone if self.wanted => {
                self.tell_disconnected();
                self.log_in(now);
            }
            SecretsLink::Gone => self.rest(),
        }
    }

    /// The host wants to be offline while a secret waits for its storage: only the link ends.
    pub(super) fn leave_persisting_link(&mut self) {
        if let Phase::Persisting { link, .. } = &mut self.phase {
            if *link == SecretsLink::Up {
                *link = SecretsLink::Ending;
                self.actions.push_back(Action::Disconnect { attempt: self.attempt, linger_ms: LINGER_MS });
            }
        }
        self.tell_disconnected();
    }

    /// The device has logged in with this secret. That is stored when it changes anything; not while the records could
    /// not be read: what stands there would be overwritten unseen.
    pub(super) fn note_login(&mut self, secret: &Secret) {
        let is_new = self.credentials.kept.logged_in(secret);
        if self.complete && self.saving.note_login(is_new) {
            self.store_secrets();
        }
    }
}
