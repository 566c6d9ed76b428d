//! Requests: each operation as EnOS documents it, their outcomes, and what is refused.

mod durable;
mod outcomes;
mod raw;
mod refused;

use std::collections::BTreeSet;
use std::fs;

use enos::internals::error::Status::*;
use enos::internals::protocol::operations::{Params, Sender, TABLE};
use enos::internals::protocol::{Identity, Operation};
use serde_json::{json, Value};
use support::broker::*;
use support::host::{last_error, Ask};
use support::native::root;
use support::scene::Scene;

/// A line of the golden file.
pub struct Line {
    pub operation: Operation,
    pub name: Option<String>,
    pub flags: u32,
    pub topic: String,
    pub method: String,
    pub params: Vec<u8>,
}

pub fn lines() -> Vec<Line> {
    let text = fs::read_to_string(root().join("tests/golden/requests.txt")).unwrap();
    let line = |line: &str| {
        let [number, name, flags, topic, method, params] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
        let operation = Operation::from_number(number.parse().unwrap()).unwrap();
        let params = match operation.row().params {
            Params::Bytes => hex::decode(params).unwrap(),
            _ => params.as_bytes().to_vec(),
        };
        Line {
            operation,
            name: (name != "-").then(|| name.to_owned()),
            flags: u32::from_str_radix(flags, 16).unwrap(),
            topic: topic.to_owned(),
            method: method.to_owned(),
            params,
        }
    };
    text.lines().filter(|line| !line.starts_with('#')).map(line).collect()
}

/// The next request that arrives at the broker, acknowledged. A subscription is granted.
pub fn next(peer: &mut Peer) -> Packet {
    loop {
        let packet = peer.read();
        match packet.kind {
            SUBSCRIBE => peer.send(&suback(packet.id(), &vec![1; packet.filters().len()])),
            PUBLISH => {
                peer.send(&puback(packet.id()));
                return packet;
            }
            _ => panic!("{packet:?}"),
        }
    }
}

pub fn body(packet: &Packet) -> Value {
    serde_json::from_slice(packet.payload()).unwrap()
}

/// Publishes the reply to a request on its reply topic.
pub fn reply(peer: &mut Peer, request: &Packet, payload: &[u8]) {
    peer.send(&publish(format!("{}_reply", request.topic()).as_bytes(), payload, None));
}

/// The reply with this code.
pub fn answer(peer: &mut Peer, request: &Packet, code: impl Into<Value>) {
    let body = json!({"id": body(request)["id"], "code": code.into(), "data": {"a": [1]}, "message": "m"}).to_string();
    reply(peer, request, body.as_bytes());
}

#[test]
fn each_operation_is_sent_as_enos_documents_it() {
    let mut scene = Scene::new();
    let identity = Identity::new("pk", "dk", None).unwrap();
    let mut seen = BTreeSet::from([1, 2]);
    for line in lines() {
        let Line { operation, name, flags, topic, method, params } = line;
        let number = operation as i32;
        seen.insert(number);
        assert_eq!(operation.topic(&identity, name.as_deref().unwrap_or_default()), topic);
        let user = 1000 + number as usize;
        let ask = Ask { flags, name: name.as_deref(), params: Some(&params), user, ..Ask::of(operation) };
        if number >= 84 {
            assert_eq!(scene.host.request(&ask), Err(ENOS_ERR_UNSUPPORTED), "a device cannot send {number}");
            continue;
        }
        let token = scene.host.request(&ask).unwrap();
        let packet = next(&mut scene.peer);
        assert_eq!((packet.topic(), packet.qos()), (&*topic, 1));
        let is_raw = operation.row().params == Params::Bytes;
        if is_raw {
            assert_eq!(packet.payload(), params);
            reply(&mut scene.peer, &packet, b"\x00\x01");
        } else {
            let mut wanted = json!({"version": "1.0", "method": method});
            wanted["params"] = serde_json::from_slice(&params).unwrap();
            if flags != 0 {
                wanted["allowOfflineSubDevice"] = true.into();
                wanted["skipInvalidMeasurepoints"] = true.into();
            }
            let request = body(&packet);
            wanted["id"] = request["id"].clone();
            assert!(request["id"].is_string() && request == wanted, "{request} is not {wanted}");
            answer(&mut scene.peer, &packet, 200);
        }
        let told = scene.host.expect("REPLY");
        assert_eq!((told.token, told.operation, told.user), (token, number, user));
        assert_eq!((told.status, told.detail_code), (ENOS_OK, 200));
        let parts = (told.data.as_deref(), told.message.as_deref());
        assert_eq!(parts, if is_raw { (None, None) } else { (Some(r#"{"a":[1]}"#), Some(r#""m""#)) });
    }
    let all: BTreeSet<i32> = TABLE.iter().map(|row| row.operation as i32).collect();
    assert_eq!(seen, all, "each operation has a line in the golden file");
}

/// What EnOS may add, and plain publishes.
#[test]
fn another_request_has_the_path_as_its_name() {
    let mut scene = Scene::new();
    let (other, publish) = (Operation::ENOS_OP_OTHER, Operation::ENOS_OP_PUBLISH);
    let token = scene.host.request(&Ask { name: Some("thing/x/y"), ..Ask::json(other, "[1]") }).unwrap();
    let packet = next(&mut scene.peer);
    assert_eq!(packet.topic(), "/sys/pk/dk/thing/x/y");
    assert_eq!((&body(&packet)["method"], &body(&packet)["params"]), (&json!("thing.x.y"), &json!([1])));
    answer(&mut scene.peer, &packet, 200);
    let told = scene.host.expect("REPLY");
    assert_eq!((told.token, told.operation, told.status), (token, 1, ENOS_OK));

    let ask = Ask { name: Some("a/b"), params: Some(b"\x00"), user: 7, ..Ask::of(publish) };
    let token = scene.host.request(&ask).unwrap();
    let packet = scene.peer.answer_publish();
    assert_eq!((packet.topic(), packet.payload()), ("a/b", &b"\x00"[..]));
    let told = scene.host.expect("DELIVERED");
    assert_eq!((told.token, told.operation, told.user, told.status), (token, 2, 7, ENOS_OK));
}

#[test]
fn a_request_without_params_has_empty_ones() {
    let mut scene = Scene::new();
    for row in TABLE.iter().filter(|row| row.check_sender(Sender::Device).is_ok()) {
        let name = row.path.contains("{}").then_some("x");
        scene.host.request(&Ask { name, ..Ask::of(row.operation) }).unwrap();
        let packet = next(&mut scene.peer);
        let expected = match (row.operation, row.params) {
            (_, Params::Bytes) => {
                assert!(packet.payload().is_empty());
                continue;
            }
            (Operation::ENOS_OP_ATTRIBUTE_QUERY, _) => json!({"attributes": []}),
            (Operation::ENOS_OP_TAG_QUERY, _) => json!({"tags": []}),
            (_, Params::Array) => json!([]),
            (_, Params::Object | Params::Json) => json!({}),
        };
        assert_eq!(body(&packet)["params"], expected);
    }
}

#[test]
fn the_typed_calls_are_requests() {
    let mut scene = Scene::new();
    for (call, operation, topic) in [
        (scene.host.post(r#"{"x":1}"#), 10, "thing/measurepoint/post"),
        (scene.host.post_event("hot", r#"{"x":1}"#, 0), 20, "thing/event/hot/post"),
        (scene.host.update_attributes(r#"{"x":1}"#, 0), 30, "thing/attribute/update"),
    ] {
        let packet = next(&mut scene.peer);
        assert_eq!((packet.topic(), &body(&packet)["params"]), (&*format!("/sys/pk/dk/{topic}"), &json!({"x": 1})));
        answer(&mut scene.peer, &packet, 200);
        let told = scene.host.expect("REPLY");
        assert_eq!((told.token, told.operation), (call.unwrap(), operation));
    }
    assert_eq!(scene.host.post_event("a/b", "{}", 0), Err(ENOS_ERR_INVALID_ARG), "{}", last_error());
}

#[test]
fn a_topic_of_the_device_is_written() {
    let scene = Scene::new();
    assert_eq!(scene.host.topic("thing/service/+").unwrap(), "/sys/pk/dk/thing/service/+");
    for path in ["", "/thing", "a+", "#/a", &"x".repeat(65_535)] {
        assert_eq!(scene.host.topic(path), Err(ENOS_ERR_INVALID_ARG), "{path}");
    }
}
