//! Raw requests, whose replies carry no id.

use std::time::{Duration, Instant};

use enos::internals::error::Status::*;
use enos::internals::protocol::Operation;
use serde_json::{json, Value};
use support::broker::*;
use support::host::*;
use support::scene::Scene;

use super::{next, reply};

const UP: &str = "/sys/pk/dk/thing/model/up_raw";

fn raw(params: &[u8]) -> Ask<'_> {
    Ask { params: Some(params), ..Ask::of(Operation::ENOS_OP_RAW_UP) }
}

/// Everything that was sent until now has arrived.
fn is_quiet(scene: &mut Scene) {
    scene.host.publish("marker", b"", 0).unwrap();
    assert_eq!(scene.peer.read().topic(), "marker");
    scene.host.expect("DELIVERED");
}

#[test]
fn one_at_a_time_and_in_order() {
    let mut scene = Scene::new();
    let tokens = [b"a", b"b", b"c"].map(|bytes| scene.host.request(&raw(bytes)).unwrap());
    for (token, bytes) in tokens.into_iter().zip([b"a", b"b", b"c"]) {
        let packet = next(&mut scene.peer);
        assert_eq!((packet.topic(), packet.payload()), (UP, &bytes[..]));
        is_quiet(&mut scene);
        // It may even look like JSON with another's id.
        let payload = br#"{"id":"1","code":500,"data":1}"#;
        reply(&mut scene.peer, &packet, payload);
        let told = scene.host.expect("REPLY");
        assert_eq!((told.token, told.status, told.detail_code), (token, ENOS_OK, 200));
        assert_eq!((&told.payload[..], told.operation, told.data), (&payload[..], 51, None));
    }
    // A second reply to the last one is nobody's.
    scene.peer.send(&publish(format!("{UP}_reply").as_bytes(), b"twice", None));
    assert_eq!(scene.host.expect("MESSAGE").payload, b"twice");
}

#[test]
fn a_late_reply_is_not_taken_for_that_of_the_next_request() {
    const TIMEOUT: u32 = 400;
    let mut scene = Scene::with(|setup| setup.reply_timeout(TIMEOUT));
    let first = scene.host.request(&raw(b"a")).unwrap();
    let packet = next(&mut scene.peer);
    let told = scene.host.expect("REPLY");
    let ended = Instant::now();
    assert_eq!((told.token, told.status, told.retry_in_ms), (first, ENOS_ERR_TIMEOUT, TIMEOUT));
    assert!(told.detail.contains("the next raw request"), "{}", told.detail);
    let second = scene.host.request(&raw(b"b")).unwrap();
    is_quiet(&mut scene);
    reply(&mut scene.peer, &packet, b"late");
    assert_eq!(scene.host.expect("MESSAGE").payload, b"late");
    let packet = next(&mut scene.peer);
    assert!(ended.elapsed() >= Duration::from_millis(u64::from(TIMEOUT) - 100));
    assert_eq!(packet.payload(), b"b");
    reply(&mut scene.peer, &packet, b"in time");
    let told = scene.host.expect("REPLY");
    assert_eq!((told.token, told.status, &told.payload[..]), (second, ENOS_OK, &b"in time"[..]));
    exactly_once(
        &[first, second],
        &scene.host.seen.iter().filter(|told| told.name == "REPLY").cloned().collect::<Vec<_>>(),
    );
}

#[test]
fn a_reply_on_the_next_link_is_not_taken_for_that_of_the_next_request() {
    let mut scene = Scene::with(|setup| setup.reply_timeout(3_000));
    let first = scene.host.request(&raw(b"a")).unwrap();
    let packet = next(&mut scene.peer);
    scene.reconnect();
    let told = scene.host.seen.iter().find(|told| told.token == first).unwrap();
    assert_eq!((told.status, told.retry_in_ms), (ENOS_ERR_NETWORK, 3_000));
    let subscribe = scene.peer.expect(SUBSCRIBE);
    scene.peer.send(&suback(subscribe.id(), &[1]));
    let second = scene.host.request(&raw(b"b")).unwrap();
    reply(&mut scene.peer, &packet, b"of the old link");
    assert_eq!(scene.host.expect("MESSAGE").payload, b"of the old link");
    let packet = next(&mut scene.peer);
    reply(&mut scene.peer, &packet, b"own");
    let told = scene.host.expect("REPLY");
    assert_eq!((told.token, &told.payload[..]), (second, &b"own"[..]));
}

/// The time of each begins when it is sent, so a lost reply costs only its own request.
#[test]
fn a_lost_reply_does_not_end_those_that_wait() {
    let mut scene = Scene::with(|setup| setup.reply_timeout(300));
    let tokens = [b"a", b"b", b"c"].map(|bytes| scene.host.request(&Ask { timeout_ms: 300, ..raw(bytes) }).unwrap());
    assert_eq!(next(&mut scene.peer).payload(), b"a");
    let told = scene.host.expect("REPLY");
    assert_eq!((told.token, told.status), (tokens[0], ENOS_ERR_TIMEOUT));
    for (token, bytes) in tokens.into_iter().zip([b"a", b"b", b"c"]).skip(1) {
        let packet = next(&mut scene.peer);
        assert_eq!(packet.payload(), bytes);
        reply(&mut scene.peer, &packet, b"");
        let told = scene.host.expect("REPLY");
        assert_eq!((told.token, told.status), (token, ENOS_OK));
    }
}

/// What waits for its turn or for the topic of its reply is ended, and not waited for.
#[test]
fn a_disconnect_sends_nothing_that_waits() {
    let mut scene = Scene::new();
    let first = scene.host.request(&raw(b"a")).unwrap();
    let packet = next(&mut scene.peer);
    let second = scene.host.request(&raw(b"b")).unwrap();
    is_quiet(&mut scene);
    scene.host.disconnect();
    let told = scene.host.expect("REPLY");
    assert_eq!((told.token, told.status, told.retry_in_ms), (second, ENOS_ERR_NETWORK, 0));
    assert!(told.detail.contains("was not sent"), "{}", told.detail);
    reply(&mut scene.peer, &packet, b"1");
    let told = scene.host.expect("REPLY");
    assert_eq!((told.token, told.status), (first, ENOS_OK));
    assert_eq!(scene.peer.read().kind, DISCONNECT);
}

#[test]
fn a_retained_message_is_no_reply() {
    let mut scene = Scene::new();
    let query = Ask::json(Operation::ENOS_OP_ATTRIBUTE_QUERY, "{}");
    for ask in [raw(b"a"), query] {
        let token = scene.host.request(&ask).unwrap();
        let packet = next(&mut scene.peer);
        let id = serde_json::from_slice(packet.payload()).map_or_else(|_| "1".into(), |body: Value| body["id"].clone());
        let answer = json!({"id": id, "code": 200}).to_string();
        let mut old = publish(format!("{}_reply", packet.topic()).as_bytes(), answer.as_bytes(), None);
        old[0] |= 1;
        scene.peer.send(&old);
        let told = scene.host.expect("MESSAGE");
        assert_eq!((told.token, &told.payload[..]), (0, answer.as_bytes()));
        reply(&mut scene.peer, &packet, answer.as_bytes());
        let told = scene.host.expect("REPLY");
        assert_eq!((told.token, told.status), (token, ENOS_OK));
    }
}

/// Even if EnOS never replies to them, and a live request has awaited a reply before.
#[test]
fn durable_ones_whose_replies_nobody_awaits_do_not_hold_up_the_outbox() {
    let store = Store::new();
    let mut scene = Scene::with(|setup| setup.storage(&store));
    let live = scene.host.request(&raw(b"live")).unwrap();
    let packet = next(&mut scene.peer);
    reply(&mut scene.peer, &packet, b"1");
    assert_eq!(scene.host.expect("REPLY").token, live);
    let kept = [(); 5].map(|()| scene.host.request(&Ask { flags: DURABLE, ..raw(b"kept") }).unwrap());
    for token in kept {
        assert_eq!(next(&mut scene.peer).payload(), b"kept");
        // The usual reply timeout is longer than expect() waits.
        assert_eq!(scene.host.expect("DELIVERED").token, token);
    }
    // The replies end the wait of the next live one.
    let live = scene.host.request(&raw(b"next")).unwrap();
    is_quiet(&mut scene);
    for _ in kept {
        scene.peer.send(&publish(format!("{UP}_reply").as_bytes(), b"nobody's", None));
        assert_eq!(scene.host.expect("MESSAGE").payload, b"nobody's");
    }
    let packet = next(&mut scene.peer);
    reply(&mut scene.peer, &packet, b"2");
    assert_eq!(scene.host.expect("REPLY").token, live);
}

/// A durable raw request brings a reply as well, which must not end a live one.
#[test]
fn durable_ones_take_turns_with_the_others() {
    let store = Store::new();
    let mut scene = Scene::with(|setup| setup.storage(&store).reply_timeout(3_000));
    let live = scene.host.request(&raw(b"live")).unwrap();
    let packet = next(&mut scene.peer);
    let kept = scene.host.request(&Ask { flags: DURABLE | UNTIL_REPLY, user: 5, ..raw(b"kept") }).unwrap();
    let plain = scene.host.request(&Ask { flags: DURABLE, user: 6, ..raw(b"plain") }).unwrap();
    is_quiet(&mut scene);
    reply(&mut scene.peer, &packet, b"1");
    let told = scene.host.expect("REPLY");
    assert_eq!((told.token, &told.payload[..]), (live, &b"1"[..]));

    let packet = next(&mut scene.peer);
    assert_eq!(packet.payload(), b"kept");
    let last = scene.host.request(&raw(b"last")).unwrap();
    reply(&mut scene.peer, &packet, b"2");
    let told = scene.host.expect("REPLY");
    assert_eq!((told.token, told.operation, told.user, told.status), (kept, 51, 5, ENOS_OK));
    assert_eq!(told.payload, b"2");

    // The plain one and the last live one come one after the other, in either order.
    let mut ended = Vec::new();
    for _ in 0..2 {
        let packet = next(&mut scene.peer);
        if packet.payload() == b"plain" {
            let told = scene.host.expect("DELIVERED");
            assert_eq!((told.token, told.operation, told.user), (plain, 51, 6));
            is_quiet(&mut scene);
            reply(&mut scene.peer, &packet, b"nobody's");
            assert_eq!(scene.host.expect("MESSAGE").payload, b"nobody's");
            ended.push(plain);
        } else {
            is_quiet(&mut scene);
            reply(&mut scene.peer, &packet, b"3");
            let told = scene.host.expect("REPLY");
            assert_eq!((told.token, &told.payload[..]), (last, &b"3"[..]));
            ended.push(last);
        }
    }
    ended.sort_unstable();
    assert_eq!(ended, [last, plain]);
}
