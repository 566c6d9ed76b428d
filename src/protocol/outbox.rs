//! What the queue in the storage and the session's outbox say to each other: tokens, counts, and who is suspected.

use super::Request;

/// Messages that can be accepted together, and share a page of the queue.
pub const MAX_TOGETHER: usize = 256;

/// Tokens of durable messages: apart from all others, and never used twice for one device's storage.
const TOKENS: u64 = 1 << 62;

/// The token of the message at `index` of a page.
pub fn token(page: u64, index: usize) -> u64 {
    TOKENS | (page << 8) | (index as u64 & 0xFF)
}

/// Page and index of the message with this token. `None`: it is not the token of a durable message.
pub fn place(token: u64) -> Option<(u64, usize)> {
    (token & TOKENS != 0 && token < TOKENS << 1).then_some(((token & !TOKENS) >> 8, (token & 0xFF) as usize))
}

/// A message of the outbox, as it is read back.
#[derive(Clone, PartialEq, Eq)]
pub enum Message {
    Request(Request),
    /// A later version of the library accepted it, and this one cannot send it. It becomes a dead letter.
    Unknown {
        /// As they are stored.
        bytes: Vec<u8>,
        /// What is unknown about it.
        words: String,
    },
}

impl Message {
    /// About as many bytes as it takes in memory.
    pub fn size(&self) -> usize {
        match self {
            Message::Request(request) => request.size(),
            Message::Unknown { bytes, .. } => bytes.len(),
        }
    }

    /// Whether it is completed only by its reply.
    pub fn until_reply(&self) -> bool {
        self.request().is_some_and(|request| request.until_reply)
    }

    pub fn request(&self) -> Option<&Request> {
        match self {
            Message::Request(request) => Some(request),
            Message::Unknown { .. } => None,
        }
    }
}

/// Shows no params.
impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Message::Request(request) => request.fmt(f),
            Message::Unknown { words, .. } => f.write_str(words),
        }
    }
}

/// Where the queue in the storage begins and ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxEnds {
    /// The first page that is not completed.
    pub head: u64,
    /// The page that the next message will have.
    pub tail: u64,
    pub suspect: Option<Suspect>,
    /// Why the messages of the queue cannot be found any more.
    pub lost: Option<String>,
}

/// What is at a page of the queue. `next` is the page after it.
pub enum PageFound {
    Messages {
        next: u64,
        /// All that the queue has ever held, these messages included.
        after: Totals,
        /// `None`: the host has dropped it.
        messages: Vec<Option<Message>>,
    },
    /// It was completed already.
    Nothing { next: u64 },
    /// It was accepted, and cannot be read any more; `words` say why.
    Lost { next: u64, words: String },
}

/// Messages and bytes: how many the queue has ever held before some point, or the difference of two such counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub messages: u64,
    pub bytes: u64,
}

impl Totals {
    pub fn plus(self, messages: u64, bytes: u64) -> Totals {
        Totals { messages: self.messages.saturating_add(messages), bytes: self.bytes.saturating_add(bytes) }
    }

    pub fn since(self, earlier: Totals) -> Totals {
        Totals {
            messages: self.messages.saturating_sub(earlier.messages),
            bytes: self.bytes.saturating_sub(earlier.bytes),
        }
    }
}

/// The messages, by their tokens, that were under way when the link was lost, and how often in a row that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspect {
    pub first: u64,
    pub last: u64,
    pub losses: u8,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_apart_and_in_order() {
        assert!(token(1, 0) > u64::from(u32::MAX) && token(1, 255) < token(2, 0));
        assert!(token(u64::from(u32::MAX) << 8, 3) > token(7, 9));
        assert_eq!([place(token(7, 9)), place(7 << 8), place(u64::MAX)], [Some((7, 9)), None, None]);
    }
}
