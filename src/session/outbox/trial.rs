//! Failures of messages, and the trials that show which message is at fault: the outbox's side of [`doubt`].

use super::doubt::{Fault, OTHERS};
use super::window::{Answer, InFlight, State};
use super::{Around, Outbox};
use crate::protocol::outbox::Message;
use crate::protocol::Suspect;
use crate::session::io::{LinkEnd, Task};

/// The most bytes in memory of messages that can be sent in the place of another, beyond the first of them.
const OTHERS_BYTES: usize = 1024 * 1024;

/// What was in flight when the link ended.
#[derive(Clone, Copy)]
pub struct UnderWay {
    /// The first and the last message that the broker had not acknowledged.
    pub unacknowledged: Option<(u64, u64)>,
    /// The first message of all, if it was waiting for its reply.
    pub awaiting: Option<u64>,
}

impl Outbox {
    pub fn link_down(&mut self, end: LinkEnd, around: &mut Around) {
        self.online = false;
        self.send_at = None;
        if let Some((entry, _)) = self.asking.take() {
            around.exchange.forget(entry);
        }
        let had = self.returned_unsent.take().unwrap_or_else(|| self.under_way());
        let before = self.doubt.suspect();
        let fault = match end {
            LinkEnd::Planned => None,
            LinkEnd::Stalled => Some(Fault::Silent),
            // The broker has acknowledged the first message, so it has not hung up on it.
            LinkEnd::Conflict | LinkEnd::Lost if had.awaiting.is_some() => Some(Fault::Silent),
            LinkEnd::Conflict => Some(Fault::Conflict),
            LinkEnd::Lost => Some(Fault::Lost),
        };
        let unacknowledged = had.unacknowledged;
        let first = had.awaiting.or(unacknowledged.map(|(first, _)| first));
        let failed = fault.zip(first);
        if self.window.stepped_aside() > 0 {
            self.end_trial(around);
            if failed.is_some() {
                self.doubt.trial_failed();
            }
        } else {
            if let Some((fault, first)) = failed {
                self.doubt.failed(first, unacknowledged.map_or(first, |(_, last)| last), fault);
            }
            self.rewind(0, around.exchange);
        }
        self.store_suspect(before, around);
    }

    /// Stores the suspect if it has changed.
    fn store_suspect(&mut self, before: Option<Suspect>, around: &mut Around) {
        let suspect = self.doubt.suspect();
        if suspect != before {
            self.ask(Task::StoreSuspect(suspect), around.actions);
        }
    }

    pub(super) fn under_way(&self) -> UnderWay {
        let awaiting = self.window.first_awaiting().filter(|(at, _)| *at == 0);
        UnderWay {
            unacknowledged: self.window.unacknowledged(),
            awaiting: awaiting.and(self.window.front()).map(|in_flight| in_flight.token),
        }
    }

    /// Ends a trial: the messages that have stepped aside go back to their places, and the one that was sent waits again.
    pub(super) fn end_trial(&mut self, around: &mut Around) -> State {
        let (entry, came_to) = self.window.step_back();
        if let Some(entry) = entry {
            around.exchange.forget(entry);
        }
        self.careful = true;
        came_to
    }

    pub(super) fn trial_passed(&mut self, around: &mut Around) {
        self.end_trial(around);
        self.doubt.trial_passed();
        if self.doubt.wants_pause() {
            self.pause(around);
        }
    }

    /// The first message becomes a dead letter if it is to blame.
    pub(super) fn judge(&mut self, around: &mut Around) {
        if self.window.sent().0 > 0 || self.window.stepped_aside() > 0 {
            return;
        }
        let Some((front, told)) = self.window.front().map(|in_flight| (in_flight.token, in_flight.told)) else {
            return;
        };
        let before = self.doubt.suspect();
        if let Some((code, words)) = self.doubt.verdict(front) {
            self.store_suspect(before, around);
            let answer = Answer { code, words, ..Answer::default() };
            self.window.advance(if told { State::Completed } else { State::Refused(answer) });
        }
    }

    /// Before the first message is sent: lets another one be sent in its place, if it has to step aside. False: nothing can
    /// be sent now.
    pub(super) fn lets_another_go(&mut self, around: &mut Around) -> bool {
        // The one that was to be sent in its place cannot be sent any more.
        let is_trial = self.window.sent().0 == 0 && self.window.stepped_aside() > 0;
        if is_trial && self.window.front().is_none_or(|other| !self.can_go(other, around.wall_ms)) {
            self.end_trial(around);
        }
        if !self.steps_aside() {
            return true;
        }
        if self.wants_others(around.wall_ms) {
            return false;
        }
        let others = self.others(around.wall_ms);
        match others.len() {
            // There is no message to compare it with, so it is sent again after a pause, in which live data can be
            // sent.
            0 if !self.has_paused => {
                self.has_paused = true;
                self.pause_shortly(around);
                false
            }
            0 => true,
            count => {
                self.window.step_aside(others[self.doubt.others_failed() % count]);
                true
            }
        }
    }

    /// Whether the first message is the next to be sent, and has to step aside.
    fn steps_aside(&self) -> bool {
        let is_next = self.window.sent().0 == 0 && self.window.stepped_aside() == 0;
        is_next && self.steps_aside_next()
    }

    /// Whether it will have to step aside as soon as nothing is in flight.
    fn steps_aside_next(&self) -> bool {
        self.window.front().is_some_and(|in_flight| self.doubt.steps_aside(in_flight.token))
    }

    /// Whether other messages have to be read first, so that one of them can be sent.
    pub(super) fn wants_others(&self, wall_ms: u64) -> bool {
        let is_more = self.ends.is_some_and(|(next_read, tail)| next_read < tail);
        if !is_more || self.window.len() > OTHERS || !self.steps_aside() {
            return false;
        }
        let others = self.others(wall_ms).len();
        others == 0 || (others <= self.doubt.others_failed() && self.window.bytes() < OTHERS_BYTES)
    }

    /// The positions of the messages that can be sent in the place of the first.
    fn others(&self, wall_ms: u64) -> Vec<usize> {
        let Some(front) = self.window.front() else { return Vec::new() };
        let answered = front.message.until_reply() && self.doubt.wants_answer();
        self.window
            .positions(|in_flight| (in_flight.message.until_reply() || !answered) && self.can_go(in_flight, wall_ms))
    }

    /// Whether nothing that is known keeps this message from being sent now.
    fn can_go(&self, in_flight: &InFlight, wall_ms: u64) -> bool {
        let is_mute = || self.reply_topic(in_flight).is_some_and(|topic| self.mute_topics.contains(&topic));
        matches!(in_flight.message, Message::Request(_))
            && !in_flight.never_goes
            && !in_flight.waits_for_clock(self.settings.boot, wall_ms)
            && (self.mute_topics.is_empty() || !is_mute())
    }

    /// EnOS has refused one of several messages without saying which. All are sent again, one by one. A message that is
    /// alone already has its own answer, or none.
    pub fn send_one_by_one(&mut self, around: &mut Around) {
        if let Some((_, last)) = self.window.under_way().filter(|(first, last)| first < last) {
            self.unclear = self.unclear.max(last);
            self.again(0, around);
        }
    }

    /// A message had no answer in time, or one that asks to try again.
    pub(super) fn not_answered(&mut self, at: usize, fault: Fault, around: &mut Around) {
        let before = self.doubt.suspect();
        if self.window.stepped_aside() > 0 {
            self.end_trial(around);
            self.doubt.trial_failed();
        } else if let (0, Some(front)) = (at, self.window.front()) {
            let front = front.token;
            self.doubt.failed(front, front, fault);
            if self.steps_aside_next() && !self.doubt.wants_pause() {
                // The pause is for the same message. The other one need not wait for it.
                self.backoff.reset();
            }
        }
        self.store_suspect(before, around);
        self.again(at, around);
    }
}
