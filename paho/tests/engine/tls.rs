//! TLS, against a server of this test's own.

use crate::{
    broker::{connack, packet, publish, Broker},
    driver::{Driver, PATIENCE, SHORT},
    variant::{fixed, Flavour::Address},
};
use openssl::{
    asn1::Asn1Time,
    ec::{EcGroup, EcKey},
    hash::MessageDigest,
    nid::Nid,
    pkey::PKey,
    ssl::{Ssl, SslContext, SslMethod, SslStream},
    x509::X509,
};
use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
};

/// A server that nobody vouches for; nobody asks.
pub fn context() -> SslContext {
    let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&curve).unwrap()).unwrap();
    let mut certificate = X509::builder().unwrap();
    certificate.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    certificate.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    certificate.set_pubkey(&key).unwrap();
    certificate.sign(&key, MessageDigest::sha256()).unwrap();
    let mut context = SslContext::builder(SslMethod::tls_server()).unwrap();
    context.set_private_key(&key).unwrap();
    context.set_certificate(&certificate.build()).unwrap();
    context.build()
}

/// A client that begins to connect over TLS, and what the server sees of it.
fn knock(binary: &Path) -> (Driver, TcpStream, Broker) {
    let broker = Broker::bind();
    let mut driver = Driver::start(binary);
    assert_eq!(driver.ask(&format!("secure 0 {}", broker.port())).as_deref(), Some("rc 0"));
    driver.tell("connect 0");
    let stream = broker.accept().stream;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    (driver, stream, broker)
}

/// As above, connected.
fn connected(binary: &Path) -> (Driver, SslStream<TcpStream>) {
    let (mut driver, stream, _) = knock(binary);
    let mut stream = SslStream::new(Ssl::new(&context()).unwrap(), stream).unwrap();
    stream.accept().unwrap();
    assert!(stream.read(&mut [0; 1024]).unwrap() > 0, "the CONNECT");
    stream.write_all(&connack(0)).unwrap();
    driver.event("@0 up");
    (driver, stream)
}

#[test]
fn a_handshake_that_fails_is_told() {
    let (mut driver, mut stream, _broker) = knock(&fixed(Address));
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
