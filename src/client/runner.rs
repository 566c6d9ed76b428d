//! What only the thread in the loop uses: the attempt under way with its link, and what came into the inbox.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use super::stats::Timing;
use super::stored::Stored;
use super::subdevice::SecretsJob;
use crate::config::{Config, Server};
use crate::error::{Error, Result, Status};
use crate::model::link::LinkEvent;
use crate::model::sign::SecureMode;
use crate::protocol::sign::{mqtt_client_id, mqtt_password, mqtt_username};
use crate::protocol::{Identity, SignParams};
use crate::session::{Credential, Input, MAX_ANSWERS};
use crate::storage::records::Records;
use crate::transport::inbox::{Arrival, Inbox};
use crate::transport::link::{Link, LinkOptions, Traffic};
use crate::transport::resolve::Resolver;
use crate::transport::tls::Tls;

/// How many addresses of a name are tried.
const MAX_ADDRESSES: usize = 8;
/// The state that only the thread in the loop uses.
pub struct Runner {
    server: Server,
    identity: Identity,
    pub stored: Stored,
    /// The secrets of a sub-device are being read or stored.
    pub secrets_job: Option<Box<SecretsJob>>,
    link_settings: LinkSettings,
    resolver: Resolver,
    /// The attempt under way, from its look-up to the end of its link.
    attempt: Option<Attempt>,
    /// Grows with each look-up and each link. An event in the inbox with an older number is ignored.
    pub generation: u64,
    /// How many attempts timed out. The next one begins with another address.
    timeouts: usize,
    pub timing: Timing,
    /// What was taken from the inbox and is not yet given to the session, and how many messages were dropped.
    pub events: VecDeque<(u64, Arrival)>,
    pub dropped: u64,
    /// The session has not been given the time since these were taken.
    pub has_batch: bool,
    /// The generation of the link that has logged in, or is about to, with the product secret; 0 for none.
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
            secrets_job: None,
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

    /// Whether the last pass has left something to do.
    pub fn has_work(&self) -> bool {
        self.uses_storage() || !self.events.is_empty() || self.dropped > 0
    }

    pub fn link(&self, number: u64) -> Option<&Link> {
        self.attempt.as_ref().filter(|attempt| attempt.number == number)?.link.as_ref()
    }

    /// Begins an attempt, in place of the one before it, by looking the broker's name up.
    pub fn begin(&mut self, number: u64, credential: Credential, timestamp_ms: u64, inbox: &Arc<Inbox>) {
        self.drop_link();
        self.attempt = Some(Attempt { number, credential, timestamp_ms, addresses: VecDeque::new(), link: None });
        self.resolver.start(&self.server.host, self.server.port, self.generation, inbox);
    }

    /// Whether there is a link that has logged in, or is about to, with the product secret.
    pub fn is_activating(&self) -> bool {
        let attempt = self.attempt.as_ref();
        attempt.is_some_and(|attempt| {
            attempt.link.is_some() && attempt.credential.mode() == SecureMode::ENOS_SECURE_MODE_PRODUCT
        })
    }

    /// Opens a link to the next address for which that is possible. `failure` is why the address before it failed.
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
            let activating = if params.mode == SecureMode::ENOS_SECURE_MODE_PRODUCT { self.generation } else { 0 };
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

    /// Drops an attempt that has taken too long or is no longer wanted.
    pub fn abandon(&mut self, number: u64, reason: &str) -> Input {
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
    pub fn on_resolved(&mut self, answer: Result<Vec<SocketAddr>>, inbox: &Arc<Inbox>) -> Option<Input> {
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
    pub fn on_link_event(&mut self, event: LinkEvent, inbox: &Arc<Inbox>) -> Option<Input> {
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
