//! Which message becomes a dead letter when links are lost or answers do not come: the message that is the cause, and
//! no other.

use enos::internals::error::Status::*;
use support::broker::*;
use support::host::*;

use super::{device, posts, Request};

fn publish(host: &Host, count: u8) -> Vec<u64> {
    (0..count).map(|number| host.publish_durable("t", &[number]).unwrap()).collect()
}

/// The next connection of a device that keeps connecting. The system may first deliver a connection of an earlier
/// process that has ended.
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

/// Accepts links and ends each at its first message; returns these messages.
fn end_links(broker: &Broker, count: usize) -> Vec<u8> {
    (0..count)
        .map(|_| {
            let (peer, packet) = accept(broker);
            peer.reset();
            packet.payload()[0]
        })
        .collect()
}

/// A link that another message passes before the suspect goes, at which it ends.
fn end_link_behind(broker: &Broker, other: u8, suspect: u8) {
    let (mut peer, packet) = accept(broker);
    assert_eq!(packet.payload(), [other], "the suspect has stepped aside");
    peer.send(&puback(packet.id()));
    assert_eq!(peer.expect(PUBLISH).payload(), [suspect], "on the same link");
    peer.reset();
}

/// The links after three losses of the suspect, up to the last.
fn prove(broker: &Broker, other: u8, suspect: u8) {
    end_link_behind(broker, other, suspect);
    for _ in 0..2 {
        assert_eq!(end_links(broker, 1), [suspect], "between two proofs it goes first");
        end_link_behind(broker, other, suspect);
    }
}

#[test]
fn a_message_at_which_the_link_is_lost_behind_another_that_passes_is_a_dead_letter() {
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
    // The next process knows the failures so far.
    (0..2).for_each(|_| drop(host.until("DISCONNECTED")));
    host.destroy();
    let mut host = device(&broker, &store).start();
    host.connect();
    assert_eq!(end_links(&broker, 1), [1]);
    end_link_behind(&broker, 2, 1);
    let told = host.until("DELIVERED");
    assert_eq!((told.token, told.status), (tokens[2], ENOS_OK), "{told:?}");
    host.until("DISCONNECTED");
    host.destroy();
    let mut host = device(&broker, &store).start();
    host.connect();
    assert_eq!(end_links(&broker, 1), [1], "between two proofs it goes first");
    end_link_behind(&broker, 2, 1);
    assert_eq!(end_links(&broker, 1), [1]);
    end_link_behind(&broker, 2, 1);
    // The eighth loss ends it, not what passes later.
    let told = [host.until("DELIVERED"), host.until("DELIVERED")];
    assert_eq!((told[0].token, told[0].status), (tokens[2], ENOS_OK), "{told:#?}");
    assert_eq!((told[1].token, told[1].status, told[1].detail_code), (tokens[1], ENOS_ERR_DEAD_LETTER, 0), "{told:#?}");
    assert!(told[1].detail.contains("the link was lost 8 times"), "{told:#?}");
    let mut peer = broker.accept_mqtt();
    assert_eq!([peer.answer_publish().payload()[0], peer.answer_publish().payload()[0]], [2, 3]);
    assert_eq!(host.until("DELIVERED").token, tokens[3]);
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    assert_eq!(host.dead_letters(), [Kept { token: tokens[1], code: 0, topic: Some("t".into()), payload: vec![1] }]);
    assert_eq!(host.outbox_info().unwrap().dead_letters_ever, 1);
}

/// Whatever the number of losses is, the link holds after them.
#[test]
fn a_link_that_holds_in_the_end_blames_nobody() {
    for losses in 1..=12 {
        let (broker, store) = (Broker::bind(), Store::new());
        let mut host = device(&broker, &store).start();
        let tokens = publish(&host, 4);
        host.connect();
        end_links(&broker, losses);
        let mut peer = broker.accept_mqtt();
        let mut numbers = Vec::new();
        while !numbers.ends_with(&[0, 1, 2, 3]) {
            numbers.push(peer.answer_publish().payload()[0]);
        }
        assert!(numbers.len() <= 5, "only one goes before it: {numbers:?}");
        let told = host.outcomes(&tokens);
        assert!(told.values().all(|told| told.status == ENOS_OK), "after {losses} losses: {told:#?}");
        assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
        assert_eq!(host.outbox_info().unwrap().dead_letters_ever, 0);
    }
}

/// Between the losses another one passes, and in the end so does the message: it had its last word.
#[test]
fn a_message_that_passes_after_another_one_is_not_blamed_for_earlier_losses() {
    let (broker, store) = (Broker::bind(), Store::new());
    let mut host = device(&broker, &store).start();
    let tokens = publish(&host, 2);
    host.connect();
    assert_eq!(end_links(&broker, 3), [0; 3]);
    end_link_behind(&broker, 1, 0);
    let mut peer = broker.accept_mqtt();
    assert_eq!([peer.answer_publish().payload()[0], peer.answer_publish().payload()[0]], [0, 1]);
    assert!(host.outcomes(&tokens).values().all(|told| told.status == ENOS_OK));
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    assert_eq!(host.outbox_info().unwrap().dead_letters_ever, 0);
}

/// As many losses as make no difference: good messages, a link that is not.
#[test]
fn a_bad_link_makes_no_dead_letters() {
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
fn two_bad_messages_in_a_row_are_both_found() {
    let (broker, store) = (Broker::bind(), Store::new());
    let mut host = device(&broker, &store).inflight(1).start();
    let tokens = publish(&host, 3);
    host.connect();
    assert_eq!(end_links(&broker, 7), [0, 0, 0, 1, 0, 0, 0]);
    prove(&broker, 2, 0);
    let told = [host.until("DELIVERED"), host.until("DELIVERED")];
    assert_eq!((told[0].token, told[0].status), (tokens[2], ENOS_OK), "{told:#?}");
    assert_eq!((told[1].token, told[1].status), (tokens[0], ENOS_ERR_DEAD_LETTER), "{told:#?}");
    // The one between them may be good, so it has its turn.
    assert_eq!(end_links(&broker, 3), [1; 3]);
    prove(&broker, 2, 1);
    let told = host.until("DELIVERED");
    assert_eq!((told.token, told.status), (tokens[1], ENOS_ERR_DEAD_LETTER), "{told:#?}");
    let mut peer = broker.accept_mqtt();
    assert_eq!(peer.answer_publish().payload(), [2]);
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    exactly_once(&tokens, &host.seen);
}

#[test]
fn the_only_message_is_retried_until_there_is_another_to_compare() {
    let (broker, store) = (Broker::bind(), Store::new());
    let mut host = device(&broker, &store).start();
    let tokens = publish(&host, 1);
    host.connect();
    assert_eq!(end_links(&broker, 5), [0; 5]);
    let second = host.publish_durable("t", &[1]).unwrap();
    let (mut peer, mut packet) = accept(&broker);
    if packet.payload() == [0] {
        // It was in flight already.
        peer.reset();
        (peer, packet) = accept(&broker);
    }
    assert_eq!(packet.payload(), [1]);
    peer.send(&puback(packet.id()));
    assert_eq!(peer.expect(PUBLISH).payload(), [0]);
    peer.reset();
    for _ in 0..2 {
        assert_eq!(end_links(&broker, 1), [0], "between two proofs it goes first");
        end_link_behind(&broker, 1, 0);
    }
    let told = [host.until("DELIVERED"), host.until("DELIVERED")];
    assert_eq!((told[0].token, told[0].status), (second, ENOS_OK), "{told:#?}");
    assert_eq!((told[1].token, told[1].status), (tokens[0], ENOS_ERR_DEAD_LETTER), "{told:#?}");
}

#[test]
fn a_loss_reported_as_a_conflict_does_not_count() {
    let (broker, store) = (Broker::bind(), Store::new());
    let mut host = device(&broker, &store).connect_budget(16, 1000, 0).start();
    let tokens = publish(&host, 2);
    host.connect();
    assert_eq!(end_links(&broker, 3), [0; 3]);
    while host.until("DISCONNECTED").status != ENOS_ERR_CONFLICT {}
    // The other client goes away, and the host connects again before the announced time.
    host.connect();
    let mut peer = broker.accept_mqtt();
    assert_eq!([peer.answer_publish().payload()[0], peer.answer_publish().payload()[0]], [0, 1]);
    for token in &tokens {
        let told = host.until("DELIVERED");
        assert_eq!((told.token, told.status), (*token, ENOS_OK), "{told:?}");
    }
}

/// EnOS gives a good answer to all posts but one, that is number 1 of four.
fn answer_all_but_one(peer: &mut Peer, tries: usize, code: Option<i64>) {
    let mut tried = 0;
    while tried < tries {
        let request = Request::next(peer);
        match (request.number, code) {
            (1, None) => tried += 1,
            (1, Some(code)) => {
                tried += 1;
                request.answer(peer, code);
            }
            _ => request.answer(peer, 200),
        }
    }
}

#[test]
fn a_post_that_goes_unanswered_behind_another_that_is_answered_is_a_dead_letter() {
    let (broker, store) = (Broker::bind(), Store::new());
    let mut host = device(&broker, &store).reply_timeout(200).start();
    let tokens = posts(&host, 0..4);
    host.connect();
    let mut peer = broker.accept_mqtt();
    answer_all_but_one(&mut peer, 8, None);
    // What was completed did not wait for it.
    for token in [tokens[0], tokens[2], tokens[3]] {
        let told = host.until("REPLY");
        assert_eq!((told.token, told.status), (token, ENOS_OK), "{told:?}");
    }
    assert_eq!(host.waiting(), 3, "but goes out once more behind it, so that the order is kept");
    let told = host.until("REPLY");
    assert_eq!((told.token, told.status, told.detail_code), (tokens[1], ENOS_ERR_DEAD_LETTER, 0), "{told:?}");
    assert!(told.detail.contains("no answer 8 times"), "{told:?}");
    for number in [2, 3] {
        let request = Request::next(&mut peer);
        assert_eq!(request.number, number);
        request.answer(&mut peer, 200);
    }
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    while host.take().is_some() {}
    exactly_once(&tokens, &host.seen);
}

#[test]
fn a_post_that_is_answered_after_all_is_not_blamed_for_earlier_silence() {
    let (broker, store) = (Broker::bind(), Store::new());
    let mut host = device(&broker, &store).reply_timeout(200).start();
    let tokens = posts(&host, 0..4);
    host.connect();
    let mut peer = broker.accept_mqtt();
    answer_all_but_one(&mut peer, 7, None);
    loop {
        let request = Request::next(&mut peer);
        request.answer(&mut peer, 200);
        if request.number == 3 {
            break;
        }
    }
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    assert!(host.outcomes(&tokens).values().all(|told| told.status == ENOS_OK));
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
    // The other message was tried, without an answer as well.
    let request = Request::next(&mut peer);
    assert_eq!(request.number, 0, "after {seen:?}");
    request.answer(&mut peer, 200);
    Request::next(&mut peer).answer(&mut peer, 200);
    for token in &tokens {
        let told = host.until("REPLY");
        assert_eq!((told.token, told.status), (*token, ENOS_OK), "{told:?}");
    }
}
