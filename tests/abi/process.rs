//! What a client costs its process, and leaves behind: time to destroy, descriptors, threads, memory. One test at a
//! time, for they measure the process.

use enos::error::Status::*;
use std::fs;
use std::time::{Duration, Instant};
use support::alone::alone;
use support::broker::*;
use support::host;
use support::host::{Host, Setup, Store};
use support::scene::Scene;

/// Destroys a client in this situation again and again. The peer, if there is one, lives until it is gone.
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
    assert!(p50 < Duration::from_millis(100), "destroy {name}: {p50:?}");
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

/// Waits until a count is what it was: what ends in the background may take its time.
#[track_caller]
fn comes_back_to(before: usize, what: &str, count: impl Fn() -> usize) {
    let end = Instant::now() + host::PATIENCE;
    while count() != before {
        assert!(Instant::now() < end, "{what}: {before} before, {} after", count());
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn resident_kib() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// A client's whole life, with everything in it: a refusal, a session with calls, a loss, messages, an end.
fn live() {
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
    let calls = [host.publish("t", &[1; 10_000], 1), host.subscribe("s", 1), host.post("[]"), host.unsubscribe("u")];
    peer.reset();
    host.outcomes(&calls.map(Result::unwrap));
    let _peer = broker.accept_mqtt();
    host.until("CONNECTED");
    host.publish("t", &[1; 10_000], 1).unwrap();
    host.destroy();
}

#[test]
fn descriptors_threads_and_memory_are_flat_over_200_lives() {
    alone(|| {
        // What stays for the process (Paho's threads and its held object, arenas of the allocator) is made by the first.
        for _ in 0..50 {
            live();
        }
        let (descriptors, threads) = (entries("/proc/self/fd"), entries("/proc/self/task"));
        let memory = resident_kib();
        for _ in 0..200 {
            live();
        }
        comes_back_to(descriptors, "descriptors", || entries("/proc/self/fd"));
        comes_back_to(threads, "threads", || entries("/proc/self/task"));
        let grown = resident_kib().saturating_sub(memory);
        eprintln!("200 lives: {descriptors} descriptors, {threads} threads, {memory} KiB and {grown} KiB more");
        // 10 KiB in each life would be 2 MiB.
        assert!(grown < 1024, "{grown} KiB more after 200 lives");
    });
}

/// Cuts the link of each of these online devices so many times, a message through on each; in the end they are online.
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
        let (descriptors, threads) = (entries("/proc/self/fd"), entries("/proc/self/task"));
        let memory = resident_kib();
        reconnect(&mut devices, rounds);
        comes_back_to(descriptors, "descriptors", || entries("/proc/self/fd"));
        comes_back_to(threads, "threads", || entries("/proc/self/task"));
        let grown = resident_kib().saturating_sub(memory);
        let reconnects = rounds * DEVICES;
        println!(
            "{reconnects} reconnects: {descriptors} descriptors, {threads} threads, {memory} KiB and {grown} KiB more"
        );
        // 500 bytes in each reconnect of the full count would be 5 MiB.
        assert!(grown < 1024, "{grown} KiB more after {reconnects} reconnects");
    });
}

#[test]
fn an_idle_client_has_two_descriptors_and_no_thread_and_one_more_when_online() {
    alone(|| {
        live();
        let threads = entries("/proc/self/task");
        let before = entries("/proc/self/fd");
        let mut host = Setup::device(nobody()).create();
        assert_eq!(entries("/proc/self/fd"), before + 2);
        assert_eq!(entries("/proc/self/task"), threads);
        drop(host);
        let broker = Broker::bind();
        host = Setup::device(broker.address()).create();
        host.connect();
        let accepting = std::thread::spawn(move || (broker.accept_mqtt(), broker));
        host.expect("CONNECTED");
        // The broker's two are this test's own.
        let _broker = accepting.join().unwrap();
        comes_back_to(before + 2 + 1 + 2, "descriptors online", || entries("/proc/self/fd"));
        comes_back_to(threads, "threads", || entries("/proc/self/task"));
    });
}

/// The soft limit on descriptors; the former one comes back with the guard.
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
