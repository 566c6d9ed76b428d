//! An activation with a failing broker. The secret is sent once. At whatever moment the connection ends, a device that
//! has received the secret keeps it, and a device that has not requests it again.

use std::thread;
use std::time::Duration;

use enos::error::Status::*;
use support::broker::*;
use support::ends::End;
use support::gate::Gate;
use support::host::{Setup, Store, ACTIVATING, ONLINE, PATIENCE_MS};
use support::parallel;

fn activation(topic: &str) -> Vec<u8> {
    activation_of(topic, 0)
}

/// A message of at least this size.
fn activation_of(topic: &str, size: usize) -> Vec<u8> {
    let payload = r#"{"id":"7","version":"1.0","method":"thing.activate.info","params":{"assetId":"a","productKey":"pk","deviceKey":"dk","deviceSecret":"fresh"}}"#;
    let topic = format!("/ext/session/pk/dk/thing/{topic}/info");
    publish(topic.as_bytes(), format!("{payload:size$}").as_bytes(), Some(1))
}

/// The next CONNECT must be signed with this secret.
#[track_caller]
fn accept_mode(broker: &Broker, mode: u8) -> Peer {
    let mut peer = broker.accept();
    let connect = peer.expect(CONNECT);
    let [client_id, ..] = connect.credentials();
    assert!(client_id.contains(&format!("securemode={mode},")), "{client_id}");
    peer.send(&connack(0));
    peer
}

/// If the connection ends before the push, the activation starts again; after it, it is completed.
#[test]
fn an_interrupted_activation_starts_again_or_is_completed() {
    let cases: Vec<_> = End::all().into_iter().flat_map(|end| [(end.clone(), false), (end, true)]).collect();
    parallel::each(&cases, |(end, pushed)| {
        let (broker, store) = (Broker::bind(), Store::new());
        let mut host = Setup::product(broker.address(), &store).start();
        host.connect();
        let mut peer = accept_mode(&broker, 3);
        if *pushed {
            peer.send(&activation("activated"));
        }
        end.come(peer);
        let mut _second = None;
        if !pushed {
            let status = host.until("DISCONNECTED").status;
            assert!(end.is_told_as(status), "{end:?}: {status:?}");
            let mut peer = accept_mode(&broker, 3);
            peer.send(&activation("activate"));
            _second = Some(peer);
        }
        assert_eq!(host.until("ACTIVATED").secret.as_deref(), Some("fresh"));
        let _peer = accept_mode(&broker, 2);
        host.until("CONNECTED");
        assert!(store.has("secrets.0"));
    });
}

#[test]
fn destroy_does_not_lose_an_unread_activation() {
    let (broker, store) = (Broker::bind(), Store::new());
    let host = Setup::product(broker.address(), &store).create();
    host.connect();
    // Up to the CONNECT; after that only the broker has to act.
    while host.state() != ACTIVATING || host.readable(0) {
        assert_eq!(host.run_loop(PATIENCE_MS), ENOS_OK);
    }
    let mut peer = accept_mode(&broker, 3);
    peer.send(&activation("activate"));
    // It is in the device's socket, and nobody runs the loop.
    assert_eq!(host.client().destroy(), ENOS_ERR_UNSAVED_SECRET);
    while !store.has("secrets.0") {
        assert_eq!(host.run_loop(PATIENCE_MS), ENOS_OK);
    }
    host.destroy();
}

#[test]
fn an_activation_whose_reply_the_broker_never_answers_is_finished() {
    for end in [None, Some(End::Close), Some(End::Reset)] {
        let (broker, store) = (Broker::bind(), Store::new());
        let mut host = Setup::product(broker.address(), &store).start();
        host.connect();
        let mut peer = accept_mode(&broker, 3);
        peer.send(&activation("activate"));
        let reply = loop {
            let packet = peer.read();
            if packet.kind == PUBLISH {
                break packet;
            }
        };
        assert_eq!(reply.topic(), "/ext/session/pk/dk/thing/activate/info_reply");
        let text = String::from_utf8(reply.payload().to_vec()).unwrap();
        assert!(text.contains(r#""id":"7""#) && text.contains(r#""code":200"#), "{text}");
        assert!(store.has("secrets.0"), "stored before it is told");
        match end {
            Some(end) => end.come(peer),
            None => peer.expect_end(),
        }
        assert_eq!(host.expect("ACTIVATED").status, ENOS_OK);
        let _peer = accept_mode(&broker, 2);
        host.expect("CONNECTED");
    }
}

#[test]
fn an_activation_is_never_crowded_out_by_other_messages_and_never_too_large_for_the_limit() {
    let (broker, store) = (Broker::bind(), Store::new());
    let setup = Setup::product(broker.address(), &store).queue_limits(5, 1 << 20).max_message(1024).keep_alive(10);
    let mut host = setup.start();
    host.connect();
    let mut peer = accept_mode(&broker, 3);
    assert_eq!(host.wait(ACTIVATING, PATIENCE_MS), ENOS_OK);
    assert_eq!(host.loop_stop(), ENOS_OK);
    for id in 2..=100 {
        peer.send(&publish(b"noise", &[0; 100], Some(id)));
    }
    peer.send(&activation_of("activate", 2000));
    // The keeper has acknowledged it: it is in the queue, behind the messages that filled it.
    while peer.expect(PUBACK).id() != 1 {}
    let told = host.until("ACTIVATED");
    assert_eq!(told.secret.as_deref(), Some("fresh"));
    assert_eq!(host.until("OVERFLOW").detail_code, 94);
    assert_eq!(host.seen.iter().filter(|told| told.name == "MESSAGE").count(), 5);
}

/// The storage blocks the loop for so long that the time limit of a disconnect is over when the activation is read.
#[test]
fn an_activation_that_came_while_the_storage_was_slow_is_not_lost_to_the_end_of_the_process() {
    #[derive(Debug)]
    enum End {
        /// As the header says: disconnect, loop until STOPPED, destroy.
        InOrder,
        /// Disconnect, and destroy as soon as it is not refused.
        AtOnce,
        /// Destroy while the storage is still busy.
        Meanwhile,
    }
    parallel::each(&[End::InOrder, End::AtOnce, End::Meanwhile], |end| {
        let (broker, store, gate) = (Broker::bind(), Store::new(), Gate::default());
        let at = gate.clone();
        // The record that is stored when the product secret has been accepted.
        store.answer(move |request| {
            if request.is_store() && request.key.starts_with("sign") {
                at.pass();
            }
            None
        });
        let mut host = Setup::product(broker.address(), &store).start();
        host.connect();
        let mut peer = accept_mode(&broker, 3);
        gate.wait_for_arrival();
        host.disconnect();
        peer.send(&activation("activate"));
        let slow = || {
            // The time itself has to pass.
            thread::sleep(Duration::from_millis(2_500));
            gate.open();
        };
        let client = host.client();
        let destroyed = match end {
            End::InOrder => {
                slow();
                None
            }
            End::AtOnce => {
                slow();
                Some(client.destroy())
            }
            End::Meanwhile => thread::scope(|scope| {
                scope.spawn(slow);
                Some(client.destroy())
            }),
        };
        if destroyed == Some(ENOS_OK) {
            // The client is gone: it had enough time.
            std::mem::forget(host);
        } else {
            assert_eq!(destroyed.unwrap_or(ENOS_ERR_UNSAVED_SECRET), ENOS_ERR_UNSAVED_SECRET);
            assert_eq!(host.until("STOPPED").status, ENOS_OK);
            assert_eq!(host.told("ACTIVATED").len(), 1, "{:?}", host.seen);
        }
        assert!(
            store.has("secrets.0"),
            "{end:?}: the process has ended ({destroyed:?}), and the secret is in no storage"
        );
    });
}

/// The secret that it requests would come when nobody waits for it any more.
#[test]
fn no_activation_is_asked_for_after_a_disconnect() {
    let (broker, store, gate) = (Broker::bind(), Store::new(), Gate::default());
    let at = gate.clone();
    // The record that is stored before the CONNECT is sent.
    store.answer(move |request| {
        if request.is_store() && request.key.starts_with("budget") {
            at.pass();
        }
        None
    });
    let mut host = Setup::product(broker.address(), &store).start();
    host.connect();
    gate.wait_for_arrival();
    host.disconnect();
    gate.open();
    assert_eq!(host.until("STOPPED").status, ENOS_OK);
    if let Some(mut peer) = broker.accept_within(Duration::from_millis(100)) {
        assert!(peer.try_read().is_none(), "a CONNECT");
    }
}

/// Neither its size nor an activation topic lets a message bypass max_message.
#[test]
fn activation_messages_are_received_only_when_one_is_expected() {
    let (broker, store) = (Broker::bind(), Store::new());
    let setup = Setup::product(broker.address(), &store).max_message(1024);
    let mut host = setup.start();
    let huge = |topic: &str| publish(topic.as_bytes(), &[b'x'; 2000], Some(1));
    host.connect();
    host.loop_until(|host| host.state() == ACTIVATING);
    let mut peer = accept_mode(&broker, 3);
    peer.send(&huge("/ext/session/pk/another/thing/activate/info"));
    peer.send(&huge("/ext/session/pk/dk/thing/activate/info"));
    peer.send(&activation("activate"));
    host.until("ACTIVATED");
    let mut peer = accept_mode(&broker, 2);
    host.loop_until(|host| host.state() == ONLINE);
    for topic in ["/ext/session/pk/dk/thing/activate/info", "/ext/session/pk/dk/thing/activated/info"] {
        peer.send(&huge(topic));
    }
    peer.send(&activation("activate"));
    peer.send(&publish(b"last", b"", Some(2)));
    assert_eq!(host.until("MESSAGE").topic, b"last");
    // One for another device while an activation was expected, and three after that.
    while host.told("OVERFLOW").iter().map(|told| told.detail_code).sum::<i32>() < 4 {
        host.until("OVERFLOW");
    }
    assert_eq!(host.told("MESSAGE").len(), 1, "{:?}", host.seen);
}
