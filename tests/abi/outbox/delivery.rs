//! Durable messages through the ABI: accepted in any state, delivered in order, with one event each in a process,
//! across losses and restarts.

use enos::internals::error::Status::*;
use std::sync::{Arc, Mutex};
use support::broker::*;
use support::host::*;

use super::device;

/// Tokens of durable messages begin here.
const TOKENS: u64 = 1 << 62;

/// Publishes numbered messages one by one; returns their tokens.
fn publish(host: &Host, numbers: std::ops::Range<u32>) -> Vec<u64> {
    numbers.map(|number| host.publish_durable("t", number.to_string().as_bytes()).unwrap()).collect()
}

/// The numbers of the next PUBLISHes, each acknowledged.
fn take(peer: &mut Peer, count: usize) -> Vec<u32> {
    (0..count).map(|_| number(&peer.answer_publish())).collect()
}

fn number(packet: &Packet) -> u32 {
    std::str::from_utf8(packet.payload()).unwrap().parse().unwrap()
}

/// These events must come next, in this order, with no other outcome in between.
#[track_caller]
fn delivered(host: &mut Host, tokens: &[u64]) {
    for token in tokens {
        let told = host.until("DELIVERED");
        assert_eq!((told.token, told.status), (*token, ENOS_OK), "{told:?}");
    }
}

#[test]
fn messages_accepted_offline_are_sent_in_order_when_online() {
    let (broker, store) = (Broker::bind(), Store::new());
    let mut host = device(&broker, &store).start();
    let tokens = publish(&host, 0..40);
    assert!(tokens.is_sorted() && tokens[0] >= TOKENS, "{tokens:?}");
    assert_eq!(host.waiting(), 40);
    assert_eq!(store.keys("out").len(), 40);
    assert_eq!(host.publish("t", b"live", 1), Err(ENOS_ERR_STATE), "others need a link");
    host.connect();
    let mut peer = broker.accept_mqtt();
    assert_eq!(take(&mut peer, 40), (0..40).collect::<Vec<_>>());
    delivered(&mut host, &tokens);
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    assert_eq!((host.waiting(), store.keys("out").len()), (0, 0), "a completed message is not kept");
    // Online they are sent at once.
    let tokens = publish(&host, 40..45);
    assert_eq!(take(&mut peer, 5), (40..45).collect::<Vec<_>>());
    delivered(&mut host, &tokens);
}

#[test]
fn without_a_storage_there_is_no_durable_message() {
    let broker = Broker::bind();
    let host = Setup::device(broker.address()).start();
    assert_eq!(host.publish_durable("t", b"1"), Err(ENOS_ERR_STATE));
    assert!(last_error().contains("enos_config_set_storage"), "{}", last_error());
    assert!(matches!(host.outbox_info(), Err(ENOS_ERR_STATE)));
}

#[test]
fn tokens_and_messages_survive_the_process() {
    let (broker, store) = (Broker::bind(), Store::new());
    let host = device(&broker, &store).start();
    let mut tokens = publish(&host, 0..5);
    host.destroy();
    let mut host = device(&broker, &store).start();
    assert_eq!(host.waiting(), 5, "before any link");
    tokens.extend(publish(&host, 5..8));
    assert!(tokens.is_sorted(), "none comes twice: {tokens:?}");
    host.connect();
    let mut peer = broker.accept_mqtt();
    assert_eq!(take(&mut peer, 8), (0..8).collect::<Vec<_>>());
    delivered(&mut host, &tokens);
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    host.destroy();
    let host = device(&broker, &store).start();
    assert_eq!(host.waiting(), 0);
    let next = publish(&host, 8..9)[0];
    assert!(next > tokens[7], "{next} after {tokens:?}, though nothing was left");
}

#[test]
fn an_ack_out_of_order_is_reported_at_once() {
    let (broker, store) = (Broker::bind(), Store::new());
    let mut host = device(&broker, &store).start();
    host.connect();
    let mut peer = broker.accept_mqtt();
    host.expect("CONNECTED");
    let tokens = publish(&host, 0..3);
    let ids: Vec<_> = (0..3).map(|_| peer.expect(PUBLISH).id()).collect();
    for at in [2, 1, 0] {
        assert!(host.waiting() == 3);
        peer.send(&puback(ids[at]));
        delivered(&mut host, &tokens[at..=at]);
    }
    assert_eq!((host.flush(PATIENCE_MS), host.waiting()), (ENOS_OK, 0), "they leave the storage in order");
}

#[test]
fn a_change_of_client_id_and_of_credentials_loses_nothing() {
    let (broker, store) = (Broker::bind(), Store::new());
    let host = device(&broker, &store).client_id("before").start();
    let tokens = publish(&host, 0..3);
    host.destroy();
    let mut host = Setup::at(broker.address()).device_secret("another").storage(&store).client_id("after").start();
    host.connect();
    let mut peer = broker.accept();
    let connect = peer.expect(CONNECT);
    assert!(connect.credentials()[0].starts_with("after|"), "{:?}", connect.credentials());
    peer.send(&connack(0));
    assert_eq!(take(&mut peer, 3), [0, 1, 2]);
    delivered(&mut host, &tokens);
    // Another device has its own outbox in the same store.
    let other = device(&broker, &store).identity("pk", "other").start();
    assert_eq!(other.waiting(), 0);
}

#[test]
fn a_durable_publish_inside_an_event_callback_is_taken() {
    let (broker, store) = (Broker::bind(), Store::new());
    let tokens = Arc::new(Mutex::new(Vec::new()));
    let accepted = Arc::clone(&tokens);
    let mut host = device(&broker, &store)
        .on_event(move |client, told| {
            let mut tokens = accepted.lock().unwrap();
            let goes_on = told.name == "CONNECTED" || told.name == "DELIVERED" && tokens.len() < 20;
            if goes_on {
                let number = tokens.len().to_string();
                tokens.push(client.publish_durable("t", number.as_bytes()).unwrap());
                assert_eq!(client.flush(0), ENOS_ERR_IN_CALLBACK);
            }
        })
        .start();
    host.connect();
    let mut peer = broker.accept_mqtt();
    assert_eq!(take(&mut peer, 20), (0..20).collect::<Vec<_>>());
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    let tokens = tokens.lock().unwrap().clone();
    delivered(&mut host, &tokens);
}

#[test]
fn a_disconnect_lets_what_is_in_flight_finish_and_keeps_the_rest() {
    let (broker, store) = (Broker::bind(), Store::new());
    let mut host = device(&broker, &store).inflight(4).start();
    let tokens = publish(&host, 0..10);
    host.connect();
    let mut peer = broker.accept_mqtt();
    let ids: Vec<_> = (0..4).map(|_| peer.expect(PUBLISH).id()).collect();
    host.expect("CONNECTED");
    host.disconnect();
    for id in ids {
        peer.send(&puback(id));
    }
    delivered(&mut host, &tokens[..4]);
    assert_eq!(host.until("DISCONNECTED").status, ENOS_OK);
    peer.expect(DISCONNECT);
    assert_eq!(host.waiting(), 6);
    assert_eq!(host.flush(PATIENCE_MS), ENOS_ERR_STATE, "nothing is under way that could empty it");
    host.connect();
    let mut peer = broker.accept_mqtt();
    assert_eq!(take(&mut peer, 6), (4..10).collect::<Vec<_>>());
    delivered(&mut host, &tokens[4..]);
    exactly_once(&tokens, &host.seen);
}

#[test]
fn a_flush_tells_how_it_ended() {
    let (broker, store) = (Broker::bind(), Store::new());
    let mut host = device(&broker, &store).start();
    assert_eq!(host.flush(0), ENOS_OK, "there is nothing to wait for, and the storage says so");
    let token = publish(&host, 0..1)[0];
    assert_eq!(host.flush(FOREVER), ENOS_ERR_STATE, "nothing is under way that could empty the outbox");
    host.connect();
    let mut peer = broker.accept_mqtt();
    let packet = peer.expect(PUBLISH);
    assert_eq!(host.flush(0), ENOS_ERR_TIMEOUT);
    assert_eq!(host.flush(50), ENOS_ERR_TIMEOUT);
    let client = host.client();
    let flush = std::thread::spawn(move || client.flush(FOREVER));
    peer.send(&puback(packet.id()));
    assert_eq!(flush.join().unwrap(), ENOS_OK);
    delivered(&mut host, &[token]);
    assert_eq!(host.flush(0), ENOS_OK);
}
