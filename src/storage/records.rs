//! One device's records in the host's storage.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::key_value::{Change, KeyValue};
use super::record::{self, RecordError, Role};
use super::vtable::MAX_VALUE_LEN;
use crate::error::{Error, Status};
use crate::model::storage::StorageError;

/// The records of one device. It is cheap to create, and holds a reference to the storage.
#[derive(Clone)]
pub struct Records {
    storage: Arc<dyn KeyValue>,
    product_key: String,
    device_key: String,
    digest: String,
}

/// The value of a key.
pub enum Value {
    None,
    Whole(Zeroizing<Vec<u8>>),
    /// It is not the requested record. `bytes` is what the storage returned.
    Broken {
        bytes: Zeroizing<Vec<u8>>,
        words: String,
    },
}

type Result<T> = std::result::Result<T, StorageError>;

impl Records {
    /// `digest16`: 16 hexadecimal digits that identify the device. They are part of each record's key.
    pub fn new(storage: Arc<dyn KeyValue>, product_key: &str, device_key: &str, digest16: &str) -> Records {
        Records {
            storage,
            product_key: product_key.to_owned(),
            device_key: device_key.to_owned(),
            digest: digest16.to_owned(),
        }
    }

    /// The records of another device in the same storage.
    pub fn of(&self, product_key: &str, device_key: &str, digest16: &str) -> Records {
        Records::new(Arc::clone(&self.storage), product_key, device_key, digest16)
    }

    /// The data of a record. `None` only if the host says that there is no value. A failure of the host, a broken
    /// record and a record of another device or role are errors.
    pub fn load(&self, role: Role) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let key = self.key(role);
        let Some(bytes) = self.storage.load(&key)? else { return Ok(None) };
        match self.decode(role, &bytes) {
            Ok(data) => Ok(Some(Zeroizing::new(data.to_vec()))),
            Err(e) => Err(refused(&key, &e)),
        }
    }

    /// Like [`load`](Self::load), but a record that cannot be used is returned as [`Value::Broken`]. Only a failure of
    /// the host is an error.
    pub fn look(&self, role: Role) -> Result<Value> {
        let key = self.key(role);
        let Some(bytes) = self.storage.load(&key)? else { return Ok(Value::None) };
        Ok(match self.decode(role, &bytes) {
            Ok(data) => Value::Whole(Zeroizing::new(data.to_vec())),
            Err(e) => Value::Broken { words: refused(&key, &e).message, bytes },
        })
    }

    /// The records of another device in the same storage.
    pub fn beside(&self, product_key: &str, device_key: &str, digest16: &str) -> Records {
        Records::new(Arc::clone(&self.storage), product_key, device_key, digest16)
    }

    /// Whether both are in the same storage.
    pub fn are_beside(&self, other: &Records) -> bool {
        Arc::ptr_eq(&self.storage, &other.storage)
    }

    /// The maximum length of the data in a record of these roles, if `longest` has the longest name.
    pub fn capacity(&self, longest: Role) -> usize {
        let names = longest.to_string().len() + self.product_key.len() + self.device_key.len();
        MAX_VALUE_LEN.saturating_sub(record::FIXED_LEN + names)
    }

    /// Stores a record, loads it again and compares. `Ok` only if the host promised durability and returned the same
    /// bytes.
    ///
    /// A broken record is replaced. A whole record of another device, another role or a newer version is not replaced,
    /// because it may be the only copy of a secret.
    ///
    /// Each call of [`Storing::step`] makes one call to the host.
    pub fn storing(&self, role: Role, data: &[u8]) -> Result<Storing> {
        let record = record::encode(role, &self.product_key, &self.device_key, data)?;
        Ok(Storing { role, record, stage: Stage::Look })
    }

    /// Stores a record without loading it first or afterwards. It replaces whatever is there.
    pub fn store(&self, role: Role, data: &[u8]) -> Result<()> {
        let record = record::encode(role, &self.product_key, &self.device_key, data)?;
        self.storage.store(&self.key(role), &record)
    }

    /// Stores several records in the same way. After a failure, some may have been stored.
    pub fn store_all(&self, records: &[(Role, &[u8])]) -> Result<()> {
        store_all(records.iter().map(|(role, data)| (self, *role, *data)))
    }

    /// Removes several records. After a failure, some may have been removed.
    pub fn erase_all(&self, roles: impl Iterator<Item = Role>) -> Result<()> {
        let keys: Vec<String> = roles.map(|role| self.key(role)).collect();
        let changes: Vec<Change> = keys.iter().map(|key| Change::Erase { key }).collect();
        change(&*self.storage, &changes)
    }

    /// Removes a record. It is a success if there is none.
    pub fn erase(&self, role: Role) -> Result<()> {
        self.storage.erase(&self.key(role))
    }

    fn key(&self, role: Role) -> String {
        role.key(&self.digest)
    }

    fn decode<'a>(&self, role: Role, bytes: &'a [u8]) -> std::result::Result<&'a [u8], RecordError> {
        record::decode(role, &self.product_key, &self.device_key, bytes)
    }
}

/// Stores records of several devices with a single storage call. After a failure, some may have been stored.
pub fn store_all<'a>(records: impl Iterator<Item = (&'a Records, Role, &'a [u8])>) -> Result<()> {
    let (mut first, mut encoded) = (None, Vec::new());
    for (of, role, data) in records {
        if !first.get_or_insert(of).are_beside(of) {
            return Err(Error::invalid("the records are in several storages").into());
        }
        encoded.push((of.key(role), record::encode(role, &of.product_key, &of.device_key, data)?));
    }
    let changes: Vec<Change> = encoded.iter().map(|(key, value)| Change::Store { key, value }).collect();
    first.map_or(Ok(()), |records: &Records| change(&*records.storage, &changes))
}

/// A single change is made without a batch.
fn change(storage: &dyn KeyValue, changes: &[Change]) -> Result<()> {
    match changes {
        [] => Ok(()),
        [Change::Store { key, value }] => storage.store(key, value),
        [Change::Erase { key }] => storage.erase(key),
        _ => storage.change(changes),
    }
}

/// A record that is being stored.
pub struct Storing {
    role: Role,
    record: Zeroizing<Vec<u8>>,
    stage: Stage,
}

enum Stage {
    Look,
    Store,
    Compare,
}

impl Storing {
    /// Makes the next call to the host. `true` if that was the last one, and the record is stored.
    pub fn step(&mut self, records: &Records) -> Result<bool> {
        let key = records.key(self.role);
        match self.stage {
            Stage::Look => {
                // A load that fails must not prevent a new secret from being stored: it gives no record to protect.
                if let Ok(Some(old)) = records.storage.load(&key) {
                    match records.decode(self.role, &old) {
                        Ok(_) | Err(RecordError::Broken(_)) => {}
                        Err(e) => return Err(refused(&key, &e)),
                    }
                }
                self.stage = Stage::Store;
                Ok(false)
            }
            Stage::Store => {
                records.storage.store(&key, &self.record)?;
                self.stage = Stage::Compare;
                Ok(false)
            }
            Stage::Compare => match records.storage.load(&key)? {
                Some(back) if *back == *self.record => Ok(true),
                Some(back) => {
                    let (stored, read) = (self.record.len(), back.len());
                    let words = format!("the host stored {stored} bytes, but {read} bytes came back and they differ");
                    Err(fault(&key, &words))
                }
                None => Err(fault(&key, "the host stored it, but does not find it when it is read back")),
            },
        }
    }
}

fn refused(key: &str, why: &RecordError) -> StorageError {
    let status = match why {
        RecordError::OtherIdentity => Status::ENOS_ERR_IDENTITY_MISMATCH,
        _ => Status::ENOS_ERR_STORAGE,
    };
    StorageError { status, ..fault(key, &why.to_string()) }
}

fn fault(key: &str, words: &str) -> StorageError {
    StorageError::new(0, format!("record {key:?}: {words}"))
}
