//! A host of the library, as firmware is one: it sets a client up, hears its events, and calls it through the C ABI.
//!
//! ```ignore
//! let mut host = Setup::device(broker.address()).start(); // the library's thread loops
//! host.connect();
//! let mut peer = broker.accept_mqtt();
//! host.expect("CONNECTED");
//! let token = host.publish("t", b"1", 1).unwrap();
//! assert_eq!(host.expect("DELIVERED").token, token);
//! ```
//! What does not come within [`PATIENCE`] fails the test.
#![allow(dead_code)] // each test program uses its own part

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{c_char, c_void, CStr, CString};
use std::fmt;
use std::net::SocketAddr;
use std::ops::Deref;
use std::ptr::{null, null_mut};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use enos::error::Status;
use enos::ffi::activation::enos_activation_device_secret;
use enos::ffi::client::*;
use enos::ffi::config::*;
use enos::ffi::event::{enos_event, enos_event_name};
use enos::ffi::handle::enos_client;
use enos::ffi::message::*;
use enos::ffi::status::enos_last_error;
use enos::storage::vtable::enos_storage;

/// How long a test waits for what has to come.
pub const PATIENCE: Duration = Duration::from_secs(30);
pub const PATIENCE_MS: u32 = 30_000;
pub const FOREVER: u32 = u32::MAX;
pub const NUL_TERMINATED: usize = usize::MAX;

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
    /// The device secret of the event's activation.
    pub secret: Option<String>,
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

/// What the callback's ctx points to.
struct Ears {
    told: Mutex<VecDeque<Told>>,
    more: Condvar,
    on_event: Box<OnEvent>,
}

/// A config that is being filled in. It is in a hurry: no connect budget, at most 100 ms between two attempts.
pub struct Setup {
    config: *mut enos_config,
    on_event: Box<OnEvent>,
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
    /// For a broker there, without a secret.
    pub fn at(address: SocketAddr) -> Setup {
        Setup::to(&format!("tcp://{address}"))
    }

    /// For this server, without a secret.
    pub fn to(uri: &str) -> Setup {
        let mut config = null_mut();
        let uri = CString::new(uri).unwrap();
        // SAFETY: a place for the config; then the config and a text.
        unsafe {
            ok(enos_config_new(&mut config));
            ok(enos_config_set_server(config, uri.as_ptr()));
        }
        Setup { config, on_event: Box::new(|_, _| ()) }
            .identity(PRODUCT_KEY, DEVICE_KEY)
            .connect_budget(0, 0, 0)
            .reconnect(100, 100)
    }

    /// For a broker there, with the device secret.
    pub fn device(address: SocketAddr) -> Setup {
        Setup::at(address).device_secret(DEVICE_SECRET)
    }

    /// For a broker there, with the product secret and this storage.
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
        queue_limits(messages: u32, bytes: usize) = enos_config_set_queue_limits;
        max_message(bytes: usize) = enos_config_set_max_message;
        keep_alive(seconds: u32) = enos_config_set_keep_alive;
        reactivation(on: i32) = enos_config_set_reactivation;
    }

    pub fn identity(self, product_key: &str, device_key: &str) -> Setup {
        let (product_key, device_key) = (CString::new(product_key).unwrap(), CString::new(device_key).unwrap());
        // SAFETY: a config and texts.
        ok(unsafe { enos_config_set_identity(self.config, product_key.as_ptr(), device_key.as_ptr()) });
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

    /// What the callback does beside taking the event down, which comes first.
    pub fn on_event(mut self, on_event: impl Fn(Client, &Told) + Send + Sync + 'static) -> Setup {
        self.on_event = Box::new(on_event);
        self
    }

    /// The client; the test loops it.
    pub fn create(mut self) -> Host {
        let on_event = std::mem::replace(&mut self.on_event, Box::new(|_, _| ()));
        let ears = Arc::new(Ears { told: Mutex::default(), more: Condvar::new(), on_event });
        let mut client = null_mut();
        // SAFETY: a config, a callback whose ctx outlives the client (see Host), and a place for the client.
        unsafe {
            ok(enos_config_set_event_cb(self.config, Some(hear), Arc::as_ptr(&ears).cast_mut().cast()));
            ok(enos_client_create(self.config, &mut client));
        }
        Host { client: Client(client), ears, seen: Vec::new() }
    }

    /// The client, looped by the library's thread.
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

/// A client by its handle, to call from any thread. Destroying it is for [`Host`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client(*mut enos_client);

// SAFETY: the header says that any thread may call a client.
unsafe impl Send for Client {}
// SAFETY: as above, several at once.
unsafe impl Sync for Client {}

// Every SAFETY below: the handle is valid until the host destroys it; texts and bytes live across the call.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Client {
    #[track_caller]
    pub fn connect(self) {
        ok(unsafe { enos_client_connect(self.0) });
    }

    #[track_caller]
    pub fn disconnect(self) {
        ok(unsafe { enos_client_disconnect(self.0) });
    }

    pub fn state(self) -> i32 {
        unsafe { enos_client_state(self.0) }
    }

    pub fn run_loop(self, timeout_ms: u32) -> Status {
        status(unsafe { enos_client_loop(self.0, timeout_ms) })
    }

    pub fn wait(self, state: i32, timeout_ms: u32) -> Status {
        status(unsafe { enos_client_wait(self.0, state, timeout_ms) })
    }

    pub fn fd(self) -> i32 {
        unsafe { enos_client_fd(self.0) }
    }

    pub fn wake(self) {
        unsafe { enos_client_wake(self.0) }
    }

    pub fn loop_start(self) -> Status {
        status(unsafe { enos_client_loop_start(self.0) })
    }

    pub fn loop_stop(self) -> Status {
        status(unsafe { enos_client_loop_stop(self.0) })
    }

    pub fn activation_saved(self) -> Status {
        status(unsafe { enos_client_activation_saved(self.0) })
    }

    /// A call that ought to be refused, or ends the client: then no other may follow.
    pub fn destroy(self) -> Status {
        status(unsafe { enos_client_destroy(self.0) })
    }

    pub fn publish(self, topic: &str, payload: &[u8], qos: i32) -> Result<u64, Status> {
        let topic = CString::new(topic).unwrap();
        token(|out| unsafe {
            enos_client_publish(self.0, topic.as_ptr(), payload.as_ptr(), payload.len(), qos, 0, out)
        })
    }

    /// Publishes, with a place for the token that others look at.
    pub fn publish_into(self, topic: &CStr, qos: i32, out: &std::sync::atomic::AtomicU64) -> Status {
        status(unsafe { enos_client_publish(self.0, topic.as_ptr(), null(), 0, qos, 0, out.as_ptr()) })
    }

    pub fn subscribe(self, filter: &str, qos: i32) -> Result<u64, Status> {
        let filter = CString::new(filter).unwrap();
        token(|out| unsafe { enos_client_subscribe(self.0, filter.as_ptr(), qos, out) })
    }

    pub fn unsubscribe(self, filter: &str) -> Result<u64, Status> {
        let filter = CString::new(filter).unwrap();
        token(|out| unsafe { enos_client_unsubscribe(self.0, filter.as_ptr(), out) })
    }

    pub fn post(self, params: &str) -> Result<u64, Status> {
        token(|out| unsafe { enos_client_post_measurepoints(self.0, params.as_ptr().cast(), params.len(), 0, out) })
    }

    pub fn reply(self, topic: &str, id: &str, code: i32, data: Option<&str>) -> Result<u64, Status> {
        let (topic, id) = (CString::new(topic).unwrap(), CString::new(id).unwrap());
        let (data, len) = data.map_or((null(), 0), |data| (data.as_ptr().cast(), data.len()));
        token(|out| unsafe { enos_client_reply(self.0, topic.as_ptr(), id.as_ptr(), code, data, len, out) })
    }
}

/// A client and what it told. Dropping it destroys the client.
pub struct Host {
    client: Client,
    ears: Arc<Ears>,
    /// All events that the test has taken.
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

    /// The next event. Loops the client, unless somebody else does.
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

    /// An event that is there already.
    pub fn take(&mut self) -> Option<Told> {
        let told = self.ears.told.lock().unwrap().pop_front()?;
        self.seen.push(told.clone());
        Some(told)
    }

    /// The next event, which has to be of this type.
    #[track_caller]
    pub fn expect(&mut self, name: &str) -> Told {
        let told = self.next();
        assert_eq!(told.name, name, "{told:?}");
        told
    }

    /// The next event of this type; others are passed over.
    #[track_caller]
    pub fn until(&mut self, name: &str) -> Told {
        loop {
            let told = self.next();
            if told.name == name {
                return told;
            }
        }
    }

    /// The outcomes of calls, until each of these tokens has one. Two for one token, or one for a token that was not
    /// given out, fail the test.
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

    /// Has it online with a scripted broker: past CONNACK 0.
    #[track_caller]
    pub fn online(&mut self) {
        self.connect();
        self.expect("CONNECTED");
    }

    /// Waits for DISCONNECTED with ENOS_OK.
    #[track_caller]
    pub fn go_offline(&mut self) {
        self.disconnect();
        loop {
            if self.until("DISCONNECTED").status == Status::ENOS_OK {
                return;
            }
        }
    }

    /// Destroys the client, and says how long that took.
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
            secret: (!secret.is_null()).then(|| text(secret)),
        }
    }
}

/// A storage in memory that outlives its clients, as flash does.
#[derive(Clone, Default)]
pub struct Store(Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

impl Store {
    pub fn new() -> Store {
        Store::default()
    }

    /// Whether a record of this role is there.
    pub fn has(&self, role: &str) -> bool {
        self.0.lock().unwrap().keys().any(|key| key.starts_with(&format!("{role}.")))
    }

    fn vtable(&self) -> enos_storage {
        enos_storage {
            struct_size: size_of::<enos_storage>(),
            ctx: Arc::into_raw(Arc::clone(&self.0)).cast_mut().cast(),
            load: Some(load),
            store: Some(store),
            erase: Some(erase),
            release: Some(release),
        }
    }
}

type Records = Mutex<BTreeMap<String, Vec<u8>>>;

unsafe extern "C" fn load(
    ctx: *mut c_void,
    key: *const c_char,
    buffer: *mut u8,
    cap: usize,
    out_len: *mut usize,
) -> i32 {
    // SAFETY: ctx is the records, until release; the rest is as the header promises.
    unsafe {
        let Some(value) = (*ctx.cast::<Records>()).lock().unwrap().get(&text(key)).cloned() else { return 1 };
        *out_len = value.len();
        if value.len() > cap {
            return 2;
        }
        buffer.copy_from_nonoverlapping(value.as_ptr(), value.len());
    }
    0
}

unsafe extern "C" fn store(ctx: *mut c_void, key: *const c_char, data: *const u8, len: usize) -> i32 {
    // SAFETY: as above.
    unsafe {
        let value = std::slice::from_raw_parts(data, len).to_vec();
        (*ctx.cast::<Records>()).lock().unwrap().insert(text(key), value);
    }
    0
}

unsafe extern "C" fn erase(ctx: *mut c_void, key: *const c_char) -> i32 {
    // SAFETY: as above.
    unsafe { (*ctx.cast::<Records>()).lock().unwrap().remove(&text(key)) };
    0
}

unsafe extern "C" fn release(ctx: *mut c_void) {
    // SAFETY: the pointer is from Arc::into_raw, and this is the one release.
    drop(unsafe { Arc::from_raw(ctx.cast::<Records>()) });
}

pub fn last_error() -> String {
    text(enos_last_error())
}

pub fn text(ptr: *const c_char) -> String {
    // SAFETY: what the library passes is NUL-terminated, and valid during the call that got it.
    unsafe { CStr::from_ptr(ptr) }.to_str().unwrap().to_owned()
}

#[track_caller]
fn ok(code: i32) {
    assert_eq!(status(code), Status::ENOS_OK, "{}", last_error());
}

#[track_caller]
fn token(call: impl FnOnce(*mut u64) -> i32) -> Result<u64, Status> {
    let mut token = 0;
    match status(call(&mut token)) {
        Status::ENOS_OK => {
            assert_ne!(token, 0, "an accepted call has a token");
            Ok(token)
        }
        error => {
            assert_eq!(token, 0, "a refused call has none");
            Err(error)
        }
    }
}

#[track_caller]
fn status(code: i32) -> Status {
    use Status::*;
    let all = [
        ENOS_OK,
        ENOS_ERR_NULL_ARG,
        ENOS_ERR_INVALID_ARG,
        ENOS_ERR_NO_MEMORY,
        ENOS_ERR_STATE,
        ENOS_ERR_IN_CALLBACK,
        ENOS_ERR_TIMEOUT,
        ENOS_ERR_UNSUPPORTED,
        ENOS_ERR_QUEUE_FULL,
        ENOS_ERR_TOO_LARGE,
        ENOS_ERR_PARSE,
        ENOS_ERR_NOT_ACTIVATION,
        ENOS_ERR_IDENTITY_MISMATCH,
        ENOS_ERR_STORAGE,
        ENOS_ERR_UNSAVED_SECRET,
        ENOS_ERR_NETWORK,
        ENOS_ERR_CREDENTIALS,
        ENOS_ERR_ACTIVATION_REFUSED,
        ENOS_ERR_ACTIVATION_TIMEOUT,
        ENOS_ERR_PROTOCOL,
        ENOS_ERR_PANIC,
    ];
    all.into_iter().find(|status| *status as i32 == code).unwrap_or_else(|| panic!("status {code}"))
}
