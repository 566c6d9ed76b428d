//! Connecting: each outcome, against a scripted broker.

use enos::internals::error::Status;
use enos::internals::model::link::LinkEvent;
use enos::internals::transport::link::{Link, LinkOptions};
use std::time::{Duration, Instant};
use support::alone::alone;
use support::broker::*;
use support::online::online;
use support::rig::{options, Rig};

/// Paho takes note of a CONNECT just after it has written it.
fn until(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE);
        std::thread::yield_now();
    }
}

#[test]
fn nobody_there_fails_before_the_connect() {
    let mut rig = Rig::new();
    let link = rig.open(&options(nobody()));
    assert!(matches!(rig.next(), LinkEvent::Failed { connect_sent: false, .. }));
    assert!(!link.connect_sent() && rig.is_quiet());
    drop(link);
    assert!(rig.is_quiet());
}

#[test]
fn an_end_before_connack_fails_after_the_connect() {
    type Ending = fn(Peer);
    let endings: [Ending; 5] = [
        |peer| drop(peer),
        |peer| peer.reset(),
        |mut peer| peer.send(&connack(0)[..3]),
        |mut peer| peer.send(&packet(DISCONNECT << 4, &[])),
        |mut peer| peer.send(&packet(CONNACK << 4, &[0])),
    ];
    for (n, ending) in endings.into_iter().enumerate() {
        let (mut rig, broker) = (Rig::new(), Broker::bind());
        let link = rig.open(&options(broker.address()));
        let mut peer = broker.accept();
        peer.expect(CONNECT);
        ending(peer);
        match rig.next() {
            LinkEvent::Failed { connect_sent: true, .. } => (),
            other => panic!("ending {n}: {other:?}"),
        }
        assert!(link.connect_sent() && rig.is_quiet(), "ending {n}");
    }
}

#[test]
fn without_a_connack_nothing_happens_until_the_link_is_dropped() {
    let (mut rig, broker) = (Rig::new(), Broker::bind());
    let link = rig.open(&options(broker.address()));
    let mut peer = broker.accept();
    peer.expect(CONNECT);
    // Noted once the write has returned.
    until(|| link.connect_sent());
    assert!(rig.is_quiet());
    let start = Instant::now();
    drop(link);
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(peer.try_read(), None, "no DISCONNECT before CONNACK");
    assert!(rig.is_quiet());
}

#[test]
fn a_link_is_dropped_while_tcp_connects() {
    let (mut rig, full) = (Rig::new(), Full::bind());
    let links: Vec<Link> = (0..10).map(|_| rig.open(&options(full.address()))).collect();
    let (_healthy, _peer) = online(&mut rig);
    assert!(links.iter().all(|link| !link.connect_sent()) && rig.is_quiet());
    let start = Instant::now();
    drop(links);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert!(rig.is_quiet());
}

#[test]
fn a_message_before_connack_ends_the_attempt_unheard() {
    let (mut rig, broker) = (Rig::new(), Broker::bind());
    let _link = rig.open(&options(broker.address()));
    let mut peer = broker.accept();
    peer.expect(CONNECT);
    peer.send(&[publish(b"early", b"", None), connack(0)].concat());
    assert!(matches!(rig.next(), LinkEvent::Failed { connect_sent: true, .. }));
    assert!(rig.is_quiet());
}

#[test]
fn options_that_mqtt_cannot_carry_are_refused_with_words() {
    let mut rig = Rig::new();
    type Change = fn(&mut LinkOptions);
    let changes: [(Change, Status, &str); 6] = [
        (|o| o.client_id = "a\0b".into(), Status::ENOS_ERR_INVALID_ARG, "client id"),
        (|o| o.client_id = "x".repeat(65_536), Status::ENOS_ERR_TOO_LARGE, "client id"),
        (|o| o.username = "a\0b".into(), Status::ENOS_ERR_INVALID_ARG, "user name"),
        (|o| *o.password = "secret".repeat(20_000), Status::ENOS_ERR_TOO_LARGE, "password"),
        (|o| o.interface = Some("e\0".into()), Status::ENOS_ERR_INVALID_ARG, "interface"),
        (|o| o.interface = Some("0123456789abcdef".into()), Status::ENOS_ERR_TOO_LARGE, "interface"),
    ];
    for (change, status, name) in changes {
        let mut options = options(nobody());
        change(&mut options);
        let error = Link::open(&options, 1, &rig.inbox).map(drop).unwrap_err();
        assert!(error.status == status && error.message.contains(name), "{error:?}");
    }
    assert!(rig.is_quiet());
}

#[test]
fn the_keepers_thread_is_the_only_one_and_hears_no_signal() {
    alone(|| {
        let mut rig = Rig::new();
        let _online = online(&mut rig);
        let mut threads = 0;
        for task in std::fs::read_dir("/proc/self/task").unwrap() {
            let Ok(status) = std::fs::read_to_string(task.unwrap().path().join("status")) else { continue };
            let field = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).unwrap().trim().to_owned();
            assert!(!field("Name:").starts_with("MQTTAsync_"), "a thread of Paho's");
            if field("Name:") == "enos-keeper" {
                let blocked = u64::from_str_radix(&field("SigBlk:"), 16).unwrap();
                for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGUSR1, libc::SIGALRM, libc::SIGCHLD] {
                    assert!(blocked & 1 << (signal - 1) != 0, "signal {signal} in {}", field("Name:"));
                }
                threads += 1;
            }
        }
        assert_eq!(threads, 1);
    });
}
