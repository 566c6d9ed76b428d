//! What EnOS tells the gateway of its sub-devices: they were enabled, disabled or deleted.

use serde_json::value::RawValue;

use super::{Around, Gateway, SubdeviceState};
use crate::error::Status;
use crate::protocol::command::Order;
use crate::protocol::subdevice::read_named;

impl Gateway {
    /// Carries an order out. Returns the sub-device and its pointer, if there is exactly one that the client has.
    pub fn ordered(&mut self, order: Order, params: &RawValue, around: &mut Around) -> (u64, usize) {
        let mut known: Vec<u64> =
            read_named(params).iter().filter_map(|named| self.ids.get(&named.keys()).copied()).collect();
        known.retain(|id| self.get(*id).is_ok());
        known.sort_unstable();
        known.dedup();
        self.changed = true;
        for id in &known {
            match order {
                Order::Enable => self.enabled(*id, around),
                Order::Disable => self.ended(*id, SubdeviceState::Disabled, "EnOS has disabled it", around),
                Order::Delete => self.ended(*id, SubdeviceState::Deleted, "EnOS has deleted it", around),
            }
        }
        match known[..] {
            [id] => (id, self.subdevices.get(&id).map_or(0, |one| one.user)),
            _ => (0, 0),
        }
    }

    fn enabled(&mut self, id: u64, around: &mut Around) {
        let Some(one) = self.subdevices.get_mut(&id) else { return };
        if !matches!(one.state, SubdeviceState::Disabled | SubdeviceState::Deleted | SubdeviceState::Refused) {
            return;
        }
        one.is_due(around.now.ms);
        self.set_state(id, SubdeviceState::Offline, Status::ENOS_OK, "EnOS has enabled it", around);
        self.check_secret(id, around);
    }

    /// EnOS has ended its login.
    fn ended(&mut self, id: u64, state: SubdeviceState, words: &str, around: &mut Around) {
        let Some(one) = self.subdevices.get_mut(&id) else { return };
        one.ordered = true;
        (one.logged_in, one.try_disabled, one.add_topology) = (false, false, false);
        if one.state != state && (one.state != SubdeviceState::Deleted || state == SubdeviceState::Deleted) {
            self.set_state(id, state, Status::ENOS_OK, words, around);
        }
    }
}
