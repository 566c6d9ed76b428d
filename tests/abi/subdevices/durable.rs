//! Durable messages of sub-devices.

use super::*;
use support::broker::nobody;

#[test]
fn they_are_sent_after_a_restart_when_their_subdevice_is_online() {
    let (desk, store) = (desk(3, |_| ()), Store::new());
    let all = [0, 1, 2].map(params);
    let host = Setup::device(nobody()).storage(&store).start();
    let ids = host.add_subdevices(&subs(3)).unwrap();
    let asks: Vec<Ask> = ids[..2].iter().flat_map(|id| all.iter().map(|params| kept(*id, params))).collect();
    host.request_batch(&asks).unwrap();
    host.request(&kept(ids[2], &all[0])).unwrap();
    host.destroy();
    let mut host = Setup::device(desk.address()).storage(&store).start();
    let mut two = subs(3);
    two[1].flags = OFFLINE;
    two.remove(2);
    let ids = host.add_subdevices(&two).unwrap();
    host.connect();
    host.until_all(&ids[..1], SubState::Online);
    for _ in 0..3 {
        let told = host.until("REPLY");
        assert_eq!((told.subdevice, told.status, told.user), (ids[0], ENOS_OK, 0));
    }
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK, "the other one is offline");
    assert_eq!([0, 1, 2].map(|n| numbers(&desk, n)), [vec![0, 1, 2], vec![], vec![]]);
    assert_eq!(host.outbox_info_of(ids[1]).unwrap().messages, 3);
    assert_eq!(host.set_subdevice_online(ids[1], true), ENOS_OK);
    host.until_all(&ids[1..], SubState::Online);
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    assert_eq!(numbers(&desk, 1), [0, 1, 2]);
    // The third one is not there, and its message stays.
    let id = host.add_subdevices(&subs(3)[2..]).unwrap();
    host.until_all(&id, SubState::Online);
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    assert_eq!(numbers(&desk, 2), [0]);
}

/// The gateway has been restarted, and the host adds its sub-devices late, never, or with a wrong secret.
#[test]
fn a_thousand_stored_messages_wait_for_their_sub_device() {
    const COUNTS: [u32; 3] = [1_000, 1_000, 100];
    let (desk, store) = (desk(3, |_| ()), Store::new());
    let setup = || Setup::device(desk.address()).storage(&store).outbox_rate(0);
    let host = setup().start();
    let ids = host.add_subdevices(&subs(3)).unwrap();
    for (id, count) in ids.iter().zip(COUNTS) {
        let all: Vec<String> = (0..count).map(params).collect();
        let asks: Vec<Ask> = all.iter().map(|params| kept(*id, params)).collect();
        asks.chunks(250).for_each(|some| drop(host.request_batch(some).unwrap()));
    }
    host.destroy();
    let mut host = setup().start();
    host.connect();
    host.until("CONNECTED");
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK, "nothing can be sent");
    let mut all = subs(3);
    let wrong = Sub { device_secret: Some(c"wrong".into()), ..all[2].clone() };
    let ids = host.add_subdevices(&[all[0].clone(), wrong]).unwrap();
    host.until_all(&ids[..1], SubState::Online);
    host.until_all(&ids[1..], SubState::Refused);
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    assert_eq!(numbers(&desk, 0), (0..1_000).collect::<Vec<_>>());
    assert_eq!((numbers(&desk, 2), host.outbox_info_of(ids[1]).unwrap().messages), (vec![], 100));
    assert_eq!(host.remove_subdevice(ids[1]), ENOS_OK);
    all[1].flags = OFFLINE;
    let ids = host.add_subdevices(&all[1..]).unwrap();
    host.until_all(&ids[1..], SubState::Online);
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    assert_eq!(numbers(&desk, 2), (0..100).collect::<Vec<_>>());
    assert_eq!((numbers(&desk, 1), host.outbox_info_of(ids[0]).unwrap().messages), (vec![], 1_000));
    assert!(host.dead_letters().is_empty() && ids.iter().all(|id| host.dead_letters_of(*id).is_empty()));
}

/// Its login ends without a word. A durable message is not lost by that.
#[test]
fn one_that_is_not_logged_in_any_more_sends_again() {
    let (desk, store) = (desk(1, |_| ()), Store::new());
    let mut host = Setup::device(desk.address()).storage(&store).start();
    let ids = host.add_subdevices(&subs(1)).unwrap();
    host.connect();
    host.until_all(&ids, SubState::Online);
    assert!(desk.cloud.log_out(&sub_id(0)));
    let all = [0, 1, 2].map(params);
    let tokens: Vec<u64> = all.iter().map(|params| host.request(&kept(ids[0], params)).unwrap()).collect();
    let outcomes = host.outcomes(&tokens);
    for told in outcomes.values() {
        assert_eq!((told.status, told.subdevice, told.user), (ENOS_OK, ids[0], 100), "{told:?}");
    }
    assert!(host.told("SUBDEVICE_STATE").iter().any(|told| told.detail_code == 1009));
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
}

#[test]
fn what_waits_of_a_deleted_one_becomes_dead_letters() {
    let (desk, store) = (desk(2, |_| ()), Store::new());
    let mut host = Setup::device(desk.address()).storage(&store).start();
    let ids = host.add_subdevices(&subs(2)).unwrap();
    host.connect();
    host.until_all(&ids, SubState::Online);
    desk.cloud.disable(&sub_id(0)).unwrap();
    host.until_all(&ids[..1], SubState::Disabled);
    let all = [0, 1, 2].map(params);
    let tokens: Vec<u64> = all.iter().map(|params| host.request(&kept(ids[0], params)).unwrap()).collect();
    let other = host.request(&kept(ids[1], &all[0])).unwrap();
    assert_eq!(host.outcomes(&[other])[&other].status, ENOS_OK, "it holds up no other");
    assert_eq!(host.outbox_info_of(ids[0]).unwrap().messages, 3);
    desk.cloud.remove_device(&sub_id(0)).unwrap();
    let outcomes = host.outcomes(&tokens);
    for told in outcomes.values() {
        assert_eq!((told.status, told.subdevice, told.user), (ENOS_ERR_DEAD_LETTER, ids[0], 100), "{told:?}");
    }
    let letters: Vec<u64> = host.dead_letters_of(ids[0]).iter().map(|kept| kept.token).collect();
    assert_eq!((letters, host.dead_letters()), (tokens.clone(), vec![]));
    assert_eq!((host.drop_message(tokens[1]), host.dead_letters_of(ids[0]).len()), (ENOS_OK, 2));
    // New ones are refused, alone and together with others, until the host wants it to be online.
    assert_eq!(host.request(&kept(ids[0], &all[0])), Err(ENOS_ERR_STATE));
    assert!(last_error().contains("has deleted sub-device"), "{}", last_error());
    let both = [kept(ids[1], &all[1]), kept(ids[0], &all[0])];
    assert_eq!(host.request_batch(&both), Err((ENOS_ERR_STATE, 1)));
    assert_eq!(host.set_subdevice_online(ids[0], true), ENOS_OK);
    host.request(&kept(ids[0], &all[0])).unwrap();
}
