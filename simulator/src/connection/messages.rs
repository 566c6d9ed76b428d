//! The messages of a session: subscriptions, requests and their replies, and publications to subscribers.

use bytes::Bytes;
use mqttbytes::{
    v4::{Publish, Subscribe},
    QoS,
};
use serde_json::Value;

use super::{Connection, Publication};
use crate::{
    config::Excess,
    event::{Event, Filter, Unsent},
    fault::Kind,
    link::{Closed, Item},
    packet::{self, Outgoing},
    payload::Payload,
    subscriptions::{is_valid_filter, is_valid_topic, matches},
    thing::{Place, INFORM},
    DeviceId,
};

/// The longest topic that MQTT can carry.
const LONGEST_TOPIC: usize = 65_535;

impl Connection {
    pub(super) fn subscribe(&mut self, subscribe: Subscribe) -> Result<(), Closed> {
        let config = &self.shared.config;
        let limits = config.filters;
        let on_link = limits.on_link.unwrap_or(usize::MAX);
        let mut filters = Vec::new();
        for (index, wanted) in subscribe.filters.into_iter().enumerate() {
            self.filters_asked += 1;
            let qos = wanted.qos as u8;
            let granted = qos.min(1);
            let is_excess = limits.in_packet.is_some_and(|most| index >= most)
                || !self.subscriptions.has_room(&wanted.path, on_link);
            if is_excess && limits.excess == Excess::Close {
                return Err(Closed("after a SUBSCRIBE with more filters than this broker allows".into()));
            }
            let refused = is_excess
                || limits.refuse_every.is_some_and(|every| self.filters_asked % every.max(1) == 0)
                || config.refused_filters.iter().any(|refused| matches(refused, &wanted.path));
            let ok = !refused
                && is_valid_filter(&wanted.path)
                && self.subscriptions.add(&wanted.path, granted, config.limits.subscriptions);
            filters.push(Filter { filter: wanted.path, qos, code: if ok { granted } else { 0x80 } });
        }
        let codes = filters.iter().map(|filter| filter.code).collect();
        let event = Event::Subscribe { filters };
        self.send(Item::new(Kind::SubAck, Outgoing::SubAck(subscribe.pkid, codes), Some(event)))
    }

    pub(super) fn publish(&mut self, publish: Publish) -> Result<(), Closed> {
        if publish.qos == QoS::ExactlyOnce {
            return Err(Closed("after a PUBLISH with QoS 2, which EnOS does not accept".into()));
        }
        if !is_valid_topic(&publish.topic) {
            return Err(Closed("after a PUBLISH on an invalid topic".into()));
        }
        let qos = publish.qos as u8;
        let topic = publish.topic.clone();
        let place = Place::of(&topic);
        let sub_device = self.sub_device_of(&place);
        let event = Event::Publish {
            topic: publish.topic.clone(),
            qos,
            packet_id: (qos > 0).then_some(publish.pkid),
            dup: publish.dup,
            payload: Payload::of(&publish.payload),
        };
        self.link.reporter.report_of(sub_device.as_ref(), event);
        if qos > 0 {
            let event = Event::Puback { packet_id: publish.pkid };
            self.send(Item::new(Kind::PubAck, Outgoing::PubAck(publish.pkid), Some(event)))?;
        }
        if self.is_ignored(&publish, &place) {
            return Ok(());
        }
        let Some(device) = self.device().cloned() else { return Ok(()) };
        if place.is_request() {
            self.reply(sub_device, &publish, &place)?;
        } else if place.is_answer() && (sub_device.is_some() || place.owner() == Some(&device)) {
            self.answered(&sub_device.unwrap_or(device), &publish, &place)?;
        }
        self.route(publish, &place)
    }

    /// Checks a request. As in EnOS, the reply is sent only if the device has subscribed to it.
    fn reply(&mut self, sub_device: Option<DeviceId>, publish: &Publish, place: &Place) -> Result<(), Closed> {
        let Some(own) = self.device().cloned() else { return Ok(()) };
        let device = sub_device.clone().filter(|sub_device| self.speaks_for(sub_device)).unwrap_or(own);
        let (judgement, logged_in) = self.judge(&device, publish, place);
        let topic = format!("{}_reply", publish.topic);
        let id = match &judgement.id {
            Value::Null => String::new(),
            Value::String(id) => id.clone(),
            id => id.to_string(),
        };
        let event = |unsent: Option<Unsent>| Event::Reply {
            topic: topic.clone(),
            id: id.clone(),
            code: judgement.code,
            message: judgement.message.clone(),
            sent: unsent.is_none(),
            unsent,
        };
        let payload = judgement.payload.clone().into();
        let told = (sub_device.clone(), Some(event(None)));
        if !self.deliver(Kind::of_request(place.suffix()), topic.clone(), payload, publish.qos as u8, told)? {
            self.link.reporter.report_of(sub_device.as_ref(), event(Some(Unsent::NotSubscribed)));
        }
        self.welcome(&logged_in)?;
        if judgement.code == 200 && place.suffix() == INFORM {
            self.send_offers(&device)?;
        }
        if judgement.code == 200 {
            self.posts += 1;
            self.send_configured_commands()?;
        }
        Ok(())
    }

    /// Publications go to all subscribers; on a device's own topics, only to that device.
    fn route(&mut self, publish: Publish, place: &Place) -> Result<(), Closed> {
        let qos = publish.qos as u8;
        if *place == Place::Free {
            self.shared.route(&publish.topic, &publish.payload, qos, self.handle.number);
        } else if !place.owner().is_some_and(|owner| self.speaks_for(owner)) {
            return Ok(());
        }
        self.deliver(Kind::Publish, publish.topic, publish.payload, qos, (None, None)).map(drop)
    }

    /// Sends a publication if the device has subscribed to it; false if it has not.
    pub(super) fn deliver(
        &mut self,
        kind: Kind,
        topic: String,
        payload: Bytes,
        qos: u8,
        (sub_device, event): (Option<DeviceId>, Option<Event>),
    ) -> Result<bool, Closed> {
        // The topic of a reply is longer than that of the request.
        let subscribed = self.subscriptions.qos_for(&topic).filter(|_| topic.len() <= LONGEST_TOPIC);
        let Some(granted) = subscribed else { return Ok(false) };
        let qos = qos.min(granted);
        let bytes = payload.len();
        let event = event.unwrap_or_else(|| Event::Delivered { topic: topic.clone(), qos, bytes });
        let mut publish = Publish::from_bytes(topic, packet::qos(qos), payload);
        publish.pkid = self.packet_id(qos);
        self.send(Item::new(kind, Outgoing::Publish(publish), Some(event)).of(sub_device)).map(|()| true)
    }

    /// Sends a publication, whether or not the device has subscribed to it.
    pub(super) fn push(&mut self, publication: Publication) -> Result<(), Closed> {
        let Publication { topic, payload, qos, retain, dup } = publication;
        let qos = qos.min(1);
        let event = Event::Delivered { topic: topic.clone(), qos, bytes: payload.len() };
        let mut publish = Publish::new(topic, packet::qos(qos), payload);
        (publish.pkid, publish.retain, publish.dup) = (self.packet_id(qos), retain, dup);
        self.send(Item::new(Kind::Publish, Outgoing::Publish(publish), Some(event)))
    }

    pub(super) fn packet_id(&mut self, qos: u8) -> u16 {
        if qos == 0 {
            return 0;
        }
        self.last_packet_id = self.last_packet_id.checked_add(1).unwrap_or(1);
        self.last_packet_id
    }
}
