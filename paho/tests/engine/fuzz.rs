//! Random packets, in random pieces, at random moments. `ENOS_SOAK=1` makes it many more; `ENOS_SEED` repeats a run.

use crate::{
    broker::{connack, Broker},
    driver::Driver,
    hostile::packets,
    variant::{fixed, Flavour::*},
};
use fastrand::Rng;
use std::env;

/// One of the hostile packets, or that with bytes changed, dropped or added.
fn mutated(random: &mut Rng) -> Vec<u8> {
    let id = [0, 1 + random.usize(..4) as u8];
    let mut all = packets(id);
    let mut bytes = all.swap_remove(random.usize(..all.len()));
    for _ in 0..random.usize(..3) {
        let at = random.usize(..bytes.len().max(1)).min(bytes.len().saturating_sub(1));
        match random.usize(..4) {
            0 if !bytes.is_empty() => bytes[at] = random.u8(..),
            1 if !bytes.is_empty() => bytes[at] ^= 1 << random.usize(..8),
            2 if !bytes.is_empty() => drop(bytes.remove(at)),
            _ => bytes.insert(at, random.u8(..)),
        }
    }
    bytes
}

#[test]
fn random_bytes_bring_nothing_down() {
    let soak = env::var_os("ENOS_SOAK").is_some();
    let seed = env::var("ENOS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_260_101);
    let rounds = if soak { 50_000 } else { 2_000 };
    let mut random = Rng::with_seed(seed);
    let broker = Broker::bind();
    let mut driver = Driver::start(&fixed(Address));
    let mut sent = 0;
    for round in 0..rounds {
        driver.note(&format!("seed {seed}, round {round}"));
        driver.tell(&format!("create 0 {}", broker.port()));
        driver.tell(&format!("limit 0 {}", [0, 300, 100_000][random.usize(..3)]));
        driver.tell("connect 0");
        let mut peer = broker.accept();
        peer.expect(1);
        if random.usize(..5) > 0 {
            peer.try_send(&connack(0));
            if random.usize(..5) > 0 {
                driver.event("@0 up");
                for _ in 0..random.usize(..4) {
                    driver.ask(match random.usize(..5) {
                        0 => "publish 0 0 10",
                        1 => "publish 0 1 10000",
                        2 => "publish 0 2 100",
                        3 => "subscribe 0 1",
                        _ => "unsubscribe 0 3",
                    });
                }
            }
        }
        for _ in 0..1 + random.usize(..15) {
            let mut bytes = mutated(&mut random);
            sent += 1;
            while random.usize(..3) == 0 && bytes.len() > 1 {
                let rest = bytes.split_off(1 + random.usize(..bytes.len() - 1));
                peer.try_send(&bytes);
                bytes = rest;
                driver.number("cpu"); // time for the client to see a part of it
            }
            peer.try_send(&bytes);
        }
        match random.usize(..3) {
            0 => peer.reset(),
            1 => drop(peer),
            _ => {
                driver.number("destroy 0");
                driver.forget();
                continue;
            }
        }
        if !driver.wait_for_end() {
            driver.fail("the end of the link went unnoticed");
        }
        driver.number("destroy 0");
        driver.forget();
    }
    println!("{sent} random packets over {rounds} connections, seed {seed}");
    driver.end_clean();
}
