//! Information for an operator: why a connection ended, and the client's counters.

use std::net::SocketAddr;

use enos::internals::error::Status::*;
use support::broker::*;
use support::host::{Setup, Told, ONLINE, PATIENCE_MS};
use support::scene::Scene;

/// A host that knows its broker by name, and its event after `end` has run.
fn told_of(broker: Broker, end: impl FnOnce(Broker)) -> Told {
    told_at(broker.address(), || end(broker))
}

fn told_at(address: SocketAddr, end: impl FnOnce()) -> Told {
    let server = std::ffi::CString::new(format!("tcp://localhost:{}", address.port())).unwrap();
    // SAFETY: a config and a text.
    let named = |config| unsafe { enos::internals::ffi::config::enos_config_set_server(config, server.as_ptr()) };
    let mut host = Setup::device(address).set(named).connect_timeout(500).start();
    let worked = std::thread::spawn(move || host_told(&mut host));
    end();
    worked.join().unwrap()
}

fn host_told(host: &mut support::host::Host) -> Told {
    host.connect();
    host.until("DISCONNECTED")
}

#[test]
fn a_reason_names_the_host_and_what_the_system_said() {
    let refused = told_at(nobody(), || ());
    let silent = told_of(Broker::bind(), |broker| broker.accept().expect_end());
    let closed = told_of(Broker::bind(), |broker| drop(broker.accept_mqtt()));
    let reset = told_of(Broker::bind(), |broker| broker.accept_mqtt().reset());
    for (told, words) in [
        (refused, "refused (os error 111)"),
        (silent, "has the CONNECT: no answer"),
        (closed, "closed"),
        (reset, "reset by peer (os error 104)"),
    ] {
        assert_eq!(told.status, ENOS_ERR_NETWORK, "{told:?}");
        let named = told.detail.starts_with("localhost: ") && told.detail.contains("127.0.0.1:");
        assert!(named && told.detail.contains(words), "{told:?}, without {words:?}");
    }
}

/// To the broadcast address of the loopback no connection can be made, and no packet for it leaves the machine.
#[test]
fn a_network_that_cannot_be_reached_is_told_as_such() {
    let told = host_told(&mut Setup::device("127.255.255.255:1883".parse().unwrap()).start());
    assert_eq!(told.status, ENOS_ERR_NETWORK, "{told:?}");
    assert!(told.detail.contains("127.255.255.255:1883"), "{told:?}");
    assert!(told.detail.contains("unreachable (os error 101)"), "{told:?}");
}

#[test]
fn a_keep_alive_that_is_not_answered_is_told_as_such() {
    let broker = Broker::bind();
    let mut host = Setup::device(broker.address()).keep_alive(10).start();
    host.connect();
    let mut peer = broker.accept_mqtt();
    peer.expect(PINGREQ);
    let told = host.until("DISCONNECTED");
    assert_eq!(told.status, ENOS_ERR_NETWORK, "{told:?}");
    assert!(told.detail.contains("no byte has come for 25"), "{told:?}");
}

#[test]
fn a_client_counts_what_it_does() {
    let mut scene = Scene::with(|setup| setup.queue_limits(1, 1 << 20));
    let start = scene.host.stats();
    assert_eq!((start.attempts, start.connects, start.losses, start.last_connack), (1, 1, 0, 0));
    assert_eq!((start.messages_sent, start.messages_received, start.round_trip_ms), (0, 0, 0));
    assert!(start.bytes_sent > 50 && start.bytes_received == 4, "CONNECT, CONNACK");

    scene.host.publish("t", &[7; 1000], 1).unwrap();
    let packet = scene.peer.expect(PUBLISH);
    std::thread::sleep(std::time::Duration::from_millis(30));
    scene.peer.send(&puback(packet.id()));
    scene.host.expect("DELIVERED");
    scene.peer.send(&publish(b"in", b"", None));
    scene.host.expect("MESSAGE");
    let stats = scene.host.stats();
    assert_eq!((stats.messages_sent, stats.messages_received), (1, 1));
    assert!((30..PATIENCE_MS).contains(&stats.round_trip_ms), "{} ms", stats.round_trip_ms);
    assert_eq!(stats.bytes_sent - start.bytes_sent, 3 + 2 + 1 + 2 + 1000);
    assert_eq!(stats.bytes_received - start.bytes_received, 4 + 6);

    assert_eq!(scene.host.loop_stop(), ENOS_OK);
    for _ in 0..3 {
        scene.peer.send(&publish(b"in", b"", None));
    }
    scene.host.until("OVERFLOW");
    assert!(scene.host.stats().messages_dropped >= 1);
    assert_eq!(scene.host.loop_start(), ENOS_OK);
    scene.reconnect();
    let stats = scene.host.stats();
    assert_eq!((stats.attempts, stats.connects, stats.losses), (2, 2, 1));
    scene.host.go_offline();
    assert_eq!(scene.host.stats().losses, 1, "an end that was asked for is no loss");

    scene.host.connect();
    let mut peer = scene.broker.accept();
    peer.expect(CONNECT);
    peer.send(&connack(4));
    scene.host.until("DISCONNECTED");
    assert_eq!(scene.host.stats().last_connack, 4);
    // If the state ended at once, the waiting thread might miss it.
    let _peer = scene.broker.accept_mqtt();
    assert_eq!(scene.host.wait(ONLINE, PATIENCE_MS), ENOS_OK);
}
