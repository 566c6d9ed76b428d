//! The devices as the console has them: which exist, which are active, and what their secrets are.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::{
    config::{Config, SecondLogin},
    Device, DeviceId, Secret,
};

/// Upper-case letters and digits, as in the secrets that the console makes.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

#[derive(Debug)]
pub struct Registry {
    devices: BTreeMap<DeviceId, Entry>,
    products: HashMap<String, Secret>,
    limit: usize,
    seed: u64,
    state: Option<PathBuf>,
}

#[derive(Debug)]
struct Entry {
    device: Device,
    /// How many secrets were made for it; all differ.
    issued: u32,
}

/// A device's entry in the state file.
#[derive(Serialize, Deserialize)]
struct Saved {
    product_key: String,
    device_key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device_secret: Option<String>,
    #[serde(default)]
    issued: u32,
    active: bool,
    #[serde(default = "yes")]
    enabled: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_gateway: bool,
    /// Product key and device key of each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gateways: Option<Vec<(String, String)>>,
}

fn yes() -> bool {
    true
}

impl Registry {
    /// The configured devices, with the state from the state file.
    pub fn open(config: &Config) -> io::Result<Registry> {
        let products = config.products.iter().map(|p| (p.product_key.clone(), p.product_secret.clone())).collect();
        let devices =
            config.devices.iter().map(|device| (device.id.clone(), Entry { device: device.clone(), issued: 0 }));
        let mut registry = Registry {
            devices: devices.collect(),
            products,
            limit: config.limits.devices,
            seed: config.seed.unwrap_or_else(|| fastrand::u64(..)),
            state: config.state.clone(),
        };
        if let Some(path) = &config.state {
            registry.restore(path)?;
        }
        Ok(registry)
    }

    pub fn find(&self, id: &DeviceId) -> Option<Device> {
        self.devices.get(id).map(|entry| entry.device.clone())
    }

    pub fn all(&self) -> impl Iterator<Item = &Device> {
        self.devices.values().map(|entry| &entry.device)
    }

    /// The device of a product-secret login. A new device of a [`Product`](crate::Product) is created; the caller
    /// verifies the login before it registers the device with [`put`](Self::put).
    pub fn find_or_prepare(&self, id: &DeviceId) -> Option<Device> {
        self.find(id).or_else(|| {
            let secret = self.products.get(&id.product_key)?;
            (self.devices.len() < self.limit).then(|| Device::inactive(id.clone(), secret.clone()))
        })
    }

    /// Registers or replaces a device.
    pub fn put(&mut self, device: Device) -> io::Result<()> {
        self.put_all([device])
    }

    /// Registers or replaces devices.
    pub fn put_all(&mut self, devices: impl IntoIterator<Item = Device>) -> io::Result<()> {
        for device in devices {
            match self.devices.get_mut(&device.id) {
                Some(entry) => entry.device = device,
                None => drop(self.devices.insert(device.id.clone(), Entry { device, issued: 0 })),
            }
        }
        self.save()
    }

    /// A new device of a product, with a device secret; None if there is no such product.
    pub fn prepare(&self, id: &DeviceId) -> Option<Device> {
        let is_known = self.products.contains_key(&id.product_key)
            || self.all().any(|device| device.id.product_key == id.product_key);
        is_known.then(|| Device {
            product_secret: self.product_secret(&id.product_key),
            device_secret: Some(make_secret(self.seed, id, 0)),
            ..Device::inactive(id.clone(), "")
        })
    }

    /// How many devices may still be registered in a product that may have `limit`.
    pub fn room(&self, product_key: &str, limit: usize) -> usize {
        let of_product = self.all().filter(|device| device.id.product_key == product_key).count();
        limit.saturating_sub(of_product).min(self.limit.saturating_sub(self.devices.len()))
    }

    /// The devices in the topology of a gateway.
    pub fn behind<'a>(&'a self, gateway: &'a DeviceId) -> impl Iterator<Item = &'a Device> {
        self.all().filter(move |device| device.gateways.contains(gateway))
    }

    /// Adds devices to the topology of a gateway, or removes them.
    pub fn connect(&mut self, gateway: &DeviceId, devices: &[DeviceId], is_behind: bool) -> io::Result<()> {
        for device in devices {
            let Some(entry) = self.devices.get_mut(device) else { continue };
            entry.device.gateways.retain(|known| known != gateway);
            if is_behind {
                entry.device.gateways.push(gateway.clone());
            }
        }
        self.save()
    }

    /// The secret of a product.
    pub fn product_secret(&self, product_key: &str) -> Option<Secret> {
        let of_devices = || {
            let mut devices = self.all().filter(|device| device.id.product_key == product_key);
            devices.find_map(|device| device.product_secret.clone())
        };
        self.products.get(product_key).cloned().or_else(of_devices)
    }

    /// Deletes a device, and its topology if it is a gateway; false if there was none.
    pub fn remove(&mut self, id: &DeviceId) -> io::Result<bool> {
        let removed = self.devices.remove(id).is_some();
        self.devices.values_mut().for_each(|entry| entry.device.gateways.retain(|gateway| gateway != id));
        self.save().map(|()| removed)
    }

    /// The device secret that an activation sends. A new one is made if there is none, or if each login gets a new one.
    pub fn issue(&mut self, id: &DeviceId, second_login: SecondLogin) -> Option<(Secret, io::Result<()>)> {
        let seed = self.seed;
        let entry = self.devices.get_mut(id)?;
        let again = entry.issued > 0 && second_login == SecondLogin::NewSecret;
        if entry.device.device_secret.is_none() || again {
            entry.device.device_secret = Some(make_secret(seed, id, entry.issued));
        }
        entry.issued = entry.issued.saturating_add(1);
        let secret = entry.device.device_secret.clone()?;
        Some((secret, self.save()))
    }

    /// Marks a device as active; true if it was not.
    pub fn activate(&mut self, id: &DeviceId) -> io::Result<bool> {
        match self.devices.get_mut(id) {
            Some(entry) if !entry.device.active => {
                entry.device.active = true;
                self.save().map(|()| true)
            }
            _ => Ok(false),
        }
    }

    /// Enables or disables a device; false if there is none.
    pub fn enable(&mut self, id: &DeviceId, enabled: bool) -> io::Result<bool> {
        let Some(entry) = self.devices.get_mut(id) else { return Ok(false) };
        entry.device.enabled = enabled;
        self.save().map(|()| true)
    }

    fn restore(&mut self, path: &Path) -> io::Result<()> {
        let text = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            read => read?,
        };
        let saved: Vec<Saved> = serde_json::from_slice(&text)?;
        for saved in saved {
            let id = DeviceId::new(saved.product_key, saved.device_key);
            let product_secret = self.products.get(&id.product_key).cloned();
            let entry = self
                .devices
                .entry(id.clone())
                .or_insert_with(|| Entry { device: Device { product_secret, ..Device::inactive(id, "") }, issued: 0 });
            if let Some(secret) = saved.device_secret {
                entry.device.device_secret = Some(secret.into());
            }
            entry.device.active = saved.active;
            entry.device.enabled = saved.enabled;
            entry.issued = saved.issued;
            entry.device.is_gateway |= saved.is_gateway;
            if let Some(gateways) = saved.gateways {
                entry.device.gateways = gateways.into_iter().map(|(pk, dk)| DeviceId::new(pk, dk)).collect();
            }
        }
        Ok(())
    }

    /// Writes a new state file, and renames it over the old one.
    fn save(&self) -> io::Result<()> {
        let Some(path) = &self.state else { return Ok(()) };
        let saved: Vec<_> = self.devices.values().map(Entry::saved).collect();
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        serde_json::to_writer_pretty(&mut file, &saved)?;
        file.flush()?;
        file.persist(path)?;
        Ok(())
    }
}

impl Entry {
    fn saved(&self) -> Saved {
        let device = &self.device;
        Saved {
            product_key: device.id.product_key.clone(),
            device_key: device.id.device_key.clone(),
            device_secret: device.device_secret.as_ref().map(|secret| secret.expose().to_owned()),
            issued: self.issued,
            active: device.active,
            enabled: device.enabled,
            is_gateway: device.is_gateway,
            gateways: Some(device.gateways.iter().map(|id| (id.product_key.clone(), id.device_key.clone())).collect()),
        }
    }
}

/// Depends only on the seed, the device and the number of the secret, so that it is the same in any order of events.
fn make_secret(seed: u64, id: &DeviceId, issued: u32) -> Secret {
    let digest = Sha256::new()
        .chain_update(seed.to_be_bytes())
        .chain_update(issued.to_be_bytes())
        .chain_update(id.to_string())
        .finalize();
    let letters = digest.iter().filter_map(|byte| ALPHABET.get(usize::from(byte % 32)));
    letters.map(|letter| char::from(*letter)).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let devices = vec![Device::inactive(DeviceId::new("pk", "dk"), "ps")];
        Config { devices, seed: Some(1), ..Config::default() }
    }

    #[test]
    fn a_second_login_gets_what_was_set() {
        let id = DeviceId::new("pk", "dk");
        let mut registry = Registry::open(&config()).unwrap();
        let first = registry.issue(&id, SecondLogin::SameSecret).unwrap().0;
        assert_eq!(registry.issue(&id, SecondLogin::SameSecret).unwrap().0, first);
        let new = registry.issue(&id, SecondLogin::NewSecret).unwrap().0;
        assert!(new != first && registry.find(&id).unwrap().device_secret == Some(new));
        let mut repeated = Registry::open(&config()).unwrap();
        assert_eq!(repeated.issue(&id, SecondLogin::SameSecret).unwrap().0, first, "the seed repeats it");
    }

    #[test]
    fn the_topology_survives() {
        let directory = tempfile::tempdir().unwrap();
        let gateway = DeviceId::new("pk", "gw");
        let devices = [config().devices, vec![Device::active(gateway.clone(), "gs").gateway()]].concat();
        let config = Config { state: Some(directory.path().join("state.json")), devices, ..config() };
        let mut registry = Registry::open(&config).unwrap();
        let made = registry.prepare(&DeviceId::new("pk", "new")).unwrap();
        registry.put(made.clone()).unwrap();
        registry.connect(&gateway, &[DeviceId::new("pk", "dk"), made.id.clone()], true).unwrap();
        registry.connect(&gateway, &[DeviceId::new("pk", "dk")], false).unwrap();
        let again = Registry::open(&config).unwrap();
        let behind: Vec<_> = again.behind(&gateway).map(|device| device.id.to_string()).collect();
        assert_eq!(behind, ["pk/new"]);
        assert_eq!(again.find(&made.id).unwrap().device_secret, made.device_secret);
        assert!(again.find(&gateway).unwrap().is_gateway);
        registry.remove(&gateway).unwrap();
        assert_eq!(registry.find(&made.id).unwrap().gateways, []);
    }

    #[test]
    fn the_state_survives() {
        let directory = tempfile::tempdir().unwrap();
        let config = Config { state: Some(directory.path().join("state.json")), ..config() };
        let id = DeviceId::new("pk", "dk");
        let mut registry = Registry::open(&config).unwrap();
        let (secret, saved) = registry.issue(&id, SecondLogin::SameSecret).unwrap();
        saved.unwrap();
        assert!(registry.activate(&id).unwrap() && !registry.activate(&id).unwrap());
        let again = Registry::open(&config).unwrap().find(&id).unwrap();
        assert!(again.active && again.device_secret == Some(secret) && again.product_secret == Some("ps".into()));
    }
}
