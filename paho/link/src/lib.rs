//! The connection under Paho: one [`Link`] for each client, in place of Paho's own sockets and TLS.
//!
//! A link never waits. Whoever owns it calls it when its descriptor is ready ([`Link::interest`]) or its time has come
//! ([`Link::deadline`]). It owns everything that it reads and writes: what the kernel has not taken yet, and what has
//! come of a packet. Both directions go on by themselves, and each is watched: see [`watch`].
//!
//! Paho's C code calls a link through a table of functions ([`table`]), because a shared library would export functions
//! with C names.

mod fault;
mod input;
mod link;
mod output;
mod socket;
mod stream;
pub mod table;
mod watch;

#[cfg(feature = "c")]
mod c;

pub use fault::{Direction, Fault, TlsFault};
pub use link::{Link, Observer, Settings, Tls, Traffic};

use std::mem::MaybeUninit;

/// What a link waits for: a descriptor and the events of `poll()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    pub fd: std::os::fd::RawFd,
    pub read: bool,
    pub write: bool,
}

/// Milliseconds since the system booted, with the time that it was suspended.
pub fn now_ms() -> u64 {
    let mut now = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: `now` is writable and as large as the call needs; all zeros, which the call leaves when it fails, is a
    // valid timespec.
    let now = unsafe {
        libc::clock_gettime(libc::CLOCK_BOOTTIME, now.as_mut_ptr());
        now.assume_init()
    };
    now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
}
