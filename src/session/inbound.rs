//! The messages that come in.

use super::commands::Arrived;
use super::event::Event;
use super::exchange::Reply;
use super::io::{Action, Now};
use super::Session;
use crate::protocol::command::{params, Kind};
use crate::protocol::topic::{self, Inbound};
use crate::protocol::Operation;

impl Session {
    /// Routes an inbound message by its topic. A message that no part of the session waits for is given to the host.
    pub(super) fn on_message(&mut self, now: Now, mut message: Event) {
        let Event { topic, payload, .. } = &message;
        // The replies to logins may hold the secrets of sub-devices.
        let is_hidden = self.gateway.is_some() && Inbound::is_login_reply(topic);
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
                    let offers = self.offers_in(token, code, &payload);
                    self.exchange.replied(token, code, words, topic, payload, &mut self.actions);
                    return offers.into_iter().for_each(|(subdevice, offer)| self.offered(subdevice, offer, None));
                }
                // The host may know to which request it belongs, so it gets the message as well.
                Some(Reply::Unclear { of }) if !is_hidden => {
                    self.with_outbox(now, of, |outbox, around| outbox.send_one_by_one(around));
                }
                _ if is_hidden => {
                    let own = topic::login_reply_topics(&self.settings.identity);
                    if own.iter().any(|own| own.as_bytes() == &**topic) {
                        self.with_gateway(now, |gateway, around| gateway.late_reply(payload, around));
                    }
                }
                _ => self.take_late_secrets(now, &message),
            },
            _ if is_hidden => {}
            _ => {
                if let Some(kind) = self.kind_of(now, &mut message) {
                    let subdevice = message.subdevice;
                    match self.with_commands(now, |commands, around| commands.arrived(kind, message, around)) {
                        Arrived::Command => return,
                        Arrived::Offer(command) => return self.offer_arrived(now, subdevice, &command),
                        Arrived::Other(other) => message = other,
                    }
                }
            }
        }
        if !is_hidden {
            self.actions.push_back(Action::Emit(message));
        }
    }

    /// The reply to a request that registers devices may come when that has had its outcome. The host gets it as a message,
    /// but the secrets in it are kept.
    fn take_late_secrets(&mut self, now: Now, message: &Event) {
        let operation = Operation::ENOS_OP_SUBDEVICE_REGISTER;
        let is_of_register = operation.reply_topic(&self.settings.identity, "").as_bytes() == &*message.topic;
        if let Some(token) = is_of_register.then(|| self.exchange.answered_token(&message.payload)).flatten() {
            self.with_gateway(now, |gateway, around| {
                if gateway.awaits_register(token) {
                    gateway.take_registered(token, &message.payload, 0, around);
                }
            });
        }
    }

    /// The kind of a command. The message gets the sub-device that it is for. If it orders something about sub-devices,
    /// that is carried out.
    fn kind_of(&mut self, now: Now, message: &mut Event) -> Option<Kind> {
        if self.settings.identity.is_channel() {
            return None;
        }
        let Some(gateway) = self.gateway.as_deref() else { return Kind::of(&self.settings.identity, &message.topic) };
        let Some(kind) = Kind::of(&self.settings.identity, &message.topic) else {
            let (id, subdevice) = gateway.of_topic(&message.topic)?;
            (message.subdevice, message.user) = (id, subdevice.user);
            return Kind::of(&subdevice.identity, &message.topic);
        };
        if let (Some(order), false) = (kind.order(), message.retained) {
            let params = params(&message.payload);
            let subdevice =
                params.map(|params| self.with_gateway(now, |gateway, around| gateway.ordered(order, params, around)));
            let (id, user) = subdevice.flatten().unwrap_or_default();
            (message.subdevice, message.user) = (id, user);
        }
        Some(kind)
    }
}
