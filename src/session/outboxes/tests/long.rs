//! Many outboxes, long backlogs, long times.

use super::*;
use crate::protocol::request::Moment;

const DAY_MS: u64 = 24 * 3_600_000;

/// What an input costs does not grow with the number of outboxes that have messages.
#[test]
fn only_those_are_looked_at_that_have_something_to_do() {
    let mut desk = Desk::new(2_000, 0);
    (1..=1_000).for_each(|id| desk.go_online(id));
    (1..=2_000).for_each(|id| desk.accept(id, 2, 1));
    desk.tick();
    assert_eq!(desk.senders(), (1..=10).collect::<Vec<_>>());
    for n in 1..=500 {
        desk.acknowledge();
        for (id, token, outcome) in desk.exchange.take_outcomes() {
            desk.call(|outboxes, session| {
                outboxes.with(id, session, |outbox, around| outbox.outcome(token, outcome, around));
            });
        }
        desk.call(|outboxes, session| outboxes.pump(false, false, session));
        // The one that was acknowledged, the one that sends, and the next, for which there is no room.
        assert_eq!(std::mem::take(&mut desk.outboxes.agenda.untidy), [n, n + 10, n + 11]);
    }
    // Nothing was acknowledged, and nothing is due.
    desk.call(|outboxes, session| outboxes.pump(false, false, session));
    assert_eq!(desk.outboxes.agenda.untidy.len(), 1, "the one that waits for room");
    let due = desk.outboxes.deadline().unwrap();
    assert!(due > desk.now + 1_000, "nobody wakes up before the broker has been silent for too long");
}

/// The first has a backlog, and the 199 others have a message now and then.
#[test]
fn ten_thousand_messages_of_one_delay_another_by_no_more_than_one() {
    let mut desk = Desk::new(200, 0);
    (1..=200).for_each(|id| desk.go_online(id));
    desk.accept(1, 10_000, 100);
    let mut deep = 0;
    let mut turn = |desk: &mut Desk| {
        desk.acknowledge();
        let before = desk.sent.len();
        (0..3).for_each(|_| {
            desk.tick();
            desk.answer_tasks();
        });
        let sent = desk.senders().split_off(before);
        deep += sent.iter().filter(|id| **id == 1).count();
        (sent, deep)
    };
    desk.tick();
    (0..100).for_each(|_| drop(turn(&mut desk)));
    // All at once: they take turns with each other.
    let (_, before) = turn(&mut desk);
    (2..=200).for_each(|id| desk.accept(id, 1, 100));
    let mut wait: Vec<u64> = (2..=200).collect();
    while !wait.is_empty() {
        let (sent, deep) = turn(&mut desk);
        assert_eq!(sent.len(), 1, "the window stays full");
        wait.retain(|id| !sent.contains(id));
        assert!(deep - before <= 1, "{} still wait for the first", wait.len());
    }
    (0..20).for_each(|_| drop(turn(&mut desk)));
    // One by one.
    for id in 2..=200 {
        desk.accept(id, 1, 100);
        let next = [turn(&mut desk).0, turn(&mut desk).0].concat();
        assert!(next.contains(&id), "{id} waits: {next:?} were sent");
    }
    let (_, before) = turn(&mut desk);
    (0..100).for_each(|_| drop(turn(&mut desk)));
    assert_eq!(turn(&mut desk).1 - before, 101, "the backlog goes on as well");
}

/// The device has no clock at boot, and the clock is set a day later.
#[test]
fn after_a_day_offline_a_message_has_the_time_at_which_it_was_accepted() {
    let mut desk = Desk::new(2, 0);
    let time = PostTime::Stamp(Moment { boot: 7, ms: desk.now });
    let post = |time| {
        let (operation, params) = (Operation::ENOS_OP_MEASUREPOINT_POST, br#"{"measurepoints":{"p":1}}"#.to_vec());
        Request { operation, name: String::new(), params, until_reply: false, resume: true, time, members: 0 }
    };
    desk.stored = Some(post(time));
    desk.wall_ms = 10_000;
    desk.accept(1, 1, 1);
    (desk.now, desk.wall_ms) = (desk.now + DAY_MS, desk.wall_ms + DAY_MS);
    (1..=2).for_each(|id| desk.go_online(id));
    desk.accept(2, 1, 1);
    (0..3).for_each(|_| {
        desk.tick();
        desk.answer_tasks();
    });
    assert_eq!(desk.senders(), [2], "the other one does not wait for the clock");
    desk.sent.clear();
    desk.wall_ms = 1_700_000_000_000;
    desk.now = desk.outboxes.deadline().unwrap();
    desk.tick();
    assert_eq!(desk.sent[0].1, "/sys/spk/s1/thing/measurepoint/resume", "it is old, and does not look live");
    let payload = String::from_utf8(std::mem::take(&mut desk.last_payload)).unwrap();
    let then = desk.wall_ms - (desk.now - 10_000);
    assert!(payload.contains(&format!(r#""time":{then},"#)), "{payload}");
    // Its boot is over, and nobody knows when it was accepted.
    let mut desk = Desk::new(1, 0);
    desk.stored = Some(post(PostTime::Stamp(Moment { boot: 6, ms: 10_000 })));
    desk.accept(1, 1, 1);
    desk.go_online(1);
    (0..2).for_each(|_| {
        desk.tick();
        desk.answer_tasks();
    });
    let payload = String::from_utf8(desk.last_payload).unwrap();
    assert!(desk.sent.len() == 1 && !payload.contains(r#""time""#), "{payload}");
}
