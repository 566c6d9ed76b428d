//! https:// with the settings and the words of a link.

use std::io::Write;
use std::net::TcpListener;

use enos::internals::error::Status;
use support::host::{image, Firmware, Host, Options, Setup, Slot, Told};
use support::http::{whole, HttpServer};
use support::tls::{want_certificate, Pki};

use enos_sim::ca::{KeyKind, Profile};

use super::{fetch, quick, BLOCK};

fn host(set: impl FnOnce(Setup) -> Setup) -> Host {
    set(quick(Setup::device("127.0.0.1:1".parse().unwrap()))).start()
}

fn server(pki: &Pki, profile: Option<Profile>, image: &[u8]) -> HttpServer {
    let certified = profile.map_or_else(|| pki.server(), |profile| pki.root.issue(&profile).unwrap());
    let image: std::sync::Arc<[u8]> = image.into();
    HttpServer::secure(&certified, |_| (), move |asked, _| whole(asked, &image))
}

fn fails(host: &mut Host, url: &str, image: &[u8], words: &[&str]) -> Told {
    let slot = Slot::default();
    let told = fetch(host, &Firmware::of(url, image), &slot, &Options { flags: 1, ..Options::default() });
    assert_eq!(told.status, Status::ENOS_ERR_TLS, "{told:?}");
    for words in words {
        assert!(told.detail.contains(words), "{words:?} is not in {:?}", told.detail);
    }
    assert!(!told.detail.contains("broker") && !told.detail.contains("18883"), "{}", told.detail);
    told
}

#[test]
fn the_authorities_are_those_of_the_link() {
    let (pki, image) = (Pki::new(), image(2 * BLOCK));
    let server = server(&pki, None, &image);
    let firmware = Firmware::of(&server.url(), &image);
    let mut from_file = host(|setup| setup.tls(Some(&pki.ca()), None));
    let slot = Slot::default();
    assert_eq!(fetch(&mut from_file, &firmware, &slot, &Options::default()).status, Status::ENOS_OK);
    assert!(slot.state().bytes == image);
    let pem = std::fs::read(pki.ca()).unwrap();
    let mut from_memory = host(|setup| setup.tls_pem([Some(&pem), None, None]));
    let slot = Slot::default();
    assert_eq!(fetch(&mut from_memory, &firmware, &slot, &Options::default()).status, Status::ENOS_OK);
    let mut with_systems = host(|setup| setup);
    fails(&mut with_systems, &server.url(), &image, &["unknown authority, The test's CA", "none of the system's"]);
}

#[test]
fn names_and_dates_are_checked_with_words() {
    let (pki, image) = (Pki::new(), image(9));
    // Skipping the check of the broker's name does not skip this one.
    let mut host = host(|setup| setup.tls(Some(&pki.ca()), None).skip_name_check());
    let other = server(&pki, Some(Profile::server().dns("other.example")), &image);
    fails(&mut host, &other.url(), &image, &["for another name", "wanted the address 127.0.0.1", "other.example"]);
    // A server without TLS answers the handshake in plain text.
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", plain.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in plain.incoming() {
            let _ = stream.and_then(|mut stream| stream.write_all(b"HTTP/1.1 400 No\r\n\r\n"));
        }
    });
    fails(&mut host, &url, &image, &["does not speak TLS"]);
}

#[test]
fn a_server_that_asks_gets_the_devices_certificate() {
    let (pki, image) = (Pki::new(), image(2 * BLOCK));
    let shared: std::sync::Arc<[u8]> = image.as_slice().into();
    let server = HttpServer::secure(
        &pki.server(),
        |context| want_certificate(context, &pki.root),
        move |asked, _| whole(asked, &shared),
    );
    let device = pki.device("device", KeyKind::EcP256);
    let mut known = host(|setup| setup.tls(Some(&pki.ca()), Some(&device)));
    let slot = Slot::default();
    let told = fetch(&mut known, &Firmware::of(&server.url(), &image), &slot, &Options::default());
    assert_eq!(told.status, Status::ENOS_OK, "{told:?}");
    let mut unknown = host(|setup| setup.tls(Some(&pki.ca()), None));
    fails(&mut unknown, &server.url(), &image, &["the device showed no certificate"]);
}
