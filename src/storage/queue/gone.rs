//! Messages that the host drops while they are in the queue. The other messages of the page keep their index.

use super::page;
use super::{Queue, Result};
use crate::log;
use crate::protocol::outbox::{self, PageFound};
use crate::storage::record::Role;
use crate::storage::records::Value;

impl Queue {
    /// Removes the message with this token from the queue. False if it is not in the queue.
    pub fn drop_waiting(&mut self, token: u64) -> Result<bool> {
        let Some((at, index)) = outbox::place(token) else { return Ok(false) };
        if at < self.ends()?.head || at >= self.ends()?.tail {
            return Ok(false);
        }
        let Value::Whole(data) = self.records.look(Role::Page(at))? else { return Ok(false) };
        let Ok(Some(rest)) = page::without(&data, index) else { return Ok(false) };
        self.records.store(Role::Page(at), &rest)?;
        // The message is removed. If its page cannot be removed now, it is removed later.
        if let Err(error) = self.finish_gone() {
            log::warn("storage", format_args!("room for others comes later: {error}"));
        }
        Ok(true)
    }

    /// Removes pages at the head that have no message left, so that there is room at once.
    fn finish_gone(&mut self) -> Result<()> {
        while self.ends()?.head < self.ends()?.tail {
            let (head, start) = self.ends().map(|ends| (ends.head, ends.start))?;
            let (next, after) = match self.peek(head)? {
                PageFound::Messages { next, after, messages } if messages.iter().all(Option::is_none) => (next, after),
                PageFound::Nothing { next } => (next, start),
                _ => break,
            };
            // A removal may have succeeded although the storage returned an error.
            let ends = self.ends()?;
            ends.maybe_gone = ends.maybe_gone.max(next);
            self.finish(next, after)?;
        }
        // The page is smaller now. The next page tells the totals with its original size.
        if let Some((before, _)) = self.totals(self.head())? {
            self.begin_after(before)?;
        }
        Ok(())
    }

    /// The first page that is not completed.
    pub fn head(&self) -> u64 {
        self.ends.as_ref().map_or(0, |ends| ends.head)
    }
}
