//! The requests of the outbox: it keeps their time itself, and hears what they came to instead of an event.

use super::*;
use crate::protocol::Request;

impl Requests {
    /// Sends a request of the outbox, as this operation. Its outcomes are among [`take_outcomes`](Self::take_outcomes).
    /// If it waits for its reply, that has to be able to come: see [`can_reply`](Self::can_reply).
    pub fn keep(
        &mut self,
        operation: Operation,
        identity: &Identity,
        request: &Request,
        actions: &mut VecDeque<Action>,
    ) -> Result<u64> {
        let id = self.next_id.to_string();
        let payload = operation.request(&id, &request.name, &request.params)?;
        self.next_id += 1;
        let topic = operation.topic(identity, &request.name);
        let reply = request.until_reply.then(|| (topic::reply_topic(&topic), id));
        let token = self.number();
        self.calls.insert(token, Call::Kept { reply: reply.clone() });
        if let Some(reply) = reply {
            self.awaited.insert(reply, token);
        }
        let request = LinkRequest::Publish { token, topic, payload, qos: operation.row().qos };
        self.owe(&request);
        actions.push_back(Action::Send(request));
        Ok(token)
    }

    /// Whether replies come on this topic; if not yet, which call sees to it. When that comes to nothing, it is among
    /// the [outcomes](Self::take_outcomes).
    pub fn can_reply(
        &mut self,
        topic: String,
        now: u64,
        actions: &mut VecDeque<Action>,
    ) -> std::result::Result<(), u64> {
        match self.reply_topics.get(&topic) {
            Some(ReplyTopic::Granted) => Ok(()),
            Some(ReplyTopic::Asked { call, .. }) => Err(*call),
            None => Err(self.ask_reply_topic(topic, SortedMap::new(), now, actions)),
        }
    }

    /// The outbox has no interest in it any more.
    pub fn forget(&mut self, token: u64) {
        self.remove(token);
    }

    pub fn take_outcomes(&mut self) -> Vec<(u64, Outcome)> {
        std::mem::take(&mut self.outcomes)
    }
}
