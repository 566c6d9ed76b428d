//! A device's identity, and what the cloud stores about it.

use serde::{de::Error, Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use zeroize::Zeroizing;

use crate::config::HmacSha1;

/// A device's name on the cloud; written `pk/dk`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId {
    /// Names the product.
    pub product_key: String,
    /// Names the device among those of the product.
    pub device_key: String,
}

impl DeviceId {
    /// The two keys, the product's first.
    pub fn new(product_key: impl Into<String>, device_key: impl Into<String>) -> Self {
        DeviceId { product_key: product_key.into(), device_key: device_key.into() }
    }

    /// The prefix of the thing-model topics, with its slash.
    pub fn sys(&self) -> String {
        format!("/sys/{}/{}/", self.product_key, self.device_key)
    }

    /// The prefix of the session topics (activation, sub-devices), with its slash.
    pub fn session(&self) -> String {
        format!("/ext/session/{}/{}/", self.product_key, self.device_key)
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.product_key, self.device_key)
    }
}

impl Serialize for DeviceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A secret: never printed, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The secret itself. Do not write it to any output.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(secret: String) -> Self {
        Secret(Zeroizing::new(secret))
    }
}

impl From<&str> for Secret {
    fn from(secret: &str) -> Self {
        secret.to_owned().into()
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The error of a wrong type would contain the value.
        String::deserialize(deserializer)
            .map(Secret::from)
            .map_err(|_| D::Error::custom("a secret is a string in quotes"))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// A product whose devices are registered at their first product-secret login.
#[derive(Clone, Debug)]
pub struct Product {
    /// Names it.
    pub product_key: String,
    /// The secret for the activation of its devices.
    pub product_secret: Secret,
}

/// A device as in the console.
#[derive(Clone, Debug)]
pub struct Device {
    /// Names it.
    pub id: DeviceId,
    /// Without one the device cannot be activated dynamically.
    pub product_secret: Option<Secret>,
    /// Configured, or made by an activation.
    pub device_secret: Option<Secret>,
    /// None: derived from the device's name.
    pub asset_id: Option<String>,
    /// An active device's product-secret logins are refused.
    pub active: bool,
    /// A disabled device is refused in both secure modes.
    pub enabled: bool,
    /// The meaning of the label `hmacsha1` for this device; None: that of the configuration.
    pub hmacsha1: Option<HmacSha1>,
    /// It may have sub-devices.
    pub is_gateway: bool,
    /// The gateways in whose topology it is. EnOS allows one; with more, a login through one ends a login through
    /// another.
    pub gateways: Vec<DeviceId>,
}

impl Device {
    /// Registered, but not active: it has to get its device secret with the product secret.
    pub fn inactive(id: DeviceId, product_secret: impl Into<Secret>) -> Self {
        Device { product_secret: Some(product_secret.into()), ..Device::new(id) }
    }

    /// Active: it logs in with the device secret.
    pub fn active(id: DeviceId, device_secret: impl Into<Secret>) -> Self {
        Device { device_secret: Some(device_secret.into()), active: true, ..Device::new(id) }
    }

    /// Without secrets, so it cannot log in.
    fn new(id: DeviceId) -> Self {
        Device {
            id,
            product_secret: None,
            device_secret: None,
            asset_id: None,
            active: false,
            enabled: true,
            hmacsha1: None,
            is_gateway: false,
            gateways: Vec::new(),
        }
    }

    /// The same as a gateway, which may have sub-devices.
    pub fn gateway(self) -> Self {
        Device { is_gateway: true, ..self }
    }

    /// The same in the topology of this gateway: a sub-device of it.
    pub fn behind(mut self, gateway: DeviceId) -> Self {
        self.gateways.push(gateway);
        self
    }

    /// The id of the asset that the activation names.
    pub fn asset_id(&self) -> String {
        self.asset_id.clone().unwrap_or_else(|| format!("asset-{}", self.id.device_key))
    }
}
