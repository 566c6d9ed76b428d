//! Statuses, names, the last error.

use std::ptr::{null, null_mut};

use enos::internals::error::Status::*;
use enos::internals::ffi::activation::*;
use enos::internals::ffi::client::*;
use enos::internals::ffi::event::*;
use enos::internals::ffi::guard::provoke_panic;
use enos::internals::ffi::status::*;

use super::*;

#[test]
fn every_status_has_words_of_its_own() {
    let mut seen = Vec::new();
    for code in -120..=20 {
        let words = text(enos_strerror(code));
        if words != "unknown status" {
            assert!(!seen.contains(&words), "{code}: {words}");
            seen.push(words);
        }
    }
    assert_eq!(seen.len(), 30);
    for unknown in [1, -13, i32::MIN, i32::MAX] {
        assert_eq!(text(enos_strerror(unknown)), "unknown status");
    }
}

#[test]
fn getters_leave_the_last_error_alone() {
    refused(provoke_panic(), ENOS_ERR_PANIC, "");
    let before = text(enos_last_error());
    text(enos_version());
    text(enos_strerror(0));
    text(enos_event_name(1));
    text(enos_state_name(1));
    let features = 2 | 4 | u32::from(cfg!(feature = "tls"));
    assert_eq!(enos_features(), features, "TLS or not, durable publishing, and downloads, which tests always have");
    // SAFETY: NULL is accepted by each of these.
    unsafe {
        enos_client_state(null());
        enos_client_fd(null());
        enos_client_wake(null_mut());
        enos_activation_device_secret(null());
    }
    assert_eq!(text(enos_last_error()), before);
    accepted(succeed());
    assert_eq!(text(enos_last_error()), "");
}

/// A call that succeeds.
fn succeed() -> i32 {
    // SAFETY: NULL is nothing to destroy.
    unsafe { enos_client_destroy(null_mut()) }
}
