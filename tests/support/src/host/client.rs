//! The functions of a client, as methods.

use std::ffi::{c_void, CStr, CString};
use std::ptr::null;
use std::sync::atomic::AtomicU64;

use enos::internals::error::Status;
use enos::internals::ffi::client::*;
use enos::internals::ffi::handle::enos_client;
use enos::internals::ffi::message::*;
use enos::internals::ffi::outbox::*;
use enos::internals::ffi::request::*;
use enos::internals::ffi::stats::{enos_client_stats, enos_stats};
use enos::internals::model::flags::enos_request_flags;
use enos::internals::protocol::Operation;

use super::{ok, status, text};

pub const DURABLE: u32 = enos_request_flags::ENOS_REQUEST_DURABLE as u32;
pub const UNTIL_REPLY: u32 = enos_request_flags::ENOS_REQUEST_UNTIL_REPLY as u32;
pub const RESUME: u32 = enos_request_flags::ENOS_REQUEST_RESUME as u32;

pub const JOIN: u32 = enos_request_flags::ENOS_REQUEST_JOIN as u32;
pub const SKIP_INVALID: u32 = enos_request_flags::ENOS_REQUEST_SKIP_INVALID_POINTS as u32;
pub const KEEP_SECRETS: u32 = enos_request_flags::ENOS_REQUEST_KEEP_SECRETS as u32;
pub const WITHOUT_TIME: u32 = enos_request_flags::ENOS_REQUEST_WITHOUT_TIME as u32;
pub const STAMP: u32 = enos_request_flags::ENOS_REQUEST_STAMP as u32;

/// A message of a batch; without a topic it is a post of measure points.
#[derive(Clone, Copy)]
pub struct Durable<'a> {
    pub topic: Option<&'a str>,
    pub payload: &'a [u8],
    pub flags: u32,
}

impl<'a> Durable<'a> {
    pub fn ask(&self) -> Ask<'a> {
        let operation = match self.topic {
            Some(_) => Operation::ENOS_OP_PUBLISH,
            None => Operation::ENOS_OP_MEASUREPOINT_POST,
        };
        let (flags, name, params) = (self.flags | DURABLE, self.topic, Some(self.payload));
        Ask { flags, name, params, ..Ask::of(operation) }
    }
}

/// A request, as [`enos_request`].
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    pub operation: i32,
    pub flags: u32,
    pub subdevice: u64,
    pub name: Option<&'a str>,
    pub params: Option<&'a [u8]>,
    pub timeout_ms: u32,
    pub user: usize,
}

impl<'a> Ask<'a> {
    /// Without name and params.
    pub fn of(operation: Operation) -> Ask<'a> {
        let operation = operation as i32;
        Ask { operation, flags: 0, subdevice: 0, name: None, params: None, timeout_ms: 0, user: 0 }
    }

    pub fn json(operation: Operation, params: &'a str) -> Ask<'a> {
        Ask { params: Some(params.as_bytes()), ..Ask::of(operation) }
    }

    /// `name` is that of [`Ask::c_name`].
    pub fn as_c(&self, name: Option<&CStr>) -> enos_request {
        enos_request {
            struct_size: size_of::<enos_request>(),
            operation: self.operation,
            flags: self.flags,
            subdevice: self.subdevice,
            name: name.map_or(null(), CStr::as_ptr),
            json: null(),
            params: self.params.map_or(null(), |params| params.as_ptr().cast()),
            params_len: self.params.map_or(0, <[u8]>::len),
            timeout_ms: self.timeout_ms,
            reserved: 0,
            user: std::ptr::without_provenance_mut(self.user),
        }
    }

    pub fn c_name(&self) -> Option<CString> {
        self.name.map(|name| CString::new(name).unwrap())
    }
}

/// A message in the outbox; without a topic it is one that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub token: u64,
    pub code: i32,
    pub topic: Option<String>,
    pub payload: Vec<u8>,
}

/// A client by its handle, to call from any thread. Destroying it is for [`Host`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client(pub(super) *mut enos_client);

// SAFETY: the header says that any thread may call a client.
unsafe impl Send for Client {}
// SAFETY: as above, several at once.
unsafe impl Sync for Client {}

// Every SAFETY below: the handle is valid until the host destroys it; texts and bytes live across the call.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Client {
    /// The handle, for functions that have no method here.
    pub fn handle(self) -> *mut enos_client {
        self.0
    }

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

    /// Whether its descriptor becomes readable within this time.
    pub fn readable(self, timeout_ms: u32) -> bool {
        let mut poll = libc::pollfd { fd: self.fd(), events: libc::POLLIN, revents: 0 };
        unsafe { libc::poll(&mut poll, 1, timeout_ms as i32) == 1 }
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

    /// Provokes a panic of the library in the middle of a call.
    pub fn provoke_fault(self) -> Status {
        status(unsafe { enos::internals::ffi::guard::provoke_panic_on(self.0) })
    }

    /// A call that has to be refused. If it succeeds, no other call may follow.
    pub fn destroy(self) -> Status {
        status(unsafe { enos_client_destroy(self.0) })
    }

    pub fn publish(self, topic: &str, payload: &[u8], qos: i32) -> Result<u64, Status> {
        let topic = CString::new(topic).unwrap();
        token(|out| unsafe {
            enos_client_publish(self.0, topic.as_ptr(), payload.as_ptr(), payload.len(), qos, 0, out)
        })
    }

    /// At QoS 1, with these flags.
    pub fn publish_flags(self, topic: &str, payload: &[u8], flags: u32) -> Result<u64, Status> {
        let topic = CString::new(topic).unwrap();
        token(|out| unsafe {
            enos_client_publish(self.0, topic.as_ptr(), payload.as_ptr(), payload.len(), 1, flags, out)
        })
    }

    pub fn publish_durable(self, topic: &str, payload: &[u8]) -> Result<u64, Status> {
        self.publish_flags(topic, payload, DURABLE)
    }

    pub fn request(self, ask: &Ask) -> Result<u64, Status> {
        let name = ask.c_name();
        self.request_c(&ask.as_c(name.as_deref()))
    }

    pub fn request_c(self, request: &enos_request) -> Result<u64, Status> {
        token(|out| unsafe { enos_client_request(self.0, request, out) })
    }

    /// Accepts all or none; an error has the index of the request at fault.
    pub fn request_batch(self, batch: &[Ask]) -> Result<Vec<u64>, (Status, usize)> {
        let names: Vec<_> = batch.iter().map(Ask::c_name).collect();
        let requests: Vec<_> = batch.iter().zip(&names).map(|(ask, name)| ask.as_c(name.as_deref())).collect();
        let mut tokens = vec![0; batch.len()];
        let mut bad = 0;
        match status(unsafe {
            enos_client_request_batch(self.0, requests.as_ptr(), requests.len(), tokens.as_mut_ptr(), &mut bad)
        }) {
            Status::ENOS_OK => Ok(tokens),
            error => {
                assert!(tokens.iter().all(|token| *token == 0), "a refused batch has no token");
                Err((error, bad))
            }
        }
    }

    /// Publishes all or none, each with [`DURABLE`] in addition to its flags.
    pub fn publish_batch(self, batch: &[Durable]) -> Result<Vec<u64>, Status> {
        self.try_publish_batch(batch).map_err(|(status, _)| status)
    }

    /// The same; an error has the index of the message at fault.
    pub fn try_publish_batch(self, batch: &[Durable]) -> Result<Vec<u64>, (Status, usize)> {
        self.request_batch(&batch.iter().map(Durable::ask).collect::<Vec<_>>())
    }

    pub fn flush(self, timeout_ms: u32) -> Status {
        status(unsafe { enos_client_flush(self.0, timeout_ms) })
    }

    pub fn outbox_info(self) -> Result<enos_outbox_info, Status> {
        self.outbox_info_of(0)
    }

    pub fn outbox_info_of(self, subdevice: u64) -> Result<enos_outbox_info, Status> {
        let mut info = enos_outbox_info {
            struct_size: size_of::<enos_outbox_info>(),
            messages: 0,
            bytes: 0,
            dead_letters_ever: 0,
            dropped: 0,
            dead_letters: 0,
        };
        match status(unsafe { enos_client_outbox_info(self.0, subdevice, &mut info) }) {
            Status::ENOS_OK => Ok(info),
            error => Err(error),
        }
    }

    #[track_caller]
    pub fn stats(self) -> enos_stats {
        // SAFETY: all zeros is a valid value of it.
        let mut stats: enos_stats = unsafe { std::mem::zeroed() };
        stats.struct_size = size_of::<enos_stats>();
        ok(unsafe { enos_client_stats(self.0, &mut stats) });
        stats
    }

    /// The number of messages that wait in the outbox.
    #[track_caller]
    pub fn waiting(self) -> u64 {
        self.outbox_info().unwrap().messages
    }

    /// The waiting messages.
    #[track_caller]
    pub fn show_waiting(self) -> Vec<Kept> {
        self.waiting_of(0)
    }

    #[track_caller]
    pub fn waiting_of(self, subdevice: u64) -> Vec<Kept> {
        self.show(subdevice, enos_outbox_which::ENOS_OUTBOX_WAITING)
    }

    #[track_caller]
    pub fn dead_letters(self) -> Vec<Kept> {
        self.dead_letters_of(0)
    }

    #[track_caller]
    pub fn dead_letters_of(self, subdevice: u64) -> Vec<Kept> {
        self.show(subdevice, enos_outbox_which::ENOS_OUTBOX_DEAD_LETTERS)
    }

    #[track_caller]
    fn show(self, subdevice: u64, which: enos_outbox_which) -> Vec<Kept> {
        let mut seen = Vec::new();
        ok(unsafe { enos_client_outbox_each(self.0, subdevice, which as i32, Some(look), (&raw mut seen).cast()) });
        seen
    }

    pub fn drop_message(self, token: u64) -> Status {
        status(unsafe { enos_client_outbox_drop(self.0, token) })
    }

    /// Publishes, and writes the token where other threads read it.
    pub fn publish_into(self, topic: &CStr, qos: i32, out: &AtomicU64) -> Status {
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
        self.post_flags(params, 0)
    }

    pub fn post_flags(self, params: &str, flags: u32) -> Result<u64, Status> {
        token(|out| unsafe { enos_client_post_measurepoints(self.0, params.as_ptr().cast(), params.len(), flags, out) })
    }

    pub fn post_event(self, event: &str, params: &str, flags: u32) -> Result<u64, Status> {
        let (event, len) = (CString::new(event).unwrap(), params.len());
        token(|out| unsafe { enos_client_post_event(self.0, event.as_ptr(), params.as_ptr().cast(), len, flags, out) })
    }

    pub fn update_attributes(self, params: &str, flags: u32) -> Result<u64, Status> {
        token(|out| unsafe { enos_client_update_attributes(self.0, params.as_ptr().cast(), params.len(), flags, out) })
    }

    pub fn topic(self, path: &str) -> Result<String, Status> {
        let path = CString::new(path).unwrap();
        let (mut buffer, mut len) = ([0u8; 512], 0);
        let result =
            unsafe { enos_client_topic(self.0, path.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len(), &mut len) };
        match status(result) {
            Status::ENOS_OK => Ok(String::from_utf8(buffer[..len].to_vec()).unwrap()),
            error => Err(error),
        }
    }
}

unsafe extern "C" fn look(ctx: *mut c_void, message: *const enos_outbox_message) -> i32 {
    // SAFETY: ctx is what show() passes; the rest is as the header promises.
    let (seen, message, payload) = unsafe {
        let message = &*message;
        (&mut *ctx.cast::<Vec<Kept>>(), message, std::slice::from_raw_parts(message.payload, message.len).to_vec())
    };
    assert_eq!(message.struct_size, size_of::<enos_outbox_message>());
    let topic = (!message.name.is_null()).then(|| text(message.name));
    seen.push(Kept { token: message.token, code: message.code, topic, payload });
    0
}

#[track_caller]
pub(super) fn token(call: impl FnOnce(*mut u64) -> i32) -> Result<u64, Status> {
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
