//! Misbehaviour on demand: `WHEN:WHAT[@CONNECTIONS]`. The grammar is explained by `enos-sim --help` (help.txt).

use std::{fmt, str::FromStr, time::Duration};

use crate::activation::Spoil;

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
    Any,
}

const KINDS: [(&str, Kind); 18] = [
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
    ("any", Kind::Any),
];

impl Kind {
    fn is_received(self) -> bool {
        use Kind::*;
        matches!(
            self,
            Record | Byte | Connect | Publish | PubAck | Subscribe | Unsubscribe | PingReq | Disconnect | Any
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
}

/// From the first to the last, both counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    first: u64,
    last: u64,
}

impl Span {
    const ALL: Span = Span { first: 1, last: u64::MAX };

    fn contains(self, n: u64) -> bool {
        (self.first..=self.last).contains(&n)
    }

    /// `3`, `2-4`, `2-` or `-4`.
    fn parse(text: &str) -> Option<Span> {
        let number = |text: &str| text.parse::<u64>().ok().filter(|n| *n > 0);
        let span = match text.split_once('-') {
            None => Span { first: number(text)?, last: number(text)? },
            Some(("", "")) => return None,
            Some((first, "")) => Span { first: number(first)?, last: u64::MAX },
            Some(("", last)) => Span { first: 1, last: number(last)? },
            Some((first, last)) => Span { first: number(first)?, last: number(last)? },
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
        parse(text).map_err(|reason| FaultError(format!("fault \"{text}\": {reason}")))
    }
}

fn parse(text: &str) -> Result<Fault, String> {
    let (when, what) = text.split_once(':').ok_or("there is no \":\"; expected WHEN:WHAT[@CONNECTIONS]")?;
    let (what, connections) = match what.rsplit_once('@').map(|(what, span)| (what, Span::parse(span))) {
        Some((what, Some(span))) => (what, span),
        Some((_, None)) if !what.starts_with("payload=") => {
            return Err("what follows \"@\" is not a number or range".into())
        }
        _ => (what, Span::ALL),
    };
    let (when, nth) = match when.split_once('=') {
        Some((when, nth)) => (when, Span::parse(nth).ok_or_else(|| format!("\"{nth}\" is not a number or range"))?),
        None => (when, Span::ALL),
    };
    let (phase, name) = match when.split_once('-') {
        Some(("got", name)) => (Phase::Got, name),
        Some(("before", name)) => (Phase::Before, name),
        Some(("after", name)) => (Phase::After, name),
        Some((other, _)) => return Err(format!("\"{other}-\" is not got-, before- or after-")),
        None => (if when == "accept" { Phase::Got } else { Phase::Before }, when),
    };
    let kind = KINDS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
    let kind = kind.ok_or_else(|| format!("\"{name}\" is not a packet: {}", KINDS.map(|(name, _)| name).join(", ")))?;
    let possible = match (phase, kind) {
        (Phase::Got, kind) => kind.is_received() || kind == Kind::Accept,
        (_, kind) => kind.is_sent(),
    };
    if !possible {
        let direction = if phase == Phase::Got { "received" } else { "sent: write got-" };
        return Err(format!("{name} is never {direction}{}", if phase == Phase::Got { "" } else { name }));
    }
    let action = parse_action(what)?;
    if !fits(&action, phase, kind) {
        return Err(format!("\"{what}\" cannot be done at \"{when}\""));
    }
    Ok(Fault { phase, kind, nth, action, connections, text: text.to_owned() })
}

fn parse_action(what: &str) -> Result<Action, String> {
    let (name, value) = match what.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (what, None),
    };
    let number = || value.and_then(|value| value.parse::<u32>().ok()).ok_or(format!("{name}= needs a number"));
    let size = |default: usize| match value {
        None => Ok(default),
        Some(_) => number()
            .map(|n| n as usize)
            .and_then(|n| (n <= 16 * 1024 * 1024).then_some(n).ok_or_else(|| "the limit is 16 MiB".to_owned())),
    };
    let alone = |action: Action| match value {
        None => Ok(action),
        Some(_) => Err(format!("{name} takes no value")),
    };
    match name {
        "silence" => alone(Action::Silence),
        "twice" => alone(Action::Twice),
        "close" => alone(Action::Close),
        "reset" => alone(Action::Reset),
        "delay" => number().map(|ms| Action::Delay(Duration::from_millis(ms.into()))),
        "code" => number().map(|code| Action::Code(code.into())),
        "raw" => hex::decode(value.unwrap_or_default()).map(Action::Raw).map_err(|e| format!("raw= needs hex: {e}")),
        "payload" => Ok(Action::Payload(value.unwrap_or_default().to_owned())),
        "garbage" => size(64).map(Action::Garbage),
        "huge" => size(1024 * 1024).map(|bytes| Action::Spoil(Spoil::Huge(bytes))),
        "other-device" => alone(Action::Spoil(Spoil::OtherDevice)),
        "other-topic" => alone(Action::Spoil(Spoil::OtherTopic)),
        "other-method" => alone(Action::Spoil(Spoil::OtherMethod)),
        "no-secret" => alone(Action::Spoil(Spoil::NoSecret)),
        "empty-secret" => alone(Action::Spoil(Spoil::EmptySecret)),
        "truncated" => alone(Action::Spoil(Spoil::Truncated)),
        _ => Err(format!("\"{name}\" is not an action")),
    }
}

fn fits(action: &Action, phase: Phase, kind: Kind) -> bool {
    let publication = matches!(kind, Kind::Activation | Kind::Reply | Kind::Command | Kind::Publish);
    match action {
        Action::Close | Action::Reset | Action::Raw(_) | Action::Delay(_) => true,
        Action::Silence => phase != Phase::After,
        Action::Twice => phase == Phase::Before && !matches!(kind, Kind::Record | Kind::Byte),
        Action::Code(code) if phase == Phase::Before => match kind {
            Kind::ConnAck | Kind::SubAck => (0..=255).contains(code),
            Kind::Reply => true,
            _ => false,
        },
        Action::Code(_) => false,
        Action::Payload(_) | Action::Garbage(_) => phase == Phase::Before && publication,
        Action::Spoil(_) => phase == Phase::Before && kind == Kind::Activation,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> Fault {
        text.parse().unwrap()
    }

    #[test]
    fn the_grammar() {
        let drop = fault("got-any=3:reset@-2");
        assert!(drop.applies(Phase::Got, Kind::Any, 3, 2));
        assert!(!drop.applies(Phase::Got, Kind::Any, 3, 3) && !drop.applies(Phase::Got, Kind::Any, 2, 1));
        assert_eq!(fault("connack:code=3@1").action, Action::Code(3));
        assert_eq!(fault("activation:delay=20").phase, Phase::Before);
        assert_eq!(fault("after-suback=1-2:raw=30fF").action, Action::Raw(vec![0x30, 0xff]));
        assert_eq!(fault("activation:payload={\"a\":\"x@y\"}").action, Action::Payload("{\"a\":\"x@y\"}".into()));
        assert_eq!(fault("accept:close").phase, Phase::Got);
        assert_eq!((fault("got-record=2:close").phase, fault("record=2:close").phase), (Phase::Got, Phase::Before));
        assert_eq!(fault("any:delay=5@2-").to_string(), "any:delay=5@2-");
    }

    #[test]
    fn invalid_faults_are_refused_with_a_reason() {
        for (text, word) in [
            ("connack", "WHEN:WHAT"),
            ("connect:close", "got-connect"),
            ("got-connack:close", "never received"),
            ("later-connack:close", "got-, before- or after-"),
            ("connak:close", "not a packet"),
            ("connack=0:close", "not a number"),
            ("connack:close@x", "follows"),
            ("connack:code=300", "cannot be done"),
            ("suback:no-secret", "cannot be done"),
            ("after-connack:silence", "cannot be done"),
            ("record=1:twice", "cannot be done"),
            ("got-byte:code=3", "cannot be done"),
            ("connack:raw=zz", "hex"),
            ("connack:delay", "number"),
            ("connack:close=1", "no value"),
            ("activation:huge=99999999", "16 MiB"),
            ("connack:explode", "not an action"),
        ] {
            let error = text.parse::<Fault>().unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
