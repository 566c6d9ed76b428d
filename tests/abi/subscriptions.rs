//! Subscriptions: accepted in any state, requested on each link, until they are unsubscribed.

use enos::error::Status::*;
use support::broker::*;
use support::host::{exactly_once, Setup, Told, PATIENCE_MS};
use support::scene::Scene;

#[test]
fn a_subscription_is_taken_offline_and_survives_a_link_that_is_lost_before_its_suback() {
    let broker = Broker::bind();
    let mut host = Setup::device(broker.address()).start();
    let token = host.subscribe("my/topic", 1).unwrap();
    host.connect();
    for _ in 0..2 {
        let mut peer = broker.accept_mqtt();
        host.until("CONNECTED");
        peer.expect(SUBSCRIBE);
        peer.reset();
        host.until("DISCONNECTED");
    }
    let mut peer = broker.accept_mqtt();
    assert_eq!(peer.answer_subscribe(1), ("my/topic".to_owned(), 1));
    let told = host.until("SUBSCRIBED");
    assert_eq!((told.token, told.status), (token, ENOS_OK));
    let served = peer.oblige();
    host.go_offline();
    let taken_back = host.unsubscribe("my/topic").unwrap();
    let told = host.expect("UNSUBSCRIBED");
    assert_eq!((told.token, told.status), (taken_back, ENOS_OK));
    host.connect();
    let mut peer = broker.accept_mqtt();
    host.until("CONNECTED");
    host.publish("marker", b"", 0).unwrap();
    peer.expect(PUBLISH);
    exactly_once(&[token, taken_back], &host.seen);
    served.join().unwrap();
}

#[test]
fn flush_waits_for_the_answer_to_a_subscription() {
    let Scene { host, mut peer, broker: _broker } = Scene::new();
    host.subscribe("s", 1).unwrap();
    assert_eq!(host.flush(50), ENOS_ERR_TIMEOUT);
    peer.answer_subscribe(1);
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
}

/// One SUBSCRIBE with these filters, granted.
#[track_caller]
fn expect_renewed(scene: &mut Scene, filters: &[(&str, u8)]) {
    let filters: Vec<_> = filters.iter().map(|(filter, qos)| (filter.to_string(), *qos)).collect();
    assert_eq!(scene.peer.answer_filters(&vec![1; filters.len()]), filters);
    // No other packet comes before the next request.
    scene.host.publish("marker", b"", 0).unwrap();
    assert_eq!(scene.peer.expect(PUBLISH).topic(), "marker");
    scene.host.until("DELIVERED");
}

#[test]
fn subscriptions_are_renewed_on_each_link_and_only_those_that_hold() {
    let mut scene = Scene::new();
    for (filter, qos, code) in [("a/#", 1, 1), ("b", 0, 0), ("c", 1, 0x80), ("d", 1, 1)] {
        scene.host.subscribe(filter, qos).unwrap();
        scene.peer.answer_subscribe(code);
        scene.host.expect("SUBSCRIBED");
    }
    scene.host.unsubscribe("d").unwrap();
    let packet = scene.peer.expect(UNSUBSCRIBE);
    scene.peer.send(&unsuback(packet.id()));
    scene.host.expect("UNSUBSCRIBED");

    for _ in 0..2 {
        scene.reconnect();
        expect_renewed(&mut scene, &[("a/#", 1), ("b", 0), ("c", 1)]);
    }
    // The late grant of "c" is reported once.
    let told: Vec<_> = scene.host.seen.iter().filter(|told| told.name == "SUBSCRIBED").skip(4).collect();
    assert_eq!(told.len(), 1, "renewing is not told: {told:?}");
    assert_eq!((told[0].token, told[0].status, &told[0].topic[..]), (0, ENOS_OK, &b"c"[..]));

    // A refusal of a renewal is reported, and the filter is requested on the next link nevertheless.
    scene.reconnect();
    scene.peer.answer_filters(&[0x80, 0, 0]);
    let told = scene.host.expect("SUBSCRIBED");
    assert_eq!((told.token, told.status, &told.topic[..]), (0, ENOS_ERR_REFUSED, &b"a/#"[..]));
    assert_eq!(told.detail_code, 0x80);
    // Also after a requested disconnect.
    scene.host.go_offline();
    scene.host.connect();
    scene.peer = scene.broker.accept_mqtt();
    scene.host.expect("CONNECTED");
    expect_renewed(&mut scene, &[("a/#", 1), ("b", 0), ("c", 1)]);
}

#[test]
fn what_is_subscribed_and_unsubscribed_in_one_breath_is_not_renewed() {
    let mut scene = Scene::new();
    scene.host.subscribe("gone", 1).unwrap();
    scene.host.unsubscribe("gone").unwrap();
    scene.host.subscribe("kept", 1).unwrap();
    scene.host.unsubscribe("kept").unwrap();
    scene.host.subscribe("kept", 1).unwrap();
    for _ in 0..5 {
        let packet = scene.peer.read();
        let answer = if packet.kind == SUBSCRIBE { suback(packet.id(), &[1]) } else { unsuback(packet.id()) };
        scene.peer.send(&answer);
    }
    let count = |told: &[Told]| told.iter().filter(|told| told.name.ends_with("SUBSCRIBED")).count();
    while count(&scene.host.seen) < 5 {
        scene.host.next();
    }
    scene.reconnect();
    expect_renewed(&mut scene, &[("kept", 1)]);
}

#[test]
fn there_are_256_filters_at_most_and_all_of_them_are_renewed() {
    let mut scene = Scene::new();
    let tokens: Vec<u64> = (0..256).map(|n| scene.host.subscribe(&format!("f/{n}"), 1).unwrap()).collect();
    assert_eq!(scene.host.subscribe("f/256", 1), Err(ENOS_ERR_QUEUE_FULL), "those under way count");
    for _ in 0..256 {
        scene.peer.answer_subscribe(1);
    }
    scene.host.outcomes(&tokens);
    assert_eq!(scene.host.subscribe("f/256", 1), Err(ENOS_ERR_QUEUE_FULL));
    assert!(scene.host.subscribe("f/7", 0).is_ok(), "it is one of them");
    scene.peer.answer_subscribe(0);
    scene.host.expect("SUBSCRIBED");
    scene.reconnect();
    let mut renewed: Vec<_> =
        [100, 100, 56].iter().flat_map(|&size| scene.peer.answer_filters(&vec![1; size])).collect();
    renewed.sort();
    renewed.dedup();
    assert_eq!(renewed.len(), 256);
    scene.host.unsubscribe("f/0").unwrap();
    let packet = scene.peer.expect(UNSUBSCRIBE);
    scene.peer.send(&unsuback(packet.id()));
    scene.host.expect("UNSUBSCRIBED");
    assert!(scene.host.subscribe("f/256", 1).is_ok(), "there is room again");
}

/// Online, with these filters of the host, after the subscriptions of the link.
fn renewing(filters: &[&str], batch: u32) -> Scene {
    let broker = Broker::bind();
    let mut host = Setup::device(broker.address()).subscribe_batch(batch).start();
    for filter in filters {
        host.subscribe(filter, 1).unwrap();
    }
    host.connect();
    let peer = broker.accept_mqtt();
    host.until("CONNECTED");
    Scene { host, peer, broker }
}

fn names(filters: Vec<(String, u8)>) -> String {
    filters.into_iter().map(|(filter, _)| filter).collect()
}

#[test]
fn a_packet_has_as_many_filters_as_are_set_and_fewer_if_the_broker_refuses_it() {
    let mut scene = renewing(&["a", "b", "c", "d", "e"], 4);
    assert_eq!(names(scene.peer.answer_filters(&[0x80; 4])), "abcd");
    assert_eq!(scene.peer.answer_subscribe(1).0, "e");
    // If a packet is not refused as a whole, each code concerns only its filter.
    assert_eq!(names(scene.peer.answer_filters(&[0x80, 0])), "ab");
    assert_eq!(names(scene.peer.answer_filters(&[0x80; 2])), "cd");
    assert_eq!(["c", "d"].map(|_| scene.peer.answer_subscribe(1).0), ["c", "d"]);
    let mut told: Vec<_> = (0..5).map(|_| scene.host.expect("SUBSCRIBED")).collect();
    told.sort_by_key(|told| told.topic.clone());
    let statuses: Vec<_> = told.iter().map(|told| told.status).collect();
    assert_eq!(statuses, [ENOS_ERR_REFUSED, ENOS_OK, ENOS_OK, ENOS_OK, ENOS_OK]);
    assert_eq!(scene.host.flush(PATIENCE_MS), ENOS_OK);
}

#[test]
fn a_broker_that_hangs_up_on_large_packets_gets_smaller_ones() {
    let mut scene = renewing(&["a", "b", "c"], 100);
    assert_eq!(names(scene.peer.expect(SUBSCRIBE).filters()), "abc");
    scene.reconnect();
    for filter in ["a", "b", "c"] {
        assert_eq!(scene.peer.answer_subscribe(1).0, filter);
        assert_eq!(scene.host.until("SUBSCRIBED").status, ENOS_OK);
    }
}

/// Reply topics are requested again on each link, and a request does not wait for other topics.
#[test]
fn a_post_on_a_new_link_waits_for_its_own_topic_only() {
    let mut scene = renewing(&["a", "b"], 100);
    scene.peer.answer_filters(&[1, 1]);
    scene.host.post("{}").unwrap();
    let topic = scene.peer.answer_subscribe(1).0;
    scene.peer.answer_publish();
    scene.reconnect();
    let others = scene.peer.expect(SUBSCRIBE);
    assert_eq!(names(others.filters()), "ab");
    scene.host.post("{}").unwrap();
    assert_eq!(scene.peer.answer_subscribe(1).0, topic, "it is asked for once");
    scene.peer.answer_publish();
    scene.peer.send(&suback(others.id(), &[1, 1]));
}
