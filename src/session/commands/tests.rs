use super::super::settings::Settings;
use super::super::tests::world;
use super::*;
use crate::model::link::LinkRequest;

/// The commands with an exchange, and what they have done.
struct Desk {
    settings: Settings,
    commands: Commands,
    exchange: Exchange,
    actions: VecDeque<Action>,
    now: u64,
    online: bool,
    /// Id and code of each answer that was sent.
    sent: Vec<(u64, i64)>,
    in_flight: Vec<u64>,
    handed: Vec<u64>,
    outcomes: Vec<(u64, Status)>,
    stores: usize,
    refused: i32,
}

impl Desk {
    fn new(change: impl FnOnce(&mut CommandSettings)) -> Desk {
        let mut settings = world::settings();
        settings.commands = CommandSettings { limit: 8, bytes: 1 << 20, timeout_ms: 1_000, ..Default::default() };
        change(&mut settings.commands);
        Desk {
            commands: Commands::new(settings.commands.clone(), 0),
            exchange: Exchange::new(&settings, 1),
            settings,
            actions: VecDeque::new(),
            now: 0,
            online: true,
            sent: Vec::new(),
            in_flight: Vec::new(),
            handed: Vec::new(),
            outcomes: Vec::new(),
            stores: 0,
            refused: 0,
        }
    }

    fn call<T>(&mut self, call: impl FnOnce(&mut Commands, &mut Around) -> T) -> T {
        let Desk { commands, exchange, actions, now, online, .. } = self;
        let result = call(commands, &mut Around { now: *now, online: *online, exchange, actions });
        self.commands.tell_refused(&mut self.actions);
        for action in std::mem::take(&mut self.actions) {
            match action {
                Action::Send(LinkRequest::Publish { token, payload, .. }) => {
                    let said: serde_json::Value = serde_json::from_slice(&payload).unwrap();
                    self.sent.push((said["id"].as_u64().unwrap(), said["code"].as_i64().unwrap()));
                    self.in_flight.push(token);
                }
                Action::HandOver(handed) => {
                    assert!(self.commands.begin(handed.key, self.now).is_some());
                    self.handed.push(handed.key);
                }
                Action::Emit(event) => self.outcomes.push((event.token, event.status)),
                Action::StoreCommands(_) => self.stores += 1,
                Action::TellRefused(event) => self.refused += event.detail_code,
                _ => {}
            }
        }
        result
    }

    fn arrive(&mut self, id: u64) {
        let topic = b"/sys/pk/dk/thing/service/x".to_vec();
        let kind = Kind::of(&self.settings.identity, &topic).unwrap();
        let payload = format!(r#"{{"id":{id},"params":{{}}}}"#).into_bytes().into();
        let message = Event::message(topic, payload, 1, false);
        assert!(matches!(self.call(|commands, around| commands.arrived(kind, message, around)), Arrived::Command));
    }

    fn answer(&mut self, key: u64, id: u64) -> Result<u64> {
        let payload = format!(r#"{{"id":{id},"code":200,"data":{{}}}}"#).into_bytes();
        self.call(|commands, around| commands.answer(key, payload, around))
    }

    fn tick(&mut self, ms: u64) {
        self.now += ms;
        self.call(Commands::expire);
    }

    /// The broker acknowledges everything.
    fn acknowledge(&mut self) {
        for token in std::mem::take(&mut self.in_flight) {
            self.exchange.delivered(token, &mut self.actions);
        }
        self.call(Commands::run);
    }

    fn lose_link(&mut self) {
        self.online = false;
        self.in_flight.clear();
        self.exchange.link_down("lost", true, &mut self.actions);
        self.call(Commands::link_down);
    }

    fn link_up(&mut self) {
        self.online = true;
        self.call(Commands::link_up);
    }
}

/// The host, the last handle and the deadline race.
#[test]
fn a_command_has_one_answer_whoever_is_first() {
    let mut random = fastrand::Rng::with_seed(3);
    let mut desk = Desk::new(|_| ());
    for id in 0..30_000 {
        desk.arrive(id);
        let key = desk.handed.pop().unwrap();
        let mut steps = [0, 1, 2];
        random.shuffle(&mut steps);
        for step in steps {
            match step {
                0 => desk.tick(random.u64(999..1_001)),
                1 => drop(desk.answer(key, id)),
                _ if random.bool() => drop(desk.answer(key, id)),
                _ => {}
            }
        }
        desk.call(|commands, around| commands.ended(key, HandleEnd::Released, around));
        desk.tick(2_000);
        desk.acknowledge();
        let [(answered, code)] = desk.sent[..] else { panic!("{id}: {:?}", desk.sent) };
        assert_eq!(answered, id);
        assert!([200, 1102].contains(&code));
        desk.sent.clear();
        let outcomes = std::mem::take(&mut desk.outcomes);
        assert_eq!(outcomes.len(), usize::from(code == 200), "{outcomes:?}");
    }
    assert!(desk.commands.is_idle() && desk.commands.open.is_empty() && desk.commands.open_bytes == 0);
    assert_eq!((desk.commands.answers.bytes(), desk.commands.deadline()), (0, None));
}

#[test]
fn a_refusal_that_cannot_be_sent_is_told_and_takes_no_memory() {
    let mut desk = Desk::new(|settings| (settings.limit, settings.bytes) = (1, 1_024));
    for id in 0..10_000 {
        desk.arrive(id);
    }
    assert_eq!((desk.handed.len(), desk.refused), (1, 9_999));
    // The broker acknowledges nothing, so what waits is limited.
    assert_eq!(desk.sent.len(), super::super::exchange::MAX_ANSWERS);
    let bytes = desk.commands.answers.bytes();
    assert!((answers::OWN_BYTES..answers::OWN_BYTES + 2_048).contains(&bytes), "{bytes}");
}

#[test]
fn an_answer_waits_for_a_link_until_its_deadline() {
    let mut desk = Desk::new(|_| ());
    for id in 0..4 {
        desk.arrive(id);
    }
    let keys = std::mem::take(&mut desk.handed);
    let sent = desk.answer(keys[0], 0).unwrap();
    desk.lose_link();
    assert!(desk.outcomes.is_empty(), "it goes out once more");
    let waits = desk.answer(keys[1], 1).unwrap();
    // Nobody answers the third; the last one comes too late.
    desk.call(|commands, around| commands.ended(keys[2], HandleEnd::Returned, around));
    desk.tick(500);
    desk.link_up();
    desk.acknowledge();
    assert_eq!(desk.sent, [(0, 200), (0, 200), (1, 200), (2, 1101)]);
    assert_eq!(desk.outcomes, [(sent, Status::ENOS_OK), (waits, Status::ENOS_OK)]);
    desk.lose_link();
    let late = desk.answer(keys[3], 3).unwrap();
    desk.tick(600);
    assert_eq!(desk.outcomes.pop(), Some((late, Status::ENOS_ERR_TIMEOUT)));
    desk.link_up();
    assert_eq!(desk.sent.len(), 4);
}

#[test]
fn at_its_deadline_a_command_is_not_answered_offline() {
    let mut desk = Desk::new(|_| ());
    desk.arrive(7);
    desk.lose_link();
    desk.tick(1_000);
    desk.link_up();
    assert!(desk.sent.is_empty(), "its caller has given up");
    assert!(desk.commands.open.values().all(|open| open.answered));
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut desk = Desk::new(|settings| (settings.remembers, settings.limit) = (true, 1_000));
    for id in 0..100 {
        desk.arrive(id);
    }
    desk.lose_link();
    assert_eq!(desk.stores, 100);
    let stored = desk.commands.memory.stored();
    assert_eq!(stored.len(), memory::REMEMBERED);
    let mut next = Desk::new(|settings| (settings.remembers, settings.limit) = (true, 1_000));
    next.call(|commands, around| commands.loaded(stored, around));
    next.arrive(99);
    assert_eq!(next.stores, 0, "it is stored already");
    let key = next.handed[0];
    next.answer(key, 99).unwrap();
    next.acknowledge();
    assert_eq!((next.stores, next.commands.memory.stored().len()), (1, memory::REMEMBERED - 1));
}

/// The transport does not take an answer, e.g. because there is no memory. The link lives on, and so do other answers.
#[test]
fn an_answer_that_the_transport_refuses_stops_no_other() {
    let mut desk = Desk::new(|_| ());
    desk.arrive(1);
    desk.arrive(2);
    let keys = desk.handed.clone();
    let refused = desk.answer(keys[0], 1).unwrap();
    let token = desk.in_flight.remove(0);
    let status = Status::ENOS_ERR_NO_MEMORY;
    desk.exchange.not_delivered(token, status, "there is no memory".into(), &mut desk.actions);
    desk.call(Commands::run);
    let second = desk.answer(keys[1], 2).unwrap();
    desk.acknowledge();
    assert_eq!(desk.sent, [(1, 200), (2, 200)]);
    assert_eq!(desk.outcomes, [(refused, status), (second, Status::ENOS_OK)]);
}

#[test]
fn an_answer_that_waits_again_still_has_its_deadline() {
    let mut desk = Desk::new(|_| ());
    desk.arrive(1);
    desk.tick(500);
    desk.arrive(2);
    let keys = desk.handed.clone();
    desk.call(|commands, around| commands.ended(keys[0], HandleEnd::Returned, around));
    let token = desk.answer(keys[1], 2).unwrap();
    // This is the first one's deadline.
    desk.tick(500);
    desk.lose_link();
    assert_eq!(desk.commands.deadline(), Some(1_500));
    desk.tick(500);
    assert_eq!(desk.outcomes, [(token, Status::ENOS_ERR_TIMEOUT)]);
    assert!(desk.commands.is_idle());
}

#[test]
fn what_is_sent_again_keeps_its_order() {
    let mut desk = Desk::new(|_| ());
    for id in 0..5 {
        desk.arrive(id);
    }
    let keys = desk.handed.clone();
    for id in 0..4 {
        desk.answer(keys[id as usize], id).unwrap();
    }
    // The transport tells the end of one of them before the others.
    let token = desk.in_flight[2];
    desk.exchange.not_delivered(token, Status::ENOS_ERR_NETWORK, "lost".into(), &mut desk.actions);
    desk.call(Commands::run);
    desk.lose_link();
    desk.answer(keys[4], 4).unwrap();
    desk.sent.clear();
    desk.link_up();
    assert_eq!(desk.sent.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
}

#[test]
fn the_library_answers_for_the_host_even_if_too_many_answers_wait() {
    let mut desk = Desk::new(|settings| (settings.limit, settings.bytes) = (1, 1_024));
    desk.arrive(0);
    let key = desk.handed[0];
    for id in 1..10_000 {
        desk.arrive(id);
    }
    desk.call(|commands, around| commands.ended(key, HandleEnd::Returned, around));
    while !desk.in_flight.is_empty() {
        desk.acknowledge();
    }
    assert!(desk.sent.contains(&(0, 1101)));
}

#[test]
fn an_answer_has_at_least_until_the_deadline_of_its_command() {
    let mut desk = Desk::new(|settings| settings.timeout_ms = 60_000);
    assert!(desk.settings.reply_timeout_ms < 60_000);
    desk.arrive(1);
    let key = desk.handed[0];
    let token = desk.answer(key, 1).unwrap();
    for (now, outcomes) in [(59_999, 0), (60_000, 1)] {
        desk.now = now;
        desk.exchange.expire(now, &mut desk.actions);
        desk.call(Commands::run);
        assert_eq!(desk.outcomes, [(token, Status::ENOS_ERR_TIMEOUT)][..outcomes]);
    }
}

#[test]
fn answers_count_towards_the_bytes_until_their_outcome() {
    let mut desk = Desk::new(|settings| settings.bytes = 100_000);
    desk.arrive(1);
    let key = desk.handed[0];
    let payload = format!(r#"{{"id":1,"code":200,"data":"{}"}}"#, "x".repeat(100_000)).into_bytes();
    desk.call(|commands, around| commands.answer(key, payload, around)).unwrap();
    desk.arrive(2);
    assert_eq!((desk.handed.len(), desk.refused), (1, 1));
    desk.acknowledge();
    desk.arrive(3);
    assert_eq!((desk.handed.len(), desk.refused, desk.commands.answers.bytes()), (2, 1, 0));
}

#[test]
fn a_mark_goes_with_the_last_of_the_same_commands() {
    let mut desk = Desk::new(|settings| settings.remembers = true);
    desk.arrive(1);
    desk.arrive(1);
    let keys = desk.handed.clone();
    for (key, left) in keys.into_iter().zip([1, 0]) {
        desk.answer(key, 1).unwrap();
        assert_eq!(desk.commands.memory.stored().len(), 1);
        desk.acknowledge();
        assert_eq!(desk.commands.memory.stored().len(), left);
    }
}

/// The host was told the timeout before. On another link the acknowledgement does not come any more.
#[test]
fn a_mark_goes_with_a_late_acknowledgement() {
    for (loses_link, left) in [(false, 0), (true, 1)] {
        let mut desk = Desk::new(|settings| settings.remembers = true);
        desk.arrive(1);
        let token = desk.answer(desk.handed[0], 1).unwrap();
        desk.now = desk.settings.reply_timeout_ms;
        desk.exchange.expire(desk.now, &mut desk.actions);
        desk.call(Commands::run);
        assert_eq!(desk.commands.memory.stored().len(), 1);
        if loses_link {
            desk.lose_link();
            desk.link_up();
        }
        desk.acknowledge();
        assert_eq!(desk.outcomes, [(token, Status::ENOS_ERR_TIMEOUT)]);
        assert_eq!(desk.commands.memory.stored().len(), left);
        assert!(desk.commands.is_idle() && desk.commands.answers.bytes() == 0);
    }
}

/// The caller waits for 5 s, 60 s, or as long as the library assumes.
#[test]
fn an_answer_is_taken_until_the_deadline_of_its_command() {
    for (timeout_ms, own_ms, last) in [(25_000, None, 24), (5_000, None, 4), (25_000, Some(60_000), 59)] {
        for after_s in [4, 24, 26, 59] {
            let mut desk = Desk::new(|settings| {
                settings.timeout_ms = timeout_ms;
                settings.services.extend(own_ms.map(|ms| ("x".to_owned(), ms)));
            });
            desk.arrive(1);
            desk.tick(after_s * 1_000);
            let in_time = after_s <= last;
            assert_eq!(desk.answer(desk.handed[0], 1).is_ok(), in_time, "{timeout_ms} {own_ms:?} {after_s}");
            assert_eq!(desk.sent, [(1, if in_time { 200 } else { 1102 })]);
        }
    }
}

#[test]
fn marks_are_forgotten_after_two_days() {
    let mut desk = Desk::new(|settings| settings.remembers = true);
    desk.call(|commands, around| commands.loaded(vec![[1; 16]], around));
    desk.arrive(1);
    assert_eq!(desk.commands.memory.stored().len(), 2);
    desk.now = memory::MAX_AGE_MS - 1;
    desk.arrive(2);
    assert_eq!(desk.commands.memory.stored().len(), 3);
    desk.now += 1;
    desk.arrive(3);
    assert_eq!(desk.commands.memory.stored().len(), 2);
}

#[test]
fn a_record_that_is_not_wanted_any_more_is_removed() {
    for (remembers, stores) in [(false, 1), (true, 0)] {
        let mut desk = Desk::new(|settings| settings.remembers = remembers);
        desk.call(|commands, around| commands.loaded(vec![[1; 16]], around));
        assert_eq!(desk.stores, stores);
    }
}
