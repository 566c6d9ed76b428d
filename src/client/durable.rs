//! Durable messages: in the host's storage before the call returns.
//!
//! The queue's lock is held across the host's storage callbacks, as the storage's own is; nothing else is locked then,
//! and no call that could do without the storage ever waits for it. It is taken before the session's lock.

use std::sync::MutexGuard;

use super::{broken, check_backlog, now, Client};
use crate::error::{Error, Result, Status};
use crate::log;
use crate::protocol::durable::{self, MAX_TOGETHER};
use crate::protocol::{Durable, Suspect, Totals};
use crate::session::{Input, OutboxEnds, PageFound, Session, StorageFailure};
use crate::storage::queue::{Aside, Found, Opened, Queue, SLOTS};
use crate::storage::records::RecordsError;

/// How the outbox stands.
pub struct OutboxState {
    pub held: Totals,
    pub set_aside: u64,
    pub dropped: u64,
}

impl Client {
    /// Takes the messages, all or none. When this returns, they are in the host's storage. `accepted` gets the token of
    /// each, in order, before any event of them can run.
    pub fn publish_durable(&self, messages: Vec<Durable>, accepted: &mut dyn FnMut(u64)) -> Result<()> {
        if messages.is_empty() || messages.len() > MAX_TOGETHER {
            return Err(Error::invalid(format!("count is {}; it can be 1 to {MAX_TOGETHER}", messages.len())));
        }
        messages.iter().try_for_each(Durable::check)?;
        // What has to go for it leaves events, which wait for the loop.
        check_backlog(&*self.session()?)?;
        let mut queue = self.queue()?;
        let opened = queue.open()?;
        let result = queue.append(&messages);
        let dropped = queue.take_dropped();
        let mut session = self.session()?;
        tell_opened(&mut session, opened);
        for gone in dropped {
            session.outbox_dropped(now(), gone.page, gone.next, &gone.until_reply);
        }
        let result = result.map(|taken| {
            (0..messages.len()).for_each(|index| accepted(durable::token(taken.page, index)));
            session.appended(now(), taken.page, taken.next, taken.after, messages);
        });
        if result.as_ref().is_err_and(|error| error.status == Status::ENOS_ERR_QUEUE_FULL) {
            session.outbox_full();
        }
        drop(session);
        self.waker.notify();
        Ok(result?)
    }

    pub fn outbox(&self) -> Result<OutboxState> {
        let queue = self.opened_queue()?;
        Ok(OutboxState { held: queue.held(), set_aside: queue.set_aside_ever(), dropped: queue.dropped_ever() })
    }

    /// Shows what was set aside, the storage's slots in turn; what `look` returns true for is removed.
    pub fn asides(&self, look: &mut dyn FnMut(&Aside) -> bool) -> Result<()> {
        for slot in 0..SLOTS as u8 {
            let Some(aside) = self.queue()?.aside(slot)? else { continue };
            if look(&aside) {
                let mut queue = self.queue()?;
                // Another may have taken its place meanwhile.
                if queue.aside(slot)?.is_some_and(|now| now.token == aside.token) {
                    queue.erase_aside(slot)?;
                }
            }
        }
        Ok(())
    }

    /// With a storage: the queue, and the session knows where it stands.
    fn opened_queue(&self) -> Result<MutexGuard<'_, Queue>> {
        let mut queue = self.queue()?;
        let opened = queue.open()?;
        tell_opened(&mut *self.session()?, opened);
        Ok(queue)
    }

    /// So that [`Session::is_flushed`] knows.
    pub(super) fn look_at_outbox(&self) -> Result<()> {
        match self.queue {
            Some(_) => self.opened_queue().map(drop),
            None => Ok(()),
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
        Input::OutboxOpened(self.with_queue(|queue| queue.open().map(ends)))
    }

    pub(super) fn read_page(&self, page: u64, last_try: bool) -> Input {
        Input::PageRead { page, result: self.with_queue(|queue| queue.read(page, last_try).map(found)) }
    }

    pub(super) fn finish_pages(&self, through: u64, after: Totals) -> Input {
        let result = self.with_queue(|queue| queue.finish(through, after).map(|()| queue.held()));
        Input::PagesFinished { through, result }
    }

    pub(super) fn set_aside(&self, token: u64, code: i32, message: &Durable) -> Input {
        Input::SetAside { token, result: self.with_queue(|queue| queue.set_aside(token, code, message)) }
    }

    pub(super) fn store_suspect(&self, suspect: Option<Suspect>) {
        if let Err(failure) = self.with_queue(|queue| queue.suspect(suspect)) {
            log::warn("storage", format_args!("{} (code {})", failure.message, failure.code));
        }
    }

    fn with_queue<T>(
        &self,
        call: impl FnOnce(&mut Queue) -> std::result::Result<T, RecordsError>,
    ) -> std::result::Result<T, StorageFailure> {
        let mut queue = self.queue().map_err(|error| StorageFailure { code: 0, message: error.message })?;
        call(&mut queue).map_err(|error| StorageFailure { code: error.code, message: error.message })
    }
}

fn tell_opened(session: &mut Session, opened: Opened) {
    if !session.outbox_is_open() {
        session.handle(now(), Input::OutboxOpened(Ok(ends(opened))));
    }
}

fn ends(opened: Opened) -> OutboxEnds {
    OutboxEnds { head: opened.head, tail: opened.tail, suspect: opened.suspect, lost: opened.lost }
}

fn found(found: Found) -> PageFound {
    match found {
        Found::Messages { next, after, messages } => PageFound::Messages { next, after, messages },
        Found::Nothing { next } => PageFound::Nothing { next },
        Found::Lost { next, words } => PageFound::Lost { next, words },
    }
}
