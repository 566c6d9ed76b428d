//! 12_inverter.c: a whole device, over TLS, through a loss and kill -9.

use std::fs;
use std::process::Command;

use enos_sim::ca::KeyKind;
use enos_sim::Event;
use serde_json::{json, Value};
use support::desk::{device_id, Desk};
use support::program::Program;
use support::tls::Pki;

use super::{end, source, Example, INVERTER};

/// Waits until the cloud has a report like this.
fn reported(desk: &Desk, what: impl Fn(&Value) -> bool) {
    desk.wait_for(|event| match event {
        Event::Publish { topic, payload, .. } if topic.contains("/thing/measurepoint/") => {
            payload.json.as_ref().is_some_and(|json| what(&json["params"]["measurepoints"]))
        }
        _ => false,
    });
}

#[test]
fn it_is_at_most_200_lines_long() {
    let text = fs::read_to_string(source(&format!("{INVERTER}.c"))).unwrap();
    assert!(text.lines().count() <= 200, "{}", text.lines().count());
}

#[test]
fn it_reports_takes_commands_and_asks_for_its_attributes_over_tls() {
    let (example, pki) = (Example::build(INVERTER), Pki::new());
    let [cert, key] = pki.device("device", KeyKind::EcP256);
    let desk = Desk::inactive(|config| (config.plain, config.tls) = (false, Some(pki.demanding())));
    desk.cloud.change_thing(&device_id(), |thing| drop(thing.attributes.insert("limit".into(), json!(4000))));
    let start = || {
        let server = format!("ssl://localhost:{}", desk.cloud.tls_address().unwrap().port());
        let mut command: Command = example.command(&server);
        Program::start(command.env("ENOS_CA", pki.ca()).env("ENOS_CERT", &cert).env("ENOS_KEY", &key))
    };
    let call = |service: &str, params| desk.cloud.call(&device_id(), service, params).unwrap().code;

    let mut program = start();
    program.expect("CONNECTED: success");
    reported(&desk, |points| *points == json!({"power": 3600, "limit": 4000, "runs": true}));
    let attributes = desk.cloud.thing(&device_id()).attributes;
    assert_eq!((&attributes["firmware"], &attributes["ratedPower"]), (&json!("1.4.2"), &json!(5000)));
    assert_eq!(call("thing/service/measurepoint/set", json!({"limit": 3000})), Some(200));
    reported(&desk, |points| points["limit"] == 3000.0);
    assert_eq!(call("thing/service/measurepoint/set", json!({"limit": 1e6})), Some(2002));
    assert_eq!(call("thing/service/measurepoint/set", json!({"limit": null})), Some(2001));
    assert_eq!(call("thing/service/stop", json!({})), Some(200));
    reported(&desk, |points| *points == json!({"power": 0, "limit": 3000, "runs": false}));
    assert_eq!(call("thing/service/explode", json!({})), Some(1101));
    program.kill();

    let mut again = start();
    again.expect("CONNECTED: success");
    let output = end(again);
    assert!(!output.contains("ACTIVATED"), "{output}");
    assert_eq!(desk.modes(), [3, 2, 2]);
    desk.wait_for(|event| matches!(event, Event::Disconnect));
}
