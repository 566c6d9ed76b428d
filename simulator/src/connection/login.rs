//! From CONNECT to online: identifies the device, verifies the login, and starts the session.

use mqttbytes::v4::{Connect, Publish};
use serde_json::json;
use std::time::Duration;

use super::{Connection, Stage};
use crate::{
    config::{Block, Spelling},
    event::Event,
    fault::Kind,
    link::{Closed, Item},
    login::{self, Claim, ClientId, Mode},
    packet::{self, Outgoing},
    Device, Secret,
};

impl Connection {
    /// Reports the CONNECT, and counts the device's connections.
    pub(super) fn identify(&mut self, connect: &Connect) {
        if let Some(device) = login::device_of(connect) {
            self.link.ordinal = self.shared.ordinal(&device).unwrap_or(self.link.ordinal);
            self.link.reporter.set_device(device);
        }
        let client_id = ClientId::parse(&connect.client_id).unwrap_or_default();
        self.report(Event::Connect {
            peer: self.peer.clone(),
            client_id: connect.client_id.clone(),
            secure_mode: client_id.secure_mode.and_then(|mode| mode.parse().ok()),
            sign_method: client_id.sign_method,
            keep_alive_s: connect.keep_alive,
            clean_session: connect.clean_session,
        });
    }

    pub(super) fn login(&mut self, connect: &Connect) -> Result<(), Closed> {
        if let (Some(device), Some(throttle)) = (self.device(), &self.shared.config.throttle) {
            if let Err(ban) = self.shared.throttle(device, throttle) {
                self.report(Event::Banned { rule: ban.rule, for_ms: ban.remaining.as_millis() as u64 });
                self.stage = Stage::Answering(None);
                return match throttle.block {
                    Block::Refuse => self.connack(5, Some("connects too often")),
                    Block::Drop => Err(Closed("connects too often".into())),
                };
            }
        }
        // One and a half keepalives, as MQTT says; 0 means no limit.
        let keep_alive = Duration::from_millis(1500) * u32::from(connect.keep_alive);
        self.keep_alive = (!keep_alive.is_zero()).then_some(keep_alive);
        let admitted = match Claim::read(connect) {
            Err(reason) => Err((4, reason)),
            Ok(claim) => self.shared.admit(&claim).map(|()| claim.mode),
        };
        match admitted {
            Ok(mode) => {
                self.stage = Stage::Answering(Some(mode));
                self.connack(0, None)
            }
            Err((code, reason)) => {
                self.stage = Stage::Answering(None);
                self.connack(self.shared.config.refusal_code.unwrap_or(code), Some(&reason))
            }
        }
    }

    pub(super) fn connack(&mut self, code: u8, reason: Option<&str>) -> Result<(), Closed> {
        let event = Event::Connack { code, reason: reason.map(str::to_owned) };
        self.send(Item::new(Kind::ConnAck, Outgoing::ConnAck(code), Some(event)))
    }

    pub(super) fn go_online(&mut self, mode: Mode) {
        self.stage = Stage::Online(mode);
        if let Some(device) = self.device() {
            self.shared.online(device, self.handle.clone(), mode);
        }
        if mode == Mode::Device {
            self.activate();
        }
    }

    pub(super) fn activate(&self) {
        if let Some(device) = self.device() {
            match self.shared.registry().activate(device) {
                Ok(true) => self.report(Event::Activated),
                Ok(false) => {}
                Err(error) => self.report(Event::StateNotSaved { reason: error.to_string() }),
            }
        }
    }

    pub(super) fn push_activation(&mut self) -> Result<(), Closed> {
        let Some(id) = self.device() else { return Ok(()) };
        let settings = self.shared.config.activation;
        let (device, issued) = {
            let mut registry = self.shared.registry();
            let issued = registry.issue(id, settings.second_login);
            (registry.find(id), issued)
        };
        // It was just deleted in the console.
        let (Some(device), Some((secret, saved))) = (device, issued) else { return Ok(()) };
        if let Err(error) = saved {
            self.report(Event::StateNotSaved { reason: error.to_string() });
        }
        let qos = self.shared.config.push_qos;
        let mut publish = activation(&device, &secret, settings.spelling, self.shared.next_id(), qos);
        publish.pkid = self.packet_id(qos);
        let event = Event::ActivationPushed { topic: publish.topic.clone(), qos, bytes: publish.payload.len() };
        self.send(Item::new(Kind::Activation, Outgoing::Publish(publish), Some(event)))
    }
}

/// The activation message of a device.
fn activation(device: &Device, secret: &Secret, spelling: Spelling, id: u64, qos: u8) -> Publish {
    let topic = device.id.session() + spelling.suffix();
    let body = json!({
        "id": id.to_string(),
        "version": "1.0",
        "method": "thing.activate.info",
        "params": {
            "assetId": device.asset_id(),
            "productKey": device.id.product_key,
            "deviceKey": device.id.device_key,
            "deviceSecret": secret.expose(),
        }
    });
    Publish::new(topic, packet::qos(qos), body.to_string())
}
