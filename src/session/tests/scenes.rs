//! Scenes of logins and retries: the times and the order of what happens.

use super::lost;
use super::world::{proven, settings, World};
use crate::model::sign::{SecureMode, SignMethod};
use crate::protocol::{Secret, Standing};
use crate::session::*;

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

use crate::error::Status as S;
use EventKind as Kind;

#[test]
fn a_refused_product_secret_is_told_at_once_and_tried_again_much_later() {
    let mut world = world(SignMethod::Sha256);
    world.connect();
    world.run_until(world.now + MINUTE);
    let last = world.events.last().unwrap();
    assert_eq!((last.kind, last.status), (Kind::Disconnected, S::ENOS_ERR_ACTIVATION_REFUSED));
    assert!((590_000..=3_600_000).contains(&last.retry_in_ms));
    assert!(last.detail.contains("HMACSHA1") && last.detail.contains("SHA1") && last.detail.contains("SHA256"));
    assert_eq!(world.session.connection().blocked_by().unwrap().status, S::ENOS_ERR_ACTIVATION_REFUSED);
    assert_eq!(world.cloud.connects.len(), 2);
    world.run_until(world.now + 62 * MINUTE);
    assert!(world.cloud.connects.len() >= 4);
}

#[test]
fn a_device_that_was_registered_anew_is_activated_anew_but_not_before_a_ban_is_ruled_out() {
    let mut world = world(SignMethod::HmacSha1);
    world.connect();
    assert!(world.run_to(State::Online, MINUTE));
    let (stamps, _) = world.disk.budget.clone().unwrap();
    assert!(stamps.iter().all(|at| *at <= world.now), "what is stored in the end is when it was");
    world.register_anew();
    world.run_until(world.now + 4 * MINUTE);
    assert_ne!(world.session.state(), State::Online);
    assert!(world.run_to(State::Online, 70 * MINUTE));
    let kept = world.disk.secrets.iter().map(|kept| (kept.secret.as_str(), kept.standing));
    assert_eq!(kept.collect::<Vec<_>>(), [("device-secret-1", Standing::First), ("device-secret-2", Standing::Proven)]);
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
    world.disk.secrets = vec![proven("nobody-knows-it")];
    world.connect();
    world.run_until(world.now + 300 * MINUTE);
    assert_eq!(world.cloud.issued, 0);
}

#[test]
fn no_retry_when_the_host_wants_none() {
    let mut settings = settings();
    (settings.reconnect_min_ms, settings.reconnect_max_ms) = (0, 0);
    let mut world = World::new(7, settings, SignMethod::Sha1);
    world.connect();
    assert!(world.run_to(State::Online, 30_000), "the steps of an activation are no retries");
    let attempt = world.session.connection.attempt;
    world.feed(Input::Link { attempt, what: lost("reset") });
    assert_eq!(world.session.state(), State::Idle);
    assert_eq!(world.events.last().unwrap().retry_in_ms, 0);
    assert_eq!(world.session.connection().blocked_by().unwrap().status, S::ENOS_ERR_NETWORK);
}

#[test]
fn a_refusal_stands_in_the_way_of_a_wait_until_the_next_attempt() {
    let mut world = static_world(SignMethod::Sha256);
    world.connect();
    assert!(!world.run_to(State::Online, 5_000));
    assert_eq!(world.session.connection().blocked_by().unwrap().status, S::ENOS_ERR_CREDENTIALS);
    world.rates.no_answer = 1000;
    assert!(world.run_to(State::Connecting, 70 * MINUTE));
    assert!(world.session.connection().blocked_by().is_none(), "an attempt is under way");
}

#[test]
fn silence_says_nothing_against_a_method_that_has_worked() {
    for minutes in 1..10 {
        // Either the credential has logged in before, or its method has with the product secret.
        for activated in [true, false] {
            let mut world = if activated { static_world(SignMethod::HmacSha1) } else { world(SignMethod::HmacSha1) };
            world.connect();
            if activated {
                assert!(world.run_to(State::Online, MINUTE));
                let attempt = world.session.connection.attempt;
                world.feed(Input::Link { attempt, what: lost("reset") });
            } else {
                while world.disk.secrets.is_empty() {
                    world.step(world.now + 1_000);
                }
            }
            world.rates.no_answer = 1000;
            world.run_until(world.now + minutes * MINUTE);
            world.rates.no_answer = 0;
            assert!(world.run_to(State::Online, 10 * MINUTE));
            let refused = world.kinds().iter().filter(|(_, status)| *status == S::ENOS_ERR_CREDENTIALS).count();
            assert_eq!(refused, 0, "after {minutes} minutes: {:?}", world.kinds());
        }
    }
}

#[test]
fn a_clock_that_was_never_set_signs_with_a_constant() {
    for (wall_ms, signed) in [(1_000, 2_524_608_000_000), (1_700_000_000_000, 1_700_000_000_000)] {
        let mut session = Session::new(settings(), 1);
        let now = Now { ms: 5, wall_ms };
        session.connect(now);
        session.handle(now, Input::Loaded(Box::default()));
        let opened = std::iter::from_fn(|| session.next_action()).find_map(|action| match action {
            Action::Open { timestamp_ms, credential, .. } => Some((timestamp_ms, credential.mode())),
            _ => None,
        });
        assert_eq!(opened, Some((signed, SecureMode::ENOS_SECURE_MODE_PRODUCT)));
    }
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
        let told = world.kinds();
        let count = |kind| told.iter().filter(|told| **told == (kind, S::ENOS_OK)).count();
        assert_eq!(
            (world.session.state(), count(Kind::Disconnected)),
            (State::Idle, usize::from(!idle)),
            "{steps} steps"
        );
        assert_eq!(count(Kind::Stopped), 1, "{steps} steps");
        assert_eq!(told.last(), Some(&(Kind::Stopped, S::ENOS_OK)), "{steps} steps");
    }
}

/// To the client this also looks like another client of the device, and the client waits for that one.
#[test]
fn a_message_that_the_broker_hangs_up_on_is_a_dead_letter_after_nine_connections() {
    for seed in 0..20 {
        let mut settings = settings();
        settings.device_secret = Some(Secret::new(b"device-secret").unwrap());
        let mut world = World::new(seed, settings, SignMethod::HmacSha1);
        world.cloud.secret = Some("device-secret".into());
        world.rates.deadly = 1000;
        // The first number is never accepted, and the second one also makes the broker close the connection.
        world.publish_durable(&[0], 1, false, 1 << 20).unwrap_err();
        world.publish_durable(&[0], 3, false, 0).unwrap();
        world.connect();
        let began = world.now;
        while !world.events.iter().any(|event| event.status == S::ENOS_ERR_DEAD_LETTER) {
            world.step(began + 24 * 60 * MINUTE);
        }
        assert_eq!(world.cloud.connects.len(), 9, "seed {seed}");
        assert!(world.now - began < 65 * MINUTE, "{} s", (world.now - began) / 1_000);
        while !world.session.is_flushed() {
            world.step(began + 24 * 60 * MINUTE);
        }
        assert_eq!(world.cloud.connects.len(), 10, "seed {seed}");
        assert!(world.now - began < 82 * MINUTE, "{} s", (world.now - began) / 1_000);
        world.check_durable();
        assert!(world.violations.is_empty(), "{:?}", world.violations);
    }
}
