//! The outbox sends the durable messages, which are in a queue in the host's storage. It reads pages of the queue, sends
//! their messages through the [exchange](super::exchange), and removes what is completed.
//!
//! Messages are sent in the order in which they were accepted, as many at a time as the window allows. If one has to be
//! sent again, because the link was lost or EnOS had trouble, all behind it are sent again after it. The host is told each
//! outcome at once.
//!
//! A message that can never succeed becomes a dead letter: EnOS has refused it for good, or it fails where another one
//! passes, see [`doubt`]. After a loss of the link, the messages that were in flight are sent one by one, so that it is
//! known which one fails. `docs/durable.md` has a diagram.

mod doubt;
mod flow;
mod newest;
mod pages;
mod send;
#[cfg(test)]
mod tests;
mod trial;
mod window;

use std::collections::VecDeque;

use super::backoff::Backoff;
use super::event::{Event, EventKind};
use super::exchange::Exchange;
use super::io::{Action, Outcome, Task};
use super::settings::OutboxSettings;
use crate::error::Status;
use crate::protocol::outbox::{self, Label};
use crate::protocol::subdevice::CODE_NOT_LOGGED_IN;
use crate::protocol::{envelope, Identity, Totals};
use crate::sorted::SortedMap;

use doubt::{Doubt, Fault};
pub use flow::Flow;
pub use newest::Named;
pub use pages::{Labels, Place};
use trial::UnderWay;
use window::{Answer, Batch, State, Window};

/// The most bytes in flight, beyond the first message. On a slow link, live data waits for no more than these.
const WINDOW_BYTES: usize = 128 * 1024;
/// 500 bytes a second: a broker that is slower than this counts as one that takes nothing. If it takes nothing at all, the
/// link is lost much sooner, without the outbox.
const MOST_MS_PER_BYTE: u64 = 2;
/// After so many failed reads, over several minutes, the page itself may be at fault.
const READS: u32 = 10;
/// How often a clock that is not set is read.
const CLOCK_AGAIN_MS: u64 = 5_000;
/// The pause between two tries of a message, or of the storage.
const AGAIN_MIN_MS: u64 = 1_000;
const AGAIN_MAX_MS: u64 = 120_000;

pub struct Outbox {
    settings: OutboxSettings,
    /// 0: the client's own device.
    subdevice: u64,
    identity: Identity,
    window: Window,
    batches: VecDeque<Batch>,
    /// The page to read next, and the page of the next message to be accepted. `None` until the queue is open.
    ends: Option<(u64, u64)>,
    /// The page up to which all is completed, and still has to be removed.
    completed: Option<(u64, Totals)>,
    last_after: Totals,
    /// Pages before this one were accepted before the present link came up.
    live_from: u64,
    online: bool,
    /// The queue is being opened.
    opening: bool,
    /// A page is being read or removed, or a dead letter stored.
    busy: bool,
    storage_at: Option<u64>,
    storage_backoff: Backoff,
    /// The host has dropped a message, which the page that is being read may still have.
    read_is_stale: bool,
    /// Failed reads of the page to read next.
    read_failures: u32,
    send_at: Option<u64>,
    backoff: Backoff,
    /// A message had to be sent again. The first is sent alone until it is completed.
    careful: bool,
    /// Messages in pages before this one can never succeed. `u64::MAX`: all that wait when the queue is opened.
    deleted_before: u64,
    /// The broker has to acknowledge a message before this time.
    stalls_at: u64,
    doubt: Doubt,
    /// The last of several messages of which EnOS has refused one without saying which.
    unclear: u64,
    /// The first message had no other to be compared with, and has waited for a while on this link.
    has_paused: bool,
    /// What was in flight when the link returned it unsent, shortly before the loss is told.
    returned_unsent: Option<UnderWay>,
    /// The entry of the exchange whose end tells whether replies on this topic come. The next message waits for that.
    asking: Option<(u64, String)>,
    /// The topics on which no replies come on this link. A message that needs one of them is not tried before another.
    mute_topics: Vec<String>,
    /// A message was refused because the queue was full, and the host was not told yet that there is room.
    full: bool,
    /// What the host has given with messages that are not in memory.
    users: SortedMap<u64, usize>,
    /// The newest message of each operation of which only that counts, as far as this process has accepted one.
    newest: Vec<Named>,
    /// Those that they have superseded, and that are to be removed from the storage.
    stale: Vec<Named>,
    /// The first of them in this process. Older ones may be in the storage.
    unsearched: Vec<Named>,
}

/// Of whom an outcome tells: the token, what kind of message it is, and what the host has given with it.
type Who = (u64, Label, usize);

/// What the outbox needs from the session.
pub struct Around<'a> {
    pub now: u64,
    pub wall_ms: u64,
    pub exchange: &'a mut Exchange,
    pub actions: &'a mut VecDeque<Action>,
    pub rng: &'a mut fastrand::Rng,
    pub line: &'a mut Line,
}

/// What the outboxes of a client share.
pub struct Line {
    pub flow: Flow,
    /// A queue may be opened now.
    pub may_open: bool,
    /// Nothing is sent before this time: the rate does not allow more, or a message has come back unsent, and the loss of
    /// the link is told soon.
    pub holds_until: u64,
}

/// What an outbox did in its turn to send a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It has nothing to send now.
    Passed,
    /// It has something to send, as soon as the broker has acknowledged what the others have sent, and the rate allows it.
    Waits,
    Sent,
    /// The message has to be alone on the link, so that it is known which one fails.
    SentAlone,
}

impl Outbox {
    pub fn new(settings: OutboxSettings, subdevice: u64, identity: Identity) -> Outbox {
        Outbox {
            settings,
            subdevice,
            identity,
            window: Window::default(),
            batches: VecDeque::new(),
            ends: None,
            completed: None,
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
            deleted_before: 0,
            stalls_at: 0,
            doubt: Doubt::default(),
            unclear: 0,
            has_paused: false,
            returned_unsent: None,
            asking: None,
            mute_topics: Vec::new(),
            full: false,
            users: SortedMap::new(),
            newest: Vec::new(),
            stale: Vec::new(),
            unsearched: Vec::new(),
        }
    }

    /// The queue has no message, not even one that is completed and has to be removed. False if the queue is not open.
    pub fn is_empty(&self) -> bool {
        self.ends.is_some_and(|(next, tail)| next >= tail) && self.batches.is_empty() && self.completed.is_none()
    }

    pub fn is_open(&self) -> bool {
        self.ends.is_some()
    }

    /// Nothing would be lost if a new outbox took the place of this one.
    pub fn is_idle(&self) -> bool {
        self.is_empty() && self.users.is_empty() && !self.busy && !self.full && self.stale.is_empty()
    }

    /// Frees the memory of a backlog that is over.
    pub fn release(&mut self) {
        self.users.release();
    }

    /// Nothing is in flight.
    pub fn is_quiet(&self) -> bool {
        self.window.under_way().is_none()
    }

    /// The device is online. `pauses`: other outboxes have messages as well. They are sent before a message that may be
    /// to blame for the end of the last link.
    pub fn link_up(&mut self, pauses: bool, around: &mut Around) {
        self.online = true;
        self.has_paused = false;
        self.mute_topics.clear();
        self.doubt.link_up();
        self.live_from = self.ends.map_or(0, |(_, tail)| tail);
        if pauses && self.window.front().is_some_and(|front| self.doubt.is_alone(front.token)) {
            self.pause_shortly(around);
        }
    }

    fn pause_shortly(&mut self, around: &mut Around) {
        let wait = AGAIN_MIN_MS + around.rng.u64(0..AGAIN_MIN_MS);
        self.send_at = Some(around.now.saturating_add(wait));
    }

    /// The link is to end. Nothing more is sent, and what is in flight may still be completed.
    pub fn stop(&mut self) {
        self.online = false;
    }

    fn rewind(&mut self, at: usize, exchange: &mut Exchange) {
        self.window.rewind(at).into_iter().for_each(|entry| exchange.forget(entry));
    }

    /// Emits the one event of a message.
    fn tell(&self, (token, label, user): Who, status: Status, answer: Answer, actions: &mut VecDeque<Action>) {
        let kind = if label.until_reply { EventKind::Reply } else { EventKind::Delivered };
        let event = Event::new(kind, status, answer.words).code(answer.code).topic(answer.topic);
        let event = Event { operation: label.operation, user, payload: answer.payload, ..event };
        self.emit(event.token(outbox::token_of(self.subdevice, token)), actions);
    }

    fn emit(&self, event: Event, actions: &mut VecDeque<Action>) {
        actions.push_back(Action::Emit(Event { subdevice: self.subdevice, ..event }));
    }

    fn ask(&self, task: Task, actions: &mut VecDeque<Action>) {
        actions.push_back(Action::Outbox { subdevice: self.subdevice, task });
    }

    /// The outcome of an entry of the exchange.
    pub fn outcome(&mut self, entry: u64, outcome: Outcome, around: &mut Around) {
        if let Some((_, topic)) = self.asking.take_if(|(asking, _)| *asking == entry) {
            return self.asked(topic, outcome, around);
        }
        let Some(at) = self.window.find(entry) else { return };
        self.expect_progress(around);
        let is_subdevice = self.subdevice != 0;
        let Some(in_flight) = self.window.get_mut(at) else { return };
        let passed = match outcome {
            Outcome::Delivered if in_flight.message.until_reply() => {
                in_flight.state = State::Sent { entry, acknowledged: Some(around.now) };
                false
            }
            Outcome::Delivered => {
                self.complete(at, Answer::default(), around);
                true
            }
            Outcome::Reply { code, .. } if code == envelope::CODE_OK => {
                self.complete(at, outcome.into(), around);
                true
            }
            Outcome::Reply { code, .. } if !(may_pass(code) || is_subdevice && code == CODE_NOT_LOGGED_IN) => {
                // A message that was completed before is sent again only to keep the order.
                in_flight.state = if in_flight.told { State::Completed } else { State::Refused(outcome.into()) };
                true
            }
            Outcome::NotDelivered { .. } => {
                self.returned_unsent = self.returned_unsent.or_else(|| Some(self.under_way()));
                around.line.holds_until = around.now.saturating_add(AGAIN_MIN_MS);
                self.again(at, around);
                false
            }
            // A sub-device that is not logged in any more logs in again, and the message is sent again.
            Outcome::Reply { code, .. } => {
                self.not_answered(at, Fault::Busy(code), around);
                false
            }
        };
        if passed && self.window.stepped_aside() > 0 {
            self.trial_passed(around);
        }
    }

    /// A message is completed. The host is told at once, and only once.
    fn complete(&mut self, at: usize, answer: Answer, around: &mut Around) {
        let Some(in_flight) = self.window.get_mut(at) else { return };
        in_flight.state = State::Completed;
        let who = in_flight.who();
        if !std::mem::replace(&mut in_flight.told, true) {
            self.tell(who, Status::ENOS_OK, answer, around.actions);
        }
    }

    /// The broker has taken something, or has nothing to acknowledge but what is sent now.
    fn expect_progress(&mut self, around: &Around) {
        let transfer = around.exchange.unacknowledged().bytes as u64 * MOST_MS_PER_BYTE;
        self.stalls_at = around.now.saturating_add(self.settings.timeout_ms).saturating_add(transfer);
    }

    /// Sends the message at this position, and all behind it, again after a while.
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

    /// Whether replies on this topic can come. If not, the next message, and all behind it, have to wait. A message that
    /// is tried before another goes back to its place.
    fn asked(&mut self, topic: String, outcome: Outcome, around: &mut Around) {
        let Outcome::NotDelivered { status, reason } = outcome else { return };
        if self.next_reply_topic().as_ref() != Some(&topic) {
            return;
        }
        if self.window.stepped_aside() > 0 {
            return self.mute_topics.push(topic);
        }
        let wait = self.pause(around);
        let words = format!("EnOS's replies cannot come, and the outbox waits for that: {reason}");
        self.emit(Event::new(EventKind::OutboxFailed, status, words).retry_in(wait), around.actions);
    }

    /// Does what is due before the outboxes take turns to [send](Self::send_one).
    pub fn prepare(&mut self, around: &mut Around) {
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
        self.refuse_deleted();
        self.leave_out_superseded(around);
        self.judge(around);
        self.settle();
    }

    /// Does what is due after that. `tidy`: a good moment to remove what is completed, because nothing else has happened.
    /// True: the broker does not take messages any more, and the link has to be dropped.
    pub fn conclude(&mut self, tidy: bool, around: &mut Around) -> bool {
        self.work_on_storage(tidy || self.is_quiet(), around);
        self.stalls_at().is_some_and(|at| at <= around.now)
    }

    /// What is completed leaves the queue, in order.
    fn settle(&mut self) {
        if self.window.stepped_aside() > 0 {
            return;
        }
        while self.window.front().is_some_and(|in_flight| matches!(in_flight.state, State::Completed)) {
            let Some(in_flight) = self.window.pop() else { break };
            self.leave_batch(in_flight.page);
            self.backoff.reset();
            self.careful = false;
            self.doubt.through(self.window.front().map(|in_flight| in_flight.token));
        }
        self.complete_batches();
    }

    /// When the broker has acknowledged nothing for so long that it never will.
    fn stalls_at(&self) -> Option<u64> {
        self.window.under_way().filter(|_| self.online)?;
        // The broker has acknowledged the message that waits for its reply.
        if self.window.first_awaiting().is_some() {
            return None;
        }
        Some(self.stalls_at)
    }

    pub fn deadline(&self) -> Option<u64> {
        let reply = self.window.first_awaiting().map(|(_, since)| since.saturating_add(self.settings.timeout_ms));
        let send = self.send_at.filter(|_| self.online);
        [reply, send, self.storage_at, self.stalls_at()].into_iter().flatten().min()
    }
}

/// Whether a message that EnOS answers with this code may succeed later. The codes are those of EnOS's SDKs for too many
/// messages, for trouble in the cloud, and for timeouts.
pub fn may_pass(code: i32) -> bool {
    matches!(code, 429 | 500..=599 | 6205 | 6305)
}
