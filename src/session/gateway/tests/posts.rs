//! Posts that are joined: many in one message, each with its own outcome.

use super::*;

const BATCH: &str = "/sys/pk/dk/thing/measurepoint/post/batch";
const JOIN: u32 = Flag::ENOS_REQUEST_JOIN as u32;
const SKIP: u32 = Flag::ENOS_REQUEST_SKIP_INVALID_POINTS as u32;

fn topic(n: usize) -> String {
    format!("/sys/sub/{}/thing/measurepoint/post", Park::key(n))
}

/// A gateway with sub-devices, all online, whose posts are answered, and which has joined posts before.
fn online(count: usize) -> (Park, Vec<u64>) {
    let mut park = Park::with(Settings { inflight: 1_000, ..world::settings() });
    let ids = park.add(count);
    park.connect();
    park.cloud.answers_posts = Some(1);
    park.join(0).unwrap();
    park.join(0).unwrap();
    park.wait(50);
    assert_eq!(park.cloud.data.last().unwrap().0, BATCH);
    park.cloud.data.clear();
    park.forget();
    (park, ids)
}

/// The status and code of each outcome, in the order of the tokens. Each has one.
fn outcomes(park: &Park, tokens: &[u64]) -> Vec<(S, i32)> {
    let of = |token: &u64| {
        let all: Vec<_> = park.events.iter().filter(|event| event.token == *token).collect();
        assert_eq!(all.len(), 1, "{token}");
        assert_eq!((all[0].kind, all[0].user), (EventKind::Reply, 5));
        (all[0].status, all[0].detail_code)
    };
    tokens.iter().map(of).collect()
}

fn topics(park: &mut Park) -> Vec<String> {
    std::mem::take(&mut park.cloud.data).into_iter().map(|(topic, _)| topic).collect()
}

#[test]
fn many_go_in_one_message_and_each_has_its_outcome() {
    let (mut park, ids) = online(200);
    let tokens: Vec<u64> = [0].iter().chain(&ids).map(|id| park.join(*id).unwrap()).collect();
    park.wait(49);
    assert!(park.cloud.data.is_empty());
    park.wait(1);
    let [(at, params)] = &park.cloud.data[..] else { panic!("{:?}", topics(&mut park)) };
    assert_eq!(at, BATCH);
    let own = json!({"measurepoints": {"p": 1}});
    assert_eq!(params[0], own);
    assert_eq!(params[7], json!({"productKey": "sub", "deviceKey": Park::key(6), "measurepoints": {"p": 1}}));
    assert_eq!(params.as_array().unwrap().len(), 201);
    assert_eq!(outcomes(&park, &tokens), vec![(S::ENOS_OK, 200); 201]);
    let of = park.events.iter().find(|event| event.token == tokens[7]).unwrap();
    assert_eq!(of.subdevice, ids[6]);
    assert!(park.session.exchange.is_idle());
}

#[test]
fn one_that_finds_no_other_goes_by_itself() {
    let (mut park, ids) = online(2);
    let token = park.join(ids[0]).unwrap();
    park.wait(50);
    assert_eq!(topics(&mut park), [topic(0)]);
    assert_eq!(outcomes(&park, &[token]), [(S::ENOS_OK, 200)]);
}

#[test]
fn a_post_with_little_time_does_not_spend_it_on_waiting() {
    let (mut park, ids) = online(2);
    let params = br#"{"measurepoints":{"p":1}}"#;
    let operation = Operation::ENOS_OP_MEASUREPOINT_POST;
    let call = Call { operation, subdevice: ids[0], name: "", params, flags: JOIN, timeout_ms: Some(20), user: 5 };
    let tokens = [park.join(ids[1]).unwrap(), park.session.request(park.now(), &call).unwrap()];
    park.wait(10);
    assert_eq!(outcomes(&park, &tokens), [(S::ENOS_OK, 200); 2]);
}

/// Before the first batch its reply topic is asked for, and the posts wait for that.
#[test]
fn the_first_ones_wait_for_the_topic_of_the_reply() {
    for answered in [true, false] {
        let (mut park, ids) = Park::online(2);
        park.cloud.answers_posts = Some(1);
        park.broker_holds = true;
        let tokens = ids.iter().map(|id| park.join(*id).unwrap()).collect::<Vec<_>>();
        park.cloud.data.clear();
        park.wait(1_000);
        assert!(park.cloud.data.is_empty());
        if answered {
            park.release_acks();
            assert_eq!(topics(&mut park), [BATCH]);
            assert_eq!(outcomes(&park, &tokens), [(S::ENOS_OK, 200); 2]);
        } else {
            park.wait(29_000);
            assert_eq!(outcomes(&park, &tokens), [(S::ENOS_ERR_TIMEOUT, 0); 2]);
            // The broker does not let the gateway have it, so they go by themselves.
            let token = park.join(ids[0]).unwrap();
            park.wait(31_000);
            assert_eq!(outcomes(&park, &[token]).len(), 1);
        }
    }
}

#[test]
fn the_order_of_a_device_is_kept() {
    let (mut park, ids) = online(3);
    let mut tokens: Vec<u64> = ids.iter().map(|id| park.join(*id).unwrap()).collect();
    tokens.push(park.post(ids[1]).unwrap());
    assert_eq!(topics(&mut park), [topic(1), topic(1)], "its own that waits is sent first");
    // What is switched off or removed posts first.
    park.set_online(ids[0], false);
    tokens.push(park.join(ids[1]).unwrap());
    park.remove(ids[1]);
    assert_eq!(topics(&mut park), [topic(0), topic(1)]);
    park.wait(50);
    assert_eq!(topics(&mut park), [topic(2)]);
    assert_eq!(outcomes(&park, &tokens), [(S::ENOS_OK, 200); 5]);
    // A message of the gateway itself, which has posted before.
    park.post(0).unwrap();
    park.cloud.data.clear();
    park.join(0).unwrap();
    park.session.publish(park.now(), "/sys/pk/dk/x", b"{}".to_vec(), 1).unwrap();
    park.perform();
    assert_eq!(topics(&mut park), ["/sys/pk/dk/thing/measurepoint/post", "/sys/pk/dk/x"]);
}

#[test]
fn a_refused_batch_is_the_outcome_of_each_and_joining_pauses() {
    for code in [1009, 1202, 460] {
        let (mut park, ids) = online(3);
        let mut pause = 10_000;
        for _ in 0..3 {
            park.cloud.batch_code = Some(code);
            let tokens: Vec<u64> = ids.iter().map(|id| park.join(*id).unwrap()).collect();
            park.wait(50);
            assert_eq!(topics(&mut park), [BATCH]);
            assert_eq!(outcomes(&park, &tokens), [(S::ENOS_ERR_REFUSED, code); 3]);
            assert_eq!(park.states(&ids), [State::Online; 3], "nobody is blamed for another");
            park.wait(pause - 1);
            let tokens: Vec<u64> = ids.iter().map(|id| park.join(*id).unwrap()).collect();
            assert_eq!(topics(&mut park), [topic(0), topic(1), topic(2)], "at once, and singly");
            assert_eq!(outcomes(&park, &tokens), [(S::ENOS_OK, 200); 3]);
            park.wait(1);
            pause *= 2;
        }
        park.cloud.batch_code = None;
        ids.iter().for_each(|id| drop(park.join(*id)));
        park.wait(50);
        assert_eq!(topics(&mut park), [BATCH]);
        park.cloud.batch_code = Some(code);
        ids.iter().for_each(|id| drop(park.join(*id)));
        park.wait(50);
        park.wait(10_000);
        park.cloud.batch_code = None;
        ids.iter().for_each(|id| drop(park.join(*id)));
        park.wait(50);
        assert_eq!(topics(&mut park), [BATCH, BATCH], "after a good one the pause is short again");
    }
}

#[test]
fn a_busy_cloud_is_no_reason_to_send_more_messages() {
    let (mut park, ids) = online(2);
    park.cloud.batch_code = Some(429);
    for _ in 0..2 {
        let tokens: Vec<u64> = ids.iter().map(|id| park.join(*id).unwrap()).collect();
        park.wait(50);
        assert_eq!(topics(&mut park), [BATCH]);
        assert_eq!(outcomes(&park, &tokens), [(S::ENOS_ERR_REFUSED, 429); 2]);
    }
}

#[test]
fn each_ends_once_when_the_link_is_lost_or_nothing_comes_back() {
    for (waits_ms, then_ms, status) in
        [(0, 0, S::ENOS_ERR_NETWORK), (50, 0, S::ENOS_ERR_NETWORK), (50, 30_000, S::ENOS_ERR_TIMEOUT)]
    {
        let (mut park, ids) = online(3);
        park.cloud.silent = true;
        let tokens: Vec<u64> = ids.iter().map(|id| park.join(*id).unwrap()).collect();
        park.wait(waits_ms);
        park.wait(then_ms);
        park.lose_link();
        park.wait(1);
        let told: Vec<_> = outcomes(&park, &tokens).into_iter().map(|(status, _)| status).collect();
        assert_eq!(told, [status; 3]);
        assert!(park.session.exchange.is_idle());
    }
}

#[test]
fn a_disconnect_sends_what_waits() {
    let (mut park, ids) = online(3);
    let tokens: Vec<u64> = ids.iter().map(|id| park.join(*id).unwrap()).collect();
    park.session.disconnect(park.now());
    park.perform();
    assert_eq!(topics(&mut park), [BATCH]);
    assert_eq!(outcomes(&park, &tokens), [(S::ENOS_OK, 200); 3]);
}

#[test]
fn a_batch_is_full_at_half_a_megabyte_and_when_no_other_call_is_accepted() {
    let (mut park, ids) = online(10);
    let large = format!(r#"{{"measurepoints":{{"p":"{}"}}}}"#, "x".repeat(100_000));
    let tokens: Vec<u64> = ids.iter().map(|id| park.post_with(*id, JOIN, &large).unwrap()).collect();
    park.wait(50);
    assert_eq!(outcomes(&park, &tokens), vec![(S::ENOS_OK, 200); 10]);
    assert_eq!(topics(&mut park), [BATCH, BATCH], "five in each");
    let whole = format!(r#"{{"measurepoints":{{"p":"{}"}}}}"#, "x".repeat(524_287 - 124));
    park.join(ids[0]).unwrap();
    park.post_with(ids[0], JOIN, &whole).unwrap();
    assert_eq!(topics(&mut park), [topic(0), topic(0)], "as large as a post can be");
    let error = park.post_with(ids[0], JOIN, &format!(r#"{{"p":"{}"}}"#, "x".repeat(524_287))).unwrap_err();
    assert_eq!(error.status, S::ENOS_ERR_TOO_LARGE);

    let mut park = Park::with(Settings { inflight: 4, ..world::settings() });
    let ids = park.add(4);
    park.connect();
    park.join(0).unwrap();
    park.wait(50);
    park.wait(30_000);
    park.cloud.data.clear();
    for id in &ids {
        park.join(*id).unwrap();
    }
    assert_eq!(park.join(0).unwrap_err().status, S::ENOS_ERR_QUEUE_FULL);
    park.wait(0);
    assert_eq!(topics(&mut park), [BATCH]);
    park.join(0).unwrap();
}

#[test]
fn flags_and_params_of_joined_posts() {
    let (mut park, ids) = online(4);
    for (n, flags) in [JOIN, JOIN, JOIN | SKIP, JOIN | SKIP].into_iter().enumerate() {
        park.post_with(ids[n], flags, "{ }").unwrap();
    }
    park.wait(50);
    assert_eq!(topics(&mut park), [BATCH, BATCH], "a message has its flags for all of it");
    for params in [r#"{"deviceKey":"x"}"#, r#"{"measurepoints":{},"productKey":null}"#, "[]", "x"] {
        let error = park.post_with(ids[0], JOIN, params).unwrap_err();
        assert_eq!(error.status, S::ENOS_ERR_INVALID_ARG, "{params}");
    }
    assert_eq!(park.post_with(ids[0], SKIP, "{}").unwrap_err().status, S::ENOS_ERR_INVALID_ARG);
    assert!(park.session.exchange.is_idle());
}
