//! A client with a failing broker: refusals, silence, and ends at each moment of a session. Each accepted call has one
//! outcome, and when the broker works again the device is online again.

use enos::internals::error::Status::*;
use enos::internals::model::sign::enos_sign_method::ENOS_SIGN_SHA256;
use std::time::{Duration, Instant};
use support::broker::*;
use support::ends::End;
use support::host::{exactly_once, last_error, Host, Setup, IDLE, ONLINE, PATIENCE_MS, WAITING};
use support::parallel;

const MINUTES_10: u32 = 600_000;
const HOUR: u32 = 3_600_000;

/// With one credential and one sign method, so that a rotation is one CONNECT.
fn one_pair(broker: &Broker) -> Setup {
    Setup::device(broker.address()).sign_method(ENOS_SIGN_SHA256 as i32)
}

/// A connection that gets this CONNACK.
fn refuse(broker: &Broker, code: u8) {
    let mut peer = broker.accept();
    peer.expect(CONNECT);
    peer.send(&connack(code));
    peer.expect_end();
}

#[test]
fn connack_1_2_4_and_5_are_told_and_waited_out_and_connect_cuts_the_wait_short() {
    let codes = [
        (1, ENOS_ERR_PROTOCOL, "3.1.1"),
        (2, ENOS_ERR_PROTOCOL, "client id"),
        (4, ENOS_ERR_CREDENTIALS, "refused"),
        (5, ENOS_ERR_CREDENTIALS, "refused"),
    ];
    for (code, status, words) in codes {
        let broker = Broker::bind();
        let mut host = one_pair(&broker).start();
        host.connect();
        refuse(&broker, code);
        let told = host.expect("DISCONNECTED");
        assert_eq!((told.status, told.detail_code), (status, i32::from(code)), "{told:?}");
        assert!(told.detail.contains(words), "{told:?}");
        assert!((MINUTES_10..=HOUR).contains(&told.retry_in_ms), "{told:?}");

        let start = Instant::now();
        assert_eq!(host.wait(ONLINE, PATIENCE_MS), status, "there is only a long wait left");
        assert!(start.elapsed() < Duration::from_secs(10) && last_error().contains(words));
        assert_eq!((host.state(), host.wait(WAITING, 0)), (WAITING, ENOS_OK));

        host.connect();
        let _peer = broker.accept_mqtt();
        host.expect("CONNECTED");
        assert_eq!(host.wait(ONLINE, 0), ENOS_OK);
    }
}

#[test]
fn connack_3_and_codes_that_mqtt_does_not_know_are_told_and_tried_again_soon() {
    let codes = [(3, ENOS_ERR_NETWORK), (6, ENOS_ERR_PROTOCOL), (128, ENOS_ERR_PROTOCOL), (255, ENOS_ERR_PROTOCOL)];
    for (code, status) in codes {
        let broker = Broker::bind();
        let mut host = one_pair(&broker).start();
        host.connect();
        refuse(&broker, code);
        let told = host.expect("DISCONNECTED");
        assert_eq!((told.status, told.detail_code), (status, i32::from(code)), "{told:?}");
        assert!((1..=1000).contains(&told.retry_in_ms), "0 would mean that no attempt follows: {told:?}");
        assert_eq!(host.wait(ONLINE, 0), ENOS_ERR_TIMEOUT, "an attempt follows");
        let _peer = broker.accept_mqtt();
        host.expect("CONNECTED");
    }
}

#[test]
fn without_reconnecting_the_first_failure_ends_in_idle_and_connect_begins_anew() {
    let broker = Broker::bind();
    let mut host = one_pair(&broker).reconnect(0, 0).start();
    for code in [3, 4] {
        host.connect();
        refuse(&broker, code);
        let told = host.expect("DISCONNECTED");
        assert_eq!((told.detail_code, told.retry_in_ms), (i32::from(code), 0));
        assert_eq!((host.wait(IDLE, PATIENCE_MS), host.state()), (ENOS_OK, IDLE));
        assert_eq!(host.wait(ONLINE, PATIENCE_MS), told.status, "no further attempt is left");
    }
    host.connect();
    let peer = broker.accept_mqtt();
    host.expect("CONNECTED");
    peer.reset();
    let told = host.expect("DISCONNECTED");
    assert_eq!((told.status, told.retry_in_ms), (ENOS_ERR_NETWORK, 0));
    assert_eq!(host.wait(IDLE, PATIENCE_MS), ENOS_OK);
}

#[test]
fn silence_ends_with_the_connect_timeout() {
    let broker = Broker::bind();
    let mut host = Setup::device(broker.address()).connect_timeout(300).start();
    let start = Instant::now();
    host.connect();
    // Before CONNECT is read, and after.
    let silent = broker.accept();
    let told = host.expect("DISCONNECTED");
    assert_eq!(told.status, ENOS_ERR_NETWORK);
    assert!(told.detail.contains("300 ms"), "{told:?}");
    assert_eq!(host.wait(ONLINE, 0), ENOS_ERR_TIMEOUT);
    assert!(last_error().contains("300 ms"), "{}", last_error());
    assert!((Duration::from_millis(290)..Duration::from_secs(5)).contains(&start.elapsed()), "{:?}", start.elapsed());
    let mut listening = broker.accept();
    listening.expect(CONNECT);
    host.expect("DISCONNECTED");
    drop(silent);
    let _peer = broker.accept_mqtt();
    host.expect("CONNECTED");
}

#[test]
fn a_connack_that_comes_after_the_timeout_changes_nothing() {
    let broker = Broker::bind();
    let mut host = Setup::device(broker.address()).connect_timeout(200).start();
    host.connect();
    let mut late = broker.accept();
    late.expect(CONNECT);
    host.expect("DISCONNECTED");
    late.try_send(&connack(0));
    late.try_send(&publish(b"t", b"late", None));
    let _peer = broker.accept_mqtt();
    host.expect("CONNECTED");
}

#[test]
fn an_absent_broker_is_tried_until_it_is_there() {
    let address = Broker::bind().address();
    let mut host = Setup::device(address).start();
    host.connect();
    for _ in 0..3 {
        assert_eq!(host.expect("DISCONNECTED").status, ENOS_ERR_NETWORK);
    }
    let broker = Broker::bind_to(&address.to_string());
    let _peer = broker.accept_mqtt();
    host.until("CONNECTED");
}

#[test]
fn an_attempt_without_a_sent_byte_does_not_count_and_the_shortest_wait_is_kept() {
    let full = Full::bind();
    let setup = Setup::device(full.address()).connect_timeout(200).connect_budget(1, 3_600_000, 0);
    let mut host = setup.reconnect(300, 300).start();
    host.connect();
    for _ in 0..3 {
        let told = host.expect("DISCONNECTED");
        assert_eq!((told.status, told.retry_in_ms), (ENOS_ERR_NETWORK, 300), "{told:?}");
    }
}

/// The next connection is accepted, and the device is online again; no earlier event comes after that.
#[track_caller]
fn comes_back(broker: &Broker, host: &mut Host) -> Peer {
    let peer = broker.accept_mqtt();
    host.until("CONNECTED");
    assert_eq!(host.wait(ONLINE, PATIENCE_MS), ENOS_OK);
    peer
}

#[test]
fn an_end_before_connack_is_a_failed_attempt() {
    for end in End::all() {
        for read in [false, true] {
            // An old CONNACK must not count for the new attempt.
            if matches!(&end, End::Garbage(bytes) if bytes[0] == 0x20) {
                continue;
            }
            let broker = Broker::bind();
            let mut host = Setup::device(broker.address()).start();
            host.connect();
            let mut peer = broker.accept();
            if read {
                peer.expect(CONNECT);
            }
            end.come(peer);
            let told = host.expect("DISCONNECTED");
            assert!(end.is_told_as(told.status) && told.detail_code == 0, "{end:?}: {told:?}");
            assert!(told.retry_in_ms >= 1, "{told:?}");
            comes_back(&broker, &mut host);
        }
    }
}

#[test]
fn an_end_in_the_middle_of_connack_is_a_failed_attempt() {
    for cut in 1..4 {
        let broker = Broker::bind();
        let mut host = Setup::device(broker.address()).start();
        host.connect();
        let mut peer = broker.accept();
        peer.expect(CONNECT);
        peer.send(&connack(0)[..cut]);
        drop(peer);
        assert_eq!(host.expect("DISCONNECTED").status, ENOS_ERR_NETWORK);
        comes_back(&broker, &mut host);
    }
}

#[test]
fn an_end_right_after_connack_is_a_loss() {
    for end in End::all() {
        let broker = Broker::bind();
        let mut host = Setup::device(broker.address()).start();
        host.connect();
        end.come(broker.accept_mqtt());
        let status = host.until("DISCONNECTED").status;
        assert!(end.is_told_as(status), "{end:?}: {status:?}");
        comes_back(&broker, &mut host);
    }
}

/// Makes calls of every kind, ends the connection when the broker has received the packets `before`, and checks the
/// outcomes.
fn end_with_calls(end: &End, before: &[u8]) {
    let broker = Broker::bind();
    let mut host = Setup::device(broker.address()).start();
    host.connect();
    let mut peer = broker.accept_mqtt();
    host.expect("CONNECTED");
    let subscribed = host.subscribe("a/#", 1).unwrap();
    let mut tokens = vec![host.publish("t", b"1", 1).unwrap(), host.unsubscribe("b").unwrap()];
    tokens.push(host.publish("t", b"0", 0).unwrap());
    tokens.push(host.post("{}").unwrap());
    for kind in before {
        while peer.read().kind != *kind {}
    }
    end.come(peer);
    let outcomes = host.outcomes(&tokens);
    for (token, told) in outcomes {
        // Garbage may look like an answer with this status.
        let answered = matches!(end, End::Garbage(_)) && told.status != ENOS_ERR_NETWORK;
        let written = told.status == ENOS_OK && token == tokens[2];
        // An unsubscribe succeeds, because a subscription ends with its link.
        let ended = told.status == ENOS_OK && token == tokens[1];
        assert!(answered || written || ended || told.status == ENOS_ERR_NETWORK, "{end:?}: {told:?}");
    }
    assert!(host.told("DISCONNECTED").is_empty(), "each has its outcome before the loss is told");
    let told = host.until("DISCONNECTED");
    assert!(end.is_told_as(told.status), "{end:?}: {told:?}");
    assert_eq!(host.publish("t", b"", 1), Err(ENOS_ERR_STATE));
    let mut peer = comes_back(&broker, &mut host);

    let token = host.publish("t", b"again", 1).unwrap();
    let again = loop {
        let packet = peer.read();
        match packet.kind {
            PUBLISH => break packet,
            _ => peer.send(&packet.answer()),
        }
    };
    assert_eq!(again.payload(), b"again", "what was under way is not sent again");
    peer.send(&puback(again.id()));
    assert_eq!(host.until("DELIVERED").token, token);
    tokens.extend([token, subscribed]);
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    host.disconnect();
    host.until("DISCONNECTED");
    exactly_once(&tokens, &host.seen);
}

/// Before any packet of them, during the first SUBSCRIBE, and with QoS 1 in flight.
#[test]
fn an_end_with_calls_under_way_gives_each_its_outcome() {
    let seen: [&[u8]; 3] = [&[], &[SUBSCRIBE], &[SUBSCRIBE, PUBLISH, UNSUBSCRIBE, PUBLISH]];
    let cases: Vec<_> = End::all().into_iter().flat_map(|end| seen.map(|before| (end.clone(), before))).collect();
    parallel::each(&cases, |(end, before)| end_with_calls(end, before));
}
