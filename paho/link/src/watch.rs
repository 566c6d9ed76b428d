//! Watches both directions of a connection: when to send a PINGREQ, and when one stands still.
//!
//! A direction stands still if it has data to move and no byte has moved for 2.5 keep-alives. Outbound data is what the
//! peer has not confirmed. Inbound data is the rest of a packet, or the answer to a packet that was sent. A byte in one
//! direction does not count for the other. The time for an answer begins when the peer has confirmed the packet,
//! because a peer that receives a large message slowly cannot answer it earlier.

use crate::fault::{Direction, Fault};

/// For how long a result of the system call for unconfirmed bytes is used.
const LOOK_MS: u64 = 500;

pub struct Watch {
    keep_alive_ms: u64,
    /// When the last byte was given to the kernel, and when the last one was received.
    last_out: u64,
    last_in: u64,
    /// Sent packets that the broker has to answer, and since when the answer is due.
    waiting: usize,
    waiting_since: u64,
    /// How many bytes had been sent up to the first of these packets. Bytes sent later do not delay its answer.
    asked_at: u64,
    /// Bytes that the peer had confirmed at the last look, and since when their number has not grown although it
    /// should.
    confirmed: u64,
    stuck_since: Option<u64>,
    looked_at: u64,
    pings: usize,
}

pub enum Verdict {
    Fine,
    Ping,
    Still(Fault),
}

/// The state of the connection.
#[derive(Clone, Copy)]
pub struct Sight {
    /// Data waits for room in the kernel.
    pub blocked: bool,
    /// A part of a packet was received, or a handshake is in progress.
    pub partial: bool,
    /// Reading is paused.
    pub paused: bool,
    /// The broker has accepted the connection.
    pub established: bool,
}

impl Watch {
    pub fn new(keep_alive_s: u16, now: u64) -> Watch {
        Watch {
            keep_alive_ms: u64::from(keep_alive_s) * 1000,
            last_out: now,
            last_in: now,
            waiting: 0,
            waiting_since: now,
            asked_at: 0,
            confirmed: 0,
            stuck_since: None,
            looked_at: now,
            pings: 0,
        }
    }

    pub fn moved_out(&mut self, now: u64) {
        self.last_out = now;
    }

    pub fn moved_in(&mut self, now: u64) {
        self.last_in = now;
    }

    /// `count` packets that need an answer were sent, and `sent` bytes in total.
    pub fn asked(&mut self, count: usize, now: u64, sent: u64) {
        if self.waiting == 0 && count > 0 {
            (self.waiting_since, self.asked_at) = (now, sent);
        }
        self.waiting += count;
    }

    /// A packet was received, which may be an answer. `sent` is the number of bytes sent so far.
    pub fn came(&mut self, kind: u8, now: u64, sent: u64) {
        // CONNACK, PUBACK, PUBREC, SUBACK, UNSUBACK, PINGRESP.
        if matches!(kind, 2 | 4 | 5 | 9 | 11 | 13) {
            self.waiting = self.waiting.saturating_sub(1);
            // The end of the next packet was not recorded. It was not later than now.
            (self.waiting_since, self.asked_at) = (now, sent);
        }
        if kind == 13 {
            self.pings = self.pings.saturating_sub(1);
        }
    }

    pub fn pinged(&mut self) {
        self.pings += 1;
    }

    /// Checks the connection. `sent` is the number of bytes that the kernel has ever accepted. `unconfirmed` returns
    /// how many of them the peer has not confirmed. It is a system call, so it is made only now and then.
    pub fn look(&mut self, now: u64, sight: Sight, sent: u64, unconfirmed: impl FnOnce() -> u64) -> Verdict {
        if self.keep_alive_ms == 0 {
            return Verdict::Fine;
        }
        let waits = self.waiting > 0 || sight.partial;
        if (sight.blocked || waits) && now >= self.looked_at + LOOK_MS {
            self.looked_at = now;
            self.look_out(now, sent, unconfirmed());
        }
        if let (true, Some(since)) = (sight.blocked, self.stuck_since) {
            let since = since.max(self.last_out);
            if now >= since + self.limit() {
                return still(Direction::Out, now - since);
            }
        }
        if waits && !sight.paused && now >= self.still_in_at(sight) {
            return still(Direction::In, now - self.last_in);
        }
        let quiet_in = self.pings == 0 && !sight.paused && now >= self.last_in + self.keep_alive_ms;
        match sight.established && !sight.blocked && (quiet_in || now >= self.last_out + self.keep_alive_ms) {
            true => Verdict::Ping,
            false => Verdict::Fine,
        }
    }

    /// When to look again if nothing happens before.
    pub fn deadline(&self, sight: Sight) -> Option<u64> {
        if self.keep_alive_ms == 0 {
            return None;
        }
        let mut at = u64::MAX;
        if sight.blocked {
            at = at.min(self.looked_at + LOOK_MS);
        } else if sight.established {
            at = at.min(self.last_out + self.keep_alive_ms);
            if self.pings == 0 && !sight.paused {
                at = at.min(self.last_in + self.keep_alive_ms);
            }
        }
        if (self.waiting > 0 || sight.partial) && !sight.paused {
            let look = self.looked_at.max(self.last_in).max(self.waiting_since) + self.keep_alive_ms / 4;
            at = at.min(self.still_in_at(sight)).min(look.max(self.looked_at + LOOK_MS));
        }
        (at < u64::MAX).then_some(at)
    }

    fn look_out(&mut self, now: u64, sent: u64, unconfirmed: u64) {
        let confirmed = sent.saturating_sub(unconfirmed);
        let grows = confirmed > self.confirmed;
        self.confirmed = confirmed;
        if grows && confirmed < self.asked_at {
            // The peer is still receiving what was sent before.
            self.waiting_since = now;
        }
        if grows || self.stuck_since.is_none() {
            self.stuck_since = Some(now);
        }
    }

    /// The rest of a packet is due from the last byte on, and an answer from the time when it became due.
    fn still_in_at(&self, sight: Sight) -> u64 {
        let silent = self.last_in + self.limit();
        match sight.partial {
            true => silent,
            false => silent.max(self.waiting_since + self.keep_alive_ms * 3 / 2),
        }
    }

    fn limit(&self) -> u64 {
        self.keep_alive_ms * 5 / 2
    }
}

fn still(direction: Direction, ms: u64) -> Verdict {
    Verdict::Still(Fault::Still { direction, seconds: ms / 1000 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: Sight = Sight { blocked: false, partial: false, paused: false, established: true };
    const BLOCKED: Sight = Sight { blocked: true, ..UP };

    /// Lets time pass, from deadline to deadline, until the watch reports something. `held` returns how many bytes the
    /// kernel holds.
    fn wait(
        watch: &mut Watch,
        sight: Sight,
        sent: u64,
        mut now: u64,
        held: impl Fn(u64) -> u64,
    ) -> (u64, &'static str) {
        for _ in 0..1000 {
            match watch.look(now, sight, sent, || held(now)) {
                Verdict::Fine => now = watch.deadline(sight).expect("a deadline").max(now + 1),
                Verdict::Ping => return (now, "ping"),
                Verdict::Still(Fault::Still { direction: Direction::In, .. }) => return (now, "in"),
                Verdict::Still(_) => return (now, "out"),
            }
        }
        panic!("nothing until {now}")
    }

    #[test]
    fn a_silent_peer_is_asked_after_one_keep_alive_and_given_up_after_two_and_a_half() {
        let mut watch = Watch::new(10, 0);
        assert_eq!(wait(&mut watch, UP, 0, 0, |_| 0), (10_000, "ping"));
        watch.pinged();
        watch.moved_out(10_000);
        watch.asked(1, 10_000, 2);
        assert_eq!(wait(&mut watch, UP, 2, 10_000, |_| 0), (20_000, "ping"), "the broker wants one, too");
        watch.moved_out(20_000);
        assert_eq!(wait(&mut watch, UP, 4, 20_000, |_| 0), (25_000, "in"));
    }

    #[test]
    fn a_write_that_stands_still_is_given_up_whatever_comes_in() {
        let mut watch = Watch::new(10, 0);
        watch.moved_out(3_000);
        watch.look(3_000, BLOCKED, 500, || 500);
        let mut now = 3_000;
        loop {
            now += 500;
            watch.moved_in(now);
            if let Verdict::Still(fault) = watch.look(now, BLOCKED, 500, || 500) {
                assert!(matches!(fault, Fault::Still { direction: Direction::Out, seconds: 25 }));
                break;
            }
        }
        assert_eq!(now, 28_000);
    }

    #[test]
    fn a_slow_peer_is_kept_as_long_as_it_takes_something() {
        // 500 kB at 8 kB/s are in the kernel at once. The answer comes after them.
        let mut watch = Watch::new(10, 0);
        watch.asked(1, 0, 500_000);
        let held = |now: u64| 500_000u64.saturating_sub(8 * now);
        let mut now = 0;
        while held(now) > 0 {
            match watch.look(now, UP, 500_000, || held(now)) {
                Verdict::Still(fault) => panic!("{fault} at {now}"),
                Verdict::Ping => {
                    watch.pinged();
                    watch.moved_out(now);
                }
                Verdict::Fine => (),
            }
            now = watch.deadline(UP).unwrap().max(now + 1);
        }
        assert!(now > 60_000);
        while let Verdict::Fine | Verdict::Ping = watch.look(now, UP, 500_000, || 0) {
            watch.moved_out(now);
            now += 100;
        }
        assert!((75_000..79_000).contains(&now), "it has time to answer: {now}");
    }

    #[test]
    fn without_a_way_back_nothing_is_confirmed_and_nothing_answered() {
        let mut watch = Watch::new(10, 0);
        let mut now = 0;
        let lost = loop {
            // Every 50 ms a message of 4 kB is sent, and none is confirmed.
            watch.moved_out(now);
            watch.asked(1, now, 80 * now);
            if let Verdict::Still(_) = watch.look(now, UP, 80 * now, || 80 * now) {
                break now;
            }
            now += 50;
        };
        assert_eq!(lost, 25_000);
    }

    #[test]
    fn a_peer_that_confirms_and_answers_nothing_is_given_up_while_more_is_sent() {
        let mut watch = Watch::new(10, 0);
        let mut now = 0;
        let lost = loop {
            watch.moved_out(now);
            watch.asked(1, now, 80 * now + 4000);
            assert!(now < 100_000, "it is kept for ever");
            // The last message is always unconfirmed.
            if let Verdict::Still(_) = watch.look(now, UP, 80 * now + 4000, || 4000) {
                break now;
            }
            now += 50;
        };
        assert_eq!(lost, 25_000);
    }

    #[test]
    fn half_a_packet_waits_for_its_rest_and_not_for_ever() {
        let mut watch = Watch::new(10, 0);
        watch.moved_in(4_000);
        let sight = Sight { partial: true, ..UP };
        let (mut now, mut pings) = (4_000, 0);
        loop {
            match wait(&mut watch, sight, 0, now, |_| 0) {
                (at, "ping") => {
                    (now, pings) = (at, pings + 1);
                    watch.pinged();
                    watch.moved_out(at);
                    watch.asked(1, at, 2);
                }
                (at, direction) => break assert_eq!((at, direction), (29_000, "in")),
            }
        }
        assert!(pings >= 1);
    }

    #[test]
    fn without_a_keep_alive_nothing_is_watched() {
        let mut watch = Watch::new(0, 0);
        watch.asked(1, 0, 500_000);
        assert!(matches!(watch.look(u64::MAX / 2, BLOCKED, 9, || 9), Verdict::Fine));
        assert_eq!(watch.deadline(UP), None);
    }
}
