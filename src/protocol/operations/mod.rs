//! The requests of a device to EnOS: their numbers, and a row of [`TABLE`] for each.
//!
//! A new message is a value of [`enos_operation`] and its row. `docs/messages.md` is generated from both.

mod measurepoints;
mod row;

pub use row::{Durability, Params, Reply, Row, Senders};

use super::topic::Scope;
use super::{envelope, topic, Identity};
use crate::error::Result;

/// What a device can tell or ask EnOS. The numbers are in programs and on flash: each is explicit, and none is used
/// again.
#[repr(i32)]
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum enos_operation {
    /// Publishes bytes on a topic of your choice. The request's name is the topic.
    ENOS_OP_PUBLISH = 2,
    /// Reports measure points. `params` is `{"measurepoints":{<id>:<value>,...},"time":<milliseconds since 1970>}` with at
    /// least one measure point. If there is no `time`, EnOS takes the time of arrival.
    ENOS_OP_MEASUREPOINT_POST = 10,
    /// Reports measure points of the past: EnOS stores them, but does not take them for the latest. `params` is the same
    /// as in `ENOS_OP_MEASUREPOINT_POST`.
    ENOS_OP_MEASUREPOINT_RESUME = 12,
}

/// The name under which Rust code knows [`enos_operation`].
pub use enos_operation as Operation;

/// Makes the table from its rows. If an operation has no row, or two, the code does not compile.
macro_rules! table {
    ($($operation:ident { $($row:tt)* })*) => {
        /// One row for each operation, in the order of the numbers.
        pub const TABLE: &[Row] = &[$(Row { operation: Operation::$operation, $($row)* }),*];

        impl Operation {
            pub fn row(self) -> &'static Row {
                match self {
                    $(Operation::$operation => &Row { operation: Operation::$operation, $($row)* },)*
                }
            }
        }
    };
}

table! {
    ENOS_OP_PUBLISH {
        scope: Scope::Own,
        path: "{}",
        params: Params::Bytes,
        has_time: false,
        reply: Reply::None,
        durable: Durability::Kept,
        senders: Senders::ALL,
        qos: 1,
        check: row::anything,
    }
    ENOS_OP_MEASUREPOINT_POST {
        scope: Scope::Thing,
        path: "thing/measurepoint/post",
        params: Params::Object,
        has_time: true,
        reply: Reply::Json,
        durable: Durability::KeptThenLate(Operation::ENOS_OP_MEASUREPOINT_RESUME),
        senders: Senders::ALL,
        qos: 1,
        check: measurepoints::check,
    }
    ENOS_OP_MEASUREPOINT_RESUME {
        scope: Scope::Thing,
        path: "thing/measurepoint/resume",
        params: Params::Object,
        has_time: true,
        reply: Reply::Json,
        durable: Durability::Kept,
        senders: Senders::ALL,
        qos: 1,
        check: measurepoints::check,
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

impl Operation {
    /// The operation with this number; `None` if this version has none.
    pub fn from_number(number: i32) -> Option<Operation> {
        TABLE.iter().map(|row| row.operation).find(|operation| *operation as i32 == number)
    }

    /// The topic of the request. `name` replaces the `{}` in the path.
    pub fn topic(self, identity: &Identity, name: &str) -> String {
        let row = self.row();
        topic::of(row.scope, identity, &row.path.replace("{}", name))
    }

    /// The topic of the reply. Subscribe to it before the first request.
    pub fn reply_topic(self, identity: &Identity, name: &str) -> String {
        topic::reply_topic(&self.topic(identity, name))
    }

    /// The `method` of the envelope, which EnOS derives from the path. Requests that are plain bytes have no envelope.
    pub fn method(self, name: &str) -> String {
        self.row().path.replace("{}", name).replace('/', ".")
    }

    /// The payload to publish. `id` must differ from the id of every other request in flight.
    pub fn request(self, id: &str, name: &str, params: &[u8]) -> Result<Vec<u8>> {
        match self.row().params {
            shape @ (Params::Object | Params::Array { .. }) => {
                let payload = envelope::request(id, &self.method(name), params)?;
                shape.check(params)?;
                Ok(payload)
            }
            Params::Bytes => {
                envelope::check_size(params.len())?;
                Ok(params.to_vec())
            }
        }
    }

    /// An error if a request cannot have this name.
    pub fn check_name(self, name: &str) -> Result<()> {
        self.row().check_name(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity::new("pk", "dk", None).unwrap()
    }

    #[test]
    fn each_operation_is_found_by_its_number() {
        for row in TABLE {
            assert_eq!(row.operation.row().path, row.path);
            assert_eq!(Operation::from_number(row.operation as i32), Some(row.operation));
        }
        assert_eq!([0, 1, -2, 11, i32::MAX].map(Operation::from_number), [None; 5]);
    }

    /// The params are checked once, so both operations must accept the same params.
    #[test]
    fn what_goes_late_has_the_same_shape() {
        for row in TABLE {
            let Durability::KeptThenLate(late) = row.durable else { continue };
            let late = late.row();
            assert_eq!(
                (row.scope, row.params, row.has_time, row.reply),
                (late.scope, late.params, late.has_time, late.reply)
            );
            assert_eq!(row.path.contains("{}"), late.path.contains("{}"));
            assert_ne!(late.durable, Durability::Never);
        }
    }

    #[test]
    fn measure_points_as_enos_documents_them() {
        let post = Operation::ENOS_OP_MEASUREPOINT_POST;
        assert_eq!(post.topic(&identity(), ""), "/sys/pk/dk/thing/measurepoint/post");
        assert_eq!(post.reply_topic(&identity(), ""), "/sys/pk/dk/thing/measurepoint/post_reply");
        assert_eq!(
            post.request("7", "", br#"{"measurepoints":{"t":1.50}}"#).unwrap(),
            br#"{"id":"7","version":"1.0","method":"thing.measurepoint.post","params":{"measurepoints":{"t":1.50}}}"#
        );
        assert!(post.request("7", "", b"[]").unwrap_err().message.contains("takes an object"));
        let resume = Operation::ENOS_OP_MEASUREPOINT_RESUME;
        assert_eq!(resume.topic(&identity(), ""), "/sys/pk/dk/thing/measurepoint/resume");
        assert_eq!(resume.method(""), "thing.measurepoint.resume");
        assert!(post.check_name("").is_ok() && post.check_name("x").is_err());
    }

    #[test]
    fn a_publish_goes_as_it_is_to_its_topic() {
        let publish = Operation::ENOS_OP_PUBLISH;
        assert_eq!(publish.topic(&identity(), "/a/b"), "/a/b");
        assert_eq!(publish.request("7", "/a/b", b"\x00\xFF").unwrap(), b"\x00\xFF");
        assert!(publish.check_name("/a/b").is_ok() && publish.check_name("/a/+").is_err());
    }
}
