//! What a client does to its process, and leaves there.

use crate::{
    broker::{publish, Broker, Full},
    driver::{connected, Driver},
    variant::{fixed, without, Flavour::*},
};
use std::{
    path::Path,
    time::{Duration, Instant},
};

#[test]
fn nothing_secret_stays_in_memory() {
    // The password that goes out, and what comes in: in one piece, in two, and followed by something shorter.
    let scene = |binary: &Path| {
        let broker = Broker::bind();
        let (mut driver, mut peer) = connected(binary, &broker);
        let payload = [&[b'-'; 40][..], &b"Secret-Of-70".repeat(200)].concat();
        for qos in [0, 1] {
            let bytes = publish(qos, 7, "in/secret", &payload);
            peer.try_send(&bytes);
            driver.event("@0 message topic 9 payload 2440");
            peer.try_send(&bytes[..1200]);
            driver.ask("cpu");
            peer.try_send(&bytes[1200..]);
            driver.event("@0 message topic 9 payload 2440");
            if qos == 1 {
                peer.expect(4);
                peer.expect(4);
            }
        }
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
    let broker = Broker::bind();
    let mut driver = Driver::start(&fixed(Address));
    driver.tell(&format!("create 0 {}", broker.port()));
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
    let broker = Broker::bind();
    let (mut driver, peer) = connected(&fixed(Address), &broker);
    peer.reset();
    assert_eq!(driver.event("@0 lost"), "@0 lost sent 1");
    // The same client again, where nobody listens; then where CONNECT is taken and refused, and taken and dropped.
    let closed = broker.close();
    driver.tell("connect 0");
    assert_eq!(driver.event("@0 refused"), "@0 refused code -1 sent 0");
    drop(closed);
    let broker = Broker::bind();
    driver.tell(&format!("create 1 {}", broker.port()));
    driver.tell("connect 1");
    let mut peer = broker.accept();
    peer.expect(1);
    peer.try_send(&[0x20, 2, 0, 5]);
    assert_eq!(driver.event("@1 refused"), "@1 refused code 5 sent 1");
    driver.tell("connect 1");
    let mut peer = broker.accept();
    peer.expect(1);
    peer.reset();
    assert_eq!(driver.event("@1 refused"), "@1 refused code -1 sent 1");
    driver.end_clean();
}

#[test]
fn a_client_costs_one_descriptor_and_no_thread_and_leaves_nothing() {
    let broker = Broker::bind();
    let mut driver = Driver::start(&fixed(Address));
    let (before, threads) = (driver.number("descriptors"), driver.number("threads"));
    let inherited = driver.number("inherited");
    for _ in 0..8 {
        driver.tell(&format!("create 0 {}", broker.port()));
        driver.tell("connect 0");
        let mut peer = broker.accept();
        peer.welcome();
        driver.event("@0 up");
        assert_eq!((driver.number("descriptors"), driver.number("threads")), (before + 1, threads));
        assert_eq!(driver.number("inherited"), inherited, "a child has none of them");
        assert!(driver.number("destroy 0") < 100, "without a wait");
        assert_eq!(driver.number("descriptors"), before);
    }
    driver.end_clean();
}

#[test]
fn without_a_descriptor_the_connect_fails() {
    let broker = Broker::bind();
    let mut driver = Driver::start(&fixed(Address));
    driver.tell(&format!("create 0 {}", broker.port()));
    driver.tell("allow 0 3");
    driver.tell("connect 0");
    assert_eq!(driver.event("@0 refused"), "@0 refused code -1 sent 0");
    driver.tell("allow 0 0");
    driver.tell("connect 0");
    broker.accept().welcome();
    driver.event("@0 up");
    driver.end_clean();
}

#[test]
fn a_pending_connect_costs_no_cpu() {
    let full = Full::bind();
    let mut driver = Driver::start(&fixed(Address));
    driver.tell(&format!("create 0 {}", full.address().port()));
    driver.tell("connect 0");
    let (before, start) = (driver.number("cpu"), Instant::now());
    assert_eq!(driver.event_within("@0", Duration::from_secs(1)), None, "the connect stays pending");
    let (used, wall) = (driver.number("cpu") - before, start.elapsed().as_millis() as u64);
    assert!(used < wall / 10, "{used} of {wall} ms");
    driver.end_clean();
}

#[test]
fn a_clock_set_back_delays_nothing() {
    // A disconnect that waits 100 ms for an ack, while the wall clock goes back by an hour.
    let broker = Broker::bind();
    let (mut driver, mut peer) = connected(&fixed(Plain), &broker);
    driver.tell("publish 0 1 10");
    peer.expect(3);
    driver.tell("skew 0 -3600");
    driver.tell("disconnect 0 100");
    assert!(driver.event_within("@0 disconnected", Duration::from_secs(7)).is_some());
    driver.end_clean();
}

#[test]
fn the_standard_descriptors_are_left_alone() {
    let broker = Broker::bind();
    let mut driver = Driver::start(&fixed(Plain));
    driver.tell("close 0 2");
    driver.tell(&format!("create 0 {}", broker.port()));
    driver.tell("connect 0");
    broker.accept().welcome();
    driver.event("@0 up");
    assert!(!driver.has_descriptor(2));
    driver.end_clean();
}
