//! Calls in virtual time: the filters that each link subscribes to, and the order and time of events.

use super::lost;
use super::world::settings;
use crate::model::link::LinkRequest;
use crate::protocol::Secret;
use crate::session::*;

use crate::error::Status as S;
use EventKind as Kind;

/// A session whose broker is the test.
struct Desk {
    session: Session,
    now: u64,
    events: Vec<Event>,
    sent: Vec<LinkRequest>,
}

impl Desk {
    fn new() -> Desk {
        let mut settings = settings();
        settings.product_secret = None;
        settings.device_secret = Some(Secret::new(b"device-secret").unwrap());
        settings.outbox = None;
        let session = Session::new(settings, 1);
        Desk { session, now: 1_000, events: Vec::new(), sent: Vec::new() }
    }

    fn online() -> Desk {
        let mut desk = Desk::new();
        desk.go_online();
        desk
    }

    fn time(&self) -> Now {
        Now { ms: self.now, wall_ms: 1_700_000_000_000 }
    }

    fn feed(&mut self, input: Input) {
        self.session.handle(self.time(), input);
        while let Some(action) = self.session.next_action() {
            match action {
                Action::Load => self.session.handle(self.time(), Input::Loaded(Box::default())),
                Action::Send(request) => self.sent.push(request),
                Action::Emit(event) => self.events.push(event),
                _ => {}
            }
        }
    }

    fn link(&mut self, what: LinkEvent) {
        self.feed(Input::Link { attempt: self.session.connection.attempt, what });
    }

    fn go_online(&mut self) {
        self.now += 200_000;
        self.session.connect(self.time());
        self.feed(Input::Tick);
        self.link(LinkEvent::Connected);
        assert_eq!(self.session.state(), State::Online);
    }

    fn lose_link(&mut self) {
        for request in std::mem::take(&mut self.sent) {
            self.link(LinkEvent::NotDelivered {
                token: request.token(),
                status: S::ENOS_ERR_NETWORK,
                reason: "the connection ended".into(),
            });
        }
        self.link(lost("reset"));
    }

    fn subscribe(&mut self, filter: &str) -> u64 {
        let token = self.session.subscribe(self.time(), filter, 1).unwrap();
        self.feed(Input::Tick);
        token
    }

    fn unsubscribe(&mut self, filter: &str) -> u64 {
        let token = self.session.unsubscribe(self.time(), filter).unwrap();
        self.feed(Input::Tick);
        token
    }

    /// The SUBSCRIBE packets that were sent since this was called last, each with its filters.
    fn asked(&mut self) -> Vec<(u64, Vec<String>)> {
        let asked = std::mem::take(&mut self.sent).into_iter().filter_map(|request| match request {
            LinkRequest::Subscribe { token, filters } => {
                Some((token, filters.into_iter().map(|(filter, _)| filter).collect()))
            }
            _ => None,
        });
        asked.collect()
    }

    /// Grants, or refuses, the one SUBSCRIBE that was sent, which has one filter.
    fn answer(&mut self, granted: Option<u8>) {
        let asked = self.asked();
        assert!(asked.len() == 1 && asked[0].1.len() == 1, "{asked:?}");
        self.link(LinkEvent::Subscribed { token: asked[0].0, granted: vec![granted] });
    }

    /// The events of subscriptions since this was called last.
    fn told(&mut self) -> Vec<(Kind, u64, S)> {
        let told = std::mem::take(&mut self.events).into_iter();
        let told = told.filter(|event| matches!(event.kind, Kind::Subscribed | Kind::Unsubscribed));
        told.map(|event| (event.kind, event.token, event.status)).collect()
    }
}

#[test]
fn a_subscription_is_taken_in_every_state_and_its_outcome_is_the_first_answer() {
    let mut desk = Desk::new();
    let tokens = [desk.subscribe("a"), desk.subscribe("a")];
    assert!(desk.asked().is_empty() && desk.told().is_empty() && !desk.session.is_flushed());
    desk.go_online();
    desk.lose_link();
    assert!(desk.told().is_empty(), "a link that is lost before the SUBACK loses nothing, and ends nothing");
    desk.go_online();
    desk.answer(Some(1));
    assert_eq!(desk.told(), tokens.map(|token| (Kind::Subscribed, token, S::ENOS_OK)));
    assert!(desk.session.is_flushed());
    desk.lose_link();
    desk.go_online();
    desk.answer(Some(1));
    assert_eq!(desk.told(), [], "renewing it is no news");
}

#[test]
fn a_refusal_is_told_on_each_link_and_is_no_end_of_it() {
    let mut desk = Desk::online();
    let token = desk.subscribe("a");
    desk.answer(None);
    assert_eq!(desk.events.last().map(|event| event.detail_code), Some(0x80));
    assert_eq!(desk.told(), [(Kind::Subscribed, token, S::ENOS_ERR_REFUSED)]);
    for _ in 0..2 {
        desk.lose_link();
        desk.go_online();
        desk.answer(None);
        assert_eq!(desk.told(), [(Kind::Subscribed, 0, S::ENOS_ERR_REFUSED)]);
    }
    desk.lose_link();
    desk.go_online();
    desk.answer(Some(0));
    assert_eq!(desk.told(), [(Kind::Subscribed, 0, S::ENOS_OK)], "that it is granted now is news");
}

#[test]
fn a_subscribe_that_is_not_answered_is_told_and_asked_for_on_the_next_link() {
    let mut desk = Desk::online();
    let token = desk.subscribe("a");
    let asked = desk.asked();
    desk.now += 30_000;
    desk.feed(Input::Tick);
    assert_eq!(desk.told(), [(Kind::Subscribed, token, S::ENOS_ERR_TIMEOUT)]);
    desk.link(LinkEvent::Subscribed { token: asked[0].0, granted: vec![Some(1)] });
    assert_eq!(desk.told(), [], "an answer that comes so late is not told");
    desk.lose_link();
    desk.go_online();
    desk.answer(Some(1));
    assert_eq!(desk.told(), [(Kind::Subscribed, 0, S::ENOS_OK)]);
}

#[test]
fn what_is_taken_back_is_not_asked_for_any_more() {
    let mut desk = Desk::new();
    let (subscribed, taken_back) = (desk.subscribe("a"), desk.unsubscribe("a"));
    let told = [(Kind::Subscribed, subscribed, S::ENOS_ERR_STATE), (Kind::Unsubscribed, taken_back, S::ENOS_OK)];
    assert_eq!(desk.told(), told);
    desk.go_online();
    assert!(desk.asked().is_empty());
    // A lost link ends a subscription, as an UNSUBACK does.
    let (subscribed, taken_back) = (desk.subscribe("b"), desk.unsubscribe("b"));
    desk.lose_link();
    let told = [(Kind::Subscribed, subscribed, S::ENOS_ERR_STATE), (Kind::Unsubscribed, taken_back, S::ENOS_OK)];
    assert_eq!(desk.told(), told);
    desk.go_online();
    assert!(desk.asked().is_empty());
}

#[test]
fn calls_to_subscribe_are_bounded_while_the_device_is_offline() {
    let mut desk = Desk::new();
    let refused = (0..2_000).find_map(|_| desk.session.subscribe(desk.time(), "a", 1).err()).unwrap();
    assert_eq!(refused.status, S::ENOS_ERR_QUEUE_FULL);
    desk.go_online();
    desk.answer(Some(1));
    assert_eq!(desk.events.iter().filter(|event| event.kind == Kind::Room).count(), 1);
    assert_eq!(desk.told().len(), 1_000);
}

#[test]
fn a_disconnect_does_not_wait_for_a_subscription_that_was_not_asked_for() {
    let mut desk = Desk::online();
    desk.session.disconnect(desk.time());
    desk.subscribe("a");
    assert!(desk.asked().is_empty());
    desk.link(LinkEvent::Closed);
    assert_eq!(desk.session.state(), State::Idle);
    desk.go_online();
    assert_eq!(desk.asked().len(), 1);
}

#[test]
fn the_outcomes_of_calls_come_before_the_end_of_their_connection() {
    for is_planned in [false, true] {
        let mut desk = Desk::online();
        let token = desk.session.publish(desk.time(), "topic", vec![1], 1).unwrap();
        if is_planned {
            desk.session.disconnect(desk.time());
        }
        desk.events.clear();
        desk.link(LinkEvent::Lost { status: S::ENOS_ERR_NETWORK, reason: "reset".into() });
        let told: Vec<_> = desk.events.iter().take(2).map(|event| (event.kind, event.token)).collect();
        assert_eq!(told, [(Kind::Delivered, token), (Kind::Disconnected, 0)], "planned: {is_planned}");
    }
}
