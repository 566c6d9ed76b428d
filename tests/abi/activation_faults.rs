//! An activation whose broker fails it. The secret is sent once: whatever the moment at which the connection ends, a
//! device that has been sent it keeps it, and one that has not asks again.

use enos::error::Status::*;
use support::broker::*;
use support::ends::End;
use support::host::{Setup, Store, ACTIVATING, PATIENCE_MS};
use support::parallel;

fn activation(topic: &str) -> Vec<u8> {
    activation_of(topic, 0)
}

/// At least of this size.
fn activation_of(topic: &str, size: usize) -> Vec<u8> {
    let payload = r#"{"id":"7","version":"1.0","method":"thing.activate.info","params":{"assetId":"a","productKey":"pk","deviceKey":"dk","deviceSecret":"fresh"}}"#;
    let topic = format!("/ext/session/pk/dk/thing/{topic}/info");
    publish(topic.as_bytes(), format!("{payload:size$}").as_bytes(), Some(1))
}

/// The next CONNECT is signed with this secret.
#[track_caller]
fn accept_mode(broker: &Broker, mode: u8) -> Peer {
    let mut peer = broker.accept();
    let connect = peer.expect(CONNECT);
    let [client_id, ..] = connect.credentials();
    assert!(client_id.contains(&format!("securemode={mode},")), "{client_id}");
    peer.send(&connack(0));
    peer
}

/// Before the push it is begun anew; after it, it is finished.
#[test]
fn an_activation_that_ends_is_begun_anew_or_finished() {
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
fn an_activation_that_nobody_has_looked_at_yet_is_not_destroyed() {
    let (broker, store) = (Broker::bind(), Store::new());
    let host = Setup::product(broker.address(), &store).create();
    host.connect();
    // Up to the CONNECT; from there on only the broker has something to do.
    while host.state() != ACTIVATING || host.readable(0) {
        assert_eq!(host.run_loop(PATIENCE_MS), ENOS_OK);
    }
    let mut peer = accept_mode(&broker, 3);
    peer.send(&activation("activate"));
    // It is in the device's socket, and nobody loops.
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
    // Acknowledged by the keeper: it is in the queue, behind what filled it.
    while peer.expect(PUBACK).id() != 1 {}
    let told = host.until("ACTIVATED");
    assert_eq!(told.secret.as_deref(), Some("fresh"));
    assert_eq!(host.until("OVERFLOW").detail_code, 94);
    assert_eq!(host.seen.iter().filter(|told| told.name == "MESSAGE").count(), 5);
}
