//! What is on its way into the storage: secrets of activations, and that a secret has logged in.
//!
//! One store is under way at a time, and its answer is for what it had in it. What comes meanwhile is for the next one.

use std::sync::Arc;

use crate::protocol::Activation;

/// An activation whose secret is in no storage yet.
struct Unsaved {
    activation: Arc<Activation>,
    /// The host has it in a PERSIST_FAILED event: it can save it by hand.
    told: bool,
    /// The store that is under way has it.
    storing: bool,
}

#[derive(Default)]
pub struct Saving {
    /// Oldest first.
    unsaved: Vec<Unsaved>,
    /// That a secret has logged in is not stored yet.
    login: bool,
    under_way: bool,
    /// Something has come since the store that is under way began.
    again: bool,
}

impl Saving {
    /// No device secret would be lost with the process.
    pub fn is_safe(&self) -> bool {
        self.unsaved.is_empty()
    }

    pub fn add(&mut self, activation: Activation) {
        self.unsaved.push(Unsaved { activation: Arc::new(activation), told: false, storing: false });
    }

    /// Whether that a secret has logged in is to be stored: now, or still.
    pub fn note_login(&mut self, is_new: bool) -> bool {
        self.login |= is_new;
        self.login
    }

    /// A store is wanted. True: it begins now, with all that there is.
    pub fn begin(&mut self) -> bool {
        self.again = self.under_way;
        if self.under_way {
            return false;
        }
        self.under_way = true;
        self.unsaved.iter_mut().for_each(|unsaved| unsaved.storing = true);
        true
    }

    /// The store that was under way has done it: the newest activation that is saved by that. The next store is wanted
    /// when [`wants_more`](Self::wants_more).
    pub fn stored(&mut self) -> Option<Arc<Activation>> {
        self.under_way = false;
        self.login &= self.again;
        let (saved, left) = std::mem::take(&mut self.unsaved).into_iter().partition(|unsaved| unsaved.storing);
        self.unsaved = left;
        let saved: Vec<Unsaved> = saved;
        saved.into_iter().next_back().map(|unsaved| unsaved.activation)
    }

    pub fn failed(&mut self) {
        self.under_way = false;
        self.unsaved.iter_mut().for_each(|unsaved| unsaved.storing = false);
    }

    /// Something has come while the last store was under way.
    pub fn wants_more(&self) -> bool {
        self.again
    }

    /// All that is unsaved, of which the host is told.
    pub fn tell(&mut self) -> Vec<Arc<Activation>> {
        self.unsaved.iter_mut().for_each(|unsaved| unsaved.told = true);
        self.unsaved.iter().map(|unsaved| Arc::clone(&unsaved.activation)).collect()
    }

    /// The host has saved by hand the first one that it was told of. `None`: there is none.
    pub fn saved_by_hand(&mut self) -> Option<Arc<Activation>> {
        let told = self.unsaved.iter().position(|unsaved| unsaved.told)?;
        Some(self.unsaved.remove(told).activation)
    }
}
