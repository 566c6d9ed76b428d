//! Registered devices, whose secrets are kept when the host asks for it.

use super::*;

/// A cloud with a gateway, and the product of its sub-devices.
fn registry() -> Desk {
    desk(0, |config| config.devices.push(Device::inactive(DeviceId::new(SUB_PRODUCT, "first"), SUB_PRODUCT_SECRET)))
}

fn online(desk: &Desk, store: &Store) -> Host {
    let mut host = Setup::device(desk.address()).storage(store).start();
    host.connect();
    host.until("CONNECTED");
    host
}

fn params(count: usize) -> String {
    let item = |n| json!({"productKey": SUB_PRODUCT, "deviceKey": key(n), "deviceName": {"defaultValue": "x"}});
    serde_json::Value::from_iter((0..count).map(item)).to_string()
}

fn register(params: &str) -> Ask<'_> {
    let flags = KEEP_SECRETS;
    Ask { flags, user: 77, ..Ask::json(Operation::ENOS_OP_SUBDEVICE_REGISTER, params) }
}

/// Sub-devices for which the host has no secret.
fn without_secrets(numbers: std::ops::Range<usize>) -> Vec<Sub> {
    numbers.map(|n| Sub { product_secret: None, flags: ADD_TOPOLOGY, ..Sub::unactivated(&key(n)) }).collect()
}

fn until_reply(host: &mut Host) -> Vec<Told> {
    let mut all = Vec::new();
    while all.last().is_none_or(|told: &Told| told.name != "REPLY") {
        all.push(host.next());
    }
    all
}

#[test]
fn a_thousand_are_in_the_storage_when_the_reply_comes() {
    let (desk, store) = (registry(), Store::new());
    let mut host = online(&desk, &store);
    let token = host.request(&register(&params(1_000))).unwrap();
    let told = until_reply(&mut host);
    let (reply, activated) = told.split_last().unwrap();
    assert_eq!((reply.token, reply.status, reply.user, reply.subdevice), (token, ENOS_OK, 77, 0), "{reply:?}");
    assert_eq!(activated.len(), 1_000);
    assert!(activated.iter().all(|told| (told.name.as_str(), told.user) == ("ACTIVATED", 77) && told.subdevice != 0));
    let data = reply.data.as_deref().unwrap();
    assert!(
        activated.iter().all(|told| data.contains(told.secret.as_deref().unwrap())),
        "the host is offered them too"
    );
    // They are not sub-devices of the client.
    host.subdevices(|_, key, _, _| panic!("{key}"));
    assert_eq!(host.subdevice_state(activated[0].subdevice), ENOS_ERR_NOT_FOUND as i32);
    host.destroy();
    let mut next = online(&desk, &store);
    let ids = next.add_subdevices(&without_secrets(900..910)).unwrap();
    next.until_all(&ids, SubState::Online);
    post_for_all(&mut next, &ids);
}

#[test]
fn a_secret_that_cannot_be_stored_is_handed_out_and_blocks_destroy() {
    let (desk, store) = (registry(), Store::new());
    let mut host = online(&desk, &store);
    let own = enos::internals::protocol::Identity::new(SUB_PRODUCT, &key(1), None).unwrap().digest_hex();
    store.answer(move |request| {
        let is_its = request.is_store() && request.key.starts_with("secrets") && request.key.ends_with(&own);
        is_its.then_some(-28)
    });
    host.request(&register(&params(3))).unwrap();
    let told = until_reply(&mut host);
    let names: Vec<_> = told.iter().map(|told| told.name.as_str()).collect();
    assert_eq!(names, ["ACTIVATED", "PERSIST_FAILED", "ACTIVATED", "REPLY"]);
    let failed = &told[1];
    assert_eq!((failed.detail_code, failed.user), (-28, 77));
    assert!(told[3].data.as_deref().unwrap().contains(failed.secret.as_deref().unwrap()));
    assert_eq!(host.client().destroy(), ENOS_ERR_UNSAVED_SECRET);
    assert_eq!(host.add_subdevices(&without_secrets(1..2)), Err(ENOS_ERR_STATE));
    let ids = host.add_subdevices(&[&without_secrets(0..1)[..], &without_secrets(2..3)].concat()).unwrap();
    host.until_all(&ids, SubState::Online);
    assert_eq!(host.subdevice_saved(failed.subdevice), ENOS_OK);
    assert_eq!(host.subdevice_saved(failed.subdevice), ENOS_ERR_NOT_FOUND);
    host.destroy();
}

#[test]
fn where_the_flag_makes_no_sense_it_is_refused() {
    let (desk, store) = (registry(), Store::new());
    let mut host = online(&desk, &store);
    for (operation, flags, words) in [
        (Operation::ENOS_OP_TOPOLOGY_GET, KEEP_SECRETS, "is for ENOS_OP_SUBDEVICE_REGISTER"),
        (Operation::ENOS_OP_SUBDEVICE_REGISTER, KEEP_SECRETS | DURABLE, "cannot be durable"),
    ] {
        assert_eq!(host.request(&Ask { flags, ..Ask::of(operation) }), Err(ENOS_ERR_INVALID_ARG));
        assert!(last_error().contains(words), "{}", last_error());
    }
    // Without the flag nothing is stored.
    let params = params(1);
    host.request(&Ask { flags: 0, ..register(&params) }).unwrap();
    assert_eq!(host.until("REPLY").status, ENOS_OK);
    let ids = host.add_subdevices(&without_secrets(0..1)).unwrap();
    let told = host.until_all(&ids, SubState::Refused);
    assert!(told.iter().any(|told| told.status == ENOS_ERR_CREDENTIALS));
    let mut without_storage = Setup::device(desk.address()).start();
    without_storage.connect();
    without_storage.until("CONNECTED");
    assert_eq!(without_storage.request(&register(&params)), Err(ENOS_ERR_INVALID_ARG));
    assert!(last_error().contains("enos_config_set_storage"));
}
