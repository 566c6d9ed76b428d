//! Which message is to blame, when it fails again and again.
//!
//! A broker may hang up on a message each time, and EnOS may never give one a good answer: such a message must not hold up
//! the rest for ever. A link may be bad, a cloud may be in trouble, another client may log in as this device: no message
//! must pay for that. So failures alone blame nobody:
//!
//! 1. After some failures in a row the message steps aside, and another one goes before it.
//! 2. If that one fails too, nobody is blamed: all is forgotten, and the next time yet another one goes first.
//! 3. If that one passes, the message goes again, on the same link. If it fails again, that is a proof. After
//!    [`PROOFS`] of them it is a dead letter. Between two proofs it goes first again, and has to fail there as well:
//!    links that carry exactly one message would otherwise always carry the other one.
//!
//! So the last word is always with the message itself: a link that holds from some moment on blames nobody.

use crate::protocol::Suspect;

/// So many failures in a row, and the message steps aside.
pub const FAILURES: u8 = 3;
/// Likewise, when the failures are answers that it may succeed later: a cloud in trouble gives them to everybody.
pub const BUSY: u8 = 10;
/// So many failures right behind another message that has passed, and the message is a dead letter.
pub const PROOFS: u8 = 3;
/// So many behind it are tried, each in its turn.
pub const OTHERS: usize = 64;

/// How a message failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The link was lost, and the broker had not acknowledged it.
    Lost,
    /// Likewise, and another client is probably the reason. A broker that hangs up on a message looks like that too.
    Conflict,
    /// It had no answer.
    Silent,
    /// EnOS has answered with this code that it may succeed later.
    Busy(i32),
}

impl Fault {
    /// So many in a row, and the message steps aside. This changes the order, so a conflict does not count in full.
    fn limit(self) -> u8 {
        match self {
            Fault::Lost | Fault::Silent => FAILURES,
            Fault::Conflict => FAILURES + 1,
            Fault::Busy(_) => BUSY,
        }
    }

    /// Only a message that is answered can show that the fault is not everybody's.
    fn is_of_answer(self) -> bool {
        matches!(self, Fault::Silent | Fault::Busy(_))
    }
}

#[derive(Default)]
pub struct Doubt {
    /// The first and the last of what was under way at the last failure.
    suspects: Option<(u64, u64)>,
    /// How often the first of them has failed in a row.
    times: u8,
    /// How often of these as the first. A proof takes one back, so that it has to fail as the first once more.
    failures: u8,
    /// How often right behind one that had passed.
    proofs: u8,
    /// How it failed last; `None`: in an earlier process.
    fault: Option<Fault>,
    /// On this link another one has passed, and the suspect goes next.
    passed: bool,
    /// How many have been tried in its place and did not pass.
    others_failed: usize,
}

impl Doubt {
    pub fn restore(&mut self, suspect: Option<Suspect>) {
        let Some(Suspect { first, last, losses }) = suspect else { return };
        let times = losses.min(FAILURES + 2 * PROOFS - 1);
        let proofs = times.saturating_sub(FAILURES - 1) / 2;
        *self =
            Doubt { suspects: Some((first, last)), times, failures: times - 2 * proofs, proofs, ..Doubt::default() };
    }

    /// What the next process has to know. From `FAILURES` on, proofs and failures as the first take turns. So one number
    /// tells both; it does not count the failures that make no difference.
    pub fn suspect(&self) -> Option<Suspect> {
        let (first, last) = self.suspects?;
        let losses = match self.proofs {
            0 => self.failures.min(FAILURES),
            proofs => FAILURES - 1 + 2 * proofs + u8::from(self.failures >= self.limit()),
        };
        Some(Suspect { first, last, losses })
    }

    /// How many others were tried in vain.
    pub fn others_failed(&self) -> usize {
        self.others_failed
    }

    /// A new link.
    pub fn link_up(&mut self) {
        self.passed = false;
    }

    /// The first message has failed. Those up to the last were under way with it.
    pub fn failed(&mut self, first: u64, last: u64, fault: Fault) {
        if !self.is_suspect(first) {
            *self = Doubt { others_failed: self.others_failed, ..Doubt::default() };
        }
        let alike = self.fault.is_none_or(|before| before.is_of_answer() == fault.is_of_answer());
        let is_proof = self.passed && alike;
        (self.suspects, self.fault, self.passed) = (Some((first, last)), Some(fault), false);
        self.times = self.times.saturating_add(1);
        if is_proof {
            self.proofs = (self.proofs + 1).min(PROOFS);
            self.failures = self.limit() - 1;
        } else {
            self.failures = self.failures.saturating_add(1);
        }
    }

    /// So many failures in a row as the first, and the suspect steps aside.
    fn limit(&self) -> u8 {
        self.fault.map_or(FAILURES, Fault::limit)
    }

    fn is_suspect(&self, front: u64) -> bool {
        self.suspects.is_some_and(|(first, _)| first == front)
    }

    /// Whether this message, the first of all, goes alone.
    pub fn is_alone(&self, front: u64) -> bool {
        self.suspects.is_some_and(|(_, last)| front <= last)
    }

    /// Whether it lets another one go first.
    pub fn steps_aside(&self, front: u64) -> bool {
        self.is_suspect(front) && self.failures >= self.limit() && !self.passed
    }

    /// Whether only one that is answered can be compared with it.
    pub fn wants_answer(&self) -> bool {
        self.fault.is_none_or(Fault::is_of_answer)
    }

    /// Whether what failed may succeed after a pause.
    pub fn wants_pause(&self) -> bool {
        matches!(self.fault, Some(Fault::Busy(_)))
    }

    /// The one that went before it has not passed.
    pub fn trial_failed(&mut self) {
        *self = Doubt { others_failed: self.others_failed + 1, ..Doubt::default() };
    }

    /// It has passed: the next on this link is the suspect.
    pub fn trial_passed(&mut self) {
        self.passed = true;
    }

    /// Whether this message, the first of all, is to blame: a code of EnOS's, and why. Then it leaves the outbox.
    pub fn verdict(&mut self, front: u64) -> Option<(i32, String)> {
        if !self.is_suspect(front) || self.proofs < PROOFS {
            return None;
        }
        let times = self.times;
        let (code, what) = match self.fault {
            Some(Fault::Lost | Fault::Conflict) => {
                (0, format!("the link was lost {times} times while this message was under way"))
            }
            Some(Fault::Silent) => (0, format!("this message had no answer {times} times")),
            Some(Fault::Busy(code)) => {
                (code, format!("EnOS has refused this message for the time being {times} times"))
            }
            None => (0, "this message failed again and again".to_owned()),
        };
        // Those between it and the one that has passed were tried in vain, or were not comparable.
        *self = Doubt { others_failed: self.others_failed.saturating_sub(1), ..Doubt::default() };
        Some((code, format!("{what}, {PROOFS} of them right after another one had passed on the same link")))
    }

    /// A message has left the outbox as it should; `front` is the first that is left.
    pub fn through(&mut self, front: Option<u64>) {
        (self.others_failed, self.passed) = (0, false);
        if self.suspects.is_some_and(|(_, last)| front.is_some_and(|front| front > last)) {
            self.suspects = None;
        }
    }
}
