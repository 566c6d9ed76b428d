//! What is in memory of the outbox: the messages at its head, as many as may be under way.

use std::collections::VecDeque;

use zeroize::Zeroizing;

use super::super::io::Outcome;
use super::{Around, Outbox};
use crate::error::Status;
use crate::protocol::outbox::Message;
use crate::protocol::request::{stamped, PostTime, CLOCK_IS_SET_MS};
use crate::protocol::{envelope, Totals};

/// A message, from being read until it is through.
pub struct Slot {
    pub token: u64,
    pub page: u64,
    pub message: Message,
    pub state: State,
    /// Its one event is out: where it is sent again after that, then for the sake of the order alone.
    pub told: bool,
}

impl Slot {
    pub fn new(token: u64, page: u64, message: Message) -> Slot {
        Slot { token, page, message, state: State::Waiting, told: false }
    }

    /// It is through, which is told at once, and once.
    pub fn get_through(&mut self, answer: Answer, around: &mut Around) {
        self.state = State::Through;
        if !std::mem::replace(&mut self.told, true) {
            Outbox::tell(self.token, &self.message, Status::ENOS_OK, answer, around.actions);
        }
    }

    fn request(&self) -> Option<u64> {
        match self.state {
            State::Sent { request, .. } => Some(request),
            _ => None,
        }
    }
}

pub enum State {
    Waiting,
    /// On its way, as this request; since when it is acknowledged, if it is.
    Sent {
        request: u64,
        acknowledged: Option<u64>,
    },
    /// Through. It leaves the queue in its turn.
    Through,
    /// It can never succeed; to be set aside in its turn.
    Refused(Answer),
    /// Being set aside.
    Leaving(Answer),
}

/// What a message came to.
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

/// Messages that were accepted together, while one of them is not through.
pub struct Page {
    pub next: u64,
    pub after: Totals,
    pub left: usize,
}

/// The messages in memory: first those that are on their way or have been, then those that wait.
#[derive(Default)]
pub struct Window {
    slots: VecDeque<Slot>,
    /// Those before all others that have stepped aside for a while: nothing of them is on its way.
    aside: Vec<Slot>,
    /// How many do not wait, and the bytes of these.
    sent: usize,
    sent_bytes: usize,
    bytes: usize,
    /// How many are through only at their reply.
    until_reply: usize,
}

impl Window {
    pub fn len(&self) -> usize {
        self.slots.len() + self.aside.len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn sent(&self) -> (usize, usize) {
        (self.sent, self.sent_bytes)
    }

    pub fn all_sent(&self) -> bool {
        self.sent == self.slots.len()
    }

    pub fn push(&mut self, slot: Slot) {
        self.bytes += slot.message.size();
        self.until_reply += usize::from(slot.message.until_reply());
        self.slots.push_back(slot);
    }

    pub fn front(&self) -> Option<&Slot> {
        self.slots.front()
    }

    pub fn front_mut(&mut self) -> Option<&mut Slot> {
        self.slots.front_mut()
    }

    pub fn pop(&mut self) -> Option<Slot> {
        let slot = self.slots.pop_front()?;
        self.leave(0, &slot);
        Some(slot)
    }

    /// The one that was there is gone.
    fn leave(&mut self, at: usize, slot: &Slot) {
        let size = slot.message.size();
        self.bytes -= size;
        self.until_reply -= usize::from(slot.message.until_reply());
        if at < self.sent {
            self.sent -= 1;
            self.sent_bytes -= size;
        }
    }

    pub fn next_waiting(&self) -> Option<&Slot> {
        self.slots.get(self.sent)
    }

    /// The first that waits gets its time, if it has none and somebody knows it. False: that may still come.
    pub fn stamp(&mut self, boot: u64, around: &Around) -> bool {
        let Some(slot) = self.slots.get_mut(self.sent) else { return true };
        let Message::Request(request) = &mut slot.message else { return true };
        let PostTime::Stamp(moment) = request.time else { return true };
        if moment.boot == boot && boot != 0 {
            if around.wall_ms < CLOCK_IS_SET_MS {
                return false;
            }
            let params = &mut request.params;
            let before = params.len();
            *params = stamped(params, around.wall_ms.saturating_sub(around.now.saturating_sub(moment.ms)));
            self.bytes += params.len() - before;
        }
        request.time = PostTime::Own;
        true
    }

    /// The first that waits is on its way from here on, or can never be.
    pub fn advance(&mut self, state: State) {
        if let Some(slot) = self.slots.get_mut(self.sent) {
            slot.state = state;
            self.sent += 1;
            self.sent_bytes += slot.message.size();
        }
    }

    /// Where the message of this request is.
    pub fn find(&self, request: u64) -> Option<usize> {
        self.slots.iter().take(self.sent).position(|slot| slot.request() == Some(request))
    }

    pub fn get_mut(&mut self, at: usize) -> Option<&mut Slot> {
        self.slots.get_mut(at)
    }

    pub fn find_token(&self, token: u64) -> Option<&Slot> {
        self.aside.iter().chain(&self.slots).find(|slot| slot.token == token)
    }

    /// None has stepped aside.
    pub fn remove(&mut self, token: u64) -> Option<Slot> {
        let at = self.slots.iter().position(|slot| slot.token == token)?;
        let slot = self.slots.remove(at)?;
        self.leave(at, &slot);
        Some(slot)
    }

    /// The tokens of the first and of the last that are on their way.
    pub fn under_way(&self) -> Option<(u64, u64)> {
        let mut sent = self.slots.iter().take(self.sent).filter(|slot| matches!(slot.state, State::Sent { .. }));
        let first = sent.next()?;
        Some((first.token, sent.next_back().map_or(first.token, |slot| slot.token)))
    }

    /// Likewise, of those that the broker has not acknowledged.
    pub fn unacknowledged(&self) -> Option<(u64, u64)> {
        let open = |slot: &&Slot| matches!(slot.state, State::Sent { acknowledged: None, .. });
        let mut sent = self.slots.iter().take(self.sent).filter(open);
        let first = sent.next()?;
        Some((first.token, sent.next_back().map_or(first.token, |slot| slot.token)))
    }

    /// Since when the first that is on its way is acknowledged and waits for its reply; and where it is.
    pub fn first_awaiting(&self) -> Option<(usize, u64)> {
        // It is asked for with each message: a window that waits for none is not gone through.
        if self.until_reply == 0 {
            return None;
        }
        self.slots.iter().take(self.sent).enumerate().find_map(|(at, slot)| match slot.state {
            State::Sent { acknowledged: Some(since), .. } => Some((at, since)),
            _ => None,
        })
    }

    /// All from `at` on wait again, in their order; what they had been sent as. What leaves the queue stays where it is.
    pub fn rewind(&mut self, at: usize) -> Vec<u64> {
        let leaving = |slot: &&Slot| matches!(slot.state, State::Refused(_) | State::Leaving(_));
        let at = at.max(self.slots.iter().take(self.sent).take_while(leaving).count());
        let mut requests = Vec::new();
        for slot in self.slots.iter_mut().take(self.sent).skip(at) {
            requests.extend(slot.request());
            slot.state = State::Waiting;
            self.sent_bytes -= slot.message.size();
        }
        self.sent = self.sent.min(at);
        requests
    }

    /// The first so many let the next one go alone. Nothing is on its way.
    pub fn step_aside(&mut self, count: usize) {
        debug_assert!(self.sent == 0 && self.aside.is_empty(), "something is on its way");
        self.aside.extend(self.slots.drain(..count.min(self.slots.len())));
    }

    /// Where such messages are, behind the first.
    pub fn positions(&self, wanted: impl Fn(&Slot) -> bool) -> Vec<usize> {
        (1..self.slots.len()).filter(|&at| wanted(&self.slots[at])).collect()
    }

    /// How many have stepped aside.
    pub fn stepped_aside(&self) -> usize {
        self.aside.len()
    }

    /// They go back to their places, and everything waits. What has gone alone has come to this.
    pub fn step_back(&mut self) -> (Option<u64>, State) {
        let alone = self.slots.front_mut().filter(|_| self.sent > 0);
        let came_to = alone.map_or(State::Waiting, |slot| std::mem::replace(&mut slot.state, State::Waiting));
        (self.sent, self.sent_bytes) = (0, 0);
        self.aside.drain(..).rev().for_each(|slot| self.slots.push_front(slot));
        let request = match came_to {
            State::Sent { request, .. } => Some(request),
            _ => None,
        };
        (request, came_to)
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
