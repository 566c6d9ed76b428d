//! The cost of an idle client, and of a client whose loop nobody runs. One test at a time, because they measure the
//! process.

use enos::error::Status::*;
use std::fs;
use std::time::{Duration, Instant};
use support::alone::alone;
use support::broker::*;
use support::host::{Host, Setup, Store, ACTIVATING, CONNECTING, IDLE, ONLINE, PATIENCE, PATIENCE_MS, WAITING};
use support::scene::Scene;

/// A number in the status of a process or a thread.
pub fn status(path: &str, field: &str) -> u64 {
    let status = fs::read_to_string(format!("{path}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
}

/// The thread that runs a client's loop. It sets its name when it starts.
fn loops_task() -> String {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        let tasks = fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path().display().to_string());
        let named =
            |task: &String| fs::read_to_string(format!("{task}/comm")).is_ok_and(|comm| comm.trim() == "enos-loop");
        if let [task] = &tasks.filter(named).collect::<Vec<_>>()[..] {
            return task.clone();
        }
        std::thread::yield_now();
    }
    panic!("there is not one thread that loops");
}

/// How often that thread woke up during this time.
fn wake_ups(time: Duration) -> u64 {
    let task = loops_task();
    let before = status(&task, "voluntary_ctxt_switches");
    std::thread::sleep(time);
    status(&task, "voluntary_ctxt_switches") - before
}

#[track_caller]
fn sleeps_in(state: i32, host: &Host) {
    assert_eq!(host.wait(state, PATIENCE_MS), ENOS_OK);
    // The loop may still have work that led to this state.
    wake_ups(Duration::from_millis(100));
    let woken = wake_ups(Duration::from_millis(500));
    assert_eq!(host.state(), state);
    assert!(woken <= 3, "{woken} wake-ups in half a second of state {state}");
}

#[test]
fn the_loop_sleeps_in_every_state() {
    alone(|| {
        let broker = Broker::bind();
        let mut host = Setup::device(broker.address()).sign_method(3).start();
        sleeps_in(IDLE, &host);
        host.connect();
        let mut peer = broker.accept();
        peer.expect(CONNECT);
        sleeps_in(CONNECTING, &host);
        peer.send(&connack(5));
        host.expect("DISCONNECTED");
        sleeps_in(WAITING, &host);
        host.connect();
        peer = broker.accept_mqtt();
        host.expect("CONNECTED");
        sleeps_in(ONLINE, &host);
        // With calls that get no answer.
        host.publish("t", b"", 1).unwrap();
        host.post("{}").unwrap();
        peer.expect(PUBLISH);
        sleeps_in(ONLINE, &host);
        drop(host);

        let host = Setup::product(broker.address(), &Store::new()).start();
        host.connect();
        let _peer = broker.accept_mqtt();
        sleeps_in(ACTIVATING, &host);
    });
}

fn cpu_ms() -> u64 {
    // SAFETY: a struct of integers, to be filled in.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: a place for the result.
    assert_eq!(unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) }, 0);
    let ms = |time: libc::timeval| time.tv_sec as u64 * 1000 + time.tv_usec as u64 / 1000;
    ms(usage.ru_utime) + ms(usage.ru_stime)
}

#[test]
fn twenty_idle_clients_use_next_to_no_time() {
    alone(|| {
        let _scenes: Vec<Scene> = (0..20).map(|_| Scene::new()).collect();
        let before = cpu_ms();
        std::thread::sleep(Duration::from_secs(1));
        let used = cpu_ms() - before;
        eprintln!("20 idle clients: {used} ms of processor time in a second");
        assert!(used < 100, "{used} ms");
    });
}

#[test]
fn a_host_that_does_not_loop_holds_no_more_than_its_queue() {
    alone(|| {
        const EACH: usize = 50_000;
        const COUNT: u16 = 2000;
        let Scene { mut host, mut peer, broker: _broker } =
            Scene::with(|setup| setup.queue_limits(1000, 2 << 20).keep_alive(10));
        assert_eq!(host.loop_stop(), ENOS_OK);
        let packet = |id| publish(b"m", &[7; EACH], Some(id));
        peer.send(&packet(1));
        peer.expect(PUBACK);
        let before = status("/proc/self", "VmRSS");
        for id in 2..=COUNT {
            peer.send(&packet(id));
            peer.expect(PUBACK);
        }
        let grown = status("/proc/self", "VmRSS").saturating_sub(before);
        eprintln!("{} MB sent, {grown} KiB held", usize::from(COUNT) * EACH / 1_000_000);
        assert!(grown < 10 << 10, "{grown} KiB");
        let (mut messages, mut dropped) = (0, 0);
        while messages + dropped < i32::from(COUNT) {
            let told = host.next();
            match told.name.as_str() {
                "MESSAGE" => messages += 1,
                "OVERFLOW" => dropped += told.detail_code,
                _ => panic!("{told:?}"),
            }
        }
        assert_eq!(messages as usize, (2 << 20) / (EACH + 1));
    });
}
