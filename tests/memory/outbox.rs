//! Memory does not grow with the backlog.

use crate::held::{held, NO_CACHES};
use enos::error::Status::*;
use std::path::Path;
use support::alone::alone_with;
use support::host::*;
use support::mosquitto::Mosquitto;

const SMALL: usize = 100;
const LARGE: usize = 20_000;
/// The allowed difference in bytes.
const SLACK: usize = 16 * 1024;

#[test]
fn a_long_backlog_takes_no_more_memory_than_a_short_one() {
    alone_with(&[NO_CACHES], || {
        let broker = Mosquitto::start_with("allow_anonymous true\nconnection_messages false\nlog_type error\n");
        // In memory, if the system has such a directory, because the syncs are not measured.
        let shm = Path::new("/dev/shm");
        let directory = if shm.is_dir() { tempfile::tempdir_in(shm).unwrap() } else { tempfile::tempdir().unwrap() };
        // Allocations that are made once in a process, and buffers that grow to their size, including the test's own
        // lists.
        drain(&broker, &directory.path().join("warm"), 2000);
        let (waiting_small, peak_small) = drain(&broker, &directory.path().join("small"), SMALL);
        let (waiting_large, peak_large) = drain(&broker, &directory.path().join("large"), LARGE);
        println!("{SMALL} messages: {waiting_small} bytes waiting, {peak_small} at most while they are sent");
        println!("{LARGE} messages: {waiting_large} bytes waiting, {peak_large} at most while they are sent");
        assert!(waiting_large.abs_diff(waiting_small) <= SLACK, "while they wait");
        assert!(peak_large <= peak_small + SLACK + window(), "while they are sent");
    });
}

/// The additional memory of a full window: messages, and Paho's copies of them.
fn window() -> usize {
    100 * 1024
}

/// Accepts this many messages, then sends them. Returns the memory while they wait, and the maximum while they are
/// sent.
fn drain(broker: &Mosquitto, directory: &Path, messages: usize) -> (usize, usize) {
    let before = held();
    let mut host = Setup::device(broker.address()).directory(directory).outbox_rate(0).create();
    for _ in 0..messages {
        host.publish_durable("t", &[7; 100]).unwrap();
    }
    let waiting = held().saturating_sub(before);
    host.connect();
    let (mut delivered, mut peak) = (0, 0);
    while delivered < messages {
        assert_eq!(host.run_loop(PATIENCE_MS), ENOS_OK);
        while let Some(told) = host.take() {
            delivered += usize::from(told.name == "DELIVERED" && told.status == ENOS_OK);
            host.seen.clear();
        }
        peak = peak.max(held().saturating_sub(before));
    }
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    (waiting, peak)
}
