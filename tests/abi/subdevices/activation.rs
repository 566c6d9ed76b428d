//! Sub-devices without a device secret: the login with the product secret brings one, once.

use super::*;

/// A cloud with a gateway, and sub-devices that are not active yet.
fn inactive(count: usize) -> Desk {
    let subs = (0..count).map(|n| Device::inactive(sub_id(n), SUB_PRODUCT_SECRET).behind(device_id()));
    let all = [Device::active(device_id(), DEVICE_SECRET).gateway()].into_iter().chain(subs).collect();
    Desk::active(|config| config.devices = all)
}

/// What the keys of a device's records end with.
fn store_key(id: &DeviceId) -> String {
    enos::internals::protocol::Identity::new(&id.product_key, &id.device_key, None).unwrap().digest_hex()
}

fn unactivated(count: usize) -> Vec<Sub> {
    (0..count).map(|n| Sub::unactivated(&key(n))).collect()
}

fn modes(desk: &Desk, n: usize) -> Vec<usize> {
    [2, 3].map(|mode| {
        let is = |event: &Event| matches!(event, Event::SubDeviceLogin { secure_mode, code: 200, .. } if *secure_mode == mode);
        desk.count_of(&sub_id(n), is)
    })
    .to_vec()
}

#[test]
fn two_hundred_are_activated_once_and_their_secrets_survive() {
    let (desk, store) = (inactive(200), Store::new());
    let mut host = Setup::device(desk.address()).storage(&store).start();
    let ids = host.add_subdevices(&unactivated(200)).unwrap();
    host.connect();
    let told = host.until_all(&ids, SubState::Online);
    let activated: Vec<_> = told.iter().filter(|told| told.name == "ACTIVATED").collect();
    assert_eq!(activated.len(), 200);
    assert!(activated.iter().all(|told| told.subdevice != 0 && told.secret.is_some()));
    host.destroy();
    let mut next = Setup::device(desk.address()).storage(&store).start();
    let ids = next.add_subdevices(&unactivated(200)).unwrap();
    next.connect();
    let told = next.until_all(&ids, SubState::Online);
    assert!(!told.iter().any(|told| told.name == "ACTIVATED"));
    for n in 0..200 {
        assert_eq!(modes(&desk, n), [1, 1], "{n}");
    }
}

#[test]
fn a_secret_that_cannot_be_stored_is_handed_out_and_blocks_destroy() {
    let (desk, store) = (inactive(3), Store::new());
    store.answer(|request| (request.is_store() && request.key.starts_with("secrets")).then_some(-28));
    let mut host = Setup::device(desk.address()).storage(&store).start();
    let ids = host.add_subdevices(&unactivated(3)).unwrap();
    host.connect();
    let told = host.until("PERSIST_FAILED");
    assert_eq!((told.subdevice, told.detail_code), (ids[0], -28));
    let secret = told.secret.unwrap();
    assert_eq!(host.subdevice_state(ids[0]), SubState::Activating as i32);
    assert_eq!(host.client().destroy(), ENOS_ERR_UNSAVED_SECRET);
    assert_eq!(host.request(&post(ids[0])), Err(ENOS_ERR_STATE));
    // The firmware saves it by hand.
    assert_eq!(host.subdevice_saved(ids[0]), ENOS_OK);
    assert_eq!(host.subdevice_saved(ids[0]), ENOS_ERR_STATE);
    host.until_all(&ids[..1], SubState::Online);
    store.mend();
    host.until_all(&ids, SubState::Online);
    post_for_all(&mut host, &ids);
    host.destroy();
    let mut next = Setup::device(desk.address()).storage(&store).start();
    let mut all = unactivated(3);
    all[0].device_secret = Some(std::ffi::CString::new(secret).unwrap());
    let ids = next.add_subdevices(&all).unwrap();
    next.connect();
    next.until_all(&ids, SubState::Online);
    assert_eq!((0..3).map(|n| modes(&desk, n)[1]).sum::<usize>(), 3, "each was activated once");
}

#[test]
fn while_the_storage_cannot_be_read_nobody_is_activated() {
    let (desk, store) = (inactive(2), Store::new());
    let own = store_key(&device_id());
    store.answer(move |request| {
        let is_theirs = request.is_load() && request.key.starts_with("secrets") && !request.key.ends_with(&own);
        is_theirs.then_some(-5)
    });
    let mut host = Setup::device(desk.address()).storage(&store).start();
    let ids = host.add_subdevices(&unactivated(2)).unwrap();
    host.connect();
    let told = host.until_all(&ids, SubState::Refused);
    assert!(told.iter().any(|told| told.status == ENOS_ERR_STORAGE && told.detail_code == -5));
    assert_eq!(desk.count(|event| matches!(event, Event::SubDeviceLogin { .. })), 0);
    store.mend();
    host.until_all(&ids, SubState::Online);
}
