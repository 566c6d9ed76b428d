//! Activation of sub-devices: a secret comes once, and is stored before anything else.

use super::*;

fn to_activate(n: usize) -> NewSubdevice {
    NewSubdevice {
        device_secret: None,
        product_secret: Some(Secret::new(b"product").unwrap()),
        ..Park::new_one(&Park::key(n))
    }
}

/// A gateway with so many sub-devices that are to be activated.
fn with_new(count: usize) -> (Park, Vec<u64>) {
    let mut park = Park::new();
    park.cloud.secrets = (0..count).map(|n| (Park::key(n), format!("secret of {n}"))).collect();
    let ids = park.try_add((0..count).map(to_activate).collect()).unwrap();
    (park, ids)
}

fn kinds(park: &Park) -> Vec<(u64, EventKind)> {
    park.events.iter().map(|event| (event.subdevice, event.kind)).filter(|(id, _)| *id != 0).collect()
}

#[test]
fn the_secret_is_stored_before_it_is_online() {
    let (mut park, ids) = with_new(150);
    park.connect();
    assert_eq!(park.states(&ids), vec![State::Online; 150]);
    assert_eq!(park.login_sizes(), [100, 50]);
    let of_one: Vec<_> = kinds(&park).into_iter().filter(|(id, _)| *id == ids[7]).map(|(_, kind)| kind).collect();
    assert_eq!(of_one, [EventKind::SubdeviceState, EventKind::Activated, EventKind::SubdeviceState]);
    assert_eq!(park.disk.len(), 150);
    let activated = park.events.iter().find(|event| event.kind == EventKind::Activated).unwrap();
    assert_eq!(activated.activation.as_ref().unwrap().device_secret().as_bytes(), b"secret of 0");
    assert_eq!(activated.user, 7);
    // Another process finds it, and never uses the product secret again.
    let disk = std::mem::take(&mut park.disk);
    let mut next = Park::new();
    next.disk = disk;
    let ids = next.try_add((0..150).map(to_activate).collect()).unwrap();
    next.connect();
    assert_eq!(next.states(&ids), vec![State::Online; 150]);
    assert!(!next.events.iter().any(|event| event.kind == EventKind::Activated));
}

#[test]
fn a_secret_that_cannot_be_stored_holds_up_nobody_else() {
    let (mut park, ids) = with_new(5);
    park.cloud.holds = true;
    park.connect();
    park.storage_fails = 3;
    park.cloud.holds = false;
    park.deliver();
    let failed: Vec<u64> =
        kinds(&park).into_iter().filter(|(_, kind)| *kind == EventKind::PersistFailed).map(|(id, _)| id).collect();
    assert_eq!(failed, ids[..3]);
    assert!(park.session.has_unsaved_secret());
    assert_eq!(park.states(&ids)[3..], [State::Online; 2]);
    assert_eq!(park.states(&ids)[..3], [State::Activating; 3]);
    assert!(park.post(ids[0]).is_err());
    // One is saved by hand, one is removed, one is stored in the end.
    park.session.subdevice_saved(park.now(), ids[0]).unwrap();
    assert_eq!(park.session.subdevice_saved(park.now(), ids[0]).unwrap_err().status, S::ENOS_ERR_STATE);
    park.remove(ids[1]);
    let error = park.try_add(vec![to_activate(1)]).unwrap_err();
    assert_eq!(error.status, S::ENOS_ERR_STATE);
    park.wait(120_000);
    assert!(!park.session.has_unsaved_secret());
    assert_eq!(park.states(&[ids[0], ids[2]]), [State::Online; 2]);
    assert!(park.disk.contains_key(&Park::key(1)) && park.disk.contains_key(&Park::key(2)));
    assert_eq!(park.cloud.logouts, [Park::key(1)]);
    assert!(park.try_add(vec![to_activate(1)]).is_ok());
}

#[test]
fn a_link_that_is_lost_while_secrets_are_stored_loses_none() {
    let (mut park, ids) = with_new(3);
    park.cloud.holds = true;
    park.connect();
    park.storage_fails = 2;
    park.cloud.holds = false;
    park.deliver();
    park.lose_link();
    park.cloud.secrets.clear();
    park.wait(300_000);
    assert_eq!(park.states(&ids), [State::Online; 3]);
    assert_eq!(park.disk.len(), 3);
}

#[test]
fn without_any_secret_it_is_told() {
    let mut park = Park::new();
    let none = |n: usize| NewSubdevice { product_secret: None, ..to_activate(n) };
    let ids = park.try_add((0..2).map(none).collect()).unwrap();
    park.connect();
    assert_eq!(park.states(&ids), [State::Refused; 2]);
    assert!(park.told().iter().all(|told| told.2 == S::ENOS_ERR_CREDENTIALS));
    park.wait(3_600_000);
    assert!(park.cloud.logins.is_empty());
    let settings = Settings { outbox: None, ..world::settings() };
    let mut without_storage = Park::with(settings);
    assert_eq!(without_storage.try_add(vec![to_activate(0)]).unwrap_err().status, S::ENOS_ERR_INVALID_ARG);
}

#[test]
fn while_the_storage_cannot_be_read_there_is_no_login() {
    let (mut park, ids) = with_new(2);
    park.lose_link();
    let (mut other, ids_of_other) = (Park::new(), ids);
    other.storage_fails = 3;
    other.cloud.secrets = std::mem::take(&mut park.cloud.secrets);
    other.try_add((0..2).map(to_activate).collect()).unwrap();
    other.connect();
    assert!(other.told().iter().any(|told| told.2 == S::ENOS_ERR_STORAGE));
    assert!(other.cloud.logins.is_empty());
    other.wait(600_000);
    assert_eq!(other.states(&ids_of_other), [State::Online; 2]);
}

#[test]
fn a_disconnect_waits_for_secrets_that_are_on_their_way() {
    let (mut park, ids) = with_new(2);
    park.cloud.holds = true;
    park.connect();
    park.session.disconnect(park.now());
    park.perform();
    park.storage_fails = 1;
    park.cloud.holds = false;
    park.deliver();
    park.wait(1);
    let stopped = |park: &Park| park.events.iter().any(|event| event.kind == EventKind::Stopped);
    assert!(!stopped(&park), "a secret is unsaved");
    park.wait(60_000);
    assert!(stopped(&park) && !park.session.has_unsaved_secret());
    assert_eq!(park.states(&ids), [State::Offline; 2]);
    assert_eq!(park.disk.len(), 2);
}

#[test]
fn a_secret_of_another_product_is_nobodys() {
    let (mut park, ids) = with_new(2);
    park.cloud.holds = true;
    park.connect();
    let [Input::Link { what: LinkEvent::Message { topic, payload, .. }, .. }] = &park.replies[..] else { panic!() };
    let topic = String::from_utf8(topic.clone()).unwrap();
    let id = serde_json::from_slice::<Value>(payload).unwrap()["id"].clone();
    park.replies.clear();
    park.cloud.holds = false;
    let of_other = json!({"productKey": "other", "deviceKey": Park::key(0), "deviceSecret": "x"});
    let own = json!({"productKey": "sub", "deviceKey": Park::key(1), "deviceSecret": "y"});
    park.message(&topic, &json!({"id": id, "code": 200, "data": {"loginedSubDevices": [of_other, own]}}));
    park.wait(1);
    assert_eq!(park.disk[&Park::key(1)][0].secret.as_bytes(), b"y");
    assert_eq!(park.disk[&Park::key(0)][0].secret.as_bytes(), b"secret of 0", "it has logged in by itself");
    assert_eq!(park.states(&ids), [State::Online; 2]);
}

/// The login has timed out, and is tried again. But the secret is sent only once.
#[test]
fn a_secret_in_a_late_reply_is_kept() {
    let (mut park, ids) = with_new(2);
    park.cloud.holds = true;
    park.connect();
    let late = std::mem::take(&mut park.replies);
    park.cloud.silent = true;
    park.wait(31_000);
    park.cloud.secrets.clear();
    park.replies = late;
    park.cloud.holds = false;
    park.deliver();
    park.wait(1);
    assert_eq!(park.disk.len(), 2);
    park.cloud.silent = false;
    park.wait(300_000);
    assert_eq!(park.states(&ids), [State::Online; 2]);
    assert_eq!(kinds(&park).iter().filter(|(_, kind)| *kind == EventKind::Activated).count(), 2);
}
