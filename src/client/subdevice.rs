//! Sub-devices: the host's calls, and their secrets in the host's storage.

use super::runner::Runner;
use super::stored::Stored;
use super::{check_backlog, Client};
use crate::error::{Error, Result};
use crate::model::subdevice::SubdeviceState;
use crate::protocol::{DeviceSecret, Identity};
use crate::session::{Input, Loaded, NewSubdevice};

/// How many secrets of a sub-device are kept.
const MAX_SECRETS: usize = 4;
/// How many sub-devices can be added in one call.
pub const MAX_ADDED: usize = 10_000;

impl Client {
    /// Adds all or none. `accepted` gets the first id before any event of them can be delivered; the others follow it.
    pub fn add_subdevices(&self, new: Vec<NewSubdevice>, accepted: &mut dyn FnMut(u64)) -> Result<()> {
        if new.is_empty() || new.len() > MAX_ADDED {
            return Err(Error::invalid(format!("count is {}; it can be 1 to {MAX_ADDED}", new.len())));
        }
        self.accept(accepted, |session, now| {
            check_backlog(session)?;
            session.add_subdevices(now, new)
        })
    }

    pub fn set_subdevice_online(&self, id: u64, on: bool) -> Result<()> {
        self.tell(|session, now| {
            check_backlog(session)?;
            session.set_subdevice_online(now, id, on)
        })
    }

    pub fn remove_subdevice(&self, id: u64) -> Result<()> {
        self.tell(|session, now| session.remove_subdevice(now, id))?;
        self.remove_queue(id)
    }

    /// The host has saved the secret of a PERSIST_FAILED event of the sub-device by hand.
    pub fn subdevice_saved(&self, id: u64) -> Result<()> {
        self.tell(|session, now| session.subdevice_saved(now, id))
    }

    pub fn subdevice_state(&self, id: u64) -> Result<SubdeviceState> {
        self.session()?.subdevice_state(id)
    }

    /// The id, identity, state and pointer of each.
    pub fn subdevices(&self) -> Result<Vec<(u64, Identity, SubdeviceState, usize)>> {
        Ok(self.session()?.subdevices())
    }
}

/// Reads the secrets of a sub-device, and then stores another one beside them, if there is one.
pub struct SecretsJob {
    id: u64,
    stored: Stored,
    secret: Option<DeviceSecret>,
}

impl SecretsJob {
    /// Makes the next call of the host's storage. The last one returns the session's input.
    fn step(&mut self) -> Option<Input> {
        let id = self.id;
        match self.stored.step()? {
            Input::Loaded(loaded) => {
                let Loaded { mut secrets, failure, .. } = *loaded;
                let failure = failure.map_or(Ok(()), Err);
                let Some(secret) = self.secret.take() else {
                    return Some(Input::SubdeviceLoaded { id, result: failure.map(|()| secrets) });
                };
                if let Err(failure) = failure {
                    return Some(Input::SubdeviceStored { id, result: Err(failure) });
                }
                secrets.retain(|stored| stored.secret != secret.secret);
                let too_many = (secrets.len() + 1).saturating_sub(MAX_SECRETS);
                secrets.drain(..too_many);
                secrets.push(secret);
                self.stored.store_secrets(secrets).map(|input| stored(id, input))
            }
            input => Some(stored(id, input)),
        }
    }
}

fn stored(id: u64, input: Input) -> Input {
    match input {
        Input::SecretsStored(result) => Input::SubdeviceStored { id, result },
        other => other,
    }
}

impl Runner {
    /// Begins to read the secrets of a sub-device, or to store one.
    pub fn use_secrets(&mut self, id: u64, identity: &Identity, secret: Option<DeviceSecret>) {
        let mut stored = Stored::new(self.stored.records_of(identity));
        stored.load_secrets();
        self.secrets_job = Some(Box::new(SecretsJob { id, stored, secret }));
    }

    /// Whether the storage has to be called again for something that has begun.
    pub fn uses_storage(&self) -> bool {
        self.stored.is_busy() || self.secrets_job.is_some()
    }

    /// Makes the next call of the host's storage.
    pub fn step_storage(&mut self) -> Option<Input> {
        if self.stored.is_busy() {
            return self.stored.step();
        }
        let input = self.secrets_job.as_mut()?.step();
        if input.is_some() {
            self.secrets_job = None;
        }
        input
    }
}
