//! Finding the queue again, whatever moment the process before this one ended at.
//!
//! The newest index that can be read says where both ends were, at most [`REACH`] pages ago. So the last page is sought
//! there and no further, and so is the first: as many look-ups as that, however long the queue is.

use super::dead::Dead;
use super::index::{Index, REACH};
use super::page::{self, Page, Part};
use super::{plausible, Done, Ends, Queue};
use crate::log;
use crate::protocol::outbox::OutboxEnds;
use crate::protocol::Totals;
use crate::storage::record::Role;
use crate::storage::records::Value;

impl Queue {
    /// Finds both ends. Done once; an error is a host that fails, and the next call tries again.
    pub fn open(&mut self) -> Done<OutboxEnds> {
        if self.ends.is_none() {
            self.ends = Some(self.find()?);
        }
        let ends = self.ends()?;
        let Ends { head, tail, ref index, ref lost, .. } = *ends;
        Ok(OutboxEnds { head, tail, suspect: index.suspect, lost: lost.clone() })
    }

    fn find(&mut self) -> Done<Ends> {
        let (index, alone) = match self.newest_index()? {
            Newest::Index { mut index, alone } => {
                // The other one may have counted one more.
                let dead = &mut index.dead;
                if alone && !matches!(self.records.look(Role::Aside(dead.tail, 0))?, Value::None) {
                    (dead.tail, dead.held) = (dead.tail + 1, dead.held.plus(1, 0));
                }
                (index, alone)
            }
            Newest::Never => return Ok(empty(1, None)),
            Newest::Lost => {
                // What was in the queue cannot be found, and must not be written over either.
                let words = "neither index of the outbox can be read: what was in it stays in the storage, unsent";
                log::error("storage", format_args!("{words}"));
                return Ok(empty(fastrand::u64(1 << 32..1 << 40), Some(words.to_owned())));
            }
        };
        let reach = index.tail.saturating_add(REACH);
        let maybe_gone = index.head.saturating_add(REACH);
        let Some(last) = self.last_page(index.tail.saturating_sub(REACH).max(index.head), reach)? else {
            // All of them are through. How many there were nobody knows, and no number comes twice.
            return Ok(Ends { index, ..empty(reach, None) });
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
        let end = end.or(start.map(|start| start.plus(tail - head, 0))).unwrap_or_default();
        let held = plausible(end.since(start.unwrap_or(end)), tail - head);
        let start = end.since(held);
        let end = start.plus(held.messages, held.bytes);
        Ok(Ends { head, tail, start, end, index, stale: alone || tail > last + 1, lost: None, maybe_gone })
    }

    /// One that the host cannot load is as good as torn, as long as it can load the other.
    fn newest_index(&self) -> Done<Newest> {
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

    /// Whether all parts before the last one are there, and can be read.
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
    pub(super) fn totals(&self, at: u64) -> Done<(Option<Totals>, Option<Totals>)> {
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

enum Newest {
    /// `alone`: the other one could not be read, and may be the newer one.
    Index { index: Index, alone: bool },
    /// There has never been a queue.
    Never,
    /// There was one, and nothing says where.
    Lost,
}

fn empty(at: u64, lost: Option<String>) -> Ends {
    // Those that an index of the past knew stay where they are.
    let first_letter = if lost.is_some() { at } else { 0 };
    let dead = Dead { head: first_letter, tail: first_letter, held: Totals::default() };
    Ends {
        head: at,
        tail: at,
        start: Totals::default(),
        end: Totals::default(),
        index: Index { serial: 0, head: at, tail: at, set_aside: 0, suspect: None, dead },
        stale: true,
        lost,
        maybe_gone: at,
    }
}
