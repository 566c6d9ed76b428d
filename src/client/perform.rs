//! Performs the session's actions, and turns the events of the inbox into the session's inputs.

use std::sync::Arc;

use super::command::CommandHandle;
use super::runner::Runner;
use super::{callback, now, Client};
use crate::error::{Error, Status};
use crate::log::{self, Level};
use crate::model::link::{LinkEvent, LinkRequest};
use crate::session::{Action, Event, EventKind, Input};
use crate::transport::inbox::Arrival;
use crate::transport::link::Link;

/// How many times a link is read, if there is always more, before it is dropped: several thousand packets.
const MAX_LOOKS: usize = 64;

impl Client {
    /// Does one thing that the session wants. Returns the answer, if there is one at once.
    pub(super) fn perform(self: &Arc<Self>, runner: &mut Runner, action: Action) -> Option<Input> {
        match action {
            Action::Load => return runner.stored.load(),
            Action::StoreSecrets(secrets) => return runner.stored.store_secrets(secrets),
            Action::LoadSubdevice { id, identity } => runner.use_secrets(id, &identity, None),
            Action::StoreSubdevice { id, identity, secret } => runner.use_secrets(id, &identity, Some(secret)),
            Action::Outbox { subdevice, task } => {
                return self.do_task(subdevice, task).map(|done| Input::Outbox { subdevice, done });
            }
            Action::Abandon { attempt, reason } => return self.abandon(runner, attempt, &reason),
            Action::Withdraw { attempt, reason } => return self.withdraw(runner, attempt, &reason),
            Action::Disconnect { attempt, linger_ms } => return self.disconnect_link(runner, attempt, linger_ms),
            Action::Open { attempt, credential, timestamp_ms } => {
                self.counters.attempt();
                runner.begin(attempt, credential, timestamp_ms, &self.inbox);
            }
            Action::Send(request) => self.send(runner, request),
            Action::StoreAccepted(accepted) => runner.stored.store_accepted(accepted),
            Action::StoreBudget(stamps) => runner.stored.store_budget(stamps),
            Action::StoreCommands(digests) => runner.stored.store_commands(&digests),
            Action::Ota { subdevice } => self.work_on_update(subdevice),
            Action::HandOver(handed) => self.hand_over(*handed),
            Action::TellRefused(event) => {
                self.counters.refused(event.detail_code);
                self.emit(&event, None);
            }
            Action::Emit(event) => self.emit(&event, None),
            Action::Log(level, text) => log::write(level, "session", format_args!("{text}")),
        }
        None
    }

    fn abandon(&self, runner: &mut Runner, attempt: u64, reason: &str) -> Option<Input> {
        // What has arrived may be a reason to keep the link.
        let is_wanted =
            self.take_in(runner) && self.session().is_ok_and(|session| session.connection().wants_link(attempt));
        (!is_wanted).then(|| runner.abandon(attempt, reason))
    }

    fn withdraw(&self, runner: &mut Runner, attempt: u64, reason: &str) -> Option<Input> {
        let sent = runner.link(attempt).is_some_and(Link::connect_sent);
        let is_withdrawn = !sent && self.session().is_ok_and(|session| session.connection().is_withdrawn(attempt));
        is_withdrawn.then(|| runner.abandon(attempt, reason))
    }

    fn disconnect_link(&self, runner: &mut Runner, attempt: u64, linger_ms: u64) -> Option<Input> {
        self.take_in(runner);
        let Some(link) = runner.link(attempt) else {
            return Some(Input::Link { attempt, what: LinkEvent::Closed });
        };
        link.disconnect(linger_ms);
        None
    }

    /// If this is the link of an activation, also of a sub-device, tells the session what has arrived on it before the link is dropped: the
    /// secret, which is sent only once, may be among it. Returns whether it is such a link.
    pub(super) fn take_in(&self, runner: &mut Runner) -> bool {
        let is_expected = self.session().is_ok_and(|session| session.is_activating());
        if !runner.is_activating() && !is_expected {
            return false;
        }
        // The number of turns is limited because a broker may never stop sending.
        for _ in 0..MAX_LOOKS {
            let more = runner.present_link().is_some_and(|link| link.step(true));
            runner.dropped += self.inbox.drain(&mut runner.events);
            if runner.events.is_empty() && !more {
                break;
            }
            while let Some((generation, arrival)) = runner.events.pop_front() {
                if let (Some(input), Ok(mut session)) = (self.on_arrival(runner, generation, arrival), self.session()) {
                    session.handle(now(), input);
                }
            }
        }
        true
    }

    /// Calls the host's callback. A command comes with its handle.
    pub(super) fn emit(self: &Arc<Self>, event: &Event, command: Option<&Arc<CommandHandle>>) {
        let level = match event.kind {
            EventKind::Connected | EventKind::Disconnected | EventKind::Activated | EventKind::Stopped => Level::Info,
            _ => Level::Debug,
        };
        log::write(level, "event", format_args!("{} {:?} {}", event.kind.name(), event.status, event.detail));
        if let Some(sink) = &self.sink {
            callback::run(|| sink(self, event, command));
        }
    }

    /// What the session is told of something that came into the inbox.
    pub(super) fn on_arrival(&self, runner: &mut Runner, generation: u64, arrival: Arrival) -> Option<Input> {
        if generation != runner.generation {
            return None;
        }
        match arrival {
            Arrival::Resolved(answer) => runner.on_resolved(answer, &self.inbox),
            Arrival::Link(event) => {
                self.counters.happened(&event, &mut runner.timing);
                runner.on_link_event(event, &self.inbox)
            }
        }
    }

    /// If Paho does not take the request, its outcome goes into the inbox, behind what has already happened to the link.
    /// Otherwise a host that calls again at each failure would never learn of the loss that is the reason.
    fn send(&self, runner: &mut Runner, request: LinkRequest) {
        let Some(link) = runner.present_link() else { return };
        let token = request.token();
        let sent = match &request {
            LinkRequest::Publish { topic, payload, qos, .. } => link.publish(topic, payload, *qos, token),
            LinkRequest::Subscribe { filters, .. } => link.subscribe(filters, token),
            LinkRequest::Unsubscribe { filters, .. } => link.unsubscribe(filters, token),
        };
        match sent {
            Ok(()) => self.counters.sent(&request, &mut runner.timing),
            Err(Error { status, message: reason }) => {
                // The state of the connection is what does not allow it: it is closing or over.
                let is_lost = status == Status::ENOS_ERR_STATE;
                let status = if is_lost { Status::ENOS_ERR_NETWORK } else { status };
                self.inbox.push(runner.generation, LinkEvent::NotDelivered { token, status, reason });
            }
        }
    }
}
