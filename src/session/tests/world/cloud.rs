//! The cloud: what it knows of the device, what it answers, and what it requires of the session.

use std::collections::BTreeSet;

use zeroize::Zeroizing;

use super::super::lost;
use super::{durable, Due, World, PRODUCT};
use crate::model::link::LinkRequest;
use crate::model::sign::{SecureMode, SignMethod};
use crate::protocol::Secret;
use crate::session::*;

pub struct Cloud {
    pub method: SignMethod,
    pub secret: Option<String>,
    /// A login with the device secret ends the logins with the product secret.
    pub active: bool,
    /// A further login with the product secret gets a new device secret, and the one before it becomes invalid.
    pub always_new: bool,
    /// The cloud always accepts logins with the product secret.
    pub always_open: bool,
    pub issued: u32,
    pub connects: Vec<u64>,
    /// How many filters a SUBSCRIBE packet may have, and what happens to a packet that has more.
    pub most_filters: usize,
    pub dislikes: Dislikes,
}

#[derive(Clone, Copy)]
pub enum Dislikes {
    Refuses,
    HangsUp,
    SaysNothing,
}

impl Cloud {
    pub fn new(method: SignMethod) -> Cloud {
        Cloud {
            method,
            secret: None,
            active: false,
            always_new: false,
            always_open: false,
            issued: 0,
            connects: Vec::new(),
            most_filters: usize::MAX,
            dislikes: Dislikes::Refuses,
        }
    }
}

impl World {
    /// A CONNECT reaches the cloud.
    pub(super) fn arrive(&mut self, attempt: u64, mode: SecureMode, secret: &Secret, method: SignMethod) {
        let window = self.cloud.connects.iter().filter(|&&at| at + 120_000 > self.now).count();
        let spacing = self.cloud.connects.last().map_or(u64::MAX, |&at| self.now - at);
        if (window >= 3 || spacing < 1_000) && self.now >= self.uncounted_until {
            self.violate(format!("CONNECT number {} in 2 minutes, {spacing} ms after the last", window + 1));
        }
        self.cloud.connects.push(self.now);
        self.wire.iter_mut().for_each(|wire| wire.connect_sent = true);
        if self.happens(self.rates.no_answer) || self.answers_for_the_cloud(attempt, mode, secret) {
            return;
        }
        let refused = self.happens(self.rates.spurious_refusal)
            || method != self.cloud.method
            || match mode {
                SecureMode::ENOS_SECURE_MODE_DEVICE => self.cloud.secret.as_deref() != Some(secret.as_str()),
                SecureMode::ENOS_SECURE_MODE_INTEGRATION => true,
                SecureMode::ENOS_SECURE_MODE_PRODUCT => {
                    (self.cloud.active && !self.cloud.always_open) || secret.as_str() != PRODUCT
                }
            };
        let delay = self.rng.u64(0..200);
        if refused {
            let code = 4 + self.rng.u8(0..2);
            if mode == SecureMode::ENOS_SECURE_MODE_DEVICE {
                self.refused_since.get_or_insert(self.now);
            }
            return self.later(delay, Due::Link(attempt, LinkEvent::Refused { code }));
        }
        self.later(delay, Due::Link(attempt, LinkEvent::Connected));
        match mode {
            SecureMode::ENOS_SECURE_MODE_DEVICE => self.cloud.active = true,
            SecureMode::ENOS_SECURE_MODE_PRODUCT => self.push(attempt, delay),
            SecureMode::ENOS_SECURE_MODE_INTEGRATION => {}
        }
        if self.happens(self.rates.half_open) {
            let from = delay + 1 + self.rng.u64(0..100_000);
            self.wire.iter_mut().for_each(|wire| wire.silent_from = self.now + from);
            self.later(from + 150_000, Due::Link(attempt, lost("no answer to a keep-alive")));
        }
        if self.happens(self.rates.link_lost) {
            let after = delay + self.rng.u64(0..100_000);
            self.later(after, Due::Link(attempt, lost("reset")));
        }
    }

    /// The session has subscribed on the present link to the filters that the host wants, and to no others of the host.
    pub(super) fn check_subscriptions(&mut self) {
        let Some(wire) = self.wire.as_ref().filter(|_| self.session.state() == State::Online && self.end.is_none())
        else {
            return;
        };
        let asked: BTreeSet<_> = wire.asked.iter().filter(|filter| !filter.ends_with("_reply")).cloned().collect();
        if asked != self.wanted {
            self.violate(format!("subscribed: {asked:?}, and wanted: {:?}", self.wanted));
        }
    }

    fn push(&mut self, attempt: u64, delay: u64) {
        if self.cloud.secret.is_none() || self.cloud.always_new {
            self.cloud.issued += 1;
            self.cloud.secret = Some(format!("device-secret-{}", self.cloud.issued));
        }
        let secret = self.cloud.secret.clone().unwrap_or_default();
        if self.happens(self.rates.push_forged) {
            let forged = format!("forged-{}", self.rng.u32(..));
            let after = delay + self.rng.u64(0..3_000);
            self.later(after, Due::Push(attempt, forged));
        }
        if !self.happens(self.rates.push_lost) {
            let after = delay + self.rng.u64(0..3_000);
            self.later(after, Due::Push(attempt, secret.clone()));
            if self.happens(self.rates.push_twice) {
                self.later(after + 1, Due::Push(attempt, secret));
            }
        }
    }

    pub(super) fn send(&mut self, request: LinkRequest) {
        let Some(wire) = &mut self.wire else { return };
        let attempt = wire.attempt;
        wire.open.insert(request.token());
        match &request {
            LinkRequest::Subscribe { filters, .. } => {
                wire.asked.extend(filters.iter().map(|(filter, _)| filter.clone()));
            }
            LinkRequest::Unsubscribe { filters, .. } => wire.asked.retain(|filter| !filters.contains(filter)),
            LinkRequest::Publish { .. } => {}
        }
        let delay = self.rng.u64(0..100);
        if let LinkRequest::Publish { topic, .. } = &request {
            let valid = self.cloud.secret.clone().unwrap_or_default();
            if topic.ends_with("info_reply") && !self.keeps(&valid) && self.rates.push_forged + self.rates.attacked == 0
            {
                self.violate("the activation was acknowledged before it was stored".into());
            }
        }
        if let LinkRequest::Publish { token, topic, payload, .. } = &request {
            self.answer_is_sent(*token, topic, payload);
            if let Some((number, id)) = durable::number(topic, payload) {
                let (device, _) = durable::device_of(number);
                self.check_sender(device, topic, number);
                self.check_lateness(attempt, number, topic);
                self.ledgers[device].send(attempt, number);
                if self.ledgers[device].is_dropped(number) {
                    self.violate(format!("number {number} was dropped, and is sent"));
                }
                // A connection delivers in order.
                let at = self.now + self.rng.u64(0..100);
                self.last_arrival = self.last_arrival.max(at);
                let arrival = Due::Durable(attempt, *token, number, topic.clone(), id);
                return self.later(self.last_arrival - self.now, arrival);
            }
        }
        let (token, silent) = (request.token(), self.happens(self.rates.no_reply));
        let what = match request {
            LinkRequest::Publish { topic, payload, .. } => {
                if !silent {
                    self.request_arrives(attempt, delay, &topic, &payload);
                }
                LinkEvent::Delivered { token }
            }
            LinkRequest::Subscribe { token, filters } => match self.suback(token, filters, silent) {
                Some(answer) => answer,
                None => return,
            },
            LinkRequest::Unsubscribe { token, .. } => LinkEvent::Unsubscribed { token },
        };
        self.later(delay, Due::Link(attempt, what));
    }
}

impl World {
    /// The answer to a SUBSCRIBE packet; `None` if there is none.
    fn suback(&mut self, token: u64, filters: Vec<(String, u8)>, silent: bool) -> Option<LinkEvent> {
        if filters.len() > self.cloud.most_filters {
            return match self.cloud.dislikes {
                Dislikes::Refuses => Some(LinkEvent::Subscribed { token, granted: vec![None; filters.len()] }),
                Dislikes::HangsUp => Some(lost("too many filters")),
                Dislikes::SaysNothing => None,
            };
        }
        if silent {
            return None;
        }
        let granted = filters.into_iter().map(|(_, qos)| (!self.happens(self.rates.filter_refused)).then_some(qos));
        Some(LinkEvent::Subscribed { token, granted: granted.collect() })
    }
}

pub fn activation(secret: &str) -> LinkEvent {
    let payload = format!(
        r#"{{"id":"1","version":"1.0","method":"thing.activate.info","params":{{"assetId":"a","productKey":"pk","deviceKey":"dk","deviceSecret":"{secret}"}}}}"#
    );
    LinkEvent::Message {
        topic: b"/ext/session/pk/dk/thing/activate/info".to_vec(),
        payload: Zeroizing::new(payload.into_bytes()),
        qos: 0,
        retained: false,
    }
}
