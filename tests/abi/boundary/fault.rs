//! Faults of the library, and the log that tells them.

use std::ffi::{c_char, c_void};
use std::ptr::null_mut;
use std::sync::Mutex;
use support::alone::alone;

use enos::error::Status::*;
use enos::ffi::client::*;
use enos::ffi::guard::{provoke_panic, provoke_panic_on};
use enos::ffi::handle::enos_client;
use enos::ffi::log::*;

use super::support::*;

#[test]
fn a_fault_of_the_library_is_a_status_and_the_client_can_be_destroyed() {
    refused(provoke_panic(), ENOS_ERR_PANIC, "src/ffi/guard.rs:");
    let client = Client::new();
    // SAFETY: a handle.
    unsafe {
        refused(provoke_panic_on(client.0), ENOS_ERR_PANIC, "src/ffi/guard.rs:");
        refused(enos_client_connect(client.0), ENOS_ERR_PANIC, "destroy");
        refused(enos_client_loop(client.0, 0), ENOS_ERR_PANIC, "destroy");
        refused(enos_client_wait(client.0, 0, 0), ENOS_ERR_PANIC, "destroy");
        assert_eq!(enos_client_state(client.0), ENOS_ERR_PANIC as i32);
    }
}

#[test]
fn a_fault_ends_the_wait_of_the_thread_in_the_loop() {
    let client = Client::new();
    let handle = client.0 as usize;
    let looping = std::thread::spawn(move || {
        loop {
            // SAFETY: the handle lives until this thread is joined.
            let status = unsafe { enos_client_loop(handle as *mut enos_client, u32::MAX) };
            // The one below may have had the loop.
            if status != ENOS_ERR_STATE as i32 {
                return status;
            }
        }
    });
    // SAFETY: a handle. A second loop is refused once the first one is in it.
    unsafe {
        while enos_client_loop(client.0, 0) == 0 {
            std::thread::yield_now();
        }
        refused(provoke_panic_on(client.0), ENOS_ERR_PANIC, "src/ffi/guard.rs:");
    }
    assert_eq!(looping.join().unwrap(), ENOS_ERR_PANIC as i32);
}

struct Logged {
    ctx: usize,
    level: i32,
    target: String,
    message: String,
    /// What a call of the library came to inside the callback.
    inside: i32,
}

static LOGGED: Mutex<Vec<Logged>> = Mutex::new(Vec::new());

/// A log callback that calls back.
unsafe extern "C" fn on_log(ctx: *mut c_void, level: i32, target: *const c_char, message: *const c_char) {
    // SAFETY: NULL switches off.
    let inside = unsafe { enos_log_set(None, null_mut(), 0) };
    let record = Logged { ctx: ctx as usize, level, target: text(target), message: text(message), inside };
    LOGGED.lock().unwrap().push(record);
}

#[test]
fn the_log_is_delivered_by_the_loop() {
    alone(|| {
        let client = Client::new();
        // SAFETY: a callback that may run anywhere, and a handle.
        unsafe {
            for level in [0, 6, -1, i32::MAX] {
                refused(enos_log_set(Some(on_log), null_mut(), level), ENOS_ERR_INVALID_ARG, "max_level");
            }
            accepted(enos_log_set(Some(on_log), 5 as *mut c_void, enos_log_level::ENOS_LOG_ERROR as i32));
            refused(provoke_panic(), ENOS_ERR_PANIC, "");
            let provoked = |record: &&Logged| record.target == "panic" && record.ctx == 5;
            assert!(!LOGGED.lock().unwrap().iter().any(|r| provoked(&r)), "no callback outside the loop");
            accepted(enos_client_loop(client.0, 0));
            let logged = LOGGED.lock().unwrap();
            let record = logged.iter().find(provoked).expect("the fault is in the log");
            assert_eq!(record.level, 1);
            assert!(record.message.contains("src/ffi/guard.rs:"), "{}", record.message);
            assert_eq!(record.inside, ENOS_ERR_IN_CALLBACK as i32);
            drop(logged);
            accepted(enos_log_set(None, null_mut(), 0));
        }
    });
}
