//! The session's side of the outboxes: what passes between them, the exchange and the client. `subdevice` says whose outbox
//! it is; 0: that of the client's own device. Tokens are those in the queue.

use super::commands::Commands;
use super::connection::Connection;
use super::event::{Event, EventKind};
use super::gateway::Gateway;
use super::io::{Action, Done, Input, Now};
use super::outbox::{Around, Labels, Named, Outbox, Place};
use super::outboxes::{Outboxes, Surroundings};
use super::Session;
use crate::error::{Error, Result, Status};
use crate::model::subdevice::SubdeviceState;
use crate::protocol::outbox::{self, OutboxEnds};
use crate::protocol::{Request, Totals};

/// Messages that were accepted together for one device, and are stored.
pub struct Appended {
    pub page: u64,
    pub next: u64,
    pub after: Totals,
    pub messages: Vec<Request>,
    /// What the host has given with each; may be empty.
    pub users: Vec<usize>,
}

impl Session {
    /// Whether durable messages of this device can be accepted.
    pub fn has_queue(&self, subdevice: u64) -> bool {
        self.outboxes.as_deref().is_some_and(|outboxes| outboxes.has(subdevice))
    }

    /// No message is accepted for a sub-device that EnOS has deleted: it would become a dead letter, or wait without end.
    pub fn check_not_deleted(&self, subdevice: u64) -> Result<()> {
        if subdevice != 0 && self.subdevice_state(subdevice) == Ok(SubdeviceState::Deleted) {
            let words = format!(
                "EnOS has deleted sub-device {subdevice}; if it is there again, call enos_client_set_subdevice_online()"
            );
            return Err(Error::new(Status::ENOS_ERR_STATE, words));
        }
        Ok(())
    }

    /// The queue of a device is open.
    pub fn outbox_opened(&mut self, now: Now, subdevice: u64, ends: OutboxEnds) {
        self.with_outboxes(now, |outboxes, session| outboxes.use_outbox(subdevice, session));
        if !self.outbox_is_open(subdevice) {
            self.handle(now, Input::Outbox { subdevice, done: Done::Opened(Ok(ends)) });
        }
    }

    /// Messages were accepted and stored.
    pub fn appended(&mut self, now: Now, subdevice: u64, appended: Appended) {
        for request in &appended.messages {
            self.notice_version(now, subdevice, request.operation, &request.params);
        }
        self.with_outbox(now, subdevice, |outbox, _| outbox.appended(appended));
        if self.check_not_deleted(subdevice).is_err() {
            // EnOS has deleted it while they were stored.
            self.with_outboxes(now, |outboxes, session| outboxes.delete(subdevice, session));
        }
        self.run_outboxes(now, false, false);
    }

    /// The waiting messages that were superseded by what was [accepted](Self::appended), and the messages for which older
    /// ones may be in the storage.
    pub fn take_stale(&mut self, now: Now, subdevice: u64) -> (Vec<Named>, Vec<Named>) {
        self.with_outboxes(now, |outboxes, session| {
            let mut stale = <_>::default();
            outboxes.with(subdevice, session, |outbox, _| stale = (outbox.take_stale(), outbox.take_unsearched()));
            stale
        })
    }

    /// Whether a message waits, and is not in flight.
    pub fn may_leave(&self, subdevice: u64, token: u64) -> bool {
        let outbox = self.outboxes.as_deref().and_then(|outboxes| outboxes.get(subdevice));
        outbox.is_some_and(|outbox| outbox.may_leave(token))
    }

    /// One of them was removed from the storage. The queue begins at the page `head` now.
    pub fn superseded(&mut self, now: Now, subdevice: u64, stale: Named, head: u64, held: Totals) {
        self.with_outbox(now, subdevice, |outbox, around| outbox.supersede(stale, head, held, around));
        self.run_outboxes(now, false, false);
    }

    /// The oldest messages were removed to make room.
    pub fn outbox_dropped(&mut self, now: Now, subdevice: u64, page: u64, next: u64, labels: &Labels) {
        self.with_outbox(now, subdevice, |outbox, around| outbox.dropped(page, next, labels, around));
    }

    /// Dead letters were removed to make room.
    pub fn dead_letters_dropped(&mut self, subdevice: u64, tokens: Vec<u64>) {
        let words = "the outbox was full, and this was its oldest dead letter";
        let event = Event::new(EventKind::DeadLetterDropped, Status::ENOS_ERR_QUEUE_FULL, words);
        let event = Event { subdevice, ..event };
        let tokens = tokens.into_iter().map(|token| outbox::token_of(subdevice, token));
        self.actions.extend(tokens.map(|token| Action::Emit(event.clone().token(token))));
    }

    /// Where a durable message is.
    pub fn place(&self, subdevice: u64, token: u64) -> Place {
        let outbox = self.outboxes.as_deref().and_then(|outboxes| outboxes.get(subdevice));
        outbox.map_or(Place::Through, |outbox| outbox.place(token))
    }

    /// The host has dropped a waiting message. The queue begins at the page `head` now.
    pub fn forget_durable(&mut self, now: Now, subdevice: u64, token: u64, head: u64, held: Totals) {
        self.with_outbox(now, subdevice, |outbox, around| {
            outbox.forget(token, around);
            outbox.dropped(0, head, &Ok(Vec::new()), around);
            outbox.tell_room(held, around);
        });
        self.run_outboxes(now, false, false);
    }

    /// A message was refused because the outbox was full.
    pub fn outbox_full(&mut self, now: Now, subdevice: u64) {
        self.with_outbox(now, subdevice, |outbox, _| outbox.refused());
    }

    pub fn outbox_is_open(&self, subdevice: u64) -> bool {
        let outbox = self.outboxes.as_deref().and_then(|outboxes| outboxes.get(subdevice));
        outbox.is_some_and(Outbox::is_open)
    }

    /// Every accepted call has had its outcome, and every durable message that can be sent is completed.
    pub fn is_flushed(&self) -> bool {
        self.exchange.is_idle()
            && self.commands.as_deref().is_none_or(Commands::is_idle)
            && self.gateway.as_deref().is_none_or(Gateway::has_told_replies)
            && self.outboxes.as_deref().is_none_or(Outboxes::are_flushed)
    }

    /// Nothing that was sent is without its outcome.
    pub(super) fn is_quiet(&self) -> bool {
        self.exchange.is_quiet()
            && self.commands.as_deref().is_none_or(Commands::is_idle)
            && self.gateway.as_deref().is_none_or(Gateway::is_quiet)
            && self.outboxes.as_deref().is_none_or(Outboxes::are_quiet)
    }

    pub(super) fn with_outbox(&mut self, now: Now, subdevice: u64, f: impl FnOnce(&mut Outbox, &mut Around)) {
        self.with_outboxes(now, |outboxes, session| outboxes.with(subdevice, session, f));
    }

    pub(super) fn with_outboxes<T: Default>(
        &mut self,
        now: Now,
        f: impl FnOnce(&mut Outboxes, &mut Surroundings) -> T,
    ) -> T {
        let Session { outboxes: Some(outboxes), exchange, actions, rng, .. } = self else { return T::default() };
        f(outboxes, &mut Surroundings { now, exchange, actions, rng })
    }

    /// What is sent beside the outboxes counts towards their rate.
    pub(super) fn count_live(&mut self, now: Now, bytes: usize) {
        if let Some(outboxes) = self.outboxes.as_deref_mut() {
            outboxes.live(bytes, now.ms);
        }
    }

    /// Gives the outboxes the outcomes of their entries, and lets them continue. `may_open`: the queue of a sub-device may be
    /// opened, which can take many loads.
    pub(super) fn run_outboxes(&mut self, now: Now, tidy: bool, may_open: bool) {
        for (subdevice, token, outcome) in self.exchange.take_outcomes() {
            self.with_outbox(now, subdevice, |outbox, around| outbox.outcome(token, outcome, around));
        }
        if self.with_outboxes(now, |outboxes, session| outboxes.pump(tidy, may_open, session)) {
            self.with_connection(now, Connection::stalled);
        }
    }
}
