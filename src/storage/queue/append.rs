//! Accepting messages: makes room, encodes the pages, and stores them with one call.

use super::message::Bytes;
use super::{page, Ends, Queue, Result};
use crate::error::{Error, Status};
use crate::model::storage::StorageError;
use crate::protocol::outbox::{Label, Message, PageFound, MAX_TOGETHER};
use crate::protocol::{Request, Totals};
use crate::storage::record::Role;
use crate::storage::records;

/// Pages that are about to be stored.
struct Pending {
    first: u64,
    pages: Vec<Bytes>,
    after: Totals,
}

/// The place of the accepted messages.
pub struct Appended {
    pub page: u64,
    pub next: u64,
    /// The totals that were ever accepted, these messages included.
    pub after: Totals,
}

/// A page that was removed unsent, or all pages of a large message.
pub struct Dropped {
    pub page: u64,
    pub next: u64,
    pub after: Totals,
    /// What the outcome of each message says of it (`None`: the host has dropped it). Or why the page cannot be read.
    pub labels: std::result::Result<Vec<Option<Label>>, String>,
}

impl Queue {
    /// Accepts the messages, all or none. After `Ok` they survive a power cut. `ENOS_ERR_QUEUE_FULL` if there is no
    /// room, `ENOS_ERR_TOO_LARGE` if there can never be room.
    #[cfg(any(test, feature = "internals"))]
    pub fn append(&mut self, messages: &[Request]) -> Result<Appended> {
        let mut appended = Queue::append_to_all(&mut [(self, messages)])?;
        appended.pop().ok_or_else(|| Error::invalid("there is no batch").into())
    }

    /// Does the same for the queues of several devices in one storage, with one storage call for all pages. If the
    /// power fails during the call, each queue has all of its messages or none.
    ///
    /// `ENOS_ERR_INVALID_ARG` for a batch without messages or with more than [`MAX_TOGETHER`], and for queues in several
    /// storages.
    pub fn append_to_all(batches: &mut [(&mut Queue, &[Request])]) -> Result<Vec<Appended>> {
        check(batches)?;
        let pending =
            batches.iter_mut().map(|(queue, messages)| queue.prepare(messages)).collect::<Result<Vec<_>>>()?;
        let stored: Vec<_> = batches.iter().zip(&pending).map(|((queue, _), pending)| (&**queue, pending)).collect();
        Queue::store(&stored)?;
        batches.iter_mut().zip(pending).map(|((queue, _), pending)| queue.accept(pending)).collect()
    }

    /// Makes room, and encodes the pages.
    fn prepare(&mut self, messages: &[Request]) -> Result<Pending> {
        self.open()?;
        let before = self.ends()?.end;
        let pages = page::encode(before, messages, self.records.capacity(Role::Page(u64::MAX)))
            .ok_or_else(|| too_large("the messages are more than a batch can hold together: 60 KiB"))?;
        let count = messages.len() as u64;
        let bytes = pages.iter().map(|page| page.len() as u64).sum();
        if bytes > self.limits.bytes || count > self.limits.messages {
            return Err(too_large("it is more than the outbox may hold at all (enos_config_set_outbox_limits())"));
        }
        self.make_room(count, bytes)?;
        let first = self.ends()?.tail;
        self.keep_index(pages.len() as u64, 0)?;
        Ok(Pending { first, pages, after: before.plus(count, bytes) })
    }

    fn store(batches: &[(&Queue, &Pending)]) -> Result<()> {
        let pages = batches.iter().flat_map(|(queue, pending)| {
            let roles = (pending.first..).map(Role::Page);
            roles.zip(&pending.pages).map(|(role, page)| (&queue.records, role, page.as_slice()))
        });
        let result = records::store_all(pages);
        if result.is_err() {
            // A store that failed may still have stored pages. They would be sent.
            for (queue, pending) in batches {
                let roles = (pending.first..).map(Role::Page).take(pending.pages.len());
                let _ = queue.records.erase_all(roles);
            }
        }
        result
    }

    fn accept(&mut self, Pending { first, pages, after }: Pending) -> Result<Appended> {
        let next = first + pages.len() as u64;
        let ends = self.ends()?;
        (ends.tail, ends.end) = (next, after);
        Ok(Appended { page: first, next, after })
    }

    /// Whether it was full since the last call, so that messages were refused.
    pub fn take_refused(&mut self) -> bool {
        std::mem::take(&mut self.refused)
    }

    /// The pages that were removed to make room since the last call, also by an append that failed.
    pub fn take_dropped(&mut self) -> Vec<Dropped> {
        std::mem::take(&mut self.dropped)
    }

    /// The tokens of the dead letters that were removed to make room since the last call.
    pub fn take_dropped_dead(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.dropped_dead)
    }

    /// Makes room for these messages and bytes. Dead letters are removed first, then messages if the policy allows it.
    fn make_room(&mut self, messages: u64, bytes: u64) -> Result<()> {
        loop {
            let held = self.held();
            let dead = self.ends()?.index.dead.held;
            let all = held.plus(dead.messages, dead.bytes).plus(messages, bytes);
            let Ends { head: page, tail, start, .. } = *self.ends()?;
            let full = self.limits.are_below(held.plus(messages, bytes)) && page < tail;
            // This comes first, so that a message that is refused costs no dead letter.
            if full && !self.limits.drop_oldest {
                self.refused = true;
                let words = format!("the outbox is full: it holds {} messages of {} bytes", held.messages, held.bytes);
                return Err(Error::new(Status::ENOS_ERR_QUEUE_FULL, words).into());
            }
            if dead.messages > 0 && self.limits.are_below(all) {
                self.drop_oldest_dead_letter()?;
                continue;
            }
            if !full {
                return Ok(());
            }
            let gone = match self.read(page, false)? {
                PageFound::Messages { next, after, messages } => {
                    let labels = messages.iter().map(|one| one.as_ref().map(Message::label)).collect();
                    Dropped { page, next, after, labels: Ok(labels) }
                }
                PageFound::Nothing { next } => Dropped { page, next, after: start, labels: Ok(Vec::new()) },
                PageFound::Lost { next, words } => Dropped { page, next, after: start, labels: Err(words) },
            };
            let finished = self.finish(gone.next, gone.after);
            // The page may have been removed although the storage returned an error.
            if finished.is_err() && matches!(self.read(page, false)?, PageFound::Messages { .. }) {
                return finished;
            }
            self.dropped_ever += gone.labels.as_ref().map_or(1, |messages| messages.iter().flatten().count() as u64);
            self.dropped.push(gone);
            finished?;
        }
    }
}

/// Before anything is dropped to make room.
fn check(batches: &[(&mut Queue, &[Request])]) -> Result<()> {
    for (queue, messages) in batches {
        if !(1..=MAX_TOGETHER).contains(&messages.len()) {
            let words = format!("a batch of {} messages; it has to have 1 to {MAX_TOGETHER}", messages.len());
            return Err(Error::invalid(words).into());
        }
        if !queue.records.are_beside(&batches[0].0.records) {
            return Err(Error::invalid("the queues are in several storages").into());
        }
    }
    Ok(())
}

fn too_large(words: &str) -> StorageError {
    Error::new(Status::ENOS_ERR_TOO_LARGE, words).into()
}
