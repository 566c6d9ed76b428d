//! The fields of a row of the table.

#![allow(dead_code, reason = "the messages that the table does not have yet need these shapes")]

use serde_json::value::RawValue;

use super::Operation;
use crate::error::{Error, Result};
use crate::protocol::topic::{self, Scope};

/// An operation, according to the EnOS documentation.
pub struct Row {
    pub operation: Operation,
    pub scope: Scope,
    /// What follows the scope in the topic. `{}` stands for the request's name. The method is derived from the path.
    pub path: &'static str,
    pub params: Params,
    /// Whether the params may have a "time". A durable request must have one, or say that it goes without one, because
    /// it may be sent much later.
    pub has_time: bool,
    pub reply: Reply,
    pub durable: Durability,
    pub senders: Senders,
    pub qos: u8,
    /// Refuses what EnOS would refuse. A durable request must pass this check before it is stored.
    pub check: fn(&[u8]) -> Result<()>,
}

impl Row {
    /// Whether a request can have this name.
    pub fn check_name(&self, name: &str) -> Result<()> {
        let error = |needs| Err(Error::invalid(format!("name: {} {needs}", self.path)));
        match (self.path.contains("{}"), name.is_empty()) {
            _ if self.scope == Scope::Own => topic::validate_publish_topic(name),
            (true, true) => error("needs a name"),
            (true, false) => topic::validate_level("name", name),
            (false, false) => error("has no name of its own"),
            (false, true) => Ok(()),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Params {
    /// A JSON object.
    Object,
    /// A JSON array of at most this many items.
    Array { most: usize },
    /// Any bytes. They are the whole payload, without an envelope.
    Bytes,
}

impl Params {
    /// Whether params, which are a JSON object or array if they are JSON at all, are what the operation takes.
    pub fn check(self, params: &[u8]) -> Result<()> {
        let is_array = params.trim_ascii_start().starts_with(b"[");
        match self {
            Params::Object if is_array => {
                Err(Error::invalid("params_json is an array; this operation takes an object"))
            }
            Params::Array { .. } if !is_array => {
                Err(Error::invalid("params_json is an object; this operation takes an array"))
            }
            Params::Array { most } => {
                let items: Vec<&RawValue> = serde_json::from_slice(params)
                    .map_err(|error| Error::invalid(format!("params_json: no array: {error}")))?;
                match items.len() {
                    count if count > most => {
                        Err(Error::invalid(format!("params_json has {count} items; at most {most} are allowed")))
                    }
                    _ => Ok(()),
                }
            }
            Params::Object | Params::Bytes => Ok(()),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// An envelope with a code.
    Json,
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

/// Who may send it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Senders {
    /// A device for itself.
    pub device: bool,
    /// A gateway for a sub-device.
    pub subdevice: bool,
    /// A gateway for itself.
    pub gateway: bool,
}

impl Senders {
    pub const ALL: Senders = Senders { device: true, subdevice: true, gateway: true };
}

/// A check that accepts all params.
pub fn anything(_: &[u8]) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn params_have_the_shape_of_the_row() {
        let words = |params: Params, json: &str| params.check(json.as_bytes()).map_err(|error| error.message).err();
        let array = Params::Array { most: 2 };
        for (params, json) in [(Params::Object, " {}"), (array, " []"), (array, "[1,[2,3]]"), (Params::Bytes, "[")] {
            assert_eq!(words(params, json), None, "{json}");
        }
        for (params, json, why) in [
            (Params::Object, " []", "takes an object"),
            (array, "{}", "takes an array"),
            (array, "[1,2,3]", "3 items; at most 2"),
        ] {
            assert!(words(params, json).is_some_and(|words| words.contains(why)), "{json}");
        }
    }

    #[test]
    fn a_name_inside_a_path_is_one_level_of_it() {
        let post = Operation::ENOS_OP_MEASUREPOINT_POST.row();
        let named = Row { path: "thing/service/{}/post", ..*post };
        named.check_name("a b").unwrap();
        for name in ["", "a/b", "/", "+", "a#", "a\0b"] {
            assert!(named.check_name(name).is_err(), "{name:?}");
        }
        assert!(post.check_name("").is_ok() && post.check_name("x").is_err());
    }
}
