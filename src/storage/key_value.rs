//! The operations that the records of a device need from a storage.

use zeroize::Zeroizing;

use crate::model::storage::StorageError;

/// One change of a batch.
#[derive(Clone, Copy)]
pub enum Change<'a> {
    Store { key: &'a str, value: &'a [u8] },
    Erase { key: &'a str },
}

impl<'a> Change<'a> {
    pub fn key(&self) -> &'a str {
        match *self {
            Change::Store { key, .. } | Change::Erase { key } => key,
        }
    }

    /// `None`: the key is removed.
    pub fn value(&self) -> Option<&'a [u8]> {
        match *self {
            Change::Store { value, .. } => Some(value),
            Change::Erase { .. } => None,
        }
    }
}

pub trait KeyValue: Send + Sync {
    /// The value of `key`. `None` only if there is none.
    fn load(&self, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StorageError>;

    /// Replaces the value of `key`. After `Ok`, the value survives a power cut.
    fn store(&self, key: &str, value: &[u8]) -> Result<(), StorageError>;

    /// Removes `key`. It is a success if there is no such key.
    fn erase(&self, key: &str) -> Result<(), StorageError>;

    /// Makes all changes. After `Ok`, all of them survive a power cut. After a failure or a power cut, each change may
    /// have been made or not.
    fn change(&self, changes: &[Change]) -> Result<(), StorageError> {
        changes.iter().try_for_each(|change| match change.value() {
            Some(value) => self.store(change.key(), value),
            None => self.erase(change.key()),
        })
    }
}
