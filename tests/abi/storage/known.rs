//! A device that has its secret, on a storage that cannot be read: it waits, and is never activated.

use std::collections::BTreeMap;

use enos::error::Status::*;
use enos::protocol::Identity;
use enos::storage::contents::StoredSecret;
use enos::storage::pending::StoredPending;
use enos::storage::record::{encode, Role};
use support::desk::Desk;
use support::host::{Store, DEVICE_KEY, ONLINE, PRODUCT_KEY};
use support::parallel;
use zeroize::Zeroizing;

use super::device;
use super::wrong::Wrong;

/// A cloud, and the storage of a device that was activated by it.
fn activated() -> (Desk, Store) {
    let (desk, store) = (Desk::with_devices([DEVICE_KEY]), Store::new());
    device(&desk, DEVICE_KEY, &store).create().online_as_new();
    (desk, store)
}

fn secrets(store: &Store) -> BTreeMap<String, Vec<u8>> {
    let is_secret = |key: &str| ["secret", "previous", "pending"].iter().any(|role| key.starts_with(role));
    store.records().clone().into_iter().filter(|(key, _)| is_secret(key)).collect()
}

/// The load of one secret's record goes wrong each time, until it has been told.
fn unreadable(role: &'static str, wrong: Wrong) {
    let (desk, store) = activated();
    // What can be misread has to be there.
    if let Some((role, data)) = other_secrets(role) {
        let key = role.key(&Identity::new(PRODUCT_KEY, DEVICE_KEY, None).unwrap().digest_hex());
        let record = encode(role, PRODUCT_KEY, DEVICE_KEY, &data).unwrap();
        store.records().insert(key, record.to_vec());
    }
    let before = secrets(&store);
    store.answer(move |request| (request.is_load() && request.key.starts_with(role)).then(|| wrong.answer(request)));
    let mut host = device(&desk, DEVICE_KEY, &store).create();
    host.connect();
    if role == "secret" {
        for _ in 0..2 {
            let down = host.expect("DISCONNECTED");
            assert_eq!((down.status, down.detail_code), (ENOS_ERR_STORAGE, wrong.code()), "{down:?}");
            assert!(down.retry_in_ms >= 1_000);
        }
        assert_eq!(desk.modes(), [3, 2], "no CONNECT at all");
        store.mend();
    }
    host.loop_until(|host| host.state() == ONLINE);
    assert_eq!(desk.modes(), [3, 2, 2]);
    assert!(host.told("ACTIVATED").is_empty());
    assert!(secrets(&store) == before, "a secret was overwritten");
}

/// A record beside the current secret's, when that is the role.
fn other_secrets(role: &str) -> Option<(Role, Zeroizing<Vec<u8>>)> {
    let secret = StoredSecret { secret: Zeroizing::new(b"another".to_vec()), asset_id: None };
    match role {
        "previous" => Some((Role::Previous, secret.encode().unwrap())),
        "pending" => Some((Role::Pending, StoredPending { secrets: vec![secret] }.encode().unwrap())),
        _ => None,
    }
}

#[test]
fn a_secret_that_cannot_be_read_is_no_reason_to_be_activated() {
    let roles = ["secret", "previous", "pending"];
    let cases: Vec<_> = roles.into_iter().flat_map(|role| Wrong::ALL.map(|wrong| (role, wrong))).collect();
    parallel::each(&cases, |&(role, wrong)| {
        if wrong != Wrong::Denies {
            unreadable(role, wrong);
        }
    });
}

#[test]
fn records_that_are_a_help_only_may_be_lost() {
    let cases: Vec<_> = ["sign", "budget"].into_iter().flat_map(|role| Wrong::ALL.map(|wrong| (role, wrong))).collect();
    parallel::each(&cases, |&(role, wrong)| {
        let (desk, store) = activated();
        store.answer(move |request| request.key.starts_with(role).then(|| wrong.answer(request)));
        device(&desk, DEVICE_KEY, &store).create().online();
        assert_eq!(desk.modes(), [3, 2, 2]);
    });
}

/// That a store says NOT_FOUND where there is a value cannot be noticed. The cloud refuses a device that is active, and
/// nothing that is stored is touched.
#[test]
fn a_storage_that_denies_its_secret_costs_no_more_than_the_time_that_it_does() {
    let (desk, store) = activated();
    let before = secrets(&store);
    let held = before.clone();
    store.answer(move |request| {
        (request.is_load() && held.contains_key(&request.key)).then(|| Wrong::Denies.answer(request))
    });
    let mut host = device(&desk, DEVICE_KEY, &store).create();
    host.connect();
    while host.until("DISCONNECTED").status != ENOS_ERR_ACTIVATION_REFUSED {}
    drop(host);
    assert_eq!(secrets(&store), before);
    store.mend();
    device(&desk, DEVICE_KEY, &store).create().online();
}
