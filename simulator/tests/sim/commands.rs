//! Commands: sent, answered or not, kept for a device that is offline, and those that end a session.

use crate::common::*;
use enos_sim::{Cloud, Command, CommandError, Config, DeviceId};
use mqttbytes::QoS;
use serde_json::{json, Value};
use std::{thread, time::Duration};

/// The next command, which is answered with this code; returns its topic and body.
fn answer(client: &mut Client, code: i64) -> (String, Value) {
    let (topic, body) = client.next_json();
    reply(client, &topic, json!({"id": body["id"], "code": code, "data": {}}));
    (topic, body)
}

fn reply(client: &mut Client, topic: &str, body: Value) {
    client.publish(&format!("{topic}_reply"), QoS::AtMostOnce, body.to_string());
}

fn service(cloud: &Cloud) -> String {
    cloud.command(&dk(), "thing/service/x", json!({})).unwrap()
}

#[test]
fn commands_come_unasked_and_their_answers_are_timed() {
    let command = |after_posts| Command {
        suffix: "thing/service/measurepoint/set".into(),
        params: json!({"temperature": after_posts}),
        after_posts,
    };
    let (sim, mut client) = Sim::online(Config { commands: vec![command(0), command(1)], ..active() });
    let (topic, body) = client.next_json();
    assert_eq!(topic, "/sys/pk/dk/thing/service/measurepoint/set");
    assert_eq!(
        (&body["method"], &body["params"]),
        (&json!("thing.service.measurepoint.set"), &json!({"temperature": 0}))
    );
    client.publish(&format!("{topic}_reply"), QoS::AtMostOnce, json!({"id": body["id"], "code": 200}).to_string());
    let reply = sim.wait_for("command_reply");
    assert_eq!((&reply["id"], &reply["code"], &reply["timed_out"]), (&body["id"], &json!(200), &json!(false)));
    client.post("1");
    assert_eq!(client.next_json().1["params"]["temperature"], 1);

    let id = sim.cloud.command(&dk(), "rrpc/request/77", json!({})).unwrap();
    let (topic, body) = client.next_json();
    assert_eq!((topic.as_str(), &body["id"]), ("/sys/pk/dk/rrpc/request/77", &json!(id)));
    client.publish("/sys/pk/dk/rrpc/response/77", QoS::AtMostOnce, json!({"id": id, "code": 2001}).to_string());
    assert_eq!(sim.wait_for("command_reply")["code"], 2001);
    assert!(sim.cloud.command(&enos_sim::DeviceId::new("pk", "x"), "thing/disable", json!([])).is_err());
}

#[test]
fn a_command_without_an_answer_times_out() {
    let (sim, mut client) = Sim::online(Config { command_timeout: Duration::from_millis(50), ..active() });
    let id = sim.cloud.command(&dk(), "thing/disable", json!([])).unwrap();
    assert_eq!(client.next_json().0, "/sys/pk/dk/thing/disable");
    let reply = sim.wait_for("command_reply");
    assert_eq!((&reply["id"], &reply["timed_out"]), (&json!(id), &json!(true)));
}

#[test]
fn a_call_returns_the_answer() {
    let (sim, mut client) = Sim::online(active());
    thread::scope(|scope| {
        let call = scope.spawn(|| sim.cloud.call(&dk(), "thing/service/x", json!({"n": 1})).unwrap());
        let (_, body) = answer(&mut client, 2001);
        let answer = call.join().unwrap();
        assert_eq!(
            (answer.code, &answer.json()["id"], answer.topic.as_str()),
            (Some(2001), &body["id"], "/sys/pk/dk/thing/service/x_reply")
        );
    });
    let sim = Sim::start(Config { command_timeout: Duration::from_millis(50), ..active() });
    assert_eq!(sim.cloud.call(&dk(), "thing/service/x", json!({})).unwrap_err(), CommandError::Offline);
    let _client = sim.device(DEVICE_SECRET);
    assert_eq!(sim.cloud.call(&dk(), "thing/service/x", json!({})).unwrap_err(), CommandError::TimedOut);
}

#[test]
fn answers_that_nobody_waits_for_are_told() {
    let (sim, mut client) = Sim::online(active());
    service(&sim.cloud);
    let (topic, body) = answer(&mut client, 200);
    reply(&mut client, &topic, json!({"id": body["id"], "code": 200}));
    assert_eq!(sim.wait_for("stray_reply")["why"], "twice");

    let (sim, mut client) = Sim::online(Config { command_timeout: Duration::from_millis(50), ..active() });
    let id = service(&sim.cloud);
    client.next_json();
    assert_eq!(sim.wait_for("command_reply")["timed_out"], true);
    reply(&mut client, &topic, json!({"id": id, "code": 200}));
    assert_eq!(sim.wait_for("stray_reply")["why"], "late");
    reply(&mut client, &topic, json!({"code": 200}));
    let stray = sim.wait_for("stray_reply");
    assert_eq!((&stray["why"], &stray["id"]), (&json!("unknown"), &Value::Null));
    let counts = sim.cloud.summary().devices[0].counts.clone();
    assert_eq!((counts.command_replies, counts.commands_timed_out, counts.stray_replies), (0, 1, 2));
}

#[test]
fn an_answer_may_come_on_the_next_connection() {
    let (sim, mut client) = Sim::online(active());
    let id = service(&sim.cloud);
    let (topic, _) = client.next_json();
    let mut client = sim.device(DEVICE_SECRET);
    reply(&mut client, &topic, json!({"id": id, "code": 200}));
    let reply = sim.wait_for("command_reply");
    assert_eq!((&reply["id"], &reply["timed_out"]), (&json!(id), &json!(false)));
}

#[test]
fn commands_in_a_storm_all_wait_for_their_answers() {
    let (sim, mut client) = Sim::online(active());
    let ids: Vec<_> = thread::scope(|scope| {
        let sending = scope.spawn(|| (0..5000).map(|_| service(&sim.cloud)).collect());
        for _ in 0..5000 {
            answer(&mut client, 200);
        }
        sending.join().unwrap()
    });
    assert_eq!(ids.len(), 5000);
    client.ping();
    assert_eq!(sim.cloud.open_commands(&dk()), 0);
    assert_eq!(sim.cloud.summary().devices[0].counts.command_replies, 5000);
}

#[test]
fn cached_commands_come_after_the_login_one_by_one() {
    let sim = Sim::start(active());
    let cache = |n: u64| sim.cloud.command_cached(&dk(), "thing/service/x", json!({"n": n}));
    for n in 0..50 {
        cache(n).unwrap();
    }
    assert_eq!(sim.wait_for("command_cached")["waiting"], 1);
    assert_eq!(cache(50).unwrap_err(), CommandError::Full);
    assert_eq!(
        sim.cloud.command_cached(&DeviceId::new("pk", "x"), "thing/service/x", json!({})).unwrap_err(),
        CommandError::Unknown
    );
    let mut client = sim.device(DEVICE_SECRET);
    let (_, first) = client.next_json();
    client.ping();
    let mut client = sim.device(DEVICE_SECRET);
    let (topic, again) = client.next_json();
    assert_eq!(first, again, "it comes again, because it is not answered");
    client.ping();
    reply(&mut client, &topic, json!({"id": again["id"], "code": 200}));
    for n in 1..50 {
        assert_eq!(answer(&mut client, 200).1["params"]["n"], n);
    }
    client.ping();
    assert_eq!(sim.cloud.open_commands(&dk()), 0);
    cache(51).unwrap();
    assert_eq!(answer(&mut client, 200).1["params"]["n"], 51, "at once, because the device is online");
}

#[test]
fn a_cached_command_that_times_out_does_not_hold_up_the_next() {
    let sim = Sim::start(Config { command_timeout: Duration::from_millis(50), ..active() });
    for n in 0..2 {
        sim.cloud.command_cached(&dk(), "thing/service/x", json!({"n": n})).unwrap();
    }
    let mut client = sim.device(DEVICE_SECRET);
    for n in 0..2 {
        assert_eq!(client.next_json().1["params"]["n"], n);
        assert_eq!(sim.wait_for("command_reply")["timed_out"], true);
    }
}

#[test]
fn a_disabled_device_is_told_and_comes_back_when_it_is_enabled() {
    let (sim, mut client) = Sim::online(active());
    assert!(sim.cloud.disable(&dk()).unwrap());
    assert_eq!(answer(&mut client, 200).0, "/sys/pk/dk/thing/disable");
    client.end();
    assert_eq!(sim.wait_for("closed")["reason"], "the device is disabled");
    assert_eq!(sim.answer(&Login::device(DEVICE_SECRET)), 5);
    assert!(sim.cloud.enable(&dk()).unwrap());
    sim.device(DEVICE_SECRET);
    assert!(!sim.cloud.enable(&DeviceId::new("pk", "x")).unwrap());
}

#[test]
fn a_deleted_device_that_does_not_answer_is_disconnected_all_the_same() {
    let (sim, mut client) = Sim::online(active());
    for _ in 0..2 {
        sim.cloud.command_cached(&dk(), "thing/service/x", json!({})).unwrap();
    }
    client.next_json();
    assert!(sim.cloud.remove_device(&dk()).unwrap());
    assert_eq!(client.next_json().0, "/sys/pk/dk/thing/delete");
    client.end();
    assert_eq!(sim.answer(&Login::device(DEVICE_SECRET)), 5);
    assert!(!sim.cloud.remove_device(&dk()).unwrap());
    assert_eq!(sim.cloud.open_commands(&dk()), 0, "nothing is kept for it");
}

#[test]
fn commands_come_at_random() {
    let (sim, mut client) = Sim::online(Config { commands_every: Some(Duration::from_millis(1)), ..active() });
    for _ in 0..20 {
        assert!(client.next_publish().topic.starts_with("/sys/pk/dk/"));
    }
    assert!(sim.cloud.open_commands(&dk()) > 0);
}
