//! Durable messages: the host publishes them, the cloud receives them, and the checks compare both.
//!
//! Each message has a number. The cloud receives every accepted message, or the host is told what else has happened to
//! it. The cloud receives the messages in the order in which they were accepted. Each message has one event in the life
//! of a process.

use std::collections::BTreeSet;

use super::super::lost;
use super::flash::Flash;
use super::ledger::{page_of, Accepted, Ledger};
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
    device_of(number).1 % 41 == 0
}

/// The broker closes the connection each time that this number comes. Some of these numbers follow each other.
pub fn is_deadly(number: u64) -> bool {
    device_of(number).1 % 97 < 2
}

/// EnOS never answers this number. The broker acknowledges it.
pub fn is_mute(number: u64) -> bool {
    device_of(number).1 % 89 == 7
}

/// The client's own device, and its sub-devices.
pub const DEVICES: usize = 3;

/// The device of a message, and how many it had before. The messages of all devices have different numbers.
pub fn device_of(number: u64) -> (usize, u64) {
    ((number % DEVICES as u64) as usize, number / DEVICES as u64)
}

pub fn queues(flash: &Flash, limits: QueueLimits) -> [Queue; DEVICES] {
    let storage = std::sync::Arc::new(flash.clone());
    let own = Records::new(storage, "pk", "dk", "0123456789abcdef");
    let others = ["s1", "s2"].map(|key| Queue::new(own.beside("spk", key, &format!("0123456789abcd{key}")), limits));
    let [first, second] = others;
    [Queue::new(own, limits), first, second]
}

impl World {
    /// The host publishes so many messages of each of these devices together. As the client does it: the storage comes first,
    /// then the session.
    pub fn publish_durable(&mut self, devices: &[usize], count: u64, until_reply: bool, size: usize) -> Result<()> {
        let mut batches: Vec<(usize, Vec<u64>, Vec<Request>)> = Vec::new();
        for &device in devices {
            let ledger = &mut self.ledgers[device];
            let numbers = (ledger.next..ledger.next + count).map(|nth| nth * DEVICES as u64 + device as u64);
            let numbers: Vec<u64> = numbers.collect();
            ledger.next += count;
            let messages: Vec<Request> = numbers.iter().map(|number| message(*number, until_reply, size)).collect();
            messages.iter().try_for_each(Request::check)?;
            batches.push((device, numbers, messages));
        }
        let drops = self.limits.drop_oldest;
        let before = if drops { self.pages() } else { BTreeSet::new() };
        let mut opened = Vec::new();
        let mut failure = None;
        for &device in devices {
            match self.queues[device].open() {
                Ok(ends) => opened.push((device as u64, ends)),
                Err(error) => failure = Some(error),
            }
        }
        let result = match failure {
            Some(error) => Err(error),
            None => {
                let mut all: Vec<(&mut Queue, &[Request])> = Vec::new();
                for (device, queue) in self.queues.iter_mut().enumerate() {
                    all.extend(batches.iter().find(|batch| batch.0 == device).map(|batch| (queue, &batch.2[..])));
                }
                Queue::append_to_all(&mut all)
            }
        };
        let dropped = devices.iter().map(|&at| (at, self.queues[at].take_dropped(), self.queues[at].take_refused()));
        let dropped: Vec<_> = dropped.collect();
        // The dropped messages are removed even if the process ends before it tells.
        if drops {
            let after = self.pages();
            for &(device, page) in before.difference(&after) {
                let Ledger { accepted, gone, .. } = &mut self.ledgers[device];
                // The page may be a later part of a large message. The message is then the last one that begins at the
                // page or before it.
                let message = accepted.range(..=outbox::token(page, 255)).next_back();
                gone.extend(message.map(|(token, _)| page_of(*token)));
            }
        }
        if self.flash.cells().dead {
            self.die();
            return Err(Error::new(Status::ENOS_ERR_STORAGE, "the process is gone"));
        }
        let now = self.now();
        for (id, ends) in opened {
            self.session.outbox_opened(now, id, ends);
        }
        for (device, dropped, is_full) in dropped {
            for gone in dropped {
                self.session.outbox_dropped(now, device as u64, gone.page, gone.next, &gone.labels);
            }
            if is_full {
                self.session.outbox_full(now, device as u64);
                self.ledgers[device].refused += count;
            }
        }
        self.tell_dropped_dead();
        let taken = match result {
            Ok(taken) => taken,
            Err(error) => {
                self.perform();
                return Err(error.into());
            }
        };
        batches.sort_by_key(|batch| batch.0);
        for ((device, numbers, messages), taken) in batches.into_iter().zip(taken) {
            let (life, logins) = (self.ledgers[device].life, self.ledgers[device].logins);
            let link = self.is_logged_in(device).then_some((life, self.session.connection.attempt, logins));
            for (index, number) in numbers.into_iter().enumerate() {
                let token = outbox::token(taken.page, index);
                let accepted = Accepted { number, link, until_reply };
                if self.ledgers[device].accepted.insert(token, accepted).is_some() {
                    self.violate(format!("token {token} was given out twice"));
                }
            }
            let (page, next, after) = (taken.page, taken.next, taken.after);
            self.session.appended(now, device as u64, Appended { page, next, after, messages, users: Vec::new() });
        }
        self.perform();
        Ok(())
    }

    pub(super) fn do_task(&mut self, subdevice: u64, task: Task) -> Option<Input> {
        let queue = &mut self.queues[subdevice as usize];
        let done = match task {
            Task::Open => Some(Done::Opened(queue.open())),
            Task::ReadPage { page, last_try } => Some(Done::PageRead { page, result: queue.read(page, last_try) }),
            Task::FinishPages { through, after } => {
                let result = queue.finish(through, after);
                Some(Done::PagesFinished { through, result: result.map(|()| queue.held()) })
            }
            Task::StoreDeadLetter { token, code, message } => {
                let result = queue.store_dead_letter(token, code, &message);
                Some(Done::DeadLetterStored { token, result })
            }
            Task::StoreSuspect(suspect) => {
                let _ = queue.suspect(suspect);
                None
            }
        };
        if self.flash.cells().dead {
            self.die();
            return None;
        }
        self.tell_dropped_dead();
        done.map(|done| Input::Outbox { subdevice, done })
    }

    fn tell_dropped_dead(&mut self) {
        for (id, queue) in self.queues.iter_mut().enumerate() {
            self.session.dead_letters_dropped(id as u64, queue.take_dropped_dead());
        }
    }

    /// A message of the outbox reaches the cloud on this link.
    pub(super) fn durable_arrives(&mut self, attempt: u64, token: u64, number: u64, topic: &str, id: Option<String>) {
        // A forged acknowledgement completes a message: the session cannot know better.
        let forged = self.wire.as_ref().is_some_and(|wire| wire.is_forged);
        if forged {
            self.ledger_of(number).excused.insert(number);
            self.ledger_of(number).forged.insert(number);
        }
        if is_deadly(number) && self.rates.deadly > 0 {
            let after = self.rng.u64(0..20);
            return self.later(after, Due::Link(attempt, lost("a fault of the broker's")));
        }
        let lost = self.happens(self.rates.ack_lost);
        if !lost {
            self.ledger_of(number).acknowledge(number);
            self.later(1, Due::Link(attempt, LinkEvent::Delivered { token }));
        }
        let Some(id) = id else {
            if !forged {
                self.ledger_of(number).take(number);
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
            self.ledger_of(number).take(number);
        }
        let mute = is_mute(number) && self.rates.mute > 0;
        if !mute && !self.happens(self.rates.no_reply) {
            // It passes by its reply alone, if the acknowledgement was lost.
            if matches!(code, 200 | 1206) {
                self.ledger_of(number).acknowledge(number);
            }
            let payload = format!(r#"{{"id":"{id}","code":{code}}}"#).into_bytes().into();
            let topic = format!("{topic}_reply").into_bytes();
            let delay = self.rng.u64(0..300);
            self.later(delay, Due::Link(attempt, LinkEvent::Message { topic, payload, qos: 0, retained: false }));
        }
    }

    /// Late data is sent to the resume topic, and live data is not.
    pub(super) fn check_lateness(&mut self, attempt: u64, number: u64, topic: &str) {
        let ledger = self.ledger_of(number);
        let (life, logins, all) = (ledger.life, ledger.logins, &ledger.accepted);
        let accepted = all.values().rev().find(|accepted| accepted.number == number);
        let Some(accepted) = accepted.filter(|accepted| accepted.until_reply) else { return };
        let late = accepted.link != Some((life, attempt, logins));
        let can_be_late = topic.contains("/measurepoint/");
        if can_be_late && late != topic.ends_with("/resume") {
            self.violate(format!("number {number}, late: {late}, went to {topic}"));
        }
    }

    fn ledger_of(&mut self, number: u64) -> &mut Ledger {
        &mut self.ledgers[device_of(number).0]
    }

    pub(super) fn durable_told(&mut self, event: &Event) {
        let device = outbox::queue_of(event.token).filter(|id| *id == event.subdevice && *id < DEVICES as u64);
        let Some(device) = device.map(|id| id as usize) else {
            return self.violate(format!("token {:#x} is told of sub-device {}", event.token, event.subdevice));
        };
        let ledger = &mut self.ledgers[device];
        let token = ledger.token_in(event.token);
        // The message of this dead letter has had its outcome before.
        if event.kind == EventKind::DeadLetterDropped {
            return;
        }
        let Some(accepted) = ledger.accepted.get(&token) else {
            // The acceptance of the message has failed, but it was stored all the same.
            return;
        };
        let number = accepted.number;
        // If a page cannot be read, one event stands for all messages in it.
        let stands_for_others = event.status == Status::ENOS_ERR_STORAGE && ledger.is_dropped(number);
        let told = ledger.told.insert(token, ledger.life);
        let is_told_twice = told == Some(ledger.life) && !stands_for_others;
        let is_through = ledger.has.contains(&number) || ledger.forged.contains(&number);
        if is_told_twice {
            self.violate(format!("number {number} has a second outcome: {:?}", event.status));
        }
        match event.status {
            Status::ENOS_OK if !is_through => {
                self.violate(format!("number {number} is told to be through, and the cloud does not have it"));
            }
            Status::ENOS_OK => {}
            Status::ENOS_ERR_DEAD_LETTER | Status::ENOS_ERR_QUEUE_FULL => {
                self.ledgers[device].excused.insert(number);
                if event.status == Status::ENOS_ERR_DEAD_LETTER {
                    self.check_blame(number, event);
                }
            }
            Status::ENOS_ERR_STORAGE => {
                let ledger = &mut self.ledgers[device];
                ledger.excuse(token);
                // Or an erase that made room has reported a failure, but has removed the page, or a part of it.
                let dropped = ledger.gone.contains(&page_of(token));
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
        let (sent, behind) = self.ledger_of(number).sent.get(&number).copied().unwrap_or_default();
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

    /// The pages in the storage, by device.
    fn pages(&self) -> BTreeSet<(usize, u64)> {
        let page = |key: &String| {
            let (page, digest) = key.strip_prefix("out.")?.split_once('.')?;
            let device =
                ["0123456789abcdef", "0123456789abcds1", "0123456789abcds2"].iter().position(|of| *of == digest)?;
            Some((device, page.parse().ok()?))
        };
        self.flash.cells().values.keys().filter_map(page).collect()
    }

    pub(super) fn next_life(&mut self) {
        self.ledgers.iter_mut().for_each(|ledger| ledger.life += 1);
        self.flash.cells().dead = false;
        self.queues = queues(&self.flash, self.limits);
    }

    pub fn check_durable(&mut self) {
        for device in 0..DEVICES {
            for words in self.ledgers[device].violations() {
                self.violate(format!("device {device}: {words}"));
            }
        }
    }

    pub fn through(&self) -> usize {
        self.ledgers.iter().map(|ledger| ledger.told.len()).sum()
    }
}

/// Makes a message. The number is in the topic, or among the measure points.
fn message(number: u64, until_reply: bool, size: usize) -> Request {
    let padding = "x".repeat(size);
    let nth = device_of(number).1;
    let (operation, name, params) = match until_reply {
        true if nth % 3 == 1 => (
            Operation::ENOS_OP_EVENT_POST,
            "e".to_owned(),
            format!(r#"{{"events":{{"n":{number},"x":"{padding}"}},"time":1700000000000}}"#),
        ),
        false if nth % 5 == 2 => (Operation::ENOS_OP_RAW_UP, String::new(), format!("n/{number}\n{padding}")),
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
