//! The outbox as the host sees it: listing and dropping messages, and a message that EnOS cannot read.

use enos::error::Status::*;
use serde_json::Value;
use support::broker::*;
use support::gate::Gate;
use support::host::*;

use super::{device, params, posts, Request, KEPT};

fn tokens(kept: &[Kept]) -> Vec<u64> {
    kept.iter().map(|kept| kept.token).collect()
}

#[test]
fn waiting_messages_are_listed_in_order_and_can_be_dropped() {
    let (broker, store) = (Broker::bind(), Store::new());
    let host = device(&broker, &store).start();
    let first = host.publish_durable("t", b"0").unwrap();
    let batch: Vec<u64> = host
        .publish_batch(&[
            Durable { topic: Some("b"), payload: b"1", flags: 0 },
            Durable { topic: Some("b"), payload: b"2", flags: 0 },
            Durable { topic: None, payload: params(3).as_bytes(), flags: UNTIL_REPLY },
        ])
        .unwrap();
    let large = host.publish_durable("t", &vec![4; 200_000]).unwrap();
    let last = host.publish_durable("t", b"5").unwrap();
    host.destroy();
    let mut host = device(&broker, &store).start();
    let shown = host.show_waiting();
    assert_eq!(tokens(&shown), [first, batch[0], batch[1], batch[2], large, last]);
    assert_eq!(shown[1], Kept { token: batch[0], code: 0, topic: Some("b".into()), payload: b"1".to_vec() });
    assert_eq!(shown[3], Kept { token: batch[2], code: 0, topic: Some(String::new()), payload: params(3).into() });
    for token in [batch[1], large] {
        assert_eq!(host.drop_message(token), ENOS_OK);
        assert_eq!(host.drop_message(token), ENOS_ERR_NOT_FOUND, "it is gone");
    }
    assert_eq!(host.drop_message(7), ENOS_ERR_NOT_FOUND);
    assert_eq!(tokens(&host.show_waiting()), [first, batch[0], batch[2], last]);
    // Dropping the oldest frees its space at once.
    assert_eq!((host.drop_message(first), host.waiting()), (ENOS_OK, 5));
    host.connect();
    let mut peer = broker.accept_mqtt();
    assert_eq!(peer.answer_publish().payload(), b"1");
    let request = Request::next(&mut peer);
    assert_eq!(request.number, 3);
    request.answer(&mut peer, 200);
    assert_eq!(peer.answer_publish().payload(), b"5");
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    while host.take().is_some() {}
    exactly_once(&[batch[0], batch[2], last], &host.seen);
    assert!(!store.has("out"), "nothing stays behind");
}

#[test]
fn in_flight_messages_can_be_dropped_and_later_ones_go_on() {
    let (broker, store) = (Broker::bind(), Store::new());
    let mut host = device(&broker, &store).inflight(1).start();
    host.connect();
    let mut peer = broker.accept_mqtt();
    let tokens = posts(&host, 0..2);
    // It is never answered.
    assert_eq!(Request::next(&mut peer).number, 0);
    assert_eq!(host.drop_message(tokens[0]), ENOS_OK);
    let request = Request::next(&mut peer);
    assert_eq!(request.number, 1);
    assert_eq!(host.drop_message(tokens[0]), ENOS_ERR_NOT_FOUND);
    request.answer(&mut peer, 200);
    assert_eq!(host.until("REPLY").token, tokens[1]);
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    assert_eq!((host.take(), host.outbox_info().unwrap().set_aside), (None, 0));
}

#[test]
fn a_refusal_during_a_drop_makes_no_dead_letter() {
    let (broker, store, gate) = (Broker::bind(), Store::new(), Gate::default());
    let mut host = device(&broker, &store).start();
    host.connect();
    let mut peer = broker.accept_mqtt();
    let token = posts(&host, 0..1)[0];
    let request = Request::next(&mut peer);
    let (client, held) = (host.client(), gate.clone());
    store.answer(move |request| {
        if request.is_store() && request.key.starts_with("out.") {
            held.pass();
        }
        None
    });
    let dropping = std::thread::spawn(move || client.drop_message(token));
    gate.wait_for_arrival();
    request.answer(&mut peer, 1206);
    while host.stats().messages_received == 0 {
        std::thread::yield_now();
    }
    gate.open();
    assert_eq!(dropping.join().unwrap(), ENOS_OK);
    let next = posts(&host, 1..2);
    Request::next(&mut peer).answer(&mut peer, 200);
    assert_eq!(host.until("REPLY").token, next[0]);
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    assert_eq!((tokens(&host.dead_letters()), host.outbox_info().unwrap().set_aside), (vec![], 0));
}

#[test]
fn dead_letters_keep_to_the_limits_and_each_removal_is_reported() {
    let (broker, store) = (Broker::bind(), Store::new());
    let mut host = device(&broker, &store).outbox_limits(120, 1 << 20, 0).start();
    host.connect();
    let mut peer = broker.accept_mqtt();
    let mut dead = Vec::new();
    for _ in 0..100 {
        dead.extend(posts(&host, 0..1));
        let request = Request::next(&mut peer);
        request.answer(&mut peer, 1206);
        assert_eq!(host.until("REPLY").status, ENOS_ERR_SET_ASIDE);
    }
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    assert_eq!(tokens(&host.dead_letters()), dead, "more than a few");
    host.destroy();
    let mut host = device(&broker, &store).outbox_limits(120, 1 << 20, 0).start();
    assert_eq!(tokens(&host.dead_letters()), dead, "after a restart");
    assert_eq!(host.outbox_info().unwrap().dead_letters, 100);
    let waiting = posts(&host, 0..23);
    for token in &dead[..3] {
        let told = host.expect("DEAD_LETTER_DROPPED");
        assert_eq!((told.token, told.status), (*token, ENOS_ERR_QUEUE_FULL), "{told:?}");
    }
    assert_eq!((tokens(&host.show_waiting()), tokens(&host.dead_letters())), (waiting, dead[3..].to_vec()));
}

/// EnOS's answer to a message that it cannot read does not say which message it means.
#[test]
fn a_refusal_without_an_id_counts_when_one_message_waits_and_has_them_sent_one_by_one_before() {
    let (broker, store) = (Broker::bind(), Store::new());
    let mut host = device(&broker, &store).start();
    let tokens = posts(&host, 0..3);
    host.connect();
    let mut peer = broker.accept_mqtt();
    let requests: Vec<_> = (0..3).map(|_| Request::next(&mut peer)).collect();
    requests[1].answer_as(&mut peer, &Value::Null, 1220);
    // The others are answered, but are sent again, because they come after it, or because the outcome is unclear.
    requests[0].answer(&mut peer, 200);
    requests[2].answer(&mut peer, 200);
    assert_eq!(host.until("MESSAGE").topic, format!("{}_reply", requests[1].topic).as_bytes(), "a matter for the host");
    for number in [0, 1] {
        let request = Request::next(&mut peer);
        assert_eq!(request.number, number, "alone");
        match number {
            1 => {
                request.answer_as(&mut peer, &Value::Null, 200);
                assert_eq!(host.until("MESSAGE").status, ENOS_OK, "a success without a name is nobody's");
                request.answer_as(&mut peer, &Value::Null, 1220);
            }
            _ => request.answer(&mut peer, 200),
        }
    }
    let request = Request::next(&mut peer);
    assert_eq!(request.number, 2);
    request.answer(&mut peer, 200);
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    while host.take().is_some() {}
    exactly_once(&tokens, &host.seen);
    let told = host.seen.iter().find(|told| told.token == tokens[1]).unwrap();
    assert_eq!((told.status, told.detail_code), (ENOS_ERR_SET_ASIDE, 1220), "{told:?}");
    assert_eq!(host.outbox_info().unwrap().set_aside, 1);
}

#[test]
fn the_simulated_cloud_cannot_read_a_message_of_an_earlier_library_and_the_rest_goes_on() {
    use support::desk::Desk;
    let (desk, store) = (Desk::active(|_| ()), Store::new());
    let host = Setup::device(desk.address()).storage(&store).start();
    // An earlier version accepted such texts.
    let bad = host.post_flags(r#"{"measurepoints":{"n":"??????"},"time":1700000000000}"#, KEPT).unwrap();
    let good = posts(&host, 2..6);
    host.destroy();
    reseal(&store, "??????", "\\ud800");
    let mut host = Setup::device(desk.address()).storage(&store).start();
    host.connect();
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    while host.take().is_some() {}
    let outcomes: Vec<_> =
        host.seen.iter().filter(|told| told.name == "REPLY").map(|told| (told.token, told.status)).collect();
    assert_eq!(outcomes.len(), 5, "{outcomes:?}");
    assert!(outcomes.contains(&(bad, ENOS_ERR_SET_ASIDE)), "{outcomes:?}");
    assert!(good.iter().all(|token| outcomes.contains(&(*token, ENOS_OK))), "{outcomes:?}");
}

/// Changes a text in the stored messages, with a valid checksum.
fn reseal(store: &Store, from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    let mut changed = 0;
    for record in store.records().values_mut() {
        let Some(at) = record.windows(from.len()).position(|window| window == from.as_bytes()) else { continue };
        record[at..at + to.len()].copy_from_slice(to.as_bytes());
        let end = record.len() - 4;
        let crc = crc32fast::hash(&record[..end]);
        record[end..].copy_from_slice(&crc.to_le_bytes());
        changed += 1;
    }
    assert_eq!(changed, 1);
}
