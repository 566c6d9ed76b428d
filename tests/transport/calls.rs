//! Publish and subscribe: each call has its one outcome, against a scripted broker; and messages that come in.

use enos::internals::error::Status;
use enos::internals::transport::inbox::LinkEvent;
use support::broker::*;
use support::online::{online, online_with};
use support::rig::{options, Rig};

#[test]
fn qos_0_is_delivered_when_written_and_qos_1_when_acknowledged() {
    let mut rig = Rig::new();
    let (link, mut peer) = online(&mut rig);
    link.publish("zero", b"0", 0, 10).unwrap();
    rig.expect("Delivered(10)");
    let packet = peer.expect(PUBLISH);
    assert_eq!((packet.topic(), packet.payload(), packet.flags), ("zero", &b"0"[..], 0));

    link.publish("one", b"", 1, 11).unwrap();
    link.publish("one", &[7; 100_000], 1, 12).unwrap();
    let (first, second) = (peer.expect(PUBLISH), peer.expect(PUBLISH));
    assert_eq!((first.topic(), first.payload(), first.flags), ("one", &b""[..], 2));
    assert_eq!(second.payload(), [7; 100_000]);
    assert!(rig.is_quiet());
    peer.send(&puback(second.id()));
    rig.expect("Delivered(12)");
    peer.send(&puback(first.id()));
    rig.expect("Delivered(11)");
    peer.send(&puback(first.id()));
    link.publish("zero", b"", 0, 13).unwrap();
    rig.expect("Delivered(13)");
}

#[test]
fn no_more_than_the_window_is_in_flight() {
    let mut rig = Rig::new();
    let (link, mut peer) = online_with(&mut rig, |options| options.inflight = 2);
    for token in 1..=4 {
        link.publish("t", &[token as u8], 1, token).unwrap();
    }
    let (first, second) = (peer.expect(PUBLISH), peer.expect(PUBLISH));
    peer.send(&puback(first.id()));
    assert_eq!(peer.expect(PUBLISH).payload(), [3]);
    peer.send(&puback(second.id()));
    assert_eq!(peer.expect(PUBLISH).payload(), [4]);
    rig.expect("Delivered(1)");
    rig.expect("Delivered(2)");
    assert!(rig.is_quiet());
}

#[test]
fn an_answer_that_does_not_fit_the_call_is_no_outcome() {
    let mut rig = Rig::new();
    let (link, mut peer) = online(&mut rig);
    link.subscribe("t", 1, 5).unwrap();
    let subscribe = peer.expect(SUBSCRIBE).id();
    link.publish("t", b"", 1, 6).unwrap();
    let publish = peer.expect(PUBLISH).id();
    peer.send(&[suback(subscribe, &[1, 1]), unsuback(subscribe), puback(subscribe)].concat());
    peer.send(&[suback(publish, &[1]), unsuback(publish)].concat());
    peer.send(&[suback(subscribe, &[0]), puback(publish)].concat());
    rig.expect("Subscribed(5, Ok(0))");
    rig.expect("Delivered(6)");

    link.subscribe("t", 1, 7).unwrap();
    let subscribe = peer.expect(SUBSCRIBE).id();
    peer.send(&suback(subscribe, &[]));
    assert!(matches!(rig.next(), LinkEvent::NotDelivered { token: 7, .. }));
    assert!(matches!(rig.next(), LinkEvent::Lost { .. }));
}

#[test]
fn calls_beyond_what_may_wait_are_refused_and_the_others_stay() {
    let mut rig = Rig::new();
    let (link, mut peer) = online_with(&mut rig, |options| options.inflight = 1);
    let mut accepted = 0;
    let error = loop {
        match link.publish("t", b"", 1, accepted) {
            Ok(()) => accepted += 1,
            Err(e) => break e,
        }
        assert!(accepted < 10_000);
    };
    assert_eq!(error.status, Status::ENOS_ERR_QUEUE_FULL);
    for token in 0..accepted {
        let id = peer.expect(PUBLISH).id();
        peer.send(&puback(id));
        rig.expect(&format!("Delivered({token})"));
    }
    assert!(rig.is_quiet());
}

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
