//! The outbox and the queue in the host's storage: reading pages, removing what is completed, storing dead letters.

use std::collections::VecDeque;

use super::window::{Answer, Batch, InFlight, State};
use super::{Around, Outbox, AGAIN_MIN_MS, READS, WINDOW_BYTES};
use crate::error::Status;
use crate::model::storage::StorageError;
use crate::protocol::outbox::{self, Label, Message, OutboxEnds, PageFound};
use crate::protocol::Totals;
use crate::session::durable::Appended;
use crate::session::event::{Event, EventKind};
use crate::session::io::{Action, Done, Task};

/// What the outcome of each message of a page says of it, or `None` if the message was removed before. Or why the page
/// cannot be read.
pub type Labels = Result<Vec<Option<Label>>, String>;

/// Where a message is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Waiting,
    /// It is completed, or never existed.
    Through,
    /// It is being stored as a dead letter.
    Leaving,
}

impl Outbox {
    /// The queue has done a task.
    pub fn done(&mut self, done: Done, around: &mut Around) {
        match done {
            Done::Opened(Ok(ends)) => self.opened(ends, around),
            Done::Opened(Err(failure)) => {
                self.opening = false;
                self.storage_failed(failure, around);
            }
            Done::PageRead { page, result } => self.page_read(page, result, around),
            Done::PagesFinished { through, result } => self.pages_finished(through, result, around),
            Done::DeadLetterStored { token, result } => self.dead_letter_stored(token, result, around),
        }
    }

    pub(super) fn opened(&mut self, ends: OutboxEnds, around: &mut Around) {
        self.opening = false;
        if self.ends.is_none() {
            if let Some(words) = ends.lost {
                let event = Event::new(EventKind::OutboxFailed, Status::ENOS_ERR_STORAGE, words);
                self.emit(event, around.actions);
            }
            self.ends = Some((ends.head, ends.tail));
            self.live_from = ends.tail;
            if self.deleted_before == u64::MAX {
                self.deleted_before = ends.tail;
            }
            self.doubt.restore(ends.suspect);
        }
    }

    /// Messages were accepted and stored. If they can be sent at once, they need not be read.
    pub fn appended(&mut self, appended: Appended) {
        let Appended { page, next, after, messages, users } = appended;
        self.note_newest(page, &messages);
        for (index, user) in users.iter().enumerate().filter(|(_, user)| **user != 0) {
            self.users.insert(outbox::token(page, index), *user);
        }
        let Some((next_read, tail)) = &mut self.ends else { return };
        *tail = next;
        let bytes: usize = messages.iter().map(|message| message.size()).sum();
        let fits =
            self.window.len() + messages.len() <= self.settings.window && self.window.bytes() + bytes <= WINDOW_BYTES;
        // Many sub-devices can be offline for long, and the memory is limited.
        let is_kept = self.subdevice == 0 || self.online;
        if *next_read == page && fits && is_kept {
            *next_read = next;
            self.take(page, next, after, messages.into_iter().map(Message::Request).map(Some).collect());
        }
    }

    fn take(&mut self, page: u64, next: u64, after: Totals, messages: Vec<Option<Message>>) {
        self.last_after = after;
        self.batches.push_back(Batch { next, after, left: messages.iter().flatten().count() });
        for (index, message) in messages.into_iter().enumerate() {
            let token = outbox::token(page, index);
            let user = self.users.remove(&token).unwrap_or_default();
            if let Some(message) = message {
                self.window.push(InFlight { user, ..InFlight::new(token, page, message) });
            }
        }
    }

    /// Whether the host can drop a message, and sees it in the list.
    pub fn place(&self, token: u64) -> Place {
        let page = outbox::place(token).map_or(0, |(page, _)| page);
        match (self.ends, self.window.find_token(token)) {
            (_, Some(in_flight)) if matches!(in_flight.state, State::Leaving(_)) => Place::Leaving,
            (_, Some(in_flight)) if !in_flight.told => Place::Waiting,
            (Some((next_read, tail)), None) if (next_read..tail).contains(&page) => Place::Waiting,
            _ => Place::Through,
        }
    }

    /// The host has dropped a message, which has no event.
    pub fn forget(&mut self, token: u64, around: &mut Around) {
        if self.window.stepped_aside() > 0 {
            self.end_trial(around);
        }
        self.read_is_stale = true;
        self.users.remove(&token);
        if let Some(in_flight) = self.window.remove(token) {
            if let State::Sent { entry, .. } = in_flight.state {
                around.exchange.forget(entry);
            }
            self.leave_batch(in_flight.page);
        }
    }

    /// What these pages hold cannot be read any more. The host gets back what it has given with each message. The event
    /// with the first token is for all messages with which it has given nothing.
    fn lose(&mut self, page: u64, next: u64, words: &str, actions: &mut VecDeque<Action>) {
        let words = format!("what was accepted with this token cannot be read any more: {words}");
        let first = outbox::token(page, 0);
        let mut users: Vec<_> = self.users.remove_range(first..outbox::token(next, 0)).collect();
        if users.first().is_none_or(|(token, _)| *token != first) {
            users.insert(0, (first, 0));
        }
        for (token, user) in users {
            let event = Event::new(EventKind::Delivered, Status::ENOS_ERR_STORAGE, words.as_str());
            let event = event.token(outbox::token_of(self.subdevice, token));
            self.emit(Event { user, ..event }, actions);
        }
    }

    /// The queue was full, and a message was refused.
    pub fn refused(&mut self) {
        self.full = true;
    }

    /// The oldest page was removed to make room.
    pub fn dropped(&mut self, page: u64, next: u64, labels: &Labels, around: &mut Around) {
        let drop_one = |outbox: &Outbox, who, actions: &mut VecDeque<Action>| {
            let answer = Answer::words("the outbox was full, and this was among the oldest messages in it");
            outbox.tell(who, Status::ENOS_ERR_QUEUE_FULL, answer, actions);
        };
        let Some((next_read, _)) = self.ends else { return };
        match labels {
            // Its messages are in memory.
            _ if page < next_read => {}
            Ok(labels) => {
                for (index, label) in labels.iter().enumerate() {
                    let token = outbox::token(page, index);
                    let user = self.users.remove(&token).unwrap_or_default();
                    if let Some(label) = label {
                        drop_one(self, (token, *label, user), around.actions);
                    }
                }
            }
            Err(words) => self.lose(page, next, words, around.actions),
        }
        if self.window.stepped_aside() > 0 {
            self.end_trial(around);
        }
        while self.window.front().is_some_and(|in_flight| in_flight.page < next) {
            let Some(in_flight) = self.window.pop() else { break };
            if let State::Sent { entry, .. } = in_flight.state {
                around.exchange.forget(entry);
            }
            if !in_flight.told {
                drop_one(self, in_flight.who(), around.actions);
            }
        }
        while self.batches.front().is_some_and(|batch| batch.next <= next) {
            self.batches.pop_front();
        }
        self.ends = self.ends.map(|(next_read, tail)| (next_read.max(next), tail));
    }

    pub(super) fn page_read(&mut self, page: u64, result: Result<PageFound, StorageError>, around: &mut Around) {
        self.busy = false;
        let Some((next_read, _)) = &mut self.ends else { return };
        let found = match result {
            _ if *next_read != page => return,
            // The host has dropped a message meanwhile, so the page is read again.
            Ok(PageFound::Messages { .. }) if self.read_is_stale => return,
            Err(failure) => {
                self.read_failures += 1;
                return self.storage_failed(failure, around);
            }
            Ok(found) => found,
        };
        self.read_failures = 0;
        self.storage_backoff.reset();
        match found {
            PageFound::Messages { next, after, messages } => {
                *next_read = next;
                self.take(page, next, after, messages);
            }
            PageFound::Nothing { next } => {
                *next_read = next;
                self.take(page, next, self.last_after, Vec::new());
            }
            PageFound::Lost { next, words } => {
                *next_read = next;
                self.take(page, next, self.last_after, Vec::new());
                self.lose(page, next, &words, around.actions);
            }
        }
    }

    /// Completed pages were removed. `held`: what the queue still holds.
    pub(super) fn pages_finished(&mut self, through: u64, result: Result<Totals, StorageError>, around: &mut Around) {
        self.busy = false;
        match result {
            Err(failure) => self.storage_failed(failure, around),
            Ok(held) => {
                self.storage_backoff.reset();
                if self.completed.is_some_and(|(finished, _)| finished <= through) {
                    self.completed = None;
                }
                self.tell_room(held, around);
            }
        }
    }

    /// Tells the host once after a refusal that there is room again.
    pub fn tell_room(&mut self, held: Totals, around: &mut Around) {
        let limits = self.settings.limits;
        let roomy = |held: u64, limit: u64| held <= limit - limit.div_ceil(8);
        if self.full && roomy(held.messages, limits.messages) && roomy(held.bytes, limits.bytes) {
            self.full = false;
            let words = "the outbox takes messages again";
            self.emit(Event::new(EventKind::Room, Status::ENOS_OK, words), around.actions);
        }
    }

    pub(super) fn dead_letter_stored(&mut self, token: u64, result: Result<(), StorageError>, around: &mut Around) {
        self.busy = false;
        let Some(in_flight) = self.window.front_mut().filter(|in_flight| in_flight.token == token) else { return };
        let State::Leaving(answer) = &mut in_flight.state else { return };
        let answer = std::mem::take(answer);
        match result {
            Err(failure) => {
                in_flight.state = State::Refused(answer);
                self.storage_failed(failure, around);
            }
            Ok(()) => {
                self.storage_backoff.reset();
                if let Some(in_flight) = self.window.pop() {
                    self.tell(in_flight.who(), Status::ENOS_ERR_DEAD_LETTER, answer, around.actions);
                    self.leave_batch(in_flight.page);
                }
            }
        }
    }

    fn storage_failed(&mut self, failure: StorageError, around: &mut Around) {
        let wait = self.storage_backoff.next(around.rng).max(AGAIN_MIN_MS);
        self.storage_at = Some(around.now.saturating_add(wait));
        let words = format!("{}; what is in the outbox waits for its storage", failure.message);
        let event = Event::new(EventKind::OutboxFailed, Status::ENOS_ERR_STORAGE, words);
        self.emit(event.code(failure.code).retry_in(wait), around.actions);
    }

    pub(super) fn work_on_storage(&mut self, tidy: bool, around: &mut Around) {
        if self.busy || self.storage_at.is_some() {
            return;
        }
        let Some((next_read, tail)) = self.ends else {
            if self.wants_to_open() && std::mem::take(&mut around.line.may_open) {
                self.opening = true;
                self.ask(Task::Open, around.actions);
            }
            return;
        };
        let task = if let Some((token, code, message)) = self.leave() {
            Task::StoreDeadLetter { token, code, message }
        } else if let (true, Some((through, after))) = (tidy, self.completed) {
            Task::FinishPages { through, after }
        } else if (self.online || next_read < self.deleted_before)
            && next_read < tail
            && self.has_room_to_read(around.wall_ms)
        {
            self.read_is_stale = false;
            Task::ReadPage { page: next_read, last_try: self.read_failures >= READS }
        } else {
            return;
        };
        self.busy = true;
        self.ask(task, around.actions);
    }

    /// The queue is not open, and has to be.
    pub fn wants_to_open(&self) -> bool {
        let is_wanted = self.online || self.deleted_before > 0;
        self.ends.is_none() && is_wanted && !self.opening && self.storage_at.is_none()
    }

    /// What waits can never succeed, and becomes dead letters.
    pub fn delete_all(&mut self) {
        self.deleted_before = self.ends.map_or(u64::MAX, |(_, tail)| tail);
    }

    pub(super) fn refuse_deleted(&mut self) {
        while self.window.sent().0 == 0 && self.window.stepped_aside() == 0 {
            let Some(front) = self.window.front().filter(|front| front.page < self.deleted_before) else { return };
            let refused = State::Refused(Answer::words("the sub-device was deleted in EnOS"));
            self.window.advance(if front.told { State::Completed } else { refused });
            self.settle();
        }
    }

    /// The first message, if it is to become a dead letter.
    fn leave(&mut self) -> Option<(u64, i32, Message)> {
        let in_flight = self.window.front_mut()?;
        let State::Refused(answer) = &mut in_flight.state else { return None };
        let (code, answer) = (answer.code, std::mem::take(answer));
        in_flight.state = State::Leaving(answer);
        Some((in_flight.token, code, in_flight.message.clone()))
    }

    fn has_room_to_read(&self, wall_ms: u64) -> bool {
        if self.wants_others(wall_ms) {
            return true;
        }
        self.window.all_sent()
            && self.window.len() < self.settings.window
            && self.window.bytes() < WINDOW_BYTES
            && self.batches.len() <= self.settings.window
    }

    pub(super) fn complete_batches(&mut self) {
        while self.batches.front().is_some_and(|batch| batch.left == 0) {
            self.completed = self.batches.pop_front().map(|batch| (batch.next, batch.after));
        }
    }

    /// A message has left the queue.
    pub(super) fn leave_batch(&mut self, page: u64) {
        if let Some(batch) = self.batches.iter_mut().find(|batch| page < batch.next) {
            batch.left -= 1;
        }
        self.complete_batches();
    }
}
