//! A device that has its secret, on a storage that cannot be read: it waits, and is never activated.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;

use enos::error::Status;
use enos::protocol::Identity;
use enos::storage::contents::StoredSecret;
use enos::storage::pending::StoredPending;
use enos::storage::record::{encode, Role};
use zeroize::Zeroizing;

use super::client::{Client, Sky, ACTIVATED, DISCONNECTED, ONLINE, PRODUCT_KEY};
use super::store::{Operation, Store, Wrong, CODE};

/// A cloud, and what the storage of a device holds that was activated by it.
fn activated(key: &str) -> (Sky, BTreeMap<String, Vec<u8>>) {
    let sky = Sky::of(key);
    let store = Store::new();
    let client = Client::new(&sky, key, &store.vtable());
    client.connect();
    client.until("online", |client| client.state() == ONLINE);
    drop(client);
    let values = store.values.lock().unwrap().clone();
    (sky, values)
}

fn is_secret(key: &str) -> bool {
    ["secret", "previous", "pending"].iter().any(|role| key.starts_with(role))
}

/// The load of one secret's record goes wrong each time, until `told` has been looked at.
fn unreadable(role: &'static str, wrong: Wrong) {
    let (sky, values) = activated("dk");
    let mut stored = values;
    // What can be misread has to be there.
    if let Some((role, data)) = other_secrets(role) {
        let key = role.key(&Identity::new(PRODUCT_KEY, "dk", None).unwrap().digest_hex());
        stored.insert(key, encode(role, PRODUCT_KEY, "dk", &data).unwrap().to_vec());
    }
    let store = Store::with(stored.clone());
    store.set_fault(move |_, call| (call.operation == Operation::Load && call.key.starts_with(role)).then_some(wrong));
    let client = Client::new(&sky, "dk", &store.vtable());
    client.connect();
    let code = if wrong == Wrong::Fails { CODE } else { 0 };
    if role == "secret" {
        client.until("told twice", |client| client.told(DISCONNECTED).len() >= 2);
        for down in client.told(DISCONNECTED) {
            assert_eq!((down.status, down.code), (Status::ENOS_ERR_STORAGE as i32, code), "{down:?}");
            assert!(down.retry_in_ms >= 1_000);
        }
        assert_eq!(sky.modes("dk"), [3, 2], "{role} {wrong:?}: no CONNECT at all");
        store.mend();
    }
    client.until("online", |client| client.state() == ONLINE);
    assert_eq!(sky.modes("dk"), [3, 2, 2], "{role} {wrong:?}");
    assert!(client.told(ACTIVATED).is_empty());
    let mut values = store.values.lock().unwrap().clone();
    values.retain(|key, _| is_secret(key));
    stored.retain(|key, _| is_secret(key));
    assert!(values == stored, "{role} {wrong:?}: a secret was overwritten");
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
    thread::scope(|scope| {
        for role in ["secret", "previous", "pending"] {
            for wrong in Wrong::ALL.into_iter().filter(|&wrong| wrong != Wrong::Denies) {
                scope.spawn(move || unreadable(role, wrong));
            }
        }
    });
}

#[test]
fn records_that_are_a_help_only_may_be_lost() {
    for role in ["sign", "budget"] {
        for wrong in Wrong::ALL {
            let (sky, values) = activated("dk");
            let store = Store::with(values);
            store.set_fault(move |_, call| call.key.starts_with(role).then_some(wrong));
            let client = Client::new(&sky, "dk", &store.vtable());
            client.connect();
            client.until("online", |client| client.state() == ONLINE);
            assert_eq!(sky.modes("dk"), [3, 2, 2], "{role} {wrong:?}");
        }
    }
}

/// That a store says NOT_FOUND where there is a value cannot be noticed. The cloud refuses a device that is active, and
/// nothing that is stored is touched.
#[test]
fn a_storage_that_denies_its_secret_costs_no_more_than_the_time_that_it_does() {
    let (sky, values) = activated("dk");
    let store = Store::with(values.clone());
    store.set_fault(|_, call| (call.operation == Operation::Load && is_secret(&call.key)).then_some(Wrong::Denies));
    let client = Client::new(&sky, "dk", &store.vtable());
    client.connect();
    let refused = Status::ENOS_ERR_ACTIVATION_REFUSED as i32;
    client.until("refused", |client| client.told(DISCONNECTED).iter().any(|told| told.status == refused));
    drop(client);
    let secrets = |values: &BTreeMap<String, Vec<u8>>| -> Vec<_> {
        values.iter().filter(|(key, _)| is_secret(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    assert_eq!(secrets(&store.values.lock().unwrap()), secrets(&values));
    store.mend();
    let next = Client::new(&sky, "dk", &Arc::clone(&store).vtable());
    next.connect();
    next.until("online", |client| client.state() == ONLINE);
}
