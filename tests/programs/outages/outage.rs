//! A device that goes through an outage, watched: what it is told and when, and that no call takes longer than it may.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use enos::internals::error::Status;

use support::host::{Host, Setup, Told, DEVICE_SECRET, IDLE, PATIENCE};
use support::mosquitto::Mosquitto;
use support::proxy::{Connect, Proxy};

/// The timeout of each call, and what it may take beyond that on a machine that has other things to do.
const TURN_MS: u32 = 100;
const OVERRUN: Duration = Duration::from_secs(5);

/// Keep-alive: the least that EnOS's range and a test's patience allow.
pub const KEEP_ALIVE_S: u32 = 10;
/// The budget of a hurried device: as many CONNECTs as EnOS allows, in a window of seconds.
const CONNECTS: usize = 3;
const WINDOW: Duration = Duration::from_secs(5);
/// The defaults' window.
pub const ENOS_WINDOW: Duration = Duration::from_secs(125);

type Heard = Arc<Mutex<Vec<(Instant, Told)>>>;

/// One row of the table.
pub struct Row {
    pub outage: &'static str,
    /// `None` where there was nothing to tell.
    pub times: Option<Times>,
    pub connects: usize,
    pub words: &'static str,
}

pub struct Times {
    /// From the fault until the host was told, and what.
    pub told: Duration,
    pub status: String,
    /// From when the fault was mended until the device was online again; `None` where that is not of the test.
    pub back: Option<Duration>,
}

pub struct Device {
    host: Host,
    heard: Heard,
    /// The longest that a call took beyond its timeout.
    overrun: Duration,
}

/// A device that is in a hurry, within a budget that is EnOS's in small.
pub fn hurried(uri: &str, device_key: &str) -> Setup {
    Setup::to(uri)
        .identity("pk", device_key)
        .device_secret(DEVICE_SECRET)
        .keep_alive(KEEP_ALIVE_S)
        .connect_timeout(2_000)
        .reconnect(200, 2_000)
        .connect_budget(CONNECTS as u32, WINDOW.as_millis() as u32, 200)
}

impl Times {
    pub fn new(told: Duration, event: &Told, back: Option<Duration>) -> Times {
        Times { told, status: format!("{:?}", event.status), back }
    }
}

impl Device {
    pub fn online(setup: Setup) -> Device {
        let mut device = Device::connect(setup);
        device.back(Instant::now());
        device
    }

    /// Online and in a hurry, at a broker behind a proxy.
    pub fn behind_proxy(device_key: &str) -> (Mosquitto, Proxy, Device) {
        let broker = Mosquitto::start();
        let proxy = Proxy::start(broker.address());
        let device = Device::online(hurried(&format!("tcp://{}", proxy.address()), device_key));
        (broker, proxy, device)
    }

    pub fn connect(setup: Setup) -> Device {
        let heard = Heard::default();
        let ears = Arc::clone(&heard);
        let setup = setup.on_event(move |_, told| ears.lock().unwrap().push((Instant::now(), told.clone())));
        let device = Device { host: setup.create(), heard, overrun: Duration::ZERO };
        device.host.connect();
        device
    }

    /// A turn of the loop and a wait in vain, both timed.
    fn turn(&mut self) {
        let timeout = Duration::from_millis(u64::from(TURN_MS));
        let start = Instant::now();
        assert_eq!(self.host.run_loop(TURN_MS), Status::ENOS_OK);
        let looped = start.elapsed();
        // It is never idle: the wait ends by its timeout, or at once when there is nothing good to wait for.
        assert_ne!(self.host.wait(IDLE, TURN_MS), Status::ENOS_OK);
        let waited = start.elapsed() - looped;
        self.overrun = self.overrun.max(looped.max(waited).saturating_sub(timeout));
        assert!(self.overrun < OVERRUN, "a call took {:?} beyond its timeout", self.overrun);
    }

    pub fn run_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.turn();
        }
    }

    /// The first event since then that `wanted` wants; with its time.
    #[track_caller]
    pub fn until(&mut self, since: Instant, wanted: impl Fn(&Told) -> bool) -> (Instant, Told) {
        let end = Instant::now() + 2 * PATIENCE;
        loop {
            let found = self.heard.lock().unwrap().iter().find(|(at, told)| *at >= since && wanted(told)).cloned();
            if let Some(found) = found {
                return found;
            }
            assert!(Instant::now() < end, "it was not told; but {:#?}", self.heard.lock().unwrap());
            self.turn();
        }
    }

    /// Until the loss since then is told.
    #[track_caller]
    pub fn lost(&mut self, since: Instant) -> (Instant, Told) {
        self.until(since, |told| told.name == "DISCONNECTED")
    }

    /// Until it is online again.
    #[track_caller]
    pub fn back(&mut self, since: Instant) -> Instant {
        self.until(since, |told| told.name == "CONNECTED").0
    }

    pub fn publish(&self) -> u64 {
        self.host.publish("t", b"1", 1).unwrap()
    }

    /// Until the broker has acknowledged it.
    #[track_caller]
    pub fn delivered(&mut self, token: u64) {
        let (_, told) = self.until(Instant::now() - PATIENCE, |told| told.token == token);
        assert_eq!((told.name.as_str(), told.status), ("DELIVERED", Status::ENOS_OK));
    }

    /// From a fault until it is mended, as `mend` does some time after it was told, and the device is back.
    #[track_caller]
    pub fn through(&mut self, fault: impl FnOnce(), lasts: Duration, mend: impl FnOnce()) -> Option<Times> {
        let began = Instant::now();
        fault();
        let (told_at, told) = self.lost(began);
        assert_eq!(told.status, Status::ENOS_ERR_NETWORK, "{told:?}");
        self.run_for(lasts);
        let mended = Instant::now();
        mend();
        let back = self.back(began);
        assert!(lasts.is_zero() || back >= mended, "it is back before the fault is mended");
        Some(Times::new(told_at - began, &told, Some(back.saturating_duration_since(mended))))
    }

    pub fn losses(&self) -> Vec<Told> {
        let heard = self.heard.lock().unwrap();
        heard.iter().map(|(_, told)| told).filter(|told| told.name == "DISCONNECTED").cloned().collect()
    }
}

/// The CONNECTs after the first of a hurried device, which keeps its budget.
#[track_caller]
pub fn within_budget(connects: &[Connect]) -> usize {
    check_budget(connects, WINDOW);
    connects.len() - 1
}

/// No more than three in any window.
#[track_caller]
pub fn check_budget(connects: &[Connect], window: Duration) {
    for more in connects.windows(CONNECTS + 1) {
        let within = more[CONNECTS].at - more[0].at;
        assert!(within >= window, "{} CONNECTs within {within:?}", CONNECTS + 1);
    }
}
