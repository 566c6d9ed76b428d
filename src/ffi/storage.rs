//! Storage: where the library keeps what must outlive the process. The firmware's own (flash, a database, a file), or
//! the ready-made directory below.
//!
//! It is required for activation with a product secret. A client with a device secret of its own can do without: then
//! the connect budget and what ENOS_SIGN_AUTO found out last as long as the process.

use std::ffi::c_char;
use std::mem::size_of;
use std::path::Path;

use super::guard::guard;
use super::input::{text, Versioned};
use super::output::StructOut;
use super::status::enos_status;
use crate::error::Error;
use crate::storage::directory::directory;
use crate::storage::vtable::enos_storage;

// SAFETY: repr(C), begins with its size; zero is a valid value of each field.
unsafe impl Versioned for enos_storage {
    const NAME: &'static str = "enos_storage";
    const V0_1: usize = size_of::<enos_storage>();
}

/// A ready-made storage for a Linux file system: a directory with a file a key, each written whole, synced and renamed,
/// so that a power cut at any moment leaves the old value or the new one.
///
/// The directory is created with mode 0700 when it is missing; its parent must exist. One that exists must belong to the
/// effective user and give no right to group and others. It is locked until its release: one storage a directory at a
/// time, in this process and in all others. Give the same enos_storage to all clients that share the directory. Once it
/// was given to a config, the library releases it after the last config or client that uses it; one that was given to
/// none is released with out->release(out->ctx).
///
/// @param path  of the directory, UTF-8.
/// @param out   made with ENOS_INIT(); receives the storage, for enos_config_set_storage(). Its callbacks fail with
///              negated errno values.
/// @retval ENOS_OK               out is ready.
/// @retval ENOS_ERR_STATE        the directory is in use already, by this process or by another.
/// @retval ENOS_ERR_STORAGE      the directory cannot be created, opened or trusted; enos_last_error() says why.
/// @retval ENOS_ERR_INVALID_ARG  path is empty or not UTF-8.
/// @retval ENOS_ERR_STRUCT_SIZE  out was not made with ENOS_INIT().
#[no_mangle]
pub unsafe extern "C" fn enos_storage_directory(path: *const c_char, out: *mut enos_storage) -> enos_status {
    guard(|| {
        // SAFETY: the header's contract.
        let (path, out) = unsafe { (text(path, "path")?, StructOut::new(out, "out")?) };
        if path.is_empty() {
            return Err(Error::invalid("path is empty"));
        }
        out.set(directory(Path::new(path))?);
        Ok(())
    })
}
