//! Posts and their replies.

use enos::internals::error::Status::*;
use serde_json::{json, Value};
use std::time::{Duration, Instant};
use support::broker::*;
use support::host::exactly_once;
use support::scene::Scene;

const POST: &str = "/sys/pk/dk/thing/measurepoint/post";
const REPLY: &str = "/sys/pk/dk/thing/measurepoint/post_reply";

fn json_of(packet: &Packet) -> Value {
    serde_json::from_slice(packet.payload()).unwrap()
}

fn reply(id: &Value, code: i64) -> Vec<u8> {
    publish(REPLY.as_bytes(), json!({"id": id, "code": code, "data": {}}).to_string().as_bytes(), None)
}

/// The first post on a link, after its SUBSCRIBE.
fn first_post(scene: &mut Scene) -> (u64, Value) {
    let token = scene.host.post(r#"{"measurepoints":{"t":1}}"#).unwrap();
    assert_eq!(scene.peer.answer_subscribe(1), (REPLY.to_owned(), 1));
    (token, json_of(&scene.peer.answer_publish())["id"].clone())
}

#[test]
fn a_post_has_its_envelope_and_waits_for_the_reply_topic() {
    let mut scene = Scene::new();
    let token = scene.host.post(r#" {"measurepoints":{"t":21.5,"deep":[{"a":null}]},"time":1524448722000} "#).unwrap();
    let subscribe = scene.peer.expect(SUBSCRIBE);
    let second = scene.host.post("{}").unwrap();
    // The post is not sent until the reply topic is granted.
    scene.host.publish("marker", b"", 0).unwrap();
    assert_eq!(scene.peer.expect(PUBLISH).topic(), "marker");
    scene.peer.send(&suback(subscribe.id(), &[1]));
    let (first, other) = (scene.peer.answer_publish(), scene.peer.answer_publish());
    assert_eq!((first.topic(), other.topic()), (POST, POST));
    let request = json_of(&first);
    let id = request["id"].as_str().unwrap();
    assert_eq!(
        request,
        json!({
            "id": id, "version": "1.0", "method": "thing.measurepoint.post",
            "params": {"measurepoints": {"t": 21.5, "deep": [{"a": null}]}, "time": 1_524_448_722_000_u64},
        })
    );
    let other = json_of(&other);
    assert_eq!(other["params"], json!({}));
    assert_ne!(other["id"], request["id"]);

    // Out of order; the second id as a number, as in EnOS's tables.
    let number = other["id"].as_str().unwrap().parse::<u64>().unwrap();
    scene.peer.send(&reply(&number.into(), 200));
    let told = scene.host.until("REPLY");
    assert_eq!((told.token, told.status, told.detail_code), (second, ENOS_OK, 200));
    scene.peer.send(&reply(&request["id"], 1206));
    let told = scene.host.expect("REPLY");
    assert_eq!((told.token, told.status, told.detail_code), (token, ENOS_ERR_REFUSED, 1206));
    assert!(told.detail.contains("1206"), "{told:?}");
    let payload: Value = serde_json::from_slice(&told.payload).unwrap();
    assert_eq!(payload["id"], request["id"]);

    // The next post on the same link is sent at once.
    scene.host.post("{}").unwrap();
    assert_eq!(scene.peer.expect(PUBLISH).topic(), POST);
}

#[test]
fn a_disconnect_lets_a_post_have_its_reply() {
    let mut scene = Scene::new();
    let (token, id) = first_post(&mut scene);
    scene.host.disconnect();
    scene.peer.send(&reply(&id, 200));
    let told = scene.host.expect("REPLY");
    assert_eq!((told.token, told.status, told.detail_code), (token, ENOS_OK, 200));
    assert_eq!(scene.host.expect("DISCONNECTED").status, ENOS_OK);
    scene.peer.expect(DISCONNECT);
}

/// An UNSUBSCRIBE would lose the reply to a post that is in flight.
#[test]
fn a_reply_topic_that_the_host_unsubscribes_still_brings_replies() {
    let mut scene = Scene::new();
    let (posted, id) = first_post(&mut scene);
    scene.host.subscribe(REPLY, 1).unwrap();
    scene.peer.answer_subscribe(1);
    scene.host.expect("SUBSCRIBED");
    let token = scene.host.unsubscribe(REPLY).unwrap();
    let told = scene.host.expect("UNSUBSCRIBED");
    assert_eq!((told.token, told.status), (token, ENOS_OK));
    scene.host.publish("marker", b"", 0).unwrap();
    assert_eq!(scene.peer.expect(PUBLISH).topic(), "marker", "nothing else was sent");
    scene.peer.send(&reply(&id, 200));
    let told = scene.host.until("REPLY");
    assert_eq!((told.token, told.status), (posted, ENOS_OK));
}

#[test]
fn only_the_reply_with_its_topic_and_id_answers_a_post() {
    let mut scene = Scene::new();
    let (token, id) = first_post(&mut scene);
    let body = json!({"id": id, "code": 200}).to_string();
    for (topic, payload) in [
        (REPLY, json!({"id": "nobody's", "code": 200}).to_string()),
        (REPLY, json!({"code": 200}).to_string()),
        (REPLY, "not JSON".to_owned()),
        (REPLY, String::new()),
        (POST, body.clone()),
        ("/sys/pk/dk/thing/tag/query_reply", body.clone()),
        ("/sys/pk/another/thing/measurepoint/post_reply", body.clone()),
    ] {
        scene.peer.send(&publish(topic.as_bytes(), payload.as_bytes(), None));
        let told = scene.host.expect("MESSAGE");
        assert_eq!((&told.topic[..], &told.payload[..]), (topic.as_bytes(), payload.as_bytes()));
    }
    scene.peer.send(&publish(REPLY.as_bytes(), body.as_bytes(), None));
    assert_eq!(scene.host.expect("REPLY").token, token);
    scene.peer.send(&publish(REPLY.as_bytes(), body.as_bytes(), None));
    assert_eq!(scene.host.expect("MESSAGE").token, 0, "its second reply is nobody's");
    exactly_once(&[token], &scene.host.seen);
}

#[test]
fn a_post_without_a_reply_ends_with_the_timeout_and_a_late_reply_is_a_message() {
    let mut scene = Scene::with(|setup| setup.reply_timeout(200));
    let start = Instant::now();
    let (token, id) = first_post(&mut scene);
    let told = scene.host.expect("REPLY");
    assert_eq!((told.token, told.status, told.detail_code), (token, ENOS_ERR_TIMEOUT, 0));
    assert!((Duration::from_millis(190)..Duration::from_secs(10)).contains(&start.elapsed()));
    scene.peer.send(&reply(&id, 200));
    scene.host.expect("MESSAGE");
}

#[test]
fn posts_that_wait_for_a_reply_topic_that_is_never_granted_end_and_are_not_sent_late() {
    let mut scene = Scene::with(|setup| setup.reply_timeout(100).inflight(2));
    let mut tokens = Vec::new();
    tokens.push(scene.host.post("{}").unwrap());
    let subscribe = scene.peer.expect(SUBSCRIBE);
    for _ in 0..5 {
        let told = scene.host.expect("REPLY");
        assert_eq!((told.token, told.status), (*tokens.last().unwrap(), ENOS_ERR_TIMEOUT));
        tokens.push(scene.host.post("{}").unwrap());
    }
    let told = scene.host.expect("REPLY");
    assert_eq!(told.status, ENOS_ERR_TIMEOUT);
    scene.peer.send(&suback(subscribe.id(), &[1]));
    scene.host.publish("marker", b"", 0).unwrap();
    let first = loop {
        // The reply topic is requested again.
        let packet = scene.peer.read();
        if packet.kind != SUBSCRIBE {
            break packet;
        }
    };
    assert_eq!(first.topic(), "marker", "a post that has ended is not sent");
}

#[test]
fn a_refused_reply_topic_ends_the_posts_that_wait_and_is_asked_for_again() {
    let mut scene = Scene::new();
    let tokens = [scene.host.post("{}").unwrap(), scene.host.post("{}").unwrap()];
    scene.peer.answer_subscribe(0x80);
    let outcomes = scene.host.outcomes(&tokens);
    assert!(outcomes.values().all(|told| told.name == "REPLY" && told.status == ENOS_ERR_REFUSED), "{outcomes:?}");
    let (token, id) = first_post(&mut scene);
    scene.peer.send(&reply(&id, 200));
    assert_eq!(scene.host.expect("REPLY").token, token);
}

#[test]
fn a_post_whose_link_is_lost_ends_and_the_next_link_has_its_own_reply_topic() {
    let mut scene = Scene::new();
    let (token, id) = first_post(&mut scene);
    scene.reconnect();
    let told = scene.host.seen.iter().find(|told| told.token == token).unwrap();
    assert_eq!((told.name.as_str(), told.status), ("REPLY", ENOS_ERR_NETWORK));
    let (second, second_id) = first_post(&mut scene);
    scene.peer.send(&reply(&id, 200));
    scene.host.expect("MESSAGE");
    scene.peer.send(&reply(&second_id, 200));
    assert_eq!(scene.host.expect("REPLY").token, second);
}

#[test]
fn one_call_at_a_time_is_enough_for_a_post() {
    let mut scene = Scene::with(|setup| setup.inflight(1));
    for _ in 0..2 {
        let (token, id) = first_post(&mut scene);
        scene.peer.send(&reply(&id, 200));
        assert_eq!(scene.host.expect("REPLY").token, token);
        scene.reconnect();
    }
}

#[test]
fn many_posts_answered_in_any_order_have_their_own_replies() {
    let mut scene = Scene::with(|setup| setup.inflight(500));
    let (first, first_id) = first_post(&mut scene);
    scene.peer.send(&reply(&first_id, 0));
    assert_eq!(scene.host.expect("REPLY").token, first);
    let tokens: Vec<u64> = (0..500).map(|n| scene.host.post(&format!("{{\"n\":{n}}}")).unwrap()).collect();
    let mut requests: Vec<Value> = (0..500).map(|_| json_of(&scene.peer.answer_publish())).collect();
    requests.sort_by_key(|request| request["params"]["n"].as_u64().unwrap() * 7919 % 500);
    for request in &requests {
        scene.peer.send(&reply(&request["id"], request["params"]["n"].as_i64().unwrap()));
    }
    let outcomes = scene.host.outcomes(&tokens);
    for (n, token) in tokens.iter().enumerate() {
        let told = &outcomes[token];
        let status = if n == 200 { ENOS_OK } else { ENOS_ERR_REFUSED };
        assert_eq!((told.status, told.detail_code), (status, n as i32));
    }
}
