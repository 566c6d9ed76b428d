//! The queue of a device's durable messages in the host's storage. It does not know about MQTT or time.
//!
//! A page is one record, `out.<n>`. It holds the messages that were accepted together, or a part of a message that is
//! too large for one record. Pages are numbered from 1 on, and no number is used twice. The queue consists of the pages
//! from the head to the tail. Memory holds these two numbers, but no pages. A message costs one store when it is
//! accepted and one erase when it is completed. The [`index`] adds one store for every [`SPAN`](index::SPAN) pages.
//!
//! A power cut can happen at any moment, so [`open`] relies on nothing that a power cut could have undone.
//!
//! Each device has its own queue, identified by the digest in the keys of its [`Records`]. A queue that was never used
//! costs two loads when it is opened, and nothing before. [`Queue::append_to_all`] accepts messages in several queues
//! with one storage call.
#![forbid(unsafe_code)]

mod append;
mod dead;
mod gone;
mod index;
mod message;
mod open;
mod page;
mod read;
#[cfg(test)]
mod tests;

use crate::error::{Error, Status};
use crate::model::storage::StorageError;
use crate::protocol::outbox::MAX_TOGETHER;
use crate::protocol::{Suspect, Totals};
use crate::storage::record::Role;
use crate::storage::records::Records;
use crate::storage::vtable::MAX_VALUE_LEN;

pub use append::{Appended, Dropped};
pub use dead::DeadLetter;
use index::{Index, REACH, SPAN};

type Result<T> = std::result::Result<T, StorageError>;

/// The most pages that a message takes.
const LARGEST_PAGES: u64 = 16;

/// How much the queue may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    pub messages: u64,
    /// Approximately the bytes that they take in the storage.
    pub bytes: u64,
    /// What to do if the queue is full: remove the oldest messages, or refuse new ones.
    pub drop_oldest: bool,
}

pub struct Queue {
    records: Records,
    limits: QueueLimits,
    ends: Option<Ends>,
    dropped: Vec<Dropped>,
    /// The tokens of dead letters.
    dropped_dead: Vec<u64>,
    dropped_ever: u64,
    /// Messages were refused because it was full.
    refused: bool,
}

impl QueueLimits {
    /// Whether the limits are exceeded.
    fn are_below(&self, held: Totals) -> bool {
        held.messages > self.messages || held.bytes > self.bytes
    }
}

/// The numbers of the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The messages in the queue. A dropped message counts until all messages before it are completed.
    pub held: Totals,
    pub dead_letters: u64,
    /// How many dead letters there have ever been.
    pub dead_letters_ever: u64,
    /// How many messages were removed to make room since the queue was created.
    pub dropped: u64,
}

/// Where the queue begins and ends.
struct Ends {
    /// The first page that is not completed.
    head: u64,
    /// The page of the next message.
    tail: u64,
    /// The totals that were ever accepted before the head, and before the tail.
    start: Totals,
    end: Totals,
    /// The newest index, as it is stored.
    index: Index,
    /// The tail has jumped, or only one index could be read. Neither end may move until both indexes are stored again.
    stale: bool,
    /// Why the messages of the queue cannot be found any more.
    lost: Option<String>,
    /// Pages before this one may be missing: an earlier process or a removal that failed may have removed them.
    maybe_gone: u64,
}

impl Queue {
    pub fn new(records: Records, limits: QueueLimits) -> Queue {
        Queue {
            records,
            limits,
            ends: None,
            dropped: Vec::new(),
            dropped_dead: Vec::new(),
            dropped_ever: 0,
            refused: false,
        }
    }

    /// Removes all pages before `through`. `after` are the totals after the last of them.
    pub fn finish(&mut self, through: u64, after: Totals) -> Result<()> {
        let through = through.min(self.ends()?.tail);
        if through <= self.ends()?.head {
            return Ok(());
        }
        while self.ends()?.head < through {
            self.keep_index(0, 1)?;
            let ends = self.ends()?;
            // Only as far as the index allows, so that one index serves for many pages.
            let (head, to) = (ends.head, through.min(ends.index.head + SPAN));
            self.records.erase_all((head..to).map(Role::Page))?;
            self.ends()?.head = to;
        }
        self.begin_after(after)
    }

    /// Sets the totals that were accepted before the head.
    fn begin_after(&mut self, before: Totals) -> Result<()> {
        let ends = self.ends()?;
        let held = plausible(ends.end.since(before), ends.tail - ends.head);
        ends.start = ends.end.since(held);
        Ok(())
    }

    /// Stores which messages were in flight when the link was lost.
    pub fn suspect(&mut self, suspect: Option<Suspect>) -> Result<()> {
        if self.ends()?.index.suspect == suspect {
            return Ok(());
        }
        self.write_index(|index| index.suspect = suspect)
    }

    /// Messages and bytes in the queue; zero until it is open.
    pub fn held(&self) -> Totals {
        self.ends.as_ref().map(|ends| ends.end.since(ends.start)).unwrap_or_default()
    }

    /// `None` if it is not open.
    pub fn counts(&self) -> Option<Counts> {
        let index = self.ends.as_ref()?.index;
        Some(Counts {
            held: self.held(),
            dead_letters: index.dead.held.messages,
            dead_letters_ever: index.dead_letters_ever,
            dropped: self.dropped_ever,
        })
    }

    fn ends(&mut self) -> Result<&mut Ends> {
        self.ends.as_mut().ok_or_else(|| Error::new(Status::ENOS_ERR_STATE, "the outbox is not open").into())
    }

    /// Call this before an end moves by so many pages: it stores the index if it would be too far behind.
    fn keep_index(&mut self, tail_by: u64, head_by: u64) -> Result<()> {
        let ends = self.ends()?;
        let tail_ok = ends.tail + tail_by <= ends.index.tail + SPAN;
        let head_ok = ends.head + head_by <= ends.index.head + SPAN;
        let stale = ends.stale;
        if tail_ok && head_ok && !stale {
            return Ok(());
        }
        self.write_index(|_| ())?;
        if stale {
            // The other index is too old, and the queue must be found with either of them.
            self.write_index(|_| ())?;
            self.ends()?.stale = false;
        }
        Ok(())
    }

    fn write_index(&mut self, change: impl FnOnce(&mut Index)) -> Result<()> {
        let ends = self.ends()?;
        let mut index = Index { serial: ends.index.serial + 1, head: ends.head, tail: ends.tail, ..ends.index };
        change(&mut index);
        self.records.store(Role::Index(index.slot()), &index.encode())?;
        self.ends()?.index = index;
        Ok(())
    }
}

/// Limits the totals that pages tell to what this number of pages can hold, because the queue's limits rely on them.
fn plausible(held: Totals, pages: u64) -> Totals {
    // Some pages may be removed already, and one message can take several.
    let least = pages.saturating_sub(REACH) / LARGEST_PAGES;
    Totals {
        messages: held.messages.clamp(least, pages.saturating_mul(MAX_TOGETHER as u64)),
        bytes: held.bytes.clamp(least, pages.saturating_mul(MAX_VALUE_LEN as u64)),
    }
}
