//! For each fix about what a broker sends: what happens without it, and that it does not happen with it.

use crate::{
    broker::{connack, packet, publish, Broker},
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
    proves("0002-publish-owner", "freed by", |binary| {
        let broker = Broker::bind();
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
        let broker = Broker::bind();
        let (mut driver, mut peer) = connected(binary, &broker);
        for (qos, acks) in [(1, [0x90, 0xb0, 0x50, 0x70]), (2, [0x90, 0xb0, 0x70, 0x40])] {
            driver.ask(&format!("publish 0 {qos} 1000"));
            let sent = std::iter::from_fn(|| peer.try_read()).find(|packet| packet.kind == 3); // or PUBREL for a PUBREC
            let Some(body) = sent.map(|packet| packet.body) else { break };
            let id = &body[2 + "out/topic".len()..][..2];
            for ack in acks {
                let code = if ack == 0x90 { &[1][..] } else { &[] };
                peer.try_send(&packet(ack, &[id, code].concat()));
            }
        }
        peer.reset();
        driver.event_within("@0 lost", PATIENCE);
        driver
    };
    // The fix for the match keeps such an ack away from the command, so it is enough for the memory. Without it a
    // callback is told of one kind what was written for another.
    let end = scene(&without(&["0002-publish-owner", "0003-ack-kind"], Address)).end();
    assert!(!end.clean && end.report.contains("AddressSanitizer"), "{}", end.report);
    scene(&without(&["0002-publish-owner"], Address)).end_clean();
    scene(&fixed(Address)).end_clean();
}

#[test]
fn an_ack_answers_only_its_own_kind() {
    // A publish answered by PUBCOMP, SUBACK and UNSUBACK, then by PUBACK.
    let scene = |binary: &Path| {
        let broker = Broker::bind();
        let (mut driver, mut peer) = connected(binary, &broker);
        driver.tell("publish 0 1 10");
        let body = peer.expect(3).body;
        let id = [body[11], body[12]];
        peer.try_send(&packet(0x70, &id));
        let early = driver.event_within("@0 published", SHORT).is_some();
        peer.try_send(&packet(0x90, &[id[0], id[1], 1]));
        peer.try_send(&packet(0xb0, &id));
        peer.try_send(&packet(0x40, &id));
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
        let broker = Broker::bind();
        let (mut driver, mut peer) = connected(binary, &broker);
        driver.tell("subscribe 0 3");
        let body = peer.expect(8).body;
        for wrong in [&[1][..], &[1, 1], &[1, 1, 1, 1], &[0x80; 300]] {
            peer.try_send(&packet(0x90, &[&body[..2], wrong].concat()));
        }
        driver.event_within("@0 subscribed", SHORT);
        peer.try_send(&packet(0x90, &[body[0], body[1], 1, 1, 1]));
        driver.event_within("@0 subscribed 3", PATIENCE);
        driver
    });
}

#[test]
fn a_suback_without_codes_frees_nothing() {
    proves("0004-suback-init", "AddressSanitizer", |binary| {
        let broker = Broker::bind();
        let (mut driver, mut peer) = connected(binary, &broker);
        peer.try_send(&packet(0x90, &[0, 1]));
        driver.event_within("@0 lost", PATIENCE);
        driver
    });
}

#[test]
fn a_malformed_publish_leaks_no_topic() {
    proves("0005-publish-topic", "LeakSanitizer", |binary| {
        let broker = Broker::bind();
        let (mut driver, mut peer) = connected(binary, &broker);
        peer.try_send(&packet(0x32, b"\0\x05topic\x01")); // half a packet id
        driver.event("@0 lost");
        driver
    });
}

#[test]
fn an_inbound_packet_has_a_limit() {
    let announce = |limit: u32| {
        let broker = Broker::bind();
        let (mut driver, mut peer) = connected(&fixed(Address), &broker);
        driver.tell(&format!("limit 0 {limit}"));
        peer.try_send(&publish(0, 0, "in", &[0; 996]));
        driver.event("@0 message topic 2 payload 996"); // 1000 bytes are within the limit
        peer.try_send(&[0x30, 0xff, 0xff, 0xff, 0x7f]); // 256 MB are to come
        peer.try_send(&[0; 100]);
        let lost = driver.event_within("@0 lost", if limit > 0 { PATIENCE } else { SHORT }).is_some();
        let largest = driver.number("largest");
        driver.end_clean();
        (lost, largest)
    };
    for (limit, over) in [(0, false), (1000, true)] {
        let (lost, largest) = announce(limit);
        assert!(lost == over && largest < 1_000_000, "memory is taken as bytes come: {lost}, {largest}");
    }

    // One byte more than the limit, and the limit in force before CONNACK.
    let broker = Broker::bind();
    let mut driver = Driver::start(&fixed(Address));
    driver.tell(&format!("create 0 {}", broker.port()));
    driver.tell("limit 0 1000");
    driver.tell("connect 0");
    let mut peer = broker.accept();
    peer.expect(1);
    peer.try_send(&packet(0x20, &[0; 1001]));
    driver.event("@0 refused");
    assert_eq!(driver.ask("fault 0").as_deref(), Some("fault 6 error 0 handshake 0 reason 0"));
    driver.end_clean();
}

#[test]
fn what_a_broker_may_not_send_ends_the_link() {
    let mut cases: Vec<_> = [0, 1, 8, 10, 12, 14, 15].map(|kind| packet(kind << 4, &[])).to_vec();
    cases.extend([2, 3].map(|qos| publish(qos, 1, "in", b"")));
    cases.push(publish(1, 0, "in", b""));
    for bytes in cases {
        let broker = Broker::bind();
        let (mut driver, mut peer) = connected(&fixed(Address), &broker);
        peer.try_send(&bytes);
        assert_eq!(driver.event("@0"), "@0 lost sent 1", "{bytes:?}");
        assert_eq!(driver.ask("fault 0").as_deref(), Some("fault 4 error 0 handshake 0 reason 0"));
        driver.end_clean();
    }
}

#[test]
fn connack_comes_first() {
    let broker = Broker::bind();
    let mut driver = Driver::start(&fixed(Address));
    driver.tell(&format!("create 0 {}", broker.port()));
    driver.tell("connect 0");
    let mut peer = broker.accept();
    peer.expect(1);
    peer.try_send(&publish(1, 1, "in", b"early"));
    peer.try_send(&connack(0));
    assert_eq!(driver.event("@0"), "@0 refused code -1 sent 1");
    assert_eq!(driver.events().next(), None);
    driver.end_clean();
}
