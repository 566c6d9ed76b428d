//! Which message is to blame, when the link is lost or no answer comes, again and again.
//!
//! A broker may hang up on a message each time, and EnOS may never answer one: such a message must not hold up the rest
//! for ever. A link may be bad, a cloud may be silent, another client may log in as this device: no message must pay for
//! that. So failures alone blame nobody. After some of them in a row the message steps aside, and another one goes
//! alone. Only if that one passes, the message is the cause. Else it goes back to its place, and all is forgotten, except
//! that the next time yet another one is tried: the one behind it may be of the same kind.
//!
//! A loss that is told as a conflict does not count. But a broker that hangs up on a message looks like a conflict. After
//! two of those at the same message another one goes before it on the same link: if that one passes, and the link is lost
//! under the message again, then this loss counts in full.

use crate::protocol::Suspect;

/// So many losses of the link in a row, and the message steps aside.
pub const LOSSES: u8 = 3;
/// So many tries without an answer in a row.
const SILENCES: u32 = 5;
/// So many losses that were told as a conflict.
const CONFLICTS: u32 = 2;
/// So many behind it are tried, each in its turn.
pub const OTHERS: usize = 64;

#[derive(Default)]
pub struct Doubt {
    /// What was under way when the link was lost. It is kept in the storage as well.
    suspect: Option<Suspect>,
    /// What else has happened at a message, by its token.
    at: u64,
    silences: u32,
    conflicts: u32,
    /// How many have been tried in its place and did not pass.
    failed: usize,
    /// On this link another has passed before it.
    passed: bool,
}

impl Doubt {
    pub fn restore(&mut self, suspect: Option<Suspect>) {
        self.suspect = suspect;
    }

    pub fn suspect(&self) -> Option<Suspect> {
        self.suspect
    }

    /// How many others were tried in vain.
    pub fn failed(&self) -> usize {
        self.failed
    }

    /// A new link.
    pub fn link_up(&mut self) {
        self.passed = false;
    }

    /// The link was lost, with these messages under way: the first and the last.
    pub fn lost(&mut self, first: u64, last: u64) {
        if !self.convicts(first) {
            let before = self.suspect.filter(|suspect| (suspect.first..=suspect.last).contains(&first));
            let losses = before.map_or(0, |suspect| suspect.losses).saturating_add(1).min(LOSSES);
            self.suspect = Some(Suspect { first, last, losses });
        }
    }

    /// Likewise, and another client is probably the reason.
    pub fn conflict(&mut self, first: u64) {
        if !self.convicts(first) {
            self.suspect = None;
            self.look_at(first);
            self.conflicts += 1;
        }
    }

    /// Another one has passed on this very link, so it was neither the network nor another client.
    fn convicts(&mut self, token: u64) -> bool {
        let convicts = self.passed && self.at == token;
        if convicts {
            self.suspect = Some(Suspect { first: token, last: token, losses: LOSSES });
        }
        convicts
    }

    /// The first message had no answer, though it had all its time.
    pub fn silent(&mut self, token: u64) {
        self.look_at(token);
        self.silences += 1;
    }

    /// It had an answer, if not a good one.
    pub fn answered(&mut self, token: u64) {
        if self.at == token {
            self.silences = 0;
        }
    }

    fn look_at(&mut self, token: u64) {
        if self.at != token {
            (self.at, self.silences, self.conflicts, self.passed) = (token, 0, 0, false);
        }
    }

    /// Whether this message, the first of all, goes alone.
    pub fn is_alone(&self, front: u64) -> bool {
        self.suspect.is_some_and(|suspect| front <= suspect.last)
    }

    /// Whether it lets another one go first.
    pub fn steps_aside(&self, front: u64) -> bool {
        self.is_lost(front) || self.is_silent(front) || (self.at == front && self.is_contested())
    }

    fn is_lost(&self, front: u64) -> bool {
        self.suspect.is_some_and(|suspect| suspect.first == front && suspect.losses >= LOSSES)
    }

    fn is_contested(&self) -> bool {
        self.conflicts >= CONFLICTS && !self.passed
    }

    /// Whether only one that is answered can show that it is to blame.
    pub fn wants_answer(&self, front: u64) -> bool {
        !self.is_lost(front) && self.is_silent(front)
    }

    fn is_silent(&self, front: u64) -> bool {
        self.at == front && self.silences >= SILENCES
    }

    /// The one that went alone has not passed.
    pub fn trial_failed(&mut self) {
        *self = Doubt { failed: self.failed + 1, ..Doubt::default() };
    }

    /// Another one has passed, before which so many had stepped aside. Why the first of them is to blame; `None`: it is
    /// its turn now.
    pub fn trial_passed(&mut self, front: u64, stepped_aside: usize) -> Option<String> {
        let what = if self.is_lost(front) {
            format!("the link was lost {LOSSES} times while this message was under way")
        } else if self.is_silent(front) {
            format!("this message had no answer {SILENCES} times")
        } else {
            self.passed = true;
            return None;
        };
        // Those between the two have not been tried: for the next of them, this one is known to pass.
        *self = Doubt { failed: stepped_aside.saturating_sub(2), ..Doubt::default() };
        Some(format!("{what}, and another one passed in its place"))
    }

    /// A message has left the outbox as it should; `front` is the first that is left.
    pub fn through(&mut self, front: Option<u64>) {
        self.failed = 0;
        if self.suspect.is_some_and(|suspect| front.is_some_and(|front| front > suspect.last)) {
            self.suspect = None;
        }
    }
}
