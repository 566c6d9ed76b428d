//! The events of the cloud, for a program: each [`Record`] is one JSON object. `text.rs` writes the same for a person.

use serde::Serialize;
use serde_json::Value;

use crate::{firmware::Task, DeviceId, Payload, Summary};

/// An event, its time, and its connection and device.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    #[serde(flatten)]
    pub event: Event,
    /// Milliseconds since the cloud started.
    pub t_ms: u64,
    /// Connections are counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<u64>,
    /// `pk/dk`; known from the CONNECT on. Events of a sub-device name it, and have the connection of its gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
}

/// In JSON, the variant's name in snake case is the value of `event`, and its fields are the other members.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A port is open.
    Listening {
        port: u16,
        address: String,
        tls: bool,
        /// It is a port for HTTP.
        http: bool,
    },
    /// A TLS handshake is done. `server_name` is the SNI of the client, `client_certificate` the subject of its
    /// verified certificate.
    Tls {
        version: String,
        cipher: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        server_name: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        client_certificate: Option<String>,
    },
    /// A TLS handshake failed.
    TlsFailed {
        peer: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        server_name: Option<String>,
        reason: String,
    },
    /// A CONNECT was received.
    Connect {
        peer: String,
        client_id: String,
        secure_mode: Option<u8>,
        sign_method: Option<String>,
        keep_alive_s: u16,
        clean_session: bool,
    },
    /// The answer to a CONNECT; `reason` says why the code is not 0.
    Connack {
        code: u8,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The device has sent too many CONNECTs; it is refused for this time.
    Banned {
        rule: Rule,
        for_ms: u64,
    },
    /// A device secret was sent, or what a fault made of it.
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
    /// The device has become active.
    Activated,
    /// A SUBSCRIBE was received; `code` of each filter is that of the SUBACK: 0, 1 or 128.
    Subscribe {
        filters: Vec<Filter>,
    },
    Unsubscribe {
        filters: Vec<String>,
    },
    /// A PUBLISH was received.
    Publish {
        topic: String,
        qos: u8,
        #[serde(skip_serializing_if = "Option::is_none")]
        packet_id: Option<u16>,
        dup: bool,
        #[serde(flatten)]
        payload: Payload,
    },
    /// A PUBACK was sent.
    Puback {
        packet_id: u16,
    },
    /// A PUBACK was received.
    PubackReceived {
        packet_id: u16,
    },
    /// A request of the device was checked. `unsent` is the reason why the reply was not sent, if it was not.
    Reply {
        topic: String,
        id: String,
        code: i64,
        message: String,
        sent: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        unsent: Option<Unsent>,
    },
    /// A message was sent to a device that has subscribed to its topic.
    Delivered {
        topic: String,
        qos: u8,
        bytes: usize,
    },
    /// A command was sent.
    Command {
        topic: String,
        id: String,
        params: Value,
    },
    /// The device answered a command, or did not answer in time; then `code` and `payload` are missing.
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
    /// The device sent an answer that no command waits for.
    StrayReply {
        topic: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<i64>,
        why: Stray,
        #[serde(flatten)]
        payload: Payload,
    },
    /// A command is kept until the device can be sent it; `waiting` is the number of those that are kept for it.
    CommandCached {
        topic: String,
        id: String,
        waiting: usize,
    },
    /// An answer came before the PUBACK of its command, and a fault has made that stop all further commands.
    CommandsStuck {
        id: String,
    },
    /// A gateway has registered the device.
    Registered {
        gateway: DeviceId,
    },
    /// A gateway has asked for the device to be in its topology; `code` is 200, or says why it is not.
    TopologyAdd {
        gateway: DeviceId,
        code: i64,
        message: String,
    },
    /// A gateway has removed the device from its topology.
    TopologyDelete {
        gateway: DeviceId,
    },
    /// A gateway has asked for this login of a sub-device, alone or in a batch; `code` is 200, or says why it is refused.
    SubDeviceLogin {
        gateway: DeviceId,
        secure_mode: u8,
        batch: bool,
        code: i64,
        message: String,
    },
    /// A gateway has sent a batch of logins.
    LoginBatch {
        size: usize,
        logged_in: usize,
        code: i64,
    },
    /// A batch of measure points was accepted: the device of each item that is kept, in order.
    BatchItems {
        devices: Vec<DeviceId>,
    },
    /// The login of a sub-device has ended.
    SubDeviceOffline {
        gateway: DeviceId,
        reason: String,
    },
    /// A task to upgrade the device is new, or its state has changed.
    Upgrade(Task),
    /// An HTTP request has come; `code` is that of the answer, 0 if a fault suppresses it.
    HttpRequest {
        method: String,
        path: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        range: Option<String>,
        tls: bool,
        code: u16,
    },
    /// The answer has ended after so many bytes of its body; `of` is its length, if it has one.
    HttpEnd {
        path: String,
        bytes: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        of: Option<u64>,
    },
    /// A PINGREQ was received.
    Ping,
    /// A DISCONNECT was received.
    Disconnect,
    /// The link is closed.
    Closed {
        reason: String,
    },
    /// A fault was applied.
    Fault {
        fault: String,
    },
    /// The state file could not be written.
    StateNotSaved {
        reason: String,
    },
    /// The counts of all events.
    Summary {
        summary: Summary,
    },
}

impl Event {
    /// The possible values of the member `event`.
    pub const NAMES: [&'static str; 37] = [
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
        "stray_reply",
        "command_cached",
        "commands_stuck",
        "registered",
        "topology_add",
        "topology_delete",
        "sub_device_login",
        "login_batch",
        "batch_items",
        "sub_device_offline",
        "upgrade",
        "http_request",
        "http_end",
        "ping",
        "disconnect",
        "closed",
        "fault",
        "state_not_saved",
        "summary",
    ];
}

impl From<Task> for Event {
    fn from(task: Task) -> Event {
        Event::Upgrade(task)
    }
}

/// Which rule of the connect throttle was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Too many within the window.
    Window,
    /// Too soon after the last one.
    Spacing,
}

/// Why a reply was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unsent {
    /// The device has not subscribed to its topic.
    NotSubscribed,
    /// A fault has suppressed it.
    Fault,
}

/// Why an answer belongs to no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stray {
    /// The command was answered before.
    Twice,
    /// The time for the answer was over.
    Late,
    /// No command with this id was sent on the topic that belongs to the answer.
    Unknown,
    /// It is of a sub-device that is not logged in on this connection.
    NotLoggedIn,
}

/// A filter of a SUBSCRIBE and its result.
#[derive(Clone, Debug, Serialize)]
pub struct Filter {
    pub filter: String,
    pub qos: u8,
    pub code: u8,
}
