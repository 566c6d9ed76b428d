//! What the client asks of the session between its inputs.

use super::*;

impl Session {
    pub fn state(&self) -> State {
        self.connection.state()
    }

    /// Why the last attempt failed; "" if none has.
    pub fn last_error(&self) -> &str {
        self.connection.last_error()
    }

    /// Why it makes no sense to wait for a state now: only a long wait is left, or nothing is under way.
    pub fn blocked_by(&self) -> Option<Error> {
        self.connection.blocked_by()
    }

    /// A device secret is in memory that is not stored yet.
    pub fn has_unsaved_secret(&self) -> bool {
        self.connection.has_unsaved_secret()
    }

    /// The device secret, which is sent once, may be on its way on the present link.
    pub fn is_activating(&self) -> bool {
        self.connection.is_activating()
    }

    /// Whether the link of this attempt is wanted after all, because of what has come on it after [`Action::Abandon`].
    pub fn wants_link(&self, attempt: u64) -> bool {
        self.connection.wants_link(attempt)
    }

    /// Whether the host wants to be offline while this attempt logs in.
    pub fn is_withdrawn(&self, attempt: u64) -> bool {
        self.connection.is_withdrawn(attempt)
    }

    /// How many actions wait for somebody to run the loop, or will.
    pub fn backlog(&self) -> usize {
        self.actions.len() + self.connection.stops_pending()
    }
}
