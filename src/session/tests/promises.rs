//! Random worlds, each from a seed. A failure prints the seed, and `ENOS_SEED=<seed>` runs that world alone.

use std::sync::atomic::{AtomicU64, Ordering};

use super::world::{queues, settings, Dislikes, FlashRates, Rates, World};
use crate::model::sign::SignMethod;
use crate::session::*;

/// How many worlds run if `ENOS_WORLDS` is not set.
const SEEDS: u64 = 100;
const HOUR: u64 = 3_600_000;
/// The host's topic filters.
const FILTERS: [&str; 8] = ["/sys/pk/dk/#", "b", "c", "d", "e", "f", "g", "h"];

/// Two hours of failures, then a time without failures in which the device has to come online.
fn live(seed: u64) -> World {
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut often = |rates: &[u64]| rates[dice.usize(..rates.len())];
    let rates = Rates {
        load_fails: often(&[0, 0, 100]),
        store_fails: often(&[0, 100, 700]),
        hint_fails: often(&[0, 0, 100]),
        connect_fails: often(&[0, 300]),
        connect_slow: often(&[0, 300]),
        no_answer: often(&[0, 100]),
        spurious_refusal: often(&[0, 0, 200]),
        push_lost: often(&[0, 0, 300]),
        push_twice: often(&[0, 500]),
        push_forged: often(&[0, 0, 300]),
        attacked: often(&[0, 5, 50]),
        link_lost: often(&[0, 500]),
        half_open: often(&[0, 200]),
        no_reply: often(&[0, 200]),
        killed: often(&[0, 10, 50]),
        power_cut: often(&[0, 10]),
        host_saves: often(&[0, 0, 1000]),
        host_disconnects: often(&[0, 0, 50]),
        host_ends: often(&[0, 0, 20]),
        storage_slow: often(&[0, 0, 500]),
        clock_jumps: often(&[0, 100]),
        flash: FlashRates {
            load_fails: often(&[0, 0, 100]),
            change_fails: often(&[0, 0, 200]),
            dies: often(&[0, 0, 5, 30]),
            garbles: often(&[0, 0, 0, 20]),
        },
        poison: often(&[0, 1000]),
        deadly: often(&[0, 0, 1000]),
        mute: often(&[0, 0, 1000]),
        logins: often(&[0, 50, 500]),
        logouts: often(&[0, 0, 20, 200]),
        busy: often(&[0, 100]),
        ack_lost: often(&[0, 0, 20]),
        filter_refused: often(&[0, 0, 200]),
    };
    let method = [SignMethod::HmacSha1, SignMethod::Sha1][dice.usize(..2)];
    let mut world = World::new(dice.u64(..), settings(), method);
    world.rates = rates;
    world.cloud.always_new = dice.bool();
    world.cloud.always_open = dice.bool();
    world.cloud.most_filters = [usize::MAX, usize::MAX, 1, 3][dice.usize(..4)];
    world.cloud.dislikes = [Dislikes::Refuses, Dislikes::HangsUp, Dislikes::SaysNothing][dice.usize(..3)];
    world.limits.drop_oldest = dice.bool();
    world.queues = queues(&world.flash, world.limits);
    world.flash.cells().rates = rates.flash;
    world.connect();
    while world.now < 2 * HOUR {
        world.restart(None);
        meddle(&mut world, &mut dice);
        let until = world.now + dice.u64(1..60_000);
        world.step(until);
    }
    // Without failures the cloud still refuses the messages that it has refused before.
    let Rates { poison, deadly, mute, .. } = rates;
    world.rates = Rates { poison, deadly, mute, logins: 1000, ..Rates::default() };
    world.end_attack();
    world.flash.cells().rates = FlashRates::default();
    world.restart(None);
    // Until then the host connects again after its last disconnect.
    world.run_until(world.now + 10_000);
    world
}

/// The host makes a random call.
fn meddle(world: &mut World, dice: &mut fastrand::Rng) {
    let topic = "/sys/pk/dk/thing/up";
    if dice.u32(..2_000) == 0 {
        world.register_anew();
    }
    match dice.u32(..100) {
        0 => world.disconnect(),
        1..=3 => world.connect(),
        4..=30 => drop(world.call(|session, now| session.publish(now, topic, vec![1], 1))),
        31..=50 => world.request(dice),
        51..=55 => world.subscribe(FILTERS[dice.usize(..FILTERS.len())]),
        60..=75 => {
            // A large message takes several pages.
            let size = if dice.u32(..50) == 0 { 150_000 } else { [0, 0, 100, 1_000][dice.usize(..4)] };
            let count = if size > 10_000 { 1 } else { dice.u64(1..8) };
            let devices = [&[0][..], &[0], &[1], &[2], &[2, 0], &[0, 1, 2]][dice.usize(..6)];
            drop(world.publish_durable(devices, count, dice.bool(), size));
        }
        78..=85 => (0..dice.u32(1..4)).for_each(|_| world.command()),
        76..=77 => world.drop_durable(dice.usize(..)),
        56..=57 => world.unsubscribe(FILTERS[dice.usize(..FILTERS.len())]),
        _ => {}
    }
}

/// Whether the device has the secret that the cloud wants, or can still be activated. It cannot come online if its
/// activation was lost for good, or if a secret was saved by hand and never configured.
fn can_come_online(world: &World) -> bool {
    match &world.cloud.secret {
        Some(secret) => world.disk.holds(secret) || world.is_configured(secret) || !world.cloud.active,
        None => true,
    }
}

fn check(seed: u64) -> Vec<String> {
    let mut world = live(seed);
    if can_come_online(&world) {
        world.connect();
        if !world.run_to(State::Online, 9 * HOUR) {
            world.violate(format!("not online in a kind world, but {}", world.session.state().name()));
        }
        // A message that the cloud does not take becomes a dead letter only if another one passes.
        let hard = world.rates.deadly + world.rates.mute > 0;
        let until = world.now + if hard { 96 * HOUR } else { 2 * HOUR };
        while !world.is_flushed() && world.now < until {
            let next = world.now + HOUR;
            while !world.is_flushed() && world.now < next {
                world.step(next);
            }
            if hard && !world.is_flushed() {
                drop(world.publish_durable(&[0, 1, 2], 1, true, 0));
            }
        }
        if world.is_flushed() {
            world.check_durable();
        } else {
            world.violate(format!("not flushed within all this time; {} through", world.through()));
        }
    }
    world.disconnect();
    world.run_until(world.now + 120_000);
    // A subscription gets its outcome on the next link, and there is none after this.
    FILTERS.iter().for_each(|filter| world.unsubscribe(filter));
    if !world.session.connection().has_unsaved_secret() && world.session.state() != State::Idle {
        world.violate(format!("not idle after disconnect, but {}", world.session.state().name()));
    }
    world.check_outcomes();
    world.violations
}

#[test]
fn hold_in_random_worlds() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match (number("ENOS_SEED"), number("ENOS_WORLDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, worlds) => 0..worlds.unwrap_or(SEEDS),
    };
    println!("{} worlds of at least two hours each", seeds.end - seeds.start);
    let next = AtomicU64::new(seeds.start);
    let broken = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds.end || !broken.lock().unwrap().is_empty() {
                    return;
                }
                let violations = std::panic::catch_unwind(|| check(seed)).unwrap_or_else(|_| vec!["a panic".into()]);
                if !violations.is_empty() {
                    broken.lock().unwrap().push((seed, violations));
                }
            });
        }
    });
    let broken = broken.into_inner().unwrap();
    assert!(broken.is_empty(), "run each with ENOS_SEED=<seed>: {broken:#?}");
}
