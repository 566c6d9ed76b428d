//! The messages of the outbox that are in memory: those at its head, as many as may be in flight.

use std::collections::VecDeque;

use zeroize::Zeroizing;

use super::{Around, Who};
use crate::protocol::outbox::Message;
use crate::protocol::request::{stamped, PostTime, CLOCK_IS_SET_MS};
use crate::protocol::{envelope, Totals};
use crate::session::io::Outcome;

/// A message from being read until it leaves the queue.
pub struct InFlight {
    pub token: u64,
    pub page: u64,
    pub message: Message,
    /// What the host has given with it, and gets back in the outcome.
    pub user: usize,
    pub state: State,
    /// It had its one event. It may be sent again nevertheless, so that the order is kept.
    pub told: bool,
    /// It was refused before it was sent, so it cannot be tried before another one.
    pub never_goes: bool,
}

impl InFlight {
    pub fn new(token: u64, page: u64, message: Message) -> InFlight {
        InFlight { token, page, message, user: 0, state: State::Waiting, told: false, never_goes: false }
    }

    /// Of whom its outcome tells.
    pub fn who(&self) -> Who {
        (self.token, self.message.label(), self.user)
    }

    /// It gets the time of the call, and that is not known yet.
    pub fn waits_for_clock(&self, boot: u64, wall_ms: u64) -> bool {
        let Message::Request(request) = &self.message else { return false };
        let PostTime::Stamp(moment) = request.time else { return false };
        moment.boot == boot && boot != 0 && wall_ms < CLOCK_IS_SET_MS
    }

    fn entry(&self) -> Option<u64> {
        match self.state {
            State::Sent { entry, .. } => Some(entry),
            _ => None,
        }
    }
}

pub enum State {
    Waiting,
    /// Sent, as this entry of the exchange. `acknowledged`: since when the broker has it, and only the reply is missing.
    Sent {
        entry: u64,
        acknowledged: Option<u64>,
    },
    /// It leaves the queue when those before it have left.
    Completed,
    /// It can never succeed, and becomes a dead letter when those before it have left.
    Refused(Answer),
    /// The dead letter is being stored.
    Leaving(Answer),
}

/// The outcome of a message, as the host is told it.
#[derive(Default)]
pub struct Answer {
    pub code: i32,
    pub words: String,
    pub topic: Vec<u8>,
    pub payload: Zeroizing<Vec<u8>>,
}

impl Answer {
    pub fn words(words: &str) -> Answer {
        Answer { words: words.to_owned(), ..Answer::default() }
    }
}

/// Messages that were accepted together. They leave the storage together, when none is `left`.
pub struct Batch {
    pub next: u64,
    pub after: Totals,
    pub left: usize,
}

/// The messages in memory, in their order: first those that were sent, then those that wait.
#[derive(Default)]
pub struct Window {
    messages: VecDeque<InFlight>,
    /// Those before all others that have stepped aside for a while. None of them is in flight.
    aside: Vec<InFlight>,
    /// How many were sent, and their bytes.
    sent: usize,
    sent_bytes: usize,
    bytes: usize,
    /// How many are completed only by their reply.
    until_reply: usize,
}

impl Window {
    pub fn len(&self) -> usize {
        self.messages.len() + self.aside.len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn sent(&self) -> (usize, usize) {
        (self.sent, self.sent_bytes)
    }

    pub fn all_sent(&self) -> bool {
        self.sent == self.messages.len()
    }

    pub fn push(&mut self, in_flight: InFlight) {
        self.bytes += in_flight.message.size();
        self.until_reply += usize::from(in_flight.message.until_reply());
        self.messages.push_back(in_flight);
    }

    pub fn front(&self) -> Option<&InFlight> {
        self.messages.front()
    }

    pub fn front_mut(&mut self) -> Option<&mut InFlight> {
        self.messages.front_mut()
    }

    pub fn pop(&mut self) -> Option<InFlight> {
        let in_flight = self.messages.pop_front()?;
        self.leave(0, &in_flight);
        Some(in_flight)
    }

    /// Corrects the counts for a message that was removed.
    fn leave(&mut self, at: usize, in_flight: &InFlight) {
        let size = in_flight.message.size();
        self.bytes -= size;
        self.until_reply -= usize::from(in_flight.message.until_reply());
        if at < self.sent {
            self.sent -= 1;
            self.sent_bytes -= size;
        }
    }

    pub fn next_waiting(&self) -> Option<&InFlight> {
        self.messages.get(self.sent)
    }

    /// Puts the time of the call into the next message, if it is to get one. False: the clock is not set yet.
    pub fn stamp(&mut self, boot: u64, around: &Around) -> bool {
        let Some(in_flight) = self.messages.get_mut(self.sent) else { return true };
        if in_flight.waits_for_clock(boot, around.wall_ms) {
            return false;
        }
        let Message::Request(request) = &mut in_flight.message else { return true };
        let PostTime::Stamp(moment) = request.time else { return true };
        if moment.boot == boot && boot != 0 {
            let params = &mut request.params;
            let before = params.len();
            *params = stamped(params, around.wall_ms.saturating_sub(around.now.saturating_sub(moment.ms)));
            self.bytes += params.len() - before;
        }
        request.time = PostTime::Own;
        true
    }

    /// The next message has this state from now on, and waits no longer.
    pub fn advance(&mut self, state: State) {
        if let Some(in_flight) = self.messages.get_mut(self.sent) {
            in_flight.state = state;
            self.sent += 1;
            self.sent_bytes += in_flight.message.size();
        }
    }

    /// The next message is refused whenever it is to be sent.
    pub fn next_never_goes(&mut self) {
        if let Some(in_flight) = self.messages.get_mut(self.sent) {
            in_flight.never_goes = true;
        }
    }

    /// The position of the message that was sent as this entry.
    pub fn find(&self, entry: u64) -> Option<usize> {
        self.messages.iter().take(self.sent).position(|in_flight| in_flight.entry() == Some(entry))
    }

    pub fn get_mut(&mut self, at: usize) -> Option<&mut InFlight> {
        self.messages.get_mut(at)
    }

    pub fn find_token(&self, token: u64) -> Option<&InFlight> {
        self.aside.iter().chain(&self.messages).find(|in_flight| in_flight.token == token)
    }

    /// The tokens of these messages, of those that wait to be sent.
    pub fn waiting(&self, wanted: impl Fn(&InFlight) -> bool) -> Vec<u64> {
        self.messages.iter().skip(self.sent).filter(|it| wanted(it)).map(|it| it.token).collect()
    }

    /// Removes a message. None may have stepped aside.
    pub fn remove(&mut self, token: u64) -> Option<InFlight> {
        let at = self.messages.iter().position(|in_flight| in_flight.token == token)?;
        let in_flight = self.messages.remove(at)?;
        self.leave(at, &in_flight);
        Some(in_flight)
    }

    /// The tokens of the first and of the last message in flight.
    pub fn under_way(&self) -> Option<(u64, u64)> {
        let mut sent =
            self.messages.iter().take(self.sent).filter(|in_flight| matches!(in_flight.state, State::Sent { .. }));
        let first = sent.next()?;
        Some((first.token, sent.next_back().map_or(first.token, |in_flight| in_flight.token)))
    }

    /// The same for the messages that the broker has not acknowledged.
    pub fn unacknowledged(&self) -> Option<(u64, u64)> {
        let open = |in_flight: &&InFlight| matches!(in_flight.state, State::Sent { acknowledged: None, .. });
        let mut sent = self.messages.iter().take(self.sent).filter(open);
        let first = sent.next()?;
        Some((first.token, sent.next_back().map_or(first.token, |in_flight| in_flight.token)))
    }

    /// The first message that is acknowledged and waits for its reply: its position, and since when.
    pub fn first_awaiting(&self) -> Option<(usize, u64)> {
        // This is called for each message, so the search is left out if no message waits for a reply.
        if self.until_reply == 0 {
            return None;
        }
        self.messages.iter().take(self.sent).enumerate().find_map(|(at, in_flight)| match in_flight.state {
            State::Sent { acknowledged: Some(since), .. } => Some((at, since)),
            _ => None,
        })
    }

    /// All messages from `at` on wait again, except for those that become dead letters. Returns the entries that they were
    /// sent as.
    pub fn rewind(&mut self, at: usize) -> Vec<u64> {
        let leaving = |in_flight: &&InFlight| matches!(in_flight.state, State::Refused(_) | State::Leaving(_));
        let at = at.max(self.messages.iter().take(self.sent).take_while(leaving).count());
        let mut entries = Vec::new();
        for in_flight in self.messages.iter_mut().take(self.sent).skip(at) {
            entries.extend(in_flight.entry());
            in_flight.state = State::Waiting;
            self.sent_bytes -= in_flight.message.size();
        }
        self.sent = self.sent.min(at);
        entries
    }

    /// The first `count` messages step aside for the next one. Nothing may be in flight.
    pub fn step_aside(&mut self, count: usize) {
        debug_assert!(self.sent == 0 && self.aside.is_empty(), "something is on its way");
        self.aside.extend(self.messages.drain(..count.min(self.messages.len())));
    }

    /// The positions of these messages, without the first.
    pub fn positions(&self, wanted: impl Fn(&InFlight) -> bool) -> Vec<usize> {
        (1..self.messages.len()).filter(|&at| wanted(&self.messages[at])).collect()
    }

    pub fn stepped_aside(&self) -> usize {
        self.aside.len()
    }

    /// Those that have stepped aside go back to their places, and all messages wait. Returns the entry and the state of the
    /// message that was sent alone.
    pub fn step_back(&mut self) -> (Option<u64>, State) {
        let alone = self.messages.front_mut().filter(|_| self.sent > 0);
        let came_to = alone.map_or(State::Waiting, |in_flight| std::mem::replace(&mut in_flight.state, State::Waiting));
        (self.sent, self.sent_bytes) = (0, 0);
        self.aside.drain(..).rev().for_each(|in_flight| self.messages.push_front(in_flight));
        let entry = match came_to {
            State::Sent { entry, .. } => Some(entry),
            _ => None,
        };
        (entry, came_to)
    }
}

impl From<Outcome> for Answer {
    fn from(outcome: Outcome) -> Answer {
        match outcome {
            Outcome::Reply { code, words, topic, payload } => {
                Answer { code, words: envelope::in_words(code, words), topic, payload }
            }
            Outcome::Delivered => Answer::default(),
            Outcome::NotDelivered { reason, .. } => Answer::words(&reason),
        }
    }
}
