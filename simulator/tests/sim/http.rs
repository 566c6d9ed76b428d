//! The HTTP ports: images in whole and in parts.

use crate::common::{
    http::{get, split, Http},
    *,
};
use enos_sim::{
    ca::{Authority, KeyKind, Profile},
    Config, Firmware, HttpConfig, TlsConfig,
};
use std::io::Write;

fn image() -> Vec<u8> {
    (0..100_000_u32).map(|n| (n.wrapping_mul(n) / 7) as u8).collect()
}

/// A cloud with the image as version 2.0, and the URL of that.
fn serving(config: Config) -> (Sim, String) {
    let sim = Sim::start(Config { firmware: vec![Firmware::from_bytes("2.0", image()).unwrap()], ..config });
    let url = format!("{}{}", sim.cloud.http_url().unwrap(), Firmware::path("2.0"));
    (sim, url)
}

#[test]
fn an_image_is_served_in_whole_and_in_parts() {
    let (sim, url) = serving(active());
    let image = image();
    let whole = get(&url, &[]);
    assert_eq!((whole.code, whole.end, &whole.body), (200, None, &image));
    assert_eq!((whole.header("content-length"), whole.header("accept-ranges")), ("100000", "bytes"));
    let etag = whole.header("etag").to_owned();
    assert!(etag.starts_with('"'));

    let part = get(&url, &[("range", "bytes=99000-")]);
    assert_eq!((part.code, &part.body[..], part.header("etag")), (206, &image[99_000..], &etag[..]));
    assert_eq!(part.header("content-range"), "bytes 99000-99999/100000");
    assert_eq!(get(&url, &[("range", "bytes=10-19")]).body, image[10..20]);
    assert_eq!(get(&url, &[("range", "bytes=-10")]).body, image[99_990..]);
    assert_eq!(get(&url, &[("range", "bytes=1-2,4-5")]).code, 200, "several ranges are not served");

    let known = get(&url, &[("range", "bytes=5-"), ("if-range", &etag)]);
    assert_eq!((known.code, known.body.len()), (206, image.len() - 5));
    let other = get(&url, &[("range", "bytes=5-"), ("if-range", "\"other\"")]);
    assert_eq!((other.code, other.body.len()), (200, image.len()));

    let beyond = get(&url, &[("range", "bytes=100000-")]);
    assert_eq!((beyond.code, beyond.header("content-range")), (416, "bytes */100000"));
    assert_eq!(get(&format!("{url}x"), &[]).code, 404);

    let seen: Vec<_> = sim.cloud.http_requests().into_iter().filter(|request| request.code == 206).collect();
    assert_eq!(
        (seen[0].range(), seen[0].bytes, seen[0].header("host")),
        (Some("bytes=99000-"), 1000, Some("here.example"))
    );
}

#[test]
fn requests_and_what_was_sent_are_told() {
    let (sim, url) = serving(active());
    get(&format!("{url}?task=9"), &[("range", "bytes=90000-")]);
    let request = sim.wait_for("http_request");
    assert_eq!(request["path"], "/firmware/2.0?task=9");
    assert_eq!((&request["range"], &request["code"]), (&"bytes=90000-".into(), &206.into()));
    let end = sim.wait_for("http_end");
    assert_eq!(
        (&end["bytes"], &end["of"], &end["connection"]),
        (&10_000.into(), &10_000.into(), &request["connection"])
    );
    let seen = sim.cloud.http_requests();
    assert_eq!((seen.len(), seen[0].bytes, seen[0].is_over), (1, 10_000, true));
    sim.cloud.forget_http_requests();
    assert!(sim.cloud.http_requests().is_empty());
}

#[test]
fn a_connection_serves_several_requests() {
    let (_sim, url) = serving(active());
    let (address, path) = split(&url);
    let mut http = Http::over(connect(address));
    let head = http.request("HEAD", path, &[("range", "bytes=5-")]);
    assert_eq!((head.code, head.header("content-length"), head.end), (200, "100000", None));
    assert_eq!(http.request("POST", path, &[("content-length", "0")]).header("allow"), "GET, HEAD");
    assert_eq!(http.request("GET", path, &[("range", "bytes=7-7")]).body, image()[7..8]);
}

#[test]
fn a_reader_that_does_not_read_holds_up_nobody() {
    let large = vec![7; 16 << 20];
    let firmware = vec![Firmware::from_bytes("2.0", large.clone()).unwrap()];
    let sim = Sim::start(Config { firmware, ..active() });
    let url = format!("{}{}", sim.cloud.http_url().unwrap(), Firmware::path("2.0"));
    let (address, path) = split(&url);
    let mut idle: Vec<_> = (0..10).map(|_| Http::over(connect(address))).collect();
    idle.iter_mut().for_each(|http| http.send("GET", path, &[]));
    assert_eq!(get(&url, &[]).body.len(), large.len());
    assert_eq!(idle[9].answer(false).body.len(), large.len());
    drop(idle);
    sim.stop();
}

#[test]
fn an_image_in_a_file_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("image");
    std::fs::write(&path, image()).unwrap();
    let sim = Sim::start(Config { http: Some(HttpConfig::any_port()), ..active() });
    sim.cloud.add_firmware(Firmware::from_file("a b", &path).unwrap());
    let url = format!("{}{}", sim.cloud.http_url().unwrap(), Firmware::path("a b"));
    let first = get(&url, &[]);
    assert_eq!(first.body, image());
    sim.cloud.add_firmware(Firmware::from_bytes("a b", "other").unwrap());
    let second = get(&url, &[("range", "bytes=1-"), ("if-range", first.header("etag"))]);
    assert_eq!((second.code, &second.body[..]), (200, &b"other"[..]));
}

#[test]
fn https_serves_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::root("Test CA", KeyKind::EcP256).unwrap();
    let server = authority.issue(&Profile::server().ip([127, 0, 0, 1])).unwrap();
    let files = server.write(directory.path(), "server").unwrap();
    let tls = TlsConfig { listen: "127.0.0.1:0".parse().unwrap(), ..TlsConfig::new(files) };
    let http = HttpConfig { tls: Some(tls), ..HttpConfig::any_port() };
    let (sim, _) = serving(Config { http: Some(http), ..active() });
    let url = sim.cloud.https_url().unwrap();
    let (address, _) = split(&url);
    assert!(url.starts_with("https://"));

    let mut connector = openssl::ssl::SslConnector::builder(openssl::ssl::SslMethod::tls()).unwrap();
    let root = authority.write(directory.path()).unwrap().certificate;
    connector.set_ca_file(root).unwrap();
    let stream = connector.build().connect("127.0.0.1", connect(address)).unwrap();
    let mut http = Http::over(stream);
    assert_eq!(http.request("GET", "/firmware/2.0", &[]).body, image());
    assert_eq!(http.request("GET", "/firmware/2.0", &[("range", "bytes=9-")]).body, image()[9..]);
    assert!(sim.wait_for("tls")["version"].as_str().unwrap().starts_with("TLS"));
    assert_eq!(sim.wait_for("http_request")["tls"], true);

    connect(address).write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(sim.wait_for("tls_failed")["reason"], "it speaks HTTP without TLS");
}
