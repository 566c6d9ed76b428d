//! Activation: the cloud sends the device secret once, some time after a login as the product.

use super::retry::long_wait;
use super::{ActivationLink, Change, Connection, Context, Phase, LINGER_MS};
use crate::error::{Error, Status};
use crate::log::Level;
use crate::model::link::LinkRequest;
use crate::protocol::{topic, Activation};
use crate::session::event::{Event, EventKind};
use crate::session::io::Action;

/// How long to wait for the message before its topics are subscribed to as well, as EnOS's newer documents want it.
const ASK_AFTER_MS: u64 = 5_000;
/// The wait between a login that brought no secret and the next login.
const LOGIN_AGAIN_MS: u64 = 600_000;

impl Connection {
    /// The product secret was accepted.
    pub(super) fn await_activation(&mut self, cx: &mut Context) {
        self.activation_logins = self.activation_logins.saturating_add(1);
        self.rejected = (0, String::new());
        cx.log(Level::Info, "the product secret was accepted; waiting for the device secret");
        self.wait_for_secret(cx);
        if !self.wanted {
            self.leave_activation(cx);
        }
    }

    pub(super) fn wait_for_secret(&mut self, cx: &mut Context) {
        self.phase = Phase::Awaiting {
            ask_at: Some(cx.now.ms.saturating_add(ASK_AFTER_MS)),
            report_at: Some(cx.now.ms.saturating_add(cx.settings.activation_timeout_ms)),
            close_at: None,
        };
    }

    /// The host wants to be offline. The secret may be on its way and is not sent again. So the link stays up for the time
    /// of an orderly disconnect.
    pub(super) fn leave_activation(&mut self, cx: &mut Context) {
        let until = cx.now.ms.saturating_add(LINGER_MS);
        match &mut self.phase {
            Phase::LoggingIn { deadline: Some(deadline), .. } => {
                *deadline = until.min(*deadline);
                // If the CONNECT was sent only now, its secret could arrive too late.
                let reason = "disconnected by the host".to_owned();
                cx.actions.push_back(Action::Withdraw { attempt: self.attempt, reason });
            }
            Phase::Awaiting { ask_at, report_at, close_at } => {
                (*ask_at, *report_at) = (None, None);
                *close_at = Some(close_at.map_or(until, |at| at.min(until)));
            }
            _ => {}
        }
    }

    pub(super) fn awaiting_tick(&mut self, cx: &mut Context) -> Option<Change> {
        let Phase::Awaiting { ask_at, report_at, close_at } = &mut self.phase else { return None };
        let due = |at: Option<u64>| at.is_some_and(|at| at <= cx.now.ms);
        let (asks, reports, closes) = (due(*ask_at), due(*report_at), due(*close_at));
        if asks {
            *ask_at = None;
            // EnOS sends the message without a subscription too, and may refuse this one. Its outcome is no event: the
            // token is 0.
            for filter in topic::activation_topics(&cx.settings.identity) {
                cx.actions.push_back(Action::Send(LinkRequest::Subscribe { token: 0, filters: vec![(filter, 1)] }));
            }
        }
        if reports {
            *report_at = None;
            // The message may have been lost, so the first repetition comes soon. After that a person has to look.
            let wait = if self.activation_logins <= 1 { LOGIN_AGAIN_MS } else { long_wait(cx.rng) };
            *close_at = Some(cx.now.ms + wait);
            self.tell_late(wait, cx);
        } else if closes {
            // The cloud may accept a device secret by now that it has refused before: those are tried first.
            self.rotation.reset();
            return Some(self.close(cx));
        }
        None
    }

    fn tell_late(&mut self, wait: u64, cx: &mut Context) {
        let timeout = cx.settings.activation_timeout_ms;
        let rejected = match &self.rejected {
            (0, _) => String::new(),
            (count, words) => format!("; {count} messages that cannot be used came in its place, the last: {words}"),
        };
        let words = format!(
            "the product secret was accepted, but no device secret came within {timeout} ms{rejected}; staying connected for it"
        );
        self.blocked_by = Some(Error::new(Status::ENOS_ERR_ACTIVATION_TIMEOUT, words.clone()));
        let event = Event::new(EventKind::ActivationLate, Status::ENOS_ERR_ACTIVATION_TIMEOUT, words);
        cx.emit(event.retry_in(wait));
    }

    /// A message has arrived on the topic of an activation.
    pub fn activation_message(&mut self, topic: &[u8], payload: &[u8], cx: &mut Context) {
        // A link that is being closed may still bring one.
        let is_awaited = self.is_activating() && !matches!(self.phase, Phase::LoggingIn { .. });
        match Activation::parse(&cx.settings.identity, topic, payload) {
            Ok(activation) if is_awaited => self.activated(activation, cx),
            Ok(_) => cx.log(Level::Warn, "an activation came that is not awaited; it is dropped"),
            Err(error) => {
                cx.log(Level::Warn, format!("what came as an activation cannot be used: {}", error.message));
                self.rejected = (self.rejected.0.saturating_add(1), error.message);
            }
        }
    }

    fn activated(&mut self, activation: Activation, cx: &mut Context) {
        let is_first = !self.credentials.device.has_any_from(self.attempt);
        if !self.credentials.device.add(&activation, self.attempt) {
            return cx.log(Level::Info, "one more activation came; its secret is in hand already, or there is no room");
        }
        if !is_first {
            cx.log(Level::Warn, "a second activation with another secret came; both are kept and tried");
        }
        self.blocked_by = None;
        self.saving.add(activation);
        let link = match &self.phase {
            Phase::Awaiting { .. } => ActivationLink::Up,
            Phase::Persisting { link, .. } => *link,
            _ => ActivationLink::Closing { deadline: self.deadline() },
        };
        self.phase = Phase::Persisting { store_at: None, link };
        self.store_secrets(cx);
    }
}
