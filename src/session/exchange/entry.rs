//! The entries of the exchange: who is told of their end, what they wait for, and how they end.

use zeroize::Zeroizing;

use crate::error::Status;
use crate::model::link::LinkRequest;
use crate::protocol::{envelope, Identity, Operation};
use crate::session::event::{Event, EventKind};
use crate::session::io::Outcome;

/// The return code of a refused filter in a SUBACK.
const SUBACK_REFUSED: i32 = 0x80;

/// Who is told how an entry ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The host's call takes one of the places of its kind.
    Host(Kind),
    /// The outbox of a sub-device; 0: of the client's own device. It has timeouts of its own.
    Outbox(u64),
    /// The host, whose request brings device secrets. They are stored before it is told.
    Register,
    /// The logins of sub-devices.
    Gateway,
    /// The reports of firmware versions.
    Ota,
    /// An answer to a command. It takes one of the places of its kind.
    Commands,
    /// A batch of posts, which are entries of their own. They end with it.
    Joined,
    /// SUBSCRIBE packets. Their answer is passed on to the entries that wait for one of the filters.
    Exchange,
}

impl Owner {
    pub(super) fn is_outbox(self) -> bool {
        matches!(self, Owner::Outbox(_))
    }

    /// Whose place an entry takes, if its owner has a limit.
    pub(super) fn kind(self) -> Option<Kind> {
        match self {
            Owner::Host(kind) => Some(kind),
            Owner::Register => Some(Kind::Message),
            Owner::Commands => Some(Kind::Answer),
            Owner::Outbox(_) | Owner::Gateway | Owner::Ota | Owner::Joined | Owner::Exchange => None,
        }
    }
}

/// What the host has called. Each kind has a limit of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Message,
    Answer,
    Subscription,
}

/// A request to be sent.
pub struct Outgoing<'a> {
    pub operation: Operation,
    pub identity: &'a Identity,
    /// Whose identity it is. 0: the client's own device.
    pub subdevice: u64,
    pub name: &'a str,
    pub params: &'a [u8],
    /// The flags that become members of the message.
    pub members: u32,
    /// It ends with the reply, and not with the broker's acknowledgement.
    pub until_reply: bool,
    /// When it is overdue. `None`: after the usual time.
    pub timeout_ms: Option<u64>,
    /// Comes back in the outcome.
    pub user: usize,
}

pub struct Entry {
    pub owner: Owner,
    pub waits_for: WaitsFor,
    /// How much time it has, and when it is overdue. A request that waits for its turn is not overdue.
    pub timeout_ms: Option<u64>,
    pub deadline: Option<u64>,
    /// Of the request, for its outcome. 0 if it is none.
    pub operation: i32,
    pub subdevice: u64,
    pub user: usize,
    /// While it is an unacknowledged request of an outbox.
    pub bytes: Option<usize>,
}

pub enum WaitsFor {
    /// The acknowledgement of a publish.
    Delivery,
    /// The reply to a request that was sent. It comes on this topic.
    Reply {
        topic: String,
    },
    /// The broker's answer for this filter. If the filter is granted, the request is sent, and waits for its reply.
    /// Without a request, the grant is the end. Other filters do not matter.
    Filter {
        filter: String,
        request: Option<LinkRequest>,
    },
    /// Its turn among the requests whose replies come on this topic without an id. Then the request is sent, and waits
    /// for its reply. Without a request, the turn is the end.
    Turn {
        topic: String,
        request: Option<LinkRequest>,
    },
    /// The answer to a SUBSCRIBE packet with these filters. `part_of`: how many filters the packet had of which they are a
    /// part, if they are asked for once more.
    Suback {
        filters: Vec<String>,
        part_of: Option<usize>,
    },
    Unsuback {
        filter: String,
    },
    /// The reply to the batch of which it is a part. It comes on this topic.
    Joined {
        topic: String,
        is_sent: bool,
    },
}

impl WaitsFor {
    pub fn is_reply_on(&self, topic: &str) -> bool {
        matches!(self, WaitsFor::Reply { topic: other } if other == topic)
    }

    /// The topic on which it needs replies.
    pub fn needed_topic(&self) -> Option<&str> {
        match self {
            WaitsFor::Reply { topic }
            | WaitsFor::Filter { filter: topic, .. }
            | WaitsFor::Turn { topic, .. }
            | WaitsFor::Joined { topic, .. } => Some(topic),
            _ => None,
        }
    }

    /// It is a request that was not sent yet.
    pub fn is_unsent(&self) -> bool {
        matches!(
            self,
            WaitsFor::Filter { request: Some(_), .. }
                | WaitsFor::Turn { request: Some(_), .. }
                | WaitsFor::Joined { is_sent: false, .. }
        )
    }
}

/// How an entry ends.
#[derive(Clone)]
pub enum End {
    /// Done, or failed.
    With(Status, String),
    Granted(u8),
    Replied {
        code: i32,
        words: String,
        topic: Vec<u8>,
        payload: Zeroizing<Vec<u8>>,
    },
}

/// What the host is told.
pub fn event(token: u64, waits_for: WaitsFor, end: End) -> Event {
    let (kind, topic) = match waits_for {
        WaitsFor::Delivery | WaitsFor::Suback { .. } => (EventKind::Delivered, String::new()),
        WaitsFor::Reply { topic } | WaitsFor::Joined { topic, .. } => (EventKind::Reply, topic),
        WaitsFor::Filter { filter: topic, request: Some(_) } | WaitsFor::Turn { topic, .. } => {
            (EventKind::Reply, topic)
        }
        WaitsFor::Filter { filter, request: None } => (EventKind::Subscribed, filter),
        WaitsFor::Unsuback { filter } => (EventKind::Unsubscribed, filter),
    };
    let event = Event::new(kind, Status::ENOS_OK, "").token(token).topic(topic);
    match end {
        End::With(status, detail) => {
            let code = if status == Status::ENOS_ERR_REFUSED { SUBACK_REFUSED } else { 0 };
            Event { status, detail, ..event }.code(code)
        }
        End::Granted(qos) => Event { qos: i32::from(qos), ..event },
        End::Replied { code, words, topic, payload } => {
            let is_ok = code == envelope::CODE_OK;
            let status = if is_ok { Status::ENOS_OK } else { Status::ENOS_ERR_REFUSED };
            let detail = envelope::in_words(code, words);
            Event { status, detail, payload, ..event }.code(code).topic(topic)
        }
    }
}

/// What the outbox is told.
pub fn outcome(end: End) -> Outcome {
    match end {
        End::With(Status::ENOS_OK, _) | End::Granted(_) => Outcome::Delivered,
        End::With(status, reason) => Outcome::NotDelivered { status, reason },
        End::Replied { code, words, topic, payload } => Outcome::Reply { code, words, topic, payload },
    }
}
