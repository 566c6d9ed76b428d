//! The queue of durable messages in the host's storage. It knows nothing of MQTT, and of time.
//!
//! A page is one record, `out.<n>`: the messages that were accepted together, or a part of one that is too large. Pages
//! are numbered from 1 on, and no number comes twice. What is in the queue are the pages from the head to the tail;
//! nothing else about them is kept in memory. A message costs one store when it is accepted and one erase when it is
//! through; the [`index`] adds one store in [`SPAN`](index::SPAN) pages.
//!
//! Nothing is ever taken for granted that a power cut could have undone: see [`open`].
#![forbid(unsafe_code)]

mod dead;
mod gone;
mod index;
mod message;
mod open;
mod page;
#[cfg(test)]
mod tests;

use crate::error::{Error, Status};
use crate::model::storage::StorageError;
use crate::protocol::outbox::{Message, PageFound, MAX_TOGETHER};
use crate::protocol::{Request, Suspect, Totals};
use crate::storage::record::Role;
use crate::storage::records::{Records, Value};
use crate::storage::vtable::MAX_VALUE_LEN;

pub use dead::DeadLetter;
use index::{Index, REACH, SPAN};
use page::{Page, Part};

type Done<T> = std::result::Result<T, StorageError>;

/// The largest message takes no more pages.
const LARGEST_PAGES: u64 = 16;

/// How much may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    pub messages: u64,
    /// As they are stored, near enough.
    pub bytes: u64,
    /// When it is full, the oldest messages go; else new ones are refused.
    pub drop_oldest: bool,
}

pub struct Queue {
    records: Records,
    limits: QueueLimits,
    ends: Option<Ends>,
    dropped: Vec<Dropped>,
    /// Dead letters, by their tokens.
    dropped_dead: Vec<u64>,
    dropped_ever: u64,
}

impl QueueLimits {
    /// Whether it is more than may be.
    fn are_below(&self, held: Totals) -> bool {
        held.messages > self.messages || held.bytes > self.bytes
    }
}

/// How it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// What waits. What was dropped counts until all before it is through.
    pub held: Totals,
    pub dead_letters: u64,
    /// How many messages were ever set aside.
    pub set_aside: u64,
    /// How many messages had to go since this was made.
    pub dropped: u64,
}

/// Where the queue begins and ends.
struct Ends {
    /// The first page that is not through.
    head: u64,
    /// The page that the next message will have.
    tail: u64,
    /// All that was ever taken before the head, and before the tail.
    start: Totals,
    end: Totals,
    /// The newest of the two, as it is stored.
    index: Index,
    /// The tail has jumped, or only one of them could be read: neither end may move before both are stored anew.
    stale: bool,
    /// Why what was in the queue cannot be found any more.
    lost: Option<String>,
    /// Pages before this one may be missing: the process before this one may have removed them, or a removal has failed.
    maybe_gone: u64,
}

/// What was accepted.
pub struct Appended {
    pub page: u64,
    pub next: u64,
    /// All that was ever taken, these messages included.
    pub after: Totals,
}

/// A page that was removed unsent, or a message that takes up several.
pub struct Dropped {
    pub page: u64,
    pub next: u64,
    pub after: Totals,
    /// Of each of its messages, whether it waits for a reply, and `None` for one that was gone; or why it cannot be read.
    pub until_reply: std::result::Result<Vec<Option<bool>>, String>,
}

impl Queue {
    pub fn new(records: Records, limits: QueueLimits) -> Queue {
        Queue { records, limits, ends: None, dropped: Vec::new(), dropped_dead: Vec::new(), dropped_ever: 0 }
    }

    /// Takes the messages, all or none: after `Ok` they survive a power cut. `ENOS_ERR_QUEUE_FULL` when there is no room,
    /// `ENOS_ERR_TOO_LARGE` when there could never be.
    pub fn append(&mut self, messages: &[Request]) -> Done<Appended> {
        self.open()?;
        let before = self.ends()?.end;
        let pages = page::encode(before, messages, self.records.capacity(Role::Outbox(u64::MAX)))
            .ok_or_else(|| too_large("the messages are more than a batch can hold together: 60 KiB"))?;
        let count = messages.len() as u64;
        let bytes = pages.iter().map(|page| page.len() as u64).sum();
        if bytes > self.limits.bytes || count > self.limits.messages {
            return Err(too_large("it is more than the outbox may hold at all (enos_config_set_outbox_limits())"));
        }
        self.make_room(count, bytes)?;
        let page = self.ends()?.tail;
        self.keep_index(pages.len() as u64, 0)?;
        let roles = (page..).map(Role::Outbox);
        let stored: Vec<(Role, &[u8])> = roles.zip(pages.iter().map(|page| page.as_slice())).collect();
        if let Err(error) = self.records.store_all(&stored) {
            // A store that failed may have stored all the same. What stays of it would be sent.
            let _ = self.records.erase_all(stored.iter().map(|(role, _)| *role));
            return Err(error);
        }
        let ends = self.ends()?;
        ends.tail = page + pages.len() as u64;
        ends.end = before.plus(count, bytes);
        Ok(Appended { page, next: ends.tail, after: ends.end })
    }

    /// What had to go since the last time, so that there was room. Also after an append that failed.
    pub fn take_dropped(&mut self) -> Vec<Dropped> {
        std::mem::take(&mut self.dropped)
    }

    /// The dead letters that had to go since the last time.
    pub fn take_dropped_dead(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.dropped_dead)
    }

    /// Room for so much more: dead letters go first, then it is by the policy.
    fn make_room(&mut self, messages: u64, bytes: u64) -> Done<()> {
        loop {
            let held = self.held();
            let dead = self.ends()?.index.dead.held;
            let all = held.plus(dead.messages, dead.bytes).plus(messages, bytes);
            let Ends { head: page, tail, start, .. } = *self.ends()?;
            let full = self.limits.are_below(held.plus(messages, bytes)) && page < tail;
            // First of all: what is refused costs no dead letter.
            if full && !self.limits.drop_oldest {
                let words = format!("{} durable messages of {} bytes wait, as many as may", held.messages, held.bytes);
                return Err(Error::new(Status::ENOS_ERR_QUEUE_FULL, words).into());
            }
            if dead.messages > 0 && self.limits.are_below(all) {
                self.drop_oldest_dead_letter()?;
                continue;
            }
            if !full {
                return Ok(());
            }
            let gone = match self.find_at(page, true)? {
                PageFound::Messages { next, after, messages } => {
                    let until_reply = messages.iter().map(|one| one.as_ref().map(Message::until_reply)).collect();
                    Dropped { page, next, after, until_reply: Ok(until_reply) }
                }
                PageFound::Nothing { next } => Dropped { page, next, after: start, until_reply: Ok(Vec::new()) },
                PageFound::Lost { next, words } => Dropped { page, next, after: start, until_reply: Err(words) },
            };
            let finished = self.finish(gone.next, gone.after);
            // It may have gone all the same.
            if finished.is_err() && matches!(self.find_at(page, true)?, PageFound::Messages { .. }) {
                return finished;
            }
            self.dropped_ever +=
                gone.until_reply.as_ref().map_or(1, |messages| messages.iter().flatten().count() as u64);
            self.dropped.push(gone);
            finished?;
        }
    }

    /// What stands at `page`. An error is a host that fails: try again. `last_try`: then it is lost, as long as other
    /// records can be loaded.
    pub fn read(&mut self, page: u64, last_try: bool) -> Done<PageFound> {
        match self.find_at(page, true) {
            Err(error) if last_try && self.records.look(Role::Index(0)).is_ok() => {
                Ok(PageFound::Lost { next: page + 1, words: error.message })
            }
            result => result,
        }
    }

    /// As [`read`](Self::read), of a page that stays where it is.
    pub fn peek(&mut self, page: u64) -> Done<PageFound> {
        self.find_at(page, false)
    }

    /// `keeps`: what cannot be read is kept apart.
    fn find_at(&mut self, page: u64, keeps: bool) -> Done<PageFound> {
        let (tail, maybe_gone) = self.ends().map(|ends| (ends.tail, ends.maybe_gone))?;
        let mut parts: Vec<Part> = Vec::new();
        let mut bytes_read = 0;
        let mut at = page;
        loop {
            let value = self.records.look(Role::Outbox(at))?;
            let (words, bytes) = match value {
                Value::Whole(data) => match page::decode(&data) {
                    Ok(Page::Whole { before, messages }) if parts.is_empty() => {
                        let after = before.plus(messages.len() as u64, data.len() as u64);
                        return Ok(PageFound::Messages { next: at + 1, after, messages });
                    }
                    Ok(Page::Part { before, part }) if usize::from(part.index) == parts.len() && at < tail => {
                        let (of, next) = (part.of, at + 1);
                        bytes_read += data.len() as u64;
                        parts.push(part);
                        if parts.len() < usize::from(of) {
                            at = next;
                            continue;
                        }
                        match page::join(&parts) {
                            Ok(message) => {
                                let after = before.plus(1, bytes_read);
                                return Ok(PageFound::Messages { next, after, messages: vec![Some(message)] });
                            }
                            Err(error) => (error.to_string(), data),
                        }
                    }
                    Ok(_) if !parts.is_empty() => {
                        // The rest of the message is gone; what stands here is something else.
                        return Ok(PageFound::Lost { next: at, words: "a part of the message is missing".into() });
                    }
                    Ok(Page::Whole { .. }) => return Ok(PageFound::Nothing { next: at + 1 }),
                    // A part whose first one is gone, which was told there.
                    Ok(Page::Part { .. }) => return Ok(PageFound::Nothing { next: at + 1 }),
                    Err(error) => (error.to_string(), data),
                },
                Value::None if at < maybe_gone => return Ok(PageFound::Nothing { next: at + 1 }),
                Value::None => {
                    let words = "the storage does not find what it has stored".to_owned();
                    return Ok(PageFound::Lost { next: at + 1, words });
                }
                Value::Broken { bytes, words } => (words, bytes),
            };
            // For a person to look at. That this fails must not hold up the rest.
            let _ = keeps.then(|| self.keep_raw(at, &bytes));
            return Ok(PageFound::Lost { next: at + 1, words });
        }
    }

    /// Removes all pages before `through`; `after` is what came with the last of them.
    pub fn finish(&mut self, through: u64, after: Totals) -> Done<()> {
        let through = through.min(self.ends()?.tail);
        if through <= self.ends()?.head {
            return Ok(());
        }
        while self.ends()?.head < through {
            self.keep_index(0, 1)?;
            let ends = self.ends()?;
            // As far as this index reaches, and no index more than one in so many pages.
            let (head, to) = (ends.head, through.min(ends.index.head + SPAN));
            self.records.erase_all((head..to).map(Role::Outbox))?;
            self.ends()?.head = to;
        }
        self.begin_after(after)
    }

    /// What was ever taken before the head.
    fn begin_after(&mut self, before: Totals) -> Done<()> {
        let ends = self.ends()?;
        let held = plausible(ends.end.since(before), ends.tail - ends.head);
        ends.start = ends.end.since(held);
        Ok(())
    }

    /// What was under way when the link was lost.
    pub fn suspect(&mut self, suspect: Option<Suspect>) -> Done<()> {
        if self.ends()?.index.suspect == suspect {
            return Ok(());
        }
        self.write_index(|index| index.suspect = suspect)
    }

    /// Messages and bytes in the queue; zero before it is open.
    pub fn held(&self) -> Totals {
        self.ends.as_ref().map(|ends| ends.end.since(ends.start)).unwrap_or_default()
    }

    /// `None`: it is not open.
    pub fn counts(&self) -> Option<Counts> {
        let index = self.ends.as_ref()?.index;
        Some(Counts {
            held: self.held(),
            dead_letters: index.dead.held.messages,
            set_aside: index.set_aside,
            dropped: self.dropped_ever,
        })
    }

    fn ends(&mut self) -> Done<&mut Ends> {
        self.ends.as_mut().ok_or_else(|| Error::new(Status::ENOS_ERR_STATE, "the outbox is not open").into())
    }

    /// Before the ends move by so many pages: the index is never further behind than it may be.
    fn keep_index(&mut self, tail_by: u64, head_by: u64) -> Done<()> {
        let ends = self.ends()?;
        let tail_ok = ends.tail + tail_by <= ends.index.tail + SPAN;
        let head_ok = ends.head + head_by <= ends.index.head + SPAN;
        let stale = ends.stale;
        if tail_ok && head_ok && !stale {
            return Ok(());
        }
        self.write_index(|_| ())?;
        if stale {
            // What the other one says is too far behind: with either of them the queue has to be found.
            self.write_index(|_| ())?;
            self.ends()?.stale = false;
        }
        Ok(())
    }

    fn write_index(&mut self, change: impl FnOnce(&mut Index)) -> Done<()> {
        let ends = self.ends()?;
        let mut index = Index { serial: ends.index.serial + 1, head: ends.head, tail: ends.tail, ..ends.index };
        change(&mut index);
        self.records.store(Role::Index(index.slot()), &index.encode())?;
        self.ends()?.index = index;
        Ok(())
    }
}

/// What so many pages can hold, where the totals in them say something else: limits rely on it.
fn plausible(held: Totals, pages: u64) -> Totals {
    // Some may be gone already, and one message takes several pages.
    let least = pages.saturating_sub(REACH) / LARGEST_PAGES;
    Totals {
        messages: held.messages.clamp(least, pages.saturating_mul(MAX_TOGETHER as u64)),
        bytes: held.bytes.clamp(least, pages.saturating_mul(MAX_VALUE_LEN as u64)),
    }
}

fn too_large(words: &str) -> StorageError {
    Error::new(Status::ENOS_ERR_TOO_LARGE, words).into()
}
