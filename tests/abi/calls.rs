//! Calls and their outcomes: publish, subscribe, unsubscribe, reply; and received messages.

use enos::internals::error::Status::*;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::broker::*;
use support::host;
use support::host::{exactly_once, Setup, Store};
use support::parallel;
use support::scene::Scene;

const LARGEST: usize = 512 * 1024 - 1;

#[test]
fn each_call_has_its_outcome() {
    let Scene { mut host, mut peer, broker: _broker } = Scene::new();
    let token = host.publish("a/b", b"\0zero", 0).unwrap();
    let packet = peer.expect(PUBLISH);
    assert_eq!((packet.topic(), packet.payload(), packet.qos()), ("a/b", &b"\0zero"[..], 0));
    let told = host.expect("DELIVERED");
    assert_eq!((told.token, told.status), (token, ENOS_OK));

    let token = host.publish("a/b", b"", 1).unwrap();
    let packet = peer.answer_publish();
    assert_eq!((packet.topic(), packet.payload(), packet.flags & 9), ("a/b", &b""[..], 0), "no retain, no duplicate");
    let told = host.expect("DELIVERED");
    assert_eq!((told.token, told.status), (token, ENOS_OK));

    for (asked, granted) in [(0, 0), (1, 1), (1, 0)] {
        let token = host.subscribe("c/+/#", asked).unwrap();
        assert_eq!(peer.answer_subscribe(granted), ("c/+/#".to_owned(), asked as u8));
        let told = host.expect("SUBSCRIBED");
        assert_eq!((told.token, told.status, told.qos), (token, ENOS_OK, i32::from(granted)));
        assert_eq!(told.topic, b"c/+/#");
    }
    for refusal in [0x80, 3, 0x7f] {
        let token = host.subscribe("secret/#", 1).unwrap();
        peer.answer_subscribe(refusal);
        let told = host.expect("SUBSCRIBED");
        assert_eq!((told.token, told.status, &told.topic[..]), (token, ENOS_ERR_REFUSED, &b"secret/#"[..]));
    }

    let token = host.unsubscribe("c/+/#").unwrap();
    let packet = peer.expect(UNSUBSCRIBE);
    peer.send(&unsuback(packet.id()));
    let told = host.expect("UNSUBSCRIBED");
    assert_eq!((told.token, told.status, &told.topic[..]), (token, ENOS_OK, &b"c/+/#"[..]));

    peer.send(&publish(b"c/d/e", b"for you", Some(9)));
    assert_eq!(peer.expect(PUBACK).id(), 9);
    let told = host.expect("MESSAGE");
    assert_eq!((&told.topic[..], &told.payload[..], told.qos, told.token), (&b"c/d/e"[..], &b"for you"[..], 1, 0));
}

#[test]
fn a_call_that_is_refused_has_no_event() {
    let Scene { mut host, peer, broker: _broker } = Scene::new();
    let served = peer.oblige();
    for (result, status) in [
        (host.publish("", b"", 0), ENOS_ERR_INVALID_ARG),
        (host.publish("a/+", b"", 0), ENOS_ERR_INVALID_ARG),
        (host.publish("#", b"", 1), ENOS_ERR_INVALID_ARG),
        (host.publish(&"t".repeat(65_536), b"", 1), ENOS_ERR_INVALID_ARG),
        (host.publish("t", b"", 2), ENOS_ERR_UNSUPPORTED),
        (host.publish("t", b"", 3), ENOS_ERR_INVALID_ARG),
        (host.publish("t", b"", -1), ENOS_ERR_INVALID_ARG),
        (host.publish("t", &vec![0; LARGEST + 1], 1), ENOS_ERR_TOO_LARGE),
        (host.subscribe("a", 2), ENOS_ERR_UNSUPPORTED),
        (host.post("{"), ENOS_ERR_INVALID_ARG),
        (host.post(""), ENOS_ERR_INVALID_ARG),
        (host.post("{} {}"), ENOS_ERR_INVALID_ARG),
        (host.post("1"), ENOS_ERR_INVALID_ARG),
        (host.post(&format!("[\"{}\"]", "x".repeat(LARGEST))), ENOS_ERR_TOO_LARGE),
    ] {
        assert_eq!(result, Err(status));
    }
    for filter in ["", "a+/b", "a/#/b", "#/", "a#", "+a", &"x".repeat(65_536)] {
        assert_eq!(host.subscribe(filter, 0), Err(ENOS_ERR_INVALID_ARG), "{filter:.9}");
        assert_eq!(host.unsubscribe(filter), Err(ENOS_ERR_INVALID_ARG), "{filter:.9}");
    }
    let token = host.publish(&"t".repeat(65_535), &vec![7; LARGEST], 1).unwrap();
    assert_eq!(host.expect("DELIVERED").token, token, "the largest there is, and the first event of all these calls");
    host.go_offline();
    for result in [host.publish("t", b"", 0), host.post("{}")] {
        assert_eq!(result, Err(ENOS_ERR_STATE));
    }
    let packets = served.join().unwrap();
    assert!(packets.iter().all(|packet| matches!(packet.kind, PUBLISH | DISCONNECT)), "{packets:?}");
    exactly_once(&[token], &host.seen);
}

#[test]
fn one_call_more_than_the_limit_is_queue_full_until_an_outcome_comes() {
    let Scene { mut host, mut peer, broker: _broker } = Scene::with(|setup| setup.inflight(3));
    let tokens = [host.publish("t", b"1", 1), host.publish("t", b"1", 1), host.post("{}")].map(Result::unwrap);
    for result in [host.publish("t", b"", 0), host.post("{}")] {
        assert_eq!(result, Err(ENOS_ERR_QUEUE_FULL));
    }
    peer.answer_publish();
    assert_eq!(host.expect("DELIVERED").token, tokens[0]);
    host.expect("ROOM");
    let next = host.publish("t", b"2", 1).unwrap();
    assert_eq!(host.publish("t", b"3", 1), Err(ENOS_ERR_QUEUE_FULL));
    let served = peer.oblige();
    assert_eq!(host.expect("DELIVERED").token, tokens[1]);
    host.expect("ROOM");
    assert_eq!(host.expect("DELIVERED").token, next);
    host.go_offline();
    exactly_once(&[&tokens[..], &[next]].concat(), &host.seen);
    served.join().unwrap();
}

#[test]
fn the_token_is_there_before_its_event_runs() {
    const CALLS: usize = 3000;
    let tokens: Arc<Vec<AtomicU64>> = Arc::new((0..CALLS).map(|_| AtomicU64::new(0)).collect());
    let unknown = Arc::new(AtomicUsize::new(0));
    let (given, missed) = (Arc::clone(&tokens), Arc::clone(&unknown));
    let Scene { mut host, peer, broker: _broker } = Scene::with(move |setup| {
        setup.inflight(10_000).on_event(move |_, told| {
            if told.token != 0 && given.iter().all(|token| token.load(Ordering::SeqCst) != told.token) {
                missed.fetch_add(1, Ordering::SeqCst);
            }
        })
    });
    let served = peer.oblige();
    std::thread::scope(|scope| {
        for part in tokens.chunks(CALLS / 3) {
            let client = host.client();
            scope.spawn(move || {
                for (at, token) in part.iter().enumerate() {
                    assert_eq!(client.publish_into(c"t", (at % 2) as i32, token), ENOS_OK);
                }
            });
        }
    });
    let tokens: Vec<u64> = tokens.iter().map(|token| token.load(Ordering::SeqCst)).collect();
    assert!(host.outcomes(&tokens).values().all(|told| told.status == ENOS_OK));
    assert_eq!(unknown.load(Ordering::SeqCst), 0, "events ran before their token was written");
    host.go_offline();
    served.join().unwrap();
}

#[test]
fn disconnect_gives_what_is_under_way_its_outcome_first() {
    let Scene { mut host, mut peer, broker: _broker } = Scene::new();
    let tokens = [host.publish("t", b"", 1).unwrap(), host.subscribe("s", 0).unwrap()];
    host.disconnect();
    peer.answer_publish();
    peer.answer_subscribe(0);
    let start = Instant::now();
    assert!(host.outcomes(&tokens).values().all(|told| told.status == ENOS_OK));
    assert_eq!(host.expect("DISCONNECTED").status, ENOS_OK);
    assert!(start.elapsed() < Duration::from_secs(2), "there is nothing left to wait for: {:?}", start.elapsed());
    peer.expect(DISCONNECT);
    peer.expect_end();
}

/// The broker does not answer, and the client does not wait for it long.
fn disconnect_without_answers() {
    let Scene { mut host, mut peer, broker: _broker } = Scene::new();
    let tokens = [host.publish("t", b"", 1).unwrap(), host.post("{}").unwrap()];
    host.subscribe("s", 0).unwrap();
    let start = Instant::now();
    host.disconnect();
    assert!(host.outcomes(&tokens).values().all(|told| told.status == ENOS_ERR_NETWORK));
    assert_eq!(host.expect("DISCONNECTED").status, ENOS_OK);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    peer.expect_end();
}

/// A post without a reply delays the disconnect only for a moment.
fn disconnect_without_a_reply() {
    let Scene { mut host, mut peer, broker: _broker } = Scene::new();
    assert_eq!(host.loop_stop(), ENOS_OK);
    let post = host.post("{}").unwrap();
    let publish = host.publish("t", b"", 1).unwrap();
    assert_eq!(host.run_loop(0), ENOS_OK);
    assert!(!host.readable(0));
    peer.answer_subscribe(1);
    assert!(host.readable(host::PATIENCE_MS), "the answer waits for the loop");
    host.disconnect();
    assert_eq!(host.run_loop(0), ENOS_OK);
    let start = Instant::now();
    // The reply topic is granted at the last moment: both posts are sent.
    peer.answer_publish();
    peer.answer_publish();
    let outcomes = host.outcomes(&[post, publish]);
    assert_eq!(outcomes[&post].status, ENOS_ERR_NETWORK);
    assert_eq!(outcomes[&publish].status, ENOS_OK);
    assert_eq!(host.expect("DISCONNECTED").status, ENOS_OK);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    peer.expect(DISCONNECT);
}

fn disconnect_while_connecting_and_waiting() {
    // Nothing is in flight, so there is no other event.
    let broker = Broker::bind();
    let mut host = Setup::device(broker.address()).start();
    host.disconnect();
    assert_eq!(host.expect("STOPPED").status, ENOS_OK);
    host.connect();
    let mut peer = broker.accept();
    host.disconnect();
    let told = host.expect("DISCONNECTED");
    assert_eq!((told.status, told.retry_in_ms), (ENOS_OK, 0));
    assert_eq!(host.expect("STOPPED").status, ENOS_OK);
    peer.expect_end();
    host.connect();
    let mut peer = broker.accept();
    peer.expect(CONNECT);
    peer.send(&connack(2));
    host.expect("DISCONNECTED");
    host.disconnect();
    assert_eq!(host.expect("DISCONNECTED").status, ENOS_OK);
}

/// And a second disconnect while it closes.
fn disconnect_online() {
    let Scene { mut host, peer: _peer, broker: _broker } = Scene::new();
    let token = host.publish("t", b"", 1).unwrap();
    host.disconnect();
    host.disconnect();
    assert_eq!(host.expect("DELIVERED").token, token);
    assert_eq!(host.expect("DISCONNECTED").status, ENOS_OK);
    assert_eq!(host.wait(host::IDLE, host::PATIENCE_MS), ENOS_OK);
    assert_eq!([(); 2].map(|()| host.expect("STOPPED").status), [ENOS_OK; 2], "one for each");
}

fn disconnect_while_waiting_for_an_activation() {
    let (broker, store) = (Broker::bind(), Store::new());
    let mut host = Setup::product(broker.address(), &store).start();
    host.connect();
    let mut peer = broker.accept_mqtt();
    assert_eq!(host.wait(host::ACTIVATING, host::PATIENCE_MS), ENOS_OK);
    host.disconnect();
    assert_eq!(host.expect("DISCONNECTED").status, ENOS_OK);
    peer.expect_end();
}

/// Each of these takes some seconds, because of the library's timeouts.
#[test]
fn disconnect_in_each_state_comes_to_an_end() {
    let scenes: [(&str, fn()); 5] = [
        ("without answers", disconnect_without_answers),
        ("without a reply", disconnect_without_a_reply),
        ("connecting and waiting", disconnect_while_connecting_and_waiting),
        ("online", disconnect_online),
        ("activating", disconnect_while_waiting_for_an_activation),
    ];
    parallel::each(&scenes, |(_, scene)| scene());
}

#[test]
fn connect_during_a_disconnect_comes_back() {
    let Scene { mut host, mut peer, broker } = Scene::new();
    host.disconnect();
    host.connect();
    peer.expect_end();
    assert_eq!(host.expect("DISCONNECTED").status, ENOS_OK);
    assert_eq!(host.expect("STOPPED").status, ENOS_OK);
    let _peer = broker.accept_mqtt();
    host.expect("CONNECTED");
}

#[test]
fn a_host_that_publishes_again_on_each_failure_still_gets_to_know_of_the_loss() {
    let Scene { mut host, mut peer, broker } = Scene::with(|setup| {
        setup.on_event(|client, told| {
            if told.name == "DELIVERED" && told.status != ENOS_OK {
                let again = client.publish("t", b"", 1);
                assert!(again.is_ok() || again == Err(ENOS_ERR_STATE), "{again:?}");
            }
        })
    });
    for _ in 0..20 {
        host.publish("t", b"", 1).unwrap();
    }
    peer.expect(PUBLISH);
    peer.reset();
    assert_eq!(host.until("DISCONNECTED").status, ENOS_ERR_NETWORK);
    peer = broker.accept_mqtt();
    host.until("CONNECTED");
    drop(peer);
}

#[test]
fn messages_that_find_the_queue_full_are_counted_and_nothing_else_is_lost() {
    let Scene { mut host, mut peer, broker: _broker } =
        Scene::with(|setup| setup.queue_limits(10, 1 << 20).keep_alive(10));
    assert_eq!(host.loop_stop(), ENOS_OK);
    let token = host.publish("t", b"", 1).unwrap();
    // Paho reads it in one turn, and answers it in the next.
    assert_eq!(host.run_loop(0), ENOS_OK);
    peer.answer_publish();
    for id in 1..=100 {
        peer.send(&publish(b"m", &[id], Some(id.into())));
    }
    for id in 1..=100 {
        // It is acknowledged when it is in the queue or dropped; by the keeper, because nobody runs the loop.
        assert_eq!(peer.expect(PUBACK).id(), id);
    }
    let (mut messages, mut dropped, mut delivered) = (Vec::new(), 0, 0);
    while messages.len() + dropped < 100 || delivered == 0 {
        let told = host.next();
        match told.name.as_str() {
            "MESSAGE" => messages.push(told.payload[0]),
            "OVERFLOW" => {
                assert_eq!(told.status, ENOS_ERR_QUEUE_FULL);
                dropped += told.detail_code as usize;
            }
            "DELIVERED" if told.token == token => delivered += 1,
            _ => panic!("{told:?}"),
        }
    }
    assert_eq!((messages, dropped, delivered), ((1..=10).collect(), 90, 1));
}

#[test]
fn a_flood_is_all_delivered_or_counted() {
    const FLOOD: usize = 20_000;
    let Scene { mut host, mut peer, broker: _broker } = Scene::with(|setup| setup.queue_limits(500, 1 << 20));
    let token = host.publish("t", b"", 1).unwrap();
    let packets: Vec<u8> = (0..FLOOD).flat_map(|n| publish(b"flood", &n.to_be_bytes(), None)).collect();
    let sent = std::thread::spawn(move || {
        peer.send(&packets);
        peer.answer_publish();
        peer
    });
    let (mut messages, mut dropped, mut last) = (0, 0, None);
    let mut delivered = false;
    while messages + dropped < FLOOD || !delivered {
        let told = host.next();
        match told.name.as_str() {
            "MESSAGE" => {
                let number = usize::from_be_bytes(told.payload[..].try_into().unwrap());
                assert!(last < Some(number), "in order");
                last = Some(number);
                messages += 1;
            }
            "OVERFLOW" => dropped += told.detail_code as usize,
            "DELIVERED" if told.token == token => delivered = true,
            _ => panic!("{told:?}"),
        }
    }
    assert_eq!(messages + dropped, FLOOD);
    drop(sent.join().unwrap());
}

#[test]
fn a_payload_over_max_message_is_dropped_or_ends_the_connection() {
    const LIMIT: usize = 2048;
    const LONGEST_TOPIC: usize = 65_535;
    let Scene { mut host, mut peer, broker } = Scene::with(|setup| setup.max_message(LIMIT));
    peer.send(&publish(b"m", &[1; LIMIT], None));
    assert_eq!(host.expect("MESSAGE").payload.len(), LIMIT);
    peer.send(&publish(b"m", &[1; LIMIT + 1], None));
    assert_eq!(host.expect("OVERFLOW").detail_code, 1);
    peer.send(&publish(&[b't'; LONGEST_TOPIC], &[1; LIMIT], Some(1)));
    assert_eq!(host.expect("MESSAGE").topic.len(), LONGEST_TOPIC, "the topic does not count");
    // The length in its header is enough, before the payload has come.
    for header in [&[0x30, 0x90, 0x90, 0x04][..], &[0x30, 0xff, 0xff, 0xff, 0x7f]] {
        peer.send(header);
        assert_eq!(host.expect("DISCONNECTED").status, ENOS_ERR_NETWORK);
        peer.expect_end();
        peer = broker.accept_mqtt();
        host.expect("CONNECTED");
    }
}

#[test]
fn a_topic_may_be_any_bytes() {
    let Scene { mut host, mut peer, broker: _broker } = Scene::new();
    let topics: [&[u8]; 7] =
        ["\u{1F600}/%s%n".as_bytes(), b"a\0b", b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"", &[b'/'; 65_535]];
    for topic in topics {
        peer.send(&publish(topic, b"x", None));
        let told = host.expect("MESSAGE");
        assert_eq!((&told.topic[..], &told.payload[..]), (topic, &b"x"[..]));
    }
}
