//! What a device's records need of a store, whoever stands behind it.

use zeroize::Zeroizing;

use crate::model::storage::StorageError;

/// One of several changes that are asked for together.
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

    /// `None`: the key goes.
    pub fn value(&self) -> Option<&'a [u8]> {
        match *self {
            Change::Store { value, .. } => Some(value),
            Change::Erase { .. } => None,
        }
    }
}

pub trait KeyValue: Send + Sync {
    /// The value of `key`; `None` only when there is none.
    fn load(&self, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StorageError>;

    /// Replaces the value of `key`; after `Ok` it survives a power cut.
    fn store(&self, key: &str, value: &[u8]) -> Result<(), StorageError>;

    /// Removes `key`; there being none is success.
    fn erase(&self, key: &str) -> Result<(), StorageError>;

    /// Makes all changes; after `Ok` all survive a power cut. One that fails, or a power cut, may have made any of them.
    fn change(&self, changes: &[Change]) -> Result<(), StorageError> {
        changes.iter().try_for_each(|change| match change.value() {
            Some(value) => self.store(change.key(), value),
            None => self.erase(change.key()),
        })
    }
}
