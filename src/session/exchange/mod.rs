//! The exchange: every accepted call, and every request of the outbox, is an entry that ends in exactly one outcome.
//!
//! [`Exchange::end`] is the only function that removes an entry. It tells the owner: the host by an event, the outbox by
//! an [`Outcome`].

mod durable;
mod entry;
mod filters;
mod gateway;
mod link;
mod ota;
mod places;
mod posts;
mod replies;
mod subdevices;
#[cfg(test)]
mod tests;
mod turns;

use std::collections::VecDeque;

use super::batch::Batch;
use super::event::Event;
use super::io::{Action, Outcome};
use super::settings::Settings;
use crate::error::{Result, Status};
use crate::model::link::LinkRequest;
use crate::protocol::subdevice::CODE_NOT_LOGGED_IN;
use crate::protocol::{envelope, topic, Operation};
use crate::sorted::SortedMap;

pub use durable::Unacknowledged;
use entry::{event, outcome, End, Entry, WaitsFor};
pub use entry::{Kind, Outgoing, Owner};
use filters::Filter;
use gateway::ForGateway;
use places::Places;
pub use replies::Reply;
use turns::Turns;

/// How many answers to commands may be without their outcome. They are counted apart from other messages, so that a
/// device can still answer while its posts have taken all places.
pub const MAX_ANSWERS: usize = 100;
/// How many calls that subscribe or unsubscribe may be without their outcome.
const MAX_SUBSCRIPTION_CALLS: usize = 1_000;
const NO_ANSWER: &str = "no answer came in time";
const NOT_SENT: &str = "the request was not sent";

pub struct Exchange {
    next_token: u64,
    /// The id of a request is its token plus this. It is random, so that a late reply to an earlier process matches
    /// nothing.
    first_id: u64,
    timeout_ms: u64,
    entries: SortedMap<u64, Entry>,
    /// When entries are overdue, and their tokens. Most have the same timeout, so a new one is the last. The entries of
    /// the outbox, which can be many, have none.
    deadlines: SortedMap<(u64, u64), ()>,
    /// One for each [`Kind`].
    places: [Places; 3],
    /// The host's topic filters, and the topics on which replies come.
    filters: SortedMap<String, Filter>,
    /// By the topics on which replies without an id come.
    turns: SortedMap<String, Turns>,
    batch: Batch,
    /// What the outboxes have not taken yet.
    outcomes: Vec<durable::Told>,
    /// What was sent for the outboxes, and the broker has not acknowledged.
    unacknowledged: Unacknowledged,
    /// The outcomes of the commands, the gateway and the updates, by their tokens.
    told: Vec<(Owner, u64, Outcome)>,
    /// `None`: there is no gateway.
    for_gateway: Option<Box<ForGateway>>,
    /// How long posts wait for each other.
    join_ms: u64,
}

impl Exchange {
    pub fn new(settings: &Settings, first_id: u64) -> Exchange {
        Exchange {
            next_token: 1,
            first_id,
            timeout_ms: settings.reply_timeout_ms,
            entries: SortedMap::new(),
            deadlines: SortedMap::new(),
            places: [
                Places::new("messages", settings.inflight as usize),
                Places::new("answers to commands", MAX_ANSWERS),
                Places::new("calls to subscribe and unsubscribe", MAX_SUBSCRIPTION_CALLS),
            ],
            filters: SortedMap::new(),
            turns: SortedMap::new(),
            batch: Batch::new(settings.subscribe_batch as usize),
            outcomes: Vec::new(),
            unacknowledged: Unacknowledged::default(),
            told: Vec::new(),
            for_gateway: None,
            join_ms: settings.subdevices.join_ms,
        }
    }

    /// Takes a place, if the owner has a limit.
    fn admit(&mut self, owner: Owner) -> Result<()> {
        owner.kind().map_or(Ok(()), |kind| self.places[kind as usize].take())
    }

    /// `timeout_ms`: when it is overdue. `None`: never.
    fn enter(&mut self, owner: Owner, waits_for: WaitsFor, timeout_ms: Option<u64>, now: u64) -> u64 {
        let token = self.next_token;
        self.next_token += 1;
        self.entries.insert(
            token,
            Entry { owner, waits_for, timeout_ms, deadline: None, operation: 0, subdevice: 0, user: 0, bytes: None },
        );
        self.set_deadline(token, timeout_ms.map(|ms| now.saturating_add(ms)));
        token
    }

    fn set_deadline(&mut self, token: u64, deadline: Option<u64>) {
        let Some(entry) = self.entries.get_mut(&token) else { return };
        if let Some(before) = std::mem::replace(&mut entry.deadline, deadline) {
            self.deadlines.remove(&(before, token));
        }
        deadline.map(|at| self.deadlines.insert((at, token), ()));
    }

    /// The entry is a request with this operation.
    fn label(&mut self, token: u64, operation: Operation, subdevice: u64, user: usize) {
        if let Some(entry) = self.entries.get_mut(&token) {
            (entry.operation, entry.subdevice, entry.user) = (operation as i32, subdevice, user);
        }
    }

    /// Publishes a message.
    pub fn publish(
        &mut self,
        owner: Owner,
        topic: String,
        payload: Vec<u8>,
        qos: u8,
        now: u64,
        actions: &mut VecDeque<Action>,
    ) -> Result<u64> {
        self.admit(owner)?;
        let token = self.enter(owner, WaitsFor::Delivery, Some(self.timeout_ms), now);
        if owner == Owner::Host(Kind::Message) {
            self.label(token, Operation::ENOS_OP_PUBLISH, 0, 0);
        }
        self.send(owner, LinkRequest::Publish { token, topic, payload, qos }, actions);
        Ok(token)
    }

    /// Sends a request. EnOS replies only to a device that has subscribed to the reply topic, so the first request waits
    /// for that.
    pub fn request(
        &mut self,
        owner: Owner,
        request: Outgoing,
        now: u64,
        actions: &mut VecDeque<Action>,
    ) -> Result<u64> {
        let Outgoing { operation, identity, subdevice, name, params, members, until_reply, timeout_ms, user } = request;
        let token = self.next_token;
        let payload = operation.request(&(self.first_id + token).to_string(), name, params, members)?;
        envelope::check_size(payload.len())?;
        self.admit(owner)?;
        let topic = operation.topic(identity, name);
        let reply_topic = topic::reply_topic(&topic);
        let mut request = Some(LinkRequest::Publish { token, topic, payload, qos: operation.row().qos });
        let is_raw = operation.has_raw_reply();
        if is_raw {
            self.take_turns_on(&reply_topic, actions);
        }
        let has_turn = !is_raw || (owner.is_outbox() && self.has_free_turn(&reply_topic, until_reply));
        let is_granted = self.is_granted(&reply_topic);
        let waits_for = match (until_reply, is_granted, has_turn) {
            (false, ..) => WaitsFor::Delivery,
            (true, false, _) => WaitsFor::Filter { filter: reply_topic.clone(), request: request.take() },
            (true, true, false) => WaitsFor::Turn { topic: reply_topic.clone(), request: request.take() },
            (true, true, true) => WaitsFor::Reply { topic: reply_topic.clone() },
        };
        // The outbox has timeouts of its own.
        let timeout_ms = (!owner.is_outbox()).then(|| timeout_ms.unwrap_or(self.timeout_ms));
        self.enter(owner, waits_for, timeout_ms, now);
        self.label(token, operation, subdevice, user);
        if until_reply {
            self.need_reply_topic(&reply_topic, subdevice, now, actions);
        }
        match request {
            Some(request) => {
                self.take_turn(&reply_topic, token, until_reply);
                self.count_unacknowledged(token, name.len() + params.len());
                self.send(owner, request, actions);
            }
            None if is_granted => {
                self.queue_for_turn(&reply_topic, token, true);
                self.give_turns(now, actions);
            }
            None => {}
        }
        Ok(token)
    }

    /// Every later call has this token, or a greater one.
    pub fn next_token(&self) -> u64 {
        self.next_token
    }

    /// A token for a call that is not an entry yet.
    pub fn new_token(&mut self) -> u64 {
        self.next_token += 1;
        self.next_token - 1
    }

    pub fn has_room_for_answer(&self) -> bool {
        self.places[Kind::Answer as usize].has_room()
    }

    /// Sends an answer to a command, for which there [is room](Self::has_room_for_answer). It is overdue after the usual
    /// time, but not before the deadline of the command.
    pub fn answer(
        &mut self,
        topic: String,
        payload: Vec<u8>,
        deadline: Option<u64>,
        now: u64,
        actions: &mut VecDeque<Action>,
    ) -> u64 {
        let owner = Owner::Commands;
        self.places[Kind::Answer as usize].calls += 1;
        let timeout_ms = deadline.map_or(0, |at| at.saturating_sub(now)).max(self.timeout_ms);
        let token = self.enter(owner, WaitsFor::Delivery, Some(timeout_ms), now);
        self.send(owner, LinkRequest::Publish { token, topic, payload, qos: 1 }, actions);
        token
    }

    fn send(&mut self, owner: Owner, request: LinkRequest, actions: &mut VecDeque<Action>) {
        if let Some(kind) = owner.kind() {
            self.places[kind as usize].hold(request.token());
        }
        self.expect_reply(&request);
        actions.push_back(Action::Send(request));
    }

    /// The owner does not want the outcome any more.
    pub fn forget(&mut self, token: u64) {
        self.end(token, None, &mut VecDeque::new());
    }

    /// The outcomes of the requests of one of the rooms, by their tokens.
    pub fn take_told(&mut self, owner: Owner) -> Vec<(u64, Outcome)> {
        let (its, others) = std::mem::take(&mut self.told).into_iter().partition(|(of, ..)| *of == owner);
        self.told = others;
        Vec::into_iter(its).map(|(_, token, outcome)| (token, outcome)).collect()
    }

    /// Every call of the host has had its outcome.
    pub fn is_idle(&self) -> bool {
        self.places.iter().all(|places| places.calls == 0)
    }

    /// The host waits for nothing that was sent on the present link.
    pub fn is_quiet(&self) -> bool {
        self.is_idle() || self.entries.values().all(|entry| !self.is_sent_by_host(entry))
    }

    fn is_sent_by_host(&self, entry: &Entry) -> bool {
        match (entry.owner, &entry.waits_for) {
            (Owner::Host(Kind::Subscription), WaitsFor::Filter { filter, .. }) => self.is_asked(filter),
            (Owner::Host(_) | Owner::Register | Owner::Commands, _) => true,
            (Owner::Outbox(_) | Owner::Gateway | Owner::Ota | Owner::Joined | Owner::Exchange, _) => false,
        }
    }

    /// Frees the memory of empty collections.
    pub fn release(&mut self) {
        self.entries.release();
        self.deadlines.release();
        self.filters.release();
        if let Some(it) = &mut self.for_gateway {
            it.posts.release();
        }
        self.places.iter_mut().for_each(Places::release);
    }

    /// Tells the host, if a call of it was refused, that there is room again.
    pub fn tell_room(&mut self, actions: &mut VecDeque<Action>) {
        self.places.iter_mut().for_each(|places| places.tell_room(actions));
    }

    fn let_go(&mut self, token: u64) {
        self.places.iter_mut().for_each(|places| places.let_go(token));
    }

    pub fn delivered(&mut self, token: u64, actions: &mut VecDeque<Action>) {
        let is_answer = self.places[Kind::Answer as usize].holds(token);
        self.let_go(token);
        self.is_acknowledged(token);
        match self.entries.get(&token) {
            Some(Entry { waits_for: WaitsFor::Delivery, .. }) => self.done(token, actions),
            // The entry does not end here. But the outbox has to know whether the broker or EnOS does not answer.
            Some(Entry { owner: Owner::Outbox(of), .. }) => self.outcomes.push((*of, token, Outcome::Delivered)),
            // It has timed out. But the command is not interrupted any more.
            None if is_answer => self.told.push((Owner::Commands, token, Outcome::Delivered)),
            _ => {}
        }
    }

    pub fn not_delivered(&mut self, token: u64, status: Status, reason: String, actions: &mut VecDeque<Action>) {
        self.let_go(token);
        match self.entries.get(&token).map(|entry| &entry.waits_for) {
            // The loss of the link follows, and ends it. If it does not, the deadline does.
            Some(WaitsFor::Suback { .. } | WaitsFor::Unsuback { .. }) => {}
            _ => self.end(token, Some(End::With(status, reason)), actions),
        }
    }

    /// The broker has acknowledged it.
    pub fn done(&mut self, token: u64, actions: &mut VecDeque<Action>) {
        self.end(token, Some(End::With(Status::ENOS_OK, String::new())), actions);
    }

    pub fn deadline(&self) -> Option<u64> {
        let first = self.deadlines.keys().next().map(|(at, _)| *at);
        [first, self.next_turn(), self.joined_until(), self.posts_until()].into_iter().flatten().min()
    }

    /// Ends what had no answer in time. It may have arrived nevertheless.
    pub fn expire(&mut self, now: u64, actions: &mut VecDeque<Action>) {
        self.end_quiet_times(now);
        let due: Vec<u64> = self.deadlines.keys().take_while(|(at, _)| *at <= now).map(|(_, token)| *token).collect();
        for token in due {
            match self.take_packet(token) {
                Some((filters, _)) => self.not_answered(token, filters, now, actions),
                None => {
                    let is_sent = self.entries.get(&token).is_some_and(|entry| !entry.waits_for.is_unsent());
                    let words = match is_sent {
                        true => NO_ANSWER.to_owned(),
                        false => format!("{NOT_SENT}: the topic of its reply was not granted in time"),
                    };
                    self.end(token, Some(End::With(Status::ENOS_ERR_TIMEOUT, words)), actions);
                }
            }
        }
        self.ask_joined(now, actions);
    }

    /// Ends an entry, and tells its owner `end`, if that still wants to know. An entry that has ended already is not
    /// there any more, so nothing has a second outcome.
    fn end(&mut self, token: u64, end: Option<End>, actions: &mut VecDeque<Action>) {
        self.is_acknowledged(token);
        let Some(entry) = self.entries.remove(&token) else { return };
        if let Some(at) = entry.deadline {
            self.deadlines.remove(&(at, token));
        }
        let Entry { owner, waits_for, operation, subdevice, user, .. } = entry;
        // A batch may be refused because of one of its sub-devices.
        let is_own = !matches!(waits_for, WaitsFor::Joined { .. });
        if subdevice != 0 && is_own && matches!(end, Some(End::Replied { code: CODE_NOT_LOGGED_IN, .. })) {
            self.for_gateway().denied.push((subdevice, token));
        }
        let quiet_ms = self.end_turn(token, &waits_for, end.as_ref());
        if let Some(kind) = owner.kind() {
            self.places[kind as usize].calls -= 1;
        }
        match (owner, end) {
            (Owner::Host(_), Some(end)) => {
                let event = Event { operation, subdevice, user, ..event(token, waits_for, end) };
                actions.push_back(Action::Emit(match quiet_ms {
                    Some(ms) => event.retry_in(ms).more(&format!(
                        "the next raw request has to wait for {ms} ms, because a late \
                        answer could not be told from its own"
                    )),
                    None => event,
                }));
            }
            (Owner::Register, Some(end)) => {
                let told = Event { operation, subdevice, user, ..event(token, waits_for, end) };
                self.for_gateway().registered.push(told);
            }
            (Owner::Outbox(of), Some(end)) => self.outcomes.push((of, token, outcome(end))),
            (owner @ (Owner::Commands | Owner::Gateway | Owner::Ota), Some(end)) => {
                self.told.push((owner, token, outcome(end)));
            }
            (Owner::Joined, Some(end)) => self.batch_ended(token, end, actions),
            (Owner::Exchange, _) | (_, None) => {}
        }
    }
}
