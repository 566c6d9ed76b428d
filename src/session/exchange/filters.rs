//! Topic filters: those of the host, and the topics on which replies come.
//!
//! A filter of the host is an intention. It lasts from the call that subscribes until the one that unsubscribes, and is
//! requested on each link, whatever the broker has answered before. A reply topic is requested when the first request
//! needs it, and on each link from then on.

use std::collections::VecDeque;

use super::{event, End, Entry, Exchange, Kind, Owner, WaitsFor, NOT_SENT, NO_ANSWER};
use crate::error::{Error, Result, Status};
use crate::log::Level;
use crate::model::link::LinkRequest;
use crate::protocol::topic;
use crate::session::io::Action;

/// How many topic filters the host may have.
const MAX_FILTERS: usize = 256;
/// Beyond so many reply topics, and so many more for each sub-device, one that no request needs is given up for a new one.
const MAX_REPLY_TOPICS: usize = 256;
const MAX_REPLY_TOPICS_OF_ONE: usize = 4;

#[derive(Default)]
pub(super) struct Filter {
    pub(super) host: Option<HostFilter>,
    /// Replies come on it. This is the next token at the last request that needed it: the least is the oldest.
    pub(super) used: Option<u64>,
    /// The sub-device whose requests need it: it is asked for only while that is logged in. 0: it is not one's.
    pub(super) of: u64,
    /// The SUBSCRIBE packet that has asked for it last, and is not answered yet.
    pub(super) asked: Option<u64>,
    pub(super) granted: bool,
    /// It was asked for on this link, and the broker has not refused it: the broker may have it, also without an answer.
    pub(super) may_be_on_link: bool,
    /// How many replies are still to come on this link, wanted or not.
    pub(super) owed: u32,
}

pub(super) struct HostFilter {
    qos: u8,
    /// The host was told last that the filter was refused, or not answered.
    in_trouble: bool,
}

/// The broker's answer for a filter: the QoS, or why there is none.
type Answer<'a> = std::result::Result<u8, (Status, &'a str)>;

impl Exchange {
    /// The host subscribes. `online`: there is a link to ask on.
    pub fn subscribe(
        &mut self,
        filter: String,
        qos: u8,
        online: bool,
        now: u64,
        actions: &mut VecDeque<Action>,
    ) -> Result<u64> {
        let is_new = self.filters.get(&filter).is_none_or(|known| known.host.is_none());
        if is_new && self.filters.values().filter(|known| known.host.is_some()).count() >= MAX_FILTERS {
            return Err(Error::new(
                Status::ENOS_ERR_QUEUE_FULL,
                format!("{MAX_FILTERS} topic filters are subscribed; unsubscribe one first"),
            ));
        }
        let owner = Owner::Host(Kind::Subscription);
        self.admit(owner)?;
        let known = self.filters.get_or_default(&filter);
        known.host.get_or_insert(HostFilter { qos, in_trouble: false }).qos = qos;
        let token = self.enter(owner, WaitsFor::Filter { filter: filter.clone(), request: None }, None, now);
        self.turns.keys().for_each(|topic| warn_of_copies(&filter, topic, actions));
        if online {
            self.ask(vec![filter], None, now, actions);
        }
        Ok(token)
    }

    /// The host unsubscribes. The outcome comes at once if there is nothing to ask for: there is no link, or replies come
    /// on this topic.
    pub fn unsubscribe(
        &mut self,
        filter: String,
        online: bool,
        now: u64,
        actions: &mut VecDeque<Action>,
    ) -> Result<u64> {
        let owner = Owner::Host(Kind::Subscription);
        self.admit(owner)?;
        let is_reply_topic = self.filters.get(&filter).is_some_and(|known| known.used.is_some());
        if is_reply_topic {
            self.filters.get_or_default(&filter).host = None;
        } else {
            self.filters.remove(&filter);
        }
        for token in self.waiting_for(&filter, |waiting| waiting == owner) {
            let end = End::With(Status::ENOS_ERR_STATE, "taken back by enos_client_unsubscribe()".to_owned());
            self.end(token, Some(end), actions);
        }
        let words = match (is_reply_topic, online) {
            // After an UNSUBSCRIBE, the replies to requests that were sent already would not come.
            (true, _) => "replies to the client's own requests still come on this topic",
            (false, false) => "there was no connection to end it on",
            (false, true) => return Ok(self.send_unsubscribe(owner, vec![filter], now, actions)),
        };
        let token = self.enter(owner, WaitsFor::Unsuback { filter }, None, now);
        self.end(token, Some(End::With(Status::ENOS_OK, words.to_owned())), actions);
        Ok(token)
    }

    pub(super) fn is_granted(&self, filter: &String) -> bool {
        self.filters.get(filter).is_some_and(|known| known.granted)
    }

    pub(super) fn is_asked(&self, filter: &String) -> bool {
        self.filters.get(filter).is_some_and(|known| known.asked.is_some())
    }

    /// An entry needs the replies on this topic. Asks for it, unless that was done.
    pub(super) fn need_reply_topic(&mut self, topic: &String, of: u64, now: u64, actions: &mut VecDeque<Action>) {
        if self.filters.get(topic).is_none_or(|known| known.used.is_none()) {
            self.limit_reply_topics(now, actions);
        }
        let known = self.filters.get_or_default(topic);
        (known.used, known.of) = (Some(self.next_token), of);
        let is_missing = !known.granted && known.asked.is_none();
        if let Some(it) = &mut self.for_gateway {
            it.joining.keep(topic);
        }
        match is_missing {
            true if of == 0 => self.ask(vec![topic.clone()], None, now, actions),
            true => self.join(vec![topic.clone()], now, actions),
            false => {}
        }
    }

    /// If there are many reply topics, gives up the one that was used least recently of those that nobody needs. Some
    /// have an id of the host's choice in them, so there is no end of new ones.
    fn limit_reply_topics(&mut self, now: u64, actions: &mut VecDeque<Action>) {
        let own = self.filters.iter().filter(|(_, known)| known.host.is_none());
        let mut topics: Vec<(u64, &String)> = own.filter_map(|(topic, known)| Some((known.used?, topic))).collect();
        if topics.len() < MAX_REPLY_TOPICS + MAX_REPLY_TOPICS_OF_ONE * self.subdevices() {
            return;
        }
        topics.sort_unstable();
        let is_needed = |topic: &str| self.entries.values().any(|entry| entry.waits_for.needed_topic() == Some(topic));
        let Some(filter) = topics.into_iter().map(|(_, topic)| topic).find(|topic| !is_needed(topic)).cloned() else {
            return;
        };
        if self.forget_topic(&filter) {
            self.send_unsubscribe(Owner::Exchange, vec![filter], now, actions);
        }
    }

    /// Replies without an id come on this topic.
    pub(super) fn warn_of_raw_replies(&self, raw_topic: &str, actions: &mut VecDeque<Action>) {
        let of_host = self.filters.iter().filter(|(_, known)| known.host.is_some());
        of_host.for_each(|(filter, _)| warn_of_copies(filter, raw_topic, actions));
    }

    /// Asks for all filters on a new link: each CONNECT begins a new MQTT session, which has no subscriptions.
    pub fn link_up(&mut self, now: u64, actions: &mut VecDeque<Action>) {
        self.batch.link_up();
        let own = self.filters.iter().filter(|(_, known)| known.of == 0 || known.host.is_some());
        let (host, reply_topics): (Vec<_>, Vec<_>) = own.partition(|(_, known)| known.host.is_some());
        let names = |filters: Vec<(&String, &Filter)>| filters.into_iter().map(|(name, _)| name.clone()).collect();
        let (host, reply_topics) = (names(host), names(reply_topics));
        self.ask(host, None, now, actions);
        self.ask(reply_topics, None, now, actions);
    }

    /// Sends SUBSCRIBE packets. `part_of`: see [`WaitsFor::Suback`].
    pub(super) fn ask(
        &mut self,
        filters: Vec<String>,
        part_of: Option<usize>,
        now: u64,
        actions: &mut VecDeque<Action>,
    ) {
        let size = part_of.map_or(self.batch.size(), |filters| self.batch.part_of(filters));
        for filters in filters.chunks(size) {
            let waits_for = WaitsFor::Suback { filters: filters.to_vec(), part_of };
            let token = self.enter(Owner::Exchange, waits_for, Some(self.timeout_ms), now);
            let ask = |filter: &String| {
                let known = self.filters.get_or_default(filter);
                (known.asked, known.may_be_on_link) = (Some(token), true);
                (filter.clone(), known.host.as_ref().map_or(1, |host| host.qos))
            };
            let filters = filters.iter().map(ask).collect();
            actions.push_back(Action::Send(LinkRequest::Subscribe { token, filters }));
        }
    }

    /// Removes the entry of a SUBSCRIBE packet, and returns its filters, and of how many they are a part. `None`: the token
    /// is not that of a packet.
    pub(super) fn take_packet(&mut self, token: u64) -> Option<(Vec<String>, Option<usize>)> {
        let WaitsFor::Suback { filters, part_of } = &mut self.entries.get_mut(&token)?.waits_for else { return None };
        let packet = (std::mem::take(filters), *part_of);
        self.forget(token);
        Some(packet)
    }

    /// SUBACK, with one answer for each filter: the QoS granted, or `None` for a refusal.
    pub fn subscribed(&mut self, token: u64, granted: Vec<Option<u8>>, now: u64, actions: &mut VecDeque<Action>) {
        self.packet_answered(token, granted, now, actions);
        self.ask_joined(now, actions);
    }

    fn packet_answered(&mut self, token: u64, granted: Vec<Option<u8>>, now: u64, actions: &mut VecDeque<Action>) {
        let Some((filters, part_of)) = self.take_packet(token) else { return };
        let count = filters.len();
        if granted.iter().any(Option::is_some) {
            self.batch.granted(count, part_of);
        } else if count > 1 {
            // Each may be forbidden, or the packet is too large. The answers to its parts tell.
            let filters = filters.into_iter().filter(|filter| self.is_asked_by(token, filter)).collect();
            return self.ask(filters, Some(count), now, actions);
        }
        for (filter, granted) in filters.into_iter().zip(granted) {
            if self.is_asked_by(token, &filter) {
                let refusal = (Status::ENOS_ERR_REFUSED, "the broker refused the subscription");
                self.tell(&filter, granted.ok_or(refusal), actions);
            }
        }
    }

    /// No SUBACK came for these, which were asked for in one packet.
    pub(super) fn not_answered(&mut self, token: u64, filters: Vec<String>, now: u64, actions: &mut VecDeque<Action>) {
        let count = filters.len();
        let filters: Vec<_> = filters.into_iter().filter(|filter| self.is_asked_by(token, filter)).collect();
        for filter in &filters {
            self.tell(filter, Err((Status::ENOS_ERR_TIMEOUT, NO_ANSWER)), actions);
        }
        if count > 1 {
            self.ask(filters, Some(count), now, actions);
        }
    }

    /// False if the host has unsubscribed, or if a later packet asks for the filter.
    fn is_asked_by(&self, token: u64, filter: &String) -> bool {
        self.filters.get(filter).is_some_and(|known| known.asked == Some(token))
    }

    /// Passes the broker's answer on to all who wait for it. If the host does not wait, it is told of a failure, and of
    /// the success that follows one.
    fn tell(&mut self, filter: &String, answer: Answer, actions: &mut VecDeque<Action>) {
        let Some(known) = self.filters.get_mut(filter) else { return };
        (known.asked, known.granted) = (None, answer.is_ok());
        let failed = answer.is_err();
        known.may_be_on_link &= !matches!(answer, Err((Status::ENOS_ERR_REFUSED, _)));
        let is_news = known.host.as_mut().map(|host| std::mem::replace(&mut host.in_trouble, failed) || failed);
        let waiting = self.waiting_for(filter, |_| true);
        let host = Owner::Host(Kind::Subscription);
        let host_waits = waiting.iter().any(|token| self.entries.get(token).is_some_and(|entry| entry.owner == host));
        for &token in &waiting {
            self.tell_one(token, filter, answer, actions);
        }
        match is_news {
            Some(true) if !host_waits => {
                let nobody = WaitsFor::Filter { filter: filter.clone(), request: None };
                actions.push_back(Action::Emit(event(0, nobody, end_of(answer))));
            }
            None if failed && waiting.is_empty() => {
                let words = format!("{filter} brings no replies: {}", answer.err().map_or("", |(_, words)| words));
                actions.push_back(Action::Log(Level::Warn, words));
            }
            _ => {}
        }
    }

    fn tell_one(&mut self, token: u64, filter: &str, answer: Answer, actions: &mut VecDeque<Action>) {
        let is_raw = self.has_turns(filter);
        let Some(entry) = self.entries.get_mut(&token) else { return };
        let WaitsFor::Filter { request, .. } = &mut entry.waits_for else { return };
        match (answer, entry.owner) {
            (Ok(_), owner) if request.is_some() => {
                let request = request.take();
                if is_raw {
                    entry.waits_for = WaitsFor::Turn { topic: filter.to_owned(), request };
                    return self.queue_for_turn(filter, token, true);
                }
                entry.waits_for = WaitsFor::Reply { topic: filter.to_owned() };
                request.into_iter().for_each(|request| self.send(owner, request, actions));
            }
            (Err((status, words)), owner) if owner != Owner::Host(Kind::Subscription) => {
                let unsent = if entry.waits_for.is_unsent() { format!("{NOT_SENT}: ") } else { String::new() };
                let words = format!("{unsent}the topic of EnOS's replies: {words}");
                self.end(token, Some(End::With(status, words)), actions);
            }
            (answer, _) => self.end(token, Some(end_of(answer)), actions),
        }
    }

    /// The entries that wait for this filter, of these owners.
    fn waiting_for(&self, filter: &String, of: impl Fn(Owner) -> bool) -> Vec<u64> {
        let waits =
            |entry: &Entry| matches!(&entry.waits_for, WaitsFor::Filter { filter: other, .. } if other == filter);
        let waiting = self.entries.iter().filter(|(_, entry)| of(entry.owner) && waits(entry));
        waiting.map(|(token, _)| *token).collect()
    }

    /// The link is gone, and the subscriptions with it. A broker that hangs up on a SUBSCRIBE packet may do so because of
    /// its size.
    pub(super) fn lose_filters(&mut self, unplanned: bool) {
        let unanswered = self.entries.values().map(|entry| match &entry.waits_for {
            WaitsFor::Suback { filters, .. } => filters.len(),
            _ => 0,
        });
        let largest = unanswered.max().unwrap_or_default();
        if unplanned {
            self.batch.lost(largest);
        }
        for known in self.filters.values_mut() {
            (known.asked, known.granted, known.may_be_on_link, known.owed) = (None, false, false, 0);
        }
        let given_up = self.for_gateway.as_deref_mut().map(|it| it.joining.link_down());
        for topic in given_up.into_iter().flatten() {
            self.forget_topic(&topic);
        }
    }
}

/// A broker may send a message once for each filter that matches.
fn warn_of_copies(filter: &str, raw_topic: &str, actions: &mut VecDeque<Action>) {
    if filter != raw_topic && topic::matches(filter, raw_topic) {
        let words = format!(
            "the filter {filter} matches {raw_topic}: if the broker sends a raw reply twice because of that, the second \
             one is taken for the reply to the next raw request"
        );
        actions.push_back(Action::Log(Level::Warn, words));
    }
}

fn end_of(answer: Answer) -> End {
    match answer {
        Ok(qos) => End::Granted(qos),
        Err((status, words)) => End::With(status, words.to_owned()),
    }
}
