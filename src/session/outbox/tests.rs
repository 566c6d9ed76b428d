mod losses;
mod newest;

use super::*;
use crate::model::link::LinkRequest;
use crate::protocol::outbox::Message;
use crate::protocol::outbox::{self, PageFound};
use crate::protocol::request::{Moment, PostTime};
use crate::protocol::{Operation, Request};
use crate::session::durable::Appended;
use crate::session::exchange::{Kind, Outgoing, Owner, Reply};
use crate::session::tests::world;

const LIMITS: Totals = Totals { messages: 10, bytes: 10_000 };

fn outbox(limits: Totals) -> (Outbox, Exchange) {
    let settings = OutboxSettings { window: 10, bytes_per_s: 0, timeout_ms: 30_000, boot: 7, limits };
    (Outbox::new(settings, 0, Identity::new("pk", "dk", None).unwrap()), Exchange::new(&world::settings(), 1))
}

fn post(time: PostTime) -> Request {
    let (operation, params) = (Operation::ENOS_OP_MEASUREPOINT_POST, br#"{"measurepoints":{"t":1}}"#.to_vec());
    Request { operation, name: String::new(), params, until_reply: false, resume: false, time, members: 0 }
}

/// Messages that were accepted together.
fn accepted(page: u64, next: u64, messages: Vec<Request>, users: &[usize]) -> Appended {
    Appended { page, next, after: LIMITS, messages, users: users.to_vec() }
}

/// No rate, and any queue may be opened.
fn line() -> Line {
    Line { flow: Flow::new(0), may_open: true, holds_until: 0 }
}

fn go_online(outbox: &mut Outbox, exchange: &mut Exchange, now: u64) {
    let (actions, rng, line) = (&mut VecDeque::new(), &mut fastrand::Rng::with_seed(1), &mut line());
    outbox.link_up(false, &mut Around { now, wall_ms: 0, exchange, actions, rng, line });
}

impl Outbox {
    /// As if it were the only one.
    fn pump(&mut self, tidy: bool, around: &mut Around) -> bool {
        self.prepare(around);
        while matches!(self.send_one(around), Turn::Sent | Turn::SentAlone) {}
        self.conclude(tidy, around)
    }
}

/// The actions that a call causes.
fn actions(outbox: &mut Outbox, exchange: &mut Exchange, f: impl FnOnce(&mut Outbox, &mut Around)) -> VecDeque<Action> {
    let (mut actions, mut rng) = (VecDeque::new(), fastrand::Rng::with_seed(1));
    let line = &mut line();
    let mut around = Around { now: 5_000, wall_ms: 0, exchange, actions: &mut actions, rng: &mut rng, line };
    f(outbox, &mut around);
    actions
}

/// What the outbox sends at this time.
fn sent(outbox: &mut Outbox, exchange: &mut Exchange, now: u64, wall_ms: u64) -> Vec<String> {
    let (mut actions, mut rng) = (VecDeque::new(), fastrand::Rng::with_seed(1));
    let line = &mut line();
    outbox.pump(false, &mut Around { now, wall_ms, exchange, actions: &mut actions, rng: &mut rng, line });
    let payload = |action| match action {
        Action::Send(LinkRequest::Publish { payload, .. }) => Some(String::from_utf8(payload).unwrap()),
        _ => None,
    };
    actions.into_iter().filter_map(payload).collect()
}

#[test]
fn a_post_waits_for_the_clock_and_gets_the_time_at_which_it_was_accepted() {
    let (mut outbox, mut exchange) = outbox(LIMITS);
    let message = |boot| post(PostTime::Stamp(Moment { boot, ms: 1_000 }));
    outbox.ends = Some((1, 1));
    outbox.appended(accepted(1, 2, vec![message(7)], &[]));
    outbox.appended(accepted(2, 3, vec![message(6)], &[]));
    go_online(&mut outbox, &mut exchange, 5_000);
    assert!(sent(&mut outbox, &mut exchange, 5_000, 1_000_000).is_empty(), "the clock stands in 1970");
    let again = outbox.deadline().unwrap();
    assert!((6_000..=15_000).contains(&again), "{again}");
    let sent = sent(&mut outbox, &mut exchange, 21_000, 1_700_000_000_000);
    assert!(sent[0].contains(r#""params":{"time":1699999980000,"measurepoints":{"t":1}}"#), "{sent:?}");
    assert!(sent[1].contains(r#""params":{"measurepoints":{"t":1}}"#), "of an earlier boot: {sent:?}");
}

#[test]
fn what_is_dropped_while_its_page_is_being_read_is_not_sent() {
    let (mut outbox, mut exchange) = outbox(LIMITS);
    outbox.ends = Some((1, 2));
    go_online(&mut outbox, &mut exchange, 5_000);
    let read = |action: &Action| matches!(action, Action::Outbox { task: Task::ReadPage { page: 1, .. }, .. });
    let pump = |outbox: &mut Outbox, exchange: &mut Exchange| {
        actions(outbox, exchange, |outbox, around| {
            outbox.pump(false, around);
        })
    };
    assert!(pump(&mut outbox, &mut exchange).iter().any(read));
    // The storage was read before the host dropped the message. The result comes after that.
    let before = PageFound::Messages {
        next: 2,
        after: LIMITS,
        messages: vec![Some(Message::Request(post(PostTime::Without))); 2],
    };
    actions(&mut outbox, &mut exchange, |outbox, around| {
        outbox.forget(outbox::token(1, 0), around);
        outbox.page_read(1, Ok(before), around);
    });
    let wanted = pump(&mut outbox, &mut exchange);
    assert!(wanted.iter().all(read) && wanted.len() == 1, "it is read once more");
    let found = PageFound::Messages {
        next: 2,
        after: LIMITS,
        messages: vec![None, Some(Message::Request(post(PostTime::Without)))],
    };
    actions(&mut outbox, &mut exchange, |outbox, around| outbox.page_read(1, Ok(found), around));
    let sent = pump(&mut outbox, &mut exchange);
    assert_eq!(sent.iter().filter(|action| matches!(action, Action::Send(_))).count(), 1);
}

/// What the host has given with the messages behind the lost pages stays.
#[test]
fn a_lost_page_gives_back_what_the_host_has_given_with_its_messages() {
    for is_dropped in [false, true] {
        let (mut outbox, mut exchange) = outbox(LIMITS);
        outbox.ends = Some((1, 2));
        outbox.appended(accepted(2, 4, vec![post(PostTime::Without); 3], &[0, 7, 9]));
        outbox.appended(accepted(4, 5, vec![post(PostTime::Without)], &[8]));
        outbox.ends = Some((2, 5));
        let told = actions(&mut outbox, &mut exchange, |outbox, around| match is_dropped {
            true => outbox.dropped(2, 4, &Err("damaged".into()), around),
            false => outbox.page_read(2, Ok(PageFound::Lost { next: 4, words: "damaged".into() }), around),
        });
        let told: Vec<_> = told
            .iter()
            .filter_map(|action| match action {
                Action::Emit(event) => Some((event.token, event.user, event.status)),
                _ => None,
            })
            .collect();
        let lost = [(0, 0), (1, 7), (2, 9)];
        assert_eq!(told, lost.map(|(at, user)| (outbox::token(2, at), user, Status::ENOS_ERR_STORAGE)));
        assert_eq!(outbox.users.into_iter().collect::<Vec<_>>(), [(outbox::token(4, 0), 8)]);
    }
}

/// The header promises at most 32 bytes, with the free places of the table.
#[test]
fn a_backlog_takes_memory_only_for_what_the_host_has_given() {
    let (mut outbox, mut exchange) = outbox(LIMITS);
    outbox.ends = Some((1, 2));
    for page in 2..1_002 {
        outbox.appended(accepted(page, page + 1, vec![post(PostTime::Without)], &[usize::from(page > 901)]));
    }
    assert_eq!((outbox.users.len(), outbox.window.len(), outbox.batches.len()), (100, 0, 0));
    assert!(std::mem::size_of::<(u64, usize)>() <= 16);
    outbox.ends = Some((902, 1_002));
    for page in 902..1_002 {
        let messages = vec![Some(Message::Request(post(PostTime::Without)))];
        let read = PageFound::Messages { next: page + 1, after: LIMITS, messages };
        actions(&mut outbox, &mut exchange, |outbox, around| outbox.page_read(page, Ok(read), around));
    }
    assert_eq!((outbox.users.len(), outbox.window.len()), (0, 100));
}

#[test]
fn a_small_outbox_that_is_still_full_does_not_tell_of_room() {
    for messages in [1, 7, 8, 100] {
        let limits = Totals { messages, bytes: 10_000 };
        let (mut outbox, mut exchange) = outbox(limits);
        outbox.refused();
        let mut told = |messages| {
            let held = Totals { messages, bytes: 0 };
            !actions(&mut outbox, &mut exchange, |outbox, around| outbox.tell_room(held, around)).is_empty()
        };
        assert!(!told(messages) && told(messages - messages.div_ceil(8)), "of {messages}");
    }
}

/// A post that waits for its reply.
fn until_reply(text: &str) -> Request {
    let params = format!(r#"{{"measurepoints":{{"{text}":1}}}}"#).into_bytes();
    Request { params, until_reply: true, ..post(PostTime::Without) }
}

/// Runs for so many hours with a cloud that answers one post at a time, or none (`None`). Returns the messages that
/// become dead letters, with their codes.
fn dead_letters(
    outbox: &mut Outbox,
    exchange: &mut Exchange,
    hours: u64,
    mut answer: impl FnMut(&str, u64) -> Option<String>,
) -> Vec<(u64, i32)> {
    let topic = Operation::ENOS_OP_MEASUREPOINT_POST.reply_topic(&outbox.identity, "");
    let (mut actions, mut rng) = (VecDeque::new(), fastrand::Rng::with_seed(1));
    let mut found = Vec::new();
    for now in (0..hours * 3_600_000).step_by(500) {
        exchange.expire(now, &mut actions);
        loop {
            let outcomes = exchange.take_outcomes();
            let line = &mut line();
            let around = &mut Around { now, wall_ms: 0, exchange, actions: &mut actions, rng: &mut rng, line };
            outcomes.into_iter().for_each(|(_, request, outcome)| outbox.outcome(request, outcome, around));
            outbox.pump(false, around);
            let Some(action) = around.actions.pop_front() else { break };
            match action {
                Action::Send(LinkRequest::Subscribe { token, .. }) => {
                    around.exchange.subscribed(token, vec![Some(1)], now, around.actions);
                }
                Action::Send(LinkRequest::Publish { token, payload, .. }) => {
                    around.exchange.delivered(token, around.actions);
                    for (_, request, outcome) in around.exchange.take_outcomes() {
                        outbox.outcome(request, outcome, around);
                    }
                    let Some(answer) = answer(&String::from_utf8(payload).unwrap(), now) else { continue };
                    match around.exchange.find(topic.as_bytes(), answer.as_bytes()) {
                        Some(Reply::Unclear { .. }) => outbox.send_one_by_one(around),
                        Some(Reply::To { token, code, words }) => {
                            let (topic, payload) = (Vec::new(), Vec::new().into());
                            around.exchange.replied(token, code, words, topic, payload, around.actions);
                        }
                        None => {}
                    }
                }
                Action::Outbox { task: Task::StoreDeadLetter { token, code, .. }, .. } => {
                    found.push((token, code));
                    outbox.dead_letter_stored(token, Ok(()), around);
                }
                Action::Outbox { task: Task::FinishPages { through, after }, .. } => {
                    outbox.pages_finished(through, Ok(after), around);
                }
                _ => {}
            }
        }
    }
    found
}

/// An answer to a post, with the id of that post.
fn reply(post: &str, code: i32) -> Option<String> {
    Some(format!(r#"{{"id":{},"code":{code}}}"#, post.split([':', ',']).nth(1)?))
}

/// An outbox with these posts, each accepted by itself.
fn with_posts(texts: &[&str]) -> (Outbox, Exchange) {
    let (mut outbox, mut exchange) = outbox(LIMITS);
    outbox.ends = Some((1, 1));
    for (page, text) in (1..).zip(texts) {
        outbox.appended(accepted(page, page + 1, vec![until_reply(text)], &[]));
    }
    go_online(&mut outbox, &mut exchange, 0);
    (outbox, exchange)
}

/// If one reply never came, it stays unknown to which request a refusal without an id belongs.
#[test]
fn a_post_that_is_refused_without_an_id_and_alone_does_not_hold_up_the_rest() {
    let (mut outbox, mut exchange) = with_posts(&["bad", "good"]);
    // The host's own post, whose reply never comes.
    let (identity, params) = (outbox.identity.clone(), br#"{"measurepoints":{"own":1}}"#);
    let operation = Operation::ENOS_OP_MEASUREPOINT_POST;
    let own = Outgoing {
        subdevice: 0,
        operation,
        identity: &identity,
        name: "",
        params,
        members: 0,
        until_reply: true,
        timeout_ms: None,
        user: 0,
    };
    exchange.request(Owner::Host(Kind::Message), own, 0, &mut VecDeque::new()).unwrap();
    let found = dead_letters(&mut outbox, &mut exchange, 1, |post, _| match post {
        post if post.contains("bad") => Some(r#"{"id":null,"code":1220}"#.to_owned()),
        post => reply(post, 200),
    });
    assert_eq!(found, [(outbox::token(1, 0), 1220)]);
    assert!(outbox.is_empty(), "after an hour the other one waits still");
}

/// An earlier version, which did not check for such members, has accepted the message.
#[test]
fn a_stored_post_with_a_member_twice_is_a_dead_letter_and_does_not_hold_up_the_rest() {
    let (mut outbox, mut exchange) = with_posts(&[r#"a":1,"a"#, "good"]);
    let found = dead_letters(&mut outbox, &mut exchange, 1, |post, _| reply(post, 200));
    assert_eq!(found, [(outbox::token(1, 0), 0)]);
    assert!(outbox.is_empty());
}

#[test]
fn a_post_that_is_to_be_sent_later_for_ever_does_not_hold_up_the_rest() {
    for code in [429, 500, 6305] {
        let (mut outbox, mut exchange) = with_posts(&["bad", "good", "better"]);
        let mut tries = 0;
        let found = dead_letters(&mut outbox, &mut exchange, 1, |post, _| {
            let is_bad = post.contains("bad");
            tries += u32::from(is_bad);
            reply(post, if is_bad { code } else { 200 })
        });
        assert_eq!((found, tries), (vec![(outbox::token(1, 0), code)], 15));
        assert!(outbox.is_empty());
    }
}

#[test]
fn a_cloud_in_trouble_makes_no_dead_letters() {
    // For some hours EnOS gives no message a good answer. It may recover at any time.
    for minutes in (1..300).step_by(23) {
        for code in [Some(503), None] {
            let (mut outbox, mut exchange) = with_posts(&["a", "b", "c"]);
            let found = dead_letters(&mut outbox, &mut exchange, 6, |post, now| match code {
                Some(code) if now < minutes * 60_000 => reply(post, code),
                None if now < minutes * 60_000 => None,
                _ => reply(post, 200),
            });
            assert!(found.is_empty() && outbox.is_empty(), "trouble for {minutes} minutes: {code:?}");
        }
    }
    // EnOS accepts one message in so many seconds.
    for seconds in [1, 3, 10, 30, 100] {
        let (mut outbox, mut exchange) = with_posts(&["a", "b", "c", "d", "e", "f"]);
        let mut free_at = 0;
        let found = dead_letters(&mut outbox, &mut exchange, 2, |post, now| {
            let is_free = now >= free_at;
            if is_free {
                free_at = now + seconds * 1_000;
            }
            reply(post, if is_free { 200 } else { 429 })
        });
        assert!(found.is_empty() && outbox.is_empty(), "one in {seconds} s");
    }
}
