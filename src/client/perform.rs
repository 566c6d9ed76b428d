//! Performs the session's actions, and turns what the transport says into its inputs.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use super::stats::Timing;
use super::stored::Stored;
use super::{callback, now, Client};
use crate::config::{Config, Server};
use crate::error::{Error, Result, Status};
use crate::log;
use crate::model::link::{LinkEvent, LinkRequest};
use crate::protocol::sign::{mqtt_client_id, mqtt_password, mqtt_username};
use crate::protocol::{Identity, SecureMode, SignParams};
use crate::session::{Action, Credential, Event, Input, MAX_ANSWERS};
use crate::storage::records::Records;
use crate::transport::inbox::{Arrival, Inbox};
use crate::transport::link::{Link, LinkOptions, Traffic};
use crate::transport::resolve::Resolver;
use crate::transport::tls::Tls;

/// How many of a name's addresses are tried.
const MAX_ADDRESSES: usize = 8;
/// How often a link is read before it is given up, if there is always more: some thousand packets.
const MAX_LOOKS: usize = 64;

/// What only the thread in the loop touches.
pub struct Runner {
    server: Server,
    identity: Identity,
    pub stored: Stored,
    link_settings: LinkSettings,
    resolver: Resolver,
    /// The attempt under way, from its look-up to the end of its link.
    attempt: Option<Attempt>,
    /// Grows with each look-up and each link: what carries an older one is stale.
    generation: u64,
    /// Attempts that timed out: the next one begins with another address.
    timeouts: usize,
    timing: Timing,
    /// What has been taken from the inbox, and is still to be told; messages that were dropped.
    pub events: VecDeque<(u64, Arrival)>,
    pub dropped: u64,
    /// The session has not learned the time since that was taken.
    pub has_batch: bool,
    /// The link that has logged in, or is about to, as the product: its generation. 0: none.
    activating: Arc<AtomicU64>,
}

struct LinkSettings {
    keep_alive_s: u16,
    connect_timeout_ms: u64,
    inflight: u32,
    max_message: usize,
    interface: Option<String>,
    tls: Option<Tls>,
    traffic: Arc<Traffic>,
}

struct Attempt {
    number: u64,
    credential: Credential,
    timestamp_ms: u64,
    addresses: VecDeque<SocketAddr>,
    link: Option<Link>,
}

impl Runner {
    pub fn new(
        config: &Config,
        server: Server,
        identity: Identity,
        records: Option<Records>,
        activating: Arc<AtomicU64>,
        traffic: Arc<Traffic>,
    ) -> Runner {
        Runner {
            server,
            identity,
            stored: Stored::new(records),
            link_settings: LinkSettings {
                keep_alive_s: u16::try_from(config.keep_alive_s).unwrap_or(u16::MAX),
                connect_timeout_ms: u64::from(config.connect_timeout_ms),
                // The outbox has as many again, and answers have places of their own.
                inflight: config.inflight.saturating_mul(2).saturating_add(MAX_ANSWERS as u32),
                max_message: config.max_message,
                interface: config.bind_interface.clone(),
                tls: config.tls(),
                traffic,
            },
            resolver: Resolver::new(),
            attempt: None,
            generation: 0,
            timeouts: 0,
            timing: Timing::default(),
            events: VecDeque::new(),
            dropped: 0,
            has_batch: false,
            activating,
        }
    }

    pub fn drop_link(&mut self) {
        self.generation += 1;
        self.attempt = None;
        self.timing.forget();
    }

    /// The link of the attempt under way.
    pub fn present_link(&self) -> Option<&Link> {
        self.attempt.as_ref()?.link.as_ref()
    }

    /// Something was left over by the last pass.
    pub fn has_work(&self) -> bool {
        self.stored.is_busy() || !self.events.is_empty() || self.dropped > 0
    }

    fn link(&self, number: u64) -> Option<&Link> {
        self.attempt.as_ref().filter(|attempt| attempt.number == number)?.link.as_ref()
    }

    /// Opens a link to the next address that takes one; `failure` is why the one before did not.
    fn open_next(&mut self, inbox: &Arc<Inbox>, mut failure: Error) -> Option<Input> {
        let attempt = self.attempt.as_mut()?;
        while let Some(address) = attempt.addresses.pop_front() {
            self.generation += 1;
            let params = SignParams {
                identity: &self.identity,
                secret: &attempt.credential.secret,
                mode: attempt.credential.mode(),
                method: attempt.credential.method,
                timestamp_ms: attempt.timestamp_ms,
            };
            let activating = if params.mode == SecureMode::Product { self.generation } else { 0 };
            self.activating.store(activating, Ordering::Release);
            let options = LinkOptions {
                address,
                client_id: mqtt_client_id(&self.identity, params.mode, params.method, params.timestamp_ms),
                username: mqtt_username(&self.identity),
                password: mqtt_password(&params),
                keep_alive_s: self.link_settings.keep_alive_s,
                unattended_ms: u64::from(self.link_settings.keep_alive_s.max(2)) * 500,
                connect_timeout_ms: self.link_settings.connect_timeout_ms,
                inflight: self.link_settings.inflight,
                max_message: self.link_settings.max_message,
                interface: self.link_settings.interface.clone(),
                tls: self.link_settings.tls.clone(),
                traffic: Arc::clone(&self.link_settings.traffic),
            };
            match Link::open(&options, self.generation, inbox) {
                Ok(link) => {
                    attempt.link = Some(link);
                    return None;
                }
                Err(error) => failure = error,
            }
        }
        let Error { status, message: reason } = failure;
        Some(self.end(LinkEvent::Failed { status, reason, connect_sent: false }))
    }

    /// The attempt has taken too long, or nobody wants it any more.
    fn abandon(&mut self, number: u64, reason: &str) -> Input {
        let (mut sent, mut reason) = (false, reason.to_owned());
        if let Some(present) = self.attempt.take_if(|present| present.number == number) {
            self.timeouts = self.timeouts.wrapping_add(1);
            self.drop_link();
            reason = match present.link {
                None => format!("{} was still being looked up: {reason}", self.server.host),
                Some(link) => {
                    let address = link.address();
                    sent = link.end();
                    let words = if sent { "has the CONNECT" } else { "could not be connected to" };
                    self.named(format!("{address} {words}: {reason}"))
                }
            };
        }
        let what = LinkEvent::Failed { status: Status::ENOS_ERR_NETWORK, reason, connect_sent: sent };
        Input::Link { attempt: number, what }
    }

    /// The answer of the resolver: connects to the first address.
    fn on_resolved(&mut self, answer: Result<Vec<SocketAddr>>, inbox: &Arc<Inbox>) -> Option<Input> {
        match answer {
            Ok(mut addresses) => {
                addresses.truncate(MAX_ADDRESSES);
                let first = self.timeouts % addresses.len().max(1);
                addresses.rotate_left(first);
                self.attempt.as_mut()?.addresses = addresses.into();
                self.open_next(inbox, Error::new(Status::ENOS_ERR_NETWORK, "the name has no address"))
            }
            Err(Error { status, message: reason }) => {
                Some(self.end(LinkEvent::Failed { status, reason, connect_sent: false }))
            }
        }
    }

    /// An event of the present link. One that could not connect is followed by a link to the next address.
    fn on_link_event(&mut self, event: LinkEvent, inbox: &Arc<Inbox>) -> Option<Input> {
        let attempt = self.attempt.as_mut()?;
        match event {
            LinkEvent::Failed { status, reason, connect_sent: false } if !attempt.addresses.is_empty() => {
                attempt.link = None;
                self.open_next(inbox, Error::new(status, reason))
            }
            event if event.is_end() => {
                let event = self.with_host(event);
                Some(self.end(event))
            }
            event => {
                // No other address is needed any more.
                attempt.addresses = VecDeque::new();
                Some(Input::Link { attempt: attempt.number, what: event })
            }
        }
    }

    /// An event whose words name the broker, and not only its address.
    fn with_host(&self, event: LinkEvent) -> LinkEvent {
        match event {
            LinkEvent::Failed { status, reason, connect_sent } => {
                LinkEvent::Failed { status, reason: self.named(reason), connect_sent }
            }
            LinkEvent::Lost { status, reason } => LinkEvent::Lost { status, reason: self.named(reason) },
            other => other,
        }
    }

    /// Puts the broker's name before words that have only its address.
    fn named(&self, words: String) -> String {
        match self.server.host.parse::<IpAddr>() {
            Ok(_) => words,
            Err(_) => format!("{}: {words}", self.server.host),
        }
    }

    /// Ends the attempt with this event.
    fn end(&mut self, what: LinkEvent) -> Input {
        let number = self.attempt.as_ref().map_or(0, |attempt| attempt.number);
        self.drop_link();
        Input::Link { attempt: number, what }
    }
}

impl Client {
    /// Does one thing that the session wants. What has an answer gives it back at once.
    pub(super) fn perform(self: &Arc<Self>, runner: &mut Runner, action: Action) -> Option<Input> {
        match action {
            Action::Load => return runner.stored.load(),
            Action::StoreSecrets(secrets) => return runner.stored.store_secrets(secrets),
            Action::StoreAccepted(accepted) => runner.stored.store_accepted(accepted),
            Action::StoreBudget(stamps) => runner.stored.store_budget(stamps),
            Action::Open { attempt, credential, timestamp_ms } => {
                runner.drop_link();
                self.counters.attempt();
                let addresses = VecDeque::new();
                runner.attempt = Some(Attempt { number: attempt, credential, timestamp_ms, addresses, link: None });
                runner.resolver.start(&runner.server.host, runner.server.port, runner.generation, &self.inbox);
            }
            Action::Abandon { attempt, reason } => {
                // What has arrived may be a reason not to.
                if self.take_in(runner) && self.session().is_ok_and(|session| session.connection().wants_link(attempt))
                {
                    return None;
                }
                return Some(runner.abandon(attempt, &reason));
            }
            Action::Withdraw { attempt, reason } => {
                let sent = runner.link(attempt).is_some_and(Link::connect_sent);
                if !sent && self.session().is_ok_and(|session| session.connection().is_withdrawn(attempt)) {
                    return Some(runner.abandon(attempt, &reason));
                }
            }
            Action::Disconnect { attempt, linger_ms } => {
                self.take_in(runner);
                match runner.link(attempt) {
                    Some(link) => link.disconnect(linger_ms),
                    None => return Some(Input::Link { attempt, what: LinkEvent::Closed }),
                }
            }
            Action::Send(request) => self.send(runner, request),
            Action::OpenOutbox => return Some(self.open_outbox()),
            Action::ReadPage { page, last_try } => return Some(self.read_page(page, last_try)),
            Action::FinishPages { through, after } => return Some(self.finish_pages(through, after)),
            Action::StoreDeadLetter { token, code, message } => return Some(self.set_aside(token, code, &message)),
            Action::StoreSuspect(suspect) => self.store_suspect(suspect),
            Action::Emit(event) => self.emit(&event),
            Action::Log(level, text) => log::write(level, "session", format_args!("{text}")),
        }
        None
    }

    /// Tells the session what has arrived on the link of an activation: the secret that is sent once may be among it, and
    /// the link is about to be given up. False: it is not such a link.
    pub(super) fn take_in(&self, runner: &mut Runner) -> bool {
        let is_activating = |runner: &Runner| {
            let attempt = runner.attempt.as_ref();
            attempt.is_some_and(|attempt| attempt.link.is_some() && attempt.credential.mode() == SecureMode::Product)
        };
        if !is_activating(runner) {
            return false;
        }
        // A broker that never stops to send is left all the same.
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

    fn emit(self: &Arc<Self>, event: &Event) {
        log::debug("event", format_args!("{} {:?} {}", event.kind.name(), event.status, event.detail));
        if let Some(sink) = &self.sink {
            callback::run(|| sink(self, event));
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

    /// A request that Paho does not take has its outcome in the loop's next turn, behind what has happened to the link
    /// by now: a host that calls again at each failure would else never get to know of the loss that is the reason.
    fn send(&self, runner: &mut Runner, request: LinkRequest) {
        let Some(link) = runner.attempt.as_ref().and_then(|attempt| attempt.link.as_ref()) else { return };
        let token = request.token();
        let sent = match &request {
            LinkRequest::Publish { topic, payload, qos, .. } => link.publish(topic, payload, *qos, token),
            LinkRequest::Subscribe { filters, .. } => link.subscribe(filters, token),
            LinkRequest::Unsubscribe { filter, .. } => link.unsubscribe(filter, token),
        };
        match sent {
            Ok(()) => self.counters.sent(&request, &mut runner.timing),
            Err(error) => {
                let lost = LinkEvent::NotDelivered { token, reason: error.message };
                self.inbox.push(runner.generation, lost);
            }
        }
    }
}
