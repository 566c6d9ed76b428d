//! The port with TLS, for a device with a correct client, and for one with a wrong certificate.

use crate::common::{tls::*, *};
use enos_sim::{
    ca::{Authority, Certified, KeyKind, Profile, Validity},
    Config, Device, TlsConfig, TlsVersion,
};
use mqttbytes::QoS;
use openssl::ssl::SslVersion;
use std::io::{ErrorKind, Write};
use support::tls::{local, Pki};

const EXPIRED: Validity = Validity::days(-10, -1);
const NOT_YET: Validity = Validity::days(1, 10);

fn reason(sim: &Sim) -> String {
    sim.wait_for("tls_failed")["reason"].as_str().unwrap().to_owned()
}

#[test]
fn both_ports_belong_to_one_cloud() {
    let pki = Pki::new();
    let sim = Sim::start(Config { plain: true, ..secure(pki.port(), active()) });
    assert_eq!(sim.wait_for("listening")["tls"], false);
    let listening = sim.wait_for("listening");
    assert_eq!(listening["port"], sim.cloud.tls_address().unwrap().port());
    assert_ne!(listening["port"], sim.address().port());
    let mut plain = sim.device(DEVICE_SECRET);
    let _client = log_in(&sim, &pki);
    assert_eq!(plain.end(), ErrorKind::UnexpectedEof, "the device has connected again");
}

#[test]
fn large_messages_come_through_unchanged() {
    let pki = Pki::new();
    let sim = Sim::start(secure(pki.port(), active()));
    let mut client = log_in(&sim, &pki);
    client.subscribe("/large", QoS::AtMostOnce);
    for size in [0, 1, 16_383, 16_384, 16_385, 500_000] {
        let payload: Vec<u8> = (0..size).map(|n| n as u8).collect();
        client.publish("/large", QoS::AtMostOnce, payload.clone());
        assert!(client.next_publish().payload == payload, "{size} bytes");
    }
    // Many packets in a record.
    let mut out = bytes::BytesMut::new();
    (0..200).for_each(|_| assert_eq!(mqttbytes::v4::PingReq.write(&mut out), Ok(2)));
    client.write(&out);
    (0..200).for_each(|_| assert_eq!(client.next(), mqttbytes::v4::Packet::PingResp));
}

#[test]
fn the_end_sends_close_notify() {
    let pki = Pki::new();
    let sim = Sim::start(secure(pki.port(), active()));
    let mut client = log_in(&sim, &pki);
    sim.cloud.kick(&dk()).unwrap();
    // With OpenSSL 3, an end without close_notify is another error.
    assert_eq!(client.end(), ErrorKind::UnexpectedEof);

    let mut client = log_in(&sim, &pki);
    client.send(|out| mqttbytes::v4::PingReq.write(out));
    client.stream.shutdown().unwrap();
    assert_eq!(client.next(), mqttbytes::v4::Packet::PingResp, "what came before the end is heard");
    assert_eq!(client.end(), ErrorKind::UnexpectedEof);
}

#[test]
fn a_client_certificate_is_demanded() {
    let pki = Pki::new();
    let sim = Sim::start(secure(pki.demanding(), active()));
    let twice = |certified: Option<&Certified>| {
        let reasons = [SslVersion::TLS1_2, SslVersion::TLS1_3].map(|version| {
            let mut builder = certified.map_or_else(|| trusting(&pki), |certified| trusting_with(&pki, certified));
            speak(&mut builder, version);
            // In TLS 1.3 the client finishes the handshake before its certificate is checked.
            assert!(try_open(&sim, builder).map_or(true, |mut client| client.try_next().is_err()));
            reason(&sim)
        });
        assert_eq!(reasons[0], reasons[1]);
        reasons[0].clone()
    };
    assert_eq!(twice(None), "the client shows no certificate");
    let stranger = Authority::root("Another CA", KeyKind::EcP256).unwrap();
    let words = twice(Some(&stranger.issue(&Profile::client("dk")).unwrap()));
    assert_eq!(words, "the client's certificate CN=dk: unable to get local issuer certificate");
    let issue = |profile: Profile| pki.root.issue(&profile).unwrap();
    let words = twice(Some(&issue(Profile::client("dk").valid(EXPIRED))));
    assert_eq!(words, "the client's certificate CN=dk: certificate has expired");
    let words = twice(Some(&issue(Profile::client("dk").valid(NOT_YET))));
    assert_eq!(words, "the client's certificate CN=dk: certificate is not yet valid");
    let words = twice(Some(&issue(local())));
    assert!(words.contains("purpose"), "a server's certificate: {words}");
    let words = twice(Some(&Profile::client("me").self_signed().unwrap()));
    assert!(words.contains("self-signed"), "{words}");

    // The client sends an intermediate with its certificate.
    let intermediate = pki.root.intermediate("Test intermediate").unwrap();
    let certificate = intermediate.issue(&Profile::client("dk")).unwrap();
    let mut client = open(&sim, trusting_with(&pki, &certificate));
    assert_eq!(client.login(&Login::device(DEVICE_SECRET)), 0);
    assert_eq!(sim.wait_for("tls")["client_certificate"], "CN=dk");
}

#[test]
fn a_client_certificate_may_be_optional() {
    let pki = Pki::new();
    let mut config = secure(pki.demanding(), active());
    config.tls.as_mut().unwrap().require_client_certificate = false;
    let sim = Sim::start(config);
    log_in(&sim, &pki);
    assert!(sim.wait_for("tls").get("client_certificate").is_none());
    // But if a certificate is shown, it must be right.
    let certificate = Profile::client("dk").self_signed().unwrap();
    assert!(try_open(&sim, trusting_with(&pki, &certificate)).map_or(true, |mut client| client.try_next().is_err()));
    assert!(reason(&sim).contains("CN=dk"));
}

#[test]
fn the_alert_of_a_client_that_refuses_is_explained() {
    let pki = Pki::new();
    let issue = |profile: Profile| pki.root.issue(&profile).unwrap();
    let cases = [
        (issue(local().valid(EXPIRED)), "certificate has expired", "has expired (alert 45"),
        (issue(local().valid(NOT_YET)), "not yet valid", "not valid yet (alert 42"),
        (issue(Profile::server().dns("elsewhere")), "ostname mismatch", "for another name"),
        (local().self_signed().unwrap(), "self-signed", "does not know the CA"),
    ];
    for (shown, to_client, to_server) in cases {
        let sim = Sim::start(showing(&pki, &shown, active()));
        let words = try_open(&sim, trusting(&pki)).err().unwrap();
        assert!(words.contains(to_client), "{words}");
        let failed = sim.wait_for("tls_failed");
        assert!(failed["reason"].as_str().unwrap().contains(to_server), "{failed}");
        assert_eq!((&failed["server_name"], &failed["connection"]), (&"localhost".into(), &1.into()));
        assert!(failed["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
    }
    // A chain is sent as it is in the file.
    let intermediate = pki.root.intermediate("Test intermediate").unwrap();
    let sim = Sim::start(showing(&pki, &intermediate.issue(&local()).unwrap(), active()));
    log_in(&sim, &pki);
}

#[test]
fn versions_are_as_configured() {
    let pki = Pki::new();
    let attempt = |min, max, version| {
        let sim = Sim::start(secure(TlsConfig { min, max, ..pki.port() }, active()));
        let mut builder = trusting(&pki);
        speak(&mut builder, version);
        match try_open(&sim, builder) {
            Ok(_) => sim.wait_for("tls")["version"].as_str().unwrap().to_owned(),
            Err(_) => reason(&sim),
        }
    };
    use TlsVersion::*;
    let none = "the client speaks no TLS version that the server does";
    assert_eq!(attempt(V1_2, V1_3, SslVersion::TLS1_1), none);
    assert_eq!(attempt(V1_3, V1_3, SslVersion::TLS1_2), none);
    assert_eq!(attempt(V1_2, V1_2, SslVersion::TLS1_3), none);
    assert_eq!(attempt(V1_2, V1_2, SslVersion::TLS1_2), "TLSv1.2");
    assert_eq!(attempt(V1_1, V1_1, SslVersion::TLS1_1), "TLSv1.1");
}

#[test]
fn data_without_tls_is_reported() {
    let pki = Pki::new();
    let sim = Sim::start(Config { plain: true, ..secure(pki.port(), active()) });
    let say = |bytes: &[u8]| {
        let mut stream = connect(sim.cloud.tls_address().unwrap());
        stream.write_all(bytes).unwrap();
        drop(stream);
        reason(&sim)
    };
    assert_eq!(say(&Login::device(DEVICE_SECRET).bytes()), "it speaks MQTT without TLS");
    assert_eq!(say(b"GET / HTTP/1.1\r\n\r\n"), "it speaks HTTP without TLS");
    assert_eq!(say(b"hello, server"), "it does not send TLS");
    assert_eq!(say(b""), "the link was closed: by the peer");

    let plain = connect(sim.address());
    assert!(handshake(plain, trusting(&pki)).is_err());
    // The other ports were closed as well.
    while !sim.wait_for("closed")["reason"].as_str().unwrap().contains("it speaks TLS") {}
}

#[test]
fn a_port_that_cannot_be_set_up_is_not_opened() {
    let pki = Pki::new();
    let fails = |change: &dyn Fn(&mut TlsConfig)| {
        let mut tls = pki.port();
        change(&mut tls);
        enos_sim::Cloud::start(secure(tls, active()), |_| {}).err().unwrap().to_string()
    };
    let key = pki.root.issue(&local()).unwrap();
    let other = key.write(pki.directory.path(), "mismatched").unwrap();
    assert_eq!(fails(&|tls| tls.files.key = other.key.clone()), "the key does not match the certificate");
    let locked = key.write_encrypted(pki.directory.path(), "locked", "opensesame").unwrap();
    let words = fails(&|tls| tls.files = locked.clone());
    assert!(words.ends_with("locked.key: the key is encrypted"), "{words}");
    assert!(fails(&|tls| tls.files.certificate = "/nowhere.pem".into()).starts_with("/nowhere.pem: "));
    let words = fails(&|tls| tls.files.certificate = tls.files.key.clone());
    assert!(words.ends_with("server.key: it contains no PEM certificate"), "{words}");
    let words = fails(&|tls| tls.files.key = tls.files.certificate.clone());
    assert!(words.ends_with("server.pem: it contains no PEM private key"), "{words}");
    assert!(fails(&|tls| tls.require_client_certificate = true).contains("only when there is a CA"));
    assert!(fails(&|tls| tls.max = TlsVersion::V1_1).contains("newer than the newest"));
    let nothing = Config { plain: false, ..active() };
    assert!(enos_sim::Cloud::start(nothing, |_| {}).is_err());
}

#[test]
fn a_fleet_connects_at_once() {
    const CLIENTS: usize = 100;
    let pki = Pki::new();
    let devices = (0..CLIENTS).map(|n| Device::active(device(n), DEVICE_SECRET)).collect();
    let sim = Sim::start(secure(pki.port(), Config { devices, ..config() }));
    let address = sim.cloud.tls_address().unwrap();
    let mut clients: Vec<_> = std::thread::scope(|scope| {
        let connecting: Vec<_> = (0..CLIENTS)
            .map(|n| {
                let builder = trusting(&pki);
                scope.spawn(move || {
                    let mut client = try_open_at(address, builder).unwrap();
                    assert_eq!(client.login(&Login { id: device(n), ..Login::device(DEVICE_SECRET) }), 0);
                    client
                })
            })
            .collect();
        connecting.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(sim.cloud.online().len(), CLIENTS);
    clients.iter_mut().for_each(Client::ping);
}

fn device(n: usize) -> enos_sim::DeviceId {
    enos_sim::DeviceId::new("pk", format!("d{n}"))
}
