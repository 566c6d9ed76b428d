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
