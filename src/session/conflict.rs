//! The same device logged in twice: the broker ends the older connection for the newer one, so that two clients that
//! both come back at once throw each other out for ever. One cannot see the other. What it sees is that its links end
//! soon after their logins, one after the other, while the broker can be reached every time.

use super::{Phase, Session};

/// So many in a row, and it is told.
const ENOUGH: u32 = 3;
/// A link that ends this soon after its login has ended early.
const EARLY_MS: u64 = 60_000;
/// Waits of 1 to 2 minutes at first, of 8 to 16 in the end.
const WAIT_MS: u64 = 120_000;
const WAIT_DOUBLINGS: u32 = 3;

#[derive(Debug, Default)]
pub struct Conflict {
    early_ends: u32,
}

impl Conflict {
    /// A link has ended that nobody here wanted ended. How long to give way, when another client is probably behind it.
    pub fn link_ended(&mut self, lived_ms: u64, rng: &mut fastrand::Rng) -> Option<u64> {
        // After two early ends the other may be giving way already: then the next comes later, and counts all the same.
        let early = lived_ms < EARLY_MS || (self.early_ends + 1 >= ENOUGH && lived_ms < self.others_patience());
        self.early_ends = if early { self.early_ends.saturating_add(1) } else { 0 };
        let beyond = self.early_ends.checked_sub(ENOUGH)?;
        let bound = wait(beyond);
        Some(rng.u64(bound / 2..=bound))
    }

    /// How long the other one may be giving way, which is one step ahead at most.
    fn others_patience(&self) -> u64 {
        wait((self.early_ends + 2).saturating_sub(ENOUGH)) + EARLY_MS
    }

    /// The last link ended early: a refusal that follows may be the ban that two clients have earned together.
    pub fn suspected(&self) -> bool {
        self.early_ends > 0
    }

    /// The broker could not be reached: that is the network's doing, and so may the early ends have been.
    pub fn unreachable(&mut self) {
        self.early_ends = 0;
    }
}

impl Session {
    /// How long to give way to another client, when one is probably the reason that a link of this age was lost.
    pub(super) fn rival(&mut self, lived_ms: u64) -> Option<u64> {
        match self.phase {
            Phase::Online { stalled: false, .. } => {
                let wait = self.conflict.link_ended(lived_ms, &mut self.rng);
                // Without a limit on its CONNECTs a client is a test's, which cuts links as it likes.
                wait.filter(|_| self.settings.budget.connects > 0)
            }
            _ => None,
        }
    }
}

fn wait(step: u32) -> u64 {
    WAIT_MS << step.min(WAIT_DOUBLINGS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;

    /// What follows from links that lived so long, one after the other.
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
