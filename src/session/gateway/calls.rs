//! The host's calls: it adds sub-devices, takes them offline and online, and removes them.

use super::subdevice::{NewSubdevice, Subdevice};
use super::{Around, Gateway, SubdeviceState};
use crate::error::{Error, Result, Status};
use crate::protocol::outbox::MAX_SUBDEVICE;
use crate::protocol::subdevice::keys;
use crate::sorted::SortedMap;

impl Gateway {
    /// Adds all or none. Returns the first id; the others follow it.
    pub fn add(&mut self, new: Vec<NewSubdevice>, around: &mut Around) -> Result<u64> {
        let own = keys(around.identity.product_key(), around.identity.device_key());
        let mut added = SortedMap::new();
        for (at, one) in new.iter().enumerate() {
            let keys = keys(one.identity.product_key(), one.identity.device_key());
            let known = self.ids.get(&keys).and_then(|id| self.subdevices.get(id));
            let is_busy = |known: &Subdevice| {
                known.unsaved.is_some()
                    || known.secret_may_come
                    || self.ids.get(&keys).is_some_and(|id| self.is_in_round(*id))
            };
            if known.is_some_and(|known| known.removed && is_busy(known)) {
                let words = format!(
                    "options[{at}]: {keys} was removed while it logs in, or its secret is being stored; add it later"
                );
                return Err(Error::new(Status::ENOS_ERR_STATE, words));
            }
            if one.product_secret.is_some() && !self.has_storage {
                let words = format!("options[{at}]: product_secret needs enos_config_set_storage()");
                return Err(Error::invalid(words));
            }
            let is_there = known.is_some_and(|known| !known.removed);
            if is_there || keys == own || added.insert(keys.clone(), ()).is_some() {
                return Err(Error::invalid(format!("options[{at}]: the client has {keys} already")));
            }
        }
        self.check_limit(new.iter().filter(|one| one.online).count())?;
        if self.next_id + new.len() as u64 > MAX_SUBDEVICE {
            let words = "too many sub-devices were added in this process";
            return Err(Error::new(Status::ENOS_ERR_QUEUE_FULL, words));
        }
        let first = self.next_id;
        for one in new {
            let subdevice = Subdevice::new(one, self.has_storage);
            if let Some(removed) = self.ids.get(&subdevice.keys()).copied() {
                self.forget(removed, around.exchange);
            }
            self.ids.insert(subdevice.keys(), self.next_id);
            self.subdevices.insert(self.next_id, subdevice);
            self.next_id += 1;
        }
        self.changed = true;
        around.exchange.set_subdevices(self.subdevices.len());
        for id in first..self.next_id {
            self.check_secret(id, around);
        }
        Ok(first)
    }

    /// How many are to be online is limited.
    fn check_limit(&self, more: usize) -> Result<()> {
        let wanted = self.subdevices.values().filter(|one| one.wanted && !one.removed).count();
        let limit = self.settings.limit;
        if wanted + more > limit {
            let words = format!(
                "{wanted} sub-devices are to be online already, and at most {limit} can be \
                 (enos_config_set_subdevice_limit())"
            );
            return Err(Error::new(Status::ENOS_ERR_QUEUE_FULL, words));
        }
        Ok(())
    }

    /// The host wants it to be online or offline.
    pub fn set_online(&mut self, id: u64, on: bool, around: &mut Around) -> Result<()> {
        let subdevice = self.get(id)?;
        let (was_wanted, state) = (subdevice.wanted, subdevice.state);
        if on && !was_wanted {
            self.check_limit(1)?;
        }
        self.changed = true;
        let Some(subdevice) = self.subdevices.get_mut(&id) else { return Ok(()) };
        subdevice.wanted = on;
        if !on {
            if !self.is_in_round(id) {
                self.log_out(id, around);
            }
            if state != SubdeviceState::Offline {
                self.set_state(id, SubdeviceState::Offline, Status::ENOS_OK, "offline, as you wanted it", around);
            }
            return Ok(());
        }
        if !was_wanted || state == SubdeviceState::Deleted || state == SubdeviceState::Disabled {
            subdevice.is_due(around.now.ms);
            subdevice.at = 0;
            if state != SubdeviceState::Offline {
                self.set_state(id, SubdeviceState::Offline, Status::ENOS_OK, "it is to log in", around);
            }
            self.check_secret(id, around);
        }
        Ok(())
    }

    /// Its secret and its durable messages stay in the storage.
    pub fn remove(&mut self, id: u64, around: &mut Around) -> Result<()> {
        self.get(id)?;
        self.changed = true;
        let is_in_round = self.is_in_round(id);
        let Some(subdevice) = self.subdevices.get_mut(&id) else { return Ok(()) };
        (subdevice.wanted, subdevice.removed) = (false, true);
        self.moved.push(id);
        let is_over = subdevice.is_over();
        // It is logged out when its login has ended, and forgotten when its secret is stored.
        if !is_in_round {
            self.log_out(id, around);
            if is_over {
                self.forget(id, around.exchange);
            }
        }
        Ok(())
    }
}
