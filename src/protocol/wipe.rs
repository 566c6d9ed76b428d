//! Wiping secrets that code of other crates leaves on the stack.

use std::hint::black_box;

/// How many bytes of stack below a call are overwritten. Measured on x86-64, with and without its SHA instructions: an
/// optimised build needs less than 1 KiB, an unoptimised one (a parse that fails) less than 12 KiB.
const DEPTH: usize = if cfg!(debug_assertions) { 32 * 1024 } else { 4 * 1024 };

/// Runs `work`, then overwrites the stack that `work` and all functions called by it have used.
///
/// The hash crates leave the key and the last block on the stack, the checksum crate leaves the content of its
/// registers, and a parser that fails leaves the bytes near the fault. None of them can wipe these bytes. If `work`
/// returns a secret, it must be on the heap.
pub fn clean_stack<T>(work: impl FnOnce() -> T) -> T {
    let result = run(work);
    overwrite();
    result
}

// Neither is inlined. Both are called from one place, so their frames begin at the same depth.

#[inline(never)]
fn run<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[inline(never)]
fn overwrite() {
    black_box(&mut [0u8; DEPTH]);
}
