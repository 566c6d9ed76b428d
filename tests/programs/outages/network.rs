//! Half-open links: packets are dropped in one or both directions, and nobody resets the connection.

use std::time::{Duration, Instant};

use enos::error::Status;

use super::outage::{check_budget, hurried, within_budget, Device, Row, ENOS_WINDOW};
use support::mosquitto::Mosquitto;
use support::proxy::{Proxy, TO_BROKER, TO_DEVICE};

fn half_open(key: &str, ways: &[usize], outage: &'static str, words: &'static str) -> Row {
    let (_broker, proxy, mut device) = Device::behind_proxy(key);
    let set = |on| ways.iter().for_each(|way| proxy.swallow(*way, on));
    let times = device.through(|| set(true), Duration::from_secs(5), || set(false));
    Row { outage, times, connects: within_budget(&proxy.connects()), words }
}

pub fn both_ways() -> Row {
    let words = "No packet arrives, not even a reset, so the keep-alive is not answered. Attempts meanwhile end \
         by their timeout.";
    half_open("both-ways", &[TO_BROKER, TO_DEVICE], "half-open, both ways, until 5 s after it was told", words)
}

pub fn to_device() -> Row {
    let words = "The broker receives the device's packets, but its answers to the keep-alive are lost.";
    half_open("to-device", &[TO_DEVICE], "half-open, towards the device", words)
}

pub fn keep_alive_missed() -> Row {
    let words = "The broker receives no keep-alive, and closes the connection after one and a half keep-alive \
         intervals.";
    half_open("to-broker", &[TO_BROKER], "half-open, towards the broker: keep-alive missed", words)
}

/// With the default settings of a device.
pub fn cut_again_and_again() -> Row {
    let broker = Mosquitto::start();
    let proxy = Proxy::start(broker.address());
    // The shortest possible waits, so that only the budget delays the device.
    let setup = hurried(&format!("tcp://{}", proxy.address()), "again").connect_budget(3, 125_000, 1_100);
    let mut device = Device::online(setup);
    device.through(|| proxy.cut(), Duration::ZERO, || ());
    let times = device.through(|| proxy.cut(), Duration::ZERO, || ());
    let began = Instant::now();
    proxy.cut();
    let (_, told) = device.lost(began);
    assert!(told.retry_in_ms > 100_000, "the budget is used up: {told:?}");
    assert_eq!(told.status, Status::ENOS_ERR_CONFLICT);
    device.run_for(Duration::from_secs(40));
    let connects = proxy.connects();
    assert_eq!(connects.len(), 3);
    check_budget(&connects, ENOS_WINDOW);
    let words = "By the third loss three CONNECTs are used up, so the next one waits until EnOS's two minutes \
         are over. Three early losses in a row also look like another client with the same identity, and \
         the third loss is reported as such.";
    Row { outage: "link cut three times, EnOS's own budget", times, connects: 2, words }
}
