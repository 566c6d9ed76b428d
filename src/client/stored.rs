//! Connects the session to the records in the host's storage.

use crate::log;
use crate::model::sign::SignMethod;
use crate::model::storage::StorageError;
use crate::protocol::command::Digest;
use crate::protocol::{DeviceSecret, Identity, Standing};
use crate::session::{Accepted, Input, Loaded};
use crate::storage::contents::{decode_commands, encode_commands, StoredBudget, StoredSign};
use crate::storage::record::{RecordError, Role};
use crate::storage::records::{Records, Storing};
use crate::storage::secrets::{self, StoredSecrets};
use crate::transport::clock;

type Outcome<T> = std::result::Result<T, StorageError>;

/// The records of one device, as the session uses them. Without a storage nothing is read or stored.
pub struct Stored {
    records: Option<Box<Records>>,
    /// Which of the two records of secrets was written last, and its number.
    newest: (u8, u64),
    job: Option<Job>,
}

/// Work that takes several calls of the host's storage.
enum Job {
    Load {
        loaded: Box<Loaded>,
        left: Vec<Role>,
        /// There may be records of version 0.1.
        old: bool,
    },
    /// The secrets, the record to write (one of two), and its number.
    Store(Storing, (u8, u64)),
}

impl Stored {
    pub fn new(records: Option<Records>) -> Stored {
        Stored { records: records.map(Box::new), newest: (1, 0), job: None }
    }

    /// The records of another device in the same storage.
    pub fn records_of(&self, identity: &Identity) -> Option<Records> {
        let (product_key, device_key) = (identity.product_key(), identity.device_key());
        self.records.as_deref().map(|records| records.of(product_key, device_key, &identity.digest_hex()))
    }

    /// Whether a load or a store needs more calls of the host's storage.
    pub fn is_busy(&self) -> bool {
        self.job.is_some()
    }

    /// Begins to read all records. Secrets that cannot be read are failures; the rest is best effort.
    pub fn load(&mut self) -> Option<Input> {
        if self.records.is_none() {
            return Some(Input::Loaded(Box::default()));
        }
        let left = vec![Role::Commands, Role::Budget, Role::Sign, Role::Secrets(1), Role::Secrets(0)];
        (self.newest, self.job) = ((1, 0), Some(Job::Load { loaded: Box::default(), left, old: true }));
        None
    }

    /// Begins to read the secrets of a sub-device.
    pub fn load_secrets(&mut self) {
        let left = vec![Role::Secrets(1), Role::Secrets(0)];
        (self.newest, self.job) = ((1, 0), Some(Job::Load { loaded: Box::default(), left, old: false }));
    }

    /// Begins to store these secrets, in the record that is not the newest.
    pub fn store_secrets(&mut self, secrets: Vec<DeviceSecret>) -> Option<Input> {
        let Some(records) = self.records.as_deref() else { return Some(Input::SecretsStored(Ok(()))) };
        let next = (1 - self.newest.0, self.newest.1.wrapping_add(1));
        let stored = StoredSecrets { number: next.1, secrets };
        let storing = stored.encode().map_err(StorageError::from);
        match storing.and_then(|data| records.storing(Role::Secrets(next.0), &data)) {
            Ok(storing) => self.job = Some(Job::Store(storing, next)),
            Err(failure) => return Some(Input::SecretsStored(Err(failure))),
        }
        None
    }

    /// Makes the next call of the host's storage. The last one returns the session's input.
    pub fn step(&mut self) -> Option<Input> {
        let records = self.records.as_deref()?;
        match self.job.take()? {
            Job::Load { mut loaded, mut left, old } => {
                if let Some(role) = left.pop() {
                    look(records, role, &mut loaded, &mut self.newest);
                    // The secrets of version 0.1 are also in the new records as soon as those exist.
                    if old && role == Role::Secrets(1) && loaded.secrets.is_empty() {
                        left.extend([Role::Pending, Role::Secret, Role::Previous]);
                    }
                }
                if left.is_empty() {
                    return Some(Input::Loaded(loaded));
                }
                self.job = Some(Job::Load { loaded, left, old });
            }
            Job::Store(mut storing, next) => match storing.step(records) {
                Ok(false) => self.job = Some(Job::Store(storing, next)),
                Ok(true) => {
                    self.newest = next;
                    return Some(Input::SecretsStored(Ok(())));
                }
                Err(error) => return Some(Input::SecretsStored(Err(error))),
            },
        }
        None
    }

    pub fn store_accepted(&self, accepted: Accepted) {
        let stored = StoredSign { method: accepted.method as u8, fingerprint: accepted.fingerprint };
        best_effort(self.with(|records| records.store(Role::Sign, &stored.encode())));
    }

    pub fn store_budget(&self, stamps_ms: Vec<u64>) {
        let stored = StoredBudget { boot_id: clock::boot_id().unwrap_or_default().to_owned(), stamps_ms };
        let data = stored.encode().map_err(StorageError::from);
        best_effort(data.and_then(|data| self.with(|records| records.store(Role::Budget, &data))));
    }

    pub fn store_commands(&self, digests: &[Digest]) {
        best_effort(self.with(|records| match digests {
            [] => records.erase(Role::Commands),
            digests => records.store(Role::Commands, &encode_commands(digests)),
        }));
    }

    fn with(&self, call: impl FnOnce(&Records) -> std::result::Result<(), StorageError>) -> Outcome<()> {
        self.records.as_deref().map_or(Ok(()), call)
    }
}

/// Reads one record.
fn look(records: &Records, role: Role, loaded: &mut Loaded, newest: &mut (u8, u64)) {
    match role {
        Role::Secrets(n) => match read(records, role, StoredSecrets::decode) {
            Ok(Some(stored)) if stored.is_after(newest.1) || loaded.secrets.is_empty() => {
                *newest = (n, stored.number);
                loaded.secrets.clear();
                take(loaded, Ok(stored.secrets));
            }
            Ok(_) => {}
            Err(failure) => take(loaded, Err(failure)),
        },
        Role::Previous | Role::Secret => {
            // Both secrets have logged in, the previous one first.
            let standing = if loaded.secrets.is_empty() { Standing::First } else { Standing::Proven };
            let stored = read(records, role, |data| secrets::decode(data, standing));
            take(loaded, stored.map(Vec::from_iter));
        }
        Role::Pending => {
            take(loaded, read(records, role, secrets::decode_pending).map(Option::unwrap_or_default));
        }
        Role::Sign => {
            loaded.accepted = best_effort(read(records, role, StoredSign::decode)).and_then(|stored| {
                let method = SignMethod::from_number(i32::from(stored.method))?;
                Some(Accepted { method, fingerprint: stored.fingerprint })
            });
        }
        Role::Commands => {
            loaded.commands = best_effort(read(records, role, decode_commands)).unwrap_or_default();
        }
        _ => {
            loaded.budget = best_effort(read(records, Role::Budget, StoredBudget::decode)).map(|stored| {
                // If the boot is not known, it may be the same one. The stamps then count in full.
                let another = clock::boot_id().is_some_and(|id| !stored.boot_id.is_empty() && id != stored.boot_id);
                (stored.stamps_ms, !another)
            });
        }
    }
}

fn take(loaded: &mut Loaded, stored: Outcome<Vec<DeviceSecret>>) {
    match stored {
        Ok(stored) => loaded.secrets.extend(stored),
        Err(failure) => drop(loaded.failure.get_or_insert(failure)),
    }
}

fn read<T>(
    records: &Records,
    role: Role,
    decode: impl FnOnce(&[u8]) -> std::result::Result<T, RecordError>,
) -> Outcome<Option<T>> {
    let data = records.load(role)?;
    data.map(|data| decode(&data))
        .transpose()
        .map_err(|error| StorageError::new(0, format!("the record {role:?} in the storage: {error}")))
}

fn best_effort<T: Default>(outcome: Outcome<T>) -> T {
    outcome.unwrap_or_else(|failure| {
        log::warn("storage", format_args!("{} (code {})", failure.message, failure.code));
        T::default()
    })
}
