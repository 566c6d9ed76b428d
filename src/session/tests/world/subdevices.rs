//! The sub-devices of the device, which log in and out while it is online. The world plays the gateway.

use super::{World, DEVICES};
use crate::protocol::Identity;
use crate::session::*;

pub fn with_subdevices(mut session: Session) -> Session {
    if let Some(outboxes) = session.outboxes.as_deref_mut() {
        for (id, key) in [(1, "s1"), (2, "s2")] {
            outboxes.add(id, Identity::new("spk", key, None).unwrap());
        }
    }
    session
}

impl World {
    pub(super) fn is_logged_in(&self, device: usize) -> bool {
        self.session.state() == State::Online && (device == 0 || self.is_logged_in[device])
    }

    /// As the gateway does it: without a link no sub-device is logged in.
    pub(super) fn log_in_and_out(&mut self) {
        for device in 1..DEVICES {
            if self.session.state() != State::Online || self.end.is_some() {
                self.is_logged_in[device] = false;
                continue;
            }
            let rate = if self.is_logged_in[device] { self.rates.logouts } else { self.rates.logins };
            if !self.happens(rate) {
                continue;
            }
            self.is_logged_in[device] ^= true;
            self.ledgers[device].logins += 1;
            let now = self.now();
            let is_logged_in = self.is_logged_in[device];
            self.session.with_outboxes(now, |outboxes, session| match is_logged_in {
                true => outboxes.go_online(device as u64, session),
                false => outboxes.go_offline(device as u64, session),
            });
            self.session.run_outboxes(now, false, false);
            self.perform();
        }
    }

    /// Nothing waits in any outbox. The session itself leaves those out that cannot send.
    pub fn is_flushed(&self) -> bool {
        let all = self.rates.logins == 0 || (1..DEVICES).all(|device| self.is_logged_in(device));
        all && self.session.is_flushed()
    }

    /// A message is sent by this device, on its own topic.
    pub(super) fn check_sender(&mut self, device: usize, topic: &str, number: u64) {
        if device != 0 && !self.is_logged_in[device] {
            self.violate(format!("number {number} is sent, and device {device} is not logged in"));
        }
        let path = ["/sys/pk/dk/", "/sys/spk/s1/", "/sys/spk/s2/"][device];
        if !topic.starts_with(path) && !topic.starts_with("/n/") {
            self.violate(format!("number {number} of device {device} goes to {topic}"));
        }
    }
}
