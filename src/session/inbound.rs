//! The messages that come in.

use super::event::Event;
use super::exchange::Reply;
use super::io::{Action, Now};
use super::Session;
use crate::protocol::command::Kind;
use crate::protocol::topic::Inbound;

impl Session {
    /// Routes an inbound message by its topic. A message that no part of the session waits for is given to the host.
    pub(super) fn on_message(&mut self, now: Now, mut message: Event) {
        let Event { topic, payload, .. } = &message;
        match Inbound::of(topic) {
            // This is never given to the host: it may contain a secret, and hosts log what they are given.
            Inbound::Activation => {
                let (connection, mut cx) = self.parts(now);
                return connection.activation_message(topic, payload, &mut cx);
            }
            // A reply is not retained: it would be one to an earlier request.
            Inbound::Reply if !message.retained => match self.exchange.find(topic, payload) {
                Some(Reply::To { token, code, words }) => {
                    let Event { topic, payload, .. } = message;
                    return self.exchange.replied(token, code, words, topic, payload, &mut self.actions);
                }
                // The host may know to which request it belongs, so it gets the message as well.
                Some(Reply::Unclear) => self.with_outbox(now, |outbox, around| outbox.send_one_by_one(around)),
                None => {}
            },
            _ => {
                if let Some(kind) = Kind::of(&self.settings.identity, topic) {
                    match self.with_commands(now, |commands, around| commands.arrived(kind, message, around)) {
                        Some(other) => message = other,
                        None => return,
                    }
                }
            }
        }
        self.actions.push_back(Action::Emit(message));
    }
}
