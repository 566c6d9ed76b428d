//! Who sees to a link: the thread in its loop, and while nobody is there, the keeper. It takes over within the time
//! that is set, and gives back at once.

use enos::internals::model::link::LinkEvent;
use enos::internals::transport::link::Link;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::alone::alone_under_valgrind;
use support::broker::*;
use support::native::RACES;
use support::online::online_with;
use support::rig::Rig;

const UNATTENDED_MS: u64 = 500;

/// A turn of a loop, as a client has it.
fn turn(rig: &Rig, link: &Link, wait_ms: u64) {
    link.attend();
    let _ = rig.waker.wait(Some(wait_ms)).unwrap();
    rig.waker.clear();
    let more = link.step(rig.waker.is_socket_ready());
    link.leave();
    let deadline = link.rest();
    rig.waker.rest();
    rig.waker.set_deadline(deadline);
    if more {
        rig.waker.notify();
    }
}

fn online(rig: &mut Rig, keep_alive_s: u16) -> (Link, Peer) {
    online_with(rig, |options| {
        options.keep_alive_s = keep_alive_s;
        options.unattended_ms = UNATTENDED_MS;
    })
}

/// Answers what a client sends until it is gone: how many PINGREQs there were.
fn serve(mut peer: Peer) -> std::thread::JoinHandle<usize> {
    std::thread::spawn(move || {
        let mut pings = 0;
        while let Some(packet) = peer.try_read() {
            match packet.kind {
                PINGREQ => {
                    pings += 1;
                    peer.try_send(&pingresp());
                }
                PUBLISH if packet.qos() == 1 => drop(peer.try_send(&puback(packet.id()))),
                _ => (),
            }
        }
        pings
    })
}

#[test]
fn a_loop_that_pauses_three_keep_alives_keeps_its_link() {
    let mut rig = Rig::new();
    let (link, peer) = online(&mut rig, 1);
    let peer = serve(peer);
    turn(&rig, &link, 0);
    std::thread::sleep(Duration::from_millis(3500));
    turn(&rig, &link, 0);
    assert!(rig.is_quiet(), "the link is up");
    link.publish("t", b"", 1, 1).unwrap();
    let start = Instant::now();
    while rig.is_quiet() {
        turn(&rig, &link, 1000);
        assert!(start.elapsed() < PATIENCE);
    }
    rig.expect("Delivered(1)");
    drop(link);
    assert!(peer.join().unwrap() >= 3);
}

#[test]
fn what_comes_while_nobody_loops_is_read_and_acknowledged_in_time_and_not_before() {
    let mut rig = Rig::new();
    let (link, mut peer) = online(&mut rig, 60);
    turn(&rig, &link, 0);
    let start = Instant::now();
    peer.send(&publish(b"in", b"", Some(1)));
    peer.expect(PUBACK);
    let first = start.elapsed();
    assert!(first >= Duration::from_millis(UNATTENDED_MS - 50) && first < Duration::from_secs(5), "{first:?}");
    // Now the keeper has it, and is there at once.
    let start = Instant::now();
    for id in 2..=20 {
        peer.send(&publish(b"in", b"", Some(id)));
        peer.expect(PUBACK);
    }
    assert!(start.elapsed() < Duration::from_millis(UNATTENDED_MS), "{:?}", start.elapsed());
    // And gives it back: nothing is read between the turns, for a time.
    turn(&rig, &link, 0);
    peer.send(&publish(b"in", b"", Some(21)));
    std::thread::sleep(Duration::from_millis(UNATTENDED_MS / 5));
    for _ in 1..=20 {
        assert!(matches!(rig.next(), LinkEvent::Message { .. }));
    }
    assert!(rig.is_quiet());
    turn(&rig, &link, 1000);
    assert!(matches!(rig.next(), LinkEvent::Message { .. }));
    peer.expect(PUBACK);
}

#[test]
fn a_link_that_is_looped_is_left_alone() {
    let mut rig = Rig::new();
    let (link, mut peer) = online(&mut rig, 60);
    let done = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&done);
    // In the loop for much longer than nobody may be: the waker wakes it for each message.
    let broker = std::thread::spawn(move || {
        for id in 1..=10 {
            peer.send(&publish(b"in", b"", Some(id)));
            peer.expect(PUBACK);
            std::thread::sleep(Duration::from_millis(UNATTENDED_MS / 4));
        }
        flag.store(true, Ordering::SeqCst);
        peer
    });
    let mut turns = 0;
    while !done.load(Ordering::SeqCst) {
        turn(&rig, &link, 100);
        turns += 1;
    }
    broker.join().unwrap();
    for _ in 1..=10 {
        assert!(matches!(rig.next(), LinkEvent::Message { .. }));
    }
    assert!(turns >= 10);
}

/// Four threads drop links at any moment, while the keeper has them.
fn drop_links(each: u64) {
    let broker = Broker::bind();
    let address = broker.address();
    let over = Arc::new(AtomicBool::new(false));
    let is_over = Arc::clone(&over);
    // A link that is dropped early may never have connected.
    let server = std::thread::spawn(move || {
        let mut peers = Vec::new();
        while !is_over.load(Ordering::SeqCst) {
            let Some(mut peer) = broker.accept_within(Duration::from_millis(50)) else { continue };
            peer.stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            peer.try_send(&connack(0));
            for id in 1..=20 {
                peer.try_send(&publish(b"in", &[7; 100], Some(id)));
            }
            peers.push(peer);
        }
    });
    let threads: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(move || {
                for round in 0..each {
                    let rig = Rig::new();
                    let mut options = support::rig::options(address);
                    options.unattended_ms = round % 2;
                    let link = rig.open(&options);
                    if round % 3 == 0 {
                        turn(&rig, &link, round % 5);
                    }
                    let _ = link.publish("t", &[7; 1000], 1, 1);
                    std::thread::sleep(Duration::from_micros(round * 20));
                    drop(link);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    over.store(true, Ordering::SeqCst);
    server.join().unwrap();
}

#[test]
fn links_are_dropped_at_any_moment_while_the_keeper_has_them() {
    drop_links(100);
}

#[test]
fn drd_finds_no_race_of_the_keeper_with_who_calls_and_drops() {
    alone_under_valgrind(&RACES, || drop_links(if std::env::var_os("ENOS_SOAK").is_some() { 100 } else { 5 }));
}
