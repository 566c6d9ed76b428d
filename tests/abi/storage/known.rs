//! A device with a stored secret, and a storage that cannot be read: the device waits, and is never activated again.

use std::collections::BTreeMap;

use enos::error::Status::*;
use enos::protocol::{DeviceSecret, Identity, Secret, Standing};
use enos::storage::record::{encode, Role};
use enos::storage::secrets::{self, StoredSecrets};
use support::desk::Desk;
use support::host::{Store, DEVICE_KEY, ONLINE, PRODUCT_KEY};
use support::parallel;

use super::device;
use super::wrong::Wrong;

/// A cloud, and the storage of a device that it has activated.
fn activated() -> (Desk, Store) {
    let (desk, store) = (Desk::with_devices([DEVICE_KEY]), Store::new());
    device(&desk, DEVICE_KEY, &store).create().online_as_new();
    (desk, store)
}

fn secrets(store: &Store) -> BTreeMap<String, Vec<u8>> {
    store.records().clone().into_iter().filter(|(key, _)| key.starts_with("secret")).collect()
}

fn put(store: &Store, device_key: &str, role: Role, data: &[u8]) {
    let key = role.key(&Identity::new(PRODUCT_KEY, device_key, None).unwrap().digest_hex());
    let record = encode(role, PRODUCT_KEY, device_key, data).unwrap();
    store.records().insert(key, record.to_vec());
}

fn stored(secret: &str) -> DeviceSecret {
    let secret = Secret::new(secret.as_bytes()).unwrap();
    DeviceSecret { secret, asset_id: None, standing: Standing::Unproven, brought_by: 0 }
}

/// The loads of one record of secrets, or of both, fail until that has been reported.
fn unreadable(role: &'static str, wrong: Wrong) {
    let (desk, store) = activated();
    let before = secrets(&store);
    store.answer(move |request| (request.is_load() && request.key.starts_with(role)).then(|| wrong.answer(request)));
    let mut host = device(&desk, DEVICE_KEY, &store).create();
    host.connect();
    if role == "secrets." {
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

#[test]
fn a_secret_that_cannot_be_read_causes_no_activation() {
    let roles = ["secrets.", "secrets.0", "secrets.1"];
    let cases: Vec<_> = roles.into_iter().flat_map(|role| Wrong::ALL.map(|wrong| (role, wrong))).collect();
    parallel::each(&cases, |&(role, wrong)| {
        if wrong != Wrong::Denies {
            unreadable(role, wrong);
        }
    });
}

/// For all roles: the one in use, the previous one, one that no login has confirmed.
#[test]
fn the_secrets_of_version_0_1_are_tried_and_stay_where_they_are() {
    let pending = |secret: &str| {
        let data = secrets::encode(&stored(secret)).unwrap();
        [&[1][..], &(data.len() as u32).to_le_bytes(), &data].concat()
    };
    for genuine in 0..3 {
        let (desk, store) = (Desk::with_devices([DEVICE_KEY]), Store::new());
        device(&desk, DEVICE_KEY, &store).create().online_as_new();
        let secret = desk.secret(DEVICE_KEY).unwrap();
        let texts: Vec<&str> = (0..3).map(|n| if n == genuine { &secret } else { "another" }).collect();
        let store = Store::new();
        put(&store, DEVICE_KEY, Role::Secret, &secrets::encode(&stored(texts[0])).unwrap());
        put(&store, DEVICE_KEY, Role::Previous, &secrets::encode(&stored(texts[1])).unwrap());
        put(&store, DEVICE_KEY, Role::Pending, &pending(texts[2]));
        let before = store.records().clone();
        let mut host = device(&desk, DEVICE_KEY, &store).create();
        host.connect();
        host.loop_until(|host| host.state() == ONLINE);
        drop(host);
        assert!(
            before.iter().all(|(key, value)| store.records().get(key) == Some(value)),
            "an older library needs them"
        );
        // The new records are read instead, and begin with the secret that worked.
        let connects = desk.connects();
        device(&desk, DEVICE_KEY, &store).create().online();
        assert_eq!(desk.connects(), connects + 1, "{genuine}");
    }
}

/// The genuine secret is at each place among seven others. The budget makes this test slow.
#[test]
fn each_of_eight_secrets_is_tried_within_the_connect_budget() {
    let keys: Vec<String> = (0..8).map(|place| format!("place-{place}")).collect();
    let desk = Desk::with_devices(keys.iter());
    parallel::each(&keys, |key| {
        let store = Store::new();
        device(&desk, key, &store).create().online_as_new();
        let genuine = desk.secret(key).unwrap();
        let others = keys.iter().map(|other| if other == key { &genuine } else { other });
        let secrets = others.map(|secret| stored(secret)).collect();
        let store = Store::new();
        put(&store, key, Role::Secrets(0), &StoredSecrets { number: 1, secrets }.encode().unwrap());
        let mut host = device(&desk, key, &store).connect_budget(3, 1_000, 10).create();
        host.connect();
        host.loop_until(|host| host.state() == ONLINE);
        assert!(host.told("ACTIVATED").is_empty());
    });
}

#[test]
fn optional_records_may_be_lost() {
    let cases: Vec<_> = ["sign", "budget"].into_iter().flat_map(|role| Wrong::ALL.map(|wrong| (role, wrong))).collect();
    parallel::each(&cases, |&(role, wrong)| {
        let (desk, store) = activated();
        store.answer(move |request| request.key.starts_with(role).then(|| wrong.answer(request)));
        device(&desk, DEVICE_KEY, &store).create().online();
        assert_eq!(desk.modes(), [3, 2, 2]);
    });
}

/// A false NOT_FOUND cannot be noticed. The cloud refuses to activate an active device, and the stored records are not
/// changed.
#[test]
fn a_false_not_found_does_not_change_the_stored_secret() {
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
