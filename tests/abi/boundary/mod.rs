//! Every exported function, called as C calls it, with what C should not pass.

mod activation;
mod client;
mod config;
mod sign;
mod status;
mod storage;
mod tls;

use std::ffi::c_char;

use enos::internals::error::Status;
use enos::internals::ffi::status::enos_strerror;
use support::host::{last_error, text, NUL_TERMINATED};

const BAD_UTF8: *const c_char = c"ab\xFF".as_ptr();

/// The call failed as it ought to, and its words hold `words`.
#[track_caller]
fn refused(status: i32, expected: Status, words: &str) {
    let said = last_error();
    assert_eq!(status, expected as i32, "{}: {said}", text(enos_strerror(status)));
    assert!(!said.is_empty() && said.contains(words), "{said:?} does not say {words:?}");
}

#[track_caller]
fn accepted(status: i32) {
    let said = last_error();
    assert_eq!((status, said.as_str()), (0, ""));
}
