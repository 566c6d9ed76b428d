//! A device's storage.

use std::collections::BTreeMap;
use std::ffi::{c_char, c_void};
use std::slice;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};

use enos::storage::vtable::{enos_storage, HostStorage};

use super::text;

pub const NOT_FOUND: i32 = 1;
pub const TOO_SMALL: i32 = 2;

/// A storage in memory that outlives its clients, like flash. It works correctly until a test changes that.
#[derive(Clone, Default)]
pub struct Store(Arc<Medium>);

type Records = BTreeMap<String, Vec<u8>>;
type Answer = dyn Fn(&mut Request) -> Option<i32> + Send + Sync;
type OnRelease = dyn Fn() + Send + Sync;

#[derive(Default)]
struct Medium {
    records: Mutex<Records>,
    loads: AtomicUsize,
    stores: AtomicUsize,
    erases: AtomicUsize,
    number: AtomicUsize,
    answers: Mutex<Vec<Arc<Answer>>>,
    on_release: Mutex<Option<Box<OnRelease>>>,
    released: AtomicUsize,
}

/// The numbers of the library's calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    pub loads: usize,
    pub stores: usize,
    pub erases: usize,
}

/// One call of the library.
pub struct Request<'a> {
    /// The number of the call, from 1, over all calls of this store.
    pub number: usize,
    pub key: String,
    pub asked: Asked<'a>,
    records: &'a Mutex<Records>,
}

pub enum Asked<'a> {
    Load(&'a mut [u8], &'a mut usize),
    Store(&'a [u8]),
    Erase,
}

impl Request<'_> {
    pub fn is_load(&self) -> bool {
        matches!(self.asked, Asked::Load(..))
    }

    pub fn is_store(&self) -> bool {
        matches!(self.asked, Asked::Store(_))
    }

    /// The value of the key.
    pub fn record(&self) -> Option<Vec<u8>> {
        self.records.lock().unwrap().get(&self.key).cloned()
    }

    /// Performs the call correctly.
    pub fn obey(&mut self) -> i32 {
        let record = self.record();
        match &self.asked {
            Asked::Load(..) => return record.map_or(NOT_FOUND, |record| self.give(&record)),
            Asked::Store(data) => self.keep(data.to_vec()),
            Asked::Erase => drop(self.records.lock().unwrap().remove(&self.key)),
        }
        0
    }

    /// Answers a load with this value.
    pub fn give(&mut self, value: &[u8]) -> i32 {
        let Asked::Load(buffer, out_len) = &mut self.asked else { panic!("no load") };
        **out_len = value.len();
        let Some(buffer) = buffer.get_mut(..value.len()) else { return TOO_SMALL };
        buffer.copy_from_slice(value);
        0
    }

    /// Sets the value of the key.
    pub fn keep(&self, value: Vec<u8>) {
        self.records.lock().unwrap().insert(self.key.clone(), value);
    }
}

impl Store {
    pub fn new() -> Store {
        Store::default()
    }

    pub fn with(records: Records) -> Store {
        let store = Store::new();
        *store.records() = records;
        store
    }

    pub fn records(&self) -> MutexGuard<'_, Records> {
        self.0.records.lock().unwrap()
    }

    /// Whether there is a record of this role.
    pub fn has(&self, role: &str) -> bool {
        !self.keys(role).is_empty()
    }

    /// The keys of these records, in the order of their numbers.
    pub fn keys(&self, role: &str) -> Vec<String> {
        let records = self.records();
        let mut keys: Vec<_> = records.keys().filter(|key| key.starts_with(&format!("{role}."))).cloned().collect();
        keys.sort_by_key(|key| (key.len(), key.clone()));
        keys
    }

    /// Changes the value of a key.
    pub fn garble(&self, key: &str, change: impl FnOnce(&mut Vec<u8>)) {
        change(self.records().get_mut(key).unwrap());
    }

    /// The calls since the last call of this function.
    pub fn calls(&self) -> Calls {
        let Medium { loads, stores, erases, .. } = &*self.0;
        Calls { loads: loads.swap(0, SeqCst), stores: stores.swap(0, SeqCst), erases: erases.swap(0, SeqCst) }
    }

    /// The number of the last call.
    pub fn number(&self) -> usize {
        self.0.number.load(SeqCst)
    }

    /// From now on each call runs this function: if it returns an answer, that is the result; otherwise the call is
    /// performed.
    pub fn answer(&self, answer: impl Fn(&mut Request) -> Option<i32> + Send + Sync + 'static) {
        self.0.answers.lock().unwrap().push(Arc::new(answer));
    }

    /// Answers each load.
    pub fn on_load(&self, load: impl Fn(&mut [u8], &mut usize) -> i32 + Send + Sync + 'static) {
        self.answer(move |request| match &mut request.asked {
            Asked::Load(buffer, out_len) => Some(load(buffer, out_len)),
            _ => None,
        });
    }

    /// Answers each load, store and erase with these numbers.
    pub fn on_calls(&self, load: i32, store: i32, erase: i32) {
        self.answer(move |request| {
            Some(match request.asked {
                Asked::Load(..) => load,
                Asked::Store(_) => store,
                Asked::Erase => erase,
            })
        });
    }

    /// From now on each store fails with this code; 0: no longer. `all_the_same`: the value is stored nevertheless.
    pub fn fail(&self, code: i32, all_the_same: bool) {
        self.mend();
        self.answer(move |request| {
            let fails = code != 0 && request.is_store();
            if fails && all_the_same {
                request.obey();
            }
            fails.then_some(code)
        });
    }

    /// It works correctly again.
    pub fn mend(&self) {
        self.0.answers.lock().unwrap().clear();
    }

    /// Sets a function that runs at its release.
    pub fn on_release(&self, on_release: impl Fn() + Send + Sync + 'static) {
        *self.0.on_release.lock().unwrap() = Some(Box::new(on_release));
    }

    pub fn released(&self) -> usize {
        self.0.released.load(SeqCst)
    }

    /// The vtable holds a reference until its release.
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

    /// The vtable for the library.
    pub fn storage(&self) -> Arc<HostStorage> {
        // SAFETY: the callbacks are thread-safe, and keep to the contract as far as the test wants them to.
        unsafe { HostStorage::new(&self.vtable()) }.unwrap()
    }
}

impl Medium {
    fn call(&self, count: &AtomicUsize, key: *const c_char, asked: Asked) -> i32 {
        count.fetch_add(1, SeqCst);
        let number = self.number.fetch_add(1, SeqCst) + 1;
        let mut request = Request { number, key: text(key), asked, records: &self.records };
        let answers = self.answers.lock().unwrap().clone();
        let answer = answers.iter().find_map(|answer| answer(&mut request));
        answer.unwrap_or_else(|| request.obey())
    }
}

unsafe fn medium<'a>(ctx: *mut c_void) -> &'a Medium {
    // SAFETY: `vtable` made it, and it lives until `release`.
    unsafe { &*ctx.cast() }
}

unsafe extern "C" fn load(
    ctx: *mut c_void,
    key: *const c_char,
    buffer: *mut u8,
    cap: usize,
    out_len: *mut usize,
) -> i32 {
    // SAFETY: the library's side of the contract.
    let (medium, buffer, out_len) = unsafe { (medium(ctx), slice::from_raw_parts_mut(buffer, cap), &mut *out_len) };
    medium.call(&medium.loads, key, Asked::Load(buffer, out_len))
}

unsafe extern "C" fn store(ctx: *mut c_void, key: *const c_char, data: *const u8, len: usize) -> i32 {
    // SAFETY: as above.
    let (medium, data) = unsafe { (medium(ctx), slice::from_raw_parts(data, len)) };
    medium.call(&medium.stores, key, Asked::Store(data))
}

unsafe extern "C" fn erase(ctx: *mut c_void, key: *const c_char) -> i32 {
    // SAFETY: as above.
    let medium = unsafe { medium(ctx) };
    medium.call(&medium.erases, key, Asked::Erase)
}

unsafe extern "C" fn release(ctx: *mut c_void) {
    // SAFETY: the pointer is from Arc::into_raw, and this is the one release.
    let medium = unsafe { Arc::from_raw(ctx.cast::<Medium>()) };
    if let Some(on_release) = &*medium.on_release.lock().unwrap() {
        on_release();
    }
    medium.released.fetch_add(1, SeqCst);
}
