//! Links that are lost, and what becomes of the messages.

use super::*;
use crate::session::io::LinkEnd;

const MINUTE: u64 = 60_000;
const SET: u64 = 1_700_000_000_000;

/// What the messages, each in a page of its own, meet.
struct Scene<F> {
    messages: Vec<Message>,
    /// How the links end.
    end: LinkEnd,
    /// From this time on the broker grants reply topics, and the clock is set.
    ready_at: u64,
    minutes: u64,
    /// Whether the message of this page passes on this link.
    passes: F,
}

#[derive(Debug, Default)]
struct Found {
    dead: Vec<u64>,
    /// The pages whose messages were through, and when.
    through: Vec<(u64, u64)>,
    links: u64,
    is_flushed: bool,
}

impl<F: FnMut(u64, u64) -> bool> Scene<F> {
    fn new(messages: Vec<Message>, passes: F) -> Scene<F> {
        Scene { messages, end: LinkEnd::Lost, ready_at: 0, minutes: 60, passes }
    }

    fn run(mut self) -> Found {
        let (mut outbox, mut exchange) = outbox(LIMITS);
        outbox.ends = Some((1, self.messages.len() as u64 + 1));
        let (mut actions, mut rng) = (VecDeque::new(), fastrand::Rng::with_seed(1));
        let mut found = Found::default();
        go_online(&mut outbox, &mut exchange, 0);
        for now in (0..self.minutes * MINUTE).step_by(500) {
            let is_ready = now >= self.ready_at;
            let wall_ms = if is_ready { SET + now } else { now };
            exchange.expire(now, &mut actions);
            loop {
                let outcomes = exchange.take_outcomes();
                let (exchange, actions, rng, line) = (&mut exchange, &mut actions, &mut rng, &mut line());
                let around = &mut Around { now, wall_ms, exchange, actions, rng, line };
                outcomes.into_iter().for_each(|(_, request, outcome)| outbox.outcome(request, outcome, around));
                outbox.pump(true, around);
                let Some(action) = around.actions.pop_front() else { break };
                self.perform(action, &mut outbox, around, is_ready, &mut found);
            }
            let overdue = outbox.deadline().is_some_and(|at| at <= now);
            assert!(!overdue, "something was due at {:?}, and is not done at {now}", outbox.deadline());
            if outbox.is_empty() {
                found.is_flushed = true;
                break;
            }
        }
        found
    }

    fn perform(&mut self, action: Action, outbox: &mut Outbox, around: &mut Around, is_ready: bool, found: &mut Found) {
        match action {
            Action::Send(LinkRequest::Subscribe { token, filters }) => {
                let granted = filters.iter().map(|_| is_ready.then_some(1)).collect();
                around.exchange.subscribed(token, granted, around.now, around.actions);
            }
            Action::Send(LinkRequest::Publish { token, payload, .. }) => {
                let sent = outbox.window.find(token).and_then(|at| outbox.window.get_mut(at)).unwrap();
                let (page, until_reply) = (sent.page, sent.message.until_reply());
                if (self.passes)(found.links, page) {
                    around.exchange.delivered(token, around.actions);
                    if until_reply {
                        let reply = reply(&String::from_utf8(payload).unwrap(), 200).unwrap();
                        let topic = Operation::ENOS_OP_MEASUREPOINT_POST.reply_topic(&outbox.identity, "");
                        let Some(Reply::To { token, code, words }) =
                            around.exchange.find(topic.as_bytes(), reply.as_bytes())
                        else {
                            panic!("nobody waits for {reply}")
                        };
                        around.exchange.replied(token, code, words, Vec::new(), Vec::new().into(), around.actions);
                    }
                } else {
                    found.links += 1;
                    around.actions.retain(|action| !matches!(action, Action::Send(_)));
                    outbox.link_down(self.end, around);
                    around.exchange.link_down("lost", true, around.actions);
                    around.exchange.link_up(around.now, around.actions);
                    outbox.link_up(false, around);
                }
            }
            Action::Emit(event) if event.status == Status::ENOS_OK && event.token != 0 => {
                found.through.push((outbox::place(event.token).unwrap().0, around.now));
            }
            Action::Outbox { task: Task::StoreDeadLetter { token, .. }, .. } => {
                found.dead.push(outbox::place(token).unwrap().0);
                outbox.dead_letter_stored(token, Ok(()), around);
            }
            Action::Outbox { task: Task::ReadPage { page, .. }, .. } => {
                let messages = vec![Some(self.messages[page as usize - 1].clone())];
                let read = PageFound::Messages { next: page + 1, after: LIMITS, messages };
                outbox.page_read(page, Ok(read), around);
            }
            Action::Outbox { task: Task::FinishPages { through, after }, .. } => {
                outbox.pages_finished(through, Ok(after), around);
            }
            _ => {}
        }
    }
}

fn good() -> Message {
    Message::Request(post(PostTime::Without))
}

fn unknown() -> Message {
    Message::Unknown { bytes: vec![1], words: "of a later version".into(), until_reply: false }
}

/// An earlier version has accepted it.
fn member_twice() -> Message {
    let params = br#"{"measurepoints":{"a":1,"a":1}}"#.to_vec();
    Message::Request(Request { params, ..post(PostTime::Without) })
}

fn stamped() -> Message {
    Message::Request(post(PostTime::Stamp(Moment { boot: 7, ms: 0 })))
}

/// The first message is ready to step aside after three losses, and no other one can go before it.
#[test]
fn a_message_does_not_step_aside_for_one_that_cannot_be_sent() {
    let cases = [
        ("unknown", unknown(), true),
        ("refused when it is sent", member_twice(), true),
        ("without a reply topic", Message::Request(until_reply("x")), false),
        ("without a clock", stamped(), false),
    ];
    for (name, other, is_dead) in cases {
        for others in [1, 3] {
            let mut messages = vec![other.clone(); others + 1];
            messages[0] = good();
            let mut scene = Scene::new(messages, |link, _| link >= 3);
            scene.ready_at = 20 * MINUTE;
            let found = scene.run();
            assert!(found.through.first().is_some_and(|first| first.0 == 1 && first.1 < MINUTE), "{name}: {found:?}");
            assert!(found.is_flushed, "{name}: {found:?}");
            let dead: Vec<u64> = (2..2 + others as u64).filter(|_| is_dead).collect();
            assert_eq!(found.dead, dead, "{name}");
        }
    }
}

/// Those that cannot be sent are passed over for one that can.
#[test]
fn a_poison_message_ends_whatever_cannot_be_sent_behind_it() {
    let messages =
        vec![good(), unknown(), member_twice(), Message::Request(until_reply("x")), stamped(), good(), good()];
    let mut scene = Scene::new(messages, |_, page| page != 1);
    scene.ready_at = 20 * MINUTE;
    let found = scene.run();
    assert_eq!(found.dead, [1, 2, 3], "{found:?}");
    assert!(found.is_flushed, "{found:?}");
}

/// The other one has taken the first place, and waits for the rate, when the clock loses its time.
#[test]
fn a_trial_ends_when_the_clock_is_lost() {
    let (mut outbox, mut exchange) = outbox(LIMITS);
    outbox.ends = Some((1, 1));
    outbox.appended(accepted(1, 2, vec![post(PostTime::Without)], &[]));
    outbox.appended(accepted(2, 3, vec![post(PostTime::Stamp(Moment { boot: 7, ms: 0 }))], &[]));
    go_online(&mut outbox, &mut exchange, 0);
    (0..3).for_each(|_| outbox.doubt.failed(outbox::token(1, 0), outbox::token(1, 0), Fault::Lost));
    outbox.window.step_aside(1);
    let sent: usize = (1..30).map(|s| sent(&mut outbox, &mut exchange, s * 1_000, 0).len()).sum();
    assert_eq!((sent, outbox.window.stepped_aside()), (1, 0), "the first one, since the other one cannot be sent");
}

/// What waits for an answer to its SUBSCRIBE may be dropped, and then nothing waits for that.
#[test]
fn a_dropped_message_takes_its_reply_topic_with_it() {
    let (mut outbox, mut exchange) = outbox(LIMITS);
    outbox.ends = Some((1, 1));
    let other = Request { operation: Operation::ENOS_OP_MEASUREPOINT_RESUME, ..until_reply("x") };
    outbox.appended(accepted(1, 2, vec![other], &[]));
    outbox.appended(accepted(2, 3, vec![until_reply("y")], &[]));
    go_online(&mut outbox, &mut exchange, 0);
    let asked = |outbox: &mut Outbox, exchange: &mut Exchange| {
        let all = actions(outbox, exchange, |outbox, around| {
            outbox.pump(false, around);
        });
        all.into_iter().find_map(|action| match action {
            Action::Send(LinkRequest::Subscribe { token, .. }) => Some(token),
            _ => None,
        })
    };
    let first = asked(&mut outbox, &mut exchange).expect("its topic is asked for");
    actions(&mut outbox, &mut exchange, |outbox, around| outbox.forget(outbox::token(1, 0), around));
    let second = asked(&mut outbox, &mut exchange).expect("the other topic need not wait for the first");
    // The refusal of the first is nobody's business.
    exchange.subscribed(first, vec![None], 5_000, &mut VecDeque::new());
    exchange.subscribed(second, vec![Some(1)], 5_000, &mut VecDeque::new());
    let told = actions(&mut outbox, &mut exchange, |outbox, around| {
        let outcomes = around.exchange.take_outcomes();
        outcomes.into_iter().for_each(|(_, entry, outcome)| outbox.outcome(entry, outcome, around));
    });
    assert!(told.is_empty(), "an event of a message that is gone");
    assert_eq!(sent(&mut outbox, &mut exchange, 5_000, SET).len(), 1);
}

/// The loss always comes at the second PUBLISH of a link, whichever that is.
#[test]
fn links_that_carry_one_message_each_blame_nobody() {
    for end in [LinkEnd::Lost, LinkEnd::Conflict] {
        for losses in 0..12 {
            let mut last = None;
            let passes = |link, _| link >= losses && last.replace(link) != Some(link);
            let found = Scene { end, ..Scene::new(vec![good(); 6], passes) }.run();
            assert!(found.dead.is_empty() && found.is_flushed, "{end:?}, {losses} losses first: {found:?}");
        }
    }
}

#[test]
fn a_message_at_which_each_link_is_lost_ends_after_a_bounded_number_of_links() {
    for (end, most) in [(LinkEnd::Lost, 8), (LinkEnd::Conflict, 9)] {
        let found = Scene { end, ..Scene::new(vec![good(); 3], |_, page| page != 1) }.run();
        assert_eq!((&found.dead, found.links, found.is_flushed), (&vec![1], most, true), "{end:?}");
        // Alone it is not compared with anything.
        let found = Scene { end, ..Scene::new(vec![good()], |_, _| false) }.run();
        assert!(found.dead.is_empty() && !found.is_flushed, "{end:?}: {found:?}");
    }
}

/// The failures of the first are its own.
#[test]
fn a_message_does_not_inherit_failures() {
    let mut doubt = Doubt::default();
    (0..2).for_each(|_| doubt.failed(1, 5, Fault::Lost));
    doubt.through(Some(2));
    for _ in 0..2 {
        doubt.failed(2, 2, Fault::Lost);
        assert!(!doubt.steps_aside(2), "it has not failed three times");
    }
    doubt.failed(2, 2, Fault::Lost);
    assert!(doubt.steps_aside(2));
}

/// Each process ends at its failure.
#[test]
fn what_is_known_of_a_suspect_survives_each_restart() {
    let mut stored = None;
    for times in 1..=8 {
        let mut doubt = Doubt::default();
        doubt.restore(stored);
        let is_behind = doubt.steps_aside(1);
        assert_eq!(is_behind, [4, 6, 8].contains(&times), "at failure {times}");
        if is_behind {
            doubt.trial_passed();
        }
        doubt.failed(1, 1, Fault::Lost);
        stored = doubt.suspect();
        assert_eq!(stored.map(|suspect| suspect.losses), Some(times));
        assert_eq!(doubt.verdict(1).is_some(), times == 8);
    }
}

/// The figures in `docs/durable.md`: a link that each PUBLISH ends with this chance.
#[test]
fn a_link_that_is_lost_at_random_makes_few_dead_letters() {
    for (percent, most) in [(20, 0), (30, 1), (50, 3), (70, 10)] {
        let mut dice = fastrand::Rng::with_seed(7);
        let mut scene = Scene::new(vec![good(); 2_000], |_, _| dice.u32(..100) >= percent);
        scene.minutes = 240 * 60;
        let found = scene.run();
        let (dead, links) = (found.dead.len(), found.links);
        println!("{percent} %: {dead} of 2000 messages are dead letters, after {links} links");
        assert!(found.is_flushed && dead <= most, "{percent} %: {dead}");
    }
}
