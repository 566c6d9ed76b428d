//! One pass through the pairs to sign with.

use super::credentials::{Accepted, Candidate, Origin};

/// How often the broker may hang up on a CONNECT before the next pair is tried: some refuse that way.
const HANG_UPS: u32 = 2;
/// Longer than EnOS's ban of 5 minutes, which reads as a refusal too.
const BEYOND_A_BAN_MS: u64 = 330_000;

/// Over once a CONNACK has refused each of its pairs: a hang-up may have had another reason.
#[derive(Default)]
pub struct Round {
    candidates: Vec<Candidate>,
    position: usize,
    refused: Vec<usize>,
    hang_ups: u32,
    /// When an earlier round of device secrets ended in refusals alone.
    refused_at: Option<u64>,
}

impl Round {
    pub fn begin(&mut self, candidates: Vec<Candidate>) {
        self.forget();
        self.candidates = candidates;
    }

    /// Back to before the round; that an earlier one was refused is still known.
    pub fn forget(&mut self) {
        *self = Round { refused_at: self.refused_at, ..Round::default() };
    }

    pub fn is_planned(&self) -> bool {
        !self.candidates.is_empty()
    }

    /// The pair to try.
    pub fn present(&self) -> Option<&Candidate> {
        self.candidates.get(self.position)
    }

    /// An earlier round was refused whole so long ago that a ban cannot have been the reason.
    pub fn confirmed(&self, now_ms: u64) -> bool {
        self.refused_at.is_some_and(|at| now_ms >= at.saturating_add(BEYOND_A_BAN_MS))
    }

    /// A CONNACK has come, whatever it says.
    pub fn answered(&mut self) {
        self.hang_ups = 0;
    }

    /// A CONNACK has refused the present pair; `None` when that was the last one.
    pub fn refuse(&mut self) -> Option<&Candidate> {
        self.refused.push(self.position);
        self.answered();
        let left = (0..self.candidates.len()).find(|position| !self.refused.contains(position))?;
        self.position = left;
        self.present()
    }

    /// Each pair was refused: what they were, and whether all of them were of the product secret.
    pub fn end(&mut self, now_ms: u64) -> (String, bool) {
        let tried = self.candidates.iter().map(Candidate::to_string).collect::<Vec<_>>().join(", ");
        let product_only = self.candidates.iter().all(|candidate| candidate.origin == Origin::Product);
        if !product_only {
            self.refused_at.get_or_insert(now_ms);
        }
        self.forget();
        (tried, product_only)
    }

    /// The broker hung up on a CONNECT, or did not answer it. That is no refusal to act upon, but another pair of the
    /// same kind that was not refused may fare better. It says nothing against what has worked before: not against
    /// that pair, nor against its method with another secret.
    pub fn hang_up(&mut self, worked: Option<Accepted>) {
        let Some(present) = self.present().cloned() else { return };
        if worked == Some(present.accepted()) {
            return;
        }
        self.hang_ups += 1;
        if self.hang_ups < HANG_UPS {
            return;
        }
        self.hang_ups = 0;
        let keeps_method = worked.is_some_and(|worked| worked.method == present.method);
        let may_be = |one: &Candidate| one.mode() == present.mode() && (!keeps_method || one.method == present.method);
        let open =
            |position: &usize| !self.refused.contains(position) && self.candidates.get(*position).is_some_and(may_be);
        let behind = self.position + 1..self.candidates.len();
        if let Some(next) = behind.chain(0..self.position).find(open) {
            self.position = next;
        }
    }
}
