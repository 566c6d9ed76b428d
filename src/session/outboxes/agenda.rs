//! Which outboxes of sub-devices have something to do.
//!
//! An outbox changes only when it is called, or when its deadline has come. So it is looked at after that, and not again
//! until the next time. Two things wait for longer: a queue is opened when it is its turn, and what is completed is removed
//! when nothing else has happened.

use std::collections::VecDeque;

use crate::session::outbox::Outbox;
use crate::sorted::SortedMap;

#[derive(Default)]
pub struct Agenda {
    /// Those that were called, and were not looked at since then. One can be there several times.
    pub changed: Vec<u64>,
    /// Those that are looked at again when nothing else has happened.
    pub untidy: Vec<u64>,
    /// Those whose queue has to be opened.
    pub unopened: VecDeque<u64>,
    /// Those that may have something to send.
    pub senders: SortedMap<u64, ()>,
    deadlines: SortedMap<(u64, u64), ()>,
    /// How many have something in flight.
    pub under_way: usize,
}

/// What the agenda has of an outbox.
#[derive(Default)]
pub struct Noted {
    deadline: Option<u64>,
    is_under_way: bool,
    pub waits_to_open: bool,
}

impl Agenda {
    /// Those that have to be looked at now.
    pub fn take(&mut self, tidy: bool, opens: Option<u64>, now: u64) -> Vec<u64> {
        self.changed.extend(opens);
        self.changed.extend(self.deadlines.keys().take_while(|(at, _)| *at <= now).map(|(_, id)| *id));
        if tidy {
            self.changed.append(&mut self.untidy);
        }
        self.take_changed()
    }

    /// Each once, in order.
    pub fn take_changed(&mut self) -> Vec<u64> {
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        changed.dedup();
        changed
    }

    /// This outbox was looked at. `None`: it is not in use any more.
    pub fn note(&mut self, id: u64, outbox: Option<&Outbox>, noted: &mut Noted) {
        let deadline = outbox.and_then(Outbox::deadline);
        if noted.deadline != deadline {
            noted.deadline.map(|at| self.deadlines.remove(&(at, id)));
            deadline.map(|at| self.deadlines.insert((at, id), ()));
            noted.deadline = deadline;
        }
        let is_under_way = outbox.is_some_and(|outbox| !outbox.is_quiet());
        self.under_way = self.under_way + usize::from(is_under_way) - usize::from(noted.is_under_way);
        noted.is_under_way = is_under_way;
        if !noted.waits_to_open && outbox.is_some_and(Outbox::wants_to_open) {
            noted.waits_to_open = true;
            self.unopened.push_back(id);
        }
    }

    /// One that was called, or whose queue has to be opened, is looked at at the next tick.
    pub fn deadline(&self) -> Option<u64> {
        if !self.changed.is_empty() || !self.unopened.is_empty() {
            return Some(1);
        }
        self.deadlines.keys().next().map(|(at, _)| *at)
    }

    /// Frees the memory of empty collections.
    pub fn release(&mut self) {
        self.untidy.shrink_to_fit();
        self.unopened.shrink_to_fit();
        self.senders.release();
        self.deadlines.release();
    }
}
