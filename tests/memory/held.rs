//! What malloc has given out.

/// malloc's caches of freed blocks count as held. Without them the numbers are exact.
pub const NO_CACHES: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0");

/// In bytes.
pub fn held() -> usize {
    // SAFETY: asks for numbers.
    let info = unsafe { libc::mallinfo2() };
    info.uordblks + info.hblkhd
}
