//! The faults of the HTTP ports, seen by a client.

use crate::common::{
    http::{get, split, Answer, Http, END},
    *,
};
use enos_sim::{
    ca::{Authority, KeyKind, Profile},
    Config, Firmware, HttpConfig, TlsConfig,
};
use std::{
    io::{ErrorKind, Read},
    time::{Duration, Instant},
};

const SIZE: usize = 1000;

fn image() -> Vec<u8> {
    (0..SIZE).map(|n| (n % 251) as u8).collect()
}

struct Shop {
    sim: Sim,
    url: String,
}

fn shop(faults: &[&str]) -> Shop {
    let firmware = vec![Firmware::from_bytes("2", image()).unwrap()];
    let sim = Sim::start(faulty(Config { firmware, ..active() }, faults));
    let url = format!("{}/firmware/2", sim.cloud.http_url().unwrap());
    Shop { sim, url }
}

impl Shop {
    fn get(&self, headers: &[(&str, &str)]) -> Answer {
        get(&self.url, headers)
    }

    fn part(&self, first: usize) -> Answer {
        self.get(&[("range", &format!("bytes={first}-"))])
    }

    fn open(&self) -> Http {
        Http::over(connect(split(&self.url).0))
    }
}

/// The answer to a GET, and to one of the bytes from 100 on, with this fault.
fn with(fault: &str) -> [Answer; 2] {
    let shop = shop(&[fault]);
    [shop.get(&[]), shop.part(100)]
}

#[test]
fn a_body_ends_early() {
    let shop = shop(&["http:cut=300@1-2", "http:cut-reset=0@3"]);
    let cut = shop.get(&[]);
    assert_eq!((cut.header("content-length"), &cut.body[..], cut.end), ("1000", &image()[..300], Some(END)));
    assert_eq!(shop.part(300).body, image()[300..600], "counted in each answer");
    assert_eq!(shop.part(600).end, Some(ErrorKind::ConnectionReset));
    assert_eq!(shop.part(600).body, image()[600..]);
    assert_eq!(
        shop.sim.cloud.http_requests().iter().map(|request| request.bytes).collect::<Vec<_>>(),
        [300, 300, 0, 400]
    );
}

#[test]
fn a_chunked_body_ends_early() {
    let [whole, part] = with("http:chunked");
    assert_eq!((whole.header("transfer-encoding"), whole.header("content-length")), ("chunked", ""));
    assert_eq!((whole.body, part.body), (image(), image()[100..].to_vec()));
    let shop = shop(&["http:chunked", "http:cut=10"]);
    let cut = shop.get(&[]);
    assert_eq!((cut.header("transfer-encoding"), cut.body.len(), cut.end), ("chunked", 10, Some(END)));
}

#[test]
fn an_answer_stalls() {
    let shop = shop(&["http=1:stall=300", "http=2:silence"]);
    let mut http = shop.open();
    http.send("GET", "/firmware/2", &[]);
    let head = loop {
        if http.bytes(1) == b"\r" && http.bytes(3) == b"\n\r\n" {
            break true;
        }
    };
    assert!(head && http.bytes(300) == image()[..300]);
    assert_eq!(shop.sim.wait_for("fault")["fault"], "http=1:stall=300");
    http.stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert_eq!(http.stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    let mut silent = shop.open();
    silent.send("GET", "/firmware/2", &[]);
    assert_eq!(shop.sim.wait_for("fault")["fault"], "http=2:silence");
    silent.stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert_eq!(silent.stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(shop.part(0).code, 206, "the others are served");
    assert_eq!(shop.sim.wait_for("http_end")["bytes"], SIZE);
    drop(http);
    assert_eq!(shop.sim.wait_for("http_end")["bytes"], 300, "of the one that has stalled");
}

#[test]
fn a_body_comes_slowly() {
    let shop = shop(&["http:slow=50"]);
    let began = Instant::now();
    let slow = shop.part(985);
    assert_eq!(slow.body, image()[985..]);
    assert!(began.elapsed() >= Duration::from_millis(180), "{:?}", began.elapsed());
}

#[test]
fn an_answer_is_late_or_another_one() {
    let shop = shop(&[
        "http=1:delay=50",
        "http=2:code=503",
        "http=3:retry-after=7",
        "http=4:html=5000",
        "http=5:raw=58",
        "http=6:close",
        "http=7:reset",
        "http=8:garbage=20",
        "http=9:payload=hello",
    ]);
    let began = Instant::now();
    assert_eq!(shop.get(&[]).code, 200);
    assert!(began.elapsed() >= Duration::from_millis(50));
    assert_eq!(shop.get(&[]).code, 503);
    let later = shop.get(&[]);
    assert_eq!((later.code, later.header("retry-after")), (503, "7"));
    let page = shop.part(100);
    assert_eq!((page.code, page.body.len(), page.header("content-type")), (200, 5000, "text/html; charset=utf-8"));
    let mut raw = shop.open();
    raw.send("GET", "/firmware/2", &[]);
    assert_eq!((raw.bytes(1), raw.stream.read(&mut [0]).unwrap()), (b"X".to_vec(), 0));
    assert_eq!(shop.get(&[]).end, Some(END));
    assert_eq!(shop.get(&[]).end, Some(ErrorKind::ConnectionReset));
    let mut garbage = shop.open();
    garbage.send("GET", "/firmware/2", &[]);
    assert_eq!((garbage.bytes(20).len(), garbage.stream.read(&mut [0]).unwrap()), (20, 0));
    assert_eq!(shop.get(&[]).body, b"hello");
    let codes: Vec<_> = shop.sim.cloud.http_requests().iter().map(|request| request.code).collect();
    assert_eq!(codes, [200, 503, 503, 200, 0, 0, 0, 0, 200]);
}

#[test]
fn the_content_changes_between_ranges() {
    let shop =
        shop(&["http=2-3:changed", "http=4:longer=5", "http=5:shorter=5", "http=6:corrupt=200", "http=7:no-etag"]);
    let etag = shop.get(&[]).header("etag").to_owned();
    let tagged = |first| shop.get(&[("range", first), ("if-range", &etag)]);
    let changed = tagged("bytes=100-");
    assert_eq!((changed.code, changed.body.len()), (200, SIZE));
    assert!(changed.body.iter().zip(image()).all(|(now, then)| *now != then) && changed.header("etag") != etag);
    assert_eq!(shop.part(100).body.len(), 900, "without If-Range it is a part of the other content");
    let longer = shop.get(&[]);
    assert_eq!((longer.body.len(), longer.header("etag") != etag), (SIZE + 5, true));
    assert_eq!(shop.get(&[]).body, image()[..SIZE - 5]);
    let corrupt = tagged("bytes=100-");
    let wrong: Vec<_> = (100..SIZE).filter(|n| corrupt.body[n - 100] != image()[*n]).collect();
    assert_eq!((corrupt.code, wrong), (206, vec![200]));
    let bare = tagged("bytes=100-");
    assert_eq!((bare.code, bare.header("etag"), &bare.body), (200, "", &image()));
}

#[test]
fn a_length_is_wrong_or_missing() {
    for (fault, length, came, end) in [
        ("http:length=400", "400", 400, None),
        ("http:length=+7", "1007", 1000, Some(END)),
        ("http:length=-7", "993", 993, None),
        ("http:no-length", "", 1000, None),
    ] {
        let shop = shop(&[fault]);
        let answer = shop.get(&[]);
        assert_eq!((answer.header("content-length"), answer.body.len(), answer.end), (length, came, end), "{fault}");
    }
}

#[test]
fn some_answers_never_end() {
    for fault in ["http:endless-headers", "http:endless-body"] {
        let shop = shop(&[fault]);
        let mut http = shop.open();
        http.send("GET", "/firmware/2", &[]);
        assert_eq!(http.bytes(2 << 20).len(), 2 << 20);
        drop(http);
        shop.sim.wait_for("http_end");
    }
}

#[test]
fn a_range_is_not_what_was_asked_for() {
    let [_, part] = with("http:no-range");
    assert_eq!((part.code, &part.body, part.header("accept-ranges")), (200, &image(), ""));
    let [_, part] = with("http:wrong-range");
    assert_eq!(
        (part.code, part.header("content-range"), &part.body[..]),
        (206, "bytes 101-1000/1000", &image()[100..])
    );
    let [_, part] = with("http:wrong-total");
    assert_eq!(part.header("content-range"), "bytes 100-999/1001");
    let [_, part] = with("http:no-total");
    assert_eq!(part.header("content-range"), "bytes 100-999/*");
    let [_, part] = with("http:other-range");
    assert_eq!((part.header("content-range"), &part.body[..]), ("bytes 0-899/1000", &image()[..900]));
    let [_, part] = with("http:multipart");
    assert!(part.header("content-type").starts_with("multipart/byteranges; boundary="));
    let body = String::from_utf8_lossy(&part.body).into_owned();
    assert!(body.contains("content-range: bytes 100-999/1000\r\n\r\n"));
}

#[test]
fn a_body_is_compressed() {
    let [whole, part] = with("http:gzip");
    assert_eq!((whole.header("content-encoding"), part.code), ("gzip", 200));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("image.gz");
    std::fs::write(&file, &whole.body).unwrap();
    let output = std::process::Command::new("gzip").args(["-d", "-c"]).arg(&file).output().unwrap();
    assert!(output.status.success() && output.stdout == image(), "{output:?}");
    let [_, part] = with("http:encoding=br");
    assert_eq!((part.code, part.header("content-encoding"), &part.body[..]), (206, "br", &image()[100..]));
}

/// Follows redirects, at most so many; the answers.
fn follow(url: &str, most: usize) -> Vec<(u16, String)> {
    let (address, path) = split(url);
    let (mut path, mut answers) = (path.to_owned(), Vec::new());
    for _ in 0..=most {
        let answer = Http::over(connect(address)).request("GET", &path, &[("range", "bytes=100-")]);
        let location = answer.header("location").to_owned();
        answers.push((answer.code, location.clone()));
        path = match location.strip_prefix("http://here.example") {
            Some(absolute) => absolute.to_owned(),
            None if location.starts_with('/') => location,
            None if location.starts_with("../") => {
                let mut parts: Vec<_> = path.split('/').collect();
                parts.truncate(parts.len() - 1 - location.matches("../").count());
                format!("{}/{}", parts.join("/"), location.trim_start_matches("../"))
            }
            None => break,
        };
    }
    answers
}

#[test]
fn redirects() {
    let long = format!("?task=1&x={}", "y".repeat(4096));
    for fault in ["http:redirect=5", "http:redirect-relative=5"] {
        let shop = shop(&[fault]);
        let answers = follow(&format!("{}{long}", shop.url), 5);
        let codes: Vec<_> = answers.iter().map(|(code, _)| *code).collect();
        assert_eq!(codes, [302, 302, 302, 302, 302, 206], "{fault}");
        assert!(answers.iter().take(5).all(|(_, location)| location.ends_with(&long)));
    }
    let shop = shop(&["http=-8:redirect-loop", "http=9:location=http://elsewhere.example/x@y"]);
    assert_eq!(follow(&shop.url, 7).iter().filter(|(code, _)| *code == 302).count(), 8);
    assert_eq!(follow(&shop.url, 0), [(302, "http://elsewhere.example/x@y".to_owned())]);
}

#[test]
fn a_url_expires() {
    let shop = shop(&["http:expires=2"]);
    assert_eq!([1, 2, 3].map(|_| shop.get(&[]).code), [200, 200, 403]);
    assert_eq!(get(&format!("{}?task=2", shop.url), &[]).code, 200, "another URL");
    shop.sim.cloud.set_faults(vec!["http:expires-after=60000".parse().unwrap()]);
    assert_eq!([1, 2, 3].map(|_| shop.get(&[]).code), [200; 3]);
    shop.sim.cloud.set_faults(vec!["http:expires-after=0".parse().unwrap()]);
    assert_eq!(shop.get(&[]).code, 403);
}

#[test]
fn faults_are_replaced_and_counted_anew() {
    let shop = shop(&["http=2:code=500"]);
    assert_eq!([1, 2, 3].map(|_| shop.get(&[]).code), [200, 500, 200]);
    shop.sim.cloud.set_faults(vec!["http=1:code=404".parse().unwrap(), "http=2:code=410@2".parse().unwrap()]);
    assert_eq!([1, 2, 3].map(|_| shop.get(&[]).code), [404, 410, 200]);
}

#[test]
fn faults_within_tls() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::root("Test CA", KeyKind::EcP256).unwrap();
    let files = authority.issue(&Profile::server()).unwrap().write(directory.path(), "server").unwrap();
    let tls = TlsConfig { listen: "127.0.0.1:0".parse().unwrap(), ..TlsConfig::new(files) };
    let http = Some(HttpConfig { tls: Some(tls), ..HttpConfig::any_port() });
    let firmware = vec![Firmware::from_bytes("2", image()).unwrap()];
    let faults = ["http=1:cut=10", "http=2:no-length", "http=3:redirect-http", "http=4:cut-reset=10"];
    let sim = Sim::start(faulty(Config { firmware, http, ..active() }, &faults));
    let (https, plain) = (sim.cloud.https_url().unwrap(), sim.cloud.http_url().unwrap());
    let ask = || {
        let mut connector = openssl::ssl::SslConnector::builder(openssl::ssl::SslMethod::tls()).unwrap();
        connector.set_verify(openssl::ssl::SslVerifyMode::NONE);
        let stream = connector.build().connect("127.0.0.1", connect(split(&https).0)).unwrap();
        let mut http = Http::over(stream);
        let answer = http.request("GET", "/firmware/2", &[]);
        (answer, http.stream.get_shutdown().contains(openssl::ssl::ShutdownState::RECEIVED))
    };
    let (cut, has_said_goodbye) = ask();
    assert_eq!((cut.body.len(), has_said_goodbye), (10, false), "TCP has ended, TLS has not");
    let (no_length, has_said_goodbye) = ask();
    assert_eq!((no_length.body, has_said_goodbye), (image(), true));
    assert_eq!(ask().0.header("location"), format!("{plain}/firmware/2"));
    assert_eq!(ask().0.end, Some(ErrorKind::ConnectionReset));
}
