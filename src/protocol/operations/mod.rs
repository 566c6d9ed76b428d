//! The requests of a device to EnOS: their numbers, and a row of [`TABLE`] for each.
//!
//! A new message is a value of [`enos_operation`] and its row. Topic, method, matching of the reply, durability, the
//! facts in the header and `docs/messages.md` follow from the row.

mod measurepoints;
mod message;
mod row;

pub use measurepoints::check_joinable;
pub use row::{Durability, Params, Reply, Row, Sender, Senders, Time};

use super::topic::{self, Scope};
use crate::model::flags::Flag;

/// What a device tells or asks EnOS. The numbers are in programs and on flash: each is explicit, and none is used
/// again. The limits are those of EnOS's documentation. EnOS checks them, the library does not.
#[repr(C)]
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum enos_operation {
    /// A request that this version of the library does not know. The request's name is the path behind the device key,
    /// such as "thing/x/y". The method "thing.x.y" and the topic of the reply follow from it.
    ENOS_OP_OTHER = 1,
    /// Publishes bytes at QoS 1 on a topic of your choice, which is the request's name. There is no reply.
    ENOS_OP_PUBLISH = 2,
    /// Reports measure points. `params` is `{"measurepoints":{<id>:<value>,...},"time":<milliseconds since 1970>}`. A
    /// value is a number, a text, an array, an object, or `{"value":<value>,"quality":<0 to 9>}`. If there is no
    /// `time`, EnOS takes the time of arrival. A durable post needs at least one measure point.
    ENOS_OP_MEASUREPOINT_POST = 10,
    /// Reports several readings together, also of a gateway's sub-devices. `params` is
    /// `[{"productKey":...,"deviceKey":...,"measurepoints":{...},"time":...},...]`. An item without keys is of the
    /// device itself. EnOS takes all items or none, unless `ENOS_REQUEST_SKIP_INVALID_POINTS` is set. If an item has no
    /// `time`, EnOS takes the time of arrival. A durable batch needs at least one item, and each item at least one
    /// measure point.
    ENOS_OP_MEASUREPOINT_POST_BATCH = 11,
    /// Reports measure points of the past: EnOS stores them, but does not take them for the latest, and they trigger no
    /// alert. `params` is the same as in `ENOS_OP_MEASUREPOINT_POST`.
    ENOS_OP_MEASUREPOINT_RESUME = 12,
    /// Reports several readings of the past together. `params` is the same as in `ENOS_OP_MEASUREPOINT_POST_BATCH`.
    ENOS_OP_MEASUREPOINT_RESUME_BATCH = 13,
    /// Reports an event of the thing model. The request's name is the event's identifier. `params` is
    /// `{"events":{<output>:<value>,...},"time":<milliseconds since 1970>}`.
    ENOS_OP_EVENT_POST = 20,
    /// Sets attributes of the device. `params` is `{"attributes":{<id>:<value>,...}}`, with at most 200 attributes.
    ENOS_OP_ATTRIBUTE_UPDATE = 30,
    /// Asks for attributes. `params` is `{"attributes":[<id>,...]}`, with at most 200. An empty array, or no params,
    /// asks for all. The reply's data is `{<id>:<value>,...}`.
    ENOS_OP_ATTRIBUTE_QUERY = 31,
    /// Deletes attributes. `params` is `{"attributes":[<id>,...]}`, with at most 200. An empty array deletes nothing.
    ENOS_OP_ATTRIBUTE_DELETE = 32,
    /// Sets tags of the device. `params` is `[{"tagKey":<key>,"tagValue":<text>},...]`, with at most 200 tags. A key
    /// has letters, digits and `_`, and does not begin with a digit.
    ENOS_OP_TAG_UPDATE = 40,
    /// Asks for tags. `params` is `{"tags":[<key>,...]}`. An empty array, or no params, asks for all. The reply's data
    /// is `{<key>:<text>,...}`.
    ENOS_OP_TAG_QUERY = 41,
    /// Deletes tags. `params` is `{"tags":[<key>,...]}`. An empty array deletes nothing.
    ENOS_OP_TAG_DELETE = 42,
    /// Asks for the device's thing model. `params` is `{}`. The reply's data is an object with `tslAttributeMap`,
    /// `tslMeasurepointMap`, `tslEventMap` and `tslServiceMap`.
    ENOS_OP_MODEL_GET = 50,
    /// Sends bytes that a script of the product decodes in the cloud. The reply is the bytes that the script returns.
    /// They have no id, so only one such request at a time waits for its reply: see the chapter on requests.
    ENOS_OP_RAW_UP = 51,
    /// Sends a log record. `params` is `{"logs":{"traceId":...,"level":...,"module":...,"content":...},"time":...}`.
    /// Each member is optional. Of Envision's SDKs, only the one for Java (2022) has this.
    ENOS_OP_LOG_POST = 60,
    /// Reports the quality of the network. `params` is `{"reportTime":...,"collectTime":...,"rssi":...,"snr":...,
    /// "packetLossRate":...,"networkType":<text>,"errorInfo":<text>}`. All members but `reportTime` are optional. Of
    /// Envision's SDKs, only the one for Java (2022) has this.
    ENOS_OP_NETWORK_STATUS_REPORT = 61,
    /// Reports which nodes behind the device are connected. `params` is
    /// `{"nodes":[{"nodeId":...,"state":<1 connected, 2 not, 3 unknown>},...],"isFull":<bool>,"relations":{...},
    /// "reportTime":...}`. Of Envision's SDKs, only the one for Java (2022) has this.
    ENOS_OP_CONNECTION_STATE_POST = 62,
    /// Reports the version of the firmware. `params` is `{"version":<text>}`. EnOS offers an update only to a device
    /// that has reported one, and a report of the new version completes an update.
    ENOS_OP_OTA_VERSION_REPORT = 70,
    /// Reports the progress of an update. `params` is `{"step":<text>,"desc":<text>}`. The step is "0" to "100", in
    /// percent, or a failure: "-1" any, "-2" download, "-3" verification, "-4" writing, "-5" ignored.
    ENOS_OP_OTA_PROGRESS = 71,
    /// Asks for the firmware that is offered on request. `params` is `{}`. The reply's data is an array of objects with
    /// `version`, `signMethod`, `sign`, `fileUrl` and `fileSize`.
    ENOS_OP_OTA_VERSION_QUERY = 72,
    /// Registers sub-devices. `params` is `[{"productKey":...,"deviceKey":...,"deviceName":...},...]`, with at most
    /// 1000 items.
    ENOS_OP_SUBDEVICE_REGISTER = 80,
    /// Adds sub-devices to the gateway's topology. `params` is `[{"productKey":...,"deviceKey":...,"clientId":...,
    /// "timestamp":...,"signMethod":...,"sign":...},...]`.
    ENOS_OP_TOPOLOGY_ADD = 81,
    /// Removes sub-devices from the gateway's topology. `params` is `[{"productKey":...,"deviceKey":...},...]`.
    ENOS_OP_TOPOLOGY_DELETE = 82,
    /// Asks for the gateway's topology. `params` is `{}`. The reply's data is
    /// `[{"productKey":...,"deviceKey":...},...]`.
    ENOS_OP_TOPOLOGY_GET = 83,
    /// Logs a sub-device in, out, or several in. The library sends these itself: enos_client_add_subdevices().
    ENOS_OP_SUBDEVICE_LOGIN = 84,
    /// See `ENOS_OP_SUBDEVICE_LOGIN`.
    ENOS_OP_SUBDEVICE_LOGIN_BATCH = 85,
    /// See `ENOS_OP_SUBDEVICE_LOGIN`.
    ENOS_OP_SUBDEVICE_LOGOUT = 86,
    /// Reports measure points of several devices of a product. `params` is
    /// `[{"deviceKey":...,"measurepoints":{...},"time":...},...]`.
    ENOS_OP_INTEGRATION_MEASUREPOINT_POST = 90,
    /// Reports events of several devices of a product. `params` is
    /// `[{"deviceKey":...,"events":{<event>:{...}},"time":...},...]`.
    ENOS_OP_INTEGRATION_EVENT_POST = 91,
    /// Reports attributes of several devices of a product. `params` is `[{"deviceKey":...,"attributes":{...}},...]`.
    ENOS_OP_INTEGRATION_ATTRIBUTE_POST = 92,
    /// Sends bytes that a script of the product decodes in the cloud.
    ENOS_OP_INTEGRATION_RAW_UP = 93,
}

/// The name under which Rust code knows [`enos_operation`].
pub use enos_operation as Operation;

/// Makes the table from its rows. If an operation has no row, or two, the code does not compile. A row names what is
/// different from [`row::USUAL`].
macro_rules! table {
    ($($operation:ident { $($row:tt)* })*) => {
        /// One row for each operation, in the order of the numbers.
        pub const TABLE: &[Row] = &[$(Row { operation: Operation::$operation, $($row)*, ..row::USUAL }),*];

        impl Operation {
            pub fn row(self) -> &'static Row {
                match self {
                    $(Operation::$operation => const { &Row { operation: Operation::$operation, $($row)*, ..row::USUAL } },)*
                }
            }
        }
    };
}

/// The flags of a batch of measure points, and the members that they become.
const OF_A_BATCH: &[(Flag, &str)] = &[
    (Flag::ENOS_REQUEST_ALLOW_OFFLINE_SUBDEVICE, "allowOfflineSubDevice"),
    (Flag::ENOS_REQUEST_SKIP_INVALID_POINTS, "skipInvalidMeasurepoints"),
];

table! {
    ENOS_OP_OTHER { path: "{}", params: Params::Json }
    ENOS_OP_PUBLISH {
        scope: Scope::Own,
        path: "{}",
        params: Params::Bytes,
        reply: Reply::None,
        senders: Senders::ANY
    }
    ENOS_OP_MEASUREPOINT_POST {
        path: "thing/measurepoint/post",
        time: Time::OfAll,
        durable: Durability::KeptThenLate(Operation::ENOS_OP_MEASUREPOINT_RESUME),
        check: measurepoints::check
    }
    ENOS_OP_MEASUREPOINT_POST_BATCH {
        path: "thing/measurepoint/post/batch",
        params: Params::Array,
        time: Time::OfEach,
        members: OF_A_BATCH,
        durable: Durability::KeptThenLate(Operation::ENOS_OP_MEASUREPOINT_RESUME_BATCH),
        check: measurepoints::check_batch
    }
    ENOS_OP_MEASUREPOINT_RESUME { path: "thing/measurepoint/resume", time: Time::OfAll, check: measurepoints::check }
    ENOS_OP_MEASUREPOINT_RESUME_BATCH {
        path: "thing/measurepoint/resume/batch",
        params: Params::Array,
        time: Time::OfEach,
        members: OF_A_BATCH,
        check: measurepoints::check_batch
    }
    ENOS_OP_EVENT_POST { path: "thing/event/{}/post", time: Time::OfAll }
    ENOS_OP_ATTRIBUTE_UPDATE { path: "thing/attribute/update" }
    ENOS_OP_ATTRIBUTE_QUERY {
        path: "thing/attribute/query",
        empty: Some(r#"{"attributes":[]}"#),
        durable: Durability::Never
    }
    ENOS_OP_ATTRIBUTE_DELETE { path: "thing/attribute/delete" }
    ENOS_OP_TAG_UPDATE { path: "thing/tag/update", params: Params::Array }
    ENOS_OP_TAG_QUERY { path: "thing/tag/query", empty: Some(r#"{"tags":[]}"#), durable: Durability::Never }
    ENOS_OP_TAG_DELETE { path: "thing/tag/delete" }
    ENOS_OP_MODEL_GET { path: "thing/tsltemplate/get", durable: Durability::Never }
    ENOS_OP_RAW_UP { path: "thing/model/up_raw", params: Params::Bytes, reply: Reply::Bytes }
    ENOS_OP_LOG_POST { path: "thing/log/post", time: Time::OfAll }
    ENOS_OP_NETWORK_STATUS_REPORT { path: "network/status/report" }
    ENOS_OP_CONNECTION_STATE_POST { path: "connection/state/post" }
    ENOS_OP_OTA_VERSION_REPORT { path: "ota/device/inform", newest_only: true }
    ENOS_OP_OTA_PROGRESS { path: "ota/device/progress", newest_only: true }
    ENOS_OP_OTA_VERSION_QUERY { path: "ota/device/getversion", durable: Durability::Never }
    ENOS_OP_SUBDEVICE_REGISTER {
        path: "thing/device/register",
        params: Params::Array,
        durable: Durability::Never,
        senders: Senders::GATEWAY
    }
    ENOS_OP_TOPOLOGY_ADD {
        path: "thing/topo/add",
        params: Params::Array,
        durable: Durability::Never,
        senders: Senders::GATEWAY
    }
    ENOS_OP_TOPOLOGY_DELETE {
        path: "thing/topo/delete",
        params: Params::Array,
        durable: Durability::Never,
        senders: Senders::GATEWAY
    }
    ENOS_OP_TOPOLOGY_GET { path: "thing/topo/get", durable: Durability::Never, senders: Senders::GATEWAY }
    ENOS_OP_SUBDEVICE_LOGIN {
        scope: Scope::Session,
        path: "combine/login",
        durable: Durability::Never,
        senders: Senders::NONE
    }
    ENOS_OP_SUBDEVICE_LOGIN_BATCH {
        scope: Scope::Session,
        path: "combine/login/batch",
        durable: Durability::Never,
        senders: Senders::NONE
    }
    ENOS_OP_SUBDEVICE_LOGOUT {
        scope: Scope::Session,
        path: "combine/logout",
        durable: Durability::Never,
        senders: Senders::NONE
    }
    ENOS_OP_INTEGRATION_MEASUREPOINT_POST {
        scope: Scope::Integration,
        path: "integration/measurepoint/post",
        params: Params::Array,
        time: Time::OfEach,
        check: measurepoints::check_batch,
        senders: Senders::CHANNEL
    }
    ENOS_OP_INTEGRATION_EVENT_POST {
        scope: Scope::Integration,
        path: "integration/event/post",
        params: Params::Array,
        time: Time::OfEach,
        senders: Senders::CHANNEL
    }
    ENOS_OP_INTEGRATION_ATTRIBUTE_POST {
        scope: Scope::Integration,
        path: "integration/attribute/post",
        params: Params::Array,
        senders: Senders::CHANNEL
    }
    ENOS_OP_INTEGRATION_RAW_UP {
        scope: Scope::Integration,
        path: "integration/model/up_raw",
        params: Params::Bytes,
        reply: Reply::Bytes,
        senders: Senders::CHANNEL
    }
}

/// The rows are in the order of their numbers.
const _: () = {
    let mut at = 1;
    while at < TABLE.len() {
        assert!((TABLE[at - 1].operation as i32) < TABLE[at].operation as i32);
        at += 1;
    }
};

/// Whether a device sends requests on topics with this scope and path.
pub fn sends(scope: Scope, path: &str) -> bool {
    TABLE.iter().any(|row| row.scope == scope && topic::level(row.path, path).is_some())
}
