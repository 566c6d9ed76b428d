//! Finds the request that a reply answers. EnOS answers a request that it cannot read without an id, so that the
//! request has to be guessed.

use std::collections::VecDeque;

use zeroize::Zeroizing;

use super::turns::Raw;
use super::{End, Exchange, Owner};
use crate::model::link::LinkRequest;
use crate::protocol::{envelope, topic};
use crate::session::io::Action;

/// What an inbound message is.
pub enum Reply {
    /// It answers this entry.
    To { token: u64, code: i32, words: String },
    /// A refusal without an id, of one of several requests. Some of them may be of this outbox.
    Unclear { of: u64 },
}

impl Exchange {
    /// What this message answers. `None` if no request waits for it.
    pub fn find(&mut self, topic: &[u8], payload: &[u8]) -> Option<Reply> {
        let topic = std::str::from_utf8(topic).ok()?;
        if let Some(raw) = self.find_raw(topic) {
            let Raw::To(token) = raw else { return None };
            return Some(Reply::To { token, code: envelope::CODE_OK, words: String::new() });
        }
        match envelope::parse_reply(payload) {
            Ok(reply) => {
                self.count_reply(topic);
                let token = self.token_of(&reply.id)?;
                let is_awaited = self.entries.get(&token).is_some_and(|entry| entry.waits_for.is_reply_on(topic));
                is_awaited.then_some(Reply::To { token, code: reply.code, words: reply.message })
            }
            Err(_) => self.find_without_id(topic, payload),
        }
    }

    /// The token of the request with this id.
    fn token_of(&self, id: &str) -> Option<u64> {
        let number = id.parse().ok().filter(|number: &u64| number.to_string() == id)?;
        number.checked_sub(self.first_id)
    }

    /// The token of the request that a message answers, whether the answer is awaited or not.
    pub fn answered_token(&self, payload: &[u8]) -> Option<u64> {
        self.token_of(&envelope::parse_reply(payload).ok()?.id)
    }

    /// A refusal without an id counts only if it can belong to exactly one request. A success without an id never
    /// counts.
    fn find_without_id(&mut self, topic: &str, payload: &[u8]) -> Option<Reply> {
        let (code, words) = envelope::parse_nameless_reply(payload).filter(|(code, _)| *code != envelope::CODE_OK)?;
        let owed = self.count_reply(topic);
        let waiting = || self.entries.iter().filter(|(_, entry)| entry.waits_for.is_reply_on(topic));
        let mut tokens = waiting().map(|(token, _)| *token);
        let token = tokens.next()?;
        if tokens.next().is_none() && owed <= 1 {
            return Some(Reply::To { token, code, words });
        }
        // All of them are of one device, because they have one topic.
        let of = waiting().find_map(|(_, entry)| match entry.owner {
            Owner::Outbox(of) => Some(of),
            _ => None,
        });
        Some(Reply::Unclear { of: of.unwrap_or(0) })
    }

    /// Ends the entry that a message [answers](Self::find).
    pub fn replied(
        &mut self,
        token: u64,
        code: i32,
        words: String,
        topic: Vec<u8>,
        payload: Zeroizing<Vec<u8>>,
        actions: &mut VecDeque<Action>,
    ) {
        self.end(token, Some(End::Replied { code, words, topic, payload }), actions);
    }

    /// A reply to this will come, if its topic is subscribed to.
    pub(super) fn expect_reply(&mut self, request: &LinkRequest) {
        let LinkRequest::Publish { topic, .. } = request else { return };
        if let Some(known) = self.filters.get_mut(&topic::reply_topic(topic)) {
            known.owed = known.owed.saturating_add(u32::from(known.granted));
        }
    }

    /// One of them has arrived. Returns how many there were.
    fn count_reply(&mut self, topic: &str) -> u32 {
        let Some(known) = self.filters.get_mut(&topic.to_owned()) else { return 0 };
        let owed = known.owed;
        known.owed = owed.saturating_sub(1);
        owed
    }
}
