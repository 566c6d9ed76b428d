//! The way online: which credential is tried and when, and what follows from the broker's answer.

use super::retry::failure;
use super::rotation::Rotation;
use super::secrets::DeviceSecrets;
use super::{Change, Connection, Context, Phase, STORE_AGAIN_MIN_MS};
use crate::error::Status;
use crate::log::Level;
use crate::model::sign::SecureMode;
use crate::model::storage::StorageError;
use crate::protocol::sign::timestamp_ms;
use crate::session::credential::Credential;
use crate::session::event::{Event, EventKind};
use crate::session::io::{Action, Loaded};

/// After a failure, a host that calls connect() waits at least this long. Otherwise a host that calls it after each
/// failure would try without a pause, and a failing storage would keep it in one turn of the loop for ever.
const CONNECT_AGAIN_MS: u64 = 1_000;

impl Connection {
    /// Begins to go online. An attempt in progress continues. A wait is cut short as far as the budget permits.
    pub fn connect(&mut self, cx: &mut Context) {
        self.wanted = true;
        let soonest = self.failed_at.map_or(0, |at| at.saturating_add(CONNECT_AGAIN_MS));
        if matches!(self.phase, Phase::Idle | Phase::Waiting { .. }) {
            self.blocked_by = None;
        }
        match &mut self.phase {
            Phase::Waiting { until } if cx.now.ms < soonest => *until = soonest.min(*until),
            Phase::Idle if cx.now.ms < soonest => self.phase = Phase::Waiting { until: soonest },
            Phase::Idle | Phase::Waiting { .. } => self.log_in(cx),
            Phase::Loading | Phase::Persisting { .. } => self.take_back_disconnect(cx),
            Phase::LoggingIn { began, deadline, .. } => {
                if deadline.is_some() {
                    *deadline = Some(began.saturating_add(cx.settings.connect_timeout_ms));
                }
                self.take_back_disconnect(cx);
            }
            Phase::Awaiting { .. } if self.disconnect_pending => {
                self.take_back_disconnect(cx);
                self.wait_for_secret(cx);
            }
            Phase::Awaiting { .. } | Phase::Online { .. } | Phase::Closing { .. } => {}
        }
    }

    /// The host's storage has been read.
    pub fn loaded(&mut self, loaded: Loaded, cx: &mut Context) {
        if !matches!(self.phase, Phase::Loading) {
            return;
        }
        self.credentials.device = DeviceSecrets::new(loaded.secrets);
        self.credentials.last_accepted = loaded.accepted.or(self.credentials.last_accepted);
        // After the first attempt, the stored stamps are those of this process.
        if let (Some((stamps, same_boot)), 0) = (loaded.budget, self.attempt) {
            self.budget.restore(&stamps, same_boot, cx.now.ms);
        }
        self.all_loaded = loaded.failure.is_none();
        self.rotation.reset();
        match loaded.failure {
            _ if !self.wanted => self.rest(cx),
            Some(storage) if !self.credentials.has_device_secret() => self.load_failed(storage, cx),
            storage => {
                if let Some(storage) = storage {
                    cx.log(Level::Error, format!("{}; going on with the secrets in hand", storage.message));
                }
                self.rotation.begin(self.plan(cx));
                self.log_in(cx);
            }
        }
    }

    fn load_failed(&mut self, storage: StorageError, cx: &mut Context) {
        let wait = self.backoff.next(cx.rng).max(STORE_AGAIN_MIN_MS);
        let words = format!("{}; the device goes on only once its storage can be read", storage.message);
        self.wait_until(cx.now.ms + wait, failure(Status::ENOS_ERR_STORAGE, storage.code, words), cx);
    }

    /// Sends the next CONNECT, or waits until the budget has room for it.
    pub(super) fn log_in(&mut self, cx: &mut Context) {
        if self.rotation.current().is_none() && self.all_loaded {
            self.rotation.begin(self.plan(cx));
        }
        let Some(credential) = self.rotation.current().cloned() else {
            return self.without_credential(cx);
        };
        let at = self.budget.allowed_at(cx.now.ms);
        if at > cx.now.ms {
            let wait = at - cx.now.ms;
            cx.log(Level::Info, format!("the connect budget has room for the next attempt in {wait} ms"));
            self.phase = Phase::Waiting { until: at };
            return;
        }
        self.attempt += 1;
        self.blocked_by = None;
        cx.log(Level::Info, format!("logging in: {credential}"));
        let deadline = cx.now.ms.saturating_add(cx.settings.connect_timeout_ms);
        let stamps = self.budget.begin(cx.now.ms, deadline);
        cx.actions.push_back(Action::StoreBudget(stamps));
        let timestamp_ms = timestamp_ms(cx.now.wall_ms);
        cx.actions.push_back(Action::Open { attempt: self.attempt, credential: credential.clone(), timestamp_ms });
        self.phase = Phase::LoggingIn { credential, began: cx.now.ms, deadline: Some(deadline) };
    }

    fn without_credential(&mut self, cx: &mut Context) {
        if self.all_loaded {
            return self.give_up(failure(Status::ENOS_ERR_CREDENTIALS, 0, "there is no secret to log in with"), cx);
        }
        self.phase = Phase::Loading;
        cx.actions.push_back(Action::Load);
    }

    /// The credentials of a new rotation. An activation is planned when there is no device secret. When there are some, it
    /// comes after them, and only if all were refused so long ago that EnOS's ban cannot have been the reason.
    fn plan(&self, cx: &Context) -> Vec<Credential> {
        let mut credentials = self.credentials.of_device();
        let reactivate = cx.settings.reactivation && self.rotation.is_refusal_confirmed(cx.now.ms);
        if self.all_loaded && (credentials.is_empty() || reactivate) {
            credentials.extend(self.credentials.of_product());
        }
        credentials
    }

    /// The broker has accepted the login.
    pub(super) fn up(&mut self, cx: &mut Context) -> Option<Change> {
        let Phase::LoggingIn { credential, .. } = &self.phase else { return None };
        let credential = credential.clone();
        self.end_attempt(true, cx);
        self.blocked_by = None;
        self.rotation.answered();
        let accepted = credential.accepted();
        if self.credentials.last_accepted != Some(accepted) {
            self.credentials.last_accepted = Some(accepted);
            cx.actions.push_back(Action::StoreAccepted(accepted));
        }
        if credential.mode() == SecureMode::ENOS_SECURE_MODE_PRODUCT {
            self.await_activation(cx);
            return None;
        }
        self.note_login(&credential.secret, cx);
        self.rotation = Rotation::default();
        self.activation_logins = 0;
        self.last_error = None;
        self.phase = Phase::Online { since: cx.now.ms, stalled: false };
        cx.emit(Event::new(EventKind::Connected, Status::ENOS_OK, format!("online: {credential}")));
        Some(Change::Online)
    }

    /// CONNACK has this code, which is not 0.
    pub(super) fn refused(&mut self, code: u8, cx: &mut Context) {
        self.end_attempt(true, cx);
        if !self.wanted {
            return self.rest(cx);
        }
        let number = i32::from(code);
        let event = |status, words: &str| failure(status, number, format!("{words} (CONNACK {code})"));
        match code {
            1 => self.wait_long(event(Status::ENOS_ERR_PROTOCOL, "the broker does not speak MQTT 3.1.1"), cx),
            2 => self.wait_long(event(Status::ENOS_ERR_PROTOCOL, "the broker refused the client id"), cx),
            3 => self.retry(event(Status::ENOS_ERR_NETWORK, "the broker is not available"), cx),
            4 | 5 => self.credential_refused(number, cx),
            // The meaning of the code is not known; the refusal may be temporary.
            _ => {
                let words = format!("the broker refused with CONNACK {code}, which MQTT 3.1.1 does not have");
                self.retry(failure(Status::ENOS_ERR_PROTOCOL, number, words), cx);
            }
        }
    }

    fn credential_refused(&mut self, code: i32, cx: &mut Context) {
        let refused = self.rotation.current().map(Credential::to_string).unwrap_or_default();
        match self.rotation.refuse() {
            Some(next) => {
                let words = format!("the broker refused {refused} (CONNACK {code}); next: {next}");
                let at = self.budget.allowed_at(cx.now.ms);
                self.wait_until(at, failure(Status::ENOS_ERR_CREDENTIALS, code, words), cx);
            }
            None => self.all_refused(code, cx),
        }
    }

    fn all_refused(&mut self, code: i32, cx: &mut Context) {
        let (tried, product_only) = self.rotation.end(cx.now.ms);
        let (status, advice) = if product_only {
            (
                Status::ENOS_ERR_ACTIVATION_REFUSED,
                "the product secret is wrong, dynamic activation is off, or the device is active already and has to \
                 be deleted and registered anew in the console",
            )
        } else if cx.settings.identity.is_channel() {
            let advice =
                "check the product key and the product secret, and that the product has an integration channel";
            (Status::ENOS_ERR_CREDENTIALS, advice)
        } else {
            (Status::ENOS_ERR_CREDENTIALS, "check the secrets, the keys and that the device is enabled in the console")
        };
        let mut words = format!("refused (CONNACK {code}): {tried}: {advice}");
        if cx.settings.sign_method.is_none() {
            words += "; EnOS 2.1 and later may want ENOS_SIGN_SHA256";
        }
        if self.conflict.is_suspected() {
            words += "; the last connection ended soon after its login: with another client logged in as this device, \
                      EnOS may have barred both for their many CONNECTs";
        }
        self.wait_long(failure(status, code, words), cx);
    }

    /// The attempt has ended without a CONNACK.
    pub(super) fn failed(&mut self, status: Status, reason: String, connect_sent: bool, cx: &mut Context) {
        self.end_attempt(connect_sent, cx);
        if !connect_sent {
            self.conflict.unreachable();
        }
        if !self.wanted {
            return self.rest(cx);
        }
        // A broker with TLS 1.3 can refuse the client's certificate after the CONNECT. That says nothing about the
        // credential.
        if connect_sent && status != Status::ENOS_ERR_TLS {
            self.rotation.hang_up(self.credentials.last_accepted);
        }
        self.retry(failure(status, 0, reason), cx);
    }

    /// The attempt is over. It does not count if its CONNECT was not sent. The stored stamps may then count one too many,
    /// which does no harm.
    pub(super) fn end_attempt(&mut self, connect_sent: bool, cx: &mut Context) {
        self.budget.end(cx.now.ms, connect_sent);
        if connect_sent {
            cx.actions.push_back(Action::StoreBudget(self.budget.stamps()));
        }
    }
}
