//! Refusals without an id, with which EnOS answers what it cannot read: whose they are.

use super::*;

impl Requests {
    /// An answer to this will come, if its topic is subscribed to.
    pub(super) fn owe(&mut self, request: &LinkRequest) {
        let LinkRequest::Publish { topic, .. } = request else { return };
        let reply_topic = topic::reply_topic(topic);
        if matches!(self.reply_topics.get(&reply_topic), Some(ReplyTopic::Granted)) {
            let owed = self.owed.get(&reply_topic).copied().unwrap_or_default();
            self.owed.insert(reply_topic, owed.saturating_add(1));
        }
    }

    /// One of them has come; how many there were.
    fn pay(&mut self, topic: &str) -> u32 {
        let Some(owed) = self.owed.get_mut(&topic.to_owned()) else { return 0 };
        let before = *owed;
        *owed = before.saturating_sub(1);
        before
    }

    /// What answers a request by its id.
    pub(super) fn named_reply(&mut self, topic: &str, reply: envelope::Reply) -> Option<Replied> {
        self.pay(topic);
        let token = self.awaited.get(&(topic.to_owned(), reply.id)).copied()?;
        Some(self.replied(token, reply.code, reply.message))
    }

    /// It counts only when it can be meant for one request and no other. A success is never taken for anyone's.
    pub(super) fn nameless_reply(&mut self, topic: &str, payload: &[u8]) -> Option<Replied> {
        let (code, words) = envelope::parse_nameless_reply(payload).filter(|(code, _)| *code != envelope::CODE_OK)?;
        let owed = self.pay(topic);
        let waiting = self.awaited.iter().filter(|((on, _), _)| on == topic).map(|(_, token)| *token);
        let waiting: Vec<u64> = waiting.take(2).collect();
        Some(match waiting[..] {
            [] => return None,
            [token] if owed <= 1 => self.replied(token, code, words),
            _ => Replied::Unclear,
        })
    }
}
