//! How a link ends: lost, closed or dropped, against a scripted broker.

use enos::internals::model::link::LinkEvent;
use std::time::{Duration, Instant};
use support::broker::*;
use support::online::{online, online_with};
use support::rig::{options, Rig};

#[test]
fn a_silent_peer_is_found_out_by_the_keep_alive() {
    let mut rig = Rig::new();
    let (_link, mut peer) = online_with(&mut rig, |options| options.keep_alive_s = 1);
    peer.expect(PINGREQ);
    peer.send(&pingresp());
    peer.expect(PINGREQ);
    assert!(matches!(rig.next(), LinkEvent::Lost { .. }));
}

#[test]
fn a_link_that_is_dropped_says_nothing_more() {
    let mut rig = Rig::new();
    let (link, mut peer) = online_with(&mut rig, |options| options.inflight = 1);
    for token in 0..5 {
        link.publish("t", b"x", 1, token).unwrap();
    }
    peer.expect(PUBLISH);
    drop(link);
    assert!(rig.is_quiet());
    peer.expect(DISCONNECT);
    assert_eq!(peer.try_read(), None);
}

#[test]
fn disconnect_with_nothing_in_flight_is_at_once() {
    let mut rig = Rig::new();
    let (link, mut peer) = online(&mut rig);
    link.publish("t", b"last words", 0, 1).unwrap();
    link.disconnect(10_000);
    assert_eq!(peer.expect(PUBLISH).payload(), b"last words");
    peer.expect(DISCONNECT);
    assert_eq!(peer.try_read(), None);
    rig.expect("Delivered(1)");
    rig.expect("Closed");
    link.disconnect(0);
    drop(link);
    assert!(rig.is_quiet());
}

#[test]
fn disconnect_waits_for_what_is_in_flight_and_no_longer() {
    let mut rig = Rig::new();
    let (link, mut peer) = online(&mut rig);
    link.publish("t", b"1", 1, 1).unwrap();
    link.subscribe(&[("t".into(), 1)], 2).unwrap();
    link.disconnect(60_000);
    let publish = peer.expect(PUBLISH).id();
    let subscribe = peer.expect(SUBSCRIBE).id();
    peer.send(&suback(subscribe, &[0]));
    rig.expect("Subscribed(2, [Some(0)])");
    let start = Instant::now();
    peer.send(&puback(publish));
    peer.expect(DISCONNECT);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    rig.expect("Delivered(1)");
    rig.expect("Closed");
    assert!(rig.is_quiet());
}

#[test]
fn disconnect_waits_for_a_message_half_written_and_for_a_subscription() {
    let mut rig = Rig::new();
    let (link, mut peer) = online(&mut rig);
    let payload = vec![7; 16_000_000];
    link.publish("t", &payload, 0, 1).unwrap();
    link.disconnect(60_000);
    assert_eq!(peer.expect(PUBLISH).payload(), payload);
    peer.expect(DISCONNECT);
    rig.expect("Delivered(1)");
    rig.expect("Closed");

    let (link, mut peer) = online(&mut rig);
    link.subscribe(&[("t".into(), 1)], 2).unwrap();
    link.disconnect(60_000);
    let id = peer.expect(SUBSCRIBE).id();
    peer.send(&suback(id, &[1]));
    peer.expect(DISCONNECT);
    rig.expect("Subscribed(2, [Some(1)])");
    rig.expect("Closed");
}

#[test]
fn a_peer_that_does_not_read_holds_up_nobody() {
    let mut rig = Rig::new();
    let (stuck, mut peer) = online(&mut rig);
    let payload = vec![7; 16_000_000];
    for token in 1..4 {
        stuck.publish("t", &payload, (token % 2) as u8, token).unwrap();
    }
    stuck.subscribe(&[("t".into(), 1)], 4).unwrap();
    let (healthy, mut other) = online(&mut rig);
    healthy.publish("t", b"", 0, 10).unwrap();
    other.expect(PUBLISH);
    rig.expect("Delivered(10)");
    let start = Instant::now();
    drop(stuck);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    peer.expect_end();
    healthy.publish("t", b"", 0, 11).unwrap();
    rig.expect("Delivered(11)");
    assert!(rig.is_quiet());
}

/// Paho applied the connect timeout, 3 s here, to a disconnect that waits.
#[test]
fn disconnect_waits_on_a_link_older_than_its_connect_timeout() {
    let mut rig = Rig::new();
    let (link, mut peer) = online_with(&mut rig, |options| options.connect_timeout_ms = 0);
    link.publish("t", b"1", 1, 1).unwrap();
    let id = peer.expect(PUBLISH).id();
    link.disconnect(60_000);
    rig.waker.clear();
    rig.waker.rest();
    assert!(!rig.waker.wait(Some(8_000)).unwrap(), "8 s without an event: Paho looks every 3 s");
    peer.send(&puback(id));
    peer.expect(DISCONNECT);
    rig.expect("Delivered(1)");
    rig.expect("Closed");
}

#[test]
fn disconnect_gives_up_after_its_time() {
    let mut rig = Rig::new();
    let (link, mut peer) = online(&mut rig);
    link.publish("t", b"1", 1, 1).unwrap();
    peer.expect(PUBLISH);
    link.disconnect(100);
    peer.expect(DISCONNECT);
    assert!(matches!(rig.next(), LinkEvent::NotDelivered { token: 1, .. }));
    rig.expect("Closed");
    drop(link);
    assert!(rig.is_quiet());
}

#[test]
fn a_link_lost_while_disconnecting_is_closed() {
    let mut rig = Rig::new();
    let (link, mut peer) = online(&mut rig);
    link.publish("t", b"1", 1, 1).unwrap();
    peer.expect(PUBLISH);
    link.disconnect(60_000);
    peer.reset();
    assert!(matches!(rig.next(), LinkEvent::NotDelivered { token: 1, .. }));
    rig.expect("Closed");
    drop(link);
    assert!(rig.is_quiet());
}

#[test]
fn a_link_dropped_while_disconnecting_goes_at_once() {
    let mut rig = Rig::new();
    let (link, mut peer) = online_with(&mut rig, |options| options.inflight = 1);
    for token in 1..4 {
        link.publish("t", b"1", 1, token).unwrap();
    }
    peer.expect(PUBLISH);
    link.disconnect(60_000);
    drop(link);
    peer.expect(DISCONNECT);
    assert!(rig.is_quiet());
}

#[test]
fn disconnect_without_a_connection_is_closed_at_once_and_for_good() {
    let (mut rig, broker) = (Rig::new(), Broker::bind());
    let link = rig.open(&options(broker.address()));
    let mut peer = broker.accept();
    peer.expect(CONNECT);
    link.disconnect(1000);
    rig.expect("Closed");
    peer.send(&connack(0));
    peer.send(&publish(b"t", b"", Some(1)));
    peer.expect(PUBACK);
    assert!(rig.is_quiet());

    let mut rig = Rig::new();
    let (link, peer) = online(&mut rig);
    peer.reset();
    assert!(matches!(rig.next(), LinkEvent::Lost { .. }));
    link.disconnect(1000);
    assert!(rig.is_quiet(), "Lost was the end already");
}
