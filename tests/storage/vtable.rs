//! A host's vtable that lies, fails, or is called from several places.

use enos::storage::key_value::KeyValue;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use enos::model::storage::StorageError;
use enos::storage::vtable::{enos_storage, HostStorage};
use support::host::{Store, NOT_FOUND, TOO_SMALL};

const LIMIT: usize = 64 * 1024;

/// A host with this load function.
fn loading(load: impl Fn(&mut [u8], &mut usize) -> i32 + Send + Sync + 'static) -> Arc<HostStorage> {
    let store = Store::new();
    store.on_load(load);
    store.storage()
}

/// The results of loading, storing and erasing, which all fail.
fn errors(storage: &HostStorage) -> [StorageError; 3] {
    [storage.load("k").unwrap_err(), storage.store("k", b"v").unwrap_err(), storage.erase("k").unwrap_err()]
}

#[test]
fn keeps_and_forgets_values() {
    let storage = Store::new().storage();
    assert_eq!(storage.load("key"), Ok(None));
    storage.erase("key").unwrap();
    for len in [0, 1, 1023, 1024, 1025, LIMIT] {
        let value: Vec<u8> = (0..len).map(|i| i as u8).collect();
        storage.store("key", &value).unwrap();
        assert_eq!(storage.load("key").unwrap().unwrap().to_vec(), value);
    }
    storage.erase("key").unwrap();
    assert_eq!(storage.load("key"), Ok(None));
}

#[test]
fn a_negative_number_is_returned_and_an_invalid_one_is_a_fault() {
    let store = Store::new();
    store.on_calls(-5, i32::MIN, -1);
    let errors_of_the_host = errors(&store.storage());
    assert_eq!(errors_of_the_host.each_ref().map(|e| e.code), [-5, i32::MIN, -1]);
    let words = &errors_of_the_host[0].message;
    assert!(words.contains("load") && words.contains("-5"), "{words}");
    assert!(!words.contains("storage:"), "the log says so before it: {words}");
    store.mend();
    store.on_calls(3, 1, 2);
    for error in errors(&store.storage()) {
        assert_eq!(error.code, 0);
        assert!(error.message.contains("not an answer"), "{}", error.message);
    }
}

#[test]
fn a_length_beyond_the_buffer_is_a_fault() {
    for beyond in [1025, LIMIT + 1, usize::MAX, isize::MAX as usize] {
        let storage = loading(move |_, out_len| {
            *out_len = beyond;
            0
        });
        let error = storage.load("key").unwrap_err();
        assert_eq!(error.code, 0);
        assert!(error.message.contains(&beyond.to_string()), "{}", error.message);
    }
}

#[test]
fn too_small_for_ever_ends() {
    // The size that the host returns; the number of its calls.
    for (named, calls) in [(0, 2), (1, 1), (1024, 1), (1025, 2), (LIMIT, 2), (LIMIT + 1, 1), (usize::MAX, 1)] {
        let store = Store::new();
        store.on_load(move |_, out_len| {
            *out_len = named;
            TOO_SMALL
        });
        let error = store.storage().load("key").unwrap_err();
        assert_eq!((error.code, store.number()), (0, calls), "named {named}: {}", error.message);
    }
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = asked.clone();
    let storage = loading(move |buffer, out_len| {
        log.lock().unwrap().push(buffer.len());
        *out_len = buffer.len() + 1;
        TOO_SMALL
    });
    let error = storage.load("key").unwrap_err();
    assert_eq!(*asked.lock().unwrap(), [1024, 1025, 1026], "{}", error.message);
}

#[test]
fn a_value_that_changes_between_two_calls_is_no_fault() {
    // It has another size at the second call, and another one at the third, or it is gone.
    let sizes: [([Option<usize>; 3], Option<usize>); 3] = [
        ([Some(2000), Some(4000), Some(4000)], Some(4000)),
        ([Some(5000), Some(3), Some(3)], Some(3)),
        ([Some(5000), None, None], None),
    ];
    for (sizes, expected) in sizes {
        let call = AtomicUsize::new(0);
        let storage = loading(move |buffer, out_len| {
            let Some(size) = sizes[call.fetch_add(1, SeqCst)] else { return NOT_FOUND };
            *out_len = size;
            let Some(buffer) = buffer.get_mut(..size) else { return TOO_SMALL };
            buffer.fill(7);
            0
        });
        let value = storage.load("key").unwrap().map(|value| value.to_vec());
        assert_eq!(value, expected.map(|size| vec![7; size]));
    }
}

#[test]
fn a_host_that_does_not_return_the_size_gets_the_largest_buffer() {
    let storage = loading(|buffer, out_len| {
        if buffer.len() < 3000 {
            return TOO_SMALL;
        }
        *out_len = 3000;
        0
    });
    assert_eq!(storage.load("key").unwrap().unwrap().len(), 3000);
}

#[test]
fn bad_keys_and_long_values_never_reach_the_host() {
    let store = Store::new();
    let storage = store.storage();
    let too_long = "k".repeat(65);
    for key in ["", "A", "a/b", "a b", "a\0b", "ü", too_long.as_str()] {
        assert!(
            storage.load(key).is_err() && storage.store(key, b"").is_err() && storage.erase(key).is_err(),
            "{key:?}"
        );
    }
    assert!(storage.store("key", &vec![0; LIMIT + 1]).unwrap_err().message.contains("65537"));
    assert_eq!(store.number(), 0);
}

#[test]
fn one_call_at_a_time() {
    const THREADS: usize = 8;
    const ROUNDS: usize = 200;
    let (store, inside, together) = (Store::new(), AtomicUsize::new(0), Arc::new(AtomicBool::new(false)));
    let met = together.clone();
    store.answer(move |_| {
        if inside.fetch_add(1, SeqCst) > 0 {
            met.store(true, SeqCst);
        }
        thread::yield_now();
        inside.fetch_sub(1, SeqCst);
        None
    });
    let start = Barrier::new(THREADS);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                // Each config takes over the same vtable separately, but it is one store.
                let storage = store.storage();
                start.wait();
                for _ in 0..ROUNDS {
                    storage.load("k").unwrap();
                    storage.store("k", b"v").unwrap();
                    storage.erase("k").unwrap();
                }
            });
        }
    });
    assert_eq!(store.number(), THREADS * ROUNDS * 3);
    assert!(!together.load(SeqCst), "two callbacks ran at once");
}

#[test]
fn released_once_after_the_last_use() {
    let store = Store::new();
    let (first, second) = (store.storage(), store.storage());
    assert!(Arc::ptr_eq(&first, &second));
    drop(first);
    second.store("k", b"v").unwrap();
    assert_eq!(store.released(), 0);
    thread::scope(|scope| {
        for _ in 0..8 {
            let last = second.clone();
            scope.spawn(move || drop(last));
        }
        drop(second);
    });
    assert_eq!(store.released(), 1);
    assert!(!Arc::ptr_eq(&store.storage(), &Store::new().storage()), "another ctx is another store");
}

#[test]
fn release_may_be_null() {
    let store = Store::new();
    let raw = enos_storage { release: None, ..store.vtable() };
    // SAFETY: the store outlives it.
    drop(unsafe { HostStorage::new(&raw) }.unwrap());
    assert_eq!(store.released(), 0);
}
