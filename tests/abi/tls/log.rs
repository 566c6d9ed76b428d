//! The log and the events of TLS sessions that fail and succeed, at the finest level, contain no key, no password and
//! no secret. The test has its own process, because a process has one log callback.
#![cfg(feature = "tls")]

use enos::error::Status::*;
use enos_sim::ca::{Authority, KeyKind, Profile};
use std::fs;
use support::alone::alone;
use support::broker;
use support::broker::CONNECT;
use support::host::{Setup, DEVICE_SECRET};
use support::log;
use support::tls::{local, path, want_certificate, Pki, TlsBroker};

const KEY_PASSWORD: &str = "the-p4ssword-of-the-key";

/// Pieces of a PEM's body, none of which may appear.
fn pieces(pem: &[u8]) -> Vec<String> {
    let text = String::from_utf8(pem.to_vec()).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with("-----") && line.len() >= 16);
    lines.map(|line| line[..16].to_owned()).collect()
}

#[test]
fn log_and_events_contain_no_key_password_or_secret() {
    alone(|| {
        assert_eq!(log::listen(log::TRACE), 0);
        let pki = Pki::new();
        let certified = pki.root.issue(&Profile::client("dk")).unwrap();
        let files = certified.write_encrypted(pki.directory.path(), "dk", KEY_PASSWORD).unwrap();
        let pair = [path(&files.certificate), path(&files.key)];
        let (key, locked) = (certified.key_pem().unwrap(), fs::read(&pair[1]).unwrap());
        let mut said = String::new();
        let mut passwords = Vec::new();

        // Errors at create.
        let setup = |uri: &str| Setup::secure(uri, &pki.ca()).tls(Some(&pki.ca()), Some(&pair));
        for setup in [
            setup("ssl://127.0.0.1:9"),
            setup("ssl://127.0.0.1:9").key_password("another password"),
            setup("ssl://127.0.0.1:9").tls_pem([None, Some(&key), Some(&key)]),
            setup("ssl://127.0.0.1:9").tls_pem([None, Some(&certified.certificate_pem().unwrap()), Some(&locked)]),
            setup("ssl://127.0.0.1:9").tls_pem([None, Some(&certified.certificate_pem().unwrap()), Some(&key[..80])]),
        ] {
            let (status, words) = setup.try_create().err().unwrap();
            assert_eq!(status, ENOS_ERR_TLS);
            said += &words;
        }

        // A broker that the device refuses, one that refuses the device, and a good one.
        let stranger = Authority::root("A stranger's CA", KeyKind::EcP256).unwrap();
        let wrong = TlsBroker::new(&stranger.issue(&local()).unwrap());
        let mut host = setup(&wrong.uri()).key_password(KEY_PASSWORD).reconnect(0, 0).start();
        host.connect();
        assert!(wrong.try_accept().is_err());
        said += &host.fails_in_tls(&["unknown authority"]).detail;
        let strict = TlsBroker::with(&pki.server(), |context| want_certificate(context, &stranger));
        let mut host = setup(&strict.uri()).key_password(KEY_PASSWORD).reconnect(0, 0).start();
        host.connect();
        assert!(strict.try_accept().is_err());
        said += &host.fails_in_tls(&["refused the device's certificate"]).detail;

        let broker = TlsBroker::with(&pki.server(), |context| want_certificate(context, &pki.root));
        let mut host = setup(&broker.uri()).key_password(KEY_PASSWORD).skip_name_check().start();
        host.connect();
        for code in [4, 0] {
            let mut peer = broker.accept();
            passwords.push(peer.expect(CONNECT).credentials()[2].to_owned());
            peer.send(&broker::connack(code));
            let told = host.next();
            assert_eq!(told.status, if code == 0 { ENOS_OK } else { ENOS_ERR_CREDENTIALS });
            said += &told.detail;
            if code == 0 {
                break;
            }
        }
        // And a renewal that fails.
        fs::write(&pair[1], &key[..key.len() / 2]).unwrap();
        drop(broker);
        host.until("DISCONNECTED");
        said += &host.fails_in_tls(&[&pair[1]]).detail;
        drop(host);

        let log = log::said();
        assert!(log.contains("2 tls: the broker's name is NOT checked"), "{log}");
        assert!(log.contains("DISCONNECTED") && log.contains("CONNECTED"), "{log}");
        let mut forbidden = vec![KEY_PASSWORD.to_owned(), "another password".to_owned(), DEVICE_SECRET.to_owned()];
        forbidden.extend(passwords);
        forbidden.extend(pieces(&key));
        forbidden.extend(pieces(&locked));
        assert!(forbidden.len() > 7);
        for secret in forbidden {
            assert!(!log.contains(&secret) && !said.contains(&secret), "{secret:?} is in\n{log}\n{said}");
        }
    });
}

#[test]
fn texts_cannot_forge_lines_or_change_the_direction_of_text() {
    alone(|| {
        assert_eq!(log::listen(log::TRACE), 0);
        let pki = Pki::new();
        let ca = path(&pki.file("a\nb\u{1b}[2Jc\u{85}d\u{2028}e\u{2029}f\u{202e}g\u{2066}h.pem"));
        let shown = path(&pki.file("a?b?[2Jc?d?e?f?g?h.pem"));
        let words = Setup::secure("ssl://127.0.0.1:9", &ca).try_create().err().unwrap().1;
        assert!(words.contains(&shown), "{words:?}");
        fs::copy(pki.ca(), &ca).unwrap();
        let mut host = Setup::secure("ssl://127.0.0.1:9", &ca).reconnect(0, 0).start();
        fs::remove_file(&ca).unwrap();
        host.connect();
        host.fails_in_tls(&[&shown]);
        drop(host);
        assert!(log::said().contains(&shown), "{:?}", log::said());
    });
}
