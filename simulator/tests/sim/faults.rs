//! Misbehaviour on demand: each fault happens, and only when it was requested.

use crate::common::*;
use enos_sim::{Command, Config, Event};
use mqttbytes::{
    v4::{Packet, PingReq, Publish, Subscribe},
    QoS,
};
use serde_json::{json, Value};
use std::{
    io::{ErrorKind, Write},
    time::{Duration, Instant},
};

/// The publication that a product-secret login gets with this fault.
fn push(fault: &str) -> Publish {
    let sim = Sim::start(faulty(config(), &[fault]));
    let mut client = sim.product();
    let publish = client.next_publish();
    assert_eq!(sim.wait_for("fault")["fault"], fault);
    publish
}

fn params(publish: &Publish) -> Value {
    serde_json::from_slice::<Value>(&publish.payload).unwrap()["params"].clone()
}

#[test]
fn activations_that_are_wrong() {
    let other = push("activation:other-device");
    assert_eq!((params(&other)["deviceKey"].as_str(), other.topic.contains("other")), (Some("dk-other"), false));
    let other = push("activation:other-topic");
    assert_eq!(other.topic, "/ext/session/pk/dk-other/thing/activate/info");
    assert_eq!(params(&other)["deviceKey"], "dk");
    assert_eq!(params(&push("activation:no-secret")).get("deviceSecret"), None);
    assert_eq!(params(&push("activation:empty-secret"))["deviceSecret"], "");
    assert_eq!(params(&push("activation:huge=70000"))["deviceSecret"].as_str().unwrap().len(), 70_000);
    assert_eq!(push("activation:garbage=333").payload.len(), 333);
    assert_eq!(push("activation:payload={\"a\":[1,2@3]}").payload, "{\"a\":[1,2@3]}");
    assert!(serde_json::from_slice::<Value>(&push("activation:truncated").payload).is_err());
    let method = serde_json::from_slice::<Value>(&push("activation:other-method").payload).unwrap();
    assert_ne!(method["method"], "thing.activate.info");
}

#[test]
fn an_activation_that_never_comes() {
    let sim = Sim::start(faulty(config(), &["activation:silence@1"]));
    let mut client = sim.product();
    client.ping();
    let mut again = Client::open(sim.address());
    assert_eq!(again.login(&Login::product()), 0);
    assert!(params(&again.next_publish())["deviceSecret"].is_string(), "only the first connection has the fault");
    assert_eq!(count(&sim.stop(), |event| matches!(event, Event::ActivationPushed { .. })), 1);
}

#[test]
fn an_activation_that_comes_twice() {
    let sim = Sim::start(faulty(config(), &["activation:twice"]));
    let mut client = sim.product();
    assert_eq!(client.next_json(), client.next_json());
}

#[test]
fn a_late_activation_does_not_hold_up_the_rest() {
    let sim = Sim::start(faulty(config(), &["activation:delay=300"]));
    let start = Instant::now();
    let mut client = Client::open(sim.address());
    // In one write, so that the activation cannot come in between on a slow machine.
    client.send(|out| {
        Login::product().connect().write(out)?;
        Subscribe { pkid: 3, ..Subscribe::new("a", QoS::AtMostOnce) }.write(out)?;
        PingReq.write(out)
    });
    assert_eq!(client.connack(), 0);
    assert!(matches!(client.next(), Packet::SubAck(ack) if ack.pkid == 3));
    assert_eq!(client.next(), Packet::PingResp);
    assert!(params(&client.next_publish())["deviceSecret"].is_string());
    assert!(start.elapsed() >= Duration::from_millis(300));
}

#[test]
fn connack_codes_for_the_first_connections() {
    // MQTT does not define the last code.
    for code in [1, 2, 3, 4, 5, 200] {
        let sim = Sim::start(faulty(active(), &[&format!("connack:code={code}@-2")]));
        let outcome = |secret: &str| {
            let mut client = Client::open(sim.address());
            let code = client.login(&Login::device(secret));
            if code > 0 {
                assert_eq!(client.end(), ErrorKind::UnexpectedEof);
            }
            code
        };
        assert_eq!(
            [outcome(DEVICE_SECRET), outcome("wrong"), outcome(DEVICE_SECRET), outcome("wrong")],
            [code, code, 0, 4]
        );
    }
}

#[test]
fn a_late_connack_takes_effect_when_it_is_sent() {
    let sim = Sim::start(faulty(config(), &["connack:delay=100"]));
    let mut client = Client::open(sim.address());
    // Packets that are sent before the CONNACK are processed after it.
    client.send(|out| Login::product().connect().write(out).and_then(|_| PingReq.write(out)));
    assert_eq!(client.connack(), 0);
    assert!(params(&client.next_publish())["deviceSecret"].is_string());
    assert_eq!(client.next(), Packet::PingResp);
}

#[test]
fn silence_instead_of_an_answer() {
    let quiet = ["connack:silence@1", "pingresp:silence@2", "puback:silence@3", "suback:silence@4", "reply:silence@5"];
    let sim = Sim::start(faulty(active(), &quiet));
    let mut client = Client::open(sim.address());
    client.write(&Login::device(DEVICE_SECRET).bytes());
    sim.wait_for("fault");
    client.write(&[0xc0, 0]);
    client.stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert_eq!(client.try_next(), Err(ErrorKind::WouldBlock), "nothing, and no end either");

    let mut client = sim.device(DEVICE_SECRET);
    client.send(|out| PingReq.write(out));
    client.post("1");
    sim.wait_for("publish");
    assert_eq!(client.subscribe("a", QoS::AtMostOnce), 0, "the next answer, no PINGRESP before it");

    let mut client = sim.device(DEVICE_SECRET);
    client.publish(POST, QoS::AtLeastOnce, post("1"));
    client.ping();

    let mut client = sim.device(DEVICE_SECRET);
    client.write(&[0x82, 6, 0, 1, 0, 1, b'a', 0]);
    client.ping();

    let mut client = sim.device(DEVICE_SECRET);
    client.subscribe(&format!("{POST}_reply"), QoS::AtMostOnce);
    client.post("1");
    client.ping();
    let counts = &sim.cloud.summary().devices[0].counts;
    assert_eq!(counts.posts_accepted, 3, "what is accepted in silence is accepted");
}

#[test]
fn a_packet_that_was_never_received() {
    let (_sim, mut client) = Sim::online(faulty(active(), &["got-publish=1:silence"]));
    client.publish(POST, QoS::AtLeastOnce, post("1"));
    client.publish(POST, QoS::AtLeastOnce, post("2"));
    assert!(matches!(client.next(), Packet::PubAck(ack) if ack.pkid == 2));
}

/// Runs a session, one answer after the other. Returns how many came, and how the link ended.
fn play(sim: &Sim) -> (usize, ErrorKind) {
    let mut client = Client::open(sim.address());
    let connect = Login::device(DEVICE_SECRET).bytes();
    let requests: [&[u8]; 5] =
        [&connect, &[0x82, 6, 0, 1, 0, 1, b'a', 0], &[0x32, 6, 0, 1, b'b', 0, 2, b'x'], &[0xc0, 0], &[0xe0, 0]];
    let mut answers = 0;
    for request in requests {
        // A close is noticed when reading, a reset when reading or writing.
        match client.stream.write_all(request) {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return (answers, error.kind()),
            _ => {}
        }
        match client.try_next() {
            Ok(_) => answers += 1,
            Err(end) => return (answers, end),
        }
    }
    unreachable!("DISCONNECT was answered")
}

#[test]
fn a_drop_at_any_packet() {
    let moments = [
        ("accept", 0),
        ("got-connect", 0),
        ("connack", 0),
        ("after-connack", 1),
        ("got-any=2", 1),
        ("suback", 1),
        ("after-suback", 2),
        ("got-publish=1", 2),
        ("puback", 2),
        ("any=3", 2),
        ("after-puback", 3),
        ("got-pingreq", 3),
        ("before-pingresp", 3),
        ("after-any=4", 4),
    ];
    for (moment, packets) in moments {
        for (how, expected) in [("close", ErrorKind::UnexpectedEof), ("reset", ErrorKind::ConnectionReset)] {
            let sim = Sim::start(faulty(active(), &[&format!("{moment}:{how}@1")]));
            assert_eq!(play(&sim), (packets, expected), "{moment}:{how}");
            assert_eq!(play(&sim).0, 4, "{moment}:{how}: the second connection is sound");
        }
    }
}

#[test]
fn raw_bytes_at_a_moment() {
    let sim = Sim::start(faulty(active(), &["connack:raw=F0ff", "after-suback:raw=30", "accept:raw=00@2"]));
    let mut client = Client::open(sim.address());
    client.write(&Login::device(DEVICE_SECRET).bytes());
    assert_eq!(client.bytes(6), [0xf0, 0xff, 0x20, 2, 0, 0]);
    client.write(&[0x82, 6, 0, 1, 0, 1, b'a', 0]);
    assert_eq!(client.bytes(6), [0x90, 3, 0, 1, 0, 0x30]);
    assert_eq!(Client::open(sim.address()).bytes(1), [0]);
}

#[test]
fn every_packet_slowly_and_in_order() {
    let sim = Sim::start(faulty(active(), &["any:delay=60", "got-pingreq:delay=60"]));
    let mut client = Client::open(sim.address());
    let start = Instant::now();
    assert_eq!(client.login(&Login::device(DEVICE_SECRET)), 0);
    assert!(start.elapsed() >= Duration::from_millis(60));
    client.publish("a", QoS::AtLeastOnce, "x");
    client.publish("a", QoS::AtLeastOnce, "y");
    client.send(|out| PingReq.write(out));
    assert!(matches!(client.next(), Packet::PubAck(ack) if ack.pkid == 1));
    assert!(matches!(client.next(), Packet::PubAck(ack) if ack.pkid == 2));
    assert_eq!(client.next(), Packet::PingResp);
    assert!(start.elapsed() >= Duration::from_millis(180));
}

#[test]
fn replies_and_subacks_with_other_codes() {
    let sim =
        Sim::start(faulty(active(), &["suback=2:code=128", "reply=1:code=1204", "reply=2:garbage", "reply=3:twice"]));
    let mut client = sim.device(DEVICE_SECRET);
    assert_eq!(client.subscribe(&format!("{POST}_reply"), QoS::AtMostOnce), 0);
    assert_eq!(client.subscribe("b", QoS::AtMostOnce), 128);
    client.post("1");
    assert_eq!(client.next_json().1["code"], 1204);
    assert_eq!(sim.wait_for("reply")["code"], 1204);
    client.post("2");
    assert_eq!(client.next_publish().payload.len(), 64);
    client.post("3");
    assert_eq!(client.next_json(), client.next_json());
}

#[test]
fn commands_have_faults_too() {
    let commands = vec![Command { suffix: "thing/service/x".into(), params: json!({}), after_posts: 0 }];
    let (_sim, mut client) = Sim::online(faulty(Config { commands, ..active() }, &["command:payload=not json"]));
    assert_eq!(client.next_publish().payload, "not json");
}

#[test]
fn the_cloud_stops_in_the_middle_of_a_delay() {
    let (sim, mut client) = Sim::online(faulty(active(), &["got-pingreq:delay=600000", "connack:delay=600000@2"]));
    client.send(|out| PingReq.write(out));
    sim.wait_for("fault");
    let mut other = Client::open(sim.address());
    other.send(|out| Login::device(DEVICE_SECRET).connect().write(out));
    sim.wait_for("fault");
    let start = Instant::now();
    sim.stop();
    assert!(start.elapsed() < PATIENCE);
    while client.try_next().is_ok() {}
}
