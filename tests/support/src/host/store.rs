//! Where a device keeps things.

use std::collections::BTreeMap;
use std::ffi::{c_char, c_void};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use enos::storage::vtable::enos_storage;

use super::text;

/// A storage in memory that outlives its clients, as flash does.
#[derive(Clone, Default)]
pub struct Store(Arc<Medium>);

#[derive(Default)]
struct Medium {
    records: Mutex<BTreeMap<String, Vec<u8>>>,
    loads: AtomicUsize,
    stores: AtomicUsize,
    erases: AtomicUsize,
    /// What store returns, when it is not 0.
    fault: AtomicI32,
    /// Whether a store that fails has stored all the same.
    stores_all_the_same: AtomicBool,
}

/// How often the library has called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    pub loads: usize,
    pub stores: usize,
    pub erases: usize,
}

impl Store {
    pub fn new() -> Store {
        Store::default()
    }

    /// Whether a record of this role is there.
    pub fn has(&self, role: &str) -> bool {
        !self.keys(role).is_empty()
    }

    /// The keys of such records, in the order of their numbers.
    pub fn keys(&self, role: &str) -> Vec<String> {
        let records = self.0.records.lock().unwrap();
        let mut keys: Vec<_> = records.keys().filter(|key| key.starts_with(&format!("{role}."))).cloned().collect();
        keys.sort_by_key(|key| (key.len(), key.clone()));
        keys
    }

    /// Changes what stands under a key.
    pub fn garble(&self, key: &str, change: impl FnOnce(&mut Vec<u8>)) {
        change(self.0.records.lock().unwrap().get_mut(key).unwrap());
    }

    /// Calls since the last look.
    pub fn calls(&self) -> Calls {
        let Medium { loads, stores, erases, .. } = &*self.0;
        Calls { loads: loads.swap(0, SeqCst), stores: stores.swap(0, SeqCst), erases: erases.swap(0, SeqCst) }
    }

    /// From now on each store fails with this code; 0: no more. `all_the_same`: it has stored before it says so.
    pub fn fail(&self, code: i32, all_the_same: bool) {
        self.0.stores_all_the_same.store(all_the_same, SeqCst);
        self.0.fault.store(code, SeqCst);
    }

    pub fn vtable(&self) -> enos_storage {
        enos_storage {
            struct_size: size_of::<enos_storage>(),
            ctx: Arc::into_raw(Arc::clone(&self.0)).cast_mut().cast(),
            load: Some(load),
            store: Some(store),
            erase: Some(erase),
            release: Some(release),
            batch: None,
        }
    }
}

unsafe extern "C" fn load(
    ctx: *mut c_void,
    key: *const c_char,
    buffer: *mut u8,
    cap: usize,
    out_len: *mut usize,
) -> i32 {
    // SAFETY: ctx is the medium, until release; the rest is as the header promises.
    unsafe {
        let medium = &*ctx.cast::<Medium>();
        medium.loads.fetch_add(1, SeqCst);
        let Some(value) = medium.records.lock().unwrap().get(&text(key)).cloned() else { return 1 };
        *out_len = value.len();
        if value.len() > cap {
            return 2;
        }
        buffer.copy_from_nonoverlapping(value.as_ptr(), value.len());
    }
    0
}

unsafe extern "C" fn store(ctx: *mut c_void, key: *const c_char, data: *const u8, len: usize) -> i32 {
    // SAFETY: as above.
    unsafe {
        let medium = &*ctx.cast::<Medium>();
        medium.stores.fetch_add(1, SeqCst);
        let fault = medium.fault.load(SeqCst);
        if fault == 0 || medium.stores_all_the_same.load(SeqCst) {
            let value = std::slice::from_raw_parts(data, len).to_vec();
            medium.records.lock().unwrap().insert(text(key), value);
        }
        fault
    }
}

unsafe extern "C" fn erase(ctx: *mut c_void, key: *const c_char) -> i32 {
    // SAFETY: as above.
    unsafe {
        let medium = &*ctx.cast::<Medium>();
        medium.erases.fetch_add(1, SeqCst);
        medium.records.lock().unwrap().remove(&text(key));
    }
    0
}

unsafe extern "C" fn release(ctx: *mut c_void) {
    // SAFETY: the pointer is from Arc::into_raw, and this is the one release.
    drop(unsafe { Arc::from_raw(ctx.cast::<Medium>()) });
}
