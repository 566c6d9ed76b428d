//! When the next try is made, and when there is none.

use crate::error::Status;
use crate::model::http::Blame;

/// Tries in succession without a new byte: by who is to blame.
const MOST_TRIES: u32 = 100;
const FEW_TRIES: u32 = 5;
/// The longest time without a new byte, over all tries.
const DAY_MS: u64 = 24 * 3_600_000;

/// The delays between tries, as those between attempts to connect.
#[derive(Clone, Copy, Debug)]
pub struct Delays {
    pub min_ms: u64,
    pub max_ms: u64,
}

#[derive(Debug)]
pub struct Retry {
    delays: Delays,
    random: fastrand::Rng,
    /// Failures since the last new byte: all, and those that are not the network's.
    failures: u32,
    misfits: u32,
    /// When the last new byte came, or the download began.
    since: u64,
}

impl Retry {
    pub fn new(delays: Delays, seed: u64, now: u64) -> Retry {
        Retry { delays, random: fastrand::Rng::with_seed(seed), failures: 0, misfits: 0, since: now }
    }

    /// There are new bytes.
    pub fn progress(&mut self, now: u64) {
        (self.failures, self.misfits, self.since) = (0, 0, now);
    }

    /// When to try again, or why not.
    pub fn failed(&mut self, blame: Blame, after_ms: Option<u64>, now: u64) -> Result<u64, (Status, &'static str)> {
        self.failures += 1;
        self.misfits += u32::from(blame != Blame::Server);
        if self.misfits >= FEW_TRIES && blame != Blame::Server {
            let status = if blame == Blame::Tls { Status::ENOS_ERR_TLS } else { Status::ENOS_ERR_PROTOCOL };
            return Err((status, "given up after 5 tries"));
        }
        if self.failures >= MOST_TRIES {
            return Err((Status::ENOS_ERR_NETWORK, "given up after 100 tries without a new byte"));
        }
        let at = now + self.delay().max(after_ms.unwrap_or(0).min(DAY_MS));
        if at - self.since > DAY_MS {
            return Err((Status::ENOS_ERR_NETWORK, "given up after a day without a new byte"));
        }
        Ok(at)
    }

    /// Random, at least the minimum, and at most twice as much after each further failure.
    fn delay(&mut self) -> u64 {
        let Delays { min_ms, max_ms } = self.delays;
        let most = min_ms.saturating_mul(1 << self.failures.min(20)).clamp(min_ms, max_ms);
        self.random.u64(min_ms..=most)
    }

    /// Time in which nothing could be tried does not count.
    pub fn excuse(&mut self, ms: u64) {
        self.since += ms;
    }
}

/// How long a Retry-After says to wait: seconds, or a date.
pub fn after_ms(value: &str, wall_ms: u64) -> Option<u64> {
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(seconds.saturating_mul(1000));
    }
    let date_ms = date_s(value)?.saturating_mul(1000);
    Some(date_ms.saturating_sub(wall_ms))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` in seconds since 1970.
fn date_s(value: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut parts = value.split_once(", ")?.1.split(' ');
    let day: u64 = parts.next()?.parse().ok().filter(|day| (1..=31).contains(day))?;
    let name = parts.next()?;
    let month = MONTHS.iter().position(|month| *month == name)? as u64;
    let year: u64 = parts.next()?.parse().ok().filter(|year| (1970..=9999).contains(year))?;
    let mut time = parts.next()?.splitn(3, ':').map(|part| part.parse::<u64>().ok().filter(|part| *part < 61));
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    // Years that begin in March, so that a leap day is the last day of one.
    let (shifted, months) = if month < 2 { (year - 1, month + 10) } else { (year, month - 2) };
    let days = shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + (months * 153 + 2) / 5 + day - 1;
    (parts.next()? == "GMT").then_some(())?;
    // 719468 days from the first of March of the year 0 to 1970.
    days.checked_sub(719_468).map(|days| days * 86_400 + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAYS: Delays = Delays { min_ms: 1_000, max_ms: 120_000 };

    #[test]
    fn delays_grow_and_are_bounded() {
        let mut retry = Retry::new(DELAYS, 1, 0);
        let mut longest = 0;
        for n in 1..60u32 {
            let delay = retry.failed(Blame::Server, None, 0).unwrap();
            assert!((1_000..=120_000).contains(&delay) && delay <= 1_000 << n.min(10), "{n}: {delay}");
            longest = longest.max(delay);
        }
        assert!(longest > 60_000);
    }

    #[test]
    fn a_day_of_failures_is_a_bounded_number_of_tries() {
        let (mut retry, mut now, mut tries) = (Retry::new(DELAYS, 7, 0), 0, 0);
        let why = loop {
            tries += 1;
            match retry.failed(Blame::Server, None, now) {
                Ok(at) => now = at,
                Err(why) => break why,
            }
        };
        assert!(tries == MOST_TRIES && now < DAY_MS, "{tries} tries in {now} ms");
        assert_eq!(why.0, Status::ENOS_ERR_NETWORK);
    }

    #[test]
    fn retry_after_is_obeyed_up_to_a_day() {
        let mut retry = Retry::new(DELAYS, 1, 0);
        assert_eq!(retry.failed(Blame::Server, Some(3_600_000), 0), Ok(3_600_000));
        assert_eq!(retry.failed(Blame::Server, Some(u64::MAX), 3_600_000).unwrap_err().0, Status::ENOS_ERR_NETWORK);
        assert_eq!(after_ms("120", 0), Some(120_000));
        assert_eq!(after_ms("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_770_000), Some(7_000));
        assert_eq!(after_ms("Thu, 29 Feb 2024 00:00:00 GMT", 1_709_164_799_000), Some(1_000));
        assert_eq!(after_ms("Thu, 01 Jan 1970 00:00:00 GMT", 5), Some(0));
        for value in
            ["", "-1", "soon", "Sun, 06 Nov 1994", "Sun, 99 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1 08:49:37 GMT"]
        {
            assert_eq!(after_ms(value, 0), None, "{value}");
        }
    }

    #[test]
    fn what_this_side_cannot_mend_is_tried_a_few_times() {
        for (blame, status) in [(Blame::Content, Status::ENOS_ERR_PROTOCOL), (Blame::Tls, Status::ENOS_ERR_TLS)] {
            let mut retry = Retry::new(DELAYS, 1, 0);
            for _ in 1..FEW_TRIES {
                retry.failed(blame, None, 0).unwrap();
            }
            retry.failed(Blame::Server, None, 0).unwrap();
            assert_eq!(retry.failed(blame, None, 0).unwrap_err().0, status);
            retry.progress(0);
            retry.failed(blame, None, 0).unwrap();
        }
    }
}
