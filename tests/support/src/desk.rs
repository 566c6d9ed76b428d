//! The simulator in this process, with one device, and what it saw.

use crate::host::{DEVICE_KEY, DEVICE_SECRET, PRODUCT_KEY, PRODUCT_SECRET};
use enos_sim::{Cloud, Config, Device, DeviceId, Event, Record};
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

impl Desk {
    /// With a device that is active.
    pub fn active(set: impl FnOnce(&mut Config)) -> Desk {
        Desk::start(Device::active(device_id(), DEVICE_SECRET), set)
    }

    /// With a device that is to be activated.
    pub fn inactive(set: impl FnOnce(&mut Config)) -> Desk {
        Desk::start(Device::inactive(device_id(), PRODUCT_SECRET), set)
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

    /// Waits until such an event was seen.
    #[track_caller]
    pub fn wait_for(&self, what: impl Fn(&Event) -> bool) {
        let seen = self.seen.0.lock().unwrap();
        let none = |seen: &mut Vec<Record>| !seen.iter().any(|record| what(&record.event));
        let (seen, over) = self.seen.1.wait_timeout_while(seen, Duration::from_secs(30), none).unwrap();
        assert!(!over.timed_out(), "{seen:#?}");
    }

    /// The secure modes of the CONNECTs so far.
    pub fn modes(&self) -> Vec<u8> {
        let seen = self.seen.0.lock().unwrap();
        seen.iter()
            .filter_map(|record| match &record.event {
                Event::Connect { secure_mode, .. } => *secure_mode,
                _ => None,
            })
            .collect()
    }

    pub fn connects(&self) -> usize {
        self.modes().len()
    }
}
