//! Devices that the host registers: their secrets are kept when it asks for that.

use super::*;

impl Park {
    /// Registers devices with the keys of these numbers, and wants their secrets to be kept.
    pub(super) fn register(&mut self, numbers: std::ops::Range<usize>) -> u64 {
        let item = |n: usize| json!({"productKey": "sub", "deviceKey": Park::key(n), "deviceName": "x"});
        let params = Value::from_iter(numbers.map(item)).to_string();
        let call = Call {
            operation: Operation::ENOS_OP_SUBDEVICE_REGISTER,
            subdevice: 0,
            name: "",
            params: params.as_bytes(),
            flags: Flag::ENOS_REQUEST_KEEP_SECRETS as u32,
            timeout_ms: None,
            user: 9,
        };
        let token = self.session.request(self.now(), &call).unwrap();
        self.perform();
        token
    }
}

fn told(park: &Park) -> Vec<(EventKind, String)> {
    let of = |event: &Event| event.activation.as_ref().map_or(String::new(), |it| it.device_key().to_owned());
    park.events.iter().filter(|event| event.user == 9).map(|event| (event.kind, of(event))).collect()
}

/// The topic and id of the reply that the cloud holds back, which does not arrive.
fn held(park: &mut Park) -> (String, Value) {
    let Input::Link { what: LinkEvent::Message { topic, payload, .. }, .. } = park.replies.remove(0) else { panic!() };
    (String::from_utf8(topic).unwrap(), serde_json::from_slice::<Value>(&payload).unwrap()["id"].take())
}

fn online() -> Park {
    let mut park = Park::new();
    park.connect();
    park.forget();
    park
}

#[test]
fn a_thousand_are_stored_before_the_reply() {
    let mut park = online();
    let token = park.register(0..1_000);
    let told = told(&park);
    assert_eq!((told.len(), told[1_000].0), (1_001, EventKind::Reply));
    assert!(told[..1_000].iter().all(|(kind, _)| *kind == EventKind::Activated));
    let reply = park.events.last().unwrap();
    assert_eq!((reply.token, reply.status, reply.subdevice), (token, S::ENOS_OK, 0));
    assert_eq!(park.disk.len(), 1_000);
    assert!(!park.session.has_unsaved_secret() && park.session.subdevices().is_empty());
    // One that is added without a secret finds it.
    let new = |n: usize| NewSubdevice { device_secret: None, ..Park::new_one(&Park::key(n)) };
    let ids = park.try_add((0..200).map(new).collect()).unwrap();
    park.wait(1_000);
    assert_eq!(park.states(&ids), vec![State::Online; 200]);
    assert!(park.events.iter().all(|event| event.user != 7 || event.kind != EventKind::Activated));
}

#[test]
fn one_that_cannot_be_stored_is_handed_out_and_the_others_go_on() {
    let mut park = online();
    park.storage_fails = 2;
    park.register(0..4);
    let failed = (EventKind::PersistFailed, EventKind::Activated);
    let kinds: Vec<_> = told(&park).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [failed.0, failed.0, failed.1, failed.1, EventKind::Reply], "each was tried before the reply");
    assert!(park.session.has_unsaved_secret());
    let failed = &park.events[0];
    assert_eq!(failed.activation.as_ref().unwrap().device_secret().as_bytes(), b"secret of 0000");
    let (first, second) = (failed.subdevice, park.events[1].subdevice);
    assert!(first != 0 && first != second);
    // Until then it cannot be added: its secret is not known to be safe.
    let new = |n: usize| NewSubdevice { device_secret: None, ..Park::new_one(&Park::key(n)) };
    assert_eq!(park.try_add(vec![new(0)]).unwrap_err().status, S::ENOS_ERR_STATE);
    park.session.subdevice_saved(park.now(), first).unwrap();
    assert!(park.try_add(vec![Park::new_one(&Park::key(0))]).is_ok(), "the host has its secret");
    park.wait(120_000);
    assert!(!park.session.has_unsaved_secret() && park.disk.contains_key(&Park::key(1)));
    assert_eq!(told(&park).iter().filter(|(kind, _)| *kind == EventKind::Reply).count(), 1);
    assert!(park.try_add(vec![new(1)]).is_ok());
}

#[test]
fn a_late_reply_is_a_message_and_its_secrets_are_kept() {
    let mut park = online();
    park.cloud.holds = true;
    let token = park.register(0..3);
    park.wait(31_000);
    let outcome = |park: &Park| park.events.iter().find(|event| event.token == token).map(|event| event.status);
    assert_eq!(outcome(&park), Some(S::ENOS_ERR_TIMEOUT));
    assert!(park.session.is_activating(), "a secret may still come");
    park.cloud.holds = false;
    park.deliver();
    assert_eq!(park.disk.len(), 3);
    assert_eq!(park.events.iter().filter(|event| event.kind == EventKind::Message).count(), 1);
    assert!(!park.session.is_activating());
}

#[test]
fn the_outcome_comes_once_whatever_happens_to_the_link_and_the_storage() {
    for (answers, stores) in [(false, false), (true, false), (true, true)] {
        let mut park = online();
        park.cloud.holds = !answers;
        park.storage_holds = !stores;
        park.register(0..2);
        park.lose_link();
        if answers && !stores {
            assert!(!park.session.gateway.as_ref().unwrap().has_told_replies());
            park.storage_holds = false;
            let stored = park.stores.pop().unwrap();
            park.feed(stored);
        }
        park.wait(300_000);
        let replies: Vec<_> = park.events.iter().filter(|event| event.kind == EventKind::Reply).collect();
        let status = if answers { S::ENOS_OK } else { S::ENOS_ERR_NETWORK };
        assert_eq!(replies.iter().map(|reply| reply.status).collect::<Vec<_>>(), [status]);
        if !answers {
            let at = |kind| park.events.iter().position(|event| event.kind == kind).unwrap();
            assert!(at(EventKind::Reply) < at(EventKind::Disconnected));
        }
        assert_eq!(park.disk.len(), if answers { 2 } else { 0 });
    }
}

#[test]
fn a_disconnect_waits_until_the_reply_is_told() {
    let mut park = online();
    park.storage_holds = true;
    park.register(0..1);
    park.session.disconnect(park.now());
    park.perform();
    let stopped = |park: &Park| park.events.iter().any(|event| event.kind == EventKind::Stopped);
    assert!(!stopped(&park));
    let stored = park.stores.pop().unwrap();
    park.feed(stored);
    park.wait(1);
    assert!(stopped(&park));
}

#[test]
fn replies_that_name_nobody_or_the_gateway_or_a_sub_device() {
    let (mut park, ids) = Park::online(2);
    park.cloud.holds = true;
    park.register(0..2);
    let (topic, id) = held(&mut park);
    park.cloud.holds = false;
    let one = |pk: &str, dk: &str, secret: Value| json!({"productKey": pk, "deviceKey": dk, "deviceSecret": secret});
    let data = json!([
        one("pk", "dk", json!("not the gateway's")),
        one("a/b", "x", json!("bad keys")),
        one("sub", "none", json!(null)),
        one("sub", "empty", json!("")),
        one("sub", "twice", json!("a")),
        one("sub", "twice", json!("a")),
        one("sub", &Park::key(0), json!("of a sub-device")),
        7,
    ]);
    park.message(&topic, &json!({"id": id, "code": 200, "data": data}));
    park.wait(10_000);
    let stored: Vec<&str> = park.disk.keys().map(String::as_str).collect();
    assert_eq!(stored, [&Park::key(0), "twice"]);
    assert_eq!(park.events.iter().filter(|event| event.kind == EventKind::Reply).count(), 1);
    assert_eq!(park.states(&ids), [State::Online; 2]);
    // A refusal has no secrets.
    park.cloud.holds = true;
    park.register(5..6);
    let (_, id) = held(&mut park);
    park.message(&topic, &json!({"id": id, "code": 702, "message": "there already"}));
    let refused = park.events.iter().rfind(|event| event.kind == EventKind::Reply).unwrap();
    assert_eq!((refused.status, refused.detail_code), (S::ENOS_ERR_REFUSED, 702));
    assert!(!park.session.is_activating());
}
