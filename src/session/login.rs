//! Logging in: which pair, when, and what follows from the broker's answer.

use super::secrets::Secrets;
use super::*;
use crate::protocol::durable::CLOCK_IS_SET_MS;

/// After a full round of refusals: 10 minutes to 1 hour.
const LONG_WAIT_MIN_MS: u64 = 600_000;
const LONG_WAIT_MAX_MS: u64 = 3_600_000;
/// The next attempt that a host asks for comes no sooner than this after a failure. Otherwise a host that asks at each
/// failure would try without a pause, and a failing storage would keep it in one turn of the loop for ever.
const CONNECT_AGAIN_MS: u64 = 1_000;
/// 2050-01-01, what Envision's C SDK always signs: EnOS only checks that the client id and the signature agree.
const NO_CLOCK_MS: u64 = 2_524_608_000_000;

impl Session {
    /// Begins to go online. What is under way goes on; a wait is cut short as far as the budget permits.
    pub fn connect(&mut self, now: Now) {
        self.wanted = true;
        let soonest = self.failed_at.map_or(0, |at| at.saturating_add(CONNECT_AGAIN_MS));
        match &mut self.phase {
            Phase::Waiting { until } if now.ms < soonest => {
                *until = soonest.min(*until);
                self.standing = None;
            }
            Phase::Idle if now.ms < soonest => {
                self.phase = Phase::Waiting { until: soonest };
                self.standing = None;
            }
            Phase::Idle | Phase::Waiting { .. } => {
                self.standing = None;
                self.log_in(now);
            }
            // From here on: a disconnect that is not through yet is taken back.
            Phase::Loading | Phase::Persisting { .. } => self.take_back_disconnect(),
            Phase::LoggingIn { began, deadline, .. } => {
                if deadline.is_some() {
                    *deadline = Some(began.saturating_add(self.settings.connect_timeout_ms));
                }
                self.take_back_disconnect();
            }
            Phase::Awaiting { .. } if self.owed_disconnected => {
                self.take_back_disconnect();
                self.wait_for_secret(now);
            }
            Phase::Awaiting { .. } | Phase::Online { .. } | Phase::Closing { .. } => {}
        }
    }

    pub(super) fn load(&mut self) {
        self.phase = Phase::Loading;
        self.actions.push_back(Action::Load);
    }

    pub(super) fn on_loaded(&mut self, now: Now, loaded: Loaded) {
        if !matches!(self.phase, Phase::Loading) {
            return;
        }
        let failure = loaded.failure;
        self.credentials.kept = Secrets::new(loaded.secrets);
        self.credentials.last_accepted = loaded.accepted.or(self.credentials.last_accepted);
        // Later on they are our own.
        if let (Some((stamps, same_boot)), 0) = (loaded.budget, self.attempt) {
            self.budget.restore(&stamps, same_boot, now.ms);
        }
        self.complete = failure.is_none();
        self.round.forget();
        if !self.wanted {
            return self.rest();
        }
        match failure {
            Some(failure) if !self.credentials.has_device_secret() => {
                let wait = self.backoff.next(&mut self.rng).max(activation::STORE_AGAIN_MIN_MS);
                let words = format!("{}; the device goes on only once its storage can be read", failure.message);
                self.down(Status::ENOS_ERR_STORAGE, failure.code, words, Some(now.ms + wait), now);
            }
            failure => {
                if let Some(failure) = failure {
                    self.log(Level::Error, format!("{}; going on with the secrets in hand", failure.message));
                }
                self.round.begin(self.plan(now));
                self.log_in(now);
            }
        }
    }

    /// Sends the next CONNECT, or waits until the budget has room for it.
    pub(super) fn log_in(&mut self, now: Now) {
        if !self.round.is_planned() && self.complete {
            self.round.begin(self.plan(now));
        }
        let Some(candidate) = self.round.present().cloned() else {
            if self.complete {
                let words = "there is no secret to log in with".to_owned();
                return self.down(Status::ENOS_ERR_CREDENTIALS, 0, words, None, now);
            }
            // Not all of the storage has been read: look (again).
            return self.load();
        };
        let at = self.budget.allowed_at(now.ms);
        if at > now.ms {
            self.log(Level::Info, format!("the connect budget has room for the next attempt in {} ms", at - now.ms));
            self.phase = Phase::Waiting { until: at };
            return;
        }
        self.attempt += 1;
        self.activations = 0;
        self.standing = None;
        self.log(Level::Info, format!("logging in: {candidate}"));
        let deadline = now.ms.saturating_add(self.settings.connect_timeout_ms);
        let stamps = self.budget.begin(now.ms, deadline);
        self.actions.push_back(Action::StoreBudget(stamps));
        let timestamp_ms = if now.wall_ms >= CLOCK_IS_SET_MS { now.wall_ms } else { NO_CLOCK_MS };
        self.actions.push_back(Action::Open { attempt: self.attempt, candidate: candidate.clone(), timestamp_ms });
        self.phase = Phase::LoggingIn { candidate, began: now.ms, deadline: Some(deadline) };
    }

    /// The pairs of a new round. An activation is planned when there is no device secret, or, behind all of them,
    /// when an earlier round was refused whole so long ago that a ban cannot have been the reason.
    fn plan(&self, now: Now) -> Vec<Candidate> {
        let mut candidates = self.credentials.device_rotation();
        let confirmed = self.round.confirmed(now.ms);
        if self.complete && (candidates.is_empty() || (self.settings.reactivation && confirmed)) {
            candidates.extend(self.credentials.product_rotation());
        }
        candidates
    }

    pub(super) fn on_up(&mut self, now: Now) {
        let Phase::LoggingIn { candidate, .. } = &self.phase else { return };
        let candidate = candidate.clone();
        self.end_attempt(now, true);
        self.standing = None;
        self.round.answered();
        let accepted = candidate.accepted();
        if self.credentials.last_accepted != Some(accepted) {
            self.credentials.last_accepted = Some(accepted);
            self.actions.push_back(Action::StoreAccepted(accepted));
        }
        match candidate.mode() {
            SecureMode::Product => self.await_activation(now),
            SecureMode::Device => {
                self.note_login(&candidate.secret);
                self.round = Round::default();
                self.activation_logins = 0;
                self.trouble = None;
                self.phase = Phase::Online { since: now.ms, stalled: false };
                self.emit(Event::new(EventKind::Connected, Status::ENOS_OK, format!("online: {candidate}")));
                self.exchange.link_up(now.ms, &mut self.actions);
                self.with_outbox(now, |outbox, around| outbox.link_up(around.now));
            }
        }
    }

    pub(super) fn on_refused(&mut self, now: Now, code: u8) {
        match &self.phase {
            Phase::LoggingIn { .. } => self.end_attempt(now, true),
            _ => return self.on_lost(now, Status::ENOS_ERR_NETWORK, "the connection was closed"),
        }
        if !self.wanted {
            return self.rest();
        }
        let number = i32::from(code);
        match code {
            4 | 5 => self.on_credentials_refused(now, number),
            3 => {
                let words = "the broker is not available (CONNACK 3)".to_owned();
                self.retry(now, Status::ENOS_ERR_NETWORK, number, words);
            }
            1 | 2 => {
                let words = match code {
                    1 => "the broker does not speak MQTT 3.1.1 (CONNACK 1)",
                    _ => "the broker refused the client id (CONNACK 2)",
                };
                self.wait_long(now, Status::ENOS_ERR_PROTOCOL, number, words.to_owned());
            }
            // Nobody knows what it means; it may pass.
            _ => {
                let words = format!("the broker refused with CONNACK {code}, which MQTT 3.1.1 does not have");
                self.retry(now, Status::ENOS_ERR_PROTOCOL, number, words);
            }
        }
    }

    fn on_credentials_refused(&mut self, now: Now, code: i32) {
        let refused = self.round.present().map(Candidate::to_string).unwrap_or_default();
        if let Some(next) = self.round.refuse() {
            let words = format!("the broker refused {refused} (CONNACK {code}); next: {next}");
            let at = self.budget.allowed_at(now.ms);
            return self.down(Status::ENOS_ERR_CREDENTIALS, code, words, Some(at), now);
        }
        let (tried, product_only) = self.round.end(now.ms);
        let hint =
            if self.settings.sign_method.is_none() { "; EnOS 2.1 and later may want ENOS_SIGN_SHA256" } else { "" };
        let (status, advice) = if product_only {
            (
                Status::ENOS_ERR_ACTIVATION_REFUSED,
                "the product secret is wrong, dynamic activation is off, or the device is active already and has to \
                 be deleted and registered anew in the console",
            )
        } else {
            (Status::ENOS_ERR_CREDENTIALS, "check the secrets, the keys and that the device is enabled in the console")
        };
        let rival = if self.conflict.suspected() {
            "; the last connection ended soon after its login: with another client logged in as this device, EnOS may \
             have barred both for their many CONNECTs"
        } else {
            ""
        };
        self.wait_long(now, status, code, format!("refused (CONNACK {code}): {tried}: {advice}{hint}{rival}"));
    }

    pub(super) fn on_failed(&mut self, now: Now, status: Status, reason: String, connect_sent: bool) {
        if !matches!(self.phase, Phase::LoggingIn { .. }) {
            return self.on_lost(now, Status::ENOS_ERR_NETWORK, &reason);
        }
        self.end_attempt(now, connect_sent);
        if !connect_sent {
            self.conflict.unreachable();
        }
        if !self.wanted {
            return self.rest();
        }
        // A broker that speaks TLS 1.3 can refuse the certificate after the CONNECT: no word on the credentials.
        if connect_sent && status != Status::ENOS_ERR_TLS {
            self.round.hang_up(self.credentials.last_accepted);
        }
        self.retry(now, status, 0, reason);
    }

    /// The link is gone: refused, failed, lost or closed, whatever the state.
    pub(super) fn on_lost(&mut self, now: Now, status: Status, reason: &str) {
        let lived = match self.phase {
            Phase::Online { since, .. } => now.ms.saturating_sub(since),
            _ => 0,
        };
        let rival = self.rival(lived);
        self.end_outbox_link(now, rival.is_some());
        let unplanned = matches!(self.phase, Phase::Online { .. });
        self.exchange.link_down(reason, unplanned, &mut self.actions);
        match &mut self.phase {
            Phase::Online { .. } => {
                if lived >= STABLE_MS {
                    self.backoff.reset();
                }
                match rival {
                    Some(wait) => self.give_way(now, wait, reason),
                    None => self.retry(now, status, 0, reason.to_owned()),
                }
            }
            Phase::Awaiting { .. } if !self.wanted => self.rest(),
            Phase::Awaiting { .. } => self.retry(now, status, 0, reason.to_owned()),
            Phase::LoggingIn { .. } => self.on_failed(now, status, reason.to_owned(), true),
            Phase::Persisting { link, .. } => *link = SecretsLink::Gone,
            Phase::Closing { .. } if self.wanted => {
                self.tell_disconnected();
                self.log_in(now);
            }
            Phase::Closing { .. } => self.rest(),
            Phase::Idle | Phase::Loading | Phase::Waiting { .. } => {}
        }
    }

    /// The attempt under way is over. One whose CONNECT was never sent is none: what is stored of it is only too careful.
    pub(super) fn end_attempt(&mut self, now: Now, connect_sent: bool) {
        self.budget.end(now.ms, connect_sent);
        if connect_sent {
            self.actions.push_back(Action::StoreBudget(self.budget.stamps()));
        }
    }

    pub(super) fn drop_attempt(&mut self, reason: &str) {
        self.actions.push_back(Action::Abandon { attempt: self.attempt, reason: reason.to_owned() });
        self.attempt += 1;
    }

    /// After a failure that may pass soon.
    fn retry(&mut self, now: Now, status: Status, code: i32, words: String) {
        if self.settings.reconnect_max_ms == 0 {
            return self.down(status, code, words, None, now);
        }
        // From when the budget has room: a fleet whose CONNECTs went unanswered has used it up together, and would
        // come back in the very second in which it has room again.
        let at = self.budget.allowed_at(now.ms).saturating_add(self.backoff.next(&mut self.rng));
        self.down(status, code, words, Some(at), now);
    }

    /// After a failure that only a person, or much time, can mend.
    fn wait_long(&mut self, now: Now, status: Status, code: i32, words: String) {
        let wait = long_wait(&mut self.rng);
        self.stand_back(now, wait, status, code, words);
    }

    /// To another client of this device, which would only be thrown out in its turn.
    fn give_way(&mut self, now: Now, wait: u64, reason: &str) {
        let words = format!(
            "{reason}; the broker takes each login and ends its connection soon after: another client is probably \
             logged in as this device; find it, and give each device keys of its own"
        );
        self.stand_back(now, wait, Status::ENOS_ERR_CONFLICT, 0, words);
    }

    fn stand_back(&mut self, now: Now, wait: u64, status: Status, code: i32, words: String) {
        let at = now.ms.saturating_add(wait).max(self.budget.allowed_at(now.ms));
        let again = (self.settings.reconnect_max_ms > 0).then_some(at);
        self.down(status, code, words.clone(), again, now);
        self.standing = Some(Error::new(status, words));
    }

    fn down(&mut self, status: Status, code: i32, words: String, again: Option<u64>, now: Now) {
        self.failed_at = Some(now.ms);
        self.trouble = Some(words.clone());
        let event = Event::new(EventKind::Disconnected, status, words.clone()).code(code);
        match again {
            Some(until) => {
                self.phase = Phase::Waiting { until };
                self.emit(event.retry_in(until.saturating_sub(now.ms)));
            }
            None => {
                self.wanted = false;
                self.phase = Phase::Idle;
                self.standing = Some(Error::new(status, words));
                self.emit(event);
            }
        }
    }
}

pub(super) fn long_wait(rng: &mut fastrand::Rng) -> u64 {
    rng.u64(LONG_WAIT_MIN_MS..=LONG_WAIT_MAX_MS)
}
