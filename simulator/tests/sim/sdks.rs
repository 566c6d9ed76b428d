//! Peculiarities of what Envision's SDKs send and expect.

use crate::common::*;
use enos_sim::{Config, Device, DeviceId};
use mqttbytes::QoS;
use serde_json::{json, Value};

fn answer(client: &mut Client, topic: &str, body: Value) {
    client.publish(topic, QoS::AtMostOnce, body.to_string());
}

#[test]
fn keys_may_have_64_characters_of_any_kind() {
    let id = DeviceId::new("键".repeat(64), "\u{10348}".repeat(64));
    let sim = Sim::start(Config { devices: vec![Device::active(id.clone(), DEVICE_SECRET)], ..config() });
    let mut client = sim.log_in(&Login { id: id.clone(), ..Login::device(DEVICE_SECRET) });
    client.publish(&format!("{}thing/measurepoint/post", id.sys()), QoS::AtMostOnce, post("1"));
    assert_eq!(sim.wait_for("reply")["code"], 200);
}

/// An SDK that counts its requests from 1 mistakes a command with such an id for a reply.
#[test]
fn ids_of_commands_are_far_from_those_that_devices_count() {
    let (sim, _client) = Sim::online(active());
    let id = sim.cloud.command(&dk(), "thing/service/x", json!({})).unwrap();
    assert!(id.parse::<u64>().unwrap() > u64::from(u32::MAX), "{id}");
}

#[test]
fn a_code_may_be_a_text() {
    let (sim, mut client) = Sim::online(active());
    let id = sim.cloud.command(&dk(), "thing/service/x", json!({})).unwrap();
    client.next_json();
    answer(&mut client, "/sys/pk/dk/thing/service/x_reply", json!({"id": id, "code": "1101"}));
    assert_eq!(sim.wait_for("command_reply")["code"], 1101);
}

#[test]
fn raw_data_goes_down_as_it_is_and_its_answers_come_in_order() {
    let (sim, mut client) = Sim::online(active());
    let send = |params| sim.cloud.command(&dk(), "thing/model/down_raw", params).unwrap();
    let ids = [send(json!("00ff10")), send(json!("no hex"))];
    for payload in [&b"\x00\xff\x10"[..], b"no hex"] {
        let publish = client.next_publish();
        assert_eq!((publish.topic.as_str(), &publish.payload[..]), ("/sys/pk/dk/thing/model/down_raw", payload));
    }
    for id in ids {
        client.publish("/sys/pk/dk/thing/model/down_raw_reply", QoS::AtMostOnce, vec![0xff]);
        let reply = sim.wait_for("command_reply");
        assert_eq!(
            (&reply["id"], &reply["timed_out"], &reply["payload_hex"]),
            (&id.into(), &false.into(), &"ff".into())
        );
    }
    assert_eq!(sim.cloud.summary().devices[0].counts.command_replies, 2);
}

#[test]
fn traffic_control_is_answered_on_its_own_topic() {
    let (sim, mut client) = Sim::online(active());
    let id = sim.cloud.command(&dk(), "traffic/control", json!({})).unwrap();
    let (topic, _) = client.next_json();
    answer(&mut client, &topic, json!({"id": id, "code": 200}));
    assert_eq!(sim.wait_for("command_reply")["timed_out"], false);
}

#[test]
fn an_upgrade_progresses_when_it_was_accepted() {
    let (sim, mut client) = Sim::online(active());
    let progress = |client: &mut Client| {
        let body = json!({"id": "1", "method": "ota.device.progress", "params": {"step": "10", "desc": ""}});
        answer(client, "/sys/pk/dk/ota/device/progress", body);
        sim.wait_for("reply")["code"].clone()
    };
    assert_eq!(progress(&mut client), 764);
    let id = sim.cloud.command(&dk(), "ota/device/upgrade", json!({"version": "2"})).unwrap();
    client.next_json();
    assert_eq!(progress(&mut client), 765);
    answer(&mut client, "/sys/pk/dk/ota/device/upgrade_reply", json!({"id": id, "code": 200}));
    assert_eq!(progress(&mut client), 200);
    let mut client = sim.device(DEVICE_SECRET);
    assert_eq!(progress(&mut client), 200, "after a restart, too");
}

#[test]
fn a_reply_that_is_not_sent_says_why() {
    let (sim, mut client) = Sim::online(faulty(active(), &["reply=1:silence"]));
    client.post("1");
    let reply = sim.wait_for("reply");
    assert_eq!((&reply["sent"], &reply["unsent"]), (&json!(false), &json!("not_subscribed")));
    client.subscribe(&format!("{POST}_reply"), QoS::AtMostOnce);
    client.post("2");
    let reply = sim.wait_for("reply");
    assert_eq!((&reply["sent"], &reply["unsent"]), (&json!(false), &json!("fault")));
    client.post("3");
    let reply = sim.wait_for("reply");
    assert_eq!((&reply["sent"], &reply["unsent"]), (&json!(true), &Value::Null));
}

#[test]
fn payloads_are_shown_as_they_came() {
    let (sim, mut client) = Sim::online(active());
    let payload = r#"{"id":"1","method":"thing.measurepoint.post","params":{"measurepoints":{"t":20.60,"t":1e1}}}"#;
    client.publish(POST, QoS::AtMostOnce, payload);
    client.ping();
    let records = sim.stop();
    let shown = |record: &enos_sim::Record| [record.to_string(), serde_json::to_string(record).unwrap()];
    let publish = records.iter().find(|record| record.to_string().contains("PUBLISH")).unwrap();
    for said in shown(publish) {
        assert!(said.contains(payload), "{said}");
    }
}
