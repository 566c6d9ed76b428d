//! Inbound messages, against a scripted broker.

use enos::transport::inbox::LinkEvent;
use support::broker::*;
use support::online::{online, online_with};
use support::rig::{options, Rig};

#[test]
fn a_message_comes_right_after_connack_before_any_subscription() {
    let (mut rig, broker) = (Rig::new(), Broker::bind());
    let _link = rig.open(&options(broker.address()));
    let mut peer = broker.accept();
    peer.expect(CONNECT);
    peer.send(&[connack(0), publish(b"a/topic", b"hello", Some(7))].concat());
    rig.expect("Connected");
    match rig.next() {
        LinkEvent::Message { topic, payload, qos: 1, retained: false, duplicate: false } => {
            assert_eq!((&topic[..], &payload[..]), (&b"a/topic"[..], &b"hello"[..]));
        }
        other => panic!("{other:?}"),
    }
    let puback = peer.expect(PUBACK);
    assert_eq!(puback.id(), 7);
}

#[test]
fn a_topic_may_be_any_bytes() {
    let mut rig = Rig::new();
    let (_link, mut peer) = online(&mut rig);
    let long = vec![b'x'; 65_535];
    for sent in [&b"a\0b"[..], b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"", &long] {
        peer.send(&publish(sent, b"1", None));
        match rig.next() {
            LinkEvent::Message { topic, payload, .. } => assert_eq!((&topic[..], &payload[..]), (sent, &b"1"[..])),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn retained_and_duplicate_are_told() {
    let mut rig = Rig::new();
    let (_link, mut peer) = online(&mut rig);
    let mut bytes = publish(b"t", b"p", Some(1));
    bytes[0] |= 0x09;
    peer.send(&bytes);
    match rig.next() {
        LinkEvent::Message { qos: 1, retained: true, duplicate: true, .. } => (),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_largest_message_comes_and_a_larger_one_does_not() {
    let mut rig = Rig::new();
    let (_link, mut peer) = online_with(&mut rig, |options| options.max_message = 1000);
    peer.send(&publish(b"t", &[0; 1000], None));
    rig.expect(r#"Message("t", 1000 bytes, QoS 0)"#);
    peer.send(&publish(b"t", &[0; 1001], None));
    rig.wait_dropped();
    assert_eq!(rig.dropped, 1);
    peer.send(&publish(b"kept", &[0; 65_536], None));
    rig.expect(r#"Message("kept", 65536 bytes, QoS 0)"#);
    peer.send(&publish(&[b't'; 65_535], &[0; 1000], Some(1)));
    assert!(matches!(rig.next(), LinkEvent::Message { .. }));
    // The header alone is enough.
    peer.send(&[PUBLISH << 4, 0xff, 0xff, 0xff, 0x7f]);
    assert!(matches!(rig.next(), LinkEvent::Lost { .. }));
}

#[test]
fn a_flood_is_dropped_and_counted() {
    let mut rig = Rig::with_limits(10, 1_000_000);
    let (_link, mut peer) = online(&mut rig);
    // An answer to this says that all before it has been taken in.
    peer.send(&[publish(b"t", b"x", None).repeat(1000), publish(b"t", b"x", Some(1))].concat());
    peer.expect(PUBACK);
    let mut messages = 0;
    while !rig.is_quiet() {
        assert!(matches!(rig.next(), LinkEvent::Message { .. }));
        messages += 1;
    }
    assert_eq!((messages, rig.dropped), (10, 991));
}
