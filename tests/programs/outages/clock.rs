//! The wall clock: this program overrides the C library's clock_gettime().

use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::time::Duration;

use super::outage::{within_budget, Device, Row};

const YEAR_S: i64 = 365 * 24 * 3600;

static OFF_BY_S: AtomicI64 = AtomicI64::new(0);

/// # Safety
/// As the C library's.
#[no_mangle]
unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, out: *mut libc::timespec) -> libc::c_int {
    // SAFETY: the caller's timespec.
    let result = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, out) };
    if result == 0 && clock == libc::CLOCK_REALTIME {
        // SAFETY: as above.
        unsafe { (*out).tv_sec += OFF_BY_S.load(SeqCst) };
    }
    result as libc::c_int
}

pub fn set_back_and_forth() -> Row {
    let (_broker, proxy, mut device) = Device::behind_proxy("clock");
    for years in [1, -1, 0] {
        OFF_BY_S.store(years * YEAR_S, SeqCst);
        device.run_for(Duration::from_secs(4));
        let token = device.publish();
        device.delivered(token);
    }
    assert!(device.losses().is_empty(), "{:?}", device.losses());
    // Checks that the library's clock was set: the next login signs with it.
    OFF_BY_S.store(YEAR_S, SeqCst);
    device.through(|| proxy.cut(), Duration::ZERO, || ());
    OFF_BY_S.store(-YEAR_S, SeqCst);
    device.through(|| proxy.cut(), Duration::ZERO, || ());
    OFF_BY_S.store(0, SeqCst);
    let connects = proxy.connects();
    let year_ms = YEAR_S as u64 * 1_000;
    assert!(connects[1].timestamp_ms - connects[0].timestamp_ms > year_ms, "{connects:?}");
    assert!(connects[1].timestamp_ms - connects[2].timestamp_ms > year_ms, "{connects:?}");
    within_budget(&connects);
    let words = "The library uses elapsed time only. It reads the wall clock only for the timestamp of a \
         signature.";
    Row { outage: "clock set forth and back by a year", times: None, connects: 0, words }
}
