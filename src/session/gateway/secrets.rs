//! The device secrets of sub-devices in the host's storage. They have the promise of the gateway's own: a secret that
//! came is stored and read back before anything else is done with it.

use std::sync::Arc;

use super::subdevice::Stored;
use super::{Around, Gateway};
use crate::error::{Error, Result, Status};
use crate::log::Level;
use crate::model::storage::StorageError;
use crate::model::subdevice::SubdeviceState;
use crate::protocol::subdevice::Named;
use crate::protocol::{Activation, DeviceSecret, Secret, Standing};
use crate::session::backoff::Backoff;
use crate::session::event::{Event, EventKind};
use crate::session::io::Action;

/// The wait after a storage call that failed.
const AGAIN_MIN_MS: u64 = 1_000;
const AGAIN_MAX_MS: u64 = 120_000;

/// A secret that is in no storage yet.
pub struct Unsaved {
    activation: Arc<Activation>,
    /// When to store it; `None` while that is under way.
    store_at: Option<u64>,
    /// The host was told by a PERSIST_FAILED event.
    told: bool,
    /// Another one that has come since then. It is stored after this one.
    newer: Option<Arc<Activation>>,
    backoff: Backoff,
}

impl Unsaved {
    fn is_due(&self, now: u64) -> bool {
        self.store_at.is_some_and(|at| at <= now)
    }
}

impl Gateway {
    /// A device secret of a sub-device is in no storage.
    pub fn has_unsaved_secret(&self) -> bool {
        self.unsaved > 0
    }

    /// Reads or stores the next secrets, one sub-device at a time.
    pub(super) fn use_storage(&mut self, around: &mut Around) {
        if self.storage_busy {
            return;
        }
        let now = around.now.ms;
        // What came is stored before anything is read.
        let to_store = self.subdevices.iter_mut().find_map(|(id, subdevice)| {
            let unsaved = subdevice.unsaved.as_deref_mut().filter(|unsaved| unsaved.is_due(now))?;
            unsaved.store_at = None;
            let secret = DeviceSecret {
                secret: unsaved.activation.device_secret().clone(),
                asset_id: unsaved.activation.asset_id().map(str::to_owned),
                standing: Standing::First,
                brought_by: 0,
            };
            Some(Action::StoreSubdevice { id: *id, identity: subdevice.identity.clone(), secret })
        });
        let action = to_store.or_else(|| {
            let waits = |stored: Stored, at: u64| stored == Stored::Unknown && at <= now;
            let mut all = self.subdevices.iter_mut();
            let (id, subdevice) = all.find(|(_, one)| waits(one.stored, one.login_at) && one.wanted && !one.removed)?;
            subdevice.stored = Stored::Reading;
            Some(Action::LoadSubdevice { id: *id, identity: subdevice.identity.clone() })
        });
        self.storage_busy = action.is_some();
        self.changed |= self.storage_busy;
        around.actions.extend(action);
    }

    /// When the storage is used next.
    pub(super) fn storage_deadline(&self) -> Option<u64> {
        if self.storage_busy {
            return None;
        }
        let at = |one: &super::Subdevice| match &one.unsaved {
            Some(unsaved) => unsaved.store_at,
            None => (one.stored == Stored::Unknown && one.wanted && !one.removed).then_some(one.login_at),
        };
        self.subdevices.values().filter_map(at).min()
    }

    /// The secrets in the storage were read, the oldest first.
    pub fn loaded(
        &mut self,
        id: u64,
        result: std::result::Result<Vec<DeviceSecret>, StorageError>,
        around: &mut Around,
    ) {
        self.storage_busy = false;
        self.changed = true;
        let Some(subdevice) = self.subdevices.get_mut(&id).filter(|one| one.stored == Stored::Reading) else { return };
        match result {
            Ok(secrets) => {
                (subdevice.stored, subdevice.alone, subdevice.login_at) = (Stored::Known, false, around.now.ms);
                subdevice.secrets = secrets.into_iter().rev().map(|stored| stored.secret).collect();
                self.check_secret(id, around);
            }
            Err(failure) => {
                subdevice.stored = Stored::Unknown;
                let wait = subdevice.waits(around.now.ms, around.rng);
                subdevice.state = SubdeviceState::Refused;
                let words = format!("{}; it logs in only once its storage can be read", failure.message);
                let event = subdevice.event(id, Status::ENOS_ERR_STORAGE, words).code(failure.code).retry_in(wait);
                around.actions.push_back(Action::Emit(event));
            }
        }
    }

    pub(super) fn has_no_secret(&mut self, id: u64, around: &mut Around) {
        let Some(subdevice) = self.subdevices.get_mut(&id) else { return };
        subdevice.state = SubdeviceState::Refused;
        let words =
            "there is no device secret in its options or in the storage, and no product secret; remove it, and add it \
                     with one of them";
        around.actions.push_back(Action::Emit(subdevice.event(id, Status::ENOS_ERR_CREDENTIALS, words)));
    }

    /// A reply brings the secret of a sub-device that was to be activated. Nothing else is done with it before the
    /// secret is stored.
    pub(super) fn take_secret(&mut self, id: u64, named: Named, around: &mut Around) {
        let Some(subdevice) = self.subdevices.get_mut(&id) else { return };
        let Some(secret) = named.secret.filter(|secret| !subdevice.secrets.contains(secret)) else { return };
        if !self.has_storage {
            // Without a storage, activations are not begun.
            return;
        }
        around
            .actions
            .push_back(Action::Log(Level::Info, format!("the device secret of {} has come", named.device_key)));
        let activation = Arc::new(Activation::of_subdevice(&subdevice.identity, secret, named.asset_id));
        let backoff = Backoff::new(AGAIN_MIN_MS, AGAIN_MAX_MS);
        subdevice.secret_may_come = false;
        if let Some(unsaved) = subdevice.unsaved.as_deref_mut() {
            if unsaved.activation.device_secret() != activation.device_secret() {
                unsaved.newer = Some(activation);
            }
            return;
        }
        subdevice.unsaved =
            Some(Box::new(Unsaved { activation, store_at: Some(around.now.ms), told: false, newer: None, backoff }));
        self.unsaved += 1;
        self.changed = true;
    }

    /// The storage has answered.
    pub fn stored(&mut self, id: u64, result: std::result::Result<(), StorageError>, around: &mut Around) {
        self.storage_busy = false;
        self.changed = true;
        let Some(subdevice) = self.subdevices.get_mut(&id) else { return };
        // If the host has saved it by hand meanwhile, another one may wait in its place.
        let under_way = subdevice.unsaved.as_deref_mut().filter(|unsaved| unsaved.store_at.is_none());
        let (user, Some(unsaved)) = (subdevice.user, under_way) else { return };
        let event = |kind, status, words: &str, activation: &Arc<Activation>| Event {
            subdevice: id,
            user,
            activation: Some(Arc::clone(activation)),
            ..Event::new(kind, status, words)
        };
        match result {
            Ok(()) => {
                let activation = Arc::clone(&unsaved.activation);
                let words = "the device secret of the sub-device is stored and read back";
                around.actions.push_back(Action::Emit(event(
                    EventKind::Activated,
                    Status::ENOS_OK,
                    words,
                    &activation,
                )));
                self.saved(id, activation.device_secret().clone(), around);
            }
            Err(failure) => {
                let wait = unsaved.backoff.next(around.rng).max(AGAIN_MIN_MS);
                unsaved.store_at = Some(around.now.ms.saturating_add(wait));
                unsaved.told = true;
                let event = event(EventKind::PersistFailed, failure.status, &failure.message, &unsaved.activation);
                around.actions.push_back(Action::Emit(event.code(failure.code).retry_in(wait)));
            }
        }
        self.was_tried(id, around);
    }

    /// The host has saved the secret by hand.
    pub fn saved_by_hand(&mut self, id: u64, around: &mut Around) -> Result<()> {
        let subdevice = self.subdevices.get(&id).ok_or_else(|| super::not_found(id))?;
        let told = subdevice.unsaved.as_deref().filter(|unsaved| unsaved.told);
        let secret = told.map(|unsaved| unsaved.activation.device_secret().clone()).ok_or_else(|| {
            let words = "no PERSIST_FAILED event has told a secret of this sub-device that is unsaved still";
            Error::new(Status::ENOS_ERR_STATE, words)
        })?;
        self.saved(id, secret, around);
        Ok(())
    }

    fn saved(&mut self, id: u64, secret: Secret, around: &mut Around) {
        self.changed = true;
        let Some(subdevice) = self.subdevices.get_mut(&id) else { return };
        let newer = subdevice.unsaved.as_deref_mut().and_then(|unsaved| unsaved.newer.take());
        subdevice.secrets.insert(0, secret);
        subdevice.at = 0;
        if let (Some(newer), Some(unsaved)) = (newer, subdevice.unsaved.as_deref_mut()) {
            (unsaved.activation, unsaved.store_at, unsaved.told) = (newer, Some(around.now.ms), false);
            return;
        }
        if subdevice.unsaved.take().is_some() {
            self.unsaved -= 1;
        }
        if subdevice.removed {
            self.log_out(id, around);
            self.forget(id, around.exchange);
        } else if subdevice.logged_in && subdevice.wanted && subdevice.state == SubdeviceState::Activating {
            let is_due =
                |one: &super::Subdevice| one.unsaved.as_deref().is_some_and(|secret| secret.is_due(around.now.ms));
            let more = self.subdevices.values().any(is_due);
            self.came_online(&[id], more, around);
        }
    }
}
