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
//!    [`PROOFS`] of them it is a dead letter. Between two proofs it is sent first again, and has to fail there as well:
//!    links that carry exactly one message would otherwise always carry the other one.
//!
//! So a message is blamed only for its own failures. A link that is stable from some moment on blames no message.

use crate::protocol::Suspect;

/// The message steps aside after this many failures in a row.
pub const FAILURES: u8 = 3;
/// The same, if EnOS has answered that the message may succeed later. A cloud in trouble answers that to every message.
pub const BUSY: u8 = 10;
/// The message is a dead letter after this many failures right after another message that has passed.
pub const PROOFS: u8 = 3;
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
    /// How often the first of them has failed in a row.
    times: u8,
    /// How often it has failed when it was sent first. A proof takes one of these back, so that it has to fail there
    /// again before another message is sent in its place.
    failures: u8,
    /// How often right after a message that had passed.
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
        let times = losses.min(FAILURES + 2 * PROOFS - 1);
        let proofs = times.saturating_sub(FAILURES - 1) / 2;
        *self =
            Doubt { suspects: Some((first, last)), times, failures: times - 2 * proofs, proofs, ..Doubt::default() };
    }

    /// What the next process has to know. From `FAILURES` on, proofs and failures at the first place alternate, so
    /// one number tells both. Failures that make no difference are not counted.
    pub fn suspect(&self) -> Option<Suspect> {
        let (first, last) = self.suspects?;
        let losses = match self.proofs {
            0 => self.failures.min(FAILURES),
            proofs => FAILURES - 1 + 2 * proofs + u8::from(self.failures >= self.limit()),
        };
        Some(Suspect { first, last, losses })
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

    /// The suspect steps aside after this many failures when it was sent first.
    fn limit(&self) -> u8 {
        self.fault.map_or(FAILURES, Fault::limit)
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
        self.is_suspect(front) && self.failures >= self.limit() && !self.passed
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
        // The messages between it and the one that has passed were tried without success, or could not be compared.
        *self = Doubt { others_failed: self.others_failed.saturating_sub(1), ..Doubt::default() };
        Some((code, format!("{what}, {PROOFS} of them right after another one had passed on the same link")))
    }

    /// A message has left the outbox completed. `front` is the first one that is left.
    pub fn through(&mut self, front: Option<u64>) {
        (self.others_failed, self.passed) = (0, false);
        if self.suspects.is_some_and(|(_, last)| front.is_some_and(|front| front > last)) {
            self.suspects = None;
        }
    }
}
