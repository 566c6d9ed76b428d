//! Hosts for the tests: closures behind the C vtable.

use std::collections::HashMap;
use std::ffi::{c_char, c_void, CStr};
use std::slice;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use enos::storage::vtable::{enos_storage, HostStorage};

pub type LoadFn = dyn Fn(&str, &mut [u8], &mut usize) -> i32 + Send + Sync;
pub type StoreFn = dyn Fn(&str, &[u8]) -> i32 + Send + Sync;
pub type EraseFn = dyn Fn(&str) -> i32 + Send + Sync;

/// The values of a host that keeps its word.
pub type Values = Arc<Mutex<HashMap<String, Vec<u8>>>>;

/// A host whose callbacks can be replaced. Boxed: the vtable points to it.
pub struct Host {
    pub load: Box<LoadFn>,
    pub store: Box<StoreFn>,
    pub erase: Box<EraseFn>,
    pub on_release: Box<dyn Fn() + Send + Sync>,
    pub released: AtomicUsize,
    pub values: Values,
}

impl Host {
    /// Keeps values in memory, and does all that the header asks for.
    pub fn honest() -> Box<Host> {
        let values = Values::default();
        let (for_load, for_store, for_erase) = (values.clone(), values.clone(), values.clone());
        Box::new(Host {
            load: Box::new(move |key, buf, out_len| match for_load.lock().unwrap().get(key) {
                None => 1,
                Some(value) => {
                    *out_len = value.len();
                    match buf.get_mut(..value.len()) {
                        None => 2,
                        Some(buf) => {
                            buf.copy_from_slice(value);
                            0
                        }
                    }
                }
            }),
            store: Box::new(move |key, data| {
                for_store.lock().unwrap().insert(key.to_owned(), data.to_vec());
                0
            }),
            erase: Box::new(move |key| {
                for_erase.lock().unwrap().remove(key);
                0
            }),
            on_release: Box::new(|| ()),
            released: AtomicUsize::new(0),
            values,
        })
    }

    pub fn loading(load: impl Fn(&str, &mut [u8], &mut usize) -> i32 + Send + Sync + 'static) -> Box<Host> {
        Box::new(Host { load: Box::new(load), ..*Host::honest() })
    }

    pub fn vtable(&self) -> enos_storage {
        enos_storage {
            struct_size: size_of::<enos_storage>(),
            ctx: (&raw const *self).cast_mut().cast(),
            load: Some(load),
            store: Some(store),
            erase: Some(erase),
            release: Some(release),
            batch: None,
        }
    }

    /// The host must outlive what comes back.
    pub fn storage(&self) -> Arc<HostStorage> {
        // SAFETY: the callbacks below are thread-safe and keep to the contract, as far as the test wants them to.
        unsafe { HostStorage::new(&self.vtable()) }.unwrap()
    }

    pub fn released(&self) -> usize {
        self.released.load(Ordering::SeqCst)
    }
}

unsafe fn host<'a>(ctx: *mut c_void) -> &'a Host {
    // SAFETY: `vtable` made it, and the tests keep the host until the storage is gone.
    unsafe { &*ctx.cast::<Host>() }
}

unsafe fn text<'a>(key: *const c_char) -> &'a str {
    // SAFETY: the library passes NUL-terminated keys.
    unsafe { CStr::from_ptr(key) }.to_str().unwrap()
}

unsafe extern "C" fn load(ctx: *mut c_void, key: *const c_char, buf: *mut u8, cap: usize, out_len: *mut usize) -> i32 {
    // SAFETY: the library's side of the vtable's contract.
    unsafe { (host(ctx).load)(text(key), slice::from_raw_parts_mut(buf, cap), &mut *out_len) }
}

unsafe extern "C" fn store(ctx: *mut c_void, key: *const c_char, data: *const u8, len: usize) -> i32 {
    // SAFETY: as above.
    unsafe { (host(ctx).store)(text(key), slice::from_raw_parts(data, len)) }
}

unsafe extern "C" fn erase(ctx: *mut c_void, key: *const c_char) -> i32 {
    // SAFETY: as above.
    unsafe { (host(ctx).erase)(text(key)) }
}

unsafe extern "C" fn release(ctx: *mut c_void) {
    // SAFETY: as above.
    let host = unsafe { host(ctx) };
    (host.on_release)();
    host.released.fetch_add(1, Ordering::SeqCst);
}
