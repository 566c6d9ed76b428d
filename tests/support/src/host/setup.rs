//! The config of a client.

use std::ffi::CString;
use std::net::SocketAddr;
use std::ptr::null_mut;
use std::sync::{Arc, Condvar, Mutex};

use enos::internals::error::Status;
use enos::internals::ffi::client::enos_client_create;
use enos::internals::ffi::command::*;
use enos::internals::ffi::config::*;
use enos::internals::ffi::limits::*;
use enos::internals::ffi::outbox::*;
use enos::internals::ffi::subdevice::*;
use enos::internals::storage::directory::directory_create;

use super::*;

/// A config with short times: no connect budget, at most 100 ms between two attempts.
pub struct Setup {
    config: *mut enos_config,
    on_event: Box<OnEvent>,
    keeps_commands: bool,
}

/// A setter of the config's that takes numbers.
macro_rules! setters {
    ($($name:ident($($arg:ident: $type:ty),*) = $function:ident;)*) => {
        $(pub fn $name(self, $($arg: $type),*) -> Setup {
            // SAFETY: a config, and numbers.
            ok(unsafe { $function(self.config, $($arg),*) });
            self
        })*
    };
}

impl Setup {
    /// For a broker at this address, without a secret.
    pub fn at(address: SocketAddr) -> Setup {
        Setup::to(&format!("tcp://{address}"))
    }

    /// With nothing set.
    pub fn empty() -> Setup {
        let mut config = null_mut();
        // SAFETY: a place for the config.
        ok(unsafe { enos_config_new(&mut config) });
        Setup { config, on_event: Box::new(|_, _| ()), keeps_commands: false }
    }

    /// For this server, without a secret.
    pub fn to(uri: &str) -> Setup {
        Setup::empty().server(uri).identity(PRODUCT_KEY, DEVICE_KEY)
    }

    /// The integration channel of the product, for a broker at this address.
    pub fn channel(address: SocketAddr) -> Setup {
        Setup::empty().server(&format!("tcp://{address}")).integration_channel(PRODUCT_KEY, PRODUCT_SECRET)
    }

    pub fn server(self, uri: &str) -> Setup {
        let uri = CString::new(uri).unwrap();
        // SAFETY: a config and a text.
        let setup = self.set(|config| unsafe { enos_config_set_server(config, uri.as_ptr()) });
        setup.connect_budget(0, 0, 0).reconnect(100, 100)
    }

    /// The config, for setters that have no method here.
    pub fn config(&self) -> *mut enos_config {
        self.config
    }

    /// For a broker at this address, with the device secret.
    pub fn device(address: SocketAddr) -> Setup {
        Setup::at(address).device_secret(DEVICE_SECRET)
    }

    /// For a broker at this address, with the product secret and this storage.
    pub fn product(address: SocketAddr, store: &Store) -> Setup {
        Setup::at(address).product_secret(PRODUCT_SECRET).storage(store)
    }

    setters! {
        sign_method(method: i32) = enos_config_set_sign_method;
        connect_timeout(ms: u32) = enos_config_set_connect_timeout;
        activation_timeout(ms: u32) = enos_config_set_activation_timeout;
        reply_timeout(ms: u32) = enos_config_set_reply_timeout;
        reconnect(min_ms: u32, max_ms: u32) = enos_config_set_reconnect;
        connect_budget(connects: u32, window_ms: u32, spacing_ms: u32) = enos_config_set_connect_budget;
        inflight(messages: u32) = enos_config_set_inflight;
        subscribe_batch(filters: u32) = enos_config_set_subscribe_batch;
        queue_limits(messages: u32, bytes: usize) = enos_config_set_queue_limits;
        max_message(bytes: usize) = enos_config_set_max_message;
        keep_alive(seconds: u32) = enos_config_set_keep_alive;
        outbox_limits(messages: u32, bytes: u64, policy: i32) = enos_config_set_outbox_limits;
        outbox_rate(bytes_per_s: u32) = enos_config_set_outbox_rate;
        reactivation(on: i32) = enos_config_set_reactivation;
        command_limits(commands: u32, bytes: usize) = enos_config_set_command_limits;
        command_quiet_time(ms: u32) = enos_config_set_command_quiet_time;
        command_record(on: i32) = enos_config_set_command_record;
        subdevice_limit(subdevices: u32) = enos_config_set_subdevice_limit;
        subdevice_batch(subdevices: u32) = enos_config_set_subdevice_batch;
        join_time(ms: u32) = enos_config_set_join_time;
    }

    pub fn identity(self, product_key: &str, device_key: &str) -> Setup {
        let (product_key, device_key) = (CString::new(product_key).unwrap(), CString::new(device_key).unwrap());
        // SAFETY: a config and texts.
        ok(unsafe { enos_config_set_identity(self.config, product_key.as_ptr(), device_key.as_ptr()) });
        self
    }

    pub fn integration_channel(self, product_key: &str, secret: &str) -> Setup {
        let product_key = CString::new(product_key).unwrap();
        let (secret, len) = (secret.as_ptr().cast(), secret.len());
        // SAFETY: a config and texts, one of them with its length.
        ok(unsafe { enos_config_set_integration_channel(self.config, product_key.as_ptr(), secret, len) });
        self
    }

    /// For this service, or for all.
    pub fn command_timeout(self, service: Option<&str>, ms: u32) -> Setup {
        let service = service.map(|service| CString::new(service).unwrap());
        let service = service.as_ref().map_or(std::ptr::null(), |service| service.as_ptr());
        // SAFETY: a config, and a text or NULL.
        ok(unsafe { enos_config_set_command_timeout(self.config, service, ms) });
        self
    }

    pub fn client_id(self, client_id: &str) -> Setup {
        let client_id = CString::new(client_id).unwrap();
        // SAFETY: a config and a text.
        ok(unsafe { enos_config_set_client_id(self.config, client_id.as_ptr()) });
        self
    }

    pub fn bind_interface(self, name: &str) -> Setup {
        let name = CString::new(name).unwrap();
        // SAFETY: as above.
        ok(unsafe { enos_config_set_bind_interface(self.config, name.as_ptr()) });
        self
    }

    pub fn device_secret(self, secret: &str) -> Setup {
        // SAFETY: a config, and a text with its length.
        ok(unsafe { enos_config_set_device_secret(self.config, secret.as_ptr().cast(), secret.len()) });
        self
    }

    pub fn product_secret(self, secret: &str) -> Setup {
        // SAFETY: as above.
        ok(unsafe { enos_config_set_product_secret(self.config, secret.as_ptr().cast(), secret.len()) });
        self
    }

    pub fn storage(self, store: &Store) -> Setup {
        // SAFETY: a config, and a storage whose functions are callable with its ctx until its release.
        ok(unsafe { enos_config_set_storage(self.config, &store.vtable()) });
        self
    }

    /// The library's own storage in this directory, which is made if it is missing.
    pub fn directory(self, path: &std::path::Path) -> Setup {
        let storage = directory_create(path).unwrap();
        // SAFETY: a config, and the library's own storage.
        ok(unsafe { enos_config_set_storage(self.config, &storage) });
        self
    }

    /// What the callback does after recording the event.
    pub fn on_event(mut self, on_event: impl Fn(Client, &Told) + Send + Sync + 'static) -> Setup {
        self.on_event = Box::new(on_event);
        self
    }

    /// Each command is retained; the test has to release it.
    pub fn keep_commands(mut self) -> Setup {
        self.keeps_commands = true;
        self
    }

    /// Calls more setters of the config.
    pub fn set(self, set: impl FnOnce(*mut enos_config) -> i32) -> Setup {
        ok(set(self.config));
        self
    }

    /// Creates the client; the test runs its loop.
    #[track_caller]
    pub fn create(self) -> Host {
        self.try_create().unwrap_or_else(|(status, words)| panic!("{status:?}: {words}"))
    }

    /// Creates the client, or returns the error.
    pub fn try_create(mut self) -> Result<Host, (Status, String)> {
        let on_event = std::mem::replace(&mut self.on_event, Box::new(|_, _| ()));
        let keeps_commands = self.keeps_commands;
        let ears = Arc::new(Ears { told: Mutex::default(), more: Condvar::new(), on_event, keeps_commands });
        let mut client = null_mut();
        // SAFETY: a config, a callback whose ctx outlives the client (see Host), and a place for the client.
        unsafe {
            ok(enos_config_set_event_cb(self.config, Some(hear), Arc::as_ptr(&ears).cast_mut().cast()));
            match status(enos_client_create(self.config, &mut client)) {
                Status::ENOS_OK => Ok(Host { client: Client(client), ears, seen: Vec::new() }),
                error => Err((error, last_error())),
            }
        }
    }

    /// Creates the client; the library's thread runs its loop.
    pub fn start(self) -> Host {
        let host = self.create();
        assert_eq!(host.loop_start(), Status::ENOS_OK);
        host
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        // SAFETY: made by enos_config_new, freed once.
        unsafe { enos_config_free(self.config) }
    }
}
