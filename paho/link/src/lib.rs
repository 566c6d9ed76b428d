//! The connection under Paho: one [`Link`] for each client, in place of Paho's own sockets and TLS.
//!
//! A link never waits. Its owner calls it when its descriptor is ready ([`Link::interest`]) or its deadline has passed
//! ([`Link::deadline`]). It owns everything that it reads and writes: the output that the kernel has not accepted yet, and
//! the part of a packet that has arrived. The two directions are independent, and each is watched: see [`watch`].
//!
//! Paho's C code calls a link through a table of functions ([`table`]), because functions with C names would be exported
//! from a shared library.

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

/// Milliseconds since the system booted, including the time that it was suspended.
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
