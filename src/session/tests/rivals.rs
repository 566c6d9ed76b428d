//! The same device logged in twice, at a cloud that ends the older connection for the newer one.

use super::lost;
use super::world::settings;
use crate::protocol::Secret;
use crate::session::*;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

use crate::error::Status as S;
use EventKind as Kind;

/// One of the clients.
struct Client {
    session: Session,
    /// When its CONNECTs arrived.
    connects: Vec<u64>,
    /// Its events, with their times.
    told: Vec<(u64, Event)>,
}

/// What happens to a client next, and when.
struct Due {
    at: u64,
    client: usize,
    attempt: u64,
    what: What,
}

enum What {
    /// Its CONNECT arrives.
    Connect,
    Told(LinkEvent),
}

struct Cloud {
    now: u64,
    clients: Vec<Client>,
    due: Vec<Due>,
    rng: fastrand::Rng,
    /// Which client is online, and with which attempt.
    online: Option<(usize, u64)>,
    /// The cloud bans devices as EnOS does.
    bars: bool,
    barred_until: u64,
    /// How often the cloud cannot be reached, in thousandths.
    unreachable: u64,
}

impl Cloud {
    fn new(seed: u64) -> Cloud {
        let rng = fastrand::Rng::with_seed(seed);
        let (clients, due) = (Vec::new(), Vec::new());
        Cloud { now: 0, clients, due, rng, online: None, bars: false, barred_until: 0, unreachable: 0 }
    }

    /// Adds a client of the same device.
    fn join(&mut self) -> usize {
        let mut settings = settings();
        settings.device_secret = Some(Secret::new(b"device-secret").unwrap());
        self.join_with(settings)
    }

    fn join_with(&mut self, settings: Settings) -> usize {
        let session = Session::new(settings, self.rng.u64(..));
        self.clients.push(Client { session, connects: Vec::new(), told: Vec::new() });
        let client = self.clients.len() - 1;
        let now = self.at();
        self.clients[client].session.connect(now);
        self.perform(client);
        client
    }

    fn leave(&mut self, client: usize) {
        let now = self.at();
        self.clients[client].session.disconnect(now);
        self.perform(client);
    }

    fn at(&self) -> Now {
        Now { ms: self.now, wall_ms: 1_700_000_000_000 + self.now }
    }

    fn later(&mut self, in_ms: u64, client: usize, attempt: u64, what: What) {
        self.due.push(Due { at: self.now + in_ms, client, attempt, what });
    }

    fn perform(&mut self, client: usize) {
        while let Some(action) = self.clients[client].session.next_action() {
            match action {
                Action::Load => self.feed(client, Input::Loaded(Box::default())),
                Action::Open { attempt, .. } => {
                    let delay = self.rng.u64(5..100);
                    let what = match self.rng.u64(0..1000) < self.unreachable {
                        true => What::Told(LinkEvent::Failed {
                            status: S::ENOS_ERR_NETWORK,
                            reason: "unreachable".into(),
                            connect_sent: false,
                        }),
                        false => What::Connect,
                    };
                    self.later(delay, client, attempt, what);
                }
                Action::Abandon { attempt, .. } | Action::Disconnect { attempt, .. } => {
                    self.online = self.online.filter(|online| *online != (client, attempt));
                    self.later(10, client, attempt, What::Told(LinkEvent::Closed));
                }
                Action::Emit(event) => self.clients[client].told.push((self.now, event)),
                _ => {}
            }
        }
    }

    fn feed(&mut self, client: usize, input: Input) {
        let now = self.at();
        self.clients[client].session.handle(now, input);
        self.perform(client);
    }

    fn end_link(&mut self) {
        if let Some((client, attempt)) = self.online.take() {
            self.later(10, client, attempt, What::Told(lost("closed or reset")));
        }
    }

    fn run_for(&mut self, ms: u64) {
        let end = self.now + ms;
        loop {
            let deadlines = self.clients.iter().filter_map(|client| client.session.deadline());
            let next = self.due.iter().map(|due| due.at).chain(deadlines).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            while let Some(at) = self.due.iter().position(|due| due.at <= self.now) {
                let Due { client, attempt, what, .. } = self.due.swap_remove(at);
                match what {
                    What::Connect => {
                        self.clients[client].connects.push(self.now);
                        if self.is_barred() {
                            let what = LinkEvent::Refused { code: 5 };
                            self.feed(client, Input::Link { attempt, what });
                            continue;
                        }
                        self.end_link();
                        self.online = Some((client, attempt));
                        self.feed(client, Input::Link { attempt, what: LinkEvent::Connected });
                    }
                    What::Told(what) => self.feed(client, Input::Link { attempt, what }),
                }
            }
            (0..self.clients.len()).for_each(|client| self.feed(client, Input::Tick));
        }
        self.now = end;
    }

    /// EnOS's ban: it begins at the 4th CONNECT of the device within 2 minutes, whichever client sends it.
    fn is_barred(&mut self) -> bool {
        let recent = |at: &&u64| **at + 120_000 > self.now;
        let connects: usize = self.clients.iter().map(|client| client.connects.iter().filter(recent).count()).sum();
        if self.bars && connects >= 4 && self.now >= self.barred_until {
            self.barred_until = self.now + 300_000;
        }
        self.now < self.barred_until
    }

    fn losses(&self, client: usize) -> Vec<&Event> {
        self.clients[client].told.iter().map(|(_, event)| event).filter(|e| e.kind == Kind::Disconnected).collect()
    }

    fn connects_between(&self, client: usize, from: u64, to: u64) -> usize {
        self.clients[client].connects.iter().filter(|at| (from..to).contains(at)).count()
    }
}

#[test]
fn two_clients_as_one_device_are_both_told_and_give_way_to_each_other() {
    for seed in 0..50 {
        let mut cloud = Cloud::new(seed);
        cloud.join();
        cloud.run_for(2 * HOUR);
        let began = cloud.now;
        cloud.join();
        cloud.run_for(24 * HOUR);
        for client in 0..2 {
            let losses = cloud.losses(client);
            let first = losses.iter().position(|event| event.status == S::ENOS_ERR_CONFLICT);
            // The first loss of the first client ends a link that has lasted for long.
            assert_eq!(first, Some(3 - client), "seed {seed}: client {client} is told at its third early end");
            assert!(losses.iter().all(|event| event.retry_in_ms <= 16 * 60_000 && event.retry_in_ms > 0));
            for hour in 0..24 {
                let from = began + hour * HOUR;
                let connects = cloud.connects_between(client, from, from + HOUR);
                let most = if hour == 0 { 12 } else { 8 };
                assert!(connects <= most, "seed {seed}: client {client} has {connects} CONNECTs in hour {hour}");
                assert!(connects > 0, "seed {seed}: client {client} has given up in hour {hour}");
            }
        }
        let last = cloud.losses(0).pop().unwrap();
        assert!(last.detail.contains("another client") && last.detail.contains("logged in as this device"));
        assert!(last.detail.starts_with("closed or reset"), "what was seen stands first: {}", last.detail);
    }
}

#[test]
fn where_enos_bars_both_of_them_the_refusal_says_what_may_be_behind_it() {
    for seed in 0..50 {
        let mut cloud = Cloud::new(seed);
        cloud.bars = true;
        cloud.join();
        cloud.run_for(2 * HOUR);
        let began = cloud.now;
        cloud.join();
        cloud.run_for(24 * HOUR);
        for client in 0..2 {
            let losses = cloud.losses(client);
            let told = losses.iter().position(|event| event.detail.contains("logged in as this device"));
            assert!(told.is_some_and(|at| at < 6), "seed {seed}: client {client} is told at {told:?}");
            for hour in 0..24 {
                let from = began + hour * HOUR;
                let connects = cloud.connects_between(client, from, from + HOUR);
                assert!(connects <= 12, "seed {seed}: client {client} has {connects} CONNECTs in hour {hour}");
            }
        }
    }
}

#[test]
fn a_rival_that_never_gives_way_does_not_draw_the_client_into_a_fight() {
    let mut cloud = Cloud::new(1);
    let client = cloud.join();
    // The link ends half a second after each login.
    while cloud.now < 10 * HOUR {
        cloud.run_for(500);
        if cloud.online.is_some() {
            cloud.run_for(500);
            cloud.end_link();
        }
    }
    let losses = cloud.losses(client);
    assert!(losses[..2].iter().all(|event| event.status == S::ENOS_ERR_NETWORK));
    assert!(losses[2..].iter().all(|event| event.status == S::ENOS_ERR_CONFLICT));
    assert_eq!(
        cloud.clients[client].session.connection().blocked_by().map(|error| error.status),
        Some(S::ENOS_ERR_CONFLICT)
    );
    for hour in 0..10 {
        let connects = cloud.connects_between(client, hour * HOUR, (hour + 1) * HOUR);
        assert!((1..=10).contains(&connects), "{connects} CONNECTs in hour {hour}");
    }
}

#[test]
fn a_rival_that_leaves_is_forgotten_after_an_hour_online() {
    let mut cloud = Cloud::new(3);
    let client = cloud.join();
    let rival = cloud.join();
    cloud.run_for(3 * HOUR);
    assert_eq!(cloud.losses(client).last().unwrap().status, S::ENOS_ERR_CONFLICT);
    cloud.leave(rival);
    cloud.run_for(20 * MINUTE);
    assert_eq!(cloud.clients[client].session.state(), State::Online, "no wait is longer than 16 minutes");
    assert!(cloud.clients[client].session.connection().blocked_by().is_none());
    cloud.run_for(HOUR);
    let told = cloud.losses(client).len();
    cloud.end_link();
    cloud.run_for(MINUTE);
    let losses = cloud.losses(client);
    assert_eq!(losses.len(), told + 1);
    assert_eq!(losses[told].status, S::ENOS_ERR_NETWORK);
    assert!(losses[told].retry_in_ms <= 2_000, "{} ms", losses[told].retry_in_ms);
}

#[test]
fn a_flaky_network_is_not_taken_for_a_rival() {
    // Links that last for a minute or more, and short ones in a network in which every second attempt fails.
    for (links, unreachable) in [(61_000..400_000, 0), (1_000..90_000, 500)] {
        let mut told = Vec::new();
        for seed in 0..20 {
            let mut cloud = Cloud::new(seed);
            cloud.unreachable = unreachable;
            let client = cloud.join();
            while cloud.now < 10 * HOUR {
                cloud.run_for(100);
                if cloud.online.is_some() {
                    let lives = cloud.rng.u64(links.clone());
                    cloud.run_for(lives);
                    cloud.end_link();
                }
            }
            told.extend(cloud.losses(client).iter().map(|event| event.status));
        }
        let conflicts = told.iter().filter(|status| **status == S::ENOS_ERR_CONFLICT).count();
        assert!(told.len() > 1_000 && conflicts * 10 <= told.len(), "{conflicts} of {} losses", told.len());
        assert!(unreachable > 0 || conflicts == 0, "{conflicts}");
    }
}

#[test]
fn a_client_without_a_limit_on_its_connects_fights_on() {
    let mut settings = settings();
    settings.device_secret = Some(Secret::new(b"device-secret").unwrap());
    settings.budget.connects = 0;
    let mut cloud = Cloud::new(6);
    cloud.join_with(settings);
    for _ in 0..10 {
        while cloud.online.is_none() {
            cloud.run_for(500);
        }
        cloud.end_link();
    }
    cloud.run_for(1_000);
    let losses = cloud.losses(0);
    assert!(losses.len() == 10 && losses.iter().all(|event| event.status == S::ENOS_ERR_NETWORK));
}

#[test]
fn without_retries_it_is_told_and_left_to_the_host() {
    let mut settings = settings();
    settings.device_secret = Some(Secret::new(b"device-secret").unwrap());
    (settings.reconnect_min_ms, settings.reconnect_max_ms) = (0, 0);
    let mut cloud = Cloud::new(5);
    cloud.join_with(settings);
    for _ in 0..3 {
        cloud.run_for(1_000);
        cloud.end_link();
        cloud.run_for(200_000);
        assert_eq!(cloud.clients[0].session.state(), State::Idle);
        let now = cloud.at();
        cloud.clients[0].session.connect(now);
        cloud.perform(0);
    }
    let last = cloud.losses(0).pop().unwrap();
    assert_eq!((last.status, last.retry_in_ms), (S::ENOS_ERR_CONFLICT, 0));
}
