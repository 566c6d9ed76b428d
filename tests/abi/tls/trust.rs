//! The authorities that a device trusts: name constraints, revocation lists, and the system's authorities, which are
//! loaded once.
#![cfg(feature = "tls")]

use super::check::{accepts, refuses};
use enos::error::Status::ENOS_ERR_TLS;
use enos_sim::ca::{Authority, Certified, Files, KeyKind, Profile};
use openssl::asn1::Asn1Time;
use openssl::base64;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{AuthorityKeyIdentifier, BasicConstraints, CrlNumber, SubjectKeyIdentifier};
use openssl::x509::{X509Crl, X509CrlBuilder, X509Extension, X509RevokedBuilder, X509};
use std::ffi::{c_int, CString};
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use support::alone::alone;
use support::host::Setup;
use support::tls;
use support::tls::{local, Pki, TlsBroker};

/// The certificate and the key of an authority.
fn own(authority: &Authority) -> (X509, PKey<Private>) {
    let directory = tempfile::tempdir().unwrap();
    let Files { key, .. } = authority.write(directory.path()).unwrap();
    let certificate = X509::from_pem(&authority.certificate_pem().unwrap()).unwrap();
    (certificate, PKey::private_key_from_pem(&fs::read(key).unwrap()).unwrap())
}

/// An authority with a name constraint to names below `names`, written to a directory.
#[allow(deprecated)] // the one way to write name constraints
fn limited_to(names: &str, directory: &Path) -> Authority {
    let (root, key) = own(&Authority::root("A limited CA", KeyKind::EcP256).unwrap());
    let mut limited = X509::builder().unwrap();
    limited.set_version(2).unwrap();
    limited.set_serial_number(root.serial_number()).unwrap();
    limited.set_subject_name(root.subject_name()).unwrap();
    limited.set_issuer_name(root.subject_name()).unwrap();
    limited.set_pubkey(&key).unwrap();
    limited.set_not_before(root.not_before()).unwrap();
    limited.set_not_after(root.not_after()).unwrap();
    limited.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
    let identifier = SubjectKeyIdentifier::new().build(&limited.x509v3_context(None, None)).unwrap();
    limited.append_extension(identifier).unwrap();
    let constraints = format!("critical,permitted;DNS:{names}");
    limited.append_extension(X509Extension::new_nid(None, None, Nid::NAME_CONSTRAINTS, &constraints).unwrap()).unwrap();
    limited.sign(&key, MessageDigest::sha256()).unwrap();
    fs::write(directory.join("ca.pem"), limited.build().to_pem().unwrap()).unwrap();
    fs::write(directory.join("ca.key"), key.private_key_to_pem_pkcs8().unwrap()).unwrap();
    Authority::open(directory).unwrap()
}

#[test]
fn common_names_are_ignored_and_cannot_bypass_name_constraints() {
    let directory = tempfile::tempdir().unwrap();
    let limited = limited_to("example.com", directory.path());
    let ca = tls::path(&directory.path().join("ca.pem"));
    let broker = |profile: Profile| TlsBroker::new(&limited.issue(&profile).unwrap());
    let as_name = |broker: &TlsBroker, name: &str| Setup::secure(&broker.uri(), &ca).server_name(name);

    let fine = broker(Profile::server().dns("broker.example.com"));
    accepts(&fine, as_name(&fine, "broker.example.com"));
    let beyond = broker(Profile::server().dns("broker.example.org"));
    refuses(&beyond, as_name(&beyond, "broker.example.org"), &["permitted subtree violation"]);
    // Only in the common name: a name with dots, and one without, which OpenSSL does not treat as a host name.
    for name in ["broker.example.org", "broker"] {
        let evading = broker(Profile::server().common_name(name));
        let words = ["another name", "no DNS name", &*format!("its common name, {name}, does not count")];
        refuses(&evading, as_name(&evading, name), &words);
    }
    // A permitted name in the common name does not count either.
    let old = broker(Profile::server().common_name("broker.example.com"));
    refuses(&old, as_name(&old, "broker.example.com"), &["another name", "does not count"]);
}

/// A list of certificates that the root has revoked; the days of its validity are relative to now.
fn list(root: &Authority, revoked: &[&X509], [from, to]: [i64; 2]) -> Vec<u8> {
    let (certificate, key) = own(root);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let day = |day: i64| Asn1Time::from_unix(now + day * 86_400).unwrap();
    let mut list = X509CrlBuilder::new().unwrap();
    list.set_issuer_name(certificate.subject_name()).unwrap();
    list.set_last_update(&day(from)).unwrap();
    list.set_next_update(&day(to)).unwrap();
    let any = X509::builder().unwrap();
    let identifier = AuthorityKeyIdentifier::new().keyid(true).build(&any.x509v3_context(Some(&certificate), None));
    list.append_extension(identifier.unwrap()).unwrap();
    list.append_extension(CrlNumber::new(BigNum::from_u32(1).unwrap()).unwrap().build().unwrap()).unwrap();
    for one in revoked {
        let mut entry = X509RevokedBuilder::new().unwrap();
        entry.set_serial_number(one.serial_number()).unwrap();
        entry.set_revocation_date(&day(from)).unwrap();
        list.add_revoked(entry.build()).unwrap();
    }
    list.sign(&key, MessageDigest::sha256()).unwrap();
    list.build().unwrap().to_pem().unwrap()
}

/// The certificates of a broker.
fn shown(certified: &Certified) -> Vec<X509> {
    X509::stack_from_pem(&certified.certificate_pem().unwrap()).unwrap()
}

#[test]
fn what_a_list_in_the_ca_file_revokes_is_refused() {
    let pki = Pki::new();
    let (good, bad, unused) = (pki.server(), pki.server(), pki.server());
    let between = pki.root.intermediate("The one between").unwrap();
    let below = between.issue(&local()).unwrap();
    let other = Authority::root("Another CA", KeyKind::EcP256).unwrap();
    let elsewhere = other.issue(&local()).unwrap();
    let brokers = [&good, &bad, &below, &elsewhere].map(TlsBroker::new);
    let [of_good, of_bad, of_below, of_elsewhere] = &brokers;
    let authorities = [pki.root.certificate_pem().unwrap(), other.certificate_pem().unwrap()].concat();
    let with = |broker: &TlsBroker, list: &[u8]| {
        let ca = [&authorities, list].concat();
        Setup::to(&broker.uri()).device_secret("s").tls_pem([Some(&ca), None, None])
    };

    let current = list(&pki.root, &[&shown(&unused)[0], &shown(&bad)[0]], [-1, 10]);
    accepts(of_good, with(of_good, &current));
    refuses(of_bad, with(of_bad, &current), &["is revoked", "the list of The test's CA"]);
    // Authorities without a list: below this one, or beside it.
    accepts(of_below, with(of_below, &current));
    accepts(of_elsewhere, with(of_elsewhere, &current));
    // The authority in between is revoked itself.
    let between_revoked = list(&pki.root, &[&shown(&below)[1]], [-1, 10]);
    refuses(of_below, with(of_below, &between_revoked), &["The one between, which vouches", "is revoked"]);

    // An expired list makes all certificates of its authority invalid, but no others.
    let late = list(&pki.root, &[&shown(&bad)[0]], [-10, -1]);
    for broker in [of_good, of_bad] {
        refuses(broker, with(broker, &late), &["has expired", "the device's clock says", "a new list"]);
    }
    accepts(of_elsewhere, with(of_elsewhere, &late));
    let early = list(&pki.root, &[&shown(&bad)[0]], [1, 10]);
    refuses(of_good, with(of_good, &early), &["not valid yet", "wrong clock"]);
    // A list of another authority with the same name is ignored. A list with a wrong signature, or a truncated one, is
    // refused.
    let namesake = list(&Authority::root("The test's CA", KeyKind::EcP256).unwrap(), &[&shown(&bad)[0]], [-1, 10]);
    accepts(of_bad, with(of_bad, &namesake));
    let mut forged = X509Crl::from_pem(&current).unwrap().to_der().unwrap();
    *forged.last_mut().unwrap() ^= 1;
    let forged = format!("-----BEGIN X509 CRL-----\n{}\n-----END X509 CRL-----\n", base64::encode_block(&forged));
    refuses(of_good, with(of_good, forged.as_bytes()), &["CRL signature failure"]);
    let (status, words) = with(of_good, &current[..current.len() / 2]).try_create().err().unwrap();
    assert!(status == ENOS_ERR_TLS && words.contains("a X509 CRL has no end"), "{words}");
}

/// How often the file was opened since the last call.
fn opened(inotify: c_int) -> usize {
    let mut events = [0u8; 4096];
    // SAFETY: writable and as long as it says. A name would make an event longer; a watched file's has none.
    let bytes = unsafe { libc::read(inotify, events.as_mut_ptr().cast(), events.len()) };
    usize::try_from(bytes).unwrap_or(0) / size_of::<libc::inotify_event>()
}

#[test]
fn the_systems_authorities_are_loaded_once_and_again_when_they_have_changed() {
    alone(|| {
        let (pki, other) = (Pki::new(), Pki::new());
        let file = pki.file("system.pem");
        fs::copy(pki.ca(), &file).unwrap();
        std::env::set_var("SSL_CERT_FILE", &file);
        std::env::set_var("SSL_CERT_DIR", "/nonexistent");
        let path = CString::new(file.to_str().unwrap()).unwrap();
        // SAFETY: a path that lives.
        let inotify = unsafe {
            let inotify = libc::inotify_init1(libc::IN_NONBLOCK);
            assert!(libc::inotify_add_watch(inotify, path.as_ptr(), libc::IN_OPEN) >= 0);
            inotify
        };
        let (ours, theirs) = (TlsBroker::new(&pki.server()), TlsBroker::new(&other.server()));
        let of_system = |broker: &TlsBroker| Setup::to(&broker.uri()).device_secret("s");

        accepts(&ours, of_system(&ours));
        assert!(opened(inotify) > 0, "it was read");
        accepts(&ours, of_system(&ours));
        refuses(&theirs, of_system(&theirs), &["unknown authority", "the system's"]);
        let (hosts, peers): (Vec<_>, Vec<_>) = (0..8).map(|_| ours.online(of_system(&ours))).unzip();
        assert_eq!(opened(inotify), 0, "it was read again");
        drop((hosts, peers));

        // Overwritten, and replaced: the present content counts.
        fs::write(&file, other.root.certificate_pem().unwrap()).unwrap();
        accepts(&theirs, of_system(&theirs));
        refuses(&ours, of_system(&ours), &["unknown authority", "the system's"]);
        let beside = pki.file("beside.pem");
        fs::copy(pki.ca(), &beside).unwrap();
        fs::rename(&beside, &file).unwrap();
        accepts(&ours, of_system(&ours));
        // SAFETY: opened above.
        unsafe { libc::close(inotify) };
    });
}
