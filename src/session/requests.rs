//! Calls on their way to an outcome: each accepted one ends in exactly one event with its token.

mod kept;
mod nameless;

use std::collections::VecDeque;

use super::event::{Event, EventKind};
use super::io::Outcome;
use super::{Action, LinkRequest};
use crate::error::{Error, Result, Status};
use crate::protocol::thing_model::Operation;
use crate::protocol::{envelope, topic};
use crate::sorted::SortedMap;

/// How many topic filters a client may hold.
const MAX_FILTERS: usize = 256;

enum Call {
    Publish,
    Subscribe {
        filter: String,
        qos: u8,
    },
    Unsubscribe {
        filter: String,
    },
    Post {
        topic: String,
        id: String,
    },
    /// Of the outbox, which keeps its time: with the reply that it waits for.
    Kept {
        reply: Option<(String, String)>,
    },
    /// Ours: a filter of the host's, subscribed anew on this link.
    Replay {
        filter: String,
    },
    /// Ours: the topic on which the replies to posts come.
    ReplyTopic {
        topic: String,
    },
}

/// A reply topic on the present link.
enum ReplyTopic {
    /// SUBSCRIBE is out, as this call; these posts, by their tokens, wait for the SUBACK.
    Asked {
        call: u64,
        waiting: SortedMap<u64, LinkRequest>,
    },
    Granted,
}

pub struct Requests {
    next_token: u64,
    next_id: u64,
    limit: usize,
    reply_timeout_ms: u64,
    calls: SortedMap<u64, Call>,
    ours: usize,
    filters: SortedMap<String, u8>,
    reply_topics: SortedMap<String, ReplyTopic>,
    awaited: SortedMap<(String, String), u64>,
    /// How many answers are still to come on each reply topic of this link, wanted or not.
    owed: SortedMap<String, u32>,
    /// Publishes that the transport holds, also those whose outcome came for being overdue: they bound its memory.
    unacknowledged: SortedMap<u64, ()>,
    /// When a call's outcome is overdue. The timeout is the same for all, so the first token is due first.
    deadlines: SortedMap<u64, u64>,
    /// What the outbox is still to hear of.
    outcomes: Vec<(u64, Outcome)>,
    /// A call was refused, for there were too many, and nobody was told yet that there is room.
    refused: bool,
}

/// Whose request a reply has ended.
pub enum Replied {
    /// The host's: its event, but for topic and payload.
    Call(Event),
    Kept {
        request: u64,
        code: i32,
        words: String,
    },
    /// A refusal that may be for any of several.
    Unclear,
}

impl Requests {
    /// `first_id` is random, so that a late reply to an earlier process matches nothing.
    pub fn new(limit: u32, reply_timeout_ms: u64, first_id: u64) -> Requests {
        Requests {
            next_token: 1,
            next_id: first_id,
            limit: limit as usize,
            reply_timeout_ms,
            calls: SortedMap::new(),
            ours: 0,
            filters: SortedMap::new(),
            reply_topics: SortedMap::new(),
            awaited: SortedMap::new(),
            owed: SortedMap::new(),
            unacknowledged: SortedMap::new(),
            deadlines: SortedMap::new(),
            outcomes: Vec::new(),
            refused: false,
        }
    }

    fn number(&mut self, call: Call) -> u64 {
        let token = self.next_token;
        self.next_token += 1;
        self.calls.insert(token, call);
        token
    }

    fn token(&mut self, call: Call, now: u64) -> u64 {
        let token = self.number(call);
        self.deadlines.insert(token, now.saturating_add(self.reply_timeout_ms));
        token
    }

    fn accept(&mut self, call: Call, now: u64) -> Result<u64> {
        if self.open() >= self.limit {
            self.refused = true;
            return Err(Error::new(
                Status::ENOS_ERR_QUEUE_FULL,
                format!(
                    "{} calls have no outcome yet, as many as the in-flight limit allows; wait for one",
                    self.limit
                ),
            ));
        }
        Ok(self.token(call, now))
    }

    /// The host's calls that have no outcome, or whose message the transport still holds.
    fn open(&self) -> usize {
        (self.calls.len() - self.ours).max(self.unacknowledged.len())
    }

    /// Whether no call of the host's is without its outcome.
    pub fn is_idle(&self) -> bool {
        self.calls.len() == self.ours
    }

    /// After a call was refused: there is room again. Tells it once.
    pub fn tell_room(&mut self, actions: &mut VecDeque<Action>) {
        if self.refused && self.open() <= self.limit / 2 {
            self.refused = false;
            let words = "calls are taken again";
            actions.push_back(Action::Emit(Event::new(EventKind::Room, Status::ENOS_OK, words)));
        }
    }

    fn ask_reply_topic(
        &mut self,
        topic: String,
        waiting: SortedMap<u64, LinkRequest>,
        now: u64,
        actions: &mut VecDeque<Action>,
    ) -> u64 {
        let call = self.ask(Call::ReplyTopic { topic: topic.clone() }, topic.clone(), 1, now, actions);
        self.reply_topics.insert(topic, ReplyTopic::Asked { call, waiting });
        call
    }

    fn ask(&mut self, call: Call, filter: String, qos: u8, now: u64, actions: &mut VecDeque<Action>) -> u64 {
        self.ours += 1;
        let token = self.token(call, now);
        actions.push_back(Action::Send(LinkRequest::Subscribe { token, filter, qos }));
        token
    }

    pub fn publish(
        &mut self,
        topic: String,
        payload: Vec<u8>,
        qos: u8,
        now: u64,
        actions: &mut VecDeque<Action>,
    ) -> Result<u64> {
        let token = self.accept(Call::Publish, now)?;
        self.send(LinkRequest::Publish { token, topic, payload, qos }, actions);
        Ok(token)
    }

    pub fn subscribe(&mut self, filter: String, qos: u8, now: u64, actions: &mut VecDeque<Action>) -> Result<u64> {
        if self.would_be_too_many(&filter) {
            return Err(Error::new(
                Status::ENOS_ERR_QUEUE_FULL,
                format!("{MAX_FILTERS} topic filters are subscribed; unsubscribe one first"),
            ));
        }
        let token = self.accept(Call::Subscribe { filter: filter.clone(), qos }, now)?;
        actions.push_back(Action::Send(LinkRequest::Subscribe { token, filter, qos }));
        Ok(token)
    }

    /// Filters that the broker has still to grant count as well.
    fn would_be_too_many(&self, filter: &str) -> bool {
        if self.filters.len() + self.calls.len() < MAX_FILTERS {
            return false;
        }
        let asked = self.calls.values().filter_map(|call| match call {
            Call::Subscribe { filter, .. } => Some(filter.as_str()),
            _ => None,
        });
        let mut all = SortedMap::new();
        for one in self.filters.keys().map(String::as_str).chain(asked) {
            all.insert(one, ());
        }
        all.len() >= MAX_FILTERS && !all.contains_key(&filter)
    }

    pub fn unsubscribe(&mut self, filter: String, now: u64, actions: &mut VecDeque<Action>) -> Result<u64> {
        let token = self.accept(Call::Unsubscribe { filter: filter.clone() }, now)?;
        self.filters.remove(&filter);
        actions.push_back(Action::Send(LinkRequest::Unsubscribe { token, filter }));
        Ok(token)
    }

    /// Posts to the thing model. EnOS replies only to a device that has subscribed to the reply topic, so the first
    /// post on a link waits for that.
    pub fn post(
        &mut self,
        operation: Operation,
        params_json: &[u8],
        now: u64,
        actions: &mut VecDeque<Action>,
    ) -> Result<u64> {
        let id = self.next_id.to_string();
        let payload = operation.request(&id, params_json)?;
        envelope::check_size(payload.len())?;
        let reply_topic = operation.reply_topic();
        let token = self.accept(Call::Post { topic: reply_topic.clone(), id: id.clone() }, now)?;
        self.next_id += 1;
        let request = LinkRequest::Publish { token, topic: operation.topic, payload, qos: 1 };
        self.awaited.insert((reply_topic.clone(), id), token);
        match self.reply_topics.get_mut(&reply_topic) {
            Some(ReplyTopic::Granted) => self.send(request, actions),
            Some(ReplyTopic::Asked { waiting, .. }) => {
                waiting.insert(token, request);
            }
            None => {
                let mut waiting = SortedMap::new();
                waiting.insert(token, request);
                self.ask_reply_topic(reply_topic, waiting, now, actions);
            }
        }
        Ok(token)
    }

    fn send(&mut self, request: LinkRequest, actions: &mut VecDeque<Action>) {
        self.unacknowledged.insert(request.token(), ());
        self.owe(&request);
        actions.push_back(Action::Send(request));
    }

    /// A new link: every subscription is made anew, for each CONNECT is a new MQTT session.
    pub fn link_up(&mut self, now: u64, actions: &mut VecDeque<Action>) {
        for (filter, qos) in self.filters.clone() {
            self.ask(Call::Replay { filter: filter.clone() }, filter, qos, now, actions);
        }
    }

    /// The link is gone: nobody knows what arrived, and nothing is sent again.
    pub fn link_down(&mut self, reason: &str, actions: &mut VecDeque<Action>) {
        self.reply_topics.clear();
        self.owed.clear();
        self.unacknowledged.clear();
        for token in self.calls.keys().copied().collect::<Vec<_>>() {
            self.finish(token, Status::ENOS_ERR_NETWORK, reason, actions);
        }
    }

    pub fn delivered(&mut self, token: u64, actions: &mut VecDeque<Action>) {
        self.unacknowledged.remove(&token);
        match self.calls.get(&token) {
            Some(Call::Publish) => self.finish(token, Status::ENOS_OK, "", actions),
            Some(Call::Kept { reply }) => {
                if reply.is_none() {
                    self.remove(token);
                }
                self.outcomes.push((token, Outcome::Delivered));
            }
            _ => {}
        }
    }

    pub fn not_delivered(&mut self, token: u64, reason: &str, actions: &mut VecDeque<Action>) {
        self.unacknowledged.remove(&token);
        self.finish(token, Status::ENOS_ERR_NETWORK, reason, actions);
    }

    /// `granted` None: the broker refused (return code 0x80).
    pub fn subscribed(&mut self, token: u64, granted: Option<u8>, actions: &mut VecDeque<Action>) {
        let Some(granted) = granted else {
            return self.finish(token, Status::ENOS_ERR_CREDENTIALS, "the broker refused the subscription", actions);
        };
        match self.remove(token) {
            Some(Call::Subscribe { filter, qos }) => {
                self.filters.insert(filter.clone(), qos);
                let mut event = Event::new(EventKind::Subscribed, Status::ENOS_OK, "").token(token).topic(filter);
                event.qos = i32::from(granted);
                actions.push_back(Action::Emit(event));
            }
            Some(Call::ReplyTopic { topic }) => {
                if let Some(ReplyTopic::Asked { waiting, .. }) = self.reply_topics.insert(topic, ReplyTopic::Granted) {
                    waiting.into_values().for_each(|request| self.send(request, actions));
                }
            }
            _ => {}
        }
    }

    pub fn unsubscribed(&mut self, token: u64, actions: &mut VecDeque<Action>) {
        // A SUBACK that was still to come when the host unsubscribed has put it back.
        if let Some(Call::Unsubscribe { filter }) = self.calls.get(&token) {
            self.filters.remove(filter);
        }
        self.finish(token, Status::ENOS_OK, "", actions);
    }

    /// Ends the post that this message answers. `None`: nobody waits for it.
    pub fn reply(&mut self, topic: &[u8], payload: &[u8]) -> Option<Replied> {
        let topic = std::str::from_utf8(topic).ok().filter(|topic| topic::is_reply(topic))?;
        let owed = self.pay(topic);
        let Ok(reply) = envelope::parse_reply(payload) else { return self.nameless_reply(topic, payload, owed) };
        let token = self.awaited.get(&(topic.to_owned(), reply.id)).copied()?;
        Some(self.replied(token, reply.code, reply.message))
    }

    fn replied(&mut self, token: u64, code: i32, words: String) -> Replied {
        match self.remove(token) {
            Some(Call::Kept { .. }) => Replied::Kept { request: token, code, words },
            _ => Replied::Call(Event::new(EventKind::Reply, Status::ENOS_OK, words).code(code).token(token)),
        }
    }

    pub fn deadline(&self) -> Option<u64> {
        self.deadlines.values().next().copied()
    }

    /// Ends what had no answer in time. It may have arrived all the same.
    pub fn expire(&mut self, now: u64, actions: &mut VecDeque<Action>) {
        while let Some((&token, _)) = self.deadlines.first_key_value().filter(|&(_, &at)| at <= now) {
            self.finish(token, Status::ENOS_ERR_TIMEOUT, "no answer came in time", actions);
        }
    }

    fn remove(&mut self, token: u64) -> Option<Call> {
        self.deadlines.remove(&token);
        let call = self.calls.remove(&token)?;
        match &call {
            Call::Post { topic, id } => self.await_no_more(token, (topic.clone(), id.clone())),
            Call::Kept { reply } => {
                self.ours -= 1;
                if let Some(reply) = reply.clone() {
                    self.await_no_more(token, reply);
                }
            }
            Call::Replay { .. } | Call::ReplyTopic { .. } => self.ours -= 1,
            _ => {}
        }
        Some(call)
    }

    fn await_no_more(&mut self, token: u64, reply: (String, String)) {
        // It is not sent any more, and is not to be kept until the SUBACK comes, if ever.
        if let Some(ReplyTopic::Asked { waiting, .. }) = self.reply_topics.get_mut(&reply.0) {
            waiting.remove(&token);
        }
        self.awaited.remove(&reply);
    }

    /// Ends a call with its one event. A token that has had its outcome already is no longer known here.
    fn finish(&mut self, token: u64, status: Status, detail: &str, actions: &mut VecDeque<Action>) {
        let Some(call) = self.remove(token) else { return };
        let event = |kind, topic: String| Event::new(kind, status, detail).token(token).topic(topic);
        let event = match call {
            Call::Publish => event(EventKind::Delivered, String::new()),
            Call::Subscribe { filter, .. } => event(EventKind::Subscribed, filter),
            Call::Unsubscribe { filter } => event(EventKind::Unsubscribed, filter),
            Call::Post { topic, .. } => event(EventKind::Reply, topic),
            Call::Kept { .. } => {
                self.outcomes.push((token, Outcome::NotDelivered { status, reason: detail.to_owned() }));
                return;
            }
            Call::Replay { filter } if status == Status::ENOS_ERR_CREDENTIALS => {
                self.filters.remove(&filter);
                event(EventKind::Subscribed, filter).token(0)
            }
            Call::Replay { .. } => return,
            Call::ReplyTopic { topic } => {
                if let Some(ReplyTopic::Asked { waiting, .. }) = self.reply_topics.remove(&topic) {
                    for token in waiting.into_keys() {
                        self.finish(token, status, detail, actions);
                    }
                }
                self.outcomes.push((token, Outcome::NotDelivered { status, reason: detail.to_owned() }));
                return;
            }
        };
        actions.push_back(Action::Emit(event));
    }
}
