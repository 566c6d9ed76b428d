//! Single scenes: one thing each, with the times and the order that the design gives it.

use super::super::*;
use super::world::{activation, settings, End, World};
use crate::protocol::{Secret, SecureMode, SignMethod};

const MINUTE: u64 = 60_000;

fn world(method: SignMethod) -> World {
    World::new(7, settings(), method)
}

/// With a configured device secret that the cloud knows.
fn static_world(method: SignMethod) -> World {
    let mut settings = settings();
    settings.device_secret = Some(Secret::new(b"device-secret").unwrap());
    settings.product_secret = None;
    let mut world = World::new(7, settings, method);
    world.cloud.secret = Some("device-secret".into());
    world
}

fn online(method: SignMethod) -> World {
    let mut world = static_world(method);
    world.connect();
    assert!(world.run_to(State::Online, 10_000));
    world.events.clear();
    world
}

fn kept(secret: &str) -> KeptSecret {
    KeptSecret { secret: Secret::new(secret.as_bytes()).unwrap(), asset_id: None }
}

use {EventKind as Kind, Status as S};

#[test]
fn auto_finds_the_method_in_two_connects_and_remembers_it() {
    let mut world = static_world(SignMethod::Sha1);
    world.connect();
    assert!(world.run_to(State::Online, 5_000));
    assert_eq!(world.kinds(), [(Kind::Disconnected, S::ENOS_ERR_CREDENTIALS), (Kind::Connected, S::ENOS_OK)]);
    assert_eq!(world.events[0].detail_code / 2, 2, "CONNACK 4 or 5");
    assert_eq!(world.disk.accepted.unwrap().method, SignMethod::Sha1);
    let (stamps, _) = world.disk.budget.clone().unwrap();
    assert!(stamps.len() == 2 && stamps[1] <= world.now, "what is stored in the end is when it was");
    world.cloud.connects.clear();
    world.restart(Some(End::Killed));
    assert!(world.run_to(State::Online, 10_000));
    assert_eq!(world.cloud.connects.len(), 1, "the next boot starts with what worked");
    assert!(world.violations.is_empty(), "{:?}", world.violations);
}

#[test]
fn an_activation_needs_three_connects_at_most() {
    let mut world = world(SignMethod::Sha1);
    world.connect();
    assert!(world.run_to(State::Online, 30_000));
    assert_eq!(world.cloud.connects.len(), 3);
    let kinds = world.kinds();
    assert_eq!(
        kinds,
        [(Kind::Disconnected, S::ENOS_ERR_CREDENTIALS), (Kind::Activated, S::ENOS_OK), (Kind::Connected, S::ENOS_OK)]
    );
    assert_eq!(world.disk.current.as_ref().unwrap().secret.as_str(), "device-secret-1");
    assert!(world.disk.pending.is_empty());
    assert!(world.violations.is_empty(), "{:?}", world.violations);
}

#[test]
fn a_refused_product_secret_is_told_at_once_and_tried_again_much_later() {
    let mut world = world(SignMethod::Sha256);
    world.connect();
    world.run_until(world.now + MINUTE);
    let last = world.events.last().unwrap();
    assert_eq!((last.kind, last.status), (Kind::Disconnected, S::ENOS_ERR_ACTIVATION_REFUSED));
    assert!((590_000..=3_600_000).contains(&last.retry_in_ms));
    assert!(last.detail.contains("HMACSHA1") && last.detail.contains("SHA1") && last.detail.contains("SHA256"));
    assert_eq!(world.session.standing().unwrap().status, S::ENOS_ERR_ACTIVATION_REFUSED);
    assert_eq!(world.cloud.connects.len(), 2);
    world.run_until(world.now + 62 * MINUTE);
    assert!(world.cloud.connects.len() >= 4);
}

#[test]
fn a_storage_that_cannot_be_read_never_leads_to_an_activation() {
    let mut world = world(SignMethod::HmacSha1);
    world.rates.load_fails = 1000;
    world.disk.current = Some(kept("device-secret"));
    world.cloud.secret = Some("device-secret".into());
    world.cloud.active = true;
    world.connect();
    world.run_until(world.now + 30 * MINUTE);
    assert!(world.cloud.connects.is_empty());
    assert!(world.events.iter().all(|event| event.status == S::ENOS_ERR_STORAGE && event.detail_code == -7));
    world.rates.load_fails = 0;
    assert!(world.run_to(State::Online, 10 * MINUTE));
}

#[test]
fn a_device_that_was_registered_anew_is_activated_anew_but_not_before_a_ban_is_ruled_out() {
    let mut world = world(SignMethod::HmacSha1);
    world.connect();
    assert!(world.run_to(State::Online, MINUTE));
    world.register_anew();
    world.run_until(world.now + 4 * MINUTE);
    assert_ne!(world.session.state(), State::Online);
    assert!(world.run_to(State::Online, 70 * MINUTE));
    assert_eq!(world.disk.current.as_ref().unwrap().secret.as_str(), "device-secret-2");
    assert_eq!(world.disk.previous.as_ref().unwrap().secret.as_str(), "device-secret-1");
    assert!(world.violations.is_empty(), "{:?}", world.violations);
}

#[test]
fn a_host_that_connects_over_and_over_does_not_put_off_the_activation() {
    let mut world = world(SignMethod::HmacSha1);
    world.connect();
    assert!(world.run_to(State::Online, MINUTE));
    world.register_anew();
    for _ in 0..5 {
        world.run_until(world.now + 4 * MINUTE);
        world.connect();
    }
    world.run_until(world.now + MINUTE);
    assert_eq!((world.session.state(), world.cloud.issued), (State::Online, 2));
    assert!(world.violations.is_empty(), "{:?}", world.violations);
}

#[test]
fn reactivation_switched_off_stays_off() {
    let mut settings = settings();
    settings.reactivation = false;
    let mut world = World::new(7, settings, SignMethod::HmacSha1);
    world.disk.current = Some(kept("nobody-knows-it"));
    world.connect();
    world.run_until(world.now + 300 * MINUTE);
    assert_eq!(world.cloud.issued, 0);
}

#[test]
fn an_activation_of_another_device_is_only_told() {
    let mut world = world(SignMethod::HmacSha1);
    world.rates.push_lost = 1000;
    world.connect();
    assert!(world.run_to(State::Activating, 5_000));
    world.run_until(world.now + 1_000);
    let LinkInput::Message { payload, .. } = activation("x") else { unreachable!() };
    let topic = b"/ext/session/pk/another/thing/activate/info".to_vec();
    let attempt = world.session.attempt;
    world.feed(Input::Link { attempt, what: LinkInput::Message { topic, payload, qos: 0 } });
    assert_eq!(world.kinds(), [(Kind::Message, S::ENOS_ERR_IDENTITY_MISMATCH)]);
    assert_eq!(world.session.state(), State::Activating);
}

#[test]
fn no_retry_when_the_host_wants_none() {
    let mut settings = settings();
    (settings.reconnect_min_ms, settings.reconnect_max_ms) = (0, 0);
    let mut world = World::new(7, settings, SignMethod::Sha1);
    world.connect();
    assert!(world.run_to(State::Online, 30_000), "the steps of an activation are no retries");
    let attempt = world.session.attempt;
    world.feed(Input::Link { attempt, what: LinkInput::Lost { reason: "reset".into() } });
    assert_eq!(world.session.state(), State::Idle);
    assert_eq!(world.events.last().unwrap().retry_in_ms, 0);
    assert_eq!(world.session.standing().unwrap().status, S::ENOS_ERR_NETWORK);
}

#[test]
fn each_connack_code_has_its_status() {
    for (code, status, long) in [
        (1, S::ENOS_ERR_PROTOCOL, true),
        (2, S::ENOS_ERR_PROTOCOL, true),
        (3, S::ENOS_ERR_NETWORK, false),
        (99, S::ENOS_ERR_PROTOCOL, false),
    ] {
        let mut world = static_world(SignMethod::HmacSha1);
        world.rates.no_answer = 1000;
        world.connect();
        world.run_until(world.now + 1_000);
        let attempt = world.session.attempt;
        world.feed(Input::Link { attempt, what: LinkInput::Refused { code } });
        let event = world.events.last().unwrap();
        assert_eq!((event.status, event.detail_code), (status, i32::from(code)));
        assert_eq!(event.retry_in_ms >= 590_000, long);
        assert_eq!(world.session.standing().is_some(), long);
        assert_eq!(world.session.state(), State::Waiting);
    }
}

#[test]
fn a_broker_that_hangs_up_on_one_method_is_tried_with_the_other() {
    let mut world = static_world(SignMethod::HmacSha1);
    world.rates.no_answer = 1000;
    world.connect();
    let mut methods = Vec::new();
    while methods.len() < 3 {
        world.step(world.now + 10_000);
        if let Phase::LoggingIn { candidate, .. } = &world.session.phase {
            methods.push(candidate.method);
            let attempt = world.session.attempt;
            let what =
                LinkInput::Failed { status: Status::ENOS_ERR_NETWORK, reason: "closed".into(), connect_sent: true };
            world.feed(Input::Link { attempt, what });
        }
    }
    assert_eq!(methods, [SignMethod::HmacSha1, SignMethod::HmacSha1, SignMethod::Sha1]);
}

#[test]
fn a_pair_that_was_hung_up_on_is_tried_again_before_the_round_is_over() {
    let mut world = static_world(SignMethod::HmacSha1);
    world.rates.no_answer = 1000;
    world.connect();
    let mut hang_ups = 0;
    while hang_ups < 2 {
        world.step(world.now + 10_000);
        if let Phase::LoggingIn { .. } = &world.session.phase {
            hang_ups += 1;
            let attempt = world.session.attempt;
            let what = LinkInput::Failed { status: S::ENOS_ERR_NETWORK, reason: "closed".into(), connect_sent: true };
            world.feed(Input::Link { attempt, what });
        }
    }
    // The broker is well again. It refuses the other method, which the hang-ups were taken for a reason to try.
    world.rates.no_answer = 0;
    assert!(world.run_to(State::Online, 5 * MINUTE), "{:?}", world.kinds());
    let refusals = world.kinds().iter().filter(|(_, status)| *status == S::ENOS_ERR_CREDENTIALS).count();
    assert!(refusals == 1 && world.session.standing().is_none(), "{:?}", world.kinds());
}

#[test]
fn a_refusal_stands_in_the_way_of_a_wait_until_the_next_attempt() {
    let mut world = static_world(SignMethod::Sha256);
    world.connect();
    assert!(!world.run_to(State::Online, 5_000));
    assert_eq!(world.session.standing().unwrap().status, S::ENOS_ERR_CREDENTIALS);
    world.rates.no_answer = 1000;
    assert!(world.run_to(State::Connecting, 70 * MINUTE));
    assert!(world.session.standing().is_none(), "an attempt is under way");
}

#[test]
fn a_clock_that_was_never_set_signs_with_a_constant() {
    for (wall_ms, signed) in [(1_000, 2_524_608_000_000), (1_700_000_000_000, 1_700_000_000_000)] {
        let mut session = Session::new(settings(), 1);
        let now = Now { ms: 5, wall_ms };
        session.connect(now);
        let empty = Loaded { current: Ok(None), previous: Ok(None), pending: Ok(vec![]), accepted: None, budget: None };
        session.handle(now, Input::Loaded(Box::new(empty)));
        let opened = std::iter::from_fn(|| session.next_action()).find_map(|action| match action {
            Action::Open { timestamp_ms, candidate, .. } => Some((timestamp_ms, candidate.mode())),
            _ => None,
        });
        assert_eq!(opened, Some((signed, SecureMode::Product)));
    }
}

#[test]
fn a_connect_that_is_never_answered_is_given_up() {
    let mut world = static_world(SignMethod::HmacSha1);
    world.rates.no_answer = 1000;
    world.connect();
    world.run_until(world.now + 31_000);
    assert_eq!(world.kinds(), [(Kind::Disconnected, S::ENOS_ERR_NETWORK)]);
    assert!(world.events[0].detail.contains("30000 ms"));
    assert_eq!(world.session.trouble(), world.events[0].detail);
}

#[test]
fn a_post_has_its_reply_and_one_without_times_out() {
    let mut world = online(SignMethod::HmacSha1);
    let params = br#"{"measurepoints":{"p":1}}"#;
    let first = world.call(|session, now| session.post_measurepoints(now, params)).unwrap();
    let second = world.call(|session, now| session.post_measurepoints(now, params)).unwrap();
    world.run_until(world.now + 1_000);
    let replies: Vec<_> = world.events.iter().map(|event| (event.kind, event.token, event.detail_code)).collect();
    assert_eq!(replies.len(), 2);
    assert!(replies.contains(&(Kind::Reply, first, 200)) && replies.contains(&(Kind::Reply, second, 200)));
    world.events.clear();
    world.rates.no_reply = 1000;
    world.call(|session, now| session.post_measurepoints(now, params)).unwrap();
    world.run_until(world.now + 29_000);
    assert!(world.events.is_empty());
    world.run_until(world.now + 2_000);
    assert_eq!(world.kinds(), [(Kind::Reply, S::ENOS_ERR_TIMEOUT)]);
}

#[test]
fn a_broker_that_answers_nothing_does_not_keep_a_call_from_its_outcome() {
    let mut world = online(SignMethod::HmacSha1);
    let now = world.now();
    world.session.publish(now, "/b", vec![], 1).unwrap();
    world.session.subscribe(now, "/c", 1).unwrap();
    world.session.unsubscribe(now, "/c").unwrap();
    world.session.post_measurepoints(now, b"{}").unwrap();
    // What the session wants sent goes nowhere.
    while world.session.next_action().is_some() {}
    assert_eq!(world.session.deadline(), Some(now.ms + 30_000));
    world.session.handle(Now { ms: now.ms + 30_000, ..now }, Input::Tick);
    let ended = std::iter::from_fn(|| world.session.next_action()).filter_map(|action| match action {
        Action::Emit(event) => Some((event.kind, event.status)),
        _ => None,
    });
    let timeout = S::ENOS_ERR_TIMEOUT;
    assert_eq!(
        ended.collect::<Vec<_>>(),
        [
            (Kind::Delivered, timeout),
            (Kind::Subscribed, timeout),
            (Kind::Unsubscribed, timeout),
            (Kind::Reply, timeout)
        ]
    );
    assert_eq!(world.session.deadline(), None);

    // What the transport still holds keeps its place.
    for taken in 0..10 {
        assert_eq!(world.session.publish(now, "/b", vec![], 1).is_ok(), taken < 9);
    }
}

#[test]
fn a_refused_reply_topic_ends_the_posts_that_wait_for_it() {
    let mut world = online(SignMethod::HmacSha1);
    world.rates.no_reply = 1000;
    for _ in 0..2 {
        world.call(|session, now| session.post_measurepoints(now, b"{}")).unwrap();
    }
    world.run_until(world.now + 1_000);
    assert_eq!(world.kinds(), [(Kind::Reply, S::ENOS_ERR_CREDENTIALS); 2]);
    world.check_outcomes();
}

#[test]
fn a_lost_link_ends_what_is_under_way_and_subscriptions_come_back_with_the_next() {
    let mut world = online(SignMethod::HmacSha1);
    world.call(|session, now| session.subscribe(now, "/a/#", 1)).unwrap();
    world.run_until(world.now + 1_000);
    world.call(|session, now| session.publish(now, "/b", vec![], 1)).unwrap();
    let attempt = world.session.attempt;
    world.feed(Input::Link { attempt, what: LinkInput::Lost { reason: "reset".into() } });
    let network = S::ENOS_ERR_NETWORK;
    let kinds = [(Kind::Subscribed, S::ENOS_OK), (Kind::Delivered, network), (Kind::Disconnected, network)];
    assert_eq!(world.kinds(), kinds);
    world.check_outcomes();
    let now = world.now();
    assert!(world.session.publish(now, "/b", vec![], 1).is_err_and(|error| error.status == S::ENOS_ERR_STATE));
    let attempt = world.session.attempt + 1;
    while world.session.attempt < attempt {
        world.step(world.now + 10_000);
    }
    world.rates.no_answer = 1000;
    let now = world.now();
    world.session.handle(now, Input::Link { attempt, what: LinkInput::Up });
    let replayed = std::iter::from_fn(|| world.session.next_action())
        .any(|action| matches!(action, Action::Send(LinkRequest::Subscribe { filter, .. }) if filter == "/a/#"));
    assert!(replayed);
}

#[test]
fn no_more_is_accepted_than_the_limit() {
    let mut world = online(SignMethod::HmacSha1);
    let publish = |session: &mut Session, now| session.publish(now, "/b", vec![], 1);
    for _ in 0..10 {
        world.call(publish).unwrap();
    }
    assert_eq!(world.call(publish).unwrap_err().status, S::ENOS_ERR_QUEUE_FULL);
    world.run_until(world.now + 1_000);
    world.call(publish).unwrap();
    let large = vec![0; envelope::MAX_PAYLOAD + 1];
    let now = world.now();
    assert_eq!(world.session.publish(now, "/b", large, 1).unwrap_err().status, S::ENOS_ERR_TOO_LARGE);
}

#[test]
fn a_disconnect_is_told_once_from_every_state() {
    for steps in 0..40 {
        let mut world = world(SignMethod::Sha1);
        world.connect();
        for _ in 0..steps {
            world.step(world.now + 10_000);
        }
        let idle = world.session.state() == State::Idle;
        world.events.clear();
        world.disconnect();
        world.run_until(world.now + 20_000);
        let told = world.kinds().iter().filter(|&&kind| kind == (Kind::Disconnected, S::ENOS_OK)).count();
        assert_eq!((world.session.state(), told), (State::Idle, usize::from(!idle)), "after {steps} steps");
    }
}
