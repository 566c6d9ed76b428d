//! Single scenes, and the table of the module: each phase with each event.

use super::*;

#[test]
fn an_offer_is_stored_then_answered_and_told() {
    let (mut board, two) = (Board::online("1"), firmware("2"));
    let id = board.offer(&two);
    assert_eq!(board.answers, [(id, 200)]);
    assert_eq!((board.told(), &board.disk.open), (vec![offer(S::ENOS_OK, "2 OFFERED")], &Some(two.clone())));
    // Until the host decides, it is told again after each restart.
    for _ in 0..2 {
        board.restart("1");
        assert_eq!(board.told(), [offer(S::ENOS_OK, "2 OFFERED")]);
    }
    board.end(&two, false);
    assert!(board.disk.is_empty());
    board.restart("1");
    assert_eq!(board.told(), []);
}

#[test]
fn the_same_offer_twice_is_answered_and_told_twice() {
    let (mut board, two) = (Board::online("1"), firmware("2"));
    let ids = [board.offer(&two), board.offer(&Firmware { url: "/signed/anew".into(), ..two.clone() })];
    assert_eq!(board.answers, ids.map(|id| (id, 200)));
    assert_eq!(board.told(), [offer(S::ENOS_OK, "2 OFFERED"), offer(S::ENOS_OK, "2 OFFERED")]);
    assert_eq!(board.disk.open.as_ref().unwrap().url, "/signed/anew");
}

#[test]
fn an_offer_that_cannot_be_stored_is_answered_so_and_told() {
    let (mut board, two) = (Board::online("1"), firmware("2"));
    board.storage_fails = 1;
    let id = board.offer(&two);
    assert_eq!((board.told(), &board.answers[..]), (vec![offer(S::ENOS_ERR_STORAGE, "2 OFFERED")], &[(id, 1102)][..]));
    assert!(board.disk.is_empty());
    // The storage works again: EnOS offers it again.
    board.wait(200_000);
    board.offer(&two);
    assert_eq!(board.told(), [offer(S::ENOS_OK, "2 OFFERED")]);
}

#[test]
fn what_cannot_be_read_is_refused_and_not_told() {
    let mut board = Board::online("1");
    for (id, params) in [(7, json!({"version": "2"})), (8, json!(null)), (9, json!([]))] {
        board.message("ota/device/upgrade", &json!({"id": id, "method": "ota.device.upgrade", "params": params}));
    }
    assert_eq!((board.told(), &board.answers[..]), (vec![], &[(7, 460), (8, 460), (9, 460)][..]));
}

#[test]
fn an_offer_of_the_running_version_ends_the_task() {
    let mut board = Board::online("2");
    let id = board.offer(&firmware("2"));
    assert_eq!((board.told(), &board.answers[..]), (vec![], &[(id, 200)][..]));
    assert_eq!(board.versions, ["2"]);
    assert!(board.disk.is_empty());
}

#[test]
fn the_rows_of_a_query_are_offers() {
    let mut board = Board::online("1");
    board.is_mute = true;
    let call = Call {
        operation: Operation::ENOS_OP_OTA_VERSION_QUERY,
        subdevice: 0,
        name: "",
        params: b"{}",
        flags: 0,
        timeout_ms: None,
        user: 0,
    };
    let token = board.session.request(board.now(), &call).unwrap();
    board.perform();
    board.is_mute = false;
    // The id of the request follows from its token: it is the only one in flight.
    let id = (fastrand::Rng::with_seed(1).u64(1..1 << 48) + token).to_string();
    let data = json!([row(&firmware("2")), {"version": "broken"}, row(&firmware("1")), row(&firmware("3"))]);
    board.message("ota/device/getversion_reply", &json!({"id": id, "code": 200, "data": data}));
    let kinds: Vec<EventKind> = board.events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::Reply, EventKind::OtaOffer, EventKind::OtaOffer]);
    assert_eq!(board.told(), [offer(S::ENOS_OK, "2 OFFERED"), offer(S::ENOS_OK, "3 OFFERED")]);
    assert_eq!(board.disk.open, Some(firmware("3")));
}

#[test]
fn a_version_is_reported_until_it_is_answered() {
    let mut board = Board::new(Some("1"));
    board.is_mute = true;
    board.connect();
    board.wait(100_000);
    assert_eq!(board.versions, ["1"]);
    for _ in 0..2 {
        board.lose_link();
        board.wait(200_000);
    }
    assert_eq!(board.versions.len(), 3);
    board.is_mute = false;
    board.lose_link();
    board.wait(200_000);
    board.lose_link();
    board.wait(200_000);
    assert_eq!(board.versions.len(), 4);
    assert!(board.told().is_empty());
}

#[test]
fn the_new_version_runs() {
    let (mut board, two) = (Board::online("1"), firmware("2"));
    board.offer(&two);
    board.take(Phase::Verified, &two).unwrap();
    board.take(Phase::Installed, &two).unwrap();
    // The version is reported once more before the restart, and is not the result.
    board.report_version("1");
    assert_eq!(board.disk.taken, Some((Phase::Installed, two.clone())));
    board.versions.clear();
    board.restart("2");
    assert_eq!(board.told(), [outcome(S::ENOS_OK, "2 OFFERED")]);
    assert_eq!((&board.versions[..], &board.steps[..], board.disk.is_empty()), (&["2".to_owned()][..], &[][..], true));
    board.restart("2");
    assert_eq!(board.told(), []);
}

/// The bootloader starts the old version ten times.
#[test]
fn the_old_version_runs_again() {
    let (mut board, two) = (Board::online("1"), firmware("2"));
    board.take(Phase::Installed, &two).unwrap();
    board.restart("1");
    assert_eq!(board.told(), [outcome(S::ENOS_ERR_NOT_INSTALLED, "2 FAILED")]);
    assert_eq!(std::mem::take(&mut board.steps), [-4]);
    for _ in 0..10 {
        board.restart("1");
        assert_eq!((board.told(), &board.steps[..]), (vec![], &[][..]));
    }
    board.offer(&two);
    assert_eq!(board.told(), [offer(S::ENOS_OK, "2 FAILED")]);
    assert_eq!([false, true].map(|retry| board.may_download(&two, retry)), [false, true]);
    assert!(board.may_download(&firmware("3"), false));
    // It works at last, so it has not failed any more.
    board.take(Phase::Installed, &two).unwrap();
    board.restart("2");
    assert!(board.disk.is_empty());
}

#[test]
fn an_image_with_the_version_that_runs_is_a_success() {
    let (mut board, same) = (Board::online("1"), firmware("1"));
    board.take(Phase::Installed, &same).unwrap();
    board.restart("1");
    assert_eq!(board.told(), [outcome(S::ENOS_OK, "1 OFFERED")]);
    assert!(board.steps.is_empty() && board.disk.is_empty());
}

#[test]
fn a_newer_offer_waits_while_the_slot_is_taken() {
    let (mut board, two, three) = (Board::online("1"), firmware("2"), firmware("3"));
    for phase in [Phase::Verified, Phase::Installed] {
        board.take(phase, &two).unwrap();
        board.offer(&three);
        assert_eq!(board.told(), [offer(S::ENOS_OK, "3 OFFERED")]);
        board.offer(&two);
        let state = if phase == Phase::Verified { "2 VERIFIED" } else { "2 INSTALLED" };
        assert_eq!(board.told(), [offer(S::ENOS_OK, state)]);
        assert_eq!([false, true].map(|retry| board.may_download(&three, retry)), [false; 2]);
        assert_eq!(board.may_download(&two, false), phase == Phase::Verified);
        assert!(board.take(Phase::Verified, &three).is_err());
        assert_eq!(board.disk.taken, Some((phase, two.clone())));
    }
    // After a restart before the installation, both are told again.
    board.take(Phase::Verified, &two).unwrap_err();
    board.end(&two, false);
    board.take(Phase::Verified, &two).unwrap();
    board.restart("1");
    assert_eq!(board.told(), [offer(S::ENOS_OK, "2 VERIFIED"), offer(S::ENOS_OK, "3 OFFERED")]);
    assert!(!board.may_download(&three, false));
    board.end(&two, true);
    assert!(board.may_download(&three, false) && !board.may_download(&two, false));
}

#[test]
fn a_store_that_fails_takes_nothing() {
    let (mut board, two) = (Board::online("1"), firmware("2"));
    board.offer(&two);
    for phase in [Phase::Verified, Phase::Installed] {
        let before = board.disk.clone();
        board.storage_fails = 1;
        assert_eq!(board.take(phase, &two).unwrap_err().status, S::ENOS_ERR_STORAGE);
        assert_eq!(board.disk, before);
        assert_eq!(board.session.may_download(0, &firmware("3"), false).is_ok(), before.taken.is_none());
        board.take(phase, &two).unwrap();
    }
}

#[test]
fn a_record_that_cannot_be_used_starts_over_and_is_told() {
    let (mut board, two) = (Board::online("1"), firmware("2"));
    board.take(Phase::Installed, &two).unwrap();
    board.broken = Some("the record is broken");
    board.restart("2");
    assert_eq!(board.told(), [outcome(S::ENOS_ERR_STORAGE, "")]);
    assert!(board.steps.is_empty());
    assert!(board.may_download(&two, false));
}

#[test]
fn a_storage_that_cannot_be_read_is_tried_again() {
    let (mut board, two) = (Board::online("1"), firmware("2"));
    board.take(Phase::Installed, &two).unwrap();
    board.storage_fails = 3;
    board.restart("1");
    assert_eq!((board.told(), &board.steps[..]), (vec![], &[][..]));
    board.wait(600_000);
    assert_eq!(board.told(), [outcome(S::ENOS_ERR_NOT_INSTALLED, "2 FAILED")]);
    assert_eq!(board.steps, [-4]);
}

/// The host reports its version once more before the result is stored.
#[test]
fn a_failed_installation_is_reported_once_however_often_the_version_is() {
    let mut board = Board::new(None);
    board.disk = Update { taken: Some((Phase::Installed, firmware("2"))), ..Update::default() };
    board.connect();
    board.report_version("1");
    assert_eq!(board.reports, 1);
    // The same with a storage that takes the report and not the record.
    let mut board = Board::new(None);
    board.disk = Update { taken: Some((Phase::Installed, firmware("2"))), ..Update::default() };
    board.connect();
    board.fails_to_store = true;
    (0..3).for_each(|_| board.report_version("1"));
    assert_eq!((board.reports, board.told().len()), (1, 0));
    board.fails_to_store = false;
    board.wait(10_000);
    assert_eq!(board.told(), [outcome(S::ENOS_ERR_NOT_INSTALLED, "2 FAILED")]);
    assert_eq!(board.reports, 1);
    assert!(board.disk.taken.is_none());
}

/// The outbox is full.
#[test]
fn a_report_that_is_not_taken_holds_up_no_offer() {
    let (mut board, two, three) = (Board::online("1"), firmware("2"), firmware("3"));
    board.take(Phase::Installed, &two).unwrap();
    board.fails_to_report = true;
    board.restart("1");
    let id = board.offer(&three);
    assert_eq!((board.told(), board.answers.last()), (vec![offer(S::ENOS_OK, "3 OFFERED")], Some(&(id, 200))));
    assert_eq!((board.disk.open.as_ref(), board.reports), (Some(&three), 0));
    board.fails_to_report = false;
    board.wait(200_000);
    assert_eq!(board.told(), [outcome(S::ENOS_ERR_NOT_INSTALLED, "2 FAILED")]);
    assert_eq!((board.reports, board.may_download(&three, false)), (1, true));
}

/// A host that reports its version by itself.
#[test]
fn the_hosts_own_report_is_compared_as_well() {
    let two = firmware("2");
    for (version, status) in [("2", S::ENOS_OK), ("1", S::ENOS_ERR_NOT_INSTALLED)] {
        let mut board = Board::new(None);
        board.disk = Update { taken: Some((Phase::Installed, two.clone())), ..Update::default() };
        board.connect();
        assert!(board.told().is_empty() && board.versions.is_empty());
        board.report_version(version);
        assert_eq!((board.versions.len(), board.told()[0].1), (1, status), "{version}");
    }
}

/// The process ends before or after each piece of work of a failed installation.
#[test]
fn a_failed_installation_is_reported_once_wherever_the_process_ends() {
    let two = firmware("2");
    for lives_for in 0..6 {
        let mut board = Board::online("1");
        board.take(Phase::Installed, &two).unwrap();
        board.version = Some("1".into());
        board.session = session(Some("1"));
        board.lives_for = lives_for;
        board.connect();
        let before = board.told();
        board.restart("1");
        board.restart("1");
        assert_eq!(board.steps, [-4], "{lives_for}");
        assert_eq!(board.disk, Update { failed: Some(two.clone()), ..Update::default() });
        assert!(before.len() <= 1);
    }
}
