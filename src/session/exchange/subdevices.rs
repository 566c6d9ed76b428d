//! The topics on which the replies to sub-devices come. Many sub-devices log in, or are removed, within a short time. Their
//! topics are joined, so that few packets are enough.
//!
//! At most one SUBSCRIBE packet of them is unanswered at a time, unless it is full or its answer takes too long. What becomes
//! ready meanwhile goes into the next one. The same holds for UNSUBSCRIBE packets.

use std::collections::{BTreeSet, VecDeque};

use super::{End, Exchange, Filter, Owner, WaitsFor, NOT_SENT};
use crate::error::Status;
use crate::model::link::LinkRequest;
use crate::session::io::Action;
use crate::sorted::SortedMap;

/// A topic waits no longer than this for others.
const JOIN_MS: u64 = 1_000;

#[derive(Default)]
pub(super) struct Joining {
    /// The topics that are to be asked for, and when at the latest.
    wanted: SortedMap<String, ()>,
    until: u64,
    /// More sub-devices come online soon.
    more: bool,
    /// The last SUBSCRIBE packet.
    subscribe: u64,
    /// The topics of sub-devices that were removed. Each is given up when no request awaits its reply any more.
    unwanted: SortedMap<String, ()>,
    /// The last UNSUBSCRIBE packet.
    unsubscribe: u64,
}

impl Joining {
    /// The link is gone. Returns the topics of removed sub-devices.
    pub(super) fn link_down(&mut self) -> impl Iterator<Item = String> {
        std::mem::take(self).unwanted.into_keys()
    }

    /// A sub-device needs this topic again.
    pub(super) fn keep(&mut self, topic: &String) {
        self.unwanted.remove(topic);
    }
}

impl Exchange {
    fn joining(&mut self) -> &mut Joining {
        &mut self.for_gateway().joining
    }

    /// Sub-devices have logged in. Asks for the topics of replies that they have needed before, and for one of each, which
    /// most need. `more`: others follow soon.
    pub fn subdevices_online(
        &mut self,
        topics: Vec<(u64, String)>,
        more: bool,
        now: u64,
        actions: &mut VecDeque<Action>,
    ) {
        for (of, topic) in &topics {
            let used = self.next_token;
            let known = self.filters.get_or_default(topic);
            (known.used, known.of) = (Some(known.used.unwrap_or(used)), *of);
            self.joining().keep(topic);
        }
        let theirs = self.filters.iter().filter(|(_, known)| topics.binary_search_by_key(&known.of, |of| of.0).is_ok());
        let names: Vec<_> = theirs.filter(|(_, known)| is_wanted(known)).map(|(name, _)| name.clone()).collect();
        if !names.is_empty() {
            self.joining().more = more;
        }
        self.join(names, now, actions);
    }

    /// The topics are asked for soon.
    pub(super) fn join(&mut self, topics: Vec<String>, now: u64, actions: &mut VecDeque<Action>) {
        if self.joining().wanted.is_empty() {
            self.joining().until = now.saturating_add(JOIN_MS);
        }
        for topic in topics {
            self.joining().wanted.insert(topic, ());
        }
        self.ask_joined(now, actions);
    }

    /// Asks for the topics that have joined, unless they wait for others.
    pub(super) fn ask_joined(&mut self, now: u64, actions: &mut VecDeque<Action>) {
        let Some(it) = &self.for_gateway else { return };
        let Joining { wanted, until, more, subscribe, .. } = &it.joining;
        let may_wait = *more || self.entries.get(subscribe).is_some();
        if wanted.is_empty() || (may_wait && wanted.len() < self.batch.size() && now < *until) {
            return;
        }
        self.joining().more = false;
        let mut topics = Vec::from_iter(std::mem::take(&mut self.joining().wanted).into_keys());
        topics.retain(|topic| self.filters.get(topic).is_some_and(is_wanted));
        if !topics.is_empty() {
            self.ask(topics, None, now, actions);
            self.joining().subscribe = self.next_token - 1;
        }
    }

    /// When the topics that have joined are asked for at the latest.
    pub(super) fn joined_until(&self) -> Option<u64> {
        let joining = self.for_gateway.as_ref().map(|it| &it.joining);
        joining.filter(|joining| !joining.wanted.is_empty()).map(|joining| joining.until)
    }

    /// The sub-device is not online any more. What waits to be sent for it is not sent.
    pub fn subdevice_left(&mut self, id: u64, actions: &mut VecDeque<Action>) {
        let unsent = self.entries.iter().filter(|(_, entry)| entry.subdevice == id && entry.waits_for.is_unsent());
        for token in unsent.map(|(token, _)| *token).collect::<Vec<_>>() {
            let words = format!("{NOT_SENT}: the sub-device is not online any more");
            self.end(token, Some(End::With(Status::ENOS_ERR_NETWORK, words)), actions);
        }
        for topic in self.topics_of(id) {
            self.joining().wanted.remove(&topic);
        }
    }

    /// The sub-device was removed. Its topics are given up when the requests that were sent have had their replies.
    pub fn subdevice_removed(&mut self, id: u64) {
        for topic in self.topics_of(id) {
            self.joining().unwanted.insert(topic, ());
        }
    }

    fn topics_of(&self, id: u64) -> Vec<String> {
        let theirs = self.filters.iter().filter(|(_, known)| known.of == id);
        theirs.map(|(topic, _)| topic.clone()).collect()
    }

    /// Gives up the topics of removed sub-devices that no request needs.
    pub fn give_up_topics(&mut self, now: u64, actions: &mut VecDeque<Action>) {
        let Some(it) = &self.for_gateway else { return };
        let Joining { unwanted, unsubscribe, .. } = &it.joining;
        if unwanted.is_empty() || self.entries.get(unsubscribe).is_some() {
            return;
        }
        let needed: BTreeSet<&str> = self.entries.values().filter_map(|entry| entry.waits_for.needed_topic()).collect();
        let mut topics = Vec::from_iter(unwanted.keys().filter(|topic| !needed.contains(topic.as_str())).cloned());
        topics.retain(|topic| {
            self.joining().unwanted.remove(topic);
            self.forget_topic(topic)
        });
        for filters in topics.chunks(self.batch.size()) {
            self.joining().unsubscribe = self.send_unsubscribe(Owner::Exchange, filters.to_vec(), now, actions);
        }
    }

    /// No replies are awaited on this topic any more. Returns whether the broker has to be told.
    pub(super) fn forget_topic(&mut self, topic: &String) -> bool {
        if let Some(known) = self.filters.get_mut(topic).filter(|known| known.host.is_some()) {
            (known.used, known.of) = (None, 0);
            return false;
        }
        self.filters.remove(topic).is_some_and(|known| known.may_be_on_link)
    }

    /// Sends an UNSUBSCRIBE packet.
    pub(super) fn send_unsubscribe(
        &mut self,
        owner: Owner,
        filters: Vec<String>,
        now: u64,
        actions: &mut VecDeque<Action>,
    ) -> u64 {
        let waits_for = WaitsFor::Unsuback { filter: filters.first().cloned().unwrap_or_default() };
        let token = self.enter(owner, waits_for, Some(self.timeout_ms), now);
        actions.push_back(Action::Send(LinkRequest::Unsubscribe { token, filters }));
        token
    }
}

fn is_wanted(known: &Filter) -> bool {
    known.used.is_some() && !known.granted && known.asked.is_none()
}
