mod long;

use super::*;
use crate::error::Status;
use crate::model::link::LinkRequest;
use crate::protocol::outbox::{self, OutboxEnds, PageFound};
use crate::protocol::request::PostTime;
use crate::protocol::{Operation, Request, Totals};
use crate::session::durable::Appended;
use crate::session::io::{Done, Task};
use crate::session::tests::world;
use crate::session::{Event, EventKind};

const NONE: Totals = Totals { messages: 0, bytes: 0 };

/// A client with sub-devices. The test is its storage and its broker.
struct Desk {
    outboxes: Outboxes,
    exchange: Exchange,
    rng: fastrand::Rng,
    now: u64,
    wall_ms: u64,
    /// The devices whose queue is asked for something.
    tasks: Vec<(u64, Task)>,
    /// What the storage has on each page. `None`: a publish.
    stored: Option<Request>,
    /// What was sent: the token, and the topic or name.
    sent: Vec<(u64, String)>,
    last_payload: Vec<u8>,
    told: Vec<Event>,
}

impl Desk {
    fn new(subdevices: u64, bytes_per_s: u64) -> Desk {
        let limits = Totals { messages: 1_000, bytes: 1 << 20 };
        let settings = OutboxSettings { window: 10, bytes_per_s, timeout_ms: 30_000, boot: 7, limits };
        let mut outboxes = Outboxes::new(settings, Identity::new("pk", "dk", None).unwrap());
        for id in 1..=subdevices {
            outboxes.add(id, Identity::new("spk", &format!("s{id}"), None).unwrap());
        }
        let (exchange, rng) = (Exchange::new(&world::settings(), 1), fastrand::Rng::with_seed(1));
        let (tasks, sent, told, last_payload) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (now, wall_ms, stored) = (10_000, 1_700_000_000_000, None);
        Desk { outboxes, exchange, rng, now, wall_ms, tasks, stored, sent, last_payload, told }
    }

    fn call<T>(&mut self, call: impl FnOnce(&mut Outboxes, &mut Surroundings) -> T) -> T {
        let (mut actions, now) = (VecDeque::new(), Now { ms: self.now, wall_ms: self.wall_ms });
        let (exchange, rng) = (&mut self.exchange, &mut self.rng);
        let result = call(&mut self.outboxes, &mut Surroundings { now, exchange, actions: &mut actions, rng });
        for action in actions {
            match action {
                Action::Outbox { subdevice, task } => self.tasks.push((subdevice, task)),
                Action::Send(LinkRequest::Publish { token, topic, payload, .. }) => {
                    self.sent.push((token, topic));
                    self.last_payload = payload;
                }
                Action::Emit(event) => self.told.push(event),
                _ => {}
            }
        }
        result
    }

    fn tick(&mut self) {
        for (id, token, outcome) in self.exchange.take_outcomes() {
            self.call(|outboxes, session| {
                outboxes.with(id, session, |outbox, around| outbox.outcome(token, outcome, around));
            });
        }
        self.call(|outboxes, session| outboxes.pump(true, true, session));
    }

    /// A device has an empty queue, and accepts so many messages, each in a page of its own. They are published to a topic
    /// with the id of the device.
    fn accept(&mut self, id: u64, count: u64, size: usize) {
        self.call(|outboxes, session| {
            outboxes.use_outbox(id, session);
            outboxes.with(id, session, |outbox, around| {
                let ends = OutboxEnds { head: 1, tail: 1, suspect: None, lost: None };
                outbox.done(Done::Opened(Ok(ends)), around);
                for page in 1..=count {
                    let messages = vec![publish(id, size)];
                    let users = vec![7];
                    outbox.appended(Appended { page, next: page + 1, after: NONE, messages, users });
                }
            });
        });
    }

    fn go_online(&mut self, id: u64) {
        match id {
            0 => self.call(Outboxes::link_up),
            id => self.call(|outboxes, session| outboxes.go_online(id, session)),
        }
    }

    /// The storage answers what it was asked for.
    fn answer_tasks(&mut self) {
        for (id, task) in std::mem::take(&mut self.tasks) {
            let done = match task {
                Task::Open => Done::Opened(Ok(OutboxEnds { head: 1, tail: 1, suspect: None, lost: None })),
                Task::ReadPage { page, .. } => {
                    let messages =
                        vec![Some(outbox::Message::Request(self.stored.clone().unwrap_or_else(|| publish(id, 1))))];
                    Done::PageRead { page, result: Ok(PageFound::Messages { next: page + 1, after: NONE, messages }) }
                }
                Task::FinishPages { through, .. } => Done::PagesFinished { through, result: Ok(NONE) },
                Task::StoreDeadLetter { token, .. } => Done::DeadLetterStored { token, result: Ok(()) },
                Task::StoreSuspect(_) => continue,
            };
            self.call(|outboxes, session| {
                outboxes.with(id, session, |outbox, around| outbox.done(done, around));
            });
        }
    }

    /// The broker acknowledges the first that it has not acknowledged.
    fn acknowledge(&mut self) {
        let (token, _) = self.sent.remove(0);
        self.exchange.delivered(token, &mut VecDeque::new());
    }

    /// The devices that have sent what the broker has not acknowledged, in order.
    fn senders(&self) -> Vec<u64> {
        self.sent.iter().map(|(_, topic)| topic.parse().unwrap()).collect()
    }
}

fn publish(id: u64, size: usize) -> Request {
    let (operation, name, params) = (Operation::ENOS_OP_PUBLISH, id.to_string(), vec![0; size]);
    Request { operation, name, params, until_reply: false, resume: false, time: PostTime::Own, members: 0 }
}

/// Each opening can take many loads.
#[test]
fn one_queue_is_opened_at_a_time_and_an_empty_one_takes_no_memory() {
    let mut desk = Desk::new(200, 0);
    (1..=200).for_each(|id| desk.go_online(id));
    for id in 1..=200 {
        assert_eq!(desk.outboxes.deadline(), Some(1), "more have to be opened");
        desk.tick();
        let opened: Vec<u64> = desk.tasks.iter().map(|(id, _)| *id).collect();
        assert!(matches!(desk.tasks[..], [(_, Task::Open)]) && opened == [id], "{opened:?} at tick {id}");
        desk.answer_tasks();
    }
    desk.tick();
    assert!(desk.outboxes.all().count() == 1 && desk.tasks.is_empty() && desk.outboxes.deadline().is_none());
    // They were looked at once.
    (1..=200).for_each(|id| desk.go_online(id));
    desk.tick();
    assert!(desk.outboxes.all().count() == 1 && desk.tasks.is_empty());
    // A queue that cannot be opened holds up no other.
    let mut desk = Desk::new(2, 0);
    (1..=2).for_each(|id| desk.go_online(id));
    desk.tick();
    desk.tick();
    assert_eq!(desk.tasks.len(), 2, "the first has no answer yet");
}

#[test]
fn the_rate_is_shared_message_by_message() {
    let mut desk = Desk::new(2, 1_000);
    (0..=2).for_each(|id| desk.go_online(id));
    for (id, count) in [(1, 10), (2, 2), (0, 2)] {
        desk.accept(id, count, 1_000);
    }
    for _ in 0..20_000 {
        desk.now += 1;
        desk.tick();
    }
    assert_eq!(desk.senders()[..8], [0, 1, 2, 0, 1, 2, 1, 1], "of 1000 bytes each");
    assert_eq!(desk.senders().len(), 10, "no more than the window without an acknowledgement");
}

/// The limits of what is in flight are for the link. The first of each outbox has to wait for them as well.
#[test]
fn the_window_is_shared_and_a_deep_backlog_lets_the_others_go() {
    let mut desk = Desk::new(1, 0);
    desk.go_online(1);
    desk.accept(1, 50, 100);
    desk.tick();
    assert_eq!(desk.senders(), [1; 10]);
    desk.accept(0, 1, 100);
    desk.go_online(0);
    desk.tick();
    desk.acknowledge();
    desk.tick();
    assert_eq!(desk.senders()[9..], [0], "it is the next");
    // A large message waits until there is room, and those behind it do not overtake it for ever.
    let mut desk = Desk::new(1, 0);
    desk.go_online(1);
    desk.accept(1, 9, 20_000);
    desk.accept(0, 1, 120_000);
    desk.go_online(0);
    desk.outboxes.turn = 1;
    desk.tick();
    while desk.senders().last() == Some(&1) {
        desk.acknowledge();
        desk.tick();
    }
    assert_eq!(desk.senders(), [0]);
}

#[test]
fn what_cannot_be_sent_holds_up_no_other() {
    let mut desk = Desk::new(3, 0);
    // The first is offline, and the second waits for a storage that does not answer.
    desk.accept(1, 2, 1);
    desk.go_online(2);
    desk.tick();
    desk.go_online(3);
    desk.accept(3, 2, 1);
    desk.accept(0, 2, 1);
    desk.go_online(0);
    desk.tick();
    assert_eq!(desk.senders(), [3, 0, 3, 0]);
    assert!(!desk.outboxes.are_flushed());
    (0..4).for_each(|_| desk.acknowledge());
    (0..3).for_each(|_| {
        desk.tick();
        desk.answer_tasks();
    });
    assert!(desk.outboxes.are_flushed(), "the first one is offline, and is not waited for");
    // Its messages are not kept in memory, and are read when it comes online.
    desk.go_online(1);
    desk.tick();
    assert!(matches!(desk.tasks[..], [(1, Task::ReadPage { page: 1, .. })]) && desk.senders().is_empty());
    assert!(!desk.outboxes.are_flushed());
    desk.answer_tasks();
    desk.tick();
    assert_eq!(desk.senders(), [1]);
    // It logs out: what was in flight is sent again, and is not blamed.
    desk.call(|outboxes, session| outboxes.go_offline(1, session));
    assert!(desk.tasks.iter().all(|(_, task)| !matches!(task, Task::StoreSuspect(_))));
    desk.sent.clear();
    desk.tick();
    assert!(desk.sent.is_empty());
    desk.go_online(1);
    desk.tick();
    assert_eq!(desk.senders(), [1]);
}

/// The link is lost while messages of two devices are in flight. On the next link each of them is alone on it.
#[test]
fn suspects_of_different_devices_are_not_in_flight_together() {
    let mut desk = Desk::new(2, 0);
    desk.go_online(1);
    desk.go_online(2);
    desk.accept(1, 3, 1);
    desk.accept(2, 3, 1);
    desk.tick();
    assert_eq!(desk.senders(), [1, 2, 1, 2, 1, 2]);
    desk.call(|outboxes, session| outboxes.link_down(LinkEnd::Lost, session));
    desk.exchange.link_down("lost", true, &mut VecDeque::new());
    desk.sent.clear();
    desk.accept(0, 30, 1);
    desk.call(Outboxes::link_up);
    (1..=2).for_each(|id| desk.go_online(id));
    desk.tick();
    assert_eq!(desk.senders(), [0; 10], "what is not suspected goes at once");
    desk.now += 2_000;
    let mut alone = Vec::new();
    for _ in 0..60 {
        desk.tick();
        if desk.senders().iter().any(|id| *id != 0) {
            if desk.senders().iter().any(|id| *id != desk.senders()[0]) {
                assert_eq!(alone.len(), 6, "only those that were in flight at the loss are alone");
            }
            alone.push(desk.senders()[0]);
        }
        if desk.sent.is_empty() {
            break;
        }
        desk.acknowledge();
    }
    alone.sort_unstable();
    assert_eq!(alone, [1, 1, 1, 2, 2, 2]);
}

#[test]
fn what_waits_of_a_deleted_subdevice_becomes_dead_letters() {
    let mut desk = Desk::new(1, 0);
    desk.accept(1, 3, 1);
    desk.go_online(1);
    desk.tick();
    desk.answer_tasks();
    desk.call(|outboxes, session| outboxes.delete(1, session));
    desk.sent.clear();
    for _ in 0..20 {
        desk.tick();
        desk.answer_tasks();
    }
    let told: Vec<_> = desk.told.iter().map(|event| (event.token, event.subdevice, event.status, event.user)).collect();
    let dead = |page| (outbox::token_of(1, outbox::token(page, 0)), 1, Status::ENOS_ERR_DEAD_LETTER, 7);
    assert_eq!(told, [dead(1), dead(2), dead(3)]);
    assert!(desk.told.iter().all(|event| event.kind == EventKind::Delivered) && desk.sent.is_empty());
    // What is accepted afterwards waits for the host, or for EnOS.
    assert_eq!(desk.outboxes.all().count(), 1, "it is given up");
    // It is not known what an earlier process has left.
    let mut desk = Desk::new(1, 0);
    desk.call(|outboxes, session| outboxes.delete(1, session));
    desk.tick();
    assert!(matches!(desk.tasks[..], [(1, Task::Open)]));
}
