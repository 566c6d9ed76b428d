//! The session's side of the gateway: the host's calls, and what passes between the gateway, the exchange and the client.

use super::gateway::{not_found, Around, Gateway, NewSubdevice};
use super::io::Now;
use super::Session;
use crate::error::{Error, Result, Status};
use crate::model::sign::SignMethod;
use crate::model::subdevice::SubdeviceState;
use crate::protocol::Identity;

impl Session {
    /// Adds all or none. Returns the first id; the others follow it.
    pub fn add_subdevices(&mut self, now: Now, new: Vec<NewSubdevice>) -> Result<u64> {
        if self.settings.identity.is_channel() {
            let words = "an integration channel has no sub-devices; it names devices in the params of its requests";
            return Err(Error::new(Status::ENOS_ERR_UNSUPPORTED, words));
        }
        self.gateway();
        let count = new.len() as u64;
        let first =
            self.call_gateway(now, |gateway, around| gateway.add(new, around)).unwrap_or_else(|| Err(not_found(0)))?;
        for id in first..first + count {
            self.add_outbox(id);
        }
        Ok(first)
    }

    /// It is made when it is first needed.
    pub(super) fn gateway(&mut self) -> &mut Gateway {
        let (settings, has_storage) = (self.settings.subdevices, self.settings.outbox.is_some());
        let is_online = self.connection.is_online();
        self.gateway.get_or_insert_with(|| {
            let mut gateway = Gateway::new(settings, has_storage);
            if is_online {
                gateway.begin_online();
            }
            Box::new(gateway)
        })
    }

    pub fn set_subdevice_online(&mut self, now: Now, id: u64, on: bool) -> Result<()> {
        self.exchange.send_posts_of(id, now.ms, &mut self.actions);
        self.call_gateway(now, |gateway, around| gateway.set_online(id, on, around))
            .unwrap_or_else(|| Err(not_found(id)))
    }

    pub fn remove_subdevice(&mut self, now: Now, id: u64) -> Result<()> {
        self.exchange.send_posts_of(id, now.ms, &mut self.actions);
        self.call_gateway(now, |gateway, around| gateway.remove(id, around)).unwrap_or_else(|| Err(not_found(id)))
    }

    /// The host has saved the secret of a sub-device by hand.
    pub fn subdevice_saved(&mut self, now: Now, id: u64) -> Result<()> {
        self.call_gateway(now, |gateway, around| gateway.saved_by_hand(id, around))
            .unwrap_or_else(|| Err(not_found(id)))
    }

    pub fn subdevice_state(&self, id: u64) -> Result<SubdeviceState> {
        let gateway = self.gateway.as_deref().ok_or_else(|| not_found(id))?;
        Ok(gateway.get(id)?.state)
    }

    /// The id, identity, state and pointer of each.
    pub fn subdevices(&self) -> Vec<(u64, Identity, SubdeviceState, usize)> {
        let all = self.gateway.iter().flat_map(|gateway| gateway.all());
        all.map(|(id, one)| (id, one.identity.clone(), one.state, one.user)).collect()
    }

    /// A device secret is in no storage: the client's own, or one of a sub-device.
    pub fn has_unsaved_secret(&self) -> bool {
        self.connection.has_unsaved_secret() || self.gateway.as_deref().is_some_and(Gateway::has_unsaved_secret)
    }

    /// A device secret may be on its way, or is being stored.
    pub fn is_activating(&self) -> bool {
        self.connection.is_activating() || self.gateway.as_deref().is_some_and(Gateway::is_activating)
    }

    /// The identity with which a request is sent.
    pub(super) fn sender(&self, subdevice: u64) -> Result<Identity> {
        if subdevice == 0 {
            return Ok(self.settings.identity.clone());
        }
        let gateway = self.gateway.as_deref().ok_or_else(|| not_found(subdevice))?;
        let one = gateway.get(subdevice)?;
        if one.state != SubdeviceState::Online {
            let words = format!("sub-device {subdevice} is not online (its state is {})", one.state.name());
            return Err(Error::new(Status::ENOS_ERR_STATE, words));
        }
        Ok(one.identity.clone())
    }

    pub(super) fn with_gateway<T>(&mut self, now: Now, call: impl FnOnce(&mut Gateway, &mut Around) -> T) -> Option<T> {
        let Session { gateway: Some(gateway), settings, connection, exchange, actions, rng, .. } = self else {
            return None;
        };
        let method = connection.sign_method().or(settings.sign_method).unwrap_or(SignMethod::HmacSha1);
        Some(call(gateway, &mut Around { now, identity: &settings.identity, method, exchange, actions, rng }))
    }

    /// Lets the gateway do what is due.
    pub(super) fn run_gateway(&mut self, now: Now) {
        let unsaved = self.with_gateway(now, |gateway, around| {
            gateway.run(around);
            gateway.has_unsaved_secret()
        });
        if let Some(unsaved) = unsaved {
            let (connection, mut cx) = self.parts(now);
            connection.set_others_unsaved(unsaved, &mut cx);
            self.tell_outboxes(now);
            self.exchange.give_up_topics(now.ms, &mut self.actions);
        }
    }

    /// The outbox of a sub-device sends while it is online.
    fn tell_outboxes(&mut self, now: Now) {
        let moved = self.gateway.as_deref_mut().map(Gateway::take_moved).unwrap_or_default();
        let any = !moved.is_empty();
        for id in moved {
            let state = self.subdevice_state(id);
            if state != Ok(SubdeviceState::Online) {
                self.exchange.subdevice_left(id, &mut self.actions);
            }
            self.with_outboxes(now, |outboxes, session| match state {
                Ok(SubdeviceState::Online) => outboxes.go_online(id, session),
                Ok(SubdeviceState::Deleted) => outboxes.delete(id, session),
                Ok(_) => outboxes.go_offline(id, session),
                Err(_) => outboxes.remove(id, session),
            });
            if let (Err(_), Some(ota)) = (state, self.ota.as_deref_mut()) {
                ota.remove(id);
            }
        }
        if any {
            self.run_outboxes(now, false, false);
        }
    }

    fn add_outbox(&mut self, id: u64) {
        let identity = self.subdevice_identity(id).ok();
        if let (Some(identity), Some(outboxes)) = (identity, self.outboxes.as_deref_mut()) {
            outboxes.add(id, identity);
        }
    }

    pub fn subdevice_identity(&self, id: u64) -> Result<Identity> {
        let gateway = self.gateway.as_deref().ok_or_else(|| not_found(id))?;
        Ok(gateway.get(id)?.identity.clone())
    }

    /// A call of the host, after which the gateway does what is due.
    fn call_gateway<T>(&mut self, now: Now, call: impl FnOnce(&mut Gateway, &mut Around) -> T) -> Option<T> {
        let result = self.with_gateway(now, call);
        self.run_gateway(now);
        result
    }
}
