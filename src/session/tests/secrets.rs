//! How a secret gets into the storage.

use super::lost;
use super::world::{activation, settings, Attacker, Cloud, World};
use crate::model::sign::SignMethod;
use crate::model::storage::StorageError;
use crate::protocol::{DeviceSecret, Secret, Standing};
use crate::session::*;

const MINUTE: u64 = 60_000;

fn world() -> World {
    World::new(7, settings(), SignMethod::HmacSha1)
}

use crate::error::Status as S;
use EventKind as Kind;

#[test]
fn what_could_not_be_read_is_not_overwritten() {
    let mut world = world();
    let secret = Secret::new(b"device-secret").unwrap();
    let kept = DeviceSecret { secret, asset_id: None, standing: Standing::Unproven, brought_by: 0 };
    world.cloud.secret = Some("device-secret".into());
    let now = world.now();
    world.session.connect(now);
    assert!(matches!(world.session.next_action(), Some(Action::Load)));
    let failure = Some(StorageError::new(-7, "the flash does not answer"));
    let loaded = Loaded { secrets: vec![kept], failure, ..Loaded::default() };
    world.feed(Input::Loaded(Box::new(loaded)));
    assert!(world.run_to(State::Online, MINUTE));
    assert!(world.disk.secrets.is_empty(), "what stands there may be the only copy of a secret");
}

#[test]
fn nothing_is_saved_by_hand_that_was_not_told() {
    let mut world = world();
    world.rates.push_lost = 1000;
    world.connect();
    assert!(world.run_to(State::Activating, 5_000));
    world.run_until(world.now + 1_000);
    world.rates.store_fails = 1000;
    let (now, attempt) = (world.now(), world.session.connection.attempt);
    world.session.handle(now, Input::Link { attempt, what: activation("device-secret-1") });
    assert_eq!(world.session.activation_saved(now).unwrap_err().status, S::ENOS_ERR_STATE);
    assert!(world.session.connection().has_unsaved_secret());
    world.feed(Input::Tick);
    // The host was told of two secrets, and saves both.
    world.feed(Input::Link { attempt, what: activation("device-secret-2") });
    let told = world.events.iter().filter(|event| event.kind == Kind::PersistFailed);
    let secrets: Vec<_> = told.map(|event| event.activation.as_ref().unwrap().device_secret().as_str()).collect();
    assert_eq!(secrets, ["device-secret-1", "device-secret-1", "device-secret-2"]);
    for left in [true, false] {
        assert!(world.session.activation_saved(now).is_ok());
        assert_eq!(world.session.connection().has_unsaved_secret(), left);
    }
}

#[test]
fn a_disconnect_waits_for_the_secret_that_may_be_on_its_way() {
    // During the login, after it, and after the secret has come.
    let mut stored = 0;
    for until in [0, 5, 20, 100, 300, 1_000, 2_000] {
        let mut world = world();
        world.connect();
        world.run_until(world.now + until);
        world.disconnect();
        assert!(world.run_to(State::Idle, 10_000), "{until} ms");
        let told = world.kinds();
        let told: Vec<_> =
            told.iter().filter(|(kind, _)| matches!(*kind, Kind::Disconnected | Kind::Stopped)).collect();
        assert_eq!(told, [&(Kind::Disconnected, S::ENOS_OK), &(Kind::Stopped, S::ENOS_OK)], "{until} ms");
        assert!(world.violations.is_empty(), "{until} ms: {:?}", world.violations);
        stored += world.disk.secrets.len();
    }
    assert!(stored >= 5, "it waited in vain {stored}");
}

#[test]
fn a_login_that_could_not_be_noted_is_noted_at_the_next_one() {
    let mut world = world();
    world.connect();
    while world.disk.secrets.is_empty() {
        world.step(world.now + 1_000);
    }
    world.rates.store_fails = 1000;
    assert!(world.run_to(State::Online, MINUTE));
    assert_eq!(world.disk.secrets[0].standing, Standing::Unproven);
    world.rates.store_fails = 0;
    let attempt = world.session.connection.attempt;
    world.feed(Input::Link { attempt, what: lost("reset") });
    assert!(world.run_to(State::Online, 3 * MINUTE));
    assert_eq!(world.disk.secrets[0].standing, Standing::First);
}

#[test]
fn a_secret_that_cannot_be_stored_is_told_and_kept_trying_through_disconnect() {
    let mut world = world();
    world.rates.store_fails = 1000;
    world.connect();
    assert!(world.run_to(State::Persisting, 30_000));
    world.run_until(world.now + 5 * MINUTE);
    let failed = world.events.iter().filter(|event| event.kind == Kind::PersistFailed).collect::<Vec<_>>();
    let told = failed.len();
    assert!(told > 3);
    let offline = |world: &World| world.events.iter().any(|event| event.kind == Kind::Disconnected);
    world.disconnect();
    assert!(!offline(&world), "the link has not ended yet");
    world.run_until(world.now + 30_000);
    assert!(offline(&world), "it does not wait for the storage");
    world.run_until(world.now + 2 * MINUTE);
    assert_eq!(world.session.state(), State::Persisting);
    assert!(world.session.connection().has_unsaved_secret());
    let connects = world.cloud.connects.len();
    let offline = world.events.iter().filter(|event| event.kind == Kind::PersistFailed).count();
    world.connect();
    world.run_until(world.now + 2 * MINUTE);
    assert_eq!(world.cloud.connects.len(), connects, "connect resumes without a CONNECT");
    let failed = world.events.iter().filter(|event| event.kind == Kind::PersistFailed).collect::<Vec<_>>();
    assert!(offline > told && failed.len() > offline, "{told}, {offline} offline, {} in all", failed.len());
    for event in failed {
        assert_eq!((event.status, event.detail_code), (S::ENOS_ERR_STORAGE, -5));
        assert!(event.retry_in_ms >= 1_000 && event.detail.contains("full"), "{}", event.detail);
        assert_eq!(event.activation.as_ref().unwrap().device_secret().as_str(), "device-secret-1");
    }
    world.rates.store_fails = 0;
    assert!(world.run_to(State::Online, 5 * MINUTE));
    assert!(world.violations.is_empty(), "{:?}", world.violations);
}

/// The broker does not read, so that the DISCONNECT does not go out.
#[test]
fn a_link_that_does_not_end_while_a_secret_is_unsaved_is_dropped_after_three_seconds() {
    let mut session = Session::new(settings(), 1);
    let at = |ms| Now { ms, wall_ms: 0 };
    let link = |what| Input::Link { attempt: 1, what };
    session.connect(at(0));
    session.handle(at(0), Input::Loaded(Box::default()));
    session.handle(at(0), link(LinkEvent::Connected));
    session.handle(at(0), link(activation("device-secret-1")));
    assert_eq!(session.state(), State::Persisting);
    session.disconnect(at(1_000));
    while session.next_action().is_some() {}
    assert_eq!(session.deadline(), Some(4_000));
    session.handle(at(3_999), Input::Tick);
    assert!(session.next_action().is_none());
    // A second secret changes nothing about that.
    session.handle(at(3_999), link(activation("device-secret-2")));
    while session.next_action().is_some() {}
    session.handle(at(4_000), Input::Tick);
    assert!(matches!(session.next_action(), Some(Action::Abandon { attempt: 1, .. })));
    assert!(session.next_action().is_none() && session.deadline().is_none());
    session.handle(at(4_001), link(lost("dropped")));
    let told = std::iter::from_fn(|| session.next_action()).find_map(|action| match action {
        Action::Emit(event) => Some((event.kind, event.status)),
        _ => None,
    });
    assert_eq!(told, Some((Kind::Disconnected, S::ENOS_OK)));
    assert!(session.connection().has_unsaved_secret() && session.state() == State::Persisting);
}

#[test]
fn a_push_that_does_not_come_is_asked_for_reported_and_tried_once_more() {
    let mut world = world();
    world.rates.push_lost = 1000;
    world.connect();
    assert!(world.run_to(State::Activating, 5_000));
    world.run_until(world.now + 29_000);
    assert!(world.session.connection().blocked_by().is_none());
    world.run_until(world.now + 3_000);
    assert_eq!(world.kinds(), [(Kind::ActivationLate, S::ENOS_ERR_ACTIVATION_TIMEOUT)]);
    assert_eq!(world.events[0].retry_in_ms, 600_000);
    assert_eq!(world.session.connection().blocked_by().unwrap().status, S::ENOS_ERR_ACTIVATION_TIMEOUT);
    assert_eq!(world.session.state(), State::Activating, "stays connected");
    world.rates.push_lost = 0;
    world.run_until(world.now + 9 * MINUTE);
    assert_eq!(world.cloud.connects.len(), 1);
    assert!(world.run_to(State::Online, 2 * MINUTE));
    assert_eq!(world.cloud.connects.len(), 3);
}

#[test]
fn a_secret_that_comes_while_its_link_is_being_closed_is_kept() {
    let mut world = world();
    world.rates.push_lost = 1000;
    world.connect();
    assert!(world.run_to(State::Activating, 5_000));
    world.run_until(world.now + 1_000);
    world.disconnect();
    assert!(world.run_to(State::Waiting, 3_000));
    let attempt = world.session.connection.attempt;
    world.feed(Input::Link { attempt, what: activation("device-secret-1") });
    assert!(world.disk.holds("device-secret-1"));
    assert!(world.run_to(State::Idle, 5_000));
    let told = world.kinds();
    assert_eq!(told.last_chunk(), Some(&[(Kind::Disconnected, S::ENOS_OK), (Kind::Stopped, S::ENOS_OK)]));
}

/// For a day the attacker refuses the genuine secret, and accepts some secrets that he has sent himself.
#[test]
fn no_attacker_on_the_path_costs_a_device_its_genuine_secret() {
    let mut logged_in = Vec::new();
    for activations in [1, 2, 9] {
        for refuses_own in [800, 900] {
            let mut world = world();
            world.connect();
            assert!(world.run_to(State::Online, MINUTE));
            world.attack(Attacker { refuses: 1000, refuses_own, activations, ends: 900, ..Attacker::default() });
            world.run_until(world.now + 24 * 60 * MINUTE);
            logged_in.push(world.disk.secrets.iter().filter(|kept| kept.standing == Standing::Proven).count());
            world.end_attack();
            assert!(world.run_to(State::Waiting, MINUTE) && world.run_to(State::Online, 120 * MINUTE));
            let kept = world.disk.secrets.last().map(|kept| (kept.secret.as_str(), kept.standing));
            assert_eq!(kept, Some(("device-secret-1", Standing::First)), "{refuses_own}, {activations}");
            assert!(world.violations.is_empty(), "{:?}", world.violations);
        }
    }
    assert!(logged_in.iter().all(|forged| *forged > 0) && logged_in.contains(&5), "not put to the test: {logged_in:?}");
}

#[test]
fn two_wrong_clouds_one_after_the_other_cost_a_device_nothing() {
    let mut world = world();
    world.connect();
    assert!(world.run_to(State::Online, MINUTE));
    let right = std::mem::replace(&mut world.cloud, Cloud::new(SignMethod::HmacSha1));
    for wrong in 1..=2 {
        world.cloud = Cloud { issued: wrong * 100, ..Cloud::new(SignMethod::Sha1) };
        world.register_anew();
        world.run_until(world.now + MINUTE);
        assert!(world.run_to(State::Online, 180 * MINUTE));
        assert!(world.disk.holds(&format!("device-secret-{}01", wrong)));
    }
    let secret = right.secret.clone();
    world.register_anew();
    world.cloud = right;
    assert!(world.run_to(State::Waiting, MINUTE) && world.run_to(State::Online, 60 * MINUTE));
    assert_eq!((world.cloud.secret.clone(), world.cloud.issued), (secret, 1));
    assert!(world.violations.is_empty(), "{:?}", world.violations);
}

#[test]
fn each_disconnect_comes_to_one_end() {
    let mut world = world();
    let ends = |world: &World| -> Vec<S> {
        world.events.iter().filter(|event| event.kind == Kind::Stopped).map(|event| event.status).collect()
    };
    world.disconnect();
    world.disconnect();
    assert_eq!(ends(&world), [S::ENOS_OK; 2], "there was nothing to do");
    // Before the CONNECT is sent, no secret can be on its way.
    world.connect();
    world.disconnect();
    assert_eq!((ends(&world).len(), world.session.state(), world.cloud.connects.len()), (3, State::Idle, 0));
    // A disconnect that is taken back while the secret may be on its way.
    world.connect();
    while world.cloud.connects.is_empty() {
        world.run_until(world.now + 1);
    }
    world.disconnect();
    world.connect();
    assert_eq!(ends(&world)[3..], [S::ENOS_ERR_STATE]);
    // The device is offline, but a secret is unsaved.
    world.rates.store_fails = 1000;
    assert!(world.run_to(State::Persisting, 30_000));
    world.disconnect();
    world.run_until(world.now + 5 * MINUTE);
    assert_eq!(
        (ends(&world).len(), world.events.iter().filter(|event| event.kind == Kind::Disconnected).count()),
        (4, 2)
    );
    world.rates.store_fails = 0;
    assert!(world.run_to(State::Idle, 2 * MINUTE));
    assert_eq!(ends(&world)[4..], [S::ENOS_OK]);
    // connect() while the link is being closed.
    world.connect();
    assert!(world.run_to(State::Online, MINUTE));
    world.disconnect();
    world.connect();
    assert!(world.run_to(State::Connecting, MINUTE));
    assert_eq!(ends(&world)[5..], [S::ENOS_OK]);
}

#[test]
fn what_is_no_activation_of_this_device_is_not_handed_over_and_told_of_later() {
    let mut world = world();
    world.rates.push_lost = 1000;
    world.connect();
    assert!(world.run_to(State::Activating, 5_000));
    world.run_until(world.now + 1_000);
    let attempt = world.session.connection.attempt;
    for (device, secret) in [("dk", ""), ("another", "his-secret")] {
        let payload = format!(
            r#"{{"method":"thing.activate.info","params":{{"productKey":"pk","deviceKey":"{device}","deviceSecret":"{secret}"}}}}"#
        );
        let topic = b"/ext/session/pk/dk/thing/activate/info".to_vec();
        world.feed(Input::Link {
            attempt,
            what: LinkEvent::Message { topic, payload: payload.into_bytes().into(), qos: 0, retained: false },
        });
    }
    world.run_until(world.now + 30_000);
    let [late] = &world.events[..] else { panic!("{:?}", world.kinds()) };
    assert_eq!((late.kind, late.status), (Kind::ActivationLate, S::ENOS_ERR_ACTIVATION_TIMEOUT));
    assert!(late.detail.contains("2 messages") && late.detail.contains("params.deviceKey"), "{}", late.detail);
    assert!(late.payload.is_empty() && !late.detail.contains("his-secret"));
}

#[test]
fn no_activation_is_taken_from_a_link_that_has_not_asked_for_one() {
    let mut world = world();
    world.connect();
    assert!(world.run_to(State::Online, MINUTE));
    let (attempt, told) = (world.session.connection.attempt, world.events.len());
    world.feed(Input::Link { attempt, what: activation("forged") });
    assert_eq!((world.session.state(), world.events.len()), (State::Online, told));
    assert!(!world.disk.holds("forged") && !world.session.connection().has_unsaved_secret());
}

#[test]
fn a_second_secret_that_comes_while_the_link_of_the_first_is_being_closed_is_kept() {
    let mut world = world();
    world.rates.push_lost = 1000;
    world.connect();
    assert!(world.run_to(State::Activating, 5_000));
    world.run_until(world.now + 1_000);
    let attempt = world.session.connection.attempt;
    world.rates.store_fails = 1000;
    world.feed(Input::Link { attempt, what: activation("forged") });
    world.disconnect();
    let now = world.now();
    assert!(world.session.activation_saved(now).is_ok() && world.session.state() == State::Waiting);
    world.rates.store_fails = 0;
    world.feed(Input::Link { attempt, what: activation("device-secret-1") });
    assert!(world.disk.holds("device-secret-1"));
    assert!(world.run_to(State::Idle, 5_000));
    assert_eq!(world.kinds().last(), Some(&(Kind::Stopped, S::ENOS_OK)));
}
