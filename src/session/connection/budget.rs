//! The connect budget. EnOS bars a device for 5 minutes at the 4th CONNECT within 2 minutes, and allows one a second
//! (EnOS documentation, "limitations"). So a CONNECT is sent only when the budget has room for it.

use std::collections::VecDeque;

use crate::session::settings::BudgetLimits;

/// A stamp is the latest time at which a CONNECT can have been sent, in CLOCK_BOOTTIME milliseconds. The oldest comes
/// first.
#[derive(Debug)]
pub struct Budget {
    limits: BudgetLimits,
    stamps: VecDeque<u64>,
    restored: bool,
}

impl Budget {
    pub fn new(limits: BudgetLimits) -> Budget {
        Budget { limits, stamps: VecDeque::new(), restored: false }
    }

    /// Adds the stamps of an earlier process, the first time that it is called. The times of an earlier boot are not
    /// known in this one. They count as its start.
    pub fn restore(&mut self, stamps: &[u64], same_boot: bool, now: u64) {
        if std::mem::replace(&mut self.restored, true) {
            return;
        }
        let stored = stamps.iter().map(|&stamp| if same_boot { stamp.min(now) } else { 0 });
        let mut all: Vec<u64> = stored.chain(self.stamps.drain(..)).collect();
        all.sort_unstable();
        self.stamps = all.into();
        self.prune(now);
    }

    /// The earliest time at which the next CONNECT may be sent.
    pub fn allowed_at(&self, now: u64) -> u64 {
        let spacing = self.stamps.back().map_or(0, |&last| last.saturating_add(self.limits.spacing_ms));
        let room = match self.stamps.len().checked_sub(self.limits.connects as usize) {
            Some(over) if self.limits.connects > 0 => self.stamps[over].saturating_add(self.limits.window_ms),
            _ => 0,
        };
        now.max(spacing).max(room)
    }

    /// An attempt begins, and counts from now on. The returned stamps are to be stored before the CONNECT is sent. They
    /// say `latest` for it, because a process that dies cannot store when it was.
    pub fn begin(&mut self, now: u64, latest: u64) -> Vec<u64> {
        self.prune(now);
        let stored = self.stamps.iter().copied().chain([latest]).collect();
        self.stamps.push_back(now);
        stored
    }

    /// The attempt is over. If its CONNECT was sent, that may have been as late as now. Otherwise it does not count.
    pub fn end(&mut self, now: u64, connect_sent: bool) {
        if let Some(last) = self.stamps.pop_back() {
            if connect_sent {
                self.stamps.push_back(last.max(now));
            }
        }
    }

    pub fn stamps(&self) -> Vec<u64> {
        self.stamps.iter().copied().collect()
    }

    fn prune(&mut self, now: u64) {
        let keep = (self.limits.connects as usize).max(1);
        let old = |stamp: u64, limits: &BudgetLimits| {
            stamp.saturating_add(limits.window_ms) <= now && stamp.saturating_add(limits.spacing_ms) <= now
        };
        while self.stamps.front().is_some_and(|&stamp| self.stamps.len() > keep || old(stamp, &self.limits)) {
            self.stamps.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENOS: BudgetLimits = BudgetLimits { connects: 3, window_ms: 125_000, spacing_ms: 1_100 };

    fn connect(budget: &mut Budget, now: u64) -> u64 {
        let at = budget.allowed_at(now);
        budget.begin(at, at + 30_000);
        budget.end(at, true);
        at
    }

    #[test]
    fn keeps_the_spacing_and_the_window() {
        let mut budget = Budget::new(ENOS);
        let times: Vec<u64> = (0..7).map(|_| connect(&mut budget, 1_000)).collect();
        assert_eq!(times, [1_000, 2_100, 3_200, 126_000, 127_100, 128_200, 251_000]);
    }

    #[test]
    fn counts_an_attempt_when_it_ends() {
        let mut budget = Budget::new(ENOS);
        assert_eq!(budget.begin(0, 30_000), [30_000]);
        budget.end(30_000, true);
        assert_eq!(budget.allowed_at(30_000), 31_100);
        connect(&mut budget, 31_100);
        connect(&mut budget, 32_200);
        assert_eq!(budget.allowed_at(40_000), 155_000);
    }

    #[test]
    fn an_attempt_that_sent_no_connect_is_free() {
        let mut budget = Budget::new(ENOS);
        for now in 0..100 {
            budget.begin(now, now);
            budget.end(now, false);
        }
        assert_eq!(budget.allowed_at(100), 100);
    }

    #[test]
    fn what_was_stored_counts_once() {
        let mut budget = Budget::new(ENOS);
        for _ in 0..3 {
            budget.restore(&[1_000], true, 10_000);
        }
        assert_eq!(budget.stamps(), [1_000]);
    }

    #[test]
    fn an_attempt_that_its_process_did_not_survive_counts_as_late_as_it_can_have_been() {
        let mut dead = Budget::new(ENOS);
        let stored = dead.begin(1_000, 31_000);
        for (restart, allowed) in [(25_000, 26_100), (60_000, 60_000)] {
            let mut budget = Budget::new(ENOS);
            budget.restore(&stored, true, restart);
            assert_eq!(budget.allowed_at(restart), allowed);
            connect(&mut budget, allowed);
            connect(&mut budget, allowed + 1_100);
            assert_eq!(budget.allowed_at(70_000), restart.min(31_000) + 125_000);
        }
    }

    #[test]
    fn no_limit_when_connects_is_0() {
        let mut budget = Budget::new(BudgetLimits { connects: 0, window_ms: 0, spacing_ms: 0 });
        assert_eq!((0..50).map(|_| connect(&mut budget, 7)).max(), Some(7));
    }
}
