//! The grammar of faults.

use std::time::Duration;

use super::{http, Action, Fault, Kind, Phase, Span, KINDS};
use crate::spoil::{Spoil, SPOILS};

pub fn parse(text: &str) -> Result<Fault, String> {
    let (when, what) = text.split_once(':').ok_or("there is no \":\"; expected WHEN:WHAT[@CONNECTIONS]")?;
    let (what, connections) = match what.rsplit_once('@').map(|(what, span)| (what, Span::parse(span))) {
        Some((what, Some(span))) => (what, span),
        Some((_, None)) if !what.starts_with("payload=") && !what.starts_with("location=") => {
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
        "huge-id" => size(10_000).map(|bytes| Action::Spoil(Spoil::HugeId(bytes))),
        "deep" => size(10_000).map(|levels| Action::Spoil(Spoil::Deep(levels))),
        "storm" => size(5000).map(Action::Storm),
        "window" => size(1).map(|window| Action::Window(window.max(1))),
        "same-id" => alone(Action::SameId),
        "wedge" => alone(Action::Wedge),
        _ => match (SPOILS.iter().find(|(known, _)| *known == name), http::parse(name, value)) {
            (Some((_, spoil)), _) => alone(Action::Spoil(spoil.clone())),
            (None, Some(action)) => action.map(Action::Http),
            (None, None) => Err(format!("\"{name}\" is not an action")),
        },
    }
}

fn fits(action: &Action, phase: Phase, kind: Kind) -> bool {
    if kind == Kind::Http {
        return phase == Phase::Before && fits_http(action);
    }
    let publication = kind.is_reply() || matches!(kind, Kind::Activation | Kind::Command | Kind::Publish);
    match action {
        Action::Close | Action::Reset | Action::Raw(_) | Action::Delay(_) => true,
        Action::Window(_) | Action::Wedge => !matches!(kind, Kind::Record | Kind::Byte),
        Action::Storm(_) | Action::SameId => phase == Phase::Before && kind == Kind::Command,
        Action::Silence => phase != Phase::After,
        Action::Twice => phase == Phase::Before && !matches!(kind, Kind::Record | Kind::Byte),
        Action::Code(code) if phase == Phase::Before => match kind {
            Kind::ConnAck | Kind::SubAck => (0..=255).contains(code),
            kind => kind.is_reply(),
        },
        Action::Code(_) => false,
        Action::Payload(_) | Action::Garbage(_) => phase == Phase::Before && publication,
        Action::Spoil(spoil) => phase == Phase::Before && spoil.fits(kind),
        Action::Http(_) => false,
    }
}

fn fits_http(action: &Action) -> bool {
    match action {
        Action::Silence | Action::Close | Action::Reset | Action::Delay(_) | Action::Raw(_) | Action::Http(_) => true,
        Action::Code(code) => (200..=599).contains(code),
        Action::Payload(_) | Action::Garbage(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{HttpAction, Length};

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
        assert_eq!(fault("command=2:storm=70@1").action, Action::Storm(70));
        assert_eq!(fault("connack:window").action, Action::Window(1));
        assert_eq!(fault("reply:deep").action, Action::Spoil(Spoil::Deep(10_000)));
        let every_second = fault("batch=/2:list-twice");
        assert_eq!(
            [1, 2, 3, 4].map(|n| every_second.applies(Phase::Before, Kind::Batch, n, 1)),
            [false, true, false, true]
        );
        assert_eq!((fault("got-login:silence").phase, fault("login:code=723").action), (Phase::Got, Action::Code(723)));
        assert_eq!(fault("any:delay=5@2-").to_string(), "any:delay=5@2-");
        assert_eq!(fault("http=2-:cut=100@1").action, Action::Http(HttpAction::Cut(100)));
        assert!(fault("http=2:no-range").of_request(2, 9).is_some() && fault("any:close").of_request(1, 1).is_none());
        assert_eq!(fault("http:length=-5").action, Action::Http(HttpAction::Length(Length::Off(-5))));
        let elsewhere = Action::Http(HttpAction::Location("http://a@b/c".into()));
        assert_eq!(fault("http:location=http://a@b/c").action, elsewhere);
        assert_eq!(fault("offer:wrong-size").action, Action::Spoil(Spoil::WrongSize));
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
            ("reply:storm", "cannot be done"),
            ("reply:leave-out", "cannot be done"),
            ("got-login:code=5", "cannot be done"),
            ("login=/0:close", "not a number"),
            ("reply:no-secret", "cannot be done"),
            ("activation:no-id", "cannot be done"),
            ("after-command:same-id", "cannot be done"),
            ("got-byte:wedge", "cannot be done"),
            ("command:same-id=1", "no value"),
            ("http:code=100", "cannot be done"),
            ("http:twice", "cannot be done"),
            ("after-http:close", "cannot be done"),
            ("reply:cut", "cannot be done"),
            ("got-http:close", "never received"),
            ("http:slow=0", "from 1 on"),
            ("http:length=x", "needs a number"),
            ("command:wrong-digest", "cannot be done"),
        ] {
            let error = text.parse::<Fault>().unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
