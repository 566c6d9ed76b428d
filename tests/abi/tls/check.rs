//! The checks of the broker's certificate, and the errors when a check or the handshake fails.
#![cfg(feature = "tls")]

use enos::error::Status::*;
use enos_sim::ca::{Authority, Certified, KeyKind, Profile, Validity};
use openssl::ssl::{NameType, SslContextBuilder, SslOptions, SslVersion};
use openssl::x509::X509;
use std::io::{Read, Write};
use support::broker;
use support::broker::{pingresp, publish, Broker, Peer, PUBLISH};
use support::host::Setup;
use support::tls;
use support::tls::{local, Pki, TlsBroker};

/// A device that is online with this broker, then offline.
#[track_caller]
pub fn accepts(broker: &TlsBroker, setup: Setup) {
    let (mut host, mut peer) = broker.online(setup);
    host.disconnect();
    peer.expect_end();
    assert_eq!(host.expect("DISCONNECTED").status, ENOS_OK);
}

/// A device must refuse this broker with these words.
#[track_caller]
pub fn refuses(broker: &TlsBroker, setup: Setup, words: &[&str]) {
    // No second attempt, because it would wait in the backlog for the next test.
    let mut host = setup.reconnect(0, 0).start();
    host.connect();
    assert!(broker.try_accept().is_err(), "the broker noticed nothing");
    host.fails_in_tls(words);
}

fn issued(pki: &Pki, profile: &Profile) -> Certified {
    pki.root.issue(profile).unwrap()
}

#[test]
fn a_broker_is_taken_by_name_and_by_address_of_both_kinds() {
    let pki = Pki::new();
    let server = pki.server();
    let v4 = TlsBroker::new(&server);
    accepts(&v4, Setup::secure(&v4.uri(), &pki.ca()));
    accepts(&v4, Setup::secure(&format!("ssl://localhost:{}", v4.address().port()), &pki.ca()));
    let v6 = TlsBroker::bind_to("[::1]:0", &server, |_| ());
    accepts(&v6, Setup::secure(&v6.uri(), &pki.ca()));
}

#[test]
fn rsa_intermediates_and_each_version_are_taken() {
    let pki = Pki::with(KeyKind::Rsa2048);
    let between = pki.root.intermediate("The one between").unwrap();
    for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
        let set = |context: &mut SslContextBuilder| {
            context.set_min_proto_version(Some(version)).unwrap();
            context.set_max_proto_version(Some(version)).unwrap();
        };
        for certified in [issued(&pki, &local().key(KeyKind::Rsa2048)), between.issue(&local()).unwrap()] {
            let broker = TlsBroker::with(&certified, set);
            accepts(&broker, Setup::secure(&broker.uri(), &pki.ca()));
        }
    }
}

#[test]
fn an_authority_in_between_is_not_trusted_for_itself() {
    let pki = Pki::new();
    let between = pki.root.intermediate("The one between").unwrap();
    let server = between.issue(&local()).unwrap();
    let chain = X509::stack_from_pem(&server.certificate_pem().unwrap()).unwrap();
    std::fs::write(pki.file("between.pem"), chain[1].to_pem().unwrap()).unwrap();
    let broker = TlsBroker::new(&server);
    let words = ["The one between", "unknown authority", "The test's CA"];
    refuses(&broker, Setup::secure(&broker.uri(), &tls::path(&pki.file("between.pem"))), &words);
}

#[test]
fn an_unknown_authority_is_named() {
    let (pki, other) = (Pki::new(), Authority::root("Some other CA", KeyKind::EcP256).unwrap());
    let broker = TlsBroker::new(&other.issue(&local()).unwrap());
    refuses(&broker, Setup::secure(&broker.uri(), &pki.ca()), &["unknown authority", "Some other CA", "CA file"]);
    // The system's authorities have issued neither.
    let of_system = |uri: &str| Setup::to(uri).device_secret("s");
    refuses(&broker, of_system(&broker.uri()), &["unknown authority", "Some other CA", "the system's"]);
    let alone = TlsBroker::new(&local().self_signed().unwrap());
    refuses(&alone, Setup::secure(&alone.uri(), &pki.ca()), &["unknown authority", "self-signed"]);
}

#[test]
fn a_wrong_name_is_told_beside_the_ones_offered() {
    let pki = Pki::new();
    let named = TlsBroker::new(&issued(&pki, &Profile::server().dns("broker.example.com").dns("b2").ip([10, 0, 0, 1])));
    let offered = "offered the DNS name broker.example.com, the DNS name b2, the address 10.0.0.1";
    let words = ["another name", "wanted the address 127.0.0.1", offered, "server_name"];
    refuses(&named, Setup::secure(&named.uri(), &pki.ca()), &words);
    let localhost = format!("ssl://localhost:{}", named.address().port());
    refuses(&named, Setup::secure(&localhost, &pki.ca()), &["wanted the DNS name localhost", "broker.example.com"]);
    // An address in a DNS name does not match, and neither does a name that only begins the same.
    let address = TlsBroker::new(&issued(&pki, &Profile::server().dns("127.0.0.1").dns("localhost.example.com")));
    let words = ["wanted the address 127.0.0.1, offered the DNS name 127.0.0.1, the DNS name localhost.example.com"];
    refuses(&address, Setup::secure(&address.uri(), &pki.ca()), &words);
    let wild = TlsBroker::new(&issued(&pki, &Profile::server().dns("*.example.com").dns("b*.example.org")));
    let as_name = |name: &str| Setup::secure(&wild.uri(), &pki.ca()).server_name(name);
    accepts(&wild, as_name("broker.example.com"));
    refuses(&wild, as_name("a.b.example.com"), &["wanted the DNS name a.b.example.com"]);
    refuses(&wild, as_name("broker.example.org"), &["wanted the DNS name broker.example.org"]);
}

#[test]
fn another_server_name_is_wanted_and_sent() {
    let pki = Pki::new();
    let certified = issued(&pki, &Profile::server().dns("broker.example.com").ip([10, 0, 0, 1]));
    let (sender, sent) = std::sync::mpsc::channel();
    let broker = TlsBroker::with(&certified, |context| {
        context.set_servername_callback(move |ssl, _| {
            sender.send(ssl.servername(NameType::HOST_NAME).map(str::to_owned)).unwrap();
            Ok(())
        });
    });
    let setup = || Setup::secure(&broker.uri(), &pki.ca());
    accepts(&broker, setup().server_name("broker.example.com"));
    assert_eq!(sent.recv().unwrap().as_deref(), Some("broker.example.com"));
    accepts(&broker, setup().server_name("10.0.0.1"));
    assert_eq!(sent.recv().unwrap(), None, "an address is not sent");
    refuses(&broker, setup().server_name("b2.example.com"), &["wanted the DNS name b2.example.com"]);
}

#[test]
fn the_name_alone_can_be_left_unchecked() {
    let (pki, other) = (Pki::new(), Authority::root("Some other CA", KeyKind::EcP256).unwrap());
    let elsewhere = Profile::server().dns("elsewhere");
    let broker = TlsBroker::new(&issued(&pki, &elsewhere));
    accepts(&broker, Setup::secure(&broker.uri(), &pki.ca()).skip_name_check());
    for (certified, words) in [
        (other.issue(&elsewhere).unwrap(), "unknown authority"),
        (issued(&pki, &elsewhere.clone().valid(Validity::days(-10, -1))), "expired"),
    ] {
        let broker = TlsBroker::new(&certified);
        refuses(&broker, Setup::secure(&broker.uri(), &pki.ca()).skip_name_check(), &[words]);
    }
}

#[test]
fn dates_are_told_with_the_devices_clock() {
    let pki = Pki::new();
    let year = openssl::asn1::Asn1Time::days_from_now(0).unwrap().to_string();
    let year = year.split(' ').rev().nth(1).unwrap();
    for (validity, words) in [(Validity::days(-10, -1), "expired on"), (Validity::days(1, 10), "not valid before")] {
        let broker = TlsBroker::new(&issued(&pki, &local().valid(validity)));
        let clock = ["the device's clock says", year, "GMT", "clock", words];
        refuses(&broker, Setup::secure(&broker.uri(), &pki.ca()), &clock);
    }
}

#[test]
fn a_client_certificate_is_refused_for_a_server() {
    let pki = Pki::new();
    let broker = TlsBroker::new(&issued(&pki, &Profile::client("enos-sim").dns("localhost").ip([127, 0, 0, 1])));
    refuses(&broker, Setup::secure(&broker.uri(), &pki.ca()), &["not one for a server"]);
}

#[test]
fn old_versions_and_weak_ciphers_are_refused() {
    let pki = Pki::new();
    let server = pki.server();
    let old = TlsBroker::with(&server, |context| {
        context.set_cipher_list("ALL:@SECLEVEL=0").unwrap();
        context.set_min_proto_version(None).unwrap();
        context.set_max_proto_version(Some(SslVersion::TLS1_1)).unwrap();
    });
    refuses(&old, Setup::secure(&old.uri(), &pki.ca()), &["no TLS version is shared", "1.2 and 1.3"]);
    let weak = TlsBroker::with(&server, |context| {
        context.set_max_proto_version(Some(SslVersion::TLS1_2)).unwrap();
        context.set_cipher_list("ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA384:@SECLEVEL=0").unwrap();
    });
    refuses(&weak, Setup::secure(&weak.uri(), &pki.ca()), &["no cipher is shared", "ECDHE"]);
    let other = TlsBroker::with(&server, |context| {
        context.set_min_proto_version(Some(SslVersion::TLS1_3)).unwrap();
        context.set_ciphersuites("TLS_AES_128_CCM_SHA256").unwrap();
    });
    refuses(&other, Setup::secure(&other.uri(), &pki.ca()), &["no cipher is shared"]);
}

/// The next connection, after reading the device's first data completely, because otherwise a close would be a reset.
fn accept_hello(broker: &Broker) -> Peer {
    let mut peer = broker.accept();
    let mut header = [0; 5];
    peer.stream.read_exact(&mut header).unwrap();
    assert_eq!(header[0], 22, "a handshake record");
    let mut body = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
    peer.stream.read_exact(&mut body).unwrap();
    peer
}

#[test]
fn a_port_without_tls_is_told() {
    let pki = Pki::new();
    let broker = Broker::bind();
    let mut host = Setup::secure(&format!("ssl://{}", broker.address()), &pki.ca()).start();
    host.connect();
    for answer in
        [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"220 mail.example.com ESMTP ready\r\n", &[0x20, 2, 0, 0, 0]]
    {
        let mut peer = accept_hello(&broker);
        peer.stream.write_all(answer).unwrap();
        host.fails_in_tls(&["does not speak TLS", "18883"]);
    }
    // Brokers hang up if the first packet is not a CONNECT.
    drop(accept_hello(&broker));
    host.fails_in_tls(&["ended during the TLS handshake", "closed by the broker"]);
    accept_hello(&broker).reset();
    host.fails_in_tls(&["ended during the TLS handshake", "reset"]);
}

#[test]
fn a_failed_handshake_costs_no_connect_and_a_plain_failure_is_no_tls() {
    let pki = Pki::new();
    let nobody = broker::nobody();
    let mut host = Setup::secure(&format!("ssl://{nobody}"), &pki.ca()).start();
    host.connect();
    assert_eq!(host.expect("DISCONNECTED").status, ENOS_ERR_NETWORK);
    // The budget is two CONNECTs in ten minutes: three failed handshakes do not count.
    let other = Authority::root("Some other CA", KeyKind::EcP256).unwrap();
    let wrong = TlsBroker::new(&other.issue(&local()).unwrap());
    let mut host = Setup::secure(&wrong.uri(), &pki.ca()).connect_budget(2, 600_000, 0).start();
    host.connect();
    for _ in 0..4 {
        assert!(wrong.try_accept().is_err());
        assert!(host.fails_in_tls(&["unknown authority"]).retry_in_ms <= 100);
    }
}

#[test]
fn a_server_that_ends_the_handshake_in_order_ends_the_attempt() {
    let pki = Pki::new();
    let broker = Broker::bind();
    let mut host = Setup::secure(&format!("ssl://{}", broker.address()), &pki.ca()).start();
    host.connect();
    // An unencrypted close_notify after the ClientHello.
    let mut peer = accept_hello(&broker);
    peer.stream.write_all(&[21, 3, 3, 0, 2, 1, 0]).unwrap();
    host.fails_in_tls(&["TLS"]);
}

#[test]
fn a_renegotiation_is_refused() {
    let pki = Pki::new();
    let broker = TlsBroker::with(&pki.server(), |context| {
        context.set_max_proto_version(Some(SslVersion::TLS1_2)).unwrap();
        context.clear_options(SslOptions::NO_RENEGOTIATION);
    });
    let (_host, mut peer) = broker.online(Setup::secure(&broker.uri(), &pki.ca()));
    assert_eq!(peer.stream.ssl().version2(), Some(SslVersion::TLS1_2));
    assert!(peer.stream.ssl().current_cipher().unwrap().name().contains("GCM"));
    extern "C" {
        fn SSL_renegotiate(ssl: *const std::ffi::c_void) -> std::ffi::c_int;
    }
    // SAFETY: a reference to this crate's type has the address of OpenSSL's object, which is alive.
    assert_eq!(unsafe { SSL_renegotiate(std::ptr::from_ref(peer.stream.ssl()).cast()) }, 1);
    peer.send(&pingresp()); // after the request
    let error = peer.stream.ssl_read(&mut [0]).unwrap_err();
    assert!(error.to_string().contains("no renegotiation"), "{error}");
}

#[test]
fn packets_behind_a_pingresp_in_one_record_are_not_left_waiting() {
    let pki = Pki::new();
    let broker = TlsBroker::new(&pki.server());
    let (mut host, mut peer) = broker.online(Setup::secure(&broker.uri(), &pki.ca()));
    // One write is one record.
    peer.send(&[pingresp(), publish(b"a", b"1", None), pingresp(), publish(b"b", b"2", None)].concat());
    assert_eq!(host.expect("MESSAGE").topic, b"a");
    assert_eq!(host.expect("MESSAGE").topic, b"b");
    // And messages larger than a record, in both directions.
    let large: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
    peer.send(&publish(b"large", &large, None));
    assert!(host.expect("MESSAGE").payload == large);
    let token = host.publish("t", &large, 1).unwrap();
    let packet = peer.expect(PUBLISH);
    assert!(packet.payload() == large);
    peer.send(&broker::puback(packet.id()));
    assert_eq!(host.expect("DELIVERED").token, token);
}
