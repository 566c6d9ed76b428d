//! The messages that arrive at Mosquitto, from its own log. A subscriber would miss messages that the broker had
//! acknowledged but not passed on when it was killed.

use std::collections::BTreeSet;

/// Numbers in the order in which they arrived, from topics `n/<number>`.
#[derive(Default)]
pub struct Account {
    pub arrived: Vec<u64>,
}

impl Account {
    /// Adds the messages in these lines of the log.
    pub fn read(&mut self, lines: &[String]) {
        let publishes = lines.iter().filter(|line| line.contains("Received PUBLISH from "));
        self.arrived
            .extend(publishes.filter_map(|line| line.split("'n/").nth(1)?.split('\'').next()?.parse::<u64>().ok()));
    }

    /// All of these have arrived, each for the first time before the next one; duplicates in between are allowed.
    #[track_caller]
    pub fn check(&self, accepted: &[u64]) {
        let arrived: BTreeSet<u64> = self.arrived.iter().copied().collect();
        let lost: Vec<_> = accepted.iter().filter(|number| !arrived.contains(number)).collect();
        assert!(lost.is_empty(), "of {} accepted these never arrived: {lost:?}", accepted.len());
        let accepted: BTreeSet<u64> = accepted.iter().copied().collect();
        let mut seen = BTreeSet::new();
        let firsts: Vec<u64> =
            self.arrived.iter().copied().filter(|number| accepted.contains(number) && seen.insert(*number)).collect();
        let wrong = firsts.windows(2).find(|pair| pair[0] > pair[1]);
        assert!(wrong.is_none(), "out of order: {wrong:?}");
    }

    /// The number of duplicates.
    pub fn repeats(&self) -> usize {
        self.arrived.len() - self.arrived.iter().collect::<BTreeSet<_>>().len()
    }
}
