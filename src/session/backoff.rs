//! Waiting longer after each failure, with full jitter: anywhere between nothing and the bound, so that a fleet that
//! lost the cloud together does not return together.

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
        let bound = self.min_ms.saturating_mul(1 << self.failures.min(30)).min(self.max_ms);
        self.failures = self.failures.saturating_add(1);
        rng.u64(0..=bound)
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
        for (failures, bound) in [(0, 1_000), (1, 2_000), (4, 16_000), (7, 120_000), (4_000, 120_000)] {
            let waits: Vec<u64> =
                (0..500).map(|_| Backoff { min_ms: 1_000, max_ms: 120_000, failures }.next(&mut rng)).collect();
            assert!(waits.iter().all(|&wait| wait <= bound));
            assert!(waits.iter().any(|&wait| wait < bound / 10) && waits.iter().any(|&wait| wait > bound / 10 * 9));
        }
    }
}
