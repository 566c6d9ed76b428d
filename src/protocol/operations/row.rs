//! What a row of the table says of its operation.

#![allow(dead_code, reason = "the messages that the table does not have yet need these shapes")]

use super::Operation;
use crate::error::Result;
use crate::protocol::topic::Scope;

/// An operation, as EnOS documents it.
pub struct Row {
    pub operation: Operation,
    pub scope: Scope,
    /// What follows the scope in the topic. `{}` stands for the request's name. The method follows from it.
    pub path: &'static str,
    pub params: Params,
    /// The params may have a "time". A durable request has one, or says that it goes without, for it may be sent much
    /// later.
    pub has_time: bool,
    pub reply: Reply,
    pub durable: Durability,
    pub senders: Senders,
    pub qos: u8,
    /// What EnOS would refuse. A durable request has to pass it before it is stored.
    pub check: fn(&[u8]) -> Result<()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Params {
    /// A JSON object.
    Object,
    /// A JSON array with at most so many items.
    Array { most: usize },
    /// Any bytes: the whole payload, without an envelope.
    Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// An envelope with a code.
    Json,
    Bytes,
    None,
}

/// Whether the outbox can keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    Never,
    Kept,
    /// It is sent as the other operation when it goes out on a later link than the one on which it was accepted, if the
    /// host wants it so (`ENOS_PUBLISH_RESUME`).
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

/// The check of params that can be anything.
pub fn anything(_: &[u8]) -> Result<()> {
    Ok(())
}
