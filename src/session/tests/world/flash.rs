//! The storage of the outbox. It stores what it is given, unless it fails, damages a value, or loses power.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use zeroize::Zeroizing;

use crate::model::storage::StorageError;
use crate::storage::key_value::{Change, KeyValue};

/// Rates in thousandths of the calls.
#[derive(Clone, Copy, Default)]
pub struct FlashRates {
    pub load_fails: u64,
    /// Half of the failed calls have made the change all the same.
    pub change_fails: u64,
    /// The process ends in the middle of the call.
    pub dies: u64,
    /// How many of the stored pages are damaged later.
    pub garbles: u64,
}

#[derive(Default)]
pub struct Cells {
    pub values: BTreeMap<String, Vec<u8>>,
    pub rates: FlashRates,
    /// The process has ended, so further calls do nothing.
    pub dead: bool,
    pub calls: u64,
    /// Pages that are damaged.
    pub garbled: Vec<String>,
    /// If false, the storage has no batch call, and gets one call after the other.
    pub batches: bool,
    rng: fastrand::Rng,
}

/// The storage survives the process that uses it.
#[derive(Clone)]
pub struct Flash(Arc<Mutex<Cells>>);

impl Flash {
    pub fn new(seed: u64) -> Flash {
        let mut rng = fastrand::Rng::with_seed(seed);
        let batches = rng.bool();
        Flash(Arc::new(Mutex::new(Cells { rng, batches, ..Cells::default() })))
    }

    pub fn cells(&self) -> MutexGuard<'_, Cells> {
        self.0.lock().unwrap()
    }
}

impl Cells {
    fn happens(&mut self, rate: u64) -> bool {
        rate > 0 && self.rng.u64(0..1000) < rate
    }

    fn make(&mut self, change: &Change) {
        match change.value() {
            None => drop(self.values.remove(change.key())),
            Some(value) => {
                let mut value = value.to_vec();
                if change.key().starts_with("out.") && self.happens(self.rates.garbles) {
                    let at = self.rng.usize(..value.len());
                    match self.rng.bool() {
                        true => value[at] ^= 1 << self.rng.u32(..8),
                        false => value.truncate(at),
                    }
                    self.garbled.push(change.key().to_owned());
                }
                self.values.insert(change.key().to_owned(), value);
            }
        }
    }

    fn change(&mut self, changes: &[Change]) -> Result<(), StorageError> {
        self.calls += 1;
        if self.dead {
            return Err(error("the process is gone"));
        }
        if self.happens(self.rates.dies) {
            self.dead = true;
            for change in changes {
                if self.rng.bool() {
                    self.make(change);
                }
            }
            return Err(error("the process is gone"));
        }
        if self.happens(self.rates.change_fails) {
            for change in changes {
                if self.rng.bool() {
                    self.make(change);
                }
            }
            return Err(error("the flash does not know"));
        }
        changes.iter().for_each(|change| self.make(change));
        Ok(())
    }
}

fn error(words: &str) -> StorageError {
    StorageError::new(-5, words)
}

impl KeyValue for Flash {
    fn load(&self, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StorageError> {
        let mut cells = self.cells();
        cells.calls += 1;
        if cells.dead {
            return Err(error("the process is gone"));
        }
        let rate = cells.rates.load_fails;
        if cells.happens(rate) {
            return Err(error("the flash does not answer"));
        }
        Ok(cells.values.get(key).cloned().map(Zeroizing::new))
    }

    fn store(&self, key: &str, value: &[u8]) -> Result<(), StorageError> {
        self.cells().change(&[Change::Store { key, value }])
    }

    fn erase(&self, key: &str) -> Result<(), StorageError> {
        self.cells().change(&[Change::Erase { key }])
    }

    fn change(&self, changes: &[Change]) -> Result<(), StorageError> {
        if self.cells().batches {
            return self.cells().change(changes);
        }
        changes.iter().try_for_each(|change| self.cells().change(std::slice::from_ref(change)))
    }
}
