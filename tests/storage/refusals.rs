//! The directory store when the system refuses: disk full, worn flash, read-only, out of descriptors.

use enos::storage::key_value::KeyValue;
use std::fs;
use std::os::fd::RawFd;
use std::path::Path;
use std::thread;

use enos::model::storage::StorageError;
use enos::storage::directory::directory_create;

use crate::directory::open;

const OLD: &[u8] = b"the old value";
const NEW: &[u8] = b"the new value, which is longer";

/// From here on, `call` fails with `errno` on this thread only; with `on` only for that descriptor.
fn refuse(call: libc::c_long, on: Option<RawFd>, errno: i32) {
    let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let jump_if_equal = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let give_back = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jf, k| libc::sock_filter { code, jt: 0, jf, k };
    // Offsets in struct seccomp_data: the call's number, and the lower half of its first argument.
    let first_argument = if cfg!(target_endian = "little") { 16 } else { 20 };
    let mut filter = match on {
        None => vec![step(load, 0, 0), step(jump_if_equal, 1, call as u32)],
        Some(fd) => vec![
            step(load, 0, 0),
            step(jump_if_equal, 3, call as u32),
            step(load, 0, first_argument),
            step(jump_if_equal, 1, fd as u32),
        ],
    };
    filter.push(step(give_back, 0, libc::SECCOMP_RET_ERRNO | errno as u32));
    filter.push(step(give_back, 0, libc::SECCOMP_RET_ALLOW));
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the program lives until the call returns; both touch this thread only.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program), 0);
    }
}

/// Runs `work` on a thread of its own on which `call` is refused.
fn refused<T: Send>(call: libc::c_long, on: Option<RawFd>, errno: i32, work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let worker = scope.spawn(move || {
            refuse(call, on, errno);
            work()
        });
        worker.join().unwrap()
    })
}

/// The store's descriptor of its directory.
fn descriptor(path: &Path) -> RawFd {
    let entries = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let mut held = entries.filter(|entry| fs::read_link(entry.path()).is_ok_and(|target| target == path));
    held.next().unwrap().file_name().to_str().unwrap().parse().unwrap()
}

fn check(error: &StorageError, errno: i32) {
    assert_eq!(error.code, -errno, "{}", error.message);
    let words = std::io::Error::from_raw_os_error(errno).to_string();
    assert!(error.message.contains(&words) && error.message.contains("key"), "{}", error.message);
}

#[test]
fn a_store_that_is_refused_says_why_and_keeps_the_old_value() {
    for (call, errno) in [
        (libc::SYS_openat, libc::ENOSPC),
        (libc::SYS_openat, libc::EMFILE),
        (libc::SYS_openat, libc::EROFS),
        (libc::SYS_write, libc::ENOSPC),
        (libc::SYS_write, libc::EDQUOT),
        (libc::SYS_write, libc::EIO),
        (libc::SYS_fsync, libc::EIO),
        (libc::SYS_fsync, libc::ENOSPC),
        (libc::SYS_renameat, libc::ENOSPC),
        (libc::SYS_unlinkat, libc::EROFS),
    ] {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("enos");
        let storage = open(&path);
        storage.store("key", OLD).unwrap();
        check(&refused(call, None, errno, || storage.store("key", NEW)).unwrap_err(), errno);
        assert_eq!(storage.load("key").unwrap().unwrap().as_slice(), OLD);
        assert!(!path.join("key.enos-tmp").exists(), "a store that fails gives its space back");
        storage.store("key", NEW).unwrap();
        drop(storage);
        assert_eq!(open(&path).load("key").unwrap().unwrap().as_slice(), NEW);
    }
}

/// The rename is done, but it may not survive a power cut.
#[test]
fn a_directory_that_cannot_be_synced_is_no_success() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("enos");
    let storage = open(&path);
    storage.store("key", OLD).unwrap();
    let fd = descriptor(&path);
    let words = "syncing";
    let error = refused(libc::SYS_fsync, Some(fd), libc::EIO, || storage.store("key", NEW)).unwrap_err();
    check(&error, libc::EIO);
    assert!(error.message.contains(words), "{}", error.message);
    let error = refused(libc::SYS_fsync, Some(fd), libc::EIO, || storage.erase("key")).unwrap_err();
    check(&error, libc::EIO);
    // Trying again makes it durable, although there is nothing left to remove.
    storage.erase("key").unwrap();
    assert_eq!(storage.load("key"), Ok(None));
}

#[test]
fn an_erase_that_is_refused_erases_nothing() {
    let root = tempfile::tempdir().unwrap();
    let storage = open(&root.path().join("enos"));
    storage.store("key", OLD).unwrap();
    check(&refused(libc::SYS_unlinkat, None, libc::EROFS, || storage.erase("key")).unwrap_err(), libc::EROFS);
    assert_eq!(storage.load("key").unwrap().unwrap().as_slice(), OLD);
}

#[test]
fn a_refused_load_does_not_mean_a_missing_key() {
    let root = tempfile::tempdir().unwrap();
    let storage = open(&root.path().join("enos"));
    storage.store("key", OLD).unwrap();
    for (call, errno) in [
        (libc::SYS_openat, libc::EACCES),
        (libc::SYS_openat, libc::EMFILE),
        (libc::SYS_openat, libc::ENOTDIR),
        (libc::SYS_read, libc::EIO),
    ] {
        check(&refused(call, None, errno, || storage.load("key")).unwrap_err(), errno);
    }
    // A read that ends before the end of the file.
    let error = refused(libc::SYS_read, None, 0, || storage.load("key")).unwrap_err();
    assert_eq!(error.code, -libc::EIO, "{}", error.message);
    assert_eq!(storage.load("key").unwrap().unwrap().as_slice(), OLD);
}

#[test]
fn a_directory_that_cannot_be_opened_safely_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("enos");
    for (call, errno) in [
        (libc::SYS_mkdirat, libc::EROFS),
        (libc::SYS_openat, libc::EACCES),
        (libc::SYS_flock, libc::ENOLCK),
        (libc::SYS_fsync, libc::EIO),
    ] {
        let error = refused(call, None, errno, || directory_create(&path).map(|_| ())).unwrap_err();
        let words = std::io::Error::from_raw_os_error(errno).to_string();
        assert!(error.message.contains(&words), "{}", error.message);
        let left: Vec<_> = fs::read_dir("/proc/self/fd").unwrap().flatten().map(|e| fs::read_link(e.path())).collect();
        assert!(!left.iter().flatten().any(|target| *target == path), "a refused directory stays open");
    }
    drop(open(&path));
}
