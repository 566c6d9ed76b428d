//! A host of the library, like a firmware: it sets up a client, receives its events, and calls it through the C ABI.
//!
//! ```ignore
//! let mut host = Setup::device(broker.address()).start(); // the library's thread loops
//! host.connect();
//! let mut peer = broker.accept_mqtt();
//! host.expect("CONNECTED");
//! let token = host.publish("t", b"1", 1).unwrap();
//! assert_eq!(host.expect("DELIVERED").token, token);
//! ```
//! If an expected event does not come within [`PATIENCE`], the test fails.

mod client;
mod command;
mod download;
mod firmware;
mod setup;
mod store;
mod subdevice;

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{c_char, c_void, CStr};
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use enos::internals::error::Status;
use enos::internals::ffi::activation::enos_activation_device_secret;
use enos::internals::ffi::event::{enos_event, enos_event_name};
use enos::internals::ffi::handle::enos_client;
use enos::internals::ffi::status::enos_last_error;
use enos::internals::ffi::value::enos_value;

pub use client::{
    Ask, Client, Durable, Kept, DURABLE, JOIN, KEEP_SECRETS, RESUME, SKIP_INVALID, STAMP, UNTIL_REPLY, WITHOUT_TIME,
};
pub use command::Command;
pub use download::*;
pub use firmware::{Firmware, FirmwareState};
pub use setup::Setup;
pub use store::{Asked, Calls, Request, Store, NOT_FOUND, TOO_SMALL};
pub use subdevice::*;

pub use crate::broker::PATIENCE;
pub const PATIENCE_MS: u32 = 30_000;
pub const FOREVER: u32 = u32::MAX;
pub const NUL_TERMINATED: usize = isize::MAX as usize + 1;

pub const PRODUCT_KEY: &str = "pk";
pub const DEVICE_KEY: &str = "dk";
pub const DEVICE_SECRET: &str = "the-device-s3cret";
pub const PRODUCT_SECRET: &str = "the-product-s3cret";

pub const IDLE: i32 = 0;
pub const ACTIVATING: i32 = 1;
pub const PERSISTING: i32 = 2;
pub const CONNECTING: i32 = 3;
pub const ONLINE: i32 = 4;
pub const WAITING: i32 = 5;

/// One event, copied.
#[derive(Clone, PartialEq)]
pub struct Told {
    pub name: String,
    pub status: Status,
    pub detail_code: i32,
    pub qos: i32,
    pub token: u64,
    pub retry_in_ms: u32,
    pub detail: String,
    pub topic: Vec<u8>,
    pub payload: Vec<u8>,
    pub operation: i32,
    pub subdevice: u64,
    pub user: usize,
    pub subdevice_state: i32,
    /// The reply's "data" and "message".
    pub data: Option<String>,
    pub message: Option<String>,
    /// The device secret of the event's activation.
    pub secret: Option<String>,
    pub command: Option<Command>,
    pub firmware: Option<Firmware>,
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Told { name, status, detail_code, token, retry_in_ms, detail, topic, payload, .. } = self;
        write!(f, "{name} {status:?} code {detail_code} token {token} retry {retry_in_ms} {detail:?} ")?;
        let shown = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(100)]).into_owned();
        write!(f, "{:?}: {:?} ({} bytes)", shown(topic), shown(payload), payload.len())
    }
}

pub type OnEvent = dyn Fn(Client, &Told) + Send + Sync;

/// The ctx of the callback.
struct Ears {
    told: Mutex<VecDeque<Told>>,
    more: Condvar,
    on_event: Box<OnEvent>,
    /// Each command is retained before the test is told.
    keeps_commands: bool,
}

/// A client and its events. Dropping it destroys the client.
pub struct Host {
    client: Client,
    ears: Arc<Ears>,
    /// The events that the test has taken.
    pub seen: Vec<Told>,
}

impl Deref for Host {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Host {
    pub fn client(&self) -> Client {
        self.client
    }

    /// The next event. Runs the client's loop, unless another thread does.
    #[track_caller]
    pub fn next(&mut self) -> Told {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(told) = self.take() {
                return told;
            }
            let left = end.checked_duration_since(Instant::now());
            let left = left.unwrap_or_else(|| panic!("no event for {PATIENCE:?}; so far: {:#?}", self.seen));
            match self.run_loop(left.as_millis() as u32) {
                Status::ENOS_OK => {}
                Status::ENOS_ERR_STATE => {
                    let told = self.ears.told.lock().unwrap();
                    drop(self.ears.more.wait_timeout_while(told, left, |told| told.is_empty()).unwrap());
                }
                other => panic!("{other:?}: {}", last_error()),
            }
        }
    }

    /// An event that has come already.
    pub fn take(&mut self) -> Option<Told> {
        let told = self.ears.told.lock().unwrap().pop_front()?;
        self.seen.push(told.clone());
        Some(told)
    }

    /// Discards all events that have come already.
    pub fn take_all(&mut self) -> VecDeque<Told> {
        std::mem::take(&mut *self.ears.told.lock().unwrap())
    }

    /// The next event, which must be of this type.
    #[track_caller]
    pub fn expect(&mut self, name: &str) -> Told {
        let told = self.next();
        assert_eq!(told.name, name, "{told:?}");
        told
    }

    /// The next event of this type; others are skipped.
    #[track_caller]
    pub fn until(&mut self, name: &str) -> Told {
        loop {
            let told = self.next();
            if told.name == name {
                return told;
            }
        }
    }

    /// Collects outcomes until each of these tokens has one. A second outcome for a token, or an outcome for an unknown
    /// token, fails the test.
    #[track_caller]
    pub fn outcomes(&mut self, tokens: &[u64]) -> BTreeMap<u64, Told> {
        let mut outcomes = BTreeMap::new();
        while outcomes.len() < tokens.len() {
            let told = self.next();
            if told.token != 0 {
                assert!(tokens.contains(&told.token), "nobody's: {told:?}");
                if let Some(first) = outcomes.insert(told.token, told) {
                    panic!("a second outcome for {first:?}");
                }
            }
        }
        outcomes
    }

    /// Runs the loop until a condition holds that may come without an event.
    #[track_caller]
    pub fn loop_until(&mut self, holds: impl Fn(&Host) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < end, "it did not come about; so far: {:#?}", self.seen);
            match self.run_loop(20) {
                Status::ENOS_OK => {}
                Status::ENOS_ERR_STATE => std::thread::sleep(Duration::from_millis(1)),
                other => panic!("{other:?}: {}", last_error()),
            }
            while self.take().is_some() {}
        }
    }

    /// The events of this type so far, as far as the test has taken them.
    pub fn told(&self, name: &str) -> Vec<&Told> {
        self.seen.iter().filter(|told| told.name == name).collect()
    }

    /// Brings it online with a scripted broker.
    #[track_caller]
    pub fn online(&mut self) {
        self.connect();
        self.expect("CONNECTED");
    }

    /// The same for a device that is not active yet.
    #[track_caller]
    pub fn online_as_new(&mut self) {
        self.connect();
        self.expect("ACTIVATED");
        self.expect("CONNECTED");
    }

    /// Disconnects, and waits until that is done.
    #[track_caller]
    pub fn go_offline(&mut self) {
        self.disconnect();
        assert_eq!(self.until("STOPPED").status, Status::ENOS_OK);
    }

    /// Destroys the client, and returns how long that took.
    #[track_caller]
    pub fn destroy(self) -> Duration {
        let start = Instant::now();
        assert_eq!(self.client.destroy(), Status::ENOS_OK, "{}", last_error());
        let took = start.elapsed();
        // SAFETY: read once, and `self` is forgotten: its drop would destroy the client again.
        drop(unsafe { std::ptr::read(&self.ears) });
        // SAFETY: as above.
        drop(unsafe { std::ptr::read(&self.seen) });
        std::mem::forget(self);
        took
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let status = self.client.destroy();
        if !std::thread::panicking() {
            assert_eq!(status, Status::ENOS_OK, "{}", last_error());
        }
    }
}

/// Every accepted call has exactly one event among these.
#[track_caller]
pub fn exactly_once<'a>(tokens: &[u64], told: impl IntoIterator<Item = &'a Told>) {
    let mut seen: Vec<u64> = told.into_iter().map(|told| told.token).filter(|token| *token != 0).collect();
    let mut wanted = tokens.to_vec();
    seen.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(seen, wanted, "the tokens of the events are not those of the calls");
}

unsafe extern "C" fn hear(ctx: *mut c_void, client: *mut enos_client, event: *const enos_event) {
    // SAFETY: ctx is the ears, which outlive the client; the event and its parts live until this returns.
    let (ears, told) = unsafe { (&*ctx.cast::<Ears>(), copy(&*event)) };
    if let Some(command) = told.command.filter(|_| ears.keeps_commands) {
        command.retain();
    }
    ears.told.lock().unwrap().push_back(told.clone());
    ears.more.notify_all();
    (ears.on_event)(Client(client), &told);
}

/// # Safety
/// The event is one of the library's, inside its callback.
unsafe fn copy(event: &enos_event) -> Told {
    let name = text(enos_event_name(event.r#type));
    // SAFETY: the caller's promise.
    unsafe {
        let secret = enos_activation_device_secret(event.activation);
        Told {
            name,
            status: status(event.status),
            detail_code: event.detail_code,
            qos: event.qos,
            token: event.token,
            retry_in_ms: event.retry_in_ms,
            detail: text(event.detail),
            topic: std::slice::from_raw_parts(event.topic.cast(), event.topic_len).to_vec(),
            payload: std::slice::from_raw_parts(event.payload, event.payload_len).to_vec(),
            operation: event.operation,
            user: event.user.addr(),
            subdevice: event.subdevice,
            subdevice_state: event.subdevice_state,
            data: value(&event.data),
            message: value(&event.message),
            secret: (!secret.is_null()).then(|| text(secret)),
            command: (!event.command.is_null()).then_some(Command(event.command)),
            firmware: Firmware::copy(event.firmware),
        }
    }
}

/// The JSON text of a value, if it is there.
///
/// # Safety
/// The value is one of the library's.
unsafe fn value(value: &enos_value) -> Option<String> {
    // SAFETY: the caller's promise.
    let text = |value: &enos_value| unsafe { std::slice::from_raw_parts(value.text.cast(), value.len).to_vec() };
    (!value.text.is_null()).then(|| String::from_utf8(text(value)).unwrap())
}

pub fn last_error() -> String {
    text(enos_last_error())
}

pub fn text(ptr: *const c_char) -> String {
    assert!(!ptr.is_null());
    // SAFETY: what the library passes is NUL-terminated, and valid during the call that got it.
    unsafe { CStr::from_ptr(ptr) }.to_str().unwrap().to_owned()
}

#[track_caller]
fn ok(code: i32) {
    assert_eq!(status(code), Status::ENOS_OK, "{}", last_error());
}

#[track_caller]
fn status(code: i32) -> Status {
    use Status::*;
    let all = [
        ENOS_OK,
        ENOS_ERR_NULL_ARG,
        ENOS_ERR_INVALID_ARG,
        ENOS_ERR_STRUCT_SIZE,
        ENOS_ERR_NO_MEMORY,
        ENOS_ERR_STATE,
        ENOS_ERR_IN_CALLBACK,
        ENOS_ERR_TIMEOUT,
        ENOS_ERR_NOT_FOUND,
        ENOS_ERR_UNSUPPORTED,
        ENOS_ERR_QUEUE_FULL,
        ENOS_ERR_TOO_LARGE,
        ENOS_ERR_PARSE,
        ENOS_ERR_NOT_ACTIVATION,
        ENOS_ERR_IDENTITY_MISMATCH,
        ENOS_ERR_STORAGE,
        ENOS_ERR_UNSAVED_SECRET,
        ENOS_ERR_DEAD_LETTER,
        ENOS_ERR_SUPERSEDED,
        ENOS_ERR_NETWORK,
        ENOS_ERR_TLS,
        ENOS_ERR_CREDENTIALS,
        ENOS_ERR_ACTIVATION_REFUSED,
        ENOS_ERR_ACTIVATION_TIMEOUT,
        ENOS_ERR_PROTOCOL,
        ENOS_ERR_CONFLICT,
        ENOS_ERR_REFUSED,
        ENOS_ERR_NOT_INSTALLED,
        ENOS_ERR_CANCELLED,
        ENOS_ERR_DIGEST,
        ENOS_ERR_PANIC,
    ];
    all.into_iter().find(|status| *status as i32 == code).unwrap_or_else(|| panic!("status {code}"))
}
