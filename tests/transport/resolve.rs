//! Name look-ups: literals, names, a name server that never answers, and what that does to others: nothing.

use enos::transport::inbox::LinkEvent;
use enos::transport::resolve::Resolver;
use std::net::SocketAddr;
use std::sync::mpsc::{channel, Sender};
use std::sync::Mutex;
use support::broker::{Broker, PUBLISH};
use support::rig::{options, Rig};

/// A resolver whose look-ups hang until the sender goes.
fn black_hole() -> (Resolver, Sender<()>) {
    let (sender, receiver) = channel::<()>();
    let receiver = Mutex::new(receiver);
    let resolver = Resolver::with(move |_, port| {
        let _ = receiver.lock().unwrap().recv();
        Ok(vec![([192, 0, 2, 1], port).into()])
    });
    (resolver, sender)
}

fn resolved(rig: &mut Rig) -> (u64, Result<Vec<SocketAddr>, String>) {
    match rig.next_of_any() {
        (generation, LinkEvent::Resolved { result }) => (generation, result),
        (_, other) => panic!("{other:?}"),
    }
}

#[test]
fn an_address_is_its_own_answer_at_once_and_without_a_look_up() {
    let mut rig = Rig::new();
    let resolver = Resolver::with(|host, _| panic!("{host} was looked up"));
    for (host, shown) in [("192.0.2.7", "192.0.2.7:11883"), ("2001:db8::7", "[2001:db8::7]:11883")] {
        resolver.start(host, 11883, 3, &rig.inbox);
        assert!(!rig.inbox.is_empty(), "at once");
        assert_eq!(resolved(&mut rig), (3, Ok(vec![shown.parse().unwrap()])));
    }
}

#[test]
fn the_system_knows_localhost_and_not_nonsense() {
    let mut rig = Rig::new();
    let resolver = Resolver::new();
    resolver.start("localhost", 11883, 1, &rig.inbox);
    let (_, addresses) = resolved(&mut rig);
    assert!(addresses.unwrap().iter().all(|a| a.ip().is_loopback() && a.port() == 11883));
    // No name at all: no name server is asked.
    resolver.start("no name", 11883, 2, &rig.inbox);
    let (generation, error) = resolved(&mut rig);
    assert!(generation == 2 && error.unwrap_err().contains("no name"));
}

#[test]
fn a_name_without_an_address_is_an_error_and_one_with_many_is_cut_short() {
    let mut rig = Rig::new();
    for (count, expected) in [(0, None), (1, Some(1)), (1000, Some(16))] {
        let resolver = Resolver::with(move |_, port| Ok(vec![([192, 0, 2, 1], port).into(); count]));
        resolver.start("name", 1, 1, &rig.inbox);
        assert_eq!(resolved(&mut rig).1.ok().map(|addresses| addresses.len()), expected);
    }
}

#[test]
fn a_look_up_that_hangs_holds_up_nobody_and_is_told_to_the_next() {
    let mut rig = Rig::new();
    let (resolver, release) = black_hole();
    resolver.start("black.hole", 1, 1, &rig.inbox);
    resolver.start("other.name", 1, 2, &rig.inbox);
    let (generation, error) = resolved(&mut rig);
    let error = error.unwrap_err();
    assert!(generation == 2 && error.contains("other.name") && error.contains("earlier"), "{error}");
    resolver.start("192.0.2.9", 1, 3, &rig.inbox);
    assert!(matches!(resolved(&mut rig), (3, Ok(_))), "an address needs no look-up");

    // A healthy link beside it.
    let broker = Broker::bind();
    let link = rig.open(&options(broker.address()));
    let mut peer = broker.accept_mqtt();
    rig.expect("Connected");
    link.publish("t", b"", 0, 1).unwrap();
    peer.expect(PUBLISH);
    rig.expect("Delivered(1)");
    drop(link);

    drop(release);
    assert!(matches!(resolved(&mut rig), (1, Ok(_))), "the late answer comes, with its own generation");
    resolver.start("again", 1, 4, &rig.inbox);
    assert!(matches!(resolved(&mut rig), (4, Ok(_))));
    assert!(rig.is_quiet());
}

#[test]
fn a_resolver_may_go_before_its_answer() {
    let mut rig = Rig::new();
    let (resolver, release) = black_hole();
    resolver.start("black.hole", 1, 1, &rig.inbox);
    drop(resolver);
    drop(release);
    assert!(matches!(resolved(&mut rig), (1, Ok(_))));
}
