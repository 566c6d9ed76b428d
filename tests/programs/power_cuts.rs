//! A device that publishes durable messages, with power cuts: before, in and after each storage call in turn, then at
//! random. tests/c/outbox_device.c leaves the directory as a power cut may leave it; tests/storage/crash shows that the
//! directory loses no more. Mosquitto's log accounts for every message.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use support::account::Account;
use support::mosquitto::Mosquitto;
use support::native::{test_source, Workshop};

/// The messages of a run.
const MESSAGES: u64 = 24;

fn soaking() -> bool {
    std::env::var_os("ENOS_SOAK").is_some()
}

struct Device {
    workshop: Workshop,
    program: PathBuf,
    uri: String,
    seed: u64,
}

/// One storage, with all its runs.
#[derive(Default)]
struct Life {
    next: u64,
    accepted: Vec<u64>,
    deaths: usize,
}

impl Device {
    fn new(broker: &Mosquitto) -> Device {
        let workshop = Workshop::new();
        let program = workshop.build("cc", "c99", &test_source("outbox_device.c"));
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        Device { workshop, program, uri: format!("tcp://{}", broker.address()), seed }
    }

    /// Runs it to its end, or to its `crash_at`-th point (0: to its end). Returns the number of points that it passed.
    #[track_caller]
    fn run(&self, store: &str, life: &mut Life, messages: u64, crash_at: u64) -> Option<u64> {
        let mut command = self.workshop.command(&self.program);
        let seed = (self.seed ^ (crash_at << 8) ^ life.next) as u32;
        command.args([self.uri.as_str(), store, &life.next.to_string(), &messages.to_string()]);
        let output = command.args([crash_at.to_string(), seed.to_string()]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        for line in text.lines() {
            if let Some(number) = line.strip_prefix("try ") {
                life.next = number.parse::<u64>().unwrap() + 1;
            } else if let Some(number) = line.strip_prefix("accepted ") {
                life.accepted.push(number.parse().unwrap());
            } else if let Some(rest) = line.strip_prefix("DELIVERED ") {
                assert!(rest.starts_with("0 "), "crash at {crash_at}, seed {seed}: {text}");
            }
        }
        let status: ExitStatus = output.status;
        if status.signal() == Some(libc::SIGKILL) {
            life.deaths += 1;
            return None;
        }
        assert!(status.success(), "crash at {crash_at}, seed {seed}: {status}\n{text}");
        text.lines().last()?.strip_prefix("points ")?.parse().ok()
    }
}

#[test]
fn a_power_cut_at_any_storage_call_loses_no_message_and_keeps_their_order() {
    let mut broker = Mosquitto::start();
    let device = Device::new(&broker);
    // Without a cut, to count the points.
    let points = device.run("measured", &mut Life::default(), MESSAGES, 0).unwrap();
    assert!(points > 3 * MESSAGES, "{points}");
    account_of(&mut broker);
    let (mut deaths, mut messages) = (0, 0);
    // Each point in turn, on a new storage: the first run ends there, the second runs to the end.
    let step = if soaking() { 1 } else { points / 25 + 1 };
    for crash_at in (1..=points).step_by(step as usize) {
        let (store, mut life) = (format!("at-{crash_at}"), Life::default());
        device.run(&store, &mut life, MESSAGES, crash_at);
        device.run(&store, &mut life, 4, 0).unwrap();
        account_of(&mut broker).check(&life.accepted);
        deaths += life.deaths;
        messages += life.accepted.len();
    }
    println!(
        "{deaths} deaths at every point in turn (each {step}th of {points}), {messages} messages accepted, none lost"
    );
    assert!(deaths as u64 >= points / step / 2);
}

#[test]
fn one_power_cut_after_the_other_loses_no_message_and_keeps_their_order() {
    let deaths = if soaking() { 2000 } else { 30 };
    let mut broker = Mosquitto::start();
    let device = Device::new(&broker);
    let mut dice = fastrand::Rng::with_seed(device.seed);
    let mut life = Life::default();
    let mut account = Account::default();
    while life.deaths < deaths {
        device.run("store", &mut life, MESSAGES, dice.u64(1..120));
        if life.deaths % 100 == 99 {
            // The broker's log must not grow for ever.
            account.read(&broker.kill_and_log());
            broker.restart();
        }
    }
    device.run("store", &mut life, 1, 0).unwrap();
    account.read(&broker.kill_and_log());
    println!(
        "{} deaths of one device, {} messages accepted, {} arrived again",
        life.deaths,
        life.accepted.len(),
        account.repeats()
    );
    account.check(&life.accepted);
}

/// Adds the messages that have arrived since the last call, and restarts the broker.
fn account_of(broker: &mut Mosquitto) -> Account {
    let mut account = Account::default();
    account.read(&broker.kill_and_log());
    broker.restart();
    account
}
