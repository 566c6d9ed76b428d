//! A host that lies, fails or is called from everywhere.

use enos::storage::key_value::KeyValue;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use enos::error::Status;
use enos::storage::vtable::{in_storage_callback, HostStorage, StorageError};

use crate::host::Host;

const LIMIT: usize = 64 * 1024;

fn load_error(host: &Host) -> StorageError {
    host.storage().load("key").unwrap_err()
}

#[test]
fn keeps_and_forgets_values() {
    let host = Host::honest();
    let storage = host.storage();
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
fn a_callback_that_is_null_is_named() {
    let host = Host::honest();
    for (name, index) in [("load", 0), ("store", 1), ("erase", 2)] {
        let mut raw = host.vtable();
        match index {
            0 => raw.load = None,
            1 => raw.store = None,
            _ => raw.erase = None,
        }
        // SAFETY: the host outlives the call.
        let error = unsafe { HostStorage::new(&raw) }.err().unwrap();
        assert_eq!(error.status, Status::ENOS_ERR_NULL_ARG);
        assert!(error.message.contains(name), "{}", error.message);
    }
    assert_eq!(host.released(), 0, "what was not taken over is not released");
}

#[test]
fn a_negative_number_comes_back_as_it_is() {
    let mut host = Host::honest();
    host.load = Box::new(|_, _, _| -5);
    host.store = Box::new(|_, _| i32::MIN);
    host.erase = Box::new(|_| -1);
    let storage = host.storage();
    let errors =
        [storage.load("k").unwrap_err(), storage.store("k", b"v").unwrap_err(), storage.erase("k").unwrap_err()];
    assert_eq!(errors.each_ref().map(|e| e.code), [-5, i32::MIN, -1]);
    assert!(errors[0].message.contains("load") && errors[0].message.contains("-5"), "{}", errors[0].message);
}

#[test]
fn a_number_that_is_no_answer_is_a_fault() {
    let mut host = Host::honest();
    host.load = Box::new(|_, _, _| 3);
    host.store = Box::new(|_, _| 1);
    host.erase = Box::new(|_| 2);
    let storage = host.storage();
    for error in [storage.load("k").unwrap_err(), storage.store("k", b"").unwrap_err(), storage.erase("k").unwrap_err()]
    {
        assert_eq!(error.code, 0);
        assert!(error.message.contains("not an answer"), "{}", error.message);
    }
}

#[test]
fn a_length_beyond_the_buffer_is_a_fault() {
    for beyond in [1025, LIMIT + 1, usize::MAX, isize::MAX as usize] {
        let error = load_error(&Host::loading(move |_, _, out_len| {
            *out_len = beyond;
            0
        }));
        assert_eq!(error.code, 0);
        assert!(error.message.contains(&beyond.to_string()), "{}", error.message);
    }
}

#[test]
fn too_small_for_ever_ends() {
    // The size that the host names; how often it is asked.
    for (named, calls) in [(0, 2), (1, 1), (1024, 1), (1025, 2), (LIMIT, 2), (LIMIT + 1, 1), (usize::MAX, 1)] {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let error = load_error(&Host::loading(move |_, _, out_len| {
            count.fetch_add(1, Ordering::SeqCst);
            *out_len = named;
            2
        }));
        assert_eq!((error.code, asked.load(Ordering::SeqCst)), (0, calls), "named {named}: {}", error.message);
    }
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = asked.clone();
    let error = load_error(&Host::loading(move |_, buf, out_len| {
        log.lock().unwrap().push(buf.len());
        *out_len = buf.len() + 1;
        2
    }));
    assert_eq!(*asked.lock().unwrap(), [1024, 1025, 1026], "{}", error.message);
}

#[test]
fn a_value_that_grows_between_two_calls_is_read() {
    let next = AtomicUsize::new(1);
    let host = Host::loading(move |_, buf, out_len| {
        *out_len = 2000 * next.fetch_add(1, Ordering::SeqCst);
        match buf.get_mut(..*out_len) {
            None => {
                // It grows once more before the second call and is steady then.
                next.store(2, Ordering::SeqCst);
                2
            }
            Some(buf) => {
                buf.fill(7);
                0
            }
        }
    });
    assert_eq!(host.storage().load("key").unwrap().unwrap().to_vec(), vec![7; 4000]);
}

#[test]
fn a_value_that_shrinks_or_goes_between_two_calls_is_no_fault() {
    let first = AtomicBool::new(true);
    let host = Host::loading(move |_, _, out_len| {
        *out_len = if first.swap(false, Ordering::SeqCst) { 5000 } else { 3 };
        if *out_len == 5000 {
            2
        } else {
            0
        }
    });
    assert_eq!(host.storage().load("key").unwrap().unwrap().len(), 3);

    let first = AtomicBool::new(true);
    let host = Host::loading(move |_, _, out_len| {
        *out_len = 5000;
        if first.swap(false, Ordering::SeqCst) {
            2
        } else {
            1
        }
    });
    assert_eq!(host.storage().load("key"), Ok(None));
}

#[test]
fn a_host_that_cannot_tell_the_size_is_given_all_the_room() {
    let host = Host::loading(|_, buf, out_len| {
        if buf.len() < 3000 {
            return 2;
        }
        *out_len = 3000;
        0
    });
    assert_eq!(host.storage().load("key").unwrap().unwrap().len(), 3000);
}

#[test]
fn bad_keys_and_long_values_never_reach_the_host() {
    let mut host = Host::honest();
    host.load = Box::new(|_, _, _| unreachable!());
    host.store = Box::new(|_, _| unreachable!());
    host.erase = Box::new(|_| unreachable!());
    let storage = host.storage();
    let too_long = "k".repeat(65);
    for key in ["", "A", "a/b", "a b", "a\0b", "ü", too_long.as_str()] {
        assert!(
            storage.load(key).is_err() && storage.store(key, b"").is_err() && storage.erase(key).is_err(),
            "{key:?}"
        );
    }
    assert!(storage.store("key", &vec![0; LIMIT + 1]).unwrap_err().message.contains("65537"));
}

#[test]
fn one_call_at_a_time() {
    const THREADS: usize = 8;
    const ROUNDS: usize = 200;
    let inside = Arc::new(AtomicUsize::new(0));
    let together = Arc::new(AtomicBool::new(false));
    let calls = Arc::new(AtomicUsize::new(0));
    let enter = {
        let (inside, together, calls) = (inside.clone(), together.clone(), calls.clone());
        move || {
            if inside.fetch_add(1, Ordering::SeqCst) > 0 {
                together.store(true, Ordering::SeqCst);
            }
            thread::yield_now();
            calls.fetch_add(1, Ordering::SeqCst);
            inside.fetch_sub(1, Ordering::SeqCst);
            0
        }
    };
    let mut host = Host::honest();
    let (for_load, for_store) = (enter.clone(), enter.clone());
    host.load = Box::new(move |_, _, _| for_load());
    host.store = Box::new(move |_, _| for_store());
    host.erase = Box::new(move |_| enter());

    let start = Barrier::new(THREADS);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                // Each config takes the same vtable over by itself; it is one store all the same.
                let storage = host.storage();
                start.wait();
                for _ in 0..ROUNDS {
                    storage.load("k").unwrap();
                    storage.store("k", b"v").unwrap();
                    storage.erase("k").unwrap();
                }
            });
        }
    });
    assert_eq!(calls.load(Ordering::SeqCst), THREADS * ROUNDS * 3);
    assert!(!together.load(Ordering::SeqCst), "two callbacks ran at once");
}

#[test]
fn released_once_after_the_last_use() {
    let host = Host::honest();
    let (first, second) = (host.storage(), host.storage());
    assert!(Arc::ptr_eq(&first, &second));
    drop(first);
    second.store("k", b"v").unwrap();
    assert_eq!(host.released(), 0);
    thread::scope(|scope| {
        for _ in 0..8 {
            let last = second.clone();
            scope.spawn(move || drop(last));
        }
        drop(second);
    });
    assert_eq!(host.released(), 1);

    let other = Host::honest();
    assert!(!Arc::ptr_eq(&host.storage(), &other.storage()), "another ctx is another store");
}

#[test]
fn release_may_be_null() {
    let host = Host::honest();
    let raw = enos::storage::vtable::enos_storage { release: None, ..host.vtable() };
    // SAFETY: the host outlives it.
    drop(unsafe { HostStorage::new(&raw) }.unwrap());
    assert_eq!(host.released(), 0);
}

#[test]
fn a_callback_knows_that_it_is_one() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let see = {
        let seen = seen.clone();
        move || seen.lock().unwrap().push(in_storage_callback())
    };
    let mut host = Host::honest();
    let (for_load, for_store, for_erase) = (see.clone(), see.clone(), see.clone());
    host.load = Box::new(move |_, _, _| (for_load(), 1).1);
    host.store = Box::new(move |_, _| (for_store(), 0).1);
    host.erase = Box::new(move |_| (for_erase(), 0).1);
    host.on_release = Box::new(see);
    let storage = host.storage();
    assert!(!in_storage_callback());
    storage.load("k").unwrap();
    storage.store("k", b"").unwrap();
    storage.erase("k").unwrap();
    drop(storage);
    assert_eq!(*seen.lock().unwrap(), [true; 4]);
    assert!(!in_storage_callback());
}

#[test]
fn another_thread_is_in_no_callback() {
    let host = Host::loading(|_, _, _| {
        let elsewhere = thread::spawn(in_storage_callback).join().unwrap();
        if elsewhere {
            -1
        } else {
            1
        }
    });
    assert_eq!(host.storage().load("k"), Ok(None));
}

#[test]
fn a_callback_that_calls_back_is_refused_instead_of_hanging() {
    let slot: Arc<Mutex<Option<Arc<HostStorage>>>> = Arc::default();
    let inner = slot.clone();
    let host = Host::loading(move |_, _, _| {
        let storage = inner.lock().unwrap().clone().unwrap();
        let refused = storage.store("k", b"v").unwrap_err();
        assert!(refused.message.contains("callback"), "{}", refused.message);
        assert!(in_storage_callback(), "the refused call has ended nothing");
        1
    });
    *slot.lock().unwrap() = Some(host.storage());
    assert_eq!(host.storage().load("k"), Ok(None));
    assert!(!in_storage_callback());
    slot.lock().unwrap().take();
}
