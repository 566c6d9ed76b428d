//! Which directories are opened and which are refused, and whether the directory is still in its place later.

use std::ffi::CString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{chown, symlink, DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::{fs, io, ptr};

use enos::error::Status;
use enos::storage::directory::{directory, directory_create};
use enos::storage::key_value::{Change, KeyValue};
use support::alone::alone;
use support::log;

use crate::directory::{open, release};

/// The reason why it is not opened, with or without permission to create it.
fn refusal(path: &Path) -> (Status, String) {
    let [error, creating] = [directory, directory_create]
        .map(|open: fn(&Path) -> _| open(path).map(|storage| release(&storage)).unwrap_err());
    assert!(error.message.contains(&path.display().to_string()), "{}", error.message);
    assert_eq!(error.status, creating.status, "{}", creating.message);
    (error.status, creating.message)
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn is_its_owners_alone() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("enos");
    open(&path).store("key", b"value").unwrap();
    assert_eq!((mode(&path), mode(&path.join("key.value"))), (0o700, 0o600));
}

#[test]
fn a_directory_open_to_others_is_refused_and_left_as_it_is() {
    let root = tempfile::tempdir().unwrap();
    for lax in [0o755, 0o750, 0o701, 0o777] {
        let path = root.path().join(format!("{lax:o}"));
        fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
        drop(open(&path));
        fs::set_permissions(&path, fs::Permissions::from_mode(lax)).unwrap();
        let (status, message) = refusal(&path);
        assert_eq!(status, Status::ENOS_ERR_STORAGE);
        assert!(message.contains(&format!("{lax:o}")) && message.contains("700"), "{message}");
        assert_eq!(mode(&path), lax);
    }
}

#[test]
fn a_directory_of_another_user_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("enos");
    fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
    let me = fs::metadata(&path).unwrap().uid();
    match chown(&path, Some(me + 1), None) {
        Ok(()) => {
            let (status, message) = refusal(&path);
            assert_eq!(status, Status::ENOS_ERR_STORAGE);
            assert!(message.contains(&(me + 1).to_string()), "{message}");
        }
        // Only root can change the owner of a directory; otherwise it belongs to the user.
        Err(e) => {
            assert_eq!(e.kind(), std::io::ErrorKind::PermissionDenied);
            drop(open(&path));
        }
    }
}

#[test]
fn a_path_that_cannot_be_one_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    fs::write(&file, b"").unwrap();
    let missing = root.path().join("missing/enos");
    for path in [file.as_path(), missing.as_path(), &file.join("enos"), Path::new(""), Path::new("a\0b")] {
        let (status, message) = refusal(path);
        assert_eq!(status, Status::ENOS_ERR_STORAGE, "{message}");
    }
    assert!(refusal(&missing).1.contains("parent"));
}

/// If the file system is mounted later, an empty directory would mean that the device has no secret.
#[test]
fn it_is_created_only_by_the_call_that_says_so() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("enos");
    for _ in 0..2 {
        let error = directory(&path).map(|_| ()).unwrap_err();
        assert_eq!(error.status, Status::ENOS_ERR_STORAGE);
        assert!(error.message.contains("enos_storage_directory_create()"), "{}", error.message);
        assert!(!path.exists());
    }
    release(&directory_create(&path).unwrap());
    release(&directory(&path).unwrap());
}

#[test]
fn a_link_in_its_place_is_not_followed() {
    let root = tempfile::tempdir().unwrap();
    let (real, link) = (root.path().join("real"), root.path().join("link"));
    drop(open(&real));
    symlink("real", &link).unwrap();
    symlink("nowhere", root.path().join("dangling")).unwrap();
    for path in ["link", "link/", "link//.", "dangling"] {
        let path = root.path().join(path);
        for open in [directory, directory_create] {
            let error = open(&path).map(|_| ()).unwrap_err();
            assert_eq!(error.status, Status::ENOS_ERR_STORAGE);
            assert!(error.message.contains("it is a link"), "{}", error.message);
        }
    }
    assert!(!root.path().join("nowhere").exists());
    // A link further up is allowed.
    let (above, below) = (root.path().join("above"), tempfile::tempdir().unwrap());
    symlink(below.path(), &above).unwrap();
    drop(open(&above.join("enos")));
}

/// The same rules as those of sshd for the directory of a user's keys.
#[test]
fn a_parent_that_others_can_write_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let parent = root.path().join("parent");
    fs::create_dir(&parent).unwrap();
    let path = parent.join("enos");
    drop(open(&path));
    for (bits, taken) in
        [(0o755, true), (0o1777, true), (0o777, false), (0o702, false), (0o770, true), (0o2770, true), (0o1757, true)]
    {
        fs::set_permissions(&parent, fs::Permissions::from_mode(bits)).unwrap();
        if taken {
            drop(open(&path));
            continue;
        }
        let (status, message) = refusal(&path);
        assert_eq!(status, Status::ENOS_ERR_STORAGE);
        assert!(message.contains("parent") && message.contains("chmod o-w"), "{message}");
        assert_eq!(mode(&parent), bits, "left as it is");
    }
    fs::set_permissions(&parent, fs::Permissions::from_mode(0o755)).unwrap();
    let me = fs::metadata(&path).unwrap().uid();
    // Only root can change the owner of a directory.
    if chown(&parent, Some(me + 1), None).is_ok() {
        let (status, message) = refusal(&path);
        assert_eq!(status, Status::ENOS_ERR_STORAGE);
        assert!(message.contains("parent") && message.contains(&(me + 1).to_string()), "{message}");
    }
}

#[test]
fn a_parent_that_its_group_can_write_is_a_warning() {
    alone(|| {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("enos");
        assert_eq!(log::listen(log::TRACE), 0);
        let warnings = || {
            enos::log::deliver();
            log::records().into_iter().filter(|record| record.message.contains("its parent")).count()
        };
        for (bits, warned) in [(0o755, 0), (0o1775, 0), (0o775, 1)] {
            fs::set_permissions(root.path(), fs::Permissions::from_mode(bits)).unwrap();
            drop(open(&path));
            assert_eq!(warnings(), warned, "{bits:o}");
        }
        log::stop();
    });
}

/// Values that are stored in another place would not be found after the next start.
#[test]
fn a_path_that_leads_elsewhere_is_noticed() {
    let root = tempfile::tempdir().unwrap();
    let (path, moved) = (root.path().join("enos"), root.path().join("moved"));
    let storage = open(&path);
    storage.store("key", b"value").unwrap();
    let noticed = || {
        let changes = ["a", "b"].map(|key| Change::Store { key, value: b"v" });
        for error in [
            storage.load("key").unwrap_err(),
            storage.store("key", b"new").unwrap_err(),
            storage.erase("key").unwrap_err(),
            storage.change(&changes).unwrap_err(),
        ] {
            assert_eq!(error.code, -libc::ESTALE, "{}", error.message);
            assert!(error.message.contains("mounted over it"), "{}", error.message);
        }
    };
    fs::rename(&path, &moved).unwrap();
    noticed();
    fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
    noticed();
    fs::remove_dir(&path).unwrap();
    symlink(&moved, &path).unwrap();
    noticed();
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"").unwrap();
    noticed();
    fs::remove_file(&path).unwrap();
    fs::rename(&moved, &path).unwrap();
    assert_eq!(storage.load("key").unwrap().unwrap().as_slice(), b"value");
    assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
}

/// Private mounts; in a user namespace if that is necessary.
fn mounts_of_its_own() -> io::Result<()> {
    let checked = |done| if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
    // SAFETY: plain system calls and constant texts, in a process of the test's own.
    unsafe {
        checked(libc::unshare(libc::CLONE_NEWNS))
            .or_else(|_| checked(libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS)))?;
        checked(libc::mount(ptr::null(), c"/".as_ptr(), ptr::null(), libc::MS_REC | libc::MS_PRIVATE, ptr::null()))
    }
}

#[test]
fn a_file_system_that_is_mounted_over_it_is_noticed() {
    alone(|| {
        if let Err(error) = mounts_of_its_own() {
            return println!("skipped: this machine lets its users mount nothing: {error}");
        }
        let root = tempfile::tempdir().unwrap();
        for over in ["data", "data/enos"] {
            let path = root.path().join("data/enos");
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let storage = open(&path);
            let over = CString::new(root.path().join(over).into_os_string().into_vec()).unwrap();
            // SAFETY: texts that end in NUL.
            let mount = unsafe { libc::mount(c"t".as_ptr(), over.as_ptr(), c"tmpfs".as_ptr(), 0, ptr::null()) };
            assert_eq!(mount, 0, "{}", io::Error::last_os_error());
            let error = storage.load("key").unwrap_err();
            assert_eq!(error.code, -libc::ESTALE, "{}", error.message);
            // SAFETY: as above.
            assert_eq!(unsafe { libc::umount(over.as_ptr()) }, 0, "{}", io::Error::last_os_error());
            assert_eq!(storage.load("key"), Ok(None));
        }
    });
}

/// A relative path keeps its meaning when the working directory changes.
#[test]
fn a_change_of_the_working_directory_changes_nothing() {
    alone(|| {
        let root = tempfile::tempdir().unwrap();
        std::env::set_current_dir(root.path()).unwrap();
        let storage = open(Path::new("enos"));
        std::env::set_current_dir("/").unwrap();
        storage.store("key", b"value").unwrap();
        assert!(root.path().join("enos/key.value").exists());
    });
}
