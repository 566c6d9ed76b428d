//! The outbox and the queue in the host's storage: which pages are read, what they hold, what has gone from them.

use super::*;
use crate::protocol::Request;

/// Of each message of a page whether it waits for a reply, `None` for one that was gone; or why it cannot be read.
pub type UntilReply = Result<Vec<Option<bool>>, String>;

/// Where a message stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Waiting,
    /// Through, or never there.
    Through,
    /// It is becoming a dead letter at this moment.
    Leaving,
}

impl Outbox {
    pub fn opened(&mut self, ends: OutboxEnds, around: &mut Around) {
        self.opening = false;
        if self.ends.is_none() {
            if let Some(words) = ends.lost {
                around.actions.push_back(Action::Emit(Event::new(
                    EventKind::OutboxFailed,
                    Status::ENOS_ERR_STORAGE,
                    words,
                )));
            }
            self.ends = Some((ends.head, ends.tail));
            self.live_from = ends.tail;
            self.doubt.restore(ends.suspect);
        }
    }

    /// The open failed.
    pub fn not_opened(&mut self, failure: StorageError, around: &mut Around) {
        self.opening = false;
        self.storage_failed(failure, around);
    }

    /// Messages were accepted. Those that could go out at once need not be read again.
    pub fn appended(&mut self, page: u64, next: u64, after: Totals, messages: Vec<Request>) {
        let Some((next_read, tail)) = &mut self.ends else { return };
        *tail = next;
        let bytes: usize = messages.iter().map(|message| message.size()).sum();
        let fits =
            self.window.len() + messages.len() <= self.settings.window && self.window.bytes() + bytes <= WINDOW_BYTES;
        if *next_read == page && fits {
            *next_read = next;
            self.take(page, next, after, messages.into_iter().map(Message::Request).map(Some).collect());
        }
    }

    fn take(&mut self, page: u64, next: u64, after: Totals, messages: Vec<Option<Message>>) {
        self.last_after = after;
        self.pages.push_back(Page { next, after, left: messages.iter().flatten().count() });
        for (index, message) in messages.into_iter().enumerate() {
            if let Some(message) = message {
                self.window.push(Slot::new(outbox::token(page, index), page, message));
            }
        }
    }

    /// What the host can drop of what waits, and is shown of it.
    pub fn place(&self, token: u64) -> Place {
        let page = outbox::place(token).map_or(0, |(page, _)| page);
        match (self.ends, self.window.find_token(token)) {
            (_, Some(slot)) if matches!(slot.state, State::Leaving(_)) => Place::Leaving,
            (_, Some(slot)) if !slot.told => Place::Waiting,
            (Some((next_read, tail)), None) if (next_read..tail).contains(&page) => Place::Waiting,
            _ => Place::Through,
        }
    }

    /// The host has dropped a message: it has no event any more.
    pub fn forget(&mut self, token: u64, around: &mut Around) {
        if self.window.stepped_aside() > 0 {
            self.end_trial(around);
        }
        self.read_is_stale = true;
        if let Some(slot) = self.window.remove(token) {
            if let State::Sent { request, .. } = slot.state {
                around.exchange.forget(request);
            }
            self.leave_page(slot.page);
        }
    }

    /// The queue was full.
    pub fn refused(&mut self) {
        self.full = true;
    }

    /// The oldest page had to go, to make room. `until_reply` is of each of its messages; or why it cannot be read.
    pub fn dropped(&mut self, page: u64, next: u64, until_reply: &UntilReply, around: &mut Around) {
        let drop_one = |token, until_reply, actions: &mut VecDeque<Action>| {
            let words = "the outbox was full, and this was among the oldest messages in it";
            let kind = if until_reply { EventKind::Reply } else { EventKind::Delivered };
            actions.push_back(Action::Emit(Event::new(kind, Status::ENOS_ERR_QUEUE_FULL, words).token(token)));
        };
        let Some((next_read, _)) = self.ends else { return };
        match until_reply {
            // It is in memory.
            _ if page < next_read => {}
            Ok(messages) => {
                for (index, until_reply) in messages.iter().enumerate() {
                    if let Some(until_reply) = until_reply {
                        drop_one(outbox::token(page, index), *until_reply, around.actions);
                    }
                }
            }
            Err(words) => tell_lost(page, words, around.actions),
        }
        if self.window.stepped_aside() > 0 {
            self.end_trial(around);
        }
        while self.window.front().is_some_and(|slot| slot.page < next) {
            let Some(slot) = self.window.pop() else { break };
            if let State::Sent { request, .. } = slot.state {
                around.exchange.forget(request);
            }
            if !slot.told {
                drop_one(slot.token, slot.message.until_reply(), around.actions);
            }
        }
        while self.pages.front().is_some_and(|page| page.next <= next) {
            self.pages.pop_front();
        }
        self.ends = self.ends.map(|(next_read, tail)| (next_read.max(next), tail));
    }

    pub fn page_read(&mut self, page: u64, result: Result<PageFound, StorageError>, around: &mut Around) {
        self.busy = false;
        let Some((next_read, _)) = &mut self.ends else { return };
        let found = match result {
            _ if *next_read != page => return,
            // It is read once more.
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
                tell_lost(page, &words, around.actions);
            }
        }
    }

    /// `held` is what the queue holds now.
    pub fn pages_finished(&mut self, through: u64, result: Result<Totals, StorageError>, around: &mut Around) {
        self.busy = false;
        match result {
            Err(failure) => self.storage_failed(failure, around),
            Ok(held) => {
                self.storage_backoff.reset();
                if self.finished.is_some_and(|(finished, _)| finished <= through) {
                    self.finished = None;
                }
                self.tell_room(held, around);
            }
        }
    }

    /// Once after a message was refused, when this is all that is held.
    pub fn tell_room(&mut self, held: Totals, around: &mut Around) {
        let limits = self.settings.limits;
        let roomy = |held: u64, limit: u64| held <= limit - limit.div_ceil(8);
        if self.full && roomy(held.messages, limits.messages) && roomy(held.bytes, limits.bytes) {
            self.full = false;
            let words = "the outbox takes messages again";
            around.actions.push_back(Action::Emit(Event::new(EventKind::Room, Status::ENOS_OK, words)));
        }
    }

    pub fn aside_stored(&mut self, token: u64, result: Result<(), StorageError>, around: &mut Around) {
        self.busy = false;
        let Some(slot) = self.window.front_mut().filter(|slot| slot.token == token) else { return };
        let State::Leaving(answer) = &mut slot.state else { return };
        let answer = std::mem::take(answer);
        match result {
            Err(failure) => {
                slot.state = State::Refused(answer);
                self.storage_failed(failure, around);
            }
            Ok(()) => {
                self.storage_backoff.reset();
                if let Some(slot) = self.window.pop() {
                    Outbox::tell(slot.token, &slot.message, Status::ENOS_ERR_DEAD_LETTER, answer, around.actions);
                    self.leave_page(slot.page);
                }
            }
        }
    }

    fn storage_failed(&mut self, failure: StorageError, around: &mut Around) {
        let wait = self.storage_backoff.next(around.rng).max(AGAIN_MIN_MS);
        self.storage_at = Some(around.now.saturating_add(wait));
        let words = format!("{}; what is in the outbox waits for its storage", failure.message);
        let event = Event::new(EventKind::OutboxFailed, Status::ENOS_ERR_STORAGE, words);
        around.actions.push_back(Action::Emit(event.code(failure.code).retry_in(wait)));
    }

    pub(super) fn work_on_storage(&mut self, tidy: bool, around: &mut Around) {
        if self.busy || self.storage_at.is_some() {
            return;
        }
        let Some((next_read, tail)) = self.ends else {
            if self.online && !self.opening {
                self.opening = true;
                around.actions.push_back(Action::OpenOutbox);
            }
            return;
        };
        let action = if let Some((token, code, message)) = self.leave() {
            Action::SetAside { token, code, message }
        } else if let (true, Some((through, after))) = (tidy, self.finished) {
            Action::FinishPages { through, after }
        } else if self.online && next_read < tail && self.has_room_to_read() {
            self.read_is_stale = false;
            Action::ReadPage { page: next_read, last_try: self.read_failures >= READS }
        } else {
            return;
        };
        self.busy = true;
        around.actions.push_back(action);
    }

    /// The first message, when it is to be set aside.
    fn leave(&mut self) -> Option<(u64, i32, Message)> {
        let slot = self.window.front_mut()?;
        let State::Refused(answer) = &mut slot.state else { return None };
        let (code, answer) = (answer.code, std::mem::take(answer));
        slot.state = State::Leaving(answer);
        Some((slot.token, code, slot.message.clone()))
    }

    fn has_room_to_read(&self) -> bool {
        if self.wants_others() {
            return true;
        }
        self.window.all_sent()
            && self.window.len() < self.settings.window
            && self.window.bytes() < WINDOW_BYTES
            && self.pages.len() <= self.settings.window
    }

    pub(super) fn finish_pages(&mut self) {
        while self.pages.front().is_some_and(|page| page.left == 0) {
            self.finished = self.pages.pop_front().map(|page| (page.next, page.after));
        }
    }

    /// A message of this page is gone.
    pub(super) fn leave_page(&mut self, page: u64) {
        if let Some(page) = self.pages.iter_mut().find(|other| page < other.next) {
            page.left -= 1;
        }
        self.finish_pages();
    }
}

fn tell_lost(page: u64, words: &str, actions: &mut VecDeque<Action>) {
    let words = format!("what was accepted with this token cannot be read any more: {words}");
    let event = Event::new(EventKind::Delivered, Status::ENOS_ERR_STORAGE, words);
    actions.push_back(Action::Emit(event.token(outbox::token(page, 0))));
}
