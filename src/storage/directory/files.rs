//! The files in the directory: reading a value, replacing it, removing it.

use std::fs::File;
use std::io::{Read, Write};

use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::{retry_on_intr, Errno};

use super::{text, Directory, Done, Failure, TEMPORARY_SUFFIX, VALUE_SUFFIX};
use crate::storage::vtable::MAX_VALUE_LEN;

impl Directory {
    /// Makes the directory's own entry in its parent durable.
    pub(super) fn sync_parent(&self) -> rustix::io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = fs::openat(&self.fd, c"..", flags, Mode::empty())?;
        retry_on_intr(|| fs::fsync(&parent))
    }

    pub(super) fn sync(&self) -> rustix::io::Result<()> {
        retry_on_intr(|| fs::fsync(&self.fd))
    }

    /// Removes the files that a power cut left incomplete. Errors are ignored: nothing reads these files, and `store`
    /// removes its own.
    pub(super) fn remove_temporaries(&self) {
        let Ok(entries) = Dir::read_from(&self.fd) else { return };
        for entry in entries.flatten() {
            if entry.file_name().to_bytes().ends_with(TEMPORARY_SUFFIX.as_bytes()) {
                let _ = fs::unlinkat(&self.fd, entry.file_name(), AtFlags::empty());
            }
        }
    }

    /// The length of the value, which is in `buf` if it fits. `None` if there is no such key.
    pub(super) fn load(&self, key: &str, buf: &mut [u8]) -> Done<Option<usize>> {
        let name = format!("{key}{VALUE_SUFFIX}");
        // NONBLOCK: opening a FIFO of this name must not block the caller. It is refused below.
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

    pub(super) fn store(&self, key: &str, data: &[u8]) -> Done<()> {
        self.replace(key, data)?;
        self.sync_all()
    }

    /// After this, the content of the directory is durable.
    pub(super) fn sync_all(&self) -> Done<()> {
        self.sync().map_err(|e| self.failure("syncing", "", e))
    }

    /// Replaces the value by a complete new file. The rename is durable only after the directory is synced.
    pub(super) fn replace(&self, key: &str, data: &[u8]) -> Done<()> {
        let temporary = format!("{key}{TEMPORARY_SUFFIX}");
        let written = self.write(&temporary, data).and_then(|()| {
            let name = format!("{key}{VALUE_SUFFIX}");
            fs::renameat(&self.fd, temporary.as_str(), &self.fd, name.as_str())
                .map_err(|e| self.failure("renaming", &temporary, e))
        });
        if written.is_err() {
            // This frees the space now. The error to report is that of the write.
            let _ = fs::unlinkat(&self.fd, temporary.as_str(), AtFlags::empty());
        }
        written
    }

    /// Writes a new file with `data`, and syncs it.
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

    pub(super) fn erase(&self, key: &str) -> Done<()> {
        self.remove(key)?;
        // Sync also if the file did not exist: an earlier erase may have failed to sync.
        self.sync_all()
    }

    pub(super) fn remove(&self, key: &str) -> Done<()> {
        let name = format!("{key}{VALUE_SUFFIX}");
        match fs::unlinkat(&self.fd, name.as_str(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(self.failure("removing", &name, e)),
        }
    }

    fn show(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }

    pub(super) fn failure(&self, what: &str, name: &str, errno: Errno) -> Failure {
        Failure { errno, words: format!("{what} {}: {}", self.show(name), text(errno)) }
    }
}

/// A short read or write has no errno, and becomes an input/output error.
fn errno(e: &std::io::Error) -> Errno {
    Errno::from_io_error(e).unwrap_or(Errno::IO)
}
