//! What servers and hosts do wrong.

use super::world::{image, Reply, World, WALL};
use crate::download::transfer::Stage;
use crate::error::Status;
use crate::model::http::{Request, BLOCK};

const KIB: usize = 1024;

/// A server of the world's image.
fn good(world: &World) -> impl FnMut(&Request, u64) -> Reply {
    let image = world.image.clone();
    move |request, _| Reply::to(request, &image)
}

#[test]
fn an_image_comes_in_whole_blocks() {
    for size in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 300 * KIB] {
        let mut world = World::new(size);
        let server = good(&world);
        world.run(server).unwrap();
        assert_eq!(world.slot.largest, size.min(BLOCK));
        assert_eq!(world.requests.borrow().len(), usize::from(size > 0), "an empty image needs no request");
    }
}

#[test]
fn after_a_cut_at_each_block_nothing_is_fetched_twice() {
    let mut world = World::new(50 * BLOCK);
    let image = world.image.clone();
    let mut cut = 0;
    world
        .run(move |request, _| {
            cut += BLOCK + 100;
            let here = cut.saturating_sub(request.from as usize);
            Reply::to(request, &image).cut(here)
        })
        .unwrap();
    assert!(world.requests.borrow().len() > 48);
    assert_eq!(world.sent.get(), world.image.len() as u64);
}

#[test]
fn a_server_without_ranges_is_never_appended() {
    let mut world = World::new(10 * BLOCK);
    let image = world.image.clone();
    let mut tries = 0;
    world
        .run(move |_, _| {
            tries += 1;
            let reply = Reply::new(&["HTTP/1.1 200 OK"], &image);
            if tries == 1 {
                reply.cut(image.len() * 15 / 100)
            } else {
                reply
            }
        })
        .unwrap();
    assert_eq!(*world.requests.borrow(), [0, 98304]);
}

#[test]
fn wrong_ranges_end_in_a_request_of_everything() {
    for range in ["bytes 0-655359/655360", "bytes 7-655359/655360", "nonsense"] {
        let mut world = World::new(10 * BLOCK);
        world.slot.bytes = world.image[..3 * BLOCK].to_vec();
        let image = world.image.clone();
        let line = format!("Content-Range: {range}");
        world
            .run(move |request, _| match request.from {
                0 => Reply::to(request, &image),
                _ => Reply::new(&["HTTP/1.1 206 Partial", &line], &image),
            })
            .unwrap();
        assert_eq!(*world.requests.borrow(), [3 * BLOCK as u64, 0], "{range}");
    }
}

#[test]
fn what_is_there_is_checked_and_not_fetched() {
    let mut world = World::new(10 * BLOCK);
    world.slot.bytes = world.image.clone();
    let server = good(&world);
    world.run(server).unwrap();
    assert!(world.requests.borrow().is_empty(), "a power cut between the last block and verified");

    let mut world = World::new(10 * BLOCK);
    world.slot.claims = Some(world.order.size + 1);
    let server = good(&world);
    world.run(server).unwrap();
    assert_eq!(*world.requests.borrow(), [0], "a sink that lies");

    let mut world = World::new(10 * BLOCK);
    world.slot.bytes = world.image[..7 * BLOCK].to_vec();
    world.slot.bytes[1000] ^= 1;
    let server = good(&world);
    world.run(server).unwrap();
    assert_eq!(*world.requests.borrow(), [7 * BLOCK as u64, 0], "a flipped bit is found");
}

#[test]
fn a_file_that_changes_between_two_answers_is_not_mixed() {
    for has_etag in [true, false] {
        let mut world = World::new(10 * BLOCK);
        let (image, other) = (world.image.clone(), image(10 * BLOCK, 2));
        let mut tries = 0;
        world
            .run(move |request, _| {
                tries += 1;
                let mut reply = Reply::to(request, if tries == 1 { &other } else { &image });
                reply.lines[2] = if has_etag { format!("ETag: \"{}\"", tries.min(2)) } else { "X: y".into() };
                if tries == 1 {
                    reply.cut(5 * BLOCK)
                } else {
                    reply
                }
            })
            .unwrap();
        assert_eq!(*world.requests.borrow(), [0, 5 * BLOCK as u64, 0], "{has_etag}");
    }
}

#[test]
fn a_wrong_file_is_never_verified_and_not_fetched_again() {
    let mut world = World::new(3 * BLOCK);
    let other = image(3 * BLOCK, 2);
    let failure = world.run(move |request, _| Reply::to(request, &other)).unwrap_err();
    assert_eq!((failure.error.status, failure.stage), (Status::ENOS_ERR_DIGEST, Stage::Verification));
    assert_eq!(world.requests.borrow().len(), 1);
}

#[test]
fn a_page_of_a_router_never_comes_to_the_sink() {
    for at in [0, 3 * BLOCK] {
        let mut world = World::new(10 * BLOCK);
        world.slot.bytes = world.image[..at].to_vec();
        let page = vec![b'<'; 10 * BLOCK];
        let failure = world
            .run(move |_, _| {
                let length = format!("Content-Length: {}", page.len());
                Reply::new(&["HTTP/1.1 200 OK", "Content-Type: text/html", &length], &page)
            })
            .unwrap_err();
        assert_eq!(failure.error.status, Status::ENOS_ERR_PROTOCOL);
        assert_eq!(world.slot.bytes, world.image[..at]);
        assert_eq!(world.requests.borrow().len(), 5);
    }
}

#[test]
fn a_connection_that_ends_is_not_the_end_of_the_image() {
    for lines in [&["HTTP/1.1 200 OK"][..], &["HTTP/1.1 200 OK", "Content-Length: 655360"]] {
        let mut world = World::new(10 * BLOCK);
        let image = world.image.clone();
        let lines: Vec<String> = lines.iter().map(|line| line.to_string()).collect();
        world
            .run(move |request, _| match request.from {
                0 => Reply { lines: lines.clone(), ..Reply::new(&[], &image[..BLOCK + 5]) },
                _ => Reply::to(request, &image),
            })
            .unwrap();
        assert_eq!(*world.requests.borrow(), [0, BLOCK as u64 + 5]);
    }
}

#[test]
fn bytes_behind_the_end_are_ignored() {
    let mut world = World::new(2 * BLOCK);
    let mut long = world.image.clone();
    long.extend([7; 100]);
    world.run(move |_, _| Reply::new(&["HTTP/1.1 200 OK"], &long)).unwrap();
}

#[test]
fn a_dead_url_is_not_asked_again() {
    for code in [401, 403, 404, 410] {
        let mut world = World::new(10 * BLOCK);
        let image = world.image.clone();
        let failure = world
            .run(move |request, _| match request.from {
                0 => Reply::to(request, &image).cut(5 * BLOCK),
                _ => Reply::new(&[&format!("HTTP/1.1 {code} No")], b""),
            })
            .unwrap_err();
        assert_eq!((failure.error.status, failure.code), (Status::ENOS_ERR_REFUSED, code));
        assert_eq!(world.requests.borrow().len(), 2);
        // With a new URL, what is there is not fetched again.
        world.slot.failed = None;
        world.order.url = "http://other.example/".into();
        let server = good(&world);
        world.run(server).unwrap();
        assert_eq!(world.sent.get(), world.order.size);
    }
}

#[test]
fn a_server_that_is_down_for_a_day_is_asked_a_bounded_number_of_times() {
    let mut world = World::new(10 * BLOCK);
    let begun = world.time.now.get();
    let failure = world.run(|_, _| Reply::new(&["HTTP/1.1 503 Busy"], b"")).unwrap_err();
    assert_eq!(failure.error.status, Status::ENOS_ERR_NETWORK);
    assert!(world.requests.borrow().len() <= 100 && world.time.now.get() - begun <= 86_400_000);

    let mut world = World::new(10 * BLOCK);
    let begun = world.time.now.get();
    let image = world.image.clone();
    let mut tries = 0;
    world
        .run(move |request, _| {
            tries += 1;
            match tries {
                1..4 => Reply::new(&["HTTP/1.1 503 Busy", "Retry-After: 3600"], b""),
                _ => Reply::to(request, &image),
            }
        })
        .unwrap();
    assert!(world.time.now.get() - begun >= 3 * 3_600_000, "Retry-After is obeyed");
}

#[test]
fn retries_do_not_empty_a_metered_link() {
    // It begins anew each time, and always ends at 60 %.
    let mut world = World::new(100 * BLOCK);
    let image = world.image.clone();
    let failure = world.run(move |_, _| Reply::new(&["HTTP/1.1 200 OK"], &image).cut(60 * BLOCK)).unwrap_err();
    assert_eq!(failure.error.status, Status::ENOS_ERR_TOO_LARGE);
    assert!(world.sent.get() <= 3 * world.order.size + BLOCK as u64, "{}", world.sent.get());

    let mut world = World::new(10 * BLOCK);
    world.order.max_bytes = world.order.size - 1;
    let server = good(&world);
    let failure = world.run(server).unwrap_err();
    assert_eq!((failure.error.status, world.sent.get()), (Status::ENOS_ERR_TOO_LARGE, 0));
}

#[test]
fn a_slow_server_is_no_stall_and_a_silent_one_is() {
    // 200 bytes a second for a day, with a lost connection each 30 s.
    let mut world = World::new(200 * 86_400);
    let begun = world.time.now.get();
    let image = world.image.clone();
    world
        .run(move |request, _| {
            let (from, size) = (request.from as usize, image.len());
            let range = format!("Content-Range: bytes {from}-{}/{size}", size - 1);
            let status = if from == 0 { "HTTP/1.1 200 OK" } else { "HTTP/1.1 206 Partial Content" };
            let reply = Reply::new(&[status, &range], &image[from..size.min(from + 6_000)]);
            Reply { bytes_per_s: 200, ..reply.cut(6_000) }
        })
        .unwrap();
    assert!(world.time.now.get() - begun >= 86_400_000);
    assert_eq!(world.sent.get(), world.order.size);

    for bytes_per_s in [0, 1] {
        let mut world = World::new(10 * BLOCK);
        let image = world.image.clone();
        let mut tries = 0;
        world
            .run(move |request, _| {
                tries += 1;
                let reply = Reply::to(request, &image);
                match tries {
                    1 => Reply { bytes_per_s, hangs: true, body: image[..BLOCK + 9].to_vec(), ..reply },
                    _ => reply,
                }
            })
            .unwrap();
        let next = world.requests.borrow()[1];
        assert_eq!(next, if bytes_per_s == 0 { BLOCK as u64 + 9 } else { 60 }, "what has come is not lost");
    }
}

#[test]
fn tls_waits_for_a_clock_and_no_try_is_lost() {
    let mut world = World::new(BLOCK);
    world.order.url = "https://files.example/fw".into();
    world.time.wall.set(60_000);
    let server = good(&world);
    // An hour after the boot, the clock is set.
    let until = world.time.now.get() + 3_600_000;
    let time = std::rc::Rc::clone(&world.time);
    let mut server = server;
    struct Late(std::rc::Rc<super::world::Time>, u64);
    impl crate::download::task::Clock for Late {
        fn now(&self) -> u64 {
            self.0.now()
        }
        fn wall(&self) -> u64 {
            if self.0.now() < self.1 {
                60_000
            } else {
                WALL
            }
        }
        fn sleep(&self, ms: u64) -> bool {
            self.0.sleep(ms)
        }
    }
    let clock = Late(time, until);
    world
        .run_with(&clock, move |request, now| {
            assert!(now >= until, "nothing was asked before");
            server(request, now)
        })
        .unwrap();
    assert_eq!(world.requests.borrow().len(), 1);
}

#[test]
fn redirects_are_followed_with_the_range_and_without_the_headers() {
    let mut world = World::new(4 * BLOCK);
    world.slot.bytes = world.image[..BLOCK].to_vec();
    let image = world.image.clone();
    let long = "q".repeat(4 * KIB);
    let path = long.clone();
    world
        .run(move |request, _| {
            let home = request.url.starts_with("http://files.example/");
            assert_eq!(request.headers.len(), usize::from(home), "{}", request.url);
            assert_eq!(request.from, BLOCK as u64);
            match request.url.as_str() {
                "http://files.example/fw" => Reply::new(&["HTTP/1.1 302 Found", "Location: /second"], b""),
                "http://files.example/second" => {
                    Reply::new(&["HTTP/1.1 307 x", &format!("Location: https://cdn.example/?{path}")], b"")
                }
                _ => Reply::to(request, &image),
            }
        })
        .unwrap();
    assert_eq!(world.requests.borrow().len(), 3);

    // From https:// to http://, without end, and to nowhere.
    for (location, requests) in [("http://files.example/fw", 5), ("/again", 5 * 11), ("ftp://x/", 5)] {
        let mut world = World::new(BLOCK);
        world.order.url = "https://files.example/fw".into();
        let line = format!("Location: {location}");
        let failure = world.run(move |_, _| Reply::new(&["HTTP/1.1 301 x", &line], b"")).unwrap_err();
        assert_eq!(failure.error.status, Status::ENOS_ERR_PROTOCOL);
        assert_eq!(world.requests.borrow().len(), requests, "{location}");
    }
}

#[test]
fn a_full_disk_ends_the_download() {
    let mut world = World::new(10 * BLOCK);
    world.slot.full_at = Some(4 * BLOCK as u64);
    let server = good(&world);
    let failure = world.run(server).unwrap_err();
    assert_eq!((failure.error.status, failure.stage, failure.code), (Status::ENOS_ERR_STORAGE, Stage::Writing, -28));
    assert_eq!(world.slot.bytes.len(), 4 * BLOCK);
}
