//! The host's storage: the struct that C fills in, and the only code that calls it.

use std::ffi::{c_char, c_void, CString};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use zeroize::Zeroizing;

pub use super::callback::in_storage_callback;
use super::callback::Running;
use super::key_value::{Change, KeyValue};
use crate::error::{Error, Result, Status};
use crate::model::storage::StorageError;

/// The longest value, in bytes.
pub(crate) const MAX_VALUE_LEN: usize = 64 * 1024;
/// The longest key, in bytes.
pub(crate) const MAX_KEY_LEN: usize = 64;
/// The buffer of the first load. It is larger than any record except those of the outbox.
const FIRST_CAP: usize = 1024;
/// The first load, one with the size that the storage asked for, and one more because the value may change in between.
const MAX_LOADS: usize = 3;

/// What a storage callback returns. On failure, it returns a negative number of your own instead.
#[repr(C)]
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum enos_storage_result {
    /// Done.
    ENOS_STORAGE_OK = 0,
    /// There is no value for this key. Only this answer allows the library to activate the device. If the storage
    /// cannot be read, return a negative number instead.
    ENOS_STORAGE_NOT_FOUND = 1,
    /// load only: the value is longer than `cap`, and `*out_len` is its length.
    ENOS_STORAGE_TOO_SMALL = 2,
}

const OK: i32 = enos_storage_result::ENOS_STORAGE_OK as i32;
const NOT_FOUND: i32 = enos_storage_result::ENOS_STORAGE_NOT_FOUND as i32;
const TOO_SMALL: i32 = enos_storage_result::ENOS_STORAGE_TOO_SMALL as i32;

/// One change of a batch, for enos_storage.batch. It belongs to the library, and is valid until the callback returns.
#[repr(C)]
#[allow(non_camel_case_types)]
#[derive(Clone, Copy)]
pub struct enos_storage_change {
    /// The key to change.
    pub key: *const c_char,
    /// The new value. If it is NULL, remove the key and its value, as erase does.
    pub data: *const u8,
    /// The length of data in bytes; 0 if data is NULL.
    pub len: usize,
}

/// Where the library keeps what must survive the process: a small key-value store that the firmware supplies.
///
/// Keys are NUL-terminated, 1 to 64 bytes of [a-z0-9._-]. Values are 1 to 65536 bytes. A device has four of them,
/// hardly ever longer than 1 KiB, and one of the four is rewritten before and after each CONNECT. Durable publishing
/// adds one for each message (or each batch) that is not completed, and two that are rewritten in turn, once for every
/// 16 that are accepted or removed. Several devices may share one storage: a key holds a digest of the device's
/// identity; a value holds the identity itself, a version and a checksum. The storage need not interpret keys or
/// values.
///
/// Threads: the callbacks run inside enos_client_loop(), on the thread that called it or on the one that
/// enos_client_loop_start() made, or inside your own call (a durable publish). For one storage, only one callback runs
/// at a time: other calls that need the storage wait, and no other calls do. So a callback must not wait for a thread
/// that is in such a call. A callback may take as long as the flash needs: the connection is kept alive meanwhile. It
/// must not call any enos_* function (ENOS_ERR_IN_CALLBACK), throw or longjmp.
///
/// Ownership: `key`, `buf` and `data` belong to the library, and are valid until the callback returns. `ctx` and what
/// it points to are yours until `release`. The struct itself is copied. If several configs get the same ctx and
/// functions, they share one storage: there is still one call at a time, and one release.
///
/// Return values: enos_storage_result, or a negative number of your own for a failure, which you receive in
/// enos_event.detail_code. A failure is retried with a growing delay. It never leads to an activation.
/// enos_event.detail_code. A failure is retried with a growing delay; it never leads to an activation.
#[repr(C)]
#[allow(non_camel_case_types)]
#[derive(Clone, Copy)]
pub struct enos_storage {
    /// sizeof(enos_storage); ENOS_INIT() sets it.
    pub struct_size: usize,
    /// Passed to each callback; may be NULL.
    pub ctx: *mut c_void,
    /// Reads the value of `key`. Must not be NULL.
    ///
    /// If the value fits into the `cap` bytes at `buf`, write it there, write its length in bytes to `*out_len`, and
    /// return ENOS_STORAGE_OK. If it does not fit, write its length to `*out_len` and return ENOS_STORAGE_TOO_SMALL:
    /// the library calls again with a buffer of that size. (If the length is unknown, leave `*out_len` unchanged: the
    /// library calls again with 65536 bytes.) Never write more than `cap` bytes. Return ENOS_STORAGE_NOT_FOUND if there
    /// is no such key, and only then.
    pub load: Option<
        unsafe extern "C" fn(
            ctx: *mut c_void,
            key: *const c_char,
            buf: *mut u8,
            cap: usize,
            out_len: *mut usize,
        ) -> i32,
    >,
    /// Writes the `len` bytes at `data` as the value of `key`, and replaces an older value. Must not be NULL.
    ///
    /// Return ENOS_STORAGE_OK only if the value survives a power cut from now on: the cloud sends a device secret once,
    /// and after this OK the library confirms to the cloud that it has the secret. Replace atomically: if the power
    /// fails at any moment, a later load returns either the old value or the new one, complete, and never
    /// ENOS_STORAGE_NOT_FOUND if there was a value. (On a file system: write another file, fsync, rename, fsync the
    /// directory.) After a failure, the old value stays.
    pub store: Option<unsafe extern "C" fn(ctx: *mut c_void, key: *const c_char, data: *const u8, len: usize) -> i32>,
    /// Removes `key` and its value. If the key does not exist, that is a success. Must not be NULL.
    pub erase: Option<unsafe extern "C" fn(ctx: *mut c_void, key: *const c_char) -> i32>,
    /// May be NULL. Called once, when the last config or client that uses the storage is freed, on the thread that
    /// freed it. No callback runs after it. A storage that was released must not be given to a config again.
    pub release: Option<unsafe extern "C" fn(ctx: *mut c_void)>,
    /// May be NULL: then store and erase are called one by one. For a storage that can make several changes at the cost
    /// of one (one sync, one transaction). Each change must be as atomic as store is. No key occurs twice, and the
    /// order does not matter. Return ENOS_STORAGE_OK only if all changes survive a power cut. After a failure, or a
    /// power cut during the call, each change may have been made or not.
    pub batch: Option<unsafe extern "C" fn(ctx: *mut c_void, changes: *const enos_storage_change, count: usize) -> i32>,
}

type StorageResult<T> = std::result::Result<T, StorageError>;
type LoadFn = unsafe extern "C" fn(*mut c_void, *const c_char, *mut u8, usize, *mut usize) -> i32;
type StoreFn = unsafe extern "C" fn(*mut c_void, *const c_char, *const u8, usize) -> i32;
type EraseFn = unsafe extern "C" fn(*mut c_void, *const c_char) -> i32;
type ReleaseFn = unsafe extern "C" fn(*mut c_void);
type BatchFn = unsafe extern "C" fn(*mut c_void, *const enos_storage_change, usize) -> i32;

/// The host's vtable, after the check that it is complete. Equal vtables are one storage.
#[derive(Clone, Copy)]
struct Calls {
    ctx: *mut c_void,
    load: LoadFn,
    store: StoreFn,
    erase: EraseFn,
    release: Option<ReleaseFn>,
    batch: Option<BatchFn>,
}

type Identity = [usize; 6];

impl Calls {
    fn identity(&self) -> Identity {
        let release = self.release.map_or(0, |f| f as usize);
        let batch = self.batch.map_or(0, |f| f as usize);
        [self.ctx as usize, self.load as usize, self.store as usize, self.erase as usize, release, batch]
    }
}

/// The storages in use. Two configs with the same vtable must share its lock and its one release.
static IN_USE: Mutex<Vec<(Identity, Weak<HostStorage>)>> = Mutex::new(Vec::new());

/// A host's storage that can be called from any thread. It allows one call at a time, and checks every answer.
///
/// Dropping the last reference calls the host's `release` on the dropping thread. So drop it only where the host's code
/// may run, and hold no lock of the library.
pub struct HostStorage {
    calls: Calls,
    one_at_a_time: Mutex<()>,
}

// SAFETY: only the host's ctx is not Send, and the contract of `new` allows its use from any thread.
unsafe impl Send for HostStorage {}
// SAFETY: the mutex allows one call at a time, and `&self` gives access to nothing but the host's functions.
unsafe impl Sync for HostStorage {}

impl HostStorage {
    /// Takes over the host's vtable. On an error it still belongs to the host, and `release` is not called.
    ///
    /// While a `HostStorage` is in use, the same vtable returns that one.
    ///
    /// # Safety
    /// Until `release` has been called, the functions must be callable with `ctx` from any thread, one at a time, and
    /// must do what [`enos_storage`] requires. Above all, `load` must not write more than `cap` bytes.
    pub unsafe fn new(raw: &enos_storage) -> Result<Arc<HostStorage>> {
        let missing = |name| Error::new(Status::ENOS_ERR_NULL_ARG, format!("storage.{name} is NULL; it must be given"));
        let calls = Calls {
            ctx: raw.ctx,
            load: raw.load.ok_or_else(|| missing("load"))?,
            store: raw.store.ok_or_else(|| missing("store"))?,
            erase: raw.erase.ok_or_else(|| missing("erase"))?,
            release: raw.release,
            batch: raw.batch,
        };
        let identity = calls.identity();
        let mut in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
        let known = in_use.iter().filter(|(other, _)| *other == identity).find_map(|(_, storage)| storage.upgrade());
        if let Some(known) = known {
            return Ok(known);
        }
        let storage = Arc::new(HostStorage { calls, one_at_a_time: Mutex::new(()) });
        in_use.push((identity, Arc::downgrade(&storage)));
        Ok(storage)
    }

    /// All calls to the host's code go through here. A negative answer becomes an error.
    fn call(&self, operation: &str, key: &str, f: impl FnOnce(&Calls) -> i32) -> StorageResult<i32> {
        let Some(running) = Running::enter() else {
            return Err(fault(operation, key, "a storage callback must not call the library"));
        };
        let _one = self.one_at_a_time.lock().unwrap_or_else(PoisonError::into_inner);
        let code = f(&self.calls);
        if code >= 0 {
            return Ok(code);
        }
        let words = running.explanation().unwrap_or_else(|| format!("the host returned {code}"));
        Err(StorageError { code, ..fault(operation, key, &words) })
    }
}

/// Checks and converts the host's answers.
impl KeyValue for HostStorage {
    fn load(&self, key: &str) -> StorageResult<Option<Zeroizing<Vec<u8>>>> {
        let c_key = checked_key("load", key)?;
        let mut cap = FIRST_CAP;
        for _ in 0..MAX_LOADS {
            let mut buf = buffer(cap).ok_or_else(|| fault("load", key, "there is no memory for its value"))?;
            let mut len = 0;
            let answer = self.call("load", key, |calls| {
                // SAFETY: `buf` has `cap` bytes, key and out_len are valid for the call; the rest is `new`'s contract.
                unsafe { (calls.load)(calls.ctx, c_key.as_ptr(), buf.as_mut_ptr(), cap, &mut len) }
            })?;
            match answer {
                OK if len <= cap => {
                    buf.truncate(len);
                    return Ok(Some(buf));
                }
                OK => {
                    let words = format!("the host says that it wrote {len} bytes into a buffer of {cap}");
                    return Err(fault("load", key, &words));
                }
                NOT_FOUND => return Ok(None),
                TOO_SMALL => cap = larger(cap, len).map_err(|words| fault("load", key, &words))?,
                other => return Err(unknown_answer("load", key, other)),
            }
        }
        Err(fault("load", key, "the host returned TOO_SMALL for every buffer, also for the size that it asked for"))
    }

    fn store(&self, key: &str, data: &[u8]) -> StorageResult<()> {
        let c_key = checked_key("store", key)?;
        if data.len() > MAX_VALUE_LEN {
            let words = format!("the value is {} bytes long; {MAX_VALUE_LEN} is the limit", data.len());
            return Err(fault("store", key, &words));
        }
        let answer = self.call("store", key, |calls| {
            // SAFETY: key and data are valid for the call; the rest is `new`'s contract.
            unsafe { (calls.store)(calls.ctx, c_key.as_ptr(), data.as_ptr(), data.len()) }
        })?;
        match answer {
            OK => Ok(()),
            other => Err(unknown_answer("store", key, other)),
        }
    }

    fn erase(&self, key: &str) -> StorageResult<()> {
        let c_key = checked_key("erase", key)?;
        let answer = self.call("erase", key, |calls| {
            // SAFETY: the key is valid for the call; the rest is `new`'s contract.
            unsafe { (calls.erase)(calls.ctx, c_key.as_ptr()) }
        })?;
        match answer {
            OK | NOT_FOUND => Ok(()),
            other => Err(unknown_answer("erase", key, other)),
        }
    }

    fn change(&self, changes: &[Change]) -> StorageResult<()> {
        let (Some(batch), [first, _, ..]) = (self.calls.batch, changes) else {
            return changes.iter().try_for_each(|change| match change.value() {
                Some(value) => self.store(change.key(), value),
                None => self.erase(change.key()),
            });
        };
        let keys =
            changes.iter().map(|change| checked_key("batch", change.key())).collect::<StorageResult<Vec<_>>>()?;
        let values = changes.iter().map(|change| change.value().unwrap_or_default());
        if values.clone().any(|value| value.len() > MAX_VALUE_LEN) {
            let words = format!("a value is longer than {MAX_VALUE_LEN} bytes, which is the limit");
            return Err(fault("batch", first.key(), &words));
        }
        let raw: Vec<enos_storage_change> = changes
            .iter()
            .zip(&keys)
            .map(|(change, key)| enos_storage_change {
                key: key.as_ptr(),
                data: change.value().map_or(std::ptr::null(), <[u8]>::as_ptr),
                len: change.value().map_or(0, <[u8]>::len),
            })
            .collect();
        let answer = self.call("batch", first.key(), |calls| {
            // SAFETY: keys, data and changes are valid for the call; the rest is `new`'s contract.
            unsafe { batch(calls.ctx, raw.as_ptr(), raw.len()) }
        })?;
        match answer {
            OK => Ok(()),
            other => Err(unknown_answer("batch", first.key(), other)),
        }
    }
}

impl Drop for HostStorage {
    fn drop(&mut self) {
        let mut in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
        in_use.retain(|(_, storage)| storage.strong_count() > 0);
        drop(in_use);
        if let Some(release) = self.calls.release {
            let _running = Running::enter();
            // SAFETY: this is the last reference, so no call is in progress and none follows.
            unsafe { release(self.calls.ctx) }
        }
    }
}

/// Whether this is a valid key. The directory storage uses it as a file name.
pub(super) fn is_key(key: &[u8]) -> bool {
    (1..=MAX_KEY_LEN).contains(&key.len())
        && key.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
}

fn checked_key(operation: &str, key: &str) -> StorageResult<CString> {
    match CString::new(key) {
        Ok(c_key) if is_key(key.as_bytes()) => Ok(c_key),
        _ => Err(fault(operation, key, "a key is 1 to 64 characters of a-z, 0-9, '.', '_' and '-'")),
    }
}

/// The buffer size to try after TOO_SMALL for `cap`. `needed` is the length that the host told; 0 if it told none.
fn larger(cap: usize, needed: usize) -> std::result::Result<usize, String> {
    match needed {
        0 if cap < MAX_VALUE_LEN => Ok(MAX_VALUE_LEN),
        n if n > MAX_VALUE_LEN => Err(format!("the host has a value of {n} bytes; {MAX_VALUE_LEN} is the limit")),
        n if n > cap => Ok(n),
        n => Err(format!("the host returned TOO_SMALL for a buffer of {cap} bytes and a value of {n}")),
    }
}

fn buffer(cap: usize) -> Option<Zeroizing<Vec<u8>>> {
    let mut buf = Vec::new();
    buf.try_reserve_exact(cap).ok()?;
    buf.resize(cap, 0);
    Some(Zeroizing::new(buf))
}

fn unknown_answer(operation: &str, key: &str, answer: i32) -> StorageError {
    fault(operation, key, &format!("the host returned {answer}, which is not an answer to it"))
}

fn fault(operation: &str, key: &str, words: &str) -> StorageError {
    StorageError::new(0, format!("{operation} of {key:?}: {words}"))
}
