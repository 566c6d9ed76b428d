//! A connection in which one direction stands still is lost after 2.5 keep-alives, whatever the other one does; one
//! that moves slowly is kept.

use enos::internals::error::Status;
use enos::internals::model::link::LinkEvent;
use std::io::{Read, Write};
use std::time::{Duration, Instant};
use support::broker::{puback, publish, Peer, PUBLISH};
use support::rig::Rig;
use support::wire::{Wire, Wires};

const KEEP_ALIVE_S: u16 = 1;
/// 2.5 keep-alives; and what a busy machine may need on top of them.
const LIMIT: Duration = Duration::from_millis(2500);
const LATE: Duration = Duration::from_millis(2000);

/// The loss that has to come, its words, and how long it took from `since`.
fn lost(rig: &mut Rig, since: Instant) -> String {
    loop {
        if let LinkEvent::Lost { status, reason } = rig.next() {
            let time = since.elapsed();
            assert!((LIMIT - Duration::from_millis(200)..LIMIT + LATE).contains(&time), "after {time:?}: {reason}");
            assert_eq!(status, Status::ENOS_ERR_NETWORK);
            return reason;
        }
    }
}

#[test]
fn a_peer_that_takes_nothing_is_given_up_though_it_talks() {
    for secure in [false, true] {
        let (mut rig, wires) = (Rig::new(), Wires::bind(secure));
        let (link, mut wire) = wires.online(&mut rig, |options| options.keep_alive_s = KEEP_ALIVE_S);
        wires.narrow();
        let start = Instant::now();
        link.publish("t", &[7; 4_000_000], 1, 1).unwrap();
        let talks = std::thread::spawn(move || {
            while wire.write_all(&publish(b"in", b"still here", None)).is_ok() {
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let reason = lost(&mut rig, start);
        assert!(reason.contains("has taken no byte for"), "{reason}");
        drop(link);
        talks.join().unwrap();
    }
}

#[test]
fn a_peer_that_says_nothing_is_given_up_though_it_reads() {
    for secure in [false, true] {
        let (mut rig, wires) = (Rig::new(), Wires::bind(secure));
        let (link, mut wire) = wires.online(&mut rig, |options| options.keep_alive_s = KEEP_ALIVE_S);
        let start = Instant::now();
        let reads = std::thread::spawn(move || while wire.read(&mut [0; 4096]).is_ok_and(|bytes| bytes > 0) {});
        // A little at a time: the way out moves all the while.
        while start.elapsed() < LIMIT - Duration::from_millis(500) {
            link.publish("t", b"out", 1, start.elapsed().as_millis() as u64).unwrap();
            std::thread::sleep(Duration::from_millis(100));
        }
        let reason = lost(&mut rig, start);
        assert!(reason.contains("no byte has come for"), "{reason}");
        drop(link);
        reads.join().unwrap();
    }
}

#[test]
fn half_a_packet_is_not_waited_for_for_ever() {
    for secure in [false, true] {
        let (mut rig, wires) = (Rig::new(), Wires::bind(secure));
        let (link, mut wire) = wires.online(&mut rig, |options| options.keep_alive_s = KEEP_ALIVE_S);
        let packet = publish(b"in", &[7; 100_000], None);
        wire.write_all(&packet[..50_000]).unwrap();
        let start = Instant::now();
        let reads = std::thread::spawn(move || while wire.read(&mut [0; 4096]).is_ok_and(|bytes| bytes > 0) {});
        lost(&mut rig, start);
        drop(link);
        reads.join().unwrap();
    }
}

#[test]
fn a_handshake_that_stands_still_is_a_failed_attempt() {
    let (mut rig, wires) = (Rig::new(), Wires::bind(true));
    let mut options = wires.options();
    options.keep_alive_s = KEEP_ALIVE_S;
    let start = Instant::now();
    let _link = rig.open(&options);
    let _stream = wires.accept_tcp();
    let LinkEvent::Failed { status, connect_sent: false, .. } = rig.next() else { panic!("it has to fail") };
    assert_eq!(status, Status::ENOS_ERR_NETWORK);
    assert!(start.elapsed() < LIMIT + LATE, "{:?}", start.elapsed());
}

#[test]
fn a_slow_peer_that_moves_is_kept() {
    for secure in [false, true] {
        let (mut rig, wires) = (Rig::new(), Wires::bind(secure));
        let (link, wire) = wires.online(&mut rig, |options| options.keep_alive_s = KEEP_ALIVE_S);
        wires.narrow();
        let start = Instant::now();
        link.publish("t", &[7; 200_000], 1, 1).unwrap();
        // 40 kB a second: five keep-alives, in which nothing can be answered.
        let mut slow = Slow(wire);
        let packet = Peer { stream: &mut slow }.expect(PUBLISH);
        assert!(start.elapsed() > LIMIT, "it was not slow: {:?}", start.elapsed());
        slow.0.write_all(&puback(packet.id())).unwrap();
        rig.expect("Delivered(1)");
        drop(link);
    }
}

/// Reads 2 kB each 50 ms.
struct Slow(Wire);

impl Read for &mut Slow {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = buffer.len().min(2000);
        std::thread::sleep(Duration::from_millis(most as u64 / 40));
        self.0.read(&mut buffer[..most])
    }
}

impl Write for &mut Slow {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
