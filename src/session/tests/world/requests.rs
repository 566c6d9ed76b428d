//! Live requests of all kinds. Each outcome has the operation and the pointer of its request, and the reply to a raw
//! request is its own, although it has no id.

use zeroize::Zeroizing;

use super::{Due, World};
use crate::error::Status;
use crate::model::link::LinkEvent;
use crate::protocol::operations::TABLE;
use crate::protocol::Operation;
use crate::session::{Call, Event, EventKind};

/// What the outcome of a request has to have.
pub struct Promise {
    operation: Operation,
    user: usize,
    params: Vec<u8>,
}

impl World {
    /// The host makes a request of a random kind, with the usual or a shorter timeout.
    pub fn request(&mut self, dice: &mut fastrand::Rng) {
        // Raw requests come more often, because they wait for each other.
        let row = match dice.u32(..4) {
            0 => Operation::ENOS_OP_RAW_UP.row(),
            _ => &TABLE[dice.usize(..TABLE.len())],
        };
        let (operation, user) = (row.operation, dice.usize(..));
        let name = if row.path.contains("{}") { "x" } else { "" };
        let params = match operation {
            Operation::ENOS_OP_RAW_UP => format!("live {user}").into_bytes(),
            _ => row.empty().to_vec(),
        };
        let timeout_ms = (dice.u32(..3) == 0).then(|| dice.u64(1..60_000));
        let call = Call { operation, subdevice: 0, name, params: &params, flags: 0, timeout_ms, user };
        let now = self.now();
        if let Ok(token) = self.session.request(now, &call) {
            self.accepted.insert(token);
            self.promised.insert(token, Promise { operation, user, params });
            self.perform();
        }
    }

    pub(super) fn check_promise(&mut self, event: &Event) {
        let Some(promise) = self.promised.remove(&event.token) else { return };
        let operation = promise.operation as i32;
        let kind = match promise.operation {
            Operation::ENOS_OP_PUBLISH => EventKind::Delivered,
            _ => EventKind::Reply,
        };
        if (event.kind, event.operation, event.user) != (kind, operation, promise.user) {
            self.violate(format!("token {}: the outcome of another request: {:?}", event.token, event.kind));
        }
        let is_raw = promise.operation == Operation::ENOS_OP_RAW_UP;
        if is_raw && event.status == Status::ENOS_OK && *event.payload != promise.params {
            let got = String::from_utf8_lossy(&event.payload).into_owned();
            self.violate(format!("{:?} got the reply {got:?}", String::from_utf8_lossy(&promise.params)));
        }
    }

    /// A request reaches the cloud, which answers it. A raw answer is what was sent, and may come late, on another link. A
    /// message that the broker has retained on its topic is none.
    pub(super) fn request_arrives(&mut self, attempt: u64, delay: u64, topic: &str, payload: &[u8]) {
        let reply_topic = format!("{topic}_reply").into_bytes();
        if topic.ends_with("/up_raw") {
            let late = if self.rng.u32(..8) == 0 { 25_000 } else { 300 };
            let after = delay + self.rng.u64(0..late);
            if self.rng.u32(..16) == 0 {
                let payload = Zeroizing::new(b"retained".to_vec());
                let message = LinkEvent::Message { topic: reply_topic.clone(), payload, qos: 0, retained: true };
                self.later(after / 2, Due::Link(attempt, message));
            }
            let echo = payload.iter().copied().take_while(|byte| *byte != b'\n').collect();
            return self.later(after, Due::RawReply(reply_topic, echo));
        }
        let Ok(request) = serde_json::from_slice::<serde_json::Value>(payload) else { return };
        let Some(id) = request["id"].as_str() else { return };
        let payload = Zeroizing::new(format!(r#"{{"id":"{id}","code":200,"data":""}}"#).into_bytes());
        let message = LinkEvent::Message { topic: reply_topic, payload, qos: 0, retained: false };
        self.later(delay + 1, Due::Link(attempt, message));
    }

    /// A raw answer arrives on the link that is there.
    pub(super) fn raw_reply_arrives(&mut self, topic: Vec<u8>, payload: Vec<u8>) {
        let Some(attempt) = self.wire.as_ref().filter(|wire| !wire.is_product).map(|wire| wire.attempt) else { return };
        let payload = Zeroizing::new(payload);
        self.happen(Due::Link(attempt, LinkEvent::Message { topic, payload, qos: 0, retained: false }));
    }
}
