//! The functions of a client, as methods.

use std::ffi::{CStr, CString};
use std::ptr::null;
use std::sync::atomic::AtomicU64;

use enos::error::Status;
use enos::ffi::client::*;
use enos::ffi::handle::enos_client;
use enos::ffi::message::*;

use super::{ok, status};

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

    /// A fault of the library in the middle of a call.
    pub fn provoke_fault(self) -> Status {
        status(unsafe { enos::ffi::guard::provoke_panic_on(self.0) })
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
        token(|out| unsafe { enos_client_post_measurepoints(self.0, params.as_ptr().cast(), params.len(), 0, out) })
    }

    pub fn reply(self, topic: &str, id: &str, code: i32, data: Option<&str>) -> Result<u64, Status> {
        let (topic, id) = (CString::new(topic).unwrap(), CString::new(id).unwrap());
        let (data, len) = data.map_or((null(), 0), |data| (data.as_ptr().cast(), data.len()));
        token(|out| unsafe { enos_client_reply(self.0, topic.as_ptr(), id.as_ptr(), code, data, len, out) })
    }
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
