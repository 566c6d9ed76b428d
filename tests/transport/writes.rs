//! Each way in which a write can end, over TCP and TLS, under valgrind: nothing is lost, and nothing is used that is freed.

use enos::internals::model::link::LinkEvent;
use std::io::Read;
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use support::alone::alone_under_valgrind;
use support::broker::{puback, Peer, PUBLISH};
use support::native::LEAKS;
use support::rig::Rig;
use support::wire::{reset_at_close, Wires};

#[derive(Clone, Copy, Debug)]
enum End {
    /// At once.
    Done,
    /// The socket takes it in parts.
    InParts,
    /// In the middle.
    Reset,
    Close,
    /// The peer takes nothing, until that is noticed,
    Stall,
    /// or the time for an end in order is over,
    Timeout,
    /// or the link is dropped at once.
    Destroy,
}

use End::*;

/// More than the sockets hold.
const LARGE: usize = 100_000;

fn write_that_ends(secure: bool, end: End) {
    let (mut rig, wires) = (Rig::new(), Wires::bind(secure));
    let keep_alive_s = if matches!(end, Stall) { 1 } else { 60 };
    let (link, mut wire) = wires.online(&mut rig, |options| options.keep_alive_s = keep_alive_s);
    wires.narrow();
    let size = if matches!(end, Done) { 100 } else { LARGE };
    // Both kinds have other owners in Paho.
    let mut waiting = vec![1, 2, 3];
    for token in &waiting {
        link.publish("topic", &vec![7; size], (token % 2) as u8, *token).unwrap();
    }
    let middle = &mut [0; 2000];
    match end {
        Done | InParts => {
            let mut peer = Peer { stream: &mut wire };
            for _ in &waiting {
                let packet = peer.expect(PUBLISH);
                assert_eq!(packet.payload(), vec![7; size]);
                if packet.qos() == 1 {
                    peer.send(&puback(packet.id()));
                }
            }
        }
        Reset => {
            wire.read_exact(middle).unwrap();
            reset_at_close(wire.socket().as_raw_fd());
            drop(wire);
        }
        Close => {
            wire.read_exact(middle).unwrap();
            wire.socket().shutdown(Shutdown::Write).unwrap();
        }
        Stall => (),
        Timeout => {
            link.disconnect(100);
            assert!(!rig.waker.wait(Some(500)).unwrap(), "an end in order waits for a write");
            return;
        }
        Destroy => return,
    }
    let ends_it = matches!(end, Reset | Close | Stall);
    let mut lost = false;
    while !waiting.is_empty() || ends_it && !lost {
        match rig.next() {
            LinkEvent::Delivered { token } if !ends_it => waiting.retain(|waiting| *waiting != token),
            LinkEvent::NotDelivered { token, .. } if ends_it => {
                waiting.retain(|waiting| *waiting != token);
            }
            LinkEvent::Lost { .. } if ends_it => lost = true,
            other => panic!("secure {secure}, {end:?}: {other:?}"),
        }
    }
}

#[test]
fn whichever_way_a_write_ends_valgrind_finds_nothing() {
    alone_under_valgrind(&LEAKS, || {
        for secure in [false, true] {
            for end in [Done, InParts, Reset, Close, Stall, Timeout, Destroy] {
                write_that_ends(secure, end);
            }
        }
    });
}
