//! Faults that come together, and what must not come of them.

use super::*;
use crate::protocol::outbox::OutboxEnds;
use crate::protocol::request::PostTime;
use crate::protocol::{Request, Totals};
use crate::session::Appended;

fn to_activate(n: usize) -> NewSubdevice {
    NewSubdevice {
        device_secret: None,
        product_secret: Some(Secret::new(b"product").unwrap()),
        ..Park::new_one(&Park::key(n))
    }
}

fn order(park: &mut Park, what: &str) {
    let params = json!([{"productKey": "sub", "deviceKey": Park::key(0)}]);
    let body = json!({"id": "900", "method": format!("combine.{what}"), "params": params});
    park.message(&format!("/ext/session/pk/dk/combine/{what}"), &body);
}

#[test]
fn two_replies_with_a_secret_are_one_secret_or_two() {
    for second in ["secret", "another"] {
        let mut park = Park::new();
        park.cloud.secrets.insert(Park::key(0), "secret".into());
        park.try_add(vec![to_activate(0)]).unwrap();
        park.cloud.holds = true;
        park.connect();
        park.cloud.secrets.insert(Park::key(0), second.into());
        park.wait(40_000);
        assert_eq!(park.replies.len(), 2, "the first one is late");
        park.storage_fails = 2;
        park.cloud.holds = false;
        park.deliver();
        park.wait(HOUR_MS);
        assert!(!park.session.has_unsaved_secret());
        let stored: Vec<_> = park.disk[&Park::key(0)].iter().map(|stored| stored.secret.as_bytes().to_vec()).collect();
        assert_eq!(stored.last().unwrap(), second.as_bytes());
        assert_eq!(stored.len(), if second == "secret" { 1 } else { 2 });
    }
}

/// The host saves a secret by hand while it is stored, and another one has come meanwhile.
#[test]
fn the_result_of_a_store_is_not_that_of_the_next_secret() {
    let mut park = Park::new();
    park.cloud.secrets.insert(Park::key(0), "secret".into());
    let ids = park.try_add(vec![to_activate(0)]).unwrap();
    park.cloud.holds = true;
    park.connect();
    park.cloud.secrets.insert(Park::key(0), "another".into());
    park.wait(40_000);
    let second = park.replies.pop().unwrap();
    park.storage_fails = 1;
    park.deliver();
    assert!(park.events.iter().any(|event| event.kind == EventKind::PersistFailed));
    park.storage_holds = true;
    park.wait(10_000);
    park.feed(second);
    park.session.subdevice_saved(park.now(), ids[0]).unwrap();
    park.perform();
    park.events.clear();
    let store = park.stores.pop().unwrap();
    park.feed(store);
    assert!(!park.events.iter().any(|event| event.kind == EventKind::Activated), "it is not stored yet");
    assert!(park.session.has_unsaved_secret());
    park.storage_holds = false;
    let store = park.stores.pop().unwrap();
    park.feed(store);
    let activated = park.events.iter().find(|event| event.kind == EventKind::Activated).unwrap();
    assert_eq!(activated.activation.as_ref().unwrap().device_secret().as_bytes(), b"another");
    assert!(!park.session.has_unsaved_secret());
}

const HOUR_MS: u64 = 3_600_000;

#[test]
fn one_without_a_secret_is_never_due() {
    let mut park = Park::new();
    let ids = park.try_add(vec![NewSubdevice { product_secret: None, ..to_activate(0) }]).unwrap();
    park.connect();
    order(&mut park, "disable");
    order(&mut park, "enable");
    park.wait(1_000);
    assert!(park.session.deadline().is_none_or(|at| at > park.now));
    assert_eq!(park.states(&ids), [State::Refused]);
}

#[test]
fn an_addition_to_the_topology_that_is_lost_is_made_again() {
    let mut park = Park::new();
    park.cloud.not_in_topology.insert(Park::key(0));
    park.cloud.holds = true;
    let ids = park.try_add(vec![NewSubdevice { add_topology: true, ..Park::new_one(&Park::key(0)) }]).unwrap();
    park.connect();
    let refusal = park.next_reply();
    park.feed(refusal);
    assert_eq!(park.cloud.topology.len(), 1);
    park.cloud.not_in_topology.insert(Park::key(0));
    park.lose_link();
    park.cloud.holds = false;
    park.wait(HOUR_MS);
    assert_eq!(park.states(&ids), [State::Online]);
}

/// The cloud answers each login, whatever its size, that it has no time.
#[test]
fn a_busy_cloud_meets_no_storm() {
    let mut park = Park::new();
    park.add(200);
    park.cloud.holds = true;
    park.connect();
    let start = park.now;
    while park.now < start + 60_000 {
        match park.replies.is_empty() {
            true => park.wait(20),
            false => {
                let mut input = park.next_reply();
                if let Input::Link { what: LinkEvent::Message { payload, .. }, .. } = &mut input {
                    let id = serde_json::from_slice::<Value>(payload).unwrap()["id"].clone();
                    *payload = json!({"id": id, "code": 429, "message": "busy"}).to_string().into_bytes().into();
                }
                park.now += 20;
                park.feed(input);
            }
        }
    }
    let logins = park.login_sizes();
    assert!((3..=60).contains(&logins.len()), "{} requests in a minute", logins.len());
    assert!(logins.iter().all(|size| *size == 100), "the size is not the reason: {logins:?}");
}

#[test]
fn a_broker_that_closes_at_a_large_batch_gets_a_smaller_one() {
    let mut park = Park::new();
    park.add(100);
    park.cloud.holds = true;
    park.connect();
    for _ in 0..12 {
        park.lose_link();
        park.wait(HOUR_MS);
        park.replies.clear();
    }
    let sizes = park.login_sizes();
    assert!(sizes.iter().any(|size| *size <= 25), "{sizes:?}");
}

#[test]
fn a_bad_one_among_all_or_none_does_not_leave_all_others_single() {
    let mut park = Park::new();
    let ids = park.add(200);
    park.cloud.all_or_nothing = true;
    park.cloud.refused.insert(Park::key(0), 742);
    park.connect();
    park.wait(1_000);
    let sizes = park.login_sizes();
    assert!(sizes.len() < 80, "{} requests: {sizes:?}", sizes.len());
    assert_eq!(park.states(&ids[1..]), vec![State::Online; 199]);
}

#[test]
fn a_late_reply_of_an_earlier_login_does_not_end_the_present_one() {
    let (mut park, ids) = Park::online(1);
    park.post(ids[0]).unwrap();
    let late = park.cloud.ids.last().cloned().unwrap();
    park.post(ids[0]).unwrap();
    park.deny_last_post();
    park.wait(6_000);
    assert_eq!(park.states(&ids), [State::Online]);
    park.cloud.ids.push(late);
    park.deny_last_post();
    assert_eq!(park.states(&ids), [State::Online]);
}

#[test]
fn nothing_is_sent_after_the_logout() {
    let mut park = Park::new();
    let ids = park.add(1);
    park.connect();
    let call = Call {
        operation: Operation::ENOS_OP_EVENT_POST,
        subdevice: ids[0],
        name: "e",
        params: br#"{"events":{}}"#,
        flags: 0,
        timeout_ms: None,
        user: 5,
    };
    // It waits for the topic of its reply.
    let token = park.session.request(park.now(), &call).unwrap();
    park.session.set_subdevice_online(park.now(), ids[0], false).unwrap();
    park.forget();
    park.perform();
    let outcome = park.events.iter().find(|event| event.token == token).unwrap();
    assert_eq!((outcome.status, outcome.subdevice), (S::ENOS_ERR_NETWORK, ids[0]));
    assert_eq!(park.cloud.logouts, [Park::key(0)]);
}

#[test]
fn enable_and_a_long_good_time_end_the_wait() {
    let mut park = Park::new();
    park.cloud.refused.insert(Park::key(0), 770);
    let ids = park.add(1);
    park.connect();
    park.wait(HOUR_MS);
    park.cloud.refused.clear();
    order(&mut park, "enable");
    park.wait(5_000);
    assert_eq!(park.states(&ids), [State::Online]);
    park.wait(24 * HOUR_MS);
    park.cloud.refused.insert(Park::key(0), 770);
    park.forget();
    park.lose_link();
    park.wait(200_000);
    let first = park.events.iter().find(|event| event.subdevice_state == State::Refused as i32).unwrap();
    assert!((1_000..=2_000).contains(&first.retry_in_ms), "{}", first.retry_in_ms);
}

#[test]
fn an_order_has_the_pointer_of_its_sub_device() {
    let (mut park, ids) = Park::online(1);
    order(&mut park, "disable");
    let handed = park.handed.pop().unwrap();
    assert_eq!((handed.subdevice, handed.user), (ids[0], 7));
}

/// No reply to a login is given to the host, whatever is wrong with it.
#[test]
fn replies_to_logins_stay_inside() {
    let (mut park, _) = Park::online(2);
    let topic = "/ext/session/pk/dk/combine/login/batch_reply";
    for body in [json!({"code": 500}), json!({"id": "x", "code": 200}), json!(7)] {
        park.message(topic, &body);
        let payload = body.to_string().into_bytes().into();
        park.link(LinkEvent::Message { topic: topic.into(), payload, qos: 1, retained: true });
    }
    assert!(park.events.is_empty());
}

/// EnOS deletes it while the host's call stores a message.
#[test]
fn a_message_that_is_stored_meanwhile_becomes_a_dead_letter() {
    let (mut park, ids) = Park::online(1);
    let id = ids[0];
    park.session.check_not_deleted(id).unwrap();
    order(&mut park, "delete");
    assert_eq!(park.session.check_not_deleted(id).unwrap_err().status, S::ENOS_ERR_STATE);
    park.session.outbox_opened(park.now(), id, OutboxEnds { head: 1, tail: 1, suspect: None, lost: None });
    let message = Request {
        operation: Operation::ENOS_OP_MEASUREPOINT_POST,
        name: String::new(),
        params: br#"{"measurepoints":{"p":1},"time":1700000000000}"#.to_vec(),
        until_reply: true,
        resume: false,
        time: PostTime::Own,
        members: 0,
    };
    let after = Totals { messages: 1, bytes: 100 };
    let appended = Appended { page: 1, next: 2, after, messages: vec![message], users: vec![7] };
    park.session.appended(park.now(), id, appended);
    park.wait(1);
    // It is offline, so nothing else would read it.
    assert_eq!(park.pages_read, [id]);
}
