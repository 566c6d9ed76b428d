//! What a callback may do, and who waits for it.

use enos::error::Status::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use support::broker::*;
use support::gate::Gate;
use support::host;
use support::host::{last_error, Setup, ONLINE};
use support::scene::Scene;

/// A scene whose CONNECTED callback is blocked at the gate; the library's thread runs the loop.
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
fn everybody_who_stops_the_loop_waits_for_its_callback() {
    let (scene, gate) = held();
    let client = scene.host.client();
    let stops: Vec<_> = (0..3).map(|_| thread::spawn(move || client.loop_stop())).collect();
    // It is not visible when they wait; the test can only see that none has returned.
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
    // Calls on the client itself are accepted meanwhile, and performed afterwards.
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
fn connect_in_the_disconnected_callback_reconnects_each_time() {
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
