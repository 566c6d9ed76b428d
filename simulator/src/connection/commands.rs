//! The commands of a session, and the device's answers.

use mqttbytes::v4::Publish;
use serde_json::{json, Value};
use std::time::{Duration, Instant};

use super::{Connection, Stage};
use crate::{
    commands::{self, Answer, Order},
    event::{Event, Stray},
    fault::Kind,
    firmware::{Offer, TaskState},
    link::{Closed, Item},
    login::Mode,
    packet::{self, Outgoing},
    payload::Payload,
    thing::{self, Place},
    DeviceId,
};

/// How long a device may take to answer that it was disabled or deleted, before its session ends.
const FAREWELL: Duration = Duration::from_secs(1);

impl Connection {
    /// Sends the commands of the configuration that are due.
    pub(super) fn send_configured_commands(&mut self) -> Result<(), Closed> {
        if self.stage != Stage::Online(Mode::Device) {
            return Ok(());
        }
        let shared = self.shared.clone();
        while let Some(command) = shared.config.commands.get(self.commands_sent) {
            if self.posts < command.after_posts {
                return Ok(());
            }
            self.commands_sent += 1;
            let order = Order::new(shared.next_id(), &command.suffix, command.params.clone());
            self.device().cloned().map_or(Ok(()), |device| self.command(&device, order))?;
        }
        Ok(())
    }

    /// Sends the next command that is kept for a device, unless the one before it is not answered yet.
    pub(super) fn send_cached(&mut self, device: &DeviceId) -> Result<(), Closed> {
        if self.stage != Stage::Online(Mode::Device) || !self.speaks_for(device) {
            return Ok(());
        }
        let next = self.shared.commands().next_cached(device);
        next.map_or(Ok(()), |order| self.command(device, order))
    }

    /// Sends the firmware that a device is offered, if it has reported its version.
    pub(super) fn send_offers(&mut self, device: &DeviceId) -> Result<(), Closed> {
        if self.stage != Stage::Online(Mode::Device) || !self.speaks_for(device) {
            return Ok(());
        }
        let to_push = self.shared.with_thing(device, |thing| thing.to_push());
        to_push.into_iter().try_for_each(|(task, offer)| {
            let params = self.shared.depot.params(&offer, task, self.local_address());
            let order = Order::new(self.shared.next_id(), thing::UPGRADE, params);
            self.command(device, Order { task: Some(task), ..order })
        })
    }

    /// The same, and once more what the device has not answered before its login.
    pub(super) fn send_offers_again(&mut self, device: &DeviceId) -> Result<(), Closed> {
        self.shared.with_thing(device, |thing| thing.push_again());
        self.send_offers(device)
    }

    /// Commands need no subscription.
    pub(super) fn command(&mut self, device: &DeviceId, mut order: Order) -> Result<(), Closed> {
        if !self.speaks_for(device) {
            // The login of the sub-device has just ended.
            return Ok(());
        }
        if order.suffix == thing::UPGRADE && order.task.is_none() {
            let offer = Offer::raw(order.params.clone());
            order.task = Some(self.shared.add_task(device, &offer, None));
        }
        let (id, suffix, params, task) = (order.id.clone(), order.suffix.clone(), order.params.clone(), order.task);
        let topic = thing::command_topic(device, &suffix);
        if !self.wait_for_answer(device, order, &topic) {
            return Ok(());
        }
        if let Some(task) = task {
            self.shared.change_task(Some(self.handle.number), device, task, TaskState::Pushed);
        }
        let body = match suffix.as_str() {
            thing::DOWN_RAW => raw(&params),
            _ => json!({"id": id, "version": "1.0", "method": suffix.replace('/', "."), "params": params})
                .to_string()
                .into(),
        };
        let qos = self.shared.config.push_qos;
        let mut publish = Publish::new(topic.clone(), packet::qos(qos), body);
        publish.pkid = self.packet_id(qos);
        let params = Payload::of(params.to_string().as_bytes()).json.unwrap_or_default();
        let event = Event::Command { topic, id: id.clone(), params };
        let item = Item::new(Kind::Command, Outgoing::Publish(publish), Some(event));
        let sent = self.send(item.of(self.sub_device(device)));
        self.link.last_command = Some(id);
        sent
    }

    /// From now on the command waits for its answer; false if too many do.
    pub(super) fn wait_for_answer(&self, device: &DeviceId, order: Order, topic: &str) -> bool {
        let id = order.id.clone();
        let (now, timeout) = (Instant::now(), self.shared.config.command_timeout);
        let deadline = now + if order.ends_session.is_some() { timeout.min(FAREWELL) } else { timeout };
        let sent = self.shared.commands().send(device, order, topic.to_owned(), now, deadline);
        match sent {
            Some(sent) if sent.is_soonest => self.shared.watch_deadlines(),
            Some(_) => {}
            None => {
                let topic = thing::answer_topic(topic);
                let event =
                    Event::CommandReply { topic, id, code: None, elapsed_ms: 0, timed_out: true, payload: None };
                self.link.reporter.report_of(Some(device), event);
            }
        }
        sent.is_some()
    }

    /// A command is sent now, and has passed the faults.
    pub(super) fn command_goes(&self, sub_device: Option<&DeviceId>, id: &str, publish: &Publish) {
        let Some(device) = sub_device.or(self.device()) else { return };
        // Of what is not JSON, or too deep for this parser, the id is taken to be as it should.
        let body = serde_json::from_slice::<Value>(&publish.payload);
        let wire_id = body.map_or_else(|_| Some(id.to_owned()), |body| commands::wire_id(&body));
        self.shared.commands().sent(device, id, wire_id, publish.pkid);
    }

    /// An answer of a device to a command, or to its activation.
    pub(super) fn answered(&mut self, device: &DeviceId, publish: &Publish, place: &Place) -> Result<(), Closed> {
        let body = serde_json::from_slice::<Value>(&publish.payload).unwrap_or_default();
        // Envision's Python SDK sends a string.
        let code = body.get("code").and_then(|code| code.as_i64().or_else(|| code.as_str()?.parse().ok()));
        let topic = publish.topic.clone();
        if matches!(place.suffix(), "thing/activate/info_reply" | "thing/activated/info_reply") {
            self.link.reporter.report_of(Some(device), Event::ActivationReply { topic, code });
            return Ok(());
        }
        let wire_id = commands::wire_id(&body);
        let payload = Payload::of(&publish.payload);
        let found = match self.speaks_for(device) {
            true => self.shared.commands().answered(device, &topic, wire_id.as_deref()),
            false => Err(Stray::NotLoggedIn),
        };
        let waiting = match found {
            Ok(waiting) => waiting,
            Err(why) => {
                let event = Event::StrayReply { topic, id: wire_id, code, why, payload };
                self.link.reporter.report_of(Some(device), event);
                return Ok(());
            }
        };
        self.check_order(&waiting.order.id, waiting.packet_id);
        let (id, elapsed) = (waiting.order.id, waiting.sent.elapsed());
        let elapsed_ms = elapsed.as_millis() as u64;
        let event = Event::CommandReply {
            topic: topic.clone(),
            id: id.clone(),
            code,
            elapsed_ms,
            timed_out: false,
            payload: Some(payload),
        };
        self.link.reporter.report_of(Some(device), event);
        if let (Some(task), Some(200)) = (waiting.order.task, code) {
            self.shared.change_task(Some(self.handle.number), device, task, TaskState::Received);
        }
        if let Some(to) = waiting.order.to {
            // Whoever has asked may have stopped waiting.
            let _ = to.send(Answer { id, topic, code, payload: publish.payload.to_vec(), elapsed });
        }
        if let Some(reason) = waiting.order.ends_session {
            return Err(Closed(reason.into()));
        }
        self.send_cached(device)
    }
}

/// The bytes of raw data: a string of hex digits is decoded, anything else is sent as it is.
fn raw(params: &Value) -> Vec<u8> {
    let text = params.as_str().map_or_else(|| params.to_string(), str::to_owned);
    hex::decode(&text).unwrap_or_else(|_| text.into_bytes())
}
