//! Firmware updates: the offers of EnOS, the version that is reported, and what has to be remembered across a restart.
//!
//! There is one [slot](slot) for each device that has to do with updates: the client's own (0) and sub-devices. Its record
//! ([`Update`]) is read when it is first needed: its version is reported, an offer comes, or the host calls. It changes in
//! two ways, and in both the storage has it before anybody is told:
//!
//! - The session has changes to make: offers, ends, the result of a comparison. It asks for them with
//!   [`Action::Ota`](super::Action::Ota). The client then takes its lock for updates, and does what
//!   [`Session::ota_work`] says: read the record, store it, or report a failed installation. Then it calls
//!   [`Session::ota_worked`]. Offers are answered when they are stored.
//! - A call of the host, or the end of a download, takes a firmware: it is verified, or installed. The client takes its
//!   lock, [plans](Session::plan_firmware) the record, stores it, and only then calls [`Session::firmware_taken`].
//!
//! | | nothing taken | verified | installed |
//! |---|---|---|---|
//! | an offer | open, told | open, told; of the same image: told as VERIFIED | likewise, as INSTALLED |
//! | a download of another image | allowed; if it has failed before, only on demand | refused | refused |
//! | a download of the same image | the same | allowed: nothing has to be fetched | refused |
//! | verified | verified | of the same image: verified; another one: refused | refused |
//! | installed | installed | installed | installed |
//! | refused or given up | the offer ends | of the same image: free | of the same image: free |
//! | failed | the same, and it has failed | the same | the same |
//! | its version is reported | nothing | success, free | success, free |
//! | another version is reported | nothing | nothing | step -4 is reported once, it has failed, free |
//!
//! The version that the own device reports counts only if the firmware was taken by an earlier client.

mod slot;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use super::backoff::Backoff;
use super::event::{Event, EventKind};
use super::io::{Action, Outcome};
use crate::error::{Result, Status};
use crate::log::Level;
use crate::model::firmware::FirmwareState;
use crate::model::storage::StorageError;
use crate::protocol::command::{self, ReplyTo};
use crate::protocol::{envelope, Firmware, Update};
use crate::sorted::SortedMap;

pub use slot::Report;
use slot::Slot;

/// The step of a report when the firmware could not be written, or does not run.
const STEP_NOT_WRITTEN: i32 = -4;
/// The step of a report when the image could not be fetched, which is not the fault of the image.
pub const STEP_NOT_DOWNLOADED: i32 = -2;
/// The step of a report when the host does not want the firmware.
pub const STEP_REFUSED: i32 = -5;

/// A firmware as the host sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub firmware: Firmware,
    /// Whom it is for; 0: the client's own device.
    pub subdevice: u64,
    pub state: FirmwareState,
}

/// What has to be done for the record of a device.
pub enum Work {
    /// Read it; answered by [`Worked::Loaded`].
    Load,
    /// Report this step of the update, so that it survives a restart; answered by [`Worked::Reported`].
    Report { step: i32, words: String },
    /// Store it, or remove it if it is empty; answered by [`Worked::Stored`].
    Store(Box<Update>),
}

/// What came of [`Work`].
pub enum Worked {
    Loaded(std::result::Result<Found, StorageError>),
    Reported(Result<()>),
    Stored(std::result::Result<Box<Update>, StorageError>),
}

/// What the storage holds.
pub enum Found {
    Nothing,
    Record(Box<Update>),
    /// It cannot be used, in words.
    Broken(String),
}

/// The answer to the command of an offer: where, the code, and the words.
pub type Answered = Option<(ReplyTo, i32, &'static str)>;

/// What comes of calls: events and log records, and answers to offers.
pub struct Out<'a> {
    pub answers: &'a mut Vec<(ReplyTo, i32, &'static str)>,
    pub actions: &'a mut VecDeque<Action>,
    pub rng: &'a mut fastrand::Rng,
}

impl Out<'_> {
    fn tell(&mut self, event: Event) {
        self.actions.push_back(Action::Emit(event));
    }
}

#[derive(Default)]
pub struct Ota {
    slots: SortedMap<u64, Slot>,
    /// Those for which something may have to be done. There can be thousands of slots.
    active: SortedMap<u64, ()>,
    /// The answers to offers that are due.
    pub answers: Vec<(ReplyTo, i32, &'static str)>,
}

impl Ota {
    /// The slot of a device. `user`: what the host has given with it.
    pub fn slot(&mut self, id: u64, user: usize) -> &mut Slot {
        self.active.insert(id, ());
        let slot = self.slots.get_or_default(&id);
        (slot.id, slot.user) = (id, user);
        slot
    }

    pub fn get(&mut self, id: u64) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(&id)?;
        self.active.insert(id, ());
        Some(slot)
    }

    fn active(&self) -> impl Iterator<Item = (u64, &Slot)> {
        self.active.keys().filter_map(|id| Some((*id, self.slots.get(id)?)))
    }

    /// The sub-device was removed. Its record stays in the storage.
    pub fn remove(&mut self, id: u64) {
        self.slots.remove(&id);
        self.active.remove(&id);
        self.slots.release();
    }

    /// The record of a device, if it was read.
    pub fn record(&self, id: u64) -> Option<&Update> {
        self.slots.get(&id)?.record.as_deref()
    }

    /// The version of a device, if it was reported.
    pub fn version(&self, id: u64) -> Option<&str> {
        self.slots.get(&id)?.version.as_deref()
    }

    pub fn take_answers(&mut self) -> Vec<(ReplyTo, i32, &'static str)> {
        std::mem::take(&mut self.answers)
    }

    pub fn deadline(&self) -> Option<u64> {
        self.active().filter_map(|(_, slot)| slot.due()).min()
    }

    /// Asks for work on the records for which it is due.
    pub fn ask_for_work(&mut self, now: u64, actions: &mut VecDeque<Action>) {
        for id in self.active.keys().copied().collect::<Vec<_>>() {
            match self.slots.get_mut(&id).filter(|slot| !slot.is_idle()) {
                Some(slot) => slot.ask_for_work(now, actions),
                None => drop(self.active.remove(&id)),
            }
        }
    }

    /// The devices whose version has to be reported, and the version.
    pub fn reports(&self) -> Vec<(u64, String)> {
        let wanted = self.active().filter(|(_, slot)| slot.report == Report::Wanted);
        wanted.filter_map(|(id, slot)| Some((id, slot.version.clone()?))).collect()
    }

    /// The outcome of a report that was sent.
    pub fn answered(&mut self, token: u64, outcome: &Outcome, actions: &mut VecDeque<Action>) {
        let id = self.active().find(|(_, slot)| slot.report == Report::Sent(token)).map(|(id, _)| id);
        let Some(slot) = id.and_then(|id| self.slots.get_mut(&id)) else { return };
        let why = match outcome {
            Outcome::Delivered | Outcome::Reply { code: envelope::CODE_OK, .. } => {
                slot.report = Report::No;
                return;
            }
            Outcome::Reply { code, words, .. } => envelope::in_words(*code, words.clone()),
            Outcome::NotDelivered { reason, .. } => reason.clone(),
        };
        slot.report = Report::NextLink;
        let words = format!("the version of the firmware is reported again on the next link: {why}");
        actions.push_back(Action::Log(Level::Info, words));
    }

    /// What had no answer on the last link is asked again.
    pub fn link_up(&mut self) {
        for id in self.active.keys() {
            let slot = self.slots.get_mut(id).filter(|slot| slot.report == Report::NextLink);
            slot.into_iter().for_each(|slot| slot.report = Report::Wanted);
        }
    }
}
