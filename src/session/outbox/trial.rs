//! What is tried, and sent again, when a link is lost or an answer does not come: the outbox's part in [`doubt`].

use super::doubt::{Fault, OTHERS};
use super::*;
use crate::protocol::Suspect;
use crate::session::connection::LinkEnd;

/// In memory of those that are tried in the place of another, beyond the first of them.
const OTHERS_BYTES: usize = 1024 * 1024;

/// What a link had of the outbox at its end.
#[derive(Clone, Copy)]
pub struct UnderWay {
    /// The first and the last of what the broker had not acknowledged.
    pub unacknowledged: Option<(u64, u64)>,
    /// The first of all, when it was waiting for its reply.
    pub awaiting: Option<u64>,
}

impl Outbox {
    pub fn link_down(&mut self, end: LinkEnd, around: &mut Around) {
        self.online = false;
        self.send_at = None;
        if let Some(asking) = self.asking.take() {
            around.exchange.forget(asking);
        }
        let had = self.given_back.take().unwrap_or_else(|| self.under_way());
        let before = self.doubt.suspect();
        let fault = match end {
            LinkEnd::Planned => None,
            LinkEnd::Stalled => Some(Fault::Silent),
            // The broker has acknowledged it.
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

    /// When it is another one than before.
    fn store_suspect(&mut self, before: Option<Suspect>, around: &mut Around) {
        let suspect = self.doubt.suspect();
        if suspect != before {
            around.actions.push_back(Action::StoreSuspect(suspect));
        }
    }

    pub(super) fn under_way(&self) -> UnderWay {
        let awaiting = self.window.first_awaiting().filter(|(at, _)| *at == 0);
        UnderWay {
            unacknowledged: self.window.unacknowledged(),
            awaiting: awaiting.and(self.window.front()).map(|slot| slot.token),
        }
    }

    /// Those that have stepped aside go back to their places; what was tried instead waits again.
    pub(super) fn end_trial(&mut self, around: &mut Around) -> State {
        let (request, came_to) = self.window.step_back();
        if let Some(request) = request {
            around.exchange.forget(request);
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

    /// The first message leaves the outbox when it is to blame.
    pub(super) fn judge(&mut self) {
        if self.window.sent().0 > 0 || self.window.stepped_aside() > 0 {
            return;
        }
        let Some((front, told)) = self.window.front().map(|slot| (slot.token, slot.told)) else { return };
        if let Some((code, words)) = self.doubt.verdict(front) {
            let answer = Answer { code, words, ..Answer::default() };
            self.window.advance(if told { State::Through } else { State::Refused(answer) });
        }
    }

    /// Before the first message goes out: whether another one is to be tried in its place, and is at hand. False: nothing
    /// can go out now.
    pub(super) fn lets_another_go(&mut self, around: &mut Around) -> bool {
        if !self.steps_aside() {
            return true;
        }
        if self.wants_others() {
            return false;
        }
        let others = self.others();
        match others.len() {
            // There is nothing that it could be compared with, so it is sent again. The link is left alone for a while.
            0 if !self.has_paused => {
                self.has_paused = true;
                let wait = AGAIN_MIN_MS + around.rng.u64(0..AGAIN_MIN_MS);
                self.send_at = Some(around.now.saturating_add(wait));
                false
            }
            0 => true,
            count => {
                self.window.step_aside(others[self.doubt.others_failed() % count]);
                true
            }
        }
    }

    /// Whether the first message, the next to be sent, is one that lets another go.
    fn steps_aside(&self) -> bool {
        let is_next = self.window.sent().0 == 0 && self.window.stepped_aside() == 0;
        is_next && self.steps_aside_next()
    }

    /// As soon as nothing is on its way.
    fn steps_aside_next(&self) -> bool {
        self.window.front().is_some_and(|slot| self.doubt.steps_aside(slot.token))
    }

    /// Whether others have to be read first, so that one of them can go.
    pub(super) fn wants_others(&self) -> bool {
        let is_more = self.ends.is_some_and(|(next_read, tail)| next_read < tail);
        if !is_more || self.window.len() > OTHERS || !self.steps_aside() {
            return false;
        }
        let others = self.others().len();
        others == 0 || (others <= self.doubt.others_failed() && self.window.bytes() < OTHERS_BYTES)
    }

    /// Where those are that can be tried in the place of the first message.
    fn others(&self) -> Vec<usize> {
        let Some(front) = self.window.front() else { return Vec::new() };
        let answered = front.message.until_reply() && self.doubt.wants_answer();
        self.window.positions(|slot| slot.message.until_reply() || !answered)
    }

    /// EnOS has refused one of several messages and does not say which: all go again, each by itself. One that is alone
    /// already may not be the one: it has its own answer, or none, which counts.
    pub fn send_one_by_one(&mut self, around: &mut Around) {
        if let Some((_, last)) = self.window.under_way().filter(|(first, last)| first < last) {
            self.unclear = self.unclear.max(last);
            self.again(0, around);
        }
    }

    /// A message has had no answer, and will have none, or one that asks to try again.
    pub(super) fn not_answered(&mut self, at: usize, fault: Fault, around: &mut Around) {
        let before = self.doubt.suspect();
        if self.window.stepped_aside() > 0 {
            self.end_trial(around);
            self.doubt.trial_failed();
        } else if let (0, Some(front)) = (at, self.window.front()) {
            let front = front.token;
            self.doubt.failed(front, front, fault);
            if self.steps_aside_next() && !self.doubt.wants_pause() {
                // It is not tried again soon, and the other one need not wait for it.
                self.backoff.reset();
            }
        }
        self.store_suspect(before, around);
        self.again(at, around);
    }
}
