//! Posts that stay until EnOS has answered 200: what is sent again, what is set aside, what goes as late data.

use enos::error::Status::*;
use enos_sim::Event;
use serde_json::{json, Value};
use support::broker::*;
use support::desk::Desk;
use support::host::*;
use support::parallel;

const POST: &str = "/sys/pk/dk/thing/measurepoint/post";
const RESUME_TOPIC: &str = "/sys/pk/dk/thing/measurepoint/resume";
const KEPT: u32 = DURABLE | UNTIL_REPLY;

fn params(number: u32) -> String {
    json!({"measurepoints": {"n": number}, "time": 1_700_000_000_000_u64 + u64::from(number)}).to_string()
}

fn posts(host: &Host, numbers: std::ops::Range<u32>, flags: u32) -> Vec<u64> {
    numbers.map(|number| host.post_flags(&params(number), flags).unwrap()).collect()
}

/// A post as the cloud sees it.
struct Request {
    id: Value,
    topic: String,
    number: u64,
}

/// The next post, acknowledged; the reply topic is granted when it is asked for.
fn next(peer: &mut Peer) -> Request {
    loop {
        let packet = peer.read();
        match packet.kind {
            SUBSCRIBE => peer.send(&suback(packet.id(), &[1])),
            PUBLISH => {
                peer.send(&puback(packet.id()));
                let body: Value = serde_json::from_slice(packet.payload()).unwrap();
                let number = body["params"]["measurepoints"]["n"].as_u64().unwrap();
                return Request { id: body["id"].clone(), topic: packet.topic().to_owned(), number };
            }
            _ => panic!("{packet:?}"),
        }
    }
}

fn answer(peer: &mut Peer, request: &Request, code: i64) {
    let body = json!({"id": request.id, "code": code, "message": "as told", "data": {}}).to_string();
    peer.send(&publish(format!("{}_reply", request.topic).as_bytes(), body.as_bytes(), None));
}

fn online(set: impl FnOnce(Setup) -> Setup) -> (Host, Peer, Broker) {
    let (broker, store) = (Broker::bind(), Store::new());
    let mut host = set(Setup::device(broker.address()).storage(&store)).start();
    host.connect();
    let peer = broker.accept_mqtt();
    host.expect("CONNECTED");
    (host, peer, broker)
}

/// Well, and in trouble: its 2nd reply is a 500, its 3rd never comes.
#[test]
fn the_simulated_cloud_gets_each_post_until_it_has_answered_it() {
    for (count, inflight, faults) in [(30, 100, &[][..]), (4, 1, &["reply=2:code=500", "reply=3:silence"])] {
        let desk = Desk::active(|config| config.faults = faults.iter().map(|text| text.parse().unwrap()).collect());
        let setup = Setup::device(desk.address()).storage(&Store::new()).inflight(inflight);
        let mut host = if faults.is_empty() { setup } else { setup.reply_timeout(500) }.start();
        let tokens = posts(&host, 0..count, KEPT);
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
fn a_code_that_may_pass_has_the_post_sent_again_and_all_behind_it() {
    let (mut host, mut peer, _broker) = online(|setup| setup);
    let tokens = posts(&host, 0..3, KEPT);
    let first: Vec<_> = (0..3).map(|_| next(&mut peer)).collect();
    assert_eq!(first.iter().map(|request| request.number).collect::<Vec<_>>(), [0, 1, 2]);
    answer(&mut peer, &first[0], 200);
    answer(&mut peer, &first[1], 500);
    // The third is through as far as EnOS is concerned, but it comes after the second.
    answer(&mut peer, &first[2], 200);
    for number in [1, 2] {
        let request = next(&mut peer);
        assert_eq!((request.number, request.topic.as_str()), (number, POST));
        assert!(first.iter().all(|earlier| earlier.id != request.id), "an id of its own");
        answer(&mut peer, &request, 200);
    }
    for token in &tokens {
        let told = host.until("REPLY");
        assert_eq!((told.token, told.status, told.detail_code), (*token, ENOS_OK, 200));
    }
    exactly_once(&tokens, &host.seen);
}

#[test]
fn each_code_that_may_pass_is_tried_again() {
    parallel::each(&[429, 500, 599, 6205, 6305], |code| {
        let (mut host, mut peer, _broker) = online(|setup| setup);
        let tokens = posts(&host, 0..1, KEPT);
        let request = next(&mut peer);
        answer(&mut peer, &request, *code);
        let again = next(&mut peer);
        assert_eq!(again.number, 0, "after {code}");
        answer(&mut peer, &again, 200);
        assert_eq!(host.expect("REPLY").token, tokens[0]);
        assert_eq!((host.flush(PATIENCE_MS), host.waiting()), (ENOS_OK, 0));
    });
}

#[test]
fn a_code_for_good_sets_the_post_aside_and_the_next_ones_go_on() {
    let (mut host, mut peer, _broker) = online(|setup| setup);
    let tokens = posts(&host, 0..3, KEPT);
    for code in [200, 1206, 200] {
        let request = next(&mut peer);
        answer(&mut peer, &request, code);
    }
    let told: Vec<_> = (0..3).map(|_| host.until("REPLY")).collect();
    let outcomes: Vec<_> = told.iter().map(|told| (told.token, told.status, told.detail_code)).collect();
    let expected = [(tokens[0], ENOS_OK, 200), (tokens[1], ENOS_ERR_SET_ASIDE, 1206), (tokens[2], ENOS_OK, 200)];
    assert_eq!(outcomes, expected);
    assert!(told[1].detail.contains("as told"), "EnOS's words: {:?}", told[1]);
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    assert_eq!(host.outbox_info().unwrap().set_aside, 1);
    let aside = Aside { token: tokens[1], code: 1206, topic: Some(String::new()), payload: params(1).into() };
    assert_eq!(host.asides(false), std::slice::from_ref(&aside));
    assert_eq!(host.asides(true), [aside], "it was kept");
    assert_eq!(host.asides(false), []);
    assert_eq!(host.outbox_info().unwrap().set_aside, 1, "how many ever");
}

#[test]
fn three_losses_of_the_link_under_one_message_set_it_aside_across_restarts() {
    let (broker, store) = (Broker::bind(), Store::new());
    let device = || Setup::device(broker.address()).storage(&store);
    let mut host = device().start();
    let tokens: Vec<_> = (0..3).map(|n| host.publish_durable("t", &[n]).unwrap()).collect();
    host.connect();
    // The first is taken; under the second the link is lost, each time, and in between the process ends.
    let mut peer = broker.accept_mqtt();
    assert_eq!(peer.answer_publish().payload(), [0]);
    assert_eq!(host.until("DELIVERED").token, tokens[0]);
    while peer.expect(PUBLISH).payload() != [2] {}
    peer.reset();
    assert_eq!(host.until("DISCONNECTED").status, ENOS_ERR_NETWORK);
    let mut peer = broker.accept_mqtt();
    assert_eq!(peer.expect(PUBLISH).payload(), [1]);
    peer.reset();
    assert_eq!(host.until("DISCONNECTED").status, ENOS_ERR_NETWORK);
    host.destroy();
    let mut host = device().start();
    host.connect();
    // An attempt of the first process may have been let in by the system, though nobody is there any more.
    let peer = loop {
        let mut peer = broker.accept();
        if peer.try_read().is_some() && peer.try_send(&connack(0)) {
            if let Some(packet) = peer.try_read() {
                assert_eq!(packet.payload(), [1]);
                break peer;
            }
        }
    };
    peer.reset();
    let told = host.until("DELIVERED");
    assert_eq!((told.token, told.status, told.detail_code), (tokens[1], ENOS_ERR_SET_ASIDE, 0), "{told:?}");
    let mut peer = broker.accept_mqtt();
    assert_eq!(peer.answer_publish().payload(), [2]);
    let told = host.until("DELIVERED");
    assert_eq!((told.token, told.status), (tokens[2], ENOS_OK));
    let aside = Aside { token: tokens[1], code: 0, topic: Some("t".into()), payload: vec![1] };
    assert_eq!(host.asides(false), [aside]);
}

#[test]
fn late_posts_go_as_late_data_only_when_that_was_asked_for() {
    let (mut host, mut peer, broker) = online(|setup| setup);
    let mut tokens = posts(&host, 0..1, KEPT | RESUME);
    let request = next(&mut peer);
    assert_eq!(request.topic, POST, "accepted on this link");
    host.disconnect();
    answer(&mut peer, &request, 200);
    assert_eq!(host.until("DISCONNECTED").status, ENOS_OK);
    tokens.extend(posts(&host, 1..2, KEPT | RESUME));
    tokens.extend(posts(&host, 2..3, KEPT));
    host.connect();
    let mut peer = broker.accept_mqtt();
    host.until("CONNECTED");
    tokens.extend(posts(&host, 3..4, KEPT | RESUME));
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let request = next(&mut peer);
        answer(&mut peer, &request, 200);
        seen.push((request.number, request.topic));
    }
    assert_eq!(seen, [(1, RESUME_TOPIC.to_owned()), (2, POST.to_owned()), (3, POST.to_owned())]);
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    while host.take().is_some() {}
    exactly_once(&tokens, &host.seen);
}

#[test]
fn what_could_never_succeed_is_not_accepted() {
    let (host, _peer, _broker) = online(|setup| setup);
    for params in [r#"{"measurepoints":{}}"#, r#"{"time":1700000000}"#, "[1]", "{"] {
        assert_eq!(host.post_flags(params, KEPT), Err(ENOS_ERR_INVALID_ARG), "{params}");
    }
    assert_eq!(host.publish_durable("t", &vec![0; 512 * 1024 + 1]), Err(ENOS_ERR_TOO_LARGE));
    assert_eq!(host.publish_durable("t/+", b""), Err(ENOS_ERR_INVALID_ARG));
    assert_eq!(host.publish_flags("t", b"", DURABLE | UNTIL_REPLY), Err(ENOS_ERR_INVALID_ARG));
    assert_eq!(host.publish_flags("t", b"", RESUME), Err(ENOS_ERR_INVALID_ARG));
    assert_eq!(host.publish_flags("t", b"", DURABLE | 1 << 20), Err(ENOS_ERR_INVALID_ARG));
    assert_eq!(host.waiting(), 0);
}
