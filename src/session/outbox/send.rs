//! Sending: which message may go now, and what it needs before.

use super::window::{Answer, InFlight, State};
use super::{Around, Outbox, CLOCK_AGAIN_MS, WINDOW_BYTES};
use crate::protocol::outbox::Message;
use crate::protocol::Request;
use crate::session::exchange::{Exchange, Outgoing, Owner};

impl Outbox {
    pub(super) fn send(&mut self, around: &mut Around) {
        while self.online && self.send_at.is_none() && self.lets_another_go(around) && self.has_room_in_flight() {
            self.send_at = self.held_up_until(around);
            if self.send_at.is_some() || !self.send_next(around) {
                return;
            }
        }
    }

    /// Whether one more message may be in flight, and there is one.
    fn has_room_in_flight(&self) -> bool {
        let (Some(front), Some(next)) = (self.window.front(), self.window.next_waiting()) else { return false };
        let unclear = self.careful || front.token <= self.unclear;
        let alone = unclear || self.window.stepped_aside() > 0 || self.doubt.is_alone(front.token);
        let (sent, bytes) = self.window.sent();
        let most = if alone { 1 } else { self.settings.window };
        sent < most && (sent == 0 || bytes + next.message.size() <= WINDOW_BYTES)
    }

    /// When to try again, if the rate or a clock that is not set does not allow the next message now.
    fn held_up_until(&mut self, around: &mut Around) -> Option<u64> {
        let rate = self.flow.ready_at(around.now);
        rate.or_else(|| {
            let clock_is_set = self.window.stamp(self.settings.boot, around);
            (!clock_is_set).then(|| around.now.saturating_add(CLOCK_AGAIN_MS))
        })
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
    fn next_needs(&self, exchange: &Exchange) -> Option<String> {
        self.next_reply_topic().or_else(|| {
            let Message::Request(request) = &self.window.next_waiting()?.message else { return None };
            let has_raw_reply = request.operation.has_raw_reply();
            let topic = has_raw_reply.then(|| request.operation.reply_topic(&self.identity, &request.name))?;
            exchange.has_turns(&topic).then_some(topic)
        })
    }

    /// Whether the next message need not wait for its reply topic.
    fn can_be_replied_to(&mut self, around: &mut Around) -> bool {
        let wanted = self.next_needs(around.exchange);
        let until_reply = self.window.next_waiting().is_some_and(|next| next.message.until_reply());
        // The message that waited for another topic is not the next any more.
        if let Some((entry, _)) = self.asking.take_if(|(_, topic)| wanted.as_ref() != Some(topic)) {
            around.exchange.forget(entry);
        }
        if let (None, Some(topic)) = (&self.asking, wanted) {
            let asked = around.exchange.may_send(topic.clone(), until_reply, around.now, around.actions);
            self.asking = asked.err().map(|entry| (entry, topic));
        }
        self.asking.is_none()
    }

    /// Sends the next message. False: it has to wait until its reply can come.
    fn send_next(&mut self, around: &mut Around) -> bool {
        if !self.can_be_replied_to(around) {
            return false;
        }
        let Some(next) = self.window.next_waiting() else { return false };
        let state = match &next.message {
            Message::Unknown { words, .. } => State::Refused(Answer::words(words)),
            Message::Request(request) => {
                let operation = request.sent_as(next.page < self.live_from);
                let (identity, until_reply) = (&self.identity, request.until_reply);
                self.flow.spend(request.size(), around.now);
                let Request { name, params, members, .. } = request;
                let (members, timeout_ms, user) = (*members, None, 0);
                let request = Outgoing { operation, identity, name, params, members, until_reply, timeout_ms, user };
                match around.exchange.request(Owner::Outbox, request, around.now, around.actions) {
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
        true
    }
}
