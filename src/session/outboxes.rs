//! The outboxes of a client: that of its own device, and one for each sub-device that has durable messages.
//!
//! They share the link. Each in its turn sends one message, so that a backlog holds up no other by more than a message. The
//! rate, the number of messages in flight and their bytes are limited for all together. An outbox that cannot send (its
//! device is not online, EnOS does not answer, the storage fails) takes no turn.
//!
//! A message that is sent alone in its outbox (see [`super::outbox`]) is also alone on the link, until the broker has
//! acknowledged it. Otherwise a message of one device would be blamed for a loss that the message of another has caused.
//!
//! There can be thousands of outboxes, so only those are looked at that have something to do: see [`agenda`].

mod agenda;

use std::collections::VecDeque;

use super::exchange::Exchange;
use super::io::{Action, LinkEnd, Now};
use super::outbox::{Around, Flow, Line, Outbox, Turn};
use super::settings::OutboxSettings;
use crate::protocol::Identity;
use crate::sorted::SortedMap;

use agenda::{Agenda, Noted};

pub struct Outboxes {
    settings: OutboxSettings,
    own: Outbox,
    subdevices: SortedMap<u64, Subdevice>,
    line: Line,
    /// The next to send; 0: the client's own device.
    turn: u64,
    /// What was sent last has to be alone on the link.
    is_alone: bool,
    own_may_send: bool,
    agenda: Agenda,
}

struct Subdevice {
    identity: Identity,
    online: bool,
    /// Its queue was opened in this process, and was empty when its outbox was given up.
    is_known_empty: bool,
    /// `None` if there is nothing to send, as far as is known.
    outbox: Option<Box<Outbox>>,
    noted: Noted,
}

/// What the outboxes need from the session.
pub struct Surroundings<'a> {
    pub now: Now,
    pub exchange: &'a mut Exchange,
    pub actions: &'a mut VecDeque<Action>,
    pub rng: &'a mut fastrand::Rng,
}

impl Surroundings<'_> {
    fn around<'b>(&'b mut self, line: &'b mut Line) -> Around<'b> {
        let Surroundings { now, exchange, actions, rng } = self;
        Around { now: now.ms, wall_ms: now.wall_ms, exchange, actions, rng, line }
    }
}

impl Outboxes {
    pub fn new(settings: OutboxSettings, identity: Identity) -> Outboxes {
        Outboxes {
            settings,
            own: Outbox::new(settings, 0, identity),
            subdevices: SortedMap::new(),
            line: Line { flow: Flow::new(settings.bytes_per_s), may_open: false, holds_until: 0 },
            turn: 0,
            is_alone: false,
            own_may_send: false,
            agenda: Agenda::default(),
        }
    }

    pub fn get(&self, subdevice: u64) -> Option<&Outbox> {
        match subdevice {
            0 => Some(&self.own),
            id => self.subdevices.get(&id)?.outbox.as_deref(),
        }
    }

    /// Calls an outbox that is in use. It may have something to do after that.
    pub fn with(&mut self, id: u64, session: &mut Surroundings, f: impl FnOnce(&mut Outbox, &mut Around)) {
        if id != 0 {
            self.agenda.changed.push(id);
        }
        self.call(id, session, f);
    }

    fn call(&mut self, id: u64, session: &mut Surroundings, f: impl FnOnce(&mut Outbox, &mut Around)) {
        let outbox = match id {
            0 => Some(&mut self.own),
            id => self.subdevices.get_mut(&id).and_then(|subdevice| subdevice.outbox.as_deref_mut()),
        };
        if let Some(outbox) = outbox {
            f(outbox, &mut session.around(&mut self.line));
        }
    }

    pub fn with_all(&mut self, session: &mut Surroundings, mut f: impl FnMut(&mut Outbox, &mut Around)) {
        let in_use = self.subdevices.iter().filter(|(_, subdevice)| subdevice.outbox.is_some()).map(|(id, _)| *id);
        let in_use: Vec<u64> = std::iter::once(0).chain(in_use).collect();
        in_use.into_iter().for_each(|id| self.with(id, session, &mut f));
    }

    pub fn all(&self) -> impl Iterator<Item = &Outbox> {
        let others = self.subdevices.values().filter_map(|subdevice| subdevice.outbox.as_deref());
        std::iter::once(&self.own).chain(others)
    }

    /// Every message is completed that can be sent now.
    pub fn are_flushed(&self) -> bool {
        let online = self.subdevices.values().filter(|subdevice| subdevice.online);
        self.own.is_empty() && online.filter_map(|subdevice| subdevice.outbox.as_deref()).all(Outbox::is_empty)
    }

    /// Nothing is in flight.
    pub fn are_quiet(&self) -> bool {
        self.own.is_quiet() && self.agenda.under_way == 0
    }

    pub fn release(&mut self) {
        self.own.release();
        self.agenda.release();
    }

    /// Live data is sent. It counts towards the rate.
    pub fn live(&mut self, bytes: usize, now: u64) {
        self.line.flow.spend_live(bytes, now);
    }

    pub fn add(&mut self, id: u64, identity: Identity) {
        let noted = Noted::default();
        let subdevice = Subdevice { identity, online: false, is_known_empty: false, outbox: None, noted };
        self.subdevices.insert(id, subdevice);
    }

    pub fn has(&self, id: u64) -> bool {
        id == 0 || self.subdevices.get(&id).is_some()
    }

    /// What was not completed stays in the storage.
    pub fn remove(&mut self, id: u64, session: &mut Surroundings) {
        self.go_offline(id, session);
        if let Some(mut subdevice) = self.subdevices.remove(&id) {
            self.agenda.note(id, None, &mut subdevice.noted);
        }
        self.subdevices.release();
    }

    /// The outbox of this device is going to be used.
    pub fn use_outbox(&mut self, id: u64, session: &mut Surroundings) {
        let Some(subdevice) = self.subdevices.get_mut(&id) else { return };
        if subdevice.outbox.is_none() {
            let identity = subdevice.identity.clone();
            subdevice.outbox = Some(Box::new(Outbox::new(self.settings, id, identity)));
            let online = subdevice.online;
            self.with(id, session, |outbox, around| {
                if online {
                    outbox.link_up(false, around);
                }
            });
        }
    }

    /// A sub-device has logged in on the present link. What an earlier process has left is looked for once.
    pub fn go_online(&mut self, id: u64, session: &mut Surroundings) {
        let Some(subdevice) = self.subdevices.get_mut(&id).filter(|subdevice| !subdevice.online) else { return };
        subdevice.online = true;
        match subdevice.outbox {
            Some(_) => {
                let pauses = self.have_company();
                self.with(id, session, |outbox, around| outbox.link_up(pauses, around));
            }
            None if subdevice.is_known_empty => {}
            None => self.use_outbox(id, session),
        }
    }

    /// A sub-device is not logged in any more, although the link is there.
    pub fn go_offline(&mut self, id: u64, session: &mut Surroundings) {
        if let Some(subdevice) = self.subdevices.get_mut(&id).filter(|subdevice| subdevice.online) {
            subdevice.online = false;
            self.with(id, session, |outbox, around| outbox.link_down(LinkEnd::Planned, around));
        }
    }

    /// What waits can never succeed.
    pub fn delete(&mut self, id: u64, session: &mut Surroundings) {
        self.go_offline(id, session);
        if self.subdevices.get(&id).is_some_and(|subdevice| !subdevice.is_known_empty) {
            self.use_outbox(id, session);
        }
        self.with(id, session, |outbox, _| outbox.delete_all());
    }

    pub fn link_up(&mut self, session: &mut Surroundings) {
        let pauses = self.have_company();
        self.own.link_up(pauses, &mut session.around(&mut self.line));
    }

    /// The link is to end. Nothing more is sent, and what is in flight may still be completed.
    pub fn stop(&mut self, session: &mut Surroundings) {
        self.subdevices.values_mut().for_each(|subdevice| subdevice.online = false);
        self.with_all(session, |outbox, _| outbox.stop());
    }

    pub fn link_down(&mut self, end: LinkEnd, session: &mut Surroundings) {
        (self.is_alone, self.line.holds_until) = (false, 0);
        self.subdevices.values_mut().for_each(|subdevice| subdevice.online = false);
        self.with_all(session, |outbox, around| outbox.link_down(end, around));
    }

    /// More than one outbox has messages.
    fn have_company(&self) -> bool {
        self.all().filter(|outbox| outbox.is_open() && !outbox.is_empty()).nth(1).is_some()
    }

    /// Does what is due. `tidy`: nothing else has happened. `may_open`: the queue of a sub-device may be opened. True: the
    /// broker does not take messages any more.
    pub fn pump(&mut self, tidy: bool, may_open: bool, session: &mut Surroundings) -> bool {
        let opens = if may_open { self.next_to_open() } else { None };
        let looked_at = self.agenda.take(tidy, opens, session.now.ms);
        for id in looked_at {
            self.with(id, session, Outbox::prepare);
            self.agenda.senders.insert(id, ());
        }
        self.call(0, session, Outbox::prepare);
        self.own_may_send = true;
        self.send(session);
        // The own queue is opened at once.
        self.line.may_open = true;
        let mut stalls = self.own.conclude(tidy, &mut session.around(&mut self.line));
        self.line.may_open = may_open;
        for id in self.agenda.take_changed() {
            stalls |= self.conclude(id, tidy, session);
            if !tidy {
                self.agenda.untidy.push(id);
            }
        }
        stalls
    }

    fn conclude(&mut self, id: u64, tidy: bool, session: &mut Surroundings) -> bool {
        let Outboxes { subdevices, line, agenda, .. } = self;
        let Some(subdevice) = subdevices.get_mut(&id) else { return false };
        let Some(outbox) = subdevice.outbox.as_deref_mut() else { return false };
        let stalls = outbox.conclude(tidy, &mut session.around(line));
        if tidy && outbox.is_idle() {
            (subdevice.outbox, subdevice.is_known_empty) = (None, true);
        } else if tidy && outbox.is_quiet() {
            outbox.release();
        }
        agenda.note(id, subdevice.outbox.as_deref(), &mut subdevice.noted);
        stalls
    }

    /// The first of those that have to be opened, if it still has to be.
    fn next_to_open(&mut self) -> Option<u64> {
        while let Some(id) = self.agenda.unopened.pop_front() {
            let Some(subdevice) = self.subdevices.get_mut(&id) else { continue };
            subdevice.noted.waits_to_open = false;
            if subdevice.outbox.as_deref().is_some_and(Outbox::wants_to_open) {
                return Some(id);
            }
        }
        None
    }

    /// Lets the outboxes send in turn, until none can send any more.
    fn send(&mut self, session: &mut Surroundings) {
        if self.line.holds_until > session.now.ms {
            return;
        }
        self.line.holds_until = 0;
        while let Some(id) = self.in_turn() {
            if self.is_alone && session.exchange.unacknowledged().messages > 0 {
                return;
            }
            self.is_alone = false;
            let mut turn = Turn::Passed;
            self.with(id, session, |outbox, around| turn = outbox.send_one(around));
            match turn {
                Turn::Waits => return,
                Turn::Passed if id == 0 => self.own_may_send = false,
                Turn::Passed => drop(self.agenda.senders.remove(&id)),
                Turn::Sent | Turn::SentAlone => {}
            }
            self.is_alone = turn == Turn::SentAlone;
            self.turn = id + 1;
        }
    }

    /// The outbox whose turn it is: the first from `turn` on that may have something to send.
    fn in_turn(&self) -> Option<u64> {
        let from = |at| self.agenda.senders.iter_from(&at).next().map(|(id, ())| *id);
        let own = self.own_may_send.then_some(0);
        match self.turn {
            0 => own.or_else(|| from(0)),
            turn => from(turn).or(own).or_else(|| from(0)),
        }
    }

    pub fn deadline(&self) -> Option<u64> {
        let holds = Some(self.line.holds_until).filter(|at| *at > 0);
        [self.own.deadline(), self.agenda.deadline(), holds].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests;
