//! What the gateway needs of the exchange, beside sending requests.

use super::Exchange;
use crate::session::event::Event;
use crate::session::io::Outcome;

impl Exchange {
    /// How many sub-devices there are.
    pub fn set_subdevices(&mut self, count: usize) {
        self.subdevices = count;
    }

    /// The outcomes of the gateway's requests, by their tokens.
    pub fn take_gateway(&mut self) -> Vec<(u64, Outcome)> {
        std::mem::take(&mut self.gateway)
    }

    /// The outcomes of requests that bring device secrets.
    pub fn take_registered(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.registered)
    }

    /// The sub-devices that EnOS does not know as logged in, and the tokens of their requests.
    pub fn take_denied(&mut self) -> Vec<(u64, u64)> {
        std::mem::take(&mut self.denied)
    }
}
