//! Status codes, version, errors. These functions may be called from any thread, before any other function, and in
//! every callback.

use std::ffi::{c_char, CStr};

use super::last_error::last_error;
use crate::error::Status;
use crate::transport::tls;

/// The result of a function that can fail: ENOS_OK (0), or a negative value of enum enos_status_code.
pub type enos_status = i32;

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => panic!("the version holds a NUL"),
};

/// The number in the SONAME, from build.rs.
const ABI: u32 = match env!("ENOS_ABI_VERSION").as_bytes() {
    [digit @ b'0'..=b'9'] => (*digit - b'0') as u32,
    _ => panic!("an ABI version of more than one digit needs a parser here"),
};

/// The `ENOS_FEATURE_*` bits of this build.
const FEATURES: u32 = FEATURE_DURABLE
    | if tls::AVAILABLE { FEATURE_TLS } else { 0 }
    | if cfg!(feature = "ota") { FEATURE_OTA } else { 0 };
/// `ENOS_FEATURE_TLS` in the header.
const FEATURE_TLS: u32 = 1;
/// `ENOS_FEATURE_DURABLE` in the header.
const FEATURE_DURABLE: u32 = 2;
/// `ENOS_FEATURE_OTA` in the header.
const FEATURE_OTA: u32 = 4;

/// A short text for every status.
const ALL: [(Status, &CStr); 30] = [
    (Status::ENOS_OK, c"success"),
    (Status::ENOS_ERR_NULL_ARG, c"a pointer that must not be NULL is NULL"),
    (Status::ENOS_ERR_INVALID_ARG, c"an argument is out of its range"),
    (Status::ENOS_ERR_BUFFER_TOO_SMALL, c"the buffer is too small"),
    (Status::ENOS_ERR_NO_MEMORY, c"out of memory"),
    (Status::ENOS_ERR_STATE, c"the call does not fit the state of the object"),
    (Status::ENOS_ERR_IN_CALLBACK, c"the call is not legal inside a callback"),
    (Status::ENOS_ERR_TIMEOUT, c"the time given is over"),
    (Status::ENOS_ERR_NOT_FOUND, c"there is no such thing"),
    (Status::ENOS_ERR_UNSUPPORTED, c"not supported by this build or by EnOS"),
    (Status::ENOS_ERR_STRUCT_SIZE, c"struct_size is not that of a struct that this library knows"),
    (Status::ENOS_ERR_QUEUE_FULL, c"too many messages are under way"),
    (Status::ENOS_ERR_TOO_LARGE, c"larger than a limit allows"),
    (Status::ENOS_ERR_PARSE, c"not the JSON message that was expected"),
    (Status::ENOS_ERR_NOT_ACTIVATION, c"the message is no activation"),
    (Status::ENOS_ERR_IDENTITY_MISMATCH, c"the message or record belongs to another device"),
    (Status::ENOS_ERR_STORAGE, c"the storage failed, or holds a record that does not check"),
    (Status::ENOS_ERR_UNSAVED_SECRET, c"the client holds a device secret that is not stored yet"),
    (Status::ENOS_ERR_DEAD_LETTER, c"the durable message can never succeed and is a dead letter"),
    (Status::ENOS_ERR_NETWORK, c"the network or the broker went away or did not answer"),
    (Status::ENOS_ERR_TLS, c"TLS failed: the certificates in use, or the handshake"),
    (Status::ENOS_ERR_CREDENTIALS, c"the broker refused the device's credentials"),
    (Status::ENOS_ERR_ACTIVATION_REFUSED, c"the broker refused the product secret, or the device is active already"),
    (Status::ENOS_ERR_ACTIVATION_TIMEOUT, c"no device secret came in time"),
    (Status::ENOS_ERR_PROTOCOL, c"the peer broke the protocol"),
    (Status::ENOS_ERR_CONFLICT, c"another client is probably logged in as this device"),
    (Status::ENOS_ERR_REFUSED, c"EnOS or the broker refused it, with a code of its own"),
    (Status::ENOS_ERR_CANCELLED, c"it was cancelled by a call"),
    (Status::ENOS_ERR_DIGEST, c"the image's digest is not the one that was offered"),
    (Status::ENOS_ERR_PANIC, c"a fault of libenos itself, caught; please report it"),
];

/// The library's version.
///
/// @return  static text, e.g. "0.1.0"; never NULL.
#[no_mangle]
pub extern "C" fn enos_version() -> *const c_char {
    VERSION.as_ptr()
}

/// The number of the library's ABI, which is also that of its SONAME. Compare it with ENOS_ABI_VERSION at start-up when
/// the library is loaded with dlopen() or shipped apart from the program:
///
///     if (enos_abi_version() != ENOS_ABI_VERSION) { ... the wrong libenos.so ... }
///
/// @return  the number of the library that runs.
#[no_mangle]
pub extern "C" fn enos_abi_version() -> u32 {
    ABI
}

/// The optional features of this build.
///
/// @return  a set of ENOS_FEATURE_* bits.
#[no_mangle]
pub extern "C" fn enos_features() -> u32 {
    FEATURES
}

/// A short text for a status.
///
/// @param code  an enos_status; every value is accepted.
/// @return      static text; never NULL, "unknown status" for a value that is none.
#[no_mangle]
pub extern "C" fn enos_strerror(code: enos_status) -> *const c_char {
    ALL.iter().find(|(status, _)| *status as i32 == code).map_or(c"unknown status", |(_, text)| text).as_ptr()
}

/// The calling thread's last failure in words: which argument, what is wrong, what to do. This is for a log, and not to
/// be parsed. It never holds a secret; '?' stands for line breaks and other control characters.
///
/// @return  the words, "" when the thread's last call succeeded; never NULL. Valid until the thread's next enos_* call.
///          The functions that return no enos_status neither set nor clear it, except for enos_config_free().
#[no_mangle]
pub extern "C" fn enos_last_error() -> *const c_char {
    last_error()
}
