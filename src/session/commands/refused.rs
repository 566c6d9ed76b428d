//! Counts the commands that were not handed over, and tells the host: in one event for many, because a flood of commands
//! must not become a flood of events.

use super::*;

/// Why a command was not handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// There were too many.
    Full,
    /// It came too soon after the login.
    Early,
    Unreadable,
    Retained,
    /// Not a reason of its own: the refusal could not be sent, because too many answers waited.
    Unanswered,
}

const WORDS: [&str; 5] = [
    "over the limits (answered 429, except for traffic/control)",
    "right after the login (answered 429)",
    "unreadable (answered 460 if that is possible)",
    "retained by the broker (not answered)",
    "not answered, because too many answers were waiting",
];

#[derive(Default)]
pub struct Refused {
    counts: [u32; WORDS.len()],
    /// A warning was written on this link.
    warned: bool,
}

impl Refused {
    pub fn count(&mut self, why: Why) {
        let count = &mut self.counts[why as usize];
        *count = count.saturating_add(1);
    }

    pub fn link_up(&mut self) {
        self.warned = false;
    }

    pub fn tell(&mut self, actions: &mut VecDeque<Action>) {
        let counts = std::mem::take(&mut self.counts);
        let refused: u32 = counts[..Why::Unanswered as usize].iter().fold(0, |sum, count| sum.saturating_add(*count));
        if refused == 0 {
            return;
        }
        let parts = counts.iter().zip(WORDS).filter(|(count, _)| **count > 0);
        let parts: Vec<String> = parts.map(|(count, words)| format!("{count} {words}")).collect();
        let words = format!("{refused} commands were not handed over: {}", parts.join(", "));
        if !std::mem::replace(&mut self.warned, true) {
            actions.push_back(Action::Log(Level::Warn, words.clone()));
        }
        actions.push_back(Action::TellRefused(Event::commands_refused(refused, words)));
    }
}
