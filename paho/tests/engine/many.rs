//! Many clients at once: all come online, and none disturbs another.

use crate::{
    broker::Broker,
    driver::Driver,
    variant::{fixed, Flavour::*},
};
use std::{
    thread,
    time::{Duration, Instant},
};

/// Serves every client that comes, until none has for a while.
fn serve(broker: Broker) {
    thread::spawn(move || {
        while let Some(peer) = broker.accept_within(Duration::from_secs(10)) {
            peer.serve();
        }
    });
}

/// How many clients come online before nothing happens any more.
fn online(driver: &mut Driver, expected: usize) -> usize {
    let up = |driver: &mut Driver| driver.event_within("@", Duration::from_secs(5));
    (0..expected).take_while(|_| up(driver).is_some_and(|event| event.ends_with("up"))).count()
}

#[test]
fn a_thousand_clients_connect_at_once() {
    const CLIENTS: usize = 1000;
    let broker = Broker::bind();
    let mut driver = Driver::start(&fixed(Plain));
    driver.tell("allow 0 0");
    let (start, port) = (Instant::now(), broker.port());
    serve(broker);
    driver.tell(&format!("storm 0 {CLIENTS} {port}"));
    assert_eq!(online(&mut driver, CLIENTS), CLIENTS);
    println!("{CLIENTS} clients online after {:?}", start.elapsed());
    driver.end_clean();
}

#[test]
fn threads_share_nothing_without_the_lock() {
    // Large messages to brokers that read slowly, so that writes stay pending, while clients come and go.
    let broker = Broker::bind().narrow();
    let mut driver = Driver::start(&fixed(Thread));
    let slow: Vec<_> = (0..4)
        .map(|index| {
            driver.tell(&format!("create {index} {}", broker.port()));
            driver.tell(&format!("connect {index}"));
            let mut peer = broker.accept();
            peer.welcome();
            driver.event(&format!("@{index} up"));
            peer.serve()
        })
        .collect();
    let port = broker.port();
    serve(broker);
    driver.number("narrow 0");
    driver.tell(&format!("churn 10 1 {port}"));
    for _ in 0..10 {
        for index in 0..4 {
            driver.tell(&format!("publish {index} 1 50000"));
            driver.tell(&format!("publish {index} 0 50000"));
        }
        for index in 0..4 {
            driver.event_within(&format!("@{index} published"), Duration::from_secs(2));
        }
    }
    driver.tell("churn 0 0");
    drop(slow);
    driver.end_clean();
}
