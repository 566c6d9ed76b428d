//! The packets of a client, after the faults.

use mqttbytes::v4::Packet;

use super::{Connection, Stage};
use crate::{
    event::Event,
    fault::Kind,
    link::{Closed, Item},
    packet::Outgoing,
    thing::Place,
};

impl Connection {
    pub(super) fn received(&mut self, packet: Packet) -> Result<(), Closed> {
        if let Packet::Connect(connect) = &packet {
            if self.stage != Stage::Fresh {
                return Err(Closed("after a second CONNECT".into()));
            }
            self.identify(connect);
        } else if self.stage == Stage::Fresh {
            return Err(Closed("the first packet is not a CONNECT".into()));
        }
        let Some(kind) = kind_of(&packet) else {
            return Err(Closed("a client does not send that packet, or only with QoS 2".into()));
        };
        let request = match &packet {
            Packet::Publish(publish) => Some(Kind::of_request(Place::of(&publish.topic).suffix())),
            _ => None,
        };
        let login = request.filter(|request| *request != Kind::Reply);
        let kinds: Vec<_> = login.into_iter().chain([kind, Kind::Any]).collect();
        if !self.link.got(&kinds)? {
            if kind == Kind::Connect {
                self.stage = Stage::Deaf;
            }
            return Ok(());
        }
        match packet {
            Packet::Connect(connect) => self.login(&connect),
            Packet::Publish(publish) => self.publish(publish),
            Packet::PubAck(ack) => self.acknowledged(ack.pkid),
            Packet::Subscribe(subscribe) => self.subscribe(subscribe),
            Packet::Unsubscribe(unsubscribe) => {
                unsubscribe.topics.iter().for_each(|filter| self.subscriptions.remove(filter));
                self.report(Event::Unsubscribe { filters: unsubscribe.topics });
                self.send(Item::new(Kind::UnsubAck, Outgoing::UnsubAck(unsubscribe.pkid), None))
            }
            Packet::PingReq => {
                self.report(Event::Ping);
                self.send(Item::new(Kind::PingResp, Outgoing::PingResp, None))
            }
            _ => {
                self.report(Event::Disconnect);
                Err(Closed("after DISCONNECT".into()))
            }
        }
    }
}

/// None for packets that a client of EnOS never sends.
fn kind_of(packet: &Packet) -> Option<Kind> {
    Some(match packet {
        Packet::Connect(_) => Kind::Connect,
        Packet::Publish(_) => Kind::Publish,
        Packet::PubAck(_) => Kind::PubAck,
        Packet::Subscribe(_) => Kind::Subscribe,
        Packet::Unsubscribe(_) => Kind::Unsubscribe,
        Packet::PingReq => Kind::PingReq,
        Packet::Disconnect => Kind::Disconnect,
        _ => return None,
    })
}
