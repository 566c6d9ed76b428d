//! Remembers the commands whose answers are not out yet, in the host's storage, so that they are known after a restart.

use super::*;

/// How many commands are remembered. If there are more, the oldest is forgotten.
pub const REMEMBERED: usize = 64;

pub struct Memory {
    is_on: bool,
    /// Those of which the record consists, the oldest first.
    stored: Vec<Digest>,
    /// Those of an earlier process.
    interrupted: Vec<Digest>,
}

impl Memory {
    pub fn new(is_on: bool) -> Memory {
        Memory { is_on, stored: Vec::new(), interrupted: Vec::new() }
    }

    pub fn is_on(&self) -> bool {
        self.is_on
    }

    #[cfg(test)]
    pub fn stored(&self) -> &[Digest] {
        &self.stored
    }

    pub fn loaded(&mut self, digests: Vec<Digest>) {
        if self.is_on && self.stored.is_empty() {
            self.interrupted.clone_from(&digests);
            self.stored = digests;
        }
    }

    /// A command is about to be handed over. Returns whether an earlier process had it.
    pub fn begin(&mut self, digest: Digest, actions: &mut VecDeque<Action>) -> bool {
        if !self.stored.contains(&digest) {
            if self.stored.len() >= REMEMBERED {
                self.stored.remove(0);
            }
            self.stored.push(digest);
            actions.push_back(Action::StoreCommands(self.stored.clone()));
        }
        self.interrupted.contains(&digest)
    }

    /// The answer of a command is out.
    pub fn end(&mut self, digest: Option<Digest>, actions: &mut VecDeque<Action>) {
        let Some(digest) = digest else { return };
        self.interrupted.retain(|one| *one != digest);
        let before = self.stored.len();
        self.stored.retain(|one| *one != digest);
        if self.stored.len() < before {
            actions.push_back(Action::StoreCommands(self.stored.clone()));
        }
    }
}
