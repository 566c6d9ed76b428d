//! Publish and subscribe: each call has its one outcome, against a scripted broker; and messages that come in.

use enos::internals::error::Status;
use enos::internals::model::link::LinkEvent;
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
    link.subscribe(&[("t".into(), 1)], 5).unwrap();
    let subscribe = peer.expect(SUBSCRIBE).id();
    link.publish("t", b"", 1, 6).unwrap();
    let publish = peer.expect(PUBLISH).id();
    peer.send(&[suback(subscribe, &[1, 1]), unsuback(subscribe), puback(subscribe)].concat());
    peer.send(&[suback(publish, &[1]), unsuback(publish)].concat());
    peer.send(&[suback(subscribe, &[0]), puback(publish)].concat());
    rig.expect("Subscribed(5, [Some(0)])");
    rig.expect("Delivered(6)");

    link.subscribe(&[("t".into(), 1)], 7).unwrap();
    let subscribe = peer.expect(SUBSCRIBE).id();
    peer.send(&suback(subscribe, &[]));
    assert!(matches!(rig.next(), LinkEvent::NotDelivered { token: 7, .. }));
    assert!(matches!(rig.next(), LinkEvent::Lost { .. }));
}

#[test]
fn one_packet_subscribes_to_many_filters_and_its_answer_has_a_code_for_each() {
    let mut rig = Rig::new();
    let (link, mut peer) = online(&mut rig);
    let filters: Vec<_> = (0..300).map(|n| (format!("a/{n}/+"), n as u8 % 2)).collect();
    link.subscribe(&filters, 5).unwrap();
    let codes: Vec<u8> = (0..300).map(|n| [0, 1, 0x80, 2, 3, 0xff][n % 6]).collect();
    assert_eq!(peer.answer_filters(&codes), filters);
    let granted = |n: usize| [Some(0), Some(1), None, Some(2), None, None][n % 6];
    match rig.next() {
        LinkEvent::Subscribed { token: 5, granted: codes } => assert!(codes.into_iter().eq((0..300).map(granted))),
        other => panic!("{other:?}"),
    }
    // A refusal of all is an answer, too.
    link.subscribe(&filters[..2], 6).unwrap();
    peer.answer_filters(&[0x80, 0x80]);
    rig.expect("Subscribed(6, [None, None])");
    link.subscribe(&filters[..1], 7).unwrap();
    peer.answer_filters(&[0x80]);
    rig.expect("Subscribed(7, [None])");
}

#[test]
fn a_suback_with_fewer_or_more_codes_than_filters_is_ignored() {
    let mut rig = Rig::new();
    let (link, mut peer) = online(&mut rig);
    let filters = ["a", "b", "c"].map(|filter| (filter.to_owned(), 1));
    link.subscribe(&filters, 5).unwrap();
    let id = peer.expect(SUBSCRIBE).id();
    for wrong in [&[1][..], &[1, 1], &[1, 1, 1, 1], &[0x80; 300]] {
        peer.send(&suback(id, wrong));
    }
    peer.send(&suback(id, &[1, 0, 1]));
    rig.expect("Subscribed(5, [Some(1), Some(0), Some(1)])");
    // If no answer fits, the outcome is that of the link.
    link.subscribe(&filters, 6).unwrap();
    let id = peer.expect(SUBSCRIBE).id();
    peer.send(&suback(id, &[1, 1]));
    drop(peer);
    assert!(matches!(rig.next(), LinkEvent::NotDelivered { token: 6, .. }));
    assert!(matches!(rig.next(), LinkEvent::Lost { .. }));
}

#[test]
fn filters_that_mqtt_cannot_carry_are_refused_before_anything_is_sent() {
    let mut rig = Rig::new();
    let (link, mut peer) = online(&mut rig);
    let refused = |filters: &[(String, u8)]| link.subscribe(filters, 5).unwrap_err().status;
    assert_eq!(refused(&[]), Status::ENOS_ERR_INVALID_ARG);
    for filter in ["", "a+", "#/a", "a\0"] {
        assert_eq!(refused(&[("fine".into(), 1), (filter.into(), 1)]), Status::ENOS_ERR_INVALID_ARG, "{filter}");
    }
    assert_eq!(refused(&[("fine".into(), 1), ("a".into(), 2)]), Status::ENOS_ERR_UNSUPPORTED);
    assert_eq!(refused(&[("a".repeat(65_536), 1)]), Status::ENOS_ERR_INVALID_ARG);
    assert_eq!(refused(&vec![("a".repeat(65_535), 1); 4_097]), Status::ENOS_ERR_TOO_LARGE);
    link.publish("t", b"", 0, 6).unwrap();
    peer.expect(PUBLISH);
    rig.expect("Delivered(6)");
    assert!(rig.is_quiet());
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
        LinkEvent::Message { topic, payload, qos: 1, retained: false } => {
            assert_eq!((&topic[..], &payload[..]), (&b"a/topic"[..], &b"hello"[..]));
        }
        other => panic!("{other:?}"),
    }
    let puback = peer.expect(PUBACK);
    assert_eq!(puback.id(), 7);
}
