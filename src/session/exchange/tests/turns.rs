//! Requests whose replies carry no id.

use super::*;

const RAW: Operation = Operation::ENOS_OP_RAW_UP;

fn raw_topic() -> String {
    RAW.reply_topic(&identity(0), "")
}

impl Desk {
    fn raw(&mut self, owner: Owner, until_reply: bool) -> u64 {
        let identity = &identity(0);
        let (name, params, timeout_ms) = ("", &b"x"[..], None);
        let request = Outgoing {
            operation: RAW,
            identity,
            name,
            params,
            members: 0,
            until_reply,
            timeout_ms,
            user: 0,
            subdevice: 0,
        };
        self.exchange.request(owner, request, self.now, &mut self.actions).unwrap()
    }

    /// The tokens that were sent since this was called last.
    fn sent(&mut self) -> Vec<u64> {
        self.exchange.give_turns(self.now, &mut self.actions);
        self.packets();
        self.published.drain(..).map(|(token, ..)| token).collect()
    }

    /// A message comes on the topic of raw replies. Returns whether it was the reply to a request.
    fn raw_reply(&mut self) -> bool {
        let topic = raw_topic().into_bytes();
        let Some(Reply::To { token, code, words }) = self.exchange.find(&topic, b"y") else { return false };
        self.exchange.replied(token, code, words, topic, b"y".to_vec().into(), &mut self.actions);
        self.packets();
        true
    }

    /// A desk on which the topic of raw replies is granted, and a raw request was answered.
    fn with_turns() -> Desk {
        let mut desk = Desk::new();
        desk.raw(HOST, true);
        let packet = desk.packets().remove(0);
        desk.answer(&packet, |_| true);
        desk.sent();
        assert!(desk.raw_reply());
        desk.told();
        desk
    }
}

#[test]
fn those_that_waited_for_the_subscription_keep_their_order() {
    let mut desk = Desk::new();
    let tokens = [(); 3].map(|()| desk.raw(HOST, true));
    let packet = desk.packets().remove(0);
    assert!(!desk.raw_reply(), "nothing was sent yet");
    desk.answer(&packet, |_| true);
    for token in tokens {
        assert_eq!(desk.sent(), [token]);
        assert!(desk.sent().is_empty());
        assert!(desk.raw_reply());
        assert_eq!(desk.told(), [(Kinds::Reply, token, S::ENOS_OK)]);
    }
    assert!(!desk.raw_reply() && desk.exchange.entries.is_empty());
}

#[test]
fn after_a_timeout_nothing_is_sent_for_one_more() {
    let mut desk = Desk::with_turns();
    let first = desk.raw(HOST, true);
    assert_eq!(desk.sent(), [first]);
    desk.wait(30_000);
    assert_eq!(desk.told(), [(Kinds::Reply, first, S::ENOS_ERR_TIMEOUT)]);
    assert!(desk.sent().is_empty());
    let second = desk.raw(HOST, true);
    assert_eq!(desk.exchange.deadline(), Some(60_000), "then it is sent");
    desk.wait(29_999);
    assert!(desk.sent().is_empty() && !desk.raw_reply());
    desk.wait(1);
    assert_eq!(desk.sent(), [second]);
    // Its time begins then.
    desk.wait(29_999);
    assert!(desk.told().is_empty() && desk.raw_reply());
    assert_eq!(desk.told(), [(Kinds::Reply, second, S::ENOS_OK)]);
}

/// The loop was held up until after the quiet time, and reads a late reply then.
#[test]
fn nothing_is_sent_before_what_came_meanwhile_was_read() {
    let mut desk = Desk::with_turns();
    let first = desk.raw(HOST, true);
    assert_eq!(desk.sent(), [first]);
    desk.wait(30_000);
    assert!(desk.sent().is_empty());
    let second = desk.raw(HOST, true);
    desk.now += 40_000;
    let third = desk.raw(HOST, true);
    desk.exchange.expire(desk.now, &mut desk.actions);
    assert!(desk.sent().is_empty() && !desk.raw_reply(), "it is the first one's");
    assert_eq!(desk.exchange.deadline(), Some(60_000), "at once");
    desk.exchange.expire(desk.now, &mut desk.actions);
    assert_eq!(desk.sent(), [second]);
    assert!(desk.raw_reply());
    assert_eq!(desk.sent(), [third]);
}

#[test]
fn a_reply_that_nobody_awaits_ends_the_wait_for_it() {
    let mut desk = Desk::with_turns();
    let kept = desk.raw(Owner::Outbox(0), false);
    assert_eq!(desk.sent(), [kept]);
    let live = desk.raw(HOST, true);
    desk.exchange.delivered(kept, &mut desk.actions);
    assert!(desk.sent().is_empty(), "the reply to the other may come");
    assert!(!desk.raw_reply());
    assert_eq!(desk.sent(), [live]);
    assert!(desk.raw_reply());
    // The reply may come before the acknowledgement.
    let kept = desk.raw(Owner::Outbox(0), false);
    assert!(!desk.raw_reply());
    let live = desk.raw(HOST, true);
    assert_eq!(desk.sent(), [kept, live]);
    desk.exchange.delivered(kept, &mut desk.actions);
    assert!(desk.raw_reply());
}

#[test]
fn without_a_request_that_awaits_a_reply_nobody_waits() {
    // It makes no difference whether a request has awaited one before.
    for mut desk in [Desk::new(), Desk::with_turns()] {
        let kept = [(); 3].map(|()| desk.raw(Owner::Outbox(0), false));
        assert_eq!(desk.sent(), kept);
        let next = desk.exchange.may_send(0, raw_topic(), false, desk.now, &mut desk.actions);
        assert_eq!(next, Ok(()));
    }
}

/// A desk on which three messages whose replies nobody awaits were sent, and a request waits for its turn.
fn with_unawaited() -> (Desk, [u64; 3], u64) {
    let mut desk = Desk::with_turns();
    let kept = [(); 3].map(|()| desk.raw(Owner::Outbox(0), false));
    let live = desk.raw(HOST, true);
    assert_eq!(desk.sent(), kept);
    (desk, kept, live)
}

#[test]
fn a_request_waits_until_no_reply_to_another_can_come() {
    let (mut desk, kept, live) = with_unawaited();
    assert!(desk.exchange.may_send(0, raw_topic(), false, 0, &mut desk.actions).is_err(), "the request is the next");
    desk.wait(100_000);
    assert!(desk.sent().is_empty(), "the broker may not have them yet");
    kept.into_iter().for_each(|token| desk.exchange.delivered(token, &mut desk.actions));
    assert!(desk.sent().is_empty());
    desk.wait(59_999);
    assert!(desk.sent().is_empty());
    desk.wait(1);
    assert_eq!(desk.sent(), [live]);
}

#[test]
fn a_request_waits_for_no_longer_than_the_replies_to_all_others() {
    let (mut desk, kept, live) = with_unawaited();
    kept.into_iter().for_each(|token| desk.exchange.delivered(token, &mut desk.actions));
    for _ in kept {
        assert!(desk.sent().is_empty() && !desk.raw_reply());
    }
    assert_eq!(desk.sent(), [live]);
    assert!(desk.raw_reply());
}

/// A late reply to a request is not counted as one to a message that was sent after it.
#[test]
fn after_a_request_without_its_reply_the_others_go_on_but_their_replies_are_not_counted() {
    let mut desk = Desk::with_turns();
    let lost = desk.raw(HOST, true);
    assert_eq!(desk.sent(), [lost]);
    desk.wait(30_000);
    assert!(desk.sent().is_empty());
    let kept = desk.raw(Owner::Outbox(0), false);
    let live = desk.raw(HOST, true);
    assert_eq!(desk.sent(), [kept]);
    desk.exchange.delivered(kept, &mut desk.actions);
    assert!(!desk.raw_reply() && desk.sent().is_empty());
    desk.wait(59_999);
    assert!(desk.sent().is_empty());
    desk.wait(1);
    assert_eq!(desk.sent(), [live]);
}

#[test]
fn a_lost_reply_does_not_end_those_that_wait() {
    let mut desk = Desk::with_turns();
    let tokens = [(); 3].map(|()| desk.raw(HOST, true));
    for token in tokens {
        assert_eq!(desk.sent(), [token]);
        desk.wait(30_000);
        assert_eq!(desk.told(), [(Kinds::Reply, token, S::ENOS_ERR_TIMEOUT)]);
        assert!(desk.sent().is_empty());
        desk.wait(30_000);
    }
}

#[test]
fn those_that_have_ended_do_not_wait_any_more() {
    let mut desk = Desk::with_turns();
    let sent = desk.raw(HOST, true);
    let waiting = desk.raw(HOST, true);
    let Err(asking) = desk.exchange.may_send(0, raw_topic(), true, 0, &mut desk.actions) else {
        panic!("it has to wait")
    };
    desk.exchange.forget(asking);
    desk.exchange.closing(&mut desk.actions);
    desk.packets();
    assert_eq!(desk.events[0].detail, "the request was not sent: the connection is being closed");
    assert_eq!(desk.told(), [(Kinds::Reply, waiting, S::ENOS_ERR_NETWORK)]);
    assert!(!desk.exchange.has_free_turn(&raw_topic(), false) && desk.raw_reply());
    assert_eq!(desk.told(), [(Kinds::Reply, sent, S::ENOS_OK)]);
    assert!(desk.exchange.has_free_turn(&raw_topic(), true) && desk.exchange.is_idle());
    assert_eq!(desk.exchange.deadline(), None, "nobody waits");
}

#[test]
fn a_filter_of_the_host_that_brings_raw_replies_twice_is_logged() {
    let mut desk = Desk::new();
    let subscribe = |desk: &mut Desk, filter: &str| {
        desk.exchange.subscribe(filter.to_owned(), 1, true, 0, &mut desk.actions).unwrap();
        desk.packets();
    };
    for filter in ["/sys/pk/+/thing/model/up_raw_reply", "/sys/other/#"] {
        subscribe(&mut desk, filter);
    }
    assert!(desk.logged.is_empty(), "there are no raw requests yet");
    desk.raw(HOST, true);
    desk.raw(HOST, true);
    desk.packets();
    assert!(desk.logged.len() == 1 && desk.logged[0].contains("/sys/pk/+/thing/model/up_raw_reply"));
    for filter in [&raw_topic(), "/sys/pk/000/thing/+", "/sys/pk/000/#"] {
        subscribe(&mut desk, filter);
    }
    assert!(desk.logged.len() == 2 && desk.logged[1].contains("/sys/pk/000/#"));
}
