//! What the cloud saw and did, for a program: each [`Record`] is one JSON object. `text.rs` says the same to a person.

use serde::Serialize;
use serde_json::Value;

use crate::{DeviceId, Payload, Summary};

/// An event, when it was, and whose.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    #[serde(flatten)]
    pub event: Event,
    /// Milliseconds since the cloud started.
    pub t_ms: u64,
    /// Connections are counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<u64>,
    /// `pk/dk`, as soon as the CONNECT has named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
}

/// What happened. The variants' names in snake case are the values of `event`, their fields the other members.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A port is open.
    Listening {
        port: u16,
        address: String,
        tls: bool,
    },
    /// A TLS handshake is done. `server_name` is the one that the client has asked for (SNI), `client_certificate`
    /// the subject of the certificate that it has shown and that was verified.
    Tls {
        version: String,
        cipher: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        server_name: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        client_certificate: Option<String>,
    },
    /// A TLS handshake came to nothing.
    TlsFailed {
        peer: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        server_name: Option<String>,
        reason: String,
    },
    /// A CONNECT came.
    Connect {
        peer: String,
        client_id: String,
        secure_mode: Option<u8>,
        sign_method: Option<String>,
        keep_alive_s: u16,
        clean_session: bool,
    },
    /// The answer to it; `reason` says why it is not 0.
    Connack {
        code: u8,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The device came too often; it is refused for so long.
    Banned {
        rule: Rule,
        for_ms: u64,
    },
    /// A device secret went out, or what a fault made of it.
    ActivationPushed {
        topic: String,
        qos: u8,
        bytes: usize,
    },
    /// The device answered the activation.
    ActivationReply {
        topic: String,
        code: Option<i64>,
    },
    /// The device is active from now on.
    Activated,
    /// A SUBSCRIBE came; `code` of each filter is what SUBACK says: 0, 1 or 128.
    Subscribe {
        filters: Vec<Filter>,
    },
    Unsubscribe {
        filters: Vec<String>,
    },
    /// A PUBLISH came.
    Publish {
        topic: String,
        qos: u8,
        #[serde(skip_serializing_if = "Option::is_none")]
        packet_id: Option<u16>,
        dup: bool,
        #[serde(flatten)]
        payload: Payload,
    },
    /// A PUBACK went out.
    Puback {
        packet_id: u16,
    },
    /// The device's PUBACK came.
    PubackReceived {
        packet_id: u16,
    },
    /// A request of the device was judged. `unsent` is there when the reply did not go out, and says why.
    Reply {
        topic: String,
        id: String,
        code: i64,
        message: String,
        sent: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        unsent: Option<Unsent>,
    },
    /// A message went to a device because it has subscribed to its topic.
    Delivered {
        topic: String,
        qos: u8,
        bytes: usize,
    },
    /// A command went out.
    Command {
        topic: String,
        id: String,
        params: Value,
    },
    /// The device answered a command, or did not in time: then `code` and `payload` are missing.
    CommandReply {
        topic: String,
        id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<i64>,
        elapsed_ms: u64,
        timed_out: bool,
        #[serde(flatten, skip_serializing_if = "Option::is_none")]
        payload: Option<Payload>,
    },
    /// A PINGREQ came.
    Ping,
    /// A DISCONNECT came.
    Disconnect,
    /// The link is closed.
    Closed {
        reason: String,
    },
    /// A fault was committed.
    Fault {
        fault: String,
    },
    /// The state file could not be written.
    StateNotSaved {
        reason: String,
    },
    /// What the cloud saw, all in all.
    Summary {
        summary: Summary,
    },
}

impl Event {
    /// The values that the member `event` can have.
    pub const NAMES: [&'static str; 24] = [
        "listening",
        "tls",
        "tls_failed",
        "connect",
        "connack",
        "banned",
        "activation_pushed",
        "activation_reply",
        "activated",
        "subscribe",
        "unsubscribe",
        "publish",
        "puback",
        "puback_received",
        "reply",
        "delivered",
        "command",
        "command_reply",
        "ping",
        "disconnect",
        "closed",
        "fault",
        "state_not_saved",
        "summary",
    ];
}

/// Which rule of the connect throttle was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Too many within the window.
    Window,
    /// Too soon after the one before.
    Spacing,
}

/// Why a reply did not go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unsent {
    /// The device has not subscribed to its topic.
    NotSubscribed,
    /// A fault has silenced it.
    Fault,
}

/// A filter of a SUBSCRIBE and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Filter {
    pub filter: String,
    pub qos: u8,
    pub code: u8,
}
