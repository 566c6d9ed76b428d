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
        let request = Outgoing { operation: RAW, identity, name, params, members: 0, until_reply, timeout_ms, user: 0 };
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

#[test]
fn a_reply_that_nobody_awaits_ends_the_wait_for_it() {
    let mut desk = Desk::with_turns();
    let kept = desk.raw(Owner::Outbox, false);
    assert_eq!(desk.sent(), [kept]);
    let live = desk.raw(HOST, true);
    desk.exchange.delivered(kept, &mut desk.actions);
    assert!(desk.sent().is_empty(), "the reply to the other may come");
    assert!(!desk.raw_reply());
    assert_eq!(desk.sent(), [live]);
    assert!(desk.raw_reply());
    // The reply may come before the acknowledgement.
    let kept = desk.raw(Owner::Outbox, false);
    assert!(!desk.raw_reply());
    let live = desk.raw(HOST, true);
    assert_eq!(desk.sent(), [kept, live]);
    desk.exchange.delivered(kept, &mut desk.actions);
    assert!(desk.raw_reply());
}

#[test]
fn without_a_request_that_awaits_a_reply_nobody_waits() {
    let mut desk = Desk::new();
    let first = desk.raw(Owner::Outbox, false);
    let second = desk.raw(Owner::Outbox, false);
    assert_eq!(desk.sent(), [first, second]);
    assert!(!desk.exchange.has_turns(&raw_topic()));
    // The first that does has to.
    let live = desk.raw(HOST, true);
    let packet = desk.packets().remove(0);
    desk.answer(&packet, |_| true);
    assert!(desk.sent().is_empty());
    desk.wait(59_999);
    assert!(desk.sent().is_empty());
    desk.wait(1);
    assert_eq!(desk.sent(), [live]);
}
