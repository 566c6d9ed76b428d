//! Durable messages: the host publishes them, the cloud receives them, and the checks compare both.
//!
//! Each message has a number. The cloud receives every accepted message, or the host is told what else has happened to
//! it. The cloud receives the messages in the order in which they were accepted. Each message has one event in the life
//! of a process.

use std::collections::{BTreeMap, BTreeSet};

use super::super::lost;
use super::flash::Flash;
use super::{Due, World};
use crate::error::{Error, Status};
use crate::protocol::request::PostTime;
use crate::protocol::{outbox, Operation, Request};
use crate::session::*;
use crate::storage::queue::{Queue, QueueLimits};
use crate::storage::records::Records;

pub const LIMITS: QueueLimits = QueueLimits { messages: 200, bytes: 1 << 20, drop_oldest: false };

/// EnOS refuses this number for good, each time that it comes.
pub fn is_poison(number: u64) -> bool {
    number % 41 == 0
}

/// The broker closes the connection each time that this number comes. Some of these numbers follow each other.
pub fn is_deadly(number: u64) -> bool {
    number % 97 < 2
}

/// EnOS never answers this number. The broker acknowledges it.
pub fn is_mute(number: u64) -> bool {
    number % 89 == 7
}

struct Accepted {
    number: u64,
    /// The process and the link in which it was accepted; `None` if it was accepted offline.
    link: Option<(u64, u64)>,
    until_reply: bool,
}

/// What the host remembers. It survives the host's process.
#[derive(Default)]
pub struct Ledger {
    next: u64,
    /// By token, in the order of acceptance.
    accepted: BTreeMap<u64, Accepted>,
    /// The process in which an outcome was told last.
    told: BTreeMap<u64, u64>,
    /// Messages that the cloud did not receive, and whose event says so.
    excused: BTreeSet<u64>,
    /// How often each message was sent, and how often right after another one that the cloud received on the same link.
    sent: BTreeMap<u64, (u32, u32)>,
    /// The message that was sent last: the process, the link, the number, and whether the cloud has received it.
    last_sent: Option<(u64, u64, u64, bool)>,
    /// Messages that an attacker has acknowledged in the broker's place.
    forged: BTreeSet<u64>,
    /// Pages that were dropped to make room.
    gone: BTreeSet<u64>,
    /// Messages that the host has dropped.
    dropped: BTreeSet<u64>,
    life: u64,
    /// Everything that the cloud received, in that order, and the same as a set.
    taken: Vec<u64>,
    has: BTreeSet<u64>,
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
    fn acknowledge(&mut self, number: u64) {
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

    fn take(&mut self, number: u64) {
        self.taken.push(number);
        self.has.insert(number);
    }
}

pub fn queue(flash: &Flash, limits: QueueLimits) -> Queue {
    Queue::new(Records::new(std::sync::Arc::new(flash.clone()), "pk", "dk", "0123456789abcdef"), limits)
}

impl World {
    /// As the client does it: the storage comes first, then the session.
    pub fn publish_durable(&mut self, count: u64, until_reply: bool, size: usize) -> Result<()> {
        let numbers = self.ledger.next..self.ledger.next + count;
        self.ledger.next += count;
        let messages: Vec<Request> = numbers.clone().map(|number| message(number, until_reply, size)).collect();
        messages.iter().try_for_each(Request::check)?;
        let drops = self.limits.drop_oldest;
        let before = if drops { self.pages() } else { BTreeSet::new() };
        let opened = self.queue.open();
        let result = match &opened {
            Ok(_) => self.queue.append(&messages),
            Err(error) => Err(error.clone()),
        };
        let dropped = self.queue.take_dropped();
        // The dropped messages are removed even if the process ends before it tells.
        if drops {
            let after = self.pages();
            let Ledger { accepted, gone, .. } = &mut self.ledger;
            for page in before.difference(&after) {
                // The page may be a later part of a large message. The message is then the last one that begins at the
                // page or before it.
                let message = accepted.range(..=outbox::token(*page, 255)).next_back();
                gone.extend(message.map(|(token, _)| page_of(*token)));
            }
        }
        if self.flash.cells().dead {
            self.die();
            return Err(Error::new(Status::ENOS_ERR_STORAGE, "the process is gone"));
        }
        let now = self.now();
        if let (Ok(opened), false) = (opened, self.session.outbox_is_open()) {
            self.session.handle(now, Input::OutboxOpened(Ok(opened)));
        }
        for gone in dropped {
            self.session.outbox_dropped(now, gone.page, gone.next, &gone.labels);
        }
        self.tell_dropped_dead();
        let taken = match result {
            Ok(taken) => taken,
            Err(error) => {
                if error.status == Status::ENOS_ERR_QUEUE_FULL {
                    self.session.outbox_full();
                    self.ledger.refused += count;
                }
                self.perform();
                return Err(error.into());
            }
        };
        let online = self.session.state() == State::Online;
        let link = online.then_some((self.ledger.life, self.session.connection.attempt));
        for (index, number) in numbers.enumerate() {
            let token = outbox::token(taken.page, index);
            if self.ledger.accepted.insert(token, Accepted { number, link, until_reply }).is_some() {
                self.violate(format!("token {token} was given out twice"));
            }
        }
        self.session.appended(now, taken.page, taken.next, taken.after, messages, &[]);
        self.perform();
        Ok(())
    }

    pub(super) fn outbox_action(&mut self, action: Action) -> Option<Input> {
        let answer = match action {
            Action::OpenOutbox => Some(Input::OutboxOpened(self.queue.open())),
            Action::ReadPage { page, last_try } => {
                Some(Input::PageRead { page, result: self.queue.read(page, last_try) })
            }
            Action::FinishPages { through, after } => {
                let result = self.queue.finish(through, after);
                Some(Input::PagesFinished { through, result: result.map(|()| self.queue.held()) })
            }
            Action::StoreDeadLetter { token, code, message } => {
                let result = self.queue.store_dead_letter(token, code, &message);
                Some(Input::DeadLetterStored { token, result })
            }
            Action::StoreSuspect(suspect) => {
                let _ = self.queue.suspect(suspect);
                None
            }
            _ => None,
        };
        if self.flash.cells().dead {
            self.die();
            return None;
        }
        self.tell_dropped_dead();
        answer
    }

    fn tell_dropped_dead(&mut self) {
        let tokens = self.queue.take_dropped_dead();
        self.session.dead_letters_dropped(tokens);
    }

    /// A message of the outbox reaches the cloud on this link.
    pub(super) fn durable_arrives(&mut self, attempt: u64, token: u64, number: u64, topic: &str, id: Option<String>) {
        // A forged acknowledgement completes a message: the session cannot know better.
        let forged = self.wire.as_ref().is_some_and(|wire| wire.is_forged);
        if forged {
            self.ledger.excused.insert(number);
            self.ledger.forged.insert(number);
        }
        if is_deadly(number) && self.rates.deadly > 0 {
            let after = self.rng.u64(0..20);
            return self.later(after, Due::Link(attempt, lost("a fault of the broker's")));
        }
        self.check_lateness(attempt, number, topic);
        let lost = self.happens(self.rates.ack_lost);
        if !lost {
            self.ledger.acknowledge(number);
            self.later(1, Due::Link(attempt, LinkEvent::Delivered { token }));
        }
        let Some(id) = id else {
            if !forged {
                self.ledger.take(number);
            }
            if topic.ends_with("/up_raw") {
                self.request_arrives(attempt, 0, topic, format!("n/{number}").as_bytes());
            }
            return;
        };
        let code = match () {
            _ if is_poison(number) && self.rates.poison > 0 => 1206,
            _ if self.happens(self.rates.busy) => [429, 500, 503][self.rng.usize(..3)],
            _ => 200,
        };
        if code == 200 && !forged {
            self.ledger.take(number);
        }
        let mute = is_mute(number) && self.rates.mute > 0;
        if !mute && !self.happens(self.rates.no_reply) {
            // It passes by its reply alone, if the acknowledgement was lost.
            if matches!(code, 200 | 1206) {
                self.ledger.acknowledge(number);
            }
            let payload = format!(r#"{{"id":"{id}","code":{code}}}"#).into_bytes().into();
            let topic = format!("{topic}_reply").into_bytes();
            let delay = self.rng.u64(0..300);
            self.later(delay, Due::Link(attempt, LinkEvent::Message { topic, payload, qos: 0, retained: false }));
        }
    }

    /// Late data is sent to the resume topic, and live data is not.
    fn check_lateness(&mut self, attempt: u64, number: u64, topic: &str) {
        let accepted = self.ledger.accepted.values().rev().find(|accepted| accepted.number == number);
        let Some(accepted) = accepted.filter(|accepted| accepted.until_reply) else { return };
        let late = accepted.link != Some((self.ledger.life, attempt));
        let can_be_late = topic.contains("/measurepoint/");
        if can_be_late && late != topic.ends_with("/resume") {
            self.violate(format!("number {number}, late: {late}, went to {topic}"));
        }
    }

    pub(super) fn durable_told(&mut self, event: &Event) {
        let token = event.token;
        // The message of this dead letter has had its outcome before.
        if event.kind == EventKind::DeadLetterDropped {
            return;
        }
        let Some(accepted) = self.ledger.accepted.get(&token) else {
            // The acceptance of the message has failed, but it was stored all the same.
            return;
        };
        let number = accepted.number;
        // If a page cannot be read, one event stands for all messages in it.
        let stands_for_others = event.status == Status::ENOS_ERR_STORAGE && self.ledger.is_dropped(number);
        let told = self.ledger.told.insert(token, self.ledger.life);
        if told == Some(self.ledger.life) && !stands_for_others {
            self.violate(format!("number {number} has a second outcome: {:?}", event.status));
        }
        match event.status {
            Status::ENOS_OK if !self.ledger.has.contains(&number) && !self.ledger.forged.contains(&number) => {
                self.violate(format!("number {number} is told to be through, and the cloud does not have it"));
            }
            Status::ENOS_OK => {}
            Status::ENOS_ERR_DEAD_LETTER | Status::ENOS_ERR_QUEUE_FULL => {
                self.ledger.excused.insert(number);
                if event.status == Status::ENOS_ERR_DEAD_LETTER {
                    self.check_blame(number, event);
                }
            }
            Status::ENOS_ERR_STORAGE => {
                self.excuse(token);
                // Or an erase that made room has reported a failure, but has removed the page, or a part of it.
                let dropped = self.ledger.gone.contains(&page_of(token));
                let unreadable = event.detail.contains("does not answer");
                if self.flash.cells().garbled.is_empty() && !dropped && !unreadable {
                    self.violate(format!("number {number} is told to be lost: {}", event.detail));
                }
            }
            other => self.violate(format!("number {number} came to {other:?}: {}", event.detail)),
        }
    }

    /// A message becomes a dead letter only because of its own failures.
    fn check_blame(&mut self, number: u64, event: &Event) {
        let (sent, behind) = self.ledger.sent.get(&number).copied().unwrap_or_default();
        // By chance any message may fail this often, even right after others that the cloud receives.
        let proven = sent >= 8 && behind >= 3;
        let guilty = match event.detail_code {
            0 | 429 | 500 | 503 => proven && event.detail.contains("right after another one had passed"),
            1206 => is_poison(number),
            _ => false,
        };
        if !guilty {
            self.violate(format!(
                "number {number}, sent {sent} times, {behind} of them behind another, is a dead letter: {}",
                event.detail
            ));
        }
    }

    fn pages(&self) -> BTreeSet<u64> {
        let cells = self.flash.cells();
        cells.values.keys().filter_map(|key| key.strip_prefix("out.")?.split('.').next()?.parse().ok()).collect()
    }

    /// Excuses all messages of the page that begins with this token.
    fn excuse(&mut self, token: u64) {
        let Ledger { accepted, told, excused, life, .. } = &mut self.ledger;
        for (token, accepted) in accepted.range(token..=token | 0xFF) {
            told.insert(*token, *life);
            excused.insert(accepted.number);
        }
    }

    pub(super) fn next_life(&mut self) {
        self.ledger.life += 1;
        self.flash.cells().dead = false;
        self.queue = queue(&self.flash, self.limits);
    }

    /// The cloud has received every accepted message, in order, or the host knows what else has happened to it.
    pub fn check_durable(&mut self) {
        let pages = self.ledger.gone.clone();
        let gone = |token: &u64| pages.contains(&page_of(*token));
        let untold: Vec<u64> = self
            .ledger
            .accepted
            .iter()
            .filter(|(token, _)| !self.ledger.told.contains_key(token) && !gone(token))
            .map(|(_, accepted)| accepted.number)
            .collect();
        if !untold.is_empty() {
            self.violate(format!("accepted, and never told of again: {untold:?}"));
        }
        let wanted: Vec<u64> = self
            .ledger
            .accepted
            .iter()
            .filter(|(token, accepted)| !self.ledger.excused.contains(&accepted.number) && !gone(token))
            .map(|(_, accepted)| accepted.number)
            .collect();
        let mut taken = self.ledger.taken.iter();
        let missing = wanted.iter().find(|number| !taken.any(|taken| taken == *number));
        if let Some(number) = missing {
            let words = match self.ledger.has.contains(number) {
                true => "was taken out of order",
                false => "was lost",
            };
            self.violate(format!("number {number} {words}; taken: {:?}", self.ledger.taken));
        }
    }

    pub fn through(&self) -> usize {
        self.ledger.told.len()
    }
}

fn page_of(token: u64) -> u64 {
    (token & !(1 << 62)) >> 8
}

/// Makes a message. The number is in the topic, or among the measure points.
fn message(number: u64, until_reply: bool, size: usize) -> Request {
    let padding = "x".repeat(size);
    let (operation, name, params) = match until_reply {
        true if number % 3 == 1 => (
            Operation::ENOS_OP_EVENT_POST,
            "e".to_owned(),
            format!(r#"{{"events":{{"n":{number},"x":"{padding}"}},"time":1700000000000}}"#),
        ),
        false if number % 5 == 2 => (Operation::ENOS_OP_RAW_UP, String::new(), format!("n/{number}\n{padding}")),
        true => (
            Operation::ENOS_OP_MEASUREPOINT_POST,
            String::new(),
            format!(r#"{{"measurepoints":{{"n":{number},"x":"{padding}"}},"time":1700000000000}}"#),
        ),
        false => (Operation::ENOS_OP_PUBLISH, format!("/n/{number}"), padding),
    };
    let resume = operation == Operation::ENOS_OP_MEASUREPOINT_POST;
    Request { operation, name, params: params.into(), until_reply, resume, time: PostTime::Own, members: 0 }
}

/// The number of a message of the outbox, and its id if it is a post. Large messages are not parsed, because that would
/// take too long.
pub fn number(topic: &str, payload: &[u8]) -> Option<(u64, Option<String>)> {
    if let Some(number) = topic.strip_prefix("/n/") {
        return Some((number.parse().ok()?, None));
    }
    let head = String::from_utf8_lossy(payload.get(..payload.len().min(200))?);
    if topic.ends_with("/up_raw") {
        let number = head.strip_prefix("n/")?.split('\n').next()?;
        return Some((number.parse().ok()?, None));
    }
    let id = head.strip_prefix("{\"id\":\"")?.split('"').next()?;
    let number = head.split("\"n\":").nth(1)?.split(',').next()?;
    Some((number.parse().ok()?, Some(id.to_owned())))
}
