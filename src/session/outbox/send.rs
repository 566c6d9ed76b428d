//! Sending: which message may go now, and what it needs before.

use super::window::{Answer, InFlight, State};
use super::{Around, Outbox, Turn, CLOCK_AGAIN_MS, MOST_MS_PER_BYTE, WINDOW_BYTES};
use crate::protocol::outbox::Message;
use crate::protocol::Request;
use crate::session::exchange::{Outgoing, Owner, Unacknowledged};

impl Outbox {
    /// Sends the next message, if it can be sent now.
    pub fn send_one(&mut self, around: &mut Around) -> Turn {
        let is_ready = self.online && self.send_at.is_none() && self.lets_another_go(around);
        if !is_ready || !self.has_room_in_flight() {
            return Turn::Passed;
        }
        if let Some(at) = around.line.flow.ready_at(around.now) {
            around.line.holds_until = at;
            return Turn::Waits;
        }
        if !self.window.stamp(self.settings.boot, around) {
            // The clock is not set yet.
            self.send_at = Some(around.now.saturating_add(CLOCK_AGAIN_MS));
            return Turn::Passed;
        }
        if !self.can_be_replied_to(around) {
            return Turn::Passed;
        }
        let is_alone = self.sends_alone();
        if !self.has_room_on_link(is_alone, around) {
            return Turn::Waits;
        }
        self.send_next(around);
        if is_alone {
            Turn::SentAlone
        } else {
            Turn::Sent
        }
    }

    /// Whether the next message is sent alone, so that it is known which one fails.
    fn sends_alone(&self) -> bool {
        let Some(front) = self.window.front() else { return false };
        let unclear = self.careful || front.token <= self.unclear;
        unclear || self.window.stepped_aside() > 0 || self.doubt.is_alone(front.token)
    }

    /// Whether one more message of this queue may be in flight, and there is one.
    fn has_room_in_flight(&self) -> bool {
        let Some(next) = self.window.next_waiting().filter(|next| next.page >= self.deleted_before) else {
            return false;
        };
        let (sent, bytes) = self.window.sent();
        let most = if self.sends_alone() { 1 } else { self.settings.window };
        sent < most && (sent == 0 || bytes + next.message.size() <= WINDOW_BYTES)
    }

    /// Whether the broker has acknowledged enough of what all outboxes have sent.
    fn has_room_on_link(&self, is_alone: bool, around: &Around) -> bool {
        let Unacknowledged { messages, bytes } = around.exchange.unacknowledged();
        let size = self.window.next_waiting().map_or(0, |next| next.message.size());
        let has_room = messages < self.settings.window && bytes + size <= WINDOW_BYTES;
        messages == 0 || (!is_alone && has_room)
    }

    /// The topic of the reply without which the next message is not completed.
    pub(super) fn next_reply_topic(&self) -> Option<String> {
        let next = self.window.next_waiting()?;
        self.reply_topic(next)
    }

    pub(super) fn reply_topic(&self, in_flight: &InFlight) -> Option<String> {
        match &in_flight.message {
            Message::Request(request) if request.until_reply => {
                let operation = request.sent_as(in_flight.page < self.live_from);
                Some(operation.reply_topic(&self.identity, &request.name))
            }
            _ => None,
        }
    }

    /// The reply topic on which the next message needs a subscription, or a turn.
    fn next_needs(&self) -> Option<String> {
        self.next_reply_topic().or_else(|| {
            let Message::Request(request) = &self.window.next_waiting()?.message else { return None };
            let operation = request.operation;
            operation.has_raw_reply().then(|| operation.reply_topic(&self.identity, &request.name))
        })
    }

    /// Whether the next message need not wait for its reply topic.
    fn can_be_replied_to(&mut self, around: &mut Around) -> bool {
        let wanted = self.next_needs();
        let until_reply = self.window.next_waiting().is_some_and(|next| next.message.until_reply());
        // The message that waited for another topic is not the next any more.
        if let Some((entry, _)) = self.asking.take_if(|(_, topic)| wanted.as_ref() != Some(topic)) {
            around.exchange.forget(entry);
        }
        if let (None, Some(topic)) = (&self.asking, wanted) {
            let asked =
                around.exchange.may_send(self.subdevice, topic.clone(), until_reply, around.now, around.actions);
            self.asking = asked.err().map(|entry| (entry, topic));
        }
        self.asking.is_none()
    }

    fn send_next(&mut self, around: &mut Around) {
        let Some(next) = self.window.next_waiting() else { return };
        let (size, was_quiet) = (next.message.size(), self.is_quiet());
        let state = match &next.message {
            Message::Unknown { words, .. } => State::Refused(Answer::words(words)),
            Message::Request(request) => {
                let operation = request.sent_as(next.page < self.live_from);
                let (identity, until_reply) = (&self.identity, request.until_reply);
                around.line.flow.spend(size, around.now);
                let Request { name, params, members, .. } = request;
                let (members, timeout_ms, user) = (*members, None, 0);
                let request = Outgoing {
                    operation,
                    identity,
                    subdevice: self.subdevice,
                    name,
                    params,
                    members,
                    until_reply,
                    timeout_ms,
                    user,
                };
                match around.exchange.request(Owner::Outbox(self.subdevice), request, around.now, around.actions) {
                    Ok(entry) => State::Sent { entry, acknowledged: None },
                    Err(error) => State::Refused(Answer::words(&error.message)),
                }
            }
        };
        if self.window.stepped_aside() > 0 && matches!(state, State::Refused(_)) {
            // It becomes a dead letter in its own place.
            self.window.next_never_goes();
        } else {
            self.window.advance(state);
            self.returned_unsent = None;
        }
        if was_quiet {
            self.expect_progress(around);
        } else {
            self.stalls_at = self.stalls_at.saturating_add(size as u64 * MOST_MS_PER_BYTE);
        }
    }
}
