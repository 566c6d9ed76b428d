//! The host drops messages of its outbox, in the client's order: first from the storage, then from the session.

use super::World;
use crate::session::Place;
use crate::session::*;

impl World {
    /// Drops a random message whose outcome is still to come.
    pub fn drop_durable(&mut self, which: usize) {
        let Some(token) = self.ledger.one_untold(which) else { return };
        let now = self.now();
        let Ok(opened) = self.queue.open() else { return self.after_drop() };
        if !self.session.outbox_is_open() {
            self.session.handle(now, Input::OutboxOpened(Ok(opened)));
        }
        if self.session.place(token) == Place::Waiting {
            match self.queue.drop_waiting(token) {
                Ok(true) if !self.flash.cells().dead => {
                    self.ledger.drop(token);
                    let (head, held) = (self.queue.head(), self.queue.held());
                    self.session.forget_durable(now, token, head, held);
                }
                Ok(false) => {}
                // The message may be removed or not.
                Ok(true) | Err(_) => self.ledger.may_be_gone(token),
            }
        }
        self.after_drop();
    }

    fn after_drop(&mut self) {
        if self.flash.cells().dead {
            return self.die();
        }
        self.perform();
    }
}
