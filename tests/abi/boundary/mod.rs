//! Every exported function, called as from C, with invalid arguments.

mod activation;
mod client;
mod config;
mod sign;
mod status;
mod storage;
mod tls;

use std::ffi::c_char;

use enos::error::Status;
use enos::ffi::status::enos_strerror;
use support::host::{last_error, text, NUL_TERMINATED};

const BAD_UTF8: *const c_char = c"ab\xFF".as_ptr();

/// The call must fail with this status, and its text must contain `words`.
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
