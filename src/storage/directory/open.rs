//! Opening the directory: its owner and rights, and whether its path still leads to it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, FlockOperation, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::{text, Directory, Done, Failure};
use crate::error::{Error, Result, Status};
use crate::log;

const GROUP_AND_OTHERS: u32 = 0o077;
const MAKE_IT: &str = "it does not exist. When its file system is mounted later than this program starts, wait for \
                       that; for provisioning and first runs, enos_storage_directory_create() makes it";
const GONE: &str = "its path leads somewhere else than when it was opened: something was mounted over it, or it was \
                    moved or removed. Release this storage and open it again, or restart the program";

/// What to do if the directory does not exist.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Missing {
    Refuse,
    Create,
}

impl Directory {
    pub(super) fn open(path: &Path, missing: Missing) -> Result<Directory> {
        // An absolute path can still be compared after a chdir(). It has no slash at the end, because with one the
        // system would follow a symbolic link.
        let absolute = std::path::absolute(path).map_err(|e| refused(path, &format!("no path: {e}")))?;
        let path: PathBuf = absolute.components().collect();
        let failed = |what: &str, e: Errno| refused(&path, &format!("{what}: {}", text(e)));

        let created = match missing {
            Missing::Refuse => false,
            Missing::Create => match fs::mkdir(&path, Mode::RWXU) {
                Ok(()) => true,
                Err(Errno::EXIST) => false,
                Err(e) => return Err(failed("cannot be created; its parent must exist and be writable", e)),
            },
        };
        let fd = open_itself(&path)?;
        let stat = fs::fstat(&fd).map_err(|e| failed("cannot be examined", e))?;
        let parent =
            fs::statat(&fd, c"..", AtFlags::empty()).map_err(|e| failed("its parent cannot be examined", e))?;
        check(&stat, &parent).map_err(|words| refused(&path, &words))?;
        match fs::flock(&fd, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let words = "in use by another process, or by another enos_storage of this one";
                return Err(Error { status: Status::ENOS_ERR_STATE, ..refused(&path, words) });
            }
            Err(e) => return Err(failed("cannot be locked", e)),
        }

        let directory = Directory { fd, path };
        let failed = |what: &str, e: Errno| refused(&directory.path, &format!("{what}: {}", text(e)));
        match directory.sync_parent() {
            // If the directory existed, its parent may be unreadable for this user, or read-only, and cannot be synced.
            Err(e) if created => return Err(failed("its parent cannot be synced", e)),
            _ => directory.remove_temporaries(),
        }
        // A process that died may have renamed files without a sync. They can be read from now on, so they must not
        // vanish later.
        directory.sync().map_err(|e| failed("cannot be synced", e))?;
        if parent.st_mode & 0o020 != 0 && !is_sticky(&parent) {
            log::warn("storage", format_args!("{}: {}", directory.path.display(), GROUP_WRITES_PARENT));
        }
        Ok(directory)
    }

    /// Checks that the path still leads here. Otherwise values would be stored where the next start does not find them,
    /// and the values at the path would be missed now.
    pub(super) fn in_place(&self) -> Done<()> {
        let held = fs::fstat(&self.fd).map_err(|e| self.failure("examining", "", e))?;
        match fs::lstat(&self.path) {
            Ok(found) if (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino) => Ok(()),
            Ok(_) | Err(Errno::NOENT | Errno::NOTDIR) => {
                let words = format!("storage directory {}: {GONE}", self.path.display());
                Err(Failure { errno: Errno::STALE, words })
            }
            Err(e) => Err(self.failure("examining", "", e)),
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Closing is not enough: a forked child may still have the descriptor.
        let _ = fs::flock(self.fd.as_fd(), FlockOperation::Unlock);
    }
}

fn refused(path: &Path, words: &str) -> Error {
    Error::new(Status::ENOS_ERR_STORAGE, format!("storage directory {}: {words}", path.display()))
}

/// Opens the directory, and refuses a symbolic link: whoever can write to the parent could make it point anywhere.
fn open_itself(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::openat(fs::CWD, path, flags, Mode::empty()).map_err(|e| match (e, fs::readlink(path, Vec::new())) {
        (Errno::NOENT, _) => refused(path, MAKE_IT),
        (_, Ok(target)) => {
            let target = target.to_string_lossy().into_owned();
            refused(path, &format!("it is a link, to {target}; name the directory itself"))
        }
        _ => refused(path, &format!("cannot be opened: {}", text(e))),
    })
}

const GROUP_WRITES_PARENT: &str = "its parent can be written by its group, whose members could move the directory \
                                   away; if the group has other members, take that right from it (chmod g-w)";

/// As strict as sshd is with a user's keys. The mode is not corrected here: if the path was given by mistake (`/tmp`),
/// that would lock out everybody else.
fn check(stat: &Stat, parent: &Stat) -> std::result::Result<(), String> {
    let me = rustix::process::geteuid().as_raw();
    let mode = stat.st_mode & 0o777;
    if stat.st_uid != me {
        return Err(format!("it belongs to user {}, not to the one that this process runs as", stat.st_uid));
    }
    if mode & GROUP_AND_OTHERS != 0 {
        return Err(format!("its mode is {mode:o}, so that others can get at secrets: make it 700"));
    }
    if parent.st_uid != me && parent.st_uid != 0 {
        return Err(format!(
            "its parent belongs to user {}, who could put another in its place: give the parent to root or to the \
             user that this process runs as",
            parent.st_uid
        ));
    }
    if parent.st_mode & 0o002 != 0 && !is_sticky(parent) {
        return Err(format!(
            "its parent can be written by everybody (mode {:o}), who could put another in its place: take that right \
             away (chmod o-w)",
            parent.st_mode & 0o777
        ));
    }
    Ok(())
}

/// In a sticky directory, such as `/tmp`, each user can move and remove only their own files.
fn is_sticky(stat: &Stat) -> bool {
    stat.st_mode & 0o1000 != 0
}
