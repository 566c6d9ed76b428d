//! Who runs the loop, who waits, and what a callback may do.

use enos::error::Status::{self, *};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use support::broker::*;
use support::host::{
    last_error, Client, Host, Setup, Told, CONNECTING, FOREVER, IDLE, ONLINE, PATIENCE, PATIENCE_MS, WAITING,
};
use support::scene::Scene;

/// Waits for a condition that other threads fulfil.
#[track_caller]
fn until(condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "it did not come about");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Runs the loop once on a thread of its own. It may be refused, because another thread is in the loop.
fn loop_beside(client: Client) -> thread::JoinHandle<Status> {
    thread::spawn(move || loop {
        match client.run_loop(FOREVER) {
            ENOS_ERR_STATE => thread::yield_now(),
            status => return status,
        }
    })
}

#[test]
fn a_loop_without_work_lasts_as_long_as_it_is_told_to() {
    let host = Setup::device(nobody()).create();
    assert_eq!(host.run_loop(0), ENOS_OK);
    let start = Instant::now();
    assert_eq!(host.run_loop(60), ENOS_OK);
    assert!((Duration::from_millis(55)..Duration::from_secs(10)).contains(&start.elapsed()), "{:?}", start.elapsed());
}

#[test]
fn a_wake_up_ends_the_loop_that_waits_or_else_the_next() {
    let host = Setup::device(nobody()).create();
    host.wake();
    host.wake();
    assert_eq!(host.run_loop(FOREVER), ENOS_OK);
    assert!(!host.readable(0), "two are one");
    let client = host.client();
    let looping = loop_beside(client);
    until(|| client.run_loop(0) == ENOS_ERR_STATE);
    client.wake();
    assert_eq!(looping.join().unwrap(), ENOS_OK);
}

extern "C" fn on_signal(_: i32) {}

#[test]
fn a_signal_ends_the_loop() {
    // SAFETY: a handler that does nothing, for a signal that nobody else here uses.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_signal as extern "C" fn(i32) as usize;
        assert_eq!(libc::sigaction(libc::SIGUSR2, &action, std::ptr::null_mut()), 0);
    }
    let host = Setup::device(nobody()).create();
    let client = host.client();
    let (sender, thread) = channel();
    let looping = thread::spawn(move || {
        // SAFETY: this thread.
        sender.send(unsafe { libc::pthread_self() }).unwrap();
        client.run_loop(FOREVER)
    });
    let thread = thread.recv().unwrap();
    // It may come before the wait begins, and then has no effect.
    while !looping.is_finished() {
        // SAFETY: the thread is not joined yet.
        assert_eq!(unsafe { libc::pthread_kill(thread, libc::SIGUSR2) }, 0);
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(looping.join().unwrap(), ENOS_OK);
}

#[test]
fn a_second_loop_is_refused() {
    let host = Setup::device(nobody()).create();
    let client = host.client();
    let looping = loop_beside(client);
    until(|| client.run_loop(0) == ENOS_ERR_STATE);
    assert!(last_error().contains("another thread"), "{}", last_error());
    assert_eq!(client.loop_start(), ENOS_ERR_STATE, "the library's thread is a second loop as well");
    assert!(last_error().contains("another thread"), "{}", last_error());
    client.wake();
    looping.join().unwrap();

    assert_eq!(host.loop_start(), ENOS_OK);
    assert_eq!((host.run_loop(0), host.run_loop(FOREVER)), (ENOS_ERR_STATE, ENOS_ERR_STATE));
    assert_eq!(host.loop_start(), ENOS_ERR_STATE);
    assert_eq!((host.loop_stop(), host.loop_stop()), (ENOS_OK, ENOS_OK));
    assert_eq!(host.run_loop(0), ENOS_OK);
    assert_eq!((host.loop_start(), host.run_loop(0)), (ENOS_OK, ENOS_ERR_STATE));
}

#[test]
fn a_host_that_only_polls_the_descriptor_runs_a_session_and_then_sleeps() {
    let broker = Broker::bind();
    let mut host = Setup::device(broker.address()).connect_timeout(1000).reply_timeout(200).create();
    let client = host.client();
    let mut next = || -> Told {
        for _ in 0..1000 {
            if let Some(told) = host.take() {
                return told;
            }
            assert!(client.readable(PATIENCE_MS), "the state is {}", client.state());
            assert_eq!(client.run_loop(0), ENOS_OK);
        }
        panic!("the descriptor is readable, and nothing comes of it");
    };
    assert!(!client.readable(0));
    client.connect();
    assert!(client.readable(0));
    // The descriptor covers the timers: the connect timeout, the wait after it, the reply timeout.
    assert_eq!(next().name, "DISCONNECTED");
    let _silent = broker.accept();
    let accepting = thread::spawn(move || broker.accept_mqtt());
    assert_eq!(next().name, "CONNECTED");
    let mut peer = accepting.join().unwrap();
    client.post("{}").unwrap();
    assert!(client.readable(0));
    assert_eq!(client.run_loop(0), ENOS_OK);
    peer.answer_subscribe(1);
    assert_eq!(next().status, ENOS_ERR_TIMEOUT);

    // With nothing to do the descriptor is not readable, after at most one or two turns.
    let mut turns = 0;
    while client.readable(500) {
        assert_eq!(client.run_loop(0), ENOS_OK);
        turns += 1;
        assert!(turns < 10, "the descriptor stays readable");
    }
}

/// A callback that causes a new event for each event, and two messages that the broker does not acknowledge. The event
/// of the first is one more than a call delivers, so that each later call leaves one for the next.
#[test]
fn endless_events_do_not_stop_the_timers() {
    let broker = Broker::bind();
    let setup = Setup::device(broker.address()).inflight(1000).reply_timeout(100);
    let mut host = setup
        .on_event(|client, told| {
            if told.name == "DELIVERED" && told.status == ENOS_OK {
                client.publish("t", b"", 0).unwrap();
            }
        })
        .create();
    let accepting = thread::spawn(move || broker.accept_mqtt());
    host.online();
    let mut peer = accepting.join().unwrap();
    let reading = thread::spawn(move || peer.expect_end());
    for _ in 0..900 {
        host.publish("t", b"", 0).unwrap();
    }
    for _ in 0..2 {
        let token = host.publish("t", b"", 1).unwrap();
        let end = Instant::now() + Duration::from_secs(10);
        let told = loop {
            assert_eq!(host.run_loop(0), ENOS_OK);
            if let Some(told) = host.take_all().into_iter().find(|told| told.token == token) {
                break told;
            }
            assert!(Instant::now() < end, "it has waited for 10 seconds instead of 100 ms");
        };
        assert_eq!(told.status, ENOS_ERR_TIMEOUT);
    }
    assert!(host.destroy() < Duration::from_secs(10));
    reading.join().unwrap();
}

#[test]
fn the_loops_thread_has_a_name_hears_no_signal_and_ends_with_the_loop() {
    let tid = Arc::new(AtomicI32::new(0));
    let seen = Arc::clone(&tid);
    // SAFETY: no arguments.
    let scene =
        Scene::with(|setup| setup.on_event(move |_, _| seen.store(unsafe { libc::gettid() }, Ordering::SeqCst)));
    until(|| tid.load(Ordering::SeqCst) != 0);
    let tid = tid.load(Ordering::SeqCst);
    let task = format!("/proc/self/task/{tid}");
    assert_eq!(std::fs::read_to_string(format!("{task}/comm")).unwrap().trim(), "enos-loop");
    let status = std::fs::read_to_string(format!("{task}/status")).unwrap();
    let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap().trim();
    let blocked = u64::from_str_radix(blocked, 16).unwrap();
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGALRM, libc::SIGUSR1, libc::SIGCHLD] {
        assert!(blocked & 1 << (signal - 1) != 0, "signal {signal} reaches the thread");
    }
    // After the loop was stopped, the thread is gone.
    assert_eq!(scene.host.loop_stop(), ENOS_OK);
    until(|| !std::path::Path::new(&task).exists());
}

#[test]
fn a_wait_checks_loops_and_reports_why_it_cannot_succeed() {
    let broker = Broker::bind();
    let host = Setup::device(broker.address()).create();
    assert_eq!(host.wait(IDLE, 0), ENOS_OK);
    for state in [-1, 6, i32::MAX] {
        assert_eq!(host.wait(state, 0), ENOS_ERR_INVALID_ARG);
    }
    assert_eq!(host.wait(ONLINE, FOREVER), ENOS_ERR_STATE);
    assert!(last_error().contains("enos_client_connect"), "{}", last_error());
    host.connect();
    assert_eq!(host.wait(ONLINE, 0), ENOS_ERR_TIMEOUT);
    let start = Instant::now();
    assert_eq!(host.wait(ONLINE, 60), ENOS_ERR_TIMEOUT);
    assert!(start.elapsed() >= Duration::from_millis(55));
    assert_eq!(host.wait(CONNECTING, 0), ENOS_OK);
    let accepted = thread::spawn(move || broker.accept_mqtt());
    assert_eq!(host.wait(ONLINE, FOREVER), ENOS_OK);
    assert_eq!(host.wait(WAITING, 50), ENOS_ERR_TIMEOUT);
    host.disconnect();
    assert_eq!(host.wait(IDLE, PATIENCE_MS), ENOS_OK);
    assert_eq!(host.wait(ONLINE, PATIENCE_MS), ENOS_ERR_STATE);
    drop(accepted.join().unwrap());
}

fn spawn_wait(client: Client, state: i32) -> (JoinHandle<()>, Receiver<Status>) {
    let (sender, receiver): (Sender<Status>, _) = channel();
    (thread::spawn(move || sender.send(client.wait(state, PATIENCE_MS)).unwrap()), receiver)
}

#[test]
fn waits_beside_a_loop_end_with_the_state_and_take_over_when_the_loop_ends() {
    // Several waits beside the library's thread.
    let broker = Broker::bind();
    let host = Setup::device(broker.address()).start();
    host.connect();
    let waits = [spawn_wait(host.client(), ONLINE), spawn_wait(host.client(), ONLINE)];
    let _peer = broker.accept_mqtt();
    for (thread, result) in waits {
        assert_eq!(result.recv().unwrap(), ENOS_OK);
        thread.join().unwrap();
    }
    // The library's thread ends during a wait.
    let (thread, result) = spawn_wait(host.client(), IDLE);
    assert_eq!(host.loop_stop(), ENOS_OK);
    host.disconnect();
    assert_eq!(result.recv().unwrap(), ENOS_OK);
    thread.join().unwrap();

    // A thread of the host runs the loop once, and leaves while others wait.
    let host = Setup::device(broker.address()).create();
    let client = host.client();
    let looping = loop_beside(client);
    until(|| client.run_loop(0) == ENOS_ERR_STATE);
    client.connect();
    let waits = [spawn_wait(client, ONLINE), spawn_wait(client, ONLINE), spawn_wait(client, ONLINE)];
    let _peer = broker.accept_mqtt();
    for (thread, result) in waits {
        assert_eq!(result.recv().unwrap(), ENOS_OK);
        thread.join().unwrap();
    }
    assert_eq!(looping.join().unwrap(), ENOS_OK);
}

#[test]
fn a_disconnect_by_another_thread_ends_a_wait_for_online() {
    let broker = Broker::bind();
    let host = Setup::device(broker.address()).create();
    host.connect();
    let (thread, result) = spawn_wait(host.client(), ONLINE);
    let _silent = broker.accept();
    host.disconnect();
    assert_eq!(result.recv().unwrap(), ENOS_ERR_STATE, "nothing is under way any more");
    thread.join().unwrap();
}

#[test]
fn threads_that_start_and_stop_the_loop_at_once_do_not_hang_or_leave_one_behind() {
    let host = Setup::device(nobody()).create();
    let client = host.client();
    host.connect();
    let end = Instant::now() + Duration::from_millis(400);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while Instant::now() < end {
                    let status = client.loop_start();
                    assert!(matches!(status, ENOS_OK | ENOS_ERR_STATE), "{status:?}");
                }
            });
            scope.spawn(|| {
                while Instant::now() < end {
                    assert_eq!(client.loop_stop(), ENOS_OK);
                }
            });
        }
    });
    assert_eq!(host.loop_stop(), ENOS_OK);
    assert_eq!(host.run_loop(0), ENOS_OK, "nobody else loops");
}

#[test]
fn after_a_fault_of_the_library_every_call_says_so_and_nobody_waits() {
    let Scene { host, mut peer, broker: _broker } = Scene::new();
    let (thread, result) = spawn_wait(host.client(), IDLE);
    let other = Setup::device(nobody()).create();
    let looping = loop_beside(other.client());
    until(|| other.run_loop(0) == ENOS_ERR_STATE);
    for client in [host.client(), other.client()] {
        assert_eq!(client.provoke_fault(), ENOS_ERR_PANIC);
        assert!(last_error().contains("src/ffi/guard.rs:"), "{}", last_error());
    }
    assert_eq!((result.recv().unwrap(), looping.join().unwrap()), (ENOS_ERR_PANIC, ENOS_ERR_PANIC));
    thread.join().unwrap();
    // SAFETY: a handle.
    let connected = unsafe { enos::ffi::client::enos_client_connect(host.handle()) };
    assert_eq!((connected, host.state()), (ENOS_ERR_PANIC as i32, ENOS_ERR_PANIC as i32));
    let calls: [fn(&Host) -> Status; 3] =
        [|host| host.run_loop(FOREVER), |host| host.wait(ONLINE, FOREVER), |host| host.loop_start()];
    for call in calls {
        assert_eq!(call(&host), ENOS_ERR_PANIC);
        assert!(last_error().contains("destroy"), "{}", last_error());
    }
    assert_eq!(host.activation_saved(), ENOS_ERR_PANIC);
    for result in [host.publish("t", b"", 1), host.subscribe("s", 0), host.unsubscribe("s"), host.post("{}")] {
        assert_eq!(result, Err(ENOS_ERR_PANIC));
    }
    assert_eq!(host.loop_stop(), ENOS_OK);
    assert_eq!(host.run_loop(0), ENOS_ERR_PANIC);
    assert!(host.destroy() < Duration::from_secs(10));
    peer.expect_end();
}
