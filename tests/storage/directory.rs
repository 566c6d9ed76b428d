//! The directory store on a file system that works.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::ptr;
use std::sync::Arc;

use enos::storage::directory::directory_create;
use enos::storage::key_value::KeyValue;
use enos::storage::record::Role;
use enos::storage::records::Records;
use enos::storage::vtable::{enos_storage, HostStorage};

/// Opens `path`, makes it if it is missing, and takes over the storage.
pub fn open(path: &Path) -> Arc<HostStorage> {
    // SAFETY: the vtable is the library's own.
    unsafe { HostStorage::new(&directory_create(path).unwrap()) }.unwrap()
}

pub fn release(storage: &enos_storage) {
    // SAFETY: the vtable is the library's own, and each test releases it once.
    unsafe { storage.release.unwrap()(storage.ctx) }
}

#[test]
fn keeps_values_for_the_next_process() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("enos");
    let values: [&[u8]; 4] = [b"", b"v", &[0xA5; 1025], &[0x5A; 64 * 1024]];
    for value in values {
        open(&path).store("key", value).unwrap();
        assert_eq!(open(&path).load("key").unwrap().unwrap().as_slice(), value);
    }
    open(&path).erase("key").unwrap();
    open(&path).erase("key").unwrap();
    assert_eq!(open(&path).load("key"), Ok(None));
    assert_eq!(fs::read_dir(&path).unwrap().count(), 0, "nothing else is left behind");
}

#[test]
fn what_a_dead_process_left_half_written_is_never_a_value() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("enos");
    drop(open(&path));
    fs::write(path.join("new.enos-tmp"), b"half").unwrap();
    fs::write(path.join("notes"), b"somebody's").unwrap();
    fs::write(path.join("notes.tmp"), b"somebody's").unwrap();
    let storage = open(&path);
    assert!(!path.join("new.enos-tmp").exists() && path.join("notes").exists() && path.join("notes.tmp").exists());
    assert_eq!(storage.load("new"), Ok(None));

    // A temporary file that appears later does no harm.
    symlink(path.join("notes"), path.join("new.enos-tmp")).unwrap();
    storage.store("new", b"value").unwrap();
    assert_eq!(fs::read(path.join("notes")).unwrap(), b"somebody's");
    assert_eq!(storage.load("new").unwrap().unwrap().as_slice(), b"value");
}

#[test]
fn what_is_not_a_file_is_an_error_and_not_a_missing_key() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("enos");
    let storage = open(&path);
    fs::write(root.path().join("outside"), b"outside").unwrap();
    symlink(root.path().join("outside"), path.join("link.value")).unwrap();
    symlink(root.path().join("nowhere"), path.join("dangling.value")).unwrap();
    fs::create_dir(path.join("dir.value")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, path.join("fifo.value"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    fs::write(path.join("long.value"), vec![0; 64 * 1024 + 1]).unwrap();
    for (key, errno) in [
        ("link", libc::ELOOP),
        ("dangling", libc::ELOOP),
        ("dir", libc::EINVAL),
        ("fifo", libc::EINVAL),
        ("long", libc::EFBIG),
    ] {
        let error = storage.load(key).unwrap_err();
        assert_eq!(error.code, -errno, "{key}: {}", error.message);
        assert!(error.message.contains(&format!("{key}.value")), "{}", error.message);
    }
    storage.store("link", b"value").unwrap();
    assert_eq!(fs::read(root.path().join("outside")).unwrap(), b"outside");
    assert_eq!(storage.store("dir", b"value").unwrap_err().code, -libc::EISDIR);
    assert!(!path.join("dir.enos-tmp").exists(), "a store that fails cleans up");
}

#[test]
fn any_key_is_a_file_of_its_own_inside() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("enos");
    let storage = open(&path);
    let longest = "k".repeat(64);
    let keys =
        [".", "..", "...", "-", "a", "a.enos-tmp", "a.value", "enos-tmp", ".enos-tmp", ".value", longest.as_str()];
    for key in keys {
        storage.store(key, key.as_bytes()).unwrap();
    }
    drop(storage);
    let storage = open(&path);
    for key in keys {
        assert_eq!(storage.load(key).unwrap().unwrap().as_slice(), key.as_bytes(), "{key}");
    }
    assert_eq!(fs::read_dir(&path).unwrap().count(), keys.len());
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
}

#[test]
fn it_answers_calls_with_any_arguments() {
    let root = tempfile::tempdir().unwrap();
    let storage = directory_create(&root.path().join("enos")).unwrap();
    let (load, store, erase) = (storage.load.unwrap(), storage.store.unwrap(), storage.erase.unwrap());
    let (ctx, key) = (storage.ctx, c"key".as_ptr());
    let mut buf = [0u8; 8];
    let mut len = 99;
    let einval = -libc::EINVAL;
    // SAFETY: each pointer is valid for its length, or NULL.
    unsafe {
        assert_eq!(store(ctx, key, b"value".as_ptr(), 5), 0);
        assert_eq!((load(ctx, key, buf.as_mut_ptr(), 8, &mut len), len, &buf[..5]), (0, 5, &b"value"[..]));
        assert_eq!((load(ctx, key, buf.as_mut_ptr(), 4, &mut len), len), (2, 5));
        assert_eq!((load(ctx, key, ptr::null_mut(), 0, &mut len), len), (2, 5));
        assert_eq!(load(ctx, c"none".as_ptr(), buf.as_mut_ptr(), 8, &mut len), 1);
        assert_eq!(store(ctx, key, ptr::null(), 0), 0);
        assert_eq!((load(ctx, key, ptr::null_mut(), 0, &mut len), len), (0, 0));

        assert_eq!(load(ptr::null_mut(), key, buf.as_mut_ptr(), 8, &mut len), -libc::EBADF);
        assert_eq!(load(ctx, ptr::null(), buf.as_mut_ptr(), 8, &mut len), einval);
        assert_eq!(load(ctx, key, ptr::null_mut(), 8, &mut len), einval);
        assert_eq!(load(ctx, key, buf.as_mut_ptr(), 8, ptr::null_mut()), einval);
        assert_eq!(store(ctx, key, ptr::null(), 1), einval);
        assert_eq!(store(ctx, key, vec![0; 65_537].as_ptr(), 65_537), -libc::EFBIG);
        assert_eq!(erase(ctx, c"../key".as_ptr()), einval);
        assert_eq!(erase(ctx, c"\xFF".as_ptr()), einval);
        assert_eq!(erase(ctx, c"".as_ptr()), einval);
        storage.release.unwrap()(ptr::null_mut());
    }
    release(&storage);
}

/// Using a struct again after its release is an easy mistake. It is an error, and not a crash.
#[test]
fn a_released_one_says_so() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("enos");
    let raw = directory_create(&path).unwrap();
    // SAFETY: the vtable is the library's own.
    let take_over = || unsafe { HostStorage::new(&raw) }.unwrap();
    take_over().store("key", b"value").unwrap();
    let _other = open(&path);
    let storage = take_over();
    let errors =
        [storage.load("key").unwrap_err(), storage.store("key", b"").unwrap_err(), storage.erase("key").unwrap_err()];
    for error in errors {
        assert_eq!(error.code, -libc::EBADF);
        assert!(error.message.contains("released"), "{}", error.message);
    }
    release(&raw);
}

#[test]
fn its_descriptor_is_closed_on_exec_and_on_release() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("enos");
    let descriptors = || {
        let entries = fs::read_dir("/proc/self/fd").unwrap().flatten();
        let ours = entries.filter(|entry| fs::read_link(entry.path()).is_ok_and(|target| target.starts_with(&path)));
        ours.map(|entry| entry.file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    let storage = open(&path);
    storage.store("key", b"value").unwrap();
    storage.load("key").unwrap();
    let open_now = descriptors();
    assert_eq!(open_now.len(), 1, "{open_now:?}");
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", open_now[0])).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
    assert_ne!(i32::from_str_radix(flags, 8).unwrap() & libc::O_CLOEXEC, 0, "flags {flags}");
    drop(storage);
    assert_eq!(descriptors(), Vec::<String>::new());
}

#[test]
fn records_live_in_it() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("enos");
    let records = || Records::new(open(&path), "product", "device", "0123456789abcdef");
    records().store_verified(Role::Secret, b"data").unwrap();
    assert_eq!(records().load(Role::Secret).unwrap().unwrap().as_slice(), b"data");
    let file = path.join("secret.0123456789abcdef.value");
    let mut bytes = fs::read(&file).unwrap();
    bytes.pop();
    fs::write(&file, bytes).unwrap();
    assert!(records().load(Role::Secret).unwrap_err().message.contains("broken"));
}
