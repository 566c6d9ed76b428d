//! Durable messages, which are in the host's storage when the call returns.
//!
//! The lock of the queues, like the storage's own lock, is held during the host's storage callbacks. No other lock is
//! held then. Calls that do not need the storage do not wait for it, because the state of a queue is copied after each
//! use. The lock of the queues is taken before the session's lock.
//!
//! `subdevice` says whose queue it is; 0: that of the client's own device. Inside the library the token of a message is the
//! one in its queue, and the host has the one of [`outbox::token_of`].

use std::sync::{MutexGuard, PoisonError};

use super::queues::{no_subdevice, Batch, Queues};
use super::{broken, check_backlog, now, Client, DurableRequest};
use crate::error::{Error, Result, Status};
use crate::log;
use crate::model::storage::StorageError;
use crate::protocol::outbox::{self, Message, PageFound, MAX_TOGETHER};
use crate::protocol::Request;
use crate::session::{Appended, Done, Named, Place, Task};
use crate::sorted::SortedMap;
use crate::storage::queue::{Counts, DeadLetter, Queue};

/// How many pages are searched for messages that are superseded.
const SEARCHED: u64 = 512;

impl Client {
    /// The sub-device was removed. Its messages stay in the storage.
    pub(super) fn remove_queue(&self, id: u64) -> Result<()> {
        if self.queues.is_some() {
            self.queues()?.remove(id);
            self.noted().remove(&id);
        }
        Ok(())
    }

    /// Accepts the messages, all or none: each is [checked](Request::check). When this returns, they are in the host's
    /// storage. `accepted` gets the token of each, in order, before any event of them can be delivered.
    pub fn publish_durable(&self, messages: Vec<DurableRequest>, accepted: &mut dyn FnMut(u64)) -> Result<()> {
        let count = messages.len();
        if !(1..=MAX_TOGETHER).contains(&count) {
            return Err(Error::invalid(format!("count is {count}; it can be 1 to {MAX_TOGETHER}")));
        }
        // Messages that are removed to make room cause events, which wait for the loop.
        check_backlog(&*self.session()?)?;
        let mut batches = SortedMap::<u64, Batch>::new();
        for (place, DurableRequest { subdevice, request, user }) in messages.into_iter().enumerate() {
            let batch = batches.get_or_default(&subdevice);
            batch.messages.push(request);
            batch.users.push(user);
            batch.places.push(place);
        }
        let mut queues = self.queues()?;
        for id in batches.keys() {
            self.session()?.check_not_deleted(*id)?;
        }
        let mut opened = Vec::with_capacity(batches.len());
        for id in batches.keys() {
            let queue = self.queue(&mut queues, *id)?;
            opened.push((*id, queue.open()?));
            self.note(*id, queue);
        }
        let result = queues.append(&batches);
        let mut dropped = Vec::new();
        for id in batches.keys() {
            let queue = self.queue(&mut queues, *id)?;
            self.note(*id, queue);
            dropped.push((*id, queue.take_dropped(), queue.take_refused()));
        }
        let mut session = self.session()?;
        for (id, ends) in opened {
            session.outbox_opened(now(), id, ends);
        }
        for (id, dropped, is_full) in dropped {
            for gone in dropped {
                session.outbox_dropped(now(), id, gone.page, gone.next, &gone.labels);
            }
            if is_full {
                session.outbox_full(now(), id);
            }
        }
        let ids: Vec<u64> = batches.keys().copied().collect();
        let result = result.map(|taken| {
            let mut tokens = vec![0; count];
            for ((id, batch), taken) in batches.iter().zip(&taken) {
                for (index, place) in batch.places.iter().enumerate() {
                    tokens[*place] = outbox::token_of(*id, outbox::token(taken.page, index));
                }
            }
            tokens.into_iter().for_each(accepted);
            for ((id, Batch { messages, users, .. }), taken) in batches.into_iter().zip(taken) {
                let (page, next, after) = (taken.page, taken.next, taken.after);
                session.appended(now(), id, Appended { page, next, after, messages, users });
            }
        });
        let stale: Vec<_> = ids.into_iter().map(|id| (id, session.take_stale(now(), id))).collect();
        drop(session);
        for (id, (mut stale, unsearched)) in stale {
            stale.extend(self.find_superseded(&mut queues, id, &unsearched));
            stale.into_iter().for_each(|stale| self.drop_superseded(&mut queues, id, stale));
        }
        self.waker.notify();
        result
    }

    /// The waiting messages that one of these has superseded. Only the pages at the head are searched.
    fn find_superseded(&self, queues: &mut Queues, subdevice: u64, newest: &[Named]) -> Vec<Named> {
        let mut found = Vec::new();
        let Ok(queue) = self.queue(queues, subdevice) else { return found };
        let (Some((last, _)), Ok(ends)) = (newest.iter().max_by_key(|(token, _)| *token), queue.open()) else {
            return found;
        };
        let mut page = ends.head;
        while outbox::token(page, 0) < *last && page < ends.head.saturating_add(SEARCHED) {
            let Ok(PageFound::Messages { next, messages, .. }) = queue.peek(page) else { break };
            for (index, message) in messages.iter().enumerate() {
                let (token, label) = (outbox::token(page, index), message.as_ref().map(Message::label));
                let is_older = |(newest, of): &Named| Some(*of) == label && token < *newest;
                let leaves = || self.session().is_ok_and(|session| session.may_leave(subdevice, token));
                if newest.iter().any(is_older) && leaves() {
                    found.extend(label.map(|label| (token, label)));
                }
            }
            page = next;
        }
        found
    }

    /// Removes a message that a newer one has superseded. If that fails, it is left out when it is read.
    fn drop_superseded(&self, queues: &mut Queues, subdevice: u64, stale: Named) {
        let Ok(queue) = self.queue(queues, subdevice) else { return };
        let dropped = queue.drop_waiting(stale.0);
        self.note(subdevice, queue);
        match (dropped, self.session()) {
            (Ok(true), Ok(mut session)) => session.superseded(now(), subdevice, stale, queue.head(), queue.held()),
            (Err(failure), _) => log::warn("storage", format_args!("{} (code {})", failure.message, failure.code)),
            _ => {}
        }
    }

    /// The state of an outbox. Only the first use of it waits for the storage.
    pub fn outbox(&self, subdevice: u64) -> Result<Counts> {
        self.check_queue(subdevice)?;
        let noted = self.noted().get(&subdevice).copied();
        match noted {
            Some(counts) => Ok(counts),
            None => {
                let mut queues = self.opened_queues(subdevice)?;
                Ok(self.queue(&mut queues, subdevice)?.counts().unwrap_or_default())
            }
        }
    }

    /// Shows the waiting messages in order until `look` returns false. `None` stands for a message that this version
    /// cannot read.
    pub fn each_waiting(&self, subdevice: u64, look: &mut dyn FnMut(u64, Option<&Request>) -> bool) -> Result<()> {
        let mut page = 0;
        loop {
            let mut queues = self.opened_queues(subdevice)?;
            let queue = self.queue(&mut queues, subdevice)?;
            let opened = queue.open()?;
            page = opened.head.max(page);
            if page >= opened.tail {
                return Ok(());
            }
            let found = queue.peek(page)?;
            drop(queues);
            let (next, messages) = match found {
                PageFound::Messages { next, messages, .. } => (next, messages),
                PageFound::Nothing { next } | PageFound::Lost { next, .. } => (next, Vec::new()),
            };
            for (index, message) in messages.iter().enumerate() {
                let token = outbox::token(page, index);
                let waits = self.session()?.place(subdevice, token) != Place::Through;
                let token = outbox::token_of(subdevice, token);
                if message.as_ref().is_some_and(|message| waits && !look(token, message.request())) {
                    return Ok(());
                }
            }
            page = next;
        }
    }

    /// Shows the dead letters, the oldest first, until `look` returns false.
    pub fn each_dead_letter(&self, subdevice: u64, look: &mut dyn FnMut(&DeadLetter) -> bool) -> Result<()> {
        let mut queues = self.opened_queues(subdevice)?;
        let mut numbers = self.queue(&mut queues, subdevice)?.dead_letters();
        drop(queues);
        while let Some(number) = numbers.next() {
            let mut queues = self.queues()?;
            let queue = self.queue(&mut queues, subdevice)?;
            // Dead letters may have been removed meanwhile. Those are skipped.
            numbers.start = numbers.start.max(queue.dead_letters().start.min(numbers.end));
            let letter = queue.dead_letter(number)?;
            drop(queues);
            let letter = letter.map(|letter| DeadLetter { token: outbox::token_of(subdevice, letter.token), ..letter });
            if letter.is_some_and(|letter| !look(&letter)) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Removes a waiting message or a dead letter. A waiting message then has no event.
    pub fn drop_durable(&self, token: u64) -> Result<()> {
        let subdevice = outbox::queue_of(token).unwrap_or(0);
        let mut queues = self.opened_queues(subdevice)?;
        let queue = self.queue(&mut queues, subdevice)?;
        let inside = outbox::token_in(token, queue.open()?.tail);
        let place = self.session()?.place(subdevice, inside);
        if place == Place::Leaving {
            let words = "the message is becoming a dead letter at this moment; drop it when its event has come";
            return Err(Error::new(Status::ENOS_ERR_STATE, words));
        }
        let waited = place == Place::Waiting && queue.drop_waiting(inside)?;
        let dropped = waited || queue.drop_dead_letter(inside)?;
        self.note(subdevice, queue);
        if waited {
            self.session()?.forget_durable(now(), subdevice, inside, queue.head(), queue.held());
            drop(queues);
            self.waker.notify();
            self.tell_waiters();
        }
        match dropped {
            true => Ok(()),
            false => Err(Error::new(Status::ENOS_ERR_NOT_FOUND, format!("no message in the outbox has token {token}"))),
        }
    }

    /// Returns the queues if there is a storage, with this one open. If this opens it, the session learns its state.
    fn opened_queues(&self, subdevice: u64) -> Result<MutexGuard<'_, Queues>> {
        let mut queues = self.queues()?;
        let queue = self.queue(&mut queues, subdevice)?;
        let opened = queue.open()?;
        self.note(subdevice, queue);
        self.session()?.outbox_opened(now(), subdevice, opened);
        Ok(queues)
    }

    /// Copies the state of a queue for those who must not wait for it, and tells the host what was removed.
    fn note(&self, subdevice: u64, queue: &mut Queue) {
        if let Some(counts) = queue.counts() {
            self.noted().insert(subdevice, counts);
        }
        let dropped = queue.take_dropped_dead();
        if let (false, Ok(mut session)) = (dropped.is_empty(), self.session()) {
            session.dead_letters_dropped(subdevice, dropped);
        }
    }

    fn noted(&self) -> MutexGuard<'_, SortedMap<u64, Counts>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the own queue, so that the session knows whether it is flushed.
    pub(super) fn look_at_outbox(&self) -> Result<()> {
        match self.queues {
            Some(_) if !self.session()?.outbox_is_open(0) => self.opened_queues(0).map(drop),
            _ => Ok(()),
        }
    }

    /// The client has this sub-device, which can have durable messages. Without a storage there is another error, later.
    pub fn check_subdevice(&self, subdevice: u64) -> Result<()> {
        match self.queues {
            Some(_) => {
                self.check_queue(subdevice)?;
                self.session()?.check_not_deleted(subdevice)
            }
            None => Ok(()),
        }
    }

    fn check_queue(&self, subdevice: u64) -> Result<()> {
        let is_known = self.session()?.has_queue(subdevice);
        match self.queues {
            None => Err(Error::new(
                Status::ENOS_ERR_STATE,
                "a durable message needs a storage to be kept in: enos_config_set_storage()",
            )),
            Some(_) if !is_known => Err(no_subdevice(subdevice)),
            Some(_) => Ok(()),
        }
    }

    /// The queue of a device. That of a sub-device is made at its first use.
    fn queue<'a>(&self, queues: &'a mut Queues, subdevice: u64) -> Result<&'a mut Queue> {
        self.check_queue(subdevice)?;
        queues.get_or_add(subdevice, || self.session()?.subdevice_identity(subdevice))
    }

    fn queues(&self) -> Result<MutexGuard<'_, Queues>> {
        self.check_queue(0)?;
        let queues = self.queues.as_ref().ok_or_else(broken)?;
        queues.lock().map_err(|_| broken())
    }

    /// Does what the session wants of a queue. Returns the answer, if there is one.
    pub(super) fn do_task(&self, subdevice: u64, task: Task) -> Option<Done> {
        Some(match task {
            Task::Open => Done::Opened(self.with_queue(subdevice, |queue| queue.open())),
            Task::ReadPage { page, last_try } => {
                Done::PageRead { page, result: self.with_queue(subdevice, |queue| queue.read(page, last_try)) }
            }
            Task::FinishPages { through, after } => {
                let finish = |queue: &mut Queue| queue.finish(through, after).map(|()| queue.held());
                Done::PagesFinished { through, result: self.with_queue(subdevice, finish) }
            }
            Task::StoreDeadLetter { token, code, message } => {
                let keep = |queue: &mut Queue| match self.session()?.place(subdevice, token) {
                    Place::Leaving => queue.store_dead_letter(token, code, &message),
                    // While another thread used the queue, the host has dropped the message, or it was removed to make
                    // room.
                    Place::Waiting | Place::Through => Ok(()),
                };
                Done::DeadLetterStored { token, result: self.with_queue(subdevice, keep) }
            }
            Task::StoreSuspect(suspect) => {
                if let Err(failure) = self.with_queue(subdevice, |queue| queue.suspect(suspect)) {
                    log::warn("storage", format_args!("{} (code {})", failure.message, failure.code));
                }
                return None;
            }
        })
    }

    fn with_queue<T>(
        &self,
        subdevice: u64,
        call: impl FnOnce(&mut Queue) -> std::result::Result<T, StorageError>,
    ) -> std::result::Result<T, StorageError> {
        let mut queues = self.queues()?;
        let queue = self.queue(&mut queues, subdevice)?;
        let result = call(queue);
        self.note(subdevice, queue);
        result
    }
}
