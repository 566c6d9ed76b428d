//! The host's topic filters. Each is an intention: it holds from the call that subscribes until the one that
//! unsubscribes, is asked for on each link, and no answer of a broker, nor the lack of one, is the end of it.

use super::*;

/// How many topic filters a client may hold.
const MAX_FILTERS: usize = 256;

/// One of them.
pub(super) struct Filter {
    qos: u8,
    /// The host's calls whose outcome is the next answer, on whichever link it comes.
    waiting: Vec<u64>,
    /// The SUBSCRIBE under way. One that is sent after it takes its place.
    asked: Option<u64>,
    /// The last thing that was told is that it was refused, or not answered.
    in_trouble: bool,
}

impl Requests {
    /// `online`: there is a link to ask on.
    pub fn subscribe(
        &mut self,
        filter: String,
        qos: u8,
        online: bool,
        now: u64,
        actions: &mut VecDeque<Action>,
    ) -> Result<u64> {
        if self.filters.len() >= MAX_FILTERS && !self.filters.contains_key(&filter) {
            return Err(Error::new(
                Status::ENOS_ERR_QUEUE_FULL,
                format!("{MAX_FILTERS} topic filters are subscribed; unsubscribe one first"),
            ));
        }
        self.subscriptions.take()?;
        let token = self.number();
        match self.filters.get_mut(&filter) {
            Some(known) => {
                known.qos = qos;
                known.waiting.push(token);
            }
            None => {
                let new = Filter { qos, waiting: vec![token], asked: None, in_trouble: false };
                self.filters.insert(filter.clone(), new);
            }
        }
        if online {
            self.ask_for(&filter, now, actions);
        }
        Ok(token)
    }

    /// Without a link there is nothing to ask for: its outcome comes at once.
    pub fn unsubscribe(
        &mut self,
        filter: String,
        online: bool,
        now: u64,
        actions: &mut VecDeque<Action>,
    ) -> Result<u64> {
        self.subscriptions.take()?;
        if let Some(gone) = self.filters.remove(&filter) {
            gone.asked.map(|call| self.remove(call));
            self.subscriptions.calls -= gone.waiting.len();
            for token in gone.waiting {
                let words = "taken back by enos_client_unsubscribe()";
                let event = Event::new(EventKind::Subscribed, Status::ENOS_ERR_STATE, words);
                actions.push_back(Action::Emit(event.token(token).topic(filter.clone())));
            }
        }
        let token = self.call(Call::Unsubscribe { filter: filter.clone() }, now);
        match online {
            true => actions.push_back(Action::Send(LinkRequest::Unsubscribe { token, filter })),
            false => self.finish(token, Status::ENOS_OK, "there was no connection to end it on", actions),
        }
        Ok(token)
    }

    /// A new link: each CONNECT is a new MQTT session, which knows of no subscription.
    pub fn link_up(&mut self, now: u64, actions: &mut VecDeque<Action>) {
        for filter in self.filters.keys().cloned().collect::<Vec<_>>() {
            self.ask_for(&filter, now, actions);
        }
    }

    fn ask_for(&mut self, filter: &String, now: u64, actions: &mut VecDeque<Action>) {
        let call = self.call(Call::Subscribe { filter: filter.clone() }, now);
        let Some(known) = self.filters.get_mut(filter) else { return };
        let (before, qos) = (known.asked.replace(call), known.qos);
        before.map(|before| self.remove(before));
        actions.push_back(Action::Send(LinkRequest::Subscribe { token: call, filters: vec![(filter.clone(), qos)] }));
    }

    /// The link is gone with a SUBSCRIBE unanswered: that is asked for again on the next one, and nothing is told.
    pub(super) fn not_asked(&mut self, filter: &String) {
        if let Some(known) = self.filters.get_mut(filter) {
            known.asked = None;
        }
    }

    /// What the SUBSCRIBE under way came to: told to all who wait for it. When nobody does, it is told if it is a
    /// failure, or comes after one.
    pub(super) fn answered(&mut self, filter: String, answer: Event, actions: &mut VecDeque<Action>) {
        let Some(known) = self.filters.get_mut(&filter) else { return };
        known.asked = None;
        let failed = answer.status != Status::ENOS_OK;
        let is_news = std::mem::replace(&mut known.in_trouble, failed) || failed;
        let mut tokens = std::mem::take(&mut known.waiting);
        self.subscriptions.calls -= tokens.len();
        if tokens.is_empty() && is_news {
            tokens.push(0);
        }
        let answer = answer.topic(filter);
        actions.extend(tokens.into_iter().map(|token| Action::Emit(answer.clone().token(token))));
    }

    /// No SUBSCRIBE or UNSUBSCRIBE that a call waits for is under way.
    pub(super) fn subscriptions_are_quiet(&self) -> bool {
        let unsubscribes = self.calls.values().any(|call| matches!(call, Call::Unsubscribe { .. }));
        !unsubscribes && self.filters.values().all(|known| known.asked.is_none() || known.waiting.is_empty())
    }
}
