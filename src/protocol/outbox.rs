//! What the queue in the storage and the session's outbox say to each other: tokens, counts, and who is suspected.

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
