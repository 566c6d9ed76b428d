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
            commands: Commands::new(settings.commands.clone()),
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
                Action::HandOver(handed) => self.handed.push(handed.key),
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
        assert!(self.call(|commands, around| commands.arrived(kind, message, around)).is_none());
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
    assert!(!desk.commands.is_open(desk.handed[0]));
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut desk = Desk::new(|settings| (settings.remembers, settings.limit) = (true, 1_000));
    for id in 0..100 {
        desk.arrive(id);
    }
    desk.lose_link();
    assert_eq!(desk.stores, 100);
    let stored = desk.commands.memory.stored().to_vec();
    assert_eq!(stored.len(), memory::REMEMBERED);
    let mut next = Desk::new(|settings| (settings.remembers, settings.limit) = (true, 1_000));
    next.commands.loaded(stored);
    next.arrive(99);
    assert_eq!(next.stores, 0, "it is stored already");
    let key = next.handed[0];
    next.answer(key, 99).unwrap();
    next.acknowledge();
    assert_eq!((next.stores, next.commands.memory.stored().len()), (1, memory::REMEMBERED - 1));
}
