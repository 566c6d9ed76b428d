//! How requests end.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;
use std::time::Instant;

use enos::internals::error::Status::*;
use enos::internals::protocol::Operation;
use serde_json::json;
use support::broker::*;
use support::host::*;
use support::scene::Scene;

use super::{answer, body, next, reply};

const QUERY: Ask = Ask {
    operation: Operation::ENOS_OP_ATTRIBUTE_QUERY as i32,
    flags: 0,
    subdevice: 0,
    name: None,
    params: None,
    timeout_ms: 0,
    user: 0,
};

#[test]
fn every_code_is_passed_on_as_it_is() {
    let mut scene = Scene::new();
    for (code, number) in
        [(json!(200), 200), (json!("200"), 200), (json!(1204), 1204), (json!("1204"), 1204), (json!(-77_777), -77_777)]
    {
        let token = scene.host.request(&QUERY).unwrap();
        let packet = next(&mut scene.peer);
        answer(&mut scene.peer, &packet, code);
        let told = scene.host.expect("REPLY");
        let status = if number == 200 { ENOS_OK } else { ENOS_ERR_REFUSED };
        assert_eq!((told.token, told.status, told.detail_code), (token, status, number));
        assert_eq!(told.data.as_deref(), Some(r#"{"a":[1]}"#));
    }
}

/// Those with the same operation share a reply topic, and the first has the longest timeout.
#[test]
fn each_request_has_its_own_timeout() {
    let mut scene = Scene::new();
    let start = Instant::now();
    let ask = |timeout_ms| Ask { timeout_ms, ..QUERY };
    let tokens = [20_000, 300, 100, 0].map(|timeout_ms| scene.host.request(&ask(timeout_ms)).unwrap());
    let packets: Vec<_> = (0..4).map(|_| next(&mut scene.peer)).collect();
    for token in [tokens[2], tokens[1]] {
        let told = scene.host.expect("REPLY");
        assert_eq!((told.token, told.status, told.operation), (token, ENOS_ERR_TIMEOUT, 31));
    }
    assert!((290..15_000).contains(&start.elapsed().as_millis()));
    for (token, packet) in [(tokens[3], &packets[3]), (tokens[0], &packets[0])] {
        answer(&mut scene.peer, packet, 200);
        assert_eq!(scene.host.expect("REPLY").token, token);
    }
    // A late reply is a message.
    answer(&mut scene.peer, &packets[1], 200);
    scene.host.expect("MESSAGE");
    exactly_once(&tokens, &scene.host.seen);
}

#[test]
fn replies_that_come_twice_or_for_another_or_too_early_are_messages() {
    let mut scene = Scene::new();
    let token = scene.host.request(&QUERY).unwrap();
    let subscribe = scene.peer.expect(SUBSCRIBE);
    let topic = subscribe.filters()[0].0.clone();
    scene.peer.send(&publish(topic.as_bytes(), br#"{"id":"1","code":200}"#, None));
    assert_eq!(scene.host.expect("MESSAGE").token, 0);
    scene.peer.send(&suback(subscribe.id(), &[1]));
    let packet = next(&mut scene.peer);
    let id = body(&packet)["id"].as_str().unwrap().parse::<u64>().unwrap();
    for other in [json!({"id": (id + 1).to_string(), "code": 200}), json!({"id": "x", "code": 200}), json!([])] {
        reply(&mut scene.peer, &packet, other.to_string().as_bytes());
        assert_eq!(scene.host.expect("MESSAGE").token, 0, "{other}");
    }
    answer(&mut scene.peer, &packet, 200);
    assert_eq!(scene.host.expect("REPLY").token, token);
    answer(&mut scene.peer, &packet, 200);
    assert_eq!(scene.host.expect("MESSAGE").token, 0);
}

#[test]
fn a_link_that_is_lost_ends_a_query_soon_and_its_reply_on_the_next_link_matches_nothing() {
    let mut scene = Scene::new();
    let token = scene.host.request(&Ask { user: 3, ..QUERY }).unwrap();
    let packet = next(&mut scene.peer);
    let start = Instant::now();
    scene.reconnect();
    let told = scene.host.seen.iter().find(|told| told.token == token).unwrap();
    assert_eq!((told.name.as_str(), told.status, told.user), ("REPLY", ENOS_ERR_NETWORK, 3));
    assert!(start.elapsed().as_secs() < 15, "not only after the timeout");
    let second = scene.host.request(&QUERY).unwrap();
    let again = next(&mut scene.peer);
    answer(&mut scene.peer, &packet, 200);
    scene.host.expect("MESSAGE");
    answer(&mut scene.peer, &again, 200);
    assert_eq!(scene.host.expect("REPLY").token, second);
    exactly_once(&[token, second], &scene.host.seen);
}

/// Each REPLY makes the next request.
#[test]
fn requests_inside_the_callbacks_of_replies_go_on() {
    const TURNS: u32 = 2_000;
    let refused = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&refused);
    let mut scene = Scene::with(|setup| {
        setup.inflight(2).on_event(move |client, told| {
            if told.name == "REPLY" && client.request(&QUERY).is_err() {
                count.fetch_add(1, Ordering::SeqCst);
            }
        })
    });
    scene.host.request(&QUERY).unwrap();
    for _ in 0..TURNS {
        let packet = next(&mut scene.peer);
        answer(&mut scene.peer, &packet, 200);
        let told = scene.host.expect("REPLY");
        assert_eq!(told.status, ENOS_OK);
    }
    assert_eq!(refused.load(Ordering::SeqCst), 0);
}

#[test]
fn requests_beyond_the_limit_are_told() {
    let mut scene = Scene::with(|setup| setup.inflight(2));
    scene.host.request(&QUERY).unwrap();
    scene.host.request(&QUERY).unwrap();
    assert_eq!(scene.host.request(&QUERY), Err(ENOS_ERR_QUEUE_FULL));
    let packet = next(&mut scene.peer);
    answer(&mut scene.peer, &packet, 200);
    scene.host.expect("REPLY");
    scene.host.expect("ROOM");
    scene.host.request(&QUERY).unwrap();
}
