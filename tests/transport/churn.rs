//! Opening and closing links over and over leaves nothing behind. Alone in its program: memory and descriptors are the
//! process's.
#![cfg(target_env = "gnu")] // mallinfo2

use enos::transport::inbox::LinkEvent;
use enos::transport::link::LinkOptions;
use std::time::{Duration, Instant};
use support::alone::alone_with;
use support::broker::{nobody, Broker, Packet, CONNECT, PUBLISH};
use support::mosquitto::Mosquitto;
use support::rig::{options, Rig};

/// Of five links each.
const CYCLES: usize = 500;
const SOAK_CYCLES: usize = 10_000;

/// Bytes that malloc has given out (what its caches hold counts, hence the slack below), open descriptors, and threads.
fn held() -> (usize, usize, usize) {
    // SAFETY: asks for numbers.
    let bytes = unsafe { libc::mallinfo2() }.uordblks;
    let entries = |path| std::fs::read_dir(path).unwrap().count();
    (bytes, entries("/proc/self/fd"), entries("/proc/self/task"))
}

/// malloc's caches of freed blocks count as held, and grow for long. Without them the numbers are exact.
const NO_CACHES: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0");

#[test]
fn links_that_come_and_go_leave_nothing() {
    alone_with(&[NO_CACHES], || {
        let cycles = if std::env::var_os("ENOS_SOAK").is_some() { SOAK_CYCLES } else { CYCLES };
        // Its log is kept in memory.
        let mosquitto = Mosquitto::start_with("allow_anonymous true\nconnection_messages false\nlog_type error\n");
        let (mut rig, broker) = (Rig::new(), Broker::bind());
        let mut drops = Vec::with_capacity(3 * cycles);
        let mut cycle = |rig: &mut Rig| {
            // Works, and goes with calls under way.
            let link = rig.open(&options(mosquitto.address()));
            rig.expect("Connected");
            link.subscribe("t", 1, 1).unwrap();
            link.publish("t", &[7; 2000], 1, 2).unwrap();
            let mut left = 3;
            while left > 0 {
                match rig.next() {
                    LinkEvent::Subscribed { .. } | LinkEvent::Delivered { .. } | LinkEvent::Message { .. } => left -= 1,
                    other => panic!("{other:?}"),
                }
            }
            for token in 3..30 {
                link.publish("t", &[7; 2000], 1, token).unwrap();
            }
            let start = Instant::now();
            drop(link);
            drops.push(start.elapsed());
            while !rig.is_quiet() {
                rig.next();
            }

            // Is lost with calls under way.
            let link = rig.open(&options(broker.address()));
            let mut peer = broker.accept_mqtt();
            rig.expect("Connected");
            for token in 1..150 {
                link.publish("t", &[7; 2000], 1, token).unwrap();
            }
            peer.expect(PUBLISH);
            peer.reset();
            while !matches!(rig.next(), LinkEvent::Lost { .. }) {}
            drop(link);

            // Is dropped while connecting: before or during TCP, after CONNECT.
            drop(rig.open(&options(broker.address())));
            let link = rig.open(&LinkOptions { client_id: "second".into(), ..options(broker.address()) });
            // The first may have come as far as its CONNECT.
            let seen = |packet: Packet| packet.kind == CONNECT && packet.credentials()[0] == "second";
            while !broker.accept().try_read().is_some_and(seen) {}
            let start = Instant::now();
            drop(link);
            drops.push(start.elapsed());

            // Fails.
            let link = rig.open(&options(nobody()));
            assert!(matches!(rig.next(), LinkEvent::Failed { .. }));
            drop(link);
            while !rig.is_quiet() {
                rig.next();
            }
        };
        for _ in 0..100 {
            cycle(&mut rig);
        }
        let before = held();
        for _ in 0..cycles {
            cycle(&mut rig);
        }
        let after = held();
        drops.sort();
        let (p50, p99, max) = (drops[drops.len() / 2], drops[drops.len() * 99 / 100], drops[drops.len() - 1]);
        println!("{cycles} cycles: {before:?} -> {after:?}; drop p50 {p50:?} p99 {p99:?} max {max:?}");
        assert!(after.0 <= before.0 + 16 * 1024, "{} bytes, then {}", before.0, after.0);
        assert!(after.1 <= before.1 + 2, "{} descriptors, then {}", before.1, after.1);
        assert!(after.2 <= before.2 + 1, "{} threads, then {}", before.2, after.2);
        assert!(p50 < Duration::from_millis(50) && p99 < Duration::from_secs(1), "p50 {p50:?}, p99 {p99:?}");
    });
}
