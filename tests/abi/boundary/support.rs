//! What the tests of the boundary share.

use std::ffi::{c_char, CStr};
use std::ptr::null_mut;

use enos::error::Status;
use enos::ffi::client::*;
use enos::ffi::config::*;
use enos::ffi::handle::enos_client;
use enos::ffi::status::*;

pub const NUL_TERMINATED: usize = usize::MAX;
pub const BAD_UTF8: *const c_char = c"ab\xFF".as_ptr();

pub fn text(ptr: *const c_char) -> String {
    assert!(!ptr.is_null());
    // SAFETY: what the library returns is NUL-terminated and still valid.
    unsafe { CStr::from_ptr(ptr) }.to_str().unwrap().to_owned()
}

/// The call failed as it ought to, and its words hold `words`.
#[track_caller]
pub fn refused(status: i32, expected: Status, words: &str) {
    let said = text(enos_last_error());
    assert_eq!(status, expected as i32, "{}: {said}", text(enos_strerror(status)));
    assert!(!said.is_empty() && said.contains(words), "{said:?} does not say {words:?}");
}

#[track_caller]
pub fn accepted(status: i32) {
    assert_eq!(status, 0, "{}", text(enos_last_error()));
    assert_eq!(text(enos_last_error()), "");
}

pub struct Config(pub *mut enos_config);

impl Config {
    pub fn empty() -> Config {
        let mut config = null_mut();
        // SAFETY: a place for the handle.
        accepted(unsafe { enos_config_new(&mut config) });
        Config(config)
    }

    pub fn complete() -> Config {
        let config = Config::empty();
        // SAFETY: a handle, and texts.
        unsafe {
            accepted(enos_config_set_server(config.0, c"tcp://127.0.0.1:9".as_ptr()));
            accepted(enos_config_set_identity(config.0, c"pk".as_ptr(), c"dk".as_ptr()));
            accepted(enos_config_set_device_secret(config.0, c"secret".as_ptr(), NUL_TERMINATED));
        }
        config
    }
}

impl Drop for Config {
    fn drop(&mut self) {
        // SAFETY: made by enos_config_new, freed once.
        unsafe { enos_config_free(self.0) }
    }
}

pub struct Client(pub *mut enos_client);

impl Client {
    pub fn new() -> Client {
        let config = Config::complete();
        let mut client = null_mut();
        // SAFETY: a handle and a place for one.
        accepted(unsafe { enos_client_create(config.0, &mut client) });
        Client(client)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // SAFETY: made by enos_client_create, destroyed once.
        assert_eq!(unsafe { enos_client_destroy(self.0) }, 0);
    }
}
