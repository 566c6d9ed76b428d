//! Client: the connection of one device. Every function may be called from any thread, several at once on one client,
//! except that enos_client_destroy() must not overlap another call on it.
//!
//! A thread has to run the loop; without it nothing happens, and no event is delivered. There are three ways, and a
//! client uses one of them:
//!
//!     your thread          while (running) enos_client_loop(client, 1000);
//!     your event loop      poll enos_client_fd() for input, without a timeout; when it is readable,
//!                          enos_client_loop(client, 0)
//!     the library's thread enos_client_loop_start(); your callbacks then run on that thread
//!
//! After enos_client_connect():
//!
//!     a device secret is      CONNECTED. A refusal is DISCONNECTED with ENOS_ERR_CREDENTIALS, and the next of the
//!     there                   secrets in hand and sign methods is tried; when all have been, after 10 to 60 minutes
//!     none is, but a          the device secret arrives, is stored and read back: ACTIVATED, then CONNECTED. It is
//!     product secret          never given up: when it cannot be stored, PERSIST_FAILED, again and again
//!     the link is lost        calls without an outcome get theirs, then DISCONNECTED with ENOS_ERR_NETWORK; the next
//!                             attempt follows by itself (enos_config_set_reconnect())
//!
//! Only ENOS_STORAGE_NOT_FOUND means that there is no device secret. A storage that fails never causes an activation.

use std::ffi::{c_char, c_int};

use super::config::enos_config;
use super::guard::{getter, guard, on_client};
use super::handle::{self, enos_client, Boxed};
use super::output::Out;
use super::status::enos_status;
use crate::client::Client;
use crate::error::{Error, Result, Status};
use crate::model::state::State;

/// No timeout. `ENOS_FOREVER` in the header.
const FOREVER: u32 = u32::MAX;

/// Reads a number from a client; a negative status on failure.
///
/// # Safety
/// `client` is NULL or a handle as the header describes it.
pub(super) unsafe fn look(client: *const enos_client, read: impl FnOnce(&Client) -> Result<i32>) -> i32 {
    // SAFETY: the caller's promise.
    let look = || unsafe { handle::client(client) }.and_then(read).unwrap_or_else(|error| error.status as i32);
    getter(Status::ENOS_ERR_PANIC as i32, look)
}

pub(super) fn timeout(ms: u32) -> Option<u32> {
    (ms != FOREVER).then_some(ms)
}

/// Makes a client. This uses no network and no storage, starts no thread and calls no callback.
///
/// @param config  what it is made from; copied, so it may be changed or freed afterwards.
/// @param out     receives the client, yours to destroy with enos_client_destroy().
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  the config lacks something that is required, or its values do not go together;
///                               enos_last_error() names the setter.
/// @retval ENOS_ERR_TLS          for a server at ssl://: a certificate or key cannot be read or used; enos_last_error()
///                               names the file and says why.
/// @retval ENOS_ERR_NO_MEMORY    out of memory or of descriptors.
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn enos_client_create(config: *const enos_config, out: *mut *mut enos_client) -> enos_status {
    guard(|| {
        // SAFETY: the header's contract.
        let (config, out) = unsafe { (enos_config::borrow(config, "config")?, Out::new(out, "out")?) };
        let sink = config.events.map(|events| events.into_sink());
        let client = Client::create(&config.config, sink)?;
        out.set(handle::give_client(client));
        Ok(())
    })
}

/// Begins to go online, and to stay online until enos_client_disconnect(): activates the device if it has no secret,
/// logs in as the device, and connects again after a loss. Returns at once; the outcome is an event, CONNECTED or
/// DISCONNECTED. During a wait between two attempts it shortens the wait as far as the connect budget permits, but not
/// to less than a second after a failure. If the client is online or connecting, it changes nothing.
///
/// @param client  the client.
/// @retval ENOS_OK              begun, or under way already.
/// @retval ENOS_ERR_QUEUE_FULL  no thread runs the loop, and thousands of calls and events wait for it. Run it.
#[no_mangle]
pub unsafe extern "C" fn enos_client_connect(client: *mut enos_client) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { on_client(client, |client| client.connect()) }
}

/// Goes offline and stays offline. Returns at once. Calls without an outcome have a moment to get it. Raw requests that
/// wait for their turn have theirs at once: ENOS_ERR_NETWORK, not sent. Then DISCONNECTED with ENOS_OK comes, if the
/// device was not offline. The client waits some 2 seconds for a device secret that may be on its way. It keeps a
/// secret that is not stored yet, and continues to store it. STOPPED comes when all of this is done, exactly once for
/// each call, also if there was nothing to do.
///
/// @param client  the client.
/// @retval ENOS_OK              begun, or nothing to do.
/// @retval ENOS_ERR_QUEUE_FULL  no thread runs the loop, as for enos_client_connect().
#[no_mangle]
pub unsafe extern "C" fn enos_client_disconnect(client: *mut enos_client) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { on_client(client, |client| client.disconnect()) }
}

/// Closes the connection, ends the thread of enos_client_loop_start(), wipes and frees the client. No more events come,
/// not even for calls without an outcome: to get those, disconnect and loop until STOPPED first. Waits for a callback
/// that runs on the library's thread. No other call on this client may be running or follow.
///
/// @param client  may be NULL: nothing happens, ENOS_OK.
/// @retval ENOS_OK                  the client is gone.
/// @retval ENOS_ERR_UNSAVED_SECRET  a device secret has arrived and is in no storage yet. Nothing was freed, and a
///                                  loop's thread continues. Loop until it is stored, or, when storing fails, save it
///                                  (it is in the PERSIST_FAILED event), call enos_client_activation_saved(), try
///                                  again.
/// @retval ENOS_ERR_IN_CALLBACK     called from a callback. Nothing was freed.
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn enos_client_destroy(client: *mut enos_client) -> enos_status {
    guard(|| {
        if client.is_null() {
            return Ok(());
        }
        // SAFETY: the header's contract.
        unsafe { handle::share_client(client) }?.check_destroy()?;
        // SAFETY: as above: and it is not used again.
        let client = unsafe { handle::take_client(client) };
        client.shutdown();
        Ok(())
    })
}

/// Tells the client that you have saved the device secret of a PERSIST_FAILED event by hand, safe from a power cut. The
/// client stops trying to store it, and logs in as the device. Give the secret to the next process with
/// enos_config_set_device_secret(), or return it from your storage's load. If several secrets have arrived (one of them
/// may be forged), each has its event: save all of them, and call this once for each.
///
/// @param client  the client.
/// @retval ENOS_OK         done.
/// @retval ENOS_ERR_STATE  no PERSIST_FAILED event has reported a secret that is still unsaved.
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn enos_client_activation_saved(client: *mut enos_client) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { on_client(client, |client| client.activation_saved()) }
}

/// Returns the client's present state. Events tell more, and report every change. Legal in every callback.
///
/// @param client  the client.
/// @return  one of enum enos_state; negative (an enos_status) on failure.
#[no_mangle]
pub unsafe extern "C" fn enos_client_state(client: *const enos_client) -> i32 {
    // SAFETY: the header's contract.
    unsafe { look(client, |client| client.state().map(|state| state as i32)) }
}

/// A state's name, for logs.
///
/// @param state  every value is accepted.
/// @return       static text, e.g. "ONLINE"; "UNKNOWN" for a value that is no state.
#[no_mangle]
pub extern "C" fn enos_state_name(state: i32) -> *const c_char {
    getter(c"UNKNOWN", || State::from_number(state).map_or(c"UNKNOWN", State::c_name)).as_ptr()
}

/// Waits until there is something to do, at most timeout_ms, then does what is due: reads and writes the storage,
/// delivers events and log records. The network does not wait for this call. One call delivers at most 256 events. With
/// a timeout of 0 it makes at most one call of your storage, so that a slow storage delays your loop no longer than
/// that. Changes of the outbox that belong together (removing completed messages, storing a dead letter) count as one
/// call. The rest is left for the next call: until all is done, the descriptor of enos_client_fd() stays readable, and
/// no call waits.
///
/// @param client      the client.
/// @param timeout_ms  milliseconds; 0: do not wait; ENOS_FOREVER: no limit.
/// @retval ENOS_OK               what was due is done, or the time is over, or a signal or enos_client_wake() ended the
///                               wait.
/// @retval ENOS_ERR_STATE        another thread loops this client already, or enos_client_loop_start() runs.
/// @retval ENOS_ERR_IN_CALLBACK  called from a callback.
#[no_mangle]
pub unsafe extern "C" fn enos_client_loop(client: *mut enos_client, timeout_ms: u32) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { on_client(client, |client| client.run_loop(timeout(timeout_ms))) }
}

/// Loops until a state is reached. While another thread loops, the library's or one of yours, it waits for that thread
/// instead, and loops itself when that thread has left the loop. It returns when the state is reached, which can be
/// before the event that belongs to it is delivered. To wait for an event, such as STOPPED, loop until it has come.
///
/// @param client      the client.
/// @param state       one of enum enos_state.
/// @param timeout_ms  milliseconds; 0: only look; ENOS_FOREVER: no limit.
/// @retval ENOS_OK               the state was reached.
/// @retval ENOS_ERR_TIMEOUT      it was not, in that time.
/// @retval ENOS_ERR_INVALID_ARG  no such state.
/// @retval ENOS_ERR_STATE        nothing is under way that could lead there: call enos_client_connect() first.
/// @retval ENOS_ERR_CREDENTIALS, ENOS_ERR_ACTIVATION_REFUSED, ENOS_ERR_ACTIVATION_TIMEOUT, ENOS_ERR_STORAGE,
///         ENOS_ERR_NETWORK, ENOS_ERR_TLS, ENOS_ERR_PROTOCOL, ENOS_ERR_CONFLICT
///                               an attempt ended so, and only a long wait (minutes) or no further attempt is left:
///                               returned at once. The client continues by itself; enos_last_error() says what to do.
/// @retval ENOS_ERR_IN_CALLBACK  called from a callback.
#[no_mangle]
pub unsafe extern "C" fn enos_client_wait(client: *mut enos_client, state: i32, timeout_ms: u32) -> enos_status {
    // SAFETY: the header's contract.
    unsafe {
        on_client(client, |client| {
            let state = State::from_number(state)
                .ok_or_else(|| Error::invalid(format!("state is {state}, which is none of enum enos_state")))?;
            client.wait(state, timeout(timeout_ms))
        })
    }
}

/// A descriptor for your own poll(), select() or epoll: readable when enos_client_loop(client, 0) has something to do.
/// It includes the timers: poll it without a timeout. Legal in every callback.
///
/// @param client  the client.
/// @return  the descriptor: the library's, valid until the client is destroyed; do nothing with it but wait. Negative
///          (an enos_status) on failure.
#[no_mangle]
pub unsafe extern "C" fn enos_client_fd(client: *const enos_client) -> c_int {
    // SAFETY: the header's contract.
    unsafe { look(client, |client| Ok(client.fd())) }
}

/// Ends the present wait of the client's loop, or the next one. Safe in a signal handler, legal in every callback.
///
/// @param client  may be NULL: nothing happens.
#[no_mangle]
pub unsafe extern "C" fn enos_client_wake(client: *mut enos_client) {
    // There is no guard, and no error for NULL: in a signal handler the library must not allocate or set up the guard.
    // A write to an eventfd cannot panic.
    // SAFETY: the header's contract.
    if let Some(client) = unsafe { handle::find(client) } {
        client.wake();
    }
}

/// Starts a thread of the library that loops this client. All signals are blocked on it, except for those of a fault of
/// its own (SIGSEGV and the like). Your callbacks run on it, and have 256 KiB of stack there.
///
/// @param client  the client.
/// @retval ENOS_OK               it runs.
/// @retval ENOS_ERR_STATE        it runs already, or a thread is in enos_client_loop(), _wait() or _flush() on this
///                               client (also when it is called from an event callback there).
/// @retval ENOS_ERR_NO_MEMORY    the system has no thread left.
#[no_mangle]
pub unsafe extern "C" fn enos_client_loop_start(client: *mut enos_client) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { on_client(client, |client| client.loop_start()) }
}

/// Ends the thread of enos_client_loop_start(), and waits until it has ended. After that no callback runs on it. The
/// connection stays. enos_client_destroy() calls this by itself.
///
/// @param client  the client.
/// @retval ENOS_OK               it has ended, or there was none.
/// @retval ENOS_ERR_IN_CALLBACK  called from a callback.
#[no_mangle]
pub unsafe extern "C" fn enos_client_loop_stop(client: *mut enos_client) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { on_client(client, |client| client.loop_stop()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forever_is_no_timeout() {
        assert_eq!(timeout(FOREVER), None);
        assert_eq!(timeout(0), Some(0));
    }
}
