//! The cloud's commands, what the host does with them, and what is promised: one answer to each command that has reached
//! the device on a link that stays up, and none of the host's after its deadline.

use std::collections::{BTreeMap, BTreeSet};

use zeroize::Zeroizing;

use super::super::super::*;
use super::{Due, World};
use crate::error::Status;
use crate::model::link::LinkEvent;
use crate::protocol::command::Digest;

/// The services, and how long their commands can be answered.
const SERVICES: [(&str, u64); 2] = [("x", 25_000), ("short", 2_000)];

#[derive(Default)]
pub struct Commands {
    next: u64,
    seen: BTreeMap<u64, Seen>,
    /// Those that were handed over, and whose answers are not acknowledged.
    unanswered: BTreeSet<u64>,
    /// Those of them that earlier processes had.
    earlier: BTreeSet<u64>,
    /// What the present process has read from the storage, without what was answered since.
    loaded: Option<Vec<Digest>>,
    /// The tokens of answers in flight, with their commands.
    in_flight: BTreeMap<u64, u64>,
}

/// A command that has reached the session.
struct Seen {
    attempt: u64,
    deadline: u64,
    /// The attempts on which it was answered.
    answers: Vec<u64>,
}

impl Commands {
    /// The process has ended.
    pub fn next_life(&mut self) {
        self.seen.clear();
        self.in_flight.clear();
        self.loaded = None;
        self.earlier.append(&mut self.unanswered);
    }

    /// The process reads its storage. A second time it may find its own commands there.
    pub fn load(&mut self, stored: &[Digest]) {
        self.loaded.get_or_insert(stored.to_vec());
    }
}

impl World {
    /// The cloud sends a command: a new one, or one that has no answer.
    pub fn command(&mut self) {
        let online = self.session.state() == State::Online;
        let Some(attempt) = self.wire.as_ref().map(|wire| wire.attempt).filter(|_| online) else { return };
        // The same command twice in a process would have two answers.
        let again = if self.rng.bool() { self.commands.earlier.pop_first() } else { None };
        let number = again.unwrap_or_else(|| {
            self.commands.next += 1;
            self.commands.next
        });
        let delay = self.rng.u64(0..100);
        self.later(delay, Due::Command(attempt, number));
    }

    pub(super) fn command_arrives(&mut self, attempt: u64, number: u64) {
        let (service, timeout) = SERVICES[number as usize % 2];
        let topic = format!("/sys/pk/dk/thing/service/{service}").into_bytes();
        let payload = format!(r#"{{"id":{number},"method":"m","params":{{}}}}"#).into_bytes();
        let deadline = self.now + timeout;
        self.commands.seen.insert(number, Seen { attempt, deadline, answers: Vec::new() });
        let payload = Zeroizing::new(payload);
        let what = LinkEvent::Message { topic, payload, qos: 1, retained: self.rng.u32(..20) == 0 };
        if matches!(what, LinkEvent::Message { retained: true, .. }) {
            self.commands.seen.remove(&number);
        }
        self.feed(Input::Link { attempt, what });
    }

    pub(super) fn handed_over(&mut self, handed: Handed) {
        let key = handed.key;
        let Some(deadline) = self.session.begin_command(self.now(), key) else {
            return self.violate("a command is handed over that is not open".into());
        };
        let number = number_of(&handed.command.payload);
        // Its time begins only now. A slow storage may have delayed this.
        if let Some(seen) = self.commands.seen.get_mut(&number) {
            seen.deadline = deadline + self.booted_at;
        }
        let digest = handed.command.digest();
        if self.rates.hint_fails == 0 && !self.disk.commands.contains(&digest) {
            self.violate(format!("the command {number} is handed over before its mark is stored"));
        }
        if handed.interrupted != self.commands.loaded.iter().flatten().any(|one| *one == digest) {
            self.violate(format!("the command {number} is interrupted: {}", handed.interrupted));
        }
        self.commands.unanswered.insert(number);
        match self.rng.u32(..10) {
            0..=5 => {
                self.answer(key, number);
                self.session.command_ended(self.now(), key, HandleEnd::Returned);
            }
            6..=8 => {
                let after = self.rng.u64(0..40_000);
                self.later(after, Due::Answer(key, number));
            }
            _ => self.session.command_ended(self.now(), key, HandleEnd::Returned),
        }
    }

    fn answer(&mut self, key: u64, number: u64) {
        let payload = || format!(r#"{{"id":{number},"code":200,"data":{{}}}}"#).into_bytes();
        let first = self.session.answer_command(self.now(), key, payload());
        match first {
            Ok(token) => drop(self.accepted.insert(token)),
            Err(error) if error.status != Status::ENOS_ERR_STATE => self.violate(format!("{error}")),
            Err(_) => {}
        }
        if self.session.answer_command(self.now(), key, payload()).is_ok() {
            self.violate(format!("the command {number} takes a second answer"));
        }
    }

    /// The host comes back to a command that it has kept.
    pub(super) fn answer_later(&mut self, key: u64, number: u64) {
        if self.rng.u32(..4) > 0 {
            self.answer(key, number);
        }
        self.session.command_ended(self.now(), key, HandleEnd::Released);
        self.perform();
    }

    /// The device sends an answer.
    pub(super) fn answer_is_sent(&mut self, token: u64, topic: &str, payload: &[u8]) {
        if !topic.ends_with("/x_reply") && !topic.ends_with("/short_reply") {
            return;
        }
        let number = number_of(payload);
        let by_host = payload.windows(10).any(|part| part == br#""code":200"#);
        let now = self.now;
        self.commands.in_flight.insert(token, number);
        let attempt = self.wire.as_ref().map_or(0, |wire| wire.attempt);
        let Some(seen) = self.commands.seen.get_mut(&number) else { return };
        let again = seen.answers.contains(&attempt) || seen.answers.len() > 1;
        // An answer may be held up by a call of the storage.
        let late = by_host && now > seen.deadline && self.rates.storage_slow == 0;
        seen.answers.push(attempt);
        if again {
            self.violate(format!("the command {number} is answered again"));
        }
        if late {
            self.violate(format!("the command {number} is answered after its deadline"));
        }
    }

    /// The broker has acknowledged it.
    pub(super) fn answer_is_out(&mut self, token: u64) {
        let Some(number) = self.commands.in_flight.remove(&token) else { return };
        self.commands.unanswered.remove(&number);
        let (service, _) = SERVICES[number as usize % 2];
        let kind = crate::protocol::command::Kind::of(&self.settings.identity, topic_of(service).as_bytes());
        let payload = format!(r#"{{"id":{number},"method":"m","params":{{}}}}"#).into_bytes();
        if let Some(crate::protocol::command::Reading::Command(command)) = kind.map(|kind| {
            crate::protocol::command::Command::read(kind, topic_of(service).into_bytes(), Zeroizing::new(payload))
        }) {
            let digest = command.digest();
            self.commands.loaded.iter_mut().for_each(|loaded| loaded.retain(|one| *one != digest));
        }
    }

    pub(super) fn check_commands(&mut self, now: u64) {
        if self.end.is_some() {
            return;
        }
        let present = self.wire.as_ref().map(|wire| wire.attempt).filter(|_| self.session.state() == State::Online);
        let over = self.commands.seen.iter().filter(|(_, seen)| now > seen.deadline);
        let silent = over.filter(|(_, seen)| seen.answers.is_empty() && present == Some(seen.attempt));
        let silent: Vec<u64> = silent.map(|(number, _)| *number).collect();
        if !silent.is_empty() {
            self.violate(format!("no answer to the commands {silent:?}"));
        }
        self.commands.seen.retain(|_, seen| {
            now <= seen.deadline.saturating_add(60_000) && {
                // A command whose link is gone may stay without an answer, and have one on each of two links.
                present == Some(seen.attempt) || now <= seen.deadline
            }
        });
    }
}

fn topic_of(service: &str) -> String {
    format!("/sys/pk/dk/thing/service/{service}")
}

fn number_of(payload: &[u8]) -> u64 {
    let value: serde_json::Value = serde_json::from_slice(payload).unwrap();
    value["id"].as_u64().unwrap()
}
