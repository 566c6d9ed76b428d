//! Handshakes that end in the middle: at every record, within a record, by silence, and with each byte of a record
//! changed.
#![cfg(feature = "tls")]

use enos::error::Status::*;
use openssl::ssl::SslVersion;
use std::io::Read;
use support::broker::{connack, Broker};
use support::host::{Host, Setup};
use support::parallel;
use support::proxy::{Cut, Proxy, Wire};
use support::tls::{want_certificate, Pki, TlsBroker};

/// The positions of the beginning and of a middle byte of each of the server's records.
fn places(sent: &[u8]) -> Vec<usize> {
    let mut at = 0;
    let mut places = Vec::new();
    while let Some(header) = sent.get(at..at + 5) {
        let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
        places.extend([at, at + 3, at + 5 + length / 2]);
        at += 5 + length;
    }
    places.retain(|place| *place < sent.len());
    places
}

struct Scene {
    pki: Pki,
    proxy: Proxy,
}

/// A broker with one TLS version that requires a certificate, answers CONNECT, and then closes.
fn scene(version: SslVersion) -> Scene {
    let pki = Pki::new();
    let broker = TlsBroker::with(&pki.server(), |context| {
        context.set_min_proto_version(Some(version)).unwrap();
        context.set_max_proto_version(Some(version)).unwrap();
        want_certificate(context, &pki.root);
    });
    let proxy = Proxy::bind("127.0.0.1:0".parse().unwrap(), broker.address(), Wire::Tls);
    std::thread::spawn(move || loop {
        let Ok(mut peer) = broker.try_accept() else { continue };
        if peer.stream.read(&mut [0; 512]).is_ok_and(|count| count > 0) {
            peer.try_send(&connack(0));
        }
    });
    Scene { pki, proxy }
}

impl Scene {
    fn device(&self) -> Host {
        let pair = self.pki.write("dk", &self.pki.root.issue(&enos_sim::ca::Profile::client("dk")).unwrap());
        let uri = format!("ssl://{}", self.proxy.address());
        let setup = Setup::secure(&uri, &self.pki.ca()).tls(Some(&self.pki.ca()), Some(&pair));
        setup.connect_timeout(2000).reconnect(0, 0).start()
    }

    /// The device's next attempt: the status of its first event, its text, and the forwarded bytes.
    fn attempt(&self, host: &mut Host, cut: Cut) -> (enos::error::Status, String, Vec<u8>) {
        self.proxy.cut_at(cut);
        host.connect();
        let told = host.next();
        if told.name == "CONNECTED" {
            assert_eq!(host.expect("DISCONNECTED").status, ENOS_ERR_NETWORK);
        }
        (told.status, told.detail, self.proxy.passed())
    }
}

/// Several devices share the positions, because with some cuts both sides wait for each other.
const DEVICES: usize = 6;

fn every_cut_is_an_error_of_its_kind(version: SslVersion) {
    let devices: Vec<usize> = (0..DEVICES).collect();
    parallel::each(&devices, |device| every_cut_of(version, *device));
}

fn every_cut_of(version: SslVersion, device: usize) {
    let scene = scene(version);
    let mut host = scene.device();
    let (status, words, whole) = scene.attempt(&mut host, Cut::Nothing);
    assert_eq!(status, ENOS_OK, "{words}");
    let places = places(&whole);
    assert!(places.len() >= 9, "{} places in {} bytes", places.len(), whole.len());
    // The first record of application data is CONNACK. In TLS 1.3 it is the server's second handshake message, in the
    // form of application data.
    let handshake = places.iter().copied().find(|place| whole[*place..].starts_with(&[23, 3, 3])).unwrap();
    for place in places.into_iter().skip(device).step_by(DEVICES) {
        for cut in [Cut::Close(place), Cut::Reset(place), Cut::Flip(place)] {
            let (status, words, passed) = scene.attempt(&mut host, cut);
            // A cut after the handshake leaves the CONNECT without an answer, which is not a TLS error. With a changed
            // length both sides wait for each other, until the timeout. Cuts after CONNACK have no effect.
            let during = place < handshake && passed.len() <= place + 1;
            match status {
                ENOS_ERR_TLS => assert!(words.starts_with("TLS to 127.0.0.1:"), "{cut:?}: {words}"),
                ENOS_ERR_NETWORK => assert!(!during || place == 0, "{cut:?} of {handshake}: {words}"),
                ENOS_OK => assert!(place > handshake, "{cut:?} of {handshake}: {words}"),
                other => panic!("{cut:?}: {other:?} {words}"),
            }
        }
    }
    let (status, words, _) = scene.attempt(&mut host, Cut::Nothing);
    assert_eq!(status, ENOS_OK, "after all of that: {words}");
}

#[test]
fn tls_1_2_cut_at_every_record() {
    every_cut_is_an_error_of_its_kind(SslVersion::TLS1_2);
}

#[test]
fn tls_1_3_cut_at_every_record() {
    every_cut_is_an_error_of_its_kind(SslVersion::TLS1_3);
}

#[test]
fn a_silent_server_costs_the_timeout_and_no_more() {
    let pki = Pki::new();
    let broker = Broker::bind();
    let uri = format!("ssl://{}", broker.address());
    let mut host = Setup::secure(&uri, &pki.ca()).connect_timeout(300).reconnect(0, 0).start();
    host.connect();
    let _peer = broker.accept();
    let told = host.expect("DISCONNECTED");
    assert_eq!(told.status, ENOS_ERR_NETWORK);
    assert!(told.detail.contains("no answer within 300 ms"), "{}", told.detail);
}
