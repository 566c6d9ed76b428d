//! What the gateway needs of the exchange, beside sending requests.

use super::posts::Posts;
use super::subdevices::Joining;
use super::Exchange;
use crate::session::event::Event;

#[derive(Default)]
pub(super) struct ForGateway {
    /// How many sub-devices there are.
    subdevices: usize,
    /// The outcomes of requests that bring device secrets.
    pub(super) registered: Vec<Event>,
    /// The sub-devices that EnOS does not know as logged in, and the tokens of their requests.
    pub(super) denied: Vec<(u64, u64)>,
    /// Their reply topics that are asked for, or given up, together.
    pub(super) joining: Joining,
    /// Posts that are sent together.
    pub(super) posts: Posts,
}

impl Exchange {
    pub(super) fn for_gateway(&mut self) -> &mut ForGateway {
        self.for_gateway.get_or_insert_default()
    }

    pub fn set_subdevices(&mut self, count: usize) {
        self.for_gateway().subdevices = count;
    }

    pub(super) fn subdevices(&self) -> usize {
        self.for_gateway.as_ref().map_or(0, |it| it.subdevices)
    }

    pub fn take_registered(&mut self) -> Vec<Event> {
        self.for_gateway.as_mut().map(|it| std::mem::take(&mut it.registered)).unwrap_or_default()
    }

    pub fn take_denied(&mut self) -> Vec<(u64, u64)> {
        self.for_gateway.as_mut().map(|it| std::mem::take(&mut it.denied)).unwrap_or_default()
    }
}
