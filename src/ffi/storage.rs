//! Storage: where the library keeps what must survive the process. The firmware supplies it (flash, a database, a
//! file), or uses the ready-made directory below.
//!
//! It is required for activation with a product secret. A client with a configured device secret works without it, but
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
/// This function never creates the directory: if its file system is not mounted yet, an empty directory would mean that
/// this device has no secret, and its activation would be refused. enos_storage_directory_create() creates it.
///
/// The following is refused: a directory that does not belong to the effective user, or that gives any right to group
/// or others; a symbolic link in its place; a parent that belongs to neither root nor the effective user, or that
/// everybody can write to, unless it is sticky (like /tmp). If the group can write to the parent, there is a warning in
/// the log.
///
/// The directory is locked until the release: only one storage can use it at a time, in all processes together. Give
/// the same enos_storage to all clients that share the directory. If it was given to a config, the library releases it
/// when the last config or client that uses it is freed. If it was given to none, release it with
/// out->release(out->ctx).
///
/// Each use checks the path first. If it no longer leads to the directory that was opened (a file system was mounted
/// over it, it was moved or removed, the process has changed its root), nothing is read or written: the callback fails
/// with -ESTALE until the storage is released and opened again.
///
/// @param path  the path of the directory, UTF-8.
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

/// Like enos_storage_directory(), but creates the directory with mode 0700 if it is missing, and makes that durable.
/// Its parent must exist. Use it for provisioning, and for a run that is known to be the first one.
///
/// @param path  as in enos_storage_directory().
/// @param out   as in enos_storage_directory().
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
