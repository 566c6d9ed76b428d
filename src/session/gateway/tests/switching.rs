//! The host adds, removes, and takes offline and online.

use super::*;

#[test]
fn bad_additions_add_nothing() {
    let mut park = Park::new();
    park.add(2);
    let refused = |park: &mut Park, keys: &[&str]| {
        let error = park.try_add(keys.iter().map(|key| Park::new_one(key)).collect()).unwrap_err();
        assert_eq!(park.session.subdevices().len(), 2);
        (error.status, error.message)
    };
    for keys in [&["a", "0001"][..], &["a", "b", "a"]] {
        let (status, words) = refused(&mut park, keys);
        assert!(status == S::ENOS_ERR_INVALID_ARG && words.contains("has sub/"), "{words}");
    }
    let many: Vec<String> = (0..199).map(|n| format!("x{n}")).collect();
    let (status, words) = refused(&mut park, &many.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(status == S::ENOS_ERR_QUEUE_FULL && words.contains("at most 200"), "{words}");
    let own = NewSubdevice { identity: Identity::new("pk", "dk", None).unwrap(), ..Park::new_one("x") };
    assert_eq!(park.try_add(vec![own]).unwrap_err().status, S::ENOS_ERR_INVALID_ARG);
    for id in [0, 3, u64::MAX] {
        assert_eq!(park.session.subdevice_state(id).unwrap_err().status, S::ENOS_ERR_NOT_FOUND);
        assert!(park.post(id).is_err());
    }
}

#[test]
fn the_limit_counts_those_that_are_to_be_online() {
    let mut park = Park::new();
    let ids = park.add(200);
    let offline = NewSubdevice { online: false, ..Park::new_one("x") };
    let [x] = park.try_add(vec![offline]).unwrap()[..] else { panic!() };
    park.connect();
    assert_eq!(park.states(&[x]), [State::Offline]);
    let error = park.session.set_subdevice_online(park.now(), x, true).unwrap_err();
    assert_eq!(error.status, S::ENOS_ERR_QUEUE_FULL);
    park.set_online(ids[0], false);
    park.set_online(x, true);
    assert_eq!(park.states(&[ids[0], x]), [State::Offline, State::Online]);
}

#[test]
fn one_goes_offline_and_online_at_a_limited_rate() {
    let (mut park, ids) = Park::online(1);
    for second in 0..3_600 {
        park.set_online(ids[0], second % 2 == 1);
        park.wait(1_000);
    }
    let logins = park.cloud.logins.len();
    assert!((300..=720).contains(&logins), "{logins} in an hour");
    park.wait(10_000);
    assert_eq!(park.states(&ids), [State::Online]);
    assert!(park.cloud.logged_in.contains(&Park::key(0)));
}

/// The cloud ends with what the host wanted last, whenever the answer to the login comes.
#[test]
fn the_last_wish_counts_while_a_login_is_under_way() {
    for wishes in [&[false][..], &[false, true], &[false, true, false]] {
        let mut park = Park::new();
        park.cloud.holds = true;
        let ids = park.add(1);
        park.connect();
        wishes.iter().for_each(|on| park.set_online(ids[0], *on));
        park.cloud.holds = false;
        park.deliver();
        park.wait(10_000);
        let on = wishes.last() == Some(&true);
        assert_eq!(park.cloud.logged_in.len(), usize::from(on), "{wishes:?}");
        assert_eq!(park.states(&ids), [if on { State::Online } else { State::Offline }]);
    }
}

#[test]
fn a_removed_one_is_logged_out_and_its_keys_are_free() {
    let (mut park, ids) = Park::online(3);
    park.remove(ids[1]);
    assert_eq!(park.cloud.logouts, [Park::key(1)]);
    assert!(park.told().is_empty());
    assert_eq!(park.session.subdevice_state(ids[1]).unwrap_err().status, S::ENOS_ERR_NOT_FOUND);
    let [again] = park.try_add(vec![Park::new_one(&Park::key(1))]).unwrap()[..] else { panic!() };
    assert!(again > ids[2]);
    park.wait(1_000);
    assert_eq!(park.states(&[again]), [State::Online]);
}

#[test]
fn one_that_is_removed_during_its_login_is_logged_out_after_it() {
    let mut park = Park::new();
    park.cloud.holds = true;
    let ids = park.add(2);
    park.connect();
    park.remove(ids[0]);
    assert_eq!(park.session.subdevices().len(), 1);
    park.cloud.holds = false;
    park.deliver();
    assert_eq!(park.cloud.logged_in, BTreeSet::from([Park::key(1)]));
    assert!(park.try_add(vec![Park::new_one(&Park::key(0))]).is_ok());
}

#[test]
fn requests_need_a_login_and_have_their_sub_device_in_the_outcome() {
    let (mut park, ids) = Park::online(2);
    let token = park.post(ids[1]).unwrap();
    assert_eq!(park.cloud.posts, ["/sys/sub/0001/thing/measurepoint/post"]);
    park.wait(30_000);
    let outcome = park.events.iter().find(|event| event.token == token).unwrap();
    assert_eq!((outcome.subdevice, outcome.user, outcome.status), (ids[1], 5, S::ENOS_ERR_TIMEOUT));
    park.set_online(ids[1], false);
    let error = park.post(ids[1]).unwrap_err();
    assert_eq!(error.status, S::ENOS_ERR_STATE);
    assert!(error.message.contains("OFFLINE"));
    let topology = Call {
        operation: Operation::ENOS_OP_TOPOLOGY_GET,
        subdevice: ids[0],
        name: "",
        params: b"{}",
        flags: 0,
        timeout_ms: None,
        user: 0,
    };
    let error = park.session.request(park.now(), &topology).unwrap_err();
    assert_eq!(error.status, S::ENOS_ERR_UNSUPPORTED);
}

#[test]
fn no_login_begins_when_the_host_disconnects() {
    let mut park = Park::new();
    park.cloud.holds = true;
    let ids = park.add(150);
    park.connect();
    park.session.disconnect(park.now());
    park.cloud.holds = false;
    park.deliver();
    park.wait(10_000);
    assert_eq!(park.login_sizes(), [100]);
    assert_eq!(park.states(&ids), vec![State::Offline; 150]);
}
