//! Storage that does wrong during an activation: the one secret is not lost, and there is no second activation.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use enos::error::Status;

use super::client::{
    Client, Sky, Told, ACTIVATED, ACTIVATING, CONNECTED, DISCONNECTED, ONLINE, PERSISTING, PERSIST_FAILED,
};
use super::store::{Operation, Store, Wrong, CODE};

/// Devices at a time. Each of them mostly waits until it tries again.
const PARALLEL: usize = 16;

/// What the storage holds in the end is what the cloud has given.
fn check_kept(sky: &Sky, store: &Arc<Store>, key: &str) -> Result<(), String> {
    let again = Client::new(sky, key, &Store::with(store.values.lock().unwrap().clone()).vtable());
    let before = sky.modes(key).len();
    again.connect();
    again.wait_for("online after a restart", |client| client.state() == ONLINE)?;
    match &sky.modes(key)[before..] {
        [2] => Ok(()),
        modes => Err(format!("the restart took logins of modes {modes:?}")),
    }
}

/// One activation in which the `at`-th call goes wrong, and for `lasting` each call after it until the device has told.
fn activate(sky: &Sky, key: &str, at: usize, wrong: Wrong, lasting: bool) -> Result<(), String> {
    let store = Store::new();
    store.set_fault(move |number, _| (number == at || (lasting && number > at)).then_some(wrong));
    let client = Client::new(sky, key, &store.vtable());
    client.connect();
    if lasting {
        let told = |client: &Client| !client.events().is_empty() && store.calls().len() >= at;
        client.wait_for("an event", |client| told(client))?;
        store.mend();
    }
    client.wait_for("online", |client| client.state() == ONLINE)?;
    // AUTO's first method is right here: one login as product, one as the device.
    let modes = sky.modes(key);
    if modes != [3, 2] {
        return Err(format!("logins of modes {modes:?}; told: {:#?}", client.events()));
    }
    for failed in client.told(PERSIST_FAILED) {
        let code = if wrong == Wrong::Fails { CODE } else { 0 };
        if failed.secret != sky.secret(key) || failed.code != code || failed.retry_in_ms < 1_000 {
            return Err(format!("told: {:?} {} {}", failed.detail, failed.code, failed.retry_in_ms));
        }
    }
    if client.told(ACTIVATED).len() != 1 {
        return Err(format!("told: {:#?}", client.events()));
    }
    drop(client);
    check_kept(sky, &store, key)
}

#[test]
fn any_call_of_an_activation_may_go_wrong() {
    let key = |at: usize, wrong: Wrong, lasting: bool| format!("{at}-{wrong:?}-{lasting}");
    // An undisturbed activation tells how many calls there are.
    let store = Store::new();
    let sky = Sky::of("undisturbed");
    let client = Client::new(&sky, "undisturbed", &store.vtable());
    client.connect();
    client.until("online", |client| client.state() == ONLINE);
    let calls = store.calls();
    drop(client);

    let mut cases = Vec::new();
    for (at, call) in (1..).zip(&calls) {
        for wrong in Wrong::ALL {
            // To misread what is not there is no fault.
            if call.operation == Operation::Store || matches!(wrong, Wrong::Fails | Wrong::Babbles | Wrong::TooSmall) {
                cases.extend([(at, wrong, false), (at, wrong, true)]);
            }
        }
    }
    println!("{} calls, {} cases", calls.len(), cases.len());
    assert!(calls.len() >= 15, "too few to be an activation: {calls:#?}");

    let sky = Sky::new(cases.iter().map(|&(at, wrong, lasting)| key(at, wrong, lasting)));
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..PARALLEL {
            scope.spawn(|| {
                while let Some(&(at, wrong, lasting)) = cases.get(next.fetch_add(1, Ordering::SeqCst)) {
                    if let Err(words) = activate(&sky, &key(at, wrong, lasting), at, wrong, lasting) {
                        let call = &calls[at - 1];
                        found.lock().unwrap().push(format!("{call:?} {wrong:?}, lasting: {lasting}: {words}"));
                    }
                }
            });
        }
    });
    let found = found.into_inner().unwrap();
    assert!(found.is_empty(), "{found:#?}");
}

/// A device whose secret has arrived, and whose storage takes nothing.
fn unsaved(sky: &Sky, key: &str) -> (Arc<Store>, Client) {
    let store = Store::new();
    store.set_fault(|_, call| (call.operation == Operation::Store).then_some(Wrong::Fails));
    let client = Client::new(sky, key, &store.vtable());
    client.connect();
    client.until("PERSIST_FAILED", |client| !client.told(PERSIST_FAILED).is_empty());
    assert_eq!(client.state(), PERSISTING);
    (store, client)
}

fn kinds(events: &[Told]) -> Vec<(i32, i32)> {
    events.iter().map(|told| (told.kind, told.status)).collect()
}

#[test]
fn a_secret_that_is_in_no_storage_is_told_again_and_again_and_not_let_go() {
    let sky = Sky::of("dk");
    let (store, client) = unsaved(&sky, "dk");
    client.until("three times", |client| client.told(PERSIST_FAILED).len() >= 3);
    for failed in client.told(PERSIST_FAILED) {
        assert_eq!((failed.status, failed.code), (Status::ENOS_ERR_STORAGE as i32, CODE));
        assert_eq!(failed.secret, sky.secret("dk"));
        assert!(failed.retry_in_ms >= 1_000 && failed.detail.contains("-77"), "{failed:?}");
    }
    let Err((client, status)) = client.destroy() else { panic!("the secret is gone") };
    assert_eq!(status, Status::ENOS_ERR_UNSAVED_SECRET as i32);

    // It is kept while the host is offline, and connect resumes it without a CONNECT.
    client.clear();
    client.disconnect();
    client.until("offline, and told", |client| {
        !sky.is_online("dk") && !client.told(PERSIST_FAILED).is_empty() && !client.told(DISCONNECTED).is_empty()
    });
    assert_eq!(client.told(DISCONNECTED)[0].status, 0);
    assert_eq!(client.state(), PERSISTING);
    client.clear();
    client.connect();
    client.until("told again", |client| !client.told(PERSIST_FAILED).is_empty());
    assert_eq!(sky.modes("dk"), [3]);

    store.mend();
    client.clear();
    client.until("online", |client| client.state() == ONLINE);
    assert_eq!(kinds(&client.events()), [(ACTIVATED, 0), (CONNECTED, 0)]);
    assert_eq!(sky.modes("dk"), [3, 2]);
    assert!(client.destroy().is_ok());
    check_kept(&sky, &store, "dk").unwrap();
}

#[test]
fn a_lost_link_does_not_end_the_storing() {
    let sky = Sky::of("dk");
    let (store, client) = unsaved(&sky, "dk");
    sky.cloud.kick(&enos_sim::DeviceId::new("pk", "dk")).unwrap();
    client.until("the link is gone", |_| !sky.is_online("dk"));
    client.clear();
    client.until("told again", |client| !client.told(PERSIST_FAILED).is_empty());
    assert_eq!((client.state(), sky.modes("dk")), (PERSISTING, vec![3]));
    store.mend();
    client.until("online", |client| client.state() == ONLINE);
    assert_eq!(sky.modes("dk"), [3, 2]);
    drop(client);
    check_kept(&sky, &store, "dk").unwrap();
}

#[test]
fn a_secret_saved_by_hand_is_gone_on_with_and_given_to_the_next_process() {
    let sky = Sky::of("dk");
    let (store, client) = unsaved(&sky, "dk");
    let by_hand = client.told(PERSIST_FAILED)[0].secret.clone().unwrap();
    assert_eq!(client.saved(), 0);
    assert_eq!(client.saved(), Status::ENOS_ERR_STATE as i32);
    client.until("online", |client| client.state() == ONLINE);
    assert_eq!((sky.modes("dk"), store.has("secret")), (vec![3, 2], false));
    assert!(client.destroy().is_ok(), "the host has it");

    let device_secret = Some(std::ffi::CString::new(by_hand).unwrap());
    let setup = super::client::Setup { device_secret, ..Default::default() };
    let next = Client::with(&sky, "dk", &store.vtable(), &setup);
    next.connect();
    next.until("online", |client| client.state() == ONLINE);
    assert_eq!(sky.modes("dk"), [3, 2, 2]);
}

#[test]
fn nothing_is_to_be_saved_by_hand_that_no_event_has_told_of() {
    let sky = Sky::of("dk");
    let store = Store::new();
    // The host is asked to store it, and another thread of its speaks too early.
    let storing = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&storing);
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    store.set_hook(move |call| {
        if call.operation == Operation::Store && call.key.starts_with("pending") {
            seen.store(true, Ordering::SeqCst);
            let _ = gate.lock().unwrap().recv();
        }
    });
    let client = Client::new(&sky, "dk", &store.vtable());
    assert_eq!(client.saved(), Status::ENOS_ERR_STATE as i32);
    client.connect();
    thread::scope(|scope| {
        scope.spawn(|| client.until("online", |client| client.state() == ONLINE));
        while !storing.load(Ordering::SeqCst) {
            assert!([0, ACTIVATING, PERSISTING, 3].contains(&client.state()));
            thread::yield_now();
        }
        assert_eq!((client.state(), client.saved()), (PERSISTING, Status::ENOS_ERR_STATE as i32));
        drop(open);
    });
    drop(client);
    check_kept(&sky, &store, "dk").unwrap();
}
