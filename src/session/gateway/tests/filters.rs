//! The topics of replies to sub-devices are subscribed to, and given up, with few packets.

use super::*;

fn topic(n: usize) -> String {
    format!("/sys/sub/{}/thing/measurepoint/post_reply", Park::key(n))
}

fn sizes(packets: &[Vec<String>]) -> Vec<usize> {
    packets.iter().map(Vec::len).collect()
}

/// A gateway with sub-devices that are to be activated, whose secrets have come and are stored one by one.
fn activating(count: usize) -> (Park, Vec<u64>) {
    let mut park = Park::new();
    park.cloud.secrets = (0..count).map(|n| (Park::key(n), format!("secret of {n}"))).collect();
    let product_secret = Some(Secret::new(b"product").unwrap());
    let new = (0..count).map(|n| NewSubdevice {
        device_secret: None,
        product_secret: product_secret.clone(),
        ..Park::new_one(&Park::key(n))
    });
    let ids = park.try_add(new.collect()).unwrap();
    (park, ids)
}

#[test]
fn two_hundred_activations_need_three_subscribe_packets() {
    let (mut park, ids) = activating(200);
    park.connect();
    assert_eq!(park.states(&ids), vec![State::Online; 200]);
    assert_eq!(sizes(&park.subscribed), [1, 100, 100], "the gateway's own, and one for each login");
}

/// Each store takes some time, and so does each answer of the broker.
#[test]
fn a_slow_storage_delays_a_sub_device_by_a_second_at_most() {
    let (mut park, ids) = activating(100);
    park.storage_holds = true;
    park.connect();
    park.forget();
    let mut online_at = BTreeMap::new();
    let mut seen = 0;
    for n in 0..100 {
        park.wait(100);
        let stored = park.stores.pop().unwrap();
        park.feed(stored);
        online_at.insert(topic(n), park.now);
        for asked in park.subscribed[seen..].iter().flatten() {
            assert!(park.now - online_at[asked] <= 1_000, "{asked}");
        }
        seen = park.subscribed.len();
    }
    park.wait(1_000);
    assert_eq!(park.states(&ids), vec![State::Online; 100]);
    assert!((0..100).all(|n| park.subscriptions.contains(&topic(n))));
    assert!(park.subscribed.len() <= 11, "{:?}", sizes(&park.subscribed));
}

#[test]
fn one_that_comes_alone_does_not_wait_and_those_that_come_meanwhile_join() {
    let mut park = Park::new();
    park.connect();
    park.add(1);
    assert_eq!(sizes(&park.subscribed), [1, 1], "the gateway's own, and at once that of the sub-device");
    park.forget();
    park.broker_holds = true;
    for n in 1..10 {
        park.try_add(vec![Park::new_one(&Park::key(n))]).unwrap();
    }
    assert_eq!(sizes(&park.subscribed), [1], "the others wait for its answer");
    park.release_acks();
    assert_eq!(sizes(&park.subscribed), [1, 8]);
    // An answer that does not come delays the others by a second.
    park.broker_holds = true;
    for n in 10..13 {
        park.try_add(vec![Park::new_one(&Park::key(n))]).unwrap();
    }
    park.wait(999);
    assert_eq!(sizes(&park.subscribed), [1, 8, 1]);
    park.wait(1);
    assert_eq!(sizes(&park.subscribed), [1, 8, 1, 2]);
}

#[test]
fn what_waits_is_not_asked_for_when_its_sub_device_goes_or_the_link_is_lost() {
    let (mut park, _) = Park::online(1);
    park.broker_holds = true;
    let [_, off, removed, stays] = [1, 2, 3, 4].map(|n| park.try_add(vec![Park::new_one(&Park::key(n))]).unwrap()[0]);
    park.set_online(off, false);
    park.remove(removed);
    park.release_acks();
    assert_eq!(park.subscribed, [vec![topic(1)], vec![topic(4)]]);
    assert_eq!(park.states(&[stays]), [State::Online]);
    park.broker_holds = true;
    for n in 5..7 {
        park.try_add(vec![Park::new_one(&Park::key(n))]).unwrap();
    }
    park.lose_link();
    park.broker_holds = false;
    park.forget();
    park.wait(200_000);
    assert_eq!(park.subscribed.iter().flatten().filter(|filter| **filter == topic(6)).count(), 1);
}

#[test]
fn the_topics_of_removed_ones_are_given_up_together() {
    let (mut park, ids) = Park::online(150);
    park.broker_holds = true;
    ids.iter().for_each(|id| park.remove(*id));
    park.release_acks();
    assert_eq!(sizes(&park.unsubscribed), [1, 100, 49]);
    assert!(!park.subscriptions.iter().any(|filter| filter.contains("/sub/")));
}

/// The answers to requests that were sent still come.
#[test]
fn a_topic_is_given_up_after_the_replies_to_what_was_sent() {
    let (mut park, ids) = Park::online(2);
    let token = park.post(ids[0]).unwrap();
    park.remove(ids[0]);
    assert!(park.unsubscribed.is_empty());
    let (topic_of_post, id) = park.cloud.ids.last().cloned().unwrap();
    park.message(&format!("{topic_of_post}_reply"), &json!({"id": id, "code": 200}));
    let reply = park.events.iter().find(|event| event.token == token).unwrap();
    assert_eq!((reply.kind, reply.status, reply.subdevice), (EventKind::Reply, S::ENOS_OK, ids[0]));
    assert_eq!(park.unsubscribed, [vec![topic(0)]]);
    // Without a reply, when its time is over.
    park.post(ids[1]).unwrap();
    park.remove(ids[1]);
    park.wait(30_000);
    assert_eq!(park.unsubscribed.len(), 2);
}

/// Whenever the packets are answered, and whatever is still awaited.
#[test]
fn one_that_is_added_again_at_once_gets_its_replies() {
    for case in 0..16 {
        let [subscribe_waits, post_waits, unsubscribe_waits, others] = [1, 2, 4, 8].map(|bit| case & bit != 0);
        let (mut park, _) = Park::online(1);
        park.broker_holds = subscribe_waits;
        let id = park.try_add(vec![Park::new_one(&Park::key(1))]).unwrap()[0];
        if post_waits {
            park.post(id).unwrap();
        }
        park.broker_holds |= unsubscribe_waits;
        if others {
            let other = park.try_add(vec![Park::new_one(&Park::key(2))]).unwrap()[0];
            park.remove(other);
        }
        park.remove(id);
        let again = park.try_add(vec![Park::new_one(&Park::key(1))]).unwrap()[0];
        park.wait(10);
        park.release_acks();
        park.wait(10_000);
        assert_eq!(park.states(&[again]), [State::Online], "{case}");
        assert!(park.subscriptions.contains(&topic(1)), "{case}");
        let token = park.post(again).unwrap();
        let (topic_of_post, post) = park.cloud.ids.last().cloned().unwrap();
        park.message(&format!("{topic_of_post}_reply"), &json!({"id": post, "code": 200}));
        assert!(park.events.iter().any(|event| event.token == token && event.status == S::ENOS_OK), "{case}");
        park.wait(60_000);
        assert!(park.subscriptions.contains(&topic(1)), "{case}: nothing gives it up later");
    }
}

#[test]
fn a_topic_that_the_host_has_subscribed_to_stays() {
    let (mut park, ids) = Park::online(1);
    park.session.subscribe(park.now(), &topic(0), 1).unwrap();
    park.perform();
    park.remove(ids[0]);
    assert!(park.unsubscribed.is_empty() && park.subscriptions.contains(&topic(0)));
    park.session.unsubscribe(park.now(), &topic(0)).unwrap();
    park.perform();
    assert_eq!(park.unsubscribed, [vec![topic(0)]]);
}
