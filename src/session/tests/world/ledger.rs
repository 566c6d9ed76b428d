//! What the host and the cloud know of the durable messages of a device, and whether that is as promised.

use std::collections::{BTreeMap, BTreeSet};

use crate::protocol::outbox;

pub(super) struct Accepted {
    pub number: u64,
    /// The process and the link in which it was accepted; `None` if it was accepted offline.
    pub link: Option<(u64, u64, u64)>,
    pub until_reply: bool,
}

/// What the host remembers of the messages of a device. It survives the host's process.
#[derive(Default)]
pub struct Ledger {
    pub(super) next: u64,
    /// By token, in the order of acceptance.
    pub(super) accepted: BTreeMap<u64, Accepted>,
    /// The process in which an outcome was told last.
    pub(super) told: BTreeMap<u64, u64>,
    /// Messages that the cloud did not receive, and whose event says so.
    pub(super) excused: BTreeSet<u64>,
    /// How often each message was sent, and how often right after another one that the cloud received on the same link.
    pub(super) sent: BTreeMap<u64, (u32, u32)>,
    /// The message that was sent last: the process, the link, the number, and whether the cloud has received it.
    last_sent: Option<(u64, u64, u64, bool)>,
    /// Messages that an attacker has acknowledged in the broker's place.
    pub(super) forged: BTreeSet<u64>,
    /// Pages that were dropped to make room.
    pub(super) gone: BTreeSet<u64>,
    /// Messages that the host has dropped.
    dropped: BTreeSet<u64>,
    pub life: u64,
    /// How often the sub-device has logged in.
    pub logins: u64,
    /// Everything that the cloud received, in that order, and the same as a set.
    pub(super) taken: Vec<u64>,
    pub(super) has: BTreeSet<u64>,
    pub refused: u64,
}

impl Ledger {
    /// The message is sent.
    pub(super) fn send(&mut self, attempt: u64, number: u64) {
        let last = self.last_sent.replace((self.life, attempt, number, false));
        let behind = last.is_some_and(|last| last.2 != number && last == (self.life, attempt, last.2, true));
        let (times, behind_another) = self.sent.entry(number).or_default();
        *times += 1;
        *behind_another += u32::from(behind);
    }

    /// The broker has acknowledged it, or EnOS has answered it.
    pub(super) fn acknowledge(&mut self, number: u64) {
        self.last_sent = self.last_sent.map(|last| (last.0, last.1, last.2, last.3 || last.2 == number));
    }

    pub(super) fn one_untold(&self, which: usize) -> Option<u64> {
        let untold: Vec<u64> = self.accepted.keys().filter(|token| !self.told.contains_key(token)).copied().collect();
        untold.get(which % untold.len().max(1)).copied()
    }

    pub(super) fn drop(&mut self, token: u64) {
        self.told.insert(token, self.life);
        if let Some(accepted) = self.accepted.get(&token) {
            self.excused.insert(accepted.number);
            self.dropped.insert(accepted.number);
        }
    }

    pub(super) fn may_be_gone(&mut self, token: u64) {
        self.gone.insert(page_of(token));
    }

    pub(super) fn is_dropped(&self, number: u64) -> bool {
        self.dropped.contains(&number)
    }

    pub(super) fn take(&mut self, number: u64) {
        self.taken.push(number);
        self.has.insert(number);
    }

    /// Excuses all messages of the page that begins with this token.
    pub(super) fn excuse(&mut self, token: u64) {
        let Ledger { accepted, told, excused, life, .. } = self;
        for (token, accepted) in accepted.range(token..=token | 0xFF) {
            told.insert(*token, *life);
            excused.insert(accepted.number);
        }
    }

    /// The token in the queue, of one that the host has.
    pub(super) fn token_in(&self, token: u64) -> u64 {
        outbox::token_in(token, self.accepted.keys().next_back().map_or(1, |last| page_of(*last) + 1))
    }

    /// The cloud has received every accepted message, in order, or the host knows what else has happened to it.
    pub(super) fn violations(&self) -> Vec<String> {
        let gone = |token: &u64| self.gone.contains(&page_of(*token));
        let mut violations = Vec::new();
        let untold: Vec<u64> = self
            .accepted
            .iter()
            .filter(|(token, _)| !self.told.contains_key(token) && !gone(token))
            .map(|(_, accepted)| accepted.number)
            .collect();
        if !untold.is_empty() {
            violations.push(format!("accepted, and never told of again: {untold:?}"));
        }
        let wanted: Vec<u64> = self
            .accepted
            .iter()
            .filter(|(token, accepted)| !self.excused.contains(&accepted.number) && !gone(token))
            .map(|(_, accepted)| accepted.number)
            .collect();
        let mut taken = self.taken.iter();
        let missing = wanted.iter().find(|number| !taken.any(|taken| taken == *number));
        if let Some(number) = missing {
            let words = match self.has.contains(number) {
                true => "was taken out of order",
                false => "was lost",
            };
            violations.push(format!("number {number} {words}; taken: {:?}", self.taken));
        }
        violations
    }
}

pub(super) fn page_of(token: u64) -> u64 {
    (token & !(1 << 62)) >> 8
}
