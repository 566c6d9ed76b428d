//! Operations of which only the newest message says something, such as the progress of an update. A newer one supersedes
//! those that wait.
//!
//! The client removes them from the storage as soon as the newer one is stored: the one before it, and, for the first one
//! in a process, those that it [finds](Outbox::take_unsearched). Others are left out when they are read.

use super::window::{Answer, InFlight, State};
use super::{Around, Outbox, Place, Who};
use crate::error::Status;
use crate::protocol::outbox::{self, Label};
use crate::protocol::{Request, Totals};

/// The token of a message, and what its outcome says of it.
pub type Named = (u64, Label);

impl Outbox {
    /// Messages were accepted. Some of them may supersede others.
    pub(super) fn note_newest(&mut self, page: u64, messages: &[Request]) {
        for (index, request) in messages.iter().enumerate() {
            if !request.operation.row().newest_only {
                continue;
            }
            let label = Label { operation: request.operation as i32, until_reply: request.until_reply };
            let newest = (outbox::token(page, index), label);
            match self.newest.iter_mut().find(|(_, known)| known.operation == label.operation) {
                Some(known) => {
                    let before = std::mem::replace(known, newest);
                    if self.may_leave(before.0) {
                        self.stale.push(before);
                    }
                }
                None => {
                    self.newest.push(newest);
                    self.unsearched.push(newest);
                }
            }
        }
    }

    /// The messages that are superseded, and were waiting.
    pub fn take_stale(&mut self) -> Vec<Named> {
        std::mem::take(&mut self.stale)
    }

    /// The first messages of their operations in this process. Those that they supersede may be in the storage.
    pub fn take_unsearched(&mut self) -> Vec<Named> {
        std::mem::take(&mut self.unsearched)
    }

    /// Whether a message waits, and is not in flight.
    pub fn may_leave(&self, token: u64) -> bool {
        self.place(token) == Place::Waiting && !self.is_in_flight(token)
    }

    fn is_in_flight(&self, token: u64) -> bool {
        self.window.find_token(token).is_some_and(|in_flight| matches!(in_flight.state, State::Sent { .. }))
    }

    /// A message that is superseded was removed from the storage.
    pub fn supersede(&mut self, (token, label): Named, head: u64, held: Totals, around: &mut Around) {
        if self.place(token) == Place::Waiting {
            let user = self.window.find_token(token).map(|in_flight| in_flight.user);
            let user = user.or(self.users.get(&token).copied()).unwrap_or(0);
            self.tell_superseded((token, label, user), around);
        }
        self.forget(token, around);
        self.dropped(0, head, &Ok(Vec::new()), around);
        self.tell_room(held, around);
    }

    /// Leaves out what is superseded and waits in memory.
    pub(super) fn leave_out_superseded(&mut self, around: &mut Around) {
        if self.newest.is_empty() || self.window.stepped_aside() > 0 {
            return;
        }
        for token in self.window.waiting(|in_flight| self.is_superseded(in_flight)) {
            let Some(in_flight) = self.window.remove(token) else { continue };
            if !in_flight.told {
                self.tell_superseded(in_flight.who(), around);
            }
            self.leave_batch(in_flight.page);
        }
    }

    fn is_superseded(&self, in_flight: &InFlight) -> bool {
        let operation = in_flight.message.label().operation;
        self.newest.iter().any(|(newest, label)| label.operation == operation && *newest > in_flight.token)
    }

    fn tell_superseded(&self, who: Who, around: &mut Around) {
        let answer = Answer::words("a newer message says what it would have said");
        self.tell(who, Status::ENOS_ERR_SUPERSEDED, answer, around.actions);
    }
}
