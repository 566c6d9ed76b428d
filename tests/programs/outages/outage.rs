//! A device in an outage: checks the events and their times, and that no call takes longer than its timeout.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use enos::error::Status;

use support::host::{Host, Setup, Told, DEVICE_SECRET, IDLE, PATIENCE};
use support::mosquitto::Mosquitto;
use support::proxy::{Connect, Proxy};

/// The timeout of each call, and the tolerance on a busy machine.
const TURN_MS: u32 = 100;
const OVERRUN: Duration = Duration::from_secs(5);

/// The keep-alive: the shortest in EnOS's range that is useful in a test.
pub const KEEP_ALIVE_S: u32 = 10;
/// The budget of a device with short times: as many CONNECTs as EnOS allows, in a window of seconds.
const CONNECTS: usize = 3;
const WINDOW: Duration = Duration::from_secs(5);
/// The default window.
pub const ENOS_WINDOW: Duration = Duration::from_secs(125);

type Heard = Arc<Mutex<Vec<(Instant, Told)>>>;

/// One row of the table.
pub struct Row {
    pub outage: &'static str,
    /// `None` if the host is told nothing.
    pub times: Option<Times>,
    pub connects: usize,
    pub words: &'static str,
}

pub struct Times {
    /// The time from the fault until the host was told, and the status.
    pub told: Duration,
    pub status: String,
    /// The time from the end of the fault until the device was online again; `None` if the test does not measure it.
    pub back: Option<Duration>,
}

pub struct Device {
    host: Host,
    heard: Heard,
    /// How long a call has exceeded its timeout at most.
    overrun: Duration,
}

/// A device with short times, and a scaled-down budget.
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

    /// A device with short times that is online at a broker behind a proxy.
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

    /// Runs the loop and a wait that times out, and measures both.
    fn turn(&mut self) {
        let timeout = Duration::from_millis(u64::from(TURN_MS));
        let start = Instant::now();
        assert_eq!(self.host.run_loop(TURN_MS), Status::ENOS_OK);
        let looped = start.elapsed();
        // The device is never idle: the wait ends by its timeout, or at once if the state cannot be reached soon.
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

    /// The first event since then that `wanted` accepts, with its time.
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

    /// Runs until the loss since then is reported.
    #[track_caller]
    pub fn lost(&mut self, since: Instant) -> (Instant, Told) {
        self.until(since, |told| told.name == "DISCONNECTED")
    }

    /// Runs until it is online again.
    #[track_caller]
    pub fn back(&mut self, since: Instant) -> Instant {
        self.until(since, |told| told.name == "CONNECTED").0
    }

    pub fn publish(&self) -> u64 {
        self.host.publish("t", b"1", 1).unwrap()
    }

    /// Runs until the broker has acknowledged it.
    #[track_caller]
    pub fn delivered(&mut self, token: u64) {
        let (_, told) = self.until(Instant::now() - PATIENCE, |told| told.token == token);
        assert_eq!((told.name.as_str(), told.status), ("DELIVERED", Status::ENOS_OK));
    }

    /// Causes a fault, ends it with `mend` some time after the host was told, and runs until the device is back.
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

/// The number of CONNECTs after the first, which must be within the budget of a device with short times.
#[track_caller]
pub fn within_budget(connects: &[Connect]) -> usize {
    check_budget(connects, WINDOW);
    connects.len() - 1
}

/// Asserts at most three in any window.
#[track_caller]
pub fn check_budget(connects: &[Connect], window: Duration) {
    for more in connects.windows(CONNECTS + 1) {
        let within = more[CONNECTS].at - more[0].at;
        assert!(within >= window, "{} CONNECTs within {within:?}", CONNECTS + 1);
    }
}
