//! Messages that the host drops while they wait: what is left of their page stays where it is.

use super::page;
use super::{Done, Queue};
use crate::log;
use crate::protocol::outbox::{self, PageFound};
use crate::storage::record::Role;
use crate::storage::records::Value;

impl Queue {
    /// Removes the message with this token from what waits; false: it does not wait.
    pub fn drop_waiting(&mut self, token: u64) -> Done<bool> {
        let Some((at, index)) = outbox::place(token) else { return Ok(false) };
        if at < self.ends()?.head || at >= self.ends()?.tail {
            return Ok(false);
        }
        let Value::Whole(data) = self.records.look(Role::Outbox(at))? else { return Ok(false) };
        let Ok(Some(rest)) = page::without(&data, index) else { return Ok(false) };
        self.records.store(Role::Outbox(at), &rest)?;
        // It is gone. A page that cannot be removed now is removed in its turn.
        if let Err(error) = self.finish_gone() {
            log::warn("storage", format_args!("room for others comes later: {error}"));
        }
        Ok(true)
    }

    /// Pages at the head of which nothing is left make room at once.
    fn finish_gone(&mut self) -> Done<()> {
        while self.ends()?.head < self.ends()?.tail {
            let (head, start) = self.ends().map(|ends| (ends.head, ends.start))?;
            let (next, after) = match self.peek(head)? {
                PageFound::Messages { next, after, messages } if messages.iter().all(Option::is_none) => (next, after),
                PageFound::Nothing { next } => (next, start),
                _ => break,
            };
            // A removal that fails may have happened all the same.
            let ends = self.ends()?;
            ends.maybe_gone = ends.maybe_gone.max(next);
            self.finish(next, after)?;
        }
        // What is left of a page has fewer bytes than went with it: the next page knows how many.
        if let (Some(before), _) = self.totals(self.head())? {
            self.begin_after(before)?;
        }
        Ok(())
    }

    /// The first page that is not through.
    pub fn head(&self) -> u64 {
        self.ends.as_ref().map_or(0, |ends| ends.head)
    }
}
