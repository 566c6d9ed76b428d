//! What a connection does for the sub-devices of its gateway.

use mqttbytes::v4::Publish;

use super::{Connection, Stage};
use crate::{
    event::Event,
    fault::Kind,
    link::Closed,
    login::Mode,
    thing::{self, Judgement, Place, Session},
    DeviceId,
};

impl Connection {
    /// Whether it is the device of this connection, or a sub-device that is logged in here.
    pub(super) fn speaks_for(&self, device: &DeviceId) -> bool {
        self.device() == Some(device) || self.shared.gateways().is_on(device, self.handle.number)
    }

    /// None for the device of the connection.
    pub(super) fn sub_device(&self, device: &DeviceId) -> Option<DeviceId> {
        (self.device() != Some(device)).then(|| device.clone())
    }

    /// The sub-device on whose topic something was sent, logged in or not; None for the device of the connection, and
    /// for devices that do not belong to it.
    pub(super) fn sub_device_of(&self, place: &Place) -> Option<DeviceId> {
        let (owner, device) = place.owner().zip(self.device())?;
        if owner == device {
            return None;
        }
        let belongs = |owner: &DeviceId| {
            let known = self.shared.registry().find(owner);
            known.is_some_and(|known| known.gateways.contains(device))
        };
        (self.speaks_for(owner) || belongs(owner)).then(|| owner.clone())
    }

    /// Whether a publication is a login that the cloud ignores.
    pub(super) fn is_ignored(&self, publish: &Publish, place: &Place) -> bool {
        let is_login = matches!(Kind::of_request(place.suffix()), Kind::Login | Kind::Batch);
        let is_of_old_link = || !self.device().is_some_and(|device| self.shared.is_latest(device, self.handle.number));
        let is_unwanted = self.shared.config.gateways.ignore_qos1_logins && publish.pkid > 0;
        is_login && (is_unwanted || is_of_old_link())
    }

    /// Checks a request of the device or of a sub-device. Returns the sub-devices that have logged in because of it.
    pub(super) fn judge(&mut self, device: &DeviceId, publish: &Publish, place: &Place) -> (Judgement, Vec<DeviceId>) {
        let mode = match self.stage {
            Stage::Online(mode) => mode,
            _ => Mode::Product,
        };
        let (judgement, events) = self.shared.with_thing(device, |thing| {
            let mut session = Session {
                mode,
                config: &self.shared.config,
                registry: &mut self.shared.registry(),
                gateways: &mut self.shared.gateways(),
                connection: self.handle.number,
                depot: &self.shared.depot,
                local: self.local_address(),
                events: Vec::new(),
            };
            let judgement = thing::judge(device, &mut session, thing, place, &publish.payload);
            (judgement, session.events)
        });
        let mut logged_in = Vec::new();
        for (connection, device, event) in events {
            match &event {
                Event::SubDeviceLogin { code: 200, .. } => {
                    self.shared.commands().went_offline(&device);
                    logged_in.push(device.clone());
                }
                Event::SubDeviceOffline { .. } => self.shared.commands().went_offline(&device),
                _ => {}
            }
            self.shared.report(Some(connection), Some(device), event);
        }
        (judgement, logged_in)
    }

    /// The commands that are kept for sub-devices which have logged in, and the firmware that they are offered.
    pub(super) fn welcome(&mut self, logged_in: &[DeviceId]) -> Result<(), Closed> {
        logged_in.iter().try_for_each(|device| {
            self.send_cached(device)?;
            self.send_offers_again(device)
        })
    }
}
