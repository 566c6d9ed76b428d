//! The events of a connection.

use std::{sync::Arc, time::Duration};

use super::Shared;
use crate::{event::Event, DeviceId};

/// Reports the events of a connection.
pub struct Reporter {
    shared: Arc<Shared>,
    connection: u64,
    device: Option<DeviceId>,
}

impl Reporter {
    pub fn new(shared: Arc<Shared>, connection: u64) -> Reporter {
        Reporter { shared, connection, device: None }
    }

    pub fn set_device(&mut self, device: DeviceId) {
        self.device = Some(device);
    }

    pub fn device(&self) -> Option<&DeviceId> {
        self.device.as_ref()
    }

    pub fn report(&self, event: Event) {
        self.report_of(None, event);
    }

    /// Reports an event of a sub-device; None: of the device itself.
    pub fn report_of(&self, device: Option<&DeviceId>, event: Event) {
        self.shared.report(Some(self.connection), device.or(self.device.as_ref()).cloned(), event);
    }

    pub fn pause(&self, time: Duration) {
        self.shared.pause(time);
    }

    pub fn with_random(&self, work: impl FnOnce(&mut fastrand::Rng)) {
        self.shared.with_random(work);
    }
}
