//! The sub-devices of gateways, as a person or a test sees them.

use serde_json::json;
use std::io;

use super::Cloud;
use crate::DeviceId;

impl Cloud {
    /// The gateway through which a sub-device is logged in.
    pub fn logged_in_through(&self, sub_device: &DeviceId) -> Option<DeviceId> {
        self.shared.gateways().login_of(sub_device).map(|login| login.gateway.clone())
    }

    /// Each sub-device that is logged in, and its gateway; sorted.
    pub fn sub_devices_online(&self) -> Vec<(DeviceId, DeviceId)> {
        self.shared.sub_devices_online()
    }

    /// The sub-devices in the topology of a gateway; sorted.
    pub fn topology(&self, gateway: &DeviceId) -> Vec<DeviceId> {
        self.shared.registry().behind(gateway).map(|device| device.id.clone()).collect()
    }

    /// Adds a device to the topology of a gateway, or removes it, as in the console. One that is removed is logged out.
    pub fn set_topology(&self, gateway: &DeviceId, sub_device: &DeviceId, belongs: bool) -> io::Result<()> {
        let set = self.shared.registry().connect(gateway, std::slice::from_ref(sub_device), belongs);
        if !belongs && self.logged_in_through(sub_device).as_ref() == Some(gateway) {
            self.shared.end_sub_device(sub_device, "it does not belong to the gateway any more");
        }
        set
    }

    /// Ends the login of a sub-device, without a word to its gateway: its next post is refused with 1009. False if it
    /// is not logged in.
    pub fn log_out(&self, sub_device: &DeviceId) -> bool {
        self.shared.end_sub_device(sub_device, "by the operator")
    }

    /// Tells these gateways, if they are online, that a sub-device of theirs is enabled, disabled or deleted.
    pub(super) fn tell_gateways(&self, gateways: &[DeviceId], sub_device: &DeviceId, suffix: &str) {
        let name = json!([{"productKey": sub_device.product_key, "deviceKey": sub_device.device_key}]);
        for gateway in gateways {
            let _ = self.command(gateway, suffix, name.clone());
        }
    }
}
