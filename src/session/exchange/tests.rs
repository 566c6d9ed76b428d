//! SUBSCRIBE packets of many filters, and requests that wait for theirs.

mod sizes;
mod turns;

use super::*;
use crate::protocol::Identity;
use crate::session::event::EventKind;
use crate::session::tests::world;

use crate::error::Status as S;
use EventKind as Kinds;

const HOST: Owner = Owner::Host(Kind::Message);

/// An exchange whose broker is the test.
struct Desk {
    exchange: Exchange,
    actions: VecDeque<Action>,
    now: u64,
    /// Token, topic and payload.
    published: Vec<(u64, String, String)>,
    events: Vec<Event>,
    logged: Vec<String>,
}

type Packet = (u64, Vec<String>);

const POST: Operation = Operation::ENOS_OP_MEASUREPOINT_POST;

fn identity(device: usize) -> Identity {
    Identity::new("pk", &format!("{device:03}"), None).unwrap()
}

fn reply_topic(device: usize) -> String {
    POST.reply_topic(&identity(device), "")
}

impl Desk {
    fn new() -> Desk {
        let settings = Settings { inflight: 1_000, ..world::settings() };
        let exchange = Exchange::new(&settings, 1_000_000);
        let (actions, published, events, logged) = (VecDeque::new(), Vec::new(), Vec::new(), Vec::new());
        Desk { exchange, actions, now: 0, published, events, logged }
    }

    /// An exchange with so many filters of the host, and as many reply topics, on a new link.
    fn with_filters(host: usize, reply_topics: usize) -> Desk {
        let mut desk = Desk::new();
        desk.subscribe(host);
        (0..reply_topics).for_each(|device| {
            desk.post(device);
        });
        desk.packets();
        desk.lose_link(false);
        desk.events.clear();
        desk
    }

    fn subscribe(&mut self, filters: usize) -> Vec<u64> {
        let subscribe =
            |n| self.exchange.subscribe(format!("f/{n:03}"), 1, false, self.now, &mut self.actions).unwrap();
        (0..filters).map(subscribe).collect()
    }

    fn post(&mut self, device: usize) -> u64 {
        self.request(HOST, device, true)
    }

    fn request(&mut self, owner: Owner, device: usize, until_reply: bool) -> u64 {
        let identity = &identity(device);
        let request = Outgoing {
            subdevice: 0,
            operation: POST,
            identity,
            name: "",
            params: b"{}",
            members: 0,
            until_reply,
            timeout_ms: None,
            user: 0,
        };
        self.exchange.request(owner, request, self.now, &mut self.actions).unwrap()
    }

    fn link_up(&mut self) -> Vec<Packet> {
        self.exchange.link_up(self.now, &mut self.actions);
        self.packets()
    }

    fn lose_link(&mut self, unplanned: bool) {
        self.exchange.link_down("lost", unplanned, &mut self.actions);
        self.packets();
    }

    /// The SUBSCRIBE packets that were sent since this was called last.
    fn packets(&mut self) -> Vec<Packet> {
        let mut packets = Vec::new();
        for action in self.actions.drain(..) {
            match action {
                Action::Send(LinkRequest::Subscribe { token, filters }) => {
                    packets.push((token, filters.into_iter().map(|(filter, _)| filter).collect()));
                }
                Action::Send(LinkRequest::Publish { token, topic, payload, .. }) => {
                    self.published.push((token, topic, String::from_utf8(payload).unwrap()));
                }
                Action::Emit(event) => self.events.push(event),
                Action::Log(_, text) => self.logged.push(text),
                _ => {}
            }
        }
        packets
    }

    /// The broker answers a packet. Returns the packets that the exchange sends then.
    fn answer(&mut self, (token, filters): &Packet, granted: impl Fn(&str) -> bool) -> Vec<Packet> {
        let granted = filters.iter().map(|filter| granted(filter).then_some(1)).collect();
        self.exchange.subscribed(*token, granted, self.now, &mut self.actions);
        self.packets()
    }

    fn wait(&mut self, ms: u64) -> Vec<Packet> {
        self.now += ms;
        // Two turns of the loop, so that all that came until then was read.
        self.exchange.expire(self.now, &mut self.actions);
        self.exchange.expire(self.now, &mut self.actions);
        self.packets()
    }

    /// A message arrives. Returns whether it was the reply to a request.
    fn reply(&mut self, device: usize, id: u64) -> bool {
        let payload = format!(r#"{{"id":"{id}","code":200}}"#).into_bytes();
        let topic = reply_topic(device).into_bytes();
        let Some(Reply::To { token, code, words }) = self.exchange.find(&topic, &payload) else { return false };
        self.exchange.replied(token, code, words, topic, payload.into(), &mut self.actions);
        self.packets();
        true
    }

    /// The events since this was called last.
    fn told(&mut self) -> Vec<(EventKind, u64, Status)> {
        self.events.drain(..).map(|event| (event.kind, event.token, event.status)).collect()
    }
}

fn sizes(packets: &[Packet]) -> Vec<usize> {
    packets.iter().map(|(_, filters)| filters.len()).collect()
}

impl Exchange {
    /// How many calls and requests have no outcome yet.
    pub fn in_progress(&self) -> usize {
        self.entries.len()
    }
}

#[test]
fn a_new_link_asks_for_a_hundred_filters_a_packet() {
    let mut desk = Desk::with_filters(256, 150);
    let packets = desk.link_up();
    assert_eq!(sizes(&packets), [100, 100, 56, 100, 50], "reply topics are apart from the host's filters");
    let all: Vec<&String> = packets.iter().flat_map(|(_, filters)| filters).collect();
    let expected = (0..256).map(|n| format!("f/{n:03}")).chain((0..150).map(reply_topic));
    assert!(all.into_iter().cloned().eq(expected));
    for packet in &packets {
        assert!(desk.answer(packet, |_| true).is_empty());
    }
    let told = desk.told();
    assert!(
        told.len() == 256 && told.iter().all(|(kind, _, status)| (*kind, *status) == (Kinds::Subscribed, S::ENOS_OK))
    );
    assert!(desk.exchange.is_idle() && desk.exchange.entries.is_empty());
}

#[test]
fn one_refused_filter_of_many_is_told_and_the_others_hold() {
    let mut desk = Desk::new();
    let tokens = desk.subscribe(50);
    let packets = desk.link_up();
    assert!(desk.answer(&packets[0], |filter| filter != "f/007").is_empty(), "it is not asked for again");
    let mut told = desk.told();
    assert_eq!(told.remove(7), (Kinds::Subscribed, tokens[7], S::ENOS_ERR_REFUSED));
    assert!(told.iter().all(|(_, _, status)| *status == S::ENOS_OK) && told.len() == 49);
    desk.lose_link(true);
    assert_eq!(sizes(&desk.link_up()), [50], "it is no reason for smaller packets");
}

#[test]
fn a_filter_that_is_refused_by_itself_is_told_in_the_end() {
    let mut desk = Desk::new();
    let tokens = desk.subscribe(3);
    let mut packets = desk.link_up();
    while let Some(packet) = packets.pop() {
        packets.extend(desk.answer(&packet, |_| false));
    }
    let mut told = desk.told();
    told.sort_by_key(|(_, token, _)| *token);
    assert_eq!(told, tokens.iter().map(|token| (Kinds::Subscribed, *token, S::ENOS_ERR_REFUSED)).collect::<Vec<_>>());
}

#[test]
fn a_packet_that_is_not_answered_is_told_and_asked_for_in_halves() {
    let mut desk = Desk::new();
    let tokens = desk.subscribe(4);
    let late = desk.link_up().remove(0);
    let packets = desk.wait(30_000);
    assert_eq!(
        desk.told(),
        tokens.iter().map(|token| (Kinds::Subscribed, *token, S::ENOS_ERR_TIMEOUT)).collect::<Vec<_>>()
    );
    assert_eq!(sizes(&packets), [2, 2]);
    desk.answer(&late, |_| true);
    assert_eq!(desk.told(), [], "an answer that comes so late is not told");
    desk.answer(&packets[0], |_| true);
    assert_eq!(desk.told(), [(Kinds::Subscribed, 0, S::ENOS_OK); 2], "that they are granted now is news");
    assert_eq!(sizes(&desk.wait(30_000)), [1, 1]);
    assert_eq!(desk.told(), [(Kinds::Subscribed, 0, S::ENOS_ERR_TIMEOUT); 2]);
    assert!(desk.wait(30_000).is_empty(), "a single filter is not asked for again on this link");
}

#[test]
fn a_request_waits_for_its_own_filter_only() {
    let mut desk = Desk::with_filters(256, 3);
    let packets = desk.link_up();
    let tokens: Vec<u64> = (0..4).map(|device| desk.post(device)).collect();
    let own = desk.packets();
    assert_eq!(own.iter().map(|(_, filters)| &filters[..]).collect::<Vec<_>>(), [[reply_topic(3)]]);
    assert!(desk.published.is_empty());
    desk.answer(&own[0], |_| true);
    assert_eq!(desk.published.remove(0).0, tokens[3], "nobody else was answered yet");
    // The host's own packets come before this one, and stay without an answer.
    desk.answer(packets.last().unwrap(), |filter| filter != reply_topic(1));
    let sent: Vec<u64> = desk.published.iter().map(|(token, ..)| *token).collect();
    assert_eq!(sent, [tokens[0], tokens[2]]);
    assert_eq!(desk.told(), [(Kinds::Reply, tokens[1], S::ENOS_ERR_REFUSED)]);
    // The next request and the next link subscribe to the filter again.
    desk.post(1);
    assert_eq!(sizes(&desk.packets()), [1]);
    desk.lose_link(false);
    assert_eq!(sizes(&desk.link_up()).last(), Some(&4));
}

#[test]
fn a_reply_that_comes_before_the_suback_is_nobodys_or_counts() {
    let mut desk = Desk::new();
    let token = desk.post(0);
    let packet = desk.packets().remove(0);
    let id = 1_000_000 + token;
    assert!(!desk.reply(0, id), "the request was not sent yet");
    desk.answer(&packet, |_| true);
    assert!(desk.published[0].2.contains(&format!(r#""id":"{id}""#)));
    // The host subscribes to the topic as well. A message that comes before the SUBACK is a reply nevertheless.
    desk.exchange.subscribe(reply_topic(0), 0, true, 0, &mut desk.actions).unwrap();
    let packet = desk.packets().remove(0);
    let second = desk.post(0);
    assert!(desk.reply(0, id) && desk.published.len() == 2);
    assert_eq!(desk.told(), [(Kinds::Reply, token, S::ENOS_OK)]);
    desk.answer(&packet, |_| false);
    assert!(desk.reply(0, 1_000_000 + second), "it was on its way before the refusal");
    assert!(!desk.reply(0, 1_000_000 + second), "it has its outcome");
}

#[test]
fn what_is_overdue_before_the_suback_is_not_sent() {
    let mut desk = Desk::new();
    let first = desk.post(0);
    let packet = desk.packets().remove(0);
    desk.wait(29_999);
    let second = desk.post(0);
    // The packet itself has timed out as well, and it has only one filter.
    desk.wait(1);
    let told = [first, second].map(|token| (Kinds::Reply, token, S::ENOS_ERR_TIMEOUT));
    assert_eq!(desk.told(), told);
    desk.answer(&packet, |_| true);
    assert!(desk.published.is_empty() && desk.exchange.is_idle());
}

/// Also while the answer for it is still to come.
#[test]
fn a_reply_topic_that_the_host_unsubscribes_stays_without_a_gap() {
    let mut desk = Desk::with_filters(0, 1);
    let unanswered = desk.link_up();
    for answered in [false, true] {
        if answered {
            desk.answer(&unanswered[0], |_| true);
        }
        desk.exchange.subscribe(reply_topic(0), 0, false, 0, &mut desk.actions).unwrap();
        let waiting = desk.post(0);
        let token = desk.exchange.unsubscribe(reply_topic(0), true, 0, &mut desk.actions).unwrap();
        assert!(!desk.actions.iter().any(|action| matches!(action, Action::Send(LinkRequest::Unsubscribe { .. }))));
        assert!(desk.packets().is_empty());
        assert_eq!(desk.told()[1..], [(Kinds::Unsubscribed, token, S::ENOS_OK)]);
        desk.answer(&unanswered[0], |_| true);
        assert!(desk.reply(0, 1_000_000 + waiting));
        assert_eq!(desk.told(), [(Kinds::Reply, waiting, S::ENOS_OK)]);
    }
    assert!(desk.exchange.is_idle());
}

/// The host has subscribed to it first.
#[test]
fn a_reply_that_is_to_come_still_comes_when_the_host_unsubscribes() {
    let mut desk = Desk::new();
    desk.exchange.subscribe(reply_topic(0), 1, true, 0, &mut desk.actions).unwrap();
    let packet = desk.packets().remove(0);
    desk.answer(&packet, |_| true);
    let token = desk.post(0);
    desk.exchange.unsubscribe(reply_topic(0), true, 0, &mut desk.actions).unwrap();
    assert!(!desk.actions.iter().any(|action| matches!(action, Action::Send(LinkRequest::Unsubscribe { .. }))));
    desk.told();
    assert!(desk.reply(0, 1_000_000 + token));
}

#[test]
fn reply_topics_that_nobody_needs_are_given_up_for_new_ones() {
    let mut desk = Desk::new();
    let sent = |desk: &mut Desk, device| {
        let token = desk.post(device);
        for packet in desk.packets() {
            desk.answer(&packet, |_| true);
        }
        1_000_000 + token
    };
    let first = sent(&mut desk, 0);
    desk.exchange.subscribe(reply_topic(1), 1, true, 0, &mut desk.actions).unwrap();
    for device in 1..400 {
        // The topic of the device 2 is used again and again.
        for device in [device, 2] {
            let id = sent(&mut desk, device);
            assert!(desk.reply(device, id));
        }
    }
    let known: Vec<&String> = desk.exchange.filters.keys().collect();
    assert_eq!(known.len(), 257, "256, and that of the host");
    for device in [0, 1, 2, 146, 399] {
        assert!(known.contains(&&reply_topic(device)), "{device}");
    }
    let given_up = |device| {
        let ends =
            |entry: &Entry| matches!(&entry.waits_for, WaitsFor::Unsuback { filter } if *filter == reply_topic(device));
        desk.exchange.entries.values().any(ends)
    };
    assert!(given_up(3) && given_up(145) && !given_up(146));
    assert!(desk.reply(0, first), "it was needed all the time");
}

#[test]
fn a_refused_reply_topic_that_nobody_waits_for_is_logged() {
    let mut desk = Desk::with_filters(0, 2);
    let packets = desk.link_up();
    desk.answer(&packets[0], |filter| filter == reply_topic(0));
    assert!(desk.told().is_empty() && desk.logged.len() == 1 && desk.logged[0].contains(&reply_topic(1)));
}

#[test]
fn the_outbox_gets_one_outcome_for_each_entry() {
    let mut desk = Desk::new();
    let Err(asking) = desk.exchange.may_send(0, reply_topic(0), true, 0, &mut desk.actions) else {
        panic!("nobody has asked")
    };
    let packet = desk.packets().remove(0);
    desk.answer(&packet, |_| true);
    let outcomes = desk.exchange.take_outcomes();
    assert!(matches!(outcomes[..], [(0, token, Outcome::Delivered)] if token == asking));
    let [plain, answered, lost] = [false, true, true].map(|until_reply| desk.request(Owner::Outbox(0), 0, until_reply));
    for token in [plain, answered] {
        desk.exchange.delivered(token, &mut desk.actions);
    }
    assert!(desk.reply(0, 1_000_000 + answered));
    assert_eq!(desk.exchange.deadline(), None, "it has timeouts of its own");
    desk.lose_link(true);
    let outcomes = desk.exchange.take_outcomes().into_iter().map(|(_, token, outcome)| {
        let what = match outcome {
            Outcome::Delivered => "delivered",
            Outcome::Reply { .. } => "reply",
            Outcome::NotDelivered { .. } => "not delivered",
        };
        (token, what)
    });
    let outcomes = outcomes.collect::<Vec<_>>();
    assert_eq!(outcomes, [(plain, "delivered"), (answered, "delivered"), (answered, "reply"), (lost, "not delivered")]);
    assert!(desk.exchange.entries.is_empty() && desk.told().is_empty());
}
