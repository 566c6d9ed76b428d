//! Checks the arguments from C and converts them to Rust. Each error names the argument.

use std::ffi::{c_char, c_void, CStr};
use std::mem::{size_of, MaybeUninit};
use std::slice;

use crate::error::{Error, Result, Status};

/// A length that says that the text ends at its NUL. `ENOS_NUL_TERMINATED` in the header. It is larger than any object,
/// and is not the -1 of a failed call.
const NUL_TERMINATED: usize = isize::MAX as usize + 1;
/// No struct of this library will ever be so large. A larger struct_size means that the struct was not initialised.
const MAX_STRUCT_SIZE: usize = 4096;

pub(super) fn null(name: &str) -> Error {
    Error::new(Status::ENOS_ERR_NULL_ARG, format!("{name} is NULL"))
}

/// A NUL-terminated UTF-8 text.
///
/// # Safety
/// `ptr` is NULL or points to a NUL-terminated string that nobody changes for `'a`.
pub(super) unsafe fn text<'a>(ptr: *const c_char, name: &str) -> Result<&'a str> {
    if ptr.is_null() {
        return Err(null(name));
    }
    // SAFETY: the caller's promise.
    let bytes = unsafe { CStr::from_ptr(ptr) }.to_bytes();
    std::str::from_utf8(bytes)
        .map_err(|e| Error::invalid(format!("{name} is not UTF-8 (its byte {} begins no character)", e.valid_up_to())))
}

/// A text, or `None` for NULL.
///
/// # Safety
/// As for [`text`].
pub(super) unsafe fn optional_text<'a>(ptr: *const c_char, name: &str) -> Result<Option<&'a str>> {
    if ptr.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    unsafe { text(ptr, name) }.map(Some)
}

/// Bytes with their length. `(NULL, 0)` is an empty slice; with `ENOS_NUL_TERMINATED` the length is measured.
///
/// # Safety
/// `ptr` is NULL, or points to `len` bytes (or to a NUL-terminated string) that nobody changes for `'a`.
pub(super) unsafe fn bytes<'a>(ptr: *const c_void, len: usize, name: &str) -> Result<&'a [u8]> {
    match (ptr.is_null(), len) {
        (true, 0) => Ok(&[]),
        (true, _) => Err(null(name)),
        // SAFETY: the caller's promise.
        (false, NUL_TERMINATED) => Ok(unsafe { CStr::from_ptr(ptr.cast()) }.to_bytes()),
        (false, len) if len > isize::MAX as usize => {
            Err(Error::invalid(format!("the length of {name}, {len}, is more than there can be bytes")))
        }
        // SAFETY: the caller's promise; the length is one that a slice can have.
        (false, len) => Ok(unsafe { slice::from_raw_parts(ptr.cast(), len) }),
    }
}

/// A struct of C that begins with `size_t struct_size` and only ever grows at its end.
///
/// # Safety
/// `Self` is `repr(C)`, begins with a `usize`, and all of its bytes zero is a value of it.
pub(super) unsafe trait Versioned: Copy {
    const NAME: &'static str;
    /// Its size in version 0.1, which is the smallest size that a caller can have.
    const V0_1: usize;
}

/// The caller's size of the struct, if it is a usable one.
///
/// # Safety
/// `ptr` is NULL or points to a struct of the kind of `T`, of whatever version.
pub(super) unsafe fn struct_size<T: Versioned>(ptr: *const T, name: &str) -> Result<usize> {
    if ptr.is_null() {
        return Err(null(name));
    }
    // SAFETY: every version begins with its size; the struct as a whole may be smaller than T, so no &T is made.
    let theirs = unsafe { ptr.cast::<usize>().read_unaligned() };
    if (T::V0_1..=MAX_STRUCT_SIZE).contains(&theirs) {
        Ok(theirs)
    } else {
        Err(Error::new(
            Status::ENOS_ERR_STRUCT_SIZE,
            format!("{name}->struct_size is {theirs}, which no {} has; set it with ENOS_INIT({name})", T::NAME),
        ))
    }
}

/// A copy of the caller's struct. Fields that the caller does not have are zero. Fields that the library does not have
/// must be zero.
///
/// # Safety
/// `ptr` is NULL or points to `struct_size` readable bytes.
pub(super) unsafe fn versioned<T: Versioned>(ptr: *const T, name: &str) -> Result<T> {
    // SAFETY: the caller's promise.
    let theirs = unsafe { struct_size(ptr, name) }?;
    let ours = size_of::<T>();
    // SAFETY: the caller's promise: `theirs` bytes can be read.
    let all = unsafe { slice::from_raw_parts(ptr.cast::<MaybeUninit<u8>>(), theirs) };
    let (known, unknown) = all.split_at(theirs.min(ours));
    // SAFETY: a tail beyond what we know is fields of a later version, which ENOS_INIT() has zeroed.
    if unknown.iter().any(|byte| unsafe { byte.assume_init() } != 0) {
        return Err(Error::new(
            Status::ENOS_ERR_STRUCT_SIZE,
            format!("{name} has fields set that libenos {} does not know", env!("CARGO_PKG_VERSION")),
        ));
    }
    let mut copy = MaybeUninit::<T>::zeroed();
    // SAFETY: `known` is at most as long as T, and T is valid whatever of it stays zero.
    unsafe {
        copy.as_mut_ptr().cast::<MaybeUninit<u8>>().copy_from_nonoverlapping(known.as_ptr(), known.len());
        Ok(copy.assume_init())
    }
}

#[cfg(test)]
mod tests;
