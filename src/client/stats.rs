//! The counters of a client, for monitoring devices in the field. Any thread can read them without a lock.

use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::Arc;

use crate::model::link::{LinkEvent, LinkRequest};
use crate::transport::clock;
use crate::transport::link::Traffic;

#[derive(Default)]
pub struct Counters {
    pub traffic: Arc<Traffic>,
    messages_sent: AtomicU64,
    messages_received: AtomicU64,
    messages_dropped: AtomicU64,
    commands: AtomicU64,
    commands_refused: AtomicU64,
    attempts: AtomicU64,
    connects: AtomicU64,
    losses: AtomicU64,
    /// The code plus one; 0 for none.
    last_connack: AtomicI32,
    round_trip_ms: AtomicU32,
}

/// The counts since the client was created.
pub struct Stats {
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub messages_sent: u64,
    pub messages_received: u64,
    pub messages_dropped: u64,
    pub commands: u64,
    pub commands_refused: u64,
    pub attempts: u64,
    pub connects: u64,
    pub losses: u64,
    /// -1: there was none.
    pub last_connack: i32,
    /// 0: not measured yet.
    pub round_trip_ms: u32,
}

/// Measures the round trip of one request at a time, among those that the broker answers at once.
#[derive(Default)]
pub struct Timing(Option<(u64, u64)>);

impl Timing {
    /// The link has ended, so that no answer comes any more.
    pub fn forget(&mut self) {
        self.0 = None;
    }
}

impl Counters {
    pub fn attempt(&self) {
        self.attempts.fetch_add(1, Relaxed);
    }

    pub fn dropped(&self, messages: u64) {
        self.messages_dropped.fetch_add(messages, Relaxed);
    }

    /// A command is handed over.
    pub fn command(&self) {
        self.commands.fetch_add(1, Relaxed);
    }

    /// So many commands were not handed over.
    pub fn refused(&self, commands: i32) {
        self.commands_refused.fetch_add(u64::try_from(commands).unwrap_or(0), Relaxed);
    }

    /// The link has accepted a request.
    pub fn sent(&self, request: &LinkRequest, timing: &mut Timing) {
        let is_answered = match request {
            LinkRequest::Publish { qos, .. } => {
                self.messages_sent.fetch_add(1, Relaxed);
                *qos > 0
            }
            LinkRequest::Subscribe { .. } | LinkRequest::Unsubscribe { .. } => true,
        };
        if is_answered {
            timing.0.get_or_insert_with(|| (request.token(), clock::boottime_ms()));
        }
    }

    /// An event of the present link.
    pub fn happened(&self, event: &LinkEvent, timing: &mut Timing) {
        match event {
            LinkEvent::Connected => {
                self.connects.fetch_add(1, Relaxed);
                self.last_connack.store(1, Relaxed);
            }
            LinkEvent::Refused { code } => self.last_connack.store(i32::from(*code) + 1, Relaxed),
            LinkEvent::Lost { .. } => drop(self.losses.fetch_add(1, Relaxed)),
            LinkEvent::Message { .. } => drop(self.messages_received.fetch_add(1, Relaxed)),
            LinkEvent::Delivered { token }
            | LinkEvent::Subscribed { token, .. }
            | LinkEvent::Unsubscribed { token } => {
                if let Some((_, since)) = timing.0.take_if(|(timed, _)| timed == token) {
                    let ms = clock::boottime_ms().saturating_sub(since).max(1);
                    self.round_trip_ms.store(u32::try_from(ms).unwrap_or(u32::MAX), Relaxed);
                }
            }
            LinkEvent::NotDelivered { token, .. } => drop(timing.0.take_if(|(timed, _)| timed == token)),
            LinkEvent::Failed { .. } | LinkEvent::Closed => {}
        }
    }

    pub fn read(&self) -> Stats {
        let (bytes_sent, bytes_received) = self.traffic.read();
        Stats {
            bytes_sent,
            bytes_received,
            messages_sent: self.messages_sent.load(Relaxed),
            messages_received: self.messages_received.load(Relaxed),
            messages_dropped: self.messages_dropped.load(Relaxed),
            commands: self.commands.load(Relaxed),
            commands_refused: self.commands_refused.load(Relaxed),
            attempts: self.attempts.load(Relaxed),
            connects: self.connects.load(Relaxed),
            losses: self.losses.load(Relaxed),
            last_connack: self.last_connack.load(Relaxed) - 1,
            round_trip_ms: self.round_trip_ms.load(Relaxed),
        }
    }
}
