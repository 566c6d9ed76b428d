//! Batches, single logins, and what follows from refusals and silence.

use super::*;

#[test]
fn all_log_in_together_and_can_be_answered() {
    let mut park = Park::new();
    let ids = park.add(200);
    assert_eq!(park.session.subdevice_state(ids[0]).unwrap(), State::Offline);
    assert!(park.told().is_empty());
    park.connect();
    assert_eq!(park.login_sizes(), [100, 100]);
    assert_eq!(park.states(&ids), vec![State::Online; 200]);
    let told = park.told();
    for (n, id) in ids.iter().enumerate() {
        let of_one: Vec<_> = told.iter().filter(|(told, ..)| told == id).map(|told| told.1).collect();
        assert_eq!(of_one, [State::LoggingIn, State::Online], "{n}");
    }
    // The topics of replies to the gateway's requests, then of each batch.
    let sizes: Vec<usize> = park.subscribed.iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, 100, 100]);
    assert!(park.subscribed[1].contains(&"/sys/sub/0000/thing/measurepoint/post_reply".to_owned()));
    let subscribed = park.subscribed.len();
    for id in &ids[..10] {
        park.post(*id).unwrap();
    }
    assert_eq!((park.subscribed.len(), park.cloud.posts.len()), (subscribed, 10));
}

/// The time until all good ones are online does not depend on the others.
#[test]
fn one_refusal_is_the_state_of_one() {
    for bad in [1, 100, 199] {
        let mut park = Park::new();
        park.cloud.refused = (0..bad).map(|n| (Park::key(n), 742)).collect();
        let ids = park.add(200);
        park.connect();
        let (refused, online) = ids.split_at(bad);
        assert_eq!(park.states(online), vec![State::Online; 200 - bad]);
        assert_eq!(park.states(refused), vec![State::Refused; bad]);
        let sizes = park.login_sizes();
        assert_eq!(
            (&sizes[..2], sizes.len()),
            (&[100, 100][..], 2 + bad),
            "each that has failed is tried once, singly"
        );
        for told in park.told().iter().filter(|told| told.1 == State::Refused) {
            assert_eq!((told.2, told.3), (S::ENOS_ERR_REFUSED, 742));
        }
    }
}

#[test]
fn refusals_are_backed_off_and_forgotten_when_it_works() {
    let mut park = Park::new();
    park.cloud.refused.insert(Park::key(0), 770);
    let ids = park.add(2);
    park.connect();
    park.wait(3_600_000);
    let logins = park.cloud.logins.iter().filter(|(_, keys)| keys[..] == [Park::key(0)]).count();
    assert!((12..40).contains(&logins), "{logins} in an hour, with waits of up to 5 minutes");
    let waits = park.events.iter().filter(|event| event.subdevice_state == State::Refused as i32);
    assert!(waits.clone().all(|event| (1_000..=300_000).contains(&event.retry_in_ms)) && waits.count() > 10);
    park.cloud.refused.clear();
    park.wait(300_000);
    assert_eq!(park.states(&ids), [State::Online; 2]);
    park.lose_link();
    park.forget();
    park.wait(200_000);
    assert_eq!(park.login_sizes(), [2], "it is trusted again");
}

#[test]
fn after_a_new_link_all_log_in_again() {
    let (mut park, ids) = Park::online(150);
    park.post(ids[0]).unwrap();
    for _ in 0..5 {
        park.forget();
        park.lose_link();
        assert_eq!(park.states(&ids), vec![State::Offline; 150]);
        assert!(park.told().iter().all(|told| (told.1, told.2) == (State::Offline, S::ENOS_ERR_NETWORK)));
        assert!(park.post(ids[0]).is_err());
        park.forget();
        park.wait(200_000);
        assert_eq!(park.login_sizes(), [100, 50]);
        assert_eq!(park.states(&ids), vec![State::Online; 150]);
        let of_the_gateway: Vec<_> = park.subscribed[0].iter().filter(|topic| topic.contains("/sub/")).collect();
        assert!(of_the_gateway.is_empty(), "nothing of a sub-device goes out before its login");
    }
}

#[test]
fn a_batch_that_is_too_large_is_halved_and_that_is_remembered() {
    let mut park = Park::new();
    park.cloud.max_batch = Some(50);
    let ids = park.add(200);
    park.connect();
    assert_eq!(park.states(&ids), vec![State::Online; 200]);
    assert_eq!(park.login_sizes(), [100, 50, 50, 50, 50]);
    park.lose_link();
    park.wait(200_000);
    assert_eq!(park.login_sizes(), [50; 4]);
}

#[test]
fn a_bad_signature_is_found_in_a_cloud_that_takes_all_or_none() {
    let mut park = Park::new();
    park.cloud.all_or_nothing = true;
    park.cloud.refused.insert(Park::key(33), 742);
    let ids = park.add(64);
    park.connect();
    park.wait(60_000);
    let states = park.states(&ids);
    assert_eq!(states[33], State::Refused);
    assert_eq!(states.iter().filter(|state| **state == State::Online).count(), 63);
    park.lose_link();
    park.forget();
    park.wait(200_000);
    let sizes = park.login_sizes();
    let together: usize = sizes.iter().filter(|size| **size > 1).sum();
    assert!(together >= 62, "the bad one is not among the others any more: {sizes:?}");
}

#[test]
fn a_cloud_that_does_not_answer_meets_no_storm() {
    let mut park = Park::new();
    park.cloud.silent = true;
    let ids = park.add(200);
    park.connect();
    park.wait(3_600_000);
    let times: Vec<u64> = park.cloud.logins.iter().map(|login| login.0).collect();
    assert!((10..120).contains(&times.len()), "{} requests in an hour", times.len());
    // The timeout, and the longest pause.
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] <= 331_000), "{times:?}");
    park.cloud.silent = false;
    park.cloud.logins.clear();
    park.wait(700_000);
    assert_eq!(park.states(&ids), vec![State::Online; 200]);
}

/// Each code for an hour.
#[test]
fn a_cloud_that_refuses_everything_meets_no_storm() {
    for code in [400, 401, 429, 500, 705, 723, 740, 742, 770, 771, 1009, 1200, 6205] {
        let mut park = Park::new();
        park.cloud.refused = (0..100).map(|n| (Park::key(n), code)).collect();
        let ids = park.add(100);
        park.connect();
        park.wait(3_600_000);
        for id in &ids {
            let key = Park::key(*id as usize - 1);
            let logins = park.cloud.logins.iter().filter(|(_, keys)| keys.contains(&key)).count();
            assert!((8..60).contains(&logins), "{code}: {logins} of {key} in an hour");
        }
        assert_eq!(park.states(&ids), vec![State::Refused; 100]);
    }
}

#[test]
fn answers_that_name_others_or_name_one_twice_or_leave_one_out() {
    let mut park = Park::new();
    park.cloud.holds = true;
    let ids = park.add(4);
    park.connect();
    let [Input::Link { what: LinkEvent::Message { topic, payload, .. }, .. }] = &park.replies[..] else { panic!() };
    let (topic, id) = (String::from_utf8(topic.clone()).unwrap(), serde_json::from_slice::<Value>(payload).unwrap());
    let (id, one) = (id["id"].clone(), |key: usize| json!({"productKey": "sub", "deviceKey": Park::key(key)}));
    let other = json!({"productKey": "other", "deviceKey": Park::key(2)});
    park.replies.clear();
    park.cloud.holds = false;
    let lists =
        json!({"loginedSubDevices": [one(0), one(0), other, one(9), one(1)], "failedSubDevices": [one(1), one(3)]});
    park.message(&topic, &json!({"id": id, "code": 723, "data": lists}));
    // 2 and 3 have logged in singly.
    assert_eq!(park.states(&ids), [State::Online; 4]);
    assert_eq!(park.login_sizes(), [4, 1, 1]);
    // A second answer changes nothing, and is not given to the host: it may hold secrets.
    park.events.clear();
    park.message(&topic, &json!({"id": id, "code": 723, "data": {"failedSubDevices": [one(0)]}}));
    assert!(park.events.is_empty());
    assert_eq!(park.states(&ids), [State::Online; 4]);
}

#[test]
fn the_topology_is_added_to_at_the_first_login_only() {
    let mut park = Park::new();
    park.cloud.not_in_topology = (0..3).map(Park::key).collect();
    let new = |n: usize| NewSubdevice { add_topology: n < 2, ..Park::new_one(&Park::key(n)) };
    let ids = park.try_add((0..3).map(new).collect()).unwrap();
    park.connect();
    assert_eq!(park.cloud.topology, [Park::key(0), Park::key(1)]);
    assert_eq!(park.states(&ids), [State::Online, State::Online, State::Refused]);
    // An operator removes one.
    park.cloud.not_in_topology.insert(Park::key(0));
    park.lose_link();
    park.wait(3_600_000);
    assert_eq!(park.cloud.topology.len(), 2);
    assert_eq!(park.states(&ids), [State::Refused, State::Online, State::Refused]);
}

#[test]
fn one_that_is_taken_over_logs_in_again_and_again_more_slowly() {
    let (mut park, ids) = Park::online(1);
    let mut requests = 0;
    let until = park.now + 3_600_000;
    while park.now < until {
        if park.session.subdevice_state(ids[0]).unwrap() == State::Online {
            park.post(ids[0]).unwrap();
            requests += 1;
            // The other gateway has it.
            park.deny_last_post();
            assert_eq!(park.states(&ids), [State::Refused]);
            let told = park.told();
            assert_eq!(told.last().unwrap(), &(ids[0], State::Refused, S::ENOS_ERR_REFUSED, 1009));
        }
        park.wait(1_000);
    }
    assert!((8..40).contains(&requests), "{requests} logins in an hour");
}
