//! The commands of the cloud: a row for each kind, and how a command is read and answered.

use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::topic::{self, Scope};
use super::{envelope, json, operations, Identity};
use crate::error::{Error, Result, Status};
pub use crate::model::command::CommandType;

/// There is no handler for a command, or none has answered it.
pub const CODE_NO_HANDLER: i32 = 1101;
/// The handler has failed, or has not answered in time.
pub const CODE_FAILED: i32 = 1102;
/// The device has no room for more commands.
pub const CODE_TOO_MANY: i32 = 429;
/// The command cannot be read.
pub const CODE_UNREADABLE: i32 = 460;

/// The longest id that is read, in bytes of its JSON text. It is a part of the answer.
const MAX_ID: usize = 16 * 1024;

/// What the payload of a command, and of its answer, is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Json,
    Bytes,
    /// Any bytes, and JSON if there is an envelope.
    Either,
}

/// What the library answers if the host does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// A code for why there is no answer.
    Fails,
    /// [`envelope::CODE_OK`], because the command only tells something.
    Agrees,
    /// Nothing.
    Stays,
}

/// A kind of command.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    kind: CommandType,
    scope: Scope,
    /// What follows the scope in the topic. `{}` stands for one level of the topic.
    path: &'static str,
    form: Form,
    silence: Silence,
}

const fn row(kind: CommandType, path: &'static str) -> Row {
    Row { kind, scope: Scope::Thing, path, form: Form::Json, silence: Silence::Fails }
}

const fn session(path: &'static str) -> Row {
    Row { scope: Scope::Session, silence: Silence::Agrees, ..row(CommandType::ENOS_COMMAND_OTHER, path) }
}

/// The first row that matches a topic counts.
const TABLE: [Row; 13] = [
    row(CommandType::ENOS_COMMAND_MEASUREPOINT_SET, "thing/service/measurepoint/set"),
    row(CommandType::ENOS_COMMAND_MEASUREPOINT_GET, "thing/service/measurepoint/get"),
    row(CommandType::ENOS_COMMAND_SERVICE, "thing/service/{}"),
    Row { form: Form::Bytes, ..row(CommandType::ENOS_COMMAND_RAW, "thing/model/down_raw") },
    Row { form: Form::Either, ..row(CommandType::ENOS_COMMAND_RRPC, "rrpc/request/{}") },
    Row { silence: Silence::Agrees, ..row(CommandType::ENOS_COMMAND_ENABLE, "thing/enable") },
    Row { silence: Silence::Agrees, ..row(CommandType::ENOS_COMMAND_DISABLE, "thing/disable") },
    Row { silence: Silence::Agrees, ..row(CommandType::ENOS_COMMAND_DELETE, "thing/delete") },
    row(CommandType::ENOS_COMMAND_OTHER, OFFER),
    session(ENABLE),
    session(DISABLE),
    session(DELETE),
    // Its meaning is not documented. Envision's Java SDK answers it on the topic itself.
    Row { silence: Silence::Stays, ..row(CommandType::ENOS_COMMAND_OTHER, TRAFFIC) },
];

/// The offer of a firmware.
const OFFER: &str = "ota/device/upgrade";
const ENABLE: &str = "combine/enable";
const DISABLE: &str = "combine/disable";
const DELETE: &str = "combine/delete";
const TRAFFIC: &str = "traffic/control";

/// A command on a topic that has no row.
const UNKNOWN: Row = row(CommandType::ENOS_COMMAND_OTHER, "");

/// What EnOS has done with sub-devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Enable,
    Disable,
    Delete,
}

/// The params of a command, if it can be read.
pub fn params(payload: &[u8]) -> Option<&RawValue> {
    #[derive(Deserialize)]
    struct Order<'a> {
        #[serde(borrow)]
        params: Option<&'a RawValue>,
    }
    json::object::<Order>("the command", payload).ok()?.params
}

/// The kind of a command, according to its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    row: &'static Row,
}

impl Kind {
    /// The kind of the commands on this topic, which is unchecked. `None` if commands for this device do not come on it.
    pub fn of(identity: &Identity, topic: &[u8]) -> Option<Kind> {
        let address = topic::split(topic)?;
        let keys = (address.product_key, address.device_key);
        if keys != (identity.product_key().as_bytes(), identity.device_key().as_bytes()) {
            return None;
        }
        let path = std::str::from_utf8(address.path).ok()?;
        topic::validate_publish_topic(path).ok()?;
        let known = TABLE.iter().find(|row| row.scope == address.scope && topic::level(row.path, path).is_some());
        match known {
            Some(row) => Some(Kind { row }),
            None if operations::sends(address.scope, path) => None,
            None => Some(Kind { row: &UNKNOWN }),
        }
    }

    /// Whether each message on its topic is a command. Otherwise one with a "method" is.
    pub fn is_known(self) -> bool {
        *self.row != UNKNOWN
    }

    pub fn silence(self) -> Silence {
        self.row.silence
    }

    /// It tells the device something, and asks it to do nothing.
    pub fn only_tells(self) -> bool {
        self.row.silence != Silence::Fails
    }

    /// What it asks a gateway to do with its sub-devices.
    pub fn order(self) -> Option<Order> {
        match self.row.path {
            ENABLE => Some(Order::Enable),
            DISABLE => Some(Order::Disable),
            DELETE => Some(Order::Delete),
            _ => None,
        }
    }

    /// It offers a firmware, which is not handed over as a command.
    pub fn is_offer(self) -> bool {
        self.row.path == OFFER
    }

    fn reply_topic(self, topic: &str) -> String {
        match self.row.path {
            TRAFFIC => topic.to_owned(),
            _ => topic::reply_topic(topic),
        }
    }
}

/// A command that came in.
pub struct Command {
    pub kind: Kind,
    pub topic: String,
    pub payload: Zeroizing<Vec<u8>>,
    id: Option<Range<usize>>,
    params: Option<Range<usize>>,
}

/// What a message on a topic of commands is.
pub enum Reading {
    Command(Command),
    /// It is no command.
    Other {
        topic: Vec<u8>,
        payload: Zeroizing<Vec<u8>>,
    },
    /// A command that cannot be read, and where it can be answered, if its id could be read.
    Unreadable {
        reply: Option<ReplyTo>,
        why: String,
    },
}

/// Where the parts of an envelope are.
#[derive(Default)]
struct Parts {
    id: Option<Range<usize>>,
    params: Option<Range<usize>>,
    has_method: bool,
}

impl Command {
    /// Reads a message on a topic of this kind.
    pub fn read(kind: Kind, topic: Vec<u8>, payload: Zeroizing<Vec<u8>>) -> Reading {
        let parts = match kind.row.form {
            Form::Bytes => Ok(Parts::default()),
            Form::Either => Ok(parts(&payload).unwrap_or_default()),
            Form::Json => parts(&payload),
        };
        if !kind.is_known() && !parts.as_ref().is_ok_and(|parts| parts.has_method) {
            return Reading::Other { topic, payload };
        }
        let topic = match String::from_utf8(topic) {
            Ok(topic) => topic,
            Err(error) => return Reading::Other { topic: error.into_bytes(), payload },
        };
        if kind.reply_topic(&topic).len() > topic::MAX_BYTES {
            return Reading::Unreadable { reply: None, why: "the topic of the answer would be too long".into() };
        }
        match parts {
            Ok(Parts { id, params, .. }) => Reading::Command(Command { kind, topic, payload, id, params }),
            Err(error) => {
                let reply = id_in(&payload).map(|id| ReplyTo::new(kind, &topic, Some(id)));
                Reading::Unreadable { reply, why: error.message }
            }
        }
    }

    /// The identifier of the service; "" if it is none.
    pub fn name(&self) -> &str {
        let path = topic::split(self.topic.as_bytes()).map_or(0, |address| address.path.len());
        let path = self.topic.get(self.topic.len() - path..).unwrap_or_default();
        match self.kind.row.kind {
            CommandType::ENOS_COMMAND_SERVICE => topic::level(self.kind.row.path, path).unwrap_or_default(),
            _ => "",
        }
    }

    pub fn command_type(&self) -> CommandType {
        self.kind.row.kind
    }

    /// The value of "params". `None` if there is none.
    pub fn params(&self) -> Option<&[u8]> {
        self.payload.get(self.params.clone()?)
    }

    /// Approximately how many bytes it takes in memory.
    pub fn size(&self) -> usize {
        self.topic.len() + self.payload.len()
    }

    pub fn reply_to(&self) -> ReplyTo {
        let id = self.id.clone().and_then(|id| self.payload.get(id)).and_then(|id| std::str::from_utf8(id).ok());
        ReplyTo::new(self.kind, &self.topic, id)
    }

    /// Tells commands apart. EnOS sends the same command again with the same id and params.
    pub fn digest(&self) -> Digest {
        let mut digest = Sha256::new();
        let id = self.id.clone().and_then(|id| self.payload.get(id)).unwrap_or_default();
        let content = match self.id {
            Some(_) => self.params().unwrap_or_default(),
            None => &self.payload,
        };
        for part in [self.topic.as_bytes(), id, content] {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        digest.finalize().first_chunk().copied().unwrap_or_default()
    }
}

pub type Digest = [u8; 16];

/// Where a command is answered, and with which id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyTo {
    pub topic: String,
    /// The JSON text of the id, as it came.
    id: Option<Box<str>>,
    form: Form,
}

impl ReplyTo {
    fn new(kind: Kind, topic: &str, id: Option<&str>) -> ReplyTo {
        ReplyTo { topic: kind.reply_topic(topic), id: id.map(Box::from), form: kind.row.form }
    }

    /// The payload of an answer. `data`: any JSON; `None` is `{}`.
    pub fn answer(&self, code: i32, data: Option<&[u8]>, message: Option<&str>) -> Result<Vec<u8>> {
        if self.form == Form::Bytes {
            return Err(wrong("a raw command is answered with bytes: enos_command_reply_raw()"));
        }
        envelope::answer(self.id.as_deref(), code, data, message)
    }

    /// The payload of an answer that is bytes.
    pub fn raw_answer(&self, data: &[u8]) -> Result<Vec<u8>> {
        if self.form == Form::Json {
            return Err(wrong("this command is answered with JSON: enos_command_reply()"));
        }
        envelope::bytes(data)
    }

    /// The library's own answer. A raw command gets an envelope as well: there is no other way to tell a failure.
    pub fn refusal(&self, code: i32, message: &str) -> Result<Vec<u8>> {
        envelope::answer(self.id.as_deref(), code, None, (!message.is_empty()).then_some(message))
    }
}

fn wrong(words: &str) -> Error {
    Error::new(Status::ENOS_ERR_INVALID_ARG, words)
}

/// Finds the parts of an envelope.
fn parts(payload: &[u8]) -> Result<Parts> {
    #[derive(Deserialize)]
    struct Fields<'a> {
        #[serde(borrow, default, deserialize_with = "json::present")]
        id: Option<&'a RawValue>,
        #[serde(borrow, default, deserialize_with = "json::present")]
        params: Option<&'a RawValue>,
        #[serde(borrow, default, deserialize_with = "json::present")]
        method: Option<&'a RawValue>,
    }
    let fields: Fields = json::object("the command", payload)?;
    let range = |raw: &RawValue| {
        let start = raw.get().as_ptr().addr() - payload.as_ptr().addr();
        start..start + raw.get().len()
    };
    if !fields.id.is_none_or(is_id) {
        let words = format!("the command has an id that is neither a text nor a number, or more than {MAX_ID} bytes");
        return Err(json::parse_error(words));
    }
    Ok(Parts { id: fields.id.map(range), params: fields.params.map(range), has_method: fields.method.is_some() })
}

fn is_id(raw: &RawValue) -> bool {
    raw.get().len() <= MAX_ID && (raw.get() == "null" || json::string_or_number(raw).is_some())
}

/// The id in an envelope that cannot be used as a whole.
fn id_in(payload: &[u8]) -> Option<&str> {
    let mut cursor = 0;
    while let Ok(Some(json::read::Item { key: Some(key), value })) = json::read::next(payload, &mut cursor) {
        if json::read::equals(payload.get(key)?, b"id") {
            let id = json::value("the id", payload.get(value)?).ok().filter(|id| is_id(id))?;
            return Some(id.get());
        }
    }
    None
}

#[cfg(test)]
mod tests;
