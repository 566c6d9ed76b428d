//! What has to be quick: a write that goes on, packets that come together, a publish.

use crate::{
    broker::{packet, Broker},
    driver::{connected, PATIENCE},
    variant::{fixed, Flavour::*},
};
use std::thread;

#[test]
fn a_write_goes_on_as_soon_as_there_is_room() {
    // The broker reads only once the packet is written as far as there is room for it.
    let broker = Broker::bind().narrow();
    let (mut driver, mut peer) = connected(&fixed(Plain), &broker);
    driver.tell("narrow 0");
    driver.tell("publish 0 0 400000");
    let reader = thread::spawn(move || peer.try_read());
    assert!(driver.event_within("@0 published", PATIENCE).is_some());
    assert_eq!(reader.join().unwrap().map(|packet| packet.kind), Some(3));
    driver.end_clean();
}

#[test]
fn packets_that_come_together_are_read_together() {
    const ACKS: u16 = 60;
    let broker = Broker::bind();
    let (mut driver, mut peer) = connected(&fixed(Address), &broker);
    for _ in 0..ACKS {
        driver.tell("publish 0 1 10");
        peer.expect(3);
    }
    let before = driver.number("reads");
    let acks: Vec<u8> = (1..=ACKS).flat_map(|id| packet(0x40, &id.to_be_bytes())).collect();
    peer.try_send(&acks);
    driver.event(&format!("@0 published {ACKS}"));
    let reads = driver.number("reads") - before;
    assert!(reads < u64::from(ACKS) / 4, "{reads}");
    driver.end_clean();
}

#[test]
fn a_publish_that_waits_for_room_goes_out_when_there_is_some() {
    // Behind a large packet, and for room in the flight, which the driver limits to 100.
    const MESSAGES: u16 = 120;
    let broker = Broker::bind().narrow();
    let (mut driver, mut peer) = connected(&fixed(Address), &broker);
    driver.tell("narrow 0");
    driver.tell("publish 0 1 400000");
    for _ in 1..MESSAGES {
        driver.tell("publish 0 1 10");
    }
    for id in 1..=MESSAGES {
        let body = peer.expect(3).body;
        assert_eq!(body[11..13], id.to_be_bytes(), "in order");
        peer.try_send(&packet(0x40, &id.to_be_bytes()));
    }
    driver.event(&format!("@0 published {MESSAGES}"));
    driver.end_clean();
}
