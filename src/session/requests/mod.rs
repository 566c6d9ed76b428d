//! Calls on their way to an outcome: each accepted one ends in exactly one event with its token.

mod kept;
mod nameless;
mod places;
mod subscriptions;

use std::collections::VecDeque;

use super::event::{Event, EventKind};
use super::io::Outcome;
use super::{Action, LinkRequest};
use crate::error::{Error, Result, Status};
use crate::protocol::{envelope, topic, Identity, Operation};
use crate::sorted::SortedMap;

use places::Places;
use subscriptions::Filter;

/// Answers to commands that may be without their outcome: a device that posts all it can must still be able to answer.
pub const MAX_ANSWERS: usize = 100;
/// Calls that subscribe or unsubscribe.
const MAX_SUBSCRIPTION_CALLS: usize = 1_000;
/// What a SUBACK has for a refusal.
const SUBACK_REFUSED: i32 = 0x80;

enum Call {
    Publish,
    Answer,
    /// For the filter as it is on the present link: whoever waits for it stands there.
    Subscribe {
        filter: String,
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
    reply_timeout_ms: u64,
    /// On the present link.
    calls: SortedMap<u64, Call>,
    messages: Places,
    answers: Places,
    subscriptions: Places,
    filters: SortedMap<String, Filter>,
    reply_topics: SortedMap<String, ReplyTopic>,
    awaited: SortedMap<(String, String), u64>,
    /// How many answers are still to come on each reply topic of this link, wanted or not.
    owed: SortedMap<String, u32>,
    /// When a call's outcome is overdue. The timeout is the same for all, so the first token is due first.
    deadlines: SortedMap<u64, u64>,
    /// What the outbox is still to hear of.
    outcomes: Vec<(u64, Outcome)>,
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
            reply_timeout_ms,
            calls: SortedMap::new(),
            messages: Places::new("messages", limit as usize),
            answers: Places::new("answers to commands", MAX_ANSWERS),
            subscriptions: Places::new("calls to subscribe and unsubscribe", MAX_SUBSCRIPTION_CALLS),
            filters: SortedMap::new(),
            reply_topics: SortedMap::new(),
            awaited: SortedMap::new(),
            owed: SortedMap::new(),
            deadlines: SortedMap::new(),
            outcomes: Vec::new(),
        }
    }

    fn number(&mut self) -> u64 {
        let token = self.next_token;
        self.next_token += 1;
        token
    }

    /// A call begins on the present link.
    fn call(&mut self, call: Call, now: u64) -> u64 {
        let token = self.number();
        self.calls.insert(token, call);
        self.deadlines.insert(token, now.saturating_add(self.reply_timeout_ms));
        token
    }

    /// Whether every call of the host's has had its outcome.
    pub fn is_idle(&self) -> bool {
        self.messages.calls + self.answers.calls + self.subscriptions.calls == 0
    }

    /// Gives back memory that nothing stands in.
    pub fn release(&mut self) {
        self.calls.release();
        self.awaited.release();
        self.deadlines.release();
        for places in [&mut self.messages, &mut self.answers, &mut self.subscriptions] {
            places.release();
        }
    }

    /// Whether the host waits for nothing that was sent on the present link.
    pub fn is_quiet(&self) -> bool {
        self.messages.calls + self.answers.calls == 0 && self.subscriptions_are_quiet()
    }

    /// After a call was refused: there is room again.
    pub fn tell_room(&mut self, actions: &mut VecDeque<Action>) {
        for places in [&mut self.messages, &mut self.answers, &mut self.subscriptions] {
            places.tell_room(actions);
        }
    }

    fn ask_reply_topic(
        &mut self,
        topic: String,
        waiting: SortedMap<u64, LinkRequest>,
        now: u64,
        actions: &mut VecDeque<Action>,
    ) -> u64 {
        let call = self.call(Call::ReplyTopic { topic: topic.clone() }, now);
        actions.push_back(Action::Send(LinkRequest::Subscribe { token: call, filters: vec![(topic.clone(), 1)] }));
        self.reply_topics.insert(topic, ReplyTopic::Asked { call, waiting });
        call
    }

    pub fn publish(
        &mut self,
        topic: String,
        payload: Vec<u8>,
        qos: u8,
        now: u64,
        actions: &mut VecDeque<Action>,
    ) -> Result<u64> {
        self.messages.take()?;
        let token = self.call(Call::Publish, now);
        self.messages.hold(token);
        actions.push_back(Action::Send(LinkRequest::Publish { token, topic, payload, qos }));
        Ok(token)
    }

    /// Publishes the answer to a command.
    pub fn answer(&mut self, topic: String, payload: Vec<u8>, now: u64, actions: &mut VecDeque<Action>) -> Result<u64> {
        self.answers.take()?;
        let token = self.call(Call::Answer, now);
        self.answers.hold(token);
        actions.push_back(Action::Send(LinkRequest::Publish { token, topic, payload, qos: 1 }));
        Ok(token)
    }

    /// Posts to the thing model. EnOS replies only to a device that has subscribed to the reply topic, so the first
    /// post on a link waits for that.
    pub fn post(
        &mut self,
        operation: Operation,
        identity: &Identity,
        params_json: &[u8],
        now: u64,
        actions: &mut VecDeque<Action>,
    ) -> Result<u64> {
        let id = self.next_id.to_string();
        let payload = operation.request(&id, "", params_json)?;
        envelope::check_size(payload.len())?;
        let topic = operation.topic(identity, "");
        let reply_topic = topic::reply_topic(&topic);
        self.messages.take()?;
        let token = self.call(Call::Post { topic: reply_topic.clone(), id: id.clone() }, now);
        self.next_id += 1;
        let request = LinkRequest::Publish { token, topic, payload, qos: operation.row().qos };
        self.awaited.insert((reply_topic.clone(), id), token);
        match self.reply_topics.get_mut(&reply_topic) {
            Some(ReplyTopic::Granted) => self.send_post(request, actions),
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

    fn send_post(&mut self, request: LinkRequest, actions: &mut VecDeque<Action>) {
        self.messages.hold(request.token());
        self.owe(&request);
        actions.push_back(Action::Send(request));
    }

    /// The link is gone: nobody knows what arrived, and nothing is sent again. Subscriptions ended with it.
    pub fn link_down(&mut self, reason: &str, actions: &mut VecDeque<Action>) {
        self.reply_topics.clear();
        self.owed.clear();
        self.messages.let_all_go();
        self.answers.let_all_go();
        for token in self.calls.keys().copied().collect::<Vec<_>>() {
            match self.calls.get(&token) {
                Some(Call::Subscribe { .. }) => {
                    if let Some(Call::Subscribe { filter }) = self.remove(token) {
                        self.not_asked(&filter);
                    }
                }
                Some(Call::Unsubscribe { .. }) => self.finish(token, Status::ENOS_OK, reason, actions),
                _ => self.finish(token, Status::ENOS_ERR_NETWORK, reason, actions),
            }
        }
    }

    fn let_go(&mut self, token: u64) {
        self.messages.let_go(token);
        self.answers.let_go(token);
    }

    pub fn delivered(&mut self, token: u64, actions: &mut VecDeque<Action>) {
        self.let_go(token);
        match self.calls.get(&token) {
            Some(Call::Publish | Call::Answer) => self.finish(token, Status::ENOS_OK, "", actions),
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
        self.let_go(token);
        match self.calls.get(&token) {
            // The link is about to be lost, which is their outcome; if it is not, their time runs out.
            Some(Call::Subscribe { .. } | Call::Unsubscribe { .. }) => {}
            _ => self.finish(token, Status::ENOS_ERR_NETWORK, reason, actions),
        }
    }

    /// `granted` None: the broker refused (return code 0x80).
    pub fn subscribed(&mut self, token: u64, granted: Option<u8>, actions: &mut VecDeque<Action>) {
        let Some(granted) = granted else {
            return self.finish(token, Status::ENOS_ERR_REFUSED, "the broker refused the subscription", actions);
        };
        match self.remove(token) {
            Some(Call::Subscribe { filter }) => {
                let mut answer = Event::new(EventKind::Subscribed, Status::ENOS_OK, "");
                answer.qos = i32::from(granted);
                self.answered(filter, answer, actions);
            }
            Some(Call::ReplyTopic { topic }) => {
                if let Some(ReplyTopic::Asked { waiting, .. }) = self.reply_topics.insert(topic, ReplyTopic::Granted) {
                    waiting.into_values().for_each(|request| self.send_post(request, actions));
                }
            }
            _ => {}
        }
    }

    pub fn unsubscribed(&mut self, token: u64, actions: &mut VecDeque<Action>) {
        self.finish(token, Status::ENOS_OK, "", actions);
    }

    /// Ends the post that this message answers. `None`: nobody waits for it.
    pub fn reply(&mut self, topic: &[u8], payload: &[u8]) -> Option<Replied> {
        let topic = std::str::from_utf8(topic).ok().filter(|topic| topic::is_reply(topic))?;
        match envelope::parse_reply(payload) {
            Ok(reply) => self.named_reply(topic, reply),
            Err(_) => self.nameless_reply(topic, payload),
        }
    }

    fn replied(&mut self, token: u64, code: i32, words: String) -> Replied {
        match self.remove(token) {
            Some(Call::Kept { .. }) => Replied::Kept { request: token, code, words },
            _ => {
                let (status, words) = match code {
                    envelope::CODE_OK => (Status::ENOS_OK, words),
                    code if words.is_empty() => (Status::ENOS_ERR_REFUSED, format!("EnOS answered {code}")),
                    code => (Status::ENOS_ERR_REFUSED, format!("EnOS answered {code}: {words}")),
                };
                Replied::Call(Event::new(EventKind::Reply, status, words).code(code).token(token))
            }
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
            Call::Publish | Call::Post { .. } => self.messages.calls -= 1,
            Call::Answer => self.answers.calls -= 1,
            Call::Unsubscribe { .. } => self.subscriptions.calls -= 1,
            Call::Subscribe { .. } | Call::Kept { .. } | Call::ReplyTopic { .. } => {}
        }
        match &call {
            Call::Post { topic, id } => self.await_no_more(token, (topic.clone(), id.clone())),
            Call::Kept { reply: Some(reply) } => self.await_no_more(token, reply.clone()),
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
        let code = if status == Status::ENOS_ERR_REFUSED { SUBACK_REFUSED } else { 0 };
        let event = |kind, topic: String| Event::new(kind, status, detail).code(code).token(token).topic(topic);
        let event = match call {
            Call::Publish | Call::Answer => event(EventKind::Delivered, String::new()),
            Call::Subscribe { filter } => {
                return self.answered(filter, Event::new(EventKind::Subscribed, status, detail).code(code), actions);
            }
            Call::Unsubscribe { filter } => event(EventKind::Unsubscribed, filter),
            Call::Post { topic, .. } => event(EventKind::Reply, topic),
            Call::Kept { .. } => {
                self.outcomes.push((token, Outcome::NotDelivered { status, reason: detail.to_owned() }));
                return;
            }
            Call::ReplyTopic { topic } => {
                let detail = format!("the topic of EnOS's replies: {detail}");
                if let Some(ReplyTopic::Asked { waiting, .. }) = self.reply_topics.remove(&topic) {
                    for token in waiting.into_keys() {
                        self.finish(token, status, &detail, actions);
                    }
                }
                self.outcomes.push((token, Outcome::NotDelivered { status, reason: detail }));
                return;
            }
        };
        actions.push_back(Action::Emit(event));
    }
}
