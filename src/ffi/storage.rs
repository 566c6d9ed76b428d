//! Storage: where the library keeps what must survive the process. It is the firmware's own (flash, a database, a
//! file), or the ready-made directory below.
//!
//! It is required for activation with a product secret. A client with a configured device secret works without one;
//! then the connect budget and the result of ENOS_SIGN_AUTO are lost when the process ends.

use std::ffi::c_char;
use std::mem::size_of;
use std::path::Path;

use super::guard::guard;
use super::input::{text, Versioned};
use super::output::StructOut;
use super::status::enos_status;
use crate::error::{Error, Result};
use crate::storage::directory::{directory, directory_create};
use crate::storage::vtable::enos_storage;

// SAFETY: repr(C), begins with its size; zero is a valid value of each field.
unsafe impl Versioned for enos_storage {
    const NAME: &'static str = "enos_storage";
    const V0_1: usize = size_of::<enos_storage>();
}

/// A ready-made storage for a Linux file system: a directory with one file for each key. Each file is written whole,
/// synced and renamed, so that a power cut at any moment leaves the old value or the new one.
///
/// The directory is never created here: before its file system is mounted, an empty directory in its place would mean
/// that this device has no secret, and its activation would be refused. enos_storage_directory_create() creates it.
///
/// It refuses a directory that does not belong to the effective user, or that gives any right to group or others; a
/// symbolic link in its place; and a parent that belongs to neither root nor the effective user, or that everybody can
/// write, unless it is sticky (like /tmp). A parent that its group can write is a warning in the log.
///
/// The directory is locked until the release: in all processes together, only one storage uses it at a time. Give the
/// same enos_storage to all clients that share the directory. After it was given to a config, the library releases it
/// with the last config or client that uses it. If it was given to none, release it with out->release(out->ctx).
///
/// Each use checks the path first. If it no longer leads to the directory that was opened (a file system was mounted
/// over it, it was moved or removed, the process has changed its root), nothing is read or written: the callback fails
/// with -ESTALE until the storage is released and opened again.
///
/// @param path  of the directory, UTF-8.
/// @param out   made with ENOS_INIT(); receives the storage, for enos_config_set_storage(). Its callbacks fail with
///              negated errno values.
/// @retval ENOS_OK               out is ready.
/// @retval ENOS_ERR_STATE        the directory is in use already, by this process or by another.
/// @retval ENOS_ERR_STORAGE      the directory does not exist, cannot be opened or cannot be trusted; enos_last_error()
///                               says why.
/// @retval ENOS_ERR_INVALID_ARG  path is empty or not UTF-8.
/// @retval ENOS_ERR_STRUCT_SIZE  out was not made with ENOS_INIT().
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn enos_storage_directory(path: *const c_char, out: *mut enos_storage) -> enos_status {
    // SAFETY: the header's contract.
    guard(|| unsafe { open(path, out, directory) })
}

/// enos_storage_directory() that creates the directory when it is missing, with mode 0700, and makes that durable. Its
/// parent must exist. For provisioning, and for a run that knows that it is the first one.
///
/// @param path  as there.
/// @param out   as there.
/// @retval ENOS_OK               out is ready.
/// @retval ENOS_ERR_STATE        the directory is in use already, by this process or by another.
/// @retval ENOS_ERR_STORAGE      the directory cannot be created, opened or trusted; enos_last_error() says why.
/// @retval ENOS_ERR_INVALID_ARG  path is empty or not UTF-8.
/// @retval ENOS_ERR_STRUCT_SIZE  out was not made with ENOS_INIT().
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn enos_storage_directory_create(path: *const c_char, out: *mut enos_storage) -> enos_status {
    // SAFETY: the header's contract.
    guard(|| unsafe { open(path, out, directory_create) })
}

/// # Safety
/// `path` is NULL or NUL-terminated; `out` is NULL or a struct that begins with its size.
unsafe fn open(path: *const c_char, out: *mut enos_storage, open: fn(&Path) -> Result<enos_storage>) -> Result<()> {
    // SAFETY: the caller's promise.
    let (path, out) = unsafe { (text(path, "path")?, StructOut::new(out, "out")?) };
    if path.is_empty() {
        return Err(Error::invalid("path is empty"));
    }
    out.set(open(Path::new(path))?);
    Ok(())
}
