//! For each fix about what a broker sends: what happens without it, and that it does not happen with it.

use crate::{
    broker::{packet, publish, Broker, CONNACK},
    driver::{connected, Driver, PATIENCE, SHORT},
    variant::{fixed, without, Flavour::*},
};
use std::path::Path;

/// Without the fix the sanitizer reports `fault`; with it nothing.
fn proves(fix: &str, fault: &str, scene: impl Fn(&Path) -> Driver) {
    let end = scene(&without(&[fix], Address)).end();
    assert!(!end.clean && end.report.contains(fault), "without {fix} there should be: {fault}\n{}", end.report);
    scene(&fixed(Address)).end_clean();
}

#[test]
fn a_publish_whose_write_fails_is_freed_once() {
    proves("0002-publish-owner", "freed by thread", |binary| {
        let broker = Broker::new();
        let (mut driver, _peer) = connected(binary, &broker);
        driver.tell("break 0");
        driver.ask("publish 0 1 1000");
        driver.event_within("@0 lost", PATIENCE);
        driver
    });
}

#[test]
fn an_ack_of_another_kind_frees_no_publish() {
    let scene = |binary: &Path| {
        let broker = Broker::new();
        let (mut driver, mut peer) = connected(binary, &broker);
        for (qos, acks) in [(1, [0x90, 0xb0, 0x50, 0x70]), (2, [0x90, 0xb0, 0x70, 0x40])] {
            driver.ask(&format!("publish 0 {qos} 1000"));
            let sent = std::iter::from_fn(|| peer.packet()).find(|packet| packet.kind == 3); // or PUBREL for a PUBREC
            let Some(body) = sent.map(|packet| packet.body) else { break };
            let id = &body[2 + "out/topic".len()..][..2];
            for ack in acks {
                let code = if ack == 0x90 { &[1][..] } else { &[] };
                peer.send(&packet(ack, &[id, code].concat()));
            }
        }
        peer.reset();
        driver.event_within("@0 lost", PATIENCE);
        driver
    };
    // The fix for the match keeps such an ack away from the command; each of the two is enough for the memory.
    let end = scene(&without(&["0002-publish-owner", "0003-ack-kind"], Address)).end();
    assert!(end.report.contains("freed by thread"), "{}", end.report);
    scene(&without(&["0002-publish-owner"], Address)).end_clean();
    scene(&without(&["0003-ack-kind"], Address)).end_clean();
    scene(&fixed(Address)).end_clean();
}

#[test]
fn an_ack_answers_only_its_own_kind() {
    // A publish answered by PUBCOMP, SUBACK and UNSUBACK, then by PUBACK.
    let scene = |binary: &Path| {
        let broker = Broker::new();
        let (mut driver, mut peer) = connected(binary, &broker);
        driver.tell("publish 0 1 10");
        let body = peer.expect(3).body;
        let id = [body[11], body[12]];
        peer.send(&packet(0x70, &id));
        let early = driver.event_within("@0 published", SHORT).is_some();
        peer.send(&packet(0x90, &[id[0], id[1], 1]));
        peer.send(&packet(0xb0, &id));
        peer.send(&packet(0x40, &id));
        (early, driver)
    };
    assert!(scene(&without(&["0003-ack-kind"], Address)).0, "without the fix PUBCOMP ends a QoS 1 publish");
    let (early, mut driver) = scene(&fixed(Address));
    assert!(!early);
    assert_eq!(driver.event("@0 published"), "@0 published 1 topic 9 payload 10");
    driver.end_clean();
}

#[test]
fn a_suback_has_a_code_for_each_topic() {
    proves("0003-ack-kind", "in on_subscribed", |binary| {
        let broker = Broker::new();
        let (mut driver, mut peer) = connected(binary, &broker);
        driver.tell("subscribe 0 3");
        let body = peer.expect(8).body;
        peer.send(&packet(0x90, &[body[0], body[1], 1]));
        driver.event_within("@0 subscribed", SHORT);
        peer.send(&packet(0x90, &[body[0], body[1], 1, 1, 1]));
        driver.event_within("@0 subscribed 3", PATIENCE);
        driver
    });
}

#[test]
fn a_suback_without_codes_frees_nothing() {
    proves("0004-suback-init", "AddressSanitizer", |binary| {
        let broker = Broker::new();
        let (mut driver, mut peer) = connected(binary, &broker);
        peer.send(&packet(0x90, &[0, 1]));
        driver.event_within("@0 lost", PATIENCE);
        driver
    });
}

#[test]
fn a_malformed_publish_leaks_no_topic() {
    proves("0005-publish-topic", "LeakSanitizer", |binary| {
        let broker = Broker::new();
        let (mut driver, mut peer) = connected(binary, &broker);
        peer.send(&packet(0x32, b"\0\x05topic\x01")); // half a packet id
        driver.event("@0 lost");
        driver
    });
}

#[test]
fn an_inbound_packet_has_a_limit() {
    let announce = |limit: u32| {
        let broker = Broker::new();
        let (mut driver, mut peer) = connected(&fixed(Address), &broker);
        driver.tell(&format!("limit 0 {limit}"));
        peer.send(&publish(0, 0, "in", &[0; 996]));
        driver.event("@0 message topic 2 payload 996"); // 1000 bytes are within the limit
        peer.send(&[0x30, 0xff, 0xff, 0xff, 0x7f]); // 256 MB are to come
        peer.send(&[0; 100]);
        let lost = driver.event_within("@0 lost", if limit > 0 { PATIENCE } else { SHORT }).is_some();
        let largest = driver.number("largest");
        driver.end_clean();
        (lost, largest)
    };
    assert_eq!(announce(0), (false, 268_435_455), "without a limit the header's word is taken");
    let (lost, largest) = announce(1000);
    assert!(lost && largest < 1_000_000, "lost: {lost}, largest: {largest}");

    // One byte more than the limit, and the limit in force before CONNACK.
    let broker = Broker::new();
    let mut driver = Driver::start(&fixed(Address));
    driver.tell(&format!("create 0 {}", broker.port()));
    driver.tell("limit 0 1000");
    driver.tell("connect 0");
    let mut peer = broker.accept();
    peer.expect(1);
    peer.send(&packet(0x20, &[0; 1001]));
    driver.event("@0 refused");
    driver.end_clean();
}

#[test]
fn unreleased_messages_have_a_limit() {
    let send = |limit: u32, count: u16| {
        let broker = Broker::new();
        let (mut driver, mut peer) = connected(&fixed(Address), &broker);
        driver.tell(&format!("limit 0 {limit}"));
        for id in 1..=count {
            peer.send(&publish(2, id, "in", &[0; 1000]));
        }
        let lost = driver.event_within("@0 lost", if limit > 0 { PATIENCE } else { SHORT }).is_some();
        driver.end_clean();
        lost
    };
    assert!(send(10_000, 200), "200 messages of 1 kB are more than 40 kB");
    assert!(!send(0, 200));

    // Those that are released do not count.
    let broker = Broker::new();
    let (mut driver, mut peer) = connected(&fixed(Address), &broker);
    driver.tell("limit 0 10000");
    for id in 1..=200u16 {
        peer.send(&publish(2, id, "in", &[0; 1000]));
        peer.expect(5);
        peer.send(&packet(0x62, &id.to_be_bytes()));
        peer.expect(7);
        driver.event("@0 message topic 2 payload 1000 qos 2");
    }
    driver.end_clean();
}

#[test]
fn connack_comes_first() {
    let scene = |binary: &Path| {
        let broker = Broker::new();
        let mut driver = Driver::start(binary);
        driver.tell(&format!("create 0 {}", broker.port()));
        driver.tell("connect 0");
        let mut peer = broker.accept();
        peer.expect(1);
        peer.send(&publish(1, 1, "in", b"early"));
        peer.send(&CONNACK);
        driver.event("@0");
        let first = driver.events().next().cloned();
        (first, driver)
    };
    // event() took the first of the two.
    let (next, _) = scene(&without(&["0012-connack-first"], Address));
    assert!(next.is_none_or(|event| event == "@0 up"));
    let (next, driver) = scene(&fixed(Address));
    assert_eq!(next, None);
    driver.end_clean();
}
