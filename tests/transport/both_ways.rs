//! Both directions of a connection go on by themselves: what comes is read while a write waits for room, and every
//! acknowledgement goes out.

use enos::internals::model::link::LinkEvent;
use std::io::Write;
use std::time::{Duration, Instant};
use support::broker::{puback, publish, Peer, PUBACK, PUBLISH};
use support::online::online;
use support::rig::Rig;
use support::wire::{Wire, Wires};

#[test]
fn a_message_comes_while_a_large_one_waits_to_go_out() {
    for secure in [false, true] {
        let (mut rig, wires) = (Rig::new(), Wires::bind(secure));
        let (link, mut wire) = wires.online(&mut rig, |_| ());
        wires.narrow();
        link.publish("up", &[7; 4_000_000], 0, 1).unwrap();
        for number in 0..50u8 {
            let start = Instant::now();
            wire.write_all(&publish(b"down", &[number], Some(u16::from(number) + 1))).unwrap();
            let LinkEvent::Message { payload, .. } = rig.next() else { panic!("a message") };
            assert_eq!(payload[..], [number]);
            assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        }
        // Then the large one, and the acknowledgements behind it.
        let mut peer = Peer { stream: wire };
        assert_eq!(peer.expect(PUBLISH).payload().len(), 4_000_000);
        for number in 0..50u8 {
            assert_eq!(peer.expect(PUBACK).id(), u16::from(number) + 1);
        }
        rig.expect("Delivered(1)");
        drop(link);
    }
}

#[test]
fn both_sides_write_twenty_megabytes_before_they_read() {
    const EACH: usize = 100_000;
    const COUNT: usize = 200;
    for secure in [false, true] {
        let (mut rig, wires) = (Rig::new(), Wires::bind(secure));
        let (link, mut wire) = wires.online(&mut rig, |options| options.inflight = COUNT as u32);
        for token in 0..COUNT as u64 {
            link.publish("up", &[7; EACH], 1, token).unwrap();
        }
        let broker = std::thread::spawn(move || {
            for _ in 0..COUNT {
                wire.write_all(&publish(b"down", &[9; EACH], None)).unwrap();
            }
            let mut peer = Peer { stream: wire };
            for _ in 0..COUNT {
                let id = peer.expect(PUBLISH).id();
                peer.send(&puback(id));
            }
            peer
        });
        let (mut messages, mut delivered) = (0, 0);
        while messages < COUNT || delivered < COUNT {
            match rig.next() {
                LinkEvent::Message { payload, .. } => {
                    assert!(payload.len() == EACH && payload.iter().all(|byte| *byte == 9));
                    messages += 1;
                }
                LinkEvent::Delivered { token } => {
                    assert_eq!(token, delivered as u64);
                    delivered += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        broker.join().unwrap();
        drop(link);
    }
}

#[test]
fn every_acknowledgement_goes_out_though_the_kernel_takes_them_in_parts() {
    const COUNT: u16 = 20_000;
    for secure in [false, true] {
        let (mut rig, wires) = (Rig::new(), Wires::bind(secure));
        let (link, mut wire) = wires.online(&mut rig, |_| ());
        wires.narrow();
        let flood: Vec<u8> = (1..=COUNT).flat_map(|id| publish(b"in", b"", Some(id))).collect();
        let socket = wire.socket();
        let mut messages = 0;
        let mut count = |rig: &mut Rig, until: u16| {
            while messages < until {
                assert!(matches!(rig.next(), LinkEvent::Message { .. }));
                messages += 1;
            }
        };
        // Nothing is read for a while: acknowledgements fill the device's socket.
        let first = flood.len() / 8;
        wire.write_all(&flood[..first]).unwrap();
        count(&mut rig, COUNT / 8 - 1);
        // Then it is, while the rest is written.
        socket.set_nonblocking(true).unwrap();
        let (mut sent, mut acks) = (first, 0u16);
        let mut peer = Peer { stream: Gently(wire) };
        while acks < COUNT {
            while sent < flood.len() {
                match peer.stream.0.write(&flood[sent..flood.len().min(sent + 4000)]) {
                    Ok(bytes) => sent += bytes,
                    Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => break,
                    Err(e) => panic!("{e}"),
                }
            }
            acks += 1;
            assert_eq!(peer.expect(PUBACK).id(), acks);
        }
        count(&mut rig, COUNT);
        assert!(rig.is_quiet());
        drop(link);
    }
}

#[test]
fn reading_pauses_while_too_many_acknowledgements_wait() {
    let (mut rig, wires) = (Rig::new(), Wires::bind(false));
    let (link, mut wire) = wires.online(&mut rig, |options| options.keep_alive_s = 1);
    wires.narrow();
    // A broker that never reads gets no further than its socket's room, and is given up.
    let flooder = std::thread::spawn(move || {
        let mut sent = 0u64;
        for id in (1..=u16::MAX).cycle() {
            match wire.write_all(&publish(b"in", &[7; 100], Some(id))) {
                Ok(()) => sent += 1,
                Err(_) => break,
            }
        }
        sent
    });
    let mut messages = 0u64;
    while let LinkEvent::Message { .. } = rig.next() {
        messages += 1;
    }
    assert!(messages < 40_000, "{messages} messages were read, whose acknowledgements nobody has taken");
    drop(link);
    assert!(flooder.join().unwrap() >= messages);
}

/// A socket that does not wait, read until it has something.
struct Gently(Wire);

impl std::io::Read for Gently {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let start = Instant::now();
        loop {
            match self.0.read(buffer) {
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock && start.elapsed().as_secs() < 30 => {
                    std::thread::yield_now();
                }
                done => return done,
            }
        }
    }
}

impl Write for Gently {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The last look at the socket in a turn of the loop may be the one that finds room: what waited for that goes on at once.
#[test]
fn what_waits_for_a_write_goes_on_when_it_is_through() {
    let mut rig = Rig::new();
    let (link, mut peer) = online(&mut rig);
    let payload = vec![7; 8_000_000];
    for round in 0..400 {
        link.publish("large", &payload, 0, 2 * round).unwrap();
        link.publish("small", b"", 0, 2 * round + 1).unwrap();
        assert_eq!(peer.expect(PUBLISH).payload().len(), payload.len());
        assert_eq!(peer.expect(PUBLISH).topic(), "small", "round {round}");
        rig.expect(&format!("Delivered({})", 2 * round));
        rig.expect(&format!("Delivered({})", 2 * round + 1));
    }
}
