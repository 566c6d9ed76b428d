//! What the cloud knows of a device, apart from its login.

use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The state of a device as the cloud has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Thing {
    /// By identifier.
    pub attributes: Map<String, Value>,
    /// By key.
    pub tags: BTreeMap<String, String>,
    /// The version of its firmware, as the device has reported it.
    pub version: Option<String>,
    /// Firmware that waits for a device that asks for it (`ota/device/getversion`): objects with version, fileUrl,
    /// fileSize, sign and signMethod.
    pub firmware: Vec<Value>,
    /// The upgrade that was sent to the device, or for which it has asked.
    pub upgrade: Upgrade,
    /// The versions that end the upgrade.
    #[serde(skip)]
    targets: Vec<String>,
}

/// The state of an upgrade.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Upgrade {
    /// There is none.
    #[default]
    None,
    /// `ota/device/upgrade` was sent.
    Pushed,
    /// The device has accepted it, or has asked for the firmware.
    Started,
}

fn version(firmware: &Value) -> Option<String> {
    Some(firmware.get("version")?.as_str()?.to_owned())
}

impl Thing {
    /// An upgrade with these params was sent.
    pub(crate) fn pushed(&mut self, params: &Value) {
        self.upgrade = Upgrade::Pushed;
        self.targets = version(params).into_iter().collect();
    }

    /// The device has accepted the upgrade.
    pub(crate) fn accepted(&mut self) {
        self.upgrade = Upgrade::Started;
    }

    pub(crate) fn started_on_request(&mut self) {
        self.upgrade = Upgrade::Started;
        self.targets = self.firmware.iter().filter_map(version).collect();
    }

    /// The device has reported its version.
    pub(crate) fn informed(&mut self, informed: &str) {
        self.version = Some(informed.to_owned());
        self.firmware.retain(|firmware| version(firmware).as_deref() != Some(informed));
        if self.targets.iter().any(|target| target == informed) {
            self.upgrade = Upgrade::None;
            self.targets.clear();
        }
    }
}
