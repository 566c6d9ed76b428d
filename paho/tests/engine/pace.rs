//! For each fix about time: what is slow without it, and that it is not with it.

use crate::{
    broker::{packet, Broker},
    driver::{connected, Driver, PATIENCE, SHORT},
    variant::{fixed, without, Flavour::*},
};
use std::{path::Path, thread, time::Duration};

/// The send thread may not have begun to run yet.
fn freeze_sender(driver: &mut Driver) {
    while driver.number("freeze 0 1") == 0 {}
}

#[test]
fn a_write_goes_on_as_soon_as_there_is_room() {
    // The broker reads only once the packet is written as far as there is room for it.
    let scene = |binary: &Path, patience| {
        let broker = Broker::new().narrow();
        let (mut driver, mut peer) = connected(binary, &broker);
        driver.tell("narrow 0");
        driver.tell("publish 0 0 400000");
        let reader = thread::spawn(move || peer.packet());
        (driver.event_within("@0 published", patience).is_some(), driver, reader)
    };
    let (done, driver, reader) = scene(&without(&["0033-pending-write"], Plain), Duration::from_secs(3));
    assert!(!done, "without the fix each part takes a second");
    drop(driver);
    reader.join().unwrap();
    let (done, driver, reader) = scene(&fixed(Plain), PATIENCE);
    assert!(done);
    assert_eq!(reader.join().unwrap().map(|packet| packet.kind), Some(3));
    driver.end_clean();
}

#[test]
fn packets_that_come_together_are_read_together() {
    const ACKS: u16 = 60;
    let scene = |binary: &Path| {
        let broker = Broker::new();
        let (mut driver, mut peer) = connected(binary, &broker);
        for _ in 0..ACKS {
            driver.tell("publish 0 1 10");
            peer.expect(3);
        }
        let before = driver.number("reads");
        let acks: Vec<u8> = (1..=ACKS).flat_map(|id| packet(0x40, &id.to_be_bytes())).collect();
        peer.send(&acks);
        driver.event(&format!("@0 published {ACKS}"));
        (driver.number("reads") - before, driver)
    };
    let (reads, _) = scene(&without(&["0034-read-ahead"], Address));
    assert!(reads >= 3 * u64::from(ACKS), "without the fix: {reads}");
    let (reads, driver) = scene(&fixed(Address));
    assert!(reads < u64::from(ACKS), "{reads}");
    driver.end_clean();
}

#[test]
fn a_publish_waits_for_no_other_thread() {
    let scene = |binary: &Path| {
        let broker = Broker::new();
        let (mut driver, mut peer) = connected(binary, &broker);
        freeze_sender(&mut driver);
        driver.tell("publish 0 0 10");
        let done = driver.event_within("@0 published", SHORT).is_some();
        driver.signal(libc::SIGUSR2);
        peer.expect(3);
        (done, driver)
    };
    assert!(!scene(&without(&["0035-send-at-once"], Address)).0, "without the fix the send thread has to run");
    let (done, driver) = scene(&fixed(Address));
    assert!(done);
    driver.end_clean();
}

#[test]
fn a_publish_that_waits_for_room_goes_out_when_there_is_some() {
    // Behind a large packet, and for room in the flight, which the driver limits to 100.
    const MESSAGES: u16 = 120;
    let broker = Broker::new().narrow();
    let (mut driver, mut peer) = connected(&fixed(Address), &broker);
    driver.tell("narrow 0");
    freeze_sender(&mut driver);
    driver.tell("publish 0 1 400000");
    for _ in 1..MESSAGES {
        driver.tell("publish 0 1 10");
    }
    for id in 1..=MESSAGES {
        let body = peer.expect(3).body;
        assert_eq!(body[11..13], id.to_be_bytes(), "in order");
        peer.send(&packet(0x40, &id.to_be_bytes()));
    }
    driver.event(&format!("@0 published {MESSAGES}"));
    driver.signal(libc::SIGUSR2);
    driver.end_clean();
}
