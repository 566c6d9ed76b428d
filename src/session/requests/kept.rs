//! The requests of the outbox: it keeps their time itself, and hears what they came to instead of an event.

use super::*;

impl Requests {
    /// Publishes a message of the outbox. Its outcomes are among [`take_outcomes`](Self::take_outcomes).
    pub fn keep(&mut self, topic: String, payload: Vec<u8>, actions: &mut VecDeque<Action>) -> u64 {
        let token = self.keep_call(None);
        let request = LinkRequest::Publish { token, topic, payload, qos: 1 };
        self.owe(&request);
        actions.push_back(Action::Send(request));
        token
    }

    fn keep_call(&mut self, reply: Option<(String, String)>) -> u64 {
        let token = self.number();
        self.calls.insert(token, Call::Kept { reply });
        token
    }

    /// Posts a message of the outbox. With `until_reply` its reply is an outcome, too, and has to be able to come: see
    /// [`can_reply`](Self::can_reply).
    pub fn keep_post(
        &mut self,
        operation: Operation,
        params: &[u8],
        until_reply: bool,
        actions: &mut VecDeque<Action>,
    ) -> Result<u64> {
        let id = self.next_id.to_string();
        let payload = operation.request(&id, params)?;
        self.next_id += 1;
        let reply = until_reply.then(|| (operation.reply_topic(), id));
        let token = self.keep_call(reply.clone());
        if let Some(reply) = reply {
            self.awaited.insert(reply, token);
        }
        let request = LinkRequest::Publish { token, topic: operation.topic, payload, qos: 1 };
        self.owe(&request);
        actions.push_back(Action::Send(request));
        Ok(token)
    }

    /// Whether replies to this operation come; if not yet, which call sees to it. When that comes to nothing, it is
    /// among the [outcomes](Self::take_outcomes).
    pub fn can_reply(
        &mut self,
        operation: &Operation,
        now: u64,
        actions: &mut VecDeque<Action>,
    ) -> std::result::Result<(), u64> {
        let topic = operation.reply_topic();
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
