//! How much the outbox holds, what happens when it is full, and how it shares the link.

use enos::error::Status::*;
use std::time::{Duration, Instant};
use support::broker::*;
use support::host::*;

use super::device;

const REFUSE: i32 = 0;
const DROP_OLDEST: i32 = 1;

fn fill(host: &Host) -> Vec<u64> {
    let mut tokens = Vec::new();
    loop {
        match host.publish_durable("t", &(tokens.len() as u32).to_le_bytes()) {
            Ok(token) => tokens.push(token),
            Err(status) => {
                assert_eq!(status, ENOS_ERR_QUEUE_FULL);
                return tokens;
            }
        }
    }
}

#[test]
fn a_full_outbox_refuses_and_tells_once_when_there_is_room() {
    let (broker, store) = (Broker::bind(), Store::new());
    let mut host = device(&broker, &store).outbox_limits(16, 1 << 20, REFUSE).inflight(4).start();
    let tokens = fill(&host);
    assert_eq!((tokens.len(), host.waiting()), (16, 16));
    assert!(fill(&host).is_empty(), "and again");
    host.connect();
    let mut peer = broker.accept_mqtt();
    host.expect("CONNECTED");
    for _ in 0..16 {
        peer.answer_publish();
    }
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    // The marker's outcome comes after all other events.
    let marker = host.publish("marker", b"", 0).unwrap();
    while host.until("DELIVERED").token != marker {}
    let rooms = host.seen.iter().filter(|told| told.name == "ROOM").count();
    assert_eq!(rooms, 1, "{:#?}", host.seen);
    host.publish_durable("t", b"again").unwrap();
}

#[test]
fn bytes_are_limited_as_well() {
    let (broker, store) = (Broker::bind(), Store::new());
    let host = device(&broker, &store).outbox_limits(1_000_000, 10_000, REFUSE).start();
    assert_eq!(host.publish_durable("t", &[0; 10_000]), Err(ENOS_ERR_TOO_LARGE), "there could never be room");
    let mut taken = 0;
    while host.publish_durable("t", &[0; 900]).is_ok() {
        taken += 1;
    }
    let info = host.outbox_info().unwrap();
    assert!((9..=11).contains(&taken) && info.bytes <= 10_000 && info.messages == taken, "{taken}");
    host.destroy();
    // A process uses its own limits; accepted messages stay.
    let host = device(&broker, &store).outbox_limits(5, 4096, REFUSE).start();
    assert_eq!(host.outbox_info().unwrap().bytes, info.bytes, "found again without reading it");
    assert_eq!(host.publish_durable("t", b""), Err(ENOS_ERR_QUEUE_FULL));
}

#[test]
fn an_outbox_that_drops_its_oldest_tells_of_each() {
    let (broker, store) = (Broker::bind(), Store::new());
    let mut host = device(&broker, &store).outbox_limits(5, 1 << 20, DROP_OLDEST).start();
    let tokens: Vec<_> = (0..12u8).map(|n| host.publish_durable("t", &[n]).unwrap()).collect();
    for token in &tokens[..7] {
        let told = host.expect("DELIVERED");
        assert_eq!((told.token, told.status), (*token, ENOS_ERR_QUEUE_FULL), "{told:?}");
    }
    let info = host.outbox_info().unwrap();
    assert_eq!((info.messages, info.dropped), (5, 7));
    // A batch that does not fit drops as many messages as necessary; the limit of bytes does as well.
    let small = Setup::device(nobody()).storage(&Store::new()).outbox_limits(10, 10_000, DROP_OLDEST).create();
    let tokens_of_small: Vec<_> = (0..10u8).map(|n| small.publish_durable("t", &[n]).unwrap()).collect();
    let two = Durable { topic: Some("t"), payload: b"2", flags: 0 };
    assert_eq!(small.publish_batch(&[two, two]).map(|tokens| tokens.len()), Ok(2));
    let info = small.outbox_info().unwrap();
    assert_eq!((tokens_of_small.len(), info.messages, info.dropped), (10, 10, 2));
    small.publish_durable("t", &[0; 9_950]).unwrap();
    assert_eq!(small.waiting(), 1);
    host.connect();
    let mut peer = broker.accept_mqtt();
    let sent: Vec<_> = (0..5).map(|_| peer.answer_publish().payload()[0]).collect();
    assert_eq!(sent, [7, 8, 9, 10, 11]);
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    while host.take().is_some() {}
    exactly_once(&tokens, &host.seen);
}

/// The rate is low: the backlog takes a second or more, and live data does not wait for it.
#[test]
fn live_data_is_not_starved_by_a_backlog() {
    const BACKLOG: usize = 120;
    const RATE: u32 = 50_000;
    let (broker, store) = (Broker::bind(), Store::new());
    let mut host = device(&broker, &store).outbox_rate(RATE).start();
    for _ in 0..BACKLOG {
        host.publish_durable("backlog", &[0; 500]).unwrap();
    }
    host.connect();
    let thread = broker.accept_mqtt().oblige();
    host.expect("CONNECTED");
    let start = Instant::now();
    let mut slowest = Duration::ZERO;
    let mut live = 0;
    while host.waiting() > 0 {
        let asked = Instant::now();
        let token = host.publish("live", b"x", 1).unwrap();
        while host.until("DELIVERED").token != token {}
        slowest = slowest.max(asked.elapsed());
        live += 1;
        std::thread::sleep(Duration::from_millis(10)); // a device that reports 100 times a second
    }
    let took = start.elapsed();
    host.destroy();
    let sent: Vec<_> = thread.join().unwrap().into_iter().filter(|packet| packet.kind == PUBLISH).collect();
    let last = sent.iter().rposition(|packet| packet.topic() == "backlog").unwrap();
    let before = sent[..last].iter().filter(|packet| packet.topic() == "live").count();
    println!("{BACKLOG} messages took {took:?}; {live} live ones meanwhile, {before} of them before the last, the slowest {slowest:?}");
    assert!(took >= Duration::from_millis(900), "the rate is kept: {took:?}");
    assert!(before >= 20, "live data among the backlog: {before} of {live}");
    assert!(slowest < took / 2, "{slowest:?} of {took:?}");
}
