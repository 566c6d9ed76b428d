//! Name look-ups: literals, names, a name server that never answers, and what that does to others: nothing.

use enos::internals::error::Error;
use enos::internals::transport::inbox::Arrival;
use enos::internals::transport::resolve::Resolver;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{channel, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
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

fn resolved(rig: &mut Rig) -> (u64, Result<Vec<SocketAddr>, Error>) {
    match rig.next_of_any() {
        (generation, Arrival::Resolved(answer)) => (generation, answer),
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
    assert!(generation == 2 && error.unwrap_err().message.contains("no name"));
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
fn a_look_up_that_hangs_holds_up_nobody() {
    let mut rig = Rig::new();
    let (sender, receiver) = channel::<()>();
    let receiver = Mutex::new(receiver);
    let resolver = Resolver::with(move |host, port| {
        if host == "black.hole" {
            let _ = receiver.lock().unwrap().recv();
        }
        Ok(vec![([192, 0, 2, 1], port).into()])
    });
    let other = Rig::new();
    resolver.start("black.hole", 1, 1, &other.inbox);
    resolver.start("other.name", 1, 2, &rig.inbox);
    assert!(matches!(resolved(&mut rig), (2, Ok(_))));
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

    assert!(other.inbox.is_empty());
    drop(sender);
    let mut other = other;
    assert!(matches!(resolved(&mut other), (1, Ok(_))), "the late answer comes, with its own generation");
    assert!(rig.is_quiet() && other.is_quiet());
}

#[test]
fn those_who_ask_for_one_name_share_its_look_up_and_asking_again_takes_the_place_of_asking() {
    let (began, begun) = channel();
    let (sender, receiver) = channel::<()>();
    let (receiver, began) = (Mutex::new(receiver), Mutex::new(began));
    let resolver = Resolver::with(move |_, port| {
        began.lock().unwrap().send(()).unwrap();
        let _ = receiver.lock().unwrap().recv();
        Ok(vec![([192, 0, 2, 1], port).into()])
    });
    let mut rigs: Vec<Rig> = (0..10).map(|_| Rig::new()).collect();
    for generation in 1..=3 {
        for rig in &rigs {
            resolver.start("one.name", 1, generation, &rig.inbox);
        }
    }
    begun.recv().unwrap();
    drop(sender);
    for rig in &mut rigs {
        assert!(matches!(resolved(rig), (3, Ok(_))));
        assert!(rig.is_quiet(), "one answer");
    }
    assert!(begun.try_recv().is_err(), "one look-up");
}

#[test]
fn silent_names_have_four_threads_at_most_and_leave_one_to_others() {
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (sender, receiver) = channel::<()>();
    let receiver = Mutex::new(receiver);
    let resolver = {
        let (running, most) = (Arc::clone(&running), Arc::clone(&most));
        Resolver::with(move |host, port| {
            most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
            if host.ends_with("silent") {
                let _ = receiver.lock().unwrap().recv_timeout(Duration::from_millis(1100));
            }
            running.fetch_sub(1, SeqCst);
            Ok(vec![([192, 0, 2, 1], port).into()])
        })
    };
    // Each is found to be slow once.
    let mut rigs: Vec<Rig> = (0..8).map(|_| Rig::new()).collect();
    let ask = |rigs: &[Rig], generation| {
        for (index, rig) in rigs.iter().enumerate() {
            resolver.start(&format!("{index}.silent"), 1, generation, &rig.inbox);
        }
    };
    ask(&rigs, 1);
    rigs.iter_mut().for_each(|rig| assert!(matches!(resolved(rig), (1, Ok(_)))));
    ask(&rigs, 2);
    let mut other = Rig::new();
    let start = Instant::now();
    resolver.start("other.name", 1, 1, &other.inbox);
    assert!(matches!(resolved(&mut other), (1, Ok(_))));
    assert!(start.elapsed() < Duration::from_millis(1000), "it waited for the silent ones: {:?}", start.elapsed());
    assert!(rigs.iter_mut().any(|rig| rig.is_quiet()), "which are not through yet");
    drop(sender);
    rigs.iter_mut().for_each(|rig| assert!(matches!(resolved(rig), (2, Ok(_)))));
    assert!(most.load(SeqCst) <= 4, "{most:?}");
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
