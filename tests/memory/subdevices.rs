//! The memory of a gateway grows by little with each sub-device. `docs/gateways.md` promises the number.

use std::net::SocketAddr;
use std::path::Path;

use crate::held::{held, settle, NO_CACHES};
use enos::internals::error::Status::*;
use enos::internals::protocol::Operation;
use support::alone::alone_with;
use support::desk::{sub_key, Desk};
use support::host::*;

const COUNTS: [usize; 3] = [1, 200, 2_000];
/// For each sub-device, in bytes, beside its names.
const EACH: usize = 2_000;
/// What the first takes for all, and collections that have grown for more than they hold.
const SHARED: usize = 8_000;
/// Where the cloud is, which is in the process that has started this one: its memory does not count.
const CLOUD: &str = "ENOS_TEST_CLOUD";
const PARAMS: &str = r#"{"measurepoints":{"p":1},"time":1700000000000}"#;

/// Runs the test in a process of its own, with the address of a cloud.
macro_rules! with_cloud {
    ($test:expr) => {{
        let is_parent = std::env::var_os(CLOUD).is_none();
        let desk = is_parent.then(|| Desk::gateway(2_000, |config| config.gateways.online = 2_000));
        let address = desk.as_ref().map(|desk| desk.address().to_string()).unwrap_or_default();
        alone_with(&[NO_CACHES, (CLOUD, &address)], || $test(std::env::var(CLOUD).unwrap().parse().unwrap()));
    }};
}

fn subs(count: usize, flags: u32) -> Vec<Sub> {
    (0..count).map(|n| Sub { flags, ..Sub::new(&sub_key(n)) }).collect()
}

/// What so many sub-devices take, beside what they take in the test.
fn taken(host: &mut Host, before: usize) -> usize {
    host.seen = Vec::new();
    drop(host.take_all());
    settle();
    held().saturating_sub(before)
}

fn check(what: &str, taken: impl Fn(usize) -> usize) {
    // Allocations that are made once in a process.
    taken(1);
    let none = taken(0);
    for count in COUNTS {
        let each = taken(count).saturating_sub(none);
        println!("{count} {what}: {each} bytes, {} for each", each / count);
        assert!(each <= SHARED + count * EACH, "{count} {what}: {each} bytes");
    }
}

#[test]
fn each_that_is_online_takes_little() {
    with_cloud!(|cloud: SocketAddr| check("that have posted", |count| {
        let mut host = Setup::device(cloud).subdevice_limit(2_000).inflight(2_000).create();
        host.online();
        let before = taken(&mut host, 0);
        if count > 0 {
            let ids = host.add_subdevices(&subs(count, 0)).unwrap();
            host.until_all(&ids, SubState::Online);
            let post = |id: &u64| Ask { subdevice: *id, ..Ask::json(Operation::ENOS_OP_MEASUREPOINT_POST, PARAMS) };
            let tokens: Vec<u64> = ids.iter().map(|id| host.request(&post(id)).unwrap()).collect();
            assert!(host.outcomes(&tokens).values().all(|told| told.status == ENOS_OK));
        }
        taken(&mut host, before)
    }));
}

/// Each has an outbox then.
#[test]
fn each_with_a_message_that_waits_takes_little() {
    with_cloud!(|cloud: SocketAddr| check("with a message", |count| {
        // In memory, if the system has such a directory, because the syncs are not measured.
        let shm = Path::new("/dev/shm");
        let directory = if shm.is_dir() { tempfile::tempdir_in(shm).unwrap() } else { tempfile::tempdir().unwrap() };
        let mut host = Setup::device(cloud).subdevice_limit(2_000).directory(&directory.path().join("store")).create();
        let before = taken(&mut host, 0);
        if count > 0 {
            let ids = host.add_subdevices(&subs(count, OFFLINE)).unwrap();
            let kept = |id: &u64| Ask {
                subdevice: *id,
                flags: DURABLE,
                ..Ask::json(Operation::ENOS_OP_MEASUREPOINT_POST, PARAMS)
            };
            for id in &ids {
                host.request(&kept(id)).unwrap_or_else(|status| panic!("{status:?}: {}", last_error()));
            }
        }
        taken(&mut host, before)
    }));
}
