//! Handshakes that fail on demand, and clients that are hostile before there is a session.

use crate::common::{tls::*, *};
use enos_sim::{Config, Limits};
use openssl::ssl::SslVersion;
use serde_json::Value;
use std::{
    io::{ErrorKind, Read, Write},
    time::Duration,
};
use support::tls::Pki;

/// The next result of a handshake.
fn outcome(sim: &Sim) -> Value {
    loop {
        let event = sim.next();
        if event["event"] == "tls" || event["event"] == "tls_failed" {
            return event;
        }
    }
}

/// Applies `fault` with each N in turn, one connection for each, until it does not affect the handshake any more.
/// Returns that N, and the events of the connections before it.
fn at_each(pki: &Pki, version: SslVersion, fault: &str, step: usize) -> usize {
    let faults: Vec<_> = (0..).step_by(step).take(1000).map(|n| fault.replace("=N", &format!("={}", n + 1))).collect();
    let faults: Vec<_> = faults.iter().zip(1..).map(|(fault, connection)| format!("{fault}@{connection}")).collect();
    let faults: Vec<_> = faults.iter().map(String::as_str).collect();
    let sim = Sim::start(faulty(secure(pki.port(), active()), &faults));
    for n in 0.. {
        let mut builder = trusting(pki);
        speak(&mut builder, version);
        // The client's part of the handshake may be done before the cut.
        let ended = try_open(&sim, builder).map(|mut client| {
            client.send(|out| Login::device(DEVICE_SECRET).connect().write(out));
            client.try_next().is_err()
        });
        let event = outcome(&sim);
        if event["event"] == "tls" {
            assert_eq!(ended, Ok(false), "{fault} {n}");
            return n;
        }
        assert_ne!(ended, Ok(false), "{fault} {n}");
        assert_eq!(event["reason"], "the link was closed: by a fault");
    }
    unreachable!()
}

#[test]
fn a_handshake_is_cut_at_every_record() {
    let pki = Pki::new();
    // ClientHello; ServerHello, change of cipher, four encrypted records, two tickets; Finished after a change of
    // cipher. OpenSSL decides how they are packed.
    for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
        for (fault, least) in [("got-record=N:close", 3), ("record=N:close", 4), ("after-record=N:close", 3)] {
            let records = at_each(&pki, version, fault, 1);
            assert!((least..20).contains(&records), "{fault}: {records}");
        }
    }
}

#[test]
fn a_handshake_is_cut_between_bytes() {
    let pki = Pki::new();
    let steps = at_each(&pki, SslVersion::TLS1_3, "byte=N:close", 97);
    assert!((5..60).contains(&steps), "{steps}");
    let steps = at_each(&pki, SslVersion::TLS1_3, "got-byte=N:close", 97);
    assert!((3..30).contains(&steps), "{steps}");

    // Exactly this many bytes, and nothing more.
    let sim = Sim::start(faulty(secure(pki.port(), active()), &["after-byte=42:close"]));
    let mut raw = connect(sim.cloud.tls_address().unwrap());
    raw.write_all(&client_hello(&pki)).unwrap();
    let mut got = Vec::new();
    // Unread data may turn the close into a reset.
    let _ = raw.read_to_end(&mut got);
    assert_eq!(got.len(), 42);
}

/// The first bytes of a client.
fn client_hello(pki: &Pki) -> Vec<u8> {
    let broker = support::broker::Broker::bind();
    let (address, builder) = (broker.address(), trusting(pki));
    let connecting = std::thread::spawn(move || try_open_at(address, builder).err());
    let mut hello = vec![0; 4096];
    let count = broker.accept().stream.read(&mut hello).unwrap();
    assert!(connecting.join().unwrap().is_some(), "nobody has answered");
    hello.truncate(count);
    hello
}

#[test]
fn a_reset_and_foreign_bytes_hit_the_handshake() {
    let pki = Pki::new();
    let sim = Sim::start(faulty(secure(pki.port(), active()), &["record=2:reset@1", "before-record=1:raw=20020000@2"]));
    let error = try_open(&sim, trusting(&pki)).err().unwrap();
    assert!(error.contains("reset"), "{error}");
    assert_eq!(outcome(&sim)["reason"], "the link was closed: by a fault, with a reset");
    // An unencrypted CONNACK.
    let error = try_open(&sim, trusting(&pki)).err().unwrap();
    assert!(error.contains("wrong version number"), "{error}");
    assert_eq!(outcome(&sim)["event"], "tls_failed");
}

#[test]
fn a_handshake_is_silent_from_any_record_on() {
    let pki = Pki::new();
    for fault in
        ["accept:silence", "got-record=1:silence", "record=1:silence", "record=3:silence", "got-byte=9:silence"]
    {
        let sim = Sim::start(faulty(secure(pki.port(), active()), &[fault]));
        let stream = connect(sim.cloud.tls_address().unwrap());
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let error = handshake(stream, trusting(&pki)).err().unwrap();
        assert!(matches!(error, openssl::ssl::HandshakeError::WouldBlock(_)), "{fault}: {error}");
        drop(error);
        assert_eq!(outcome(&sim)["reason"], "the link was closed: by the peer", "{fault}");
    }
}

#[test]
fn a_late_record_is_waited_for() {
    let pki = Pki::new();
    let sim = Sim::start(faulty(secure(pki.port(), active()), &["record=1:delay=200", "got-record=2:delay=100"]));
    let before = std::time::Instant::now();
    log_in(&sim, &pki);
    assert!(before.elapsed() >= Duration::from_millis(300));
}

#[test]
fn the_faults_of_packets_are_the_same_under_tls() {
    let pki = Pki::new();
    let faults = ["after-connack:reset@1", "before-connack:raw=3000@2", "connack:twice@3", "after-connack:close@4"];
    let sim = Sim::start(faulty(secure(pki.port(), active()), &faults));
    let login = Login::device(DEVICE_SECRET);
    let mut client = open(&sim, trusting(&pki));
    client.send(|out| login.connect().write(out));
    while client.try_next().is_ok() {}
    assert_eq!(sim.wait_for("closed")["reason"], "by a fault, with a reset");
    let mut client = open(&sim, trusting(&pki));
    client.send(|out| login.connect().write(out));
    assert_eq!(client.bytes(6), [0x30, 0, 0x20, 2, 0, 0], "within the session");
    drop(client);
    let mut client = open(&sim, trusting(&pki));
    assert_eq!(client.login(&login), 0);
    assert_eq!(client.connack(), 0);
    drop(client);
    let mut client = open(&sim, trusting(&pki));
    assert_eq!(client.login(&login), 0);
    assert_eq!(client.end(), ErrorKind::UnexpectedEof, "closed in order");
}

#[test]
fn unfinished_handshakes_are_closed() {
    let pki = Pki::new();
    let limits = Limits { connect_wait: Duration::from_millis(200), ..Limits::default() };
    let sim = Sim::start(Config { limits, ..secure(pki.port(), active()) });
    let address = sim.cloud.tls_address().unwrap();
    // No bytes; the beginning of a record; a handshake without a CONNECT after it.
    for beginning in [&b""[..], &[22, 3, 1, 2, 0, 1]] {
        let mut stream = connect(address);
        stream.write_all(beginning).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        assert_eq!(outcome(&sim)["reason"], "the link was closed: no CONNECT came");
    }
    assert_eq!(open(&sim, trusting(&pki)).end(), ErrorKind::UnexpectedEof);
}

#[test]
fn garbage_is_refused_at_every_step() {
    let pki = Pki::new();
    let sim = Sim::start(secure(pki.port(), active()));
    let address = sim.cloud.tls_address().unwrap();
    let mut random = fastrand::Rng::with_seed(11);
    let mut garbage = |head: &[u8], n: usize| {
        let mut bytes = head.to_vec();
        bytes.extend(std::iter::repeat_with(|| random.u8(..)).take(n));
        bytes
    };
    // No TLS; a handshake record with garbage; an alert; encrypted data too early; a record that is too long.
    let heads: [&[u8]; 5] = [&[], &[22, 3, 1, 0, 200], &[21, 3, 3, 0, 2], &[23, 3, 3, 0, 100], &[22, 3, 1, 0xff, 0xff]];
    for head in heads {
        let mut stream = connect(address);
        stream.write_all(&garbage(head, 300)).unwrap();
        // An alert, an end or a reset, and nothing more.
        let _ = stream.read_to_end(&mut Vec::new());
        assert_eq!(outcome(&sim)["event"], "tls_failed", "{head:?}");
    }
    // In the middle of a session.
    let mut client = log_in(&sim, &pki);
    client.stream.get_ref().write_all(&garbage(&[23, 3, 3, 0, 100], 100)).unwrap();
    let _ = client.try_next();
    while !sim.wait_for("closed")["reason"].as_str().unwrap().starts_with("TLS: ") {}
    log_in(&sim, &pki);
}
