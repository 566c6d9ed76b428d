//! Turns of the requests whose replies carry no id. Only one of them at a time waits for its reply on a topic, so that
//! the reply is known to be its own. The others wait in order.
//!
//! If a request ends without its reply, a late reply would be taken for that of the next one. So nobody has a turn for one
//! reply timeout after that, also on a new link. A reply that comes meanwhile is given to the host as a message.
//!
//! Messages whose replies nobody awaits need no turn while no request awaits one. But they make the next request wait.

use std::collections::VecDeque;

use super::{End, Entry, Exchange, WaitsFor};
use crate::session::io::Action;

/// How many reply timeouts pass after a message whose reply nobody awaits, unless the reply comes before: one for the
/// reply, and one in which it would be late.
const UNAWAITED: u64 = 2;

/// The turns on one reply topic.
#[derive(Default)]
pub(super) struct Turns {
    /// The request that was sent, and waits for its reply.
    holder: Option<u64>,
    /// Messages that were sent, whose replies nobody awaits, and which the broker has not acknowledged.
    unawaited: Vec<u64>,
    /// After so many replies that nobody awaits, no other is to come, and the quiet time ends. `None`: a late reply to
    /// another request may come as well, so that they cannot be counted.
    owed: Option<u32>,
    /// How many reply timeouts the quiet time has, if it begins now.
    to_wait: u64,
    /// No request that awaits its reply is sent before this time. `None`: the quiet time has ended.
    quiet_until: Option<u64>,
    /// The time has passed, but what came until then may not have been read yet.
    is_over: bool,
    /// The entries that wait for their turn, and whether they await a reply.
    waiting: VecDeque<(u64, bool)>,
}

impl Turns {
    /// No reply to anything that was sent is to come.
    fn is_free(&self) -> bool {
        self.holder.is_none() && self.unawaited.is_empty() && self.to_wait == 0 && self.quiet_until.is_none()
    }

    /// Whether a message can be sent now. One whose reply nobody awaits has to wait only for requests that await theirs.
    fn may_go(&self, awaits_reply: bool) -> bool {
        let is_wanted = || self.holder.is_some() || self.waiting.iter().any(|(_, awaits_reply)| *awaits_reply);
        self.is_free() || (!awaits_reply && !is_wanted())
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
    pub(super) fn take_turns_on(&mut self, topic: &str, actions: &mut VecDeque<Action>) {
        if !self.has_turns(topic) {
            self.turns.insert(topic.to_owned(), Turns::default());
            self.warn_of_raw_replies(topic, actions);
        }
    }

    /// Whether requests take turns on this topic.
    pub(super) fn has_turns(&self, topic: &str) -> bool {
        self.turns_on(topic).is_some()
    }

    /// There are one or two such topics.
    fn turns_on(&self, topic: &str) -> Option<&Turns> {
        self.turns.iter().find(|(on, _)| *on == topic).map(|(_, turns)| turns)
    }

    fn turns_on_mut(&mut self, topic: &str) -> Option<&mut Turns> {
        self.turns.iter_mut().find(|(on, _)| *on == topic).map(|(_, turns)| turns)
    }

    pub(super) fn has_free_turn(&self, topic: &str, awaits_reply: bool) -> bool {
        self.turns_on(topic).is_none_or(|turns| turns.may_go(awaits_reply))
    }

    /// The entry waits for its turn. Its time begins when it is sent.
    pub(super) fn queue_for_turn(&mut self, topic: &str, token: u64, awaits_reply: bool) {
        self.set_deadline(token, None);
        if let Some(turns) = self.turns_on_mut(topic) {
            turns.waiting.push_back((token, awaits_reply));
        }
    }

    /// The entry is sent now.
    pub(super) fn take_turn(&mut self, topic: &str, token: u64, awaits_reply: bool) {
        let Some(turns) = self.turns_on_mut(topic) else { return };
        if awaits_reply {
            turns.holder = Some(token);
            return;
        }
        if turns.is_free() {
            turns.owed = Some(0);
        }
        turns.owed = turns.owed.map(|owed| owed.saturating_add(1));
        turns.unawaited.push(token);
    }

    /// Ends the quiet times that are over. This is called at the end of each turn of the loop, so at the second call all
    /// late replies that came in the quiet time have been read, also if the loop was held up.
    pub(super) fn end_quiet_times(&mut self, now: u64) {
        for turns in self.turns.values_mut().filter(|turns| turns.quiet_until.is_some_and(|until| until <= now)) {
            if std::mem::replace(&mut turns.is_over, true) {
                turns.quiet_until = None;
            }
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
            let timeouts = std::mem::take(&mut turns.to_wait);
            if timeouts > 0 {
                let until = now.saturating_add(timeout_ms.saturating_mul(timeouts));
                (turns.quiet_until, turns.is_over) = (turns.quiet_until.max(Some(until)), false);
            }
            if turns.waiting.front().is_some_and(|(_, awaits_reply)| turns.may_go(*awaits_reply)) {
                free.push(topic.clone());
            }
        }
        let mut outbox_may_send = false;
        for topic in free {
            outbox_may_send |= self.give_turn(topic, now, actions);
        }
        outbox_may_send
    }

    fn give_turn(&mut self, topic: String, now: u64, actions: &mut VecDeque<Action>) -> bool {
        let Some((token, _)) = self.turns_on_mut(&topic).and_then(|turns| turns.waiting.pop_front()) else {
            return false;
        };
        let Some(Entry { owner, waits_for, timeout_ms, .. }) = self.entries.get_mut(&token) else { return false };
        let WaitsFor::Turn { request, .. } = waits_for else { return false };
        let (owner, timeout_ms) = (*owner, *timeout_ms);
        let Some(request) = request.take() else {
            self.end(token, Some(End::Granted(1)), actions);
            return true;
        };
        *waits_for = WaitsFor::Reply { topic: topic.clone() };
        self.take_turn(&topic, token, true);
        self.set_deadline(token, timeout_ms.map(|ms| now.saturating_add(ms)));
        self.send(owner, request, actions);
        false
    }

    /// A message has come on this topic. `None`: there are no turns on it.
    pub(super) fn find_raw(&mut self, topic: &str) -> Option<Raw> {
        let turns = self.turns_on_mut(topic)?;
        if let Some(holder) = turns.holder {
            return Some(Raw::To(holder));
        }
        turns.owed = turns.owed.map(|owed| owed.saturating_sub(1));
        if turns.owed == Some(0) {
            turns.unawaited.clear();
            (turns.to_wait, turns.quiet_until) = (0, None);
        }
        Some(Raw::Nobodys)
    }

    /// An entry has ended. Returns the length of the quiet time if it had its turn, and ends without its reply.
    pub(super) fn end_turn(&mut self, token: u64, waited_for: &WaitsFor, end: Option<&End>) -> Option<u64> {
        for turns in self.turns.values_mut() {
            if turns.holder == Some(token) {
                turns.holder = None;
                if matches!(end, Some(End::Replied { .. })) {
                    return None;
                }
                (turns.to_wait, turns.owed) = (1, None);
                return Some(self.timeout_ms);
            }
            if matches!(waited_for, WaitsFor::Turn { .. }) {
                turns.waiting.retain(|(waiting, _)| *waiting != token);
            } else if let Some(at) = turns.unawaited.iter().position(|sent| *sent == token) {
                turns.unawaited.swap_remove(at);
                turns.to_wait = UNAWAITED;
            }
        }
        None
    }

    /// When somebody may have the next turn.
    pub(super) fn next_turn(&self) -> Option<u64> {
        let next = |turns: &Turns| match turns.to_wait {
            0 => (!turns.waiting.is_empty() && turns.holder.is_none() && turns.unawaited.is_empty())
                .then_some(turns.quiet_until.unwrap_or(0)),
            // The time is not known yet.
            _ => Some(0),
        };
        self.turns.values().filter_map(next).min()
    }
}
