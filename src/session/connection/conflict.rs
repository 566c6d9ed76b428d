//! The same device is logged in twice. The broker ends the older connection for the newer one, so two clients that
//! return at once would end each other's connections for ever. A client cannot see the other one. It only sees that its
//! links end soon after their logins, one after the other, although the broker can be reached every time.

/// After so many early ends in a row, another client is assumed.
const ENOUGH: u32 = 3;
/// A link that ends sooner than this after its login has ended early.
const EARLY_MS: u64 = 60_000;
/// The first wait takes 1 to 2 minutes, the longest 8 to 16.
const WAIT_MS: u64 = 120_000;
const WAIT_DOUBLINGS: u32 = 3;

#[derive(Debug, Default)]
pub struct Conflict {
    early_ends: u32,
}

impl Conflict {
    /// A link has ended unexpectedly. Returns how long to give way, if another client is the probable reason.
    pub fn link_ended(&mut self, lived_ms: u64, rng: &mut fastrand::Rng) -> Option<u64> {
        // After two early ends the other client may be giving way, and come back later. Such an end counts, too.
        let early = lived_ms < EARLY_MS || (self.early_ends + 1 >= ENOUGH && lived_ms < self.others_patience());
        self.early_ends = if early { self.early_ends.saturating_add(1) } else { 0 };
        let beyond = self.early_ends.checked_sub(ENOUGH)?;
        let bound = wait(beyond);
        Some(rng.u64(bound / 2..=bound))
    }

    /// How long the other client may be giving way. It is at most one step ahead.
    fn others_patience(&self) -> u64 {
        wait((self.early_ends + 2).saturating_sub(ENOUGH)) + EARLY_MS
    }

    /// The last link ended early. A refusal that follows may be EnOS's ban, caused by the CONNECTs of two clients.
    pub fn is_suspected(&self) -> bool {
        self.early_ends > 0
    }

    /// The broker could not be reached. The network may be the reason for the early ends as well.
    pub fn unreachable(&mut self) {
        self.early_ends = 0;
    }
}

fn wait(step: u32) -> u64 {
    WAIT_MS << step.min(WAIT_DOUBLINGS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;

    /// The waits after links that lived so long, one after the other.
    fn waits(lived: &[u64]) -> Vec<Option<u64>> {
        let (mut conflict, mut rng) = (Conflict::default(), fastrand::Rng::with_seed(1));
        lived.iter().map(|&lived| conflict.link_ended(lived, &mut rng)).collect()
    }

    #[test]
    fn the_third_early_end_in_a_row_is_one_too_many_and_the_waits_grow() {
        let waits = waits(&[90 * MINUTE, 500, 59_999, 500, 3 * MINUTE, 10 * MINUTE, 500, 16 * MINUTE]);
        assert_eq!(&waits[..3], [None; 3]);
        for (wait, bound) in waits[3..].iter().zip([2, 4, 8, 16, 16]) {
            assert!((bound * MINUTE / 2..=bound * MINUTE).contains(&wait.unwrap()), "{waits:?}");
        }
    }

    #[test]
    fn the_other_ones_patience_does_not_hide_it() {
        assert!(waits(&[500, 500, 2 * MINUTE])[2].is_some());
    }

    #[test]
    fn links_that_end_later_or_now_and_then_are_an_ordinary_network() {
        assert_eq!(waits(&[61_000; 50]), [None; 50]);
        assert_eq!(waits(&[500, 61_000, 500, 5 * MINUTE, 500, 90 * MINUTE, 500, 500]), [None; 8]);
    }

    #[test]
    fn an_hour_on_end_or_a_broker_out_of_reach_is_forgiven() {
        let after = waits(&[500, 500, 500, 500, 60 * MINUTE, 500, 500]);
        assert_eq!(&after[4..], [None; 3]);
        let (mut conflict, mut rng) = (Conflict::default(), fastrand::Rng::with_seed(1));
        for _ in 0..50 {
            assert_eq!(conflict.link_ended(500, &mut rng), None);
            assert_eq!(conflict.link_ended(500, &mut rng), None);
            conflict.unreachable();
        }
    }
}
