//! TLS, against a server of this test's own.

use crate::{
    broker::{packet, publish},
    driver::{Driver, SHORT},
    variant::{fixed, Flavour::Address},
};
use std::{io::Write, path::Path};
use support::wire::{Wire, Wires};

/// A client that begins to connect over TLS.
fn knock(binary: &Path) -> (Driver, Wires) {
    let wires = Wires::bind(true);
    let mut driver = Driver::start(binary);
    driver.tell(&format!("secure 0 {}", wires.address().port()));
    driver.tell("connect 0");
    (driver, wires)
}

/// As above, connected.
fn connected(binary: &Path) -> (Driver, Wire) {
    let (mut driver, wires) = knock(binary);
    let wire = wires.accept();
    driver.event("@0 up");
    (driver, wire)
}

#[test]
fn a_handshake_that_fails_is_told() {
    let (mut driver, wires) = knock(&fixed(Address));
    let mut stream = wires.accept_tcp();
    stream.write_all(&[21, 3, 3, 0, 2, 2, 48]).unwrap(); // a fatal alert: unknown CA
    driver.event("@0 refused");
    assert_eq!(driver.ask("fault 0").as_deref(), Some("fault 5 error 1 handshake 1 reason 1048"));
    driver.end_clean();

    let (mut driver, stream) = connected(&fixed(Address));
    assert_eq!(driver.ask("fault 0").as_deref(), Some("fault 0 error 0 handshake 0 reason 0"));
    drop(stream);
    driver.event("@0 lost");
    driver.end_clean();
}

#[test]
fn what_stands_behind_a_pingresp_in_one_record_is_read() {
    let (mut driver, mut stream) = connected(&fixed(Address));
    stream.write_all(&[packet(0xd0, &[]), publish(0, 0, "in", b"here")].concat()).unwrap();
    assert!(driver.event_within("@0 message", SHORT).is_some());
    driver.end_clean();
}
