//! Posts that stay until EnOS has answered 200: which are sent again, which become dead letters, which are sent as late
//! data.

use enos::internals::error::Status::*;
use enos_sim::Event;
use support::broker::*;
use support::desk::Desk;
use support::host::*;
use support::parallel;

use super::{params, posts_with, Request, KEPT};

const POST: &str = "/sys/pk/dk/thing/measurepoint/post";
const RESUME_TOPIC: &str = "/sys/pk/dk/thing/measurepoint/resume";

fn online(set: impl FnOnce(Setup) -> Setup) -> (Host, Peer, Broker) {
    let (broker, store) = (Broker::bind(), Store::new());
    let mut host = set(Setup::device(broker.address()).storage(&store)).start();
    host.connect();
    let peer = broker.accept_mqtt();
    host.expect("CONNECTED");
    (host, peer, broker)
}

/// Without faults, and with faults: the 2nd reply is a 500, the 3rd never comes.
#[test]
fn the_simulated_cloud_gets_each_post_until_it_has_answered_it() {
    for (count, inflight, faults) in [(30, 100, &[][..]), (4, 1, &["reply=2:code=500", "reply=3:silence"])] {
        let desk = Desk::active(|config| config.faults = faults.iter().map(|text| text.parse().unwrap()).collect());
        let setup = Setup::device(desk.address()).storage(&Store::new()).inflight(inflight);
        let mut host = if faults.is_empty() { setup } else { setup.reply_timeout(500) }.start();
        let tokens = posts_with(&host, 0..count, KEPT);
        host.connect();
        for token in &tokens {
            let told = host.until("REPLY");
            assert_eq!((told.token, told.status, told.detail_code), (*token, ENOS_OK, 200));
        }
        assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
        assert!(desk.count(|event| matches!(event, Event::Reply { code: 200, .. })) >= count as usize);
        exactly_once(&tokens, &host.seen);
    }
}

#[test]
fn after_a_temporary_refusal_the_post_and_all_behind_it_are_sent_again() {
    let (mut host, mut peer, _broker) = online(|setup| setup);
    let tokens = posts_with(&host, 0..3, KEPT);
    let first: Vec<_> = (0..3).map(|_| Request::next(&mut peer)).collect();
    assert_eq!(first.iter().map(|request| request.number).collect::<Vec<_>>(), [0, 1, 2]);
    first[0].answer(&mut peer, 200);
    first[1].answer(&mut peer, 500);
    // EnOS has accepted the third, but it is sent again after the second.
    first[2].answer(&mut peer, 200);
    for number in [1, 2] {
        let request = Request::next(&mut peer);
        assert_eq!((request.number, request.topic.as_str()), (number, POST));
        assert!(first.iter().all(|earlier| earlier.id != request.id), "an id of its own");
        request.answer(&mut peer, 200);
    }
    for token in &tokens {
        let told = host.until("REPLY");
        assert_eq!((told.token, told.status, told.detail_code), (*token, ENOS_OK, 200));
    }
    exactly_once(&tokens, &host.seen);
}

#[test]
fn each_temporary_refusal_is_retried() {
    parallel::each(&[429, 500, 599, 6205, 6305], |code| {
        let (mut host, mut peer, _broker) = online(|setup| setup);
        let tokens = posts_with(&host, 0..1, KEPT);
        let request = Request::next(&mut peer);
        request.answer(&mut peer, *code);
        let again = Request::next(&mut peer);
        assert_eq!(again.number, 0, "after {code}");
        again.answer(&mut peer, 200);
        assert_eq!(host.expect("REPLY").token, tokens[0]);
        assert_eq!((host.flush(PATIENCE_MS), host.waiting()), (ENOS_OK, 0));
    });
}

#[test]
fn a_final_refusal_makes_a_dead_letter_and_the_next_posts_go_on() {
    let (mut host, mut peer, _broker) = online(|setup| setup);
    let tokens = posts_with(&host, 0..3, KEPT);
    for code in [200, 1206, 200] {
        let request = Request::next(&mut peer);
        request.answer(&mut peer, code);
    }
    let told: Vec<_> = (0..3).map(|_| host.until("REPLY")).collect();
    let outcomes: Vec<_> = told.iter().map(|told| (told.token, told.status, told.detail_code)).collect();
    let expected = [(tokens[0], ENOS_OK, 200), (tokens[1], ENOS_ERR_DEAD_LETTER, 1206), (tokens[2], ENOS_OK, 200)];
    assert_eq!(outcomes, expected);
    assert_eq!(told[1].detail, "EnOS answered 1206: as told");
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    assert_eq!(host.outbox_info().unwrap().dead_letters_ever, 1);
    let letter = Kept { token: tokens[1], code: 1206, topic: Some(String::new()), payload: params(1).into() };
    assert_eq!(host.dead_letters(), std::slice::from_ref(&letter));
    assert_eq!(host.dead_letters(), [letter], "it is kept");
    assert_eq!(host.outbox_info().unwrap().dead_letters, 1);
    assert_eq!(host.drop_message(tokens[0]), ENOS_ERR_NOT_FOUND, "it is completed");
    assert_eq!(host.drop_message(tokens[1]), ENOS_OK);
    assert_eq!(host.drop_message(tokens[1]), ENOS_ERR_NOT_FOUND, "it is gone");
    assert_eq!((host.dead_letters(), host.outbox_info().unwrap().dead_letters), (vec![], 0));
    assert_eq!(host.outbox_info().unwrap().dead_letters_ever, 1, "how many ever");
}

#[test]
fn late_posts_go_as_late_data_only_when_that_was_asked_for() {
    let (mut host, mut peer, broker) = online(|setup| setup);
    let mut tokens = posts_with(&host, 0..1, KEPT | RESUME);
    let request = Request::next(&mut peer);
    assert_eq!(request.topic, POST, "accepted on this link");
    host.disconnect();
    request.answer(&mut peer, 200);
    assert_eq!(host.until("DISCONNECTED").status, ENOS_OK);
    tokens.extend(posts_with(&host, 1..2, KEPT | RESUME));
    tokens.extend(posts_with(&host, 2..3, KEPT));
    host.connect();
    let mut peer = broker.accept_mqtt();
    host.until("CONNECTED");
    tokens.extend(posts_with(&host, 3..4, KEPT | RESUME));
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let request = Request::next(&mut peer);
        request.answer(&mut peer, 200);
        seen.push((request.number, request.topic));
    }
    assert_eq!(seen, [(1, RESUME_TOPIC.to_owned()), (2, POST.to_owned()), (3, POST.to_owned())]);
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    while host.take().is_some() {}
    exactly_once(&tokens, &host.seen);
}

#[test]
fn a_post_is_stamped_or_goes_without_a_time_as_the_host_wants() {
    let (mut host, mut peer, _broker) = online(|setup| setup);
    let points = r#"{"measurepoints":{"n":7}}"#;
    let stamped = host.post_flags(points, KEPT | STAMP).unwrap();
    let request = Request::next(&mut peer);
    assert!(request.params["time"].as_u64().unwrap() > 1_700_000_000_000, "{:?}", request.params);
    request.answer(&mut peer, 200);
    let without = host.post_flags(points, KEPT | WITHOUT_TIME).unwrap();
    let request = Request::next(&mut peer);
    assert!(request.params.get("time").is_none(), "{:?}", request.params);
    request.answer(&mut peer, 200);
    let own = host.post_flags(&params(1), KEPT | STAMP).unwrap();
    let request = Request::next(&mut peer);
    assert_eq!(request.params["time"], 1_700_000_000_001_u64);
    request.answer(&mut peer, 200);
    for token in [stamped, without, own] {
        assert_eq!(host.until("REPLY").token, token);
    }
    assert_eq!(host.post_flags(points, KEPT | STAMP | WITHOUT_TIME), Err(ENOS_ERR_INVALID_ARG));
    assert_eq!(host.publish_flags("t", b"", DURABLE | STAMP), Err(ENOS_ERR_INVALID_ARG));
}

#[test]
fn messages_that_can_never_succeed_are_not_accepted() {
    let (host, _peer, _broker) = online(|setup| setup);
    for params in [
        r#"{"measurepoints":{"t":1}}"#,
        r#"{"measurepoints":{"t":1},"time":1700000000}"#,
        r#"{"measurepoints":{},"time":1700000000000}"#,
        r#"{"measurepoints":[1],"time":1700000000000}"#,
        "[1]",
        "{",
    ] {
        assert_eq!(host.post_flags(params, KEPT), Err(ENOS_ERR_INVALID_ARG), "{params}");
    }
    // JSON that other readers would refuse: not accepted in durable posts or other posts.
    for value in [r#""\ud800""#, "1e999", r#"{"a":1,"a":2}"#] {
        let params = format!(r#"{{"measurepoints":{{"t":{value}}},"time":1700000000000}}"#);
        assert_eq!(host.post_flags(&params, KEPT), Err(ENOS_ERR_INVALID_ARG), "{params}");
        assert!(last_error().contains("(byte "), "{}", last_error());
        assert_eq!(host.post(&params), Err(ENOS_ERR_INVALID_ARG), "{params}");
    }
    assert_eq!(host.publish_durable("t", &vec![0; 512 * 1024]), Err(ENOS_ERR_TOO_LARGE));
    assert_eq!(host.publish_durable("t/+", b""), Err(ENOS_ERR_INVALID_ARG));
    assert_eq!(host.publish_flags("t", b"", DURABLE | UNTIL_REPLY), Err(ENOS_ERR_INVALID_ARG));
    assert_eq!(host.publish_flags("t", b"", RESUME), Err(ENOS_ERR_INVALID_ARG));
    assert_eq!(host.publish_flags("t", b"", DURABLE | 1 << 20), Err(ENOS_ERR_INVALID_ARG));
    assert_eq!(host.waiting(), 0);
}
