//! Turns of the requests whose replies carry no id. Only one of them at a time waits for its reply on a topic, so that
//! the reply is known to be its own. The others wait in order.
//!
//! If a request ends without its reply, a late reply would be taken for that of the next one. So nobody has a turn for one
//! reply timeout after that, also on a new link. A reply that comes meanwhile is given to the host as a message.

use std::collections::VecDeque;

use super::{End, Entry, Exchange, Owner, WaitsFor};
use crate::error::Status;
use crate::session::io::Action;

/// How many reply timeouts pass after a message whose reply nobody awaits, unless the reply comes before: one for the
/// reply, and one in which it would be late.
const UNAWAITED: u64 = 2;

/// The turns on one reply topic.
#[derive(Default)]
pub(super) struct Turns {
    /// A request has waited for a reply on this topic. Before that, messages whose reply nobody awaits need no turn.
    is_wanted: bool,
    /// The entry that has its turn.
    holder: Option<u64>,
    /// The last turn has ended without a reply. So many reply timeouts have to pass before the next one.
    to_wait: Option<u64>,
    /// Nobody has a turn before this time.
    quiet_until: u64,
    /// The reply to a message of which nobody awaits one. It ends the quiet time.
    is_owed: bool,
    /// The entries that wait for their turn.
    waiting: VecDeque<u64>,
}

impl Turns {
    fn is_free(&self, now: u64) -> bool {
        self.holder.is_none() && self.to_wait.is_none() && self.quiet_until <= now
    }
}

/// What a message on a topic with turns is.
pub(super) enum Raw {
    /// The reply to this entry.
    To(u64),
    Nobodys,
}

impl Exchange {
    /// Replies without an id come on this topic.
    pub(super) fn take_turns_on(&mut self, topic: &str) {
        self.turns.get_or_default(&topic.to_owned()).is_wanted = true;
    }

    /// Whether requests take turns on this topic, because one of them has waited for a reply on it.
    pub fn has_turns(&self, topic: &str) -> bool {
        self.turns_on(topic).is_some_and(|turns| turns.is_wanted)
    }

    /// There are one or two such topics.
    fn turns_on(&self, topic: &str) -> Option<&Turns> {
        self.turns.iter().find(|(on, _)| *on == topic).map(|(_, turns)| turns)
    }

    fn turns_on_mut(&mut self, topic: &str) -> Option<&mut Turns> {
        self.turns.iter_mut().find(|(on, _)| *on == topic).map(|(_, turns)| turns)
    }

    pub(super) fn has_free_turn(&self, topic: &str, now: u64) -> bool {
        self.turns_on(topic).is_none_or(|turns| turns.is_free(now))
    }

    /// When the time of an entry begins that is made now: what is left of the quiet time does not count.
    pub(super) fn turn_begins(&self, topic: &str, now: u64) -> u64 {
        self.turns_on(topic).filter(|turns| turns.holder.is_none()).map_or(now, |turns| turns.quiet_until.max(now))
    }

    /// The entry waits for its turn.
    pub(super) fn queue_for_turn(&mut self, topic: &str, token: u64) {
        self.turns.get_or_default(&topic.to_owned()).waiting.push_back(token);
    }

    fn hold_turn(&mut self, topic: &str, token: u64) {
        if let Some(turns) = self.turns_on_mut(topic) {
            turns.holder = Some(token);
        }
    }

    /// The outbox sends a message, and it is its turn. If nobody awaits the reply, it may come nevertheless.
    pub(super) fn take_turn(&mut self, topic: &str, token: u64, now: u64) {
        let quiet_until = now.saturating_add(self.timeout_ms.saturating_mul(UNAWAITED));
        let turns = self.turns.get_or_default(&topic.to_owned());
        if turns.is_wanted {
            turns.holder = Some(token);
        } else {
            turns.quiet_until = quiet_until;
        }
    }

    /// Gives turns to those who wait. True: the outbox may send now.
    pub fn give_turns(&mut self, now: u64, actions: &mut VecDeque<Action>) -> bool {
        if self.turns.is_empty() {
            return false;
        }
        let timeout_ms = self.timeout_ms;
        let mut free = Vec::new();
        for (topic, turns) in self.turns.iter_mut() {
            if let Some(timeouts) = turns.to_wait.take() {
                turns.quiet_until = now.saturating_add(timeout_ms.saturating_mul(timeouts));
            }
            if turns.is_free(now) && !turns.waiting.is_empty() {
                free.push(topic.clone());
            }
        }
        let mut outbox_may_send = false;
        for topic in free {
            outbox_may_send |= self.give_turn(&topic, actions);
        }
        outbox_may_send
    }

    fn give_turn(&mut self, topic: &str, actions: &mut VecDeque<Action>) -> bool {
        while let Some(token) = self.turns_on_mut(topic).and_then(|turns| turns.waiting.pop_front()) {
            let Some(Entry { owner, waits_for, .. }) = self.entries.get_mut(&token) else { continue };
            let WaitsFor::Turn { request, .. } = waits_for else { continue };
            let owner = *owner;
            let Some(request) = request.take() else {
                self.end(token, Some(End::Granted(1)), actions);
                return owner == Owner::Outbox;
            };
            *waits_for = WaitsFor::Reply { topic: topic.to_owned() };
            self.hold_turn(topic, token);
            self.send(owner, request, actions);
            return false;
        }
        false
    }

    /// A message has come on this topic. `None`: there are no turns on it.
    pub(super) fn find_raw(&mut self, topic: &str) -> Option<Raw> {
        let holder = self.turns_on(topic)?.holder;
        let awaits = |holder: &u64| self.entries.get(holder).is_some_and(|entry| entry.waits_for.is_reply_on(topic));
        if let Some(holder) = holder.filter(awaits) {
            return Some(Raw::To(holder));
        }
        let turns = self.turns_on_mut(topic)?;
        // If a message without a waiter has the turn, this is its reply.
        turns.holder = None;
        if std::mem::take(&mut turns.is_owed) {
            (turns.to_wait, turns.quiet_until) = (None, 0);
        }
        Some(Raw::Nobodys)
    }

    /// An entry has ended. Returns the length of the quiet time if it had its turn, and ends without its reply.
    pub(super) fn end_turn(&mut self, token: u64, waited_for: &WaitsFor, end: Option<&End>) -> Option<u64> {
        let turns = self.turns.values_mut().find(|turns| turns.holder == Some(token))?;
        turns.holder = None;
        match (waited_for, end) {
            (_, Some(End::Replied { .. })) => None,
            (WaitsFor::Delivery, Some(End::With(Status::ENOS_OK, _))) => {
                (turns.to_wait, turns.is_owed) = (Some(UNAWAITED), true);
                None
            }
            _ => {
                (turns.to_wait, turns.is_owed) = (Some(1), false);
                Some(self.timeout_ms)
            }
        }
    }

    /// When somebody may have the next turn.
    pub(super) fn next_turn(&self) -> Option<u64> {
        let next = |turns: &Turns| match (turns.to_wait, turns.holder) {
            // The time is not known yet.
            (Some(_), _) => Some(0),
            (None, None) if !turns.waiting.is_empty() => Some(turns.quiet_until),
            _ => None,
        };
        self.turns.values().filter_map(next).min()
    }
}
