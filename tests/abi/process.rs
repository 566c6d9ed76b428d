//! What a client costs its process, and what it leaves behind: time to destroy, descriptors, threads, memory. One test
//! at a time, because they measure the process.

use enos::internals::error::Status::*;
use std::fs;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};
use support::alone::{alone, alone_with};
use support::broker::*;
use support::host;
use support::host::{Host, Setup, Store};
use support::scene::Scene;

use super::idle::status;

/// Destroys a client in this situation repeatedly. The peer, if there is one, lives until the client is gone.
fn time_destroy<T>(name: &str, rounds: usize, mut situation: impl FnMut() -> (Host, T)) {
    let mut times: Vec<Duration> = (0..rounds)
        .map(|_| {
            let (host, rest) = situation();
            let took = host.destroy();
            drop(rest);
            took
        })
        .collect();
    times.sort();
    let (p50, p99) = (times[rounds / 2], times[rounds * 99 / 100]);
    eprintln!("destroy {name}: p50 {p50:?}, p99 {p99:?}, max {:?}", times[rounds - 1]);
    assert!(p50 < Duration::from_millis(50), "destroy {name}: {p50:?}");
    assert!(times[rounds * 98 / 100] < Duration::from_secs(1), "destroy {name}: {times:?}");
    assert!(times[rounds - 1] < Duration::from_secs(5), "destroy {name}: {:?}", times[rounds - 1]);
}

#[test]
fn destroy_is_quick_in_every_situation() {
    alone(|| {
        let rounds = 100;
        let scene = || {
            let Scene { host, peer, broker } = Scene::new();
            (host, (peer, broker))
        };
        time_destroy("fresh", rounds, || (Setup::device(nobody()).create(), ()));
        time_destroy("with an idle loop's thread", rounds, || (Setup::device(nobody()).start(), ()));
        time_destroy("online", rounds, scene);
        time_destroy("online with messages in flight", rounds, || {
            let (host, rest) = scene();
            for _ in 0..50 {
                host.publish("t", &[1; 1000], 1).unwrap();
            }
            host.subscribe("s", 1).unwrap();
            host.post("{}").unwrap();
            (host, rest)
        });
        time_destroy("while closing", rounds, || {
            let (host, rest) = scene();
            host.publish("t", &[1; 1000], 1).unwrap();
            host.disconnect();
            (host, rest)
        });
        time_destroy("before CONNECT is answered", rounds, || {
            let broker = Broker::bind();
            let host = Setup::device(broker.address()).start();
            host.connect();
            let mut peer = broker.accept();
            peer.expect(CONNECT);
            (host, (peer, broker))
        });
        time_destroy("right after connect()", rounds, || {
            let broker = Broker::bind();
            let host = Setup::device(broker.address()).start();
            host.connect();
            (host, broker)
        });
        time_destroy("while the name is looked up", rounds, || {
            let host = Setup::to("tcp://localhost:9").device_secret(host::DEVICE_SECRET).start();
            host.connect();
            (host, ())
        });
        time_destroy("after a loss", rounds, || {
            let (mut host, (peer, broker)) = scene();
            peer.reset();
            host.until("DISCONNECTED");
            (host, broker)
        });
        time_destroy("when the broker does not read any more", 20, || {
            let (host, rest) = scene();
            for _ in 0..20 {
                host.publish("t", &[1; 500_000], 1).unwrap();
            }
            (host, rest)
        });
        time_destroy("waiting for an activation", rounds, || {
            let broker = Broker::bind();
            let host = Setup::product(broker.address(), &Store::new()).start();
            host.connect();
            let peer = broker.accept_mqtt();
            assert_eq!(host.wait(host::ACTIVATING, host::PATIENCE_MS), ENOS_OK);
            (host, (peer, broker))
        });
    });
}

fn entries(directory: &str) -> usize {
    fs::read_dir(directory).unwrap().count()
}

/// Waits until a count is in this range, because threads may take time to end in the background.
#[track_caller]
fn comes_to(wanted: RangeInclusive<usize>, what: &str, count: impl Fn() -> usize) {
    let end = Instant::now() + host::PATIENCE;
    while !wanted.contains(&count()) {
        assert!(Instant::now() < end, "{what}: {wanted:?} wanted, {} there", count());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Freed blocks in malloc's caches count as allocated, and the caches grow for a long time. Without them the numbers
/// are exact.
const NO_CACHES: (&str, &str) =
    ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0:glibc.malloc.arena_max=1");

/// The resources of the process.
struct Held {
    descriptors: usize,
    threads: usize,
    resident_kib: usize,
    /// Allocated by malloc, if malloc reports it.
    bytes: usize,
}

impl Held {
    fn now() -> Held {
        #[cfg(target_env = "gnu")]
        // SAFETY: gives free pages back, whose number depends on how many lives met; then asks for numbers.
        let bytes = unsafe {
            libc::malloc_trim(0);
            libc::mallinfo2().uordblks
        };
        #[cfg(not(target_env = "gnu"))]
        let bytes = 0;
        let (descriptors, threads) = (entries("/proc/self/fd"), entries("/proc/self/task"));
        Held { descriptors, threads, resident_kib: status("/proc/self", "VmRSS") as usize, bytes }
    }

    /// Asserts that the resources have not grown; returns by how many bytes the allocated memory has.
    #[track_caller]
    fn is_held_still(&self, after: &str) -> usize {
        comes_to(0..=self.descriptors, "descriptors", || entries("/proc/self/fd"));
        comes_to(0..=self.threads, "threads", || entries("/proc/self/task"));
        let now = Held::now();
        let (grown, bytes) = (now.resident_kib.saturating_sub(self.resident_kib), now.bytes.saturating_sub(self.bytes));
        let Held { descriptors, threads, resident_kib, .. } = self;
        println!("{after}: {descriptors} descriptors, {threads} threads, {resident_kib} KiB and {grown} KiB more");
        assert!(grown < 1024, "{grown} KiB more after {after}");
        bytes
    }
}

/// All situations of a client: nobody listens; destroyed before, and while, connecting; a refusal, a session with
/// calls, a loss, messages, and an end with calls in progress.
fn live() {
    let broker = Broker::bind();
    // An address that stays reserved, because another test's broker could get a released port.
    let mut host = Setup::to("tcp://127.0.0.2:9").device_secret(host::DEVICE_SECRET).start();
    host.connect();
    host.expect("DISCONNECTED");
    host.destroy();
    for gets_far in [false, true] {
        // The client may have sent its CONNECT before it was destroyed.
        let name = if gets_far { "second" } else { "first" };
        let host = Setup::device(broker.address()).client_id(name).start();
        host.connect();
        while gets_far && !broker.accept().try_read().is_some_and(|packet| packet.credentials()[0].starts_with(name)) {}
        host.destroy();
    }

    let broker = Broker::bind();
    let store = Store::new();
    let mut host = Setup::device(broker.address()).storage(&store).start();
    host.connect();
    let mut peer = broker.accept();
    peer.expect(CONNECT);
    peer.send(&connack(4));
    peer = broker.accept_mqtt();
    host.until("CONNECTED");
    peer.send(&publish(b"t", &[1; 10_000], None));
    host.until("MESSAGE");
    host.subscribe("s", 1).unwrap();
    let mut calls = vec![host.post("{}"), host.unsubscribe("u")];
    calls.extend((0..50).map(|_| host.publish("t", &[1; 2000], 1)));
    peer.reset();
    host.outcomes(&calls.into_iter().map(Result::unwrap).collect::<Vec<_>>());
    let mut peer = broker.accept_mqtt();
    host.until("CONNECTED");
    host.subscribe("t", 1).unwrap();
    for _ in 0..30 {
        host.publish("t", &[1; 2000], 1).unwrap();
        peer.send(&publish(b"t", &[1; 2000], None));
    }
    host.destroy();
}

#[test]
fn a_client_has_three_descriptors_and_one_more_while_it_is_connected() {
    alone(|| {
        let broker = Broker::bind();
        let connected = || {
            let mut host = Setup::device(broker.address()).start();
            host.connect();
            let peer = broker.accept_mqtt();
            host.until("CONNECTED");
            (host, peer)
        };
        // The first client makes what stays for the process.
        let first = connected();
        let before = entries("/proc/self/fd");
        let second = Setup::device(broker.address()).create();
        assert_eq!(entries("/proc/self/fd") - before, 3);
        drop(second);
        let third = connected();
        // One of them is the broker's end of the connection.
        assert_eq!(entries("/proc/self/fd") - before, 3 + 1 + 1);
        drop((first, third));
    });
}

#[test]
fn descriptors_threads_and_memory_are_flat_over_500_lives() {
    alone_with(&[NO_CACHES], || {
        let lives = |each: usize| {
            std::thread::scope(|scope| {
                for _ in 0..20 {
                    scope.spawn(|| (0..each).for_each(|_| live()));
                }
            });
        };
        // The first client makes what stays for the process (threads, static objects).
        lives(10);
        let before = Held::now();
        lives(if std::env::var_os("ENOS_SOAK").is_some() { 500 } else { 25 });
        let bytes = before.is_held_still("so many lives");
        println!("{bytes} bytes more");
        assert!(bytes <= 16 * 1024, "{bytes} bytes more");
    });
}

/// Cuts the link of each of these online devices this many times, with a message on each link; in the end they are
/// online.
fn reconnect(devices: &mut [(Host, Peer, Broker)], rounds: usize) {
    std::thread::scope(|scope| {
        for (host, peer, broker) in devices {
            scope.spawn(move || {
                for _ in 0..rounds {
                    host.publish_durable("t", &[1; 1000]).unwrap();
                    peer.answer_publish();
                    host.until("DELIVERED");
                    peer.stream.shutdown(std::net::Shutdown::Both).unwrap();
                    *peer = broker.accept_mqtt();
                    host.until("CONNECTED");
                    host.seen.clear();
                }
            });
        }
    });
}

#[test]
fn descriptors_threads_and_memory_are_flat_over_many_reconnects() {
    alone(|| {
        const DEVICES: usize = 20;
        let rounds = if std::env::var_os("ENOS_SOAK").is_some() { 10_000 / DEVICES } else { 300 / DEVICES };
        let device = |n: usize| {
            let broker = Broker::bind();
            let setup = Setup::device(broker.address()).storage(&Store::new()).identity("pk", &format!("dk{n}"));
            let mut host = setup.start();
            host.connect();
            let peer = broker.accept_mqtt();
            host.expect("CONNECTED");
            (host, peer, broker)
        };
        let mut devices: Vec<_> = (0..DEVICES).map(device).collect();
        reconnect(&mut devices, 10);
        let before = Held::now();
        reconnect(&mut devices, rounds);
        // A leak of 500 bytes in each reconnect of the full count would be 5 MiB.
        before.is_held_still(&format!("{} reconnects", rounds * DEVICES));
    });
}

#[test]
fn an_idle_client_has_three_descriptors_and_no_thread_and_one_more_when_online() {
    alone(|| {
        live();
        let nobody = nobody();
        let threads = entries("/proc/self/task");
        let before = entries("/proc/self/fd");
        let mut host = Setup::device(nobody).create();
        assert_eq!(entries("/proc/self/fd"), before + 3);
        assert_eq!(entries("/proc/self/task"), threads);
        drop(host);
        let broker = Broker::bind();
        host = Setup::device(broker.address()).create();
        host.connect();
        let accepting = std::thread::spawn(move || (broker.accept_mqtt(), broker));
        host.expect("CONNECTED");
        // The broker's two descriptors belong to the test.
        let _broker = accepting.join().unwrap();
        let online = before + 3 + 1 + 2;
        comes_to(online..=online, "descriptors online", || entries("/proc/self/fd"));
        comes_to(threads..=threads, "threads", || entries("/proc/self/task"));
    });
}

/// Sets the soft limit of descriptors; dropping the guard restores the old one.
struct DescriptorLimit(libc::rlimit);

impl DescriptorLimit {
    fn set(limit: usize) -> DescriptorLimit {
        let mut before = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: places for the limits.
        unsafe {
            assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut before), 0);
            let lower = libc::rlimit { rlim_cur: limit as libc::rlim_t, ..before };
            assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &lower), 0);
        }
        DescriptorLimit(before)
    }
}

impl Drop for DescriptorLimit {
    fn drop(&mut self) {
        // SAFETY: the limits that were there.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &self.0) };
    }
}

#[test]
fn without_descriptors_nothing_breaks_and_with_them_again_the_device_comes_online() {
    alone(|| {
        live();
        let broker = Broker::bind();
        let mut host = Setup::device(broker.address()).start();
        let another = Setup::device(broker.address());
        let limit = DescriptorLimit::set(3);
        let (status, words) = another.try_create().err().expect("a client");
        assert!(status == ENOS_ERR_NO_MEMORY && words.contains("descriptors"), "{status:?}: {words}");
        host.connect();
        for _ in 0..3 {
            assert_eq!(host.expect("DISCONNECTED").status, ENOS_ERR_NETWORK);
        }
        drop(limit);
        let _peer = broker.accept_mqtt();
        host.until("CONNECTED");
    });
}
