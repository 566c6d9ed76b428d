//! The end of a link, and what it means for the entries.

use std::collections::VecDeque;

use super::{End, Entry, Exchange, Kind, Owner, Places, WaitsFor, NOT_SENT};
use crate::error::Status;
use crate::session::io::Action;

impl Exchange {
    /// The link is to end. Requests that wait for their turn are not sent any more. One that waits only for the broker's
    /// answer about its reply topic is still sent: a device may post and disconnect.
    pub fn closing(&mut self, actions: &mut VecDeque<Action>) {
        let waits = |entry: &Entry| matches!(entry.waits_for, WaitsFor::Turn { request: Some(_), .. });
        let unsent = self.entries.iter().filter(|(_, entry)| waits(entry));
        for token in unsent.map(|(token, _)| *token).collect::<Vec<_>>() {
            let words = format!("{NOT_SENT}: the connection is being closed");
            self.end(token, Some(End::With(Status::ENOS_ERR_NETWORK, words)), actions);
        }
    }

    /// Ends what was sent on the link: it is not known what has arrived, and nothing is sent again. `unplanned`: the
    /// broker or the network has ended the link.
    pub fn link_down(&mut self, reason: &str, unplanned: bool, actions: &mut VecDeque<Action>) {
        self.lose_filters(unplanned);
        if let Some(it) = &mut self.for_gateway {
            it.posts.link_down();
        }
        self.places.iter_mut().for_each(Places::let_all_go);
        for token in self.entries.keys().copied().collect::<Vec<_>>() {
            let Some(entry) = self.entries.get(&token) else { continue };
            let end = match (entry.owner, &entry.waits_for) {
                // It is asked for again on the next link.
                (Owner::Host(Kind::Subscription), WaitsFor::Filter { .. }) => continue,
                (_, WaitsFor::Suback { .. }) => None,
                // The loss has ended the subscription as well.
                (_, WaitsFor::Unsuback { .. }) => Some(Status::ENOS_OK),
                _ => Some(Status::ENOS_ERR_NETWORK),
            };
            self.end(token, end.map(|status| End::With(status, reason.to_owned())), actions);
        }
    }
}
