//! What can go wrong in the host's storage.

use std::fmt;

use crate::error::{Error, Status};

/// Why something could not be read from the storage, or written to it. The words hold no data of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageError {
    /// `ENOS_ERR_STORAGE` when the storage fails, or holds something else than it should.
    pub status: Status,
    /// The host's own negative number; 0 when it did not return one.
    pub code: i32,
    /// Which call or which record, and what is wrong with it.
    pub message: String,
}

impl StorageError {
    /// `code` is the host's own; 0: it did not return one.
    pub fn new(code: i32, message: impl Into<String>) -> StorageError {
        StorageError { status: Status::ENOS_ERR_STORAGE, code, message: message.into() }
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StorageError {}

impl From<Error> for StorageError {
    fn from(error: Error) -> StorageError {
        StorageError { status: error.status, code: 0, message: error.message }
    }
}

impl From<StorageError> for Error {
    fn from(error: StorageError) -> Error {
        Error::new(error.status, error.message)
    }
}
