//! A storage for a Linux file system: a directory with one file for each key.
//!
//! `store` writes a value to `<key>.enos-tmp`, syncs it, renames it to `<key>.value`, and syncs the directory before it
//! returns. So after a power cut at any moment, the old value or the new one is there, and what `store` has
//! acknowledged stays. Only `.value` files are read.

mod files;
mod open;

use std::ffi::{c_char, c_void, CStr};
use std::os::fd::OwnedFd;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{ptr, slice};

use rustix::io::Errno;

use super::callback::explain;
use super::vtable::enos_storage_result::{self, ENOS_STORAGE_NOT_FOUND, ENOS_STORAGE_OK, ENOS_STORAGE_TOO_SMALL};
use super::vtable::{enos_storage, enos_storage_change, is_key, MAX_VALUE_LEN};
use crate::error::Result;
use crate::sorted::SortedMap;
use open::Missing;

const VALUE_SUFFIX: &str = ".value";
/// An ending that nobody else uses: files with it are removed, even if a wrong directory was given.
const TEMPORARY_SUFFIX: &str = ".enos-tmp";

/// A storage in the directory `path`, ready for a config. This function never creates the directory: if its file system
/// is not mounted yet, an empty directory would mean that the device has no secret.
///
/// The directory must belong to the effective user, and give no rights to group and others. Its parent must belong to
/// root or to that user, and must not be writable by everybody unless it is sticky. A symbolic link in its place is
/// refused.
///
/// The directory is locked until `release`: a second call for it, in this process or another, is `ENOS_ERR_STATE`.
/// (Devices that share a directory share one `enos_storage`.) The lock ends with the process. `release` runs when the
/// last config or client that was given the storage is freed, and a later use fails with EBADF. If the storage was
/// given to none, call its `release`: otherwise it keeps one descriptor and the lock until the process ends.
///
/// The callbacks return a negated errno if they fail: ESTALE if the path no longer leads to the directory.
pub fn directory(path: &Path) -> Result<enos_storage> {
    Ok(storage(Directory::open(path, Missing::Refuse)?))
}

/// Like [`directory`], but creates the directory with mode 0700 if it is missing. Its parent must exist.
pub fn directory_create(path: &Path) -> Result<enos_storage> {
    Ok(storage(Directory::open(path, Missing::Create)?))
}

fn storage(directory: Directory) -> enos_storage {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    open_directories().insert(number, Arc::new(directory));
    enos_storage {
        struct_size: size_of::<enos_storage>(),
        ctx: ptr::without_provenance_mut(number),
        load: Some(load),
        store: Some(store),
        erase: Some(erase),
        release: Some(release),
        batch: Some(batch),
    }
}

/// The directories that are open. A ctx is a number in this map, not a pointer, and no number is used twice. So the use
/// of a vtable after its release is an error, and does not access freed memory.
static OPEN: Mutex<SortedMap<usize, Arc<Directory>>> = Mutex::new(SortedMap::new());
static NEXT: AtomicUsize = AtomicUsize::new(1);

/// Do not hold this lock while a directory is used or closed: that may take as long as the flash needs.
fn open_directories() -> MutexGuard<'static, SortedMap<usize, Arc<Directory>>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An open and locked directory. All files are opened relative to the descriptor, so it stays the same directory even
/// if its path leads to another one. [`Directory::in_place`] detects that.
struct Directory {
    fd: OwnedFd,
    /// Absolute.
    path: PathBuf,
}

/// A system call that failed: the code for the vtable, and an explanation.
struct Failure {
    errno: Errno,
    words: String,
}

type Done<T> = std::result::Result<T, Failure>;

fn text(errno: Errno) -> std::io::Error {
    errno.into()
}

/// What a callback returns: the result, or the negated errno. In the second case, [`explain`] sets the words.
fn answer(callback: impl FnOnce() -> Done<enos_storage_result>) -> i32 {
    let failure = match catch_unwind(AssertUnwindSafe(callback)) {
        Ok(Ok(result)) => return result as i32,
        Ok(Err(failure)) => failure,
        Err(_) => Failure { errno: Errno::IO, words: "the directory store panicked".to_owned() },
    };
    explain(failure.words);
    -failure.errno.raw_os_error()
}

fn invalid(words: &str) -> Failure {
    Failure { errno: Errno::INVAL, words: words.to_owned() }
}

/// Returns the directory, if its path still leads to it, and the key.
///
/// # Safety
/// `key` is NULL, or it is NUL-terminated and valid for `'a`.
unsafe fn arguments<'a>(ctx: *mut c_void, key: *const c_char) -> Done<(Arc<Directory>, &'a str)> {
    let Some(directory) = open_directories().get(&ctx.addr()).cloned() else {
        let words = "the storage was released; call enos_storage_directory() for a new one".to_owned();
        return Err(Failure { errno: Errno::BADF, words });
    };
    if key.is_null() {
        return Err(invalid("key is NULL"));
    }
    // SAFETY: it is not NULL, so it is NUL-terminated.
    let key = unsafe { CStr::from_ptr(key) };
    match key.to_str() {
        Ok(key) if is_key(key.as_bytes()) => directory.in_place().map(|()| (directory, key)),
        _ => Err(invalid("a key is 1 to 64 characters of a-z, 0-9, '.', '_' and '-'")),
    }
}

unsafe extern "C" fn load(ctx: *mut c_void, key: *const c_char, buf: *mut u8, cap: usize, out_len: *mut usize) -> i32 {
    answer(|| {
        // SAFETY: the vtable's contract.
        let (directory, key) = unsafe { arguments(ctx, key) }?;
        if out_len.is_null() || (buf.is_null() && cap > 0) {
            return Err(invalid("buf or out_len is NULL"));
        }
        let buf = match cap {
            0 => &mut [][..],
            // SAFETY: `cap` writable bytes, by the vtable's contract; `HostStorage` initialises them.
            _ => unsafe { slice::from_raw_parts_mut(buf, cap) },
        };
        let Some(len) = directory.load(key, buf)? else { return Ok(ENOS_STORAGE_NOT_FOUND) };
        // SAFETY: it is not NULL, so it is writable.
        unsafe { out_len.write(len) };
        Ok(if len <= cap { ENOS_STORAGE_OK } else { ENOS_STORAGE_TOO_SMALL })
    })
}

/// # Safety
/// `data` is NULL, or it has `len` bytes that are readable for `'a`.
unsafe fn value<'a>(data: *const u8, len: usize) -> Done<&'a [u8]> {
    if data.is_null() && len > 0 {
        return Err(invalid("data is NULL"));
    }
    if len > MAX_VALUE_LEN {
        return Err(Failure { errno: Errno::FBIG, words: format!("{len} bytes; {MAX_VALUE_LEN} is the limit") });
    }
    Ok(match len {
        0 => &[][..],
        // SAFETY: the caller's promise.
        _ => unsafe { slice::from_raw_parts(data, len) },
    })
}

unsafe extern "C" fn store(ctx: *mut c_void, key: *const c_char, data: *const u8, len: usize) -> i32 {
    answer(|| {
        // SAFETY: the vtable's contract.
        let ((directory, key), data) = unsafe { (arguments(ctx, key)?, value(data, len)?) };
        directory.store(key, data).map(|()| ENOS_STORAGE_OK)
    })
}

/// Syncs the directory once for all changes.
unsafe extern "C" fn batch(ctx: *mut c_void, changes: *const enos_storage_change, count: usize) -> i32 {
    answer(|| {
        if changes.is_null() || count == 0 {
            return Err(invalid("changes is NULL, or count is 0"));
        }
        // SAFETY: `count` changes, by the vtable's contract.
        let changes = unsafe { slice::from_raw_parts(changes, count) };
        let mut synced = None;
        for change in changes {
            // SAFETY: the vtable's contract.
            let (directory, key) = unsafe { arguments(ctx, change.key) }?;
            match change.data.is_null() {
                true => directory.remove(key)?,
                // SAFETY: as above.
                false => directory.replace(key, unsafe { value(change.data, change.len) }?)?,
            }
            synced = Some(directory);
        }
        synced.map_or(Ok(()), |directory| directory.sync_all()).map(|()| ENOS_STORAGE_OK)
    })
}

unsafe extern "C" fn erase(ctx: *mut c_void, key: *const c_char) -> i32 {
    answer(|| {
        // SAFETY: the vtable's contract.
        let (directory, key) = unsafe { arguments(ctx, key) }?;
        directory.erase(key).map(|()| ENOS_STORAGE_OK)
    })
}

unsafe extern "C" fn release(ctx: *mut c_void) {
    let directory = open_directories().remove(&ctx.addr());
    drop(directory);
}
