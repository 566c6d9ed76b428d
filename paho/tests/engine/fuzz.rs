//! Random packets, in random pieces, at random moments. `ENOS_SOAK=1` makes it many more; `ENOS_SEED` repeats a run.

use crate::{
    broker::{connack, Broker},
    driver::Driver,
    hostile::packets,
    variant::{fixed, Flavour::*},
};
use std::env;

/// xorshift64*: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn chance(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }
}

/// One of the hostile packets, or that with bytes changed, dropped or added.
fn mutated(random: &mut Random) -> Vec<u8> {
    let id = [0, 1 + random.below(4) as u8];
    let mut all = packets(id);
    let mut bytes = all.swap_remove(random.below(all.len()));
    for _ in 0..random.below(3) {
        let at = random.below(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
        match random.below(4) {
            0 if !bytes.is_empty() => bytes[at] = random.next() as u8,
            1 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            2 if !bytes.is_empty() => drop(bytes.remove(at)),
            _ => bytes.insert(at, random.next() as u8),
        }
    }
    bytes
}

#[test]
fn random_bytes_bring_nothing_down() {
    let soak = env::var_os("ENOS_SOAK").is_some();
    let seed = env::var("ENOS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_260_101);
    let rounds = if soak { 50_000 } else { 2_000 };
    let mut random = Random(seed);
    let broker = Broker::bind();
    let mut driver = Driver::start(&fixed(Address));
    let mut sent = 0;
    for round in 0..rounds {
        driver.note(&format!("seed {seed}, round {round}"));
        driver.tell(&format!("create 0 {}", broker.port()));
        driver.tell(&format!("limit 0 {}", [0, 300, 100_000][random.below(3)]));
        driver.tell("connect 0");
        let mut peer = broker.accept();
        peer.expect(1);
        if !random.chance(5) {
            peer.try_send(&connack(0));
            if !random.chance(5) {
                driver.event("@0 up");
                for _ in 0..random.below(4) {
                    driver.ask(match random.below(5) {
                        0 => "publish 0 0 10",
                        1 => "publish 0 1 10000",
                        2 => "publish 0 2 100",
                        3 => "subscribe 0 1",
                        _ => "unsubscribe 0 3",
                    });
                }
            }
        }
        for _ in 0..1 + random.below(15) {
            let mut bytes = mutated(&mut random);
            sent += 1;
            while random.chance(3) && bytes.len() > 1 {
                let rest = bytes.split_off(1 + random.below(bytes.len() - 1));
                peer.try_send(&bytes);
                bytes = rest;
                driver.number("cpu"); // time for the client to see a part of it
            }
            peer.try_send(&bytes);
        }
        match random.below(3) {
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
