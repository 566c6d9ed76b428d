//! A failing storage during an activation: the secret is not lost, and there is no second activation.

use std::sync::{Arc, Mutex};

use enos::error::Status::*;
use support::desk::Desk;
use support::host::{Host, Setup, Store, DEVICE_KEY, ONLINE, PERSISTING};
use support::parallel;

use super::device;
use super::wrong::{Wrong, CODE};

/// In the end the storage has the cloud's secret, and the next process logs in as the device.
#[track_caller]
fn check_kept(desk: &Desk, store: &Store, key: &str) {
    let before = desk.modes_of(key).len();
    device(desk, key, &Store::with(store.records().clone())).create().online();
    assert_eq!(desk.modes_of(key)[before..], [2], "after a restart");
}

/// An activation in which a call of the storage fails.
#[derive(Debug)]
struct Case {
    at: usize,
    #[expect(dead_code, reason = "it is shown when the case fails")]
    call: String,
    wrong: Wrong,
    /// Each later call fails as well, until the device has reported it.
    lasting: bool,
}

impl Case {
    fn key(&self) -> String {
        format!("{}-{:?}-{}", self.at, self.wrong, self.lasting)
    }

    fn check(&self, desk: &Desk) {
        let (store, key, &Case { at, wrong, lasting, .. }) = (Store::new(), self.key(), self);
        store.answer(move |request| {
            let goes_wrong = request.number == at || (lasting && request.number > at);
            goes_wrong.then(|| wrong.answer(request))
        });
        let mut host = device(desk, &key, &store).create();
        host.connect();
        if lasting {
            host.loop_until(|host| !host.seen.is_empty() && store.number() >= at);
            store.mend();
        }
        host.loop_until(|host| host.state() == ONLINE);
        // AUTO's first method is right here: one product-secret login, one device login.
        assert_eq!(desk.modes_of(&key), [3, 2], "{:#?}", host.seen);
        for failed in host.told("PERSIST_FAILED") {
            assert_eq!((&failed.secret, failed.detail_code), (&desk.secret(&key), wrong.code()), "{failed:?}");
            assert!(failed.retry_in_ms >= 1_000, "{failed:?}");
        }
        assert_eq!(host.told("ACTIVATED").len(), 1, "{:#?}", host.seen);
        drop(host);
        check_kept(desk, &store, &key);
    }
}

#[test]
fn any_storage_call_of_an_activation_may_fail() {
    // An activation without faults counts the calls.
    let (desk, store, calls) = (Desk::inactive(|_| ()), Store::new(), Arc::new(Mutex::new(Vec::new())));
    let noted = Arc::clone(&calls);
    store.answer(move |request| {
        let call = if request.is_load() {
            "load"
        } else if request.is_store() {
            "store"
        } else {
            "erase"
        };
        noted.lock().unwrap().push((request.is_store(), format!("{call} {}", request.key)));
        None
    });
    device(&desk, DEVICE_KEY, &store).create().online_as_new();
    let calls = calls.lock().unwrap();

    let mut cases = Vec::new();
    for (at, (is_store, call)) in (1..).zip(&*calls) {
        for wrong in Wrong::ALL {
            // Misreading a missing value is not a fault.
            if *is_store || matches!(wrong, Wrong::Fails | Wrong::Babbles | Wrong::TooSmall) {
                cases.extend([false, true].map(|lasting| Case { at, call: call.clone(), wrong, lasting }));
            }
        }
    }
    println!("{} calls, {} cases", calls.len(), cases.len());
    assert!(calls.len() >= 15, "too few to be an activation: {calls:#?}");
    let desk = Desk::with_devices(cases.iter().map(Case::key));
    parallel::each(&cases, |case| case.check(&desk));
}

/// A device whose secret has arrived, and whose storage accepts nothing.
fn unsaved(desk: &Desk) -> (Store, Host) {
    let store = Store::new();
    store.fail(CODE, false);
    let mut host = device(desk, DEVICE_KEY, &store).create();
    host.connect();
    host.expect("PERSIST_FAILED");
    assert_eq!(host.state(), PERSISTING);
    (store, host)
}

/// A test in virtual time covers the repeated event, and a long disconnect.
#[test]
fn an_unsaved_secret_is_reported_again_and_kept() {
    let desk = Desk::with_devices([DEVICE_KEY]);
    let (store, mut host) = unsaved(&desk);
    assert_eq!(host.client().destroy(), ENOS_ERR_UNSAVED_SECRET);

    // The activation is kept while the host is offline, and connect resumes it without a CONNECT.
    host.disconnect();
    assert_eq!(host.until("DISCONNECTED").status, ENOS_OK);
    host.loop_until(|host| desk.cloud.online().is_empty() && host.told("PERSIST_FAILED").len() == 2);
    assert_eq!(host.state(), PERSISTING);
    for failed in host.told("PERSIST_FAILED") {
        assert_eq!((failed.status, failed.detail_code), (ENOS_ERR_STORAGE, CODE));
        assert_eq!(failed.secret, desk.secret(DEVICE_KEY));
        assert!(failed.retry_in_ms >= 1_000 && failed.detail.contains("-77"), "{failed:?}");
    }
    host.connect();
    assert_eq!((host.run_loop(0), host.state(), desk.modes()), (ENOS_OK, PERSISTING, vec![3]));

    store.mend();
    assert_eq!(host.until("STOPPED").status, ENOS_ERR_STATE, "connect has taken it back");
    assert_eq!(host.expect("ACTIVATED").status, ENOS_OK);
    assert_eq!(host.expect("CONNECTED").status, ENOS_OK);
    assert_eq!(desk.modes(), [3, 2]);
    host.destroy();
    check_kept(&desk, &store, DEVICE_KEY);
}

#[test]
fn a_secret_saved_by_hand_is_used_and_passed_to_the_next_process() {
    let desk = Desk::with_devices([DEVICE_KEY]);
    let (store, mut host) = unsaved(&desk);
    let by_hand = host.seen[0].secret.clone().unwrap();
    assert_eq!((host.activation_saved(), host.activation_saved()), (ENOS_OK, ENOS_ERR_STATE));
    host.loop_until(|host| host.state() == ONLINE);
    assert_eq!((desk.modes(), store.has("secrets.0")), (vec![3, 2], false));
    host.destroy(); // the host has saved it

    Setup::at(desk.address()).device_secret(&by_hand).storage(&store).create().online();
    assert_eq!(desk.modes(), [3, 2, 2]);
}
