//! The topics of EnOS, and the rules of MQTT 3.1.1 for topics.

use super::identity::Identity;
use super::operations::Operation;
use crate::error::{Error, Result};

/// The longest topic or filter in MQTT, in bytes.
pub const MAX_BYTES: usize = 65_535;

const THING: &str = "/sys/";
const SESSION: &str = "/ext/session/";
const REPLY: &str = "_reply";
const RRPC_REQUEST: &str = "rrpc/request/";
const RRPC_RESPONSE: &str = "rrpc/response/";

/// The paths of an activation: the spelling of the EnOS SDKs and later documents, and that of the first document.
const ACTIVATION_PATHS: [&str; 2] = ["thing/activate/info", "thing/activated/info"];

/// The topic with this scope and path.
pub fn of(scope: Scope, identity: &Identity, path: &str) -> String {
    let (product_key, device_key) = (identity.product_key(), identity.device_key());
    match scope {
        Scope::Thing => format!("{THING}{product_key}/{device_key}/{path}"),
        Scope::Session => format!("{SESSION}{product_key}/{device_key}/{path}"),
        Scope::Integration => format!("{THING}{product_key}/{path}"),
        Scope::Own => path.to_owned(),
    }
}

/// The topics on which the cloud may send the device secret, in both spellings.
pub fn activation_topics(identity: &Identity) -> [String; 2] {
    ACTIVATION_PATHS.map(|path| of(Scope::Session, identity, path))
}

/// The topics on which the cloud answers the logins of a gateway's sub-devices.
pub fn login_reply_topics(gateway: &Identity) -> [String; 2] {
    [Operation::ENOS_OP_SUBDEVICE_LOGIN, Operation::ENOS_OP_SUBDEVICE_LOGIN_BATCH]
        .map(|operation| operation.reply_topic(gateway, ""))
}

/// The kind of an inbound message, according to its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inbound {
    /// An activation of any device.
    Activation,
    /// The reply to a request.
    Reply,
    /// A command, or a message on a topic to which the host has subscribed.
    Other,
}

impl Inbound {
    /// Fast enough for every message. The topic is unchecked, and may be any bytes.
    pub fn of(topic: &[u8]) -> Inbound {
        let (scope, path) = split(topic).map_or((Scope::Own, topic), |address| (address.scope, address.path));
        match scope {
            Scope::Session if ACTIVATION_PATHS.iter().any(|known| known.as_bytes() == path) => Inbound::Activation,
            _ if path.ends_with(REPLY.as_bytes()) => Inbound::Reply,
            Scope::Thing | Scope::Session if path.starts_with(RRPC_RESPONSE.as_bytes()) => Inbound::Reply,
            _ => Inbound::Other,
        }
    }
}

impl Inbound {
    /// Whether the reply to a login of sub-devices comes on this topic.
    pub fn is_login_reply(topic: &[u8]) -> bool {
        let address = split(topic).filter(|address| address.scope == Scope::Session);
        address.is_some_and(|address| address.path.starts_with(b"combine/login"))
    }
}

/// The topic of the answer to a message on `topic`: `<topic>_reply`, or `.../rrpc/response/<id>` for the
/// `.../rrpc/request/<id>` of a synchronous service.
pub fn reply_topic(topic: &str) -> String {
    let path = split(topic.as_bytes()).map_or(0, |address| address.path.len());
    let (head, path) = topic.split_at(topic.len() - path);
    match path.strip_prefix(RRPC_REQUEST) {
        Some(id) => format!("{head}{RRPC_RESPONSE}{id}"),
        None => format!("{topic}{REPLY}"),
    }
}

/// The prefix of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `/sys/<product key>/<device key>/<path>`: the device as a thing.
    Thing,
    /// `/ext/session/<product key>/<device key>/<path>`: the login of the device.
    Session,
    /// `/sys/<product key>/<path>`: a channel for all devices of a product.
    Integration,
    /// The path is the whole topic.
    Own,
}

/// The parts of an EnOS topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address<'a> {
    pub scope: Scope,
    pub product_key: &'a [u8],
    pub device_key: &'a [u8],
    /// What follows the device key and its `/`.
    pub path: &'a [u8],
}

/// Splits an EnOS topic. `None` if it is no EnOS topic, or one of its parts is empty.
pub fn split(topic: &[u8]) -> Option<Address<'_>> {
    let (scope, rest) = match topic.strip_prefix(THING.as_bytes()) {
        Some(rest) => (Scope::Thing, rest),
        None => (Scope::Session, topic.strip_prefix(SESSION.as_bytes())?),
    };
    let mut parts = rest.splitn(3, |byte| *byte == b'/').filter(|part| !part.is_empty());
    Some(Address { scope, product_key: parts.next()?, device_key: parts.next()?, path: parts.next()? })
}

/// What stands for the `{}` of a pattern, which is one level of a topic: "" if the pattern has none. `None` if the path does
/// not match.
pub fn level<'a>(pattern: &str, path: &'a str) -> Option<&'a str> {
    match pattern.split_once("{}") {
        None => (pattern == path).then_some(""),
        Some((head, tail)) => {
            let level = path.strip_prefix(head)?.strip_suffix(tail)?;
            (!level.is_empty() && !level.contains('/')).then_some(level)
        }
    }
}

/// Whether a subscription to this filter brings the messages on this topic.
pub fn matches(filter: &str, topic: &str) -> bool {
    let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
    loop {
        match (filter.next(), topic.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some(level), Some(name)) if level == "+" || level == name => {}
            _ => return false,
        }
    }
}

/// The rules of MQTT 3.1.1 for a topic to publish on: 1 to [`MAX_BYTES`] bytes, no NUL, no wildcard.
pub fn validate_publish_topic(topic: &str) -> Result<()> {
    validate_text("topic", topic)?;
    // This searches bytes, because it runs for each message and is faster.
    if let Some(wildcard) = ['+', '#'].into_iter().find(|wildcard| topic.as_bytes().contains(&(*wildcard as u8))) {
        return Err(Error::invalid(format!("topic holds '{wildcard}', a wildcard; a message goes to one topic")));
    }
    Ok(())
}

/// Text that stands for one level of a topic: without `/`, and not empty.
pub fn validate_level(field: &str, level: &str) -> Result<()> {
    validate_text(field, level)?;
    match level.chars().find(|character| ['/', '+', '#'].contains(character)) {
        Some(character) => Err(Error::invalid(format!("{field} holds '{character}'; it is one level of a topic"))),
        None => Ok(()),
    }
}

/// The rules of MQTT 3.1.1 for a filter to subscribe to: 1 to [`MAX_BYTES`] bytes, no NUL, `+` only as a whole level,
/// `#` only as the whole last level.
pub fn validate_filter(filter: &str) -> Result<()> {
    validate_text("filter", filter)?;
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        if level.len() > 1 && level.contains('+') {
            return Err(Error::invalid("filter holds '+' beside other characters; it has to be a whole level"));
        }
        if level.contains('#') && (level.len() > 1 || levels.peek().is_some()) {
            return Err(Error::invalid("filter holds '#' elsewhere than as its whole last level"));
        }
    }
    Ok(())
}

fn validate_text(field: &str, text: &str) -> Result<()> {
    if text.is_empty() {
        return Err(Error::invalid(format!("{field} is empty")));
    }
    if text.len() > MAX_BYTES {
        let len = text.len();
        return Err(Error::invalid(format!("{field} has {len} bytes; MQTT carries at most {MAX_BYTES}")));
    }
    if text.contains('\0') {
        return Err(Error::invalid(format!("{field} holds a NUL character")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity::new("pk", "dk", None).unwrap()
    }

    #[test]
    fn both_spellings_of_the_activation() {
        let topics = activation_topics(&identity());
        assert_eq!(topics, ["/ext/session/pk/dk/thing/activate/info", "/ext/session/pk/dk/thing/activated/info"]);
        assert!(topics.iter().all(|topic| Inbound::of(topic.as_bytes()) == Inbound::Activation));
        assert_eq!(Inbound::of(b"/ext/session/\xFF/other/thing/activate/info"), Inbound::Activation);
        let others = [
            "",
            "/ext/session/",
            "/ext/session/pk/dk",
            "/ext/session/pk/thing/activate/info",
            "/ext/session//dk/thing/activate/info",
            "/ext/session/pk//thing/activate/info",
            "/ext/session/pk/dk/thing/activate/info_reply",
            "/ext/session/pk/dk/x/thing/activate/info",
            "/ext/session/pk/dk/thing/activate/info/",
            "/sys/pk/dk/thing/activate/info",
            "ext/session/pk/dk/thing/activate/info",
        ];
        for topic in others {
            assert_ne!(Inbound::of(topic.as_bytes()), Inbound::Activation, "{topic}");
        }
    }

    #[test]
    fn replies_go_beside_the_request() {
        let post = of(Scope::Thing, &identity(), "thing/measurepoint/post");
        assert_eq!(post, "/sys/pk/dk/thing/measurepoint/post");
        assert_eq!(of(Scope::Integration, &identity(), "integration/event/post"), "/sys/pk/integration/event/post");
        assert_eq!(reply_topic(&post), "/sys/pk/dk/thing/measurepoint/post_reply");
        assert_eq!(reply_topic("/sys/pk/dk/rrpc/request/17"), "/sys/pk/dk/rrpc/response/17");
        assert_eq!(reply_topic("rrpc/request/17"), "rrpc/request/17_reply");
        for (topic, is) in [
            ("/sys/pk/dk/thing/measurepoint/post_reply", Inbound::Reply),
            ("/sys/pk/dk/rrpc/response/17", Inbound::Reply),
            ("any/topic_reply", Inbound::Reply),
            ("/sys/pk/dk/rrpc/request/17", Inbound::Other),
            ("rrpc/response/17", Inbound::Other),
            (&post, Inbound::Other),
        ] {
            assert_eq!(Inbound::of(topic.as_bytes()), is, "{topic}");
        }
    }

    #[test]
    fn an_enos_topic_comes_apart() {
        let address = split(b"/sys/pk/dk/thing/service/set").unwrap();
        assert_eq!(
            address,
            Address { scope: Scope::Thing, product_key: b"pk", device_key: b"dk", path: b"thing/service/set" }
        );
        assert_eq!(split(b"/ext/session/pk/dk/combine/login").unwrap().scope, Scope::Session);
        for topic in ["", "/sys/", "/sys/pk", "/sys/pk/dk", "/sys/pk/dk/", "/sys//dk/x", "/sys/pk//x", "sys/pk/dk/x"] {
            assert_eq!(split(topic.as_bytes()), None, "{topic}");
        }
    }

    #[test]
    fn a_publish_topic_has_no_wildcard() {
        assert!(validate_publish_topic("/").is_ok());
        assert!(validate_publish_topic(&"x".repeat(MAX_BYTES)).is_ok());
        for topic in ["", "a\0b", "a/+/b", "a+", "#", &"x".repeat(MAX_BYTES + 1)] {
            assert!(validate_publish_topic(topic).unwrap_err().message.starts_with("topic "), "{topic}");
        }
    }

    #[test]
    fn wildcards_stand_alone_in_their_level() {
        for filter in ["#", "+", "+/#", "/+", "a/+/b", "a/#", "/", "a//b", "$SYS/#", &"x".repeat(MAX_BYTES)] {
            assert!(validate_filter(filter).is_ok(), "{filter}");
        }
        for filter in ["", "a\0", "a+", "+a/b", "++", "a#", "#/a", "a/#/b", "##", "a/b#", &"x".repeat(MAX_BYTES + 1)] {
            assert!(validate_filter(filter).unwrap_err().message.starts_with("filter "), "{filter}");
        }
    }
}
