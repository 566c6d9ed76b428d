//! Mosquitto under `kill -9` and restart, while a device publishes durable messages: the broker's own log accounts for
//! each of them. 20 cycles, or 2,000 with ENOS_SOAK.

use enos::error::Status::*;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use support::account::Account;
use support::host;
use support::host::*;
use support::mosquitto::Mosquitto;

/// The most messages that arrive before the broker is killed again.
const BETWEEN: usize = 60;
/// The most messages that wait; the outbox could hold more.
const BACKLOG: usize = 1000;

#[test]
fn every_message_arrives_in_order_however_often_the_broker_is_killed() {
    let cycles = if std::env::var_os("ENOS_SOAK").is_some() { 2000 } else { 20 };
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut dice = fastrand::Rng::with_seed(seed);
    let (mut broker, store, mut account) = (Mosquitto::start(), Store::new(), Account::default());
    let mut host = Setup::device(broker.address()).storage(&store).inflight(20).outbox_rate(0).start();
    host.connect();
    let (client, stop, tokens) = (host.client(), AtomicBool::new(false), Mutex::new(Vec::new()));
    let delivered = AtomicUsize::new(0);
    let start = Instant::now();
    let mut told = Told::default();
    std::thread::scope(|scope| {
        // A device that reports all the time, online or not. It ends when the test fails.
        let stopped = Stop(&stop);
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_micros(500));
                if tokens.lock().unwrap().len() > delivered.load(Ordering::SeqCst) + BACKLOG {
                    continue;
                }
                let mut tokens = tokens.lock().unwrap();
                let topic = format!("n/{}", tokens.len());
                tokens.push(client.publish_durable(&topic, b"x").unwrap());
            }
        });
        for cycle in 0..cycles {
            // On each link a message arrives, because a message with three losses of the link would be suspected.
            while told.links <= cycle {
                told.note(&host.next());
            }
            let until = told.delivered.len() + dice.usize(1..BETWEEN);
            while told.delivered.len() < until {
                told.note(&host.next());
                delivered.store(told.delivered.len(), Ordering::SeqCst);
            }
            std::thread::sleep(Duration::from_micros(dice.u64(0..2000))); // any moment is a good one to die
            account.read(&broker.kill_and_log());
            broker.restart();
            host.seen.clear();
        }
        drop(stopped);
    });
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    while let Some(event) = host.take() {
        told.note(&event);
    }
    host.destroy();
    account.read(&broker.kill_and_log());
    let tokens = tokens.into_inner().unwrap();
    let numbers: Vec<u64> = (0..tokens.len() as u64).collect();
    println!("{cycles} kills, {} messages, {} arrived again, {:?}", tokens.len(), account.repeats(), start.elapsed());
    account.check(&numbers);
    assert_eq!(told.delivered, tokens.iter().copied().collect::<BTreeSet<_>>());
    assert!(told.links >= cycles, "{} links only", told.links);
}

/// The events of the host.
#[derive(Default)]
struct Told {
    delivered: BTreeSet<u64>,
    links: usize,
    last: u64,
}

impl Told {
    fn note(&mut self, told: &host::Told) {
        if told.name == "DELIVERED" {
            assert_eq!(told.status, ENOS_OK, "{told:?}");
            assert!(told.token > self.last, "in order, and once: {told:?} after {}", self.last);
            self.last = told.token;
            self.delivered.insert(told.token);
        }
        self.links += usize::from(told.name == "CONNECTED");
    }
}

/// Sets the flag when it is dropped.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
