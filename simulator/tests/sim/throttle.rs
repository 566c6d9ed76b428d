//! The connect throttle, with its times scaled down.

use crate::common::*;
use enos_sim::{Block, Config, ThrottleConfig};
use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

fn throttled(throttle: ThrottleConfig) -> Sim {
    Sim::start(Config { throttle: Some(throttle), ..active() })
}

fn connect(sim: &Sim) -> u8 {
    sim.answer(&Login::device(DEVICE_SECRET))
}

#[test]
fn the_fourth_connect_bans_the_device_for_a_while() {
    let ban = Duration::from_millis(400);
    let sim = throttled(ThrottleConfig { spacing: Duration::ZERO, ban, ..ThrottleConfig::default() });
    assert_eq!([connect(&sim), connect(&sim), connect(&sim)], [0, 0, 0]);
    let start = Instant::now();
    assert_eq!(connect(&sim), 5);
    let banned = sim.wait_for("banned");
    assert_eq!((&banned["rule"], &banned["for_ms"]), (&"window".into(), &400.into()));
    while connect(&sim) != 0 {
        assert!(start.elapsed() < PATIENCE);
    }
    assert!(start.elapsed() >= ban);
    assert!(sim.cloud.summary().devices[0].counts.banned >= 1);
}

#[test]
fn one_connect_a_second_and_a_drop_without_a_word() {
    let throttle = ThrottleConfig { block: Block::Drop, spacing: Duration::from_secs(60), ..ThrottleConfig::default() };
    let sim = throttled(throttle);
    assert_eq!(connect(&sim), 0);
    let mut client = Client::open(sim.address());
    client.send(|out| Login::device(DEVICE_SECRET).connect().write(out));
    assert_eq!(client.end(), ErrorKind::UnexpectedEof);
    assert_eq!(sim.wait_for("banned")["rule"], "spacing");
}
