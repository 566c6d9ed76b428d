//! Devices that the host registers, and whose secrets are to be kept. Each is like a sub-device that was removed while its
//! secret is stored: it has an id for its events, and is forgotten when the secret is in the storage.

use super::subdevice::{NewSubdevice, Subdevice};
use super::{Around, Gateway};
use crate::log::Level;
use crate::protocol::outbox::MAX_SUBDEVICE;
use crate::protocol::subdevice::{keys, read_registered, Named};
use crate::protocol::Identity;
use crate::session::event::Event;
use crate::session::io::Action;

/// A reply whose secrets are being stored. The host gets it when the storage has been tried for each.
pub struct Held {
    reply: Event,
    waits_for: Vec<u64>,
}

impl Gateway {
    /// The host has sent a request whose reply will bring secrets.
    pub fn will_register(&mut self, token: u64) {
        self.registers.push(token);
    }

    /// Whether this request was to bring secrets, and its reply has not come.
    pub fn awaits_register(&self, token: u64) -> bool {
        self.registers.contains(&token)
    }

    /// Requests to register have ended.
    pub(super) fn take_registers(&mut self, around: &mut Around) {
        for end in around.exchange.take_registered() {
            self.registered(end, around);
        }
    }

    /// If it has ended with its reply, that is held until the secrets are stored.
    fn registered(&mut self, end: Event, around: &mut Around) {
        let waits_for = match end.payload.is_empty() {
            true => Vec::new(),
            false => self.take_registered(end.token, &end.payload, end.user, around),
        };
        if waits_for.is_empty() {
            return around.actions.push_back(Action::Emit(end));
        }
        self.held.push(Held { reply: end, waits_for });
    }

    /// Takes the secrets in a reply. It may be too late for an outcome. Returns the ids of those that have to be stored.
    pub fn take_registered(&mut self, token: u64, payload: &[u8], user: usize, around: &mut Around) -> Vec<u64> {
        self.registers.retain(|awaited| *awaited != token);
        let named = read_registered(payload);
        let mut ids: Vec<u64> = named.into_iter().filter_map(|named| self.take_new(named, user, around)).collect();
        ids.sort_unstable();
        ids.dedup();
        around.exchange.set_subdevices(self.subdevices.len());
        ids
    }

    fn take_new(&mut self, named: Named, user: usize, around: &mut Around) -> Option<u64> {
        named.secret.as_ref()?;
        let keys = named.keys();
        let known = self.ids.get(&keys).copied();
        let id = match known {
            Some(id) => id,
            None => self.add_new(&named, user, around)?,
        };
        self.take_secret(id, named, around);
        self.subdevices.get(&id)?.unsaved.is_some().then_some(id)
    }

    fn add_new(&mut self, named: &Named, user: usize, around: &mut Around) -> Option<u64> {
        let own = keys(around.identity.product_key(), around.identity.device_key());
        let identity = Identity::new(&named.product_key, &named.device_key, None).ok();
        let Some(identity) = identity.filter(|_| named.keys() != own && self.next_id < MAX_SUBDEVICE) else {
            let words = "the secret of a registered device is not kept: it has no usable keys, or those of the gateway";
            around.actions.push_back(Action::Log(Level::Error, words.to_owned()));
            return None;
        };
        let new = NewSubdevice {
            identity,
            device_secret: None,
            product_secret: None,
            method: None,
            add_topology: false,
            online: false,
            user,
        };
        let mut subdevice = Subdevice::new(new, self.has_storage);
        subdevice.removed = true;
        let id = self.next_id;
        self.next_id += 1;
        self.ids.insert(subdevice.keys(), id);
        self.subdevices.insert(id, subdevice);
        Some(id)
    }

    /// The storage was tried for the secret of this device.
    pub(super) fn was_tried(&mut self, id: u64, around: &mut Around) {
        for held in &mut self.held {
            held.waits_for.retain(|other| *other != id);
        }
        let done = |held: &mut Held| held.waits_for.is_empty();
        while let Some(at) = self.held.iter_mut().position(done) {
            around.actions.push_back(Action::Emit(self.held.remove(at).reply));
        }
    }
}
