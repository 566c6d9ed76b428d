//! Which calls wait for a storage callback on another thread: those that use the storage, and no other.

use std::collections::BTreeSet;
use std::sync::mpsc;
use std::time::Duration;

use enos::internals::error::Status::*;
use enos::internals::protocol::Operation;
use support::broker::*;
use support::gate::Gate;
use support::host::*;

type Call = (&'static str, fn(Client));

/// The calls that do not wait, whatever the storage does.
const FREE: [Call; 25] = [
    ("enos_client_outbox_info", |client| assert_eq!(client.waiting(), 1, "as before the call that is under way")),
    ("enos_client_stats", |client| assert!(client.stats().struct_size > 0)),
    ("enos_client_state", |client| assert_eq!(client.state(), ONLINE)),
    ("enos_client_fd", |client| assert!(client.fd() >= 0)),
    ("enos_client_wake", |client| client.wake()),
    ("enos_client_flush", |client| assert_eq!(client.flush(0), ENOS_ERR_TIMEOUT)),
    ("enos_client_wait", |client| assert_eq!(client.wait(IDLE, 0), ENOS_ERR_TIMEOUT)),
    ("enos_client_publish", |client| assert!(client.publish("t", b"live", 1).is_ok())),
    ("enos_client_subscribe", |client| assert!(client.subscribe("s", 1).is_ok())),
    ("enos_client_unsubscribe", |client| assert!(client.unsubscribe("s").is_ok())),
    ("enos_client_post_measurepoints", |client| assert!(client.post(r#"{"measurepoints":{"t":1}}"#).is_ok())),
    ("enos_client_request", |client| assert!(client.request(&Ask::of(Operation::ENOS_OP_MODEL_GET)).is_ok())),
    ("enos_client_post_event", |client| assert!(client.post_event("e", "{}", 0).is_ok())),
    ("enos_client_update_attributes", |client| assert!(client.update_attributes("{}", 0).is_ok())),
    ("enos_client_topic", |client| assert_eq!(client.topic("x").unwrap(), "/sys/pk/dk/x")),
    ("enos_client_activation_saved", |client| assert_eq!(client.activation_saved(), ENOS_ERR_STATE)),
    ("enos_client_add_subdevices", |client| {
        assert!(client.add_subdevices(&[Sub::new("a"), Sub::unactivated("b")]).is_ok())
    }),
    ("enos_client_set_subdevice_online", |client| assert_eq!(client.set_subdevice_online(1, true), ENOS_OK)),
    ("enos_client_subdevice_state", |client| assert!(client.subdevice_state(1) > 0)),
    ("enos_client_subdevices", |client| client.subdevices(|id, _, _, _| id > 0)),
    ("enos_client_subdevice_saved", |client| assert_eq!(client.subdevice_saved(2), ENOS_ERR_STATE)),
    ("enos_client_connect", |client| client.connect()),
    ("enos_client_disconnect", |client| client.disconnect()),
    ("enos_client_loop", |client| assert_eq!(client.run_loop(0), ENOS_ERR_STATE, "another thread loops")),
    ("enos_client_loop_start", |client| assert_eq!(client.loop_start(), ENOS_ERR_STATE)),
];

/// The calls that use the storage themselves, or that wait for the loop.
const WAIT: [&str; 6] = [
    "enos_client_remove_subdevice",
    "enos_client_request_batch",
    "enos_client_outbox_each",
    "enos_client_outbox_drop",
    "enos_client_loop_stop",
    "enos_client_destroy",
];

#[test]
fn a_call_that_can_do_without_the_storage_does_not_wait_for_it() {
    let (broker, store, gate) = (Broker::bind(), Store::new(), Gate::default());
    let mut host = Setup::device(broker.address()).storage(&store).start();
    host.connect();
    let mut peer = broker.accept_mqtt();
    host.expect("CONNECTED");
    host.publish_durable("t", b"1").unwrap();
    peer.expect(PUBLISH);
    let held = gate.clone();
    store.answer(move |request| {
        if request.is_store() && request.key.starts_with("out.") {
            held.pass();
        }
        None
    });
    let client = host.client();
    let publish = std::thread::spawn(move || client.publish_durable("t", b"2"));
    gate.wait_for_arrival();
    for (name, call) in FREE {
        let (done, is_done) = mpsc::channel();
        std::thread::spawn(move || {
            call(client);
            done.send(()).unwrap();
        });
        assert!(is_done.recv_timeout(Duration::from_secs(10)).is_ok(), "{name}() waits, or failed");
    }
    gate.open();
    publish.join().unwrap().unwrap();
    store.mend();
    assert_eq!(host.waiting(), 2);
}

#[test]
fn each_function_of_a_client_is_one_that_waits_or_one_that_does_not() {
    let header = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/include/enos.h")).unwrap();
    let declared: BTreeSet<&str> = header
        .lines()
        .filter(|line| !line.starts_with(" *") && !line.starts_with("/*"))
        .filter_map(|line| line.split_once("enos_client_"))
        .filter_map(|(_, rest)| rest.split_once('(').map(|(name, _)| name))
        .filter(|name| *name != "create" && !name.contains('*'))
        .collect();
    let known: BTreeSet<&str> =
        FREE.iter().map(|(name, _)| *name).chain(WAIT).map(|name| name.strip_prefix("enos_client_").unwrap()).collect();
    assert_eq!(declared, known);
}
