//! The device around the session. It performs the session's actions on a disk, a network and a host that all may fail.

use std::collections::BTreeSet;

use super::{Due, Wire, World, LIMITS, PRODUCT};
use crate::error::Status;
use crate::model::sign::SecureMode;
use crate::model::storage::StorageError;
use crate::protocol::command::Digest;
use crate::protocol::{DeviceSecret, Identity, Secret, Standing, Totals};
use crate::session::*;

pub fn settings() -> Settings {
    Settings {
        subdevices: SubdeviceSettings { limit: 200, batch: 100, join_ms: 50 },
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
        subscribe_batch: 100,
        commands: CommandSettings {
            limit: 8,
            bytes: 4096,
            timeout_ms: 25_000,
            services: vec![("short".to_owned(), 2_000)],
            quiet_ms: 0,
            remembers: true,
        },
        firmware_version: None,
        outbox: Some(OutboxSettings {
            window: 10,
            bytes_per_s: 1_000_000,
            timeout_ms: 30_000,
            boot: 1,
            limits: Totals { messages: LIMITS.messages, bytes: LIMITS.bytes },
        }),
    }
}

/// A stored secret that has logged in before.
pub fn proven(secret: &str) -> DeviceSecret {
    let secret = Secret::new(secret.as_bytes()).unwrap();
    DeviceSecret { secret, asset_id: None, standing: Standing::First, brought_by: 0 }
}

/// What survives a power cut: the host's storage.
#[derive(Clone, Default)]
pub struct Disk {
    pub secrets: Vec<DeviceSecret>,
    pub accepted: Option<Accepted>,
    /// The stamps, and the boot to which they belong.
    pub budget: Option<(Vec<u64>, u64)>,
    pub commands: Vec<Digest>,
}

impl Disk {
    pub fn find(&self, secret: &str) -> Option<&DeviceSecret> {
        self.secrets.iter().find(|kept| kept.secret.as_str() == secret)
    }

    pub fn holds(&self, secret: &str) -> bool {
        self.find(secret).is_some()
    }

    pub fn count(&self, holds: impl Fn(Standing) -> bool) -> usize {
        self.secrets.iter().filter(|kept| holds(kept.standing)).count()
    }
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Killed,
    PowerCut,
    /// The host has destroyed the client.
    Destroyed,
}

impl World {
    /// The process or the power may fail before and after each action.
    pub(super) fn perform(&mut self) {
        if std::mem::replace(&mut self.performing, true) {
            return;
        }
        while self.end.is_none() {
            self.maybe_end();
            if self.end.is_some() {
                break;
            }
            let Some(action) = self.session.next_action() else { break };
            if action.burden() == Burden::Storage || matches!(action, Action::Load | Action::StoreSecrets(_)) {
                self.take_time();
            }
            if let Some(answer) = self.perform_one(action) {
                self.maybe_end();
                if self.end.is_none() {
                    self.session.handle(self.now(), answer);
                }
            }
        }
        self.performing = false;
    }

    /// A storage call takes time, and another thread of the host makes calls meanwhile.
    fn take_time(&mut self) {
        if self.happens(self.rates.storage_slow) {
            self.now += self.rng.u64(0..8_000);
            match self.rng.u32(..8) {
                0 => self.disconnect(),
                1 => self.connect(),
                _ => {}
            }
        }
    }

    /// Gives the session what has arrived on the link of an activation, as the client does before it drops such a link.
    fn take_in(&mut self) {
        let Some(wire) = self.wire.as_ref().filter(|wire| wire.is_product) else { return };
        let attempt = wire.attempt;
        let arrived = |due: &Due| matches!(due, Due::Link(on, _) | Due::Push(on, _) if *on == attempt);
        loop {
            let next = self.due.range(..=(self.now, u64::MAX)).find(|(_, due)| arrived(due)).map(|(key, _)| *key);
            let Some(due) = next.and_then(|key| self.due.remove(&key)) else { return };
            self.happen(due);
        }
    }

    /// The host ends its process as the header describes it.
    pub(super) fn destroy(&mut self) {
        if self.session.connection().is_activating() {
            self.performing = true;
            self.take_in();
            self.performing = false;
        }
        if !self.session.connection().has_unsaved_secret() {
            self.check_unread();
            self.end = Some(End::Destroyed);
        }
    }

    fn maybe_end(&mut self) {
        for (rate, end) in [(self.rates.killed, End::Killed), (self.rates.power_cut, End::PowerCut)] {
            if self.happens(rate) {
                self.end = Some(end);
            }
        }
    }

    fn perform_one(&mut self, action: Action) -> Option<Input> {
        match action {
            Action::Load => return Some(Input::Loaded(Box::new(self.load()))),
            Action::StoreSecrets(secrets) => return Some(Input::SecretsStored(self.store_secrets(secrets))),
            Action::StoreAccepted(accepted) => {
                if !self.happens(self.rates.hint_fails) {
                    self.disk.accepted = Some(accepted);
                }
            }
            Action::StoreBudget(stamps) => match self.happens(self.rates.hint_fails) {
                true => self.uncounted_until = self.now + 160_000,
                false => self.disk.budget = Some((stamps, self.boot)),
            },
            Action::Open { attempt, credential, .. } => self.open(attempt, &credential),
            Action::Abandon { attempt, reason } => {
                self.take_in();
                if self.wire.as_ref().is_some_and(|wire| wire.is_product)
                    && self.session.connection().wants_link(attempt)
                {
                    return None;
                }
                self.check_unread();
                let connect_sent =
                    self.wire.take_if(|wire| wire.attempt == attempt).is_some_and(|wire| wire.connect_sent);
                return Some(Input::Link {
                    attempt,
                    what: LinkEvent::Failed { status: Status::ENOS_ERR_NETWORK, reason, connect_sent },
                });
            }
            Action::Withdraw { attempt, reason } => {
                let sent = self.wire.as_ref().is_some_and(|wire| wire.attempt == attempt && wire.connect_sent);
                if !sent && self.session.connection().is_withdrawn(attempt) {
                    self.wire.take_if(|wire| wire.attempt == attempt);
                    let status = Status::ENOS_ERR_NETWORK;
                    let what = LinkEvent::Failed { status, reason, connect_sent: false };
                    return Some(Input::Link { attempt, what });
                }
            }
            Action::Disconnect { attempt, .. } => {
                self.take_in();
                self.check_unread();
                let delay = self.rng.u64(0..100);
                self.later(delay, Due::Link(attempt, LinkEvent::Closed));
            }
            Action::StoreCommands(digests) => {
                if !self.happens(self.rates.hint_fails) {
                    self.disk.commands = digests;
                }
            }
            Action::Send(request) => self.send(request),
            Action::HandOver(handed) => self.handed_over(*handed),
            Action::TellRefused(event) | Action::Emit(event) => self.emit(event),
            Action::Ota { .. } => {}
            Action::Log(..) | Action::LoadSubdevice { .. } | Action::StoreSubdevice { .. } => {}
            Action::Outbox { subdevice, task } => return self.do_task(subdevice, task),
        }
        None
    }

    /// The process ends, in order or not.
    pub(super) fn die(&mut self) {
        self.end = Some(if self.rng.bool() { End::Killed } else { End::PowerCut });
    }

    fn load(&mut self) -> Loaded {
        let failure = StorageError::new(-7, "the flash does not answer");
        let failure = self.happens(self.rates.load_fails).then_some(failure);
        // Some of them may be readable all the same.
        let readable = if failure.is_some() { self.rng.usize(..=self.disk.secrets.len()) } else { usize::MAX };
        let secrets = self.disk.secrets.iter().take(readable);
        let secrets = secrets.map(|kept| DeviceSecret { brought_by: 0, ..kept.clone() }).collect();
        let accepted = if self.happens(self.rates.hint_fails) { None } else { self.disk.accepted };
        self.load_failed = failure.is_some();
        let boot = self.boot;
        let mut budget = self.disk.budget.clone().map(|(stamps, of)| (stamps, of == boot));
        if budget.is_some() && self.happens(self.rates.hint_fails) {
            self.uncounted_until = self.now + 160_000;
            budget = None;
        }
        self.commands.load(&self.disk.commands);
        Loaded { secrets, failure, accepted, budget, commands: self.disk.commands.clone() }
    }

    fn store_secrets(&mut self, secrets: Vec<DeviceSecret>) -> std::result::Result<(), StorageError> {
        if self.happens(self.rates.store_fails) {
            return Err(StorageError::new(-5, "the flash is full"));
        }
        let before = std::mem::replace(&mut self.disk.secrets, secrets);
        self.stored.extend(self.disk.secrets.iter().map(|kept| kept.secret.as_str().to_owned()));
        self.check_what_went(&before);
        // The value is stored, but the storage reports a failure.
        if self.happens(self.rates.store_fails / 4) {
            return Err(StorageError::new(-6, "the flash does not know"));
        }
        Ok(())
    }

    fn open(&mut self, attempt: u64, credential: &Credential) {
        let mode = credential.mode();
        // A secret that was removed for another one may still be in memory.
        let unsaved = !self.keeps(credential.secret.as_str())
            && !self.stored.contains(credential.secret.as_str())
            && self.settings.device_secret.as_ref() != Some(&credential.secret);
        if mode == SecureMode::ENOS_SECURE_MODE_DEVICE && unsaved {
            self.violate(format!("a login with a secret that is not stored: {credential}"));
        }
        if mode == SecureMode::ENOS_SECURE_MODE_PRODUCT && self.session.connection().has_unsaved_secret() {
            self.violate("a login as product with a secret unsaved".into());
        }
        if mode == SecureMode::ENOS_SECURE_MODE_PRODUCT && self.load_failed {
            self.violate("an activation although a secret could not be read".into());
        }
        let held = !self.disk.secrets.is_empty() || self.settings.device_secret.is_some();
        let refused_for = self.refused_since.map_or(0, |since| self.now - since);
        if mode == SecureMode::ENOS_SECURE_MODE_PRODUCT && held && refused_for < 330_000 {
            self.violate(format!("a re-activation after refusals of {refused_for} ms, which may be a ban"));
        }
        self.wire = Some(Wire {
            attempt,
            is_product: mode == SecureMode::ENOS_SECURE_MODE_PRODUCT,
            connect_sent: false,
            silent_from: u64::MAX,
            is_forged: false,
            open: BTreeSet::new(),
            asked: BTreeSet::new(),
        });
        let delay = match self.happens(self.rates.connect_slow) {
            true => self.rng.u64(0..40_000),
            false => self.rng.u64(0..50),
        };
        if self.happens(self.rates.connect_fails) {
            let what =
                LinkEvent::Failed { status: Status::ENOS_ERR_NETWORK, reason: "refused".into(), connect_sent: false };
            return self.later(delay, Due::Link(attempt, what));
        }
        self.later(delay, Due::Connect(attempt, mode, credential.secret.clone(), credential.method));
    }

    fn emit(&mut self, event: Event) {
        if event.token >= 1 << 62 {
            self.durable_told(&event);
        } else if event.token != 0 && !self.accepted.remove(&event.token) {
            self.violate(format!("token {} has a second outcome: {:?}", event.token, event.kind));
        } else {
            self.check_promise(&event);
        }
        if event.kind == EventKind::PersistFailed && self.happens(self.rates.host_saves) {
            let secret = event.activation.as_ref().map(|activation| activation.device_secret().as_str().to_owned());
            if let Some(secret) = secret.filter(|secret| !self.saved_by_hand.contains(secret)) {
                self.saved_by_hand.push(secret);
                let after = [0, self.rng.u64(0..5_000)][self.rng.usize(..2)];
                self.later(after, Due::Saved);
            }
        }
        if event.kind == EventKind::Connected {
            self.refused_since = None;
        }
        if event.kind == EventKind::Stopped {
            self.stopped += 1;
            if event.status == Status::ENOS_OK && self.session.connection().has_unsaved_secret() {
                self.violate("STOPPED with a secret unsaved".into());
            }
        }
        self.events.push(event);
    }
}
