//! Who pays for a link that is lost, and for an answer that does not come: the message that is the cause, and no other.

use enos::internals::error::Status::*;
use support::broker::*;
use support::host::*;

use super::{device, posts, Request};

fn publish(host: &Host, count: u8) -> Vec<u64> {
    (0..count).map(|number| host.publish_durable("t", &[number]).unwrap()).collect()
}

/// The next connection of a device that goes on connecting. One of an earlier process may have been let in by the
/// system, though nobody is there any more.
fn accept(broker: &Broker) -> (Peer, Packet) {
    loop {
        let mut peer = broker.accept();
        if peer.try_read().is_some() && peer.try_send(&connack(0)) {
            if let Some(packet) = peer.try_read() {
                return (peer, packet);
            }
        }
    }
}

/// Accepts links and ends each at its first message; which messages these were.
fn end_links(broker: &Broker, count: usize) -> Vec<u8> {
    (0..count)
        .map(|_| {
            let (peer, packet) = accept(broker);
            peer.reset();
            packet.payload()[0]
        })
        .collect()
}

#[test]
fn a_message_at_which_the_link_is_lost_is_a_dead_letter_once_another_has_passed_in_its_place() {
    let (broker, store) = (Broker::bind(), Store::new());
    let mut host = device(&broker, &store).start();
    let tokens = publish(&host, 4);
    host.connect();
    let mut peer = broker.accept_mqtt();
    assert_eq!(peer.answer_publish().payload(), [0]);
    assert_eq!(host.until("DELIVERED").token, tokens[0]);
    while peer.expect(PUBLISH).payload() != [3] {}
    peer.reset();
    assert_eq!(end_links(&broker, 1), [1], "one by one from here on");
    // What has happened so far is known to the next process as well.
    (0..2).for_each(|_| drop(host.until("DISCONNECTED")));
    host.destroy();
    let mut host = device(&broker, &store).start();
    host.connect();
    assert_eq!(end_links(&broker, 1), [1]);
    let (mut peer, packet) = accept(&broker);
    assert_eq!(packet.payload(), [2], "it has stepped aside");
    peer.send(&puback(packet.id()));
    let told = [host.until("DELIVERED"), host.until("DELIVERED")];
    assert_eq!((told[0].token, told[0].status), (tokens[2], ENOS_OK), "{told:#?}");
    assert_eq!((told[1].token, told[1].status, told[1].detail_code), (tokens[1], ENOS_ERR_DEAD_LETTER, 0), "{told:#?}");
    assert_eq!(peer.answer_publish().payload(), [3]);
    assert_eq!(host.until("DELIVERED").token, tokens[3]);
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    assert_eq!(host.dead_letters(), [Kept { token: tokens[1], code: 0, topic: Some("t".into()), payload: vec![1] }]);
    assert_eq!(host.outbox_info().unwrap().dead_letters_ever, 1);
}

/// As many losses as make no difference: good messages, a link that is not.
#[test]
fn no_message_pays_for_a_bad_link() {
    let (broker, store) = (Broker::bind(), Store::new());
    let mut host = device(&broker, &store).start();
    let tokens = publish(&host, 30);
    host.connect();
    let first = end_links(&broker, 13);
    assert_eq!(first, [0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0], "others are tried, and it goes back to its place");
    let mut peer = broker.accept_mqtt();
    let numbers: Vec<_> = (0..30).map(|_| peer.answer_publish().payload()[0]).collect();
    assert_eq!(numbers, (0..30).collect::<Vec<_>>());
    for token in &tokens {
        let told = host.until("DELIVERED");
        assert_eq!((told.token, told.status), (*token, ENOS_OK), "{told:?}");
    }
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    assert_eq!((host.outbox_info().unwrap().dead_letters_ever, host.dead_letters().len()), (0, 0));
}

#[test]
fn two_such_messages_behind_one_another_are_both_found() {
    let (broker, store) = (Broker::bind(), Store::new());
    let mut host = device(&broker, &store).inflight(1).start();
    let tokens = publish(&host, 3);
    host.connect();
    assert_eq!(end_links(&broker, 7), [0, 0, 0, 1, 0, 0, 0]);
    let (mut peer, packet) = accept(&broker);
    assert_eq!(packet.payload(), [2]);
    peer.send(&puback(packet.id()));
    // The last one is told to be through now, and goes out again behind the one between them, for that may be good.
    let told = [host.until("DELIVERED"), host.until("DELIVERED")];
    assert_eq!((told[0].token, told[0].status), (tokens[2], ENOS_OK), "{told:#?}");
    assert_eq!((told[1].token, told[1].status), (tokens[0], ENOS_ERR_DEAD_LETTER), "{told:#?}");
    assert_eq!(peer.expect(PUBLISH).payload(), [1]);
    peer.reset();
    assert_eq!(end_links(&broker, 2), [1, 1]);
    let (mut peer, packet) = accept(&broker);
    assert_eq!(packet.payload(), [2]);
    peer.send(&puback(packet.id()));
    let told = host.until("DELIVERED");
    assert_eq!((told.token, told.status), (tokens[1], ENOS_ERR_DEAD_LETTER), "{told:#?}");
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    exactly_once(&tokens, &host.seen);
}

#[test]
fn the_only_message_is_tried_on_and_blamed_only_when_there_is_another() {
    let (broker, store) = (Broker::bind(), Store::new());
    let mut host = device(&broker, &store).start();
    let tokens = publish(&host, 1);
    host.connect();
    assert_eq!(end_links(&broker, 5), [0; 5]);
    let second = host.publish_durable("t", &[1]).unwrap();
    let (mut peer, mut packet) = accept(&broker);
    if packet.payload() == [0] {
        // It was on its way already.
        peer.reset();
        (peer, packet) = accept(&broker);
    }
    assert_eq!(packet.payload(), [1]);
    peer.send(&puback(packet.id()));
    let told = [host.until("DELIVERED"), host.until("DELIVERED")];
    assert_eq!((told[0].token, told[0].status), (second, ENOS_OK), "{told:#?}");
    assert_eq!((told[1].token, told[1].status), (tokens[0], ENOS_ERR_DEAD_LETTER), "{told:#?}");
}

#[test]
fn a_loss_that_is_told_as_a_conflict_blames_nobody() {
    let (broker, store) = (Broker::bind(), Store::new());
    let mut host = device(&broker, &store).connect_budget(16, 1000, 0).start();
    let tokens = publish(&host, 2);
    host.connect();
    assert_eq!(end_links(&broker, 3), [0; 3]);
    while host.until("DISCONNECTED").status != ENOS_ERR_CONFLICT {}
    // The other one goes away, and the host does not wait for as long as it was told.
    host.connect();
    let mut peer = broker.accept_mqtt();
    assert_eq!([peer.answer_publish().payload()[0], peer.answer_publish().payload()[0]], [0, 1]);
    for token in &tokens {
        let told = host.until("DELIVERED");
        assert_eq!((told.token, told.status), (*token, ENOS_OK), "{told:?}");
    }
}

/// The answers of EnOS to posts: to all but one.
#[test]
fn a_post_that_goes_unanswered_is_a_dead_letter_once_another_was_answered_in_its_place() {
    let (broker, store) = (Broker::bind(), Store::new());
    let mut host = device(&broker, &store).reply_timeout(200).start();
    let tokens = posts(&host, 0..4);
    host.connect();
    let mut peer = broker.accept_mqtt();
    let mut tries = 0;
    while tries < 5 {
        let request = Request::next(&mut peer);
        match request.number {
            1 => tries += 1,
            _ => request.answer(&mut peer, 200),
        }
    }
    // What was through did not wait for it.
    for token in [tokens[0], tokens[2], tokens[3]] {
        let told = host.until("REPLY");
        assert_eq!((told.token, told.status), (token, ENOS_OK), "{told:?}");
    }
    assert_eq!(host.waiting(), 3, "but goes out once more behind it, so that the order is kept");
    let request = Request::next(&mut peer);
    assert_eq!(request.number, 2);
    request.answer(&mut peer, 200);
    let told = host.until("REPLY");
    assert_eq!((told.token, told.status, told.detail_code), (tokens[1], ENOS_ERR_DEAD_LETTER, 0), "{told:?}");
    let request = Request::next(&mut peer);
    assert_eq!(request.number, 3);
    request.answer(&mut peer, 200);
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    while host.take().is_some() {}
    exactly_once(&tokens, &host.seen);
}

#[test]
fn a_cloud_that_answers_nobody_blames_nobody() {
    let (broker, store) = (Broker::bind(), Store::new());
    let mut host = device(&broker, &store).reply_timeout(100).start();
    let tokens = posts(&host, 0..2);
    host.connect();
    let mut peer = broker.accept_mqtt();
    let mut seen = Vec::new();
    while seen.last() != Some(&1) || seen.len() < 5 {
        seen.push(Request::next(&mut peer).number);
    }
    // The other one was tried, and nothing came of it.
    let request = Request::next(&mut peer);
    assert_eq!(request.number, 0, "after {seen:?}");
    request.answer(&mut peer, 200);
    Request::next(&mut peer).answer(&mut peer, 200);
    for token in &tokens {
        let told = host.until("REPLY");
        assert_eq!((told.token, told.status), (*token, ENOS_OK), "{told:?}");
    }
}
