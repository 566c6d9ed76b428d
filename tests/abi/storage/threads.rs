//! Which thread runs the storage's code, and whom it holds up: nobody but its own client's loop.

use std::collections::BTreeSet;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{mpsc, Arc, Mutex};
use std::thread::{self, ThreadId};

use enos::error::Status;
use enos::ffi::client::*;
use enos::ffi::config::enos_config_new;
use enos::ffi::handle::enos_client;
use enos::ffi::message::enos_client_publish;
use enos::ffi::sign::enos_sign_username;
use enos::ffi::storage::enos_storage_directory;

use super::client::{ok, Client, Sky, ONLINE};
use super::store::Store;

/// Waits without the loop: another thread runs it.
fn until(holds: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !holds() {
        assert!(start.elapsed() < super::client::PATIENCE);
        thread::yield_now();
    }
}

#[test]
fn the_callbacks_run_on_the_thread_that_loops() {
    for own_thread in [false, true] {
        let (sky, store) = (Sky::of("dk"), Store::new());
        let threads = Arc::new(Mutex::new(BTreeSet::<String>::new()));
        let (seen, here) = (Arc::clone(&threads), thread::current().id());
        store.set_hook(move |_| {
            seen.lock().unwrap().insert(name(here));
        });
        let client = Client::new(&sky, "dk", &store.vtable());
        client.connect();
        assert!(store.calls().is_empty(), "connect() calls no storage");
        if own_thread {
            // SAFETY: a handle; likewise below.
            ok(unsafe { enos_client_loop_start(client.handle) });
            until(|| client.state() == ONLINE);
        } else {
            client.until("online", |client| client.state() == ONLINE);
        }
        drop(client);
        let expected = if own_thread { "enos-loop" } else { "here" };
        assert_eq!(threads.lock().unwrap().iter().collect::<Vec<_>>(), [expected]);
    }
}

fn name(here: ThreadId) -> String {
    let current = thread::current();
    match current.id() == here {
        true => "here".to_owned(),
        // The library's own is no thread of Rust's naming: the kernel knows what it is called.
        false => std::fs::read_to_string("/proc/thread-self/comm").unwrap().trim_end().to_owned(),
    }
}

#[test]
fn two_devices_share_a_storage_one_call_at_a_time() {
    let keys = ["first", "second"];
    let (sky, store) = (Sky::new(keys.map(str::to_owned)), Store::new());
    let (inside, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now, peak) = (Arc::clone(&inside), Arc::clone(&most));
    store.set_hook(move |_| {
        peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        // Room for the other one to come in, if it could.
        (0..50).for_each(|_| thread::yield_now());
        now.fetch_sub(1, Ordering::SeqCst);
    });
    let vtable = store.vtable();
    let clients = keys.map(|key| Client::new(&sky, key, &vtable));
    thread::scope(|scope| {
        for client in &clients {
            scope.spawn(|| {
                client.connect();
                client.until("online", |client| client.state() == ONLINE);
            });
        }
    });
    assert_eq!(most.load(Ordering::SeqCst), 1);
    let [first, second] = clients;
    drop(first);
    assert_eq!(store.released.load(Ordering::SeqCst), 0);
    drop(second);
    assert_eq!(store.released.load(Ordering::SeqCst), 1);

    let vtable = Store::with(store.values.lock().unwrap().clone()).vtable();
    for client in keys.map(|key| Client::new(&sky, key, &vtable)) {
        client.connect();
        client.until("online", |client| client.state() == ONLINE);
    }
    assert!(keys.iter().all(|key| sky.modes(key) == [3, 2, 2]), "each has its own secret");
}

#[test]
fn a_storage_that_does_not_come_back_holds_up_nobody_else() {
    let (sky, stuck, free) = (Sky::new(["stuck", "free"].map(str::to_owned)), Store::new(), Store::new());
    let (open, gate) = mpsc::channel::<()>();
    let (gate, waits) = (Mutex::new(gate), Arc::new(AtomicBool::new(false)));
    let waiting = Arc::clone(&waits);
    stuck.set_hook(move |_| {
        waiting.store(true, Ordering::SeqCst);
        let _ = gate.lock().unwrap().recv();
    });
    let client = Client::new(&sky, "stuck", &stuck.vtable());
    // SAFETY: a handle.
    ok(unsafe { enos_client_loop_start(client.handle) });
    client.connect();
    until(|| waits.load(Ordering::SeqCst));

    // While its callback runs, the client can be asked and told, and another one does all that it does.
    assert_eq!(client.state(), 3);
    let (mut token, state) = (0, Status::ENOS_ERR_STATE as i32);
    // SAFETY: a handle, a text and a place.
    unsafe {
        assert_eq!(enos_client_publish(client.handle, c"t".as_ptr(), null(), 0, 0, 0, &mut token), state);
        assert_eq!(enos_client_activation_saved(client.handle), state);
        assert_eq!(enos_client_loop(client.handle, 0), state);
        assert!(enos_client_fd(client.handle) >= 0);
        enos_client_wake(client.handle);
    }
    client.disconnect();
    client.connect();
    let other = Client::new(&sky, "free", &free.vtable());
    other.connect();
    other.until("online", |client| client.state() == ONLINE);
    drop(other);
    assert_eq!(client.state(), 3);
    drop(open);
    until(|| client.state() == ONLINE);
}

#[test]
fn a_callback_that_calls_the_library_is_refused() {
    let (sky, store) = (Sky::of("dk"), Store::new());
    let handle = Arc::new(AtomicUsize::new(0));
    let answers = Arc::new(Mutex::new(BTreeSet::new()));
    let (of, seen) = (Arc::clone(&handle), Arc::clone(&answers));
    store.set_hook(move |_| {
        let client = of.load(Ordering::SeqCst) as *mut enos_client;
        let (mut config, mut token) = (null_mut(), 0);
        // SAFETY: a handle, texts and places.
        let refused = unsafe {
            [
                enos_client_connect(client),
                enos_client_disconnect(client),
                enos_client_loop(client, 0),
                enos_client_wait(client, 0, 0),
                enos_client_destroy(client),
                enos_client_activation_saved(client),
                enos_client_publish(client, c"t".as_ptr(), null(), 0, 0, 0, &mut token),
                enos_config_new(&mut config),
                enos_storage_directory(c"/nowhere".as_ptr(), null_mut()),
                enos_sign_username(null(), null_mut(), 0, null_mut()),
            ]
        };
        seen.lock().unwrap().extend(refused);
    });
    let client = Client::new(&sky, "dk", &store.vtable());
    handle.store(client.handle as usize, Ordering::SeqCst);
    client.connect();
    client.until("online", |client| client.state() == ONLINE);
    let refused = Status::ENOS_ERR_IN_CALLBACK as i32;
    assert_eq!(answers.lock().unwrap().iter().copied().collect::<Vec<_>>(), [refused]);
    assert_eq!(sky.modes("dk"), [3, 2]);
}
