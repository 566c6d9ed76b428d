//! What is sent: through the faults, at its time, and not more than the peer has acknowledged, where that is limited.

use mqttbytes::v4::Publish;
use serde_json::Value;
use std::collections::{HashSet, VecDeque};

use super::{Connection, Stage};
use crate::{
    commands::Order,
    config::Completed,
    event::Event,
    fault::Kind,
    link::{self, Closed, Item},
    login::Mode,
    packet::Outgoing,
    payload::Payload,
    DeviceId,
};

/// The limit of publications that are held back in a connection.
const HELD: usize = 10_000;
/// How many commands of a storm are sent before the next input is read.
const GUST: usize = 50;

/// What was sent and is not acknowledged, and what waits for that.
#[derive(Debug, Default)]
pub struct Outflow {
    /// The packet ids of publications with QoS 1.
    unacknowledged: HashSet<u16>,
    held: VecDeque<Item>,
    /// No more commands are sent, because of a fault.
    is_stuck: bool,
    /// A command that is repeated so often.
    storm: Option<(Publish, Option<DeviceId>, usize)>,
}

impl Outflow {
    pub fn is_busy(&self) -> bool {
        self.storm.is_some()
    }
}

impl Connection {
    pub(super) fn send(&mut self, item: Item) -> Result<(), Closed> {
        let kind = item.kind;
        match self.link.clear(item)? {
            Some(item) => self.transmit(item),
            None => {
                // A delayed CONNACK is sent later.
                if kind == Kind::ConnAck && self.link.next_due().is_none() {
                    self.stage = Stage::Deaf;
                }
                Ok(())
            }
        }
    }

    /// Reports it, lets it take effect, and sends it, in this order, so that everything is done when the client
    /// receives it.
    pub(super) fn transmit(&mut self, mut item: Item) -> Result<(), Closed> {
        if self.must_wait(&item) {
            if self.outflow.held.len() >= HELD {
                return Err(Closed("more waits for a PUBACK than can be held back".into()));
            }
            self.outflow.held.push_back(item);
            return Ok(());
        }
        if let (Some(Event::Command { id, .. }), Outgoing::Publish(publish)) = (&item.event, &item.packet) {
            self.command_goes(item.sub_device.as_ref(), id, publish);
        }
        if let Some(event) = item.event.take() {
            self.link.reporter.report_of(item.sub_device.as_ref(), event);
        }
        let on_push = self.shared.config.activation.completed == Completed::Push;
        match (item.kind, &item.packet, self.stage) {
            (Kind::ConnAck, Outgoing::ConnAck(0), Stage::Answering(Some(mode))) => self.go_online(mode),
            (Kind::ConnAck, ..) => self.stage = Stage::Deaf,
            (Kind::Activation, ..) if on_push => self.activate(),
            _ => {}
        }
        self.link.transmit(&item)?;
        if let Outgoing::Publish(publish) = &item.packet {
            if publish.pkid > 0 {
                self.outflow.unacknowledged.insert(publish.pkid);
            }
            if item.storm > 1 {
                self.outflow.storm = Some((publish.clone(), item.sub_device.clone(), item.storm - 1));
            }
        }
        match (item.packet, self.stage) {
            (Outgoing::ConnAck(0), Stage::Online(Mode::Product)) => self.push_activation(),
            (Outgoing::ConnAck(0), Stage::Online(Mode::Device)) => {
                self.send_configured_commands()?;
                let Some(device) = self.device().cloned() else { return Ok(()) };
                self.send_cached(&device)?;
                self.send_offers_again(&device)
            }
            (Outgoing::ConnAck(code), _) if code > 0 => Err(Closed(format!("after CONNACK {code}"))),
            _ => Ok(()),
        }
    }

    fn must_wait(&self, item: &Item) -> bool {
        let Outgoing::Publish(publish) = &item.packet else { return false };
        let is_full = |window: usize| self.outflow.unacknowledged.len() >= window;
        let is_stuck = item.kind == Kind::Command && self.outflow.is_stuck;
        is_stuck || (publish.pkid > 0 && self.link.window.is_some_and(is_full))
    }

    /// A PUBACK has come.
    pub(super) fn acknowledged(&mut self, packet_id: u16) -> Result<(), Closed> {
        self.report(Event::PubackReceived { packet_id });
        self.outflow.unacknowledged.remove(&packet_id);
        while self.outflow.held.front().is_some_and(|item| !self.must_wait(item)) {
            let Some(item) = self.outflow.held.pop_front() else { break };
            self.transmit(item)?;
        }
        Ok(())
    }

    /// A command was answered. If a fault says so, an answer before its PUBACK stops the commands.
    pub(super) fn check_order(&mut self, id: &str, packet_id: u16) {
        if self.link.wedges && self.outflow.unacknowledged.contains(&packet_id) && !self.outflow.is_stuck {
            self.outflow.is_stuck = true;
            self.report(Event::CommandsStuck { id: id.to_owned() });
        }
    }

    /// Sends a part of a storm.
    pub(super) fn blow(&mut self) -> Result<(), Closed> {
        let Some((publish, sub_device, left)) = self.outflow.storm.take() else { return Ok(()) };
        let part = left.min(GUST);
        for _ in 0..part {
            self.repeat(&publish, sub_device.as_ref())?;
        }
        if left > part {
            self.outflow.storm = Some((publish, sub_device, left - part));
        }
        Ok(())
    }

    /// Sends a command once more, with another id, and past the faults.
    fn repeat(&mut self, publish: &Publish, sub_device: Option<&DeviceId>) -> Result<(), Closed> {
        let Some(device) = sub_device.or(self.device()).cloned() else { return Ok(()) };
        let order = Order::new(self.shared.next_id(), "", Value::Null);
        let id = order.id.clone();
        if !self.wait_for_answer(&device, order, &publish.topic) {
            return Ok(());
        }
        let mut publish = publish.clone();
        link::set(&mut publish, "id", id.clone().into());
        publish.pkid = self.packet_id(publish.qos as u8);
        let body = Payload::of(&publish.payload).json.unwrap_or_default();
        let params = body.get("params").cloned().unwrap_or_default();
        let event = Event::Command { topic: publish.topic.clone(), id, params };
        let item = Item::new(Kind::Command, Outgoing::Publish(publish), Some(event));
        self.transmit(item.of(sub_device.cloned()))
    }
}
