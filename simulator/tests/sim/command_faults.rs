//! Commands that a cloud should never send, and a cloud that is particular about the order of acknowledgements.

use crate::common::*;
use enos_sim::{Config, Publication, Stray};
use mqttbytes::{
    v4::{PubAck, Publish},
    QoS,
};
use serde_json::{json, Value};

fn online(push_qos: u8, faults: &[&str]) -> (Sim, Client) {
    Sim::online(faulty(Config { push_qos, ..active() }, faults))
}

fn command(sim: &Sim) -> String {
    sim.cloud.command(&dk(), "thing/service/x", json!({"n": 1})).unwrap()
}

/// The command that this fault makes.
fn spoiled(fault: &str) -> (Sim, Client, Publish) {
    let (sim, mut client) = online(0, &[&format!("command:{fault}")]);
    command(&sim);
    let publish = client.next_publish();
    (sim, client, publish)
}

fn answer(client: &mut Client, body: Value) {
    client.publish("/sys/pk/dk/thing/service/x_reply", QoS::AtMostOnce, body.to_string());
}

fn acknowledge(client: &mut Client, publish: &Publish) {
    client.send(|out| PubAck::new(publish.pkid).write(out));
}

fn body(publish: &Publish) -> Value {
    serde_json::from_slice(&publish.payload).unwrap()
}

#[test]
fn the_answer_is_found_whatever_the_id_was() {
    for (fault, size) in [("no-id", None), ("numeric-id", None), ("huge-id", Some(10_000)), ("other-id", None)] {
        let (sim, mut client, publish) = spoiled(fault);
        let body = body(&publish);
        assert_eq!(body["id"].is_number(), fault == "numeric-id");
        assert_eq!(body["id"].as_str().map(str::len).filter(|len| *len > 100), size);
        let mut reply = json!({"id": body["id"], "code": 200});
        if fault == "no-id" {
            assert_eq!(body.get("id"), None);
            reply = json!({"code": 200});
        }
        answer(&mut client, reply);
        assert_eq!(sim.wait_for("command_reply")["timed_out"], false, "{fault}");
    }
}

#[test]
fn envelopes_that_are_wrong() {
    assert!(serde_json::from_slice::<Value>(&spoiled("truncated").2.payload).is_err());
    assert_eq!(body(&spoiled("text-code").2)["code"], "200");
    assert_eq!(body(&spoiled("wrong-type").2)["params"], "text");
    assert_eq!(body(&spoiled("huge=70000").2)["params"].as_str().unwrap().len(), 70_000);
    assert!(spoiled("retained").2.retain);
    assert_ne!(body(&spoiled("other-method").2)["method"], "thing.service.x");
    let (sim, mut client, deep) = spoiled("deep");
    let text = String::from_utf8(deep.payload.to_vec()).unwrap();
    assert!(text.contains(&format!("\"params\":{}", "[".repeat(10_000))));
    let id = sim.wait_for("command")["id"].clone();
    answer(&mut client, json!({"id": id, "code": 1102}));
    assert_eq!(sim.wait_for("command_reply")["code"], 1102, "the simulator knows the id all the same");
}

#[test]
fn two_commands_with_one_id() {
    let (sim, mut client) = online(0, &["command=2:same-id"]);
    let ids = [command(&sim), command(&sim)];
    let bodies = [client.next_json().1, client.next_json().1];
    assert_eq!(bodies[0]["id"], bodies[1]["id"]);
    for id in ids {
        answer(&mut client, json!({"id": bodies[0]["id"], "code": 200}));
        assert_eq!(sim.wait_for("command_reply")["id"], id);
    }
    answer(&mut client, json!({"id": bodies[0]["id"], "code": 200}));
    assert_eq!(sim.wait_for("stray_reply")["why"], serde_json::to_value(Stray::Twice).unwrap());
}

#[test]
fn anything_can_be_pushed() {
    let (sim, mut client) = online(0, &[]);
    let topic = "/sys/pk/dk/thing/service/x".to_owned();
    let payload = b"{\"id\":-1,\"params\":{}}".to_vec();
    let publication = Publication { topic, payload: payload.clone(), qos: 1, retain: true, dup: true };
    sim.cloud.push(&dk(), publication).unwrap();
    let publish = client.next_publish();
    assert_eq!(
        (publish.qos, publish.retain, publish.dup, publish.payload.to_vec()),
        (QoS::AtLeastOnce, true, true, payload)
    );
    answer(&mut client, json!({"id": -1, "code": 200}));
    let stray = sim.wait_for("stray_reply");
    assert_eq!((&stray["why"], &stray["payload"]["id"]), (&json!("unknown"), &json!(-1)));
    assert!(sim.cloud.push(&enos_sim::DeviceId::new("pk", "x"), Publication::default()).is_err());
}

#[test]
fn a_storm_of_commands_each_with_its_own_id() {
    for qos in [0, 1] {
        let (sim, mut client) = online(qos, &["command=1:storm=5000"]);
        command(&sim);
        for n in 0..5000 {
            let publish = client.next_publish();
            if n % 2 == 0 {
                answer(&mut client, json!({"id": body(&publish)["id"], "code": 200}));
            }
        }
        client.ping();
        assert_eq!(sim.cloud.open_commands(&dk()), 2500);
        let counts = sim.cloud.summary().devices[0].counts.clone();
        assert_eq!((counts.commands, counts.command_replies), (5000, 2500));
    }
}

#[test]
fn a_window_of_one_waits_for_each_puback() {
    let (sim, mut client) = online(1, &["connack:window"]);
    client.subscribe(&format!("{POST}_reply"), QoS::AtLeastOnce);
    command(&sim);
    command(&sim);
    let first = client.next_publish();
    client.publish(POST, QoS::AtLeastOnce, post("7"));
    assert!(matches!(client.next(), mqttbytes::v4::Packet::PubAck(_)));
    client.ping();
    acknowledge(&mut client, &first);
    let second = client.next_publish();
    assert_ne!(body(&second)["id"], body(&first)["id"]);
    client.ping();
    acknowledge(&mut client, &second);
    let reply = client.next_publish();
    assert_eq!(reply.topic, format!("{POST}_reply"));
}

#[test]
fn an_answer_before_the_puback_ends_the_commands() {
    let (sim, mut client) = online(1, &["connack:wedge@1"]);
    command(&sim);
    let publish = client.next_publish();
    acknowledge(&mut client, &publish);
    answer(&mut client, json!({"id": body(&publish)["id"], "code": 200}));
    assert_eq!(sim.wait_for("command_reply")["timed_out"], false);

    let id = command(&sim);
    let publish = client.next_publish();
    answer(&mut client, json!({"id": body(&publish)["id"], "code": 200}));
    assert_eq!(sim.wait_for("commands_stuck")["id"], id);
    acknowledge(&mut client, &publish);
    command(&sim);
    client.ping();

    let mut client = sim.device(DEVICE_SECRET);
    command(&sim);
    client.next_publish();
}
