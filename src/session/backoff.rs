//! Waits that grow with each failure. A wait is random, between the minimum and a bound that doubles. So a fleet that
//! has lost the cloud at one moment does not return at one moment.

#[derive(Debug)]
pub struct Backoff {
    min_ms: u64,
    max_ms: u64,
    failures: u32,
}

impl Backoff {
    pub fn new(min_ms: u64, max_ms: u64) -> Backoff {
        Backoff { min_ms, max_ms, failures: 0 }
    }

    /// How long to wait after one more failure.
    pub fn next(&mut self, rng: &mut fastrand::Rng) -> u64 {
        self.failures = self.failures.saturating_add(1);
        let bound = self.min_ms.saturating_mul(1 << self.failures.min(30)).min(self.max_ms);
        rng.u64(self.min_ms..=bound.max(self.min_ms))
    }

    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_bound_and_uses_all_of_it() {
        let mut rng = fastrand::Rng::with_seed(1);
        for (failures, bound) in [(0, 2_000), (1, 4_000), (4, 32_000), (6, 120_000), (4_000, 120_000)] {
            let waits: Vec<u64> =
                (0..500).map(|_| Backoff { min_ms: 1_000, max_ms: 120_000, failures }.next(&mut rng)).collect();
            assert!(waits.iter().all(|&wait| (1_000..=bound).contains(&wait)));
            let tenth = (bound - 1_000) / 10;
            assert!(waits.iter().any(|&wait| wait < 1_000 + tenth) && waits.iter().any(|&wait| wait > bound - tenth));
        }
    }

    #[test]
    fn the_minimum_is_one_and_may_be_the_maximum() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut backoff = Backoff::new(5_000, 5_000);
        assert!((0..100).all(|_| backoff.next(&mut rng) == 5_000));
    }
}
