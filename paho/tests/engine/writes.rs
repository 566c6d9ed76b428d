//! Every way that a write can end, over TCP and TLS: done, in part, reset, closed, broken, given up, destroyed. Under the
//! address sanitizer nothing is leaked, freed twice or read after it was freed.

use crate::{
    broker::Peer,
    driver::{Driver, PATIENCE},
    variant::{fixed, Flavour::Address},
};
use std::{
    io::{Read, Write},
    net::Shutdown,
};
use support::wire::Wires;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Ending {
    /// All of it is read, and acknowledged.
    Done,
    Closed,
    Reset,
    /// The device's own socket takes no more.
    Broken,
    /// Nobody reads, and the device disconnects with a time that is too short.
    GivenUp,
    /// Nobody reads, and it is destroyed.
    Destroyed,
    /// Nobody reads, for 2.5 keep-alives.
    Still,
}

use Ending::*;

fn scene(secure: bool, qos: u8, behind: usize, ending: Ending) {
    let case = format!("secure {secure}, QoS {qos}, {behind} behind it, {ending:?}");
    let wires = Wires::bind(secure);
    let mut driver = Driver::start(&fixed(Address));
    let create = if secure { "secure" } else { "create" };
    driver.tell(&format!("{create} 0 {}", wires.address().port()));
    driver.tell(if ending == Still { "connect 0 30 1" } else { "connect 0" });
    let mut side = wires.accept();
    side.patience(PATIENCE);
    driver.event("@0 up");
    driver.tell("narrow 0");
    driver.note(&case);
    driver.tell(&format!("publish 0 {qos} 400000"));
    for index in 0..behind {
        driver.tell(&format!("publish 0 {} 3000", index % 2));
    }
    // Messages come in while it waits; their acknowledgements stand behind it.
    let inbound = crate::broker::publish(1, 1, "in", &[7; 100]).repeat(20);
    side.write_all(&inbound).unwrap();
    driver.event("@0 message");
    match ending {
        Done => {
            let mut left = 400_000 + behind * 3000;
            while left > 0 {
                left = left.saturating_sub(side.read(&mut [0; 8192]).unwrap());
            }
            let acks: Vec<u8> = (1..=1 + behind as u16).flat_map(|id| [0x40, 2, (id >> 8) as u8, id as u8]).collect();
            side.write_all(&acks).unwrap();
            driver.event("@0 published");
        }
        // A part of it is read, so that it does not end at the beginning.
        Closed | Reset => {
            side.read_exact(&mut [0; 50_000]).unwrap();
            let socket = side.socket();
            drop(side);
            match ending {
                Reset => Peer { stream: socket }.reset(),
                _ => socket.shutdown(Shutdown::Both).unwrap(),
            }
            driver.event("@0 lost");
            return end(driver);
        }
        Broken => {
            driver.tell("break 0");
            // As far as it went out before.
            let socket = side.socket();
            std::thread::spawn(move || std::io::copy(&mut &socket, &mut std::io::sink()));
            driver.event("@0 lost");
        }
        GivenUp => {
            driver.tell("disconnect 0 100");
            driver.event("@0 disconnected");
        }
        Destroyed => assert!(driver.number("destroy 0") < 1000),
        Still => drop(driver.event("@0 lost")),
    }
    end(driver);
}

fn end(driver: Driver) {
    driver.end_clean();
}

fn every_end(secure: bool) {
    for ending in [Done, Closed, Reset, Broken, GivenUp, Destroyed, Still] {
        for (qos, behind) in [(0, 0), (1, 0), (1, 30)] {
            // A disconnect stands behind what was accepted before it, and its time begins there.
            if ending != GivenUp || behind == 0 {
                scene(secure, qos, behind, ending);
            }
        }
    }
}

#[test]
fn every_end_over_tcp_frees_everything_once() {
    every_end(false);
}

#[test]
fn every_end_over_tls_frees_everything_once() {
    every_end(true);
}
