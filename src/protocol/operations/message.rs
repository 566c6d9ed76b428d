//! What follows from an operation's row: topic, method and payload.

use super::row::NAME;
use super::{Operation, Params, Reply, TABLE};
use crate::error::Result;
use crate::protocol::{envelope, topic, Identity};

impl Operation {
    /// The operation with this number; `None` if this version has none.
    pub fn from_number(number: i32) -> Option<Operation> {
        TABLE.iter().map(|row| row.operation).find(|operation| *operation as i32 == number)
    }

    fn path(self, name: &str) -> String {
        self.row().path.replace(NAME, name)
    }

    /// The topic of the request. `name` replaces the `{}` in the path.
    pub fn topic(self, identity: &Identity, name: &str) -> String {
        topic::of(self.row().scope, identity, &self.path(name))
    }

    /// The topic of the reply. Subscribe to it before the first request.
    pub fn reply_topic(self, identity: &Identity, name: &str) -> String {
        topic::reply_topic(&self.topic(identity, name))
    }

    /// The `method` of the envelope, which EnOS derives from the path. Requests that are plain bytes have no envelope.
    pub fn method(self, name: &str) -> String {
        self.path(name).replace('/', ".")
    }

    /// Whether the reply is plain bytes, without an id.
    pub fn has_raw_reply(self) -> bool {
        self.row().reply == Reply::Bytes
    }

    /// The payload to publish. `id` must differ from the id of every other request in flight. `members`: the flags that
    /// become members beside params.
    pub fn request(self, id: &str, name: &str, params: &[u8], members: u32) -> Result<Vec<u8>> {
        let row = self.row();
        if row.params == Params::Bytes {
            return envelope::bytes(params);
        }
        let set = row.members.iter().filter(|(flag, _)| flag.is_in(members)).map(|(_, member)| *member);
        let payload = envelope::request(id, &self.method(name), params, set)?;
        row.params.check(params)?;
        Ok(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Durability;
    use super::*;
    use crate::error::Status;
    use crate::model::flags::Flag;

    fn identity() -> Identity {
        Identity::new("pk", "dk", None).unwrap()
    }

    #[test]
    fn each_operation_is_found_by_its_number() {
        for row in TABLE {
            assert_eq!(row.operation.row().path, row.path);
            assert_eq!(Operation::from_number(row.operation as i32), Some(row.operation));
        }
        assert_eq!([0, 3, -2, 99, i32::MAX].map(Operation::from_number), [None; 5]);
    }

    /// The params are checked once, so both operations must accept the same params.
    #[test]
    fn what_goes_late_has_the_same_shape() {
        for row in TABLE {
            let Durability::KeptThenLate(late) = row.durable else { continue };
            let late = late.row();
            assert_eq!(
                (row.scope, row.params, row.time, row.reply, row.members),
                (late.scope, late.params, late.time, late.reply, late.members)
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
            post.request("7", "", br#"{"measurepoints":{"t":1.50}}"#, 0).unwrap(),
            br#"{"id":"7","version":"1.0","method":"thing.measurepoint.post","params":{"measurepoints":{"t":1.50}}}"#
        );
        assert!(post.request("7", "", b"[]", 0).unwrap_err().message.contains("takes an object"));
        let resume = Operation::ENOS_OP_MEASUREPOINT_RESUME;
        assert_eq!(resume.topic(&identity(), ""), "/sys/pk/dk/thing/measurepoint/resume");
        assert_eq!(resume.method(""), "thing.measurepoint.resume");
    }

    #[test]
    fn flags_become_members() {
        let batch = Operation::ENOS_OP_MEASUREPOINT_POST_BATCH;
        let request = |members| String::from_utf8(batch.request("7", "", b"[{}]", members).unwrap()).unwrap();
        assert!(request(0).ends_with(r#""params":[{}]}"#));
        let (offline, skip) = (Flag::ENOS_REQUEST_ALLOW_OFFLINE_SUBDEVICE, Flag::ENOS_REQUEST_SKIP_INVALID_POINTS);
        assert!(request(skip as u32).ends_with(r#""params":[{}],"skipInvalidMeasurepoints":true}"#));
        let both = r#""params":[{}],"allowOfflineSubDevice":true,"skipInvalidMeasurepoints":true}"#;
        assert!(request(offline as u32 | skip as u32).ends_with(both));
    }

    #[test]
    fn names_are_in_topic_and_method() {
        let event = Operation::ENOS_OP_EVENT_POST;
        assert_eq!(event.reply_topic(&identity(), "hot"), "/sys/pk/dk/thing/event/hot/post_reply");
        assert_eq!(event.method("hot"), "thing.event.hot.post");
        let other = Operation::ENOS_OP_OTHER;
        assert_eq!(other.topic(&identity(), "thing/x/y"), "/sys/pk/dk/thing/x/y");
        assert_eq!(other.reply_topic(&identity(), "thing/x/y"), "/sys/pk/dk/thing/x/y_reply");
        assert_eq!(other.method("thing/x/y"), "thing.x.y");
        other.request("1", "a/b", b"[]", 0).unwrap();
        other.request("1", "a/b", b"{}", 0).unwrap();
        assert_eq!(other.request("1", "a/b", b"1", 0).unwrap_err().status, Status::ENOS_ERR_INVALID_ARG);
    }

    #[test]
    fn bytes_go_as_they_are() {
        let publish = Operation::ENOS_OP_PUBLISH;
        assert_eq!(publish.topic(&identity(), "/a/b"), "/a/b");
        assert_eq!(publish.request("7", "/a/b", b"\x00\xFF", 0).unwrap(), b"\x00\xFF");
        let raw = Operation::ENOS_OP_RAW_UP;
        assert_eq!(raw.topic(&identity(), ""), "/sys/pk/dk/thing/model/up_raw");
        assert_eq!(raw.request("7", "", b"{", 0).unwrap(), b"{");
    }
}
