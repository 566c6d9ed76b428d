//! Storages that are given to the library, and the one that it gives.

use std::ffi::{c_char, c_void, CString};
use std::mem::{size_of, zeroed};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;

use enos::error::Status::*;
use enos::ffi::client::*;
use enos::ffi::config::*;
use enos::ffi::status::*;
use enos::ffi::storage::*;
use enos::storage::vtable::enos_storage;

use super::support::*;

static RELEASED: AtomicUsize = AtomicUsize::new(0);
static INSIDE: Mutex<Vec<(i32, String)>> = Mutex::new(Vec::new());

unsafe extern "C" fn load(_: *mut c_void, _: *const c_char, _: *mut u8, _: usize, _: *mut usize) -> i32 {
    1
}
unsafe extern "C" fn store(_: *mut c_void, _: *const c_char, _: *const u8, _: usize) -> i32 {
    -1
}
unsafe extern "C" fn erase(_: *mut c_void, _: *const c_char) -> i32 {
    0
}
/// A storage callback that calls back.
unsafe extern "C" fn release(_: *mut c_void) {
    RELEASED.fetch_add(1, Ordering::SeqCst);
    let mut config = null_mut();
    // SAFETY: a place for a handle.
    let status = unsafe { enos_config_new(&mut config) };
    INSIDE.lock().unwrap().push((status, text(enos_last_error())));
}

#[test]
fn a_storage_is_checked_and_released_once() {
    let storage = enos_storage {
        struct_size: size_of::<enos_storage>(),
        ctx: null_mut(),
        load: Some(load),
        store: Some(store),
        erase: Some(erase),
        release: Some(release),
        batch: None,
    };
    let config = Config::complete();
    // SAFETY: a handle, and storages whose functions may be called from anywhere.
    unsafe {
        refused(enos_config_set_storage(config.0, null()), ENOS_ERR_NULL_ARG, "storage");
        for (lacking, name) in [
            (enos_storage { load: None, ..storage }, "load"),
            (enos_storage { store: None, ..storage }, "store"),
            (enos_storage { erase: None, ..storage }, "erase"),
        ] {
            refused(enos_config_set_storage(config.0, &lacking), ENOS_ERR_NULL_ARG, name);
        }
        let unset = enos_storage { struct_size: 0, ..storage };
        refused(enos_config_set_storage(config.0, &unset), ENOS_ERR_STRUCT_SIZE, "ENOS_INIT(storage)");
        accepted(enos_config_set_storage(config.0, &storage));
        let mut client = null_mut();
        accepted(enos_client_create(config.0, &mut client));
        drop(config);
        assert_eq!(RELEASED.load(Ordering::SeqCst), 0, "the client still uses it");
        accepted(enos_client_destroy(client));
        assert_eq!(RELEASED.load(Ordering::SeqCst), 1);
    }
    let inside = INSIDE.lock().unwrap();
    assert_eq!(inside.len(), 1);
    assert_eq!(inside[0].0, ENOS_ERR_IN_CALLBACK as i32);
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
        refused(enos_storage_directory(c"/proc/none/store".as_ptr(), &mut out), ENOS_ERR_STORAGE, "/proc/none");
        assert!(out.load.is_none() && out.ctx.is_null(), "nothing is written on failure");

        // A struct of a later version, with 16 bytes that this library does not know.
        let mut longer = [0usize; size_of::<enos_storage>() / size_of::<usize>() + 2];
        longer[0] = size_of_val(&longer);
        let theirs: *mut enos_storage = longer.as_mut_ptr().cast();
        accepted(enos_storage_directory(path.as_ptr(), theirs));
        assert_eq!(longer[0], size_of_val(&longer), "the size stays the caller's");
        assert_eq!(longer[longer.len() - 2..], [0, 0]);
        refused(enos_storage_directory(path.as_ptr(), &mut out), ENOS_ERR_STATE, "");

        let filled = theirs.read();
        filled.release.unwrap()(filled.ctx);
        accepted(enos_storage_directory(path.as_ptr(), &mut out));
        out.release.unwrap()(out.ctx);
    }
}
