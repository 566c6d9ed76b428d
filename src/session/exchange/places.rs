//! The limit on the host's calls of one kind.

use std::collections::VecDeque;

use crate::error::{Error, Result, Status};
use crate::session::event::{Event, EventKind};
use crate::session::io::Action;
use crate::sorted::SortedMap;

/// A call has a place until its outcome. A message keeps its place until the transport releases it, even if it timed
/// out and had its outcome before, because the limit also limits that memory.
pub struct Places {
    /// What the calls are called in messages.
    of: &'static str,
    limit: usize,
    /// Calls without their outcome.
    pub calls: usize,
    held: SortedMap<u64, ()>,
    /// A call was refused, and the host was not told yet that there is room.
    refused: bool,
}

impl Places {
    pub fn new(of: &'static str, limit: usize) -> Places {
        Places { of, limit, calls: 0, held: SortedMap::new(), refused: false }
    }

    fn taken(&self) -> usize {
        self.calls.max(self.held.len())
    }

    pub fn has_room(&self) -> bool {
        self.taken() < self.limit
    }

    pub fn take(&mut self) -> Result<()> {
        if !self.has_room() {
            self.refused = true;
            let words = format!(
                "{} {} have no outcome yet, as many as the limit allows; ENOS_EVENT_ROOM tells when there is room",
                self.limit, self.of
            );
            return Err(Error::new(Status::ENOS_ERR_QUEUE_FULL, words));
        }
        self.calls += 1;
        Ok(())
    }

    /// The transport gets a message.
    pub fn hold(&mut self, token: u64) {
        self.held.insert(token, ());
    }

    /// Whether the transport has this message.
    pub fn holds(&self, token: u64) -> bool {
        self.held.get(&token).is_some()
    }

    pub fn let_go(&mut self, token: u64) {
        self.held.remove(&token);
    }

    /// Frees the memory of empty collections.
    pub fn release(&mut self) {
        self.held.release();
    }

    /// The link is gone, with all that the transport held.
    pub fn let_all_go(&mut self) {
        self.held.clear();
    }

    /// Tells once after a refusal that there is room again.
    pub fn tell_room(&mut self, actions: &mut VecDeque<Action>) {
        if self.refused && self.has_room() {
            self.refused = false;
            let words = format!("{} are taken again", self.of);
            actions.push_back(Action::Emit(Event::new(EventKind::Room, Status::ENOS_OK, words)));
        }
    }
}
