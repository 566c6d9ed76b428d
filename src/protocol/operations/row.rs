//! The fields of a row of the table.

use super::{measurepoints, Operation, TABLE};
use crate::error::{Error, Result, Status};
use crate::model::flags::Flag;
use crate::protocol::identity::Identity;
use crate::protocol::topic::{self, Scope};

/// Stands for the request's name in a path. A path that is nothing else is the name itself.
pub(super) const NAME: &str = "{}";

/// The topics of a request and of its reply have this many bytes beside the name, at most: the keys have 64 characters
/// each.
const ROOM_FOR_NAME: usize = topic::MAX_BYTES - 1024;

/// An operation, according to the EnOS documentation.
pub struct Row {
    pub operation: Operation,
    pub scope: Scope,
    /// What follows the scope in the topic. `{}` stands for the request's name. The method is derived from the path.
    pub path: &'static str,
    pub params: Params,
    /// What a request without params has, if it is not simply empty.
    pub empty: Option<&'static str>,
    pub time: Time,
    /// The flags that become members beside params, with the value true.
    pub members: &'static [(Flag, &'static str)],
    pub reply: Reply,
    pub durable: Durability,
    /// Of the durable messages that wait, only the newest is sent: it says all that the others would have said.
    pub newest_only: bool,
    pub senders: Senders,
    pub qos: u8,
    /// Refuses what EnOS would refuse. A durable request must pass this check before it is stored.
    pub check: fn(&[u8]) -> Result<()>,
}

/// What most rows have.
pub(super) const USUAL: Row = Row {
    operation: Operation::ENOS_OP_OTHER,
    scope: Scope::Thing,
    path: NAME,
    params: Params::Object,
    empty: None,
    time: Time::None,
    members: &[],
    reply: Reply::Json,
    durable: Durability::Kept,
    newest_only: false,
    senders: Senders::ALL,
    qos: 1,
    check: anything,
};

impl Row {
    /// What a request without params has.
    pub fn empty(&self) -> &'static [u8] {
        self.empty.map_or(self.params.empty(), str::as_bytes)
    }

    /// Whether a request can have this name.
    pub fn check_name(&self, name: &str) -> Result<()> {
        let error = |needs| Err(Error::invalid(format!("name: {} {needs}", self.path)));
        match (self.path.contains(NAME), name.is_empty()) {
            _ if self.scope == Scope::Own => topic::validate_publish_topic(name),
            (true, true) if self.path == NAME => Err(Error::invalid("name is empty; it is the path of the request")),
            (true, true) => error("needs a name"),
            (false, false) => error("has no name of its own"),
            (false, true) => Ok(()),
            (true, false) if name.len() > ROOM_FOR_NAME => {
                Err(Error::invalid(format!("name has {} bytes; at most {ROOM_FOR_NAME} fit a topic", name.len())))
            }
            (true, false) if self.path == NAME => check_path(name),
            (true, false) => topic::validate_level("name", name),
        }
    }

    /// Whether this sender can send it.
    pub fn check_sender(&self, sender: Sender) -> Result<()> {
        let words = match (self.senders, sender) {
            (Senders { device: true, .. }, Sender::Device)
            | (Senders { subdevice: true, .. }, Sender::Subdevice)
            | (Senders { channel: true, .. }, Sender::Channel) => return Ok(()),
            (_, Sender::Channel) => "an integration channel cannot send it; it has the ENOS_OP_INTEGRATION_ messages",
            (Senders { device: true, .. }, _) => "a sub-device cannot send it; its gateway can, for itself",
            (Senders { channel: true, .. }, _) => "only an integration channel can send it",
            _ => "the library sends it by itself; see enos_client_add_subdevices()",
        };
        Err(Error::new(Status::ENOS_ERR_UNSUPPORTED, format!("{:?}: {words}", self.operation)))
    }

    /// Whether these flags become members of the message.
    pub fn check_members(&self, flags: u32) -> Result<()> {
        let known = self.members.iter().fold(0, |all, (flag, _)| all | *flag as u32);
        match flags & !known {
            0 => Ok(()),
            unknown => Err(Error::invalid(format!("flags: {:?} does not take {unknown:#x}", self.operation))),
        }
    }
}

/// The path of an operation that is not in the table.
fn check_path(path: &str) -> Result<()> {
    topic::validate_publish_topic(path)?;
    if path.split('/').any(str::is_empty) {
        return Err(Error::invalid(
            "name has an empty level; it is a path such as \"thing/x/y\", without a / at its ends",
        ));
    }
    match TABLE.iter().find(|row| row.path == path && row.params == Params::Bytes) {
        Some(row) => Err(Error::invalid(format!("name: {path} takes no JSON; use {:?}", row.operation))),
        None => Ok(()),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Params {
    /// A JSON object.
    Object,
    /// A JSON array.
    Array,
    /// A JSON object or array.
    Json,
    /// Any bytes. They are the whole payload, without an envelope.
    Bytes,
}

impl Params {
    /// Whether params, which are a JSON object or array if they are JSON at all, are what the operation takes.
    pub fn check(self, params: &[u8]) -> Result<()> {
        let is_array = params.trim_ascii_start().starts_with(b"[");
        match self {
            Params::Object if is_array => Err(Error::invalid("params is an array; this operation takes an object")),
            Params::Array if !is_array => Err(Error::invalid("params is an object; this operation takes an array")),
            Params::Object | Params::Array | Params::Json | Params::Bytes => Ok(()),
        }
    }

    fn empty(self) -> &'static [u8] {
        match self {
            Params::Object | Params::Json => b"{}",
            Params::Array => b"[]",
            Params::Bytes => b"",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// An envelope with a code.
    Json,
    /// Bytes without an id.
    Bytes,
    None,
}

/// Whether the outbox can store the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    Never,
    Kept,
    /// If the host asks for it (`ENOS_REQUEST_RESUME`), it is sent as the other operation when it goes out on a later
    /// link than the one on which it was accepted.
    KeptThenLate(Operation),
}

/// Where the params may have a "time". A durable request must have one there, or say that it goes without one, because
/// it may be sent much later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    None,
    /// The params are an object, and one of its members is the time.
    OfAll,
    /// The params are an array, and each of its items has a time.
    OfEach,
}

impl Time {
    /// Whether the params have each time that they may have. An error if one is no plausible time.
    pub fn is_in(self, params: &[u8]) -> Result<bool> {
        match self {
            Time::None => Ok(true),
            Time::OfAll => measurepoints::has_time("params", params),
            Time::OfEach => measurepoints::all_have_time(params),
        }
    }
}

/// Who sends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The client's own device.
    Device,
    Subdevice,
    /// The client, which is an integration channel.
    Channel,
}

impl Sender {
    /// `subdevice` 0: the client with this identity itself.
    pub fn of(client: &Identity, subdevice: u64) -> Sender {
        match subdevice {
            0 if client.is_channel() => Sender::Channel,
            0 => Sender::Device,
            _ => Sender::Subdevice,
        }
    }
}

/// Who may send it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Senders {
    /// A device for itself. It may be a gateway.
    pub device: bool,
    /// A gateway for a sub-device.
    pub subdevice: bool,
    /// An integration channel, which is logged in as a product.
    pub channel: bool,
}

impl Senders {
    pub(super) const ALL: Senders = Senders { device: true, subdevice: true, channel: false };
    pub(super) const ANY: Senders = Senders { channel: true, ..Senders::ALL };
    pub(super) const GATEWAY: Senders = Senders { subdevice: false, ..Senders::ALL };
    pub(super) const CHANNEL: Senders = Senders { channel: true, ..Senders::NONE };
    /// Only the library, by itself.
    pub(super) const NONE: Senders = Senders { device: false, subdevice: false, channel: false };
}

/// A check that accepts all params.
fn anything(_: &[u8]) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn params_have_the_shape_of_the_row() {
        let words = |params: Params, json: &str| params.check(json.as_bytes()).map_err(|error| error.message).err();
        for params in [Params::Object, Params::Array, Params::Json, Params::Bytes] {
            assert_eq!(words(params, std::str::from_utf8(params.empty()).unwrap()), None);
        }
        for (params, json) in
            [(Params::Array, " [1,[2]]"), (Params::Json, "[]"), (Params::Json, "{}"), (Params::Bytes, "[")]
        {
            assert_eq!(words(params, json), None, "{json}");
        }
        for (params, json, why) in [(Params::Object, " []", "takes an object"), (Params::Array, "{}", "takes an array")]
        {
            assert!(words(params, json).is_some_and(|words| words.contains(why)), "{json}");
        }
    }

    #[test]
    fn a_name_inside_a_path_is_one_level_of_it() {
        let (event, post) = (Operation::ENOS_OP_EVENT_POST.row(), Operation::ENOS_OP_MEASUREPOINT_POST.row());
        event.check_name("a b").unwrap();
        event.check_name(&"x".repeat(ROOM_FOR_NAME)).unwrap();
        for name in ["", "a/b", "/", "+", "a#", "a\0b", &"x".repeat(ROOM_FOR_NAME + 1)] {
            assert!(event.check_name(name).is_err(), "{name:?}");
        }
        assert!(post.check_name("").is_ok() && post.check_name("x").is_err());
        let publish = Operation::ENOS_OP_PUBLISH.row();
        assert!(publish.check_name("/a/b").is_ok() && publish.check_name("/a/+").is_err());
    }

    #[test]
    fn another_operation_has_a_whole_path() {
        let other = Operation::ENOS_OP_OTHER.row();
        for name in ["thing/x/y", "x", "thing/attribute/update"] {
            other.check_name(name).unwrap();
        }
        for name in ["", "/thing/x", "thing/x/", "thing//x", "thing/+/x", "thing/#", "a\0b", "thing/model/up_raw"] {
            assert!(other.check_name(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn each_sends_what_is_its_own() {
        for row in TABLE {
            let number = row.operation as i32;
            assert_eq!(row.check_sender(Sender::Device).is_ok(), number < 84, "{number}");
            assert_eq!(row.check_sender(Sender::Subdevice).is_ok(), number < 80, "{number}");
            let of_channel = number >= 90 || row.operation == Operation::ENOS_OP_PUBLISH;
            assert_eq!(row.check_sender(Sender::Channel).is_ok(), of_channel, "{number}");
        }
        use Sender::*;
        let words = |operation: Operation, sender| operation.row().check_sender(sender).unwrap_err().message;
        assert!(words(Operation::ENOS_OP_TOPOLOGY_GET, Subdevice).contains("its gateway can"));
        assert!(words(Operation::ENOS_OP_SUBDEVICE_LOGIN, Device).contains("enos_client_add_subdevices()"));
        assert!(words(Operation::ENOS_OP_INTEGRATION_RAW_UP, Device).contains("only an integration channel"));
        assert!(words(Operation::ENOS_OP_RAW_UP, Channel).contains("an integration channel cannot send it"));
    }
}
