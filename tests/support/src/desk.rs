//! The simulator in this process, with one device, and its events.

use crate::host::{DEVICE_KEY, DEVICE_SECRET, PRODUCT_KEY, PRODUCT_SECRET, SUB_PRODUCT, SUB_SECRET};
use enos_sim::{Cloud, Config, Device, DeviceId, Event, Record, SecondLogin};
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

pub struct Desk {
    pub cloud: Cloud,
    seen: Arc<(Mutex<Vec<Record>>, Condvar)>,
}

pub fn device_id() -> DeviceId {
    DeviceId::new(PRODUCT_KEY, DEVICE_KEY)
}

/// The device key of a sub-device.
pub fn sub_key(n: usize) -> String {
    format!("s{n:03}")
}

pub fn sub_id(n: usize) -> DeviceId {
    DeviceId::new(SUB_PRODUCT, sub_key(n))
}

impl Desk {
    /// With a gateway that has so many active sub-devices.
    pub fn gateway(count: usize, set: impl FnOnce(&mut Config)) -> Desk {
        let subs = (0..count).map(|n| Device::active(sub_id(n), SUB_SECRET).behind(device_id()));
        let all = [Device::active(device_id(), DEVICE_SECRET).gateway()].into_iter().chain(subs).collect();
        Desk::active(|config| {
            config.devices = all;
            set(config);
        })
    }

    /// With an active device.
    pub fn active(set: impl FnOnce(&mut Config)) -> Desk {
        Desk::start(Device::active(device_id(), DEVICE_SECRET), set)
    }

    /// With a device that is not active yet.
    pub fn inactive(set: impl FnOnce(&mut Config)) -> Desk {
        Desk::start(Device::inactive(device_id(), PRODUCT_SECRET), set)
    }

    /// With these devices, which are not active yet; a further product-secret login gets a new secret.
    pub fn with_devices<K: AsRef<str>>(device_keys: impl IntoIterator<Item = K>) -> Desk {
        let devices = device_keys.into_iter();
        let devices =
            devices.map(|key| Device::inactive(DeviceId::new(PRODUCT_KEY, key.as_ref()), PRODUCT_SECRET)).collect();
        Desk::inactive(|config| {
            config.devices = devices;
            config.activation.second_login = SecondLogin::NewSecret;
        })
    }

    fn start(device: Device, set: impl FnOnce(&mut Config)) -> Desk {
        let mut config = Config { listen: "127.0.0.1:0".parse().unwrap(), devices: vec![device], ..Config::default() };
        set(&mut config);
        let seen = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let sink = Arc::clone(&seen);
        let cloud = Cloud::start(config, move |record| {
            sink.0.lock().unwrap().push(record.clone());
            sink.1.notify_all();
        });
        Desk { cloud: cloud.unwrap(), seen }
    }

    pub fn address(&self) -> SocketAddr {
        self.cloud.address()
    }

    pub fn count(&self, what: impl Fn(&Event) -> bool) -> usize {
        self.seen.0.lock().unwrap().iter().filter(|record| what(&record.event)).count()
    }

    /// The same for one device.
    pub fn count_of(&self, device: &DeviceId, what: impl Fn(&Event) -> bool) -> usize {
        let seen = self.seen.0.lock().unwrap();
        seen.iter().filter(|record| record.device.as_ref() == Some(device) && what(&record.event)).count()
    }

    /// Waits for such an event.
    #[track_caller]
    pub fn wait_for(&self, what: impl Fn(&Event) -> bool) {
        let seen = self.seen.0.lock().unwrap();
        let none = |seen: &mut Vec<Record>| !seen.iter().any(|record| what(&record.event));
        let (seen, over) = self.seen.1.wait_timeout_while(seen, Duration::from_secs(30), none).unwrap();
        assert!(!over.timed_out(), "{seen:#?}");
    }

    /// The secure modes of the CONNECTs so far.
    pub fn modes(&self) -> Vec<u8> {
        self.modes_where(|_| true)
    }

    /// The same for one device.
    pub fn modes_of(&self, device_key: &str) -> Vec<u8> {
        self.modes_where(|record| record.device.as_ref().is_some_and(|device| device.device_key == device_key))
    }

    fn modes_where(&self, what: impl Fn(&Record) -> bool) -> Vec<u8> {
        let seen = self.seen.0.lock().unwrap();
        seen.iter()
            .filter(|record| what(record))
            .filter_map(|record| match &record.event {
                Event::Connect { secure_mode, .. } => *secure_mode,
                _ => None,
            })
            .collect()
    }

    /// The secret that the cloud has given a device.
    pub fn secret(&self, device_key: &str) -> Option<String> {
        let device = self.cloud.device(&DeviceId::new(PRODUCT_KEY, device_key))?;
        Some(device.device_secret?.expose().to_owned())
    }

    pub fn connects(&self) -> usize {
        self.modes().len()
    }
}
