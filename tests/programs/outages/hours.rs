//! Outages of an hour, in virtual time: the session with its default settings, a thousand devices of each.

use std::time::Duration;

use super::device::{live, Kind, Life, Outage, Policy};

const DEVICES: u64 = 1_000;
const HOUR_MS: u64 = 3_600_000;

pub struct LongRow {
    pub outage: &'static str,
    /// The latest time.
    pub told: Duration,
    /// The times when half of the devices, and all, are back.
    pub back: [Duration; 2],
    /// The most CONNECTs of one device during the outage.
    pub connects: usize,
    pub words: &'static str,
}

pub fn refused() -> LongRow {
    let row = LongRow {
        words: "The port refuses connections for an hour: no CONNECT is sent in that time, and the longest wait \
         is 2 minutes.",
        ..row(Kind::Refuses, "refused for an hour")
    };
    assert_eq!(row.connects, 0);
    row
}

pub fn unanswered() -> LongRow {
    let words = "Connections are accepted, but CONNECTs are not answered: at most three CONNECTs in 125 s, and \
         fewer as the waits grow.";
    LongRow { words, ..row(Kind::Hangs, "no CONNACK for an hour") }
}

fn row(kind: Kind, outage: &'static str) -> LongRow {
    let lives = (0..DEVICES).map(|seed| live(Policy::Enos, Outage { kind, lasts_ms: HOUR_MS }, seed));
    let mut lives: Vec<Life> = lives.inspect(check).collect();
    lives.sort_by_key(|life| life.back);
    let back = |at: usize| Duration::from_millis(lives[at].back - HOUR_MS);
    LongRow {
        outage,
        told: lives.iter().map(|life| Duration::from_millis(life.told)).max().unwrap(),
        back: [back(lives.len() / 2), back(lives.len() - 1)],
        connects: lives.iter().map(|life| life.connects.len() - 1).max().unwrap(),
        words: "",
    }
}

fn check(life: &Life) {
    assert!(!life.banned);
    assert!(life.told <= 100, "told after {} ms", life.told);
    assert!(life.connects.windows(4).all(|four| four[3] - four[0] >= 125_000), "{:?}", life.connects);
}
