//! The memory that malloc has allocated.

/// Freed blocks in malloc's caches count as allocated. Without the caches the numbers are exact.
pub const NO_CACHES: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0");

/// In bytes.
pub fn held() -> usize {
    // SAFETY: asks for numbers.
    let info = unsafe { libc::mallinfo2() };
    info.uordblks + info.hblkhd
}
