//! Storages of the host, and the library's own.

use std::ffi::CString;
use std::mem::{size_of, zeroed};
use std::ptr::{null, null_mut};
use std::sync::{Arc, Mutex};

use enos::error::Status::*;
use enos::ffi::config::*;
use enos::ffi::storage::*;
use enos::storage::vtable::enos_storage;
use support::broker::nobody;
use support::host::{Setup, Store};

use super::*;

#[test]
fn a_storage_is_checked_and_released_once() {
    let (store, inside) = (Store::new(), Arc::new(Mutex::new(Vec::new())));
    let seen = Arc::clone(&inside);
    store.on_release(move || {
        let mut config = null_mut();
        // SAFETY: a place for a handle.
        let status = unsafe { enos_config_new(&mut config) };
        seen.lock().unwrap().push((status, last_error()));
    });
    let storage = store.vtable();
    let setup = Setup::device(nobody());
    let config = setup.config();
    // SAFETY: a handle, and storages whose functions may be called from anywhere.
    unsafe {
        refused(enos_config_set_storage(config, null()), ENOS_ERR_NULL_ARG, "storage");
        for (lacking, name) in [
            (enos_storage { load: None, ..storage }, "load"),
            (enos_storage { store: None, ..storage }, "store"),
            (enos_storage { erase: None, ..storage }, "erase"),
        ] {
            refused(enos_config_set_storage(config, &lacking), ENOS_ERR_NULL_ARG, name);
        }
        let unset = enos_storage { struct_size: 0, ..storage };
        refused(enos_config_set_storage(config, &unset), ENOS_ERR_STRUCT_SIZE, "ENOS_INIT(storage)");
        accepted(enos_config_set_storage(config, &storage));
    }
    let host = setup.create();
    assert_eq!(store.released(), 0, "the client still uses it");
    host.destroy();
    assert_eq!(store.released(), 1);
    let inside = inside.lock().unwrap();
    assert_eq!((inside.len(), inside[0].0), (1, ENOS_ERR_IN_CALLBACK as i32));
    assert!(inside[0].1.contains("storage callback"), "{}", inside[0].1);
}

#[test]
fn the_directory_storage_fills_in_no_more_than_it_is_given() {
    let parent = tempfile::tempdir().unwrap();
    let path = CString::new(parent.path().join("store").to_str().unwrap()).unwrap();
    // SAFETY: texts, and structs of the size that they say.
    unsafe {
        let mut out = zeroed::<enos_storage>();
        refused(enos_storage_directory(path.as_ptr(), &mut out), ENOS_ERR_STRUCT_SIZE, "ENOS_INIT(out)");
        refused(enos_storage_directory(path.as_ptr(), null_mut()), ENOS_ERR_NULL_ARG, "out");
        out.struct_size = size_of::<enos_storage>();
        refused(enos_storage_directory(null(), &mut out), ENOS_ERR_NULL_ARG, "path");
        refused(enos_storage_directory(BAD_UTF8, &mut out), ENOS_ERR_INVALID_ARG, "path");
        refused(enos_storage_directory(c"".as_ptr(), &mut out), ENOS_ERR_INVALID_ARG, "path is empty");
        let nowhere = c"/proc/none/store".as_ptr();
        refused(enos_storage_directory(nowhere, &mut out), ENOS_ERR_STORAGE, "/proc/none");
        refused(enos_storage_directory_create(nowhere, &mut out), ENOS_ERR_STORAGE, "/proc/none");
        refused(enos_storage_directory_create(c"".as_ptr(), &mut out), ENOS_ERR_INVALID_ARG, "path is empty");
        assert!(out.load.is_none() && out.ctx.is_null(), "nothing is written on failure");

        // A struct of a later version, with 16 more bytes than this library knows.
        let mut longer = [0usize; size_of::<enos_storage>() / size_of::<usize>() + 2];
        longer[0] = size_of_val(&longer);
        let theirs: *mut enos_storage = longer.as_mut_ptr().cast();
        refused(enos_storage_directory(path.as_ptr(), theirs), ENOS_ERR_STORAGE, "enos_storage_directory_create()");
        assert!(!parent.path().join("store").exists(), "it is never created by the way");
        accepted(enos_storage_directory_create(path.as_ptr(), theirs));
        assert_eq!(longer[0], size_of_val(&longer), "the size stays the caller's");
        assert_eq!(longer[longer.len() - 2..], [0, 0]);
        refused(enos_storage_directory(path.as_ptr(), &mut out), ENOS_ERR_STATE, "in use");

        let filled = theirs.read();
        filled.release.unwrap()(filled.ctx);
        accepted(enos_storage_directory(path.as_ptr(), &mut out));
        out.release.unwrap()(out.ctx);
    }
}

/// Messages that were accepted into a directory that is not found after the next start would be lost.
#[test]
fn a_directory_that_is_no_longer_in_its_place_is_a_storage_that_fails() {
    let parent = tempfile::tempdir().unwrap();
    let (path, hidden) = (parent.path().join("store"), parent.path().join("hidden"));
    let host = Setup::device(nobody()).directory(&path).create();
    host.publish_durable("t", b"1").unwrap();
    std::fs::rename(&path, &hidden).unwrap();
    assert_eq!(host.publish_durable("t", b"2"), Err(ENOS_ERR_STORAGE));
    assert!(last_error().contains("mounted over it"), "{}", last_error());
    std::fs::rename(&hidden, &path).unwrap();
    host.publish_durable("t", b"3").unwrap();
}
