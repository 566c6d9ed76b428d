//! A storage for a Linux file system: a directory, a file a key.
//!
//! A value is written to `<key>.enos-tmp`, synced, renamed to `<key>.value`, and the directory is synced; only then does
//! `store` return. So a power cut at any moment leaves the old value or the new one, and what `store` has acknowledged
//! stays. Only `.value` files are ever read.

use std::ffi::{c_char, c_void, CStr};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{ptr, slice};

use rustix::fs::{self, AtFlags, Dir, FileType, FlockOperation, Mode, OFlags};
use rustix::io::{retry_on_intr, Errno};

use super::callback::explain;
use super::vtable::enos_storage_result::{self, ENOS_STORAGE_NOT_FOUND, ENOS_STORAGE_OK, ENOS_STORAGE_TOO_SMALL};
use super::vtable::{enos_storage, enos_storage_change, is_key, MAX_VALUE_LEN};
use crate::error::{Error, Result, Status};
use crate::sorted::SortedMap;

const VALUE_SUFFIX: &str = ".value";
/// Nobody else's: files that end so are removed, also from a directory that was given by mistake.
const TEMPORARY_SUFFIX: &str = ".enos-tmp";
const GROUP_AND_OTHERS: u32 = 0o077;

/// A storage in the directory `path`, ready to be given to a config.
///
/// The directory is created with mode 0700 when it is missing; its parent must exist. One that exists must belong to
/// the effective user and give no right to group and others: its mode is not changed, because a path given by mistake
/// (`/tmp`) must not be closed to everybody else.
///
/// The directory is locked from here until `release`: a second call for it, in this process or in another, is
/// `ENOS_ERR_STATE`. (Devices that share a directory share the one `enos_storage`.) A process that dies leaves no lock
/// behind. `release` runs when the last config or client that was given the storage is gone, and a later use of it
/// fails with EBADF; a storage that was given to none is closed by calling its `release` by hand, and otherwise keeps
/// one descriptor and the lock until the process ends.
///
/// The callbacks return a negated errno when they fail.
pub fn directory(path: &Path) -> Result<enos_storage> {
    let directory = Arc::new(Directory::open(path)?);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    open_directories().insert(number, directory);
    Ok(enos_storage {
        struct_size: size_of::<enos_storage>(),
        ctx: ptr::without_provenance_mut(number),
        load: Some(load),
        store: Some(store),
        erase: Some(erase),
        release: Some(release),
        batch: Some(batch),
    })
}

/// The directories that are open. A ctx is a number in here and not a pointer, and no number comes twice: a vtable that
/// is used after its release is told so, and reaches no freed memory.
static OPEN: Mutex<SortedMap<usize, Arc<Directory>>> = Mutex::new(SortedMap::new());
static NEXT: AtomicUsize = AtomicUsize::new(1);

/// Not to be held while a directory is used or closed: that may take as long as a flash does.
fn open_directories() -> MutexGuard<'static, SortedMap<usize, Arc<Directory>>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An open and locked directory. All files are reached through the descriptor: it stays the same directory even when
/// its path comes to mean another one.
struct Directory {
    fd: OwnedFd,
    path: PathBuf,
}

/// A system call that failed: the code for the vtable, and words.
struct Failure {
    errno: Errno,
    words: String,
}

type Done<T> = std::result::Result<T, Failure>;

impl Directory {
    fn open(path: &Path) -> Result<Directory> {
        let refuse =
            |status, words: String| Error::new(status, format!("storage directory {}: {words}", path.display()));
        let failed = |what: &str, e: Errno| refuse(Status::ENOS_ERR_STORAGE, format!("{what}: {}", text(e)));

        let created = match fs::mkdir(path, Mode::RWXU) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(e) => return Err(failed("cannot be created; its parent must exist and be writable", e)),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = fs::openat(fs::CWD, path, flags, Mode::empty()).map_err(|e| failed("cannot be opened", e))?;
        let stat = fs::fstat(&fd).map_err(|e| failed("cannot be examined", e))?;
        if stat.st_uid != rustix::process::geteuid().as_raw() {
            let words = format!("it belongs to user {}, not to the one that this process runs as", stat.st_uid);
            return Err(refuse(Status::ENOS_ERR_STORAGE, words));
        }
        if stat.st_mode & GROUP_AND_OTHERS != 0 {
            let words =
                format!("its mode is {:o}, so that others can get at secrets: make it 700", stat.st_mode & 0o777);
            return Err(refuse(Status::ENOS_ERR_STORAGE, words));
        }
        match fs::flock(&fd, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let words = "in use by another process, or by another enos_storage of this one".to_owned();
                return Err(refuse(Status::ENOS_ERR_STATE, words));
            }
            Err(e) => return Err(failed("cannot be locked", e)),
        }

        let directory = Directory { fd, path: path.to_owned() };
        match directory.sync_parent() {
            // One that existed may have a parent that this user cannot read, or that is read-only and cannot be synced.
            Err(e) if created => return Err(failed("its parent cannot be synced", e)),
            _ => directory.remove_temporaries(),
        }
        // What a process that died has renamed but not synced can be read from here on: it must not vanish after that.
        directory.sync().map_err(|e| failed("cannot be synced", e))?;
        Ok(directory)
    }

    /// Makes the directory's own name durable.
    fn sync_parent(&self) -> rustix::io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = fs::openat(&self.fd, c"..", flags, Mode::empty())?;
        retry_on_intr(|| fs::fsync(&parent))
    }

    fn sync(&self) -> rustix::io::Result<()> {
        retry_on_intr(|| fs::fsync(&self.fd))
    }

    /// What a power cut left half-written. Best effort: nothing reads them, and `store` removes its own.
    fn remove_temporaries(&self) {
        let Ok(entries) = Dir::read_from(&self.fd) else { return };
        for entry in entries.flatten() {
            if entry.file_name().to_bytes().ends_with(TEMPORARY_SUFFIX.as_bytes()) {
                let _ = fs::unlinkat(&self.fd, entry.file_name(), AtFlags::empty());
            }
        }
    }

    /// The length of the value, which is in `buf` when it fits; `None` when there is no such key.
    fn load(&self, key: &str, buf: &mut [u8]) -> Done<Option<usize>> {
        let name = format!("{key}{VALUE_SUFFIX}");
        // NONBLOCK: a FIFO of that name must not hold up the caller; it is refused below.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = match fs::openat(&self.fd, name.as_str(), flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(e) => return Err(self.failure("opening", &name, e)),
        };
        let stat = fs::fstat(&fd).map_err(|e| self.failure("examining", &name, e))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Failure { errno: Errno::INVAL, words: format!("{} is not a file", self.show(&name)) });
        }
        let len = usize::try_from(stat.st_size).unwrap_or(usize::MAX);
        if len > MAX_VALUE_LEN {
            let words = format!("{} has {len} bytes; {MAX_VALUE_LEN} is the limit", self.show(&name));
            return Err(Failure { errno: Errno::FBIG, words });
        }
        if let Some(buf) = buf.get_mut(..len) {
            File::from(fd).read_exact(buf).map_err(|e| self.failure("reading", &name, errno(&e)))?;
        }
        Ok(Some(len))
    }

    fn store(&self, key: &str, data: &[u8]) -> Done<()> {
        self.replace(key, data)?;
        self.sync_all()
    }

    /// All that the directory lists is on the medium from here on.
    fn sync_all(&self) -> Done<()> {
        self.sync().map_err(|e| self.failure("syncing", "", e))
    }

    /// The new value is whole; that the key has it is still to be synced.
    fn replace(&self, key: &str, data: &[u8]) -> Done<()> {
        let temporary = format!("{key}{TEMPORARY_SUFFIX}");
        let written = self.write(&temporary, data).and_then(|()| {
            let name = format!("{key}{VALUE_SUFFIX}");
            fs::renameat(&self.fd, temporary.as_str(), &self.fd, name.as_str())
                .map_err(|e| self.failure("renaming", &temporary, e))
        });
        if written.is_err() {
            // Frees the space now; the reason for the failure is the one above.
            let _ = fs::unlinkat(&self.fd, temporary.as_str(), AtFlags::empty());
        }
        written
    }

    /// A new file with `data`, on the medium.
    fn write(&self, name: &str, data: &[u8]) -> Done<()> {
        match fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(e) => return Err(self.failure("removing", name, e)),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = fs::openat(&self.fd, name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|e| self.failure("creating", name, e))?;
        let mut file = File::from(fd);
        file.write_all(data).map_err(|e| self.failure("writing", name, errno(&e)))?;
        file.sync_all().map_err(|e| self.failure("syncing", name, errno(&e)))
    }

    fn erase(&self, key: &str) -> Done<()> {
        self.remove(key)?;
        // Also when it was gone already: an earlier erase may have failed at this.
        self.sync_all()
    }

    fn remove(&self, key: &str) -> Done<()> {
        let name = format!("{key}{VALUE_SUFFIX}");
        match fs::unlinkat(&self.fd, name.as_str(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(self.failure("removing", &name, e)),
        }
    }

    fn show(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }

    fn failure(&self, what: &str, name: &str, errno: Errno) -> Failure {
        Failure { errno, words: format!("{what} {}: {}", self.show(name), text(errno)) }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Closing is not enough where a forked child still has the descriptor.
        let _ = fs::flock(self.fd.as_fd(), FlockOperation::Unlock);
    }
}

fn text(errno: Errno) -> std::io::Error {
    errno.into()
}

/// A short read or write has no errno of its own: it is an input/output error.
fn errno(e: &std::io::Error) -> Errno {
    Errno::from_io_error(e).unwrap_or(Errno::IO)
}

/// What each callback returns: the answer, or the negated errno with words left beside it.
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

/// # Safety
/// `key` is NULL, or NUL-terminated for as long as `'a`.
unsafe fn arguments<'a>(ctx: *mut c_void, key: *const c_char) -> Done<(Arc<Directory>, &'a str)> {
    let Some(directory) = open_directories().get(&ctx.addr()).cloned() else {
        let words = "the storage was released; call enos_storage_directory() for a new one".to_owned();
        return Err(Failure { errno: Errno::BADF, words });
    };
    if key.is_null() {
        return Err(invalid("key is NULL"));
    }
    // SAFETY: not NULL, so NUL-terminated.
    let key = unsafe { CStr::from_ptr(key) };
    match key.to_str() {
        Ok(key) if is_key(key.as_bytes()) => Ok((directory, key)),
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
            // SAFETY: `cap` writable bytes, by the vtable's contract; initialised, as `HostStorage` gives them.
            _ => unsafe { slice::from_raw_parts_mut(buf, cap) },
        };
        let Some(len) = directory.load(key, buf)? else { return Ok(ENOS_STORAGE_NOT_FOUND) };
        // SAFETY: not NULL, so writable.
        unsafe { out_len.write(len) };
        Ok(if len <= cap { ENOS_STORAGE_OK } else { ENOS_STORAGE_TOO_SMALL })
    })
}

/// # Safety
/// `data` has `len` readable bytes for as long as `'a`, or is NULL.
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

/// One sync of the directory for all of them.
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
