//! Links against a broker that nobody here wrote, one at a time and hundreds at once.

use enos::transport::inbox::LinkEvent;
use enos::transport::link::{Link, LinkOptions};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use support::mosquitto::Mosquitto;
use support::rig::{options, Rig};
use zeroize::Zeroizing;

fn named(address: SocketAddr, client_id: &str) -> LinkOptions {
    LinkOptions { client_id: client_id.into(), ..options(address) }
}

#[test]
fn what_one_link_publishes_another_gets() {
    let (mut rig, broker) = (Rig::new(), Mosquitto::start());
    let (hears, speaks) = (1, 2);
    let listener = Link::open(&named(broker.address(), "listener"), hears, &rig.inbox).unwrap();
    assert!(matches!(rig.next_of_any(), (1, LinkEvent::Connected)));
    listener.subscribe("room/#", 1, 10).unwrap();
    rig.expect("Subscribed(10, Ok(1))");
    let speaker = Link::open(&named(broker.address(), "speaker"), speaks, &rig.inbox).unwrap();
    assert!(matches!(rig.next_of_any(), (2, LinkEvent::Connected)));

    let mut left = HashSet::new();
    for token in 0..200u64 {
        speaker.publish("room/a", &token.to_le_bytes(), (token % 2) as u8, token).unwrap();
        left.extend([(speaks, token), (hears, token)]);
    }
    while !left.is_empty() {
        let done = match rig.next_of_any() {
            (2, LinkEvent::Delivered { token }) => (speaks, token),
            (1, LinkEvent::Message { topic, payload, qos, .. }) => {
                let token = u64::from_le_bytes(payload[..].try_into().unwrap());
                assert_eq!((&topic[..], qos), (&b"room/a"[..], (token % 2) as u8));
                (hears, token)
            }
            other => panic!("{other:?}"),
        };
        assert!(left.remove(&done), "{done:?} twice");
    }

    listener.unsubscribe("room/#", 11).unwrap();
    rig.expect("Unsubscribed(11)");
    speaker.publish("room/a", b"", 1, 1000).unwrap();
    rig.expect("Delivered(1000)");
    listener.disconnect(1000);
    rig.expect("Closed");
    broker.wait_log(&["Client listener", "disconnected"]);
    assert!(rig.is_quiet());
}

#[test]
fn a_wrong_password_is_refused_with_its_code() {
    let users = tempfile::tempdir().unwrap();
    let file = users.path().join("users");
    let made =
        std::process::Command::new("mosquitto_passwd").args(["-c", "-b"]).arg(&file).args(["a user", "right"]).status();
    assert!(made.expect("mosquitto_passwd, from Mosquitto's package").success());
    // Mosquitto gives up root before it reads the file.
    use std::os::unix::fs::PermissionsExt;
    for (path, mode) in [(users.path(), 0o755), (&file, 0o644)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let broker = Mosquitto::start_with(&format!("allow_anonymous false\npassword_file {}\n", file.display()));
    let mut rig = Rig::new();
    for (password, shown) in [("wrong", "Refused(5)"), ("right", "Connected")] {
        let mut options = options(broker.address());
        options.password = Zeroizing::new(password.into());
        let _link = rig.open(&options);
        rig.expect(shown);
    }
}

#[test]
fn a_broker_killed_under_load_loses_no_outcome_and_takes_a_new_link_when_it_is_back() {
    let (mut rig, mut broker) = (Rig::new(), Mosquitto::start());
    for round in 0..5 {
        let link = rig.open(&options(broker.address()));
        rig.expect("Connected");
        let mut left = HashSet::new();
        for token in 0..200 {
            link.publish("t", &[0; 1000], 1, token).unwrap();
            left.insert(token);
        }
        while left.len() > 150 {
            match rig.next() {
                LinkEvent::Delivered { token } => assert!(left.remove(&token)),
                other => panic!("{other:?}"),
            }
        }
        broker.kill();
        // Until the loss is known, calls are accepted, each for its one outcome.
        let mut token = 1000;
        while link.publish("t", &[0; 1000], 1, token).is_ok() {
            left.insert(token);
            token += 1;
        }
        loop {
            match rig.next() {
                LinkEvent::Delivered { token } | LinkEvent::NotDelivered { token, .. } => {
                    assert!(left.remove(&token), "{token} twice in round {round}")
                }
                LinkEvent::Lost { .. } => break,
                other => panic!("{other:?}"),
            }
        }
        assert!(left.is_empty(), "no outcome for {left:?} in round {round}");
        drop(link);
        assert!(rig.is_quiet());
        broker.restart();
    }
}

#[test]
fn a_link_dropped_says_goodbye_to_the_broker() {
    let (mut rig, broker) = (Rig::new(), Mosquitto::start());
    let link = rig.open(&named(broker.address(), "polite"));
    rig.expect("Connected");
    drop(link);
    broker.wait_log(&["Received DISCONNECT from polite"]);
    assert!(rig.is_quiet());
}

#[test]
fn a_link_is_dropped_in_the_middle_of_a_flood_both_ways() {
    let (mut rig, broker) = (Rig::with_limits(100, 100_000), Mosquitto::start());
    for round in 0..20 {
        let link = rig.open(&options(broker.address()));
        rig.expect("Connected");
        link.subscribe("flood", 1, 0).unwrap();
        for token in 1..150 {
            link.publish("flood", &[0; 500], 1, token).unwrap();
        }
        // At a moment that differs.
        for _ in 0..=round * 3 {
            rig.next();
        }
        drop(link);
        while !rig.is_quiet() {
            rig.next();
        }
        assert!(rig.is_quiet(), "round {round}: an event after the drop");
    }
}

#[test]
fn threads_open_and_drop_links_without_regard_to_each_other() {
    let broker = Mosquitto::start();
    let address = broker.address();
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            std::thread::spawn(move || {
                let mut rig = Rig::new();
                for round in 0..50u64 {
                    let link = Link::open(&named(address, &format!("{thread}-{round}")), round, &rig.inbox).unwrap();
                    assert!(matches!(rig.next_of_any(), (n, LinkEvent::Connected) if n == round));
                    link.publish("t", b"x", 1, round).unwrap();
                    if round % 3 == 0 {
                        rig.expect(&format!("Delivered({round})"));
                    }
                    if round % 3 == 1 {
                        link.disconnect(10_000);
                        rig.expect(&format!("Delivered({round})"));
                        rig.expect("Closed");
                    }
                    drop(link);
                    while !rig.is_quiet() {
                        assert!(matches!(rig.next_of_any(), (n, LinkEvent::Delivered { .. }) if n == round));
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

/// As many as these at once, or 1000 when ENOS_SOAK is set.
const CROWD: usize = 300;

#[test]
fn a_crowd_comes_online_at_once_and_goes() {
    let crowd = if std::env::var_os("ENOS_SOAK").is_some() { 1000 } else { CROWD };
    let (mut rig, broker) = (Rig::new(), Mosquitto::start());
    let start = Instant::now();
    let links: Vec<Link> = (0..crowd)
        .map(|n| Link::open(&named(broker.address(), &format!("crowd-{n}")), n as u64, &rig.inbox).unwrap())
        .collect();
    let opened = start.elapsed();
    let mut online = HashSet::new();
    while online.len() < crowd {
        match rig.next_of_any() {
            (n, LinkEvent::Connected) => assert!(online.insert(n)),
            other => panic!("{other:?}"),
        }
    }
    let connected = start.elapsed();
    for (n, link) in links.iter().enumerate() {
        link.publish("t", b"here", 1, n as u64).unwrap();
    }
    let mut delivered = HashSet::new();
    while delivered.len() < crowd {
        match rig.next_of_any() {
            (n, LinkEvent::Delivered { token }) => assert!(n == token && delivered.insert(n)),
            other => panic!("{other:?}"),
        }
    }
    let mut drops: Vec<Duration> = links
        .into_iter()
        .map(|link| {
            let start = Instant::now();
            drop(link);
            start.elapsed()
        })
        .collect();
    drops.sort();
    assert!(rig.is_quiet());
    let (p50, p99, max) = (drops[crowd / 2], drops[crowd * 99 / 100], drops[crowd - 1]);
    println!("{crowd} links: opened {opened:?}, online {connected:?}, drop p50 {p50:?} p99 {p99:?} max {max:?}");
    assert!(p50 < Duration::from_millis(50) && p99 < Duration::from_secs(1), "p50 {p50:?}, p99 {p99:?}");
}
