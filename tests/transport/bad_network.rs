//! A network that is bad in every way: slow, in single bytes, with small windows, cut at each byte, stalled in either
//! direction. Over TCP and TLS, and every message is accounted for.

use enos::internals::model::link::LinkEvent;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::thread::JoinHandle;
use std::time::Duration;
use support::broker::{pingresp, puback, publish, suback, Peer, PINGREQ, PUBACK, PUBLISH, SUBSCRIBE};
use support::rig::Rig;
use support::wire::{reset_at_close, set_buffer, Wire, Wires};

/// What happens to the bytes of one direction.
#[derive(Clone, Copy, Debug)]
enum Way {
    Good,
    /// So many bytes at once, with a pause after each.
    Slow(usize, Duration),
    /// After so many bytes the connection is reset.
    Cut(usize),
    /// After so many bytes nothing goes on, and nothing ends.
    Stall(usize),
}

use Way::*;

/// Messages each way; the larger ones are more than a small window.
const COUNT: u16 = 12;

fn size(index: u16) -> usize {
    [0, 1, 130, 3000, 20_000][usize::from(index) % 5]
}

/// Between device and broker, for one connection.
fn proxy(wires: &Wires, up: Way, down: Way) -> (std::net::SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    set_buffer(listener.as_raw_fd(), libc::SO_RCVBUF, 4096);
    let (address, behind) = (listener.local_addr().unwrap(), wires.address());
    let thread = std::thread::spawn(move || {
        let device = listener.accept().unwrap().0;
        let broker = TcpStream::connect(behind).unwrap();
        for socket in [&device, &broker] {
            set_buffer(socket.as_raw_fd(), libc::SO_SNDBUF, 4608);
            socket.set_nodelay(true).unwrap();
        }
        let (one, other) = (device.try_clone().unwrap(), broker.try_clone().unwrap());
        let rising = std::thread::spawn(move || pass(one, other, up));
        pass(broker, device, down);
        rising.join().unwrap();
    });
    (address, thread)
}

fn pass(mut from: TcpStream, mut to: TcpStream, way: Way) {
    let (mut passed, mut buffer) = (0, [0; 4096]);
    loop {
        let most = match way {
            Good => buffer.len(),
            Slow(bytes, pause) => {
                std::thread::sleep(pause);
                bytes
            }
            Cut(at) | Stall(at) => at.saturating_sub(passed).min(buffer.len()),
        };
        if most == 0 {
            match way {
                // Longer than it may take to be told. The device's end would not show: it stands behind what nobody reads.
                Stall(_) => std::thread::sleep(Duration::from_secs(6)),
                _ => reset_at_close(from.as_raw_fd()),
            }
            break;
        }
        match from.read(&mut buffer[..most]) {
            Ok(bytes @ 1..) if to.write_all(&buffer[..bytes]).is_ok() => passed += bytes,
            _ => break,
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// Obliges one client, and sends its own messages after the first that it gets: what it got, by index.
fn oblige(mut peer: Peer<Wire>) -> JoinHandle<Vec<u16>> {
    std::thread::spawn(move || {
        let (mut got, mut acks) = (Vec::new(), 0);
        while got.len() < usize::from(COUNT) || acks < COUNT {
            let Ok(Some(packet)) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| peer.try_read())) else {
                break;
            };
            let sent = match packet.kind {
                PUBLISH => {
                    let index = u16::from_be_bytes([packet.payload()[0], packet.payload()[1]]);
                    assert_eq!(packet.payload().len(), 2 + size(index));
                    got.push(index);
                    peer.try_send(&puback(packet.id()))
                }
                SUBSCRIBE => (1..=COUNT).fold(peer.try_send(&suback(packet.id(), &[1])), |sent, id| {
                    let payload = [&id.to_be_bytes()[..], &vec![9; size(id)]].concat();
                    sent && peer.try_send(&publish(b"down", &payload, Some(id)))
                }),
                PUBACK => {
                    acks += 1;
                    assert_eq!(packet.id(), acks, "in order");
                    true
                }
                PINGREQ => peer.try_send(&pingresp()),
                _ => true,
            };
            if !sent {
                break;
            }
        }
        got
    })
}

/// A session over such a network: whether it came to its end.
fn session(secure: bool, up: Way, down: Way, keep_alive_s: u16) -> bool {
    let case = format!("secure {secure}, up {up:?}, down {down:?}");
    let (mut rig, wires) = (Rig::new(), Wires::bind(secure));
    let (address, between) = proxy(&wires, up, down);
    let mut options = wires.options();
    (options.address, options.keep_alive_s) = (address, keep_alive_s);
    let link = rig.open(&options);
    let broker = std::thread::spawn(move || {
        // Accepting fails when it is cut early.
        let peer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| wires.accept())).ok()?;
        Some(oblige(Peer { stream: peer }))
    });
    let connected = match rig.next() {
        LinkEvent::Connected => true,
        LinkEvent::Failed { .. } => false,
        other => panic!("{case}: {other:?}"),
    };
    let (mut waiting, mut messages) = (BTreeSet::new(), 0);
    let (mut lost, mut failed) = (!connected, false);
    if connected {
        assert!(link.subscribe(&[("down".into(), 1)], 0).is_ok() || rig_is_over(&mut rig), "{case}");
        for index in 1..=COUNT {
            let payload = [&index.to_be_bytes()[..], &vec![7; size(index)]].concat();
            if link.publish("up", &payload, 1, index.into()).is_ok() {
                waiting.insert(u64::from(index));
            }
        }
    }
    let mut delivered = BTreeSet::new();
    while !lost && (messages < COUNT || !waiting.is_empty()) {
        match rig.next() {
            LinkEvent::Subscribed { token: 0, .. } | LinkEvent::NotDelivered { token: 0, .. } => (),
            LinkEvent::Delivered { token } => assert!(waiting.remove(&token) && delivered.insert(token), "{case}"),
            LinkEvent::NotDelivered { token, .. } => {
                assert!(waiting.remove(&token), "{case}");
                failed = true;
            }
            LinkEvent::Message { payload, .. } => {
                messages += 1;
                assert_eq!(u16::from_be_bytes([payload[0], payload[1]]), messages, "{case}: in order, and once");
                assert_eq!(payload.len(), 2 + size(messages), "{case}");
            }
            LinkEvent::Lost { .. } => lost = true,
            other => panic!("{case}: {other:?}"),
        }
    }
    assert!(!lost || waiting.is_empty(), "{case}: each has its outcome before the loss: {waiting:?}");
    drop(link);
    between.join().unwrap();
    let got: Vec<u16> = broker.join().unwrap().map_or_else(Vec::new, |thread| thread.join().unwrap());
    assert!(got.is_sorted() && got.iter().collect::<BTreeSet<_>>().len() == got.len(), "{case}: {got:?}");
    assert!(delivered.iter().all(|token| got.contains(&(*token as u16))), "{case}: acknowledged, so it was there");
    !lost && !failed
}

/// The loss may have come between two calls.
fn rig_is_over(rig: &mut Rig) -> bool {
    !rig.is_quiet()
}

#[test]
fn slow_networks_and_single_bytes_change_nothing() {
    let pause = Duration::from_millis(2);
    for secure in [false, true] {
        for (up, down) in [
            (Slow(1000, pause), Slow(1000, pause)),
            (Slow(4096, pause * 10), Good),
            (Good, Slow(4096, pause * 10)),
            (Slow(1, Duration::ZERO), Slow(1, Duration::ZERO)),
        ] {
            assert!(session(secure, up, down, 60));
        }
    }
}

/// Over TCP at each byte of the first packets, then here and there; over TLS here and there.
fn places(secure: bool) -> impl Iterator<Item = usize> {
    let each = if secure { 0 } else { 150 };
    (0..each).chain((each..1500).step_by(if secure { 97 } else { 41 })).chain((1500..60_000).step_by(6007))
}

#[test]
fn a_cut_at_any_byte_costs_what_was_under_way_and_no_more() {
    for secure in [false, true] {
        for at in places(secure) {
            session(secure, Cut(at), Good, 60);
            session(secure, Good, Cut(at), 60);
        }
    }
}

#[test]
fn a_stall_in_either_direction_is_told() {
    let cases: Vec<_> = [false, true]
        .into_iter()
        .flat_map(|secure| [20, 2500, 30_000].map(move |at| (secure, at)))
        .flat_map(|(secure, at)| [(secure, Stall(at), Good), (secure, Good, Stall(at))])
        .map(|(secure, up, down)| std::thread::spawn(move || assert!(!session(secure, up, down, 1))))
        .collect();
    cases.into_iter().for_each(|case| case.join().unwrap());
}
