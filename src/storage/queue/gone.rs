//! Messages that the host drops while they wait. The rest of their page keeps its place.

use super::page;
use super::{Queue, Result};
use crate::log;
use crate::protocol::outbox::{self, PageFound};
use crate::storage::record::Role;
use crate::storage::records::Value;

impl Queue {
    /// Removes the message with this token from those that wait. False if it does not wait.
    pub fn drop_waiting(&mut self, token: u64) -> Result<bool> {
        let Some((at, index)) = outbox::place(token) else { return Ok(false) };
        if at < self.ends()?.head || at >= self.ends()?.tail {
            return Ok(false);
        }
        let Value::Whole(data) = self.records.look(Role::Page(at))? else { return Ok(false) };
        let Ok(Some(rest)) = page::without(&data, index) else { return Ok(false) };
        self.records.store(Role::Page(at), &rest)?;
        // The message is gone. A page that cannot be removed now is removed later.
        if let Err(error) = self.finish_gone() {
            log::warn("storage", format_args!("room for others comes later: {error}"));
        }
        Ok(true)
    }

    /// Removes pages at the head that hold no message any more, so that there is room at once.
    fn finish_gone(&mut self) -> Result<()> {
        while self.ends()?.head < self.ends()?.tail {
            let (head, start) = self.ends().map(|ends| (ends.head, ends.start))?;
            let (next, after) = match self.peek(head)? {
                PageFound::Messages { next, after, messages } if messages.iter().all(Option::is_none) => (next, after),
                PageFound::Nothing { next } => (next, start),
                _ => break,
            };
            // A removal that fails may have been done all the same.
            let ends = self.ends()?;
            ends.maybe_gone = ends.maybe_gone.max(next);
            self.finish(next, after)?;
        }
        // The rest of a page has fewer bytes than the whole had. The next page tells how many those were.
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
