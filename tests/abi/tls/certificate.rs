//! The device's own certificate: brokers that require one, and the errors when they refuse.
#![cfg(feature = "tls")]

use enos::error::Status::*;
use enos_sim::ca::{Authority, Files, KeyKind, Profile};
use enos_sim::{Event, TlsConfig};
use openssl::ssl::SslVersion;
use std::path::PathBuf;
use support::broker;
use support::desk::Desk;
use support::host::{Host, Setup, Store, DEVICE_SECRET, PRODUCT_SECRET};
use support::mosquitto::Mosquitto;
use support::tls::{local, want_certificate, Pki, TlsBroker};

/// Mosquitto with TLS, which requires certificates of this authority.
fn demanding(pki: &Pki, more: &str) -> Mosquitto {
    let [cert, key] = pki.write("server", &pki.server());
    // Mosquitto drops root before it reads the files.
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    Mosquitto::start_with(&format!(
        "cafile {}\ncertfile {cert}\nkeyfile {key}\nrequire_certificate true\nallow_anonymous true\n{more}",
        pki.ca()
    ))
}

fn uri(broker: &Mosquitto) -> String {
    format!("ssl://{}", broker.address())
}

#[test]
fn mosquitto_takes_rsa_and_ecdsa_and_a_chain() {
    let pki = Pki::new();
    let broker = demanding(&pki, "");
    let between = pki.root.intermediate("The one between").unwrap();
    let chained = pki.write("chained", &between.issue(&Profile::client("chained")).unwrap());
    for pair in [pki.device("ec", KeyKind::EcP256), pki.device("rsa", KeyKind::Rsa2048), chained] {
        let mut host = Setup::secure(&uri(&broker), &pki.ca()).tls(Some(&pki.ca()), Some(&pair)).start();
        host.online();
        let token = host.publish("t", b"1", 1).unwrap();
        assert_eq!(host.expect("DELIVERED").token, token);
        host.go_offline();
    }
}

#[test]
fn mosquitto_refuses_and_the_device_knows_why() {
    let pki = Pki::new();
    let stranger = Authority::root("A stranger's CA", KeyKind::EcP256).unwrap();
    let strange = pki.write("strange", &stranger.issue(&Profile::client("dk")).unwrap());
    let between = stranger.intermediate("Between strangers").unwrap();
    let strange_chain = pki.write("strange-chain", &between.issue(&Profile::client("dk")).unwrap());
    for version in ["tlsv1.2", "tlsv1.3"] {
        let broker = demanding(&pki, &format!("tls_version {version}\n"));
        let start = |pair: Option<&[String; 2]>| {
            let host = Setup::secure(&uri(&broker), &pki.ca()).tls(Some(&pki.ca()), pair).reconnect(0, 0).start();
            host.connect();
            host
        };
        start(None).fails_in_tls(&["the device showed no certificate", "enos_config_set_tls()"]);
        start(Some(&strange)).fails_in_tls(&["refused the device's certificate", "does not know the authority"]);
        start(Some(&strange_chain)).fails_in_tls(&["refused the device's certificate"]);
    }
}

#[test]
fn a_refusal_after_the_connect_costs_a_connect_and_no_credentials() {
    let pki = Pki::new();
    let broker = TlsBroker::with(&pki.server(), |context| {
        context.set_min_proto_version(Some(SslVersion::TLS1_3)).unwrap();
        want_certificate(context, &pki.root);
    });
    // AUTO would change to the other sign method after two brokers that hang up on a CONNECT; this case does not count.
    let mut host = Setup::secure(&broker.uri(), &pki.ca()).start();
    host.connect();
    for _ in 0..4 {
        assert!(broker.try_accept().err().unwrap().contains("did not return a certificate"));
        host.fails_in_tls(&["the device showed no certificate"]);
    }
    drop(host);
    let pair = pki.device("dk", KeyKind::EcP256);
    let mut host = Setup::secure(&broker.uri(), &pki.ca()).tls(Some(&pki.ca()), Some(&pair)).start();
    host.connect();
    // Connections in the backlog belong to the previous device.
    let mut peer = std::iter::from_fn(|| Some(broker.try_accept())).find_map(Result::ok).unwrap();
    let client_id = peer.expect(broker::CONNECT).credentials()[0].to_owned();
    assert!(client_id.contains("signmethod=hmacsha1"), "{client_id}");
    peer.send(&broker::connack(0));
    host.expect("CONNECTED");
}

#[test]
fn every_kind_of_alert_is_explained() {
    let pki = Pki::new();
    let broker = broker::Broker::bind();
    let pair = pki.device("dk", KeyKind::EcP256);
    let mut host =
        Setup::secure(&format!("ssl://{}", broker.address()), &pki.ca()).tls(Some(&pki.ca()), Some(&pair)).start();
    host.connect();
    for (alert, words) in [
        (40, "no cipher is shared"),
        (42, "not one that the broker takes"),
        (44, "it is revoked"),
        (45, "it has expired, by the broker's clock"),
        (48, "does not know the authority"),
        (49, "access is denied"),
        (51, "does not check"),
        (70, "no TLS version is shared"),
        (112, "refused that name"),
        (116, "none of the device's fits"),
        (80, "internal error"),
        (255, "the broker ended the TLS handshake"),
    ] {
        let mut peer = broker.accept();
        let mut hello = [0; 4096];
        assert!(std::io::Read::read(&mut peer.stream, &mut hello).unwrap() > 0);
        peer.send(&[21, 3, 3, 0, 2, 2, alert]);
        host.fails_in_tls(&[words]);
    }
}

#[test]
fn a_hundred_clients_connect_at_once() {
    let pki = Pki::with(KeyKind::Rsa2048);
    let broker = demanding(&pki, "max_connections -1\n");
    let pair = pki.device("dk", KeyKind::EcP256);
    let mut hosts: Vec<Host> = (0..100)
        .map(|n| {
            Setup::secure(&uri(&broker), &pki.ca())
                .identity("pk", &format!("device{n}"))
                .tls(Some(&pki.ca()), Some(&pair))
                .start()
        })
        .collect();
    for host in &hosts {
        host.connect();
    }
    for host in &mut hosts {
        host.expect("CONNECTED");
    }
    let tokens: Vec<u64> = hosts.iter().map(|host| host.publish("t", &[7; 1000], 1).unwrap()).collect();
    for (host, token) in hosts.iter_mut().zip(tokens) {
        let told = host.expect("DELIVERED");
        assert_eq!((told.token, told.status), (token, ENOS_OK));
    }
}

/// The simulator with TLS, which requires certificates.
fn secure_desk(pki: &Pki, active: bool) -> Desk {
    let [cert, key] = pki.write("desk", &pki.root.issue(&local()).unwrap());
    let files = Files { certificate: PathBuf::from(cert), key: PathBuf::from(key) };
    let set = |config: &mut enos_sim::Config| {
        config.plain = false;
        config.tls = Some(TlsConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            client_ca: Some(pki.file("ca.pem")),
            require_client_certificate: true,
            ..TlsConfig::new(files)
        });
    };
    if active {
        Desk::active(set)
    } else {
        Desk::inactive(set)
    }
}

#[test]
fn a_device_is_activated_over_tls() {
    let (pki, store) = (Pki::new(), Store::new());
    let desk = secure_desk(&pki, false);
    let uri = format!("ssl://{}", desk.cloud.tls_address().unwrap());
    let pair = pki.device("dk", KeyKind::EcP256);
    let secure = |setup: Setup| setup.tls(Some(&pki.ca()), Some(&pair));
    let mut host = secure(Setup::to(&uri)).product_secret(PRODUCT_SECRET).storage(&store).start();
    host.connect();
    assert!(host.expect("ACTIVATED").secret.is_some());
    host.expect("CONNECTED");
    let token = host.post(r#"{"measurepoints":{"temperature":21.5},"time":1}"#).unwrap();
    let told = host.until("REPLY");
    assert_eq!((told.token, told.status), (token, ENOS_OK));
    desk.wait_for(|event| matches!(event, Event::Connect { .. }));
    drop(host);
    // Again from the storage; the product secret is not used.
    let mut host = secure(Setup::to(&uri)).product_secret("not needed").storage(&store).start();
    host.online();
}

#[test]
fn the_simulator_wants_a_certificate_and_the_secret_as_well() {
    let pki = Pki::new();
    let desk = secure_desk(&pki, true);
    let uri = format!("ssl://{}", desk.cloud.tls_address().unwrap());
    let mut host = Setup::secure(&uri, &pki.ca()).reconnect(0, 0).start();
    host.connect();
    host.fails_in_tls(&["the device showed no certificate"]);
    let pair = pki.device("dk", KeyKind::Rsa2048);
    for (secret, status) in [("a wrong one", ENOS_ERR_CREDENTIALS), (DEVICE_SECRET, ENOS_OK)] {
        let setup = Setup::to(&uri).device_secret(secret).tls(Some(&pki.ca()), Some(&pair)).reconnect(0, 0);
        let mut host = setup.start();
        host.connect();
        let told = host.next();
        assert_eq!(told.status, status, "{told:?}");
    }
}
