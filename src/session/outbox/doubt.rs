//! Decides which message is to blame for repeated failures.
//!
//! A broker may close the connection at a certain message each time, and EnOS may never give a message a good answer.
//! Such a message must not block the others for ever. But a link may also be bad, the cloud may be in trouble, or
//! another client may log in as this device. No message may become a dead letter because of that. So a failure alone
//! does not blame a message:
//!
//! 1. After some failures in a row the message steps aside, and another message is sent before it.
//! 2. If that message fails too, nothing is blamed. The failures are forgotten, and the next time a different message
//!    is sent first.
//! 3. If that message passes, the first one is sent again on the same link. If it fails again, that is a proof. After
//!    [`PROOFS`] of them it is a dead letter.
//!
//! So a message is blamed only for its own failures. A link that is stable from some moment on blames no message.

use crate::protocol::Suspect;

/// The message steps aside after this many failures in a row.
pub const FAILURES: u8 = 3;
/// The same, if EnOS has answered that the message may succeed later. A cloud in trouble answers that to every message.
pub const BUSY: u8 = 10;
/// The message is a dead letter after this many failures right after another message that has passed.
pub const PROOFS: u8 = 2;
/// How many messages behind it are tried in its place, one after the other.
pub const OTHERS: usize = 64;

/// How a message failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The link was lost, and the broker had not acknowledged it.
    Lost,
    /// The same, and another client is probably the reason. A broker that closes the connection at a message looks the
    /// same.
    Conflict,
    /// There was no answer in time.
    Silent,
    /// EnOS has answered with this code that it may succeed later.
    Busy(i32),
}

impl Fault {
    /// The message steps aside after this many failures in a row. A conflict raises the limit, because stepping aside
    /// changes the order.
    fn limit(self) -> u8 {
        match self {
            Fault::Lost | Fault::Silent => FAILURES,
            Fault::Conflict => FAILURES + 1,
            Fault::Busy(_) => BUSY,
        }
    }

    /// Only a message that gets an answer can show that the failure is not general.
    fn is_of_answer(self) -> bool {
        matches!(self, Fault::Silent | Fault::Busy(_))
    }
}

#[derive(Default)]
pub struct Doubt {
    /// The first and the last message in flight at the last failure.
    suspects: Option<(u64, u64)>,
    /// How often the first of them has failed in a row, and how often right after a message that had passed.
    failures: u8,
    proofs: u8,
    /// How it failed last; `None` if that was in an earlier process.
    fault: Option<Fault>,
    /// Another message has passed on this link, and the suspect is sent next.
    passed: bool,
    /// How many messages were sent in its place and did not pass.
    others_failed: usize,
}

impl Doubt {
    pub fn restore(&mut self, suspect: Option<Suspect>) {
        let Some(Suspect { first, last, losses }) = suspect else { return };
        let failures = losses.min(FAILURES);
        let proofs = (losses - failures).min(PROOFS);
        *self = Doubt { suspects: Some((first, last)), failures, proofs, ..Doubt::default() };
    }

    /// What the next process has to know. Of the failures in a row, `FAILURES` at most are stored: the fault of a
    /// message that has failed more often still has to be proven.
    pub fn suspect(&self) -> Option<Suspect> {
        let (first, last) = self.suspects?;
        Some(Suspect { first, last, losses: self.failures.min(FAILURES) + self.proofs })
    }

    /// How many other messages were tried without success.
    pub fn others_failed(&self) -> usize {
        self.others_failed
    }

    /// A new link.
    pub fn link_up(&mut self) {
        self.passed = false;
    }

    /// The first message has failed. Those up to `last` were in flight with it.
    pub fn failed(&mut self, first: u64, last: u64, fault: Fault) {
        let is_known = self.suspects.is_some_and(|(from, to)| (from..=to).contains(&first));
        if !is_known {
            (self.failures, self.fault) = (0, None);
        }
        if !self.is_suspect(first) {
            (self.proofs, self.passed) = (0, false);
        }
        let alike = self.fault.is_none_or(|before| before.is_of_answer() == fault.is_of_answer());
        if self.passed && alike {
            self.proofs = (self.proofs + 1).min(PROOFS);
        } else {
            self.failures = self.failures.saturating_add(1);
        }
        (self.suspects, self.fault, self.passed) = (Some((first, last)), Some(fault), false);
    }

    fn is_suspect(&self, front: u64) -> bool {
        self.suspects.is_some_and(|(first, _)| first == front)
    }

    /// Whether this message, which is the first, has to be sent alone.
    pub fn is_alone(&self, front: u64) -> bool {
        self.suspects.is_some_and(|(_, last)| front <= last)
    }

    /// Whether another message has to be sent before it.
    pub fn steps_aside(&self, front: u64) -> bool {
        let limit = self.fault.map_or(FAILURES, Fault::limit);
        self.is_suspect(front) && self.failures >= limit && !self.passed
    }

    /// Whether it can only be compared with a message that gets an answer.
    pub fn wants_answer(&self) -> bool {
        self.fault.is_none_or(Fault::is_of_answer)
    }

    /// Whether the message may succeed after a pause.
    pub fn wants_pause(&self) -> bool {
        matches!(self.fault, Some(Fault::Busy(_)))
    }

    /// The message that was sent before it has not passed.
    pub fn trial_failed(&mut self) {
        *self = Doubt { others_failed: self.others_failed + 1, ..Doubt::default() };
    }

    /// The message that was sent before it has passed. The suspect is sent next on this link.
    pub fn trial_passed(&mut self) {
        self.passed = true;
    }

    /// Whether this message, which is the first, is to blame: EnOS's code, and the reason. It then leaves the outbox.
    pub fn verdict(&mut self, front: u64) -> Option<(i32, String)> {
        if !self.is_suspect(front) || self.proofs < PROOFS {
            return None;
        }
        let times = self.failures.saturating_add(self.proofs);
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
        // The messages between it and the one that has passed were tried without success, or could not be compared.
        *self = Doubt { others_failed: self.others_failed.saturating_sub(1), ..Doubt::default() };
        Some((code, format!("{what}, the last {PROOFS} times right after another one had passed on the same link")))
    }

    /// A message has left the outbox completed. `front` is the first one that is left.
    pub fn through(&mut self, front: Option<u64>) {
        (self.others_failed, self.passed) = (0, false);
        if self.suspects.is_some_and(|(_, last)| front.is_some_and(|front| front > last)) {
            self.suspects = None;
        }
    }
}
