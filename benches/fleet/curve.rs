//! A fleet's outage, as the cloud sees it.

use std::thread;

use super::device::{live, Life, Outage, Policy};

/// In seconds since the loss; longer than any device takes.
pub const SPAN: usize = 3_600;

#[derive(Clone)]
pub struct Curve {
    /// The second in which the cloud returns.
    pub returns: usize,
    pub devices: u64,
    /// CONNECTs, and devices that came back, in each second.
    pub connects: Vec<u64>,
    pub back: Vec<u64>,
    pub banned: u64,
}

impl Curve {
    fn new(outage: Outage) -> Curve {
        Curve {
            returns: (outage.lasts_ms / 1_000) as usize,
            devices: 0,
            connects: vec![0; SPAN],
            back: vec![0; SPAN],
            banned: 0,
        }
    }

    /// Simulates one device after the other, on two threads, so that a fleet takes no more memory than a device.
    pub fn of(policy: Policy, outage: Outage, devices: u64) -> Curve {
        let part = |seeds: std::ops::Range<u64>| {
            let mut curve = Curve::new(outage);
            seeds.for_each(|seed| curve.add(&live(policy, outage, seed)));
            curve
        };
        thread::scope(|scope| {
            let other = scope.spawn(move || part(devices / 2..devices));
            let mut curve = part(0..devices / 2);
            curve.merge(&other.join().unwrap());
            curve
        })
    }

    fn add(&mut self, life: &Life) {
        let second = |ms: u64| (ms / 1_000) as usize;
        self.devices += 1;
        life.connects.iter().for_each(|at| self.connects[second(*at)] += 1);
        self.back[second(life.back)] += 1;
        self.banned += u64::from(life.banned);
    }

    fn merge(&mut self, other: &Curve) {
        self.devices += other.devices;
        self.banned += other.banned;
        let add = |to: &mut Vec<u64>, from: &Vec<u64>| to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
        add(&mut self.connects, &other.connects);
        add(&mut self.back, &other.back);
    }

    /// The most CONNECTs in one second, from this second on.
    pub fn peak(&self, from: usize) -> u64 {
        self.connects[from..].iter().copied().max().unwrap_or(0)
    }

    /// The same, but only until the cloud returns.
    pub fn peak_until(&self, from: usize) -> u64 {
        self.connects[from..self.returns].iter().copied().max().unwrap_or(0)
    }

    /// Seconds from the cloud's return until this percentage of the fleet is back.
    pub fn back_after(&self, hundredths: u64) -> usize {
        let mut back = 0;
        let reached = self.back.iter().position(|more| {
            back += more;
            back * 100 >= self.devices * hundredths
        });
        (reached.unwrap_or(SPAN) + 1).saturating_sub(self.returns)
    }
}
