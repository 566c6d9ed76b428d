//! The gateways in C and C++, and their inverters.

use std::fs::OpenOptions;
use std::io::Write;
use std::ops::RangeInclusive;

use enos_sim::{Device, DeviceId, Event};
use serde_json::json;
use support::desk::{device_id, Desk};
use support::host::{SUB_PRODUCT, SUB_PRODUCT_SECRET};

use super::{desk, end, Example, CPLUSPLUS_GATEWAY, GATEWAY};

pub const TABLE: &str = "inverters.txt";
const ALL: RangeInclusive<usize> = 1..=21;

fn id(number: usize) -> DeviceId {
    DeviceId::new(SUB_PRODUCT, format!("inverter-{number}"))
}

fn line(number: usize) -> String {
    format!("{SUB_PRODUCT} inverter-{number} {number}\n")
}

/// The table of so many inverters.
pub fn table(count: usize) -> String {
    (1..=count).map(line).collect()
}

/// All inverters in the gateway's topology, none of which is active yet.
pub fn inverters() -> impl Iterator<Item = Device> {
    ALL.map(|number| Device::inactive(id(number), SUB_PRODUCT_SECRET).behind(device_id()))
}

fn is_post(event: &Event) -> bool {
    matches!(event, Event::Reply { topic, code: 200, .. } if topic.ends_with("/post_reply"))
}

/// Waits until this inverter has posted, and EnOS has answered.
pub fn reported(desk: &Desk, number: usize) {
    let own = id(number).sys();
    desk.wait_for(|event| is_post(event) && matches!(event, Event::Reply { topic, .. } if topic.starts_with(&own)));
}

fn activations(desk: &Desk) -> usize {
    desk.count(|event| matches!(event, Event::SubDeviceLogin { secure_mode: 3, code: 200, .. }))
}

#[test]
fn twenty_inverters_are_activated_and_one_fails_and_one_is_added() {
    let (example, desk) = (Example::build(GATEWAY), desk());
    let mut program = example.start(&desk);
    (1..=20).for_each(|number| reported(&desk, number));
    assert_eq!((activations(&desk), desk.cloud.sub_devices_online().len()), (20, 20));

    program.expect("inverter-7 is OFFLINE: offline, as you wanted it");
    let is_logout = |event: &Event| matches!(event, Event::SubDeviceOffline { .. });
    desk.wait_for(is_logout);
    assert_eq!((desk.count(is_logout), desk.count_of(&id(7), is_logout)), (1, 1));
    program.expect("inverter-7 is ONLINE");

    OpenOptions::new().append(true).open(example.file(TABLE)).unwrap().write_all(line(21).as_bytes()).unwrap();
    program.expect("inverter-21 is ONLINE");
    reported(&desk, 21);
    let call = |number, params| desk.cloud.call(&id(number), "thing/service/measurepoint/set", params).unwrap().code;
    assert_eq!(call(21, json!({"limit": 3000})), Some(200));
    assert_eq!(call(21, json!({"unknown": 3000})), Some(2001));
    desk.wait_for(|event| match event {
        Event::Publish { topic, payload, .. } if topic.starts_with(&id(21).sys()) => {
            payload.json.as_ref().is_some_and(|json| json["params"]["measurepoints"]["power"] == 2700.0)
        }
        _ => false,
    });

    end(program);
    desk.wait_for(|event| matches!(event, Event::Disconnect));
    let refused = |event: &Event| matches!(event, Event::Reply { code, .. } if *code != 200);
    assert_eq!(desk.count(refused), 0);

    let mut again = example.start(&desk);
    again.expect("inverter-21 is ONLINE");
    assert!(!end(again).contains("ACTIVATED"));
    assert_eq!(activations(&desk), 21);
}

#[test]
fn in_cplusplus_two_inverters_report_and_are_asked() {
    let (example, desk) = (Example::build(CPLUSPLUS_GATEWAY), desk());
    let program = example.start(&desk);
    [1, 2].iter().for_each(|number| reported(&desk, *number));
    let answer = desk.cloud.call(&id(2), "thing/service/measurepoint/get", json!(["power"])).unwrap();
    assert_eq!((answer.code, &answer.json()["data"]), (Some(200), &json!({"power": 4200})));
    let output = end(program);
    for number in [1, 2] {
        assert_eq!(output.matches(&format!("inverter-{number} ACTIVATED: success")).count(), 1, "{output}");
    }
    desk.wait_for(|event| matches!(event, Event::Disconnect));
}
