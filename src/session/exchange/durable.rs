//! What the outboxes need of the exchange, beside sending requests.

use std::collections::VecDeque;

use super::entry::{Owner, WaitsFor};
use super::Exchange;
use crate::session::io::{Action, Outcome};

/// Whose outbox (0: that of the client's own device), which of its entries, and the outcome.
pub type Told = (u64, u64, Outcome);

/// Requests of the outboxes that were sent, and that neither the broker has acknowledged nor EnOS has answered.
#[derive(Clone, Copy, Default)]
pub struct Unacknowledged {
    pub messages: usize,
    /// What live data has to wait for on a slow link.
    pub bytes: usize,
}

impl Exchange {
    /// Whether the outbox of this device may send a request whose reply comes on this topic: if it waits for the reply, that can come,
    /// and it is its turn. If not, the outcome of the entry in `Err` is whether that has changed.
    pub fn may_send(
        &mut self,
        of: u64,
        topic: String,
        until_reply: bool,
        now: u64,
        actions: &mut VecDeque<Action>,
    ) -> std::result::Result<(), u64> {
        let is_mute = until_reply && !self.is_granted(&topic);
        if !is_mute && self.has_free_turn(&topic, until_reply) {
            return Ok(());
        }
        let waits_for = match is_mute {
            true => WaitsFor::Filter { filter: topic.clone(), request: None },
            false => WaitsFor::Turn { topic: topic.clone(), request: None },
        };
        let token = self.enter(Owner::Outbox(of), waits_for, None, now);
        match is_mute {
            true => self.need_reply_topic(&topic, of, now, actions),
            false => self.queue_for_turn(&topic, token, until_reply),
        }
        Err(token)
    }

    /// The outcomes of the outboxes' entries.
    pub fn take_outcomes(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.outcomes)
    }

    pub fn unacknowledged(&self) -> Unacknowledged {
        self.unacknowledged
    }

    /// A request is sent. It counts if it is one of an outbox.
    pub(super) fn count_unacknowledged(&mut self, token: u64, bytes: usize) {
        if let Some(entry) = self.entries.get_mut(&token).filter(|entry| entry.owner.is_outbox()) {
            entry.bytes = Some(bytes);
            self.unacknowledged.messages += 1;
            self.unacknowledged.bytes += bytes;
        }
    }

    /// It counts no longer: it is acknowledged or answered, or its outcome is not wanted any more.
    pub(super) fn is_acknowledged(&mut self, token: u64) {
        if let Some(bytes) = self.entries.get_mut(&token).and_then(|entry| entry.bytes.take()) {
            self.unacknowledged.messages -= 1;
            self.unacknowledged.bytes -= bytes;
        }
    }
}
