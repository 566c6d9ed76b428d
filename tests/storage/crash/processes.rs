//! Several processes and one directory.

use enos::storage::key_value::KeyValue;
use std::fs;
use support::alone::alone;

use enos::error::Status;
use enos::storage::directory::directory;

use super::open;
use super::tracer::Child;

/// The child keeps it until it is killed.
fn sleep() -> ! {
    loop {
        // SAFETY: waits for a signal.
        unsafe { libc::pause() };
    }
}

#[test]
fn another_process_is_told_until_the_first_is_dead() {
    alone(|| {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("enos");
        open(&path).store("key", b"value").unwrap();
        let child = Child::fork(|ready| {
            directory(&path).unwrap();
            ready();
            sleep();
        });
        child.wait_until_ready();
        assert_eq!(directory(&path).err().unwrap().status, Status::ENOS_ERR_STATE);
        child.kill();
        assert_eq!(open(&path).load("key").unwrap().unwrap().as_slice(), b"value");
    });
}

/// A child that was forked meanwhile has the descriptor as well, and must not keep the directory locked.
#[test]
fn a_forked_child_does_not_keep_the_lock() {
    alone(|| {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("enos");
        let storage = open(&path);
        let child = Child::fork(|ready| {
            ready();
            sleep();
        });
        child.wait_until_ready();
        drop(storage);
        drop(open(&path));
        child.kill();
    });
}

/// The system writes a part of the value and then no more. The file size limit simulates a disk that fills up.
#[test]
fn a_write_that_is_cut_short_is_no_success() {
    alone(|| {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("enos");
        open(&path).store("key", b"old").unwrap();
        let child = Child::fork(|say| {
            let storage = directory(&path).unwrap();
            let limit = libc::rlimit { rlim_cur: 4096, rlim_max: 4096 };
            let value = [b'n'; 60_000];
            // SAFETY: plain calls, in a process of our own; the callbacks' own contract.
            unsafe {
                libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
                assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &limit), 0);
                let stored = storage.store.unwrap()(storage.ctx, c"key".as_ptr(), value.as_ptr(), value.len());
                assert_eq!(stored, -libc::EFBIG);
            }
            say();
        });
        child.wait_until_ready();
        child.kill();
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
        assert_eq!(open(&path).load("key").unwrap().unwrap().as_slice(), b"old");
    });
}
