//! Remembers the commands whose answers are not out yet, in the host's storage, so that they are known after a restart.

use super::*;

/// How many commands are remembered. If there are more, the oldest is forgotten.
pub const REMEMBERED: usize = 64;

/// EnOS keeps a command for two days at most, so a mark that is older is of no use.
pub const MAX_AGE_MS: u64 = 48 * 60 * 60 * 1000;

struct Mark {
    digest: Digest,
    /// When this process has made or loaded it.
    since: u64,
    /// An earlier process has had the command.
    interrupted: bool,
}

pub struct Memory {
    is_on: bool,
    /// What the record consists of, the oldest first.
    marks: Vec<Mark>,
}

impl Memory {
    pub fn new(is_on: bool) -> Memory {
        Memory { is_on, marks: Vec::new() }
    }

    pub fn is_on(&self) -> bool {
        self.is_on
    }

    pub fn stored(&self) -> Vec<Digest> {
        self.marks.iter().map(|mark| mark.digest).collect()
    }

    /// The record of earlier processes. It is removed if nothing is to be remembered.
    pub fn loaded(&mut self, digests: Vec<Digest>, now: u64, actions: &mut VecDeque<Action>) {
        if !self.is_on && !digests.is_empty() {
            actions.push_back(Action::StoreCommands(Vec::new()));
        } else if self.marks.is_empty() {
            let mark = |digest| Mark { digest, since: now, interrupted: true };
            self.marks = digests.into_iter().map(mark).collect();
        }
    }

    /// A command is about to be handed over. Returns whether an earlier process had it.
    pub fn begin(&mut self, digest: Digest, now: u64, actions: &mut VecDeque<Action>) -> bool {
        self.marks.retain(|mark| now.saturating_sub(mark.since) < MAX_AGE_MS);
        if let Some(mark) = self.marks.iter().find(|mark| mark.digest == digest) {
            return mark.interrupted;
        }
        if self.marks.len() >= REMEMBERED {
            self.marks.remove(0);
        }
        self.marks.push(Mark { digest, since: now, interrupted: false });
        actions.push_back(Action::StoreCommands(self.stored()));
        false
    }

    /// The answer of a command is out.
    pub fn end(&mut self, digest: Digest, actions: &mut VecDeque<Action>) {
        let before = self.marks.len();
        self.marks.retain(|mark| mark.digest != digest);
        if self.marks.len() < before {
            actions.push_back(Action::StoreCommands(self.stored()));
        }
    }
}
