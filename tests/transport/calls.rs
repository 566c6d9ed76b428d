//! Publish, subscribe, unsubscribe: each call has its one outcome, against a scripted broker.

use enos::error::Status;
use enos::transport::inbox::LinkEvent;
use support::broker::*;
use support::online::{online, online_with};
use support::rig::Rig;

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
fn subscribe_tells_the_qos_granted_or_the_refusal() {
    let mut rig = Rig::new();
    let (link, mut peer) = online(&mut rig);
    for (token, (code, shown)) in
        [(0, "Ok(0)"), (1, "Ok(1)"), (0x80, "Err(())"), (3, "Err(())"), (0x7f, "Err(())")].into_iter().enumerate()
    {
        link.subscribe("a/+/#", 1, token as u64).unwrap();
        let packet = peer.expect(SUBSCRIBE);
        assert_eq!(packet.body[2..], *b"\x00\x05a/+/#\x01");
        assert!(rig.is_quiet());
        peer.send(&suback(packet.id(), &[code]));
        rig.expect(&format!("Subscribed({token}, {shown})"));
    }
    link.unsubscribe("a/+/#", 99).unwrap();
    let packet = peer.expect(UNSUBSCRIBE);
    assert_eq!(packet.body[2..], *b"\x00\x05a/+/#");
    peer.send(&unsuback(packet.id()));
    rig.expect("Unsubscribed(99)");
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
fn what_mqtt_cannot_carry_is_refused_with_words() {
    let mut rig = Rig::new();
    let invalid = |result: enos::error::Result<()>, status: Status, name: &str| {
        let error = result.unwrap_err();
        assert_eq!(error.status, status, "{error}");
        assert!(error.message.contains(name), "{error}");
    };
    let (link, _peer) = online(&mut rig);
    let long = "x".repeat(65_536);
    for topic in ["", "a\0", "a/+", "#", &long] {
        let status = if topic.len() > 65_535 { Status::ENOS_ERR_TOO_LARGE } else { Status::ENOS_ERR_INVALID_ARG };
        invalid(link.publish(topic, b"", 0, 1), status, "topic");
    }
    for filter in ["", "a\0", "a+/b", "a/#/b", "#/", "a#", "+a"] {
        invalid(link.subscribe(filter, 0, 1), Status::ENOS_ERR_INVALID_ARG, "filter");
        invalid(link.unsubscribe(filter, 1), Status::ENOS_ERR_INVALID_ARG, "filter");
    }
    invalid(link.subscribe(&long, 0, 1), Status::ENOS_ERR_TOO_LARGE, "filter");
    invalid(link.publish("t", b"", 2, 1), Status::ENOS_ERR_UNSUPPORTED, "QoS");
    invalid(link.subscribe("t", 3, 1), Status::ENOS_ERR_INVALID_ARG, "QoS");
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
