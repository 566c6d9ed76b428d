//! The outbox: what is to be sent of the queue in the host's storage, when, and what comes of it. As pure as the session
//! that it is a part of: pages come in, requests go out.
//!
//! In order: messages go out in the order in which they were accepted, as many at a time as the window allows. When one
//! has to be sent again (a link that is lost, a code that may pass), all behind it are sent again after it. What each
//! came to is told at once.
//!
//! What can never succeed becomes a dead letter: EnOS has refused it for good, or it fails where another one passes, see
//! [`doubt`]. After a loss of the link, the messages that were under way go out one by one, so that the one at fault is
//! known.

mod doubt;
mod flow;
mod pages;
mod slot;
#[cfg(test)]
mod tests;
mod trial;

use std::collections::VecDeque;

use super::backoff::Backoff;
use super::event::{Event, EventKind};
use super::exchange::{Exchange, Outgoing, Owner};
use super::io::Outcome;
use super::Action;
use crate::error::Status;
use crate::model::storage::StorageError;
use crate::protocol::outbox::{self, Message, OutboxEnds, PageFound};
use crate::protocol::{envelope, Identity, Request, Totals};

use doubt::{Doubt, Fault};
use flow::Flow;
pub use pages::{Place, UntilReply};
use slot::{Answer, Page, Slot, State, Window};
use trial::UnderWay;

/// Bytes under way at a time, beyond the first message: on a slow link live data waits no longer than for these.
const WINDOW_BYTES: usize = 128 * 1024;
/// A link that is slower than this counts as one that takes nothing: 500 bytes a second. One that stands still altogether
/// is lost by itself, and much sooner.
const MOST_MS_PER_BYTE: u64 = 2;
/// So many reads of a page that fail, over several minutes, before it may be that page's own fault.
const READS: u32 = 10;
/// Between two looks at a clock that is not set.
const CLOCK_AGAIN_MS: u64 = 5_000;
/// Between two tries of a message, or of the storage.
const AGAIN_MIN_MS: u64 = 1_000;
const AGAIN_MAX_MS: u64 = 120_000;

#[derive(Clone, Copy, Debug)]
pub struct OutboxSettings {
    /// Messages under way at a time.
    pub window: usize,
    /// All that goes out, live data included. 0: no limit.
    pub bytes_per_s: u64,
    /// For a reply, and for any sign of the broker's that it takes messages.
    pub timeout_ms: u64,
    /// Which boot this is; 0: nobody knows.
    pub boot: u64,
    /// As many as the queue may hold: there is room again when a part of that is free.
    pub limits: Totals,
}

pub struct Outbox {
    settings: OutboxSettings,
    identity: Identity,
    window: Window,
    pages: VecDeque<Page>,
    /// The page to read next, and the one that the next message will have. `None` until the queue is open.
    ends: Option<(u64, u64)>,
    /// What has been through since pages were removed last.
    finished: Option<(u64, Totals)>,
    last_after: Totals,
    /// Pages before this one were accepted before the present link was there.
    live_from: u64,
    online: bool,
    /// The queue is being opened; something is being read, removed or set aside.
    opening: bool,
    busy: bool,
    storage_at: Option<u64>,
    storage_backoff: Backoff,
    /// The host has dropped a message meanwhile: what is being read may still have it.
    read_is_stale: bool,
    /// Of the page to read next.
    read_failures: u32,
    send_at: Option<u64>,
    backoff: Backoff,
    /// One had to be sent again: until it is through, the front goes out alone.
    careful: bool,
    flow: Flow,
    /// When the broker last took a message, or could have begun to.
    progress: u64,
    doubt: Doubt,
    /// The last of those of which EnOS has refused one, and nobody knows which.
    unclear: u64,
    /// There is no other to try in the place of the first one: it has waited for a while on this link.
    has_paused: bool,
    /// What was under way when the link gave it back, as one that is about to be lost does.
    given_back: Option<UnderWay>,
    /// The call that makes replies come, which the next message waits for.
    asking: Option<u64>,
    /// A message found the queue full, and nobody was told yet that there is room.
    full: bool,
}

/// What the outbox needs of its surroundings.
pub struct Around<'a> {
    pub now: u64,
    pub wall_ms: u64,
    pub exchange: &'a mut Exchange,
    pub actions: &'a mut VecDeque<Action>,
    pub rng: &'a mut fastrand::Rng,
}

impl Outbox {
    pub fn new(settings: OutboxSettings, identity: Identity) -> Outbox {
        Outbox {
            settings,
            identity,
            window: Window::default(),
            pages: VecDeque::new(),
            ends: None,
            finished: None,
            last_after: Totals::default(),
            live_from: 0,
            online: false,
            opening: false,
            busy: false,
            storage_at: None,
            storage_backoff: Backoff::new(AGAIN_MIN_MS, AGAIN_MAX_MS),
            read_is_stale: false,
            read_failures: 0,
            send_at: None,
            backoff: Backoff::new(AGAIN_MIN_MS, AGAIN_MAX_MS),
            careful: false,
            flow: Flow::new(settings.bytes_per_s),
            progress: 0,
            doubt: Doubt::default(),
            unclear: 0,
            has_paused: false,
            given_back: None,
            asking: None,
            full: false,
        }
    }

    /// Nothing is kept, not even what is through and still to be removed. False as well while nobody knows.
    pub fn is_empty(&self) -> bool {
        self.ends.is_some_and(|(next, tail)| next >= tail) && self.pages.is_empty() && self.finished.is_none()
    }

    pub fn is_open(&self) -> bool {
        self.ends.is_some()
    }

    /// Nothing is on its way.
    pub fn is_quiet(&self) -> bool {
        self.window.under_way().is_none()
    }

    pub fn link_up(&mut self, now: u64) {
        self.online = true;
        self.progress = now;
        self.has_paused = false;
        self.doubt.link_up();
        self.live_from = self.ends.map_or(0, |(_, tail)| tail);
    }

    /// The link is to end: nothing more goes out, and what is under way may still come through.
    pub fn stop(&mut self) {
        self.online = false;
    }

    fn rewind(&mut self, at: usize, exchange: &mut Exchange) {
        self.window.rewind(at).into_iter().for_each(|request| exchange.forget(request));
    }

    /// The one event of a message.
    fn tell(token: u64, message: &Message, status: Status, answer: Answer, actions: &mut VecDeque<Action>) {
        let kind = if message.until_reply() { EventKind::Reply } else { EventKind::Delivered };
        let mut event = Event::new(kind, status, answer.words).token(token).code(answer.code).topic(answer.topic);
        event.payload = answer.payload;
        actions.push_back(Action::Emit(event));
    }

    /// What a request came to.
    pub fn outcome(&mut self, request: u64, outcome: Outcome, around: &mut Around) {
        if self.asking == Some(request) {
            return self.no_replies(outcome, around);
        }
        let Some(at) = self.window.find(request) else { return };
        self.progress = around.now;
        let Some(slot) = self.window.get_mut(at) else { return };
        let passed = match outcome {
            Outcome::Delivered if slot.message.until_reply() => {
                slot.state = State::Sent { request, acknowledged: Some(around.now) };
                false
            }
            Outcome::Delivered => {
                slot.get_through(Answer::default(), around);
                true
            }
            Outcome::Reply { code, .. } if code == envelope::CODE_OK => {
                around.exchange.forget(request);
                slot.get_through(outcome.into(), around);
                true
            }
            Outcome::Reply { code, .. } if !may_pass(code) => {
                around.exchange.forget(request);
                // It had been through before it was sent again, for the sake of the order.
                slot.state = if slot.told { State::Through } else { State::Refused(outcome.into()) };
                true
            }
            Outcome::NotDelivered { .. } => {
                self.given_back = self.given_back.or_else(|| Some(self.under_way()));
                self.again(at, around);
                false
            }
            Outcome::Reply { code, .. } => {
                self.not_answered(at, Fault::Busy(code), around);
                false
            }
        };
        if passed && self.window.stepped_aside() > 0 {
            self.trial_passed(around);
        }
    }

    /// The message there, and all behind it, are sent again after a while.
    fn again(&mut self, at: usize, around: &mut Around) {
        self.rewind(at, around.exchange);
        self.careful = true;
        self.pause(around);
    }

    fn pause(&mut self, around: &mut Around) -> u64 {
        let wait = self.backoff.next(around.rng).max(AGAIN_MIN_MS);
        self.send_at = Some(around.now.saturating_add(wait));
        wait
    }

    /// The broker does not let replies come: the message that waits for its own, and what is behind it, has to wait.
    fn no_replies(&mut self, outcome: Outcome, around: &mut Around) {
        self.asking = None;
        let Outcome::NotDelivered { status, reason } = outcome else { return };
        let wait = self.pause(around);
        let words = format!("EnOS's replies cannot come, and the outbox waits for that: {reason}");
        around.actions.push_back(Action::Emit(Event::new(EventKind::OutboxFailed, status, words).retry_in(wait)));
    }

    /// Live data goes out, and comes out of the same throughput.
    pub fn live(&mut self, bytes: usize, now: u64) {
        self.flow.spend_live(bytes, now);
    }

    /// Does what is to be done. `tidy`: a good moment to remove what is through, for all of the turn is known.
    /// True: the broker does not take messages any more, and the link is to be dropped.
    pub fn pump(&mut self, tidy: bool, around: &mut Around) -> bool {
        let due = |at: Option<u64>| at.is_none_or(|at| at <= around.now);
        if self.storage_at.is_some() && due(self.storage_at) {
            self.storage_at = None;
        }
        if self.send_at.is_some() && due(self.send_at) {
            self.send_at = None;
        }
        if let Some((at, since)) = self.window.first_awaiting() {
            if since.saturating_add(self.settings.timeout_ms) <= around.now {
                self.not_answered(at, Fault::Silent, around);
            }
        }
        self.judge();
        self.settle();
        if self.is_quiet() {
            self.progress = around.now;
        }
        self.send(around);
        self.work_on_storage(tidy || self.is_quiet(), around);
        self.stalls_at().is_some_and(|at| at <= around.now)
    }

    /// What is through leaves the queue, in order.
    fn settle(&mut self) {
        if self.window.stepped_aside() > 0 {
            return;
        }
        while self.window.front().is_some_and(|slot| matches!(slot.state, State::Through)) {
            let Some(slot) = self.window.pop() else { break };
            self.leave_page(slot.page);
            self.backoff.reset();
            self.careful = false;
            self.doubt.through(self.window.front().map(|slot| slot.token));
        }
        self.finish_pages();
    }

    fn send(&mut self, around: &mut Around) {
        while self.online && self.send_at.is_none() && self.lets_another_go(around) {
            let Some(slot) = self.window.next_waiting() else { return };
            let front = self.window.front().map_or(0, |front| front.token);
            let unclear = self.careful || front <= self.unclear;
            let alone = unclear || self.window.stepped_aside() > 0 || self.doubt.is_alone(front);
            let (sent, bytes) = self.window.sent();
            let most = if alone { 1 } else { self.settings.window };
            if sent >= most || (sent > 0 && bytes + slot.message.size() > WINDOW_BYTES) {
                return;
            }
            if let Some(at) = self.flow.ready_at(around.now) {
                self.send_at = Some(at);
                return;
            }
            if !self.window.stamp(self.settings.boot, around) {
                self.send_at = Some(around.now.saturating_add(CLOCK_AGAIN_MS));
                return;
            }
            let Some(slot) = self.window.next_waiting() else { return };
            let state = match &slot.message {
                Message::Unknown { words, .. } => State::Refused(Answer::words(words)),
                Message::Request(message) => {
                    let operation = message.sent_as(slot.page < self.live_from);
                    let Request { name, params, until_reply, .. } = message;
                    if *until_reply && self.asking.is_none() {
                        let topic = operation.reply_topic(&self.identity, name);
                        self.asking = around.exchange.can_reply(topic, around.now, around.actions).err();
                    }
                    if *until_reply && self.asking.is_some() {
                        return;
                    }
                    self.flow.spend(message.size(), around.now);
                    let identity = &self.identity;
                    let request = Outgoing { operation, identity, name, params, until_reply: *until_reply };
                    match around.exchange.request(Owner::Outbox, request, around.now, around.actions) {
                        Ok(request) => State::Sent { request, acknowledged: None },
                        Err(error) => State::Refused(Answer::words(&error.message)),
                    }
                }
            };
            self.window.advance(state);
            self.given_back = None;
        }
    }

    /// When the broker has taken nothing for so long that it never will.
    fn stalls_at(&self) -> Option<u64> {
        self.window.under_way().filter(|_| self.online)?;
        // What waits for EnOS's reply, the broker has taken.
        if self.window.first_awaiting().is_some() {
            return None;
        }
        let (_, bytes) = self.window.sent();
        let transfer = bytes as u64 * MOST_MS_PER_BYTE;
        Some(self.progress.saturating_add(self.settings.timeout_ms).saturating_add(transfer))
    }

    pub fn deadline(&self) -> Option<u64> {
        let reply = self.window.first_awaiting().map(|(_, since)| since.saturating_add(self.settings.timeout_ms));
        let send = self.send_at.filter(|_| self.online);
        [reply, send, self.storage_at, self.stalls_at()].into_iter().flatten().min()
    }
}

/// Whether a message that EnOS answers so may succeed later: it was too much, the cloud had trouble of its own, or
/// somebody's time was over (`protocol` of EnOS's SDKs: 429, 5xx, 6205, 6305).
fn may_pass(code: i32) -> bool {
    matches!(code, 429 | 500..=599 | 6205 | 6305)
}
