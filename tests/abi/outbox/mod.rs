//! Durable messages.

mod blame;
mod broker_kills;
mod delivery;
mod drops;
mod limits;
mod replies;
mod storage;
mod subdevices;

use serde_json::{json, Value};
use support::broker::*;
use support::host::*;

const KEPT: u32 = DURABLE | UNTIL_REPLY;

fn device(broker: &Broker, store: &Store) -> Setup {
    Setup::device(broker.address()).storage(store)
}

fn params(number: u32) -> String {
    json!({"measurepoints": {"n": number}, "time": 1_700_000_000_000_u64 + u64::from(number)}).to_string()
}

fn posts_with(host: &Host, numbers: std::ops::Range<u32>, flags: u32) -> Vec<u64> {
    numbers.map(|number| host.post_flags(&params(number), flags).unwrap()).collect()
}

/// Numbered posts with UNTIL_REPLY.
fn posts(host: &Host, numbers: std::ops::Range<u32>) -> Vec<u64> {
    posts_with(host, numbers, KEPT)
}

/// A post as it arrives at the cloud.
struct Request {
    id: Value,
    topic: String,
    number: u64,
    params: Value,
}

impl Request {
    /// The next post, acknowledged; a SUBSCRIBE for the reply topic is granted.
    fn next(peer: &mut Peer) -> Request {
        loop {
            let packet = peer.read();
            match packet.kind {
                SUBSCRIBE => peer.send(&suback(packet.id(), &[1])),
                PUBLISH => {
                    peer.send(&puback(packet.id()));
                    let mut body: Value = serde_json::from_slice(packet.payload()).unwrap();
                    let params = body["params"].take();
                    let number = params["measurepoints"]["n"].as_u64().unwrap();
                    return Request { id: body["id"].take(), topic: packet.topic().to_owned(), number, params };
                }
                _ => panic!("{packet:?}"),
            }
        }
    }

    fn answer(&self, peer: &mut Peer, code: i64) {
        self.answer_as(peer, &self.id, code);
    }

    /// The answer with this id.
    fn answer_as(&self, peer: &mut Peer, id: &Value, code: i64) {
        let body = json!({"id": id, "code": code, "message": "as told", "data": {}}).to_string();
        peer.send(&publish(format!("{}_reply", self.topic).as_bytes(), body.as_bytes(), None));
    }
}
