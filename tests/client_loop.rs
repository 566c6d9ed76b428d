//! Who runs the loop, who waits, and what a callback may do.

#[path = "support/broker.rs"]
mod broker;
#[path = "support/host.rs"]
mod host;
#[path = "support/scene.rs"]
mod scene;

use broker::*;
use enos::error::Status::{self, *};
use host::{last_error, Client, Setup, Told, CONNECTING, FOREVER, IDLE, ONLINE, PATIENCE, PATIENCE_MS, WAITING};
use scene::Scene;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Whether the descriptor becomes readable within this time.
fn readable(client: Client, timeout_ms: i32) -> bool {
    let mut poll = libc::pollfd { fd: client.fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one pollfd.
    unsafe { libc::poll(&mut poll, 1, timeout_ms) == 1 }
}

/// Waits for a condition that other threads bring about.
#[track_caller]
fn until(condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "it did not come about");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Where a callback is held until the test lets it go.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<(bool, bool)>, Condvar)>);

impl Gate {
    /// In the callback.
    fn pass(&self) {
        let mut state = self.0 .0.lock().unwrap();
        state.0 = true;
        self.0 .1.notify_all();
        while !state.1 {
            state = self.0 .1.wait(state).unwrap();
        }
    }

    fn wait_for_arrival(&self) {
        let state = self.0 .0.lock().unwrap();
        let (state, _) = self.0 .1.wait_timeout_while(state, PATIENCE, |state| !state.0).unwrap();
        assert!(state.0, "no callback came");
    }

    fn open(&self) {
        self.0 .0.lock().unwrap().1 = true;
        self.0 .1.notify_all();
    }
}

/// A scene whose CONNECTED is held at the gate; the library's thread loops.
fn held() -> (Scene, Gate) {
    let gate = Gate::default();
    let at = gate.clone();
    let scene = Scene::with(move |setup| {
        setup.on_event(move |_, told| {
            if told.name == "CONNECTED" {
                at.pass();
            }
        })
    });
    gate.wait_for_arrival();
    (scene, gate)
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
    assert!(!readable(host.client(), 0), "two are one");
    let client = host.client();
    let looping = thread::spawn(move || client.run_loop(FOREVER));
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
    // It may come before the wait begins, and would then end nothing.
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
    let looping = thread::spawn(move || client.run_loop(FOREVER));
    until(|| client.run_loop(0) == ENOS_ERR_STATE);
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
fn a_host_that_only_polls_the_descriptor_goes_all_the_way_and_idles_in_peace() {
    let broker = Broker::bind();
    let mut host = Setup::device(broker.address()).connect_timeout(1000).reply_timeout(200).create();
    let client = host.client();
    let mut next = || -> Told {
        for _ in 0..1000 {
            if let Some(told) = host.take() {
                return told;
            }
            assert!(readable(client, PATIENCE_MS as i32), "the state is {}", client.state());
            assert_eq!(client.run_loop(0), ENOS_OK);
        }
        panic!("the descriptor is readable, and nothing comes of it");
    };
    assert!(!readable(client, 0));
    client.connect();
    assert!(readable(client, 0));
    // Its timers are in it: the connect timeout, the wait after it, the reply timeout.
    assert_eq!(next().name, "DISCONNECTED");
    let _silent = broker.accept();
    let accepting = thread::spawn(move || broker.accept_mqtt());
    assert_eq!(next().name, "CONNECTED");
    let mut peer = accepting.join().unwrap();
    client.post("{}").unwrap();
    assert!(readable(client, 0));
    assert_eq!(client.run_loop(0), ENOS_OK);
    peer.answer_subscribe(1);
    assert_eq!(next().status, ENOS_ERR_TIMEOUT);

    // Nothing to do, nothing to read; and not more than a turn or two until then.
    let mut turns = 0;
    while readable(client, 500) {
        assert_eq!(client.run_loop(0), ENOS_OK);
        turns += 1;
        assert!(turns < 10, "the descriptor stays readable");
    }
}

/// How often the thread of this client's loop has slept.
fn sleeps(tid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/self/task/{tid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
    line.trim().parse().unwrap()
}

#[test]
fn the_loops_thread_has_a_name_hears_no_signal_and_sleeps_when_idle() {
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
    let before = sleeps(tid);
    thread::sleep(Duration::from_secs(1));
    let woken = sleeps(tid) - before;
    assert!(woken <= 5, "{woken} wake-ups in an idle second");
    // After the loop was stopped there is no such thread.
    assert_eq!(scene.host.loop_stop(), ENOS_OK);
    until(|| !std::path::Path::new(&task).exists());
}

#[test]
fn a_wait_looks_loops_and_says_why_it_is_in_vain() {
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
    // Beside the library's thread, several at once.
    let broker = Broker::bind();
    let host = Setup::device(broker.address()).start();
    host.connect();
    let waits = [spawn_wait(host.client(), ONLINE), spawn_wait(host.client(), ONLINE)];
    let _peer = broker.accept_mqtt();
    for (thread, result) in waits {
        assert_eq!(result.recv().unwrap(), ENOS_OK);
        thread.join().unwrap();
    }
    // The library's thread ends under a wait.
    let (thread, result) = spawn_wait(host.client(), IDLE);
    assert_eq!(host.loop_stop(), ENOS_OK);
    host.disconnect();
    assert_eq!(result.recv().unwrap(), ENOS_OK);
    thread.join().unwrap();

    // A thread of the host's loops once, and leaves while others wait.
    let host = Setup::device(broker.address()).create();
    let client = host.client();
    let looping = thread::spawn(move || client.run_loop(FOREVER));
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
fn everybody_who_stops_the_loop_waits_for_its_callback() {
    let (scene, gate) = held();
    let client = scene.host.client();
    let stops: Vec<_> = (0..3).map(|_| thread::spawn(move || client.loop_stop())).collect();
    // Nothing tells when they wait; that none is through is what can be seen.
    thread::sleep(Duration::from_millis(100));
    assert!(stops.iter().all(|stop| !stop.is_finished()), "a callback is running yet");
    gate.open();
    for stop in stops {
        assert_eq!(stop.join().unwrap(), ENOS_OK);
    }
}

#[test]
fn destroy_waits_for_a_callback_on_the_librarys_thread() {
    let (scene, gate) = held();
    let Scene { host, mut peer, .. } = scene;
    let opened = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&opened);
    let destroying = thread::spawn(move || {
        host.destroy();
        assert!(seen.load(Ordering::SeqCst), "the callback was still running");
    });
    thread::sleep(Duration::from_millis(100));
    assert!(!destroying.is_finished());
    opened.store(true, Ordering::SeqCst);
    gate.open();
    destroying.join().unwrap();
    peer.expect_end();
}

#[test]
fn a_slow_callback_holds_up_neither_another_client_nor_its_own_calls() {
    let (slow, gate) = held();
    let Scene { mut host, mut peer, broker: _broker } = Scene::new();
    let token = host.publish("t", b"", 1).unwrap();
    peer.answer_publish();
    assert_eq!(host.expect("DELIVERED").token, token);
    assert!(host.destroy() < Duration::from_secs(10));
    // Calls on the client itself are taken meanwhile, and done afterwards.
    let Scene { mut host, mut peer, broker: _slow_broker } = slow;
    assert_eq!((host.state(), host.wait(ONLINE, 0)), (ONLINE, ENOS_OK));
    let token = host.publish("t", b"", 1).unwrap();
    gate.open();
    peer.answer_publish();
    assert_eq!(host.expect("DELIVERED").token, token);
}

#[test]
fn a_callback_may_call_everything_that_does_not_wait() {
    let said = Arc::new(Mutex::new(Vec::new()));
    let (hear, other) = (Arc::clone(&said), Setup::device(nobody()).create());
    let another = other.client();
    let Scene { mut host, peer, broker } = Scene::with(move |setup| {
        setup.on_event(move |client, told| {
            let mut said = hear.lock().unwrap();
            match told.name.as_str() {
                "CONNECTED" => {
                    for client in [client, another] {
                        let refused =
                            [client.destroy(), client.run_loop(0), client.wait(ONLINE, 0), client.loop_stop()];
                        assert_eq!(refused, [ENOS_ERR_IN_CALLBACK; 4]);
                        assert!(last_error().contains("callback"), "{}", last_error());
                    }
                    assert_eq!(client.state(), ONLINE);
                    assert!(client.fd() >= 0);
                    client.wake();
                    client.connect();
                    assert_eq!(client.loop_start(), ENOS_ERR_STATE, "it runs");
                    assert_eq!(client.activation_saved(), ENOS_ERR_STATE);
                    said.push(client.publish("t", b"", 0).unwrap());
                    said.push(client.publish("t", b"", 1).unwrap());
                    said.push(client.subscribe("s", 1).unwrap());
                    said.push(client.post("{}").unwrap());
                    another.connect();
                }
                "SUBSCRIBED" => {
                    said.push(client.unsubscribe("s").unwrap());
                    client.disconnect();
                    assert_eq!(client.publish("t", b"", 1), Err(ENOS_ERR_STATE));
                }
                _ => {}
            }
        })
    });
    let served = peer.oblige();
    assert_eq!(host.until("DISCONNECTED").status, ENOS_OK);
    served.join().unwrap();
    host::exactly_once(&said.lock().unwrap(), &host.seen);
    drop((other, broker));
}

#[test]
fn connect_in_the_callback_that_says_disconnected_comes_back_each_time() {
    let Scene { mut host, mut peer, broker } = Scene::with(|setup| {
        setup.reconnect(0, 0).on_event(|client, told| {
            if told.name == "DISCONNECTED" {
                client.connect();
            }
        })
    });
    for round in 0..5 {
        if round % 2 == 0 {
            peer.reset();
        } else {
            host.disconnect();
            peer.expect_end();
        }
        peer = broker.accept_mqtt();
        host.until("CONNECTED");
    }
}

#[test]
fn clients_looped_by_one_thread_do_not_wait_for_each_other() {
    let broker = Broker::bind();
    let mut hosts: Vec<_> =
        (0..5).map(|n| Setup::device(broker.address()).identity("pk", &format!("dk{n}")).create()).collect();
    for host in &hosts {
        host.connect();
    }
    let accepting = thread::spawn(move || (0..5).map(|_| broker.accept_mqtt()).collect::<Vec<_>>());
    let mut left = 5;
    let end = Instant::now() + PATIENCE;
    while left > 0 {
        assert!(Instant::now() < end);
        let mut polls: Vec<_> =
            hosts.iter().map(|host| libc::pollfd { fd: host.fd(), events: libc::POLLIN, revents: 0 }).collect();
        // SAFETY: as many pollfds as said.
        assert!(unsafe { libc::poll(polls.as_mut_ptr(), 5, PATIENCE_MS as i32) } > 0);
        for (host, poll) in hosts.iter_mut().zip(polls).filter(|(_, poll)| poll.revents != 0) {
            assert_eq!(poll.revents, libc::POLLIN);
            assert_eq!(host.run_loop(0), ENOS_OK);
            while let Some(told) = host.take() {
                assert_eq!(told.name, "CONNECTED");
                left -= 1;
            }
        }
    }
    drop(accepting.join().unwrap());
}
