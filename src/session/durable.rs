//! The session's side of the outbox: what passes between the outbox, the exchange and the client.

use super::commands::Commands;
use super::connection::Connection;
use super::event::{Event, EventKind};
use super::io::{Action, Now};
use super::outbox::{Around, Labels, Outbox, Place};
use super::Session;
use crate::error::Status;
use crate::model::storage::StorageError;
use crate::protocol::outbox::OutboxEnds;
use crate::protocol::{Request, Totals};

impl Session {
    /// Messages were accepted and stored. `users`: what the host has given with each; may be empty.
    pub fn appended(&mut self, now: Now, page: u64, next: u64, after: Totals, messages: Vec<Request>, users: &[usize]) {
        self.with_outbox(now, |outbox, _| outbox.appended(page, next, after, messages, users));
        self.run_outbox(now, false);
    }

    /// The oldest messages were removed to make room.
    pub fn outbox_dropped(&mut self, now: Now, page: u64, next: u64, labels: &Labels) {
        self.with_outbox(now, |outbox, around| outbox.dropped(page, next, labels, around));
    }

    /// Dead letters were removed to make room.
    pub fn dead_letters_dropped(&mut self, tokens: Vec<u64>) {
        let words = "the outbox was full, and this was its oldest dead letter";
        let event = Event::new(EventKind::DeadLetterDropped, Status::ENOS_ERR_QUEUE_FULL, words);
        self.actions.extend(tokens.into_iter().map(|token| Action::Emit(event.clone().token(token))));
    }

    /// Where a durable message is.
    pub fn place(&self, token: u64) -> Place {
        self.outbox.as_ref().map_or(Place::Through, |outbox| outbox.place(token))
    }

    /// The host has dropped a waiting message. The queue begins at the page `head` now.
    pub fn forget_durable(&mut self, now: Now, token: u64, head: u64, held: Totals) {
        self.with_outbox(now, |outbox, around| {
            outbox.forget(token, around);
            outbox.dropped(0, head, &Ok(Vec::new()), around);
            outbox.tell_room(held, around);
        });
        self.run_outbox(now, false);
    }

    /// A message was refused because the outbox was full.
    pub fn outbox_full(&mut self) {
        if let Some(outbox) = self.outbox.as_deref_mut() {
            outbox.refused();
        }
    }

    pub fn outbox_is_open(&self) -> bool {
        self.outbox.as_deref().is_none_or(Outbox::is_open)
    }

    /// Every accepted call has had its outcome, and the outbox is empty.
    pub fn is_flushed(&self) -> bool {
        self.exchange.is_idle()
            && self.commands.as_deref().is_none_or(Commands::is_idle)
            && self.outbox.as_deref().is_none_or(Outbox::is_empty)
    }

    /// Nothing that was sent is without its outcome.
    pub(super) fn is_quiet(&self) -> bool {
        self.exchange.is_quiet()
            && self.commands.as_deref().is_none_or(Commands::is_idle)
            && self.outbox.as_deref().is_none_or(Outbox::is_quiet)
    }

    pub(super) fn on_outbox_opened(&mut self, now: Now, result: std::result::Result<OutboxEnds, StorageError>) {
        self.with_outbox(now, |outbox, around| match result {
            Ok(ends) => outbox.opened(ends, around),
            Err(failure) => outbox.not_opened(failure, around),
        });
    }

    pub(super) fn with_outbox(&mut self, now: Now, f: impl FnOnce(&mut Outbox, &mut Around)) {
        let Session { outbox: Some(outbox), exchange, actions, rng, .. } = self else { return };
        f(outbox, &mut Around { now: now.ms, wall_ms: now.wall_ms, exchange, actions, rng });
    }

    /// What is sent beside the outbox counts towards its rate.
    pub(super) fn count_live(&mut self, now: Now, bytes: usize) {
        if let Some(outbox) = self.outbox.as_deref_mut() {
            outbox.live(bytes, now.ms);
        }
    }

    /// Gives the outbox the outcomes of its entries, and lets it continue.
    pub(super) fn run_outbox(&mut self, now: Now, tidy: bool) {
        for (token, outcome) in self.exchange.take_outcomes() {
            self.with_outbox(now, |outbox, around| outbox.outcome(token, outcome, around));
        }
        let mut stalled = false;
        self.with_outbox(now, |outbox, around| stalled = outbox.pump(tidy, around));
        if stalled {
            self.with_connection(now, Connection::stalled);
        }
    }
}
