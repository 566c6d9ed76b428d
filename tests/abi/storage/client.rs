//! A client made and used through the C functions, and a cloud for it.

use std::ffi::{c_void, CStr, CString};
use std::ptr::null_mut;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use enos::error::Status;
use enos::ffi::activation::enos_activation_device_secret;
use enos::ffi::client::*;
use enos::ffi::config::*;
use enos::ffi::event::enos_event;
use enos::ffi::handle::enos_client;
use enos::ffi::status::enos_last_error;
use enos::storage::vtable::enos_storage;
use enos_sim::{Activation, Cloud, Config, Device, DeviceId, Event, SecondLogin};

pub const PRODUCT_KEY: &str = "pk";
pub const PRODUCT_SECRET: &str = "product-secret";
/// How long what has to come may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Of a CONNECT: the device, and the secure mode.
type Seen = (String, Option<u8>);

/// A cloud, and what it saw of the CONNECTs.
pub struct Sky {
    pub cloud: Cloud,
    connects: Arc<Mutex<Vec<Seen>>>,
}

impl Sky {
    /// Each of the devices may be activated; a further login as product gets a new secret.
    pub fn new(device_keys: impl IntoIterator<Item = String>) -> Sky {
        let connects = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&connects);
        let inactive = |key: String| Device::inactive(DeviceId::new(PRODUCT_KEY, key), PRODUCT_SECRET);
        let config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            devices: device_keys.into_iter().map(inactive).collect(),
            activation: Activation { second_login: SecondLogin::NewSecret, ..Activation::default() },
            ..Config::default()
        };
        let cloud = Cloud::start(config, move |record| {
            if let (Event::Connect { secure_mode, .. }, Some(device)) = (&record.event, &record.device) {
                seen.lock().unwrap().push((device.device_key.clone(), *secure_mode));
            }
        });
        Sky { cloud: cloud.unwrap(), connects }
    }

    pub fn of(device_key: &str) -> Sky {
        Sky::new([device_key.to_owned()])
    }

    /// The secure modes of a device's CONNECTs so far.
    pub fn modes(&self, device_key: &str) -> Vec<u8> {
        let connects = self.connects.lock().unwrap();
        connects.iter().filter(|(key, _)| key == device_key).filter_map(|(_, mode)| *mode).collect()
    }

    pub fn secret(&self, device_key: &str) -> Option<String> {
        let device = self.cloud.device(&DeviceId::new(PRODUCT_KEY, device_key))?;
        Some(device.device_secret?.expose().to_owned())
    }

    pub fn is_online(&self, device_key: &str) -> bool {
        self.cloud.online().contains(&DeviceId::new(PRODUCT_KEY, device_key))
    }
}

/// An event, copied.
#[derive(Clone, Debug)]
pub struct Told {
    pub kind: i32,
    pub status: i32,
    pub code: i32,
    pub retry_in_ms: u32,
    pub detail: String,
    pub secret: Option<String>,
}

pub const CONNECTED: i32 = 1;
pub const DISCONNECTED: i32 = 2;
pub const ACTIVATED: i32 = 3;
pub const PERSIST_FAILED: i32 = 4;

pub const ACTIVATING: i32 = 1;
pub const PERSISTING: i32 = 2;
pub const ONLINE: i32 = 4;

type Events = Mutex<Vec<Told>>;

/// A client; destroyed when dropped, with its unsaved secret if it has one.
pub struct Client {
    pub handle: *mut enos_client,
    events: Arc<Events>,
}

// SAFETY: the functions of a client may be called from any thread.
unsafe impl Send for Client {}
// SAFETY: as above.
unsafe impl Sync for Client {}

/// How a client is made otherwise than by default.
#[derive(Clone, Default)]
pub struct Setup {
    pub device_secret: Option<CString>,
    /// Number, window and spacing. Default: no limit, and 1.1 s.
    pub budget: Option<(u32, u32, u32)>,
}

impl Client {
    pub fn new(sky: &Sky, device_key: &str, storage: &enos_storage) -> Client {
        Client::with(sky, device_key, storage, &Setup::default())
    }

    pub fn with(sky: &Sky, device_key: &str, storage: &enos_storage, setup: &Setup) -> Client {
        let events = Arc::new(Events::default());
        let (mut config, mut handle) = (null_mut(), null_mut());
        let text = |text: &str| CString::new(text).unwrap();
        let (connects, window, spacing) = setup.budget.unwrap_or((0, 1_000, 0));
        // SAFETY: handles, texts and places as the header wants them; the events live until the client is destroyed.
        unsafe {
            ok(enos_config_new(&mut config));
            ok(enos_config_set_server(config, text(&format!("tcp://{}", sky.cloud.address())).as_ptr()));
            ok(enos_config_set_identity(config, text(PRODUCT_KEY).as_ptr(), text(device_key).as_ptr()));
            ok(enos_config_set_product_secret(config, text(PRODUCT_SECRET).as_ptr(), usize::MAX));
            if let Some(secret) = &setup.device_secret {
                ok(enos_config_set_device_secret(config, secret.as_ptr(), usize::MAX));
            }
            ok(enos_config_set_storage(config, storage));
            ok(enos_config_set_reconnect(config, 100, 1_000));
            ok(enos_config_set_connect_budget(config, connects, window, spacing));
            ok(enos_config_set_event_cb(config, Some(on_event), Arc::as_ptr(&events).cast_mut().cast()));
            ok(enos_client_create(config, &mut handle));
            enos_config_free(config);
        }
        Client { handle, events }
    }

    pub fn connect(&self) {
        // SAFETY: a handle; likewise below.
        ok(unsafe { enos_client_connect(self.handle) });
    }

    pub fn disconnect(&self) {
        // SAFETY: a handle.
        ok(unsafe { enos_client_disconnect(self.handle) });
    }

    pub fn saved(&self) -> i32 {
        // SAFETY: a handle.
        unsafe { enos_client_activation_saved(self.handle) }
    }

    pub fn state(&self) -> i32 {
        // SAFETY: a handle.
        unsafe { enos_client_state(self.handle) }
    }

    /// Runs the loop until something holds.
    #[track_caller]
    pub fn until(&self, what: &str, holds: impl Fn(&Client) -> bool) {
        if let Err(words) = self.wait_for(what, holds) {
            panic!("{words}");
        }
    }

    pub fn wait_for(&self, what: &str, holds: impl Fn(&Client) -> bool) -> Result<(), String> {
        let start = Instant::now();
        while !holds(self) {
            if start.elapsed() > PATIENCE {
                return Err(format!("{what}: not within {PATIENCE:?}; told: {:#?}", self.events()));
            }
            // SAFETY: a handle.
            ok(unsafe { enos_client_loop(self.handle, 20) });
        }
        Ok(())
    }

    pub fn events(&self) -> Vec<Told> {
        self.events.lock().unwrap().clone()
    }

    pub fn told(&self, kind: i32) -> Vec<Told> {
        self.events().into_iter().filter(|told| told.kind == kind).collect()
    }

    pub fn clear(&self) {
        self.events.lock().unwrap().clear();
    }

    /// What `enos_client_destroy` returns; the client is gone when that is OK.
    pub fn destroy(mut self) -> Result<(), (Client, i32)> {
        // SAFETY: a handle, not used again unless it still lives.
        match unsafe { enos_client_destroy(self.handle) } {
            0 => {
                self.handle = null_mut();
                Ok(())
            }
            status => Err((self, status)),
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // SAFETY: a handle or NULL, not used again.
        unsafe {
            if enos_client_destroy(self.handle) == Status::ENOS_ERR_UNSAVED_SECRET as i32 {
                while enos_client_activation_saved(self.handle) == 0 {}
                enos_client_destroy(self.handle);
            }
        }
    }
}

#[track_caller]
pub fn ok(status: i32) {
    // SAFETY: valid until this thread's next call.
    let words = || unsafe { CStr::from_ptr(enos_last_error()) }.to_string_lossy().into_owned();
    assert_eq!(status, 0, "{}", words());
}

unsafe extern "C" fn on_event(ctx: *mut c_void, _: *mut enos_client, event: *const enos_event) {
    // SAFETY: the events of the client, which outlive it; an event that is valid until this returns.
    unsafe {
        let (events, event) = (&*ctx.cast::<Events>(), &*event);
        let secret = enos_activation_device_secret(event.activation);
        events.lock().unwrap().push(Told {
            kind: event.r#type,
            status: event.status,
            code: event.detail_code,
            retry_in_ms: event.retry_in_ms,
            detail: CStr::from_ptr(event.detail).to_string_lossy().into_owned(),
            secret: (!secret.is_null()).then(|| CStr::from_ptr(secret).to_str().unwrap().to_owned()),
        });
    }
}
