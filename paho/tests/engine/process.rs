//! For each fix about the process and its connections: what happens without it, and that it does not happen with it.

use crate::{
    broker::{fill, packet, publish, Broker},
    driver::{connected, Driver, PATIENCE, SHORT},
    variant::{fixed, without, Flavour::*},
};
use std::{
    path::Path,
    time::{Duration, Instant},
};

#[test]
fn no_descriptors_is_an_error_of_create() {
    let fails = |binary: &Path| {
        let mut driver = Driver::start(binary);
        driver.tell("allow 0 3");
        let answer = driver.ask("create 0 1");
        (answer, driver)
    };
    let (answer, _driver) = fails(&without(&["0006-wake-up"], Address));
    assert_eq!(answer.as_deref(), Some("rc 0"), "without the fix nobody is told");
    let (answer, mut driver) = fails(&fixed(Address));
    assert_eq!(answer.as_deref(), Some("rc -1"));
    driver.tell("allow 0 0");
    let broker = Broker::new();
    driver.tell(&format!("create 0 {}", broker.port()));
    driver.tell("connect 0");
    broker.accept().welcome();
    driver.event("@0 up");
    driver.end_clean();
}

#[test]
fn the_last_client_goes_without_a_wait() {
    let scene = |binary: &Path| {
        let broker = Broker::new();
        let mut driver = Driver::start(binary);
        let before = driver.number("descriptors");
        let mut waited = Vec::new();
        for _ in 0..8 {
            driver.tell(&format!("create 0 {}", broker.port()));
            driver.tell("connect 0");
            let mut peer = broker.accept();
            peer.welcome();
            driver.event("@0 up");
            waited.push(driver.number("destroy 0"));
        }
        waited.sort();
        let left = driver.number("descriptors") - before;
        (waited[waited.len() / 2], left, driver)
    };
    let (wait, left, _) = scene(&without(&["0007-teardown"], Address));
    assert!(wait >= 100 && left == 16, "without the fix: {wait} ms, {left} descriptors");
    let (wait, left, driver) = scene(&fixed(Address));
    assert!(wait < 100 && left == 0, "{wait} ms, {left} descriptors");
    driver.end_clean();
}

#[test]
fn nothing_secret_stays_in_memory() {
    // The password that goes out, and what comes in: in one piece, in two, and followed by something shorter.
    let scene = |binary: &Path| {
        let broker = Broker::new();
        let (mut driver, mut peer) = connected(binary, &broker);
        let payload = [&[b'-'; 40][..], &b"Secret-Of-70".repeat(200)].concat();
        for qos in [0, 1, 2] {
            let bytes = publish(qos, 7, "in/secret", &payload);
            peer.send(&bytes);
            if qos == 2 {
                peer.expect(5);
                peer.send(&packet(0x62, &[0, 7]));
            }
            driver.event("@0 message topic 9 payload 2440");
            peer.send(&bytes[..1200]);
            peer.send(&packet(0xd0, &[])[..0]);
            driver.ask("cpu");
            peer.send(&bytes[1200..]);
            if qos == 2 {
                peer.expect(7);
                peer.expect(5);
                peer.send(&packet(0x62, &[0, 7]));
            } else {
                driver.event("@0 message topic 9 payload 2440");
            }
            if qos == 1 {
                peer.expect(4);
                peer.expect(4);
            }
        }
        driver.event("@0 message topic 9 payload 2440 qos 2");
        driver.number("destroy 0");
        (driver.number("secrets"), driver)
    };
    let (left, _) = scene(&without(&["0008-wipe"], Plain));
    assert!(left > 0, "without the fix the secret is left somewhere");
    let (left, driver) = scene(&fixed(Plain));
    assert_eq!(left, 0);
    driver.end_clean();
}

#[test]
fn a_connection_goes_through_its_interface() {
    let broker = Broker::new();
    let mut driver = Driver::start(&fixed(Address));
    driver.tell(&format!("create 0 {}", broker.port()));
    assert_eq!(driver.ask("interface 0 sixteen-letters-").as_deref(), Some("rc -1"));
    driver.tell("interface 0 nosuch0");
    driver.tell("connect 0");
    assert_eq!(driver.event("@0 refused"), "@0 refused code -1 sent 0");
    driver.tell("interface 0 lo");
    driver.tell("connect 0");
    broker.accept().welcome();
    driver.event("@0 up");
    driver.end_clean();
}

#[test]
fn a_connect_that_was_sent_is_told_from_one_that_was_not() {
    let broker = Broker::new();
    let (mut driver, peer) = connected(&fixed(Address), &broker);
    peer.reset();
    assert_eq!(driver.event("@0 lost"), "@0 lost sent 1");
    // The same client again, where nobody listens; then where CONNECT is taken and refused, and taken and dropped.
    let port = broker.port();
    drop(broker);
    driver.tell("connect 0");
    assert_eq!(driver.event("@0 refused"), "@0 refused code -1 sent 0");
    let broker = Broker::new();
    assert_ne!(broker.port(), port);
    driver.tell(&format!("create 1 {}", broker.port()));
    driver.tell("connect 1");
    let mut peer = broker.accept();
    peer.expect(1);
    peer.send(&[0x20, 2, 0, 5]);
    assert_eq!(driver.event("@1 refused"), "@1 refused code 5 sent 1");
    driver.tell("connect 1");
    let mut peer = broker.accept();
    peer.expect(1);
    peer.reset();
    assert_eq!(driver.event("@1 refused"), "@1 refused code -1 sent 1");
    driver.end_clean();
}

#[test]
fn a_pending_connect_costs_no_cpu() {
    let scene = |binary: &Path| {
        let broker = Broker::new();
        let _full = fill(&broker);
        let mut driver = Driver::start(binary);
        driver.tell(&format!("create 0 {}", broker.port()));
        driver.tell("connect 0");
        let (before, start) = (driver.number("cpu"), Instant::now());
        assert_eq!(driver.event_within("@0", Duration::from_secs(1)), None, "the connect stays pending");
        (driver.number("cpu") - before, start.elapsed().as_millis() as u64, driver)
    };
    let (burnt, _, _) = scene(&without(&["0014-connect-wait"], Address));
    let (used, wall, driver) = scene(&fixed(Address));
    assert!(used < wall / 10, "{used} of {wall} ms");
    // On a busy machine a whole core is not to be had.
    assert!(burnt > 10 && burnt > 5 * used, "without the fix: {burnt} ms, with it: {used} ms");
    driver.end_clean();
}

#[test]
fn a_child_inherits_no_descriptor() {
    let scene = |binary: &Path| {
        let broker = Broker::new();
        let mut driver = Driver::start(binary);
        let before = driver.number("inherited");
        driver.tell(&format!("create 0 {}", broker.port()));
        driver.tell("connect 0");
        let mut peer = broker.accept();
        peer.welcome();
        driver.event("@0 up");
        (driver.number("inherited") - before, driver)
    };
    assert_eq!(scene(&without(&["0015-descriptors"], Address)).0, 3);
    let (inherited, driver) = scene(&fixed(Address));
    assert_eq!(inherited, 0);
    driver.end_clean();
}

#[test]
fn a_clock_set_back_delays_nothing() {
    // A disconnect that waits 100 ms for an ack, while the wall clock is an hour behind what it was at the wait's begin.
    let scene = |binary: &Path| {
        let broker = Broker::new();
        let mut driver = Driver::start(binary);
        driver.tell("skew 0 3600");
        driver.tell(&format!("create 0 {}", broker.port()));
        driver.tell("connect 0");
        let mut peer = broker.accept();
        peer.welcome();
        driver.event("@0 up");
        driver.tell("publish 0 1 10");
        peer.expect(3);
        driver.tell("disconnect 0 100");
        let done = driver.event_within("@0 disconnected", Duration::from_secs(7)).is_some();
        (done, driver)
    };
    assert!(!scene(&without(&["0016-clock"], Plain)).0, "without the fix the wait is an hour");
    let (done, driver) = scene(&fixed(Plain));
    assert!(done);
    driver.end_clean();
}

#[test]
fn the_standard_descriptors_are_left_alone() {
    let scene = |binary: &Path| {
        let broker = Broker::new();
        let mut driver = Driver::start(binary);
        driver.tell("close 0 2");
        driver.tell(&format!("create 0 {}", broker.port()));
        (driver.has_descriptor(2), driver)
    };
    assert!(scene(&without(&["0015-descriptors"], Plain)).0);
    let (used, driver) = scene(&fixed(Plain));
    assert!(!used);
    driver.end_clean();
}

#[test]
fn a_thread_that_cannot_start_is_an_error_of_connect() {
    let scene = |binary: &Path| {
        let broker = Broker::new();
        let mut driver = Driver::start(binary);
        driver.tell(&format!("create 0 {}", broker.port()));
        driver.tell("threads 0 0");
        let answer = driver.ask("connect 0");
        driver.tell("threads 0 1");
        driver.ask("connect 0");
        let peer = broker.accept_within(SHORT * 4).map(|mut peer| (peer.welcome(), peer));
        let up = peer.is_some() && driver.event_within("@0 up", PATIENCE).is_some();
        (answer, up, driver)
    };
    let (answer, up, _) = scene(&without(&["0017-threads"], Plain));
    assert!(answer.as_deref() == Some("rc 0") && !up, "without the fix nobody is told: {answer:?}, {up}");
    let (answer, up, mut driver) = scene(&fixed(Plain));
    assert!(answer.as_deref() == Some("rc -1") && up, "{answer:?}, {up}");
    assert_eq!(driver.number("interruptible"), 0);
    driver.end_clean();
}

#[test]
fn signals_are_for_the_process() {
    let scene = |binary: &Path| {
        let broker = Broker::new();
        let (mut driver, _peer) = connected(binary, &broker);
        (driver.number("interruptible"), driver)
    };
    assert_eq!(scene(&without(&["0017-threads"], Plain)).0, 2);
    let (interruptible, driver) = scene(&fixed(Plain));
    assert_eq!(interruptible, 0);
    driver.end_clean();
}
