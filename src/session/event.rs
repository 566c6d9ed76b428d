//! What the host is told, and the states that it can ask for.

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::error::Status;
use crate::protocol::Activation;

/// Where the session stands, as the host sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Idle = 0,
    Activating = 1,
    Persisting = 2,
    Connecting = 3,
    Online = 4,
    Waiting = 5,
}

impl State {
    pub const ALL: [State; 6] =
        [State::Idle, State::Activating, State::Persisting, State::Connecting, State::Online, State::Waiting];

    pub fn name(self) -> &'static str {
        match self {
            State::Idle => "IDLE",
            State::Activating => "ACTIVATING",
            State::Persisting => "PERSISTING",
            State::Connecting => "CONNECTING",
            State::Online => "ONLINE",
            State::Waiting => "WAITING",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    Connected = 1,
    Disconnected = 2,
    Activated = 3,
    PersistFailed = 4,
    Message = 5,
    Delivered = 6,
    Subscribed = 7,
    Unsubscribed = 8,
    Reply = 9,
    Overflow = 10,
    Room = 11,
    OutboxFailed = 12,
    Stopped = 15,
    ActivationLate = 16,
    DeadLetterDropped = 19,
}

impl EventKind {
    pub const ALL: [EventKind; 15] = [
        EventKind::Connected,
        EventKind::Disconnected,
        EventKind::Activated,
        EventKind::PersistFailed,
        EventKind::Message,
        EventKind::Delivered,
        EventKind::Subscribed,
        EventKind::Unsubscribed,
        EventKind::Reply,
        EventKind::Overflow,
        EventKind::Room,
        EventKind::OutboxFailed,
        EventKind::DeadLetterDropped,
        EventKind::Stopped,
        EventKind::ActivationLate,
    ];

    pub fn name(self) -> &'static str {
        match self {
            EventKind::Connected => "CONNECTED",
            EventKind::Disconnected => "DISCONNECTED",
            EventKind::Activated => "ACTIVATED",
            EventKind::PersistFailed => "PERSIST_FAILED",
            EventKind::Message => "MESSAGE",
            EventKind::Delivered => "DELIVERED",
            EventKind::Subscribed => "SUBSCRIBED",
            EventKind::Unsubscribed => "UNSUBSCRIBED",
            EventKind::Reply => "REPLY",
            EventKind::Overflow => "OVERFLOW",
            EventKind::Room => "ROOM",
            EventKind::OutboxFailed => "OUTBOX_FAILED",
            EventKind::DeadLetterDropped => "DEAD_LETTER_DROPPED",
            EventKind::Stopped => "STOPPED",
            EventKind::ActivationLate => "ACTIVATION_LATE",
        }
    }
}

/// One thing that happened. `detail` is for a log and never holds a secret; a payload may, so none of this has Debug.
#[derive(Clone)]
pub struct Event {
    pub kind: EventKind,
    pub status: Status,
    pub detail_code: i32,
    pub qos: i32,
    /// Of the call that this is the one outcome of; 0 if none.
    pub token: u64,
    pub retry_in_ms: u32,
    pub detail: String,
    pub topic: Vec<u8>,
    pub payload: Zeroizing<Vec<u8>>,
    pub activation: Option<Arc<Activation>>,
}

impl Event {
    pub fn new(kind: EventKind, status: Status, detail: impl Into<String>) -> Event {
        Event {
            kind,
            status,
            detail_code: 0,
            qos: 0,
            token: 0,
            retry_in_ms: 0,
            detail: detail.into(),
            topic: Vec::new(),
            payload: Zeroizing::new(Vec::new()),
            activation: None,
        }
    }

    /// Inbound messages were dropped.
    pub fn dropped(count: u64) -> Event {
        let words = format!(
            "{count} inbound messages were dropped: they were too large, the queue was full, or they came on the topic of \
             an activation that is not awaited"
        );
        let code = i32::try_from(count).unwrap_or(i32::MAX);
        Event::new(EventKind::Overflow, Status::ENOS_ERR_QUEUE_FULL, words).code(code)
    }

    pub fn code(mut self, detail_code: i32) -> Event {
        self.detail_code = detail_code;
        self
    }

    pub fn token(mut self, token: u64) -> Event {
        self.token = token;
        self
    }

    /// At least 1: 0 is for no retry.
    pub fn retry_in(mut self, ms: u64) -> Event {
        self.retry_in_ms = u32::try_from(ms.max(1)).unwrap_or(u32::MAX);
        self
    }

    pub fn topic(mut self, topic: impl Into<Vec<u8>>) -> Event {
        self.topic = topic.into();
        self
    }
}
