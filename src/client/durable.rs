//! Durable messages, which are in the host's storage when the call returns.
//!
//! The queue's lock, like the storage's own lock, is held during the host's storage callbacks. No other lock is held
//! then. Calls that do not need the storage do not wait for it, because the state of the queue is copied after each
//! use. The queue's lock is taken before the session's lock.

use std::sync::{MutexGuard, PoisonError};

use super::{broken, check_backlog, now, Client};
use crate::error::{Error, Result, Status};
use crate::log;
use crate::model::storage::StorageError;
use crate::protocol::outbox::{self, Message, OutboxEnds, PageFound, MAX_TOGETHER};
use crate::protocol::{Request, Suspect, Totals};
use crate::session::{Input, Place, Session};
use crate::storage::queue::{Counts, DeadLetter, Queue};

impl Client {
    /// Accepts the messages, all or none: each is [checked](Request::check). When this returns, they are in the host's
    /// storage. `accepted` gets the token of each, in order, before any event of them can be delivered. `users`: what
    /// comes back in the outcome of each.
    pub fn publish_durable(
        &self,
        messages: Vec<Request>,
        users: &[usize],
        accepted: &mut dyn FnMut(u64),
    ) -> Result<()> {
        if messages.is_empty() || messages.len() > MAX_TOGETHER {
            return Err(Error::invalid(format!("count is {}; it can be 1 to {MAX_TOGETHER}", messages.len())));
        }
        // Messages that are removed to make room cause events, which wait for the loop.
        check_backlog(&*self.session()?)?;
        let mut queue = self.queue()?;
        let opened = queue.open()?;
        self.note(&mut queue);
        let result = queue.append(&messages);
        self.note(&mut queue);
        let dropped = queue.take_dropped();
        let mut session = self.session()?;
        tell_opened(&mut session, opened);
        for gone in dropped {
            session.outbox_dropped(now(), gone.page, gone.next, &gone.labels);
        }
        let result = result.map(|taken| {
            (0..messages.len()).for_each(|index| accepted(outbox::token(taken.page, index)));
            session.appended(now(), taken.page, taken.next, taken.after, messages, users);
        });
        if result.as_ref().is_err_and(|error| error.status == Status::ENOS_ERR_QUEUE_FULL) {
            session.outbox_full();
        }
        drop(session);
        self.waker.notify();
        Ok(result?)
    }

    /// The state of the outbox. Only the first use of it waits for the storage.
    pub fn outbox(&self) -> Result<Counts> {
        drop(self.session()?);
        let noted = *self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        match noted {
            Some(counts) => Ok(counts),
            None => Ok(self.opened_queue()?.counts().unwrap_or_default()),
        }
    }

    /// Shows the waiting messages in order until `look` returns false. `None` stands for a message that this version
    /// cannot read.
    pub fn each_waiting(&self, look: &mut dyn FnMut(u64, Option<&Request>) -> bool) -> Result<()> {
        let mut page = 0;
        loop {
            let mut queue = self.opened_queue()?;
            let opened = queue.open()?;
            page = opened.head.max(page);
            if page >= opened.tail {
                return Ok(());
            }
            let found = queue.peek(page)?;
            drop(queue);
            let (next, messages) = match found {
                PageFound::Messages { next, messages, .. } => (next, messages),
                PageFound::Nothing { next } | PageFound::Lost { next, .. } => (next, Vec::new()),
            };
            for (index, message) in messages.iter().enumerate() {
                let token = outbox::token(page, index);
                let waits = self.session()?.place(token) != Place::Through;
                if message.as_ref().is_some_and(|message| waits && !look(token, message.request())) {
                    return Ok(());
                }
            }
            page = next;
        }
    }

    /// Shows the dead letters, the oldest first, until `look` returns false.
    pub fn each_dead_letter(&self, look: &mut dyn FnMut(&DeadLetter) -> bool) -> Result<()> {
        let mut numbers = self.opened_queue()?.dead_letters();
        while let Some(number) = numbers.next() {
            let queue = self.queue()?;
            // Dead letters may have been removed meanwhile. Those are skipped.
            numbers.start = numbers.start.max(queue.dead_letters().start.min(numbers.end));
            let letter = queue.dead_letter(number)?;
            drop(queue);
            if letter.is_some_and(|letter| !look(&letter)) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Removes a waiting message or a dead letter. A waiting message then has no event.
    pub fn drop_durable(&self, token: u64) -> Result<()> {
        let mut queue = self.opened_queue()?;
        let place = self.session()?.place(token);
        if place == Place::Leaving {
            let words = "the message is becoming a dead letter at this moment; drop it when its event has come";
            return Err(Error::new(Status::ENOS_ERR_STATE, words));
        }
        let waited = place == Place::Waiting && queue.drop_waiting(token)?;
        let dropped = waited || queue.drop_dead_letter(token)?;
        self.note(&mut queue);
        if waited {
            self.session()?.forget_durable(now(), token, queue.head(), queue.held());
            drop(queue);
            self.waker.notify();
            self.tell_waiters();
        }
        match dropped {
            true => Ok(()),
            false => Err(Error::new(Status::ENOS_ERR_NOT_FOUND, format!("no message in the outbox has token {token}"))),
        }
    }

    /// Returns the queue if there is a storage. If this opens the queue, the session learns its state.
    fn opened_queue(&self) -> Result<MutexGuard<'_, Queue>> {
        let mut queue = self.queue()?;
        let opened = queue.open()?;
        self.note(&mut queue);
        tell_opened(&mut *self.session()?, opened);
        Ok(queue)
    }

    /// Copies the state of the queue for those who must not wait for it, and tells the host what was removed.
    fn note(&self, queue: &mut Queue) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner) = queue.counts();
        let dropped = queue.take_dropped_dead();
        if let (false, Ok(mut session)) = (dropped.is_empty(), self.session()) {
            session.dead_letters_dropped(dropped);
        }
    }

    /// Opens the queue, so that [`Session::is_flushed`] knows its state.
    pub(super) fn look_at_outbox(&self) -> Result<()> {
        match self.queue {
            Some(_) if !self.session()?.outbox_is_open() => self.opened_queue().map(drop),
            _ => Ok(()),
        }
    }

    fn queue(&self) -> Result<MutexGuard<'_, Queue>> {
        drop(self.session()?);
        let Some(queue) = &self.queue else {
            return Err(Error::new(
                Status::ENOS_ERR_STATE,
                "a durable message needs a storage to be kept in: enos_config_set_storage()",
            ));
        };
        queue.lock().map_err(|_| broken())
    }

    pub(super) fn open_outbox(&self) -> Input {
        Input::OutboxOpened(self.with_queue(|queue| queue.open()))
    }

    pub(super) fn read_page(&self, page: u64, last_try: bool) -> Input {
        Input::PageRead { page, result: self.with_queue(|queue| queue.read(page, last_try)) }
    }

    pub(super) fn finish_pages(&self, through: u64, after: Totals) -> Input {
        let result = self.with_queue(|queue| queue.finish(through, after).map(|()| queue.held()));
        Input::PagesFinished { through, result }
    }

    pub(super) fn store_dead_letter(&self, token: u64, code: i32, message: &Message) -> Input {
        let keep = |queue: &mut Queue| match self.session()?.place(token) {
            Place::Leaving => queue.store_dead_letter(token, code, message),
            // While another thread used the queue, the host has dropped the message, or it was removed to make room.
            Place::Waiting | Place::Through => Ok(()),
        };
        Input::DeadLetterStored { token, result: self.with_queue(keep) }
    }

    pub(super) fn store_suspect(&self, suspect: Option<Suspect>) {
        if let Err(failure) = self.with_queue(|queue| queue.suspect(suspect)) {
            log::warn("storage", format_args!("{} (code {})", failure.message, failure.code));
        }
    }

    fn with_queue<T>(
        &self,
        call: impl FnOnce(&mut Queue) -> std::result::Result<T, StorageError>,
    ) -> std::result::Result<T, StorageError> {
        let mut queue = self.queue()?;
        let result = call(&mut queue);
        self.note(&mut queue);
        result
    }
}

fn tell_opened(session: &mut Session, opened: OutboxEnds) {
    if !session.outbox_is_open() {
        session.handle(now(), Input::OutboxOpened(Ok(opened)));
    }
}
