//! What an update comes to after a restart.

use super::*;

/// The host has installed version 2, and its process ends.
fn installed(desk: &Desk, store: &Store) -> (u64, Firmware) {
    let mut host = online(desk, store, "1");
    let task = offer(desk, "2");
    let (firmware, _) = offered(&mut host);
    reaches(&mut host, desk, task, |state| *state == TaskState::Received);
    assert_eq!(host.ota_installed(&firmware), ENOS_OK);
    host.destroy();
    (task, firmware)
}

#[test]
fn the_new_version_runs_and_that_is_told() {
    let (desk, store) = (Desk::active(|_| ()), Store::new());
    let (task, _) = installed(&desk, &store);
    let mut host = start(&desk, &store, "2");
    host.connect();
    let told = host.expect("OTA");
    assert_eq!((told.status, told.token, told.firmware.unwrap().version()), (ENOS_OK, 0, "2".into()));
    reaches(&mut host, &desk, task, |state| *state == TaskState::Succeeded);
    assert!(!store.has("ota"));
    host.destroy();
    let mut host = online(&desk, &store, "2");
    assert!(host.told("OTA").is_empty());
    let _ = host.take();
}

/// The bootloader starts the old version, ten times.
#[test]
fn the_old_version_runs_again_and_that_is_told_once() {
    let (desk, store) = (Desk::active(|_| ()), Store::new());
    let (task, firmware) = installed(&desk, &store);
    for start in 0..10 {
        let mut host = online(&desk, &store, "1");
        reaches(&mut host, &desk, task, failed_with(-4));
        let told = host.told("OTA");
        assert_eq!(
            told.iter().map(|told| told.status).collect::<Vec<_>>(),
            vec![ENOS_ERR_NOT_INSTALLED; 1][..usize::from(start == 0)]
        );
        assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
        host.destroy();
    }
    assert_eq!(states(&desk, task).len(), 4, "created, pushed, received, failed");
    // The cloud offers it again, at once: it is known as one that has failed.
    let mut host = online(&desk, &store, "1");
    let again = offer(&desk, "2");
    let (known, _) = offered(&mut host);
    assert_eq!((known.state(), known.version()), (State::Failed, firmware.version()));
    reaches(&mut host, &desk, again, |state| *state == TaskState::Received);
}

/// The link is down from 99 percent on, and the old version runs after the restart: the cloud hears one final state, and
/// none of the others.
#[test]
fn what_happens_offline_is_told_once_and_the_newest_only() {
    let (desk, store) = (Desk::active(|_| ()), Store::new());
    let mut host = online(&desk, &store, "1");
    let task = offer(&desk, "2");
    let (firmware, _) = offered(&mut host);
    reaches(&mut host, &desk, task, |state| *state == TaskState::Received);
    host.go_offline();
    let tokens = [98, 99, 100].map(|step| host.ota_report(&firmware, step, None).unwrap());
    for token in &tokens[..2] {
        let told = host.until("REPLY");
        assert_eq!((told.token, told.status), (*token, ENOS_ERR_SUPERSEDED));
    }
    assert_eq!(host.waiting(), 1, "the others have left the storage");
    assert_eq!(host.ota_installed(&firmware), ENOS_OK);
    host.destroy();
    // Two starts without a network.
    for _ in 0..2 {
        let mut host = Setup::device(support::broker::nobody()).storage(&store).firmware_version("1").start();
        host.connect();
        host.until("DISCONNECTED");
    }
    let mut host = online(&desk, &store, "1");
    reaches(&mut host, &desk, task, failed_with(-4));
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    let TaskState::Failed { desc, .. } = state(&desk, task) else { panic!() };
    assert_eq!(desc, "after the installation of 2, the device runs 1");
    let started = [TaskState::Created, TaskState::Pushed, TaskState::Received];
    assert_eq!(states(&desk, task)[..3], started);
    assert_eq!(states(&desk, task).len(), 4, "{:?}", states(&desk, task));
}

/// A record with any bit flipped starts over: neither a success nor a failure is told.
#[test]
fn a_damaged_record_starts_over() {
    let (desk, store) = (Desk::active(|_| ()), Store::new());
    let (task, _) = installed(&desk, &store);
    let key = store.keys("ota").pop().unwrap();
    let bits = store.records()[&key].len() * 8;
    for bit in (0..bits).step_by(97) {
        let flipped = Store::with(store.records().clone());
        flipped.garble(&key, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        let mut host = Setup::device(support::broker::nobody()).storage(&flipped).firmware_version("2").start();
        host.connect();
        let told = host.expect("OTA");
        assert_eq!((told.status, told.firmware), (ENOS_ERR_STORAGE, None), "bit {bit}: {}", told.detail);
        assert_eq!(host.waiting(), 0);
    }
    assert_eq!(state(&desk, task), TaskState::Received);
}

/// enos_ota_installed() returns only when the storage has it, and the error otherwise.
#[test]
fn an_installation_is_stored_before_the_restart() {
    let (desk, store) = (Desk::active(|_| ()), Store::new());
    let mut host = online(&desk, &store, "1");
    offer(&desk, "2");
    let (firmware, _) = offered(&mut host);
    let before = store.records().clone();
    store.fail(-5, false);
    assert_eq!(host.ota_installed(&firmware), ENOS_ERR_STORAGE);
    assert_eq!(*store.records(), before);
    store.mend();
    store.calls();
    assert_eq!(host.ota_installed(&firmware), ENOS_OK);
    assert_eq!(store.calls().stores, 1);
    assert_ne!(*store.records(), before);
}

/// The version is reported again on a later link when there was no reply.
#[test]
fn the_version_is_reported_until_there_is_a_reply() {
    let mut scene = support::scene::Scene::with(|setup| setup.firmware_version("1").reply_timeout(500));
    for _ in 0..3 {
        let filters = scene.peer.answer_filters(&[1]);
        assert_eq!(filters[0].0, "/sys/pk/dk/ota/device/inform_reply");
        let report = scene.peer.answer_publish();
        let body: Value = serde_json::from_slice(report.payload()).unwrap();
        assert_eq!((&body["method"], &body["params"]), (&json!("ota.device.inform"), &json!({"version": "1"})));
        scene.reconnect();
    }
    assert!(scene.host.told("REPLY").is_empty());
}
