//! What hosts do: they call connect() after every failure, take back a disconnect, and wait for a cloud that begins to
//! accept them.

use super::world::{proven, settings, World};
use crate::model::sign::SignMethod;
use crate::model::storage::StorageError;
use crate::protocol::Secret;
use crate::session::*;

const MINUTE: u64 = 60_000;

use crate::error::Status as S;
use EventKind as Kind;

fn empty() -> Input {
    Input::Loaded(Box::default())
}

fn failed() -> Input {
    let failure = Some(StorageError::new(-5, "the flash does not answer"));
    Input::Loaded(Box::new(Loaded { failure, ..Loaded::default() }))
}

fn at(ms: u64) -> Now {
    Now { ms, wall_ms: 1_700_000_000_000 }
}

/// How often the session tries until then, if the host calls connect() in the callback of every failure.
fn attempts(settings: Settings, until: u64, answer: impl Fn(&Action) -> Option<LinkEvent>) -> usize {
    let mut session = Session::new(settings, 1);
    let (mut now, mut tries) = (1_000, 0);
    session.connect(at(now));
    while now < until {
        while let Some(action) = session.next_action() {
            let attempt = session.connection.attempt;
            if let Some(what) = answer(&action) {
                tries += 1;
                session.handle(at(now), Input::Link { attempt, what });
            }
            match action {
                Action::Load => {
                    tries += 1;
                    session.handle(at(now), failed());
                }
                Action::Emit(event) if event.kind == Kind::Disconnected => session.connect(at(now)),
                _ => {}
            }
            assert!(tries < 1_000, "{tries} attempts at {now} ms, and no end");
        }
        now = session.deadline().unwrap_or(until).max(now);
        session.handle(at(now), Input::Tick);
    }
    tries
}

#[test]
fn a_host_that_connects_at_every_failure_does_not_get_a_busy_loop() {
    let tries = attempts(settings(), 61_000, |_| None);
    assert!((10..=70).contains(&tries), "{tries} loads from a broken storage in a minute");
    for retry in [1_000, 0] {
        let mut settings = settings();
        (settings.reconnect_min_ms, settings.reconnect_max_ms) = (retry, retry);
        settings.device_secret = Some(Secret::new(b"device-secret").unwrap());
        let refused = |action: &Action| {
            let nobody =
                LinkEvent::Failed { status: S::ENOS_ERR_NETWORK, reason: "refused".into(), connect_sent: false };
            matches!(action, Action::Open { .. }).then_some(nobody)
        };
        let tries = attempts(settings, 61_000, refused);
        assert!((10..=200).contains(&tries), "{tries} connections to a port where nobody listens in a minute");
    }
}

#[test]
fn a_disconnect_that_is_taken_back_while_loading_is_told_as_that() {
    let mut session = Session::new(settings(), 1);
    session.connect(at(1_000));
    session.disconnect(at(1_000));
    session.connect(at(1_000));
    session.handle(at(1_000), empty());
    assert_eq!(session.state(), State::Activating);
    let attempt = session.connection.attempt;
    session.handle(at(1_100), Input::Link { attempt, what: LinkEvent::Connected });
    session.handle(at(1_200), Input::Link { attempt, what: super::world::activation("device-secret") });
    session.handle(at(1_200), Input::SecretsStored(Ok(())));
    session.handle(at(1_300), Input::Link { attempt, what: LinkEvent::Closed });
    let told = std::iter::from_fn(|| session.next_action()).filter_map(|action| match action {
        Action::Emit(event) => Some((event.kind, event.status)),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [(Kind::Stopped, S::ENOS_ERR_STATE), (Kind::Activated, S::ENOS_OK)]);
}

#[test]
fn a_disconnect_that_is_taken_back_leaves_the_broker_its_time_to_answer() {
    let mut session = Session::new(settings(), 1);
    session.connect(at(1_000));
    session.handle(at(1_000), empty());
    session.disconnect(at(2_000));
    session.connect(at(2_000));
    assert_eq!(session.deadline(), Some(1_000 + 30_000));
}

#[test]
fn a_device_secret_is_tried_again_when_an_activation_brings_none() {
    let mut world = World::new(7, settings(), SignMethod::HmacSha1);
    world.disk.secrets = vec![proven("device-secret")];
    // The cloud refuses the device until a new activation is tried. It accepts that login, and sends nothing.
    world.cloud.secret = Some("another".into());
    world.rates.push_lost = 1000;
    world.connect();
    assert!(world.run_to(State::Activating, 130 * MINUTE));
    world.run_until(world.now + MINUTE);
    assert_eq!(world.session.connection().blocked_by().map(|error| error.status), Some(S::ENOS_ERR_ACTIVATION_TIMEOUT));
    // Somebody repairs the cloud.
    world.cloud.secret = Some("device-secret".into());
    assert!(world.run_to(State::Online, 130 * MINUTE), "{:?}", world.kinds());
    assert!(world.violations.is_empty(), "{:?}", world.violations);
}
