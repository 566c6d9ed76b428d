//! Random servers: what is verified is always the image, and the bounds hold.

use super::world::{image, Reply, World};
use crate::model::http::{Request, BLOCK};

/// An answer that may be anything.
fn answer(random: &mut fastrand::Rng, request: &Request, image: &[u8], other: &[u8]) -> Reply {
    let source = if random.u8(..4) == 0 { other } else { image };
    let mut reply = Reply::to(request, source);
    for _ in 0..random.usize(..3) {
        match random.u8(..14) {
            0 => reply = reply.cut(random.usize(..=image.len())),
            1 => {
                reply.lines[0] =
                    format!("HTTP/1.1 {} x", random.choice([200, 206, 204, 416, 500, 503, 302, 999]).unwrap())
            }
            2 => {
                let (first, last) = (random.usize(..=image.len()), random.usize(..=image.len()));
                reply.lines.push(format!("Content-Range: bytes {first}-{last}/{}", image.len()));
            }
            3 => drop(reply.lines.pop()),
            4 => reply.lines.retain(|line| !line.starts_with("Content")),
            5 => reply.body.truncate(random.usize(..=reply.body.len())),
            6 => reply.body.extend(std::iter::repeat_n(7, random.usize(..2 * BLOCK))),
            7 => {
                if let Some(at) = (!reply.body.is_empty()).then(|| random.usize(..reply.body.len())) {
                    reply.body[at] ^= 1 << random.u8(..8);
                }
            }
            8 => reply.lines.push(format!("ETag: \"{}\"", random.u8(..3))),
            9 => reply.hangs = true,
            10 => reply.bytes_per_s = random.u64(1..100_000),
            11 => reply.lines.push("Location: /elsewhere".into()),
            12 => reply.lines.push("Content-Encoding: gzip".into()),
            // Bytes of elsewhere in the file, for the right range.
            _ => {
                let by = random.usize(..=reply.body.len());
                reply.body.rotate_left(by);
            }
        }
    }
    reply
}

#[test]
fn nothing_else_is_ever_verified() {
    let rounds = std::env::var("ENOS_DOWNLOADS").ok().and_then(|worlds| worlds.parse().ok()).unwrap_or(100);
    let mut verified = 0;
    for seed in 0..rounds {
        let mut random = fastrand::Rng::with_seed(seed);
        let size = random.usize(1..4 * BLOCK);
        let mut world = World::new(size);
        world.seed = seed;
        let there = random.usize(..=size);
        world.slot.bytes = if random.bool() { world.image[..there].to_vec() } else { image(there, 3) };
        let (mine, other) = (world.image.clone(), image(size, 2));
        let mut others = random.fork();
        // The world itself checks what is verified.
        let result = world.run(move |request, _| answer(&mut others, request, &mine, &other));
        verified += u32::from(result.is_ok());
        assert!(world.sent.get() <= 3 * size as u64 + 2 * BLOCK as u64, "seed {seed}: {} of {size}", world.sent.get());
        let requests = world.requests.borrow().len();
        assert!(requests <= 5_000, "seed {seed}: {requests} requests");
    }
    assert!(verified > rounds as u32 / 4, "{verified} of {rounds}: most servers can be lived with");
}
