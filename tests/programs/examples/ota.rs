//! 15_ota.c: a firmware is downloaded and installed, from the simulator.

use std::fs;

use enos_sim::{Device, Firmware, HttpConfig, Offer, TaskState};
use support::desk::{device_id, Desk};
use support::host::{image, PRODUCT_SECRET};
use support::native::root;

use super::{end, Example, OTA};

#[test]
fn it_downloads_installs_and_restarts_into_what_was_offered() {
    let mut bytes = b"2.0\n".to_vec();
    bytes.extend(image(300_000));
    let desk = Desk::inactive(|config| {
        config.devices = vec![Device::inactive(device_id(), PRODUCT_SECRET)];
        config.http = Some(HttpConfig::any_port());
    });
    desk.cloud.add_firmware(Firmware::from_bytes("2.0", bytes.clone()).unwrap());
    let example = Example::build(OTA);
    let mut program = example.start(&desk);
    program.expect("version 1.0 runs");
    program.expect("CONNECTED: success");
    let task = desk.cloud.offer(&device_id(), Offer::new("2.0")).unwrap();
    program.expect("OTA_OFFER: success");
    program.expect("the image is verified");
    program.expect("restart");
    program.expect("version 2.0 runs");
    program.expect("2.0 runs after its installation");
    program.expect("CONNECTED: success");
    let end_time = std::time::Instant::now() + support::broker::PATIENCE;
    while desk.cloud.task(&device_id(), task) != Some(TaskState::Succeeded) {
        assert!(std::time::Instant::now() < end_time, "{:?}", desk.cloud.task(&device_id(), task));
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    end(program);
    assert!(fs::read(example.file("system.img")).unwrap() == bytes);
    assert!(!example.file("slot.img").exists() && !example.file("slot.info").exists());
}

#[test]
fn its_sink_is_that_of_the_page() {
    let page = fs::read_to_string(root().join("docs/ota.md")).unwrap();
    let program = fs::read_to_string(root().join("c_examples/15_ota.c")).unwrap();
    let (_, rest) = program.split_once("/* -- The sink").unwrap();
    let (sink, _) = rest.split_once("\n\n/* -- The device -- */").unwrap();
    assert!(page.contains(&format!("```c\n/* -- The sink{sink}\n```\n")), "docs/ota.md has another sink");
}
