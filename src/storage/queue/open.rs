//! Finding the queue again, whatever moment the process before this one ended at.
//!
//! The newest index that can be read says where both ends were, at most [`REACH`] pages ago. So the last page is sought
//! there and no further, and so is the first: as many look-ups as that, however long the queue is.

use super::index::{Index, REACH};
use super::page::{self, Page, Part};
use super::{Done, Ends, Opened, Queue};
use crate::log;
use crate::protocol::Totals;
use crate::storage::record::Role;
use crate::storage::records::Value;

impl Queue {
    /// Finds both ends. Done once; an error is a host that fails, and the next call tries again.
    pub fn open(&mut self) -> Done<Opened> {
        if self.ends.is_none() {
            self.ends = Some(self.find()?);
        }
        let ends = self.ends()?;
        Ok(Opened { head: ends.head, tail: ends.tail, suspect: ends.index.suspect })
    }

    fn find(&mut self) -> Done<Ends> {
        let Some(index) = self.newest_index()? else {
            return Ok(empty(Index { serial: 0, head: 1, tail: 1, set_aside: 0, suspect: None }, 1, true));
        };
        let reach = index.tail.saturating_add(REACH);
        let maybe_gone = index.head.saturating_add(REACH);
        let Some(last) = self.last_page(index.tail.saturating_sub(REACH).max(index.head), reach)? else {
            // All of them are through. How many there were nobody knows, and no number comes twice.
            return Ok(empty(index, reach, true));
        };
        // Likewise: of pages that are removed together, a power cut may spare any.
        let tail = maybe_gone.max(last + 1);
        let mut head = index.head;
        while head < tail && head < maybe_gone && matches!(self.records.look(Role::Outbox(head))?, Value::None) {
            head += 1;
        }
        let (start, _) = self.totals(head)?;
        let (_, end) = self.totals(last)?;
        // Of a page that cannot be read, nothing is known.
        let end = end.or(start).unwrap_or_default();
        let start = start.unwrap_or(end);
        Ok(Ends { head, tail, start, end, index, stale: tail > last + 1, maybe_gone })
    }

    /// `None`: there has never been a queue.
    fn newest_index(&self) -> Done<Option<Index>> {
        let mut newest: Option<Index> = None;
        let mut broken = 0;
        for slot in [0, 1] {
            let index = match self.records.look(Role::Index(slot))? {
                Value::None => continue,
                Value::Whole(data) => Index::decode(&data).map_err(|error| error.to_string()),
                Value::Broken { words, .. } => Err(words),
            };
            match index {
                Ok(index) if newest.is_none_or(|newest| newest.serial < index.serial) => newest = Some(index),
                Ok(_) => {}
                Err(words) => {
                    broken += 1;
                    log::warn("storage", format_args!("an index of the outbox: {words}; the other one is used"));
                }
            }
        }
        if newest.is_none() && broken > 0 {
            // Neither can be read: what was in the queue cannot be found, and must not be written over either.
            let words = "neither index of the outbox can be read: what was in it stays in the storage, and is not sent";
            log::error("storage", format_args!("{words}"));
            let far = fastrand::u64(1 << 32..1 << 40);
            return Ok(Some(Index { serial: 0, head: far, tail: far, set_aside: 0, suspect: None }));
        }
        Ok(newest)
    }

    /// The last page of the queue, in `from..to`. What was never accepted, for it is not whole, is removed.
    fn last_page(&mut self, from: u64, to: u64) -> Done<Option<u64>> {
        for at in (from..to).rev() {
            let whole = match self.records.look(Role::Outbox(at))? {
                Value::None => continue,
                // It is told of when its turn comes.
                Value::Broken { .. } => true,
                Value::Whole(data) => match page::decode(&data) {
                    Ok(Page::Part { part, .. }) => part.index + 1 == part.of && self.has_parts_before(at, &part)?,
                    Ok(Page::Whole { .. }) | Err(_) => true,
                },
            };
            if whole {
                return Ok(Some(at));
            }
            self.records.erase(Role::Outbox(at))?;
        }
        Ok(None)
    }

    /// Whether all parts before the last one are there. One that cannot be read counts: it was stored.
    fn has_parts_before(&self, last: u64, part: &Part) -> Done<bool> {
        for back in 1..=u64::from(part.index) {
            let Some(at) = last.checked_sub(back) else { return Ok(false) };
            let Value::Whole(data) = self.records.look(Role::Outbox(at))? else { return Ok(false) };
            match page::decode(&data) {
                Ok(Page::Part { part: other, .. }) if other.crc == part.crc && other.of == part.of => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    /// What the queue had taken before a page, and with it.
    fn totals(&self, at: u64) -> Done<(Option<Totals>, Option<Totals>)> {
        let Value::Whole(data) = self.records.look(Role::Outbox(at))? else { return Ok((None, None)) };
        Ok(match page::decode(&data) {
            Ok(Page::Whole { before, messages }) => {
                (Some(before), Some(before.plus(messages.len() as u64, data.len() as u64)))
            }
            Ok(Page::Part { before, part }) => {
                let others = u64::from(part.of - 1) * self.records.capacity(Role::Outbox(u64::MAX)) as u64;
                (Some(before), Some(before.plus(1, others + data.len() as u64)))
            }
            Err(_) => (None, None),
        })
    }
}

fn empty(index: Index, at: u64, stale: bool) -> Ends {
    Ends { head: at, tail: at, start: Totals::default(), end: Totals::default(), index, stale, maybe_gone: at }
}
