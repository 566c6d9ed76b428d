//! The host drops messages of its outbox, in the client's order: first from the storage, then from the session.

use super::{World, DEVICES};
use crate::session::Place;

impl World {
    /// Drops a random message whose outcome is still to come.
    pub fn drop_durable(&mut self, which: usize) {
        let device = which % DEVICES;
        let Some(token) = self.ledgers[device].one_untold(which / DEVICES) else { return };
        let now = self.now();
        let Ok(opened) = self.queues[device].open() else { return self.after_drop() };
        self.session.outbox_opened(now, device as u64, opened);
        if self.session.place(device as u64, token) == Place::Waiting {
            match self.queues[device].drop_waiting(token) {
                Ok(true) if !self.flash.cells().dead => {
                    self.ledgers[device].drop(token);
                    let (head, held) = (self.queues[device].head(), self.queues[device].held());
                    self.session.forget_durable(now, device as u64, token, head, held);
                }
                Ok(false) => {}
                // The message may be removed or not.
                Ok(true) | Err(_) => self.ledgers[device].may_be_gone(token),
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
