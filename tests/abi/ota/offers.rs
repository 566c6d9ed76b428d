//! Offers: each is answered and told, and stays until the host decides.

use support::scene::Scene;

use super::*;

#[test]
fn an_offer_reaches_the_host_whole_and_is_refused() {
    let (desk, store) = (Desk::active(|_| ()), Store::new());
    let mut host = online(&desk, &store, "1");
    let task = offer(&desk, "2");
    let (firmware, told) = offered(&mut host);
    assert_eq!((told.status, told.token, told.subdevice), (ENOS_OK, 0, 0));
    assert_eq!((firmware.version(), firmware.url(), firmware.size()), ("2".into(), "/ota/2".into(), 1024));
    assert_eq!(firmware.sign_method(), "md5");
    assert_eq!(firmware.sign(), "0cc175b9c0f1b6a831c399e269772661");
    assert_eq!((firmware.subdevice(), firmware.state()), (0, State::Offered));
    reaches(&mut host, &desk, task, |state| *state == TaskState::Received);
    let tokens = [(10, "begins"), (100, "done"), (-5, "no \"space\"")]
        .map(|(step, words)| host.ota_report(&firmware, step, Some(words)).unwrap());
    let outcomes = host.outcomes(&tokens);
    assert_eq!(outcomes[&tokens[2]].status, ENOS_OK);
    assert_eq!(outcomes[&tokens[2]].operation, Operation::ENOS_OP_OTA_PROGRESS as i32);
    assert_eq!(state(&desk, task), TaskState::Failed { code: -5, desc: "no \"space\"".into() });
    assert!(!store.has("ota"), "nothing has to be remembered");
    host.destroy();
    // It is not told again.
    let mut host = online(&desk, &store, "1");
    host.publish("t", b"1", 1).unwrap();
    host.expect("DELIVERED");
}

#[test]
fn an_offer_that_was_made_while_the_device_was_off_is_told_and_told_again() {
    let (desk, store) = (Desk::active(|_| ()), Store::new());
    online(&desk, &store, "1").destroy();
    let task = offer(&desk, "2");
    let mut host = online(&desk, &store, "1");
    assert_eq!(offered(&mut host).0.state(), State::Offered);
    reaches(&mut host, &desk, task, |state| *state == TaskState::Received);
    for _ in 0..2 {
        host.destroy();
        // It comes from the storage, before the device is online.
        host = start(&desk, &store, "1");
        host.connect();
        assert_eq!(host.expect("OTA_OFFER").firmware.unwrap().version(), "2");
        host.expect("CONNECTED");
    }
    assert_eq!(states(&desk, task), [TaskState::Created, TaskState::Pushed, TaskState::Received]);
}

#[test]
fn the_same_offer_twice_and_a_newer_one_are_all_told() {
    let (desk, store) = (Desk::active(|_| ()), Store::new());
    let mut host = online(&desk, &store, "1");
    let tasks = ["2", "2", "3"].map(|version| offer(&desk, version));
    let told: Vec<String> = (0..3).map(|_| offered(&mut host).0.version()).collect();
    assert_eq!(told, ["2", "2", "3"]);
    for task in tasks {
        reaches(&mut host, &desk, task, |state| *state == TaskState::Received);
    }
    host.destroy();
    let mut host = online(&desk, &store, "1");
    assert_eq!(host.told("OTA_OFFER").len(), 1, "the newest");
    assert_eq!(host.seen[0].firmware.as_ref().unwrap().version(), "3");
    let _ = host.take();
}

#[test]
fn an_offer_on_request_comes_with_the_reply() {
    let (desk, store) = (Desk::active(|_| ()), Store::new());
    let mut host = online(&desk, &store, "1");
    let task = desk.cloud.offer(&device_id(), Offer::raw(params("2")).on_request()).unwrap();
    let token = host.request(&Ask::of(Operation::ENOS_OP_OTA_VERSION_QUERY)).unwrap();
    let reply = host.expect("REPLY");
    assert_eq!((reply.token, reply.status), (token, ENOS_OK));
    let (firmware, _) = offered(&mut host);
    let data: Value = serde_json::from_str(&reply.data.unwrap()).unwrap();
    assert_eq!(Firmware::parse(&data[0].to_string(), 0).unwrap(), firmware);
    assert_eq!(state(&desk, task), TaskState::Received);
    assert!(store.has("ota"));
}

#[test]
fn an_offer_of_the_version_that_runs_ends_its_task() {
    let (desk, store) = (Desk::active(|_| ()), Store::new());
    let mut host = online(&desk, &store, "1");
    let task = offer(&desk, "1");
    reaches(&mut host, &desk, task, |state| *state == TaskState::Succeeded);
    assert!(host.told("OTA_OFFER").is_empty() && host.told("REPLY").is_empty());
}

/// EnOS is told so, and the host can take it nevertheless.
#[test]
fn an_offer_that_cannot_be_stored_is_answered_with_a_code() {
    let store = Store::new();
    let Scene { mut host, mut peer, broker: _broker } = Scene::with(|setup| setup.storage(&store));
    for (code, status) in [(-5, ENOS_ERR_STORAGE), (0, ENOS_OK)] {
        store.answer(move |request| {
            (code != 0 && request.key.starts_with("ota.") && request.is_store()).then_some(code)
        });
        let body = json!({"id": "7", "version": "1.0", "method": "ota.device.upgrade", "params": params("2")});
        peer.send(&support::broker::publish(b"/sys/pk/dk/ota/device/upgrade", body.to_string().as_bytes(), None));
        let (_, told) = offered(&mut host);
        assert_eq!(told.status, status);
        let answer = peer.answer_publish();
        let answer: Value = serde_json::from_slice(answer.payload()).unwrap();
        assert_eq!(answer["code"], if code == 0 { 200 } else { 1102 });
        store.mend();
    }
}

#[test]
fn an_offer_that_cannot_be_read_is_answered_460() {
    let Scene { host, mut peer, broker: _broker } = Scene::new();
    for params in [json!(null), json!({}), json!({"version": "2"}), json!("2")] {
        let body = json!({"id": "7", "version": "1.0", "method": "ota.device.upgrade", "params": params});
        peer.send(&support::broker::publish(b"/sys/pk/dk/ota/device/upgrade", body.to_string().as_bytes(), None));
        let answer: Value = serde_json::from_slice(peer.answer_publish().payload()).unwrap();
        assert_eq!((&answer["code"], &answer["id"]), (&json!(460), &json!("7")));
    }
    assert_eq!(host.stats().commands, 0);
}

/// A download that was given up says nothing of the image. Other failures do.
#[test]
fn an_image_has_failed_unless_it_could_not_be_fetched() {
    let (desk, store) = (Desk::active(|_| ()), Store::new());
    let mut host = online(&desk, &store, "1");
    for step in [-2, -5, -77] {
        let task = offer(&desk, "2");
        let (firmware, _) = offered(&mut host);
        assert_eq!(firmware.state(), State::Offered);
        reaches(&mut host, &desk, task, |state| *state == TaskState::Received);
        host.ota_report(&firmware, step, None).unwrap();
        reaches(&mut host, &desk, task, failed_with(step.into()));
    }
    offer(&desk, "2");
    assert_eq!(offered(&mut host).0.state(), State::Failed);
}

/// Without a storage, reports are live, and all is forgotten at the end.
#[test]
fn without_a_storage_it_works_until_the_client_is_gone() {
    let desk = Desk::active(|_| ());
    let mut host = Setup::device(desk.address()).firmware_version("1").start();
    let refused = Firmware::parse(&params("2").to_string(), 0).unwrap();
    assert_eq!(host.ota_report(&refused, 1, None), Err(ENOS_ERR_STATE));
    host.online();
    let task = offer(&desk, "2");
    let (firmware, _) = offered(&mut host);
    host.ota_report(&firmware, 50, None).unwrap();
    assert_eq!(host.until("REPLY").status, ENOS_OK);
    assert_eq!(host.ota_installed(&firmware), ENOS_OK);
    assert_eq!(state(&desk, task), TaskState::InProgress { percent: 50, desc: String::new() });
    host.destroy();
    let mut host = Setup::device(desk.address()).firmware_version("1").start();
    host.online();
    host.publish("t", b"1", 1).unwrap();
    host.expect("DELIVERED");
}

/// The callback may make every call.
#[test]
fn the_host_decides_in_the_callback() {
    let (desk, store) = (Desk::active(|_| ()), Store::new());
    let setup = Setup::device(desk.address()).storage(&store).firmware_version("1");
    let decide = |client: Client, told: &Told| {
        let Some(firmware) = told.firmware.as_ref().filter(|_| told.name == "OTA_OFFER") else { return };
        match firmware.version().as_str() {
            "2" => drop(client.ota_report(firmware, -5, Some("not this one")).unwrap()),
            _ => assert_eq!(client.ota_installed(firmware), ENOS_OK),
        }
    };
    let mut host = setup.on_event(decide).start();
    host.connect();
    host.until("CONNECTED");
    let task = offer(&desk, "2");
    reaches(&mut host, &desk, task, failed_with(-5));
    assert!(!store.has("ota"));
    let task = offer(&desk, "3");
    reaches(&mut host, &desk, task, |state| *state == TaskState::Received);
    host.destroy();
    let mut host = online(&desk, &store, "3");
    reaches(&mut host, &desk, task, |state| *state == TaskState::Succeeded);
}

#[test]
fn arguments_are_checked() {
    let (desk, store) = (Desk::active(|_| ()), Store::new());
    let host = start(&desk, &store, "1");
    let json = params("2").to_string();
    let firmware = Firmware::parse(&json, 0).unwrap();
    assert_eq!(host.ota_report(&firmware, 101, None), Err(ENOS_ERR_INVALID_ARG));
    assert_eq!(host.ota_report(&firmware, 1, Some(&"x".repeat(600_000))), Err(ENOS_ERR_TOO_LARGE));
    let other = Firmware::parse(&json, 77).unwrap();
    assert_eq!(host.ota_report(&other, 1, None), Err(ENOS_ERR_NOT_FOUND));
    assert_eq!(host.ota_installed(&other), ENOS_ERR_NOT_FOUND);
    for wrong in ["", "{}", "[]", r#"{"version":1}"#] {
        let error = Firmware::parse(wrong, 0).unwrap_err();
        assert!(error == ENOS_ERR_PARSE || wrong.is_empty(), "{wrong}: {error:?}");
    }
    let channel = Setup::channel(desk.address()).storage(&Store::new()).start();
    assert_eq!(channel.ota_report(&firmware, 1, None), Err(ENOS_ERR_UNSUPPORTED));
    let error = Setup::channel(desk.address()).firmware_version("1").try_create().err().unwrap();
    assert_eq!(error.0, ENOS_ERR_INVALID_ARG, "{}", error.1);
    let copy = firmware.clone();
    drop(firmware);
    assert_eq!((copy.version(), copy.subdevice()), ("2".into(), 0));
}
