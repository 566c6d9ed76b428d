//! The memory that malloc has allocated.

use std::time::Instant;

use support::broker::PATIENCE;

/// Freed blocks in malloc's caches count as allocated. Without the caches the numbers are exact.
pub const NO_CACHES: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0");

/// In bytes.
pub fn held() -> usize {
    // SAFETY: asks for numbers.
    let info = unsafe { libc::mallinfo2() };
    info.uordblks + info.hblkhd
}

/// Waits until all other threads of this process sleep. A thread that has just been created allocates when it first runs,
/// which may be late on a busy machine.
pub fn settle() {
    // SAFETY: asks for a number.
    let own = unsafe { libc::gettid() }.to_string();
    let sleeps = |task: std::fs::DirEntry| {
        // "pid (name) state ...": a name may contain anything.
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        *task.file_name() == *own || stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('S'))
    };
    let began = Instant::now();
    while !std::fs::read_dir("/proc/self/task").unwrap().flatten().all(sleeps) {
        assert!(began.elapsed() < PATIENCE, "a thread of this process does not sleep");
        std::thread::yield_now();
    }
}
