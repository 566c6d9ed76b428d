//! The memory of an idle client, and after a burst.

use crate::held::{held, settle, NO_CACHES};
use enos::internals::error::Status::*;
use support::alone::alone_with;
use support::host::*;
use support::mosquitto::Mosquitto;

const CLIENTS: usize = 40;
/// For each client, in bytes, including the test's own host.
const EACH: usize = 6_000;
/// After a burst, in bytes.
const SLACK: usize = 500;

fn broker() -> Mosquitto {
    Mosquitto::start_with("allow_anonymous true\nconnection_messages false\nlog_type error\n")
}

/// Online, with all events of the login processed. The test's host keeps none of them, not even an empty queue.
fn online(broker: &Mosquitto) -> Host {
    let mut host = Setup::device(broker.address()).create();
    host.online();
    host.seen = Vec::new();
    drop(host.take_all());
    host
}

#[test]
fn each_further_client_takes_little() {
    alone_with(&[NO_CACHES], || {
        let broker = broker();
        let _first = online(&broker);
        let mut hosts = Vec::with_capacity(CLIENTS);
        settle();
        let before = held();
        hosts.extend((0..CLIENTS).map(|_| online(&broker)));
        let each = (held() - before) / CLIENTS;
        println!("{each} bytes for each further client");
        assert!(each <= EACH, "{each} bytes");
    });
}

#[test]
fn a_burst_takes_nothing_for_good() {
    alone_with(&[NO_CACHES], || {
        let broker = broker();
        let mut host = online(&broker);
        let mut burst = |messages: usize| {
            let mut left = messages;
            for _ in 0..messages {
                host.publish("t", &[7; 100], 1).unwrap();
            }
            while left > 0 {
                assert_eq!(host.run_loop(PATIENCE_MS), ENOS_OK);
                left -= host.take_all().iter().filter(|told| told.name == "DELIVERED").count();
            }
        };
        // Allocations that are made once.
        burst(1);
        settle();
        let before = held();
        burst(100);
        assert!(held() <= before + SLACK, "{before} bytes before, {} after", held());
    });
}
