//! The fields of a row of the table.

#![allow(dead_code, reason = "the messages that the table does not have yet need these shapes")]

use super::Operation;
use crate::error::Result;
use crate::protocol::topic::Scope;

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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Params {
    /// A JSON object.
    Object,
    /// A JSON array of at most this many items.
    Array { most: usize },
    /// Any bytes. They are the whole payload, without an envelope.
    Bytes,
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
    /// If the host asks for it (`ENOS_PUBLISH_RESUME`), it is sent as the other operation when it goes out on a later
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
