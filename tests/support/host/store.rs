//! Where a device keeps things.

use std::collections::BTreeMap;
use std::ffi::{c_char, c_void};
use std::sync::{Arc, Mutex};

use enos::storage::vtable::enos_storage;

use super::text;

/// A storage in memory that outlives its clients, as flash does.
#[derive(Clone, Default)]
pub struct Store(Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

impl Store {
    pub fn new() -> Store {
        Store::default()
    }

    /// Whether a record of this role is there.
    pub fn has(&self, role: &str) -> bool {
        self.0.lock().unwrap().keys().any(|key| key.starts_with(&format!("{role}.")))
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

type Records = Mutex<BTreeMap<String, Vec<u8>>>;

unsafe extern "C" fn load(
    ctx: *mut c_void,
    key: *const c_char,
    buffer: *mut u8,
    cap: usize,
    out_len: *mut usize,
) -> i32 {
    // SAFETY: ctx is the records, until release; the rest is as the header promises.
    unsafe {
        let Some(value) = (*ctx.cast::<Records>()).lock().unwrap().get(&text(key)).cloned() else { return 1 };
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
        let value = std::slice::from_raw_parts(data, len).to_vec();
        (*ctx.cast::<Records>()).lock().unwrap().insert(text(key), value);
    }
    0
}

unsafe extern "C" fn erase(ctx: *mut c_void, key: *const c_char) -> i32 {
    // SAFETY: as above.
    unsafe { (*ctx.cast::<Records>()).lock().unwrap().remove(&text(key)) };
    0
}

unsafe extern "C" fn release(ctx: *mut c_void) {
    // SAFETY: the pointer is from Arc::into_raw, and this is the one release.
    drop(unsafe { Arc::from_raw(ctx.cast::<Records>()) });
}
