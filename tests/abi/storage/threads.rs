//! Which thread runs the storage's callbacks, and what they block: only the loop of their own client.

use std::collections::BTreeSet;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};

use enos::error::Status::*;
use enos::ffi::config::enos_config_new;
use enos::ffi::sign::enos_sign_username;
use enos::ffi::storage::enos_storage_directory;
use support::desk::Desk;
use support::gate::Gate;
use support::host::{Client, Host, Store, CONNECTING, DEVICE_KEY, ONLINE, PATIENCE_MS, PERSISTING};

use super::device;

#[test]
fn the_callbacks_run_on_the_thread_that_loops() {
    for (own_thread, expected) in [(false, "here"), (true, "enos-loop")] {
        let (desk, store) = (Desk::with_devices([DEVICE_KEY]), Store::new());
        let threads = Arc::new(Mutex::new(BTreeSet::<String>::new()));
        let (seen, here) = (Arc::clone(&threads), thread::current().id());
        store.answer(move |_| {
            seen.lock().unwrap().insert(name(here));
            None
        });
        let mut host = device(&desk, DEVICE_KEY, &store).create();
        host.connect();
        assert_eq!(store.number(), 0, "connect() calls no storage");
        if own_thread {
            assert_eq!(host.loop_start(), ENOS_OK);
        }
        host.loop_until(|host| host.state() == ONLINE);
        drop(host);
        assert_eq!(threads.lock().unwrap().iter().collect::<Vec<_>>(), [expected]);
    }
}

fn name(here: ThreadId) -> String {
    match thread::current().id() == here {
        true => "here".to_owned(),
        // The library's thread has no name in Rust, so ask the kernel.
        false => std::fs::read_to_string("/proc/thread-self/comm").unwrap().trim_end().to_owned(),
    }
}

#[test]
fn two_devices_share_a_storage_one_call_at_a_time() {
    let keys = ["first", "second"];
    let (desk, store) = (Desk::with_devices(keys), Store::new());
    let (inside, most) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let peak = Arc::clone(&most);
    store.answer(move |_| {
        peak.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
        // Time for the other thread to enter, if it could.
        (0..50).for_each(|_| thread::yield_now());
        inside.fetch_sub(1, SeqCst);
        None
    });
    let mut hosts = keys.map(|key| device(&desk, key, &store).create());
    thread::scope(|scope| hosts.iter_mut().for_each(|host| drop(scope.spawn(|| host.online_as_new()))));
    assert_eq!(most.load(SeqCst), 1);
    let [first, second] = hosts;
    drop(first);
    assert_eq!(store.released(), 0);
    drop(second);
    assert_eq!(store.released(), 1);

    let copy = Store::with(store.records().clone());
    let mut hosts = keys.map(|key| device(&desk, key, &copy).create());
    hosts.iter_mut().for_each(Host::online);
    assert!(keys.iter().all(|key| desk.modes_of(key) == [3, 2, 2]), "each has its own secret");
}

/// Before the login, and while storing a secret that no event has reported yet; that one cannot be saved by hand.
#[test]
fn a_storage_that_does_not_come_back_holds_up_nobody_else() {
    for (call, state) in [("sign", CONNECTING), ("secrets", PERSISTING)] {
        let (desk, stuck, gate) = (Desk::with_devices(["stuck", "free"]), Store::new(), Gate::default());
        let at = gate.clone();
        stuck.answer(move |request| {
            if request.key.starts_with(call) && request.is_store() == (state == PERSISTING) {
                at.pass();
            }
            None
        });
        let mut host = device(&desk, "stuck", &stuck).start();
        host.connect();
        gate.wait_for_arrival();

        // While its callback runs, calls on the client work, and another client works normally.
        assert_eq!(host.state(), state);
        assert_eq!(host.publish("t", b"", 0), Err(ENOS_ERR_STATE));
        assert_eq!((host.activation_saved(), host.run_loop(0)), (ENOS_ERR_STATE, ENOS_ERR_STATE));
        assert!(host.fd() >= 0);
        host.wake();
        host.disconnect();
        host.connect();
        device(&desk, "free", &Store::new()).create().online_as_new();
        assert_eq!(host.state(), state);
        gate.open();
        host.until("CONNECTED");
        drop(host);
        device(&desk, "stuck", &stuck).create().online();
        assert_eq!(desk.modes_of("stuck"), [3, 2, 2]);
    }
}

#[test]
fn a_callback_that_calls_the_library_is_refused() {
    let (desk, store) = (Desk::with_devices([DEVICE_KEY]), Store::new());
    let (client, answers) = (Arc::new(Mutex::new(None::<Client>)), Arc::new(Mutex::new(BTreeSet::new())));
    let (of, seen) = (Arc::clone(&client), Arc::clone(&answers));
    store.answer(move |_| {
        let client = of.lock().unwrap().unwrap();
        let mut config = null_mut();
        // SAFETY: texts and places.
        let others = unsafe {
            [
                enos_config_new(&mut config),
                enos_storage_directory(c"/nowhere".as_ptr(), null_mut()),
                enos_sign_username(null(), null_mut(), 0, null_mut()),
            ]
        };
        let mut seen = seen.lock().unwrap();
        seen.extend(others);
        let refused = [client.run_loop(0), client.wait(0, 0), client.destroy(), client.activation_saved()];
        seen.extend(refused.map(|status| status as i32));
        // SAFETY: a handle.
        seen.extend(unsafe {
            let handle = client.handle();
            [enos::ffi::client::enos_client_connect(handle), enos::ffi::client::enos_client_disconnect(handle)]
        });
        seen.insert(client.publish("t", b"", 0).unwrap_err() as i32);
        None
    });
    let mut host = device(&desk, DEVICE_KEY, &store).create();
    *client.lock().unwrap() = Some(host.client());
    host.online_as_new();
    assert_eq!(answers.lock().unwrap().iter().copied().collect::<Vec<_>>(), [ENOS_ERR_IN_CALLBACK as i32]);
    assert_eq!(desk.modes(), [3, 2]);
}

/// A slow storage blocks it for one call at a time, and a flood of events for a few hundred events.
#[test]
fn a_loop_that_does_not_wait_calls_the_storage_once_and_tells_a_bounded_number_of_events() {
    let (desk, store, calls) = (Desk::with_devices([DEVICE_KEY]), Store::new(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&calls);
    store.answer(move |request| {
        // The outbox opens its two records in one call.
        let is_second = request.key.starts_with("index.1");
        counted.fetch_add(usize::from(!is_second), SeqCst);
        None
    });
    let mut host = device(&desk, DEVICE_KEY, &store).create();
    let pass = |host: &Host| {
        let before = calls.load(SeqCst);
        assert!(host.readable(PATIENCE_MS), "something is left to do, and the descriptor does not say so");
        assert_eq!(host.run_loop(0), ENOS_OK);
        assert!(calls.load(SeqCst) - before <= 1, "{} calls in one pass", calls.load(SeqCst) - before);
    };
    host.connect();
    while host.state() != ONLINE {
        pass(&host);
    }
    while host.readable(0) {
        pass(&host);
    }
    assert!(calls.load(SeqCst) >= 15, "too few for an activation and a login");
    assert_eq!([host.next(), host.next()].map(|told| told.name), ["ACTIVATED", "CONNECTED"]);

    host.go_offline();
    for _ in 0..600 {
        host.disconnect();
    }
    let told: Vec<usize> = (0..3)
        .map(|_| {
            pass(&host);
            std::iter::from_fn(|| host.take()).filter(|told| told.name == "STOPPED").count()
        })
        .collect();
    assert_eq!(told, [256, 256, 88]);
}
