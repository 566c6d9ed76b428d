//! The programs that show one subject each: signing, threads, commands, several devices, events, batches.

use enos_sim::{DeviceId, Event};
use serde_json::json;
use support::desk::{device_id, Desk};
use support::host::{DEVICE_KEY, PRODUCT_KEY};
use support::native::succeed;
use support::program::Program;

use super::{desk, end, uri, Example, BATCH, COMMANDS, EVENTS, SEVERAL, THREADS};

/// docs/signing.md covers a device's login. These are a product's login, and a client id other than the device key. The
/// passwords were computed with Python's hashlib and hmac from the documents' values.
#[test]
fn signing_gives_the_known_passwords() {
    let example = Example::build("01_sign");
    for (mode, arguments, secret, passwords) in [
        (
            3,
            ["product", "123", "test", "123", "1524448722000"],
            "productSecretxxx",
            [
                "C2BF7202F432DC208014974EE8C010C9443CE5A5",
                "D06B83252541B81A6BD18BF46DC721B601BB93A8",
                "835BF08DAEEB04346B81C33A731D8C047EB751EE9780F61626FD7BAF9D1BFD79",
            ],
        ),
        (
            2,
            ["device", "654321", "test", "123456", "1548753362502"],
            "abcdefg",
            [
                "4ED8173DEEEE6E8117757E087F3EB448D8ABE78C",
                "53D00561032C47B8555B768A08FDE176A6F0D267",
                "B99032D49C706F7B27B22AB5CD2DD3C56A31E1BCBBC83BA0A2A6BB3272FBB166",
            ],
        ),
    ] {
        let output = succeed(example.workshop.command(&example.program).args(arguments).env("ENOS_SECRET", secret));
        let mut lines = output.lines();
        let [_, product_key, device_key, client_id, time] = arguments;
        let titles = [("HMACSHA1: ", "hmacsha1"), ("SHA1: ", "hmacsha1"), ("SHA256: ", "sha256")];
        for ((title, label), password) in titles.into_iter().zip(passwords) {
            assert!(lines.next().unwrap().starts_with(title), "{output}");
            let fields = format!("{client_id}|securemode={mode},signmethod={label},timestamp={time}|");
            assert_eq!(lines.next().unwrap(), format!("  client id  {fields}"));
            assert_eq!(lines.next().unwrap(), format!("  user name  {device_key}&{product_key}"));
            assert_eq!(lines.next().unwrap(), format!("  password   {password}"));
        }
        assert_eq!(lines.next(), None);
    }
}

#[test]
fn signing_says_what_is_wrong() {
    let example = Example::build("01_sign");
    let refused = |arguments: &[&str], secret: &str, code| {
        let mut command = example.workshop.command(&example.program);
        Program::start(command.args(arguments).env("ENOS_SECRET", secret)).exits(code)
    };
    assert!(refused(&["device", "p|k", "dk"], "s", 1).contains("product_key"));
    assert!(refused(&["device", "pk", "dk"], "", 1).contains("secret"));
    assert!(refused(&["device", "pk", "dk", "dk", "today"], "s", 2).contains("TIMESTAMP_MS"));
    assert!(refused(&["neither", "pk", "dk"], "s", 2).contains("PRODUCT_KEY DEVICE_KEY"));
}

/// Each worker gets the outcomes of its own posts.
#[test]
fn its_workers_post_side_by_side() {
    let (example, desk) = (Example::build(THREADS), desk());
    let mut program = example.start(&desk);
    let mut acknowledged = [0; 2];
    while acknowledged.contains(&0) || acknowledged.contains(&1) {
        let line = program.expect("let: success, code 200");
        acknowledged[usize::from(line.starts_with("outlet"))] += 1;
    }
    let output = end(program);
    assert_eq!(output.matches(" REPLY: ").count(), output.matches("let: ").count(), "{output}");
}

/// A worker that waits for a reply that never comes is released by the disconnect, not by the timeout.
#[test]
fn its_workers_end_while_they_wait() {
    let desk = Desk::inactive(|config| config.faults = vec!["reply:silence".parse().unwrap()]);
    let example = Example::build(THREADS);
    let mut program = example.start(&desk);
    program.expect("CONNECTED");
    desk.wait_for(|event| matches!(event, Event::Reply { .. }));
    let output = end(program);
    assert!(output.contains("let: ") && !output.contains("let: success"), "{output}");
}

#[test]
fn it_answers_each_command() {
    let (example, desk) = (Example::build(COMMANDS), desk());
    let mut program = example.start(&desk);
    program.expect("CONNECTED");
    let cases = [
        ("measurepoint/set", json!({"setpoint": 21.5}), 200, json!({})),
        ("measurepoint/get", json!(["setpoint"]), 200, json!({"setpoint": 21.5})),
        ("measurepoint/set", json!({"setpoint": 99}), 2002, json!({})),
        ("measurepoint/set", json!({"unknown": 1}), 2001, json!({})),
        ("measurepoint/set", json!({"setpoint": "warm"}), 2001, json!({})),
        ("measurepoint/get", json!(["setpoint", "unknown"]), 2001, json!({})),
        ("measurepoint/get", json!([]), 200, json!({})),
        ("measurepoint/get", json!(["setpoint", "setpoint"]), 200, json!({"setpoint": 21.5})),
        ("blink", json!({"times": 3}), 200, json!({"blinked": 3})),
        ("blink", json!({"times": 1e9}), 2002, json!({})),
        ("reboot", json!({}), 1101, json!({})),
    ];
    for (service, params, code, data) in &cases {
        let answer = desk.cloud.call(&device_id(), &format!("thing/service/{service}"), params.clone()).unwrap();
        assert_eq!((answer.code, &answer.json()["data"]), (Some(*code), data), "{service} {params}");
        program.expect(&format!("thing/service/{service} {params}: "));
    }
    let both = json!(["temperature", "setpoint"]);
    let answer = desk.cloud.call(&device_id(), "thing/service/measurepoint/get", both).unwrap();
    assert!(answer.json()["data"]["temperature"].as_f64().unwrap() >= 20.0);
    end(program);
}

/// The first device has no limit in the cloud, and sets its own. After that the operator's counts.
#[test]
fn it_asks_for_its_attributes_and_tells_an_event_once() {
    let (example, desk) = (Example::build(EVENTS), desk());
    let mut program = example.start(&desk);
    program.expect("the limit is 20.0");
    program.expect("overheat: 2");
    program.expect("EnOS has the event");
    end(program);
    assert_eq!(desk.cloud.thing(&device_id()).attributes["limit"], 20.0);

    desk.cloud.change_thing(&device_id(), |thing| thing.attributes["limit"] = json!(99.5));
    let mut program = example.start(&desk);
    program.expect("the limit is 99.5");
    end(program);
    assert_eq!(desk.cloud.thing(&device_id()).attributes["limit"], 99.5);
    let posts = |path: &str| desk.count(|event| matches!(event, Event::Publish { topic, .. } if topic.ends_with(path)));
    assert_eq!(["thing/attribute/update", "thing/event/overheat/post"].map(posts), [1, 1]);
}

#[test]
fn a_batch_that_was_stored_offline_arrives_after_kill_9() {
    let (example, desk) = (Example::build(BATCH), desk());
    let mut program = Program::start(&mut example.command("tcp://127.0.0.1:1"));
    program.expect("5 readings are stored");
    program.kill();
    let mut program = Program::start(&mut example.command(&uri(&desk)));
    program.expect("EnOS has 5 of");
    end(program);
    let resumed = |event: &Event| matches!(event, Event::Publish { topic, .. } if topic.ends_with("point/resume"));
    assert!(desk.count(resumed) >= 5);
}

#[test]
fn several_devices_share_a_process_and_a_storage() {
    let (example, desk) = (Example::build(SEVERAL), desk());
    let mut program = example.start(&desk);
    for _ in 0..3 {
        program.expect(" REPLY: success, code 200");
    }
    desk.cloud.kick(&DeviceId::new(PRODUCT_KEY, "dk2")).unwrap();
    program.expect("dk2 DISCONNECTED: the network");
    program.expect("dk2 CONNECTED");
    let output = end(program);
    for key in [DEVICE_KEY, "dk2", "dk3"] {
        assert_eq!(output.matches(&format!("{key} ACTIVATED: success")).count(), 1, "{output}");
        assert!(output.contains(&format!("{key} REPLY: success, code 200")), "{output}");
        assert!(output.contains(&format!("{key} DISCONNECTED: success")), "{output}");
    }
    assert_eq!(output.matches("DISCONNECTED: the network").count(), 1, "{output}");

    let mut again = example.start(&desk);
    again.expect(example.acknowledged());
    assert!(!end(again).contains("ACTIVATED"));
    assert_eq!(desk.modes().iter().filter(|mode| **mode == 3).count(), 3);
}
