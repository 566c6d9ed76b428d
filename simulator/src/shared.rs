//! State that the connections of a cloud share.

mod reporter;

pub use reporter::Reporter;

use bytes::Bytes;
use std::{
    collections::HashMap,
    net::Shutdown,
    sync::{
        atomic::{AtomicU64, Ordering},
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
    },
    time::{Duration, Instant},
};

use crate::{
    commands::Commands,
    config::{Config, ThrottleConfig},
    connection::{Handle, Input},
    event::{Event, Record},
    fault::Fault,
    firmware::{Depot, Offer, Task, TaskState},
    gateways::Gateways,
    login::{Claim, Mode},
    registry::Registry,
    summary::{Summary, Tally},
    thing::Thing,
    throttle::{Ban, Throttle},
    web::Requests,
    Device, DeviceId,
};

/// How long connections may take to end when the cloud stops.
const STOPPING: Duration = Duration::from_secs(1);

/// How long to wait if there is no deadline.
const IDLE: Duration = Duration::from_secs(3600);

const FIRST_ID: u64 = 7_000_000_001;

/// The receiver of the events.
pub type Sink = Box<dyn FnMut(&Record) + Send>;

/// Poisoning can be ignored: no code under a lock can panic in the middle of a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub struct Shared {
    pub config: Config,
    faults: Mutex<Arc<[Fault]>>,
    pub depot: Depot,
    /// The requests of the HTTP ports.
    pub requests: Requests,
    tasks: AtomicU64,
    started: Instant,
    registry: Mutex<Registry>,
    throttle: Mutex<Throttle>,
    log: Mutex<(Sink, Tally)>,
    random: Mutex<fastrand::Rng>,
    ids: AtomicU64,
    commands: Mutex<Commands>,
    /// Notified when `stopping` is set, and when a deadline of a command may have become the next.
    due: Condvar,
    things: Mutex<HashMap<DeviceId, Thing>>,
    gateways: Mutex<Gateways>,
    numbers: AtomicU64,
    ordinals: Mutex<HashMap<DeviceId, u64>>,
    connections: Mutex<HashMap<u64, Handle>>,
    online: Mutex<HashMap<DeviceId, (Handle, Mode)>>,
    stopping: Mutex<bool>,
    /// Notified when `stopping` is set, and when a connection ended.
    changed: Condvar,
}

impl Shared {
    pub fn new(config: Config, registry: Registry, sink: Sink) -> Shared {
        Shared {
            faults: Mutex::new(config.faults.clone().into()),
            depot: Depot::default(),
            requests: Requests::default(),
            tasks: AtomicU64::new(1),
            started: Instant::now(),
            registry: Mutex::new(registry),
            throttle: Mutex::default(),
            log: Mutex::new((sink, Tally::default())),
            random: Mutex::new(config.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed)),
            // Far from the ids that devices count up from 1, because an SDK may mistake a command with such an id for a
            // reply.
            ids: AtomicU64::new(FIRST_ID),
            commands: Mutex::default(),
            due: Condvar::new(),
            things: Mutex::default(),
            gateways: Mutex::default(),
            numbers: AtomicU64::new(1),
            ordinals: Mutex::default(),
            connections: Mutex::default(),
            online: Mutex::default(),
            stopping: Mutex::new(false),
            changed: Condvar::new(),
            config,
        }
    }

    pub fn registry(&self) -> MutexGuard<'_, Registry> {
        lock(&self.registry)
    }

    /// If it is needed together with the registry, the registry is locked first.
    pub fn gateways(&self) -> MutexGuard<'_, Gateways> {
        lock(&self.gateways)
    }

    /// The faults of a connection that begins now, and of an HTTP request that comes now.
    pub fn faults(&self) -> Arc<[Fault]> {
        lock(&self.faults).clone()
    }

    pub fn set_faults(&self, faults: Vec<Fault>) {
        let mut now = lock(&self.faults);
        *now = faults.into();
        self.requests.count_anew();
    }

    pub fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    pub fn commands(&self) -> MutexGuard<'_, Commands> {
        lock(&self.commands)
    }

    /// A command waits for its answer.
    pub fn watch_deadlines(&self) {
        self.due.notify_all();
    }

    /// Waits until a command's deadline or `until` is over, a command was sent, or the cloud stops.
    pub fn await_deadline(&self, until: Option<Instant>) {
        let commands = self.commands();
        let next = commands.next_deadline().into_iter().chain(until).min();
        let wait = next.map_or(IDLE, |next| next.saturating_duration_since(Instant::now()));
        if !self.is_stopping() {
            drop(self.due.wait_timeout(commands, wait));
        }
    }

    /// Connections on all ports are counted together, from 1.
    pub fn next_connection(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// What the cloud knows of a device. Only for devices that are registered, which limits their number.
    pub fn with_thing<T>(&self, device: &DeviceId, work: impl FnOnce(&mut Thing) -> T) -> T {
        work(lock(&self.things).entry(device.clone()).or_default())
    }

    pub fn forget_thing(&self, device: &DeviceId) {
        lock(&self.things).remove(device);
    }

    /// A new task of a device; with an offer, it waits to be sent to it.
    pub fn add_task(&self, device: &DeviceId, params: &Offer, offer: Option<Offer>) -> u64 {
        let number = self.tasks.fetch_add(1, Ordering::Relaxed);
        let (version, on_request) = (params.version.clone(), params.on_request);
        let task = Task { task: number, version, on_request, state: TaskState::Created, offer };
        let mut things = lock(&self.things);
        things.entry(device.clone()).or_default().add_task(task.clone());
        self.report(None, Some(device.clone()), task.into());
        number
    }

    /// Changes the state of a task; false if it is over, or there is none.
    pub fn change_task(&self, connection: Option<u64>, device: &DeviceId, number: u64, state: TaskState) -> bool {
        let mut things = lock(&self.things);
        let changed = things.entry(device.clone()).or_default().change_task(number, state);
        let is_changed = changed.is_some();
        if let Some(task) = changed {
            self.report(connection, Some(device.clone()), task.into());
        }
        is_changed
    }

    pub fn report(&self, connection: Option<u64>, device: Option<DeviceId>, event: Event) {
        let mut log = lock(&self.log);
        let record = Record { event, t_ms: self.started.elapsed().as_millis() as u64, connection, device };
        log.1.note(&record);
        (log.0)(&record);
    }

    pub fn summary(&self) -> Summary {
        let mut online = self.devices_online();
        online.extend(self.sub_devices_online().into_iter().map(|(id, _)| id));
        let devices: Vec<_> = self.registry().all().map(|device| (device.id.clone(), device.active)).collect();
        lock(&self.log).1.summary(&devices, &online)
    }

    /// Verifies a login. A refusal has its CONNACK code and its reason.
    pub fn admit(&self, claim: &Claim) -> Result<(), (u8, String)> {
        let mut registry = self.registry();
        let device = match claim.mode {
            Mode::Device => registry.find(&claim.device),
            Mode::Product => registry.find_or_prepare(&claim.device),
            Mode::Channel => {
                let secret = registry.product_secret(&claim.device.product_key);
                let secret = secret.ok_or_else(|| (5, "there is no such product, or it has no secret".to_owned()))?;
                let channel = Device::inactive(claim.device.clone(), secret);
                return claim.verify(&channel, &self.config).map_err(|reason| (4, reason));
            }
        };
        let device = device.ok_or_else(|| (5, "the device is not registered".to_owned()))?;
        if !device.enabled {
            return Err((5, "the device is disabled".into()));
        }
        if !device.gateways.is_empty() {
            return Err((5, "the device is a sub-device: it has to log in through its gateway (771)".into()));
        }
        if claim.mode == Mode::Product && device.active {
            return Err((5, "the device is active: its product-secret logins have ended".into()));
        }
        claim.verify(&device, &self.config).map_err(|reason| (4, reason))?;
        if registry.find(&device.id).is_none() {
            let _ = registry.put(device);
        }
        Ok(())
    }

    pub fn with_random<T>(&self, work: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        work(&mut lock(&self.random))
    }

    pub fn throttle(&self, device: &DeviceId, config: &ThrottleConfig) -> Result<(), Ban> {
        lock(&self.throttle).connect(device, config, Instant::now())
    }

    /// Counts a registered device's connections from 1; unregistered devices are not counted.
    pub fn ordinal(&self, device: &DeviceId) -> Option<u64> {
        self.registry().find_or_prepare(device)?;
        let mut ordinals = lock(&self.ordinals);
        if ordinals.len() >= 2 * self.config.limits.devices && !ordinals.contains_key(device) {
            return None;
        }
        let ordinal = ordinals.entry(device.clone()).or_default();
        *ordinal += 1;
        Some(*ordinal)
    }

    /// Adds a connection; false if there are too many.
    pub fn enlist(&self, handle: Handle) -> bool {
        let number = handle.number;
        {
            let mut connections = lock(&self.connections);
            if connections.len() >= self.config.limits.connections {
                return false;
            }
            connections.insert(number, handle);
        }
        // Checked last: a cloud that stops has either told this connection, or is noticed here.
        if self.is_stopping() {
            self.forget(number);
            return false;
        }
        true
    }

    pub fn forget(&self, number: u64) {
        lock(&self.connections).remove(&number);
        let _stopping = lock(&self.stopping);
        self.changed.notify_all();
    }

    /// A device has logged in; its earlier connection is closed.
    pub fn online(&self, device: &DeviceId, handle: Handle, mode: Mode) {
        if let Some((earlier, _)) = lock(&self.online).insert(device.clone(), (handle, mode)) {
            earlier.close("the device has connected again");
            self.end_sub_devices(earlier.number, "its gateway has connected again");
        }
        self.commands().went_offline(device);
    }

    pub fn offline(&self, device: &DeviceId, number: u64) {
        self.end_sub_devices(number, "the link of its gateway has ended");
        let mut online = lock(&self.online);
        if online.get(device).is_some_and(|(handle, _)| handle.number == number) {
            online.remove(device);
            self.commands().went_offline(device);
        }
    }

    fn end_sub_devices(&self, connection: u64, reason: &str) {
        let ended = self.gateways().end_link(connection);
        for (sub_device, login) in ended {
            self.commands().went_offline(&sub_device);
            let event = Event::SubDeviceOffline { gateway: login.gateway, reason: reason.to_owned() };
            self.report(Some(connection), Some(sub_device), event);
        }
    }

    /// Ends the login of a sub-device; false if it has none. The gateway is not told.
    pub fn end_sub_device(&self, sub_device: &DeviceId, reason: &str) -> bool {
        let Some(login) = self.gateways().log_out(sub_device) else { return false };
        self.commands().went_offline(sub_device);
        let event = Event::SubDeviceOffline { gateway: login.gateway, reason: reason.to_owned() };
        self.report(Some(login.connection), Some(sub_device.clone()), event);
        true
    }

    /// The connection of a device, or of the gateway through which it is logged in.
    pub fn find_online(&self, device: &DeviceId) -> Option<(Handle, Mode)> {
        if let Some(own) = lock(&self.online).get(device).cloned() {
            return Some(own);
        }
        let login = self.gateways().login_of(device)?.clone();
        let gateway = lock(&self.online).get(&login.gateway).cloned();
        gateway.filter(|(handle, _)| handle.number == login.connection)
    }

    /// Whether this is the latest connection of a device.
    pub fn is_latest(&self, device: &DeviceId, number: u64) -> bool {
        lock(&self.online).get(device).is_some_and(|(handle, _)| handle.number == number)
    }

    /// Each sub-device that is logged in, and its gateway; sorted.
    pub fn sub_devices_online(&self) -> Vec<(DeviceId, DeviceId)> {
        self.gateways().all().map(|(id, login)| (id.clone(), login.gateway.clone())).collect()
    }

    /// Sorted.
    pub fn devices_online(&self) -> Vec<DeviceId> {
        let mut devices: Vec<_> = lock(&self.online).keys().cloned().collect();
        devices.sort();
        devices
    }

    /// Offers a publication to every session except the sender's. A session with a full inbox misses it.
    pub fn route(&self, topic: &str, payload: &Bytes, qos: u8, sender: u64) {
        for (handle, _) in lock(&self.online).values().filter(|(handle, _)| handle.number != sender) {
            let _ = handle.inbox.try_send(Input::Deliver { topic: topic.to_owned(), payload: payload.clone(), qos });
        }
    }

    pub fn is_stopping(&self) -> bool {
        *lock(&self.stopping)
    }

    /// Waits, at most until the cloud stops.
    pub fn pause(&self, time: Duration) {
        let stopping = lock(&self.stopping);
        drop(self.changed.wait_timeout_while(stopping, time, |stopping| !*stopping));
    }

    pub fn stop(&self) {
        *lock(&self.stopping) = true;
        self.changed.notify_all();
        // Under its lock, so that nobody begins to wait in between.
        let _commands = self.commands();
        self.due.notify_all();
        drop(_commands);
        for handle in lock(&self.connections).values() {
            handle.close("the simulator stops");
        }
    }

    pub fn wait_for_connections(&self) {
        let none_left = |shared: &Shared| {
            let deadline = Instant::now() + STOPPING;
            let mut stopping = lock(&shared.stopping);
            loop {
                let left = lock(&shared.connections).len();
                let wait = deadline.saturating_duration_since(Instant::now());
                if left == 0 || wait.is_zero() {
                    return left == 0;
                }
                stopping = shared.changed.wait_timeout(stopping, wait).unwrap_or_else(PoisonError::into_inner).0;
            }
        };
        if !none_left(self) {
            for handle in lock(&self.connections).values() {
                let _ = handle.stream.shutdown(Shutdown::Both);
            }
            none_left(self);
        }
    }
}
