use super::*;
use crate::protocol::request::{Moment, PostTime};
use crate::protocol::{Operation, Request};
use crate::session::requests::Replied;
use crate::session::LinkRequest;

const LIMITS: Totals = Totals { messages: 10, bytes: 10_000 };

fn outbox(limits: Totals) -> (Outbox, Requests) {
    let settings = OutboxSettings { window: 10, bytes_per_s: 0, timeout_ms: 30_000, boot: 7, limits };
    (Outbox::new(settings, Identity::new("pk", "dk", None).unwrap()), Requests::new(10, 30_000, 1))
}

fn post(time: PostTime) -> Request {
    let (operation, params) = (Operation::ENOS_OP_MEASUREPOINT_POST, br#"{"measurepoints":{"t":1}}"#.to_vec());
    Request { operation, name: String::new(), params, until_reply: false, resume: false, time }
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
    let before = PageFound::Messages {
        next: 2,
        after: LIMITS,
        messages: vec![Some(Message::Request(post(PostTime::Without))); 2],
    };
    actions(&mut outbox, &mut requests, |outbox, around| {
        outbox.forget(outbox::token(1, 0), around);
        outbox.page_read(1, Ok(before), around);
    });
    let wanted = pump(&mut outbox, &mut requests);
    assert!(wanted.iter().all(read) && wanted.len() == 1, "it is read once more");
    let found = PageFound::Messages {
        next: 2,
        after: LIMITS,
        messages: vec![None, Some(Message::Request(post(PostTime::Without)))],
    };
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

/// A reply that never came leaves it open for ever whose a refusal without an id is.
#[test]
fn a_post_that_is_refused_without_an_id_and_alone_does_not_hold_up_the_rest() {
    let (mut outbox, mut requests) = outbox(LIMITS);
    let operation = Operation::ENOS_OP_MEASUREPOINT_POST;
    let identity = outbox.identity.clone();
    let topic = operation.reply_topic(&identity, "");
    outbox.ends = Some((1, 1));
    let until_reply = |text: &str| {
        let params = format!(r#"{{"measurepoints":{{"{text}":1}}}}"#).into_bytes();
        Request { params, until_reply: true, ..post(PostTime::Without) }
    };
    outbox.appended(1, 2, LIMITS, vec![until_reply("bad")]);
    outbox.appended(2, 3, LIMITS, vec![until_reply("good")]);
    outbox.link_up(0);
    let (mut actions, mut rng) = (VecDeque::new(), fastrand::Rng::with_seed(1));
    // The host's own post, whose reply never comes.
    requests.post(operation, &identity, br#"{"measurepoints":{"own":1}}"#, 0, &mut actions).unwrap();
    for now in (0..60 * 60_000).step_by(1_000) {
        requests.expire(now, &mut actions);
        for (request, outcome) in requests.take_outcomes() {
            let around = &mut Around { now, wall_ms: 0, requests: &mut requests, actions: &mut actions, rng: &mut rng };
            outbox.outcome(request, outcome, around);
        }
        let around = &mut Around { now, wall_ms: 0, requests: &mut requests, actions: &mut actions, rng: &mut rng };
        outbox.pump(false, around);
        for action in std::mem::take(&mut actions) {
            match action {
                Action::Send(LinkRequest::Subscribe { token, .. }) => {
                    requests.subscribed(token, Some(1), &mut actions);
                }
                Action::Send(LinkRequest::Publish { token, payload, .. }) => {
                    requests.delivered(token, &mut actions);
                    let text = String::from_utf8(payload).unwrap();
                    let answer = match text {
                        text if text.contains("own") => continue,
                        text if text.contains("bad") => r#"{"id":null,"code":1220}"#.to_owned(),
                        text => format!(r#"{{"id":{},"code":200}}"#, text.split([':', ',']).nth(1).unwrap()),
                    };
                    for (request, outcome) in requests.take_outcomes() {
                        let (requests, actions, rng) = (&mut requests, &mut actions, &mut rng);
                        outbox.outcome(request, outcome, &mut Around { now, wall_ms: 0, requests, actions, rng });
                    }
                    let replied = requests.reply(topic.as_bytes(), answer.as_bytes());
                    let (requests, actions, rng) = (&mut requests, &mut actions, &mut rng);
                    let around = &mut Around { now, wall_ms: 0, requests, actions, rng };
                    match replied {
                        Some(Replied::Unclear) => outbox.send_one_by_one(around),
                        Some(Replied::Kept { request, code, words }) => {
                            let (topic, payload) = (Vec::new(), Vec::new());
                            outbox.outcome(request, Outcome::Reply { code, words, topic, payload }, around);
                        }
                        _ => {}
                    }
                }
                Action::SetAside { token, .. } => {
                    return assert_eq!(token, outbox::token(1, 0));
                }
                _ => {}
            }
        }
    }
    panic!("after an hour the other one waits still");
}
