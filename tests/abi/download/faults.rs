//! What servers do wrong. The pure tests of the engine have every case; these are the ones in which libcurl has a part.

use std::time::Duration;

use enos::internals::error::Status;
use support::host::{image, Options, Slot};
use support::http::{cut, good, raw, whole, Step};

use super::{device, fetch, serve, BLOCK};

#[test]
fn an_image_comes_in_whole_blocks() {
    for size in [0, 1, BLOCK, 5 * BLOCK + 7] {
        let (mut host, image) = (device(), image(size));
        let (server, firmware) = serve(&image, |asked, _, image| whole(asked, image));
        let slot = Slot::default();
        assert_eq!(fetch(&mut host, &firmware, &slot, &Options::default()).status, Status::ENOS_OK);
        let state = slot.state();
        assert!(state.bytes == image && state.verified == 1);
        assert_eq!(state.blocks.iter().filter(|(_, len)| *len < BLOCK).count(), usize::from(size % BLOCK > 0));
        assert!(server.asked().iter().all(|asked| asked.header("accept-encoding") == ["identity"]));
    }
}

#[test]
fn after_a_cut_at_each_block_nothing_is_fetched_twice() {
    let image = image(50 * BLOCK);
    // In turn, the server closes, resets, and ends a chunked answer in the middle of a chunk.
    let (server, firmware) = serve(&image, |asked, number, image| {
        let end = (number + 1) * BLOCK + 100;
        let bytes = end.saturating_sub(asked.from());
        let mut steps = match number % 3 {
            0 | 1 => cut(asked, image, bytes),
            _ => {
                let (head, body) = good(asked, image);
                let head = head.replace("Content-Length", "X-Length").trim_end().to_owned();
                let chunk = format!("{head}\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n", body.len());
                vec![Step::Send(chunk.into()), Step::Send(body[..bytes.min(body.len())].to_vec())]
            }
        };
        if number % 3 == 1 {
            // What a reset overtakes is lost.
            steps.extend([Step::Pause(Duration::from_millis(20)), Step::Reset]);
        }
        steps
    });
    let (mut host, slot) = (device(), Slot::default());
    assert_eq!(fetch(&mut host, &firmware, &slot, &Options::default()).status, Status::ENOS_OK);
    assert!(slot.state().bytes == image);
    let offsets = server.offsets();
    assert!(offsets.len() >= 49, "{offsets:?}");
    for (number, from) in offsets.iter().enumerate().skip(1) {
        let cut = number * BLOCK + 100;
        assert!(*from + BLOCK > cut && *from <= cut, "request {number}: {from} after a cut at {cut}");
    }
    assert!(server.asked()[1..].iter().all(|asked| asked.header("if-range") == ["\"1\""]));
}

#[test]
fn a_server_without_ranges_is_never_appended() {
    let image = image(10 * BLOCK);
    let (server, firmware) = serve(&image, |_, number, image| {
        let length = format!("Content-Length: {}", image.len());
        let body = if number == 0 { &image[..image.len() * 15 / 100] } else { image };
        raw(&["HTTP/1.1 200 OK", &length], body)
    });
    let (mut host, slot) = (device(), Slot::default());
    assert_eq!(fetch(&mut host, &firmware, &slot, &Options::default()).status, Status::ENOS_OK);
    assert!(slot.state().bytes == image);
    assert_eq!(server.offsets(), [0, image.len() * 15 / 100]);
}

#[test]
fn lengths_that_are_wrong_are_refused_before_the_first_block() {
    let image = image(2 * BLOCK);
    for lines in [
        &["HTTP/1.1 200 OK", "Content-Length: 131073"][..],
        &["HTTP/1.1 200 OK", "Content-Length: 131072", "Content-Encoding: gzip"],
        &["HTTP/1.1 200 OK", "Content-Length: 131072", "Content-Type: text/html"],
    ] {
        let lines: Vec<String> = lines.iter().map(|line| line.to_string()).collect();
        let (server, firmware) =
            serve(&image, move |_, _, image| raw(&lines.iter().map(String::as_str).collect::<Vec<_>>(), image));
        let (mut host, slot) = (device(), Slot::default());
        assert_eq!(fetch(&mut host, &firmware, &slot, &Options::default()).status, Status::ENOS_ERR_PROTOCOL);
        assert!(slot.state().blocks.is_empty() && server.asked().len() == 5);
    }
}

#[test]
fn heads_without_end_and_answers_that_are_none_are_refused() {
    let image = image(BLOCK);
    for kind in 0..3 {
        let (_server, firmware) = serve(&image, move |_, _, _| match kind {
            0 => {
                let line: std::sync::Arc<[u8]> = b"X-Filler: and so on\r\n".repeat(50).into();
                vec![Step::Send(b"HTTP/1.1 200 OK\r\n".to_vec()), Step::Repeat(line, 10_000)]
            }
            1 => vec![Step::Send(b"\x16\x03\x01 no HTTP\r\n\r\n".to_vec())],
            _ => vec![],
        });
        let (mut host, slot) = (device(), Slot::default());
        let token = host.download(&firmware, &slot, &Options::default()).unwrap();
        if kind == 0 {
            assert_eq!(host.download_outcome(token).status, Status::ENOS_ERR_PROTOCOL);
        } else {
            // Garbage may come from a network that is broken, so it goes on longer.
            assert_eq!(host.cancel_download(token), Status::ENOS_OK);
            assert_eq!(host.download_outcome(token).status, Status::ENOS_ERR_CANCELLED);
        }
        assert!(slot.state().blocks.is_empty());
    }
}

#[test]
fn a_dead_url_is_told_and_a_new_one_continues() {
    let image = image(10 * BLOCK);
    for code in [401, 403, 404, 410] {
        let (server, firmware) = serve(&image, move |asked, _, image| match (asked.path.as_str(), asked.from()) {
            ("/new", _) => whole(asked, image),
            (_, 0) => cut(asked, image, 5 * BLOCK),
            _ => raw(&[&format!("HTTP/1.1 {code} No"), "Content-Length: 0"], b""),
        });
        let (mut host, slot) = (device(), Slot::default());
        let told = fetch(&mut host, &firmware, &slot, &Options::default());
        assert_eq!((told.status, told.detail_code), (Status::ENOS_ERR_REFUSED, code));
        assert_eq!(server.asked().len(), 2, "it is not tried again");
        let url = server.url().replace("image", "new");
        let slot = slot.again();
        let options = Options { url: Some(&url), headers: &["X-Token: t"], ..Options::default() };
        assert_eq!(fetch(&mut host, &firmware, &slot, &options).status, Status::ENOS_OK);
        assert!(slot.state().bytes == image);
        let last = server.asked().pop().unwrap();
        assert_eq!((last.from(), last.header("x-token")), (5 * BLOCK, vec!["t"]));
    }
}

#[test]
fn redirects_keep_the_range_and_not_the_headers() {
    let image = image(3 * BLOCK);
    let shared: std::sync::Arc<[u8]> = image.as_slice().into();
    let query = "q".repeat(4096);
    let target = support::http::HttpServer::new(move |asked, _| {
        assert!(asked.header("authorization").is_empty(), "{asked:?}");
        assert!(asked.path.len() > 4096);
        whole(asked, &shared)
    });
    let to = format!("Location: {}?{query}", target.url());
    let (server, firmware) = serve(&image, move |asked, _, _| {
        assert_eq!(asked.header("authorization"), ["Basic x"]);
        let next = match asked.path.as_str() {
            "/image" => "Location: second?x",
            "/second?x" => "Location: /third",
            "/third" => "Location: ?fourth",
            _ => &to,
        };
        raw(&["HTTP/1.1 302 Found", next, "Content-Length: 5"], b"there")
    });
    let (mut host, slot) = (device(), Slot::with(&image[..BLOCK]));
    let options = Options { headers: &["Authorization: Basic x"], ..Options::default() };
    assert_eq!(fetch(&mut host, &firmware, &slot, &options).status, Status::ENOS_OK);
    assert!(slot.state().bytes == image);
    assert_eq!(server.offsets(), [BLOCK; 4]);
    assert_eq!(target.offsets(), [BLOCK]);
}

#[test]
fn what_does_not_match_is_never_verified() {
    let image = image(3 * BLOCK);
    let (server, firmware) = serve(&image, |asked, _, image| {
        let mut other = image.to_vec();
        other[7] ^= 1;
        whole(asked, &other)
    });
    let (mut host, slot) = (device(), Slot::default());
    let told = fetch(&mut host, &firmware, &slot, &Options::default());
    assert_eq!((told.status, server.asked().len()), (Status::ENOS_ERR_DIGEST, 1));
    assert_eq!(slot.state().verified, 0);
}

#[test]
fn a_second_download_begins_with_a_digest_of_its_own() {
    let image = image(3 * BLOCK);
    let (_server, firmware) = serve(&image, |asked, _, image| whole(asked, image));
    let mut host = device();
    // It fails in each phase, and then another download of the same client is right.
    for failing in [BLOCK as u64 * 99, 0] {
        let slot = Slot::default();
        slot.state().claims = Some(failing);
        slot.state().block_result = -5;
        let told = fetch(&mut host, &firmware, &slot, &Options { flags: 1, ..Options::default() });
        assert_eq!((told.status, told.detail_code), (Status::ENOS_ERR_STORAGE, -5));
    }
    for there in [0, BLOCK + 3, 3 * BLOCK] {
        let slot = Slot::with(&image[..there]);
        assert_eq!(
            fetch(&mut host, &firmware, &slot, &Options { flags: 1, ..Options::default() }).status,
            Status::ENOS_OK
        );
        assert!(slot.state().bytes == image);
    }
}
