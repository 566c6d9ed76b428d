//! Replies that a device does not expect.

use crate::common::*;
use enos_sim::Event;
use mqttbytes::{v4::Packet, QoS};
use serde_json::{json, Value};

/// The replies to two posts, of which the first has this fault.
fn replies(fault: &str) -> [Vec<u8>; 2] {
    let (_sim, mut client) = Sim::online(faulty(active(), &[&format!("reply=1:{fault}")]));
    client.subscribe(&format!("{POST}_reply"), QoS::AtMostOnce);
    ["41", "42"].map(|id| {
        client.post(id);
        client.next_publish().payload.to_vec()
    })
}

fn first(fault: &str) -> Value {
    let [first, second] = replies(fault).map(|payload| serde_json::from_slice::<Value>(&payload).unwrap());
    assert_eq!(second, json!({"id": "42", "code": 200, "data": {}}), "only the first is spoiled");
    first
}

#[test]
fn replies_that_are_wrong() {
    assert_eq!(first("other-id")["id"], "42");
    assert_eq!(first("no-id").get("id"), None);
    assert_eq!(first("numeric-id")["id"], 41);
    assert_eq!(first("huge-id=500")["id"].as_str().unwrap().len(), 500);
    assert_eq!(first("text-code")["code"], "200");
    assert_eq!(first("wrong-type"), json!({"id": [1], "code": {"a": "b"}, "data": "text"}));
    assert_eq!(first("huge")["data"].as_str().unwrap().len(), 1024 * 1024);
    assert!(replies("deep=70")[0].ends_with(&[&[b'['; 70][..], &[b']'; 70], b"}"].concat()));
    assert!(replies("truncated")[0].len() < 20);
}

#[test]
fn a_reply_before_the_suback() {
    let (_sim, mut client) = Sim::online(faulty(active(), &["suback:delay=300"]));
    let filter = format!("{POST}_reply");
    let mut subscribe = mqttbytes::v4::Subscribe::new(&filter, QoS::AtMostOnce);
    subscribe.pkid = 7;
    client.send(|out| subscribe.write(out));
    client.post("1");
    assert_eq!(client.next_json().0, filter);
    assert!(matches!(client.next(), Packet::SubAck(ack) if ack.pkid == 7));
}

#[test]
fn a_late_reply_overtakes_none() {
    let (sim, mut client) = Sim::online(faulty(active(), &["reply=1:delay=200"]));
    client.subscribe(&format!("{POST}_reply"), QoS::AtMostOnce);
    client.post("1");
    client.post("2");
    assert_eq!([client.next_json().1["id"].clone(), client.next_json().1["id"].clone()], ["2", "1"]);
    assert_eq!(count(&sim.stop(), |event| matches!(event, Event::Reply { sent: true, .. })), 2);
}
