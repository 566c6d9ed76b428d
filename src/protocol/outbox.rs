//! What the queue in the storage and the session's outbox have in common: tokens, counts and the suspect.

use super::Request;

/// The most messages that can be accepted together in one page of the queue.
pub const MAX_TOGETHER: usize = 256;

/// This bit marks the tokens of durable messages. Such a token is never used twice for one device's storage.
const TOKENS: u64 = 1 << 62;

/// This bit marks the tokens of a sub-device, as the host knows them. Below it are 21 bits for the id of the sub-device, 34
/// bits for the end of the page's number, and 8 bits for the index. So two messages of a sub-device have the same token only
/// if there are 2^34 pages between them.
const OF_SUBDEVICE: u64 = 1 << 63;
const ID_SHIFT: u32 = 42;
const IN_QUEUE: u64 = (1 << ID_SHIFT) - 1;

/// The highest id of a sub-device that can have durable messages.
pub const MAX_SUBDEVICE: u64 = (1 << (63 - ID_SHIFT)) - 1;

/// The token of the message with this index in a page.
pub fn token(page: u64, index: usize) -> u64 {
    TOKENS | (page << 8) | (index as u64 & 0xFF)
}

/// Page and index of the message with this token. `None` if it is not the token of a durable message.
pub fn place(token: u64) -> Option<(u64, usize)> {
    (token & TOKENS != 0 && token < TOKENS << 1).then_some(((token & !TOKENS) >> 8, (token & 0xFF) as usize))
}

/// The token by which the host knows the message of a queue that has this token there. That of the client's own device
/// (0) has the same.
pub fn token_of(subdevice: u64, token: u64) -> u64 {
    match subdevice {
        0 => token,
        id => OF_SUBDEVICE | (id.min(MAX_SUBDEVICE) << ID_SHIFT) | (token & IN_QUEUE),
    }
}

/// Whose message has this token, which the host has. `None` if it is not the token of a durable message.
pub fn queue_of(token: u64) -> Option<u64> {
    match token & OF_SUBDEVICE {
        0 => place(token).map(|_| 0),
        _ => Some((token & !OF_SUBDEVICE) >> ID_SHIFT).filter(|id| *id != 0),
    }
}

/// The token in the queue whose next message gets the page `tail`, of a token that the host has.
pub fn token_in(token: u64, tail: u64) -> u64 {
    if token & OF_SUBDEVICE == 0 {
        return token;
    }
    // It is the last page before the tail whose number ends in these bits.
    let (last, end) = (tail.saturating_sub(1), (token & IN_QUEUE) >> 8);
    let back = last.wrapping_sub(end) & (IN_QUEUE >> 8);
    self::token(last.saturating_sub(back), (token & 0xFF) as usize)
}

/// A message of the outbox, as it was read from the storage.
#[derive(Clone, PartialEq, Eq)]
pub enum Message {
    Request(Request),
    /// A later version of the library has accepted it, and this version cannot send it. It becomes a dead letter.
    Unknown {
        /// The bytes in the storage.
        bytes: Vec<u8>,
        /// Whether only a reply completes it, as far as this version can read that.
        until_reply: bool,
        /// Why this version cannot send it.
        words: String,
    },
}

impl Message {
    /// Approximately how many bytes it takes in memory.
    pub fn size(&self) -> usize {
        match self {
            Message::Request(request) => request.size(),
            Message::Unknown { bytes, .. } => bytes.len(),
        }
    }

    /// Whether only a reply completes it.
    pub fn until_reply(&self) -> bool {
        match self {
            Message::Request(Request { until_reply, .. }) | Message::Unknown { until_reply, .. } => *until_reply,
        }
    }

    /// What its outcome says of it.
    pub fn label(&self) -> Label {
        let operation = self.request().map_or(0, |request| request.operation as i32);
        Label { operation, until_reply: self.until_reply() }
    }

    pub fn request(&self) -> Option<&Request> {
        match self {
            Message::Request(request) => Some(request),
            Message::Unknown { .. } => None,
        }
    }
}

/// What the outcome of a message says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// The number of the operation; 0 if this version cannot read it.
    pub operation: i32,
    /// The outcome is REPLY, and not DELIVERED.
    pub until_reply: bool,
}

/// Does not show the params.
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
    /// The page of the next message.
    pub tail: u64,
    pub suspect: Option<Suspect>,
    /// Why the messages of the queue cannot be found any more.
    pub lost: Option<String>,
}

/// What is at a page of the queue. `next` is the page after it.
pub enum PageFound {
    Messages {
        next: u64,
        /// The totals that the queue has ever held, these messages included.
        after: Totals,
        /// `None`: the host has dropped it.
        messages: Vec<Option<Message>>,
    },
    /// It is completed already.
    Nothing { next: u64 },
    /// It was accepted, but cannot be read any more. `words` says why.
    Lost { next: u64, words: String },
}

/// Messages and bytes: what the queue has ever held up to some point, or the difference between two points.
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

/// The messages that were in flight when the link was lost, by their tokens, and how often in a row that happened.
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

    #[test]
    fn tokens_of_subdevices_are_apart_and_name_their_message() {
        let pages = [1, 2, (1 << 34) - 1, 1 << 34, (1 << 40) + 5];
        let mut seen = std::collections::BTreeSet::new();
        for id in [0, 1, 2, MAX_SUBDEVICE] {
            for (page, tail) in pages.into_iter().flat_map(|page| [(page, page + 1), (page, page + (1 << 34))]) {
                for index in [0, 255] {
                    let inside = token(page, index);
                    let outside = token_of(id, inside);
                    assert_eq!((queue_of(outside), token_in(outside, tail)), (Some(id), inside), "{id} {page} {tail}");
                    assert!(outside >= TOKENS);
                    seen.insert((outside, id, index, page % (1 << 34)));
                }
            }
        }
        let mut tokens: Vec<u64> = seen.iter().map(|(token, ..)| *token).collect();
        tokens.dedup();
        assert_eq!(tokens.len(), seen.len());
        assert_eq!([queue_of(7), queue_of(1 << 63 | 5)], [None, None]);
    }
}
