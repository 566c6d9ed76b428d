//! The clocks: elapsed time with suspended time included, the wall clock, and the boot id.

use std::mem::MaybeUninit;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since the system booted, including the time that it was suspended (CLOCK_BOOTTIME). It never steps.
pub fn boottime_ms() -> u64 {
    let mut now = MaybeUninit::<libc::timespec>::zeroed();
    // This does not use rustix, which reads the vDSO itself and crashes under Valgrind, because Valgrind hides the
    // vDSO.
    // SAFETY: `now` is writable and as large as the call needs; all zeros, which the call leaves when it fails, is a
    // valid timespec.
    let now = unsafe {
        libc::clock_gettime(libc::CLOCK_BOOTTIME, now.as_mut_ptr());
        now.assume_init()
    };
    now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
}

/// Milliseconds since 1970 by the wall clock, which may be wrong and may step; 0 for a clock before 1970.
pub fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// The kernel's name for this boot; `None` where /proc is not mounted. Times of [`boottime_ms`] compare only within
/// one boot.
pub fn boot_id() -> Option<&'static str> {
    static ID: OnceLock<String> = OnceLock::new();
    if let Some(id) = ID.get() {
        return Some(id);
    }
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let id = text.trim();
    (!id.is_empty()).then(|| ID.get_or_init(|| id.to_owned()).as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boottime_counts_up_and_is_no_wall_clock() {
        let before = boottime_ms();
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let after = boottime_ms();
        let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        assert!(before as f64 / 1000.0 <= uptime + 0.011 && uptime <= after as f64 / 1000.0 + 0.011);
    }

    #[test]
    fn wall_clock_is_in_milliseconds() {
        let year_2020 = 1_577_836_800_000;
        let year_2200 = 7_258_118_400_000;
        assert!((year_2020..year_2200).contains(&wall_ms()));
    }

    #[test]
    fn boot_id_is_the_same_twice() {
        let id = boot_id().unwrap();
        assert_eq!(id.len(), 36);
        assert_eq!(boot_id(), Some(id));
    }
}
