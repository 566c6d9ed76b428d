//! Misbehaviour on demand: `WHEN:WHAT[@CONNECTIONS]`. The grammar is explained by `enos-sim --help` (help.txt).

mod http;
mod parse;

use std::{fmt, str::FromStr, time::Duration};

use crate::spoil::Spoil;

pub use http::{HttpAction, Length};

/// A moment, the action at that moment, and the connections of a device to which this applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    phase: Phase,
    kind: Kind,
    nth: Span,
    pub(crate) action: Action,
    connections: Span,
    text: String,
}

/// Why a text is not a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultError(String);

impl fmt::Display for FaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FaultError {}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    /// A packet was received, and is not processed yet.
    Got,
    /// A packet is about to be sent.
    Before,
    /// A packet was sent.
    After,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// The link itself, before any byte was read.
    Accept,
    /// A record, and a byte, of a TLS handshake.
    Record,
    Byte,
    Connect,
    ConnAck,
    Publish,
    PubAck,
    Subscribe,
    SubAck,
    Unsubscribe,
    UnsubAck,
    PingReq,
    PingResp,
    Disconnect,
    /// The three kinds of publications that the cloud makes. Each is a `Publish` as well.
    Activation,
    Reply,
    Command,
    /// A request of a gateway to log a sub-device in, and its reply, which is a `Reply` as well.
    Login,
    /// The same for a batch of logins.
    Batch,
    /// The offer of a firmware: a `Command`, or the `Reply` to a device that asks for it.
    Offer,
    /// An answer of the HTTP port.
    Http,
    Any,
}

const KINDS: [(&str, Kind); 22] = [
    ("accept", Kind::Accept),
    ("record", Kind::Record),
    ("byte", Kind::Byte),
    ("connect", Kind::Connect),
    ("connack", Kind::ConnAck),
    ("publish", Kind::Publish),
    ("puback", Kind::PubAck),
    ("subscribe", Kind::Subscribe),
    ("suback", Kind::SubAck),
    ("unsubscribe", Kind::Unsubscribe),
    ("unsuback", Kind::UnsubAck),
    ("pingreq", Kind::PingReq),
    ("pingresp", Kind::PingResp),
    ("disconnect", Kind::Disconnect),
    ("activation", Kind::Activation),
    ("reply", Kind::Reply),
    ("command", Kind::Command),
    ("login", Kind::Login),
    ("batch", Kind::Batch),
    ("offer", Kind::Offer),
    ("http", Kind::Http),
    ("any", Kind::Any),
];

impl Kind {
    /// An answer to a request of a device.
    pub(crate) fn is_reply(self) -> bool {
        matches!(self, Kind::Reply | Kind::Login | Kind::Batch | Kind::Offer)
    }

    /// The kind of a request with this topic after the device's prefix, and of its reply.
    pub(crate) fn of_request(suffix: &str) -> Kind {
        match suffix {
            "combine/login" => Kind::Login,
            "combine/login/batch" => Kind::Batch,
            "ota/device/getversion" => Kind::Offer,
            _ => Kind::Reply,
        }
    }

    fn is_received(self) -> bool {
        use Kind::*;
        matches!(
            self,
            Record
                | Byte
                | Connect
                | Publish
                | PubAck
                | Subscribe
                | Unsubscribe
                | PingReq
                | Disconnect
                | Login
                | Batch
                | Any
        )
    }

    fn is_sent(self) -> bool {
        use Kind::*;
        matches!(
            self,
            Record
                | Byte
                | ConnAck
                | Publish
                | PubAck
                | SubAck
                | UnsubAck
                | PingResp
                | Activation
                | Reply
                | Command
                | Login
                | Batch
                | Offer
                | Http
                | Any
        )
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// It is not sent, or is treated as not received.
    Silence,
    Delay(Duration),
    Twice,
    Close,
    Reset,
    Raw(Vec<u8>),
    Code(i64),
    /// Another payload.
    Payload(String),
    /// This many random bytes as payload.
    Garbage(usize),
    Spoil(Spoil),
    /// A command comes so often, each time with another id.
    Storm(usize),
    /// A command has the id of the one before it.
    SameId,
    /// From now on, at most so many publications with QoS 1 are sent before their PUBACK.
    Window(usize),
    /// From now on, an answer that comes before the PUBACK of its command stops all further commands.
    Wedge,
    /// Of an answer of the HTTP port.
    Http(HttpAction),
}

/// From the first to the last, both counted from 1, or every N-th.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    first: u64,
    last: u64,
    every: u64,
}

impl Span {
    const ALL: Span = Span { first: 1, last: u64::MAX, every: 1 };

    fn contains(self, n: u64) -> bool {
        (self.first..=self.last).contains(&n) && n % self.every == 0
    }

    /// `3`, `2-4`, `2-`, `-4`, or `/2` for every second.
    fn parse(text: &str) -> Option<Span> {
        let number = |text: &str| text.parse::<u64>().ok().filter(|n| *n > 0);
        if let Some(every) = text.strip_prefix('/') {
            return Some(Span { every: number(every)?, ..Span::ALL });
        }
        let span = match text.split_once('-') {
            None => Span { first: number(text)?, last: number(text)?, ..Span::ALL },
            Some(("", "")) => return None,
            Some((first, "")) => Span { first: number(first)?, ..Span::ALL },
            Some(("", last)) => Span { last: number(last)?, ..Span::ALL },
            Some((first, last)) => Span { first: number(first)?, last: number(last)?, ..Span::ALL },
        };
        (span.first <= span.last).then_some(span)
    }
}

impl Fault {
    /// Whether it applies to the `n`-th such moment of a device's connection.
    pub(crate) fn applies(&self, phase: Phase, kind: Kind, n: u64, connection: u64) -> bool {
        self.phase == phase && self.kind == kind && self.nth.contains(n) && self.connections.contains(connection)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Fault, FaultError> {
        parse::parse(text).map_err(|reason| FaultError(format!("fault \"{text}\": {reason}")))
    }
}
