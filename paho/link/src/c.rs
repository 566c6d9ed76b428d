//! Functions for a C program that makes its links itself: the driver that Paho's tests run.

use crate::link::{Link, Settings, Tls};
use crate::table::{Table, TABLE};
use crate::Fault;
use std::ffi::{c_char, c_int, c_short, c_void, CStr};
use std::ptr;

/// The details of a TLS failure.
#[repr(C)]
pub struct TlsWords {
    error: c_int,
    handshake: c_int,
    reason: c_int,
}

#[no_mangle]
pub extern "C" fn enos_link_table() -> *const Table {
    &TABLE
}

/// Creates a link to an address such as "127.0.0.1:1883". `secure`: over TLS, with any certificate accepted. Returns
/// NULL if that is not possible.
///
/// # Safety
/// `address` is a C string, `interface` is one or NULL.
#[no_mangle]
pub unsafe extern "C" fn enos_link_new(
    address: *const c_char,
    interface: *const c_char,
    secure: c_int,
    keep_alive_s: c_int,
    max_packet: usize,
) -> *mut c_void {
    // SAFETY: the caller's promise.
    let (address, interface) = unsafe {
        let interface = (!interface.is_null()).then(|| CStr::from_ptr(interface).to_owned());
        (CStr::from_ptr(address), interface.filter(|name| !name.is_empty()))
    };
    let Some(address) = address.to_str().ok().and_then(|text| text.parse().ok()) else { return ptr::null_mut() };
    let tls = match secure {
        0 => None,
        _ => match tls() {
            Some(tls) => Some(tls),
            None => return ptr::null_mut(),
        },
    };
    let keep_alive_s = u16::try_from(keep_alive_s).unwrap_or(u16::MAX);
    let settings = Settings { address, interface, tls, keep_alive_s, max_packet, observe: |_, _| () };
    Box::into_raw(Box::new(Link::new(settings))).cast()
}

#[cfg(feature = "tls")]
fn tls() -> Option<Tls> {
    use openssl::ssl::{Ssl, SslContext, SslMethod, SslMode, SslVerifyMode};
    let mut context = SslContext::builder(SslMethod::tls_client()).ok()?;
    context.set_verify(SslVerifyMode::NONE);
    context.set_mode(SslMode::ENABLE_PARTIAL_WRITE | SslMode::ACCEPT_MOVING_WRITE_BUFFER);
    Ssl::new(&context.build()).ok().map(Tls)
}

#[cfg(not(feature = "tls"))]
fn tls() -> Option<Tls> {
    None
}

/// # Safety
/// `link` is from [`enos_link_new`], and nothing uses it any more.
#[no_mangle]
pub unsafe extern "C" fn enos_link_free(link: *mut c_void) {
    // SAFETY: the caller's promise.
    drop(unsafe { Box::from_raw(link.cast::<Link>()) });
}

/// The descriptor to wait for, with the events that are waited for; -1 without a connection.
///
/// # Safety
/// `link` is from [`enos_link_new`], and nobody else uses it meanwhile; `events` can be written to.
#[no_mangle]
pub unsafe extern "C" fn enos_link_interest(link: *mut c_void, events: *mut c_short) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        let Some(interest) = (*link.cast::<Link>()).interest() else { return -1 };
        *events = if interest.read { libc::POLLIN } else { 0 } | if interest.write { libc::POLLOUT } else { 0 };
        interest.fd
    }
}

/// # Safety
/// As above.
#[no_mangle]
pub unsafe extern "C" fn enos_link_sent(link: *mut c_void) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { (*link.cast::<Link>()).sent().load(std::sync::atomic::Ordering::Relaxed).into() }
}

/// Limits inbound packets, 0 for any length.
///
/// # Safety
/// As above.
#[no_mangle]
pub unsafe extern "C" fn enos_link_limit(link: *mut c_void, bytes: usize) {
    // SAFETY: the caller's promise.
    unsafe { (*link.cast::<Link>()).set_max_packet(bytes) }
}

/// Why the link ended: 0 for no fault of the link, 1 closed, 2 an error of the system, 3 it stood still, 4 the
/// protocol, 5 TLS, 6 too large, 7 memory.
///
/// # Safety
/// As above; `tls` can be written to.
#[no_mangle]
pub unsafe extern "C" fn enos_link_fault(link: *mut c_void, tls: *mut TlsWords) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        *tls = TlsWords { error: 0, handshake: 0, reason: 0 };
        match (*link.cast::<Link>()).fault() {
            None => 0,
            Some(Fault::Closed) => 1,
            Some(Fault::System { .. }) => 2,
            Some(Fault::Still { .. }) => 3,
            Some(Fault::Protocol(_)) => 4,
            Some(Fault::Tls(fault)) => {
                *tls = TlsWords { error: fault.error, handshake: fault.handshake.into(), reason: fault.reason };
                5
            }
            Some(Fault::TooLarge { .. }) => 6,
            Some(Fault::Memory) => 7,
        }
    }
}
