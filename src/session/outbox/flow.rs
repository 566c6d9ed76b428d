//! How fast the backlog is sent: a budget of bytes that refills steadily. Live data uses it first.

/// How long a pause is made up for at once.
const BURST_MS: u64 = 250;

#[derive(Debug)]
pub struct Flow {
    /// 0: no limit.
    bytes_per_s: u64,
    /// Negative: more was sent than the rate allowed.
    credit: i64,
    as_of: u64,
}

impl Flow {
    pub fn new(bytes_per_s: u64) -> Flow {
        Flow { bytes_per_s, credit: 0, as_of: 0 }
    }

    /// Bytes are sent, whether the rate allows them or not.
    pub fn spend(&mut self, bytes: usize, now: u64) {
        self.refill(now);
        self.credit = self.credit.saturating_sub_unsigned(bytes as u64);
    }

    /// The same for data that is never held back. It leaves a debt of one second at most.
    pub fn spend_live(&mut self, bytes: usize, now: u64) {
        let floor = 0i64.saturating_sub_unsigned(self.bytes_per_s).min(self.credit);
        self.spend(bytes, now);
        self.credit = self.credit.max(floor);
    }

    /// When more may be sent. `None`: now.
    pub fn ready_at(&mut self, now: u64) -> Option<u64> {
        self.refill(now);
        if self.bytes_per_s == 0 || self.credit > 0 {
            return None;
        }
        let missing = self.credit.unsigned_abs() + 1;
        Some(now.saturating_add((missing.saturating_mul(1000)).div_ceil(self.bytes_per_s)))
    }

    fn refill(&mut self, now: u64) {
        let passed = now.saturating_sub(self.as_of);
        // At a low rate a millisecond is worth less than a byte, so the time adds up until it is worth one.
        let earned = passed.saturating_mul(self.bytes_per_s) / 1000;
        if earned > 0 {
            let most = self.bytes_per_s.saturating_mul(BURST_MS) / 1000;
            self.credit = self.credit.saturating_add_unsigned(earned).min(most.max(1) as i64);
            self.as_of = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of messages this large that go out within ten seconds, sent as soon as they may be.
    fn sent(rate: u64, size: usize) -> u64 {
        let mut flow = Flow::new(rate);
        let (mut now, mut sent) = (1_000_000, 0);
        while now < 1_010_000 {
            match flow.ready_at(now) {
                Some(at) => now = at.max(now + 1),
                None => {
                    flow.spend(size, now);
                    sent += size as u64;
                }
            }
        }
        sent
    }

    #[test]
    fn the_rate_is_kept_whatever_the_size() {
        for rate in [100, 20_000, 1_000_000] {
            for size in [1, 100, 10_000, 500_000] {
                let sent = sent(rate, size);
                let most = rate * 10 + rate * BURST_MS / 1000 + size as u64 + 1;
                assert!(sent <= most && sent + size as u64 >= rate * 9, "{sent} bytes at {rate}/s in pieces of {size}");
            }
        }
    }

    #[test]
    fn live_data_comes_out_of_the_same_budget() {
        let mut flow = Flow::new(1_000);
        assert_eq!(flow.ready_at(10_000), None);
        flow.spend_live(700, 10_000);
        let at = flow.ready_at(10_000).unwrap();
        assert!((10_400..=10_500).contains(&at), "{at}");
        // A flood of live data delays the rest for as long as it lasts, plus a second.
        (0..1_000).for_each(|_| flow.spend_live(5_000, 20_000));
        let at = flow.ready_at(20_000).unwrap();
        assert!((20_900..=21_100).contains(&at), "{at}");
    }

    #[test]
    fn no_limit_is_none() {
        let mut flow = Flow::new(0);
        flow.spend(usize::MAX, 1);
        assert_eq!(flow.ready_at(1), None);
    }
}
