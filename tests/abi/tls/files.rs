//! Certificates and keys as files and in memory: errors in them are reported before any connection, and OpenSSL never
//! asks for a password.
#![cfg(feature = "tls")]

use enos::error::Status::{self, *};
use enos_sim::ca::{Authority, KeyKind, Profile, Validity};
use openssl::x509::X509;
use std::fs;
use support::broker;
use support::host;
use support::host::Setup;
use support::tls;
use support::tls::{path, want_certificate, Pki, TlsBroker};

const NOWHERE: &str = "ssl://127.0.0.1:9";
const PASSWORD: &str = "the key's p4ssword";

/// Creating the client must fail with this reason.
#[track_caller]
fn refused(setup: Setup, words: &[&str]) {
    let (status, said) = setup.try_create().err().expect("it was accepted");
    assert_eq!(status, ENOS_ERR_TLS, "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in {said:?}");
    }
    assert!(!said.contains(PASSWORD) && !said.contains("BEGIN PRIVATE KEY-----M"), "{said}");
}

fn with_pair(pki: &Pki, pair: &[String; 2]) -> Setup {
    Setup::secure(NOWHERE, &pki.ca()).tls(Some(&pki.ca()), Some(pair))
}

#[test]
fn a_ca_that_cannot_be_used_is_named_with_the_reason() {
    let pki = Pki::new();
    let write = |name: &str, bytes: &[u8]| {
        fs::write(pki.file(name), bytes).unwrap();
        path(&pki.file(name))
    };
    let good = fs::read(pki.ca()).unwrap();
    let trusted = String::from_utf8(good.clone()).unwrap().replace("CERTIFICATE", "TRUSTED CERTIFICATE");
    let directory = path(pki.directory.path());
    for (ca, words) in [
        (path(&pki.file("missing.pem")), "cannot be read: No such file"),
        (directory, "is not a file"),
        ("/dev/zero".to_owned(), "is not a file"),
        (write("empty.pem", b""), "has no certificate in it"),
        (write("text.pem", b"no PEM at all\n"), "has no certificate in it"),
        (write("der.pem", &[0x30, 0x82, 0, 1, 0xff]), "has no certificate in it"),
        (write("cut.pem", &good[..good.len() / 2]), "cut short"),
        (write("second-cut.pem", &[&good[..], &good[..good.len() - 40]].concat()), "cut short"),
        (write("no-end.pem", &[&good[..28], &good[..]].concat()), "a CERTIFICATE has no end"),
        (
            write(
                "headers.pem",
                b"-----BEGIN CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\n\n////\n-----END CERTIFICATE-----",
            ),
            "not Base64",
        ),
        (write("utf-16.pem", b"\xff\xfe-\0-\0"), "is in UTF-16"),
        (write("trusted.pem", trusted.as_bytes()), "openssl x509"),
        (write("garbage.pem", b"-----BEGIN CERTIFICATE-----\n////\n-----END CERTIFICATE-----\n"), "damaged"),
        (pki.file("ca.key").to_str().unwrap().to_owned(), "has no certificate in it"),
    ] {
        refused(Setup::secure(NOWHERE, &ca), &["the CA file", &ca, words]);
    }
    let pipe = pki.file("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    refused(Setup::secure(NOWHERE, &path(&pipe)), &["is not a file"]);
    // An unreadable file; skipped for root, who can read everything. SAFETY: no argument.
    if unsafe { libc::geteuid() } != 0 {
        use std::os::unix::fs::PermissionsExt;
        let secret = write("secret.pem", &good);
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
        refused(Setup::secure(NOWHERE, &secret), &["cannot be read: Permission denied", &secret]);
    }
}

#[test]
fn pem_is_read_as_editors_and_tools_leave_it() {
    let pki = Pki::new();
    let pair = pki.device("dk", KeyKind::EcP256);
    let others = [Authority::root("Another CA", KeyKind::EcP256).unwrap().certificate_pem().unwrap()].map(text);
    let [ca, cert, key] = [pki.ca(), pair[0].clone(), pair[1].clone()].map(|path| text(fs::read(path).unwrap()));
    let broker = TlsBroker::with(&pki.server(), |context| want_certificate(context, &pki.root));
    let windows = |text: &str| text.replace('\n', "\r\n");
    let marked = |text: &str| format!("\u{feff}{text}");
    for [ca, cert, key] in [
        [windows(&ca), windows(&cert), windows(&key)],
        [marked(&ca), marked(&cert), marked(&key)],
        // A bundle of files that begin with a byte order mark; text, blank lines and other blocks around the
        // certificates.
        [format!("{}{}", marked(&others[0]), marked(&ca)), marked(&windows(&cert)), marked(&windows(&key))],
        [
            format!("A CA\n\n{ca}\nAnother\n{}", others[0]),
            format!("{key}The device's:\n{cert}  \n"),
            format!("{cert}\n{key}"),
        ],
        [ca.replace("CERTIFICATE", "X509 CERTIFICATE"), cert.trim_end().to_owned(), key.trim_end().to_owned()],
    ] {
        let pems = [Some(ca.as_bytes()), Some(cert.as_bytes()), Some(key.as_bytes())];
        let (_host, peer) = broker.online(Setup::to(&broker.uri()).device_secret("s").tls_pem(pems));
        assert!(peer.stream.ssl().peer_certificate().is_some());
    }
}

fn text(pem: Vec<u8>) -> String {
    String::from_utf8(pem).unwrap()
}

#[test]
fn a_chain_in_any_order_is_sent_in_the_right_one() {
    let pki = Pki::new();
    let (upper, issue) =
        (pki.root.intermediate("The upper one").unwrap(), |by: &Authority| by.issue(&Profile::client("dk")).unwrap());
    let certified = issue(&upper.intermediate("The lower one").unwrap());
    let chain = X509::stack_from_pem(&certified.certificate_pem().unwrap()).unwrap();
    assert_eq!(chain.len(), 3);
    let broker = TlsBroker::with(&pki.server(), |context| want_certificate(context, &pki.root));
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [2, 1, 0]] {
        let pem = order.map(|n| chain[n].to_pem().unwrap()).concat();
        let pems = [pki.root.certificate_pem().unwrap(), pem, certified.key_pem().unwrap()];
        let setup = Setup::to(&broker.uri()).device_secret("s").tls_pem(pems.each_ref().map(|pem| Some(&**pem)));
        let (_host, peer) = broker.online(setup);
        let shown: Vec<_> =
            peer.stream.ssl().peer_cert_chain().unwrap().iter().map(|one| one.to_der().unwrap()).collect();
        let right: Vec<_> = chain[1..].iter().map(|one| one.to_der().unwrap()).collect();
        assert_eq!(peer.stream.ssl().peer_certificate().unwrap().to_der().unwrap(), chain[0].to_der().unwrap());
        assert!(shown == right, "{order:?}");
    }
    // A key that matches none of them.
    let other = issue(&pki.root).key_pem().unwrap();
    let pem = certified.certificate_pem().unwrap();
    refused(Setup::to(NOWHERE).device_secret("s").tls_pem([None, Some(&pem), Some(&other)]), &["is not the key of"]);
}

#[test]
fn a_key_that_cannot_be_used_is_named_with_the_reason() {
    let pki = Pki::new();
    for kind in [KeyKind::EcP256, KeyKind::Rsa2048] {
        let pair = pki.device("dk", kind);
        drop(with_pair(&pki, &pair).create());
        let [cert, key] = pair;
        let other = pki.device("other", kind)[1].clone();
        refused(with_pair(&pki, &[cert.clone(), other.clone()]), &[&other, "is not the key of", &cert]);
        refused(with_pair(&pki, &[cert.clone(), cert.clone()]), &["the private key", &cert, "no private key in it"]);
        refused(with_pair(&pki, &[key.clone(), key.clone()]), &["the certificate", &key, "no certificate in it"]);
        let missing = path(&pki.file("missing.key"));
        refused(with_pair(&pki, &[cert.clone(), missing.clone()]), &["the private key", &missing, "No such file"]);
        let cut = path(&pki.file("cut.key"));
        let whole = fs::read(&key).unwrap();
        fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
        refused(with_pair(&pki, &[cert.clone(), cut.clone()]), &["the private key", &cut, "damaged or cut short"]);
        // Both in one file.
        let both = path(&pki.file("both.pem"));
        fs::write(&both, [fs::read(&cert).unwrap(), whole].concat()).unwrap();
        with_pair(&pki, &[both.clone(), both]).create();
    }
}

#[test]
fn an_expired_certificate_is_told_with_both_dates_and_one_for_tomorrow_is_tried() {
    let pki = Pki::new();
    let device = |validity| pki.root.issue(&Profile::client("dk").valid(validity)).unwrap();
    let old = pki.write("old", &device(Validity::days(-10, -1)));
    refused(with_pair(&pki, &old), &[&old[0], "has expired", "valid until", "the device's clock says", "GMT"]);
    let young = pki.write("young", &device(Validity::days(1, 10)));
    with_pair(&pki, &young).create();
}

#[test]
fn what_is_not_used_is_not_read() {
    let missing = ["/missing/cert.pem".to_owned(), "/missing/key.pem".to_owned()];
    Setup::to("tcp://127.0.0.1:9").device_secret("s").tls(Some("/missing/ca.pem"), Some(&missing)).create();
}

#[test]
fn an_encrypted_key_wants_its_password_from_the_program_and_from_nobody_else() {
    let pki = Pki::new();
    for kind in [KeyKind::EcP256, KeyKind::Rsa2048] {
        let certified = pki.root.issue(&Profile::client("dk").key(kind)).unwrap();
        let files = certified.write_encrypted(pki.directory.path(), "locked", PASSWORD).unwrap();
        let pair = [path(&files.certificate), path(&files.key)];
        refused(with_pair(&pki, &pair), &[&pair[1], "encrypted", "enos_config_set_tls_key_password"]);
        refused(with_pair(&pki, &pair).key_password("wrong"), &[&pair[1], "password is wrong"]);
        refused(with_pair(&pki, &pair).key_password(&"x".repeat(1024)), &[&pair[1], "password is wrong"]);

        let broker = TlsBroker::with(&pki.server(), |context| want_certificate(context, &pki.root));
        let setup = Setup::secure(&broker.uri(), &pki.ca()).tls(Some(&pki.ca()), Some(&pair)).key_password(PASSWORD);
        let (_host, peer) = broker.online(setup);
        assert!(peer.stream.ssl().peer_certificate().is_some());
        // An unnecessary password does no harm.
        let plain = pki.device("plain", kind);
        with_pair(&pki, &plain).key_password(PASSWORD).create();
    }
}

#[test]
fn pem_in_memory_does_as_files_do() {
    let pki = Pki::new();
    let certified = pki.root.issue(&Profile::client("dk")).unwrap();
    let (ca, cert) = (pki.root.certificate_pem().unwrap(), certified.certificate_pem().unwrap());
    let (key, locked) = (certified.key_pem().unwrap(), certified.encrypted_key_pem(PASSWORD).unwrap());
    let broker = TlsBroker::with(&pki.server(), |context| want_certificate(context, &pki.root));
    let setup = || Setup::to(&broker.uri()).device_secret("s");
    for setup in [
        setup().tls_pem([Some(&ca), Some(&cert), Some(&key)]),
        setup().tls_pem([Some(&ca), Some(&cert), Some(&locked)]).key_password(PASSWORD),
        setup().tls(Some("/missing"), None).tls_pem([Some(&ca), Some(&cert), Some(&key)]),
    ] {
        let (_host, peer) = broker.online(setup);
        let shown = peer.stream.ssl().peer_certificate().unwrap().to_pem().unwrap();
        assert!(cert.starts_with(&shown));
    }
    let other = Authority::root("Another CA", KeyKind::EcP256).unwrap();
    let other_key = other.issue(&Profile::client("dk")).unwrap().key_pem().unwrap();
    for (pems, words) in [
        ([Some(&b"no PEM"[..]), None, None], ["the CA file given in memory", "no certificate in it"]),
        ([Some(&ca), Some(&cert), Some(&other_key)], ["the private key given in memory", "is not the key of"]),
        ([Some(&ca), Some(&cert), Some(&locked)], ["the private key given in memory", "encrypted"]),
        ([Some(&ca), Some(&key), Some(&key)], ["the certificate given in memory", "no certificate in it"]),
    ] {
        refused(setup().tls_pem(pems), &words);
    }
}

/// Ends the connection, and makes the device connect again.
fn lose(broker: &TlsBroker, host: &mut host::Host, peer: tls::TlsPeer) -> tls::TlsPeer {
    drop(peer);
    assert_eq!(host.expect("DISCONNECTED").status, ENOS_ERR_NETWORK);
    let peer = broker.accept_mqtt();
    host.expect("CONNECTED");
    peer
}

fn serial(peer: &tls::TlsPeer) -> Vec<u8> {
    peer.stream.ssl().peer_certificate().unwrap().serial_number().to_bn().unwrap().to_vec()
}

#[test]
fn a_renewal_counts_from_the_next_connect_and_a_broken_one_is_told_until_it_is_mended() {
    let pki = Pki::new();
    let [cert, key] = pki.device("dk", KeyKind::EcP256);
    let broker = TlsBroker::with(&pki.server(), |context| want_certificate(context, &pki.root));
    let pair = [cert.clone(), key.clone()];
    let setup = Setup::secure(&broker.uri(), &pki.ca()).tls(Some(&pki.ca()), Some(&pair));
    let (mut host, peer) = broker.online(setup);
    let first = serial(&peer);

    // A good pair: written to new files, and renamed.
    pki.device("dk", KeyKind::Rsa2048);
    let peer = lose(&broker, &mut host, peer);
    assert_ne!(serial(&peer), first, "the new one is shown");

    // Changes of the files do not affect the present link.
    let (good_cert, good_key) = (fs::read(&cert).unwrap(), fs::read(&key).unwrap());
    let other = pki.device("other", KeyKind::EcP256);
    let broken: [(&str, Vec<u8>, &str); 4] = [
        (&cert, good_cert[..good_cert.len() / 2].to_vec(), "cut short"),
        (&key, good_key[..good_key.len() / 2].to_vec(), "damaged or cut short"),
        (&key, Vec::new(), "no private key in it"),
        (&key, fs::read(&other[1]).unwrap(), "is not the key of"),
    ];
    let mut peer = peer;
    for (file, bytes, words) in broken {
        let before = fs::read(file).unwrap();
        fs::write(file, bytes).unwrap();
        let token = host.publish("t", b"still here", 1).unwrap();
        let id = peer.expect(broker::PUBLISH).id();
        peer.send(&broker::puback(id));
        assert_eq!(host.expect("DELIVERED").token, token);
        drop(peer);
        assert_eq!(host.expect("DISCONNECTED").status, ENOS_ERR_NETWORK);
        for _ in 0..2 {
            let told = host.fails_in_tls(&[file, words]);
            assert!(told.retry_in_ms > 0, "it is tried again");
        }
        fs::write(file, before).unwrap();
        peer = broker.accept_mqtt();
        while host.next().status != ENOS_OK {}
    }
    // A file that is removed and restored.
    fs::rename(&cert, pki.file("aside")).unwrap();
    drop(peer);
    assert_eq!(host.expect("DISCONNECTED").status, ENOS_ERR_NETWORK);
    host.fails_in_tls(&[&cert, "No such file"]);
    fs::rename(pki.file("aside"), &cert).unwrap();
    let _peer = broker.accept_mqtt();
    while host.next().status != ENOS_OK {}
}

#[test]
fn no_attempt_left_is_returned_by_wait() {
    let pki = Pki::new();
    let host = Setup::secure(NOWHERE, &pki.ca()).reconnect(0, 0).create();
    fs::remove_file(pki.ca()).unwrap();
    host.connect();
    assert_eq!(host.wait(host::ONLINE, host::PATIENCE_MS), Status::ENOS_ERR_TLS);
    assert!(host::last_error().contains("No such file"), "{}", host::last_error());
}
