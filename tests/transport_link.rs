//! A link against a scripted broker: each outcome of connecting, of calls, and of the end.

#[path = "support/broker.rs"]
mod broker;
#[path = "support/rig.rs"]
mod rig;

use broker::*;
use enos::error::Status;
use enos::transport::inbox::LinkEvent;
use enos::transport::link::{Link, LinkOptions};
use rig::{options, Rig};
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// A link that is connected, and its peer.
fn online(rig: &mut Rig) -> (Link, Peer) {
    online_with(rig, |_| ())
}

fn online_with(rig: &mut Rig, change: impl FnOnce(&mut LinkOptions)) -> (Link, Peer) {
    let broker = Broker::bind();
    let mut options = options(broker.address());
    change(&mut options);
    let link = rig.open(&options);
    let peer = broker.accept_mqtt();
    rig.expect("Connected");
    (link, peer)
}

/// Paho takes note of a CONNECT just after it has written it.
fn until(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE);
        std::thread::yield_now();
    }
}

#[test]
fn connect_says_what_it_was_told_to() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let (mut rig, broker) = (Rig::new(), Broker::bind_to(address));
        let mut options = options(broker.address());
        options.keep_alive_s = 77;
        let link = Link::open(&options, 42, &rig.inbox).unwrap();
        let mut peer = broker.accept();
        let connect = peer.expect(CONNECT);
        // MQTT, level 4; user name, password, clean session; keep-alive.
        assert_eq!(connect.body[..10], *b"\x00\x04MQTT\x04\xc2\x00\x4d");
        assert_eq!(connect.credentials(), ["a device", "a user", "a password"]);
        assert!(rig.is_quiet());
        until(|| link.connect_sent());
        peer.send(&connack(0));
        assert!(matches!(rig.next_of_any(), (42, LinkEvent::Connected)));
    }
}

#[test]
fn a_connack_refuses_with_its_code() {
    for code in 1..=5 {
        let (mut rig, broker) = (Rig::new(), Broker::bind());
        let _link = rig.open(&options(broker.address()));
        let mut peer = broker.accept();
        peer.expect(CONNECT);
        peer.send(&connack(code));
        rig.expect(&format!("Refused({code})"));
        peer.expect_end();
        assert!(rig.is_quiet());
    }
}

#[test]
fn a_connack_with_an_unknown_code_is_no_refusal() {
    for code in [6, 111, 128, 255] {
        let (mut rig, broker) = (Rig::new(), Broker::bind());
        let _link = rig.open(&options(broker.address()));
        let mut peer = broker.accept();
        peer.expect(CONNECT);
        peer.send(&connack(code));
        match rig.next() {
            LinkEvent::Failed { reason, connect_sent: true } => assert!(reason.contains(&code.to_string()), "{reason}"),
            other => panic!("{other:?}"),
        }
        assert!(rig.is_quiet());
    }
}

#[test]
fn nobody_there_fails_before_the_connect() {
    let mut rig = Rig::new();
    let link = rig.open(&options(nobody()));
    assert!(matches!(rig.next(), LinkEvent::Failed { connect_sent: false, .. }));
    assert!(!link.connect_sent() && rig.is_quiet());
    drop(link);
    assert!(rig.is_quiet());
}

#[test]
fn an_end_before_connack_fails_after_the_connect() {
    type Ending = fn(Peer);
    let endings: [Ending; 5] = [
        |peer| drop(peer),
        |peer| peer.reset(),
        |mut peer| peer.send(&connack(0)[..3]),
        |mut peer| peer.send(&packet(DISCONNECT << 4, &[])),
        |mut peer| peer.send(&packet(CONNACK << 4, &[0])),
    ];
    for (n, ending) in endings.into_iter().enumerate() {
        let (mut rig, broker) = (Rig::new(), Broker::bind());
        let link = rig.open(&options(broker.address()));
        let mut peer = broker.accept();
        peer.expect(CONNECT);
        ending(peer);
        match rig.next() {
            LinkEvent::Failed { connect_sent: true, .. } => (),
            other => panic!("ending {n}: {other:?}"),
        }
        assert!(link.connect_sent() && rig.is_quiet(), "ending {n}");
    }
}

#[test]
fn without_a_connack_nothing_happens_until_the_link_is_dropped() {
    let (mut rig, broker) = (Rig::new(), Broker::bind());
    let link = rig.open(&options(broker.address()));
    let mut peer = broker.accept();
    peer.expect(CONNECT);
    assert!(link.connect_sent() && rig.is_quiet());
    let start = Instant::now();
    drop(link);
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(peer.try_read(), None, "no DISCONNECT before CONNACK");
    assert!(rig.is_quiet());
}

#[test]
fn an_end_after_connack_is_a_loss() {
    type Ending = fn(Peer);
    let endings: [Ending; 6] = [
        |peer| drop(peer),
        |peer| peer.reset(),
        |mut peer| peer.send(&connack(0)),
        |mut peer| peer.send(&packet(DISCONNECT << 4, &[])),
        |mut peer| peer.send(&packet(PUBLISH << 4, &[0, 9, b'x'])),
        |mut peer| peer.send(&[PUBLISH << 4, 0xff, 0xff, 0xff, 0xff, 0xff]),
    ];
    for (n, ending) in endings.into_iter().enumerate() {
        let mut rig = Rig::new();
        let (link, peer) = online(&mut rig);
        ending(peer);
        match rig.next() {
            LinkEvent::Lost { .. } => (),
            other => panic!("ending {n}: {other:?}"),
        }
        assert_eq!(link.publish("t", b"", 0, 1).unwrap_err().status, Status::ENOS_ERR_STATE, "ending {n}");
        drop(link);
        assert!(rig.is_quiet(), "ending {n}");
    }
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
fn a_message_before_connack_ends_the_attempt_unheard() {
    let (mut rig, broker) = (Rig::new(), Broker::bind());
    let _link = rig.open(&options(broker.address()));
    let mut peer = broker.accept();
    peer.expect(CONNECT);
    peer.send(&[publish(b"early", b"", None), connack(0)].concat());
    assert!(matches!(rig.next(), LinkEvent::Failed { connect_sent: true, .. }));
    assert!(rig.is_quiet());
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
fn every_token_has_one_outcome_when_the_link_is_lost() {
    let mut rig = Rig::new();
    let (link, mut peer) = online_with(&mut rig, |options| options.inflight = 3);
    let mut tokens = HashSet::new();
    for token in 0..20 {
        link.publish("t", b"x", 1, token).unwrap();
        tokens.insert(token);
    }
    for token in 20..23 {
        link.subscribe("t", 1, token).unwrap();
        link.unsubscribe("t", token + 10).unwrap();
        tokens.extend([token, token + 10]);
    }
    let id = peer.expect(PUBLISH).id();
    peer.send(&puback(id));
    rig.expect("Delivered(0)");
    tokens.remove(&0);
    peer.expect(PUBLISH);
    peer.reset();
    loop {
        match rig.next() {
            LinkEvent::NotDelivered { token, .. } => assert!(tokens.remove(&token), "{token} twice"),
            LinkEvent::Lost { .. } => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(tokens.is_empty(), "no outcome for {tokens:?} before the loss");
    drop(link);
    assert!(rig.is_quiet());
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
    link.subscribe("t", 1, 2).unwrap();
    link.disconnect(60_000);
    let publish = peer.expect(PUBLISH).id();
    let subscribe = peer.expect(SUBSCRIBE).id();
    peer.send(&suback(subscribe, &[0]));
    rig.expect("Subscribed(2, Ok(0))");
    let start = Instant::now();
    peer.send(&puback(publish));
    peer.expect(DISCONNECT);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    rig.expect("Delivered(1)");
    rig.expect("Closed");
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
fn what_mqtt_cannot_carry_is_refused_with_words() {
    let mut rig = Rig::new();
    let invalid = |result: enos::error::Result<()>, status: Status, name: &str| {
        let error = result.unwrap_err();
        assert_eq!(error.status, status, "{error}");
        assert!(error.message.contains(name), "{error}");
    };
    type Change = fn(&mut LinkOptions);
    let changes: [(Change, Status, &str); 6] = [
        (|o| o.client_id = "a\0b".into(), Status::ENOS_ERR_INVALID_ARG, "client id"),
        (|o| o.client_id = "x".repeat(65_536), Status::ENOS_ERR_TOO_LARGE, "client id"),
        (|o| o.username = "a\0b".into(), Status::ENOS_ERR_INVALID_ARG, "user name"),
        (|o| *o.password = "secret".repeat(20_000), Status::ENOS_ERR_TOO_LARGE, "password"),
        (|o| o.interface = Some("e\0".into()), Status::ENOS_ERR_INVALID_ARG, "interface"),
        (|o| o.interface = Some("0123456789abcdef".into()), Status::ENOS_ERR_TOO_LARGE, "interface"),
    ];
    for (change, status, name) in changes {
        let mut options = options(nobody());
        change(&mut options);
        invalid(Link::open(&options, 1, &rig.inbox).map(drop), status, name);
    }
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
fn a_call_before_connack_is_refused() {
    let (mut rig, broker) = (Rig::new(), Broker::bind());
    let link = rig.open(&options(broker.address()));
    for result in [link.publish("t", b"", 1, 1), link.subscribe("t", 1, 2), link.unsubscribe("t", 3)] {
        assert_eq!(result.unwrap_err().status, Status::ENOS_ERR_STATE);
    }
    drop(link);
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
fn an_interface_that_is_not_there_fails_the_attempt() {
    let (mut rig, broker) = (Rig::new(), Broker::bind());
    let mut options = options(broker.address());
    options.interface = Some("nosuchif0".into());
    let _link = rig.open(&options);
    assert!(matches!(rig.next(), LinkEvent::Failed { connect_sent: false, .. }));
}

#[test]
fn pahos_threads_hear_no_signal() {
    let mut rig = Rig::new();
    let _online = online(&mut rig);
    let mut threads = 0;
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        // Threads of other tests come and go.
        let Ok(status) = std::fs::read_to_string(task.unwrap().path().join("status")) else { continue };
        let field = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).unwrap().trim().to_owned();
        if field("Name:").starts_with("MQTTAsync_") {
            let blocked = u64::from_str_radix(&field("SigBlk:"), 16).unwrap();
            for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGUSR1, libc::SIGALRM, libc::SIGCHLD] {
                assert!(blocked & 1 << (signal - 1) != 0, "signal {signal} in {}", field("Name:"));
            }
            threads += 1;
        }
    }
    assert_eq!(threads, 2);
}
