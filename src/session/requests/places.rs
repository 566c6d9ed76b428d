//! Room for calls of one kind, so that no kind takes that of another.

use std::collections::VecDeque;

use super::super::event::{Event, EventKind};
use super::super::Action;
use crate::error::{Error, Result, Status};
use crate::sorted::SortedMap;

/// A call has a place until its outcome. A message also has one for as long as the transport holds it, even if its
/// outcome came for being overdue: the places bound that memory, too.
pub struct Places {
    /// What the calls are, in words.
    of: &'static str,
    limit: usize,
    /// Calls without their outcome.
    pub calls: usize,
    held: SortedMap<u64, ()>,
    /// A call was refused, and nobody was told yet that there is room.
    refused: bool,
}

impl Places {
    pub fn new(of: &'static str, limit: usize) -> Places {
        Places { of, limit, calls: 0, held: SortedMap::new(), refused: false }
    }

    fn taken(&self) -> usize {
        self.calls.max(self.held.len())
    }

    /// Takes a place.
    pub fn take(&mut self) -> Result<()> {
        if self.taken() >= self.limit {
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

    /// The transport gets the message.
    pub fn hold(&mut self, token: u64) {
        self.held.insert(token, ());
    }

    /// The transport has let go of it.
    pub fn let_go(&mut self, token: u64) {
        self.held.remove(&token);
    }

    /// Gives back memory that nothing stands in.
    pub fn release(&mut self) {
        self.held.release();
    }

    /// The link is gone, and the transport with all that it held.
    pub fn let_all_go(&mut self) {
        self.held.clear();
    }

    /// After a refusal: there is room again. Tells it once.
    pub fn tell_room(&mut self, actions: &mut VecDeque<Action>) {
        if self.refused && self.taken() < self.limit {
            self.refused = false;
            let words = format!("{} are taken again", self.of);
            actions.push_back(Action::Emit(Event::new(EventKind::Room, Status::ENOS_OK, words)));
        }
    }
}
