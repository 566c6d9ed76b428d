use super::*;
use crate::protocol::durable::{Moment, PostTime};
use crate::session::LinkRequest;

const LIMITS: Totals = Totals { messages: 10, bytes: 10_000 };

fn outbox(limits: Totals) -> (Outbox, Requests) {
    let settings = OutboxSettings { window: 10, bytes_per_s: 0, timeout_ms: 30_000, boot: 7, limits };
    (Outbox::new(settings, Identity::new("pk", "dk", None).unwrap()), Requests::new(10, 30_000, 1))
}

fn post(time: PostTime) -> Durable {
    let content = Content::Measurepoints { params: br#"{"measurepoints":{"t":1}}"#.to_vec() };
    Durable { content, until_reply: false, resume: false, time }
}

/// What it wants done.
fn actions(outbox: &mut Outbox, requests: &mut Requests, f: impl FnOnce(&mut Outbox, &mut Around)) -> VecDeque<Action> {
    let (mut actions, mut rng) = (VecDeque::new(), fastrand::Rng::with_seed(1));
    let mut around = Around { now: 5_000, wall_ms: 0, requests, actions: &mut actions, rng: &mut rng };
    f(outbox, &mut around);
    actions
}

/// What goes out of it at this moment.
fn sent(outbox: &mut Outbox, requests: &mut Requests, now: u64, wall_ms: u64) -> Vec<String> {
    let (mut actions, mut rng) = (VecDeque::new(), fastrand::Rng::with_seed(1));
    outbox.pump(false, &mut Around { now, wall_ms, requests, actions: &mut actions, rng: &mut rng });
    let payload = |action| match action {
        Action::Send(LinkRequest::Publish { payload, .. }) => Some(String::from_utf8(payload).unwrap()),
        _ => None,
    };
    actions.into_iter().filter_map(payload).collect()
}

#[test]
fn a_post_waits_for_the_clock_and_gets_the_time_at_which_it_was_accepted() {
    let (mut outbox, mut requests) = outbox(LIMITS);
    let message = |boot| post(PostTime::Stamp(Moment { boot, ms: 1_000 }));
    outbox.ends = Some((1, 1));
    outbox.appended(1, 2, LIMITS, vec![message(7)]);
    outbox.appended(2, 3, LIMITS, vec![message(6)]);
    outbox.link_up(5_000);
    assert!(sent(&mut outbox, &mut requests, 5_000, 1_000_000).is_empty(), "the clock stands in 1970");
    let again = outbox.deadline().unwrap();
    assert!((6_000..=15_000).contains(&again), "{again}");
    let sent = sent(&mut outbox, &mut requests, 21_000, 1_700_000_000_000);
    assert!(sent[0].contains(r#""params":{"time":1699999980000,"measurepoints":{"t":1}}"#), "{sent:?}");
    assert!(sent[1].contains(r#""params":{"measurepoints":{"t":1}}"#), "of an earlier boot: {sent:?}");
}

#[test]
fn what_is_dropped_while_its_page_is_being_read_is_not_sent() {
    let (mut outbox, mut requests) = outbox(LIMITS);
    outbox.ends = Some((1, 2));
    outbox.link_up(5_000);
    let read = |action: &Action| matches!(action, Action::ReadPage { page: 1, .. });
    let pump = |outbox: &mut Outbox, requests: &mut Requests| {
        actions(outbox, requests, |outbox, around| {
            outbox.pump(false, around);
        })
    };
    assert!(pump(&mut outbox, &mut requests).iter().any(read));
    // The storage was read before the host dropped the message, and is heard of after that.
    let before = PageFound::Messages { next: 2, after: LIMITS, messages: vec![Some(post(PostTime::Without)); 2] };
    actions(&mut outbox, &mut requests, |outbox, around| {
        outbox.forget(durable::token(1, 0), around);
        outbox.page_read(1, Ok(before), around);
    });
    let wanted = pump(&mut outbox, &mut requests);
    assert!(wanted.iter().all(read) && wanted.len() == 1, "it is read once more");
    let found = PageFound::Messages { next: 2, after: LIMITS, messages: vec![None, Some(post(PostTime::Without))] };
    actions(&mut outbox, &mut requests, |outbox, around| outbox.page_read(1, Ok(found), around));
    let sent = pump(&mut outbox, &mut requests);
    assert_eq!(sent.iter().filter(|action| matches!(action, Action::Send(_))).count(), 1);
}

#[test]
fn a_small_outbox_that_is_still_full_does_not_tell_of_room() {
    for messages in [1, 7, 8, 100] {
        let limits = Totals { messages, bytes: 10_000 };
        let (mut outbox, mut requests) = outbox(limits);
        outbox.refused();
        let mut told = |messages| {
            let held = Totals { messages, bytes: 0 };
            !actions(&mut outbox, &mut requests, |outbox, around| outbox.tell_room(held, around)).is_empty()
        };
        assert!(!told(messages) && told(messages - messages.div_ceil(8)), "of {messages}");
    }
}
