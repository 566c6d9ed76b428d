//! A host's storage in memory, behind the C vtable, that does wrong when it is told to.

use std::collections::BTreeMap;
use std::ffi::{c_char, c_void, CStr};
use std::slice;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use enos::storage::vtable::enos_storage;

pub const OK: i32 = 0;
pub const NOT_FOUND: i32 = 1;
pub const TOO_SMALL: i32 = 2;
/// What a failing call of this host's returns.
pub const CODE: i32 = -77;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Load,
    Store,
    Erase,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub operation: Operation,
    pub key: String,
}

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It fails with [`CODE`]; nothing is read, written or erased.
    Fails,
    /// It answers with a number that is no answer.
    Babbles,
    /// A load calls every buffer too small.
    TooSmall,
    /// A load says that there is no such key.
    Denies,
    /// A load gives half of the value; a store keeps half of it, and says that all is well.
    Halves,
    /// A load or a store turns a bit over, and says that all is well.
    FlipsABit,
    /// A load gives the record of another device; a store says that all is well, and keeps what there was.
    MixesUp,
}

impl Wrong {
    pub const ALL: [Wrong; 7] =
        [Wrong::Fails, Wrong::Babbles, Wrong::TooSmall, Wrong::Denies, Wrong::Halves, Wrong::FlipsABit, Wrong::MixesUp];
}

type Fault = dyn Fn(usize, &Call) -> Option<Wrong> + Send + Sync;
type Hook = dyn Fn(&Call) + Send + Sync;

/// Shared by the test and the vtable.
pub struct Store {
    pub values: Mutex<BTreeMap<String, Vec<u8>>>,
    /// In the order in which they came, whatever became of them.
    pub calls: Mutex<Vec<Call>>,
    /// By the number of the call, from 1, and what it is.
    fault: Mutex<Arc<Fault>>,
    /// Runs inside each callback.
    hook: Mutex<Arc<Hook>>,
    pub released: AtomicUsize,
}

impl Store {
    pub fn new() -> Arc<Store> {
        Arc::new(Store {
            values: Mutex::default(),
            calls: Mutex::default(),
            fault: Mutex::new(Arc::new(|_, _| None)),
            hook: Mutex::new(Arc::new(|_| ())),
            released: AtomicUsize::new(0),
        })
    }

    pub fn with(values: BTreeMap<String, Vec<u8>>) -> Arc<Store> {
        let store = Store::new();
        *store.values.lock().unwrap() = values;
        store
    }

    pub fn set_fault(&self, fault: impl Fn(usize, &Call) -> Option<Wrong> + Send + Sync + 'static) {
        *self.fault.lock().unwrap() = Arc::new(fault);
    }

    pub fn mend(&self) {
        self.set_fault(|_, _| None);
    }

    pub fn set_hook(&self, hook: impl Fn(&Call) + Send + Sync + 'static) {
        *self.hook.lock().unwrap() = Arc::new(hook);
    }

    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// The keys that begin so.
    pub fn has(&self, role: &str) -> bool {
        self.values.lock().unwrap().keys().any(|key| key.starts_with(role))
    }

    /// The vtable holds a reference until its release.
    pub fn vtable(self: &Arc<Store>) -> enos_storage {
        enos_storage {
            struct_size: size_of::<enos_storage>(),
            ctx: Arc::into_raw(Arc::clone(self)).cast_mut().cast(),
            load: Some(load),
            store: Some(store),
            erase: Some(erase),
            release: Some(release),
            batch: None,
        }
    }

    fn enter(&self, operation: Operation, key: *const c_char) -> (Call, Option<Wrong>) {
        // SAFETY: the library passes NUL-terminated keys.
        let key = unsafe { CStr::from_ptr(key) }.to_str().unwrap().to_owned();
        let call = Call { operation, key };
        let mut calls = self.calls.lock().unwrap();
        calls.push(call.clone());
        let number = calls.len();
        drop(calls);
        let hook = Arc::clone(&self.hook.lock().unwrap());
        hook(&call);
        let fault = Arc::clone(&self.fault.lock().unwrap());
        let wrong = fault(number, &call);
        (call, wrong)
    }

    fn load(&self, call: &Call, wrong: Option<Wrong>) -> Result<Vec<u8>, i32> {
        let value = self.values.lock().unwrap().get(&call.key).cloned();
        match (wrong, value) {
            (Some(Wrong::Fails), _) => Err(CODE),
            (Some(Wrong::Babbles), _) => Err(1234),
            (Some(Wrong::TooSmall), _) => Err(TOO_SMALL),
            (Some(Wrong::Denies), _) | (_, None) => Err(NOT_FOUND),
            (Some(Wrong::Halves), Some(value)) => Ok(value[..value.len() / 2].to_vec()),
            (Some(Wrong::FlipsABit), Some(value)) => Ok(flipped(value)),
            (Some(Wrong::MixesUp), Some(_)) => Ok(strangers_record(&call.key)),
            (None, Some(value)) => Ok(value),
        }
    }

    fn store(&self, call: &Call, wrong: Option<Wrong>, data: &[u8]) -> i32 {
        let mut data = data.to_vec();
        match wrong {
            Some(Wrong::Fails) => return CODE,
            Some(Wrong::Babbles) => return 1234,
            Some(Wrong::TooSmall) => return TOO_SMALL,
            Some(Wrong::Denies) => return NOT_FOUND,
            Some(Wrong::MixesUp) => return OK,
            Some(Wrong::Halves) => data.truncate(data.len() / 2),
            Some(Wrong::FlipsABit) => data = flipped(data),
            None => {}
        }
        self.values.lock().unwrap().insert(call.key.clone(), data);
        OK
    }

    fn erase(&self, call: &Call, wrong: Option<Wrong>) -> i32 {
        match wrong {
            Some(Wrong::Fails | Wrong::Halves | Wrong::FlipsABit) => return CODE,
            Some(Wrong::Babbles) => return 1234,
            Some(Wrong::TooSmall) => return TOO_SMALL,
            // Says that all is well.
            Some(Wrong::MixesUp) => return OK,
            Some(Wrong::Denies) | None => {}
        }
        self.values.lock().unwrap().remove(&call.key);
        OK
    }
}

fn flipped(mut value: Vec<u8>) -> Vec<u8> {
    let middle = value.len() / 2;
    value[middle] ^= 0x10;
    value
}

/// A whole record of the same role, but another device's.
fn strangers_record(key: &str) -> Vec<u8> {
    use enos::storage::record::{encode, Role};
    let role = [Role::Secret, Role::Previous, Role::Pending, Role::Sign, Role::Budget]
        .into_iter()
        .find(|role| key.starts_with(&role.to_string()))
        .unwrap();
    encode(role, "pk", "a stranger", b"\0his secret").unwrap().to_vec()
}

unsafe fn own<'a>(ctx: *mut c_void) -> &'a Store {
    // SAFETY: `vtable` made it, and it lives until `release`.
    unsafe { &*ctx.cast::<Store>() }
}

unsafe extern "C" fn load(ctx: *mut c_void, key: *const c_char, buf: *mut u8, cap: usize, out_len: *mut usize) -> i32 {
    // SAFETY: the library's side of the vtable's contract.
    let (store, buf, out_len) = unsafe { (own(ctx), slice::from_raw_parts_mut(buf, cap), &mut *out_len) };
    let (call, wrong) = store.enter(Operation::Load, key);
    let value = match store.load(&call, wrong) {
        Ok(value) => value,
        Err(answer) => return answer,
    };
    *out_len = value.len();
    match buf.get_mut(..value.len()) {
        Some(buf) => buf.copy_from_slice(&value),
        None => return TOO_SMALL,
    }
    OK
}

unsafe extern "C" fn store(ctx: *mut c_void, key: *const c_char, data: *const u8, len: usize) -> i32 {
    // SAFETY: as above.
    let (store, data) = unsafe { (own(ctx), slice::from_raw_parts(data, len)) };
    let (call, wrong) = store.enter(Operation::Store, key);
    store.store(&call, wrong, data)
}

unsafe extern "C" fn erase(ctx: *mut c_void, key: *const c_char) -> i32 {
    // SAFETY: as above.
    let store = unsafe { own(ctx) };
    let (call, wrong) = store.enter(Operation::Erase, key);
    store.erase(&call, wrong)
}

unsafe extern "C" fn release(ctx: *mut c_void) {
    // SAFETY: the reference that `vtable` gave away.
    let store = unsafe { Arc::from_raw(ctx.cast::<Store>()) };
    store.released.fetch_add(1, Ordering::SeqCst);
}
