//! Finding the queue again, whenever the earlier process ended.
//!
//! The newest readable index says where both ends were, at most [`REACH`] pages ago. So each end is searched for within
//! that many pages, however long the queue is.

use super::dead::Dead;
use super::index::{Index, REACH};
use super::page::{Page, Part};
use super::read::Loaded;
use super::{plausible, Ends, Queue, Result};
use crate::log;
use crate::protocol::outbox::OutboxEnds;
use crate::protocol::Totals;
use crate::storage::record::Role;
use crate::storage::records::Value;

impl Queue {
    /// Finds both ends, once. If the storage fails, the next call tries again.
    pub fn open(&mut self) -> Result<OutboxEnds> {
        if self.ends.is_none() {
            self.ends = Some(self.find()?);
        }
        let ends = self.ends()?;
        let Ends { head, tail, ref index, ref lost, .. } = *ends;
        Ok(OutboxEnds { head, tail, suspect: index.suspect, lost: lost.clone() })
    }

    fn find(&mut self) -> Result<Ends> {
        match self.newest_index()? {
            Newest::Index { index, alone: false } => self.find_ends(index, false),
            Newest::Index { index, alone: true } => self.find_ends(self.with_last_letter(index)?, true),
            Newest::Never => Ok(empty(1, None)),
            Newest::Lost => {
                // The messages cannot be found, but must not be overwritten either.
                let words = "neither index of the outbox can be read: what was in it stays in the storage, unsent";
                log::error("storage", format_args!("{words}"));
                Ok(empty(fastrand::u64(1 << 32..1 << 40), Some(words.to_owned())))
            }
        }
    }

    /// The index that cannot be read may have counted one more dead letter.
    fn with_last_letter(&self, mut index: Index) -> Result<Index> {
        let dead = &mut index.dead;
        if !matches!(self.records.look(Role::DeadLetter(dead.tail, 0))?, Value::None) {
            (dead.tail, dead.held) = (dead.tail + 1, dead.held.plus(1, 0));
        }
        Ok(index)
    }

    /// `alone`: the other index cannot be read.
    fn find_ends(&mut self, index: Index, alone: bool) -> Result<Ends> {
        let reach = index.tail.saturating_add(REACH);
        let maybe_gone = index.head.saturating_add(REACH);
        let Some(last) = self.last_page(index.tail.saturating_sub(REACH).max(index.head), reach)? else {
            // All are completed. Their number is unknown, and page numbers must not be used again.
            return Ok(Ends { index, ..empty(reach, None) });
        };
        // Page numbers must not be used again: of pages that are removed together, any may remain after a power cut.
        let tail = maybe_gone.max(last + 1);
        let head = self.first_page(index.head, tail.min(maybe_gone))?;
        let start = self.totals(head)?.map(|(before, _)| before);
        let end = self.totals(last)?.map(|(_, after)| after);
        // A page that cannot be read has no totals.
        let end = end.or(start.map(|start| start.plus(tail - head, 0))).unwrap_or_default();
        let held = plausible(end.since(start.unwrap_or(end)), tail - head);
        let start = end.since(held);
        let end = start.plus(held.messages, held.bytes);
        Ok(Ends { head, tail, start, end, index, stale: alone || tail > last + 1, lost: None, maybe_gone })
    }

    /// An index that the host cannot load counts as torn if the other one can be loaded.
    fn newest_index(&self) -> Result<Newest> {
        let mut newest: Option<Index> = None;
        let (mut read, mut broken, mut failed) = (0, false, None);
        for slot in [0, 1] {
            let index = match self.records.look(Role::Index(slot)) {
                Ok(Value::None) => continue,
                Ok(Value::Whole(data)) => Index::decode(&data).map_err(|error| error.to_string()),
                Ok(Value::Broken { words, .. }) => Err(words),
                Err(error) => {
                    failed = Some(error);
                    continue;
                }
            };
            match index {
                Ok(index) => {
                    read += 1;
                    newest = newest.filter(|newest| newest.serial > index.serial).or(Some(index));
                }
                Err(words) => {
                    broken = true;
                    log::warn("storage", format_args!("an index of the outbox: {words}"));
                }
            }
        }
        match (newest, failed) {
            (Some(index), _) => Ok(Newest::Index { index, alone: read < 2 }),
            (None, Some(error)) => Err(error),
            (None, None) if broken => Ok(Newest::Lost),
            (None, None) => Ok(Newest::Never),
        }
    }

    /// The first existing page in `from..to`, or `to`.
    fn first_page(&self, from: u64, to: u64) -> Result<u64> {
        for page in from..to {
            if !matches!(self.records.look(Role::Page(page))?, Value::None) {
                return Ok(page);
            }
        }
        Ok(to)
    }

    /// The last page of the queue in `from..to`. If parts of a message are missing at the end, it was never accepted,
    /// and its pages are removed.
    fn last_page(&self, from: u64, to: u64) -> Result<Option<u64>> {
        for page in (from..to).rev() {
            let is_accepted = match self.load_page(page)? {
                Loaded::None => continue,
                Loaded::Page(Page::Part { part, .. }, _) => {
                    part.index + 1 == part.of && self.has_parts_before(page, &part)?
                }
                // Unreadable pages are reported when the queue reaches them.
                Loaded::Page(Page::Whole { .. }, _) | Loaded::Unreadable(_) => true,
            };
            if is_accepted {
                return Ok(Some(page));
            }
            self.records.erase(Role::Page(page))?;
        }
        Ok(None)
    }

    /// Whether all parts before the last one exist and can be read.
    fn has_parts_before(&self, last: u64, part: &Part) -> Result<bool> {
        for back in 1..=u64::from(part.index) {
            let Some(page) = last.checked_sub(back) else { return Ok(false) };
            match self.load_page(page)? {
                Loaded::Page(Page::Part { part: other, .. }, _) if other.crc == part.crc && other.of == part.of => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }
}

enum Newest {
    /// `alone`: the other index could not be read, and may be newer.
    Index { index: Index, alone: bool },
    /// There has never been a queue.
    Never,
    /// There was a queue, but its place is unknown.
    Lost,
}

fn empty(at: u64, lost: Option<String>) -> Ends {
    // The dead letters of the lost index stay in the storage.
    let first_letter = if lost.is_some() { at } else { 0 };
    let dead = Dead { head: first_letter, tail: first_letter, held: Totals::default() };
    Ends {
        head: at,
        tail: at,
        start: Totals::default(),
        end: Totals::default(),
        index: Index { serial: 0, head: at, tail: at, dead_letters_ever: 0, suspect: None, dead },
        stale: true,
        lost,
        maybe_gone: at,
    }
}
