//! Clients of Mosquitto, an independent broker: tests with its own tools, its death under load, many clients at once.

use enos::internals::error::Status::*;
use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use support::host::{Client, Host, Setup, PATIENCE};
use support::mosquitto::{tool, Mosquitto};

/// mosquitto_sub, which ends after this many messages; each is a line: topic, QoS, payload in hex.
fn listen(broker: &Mosquitto, filter: &str, count: usize) -> Child {
    let mut command = tool("mosquitto_sub", broker.address());
    command.args(["-i", "listener", "-t", filter, "-q", "1", "-C", &count.to_string(), "-F", "%t %q %x", "-W", "60"]);
    let child = command.stdout(Stdio::piped()).spawn().expect("mosquitto_sub, from the package mosquitto-clients");
    broker.wait_log(&["Sending SUBACK to listener"]);
    child
}

fn lines(child: &mut Child) -> Vec<String> {
    BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap).collect()
}

#[test]
fn mosquittos_tools_see_what_is_published_and_what_they_publish_is_seen() {
    let broker = Mosquitto::start();
    let mut host = Setup::device(broker.address()).start();
    host.online();

    let mut listener = listen(&broker, "from/#", 40);
    let tokens: Vec<u64> =
        (0..40u8).map(|n| host.publish(&format!("from/{n}"), &[n, 0, 255], i32::from(n % 2)).unwrap()).collect();
    assert!(host.outcomes(&tokens).values().all(|told| told.status == ENOS_OK));
    let expected: Vec<_> = (0..40u8).map(|n| format!("from/{n} {} {n:02x}00ff", n % 2)).collect();
    assert_eq!(lines(&mut listener), expected);
    assert!(listener.wait().unwrap().success());

    for (filter, qos) in [("to/+/all", 1), ("to/#", 0)] {
        let token = host.subscribe(filter, qos).unwrap();
        let told = host.expect("SUBSCRIBED");
        assert_eq!((told.token, told.status, told.qos), (token, ENOS_OK, qos));
    }
    for (qos, payload) in [("0", "zero"), ("1", "one"), ("2", "two")] {
        let mut command = tool("mosquitto_pub", broker.address());
        assert!(command.args(["-t", "to/us/all", "-q", qos, "-m", payload]).status().unwrap().success());
        // Two filters match; Mosquitto sends it once or twice.
        let told = host.until("MESSAGE");
        assert_eq!((&told.topic[..], &told.payload[..]), (&b"to/us/all"[..], payload.as_bytes()));
        assert_eq!(told.qos, qos.parse::<i32>().unwrap().min(1));
    }
    let token = host.unsubscribe("to/+/all").unwrap();
    assert_eq!(host.until("UNSUBSCRIBED").token, token);
    host.go_offline();
    broker.wait_log(&["Client dk|", "disconnected"]);
}

#[test]
fn a_broker_killed_under_load_and_restarted_loses_no_outcome_and_gets_the_device_back() {
    let mut broker = Mosquitto::start();
    // Publishes from the callback at each outcome, and from another thread as well.
    let accepted = Arc::new(Mutex::new(HashSet::new()));
    let note = |accepted: &Mutex<HashSet<u64>>, client: Client| {
        // Under the lock, because its outcome may come at once.
        let mut accepted = accepted.lock().unwrap();
        match client.publish("load", &[7; 500], 1) {
            Ok(token) => assert!(accepted.insert(token)),
            Err(status) => assert!(matches!(status, ENOS_ERR_STATE | ENOS_ERR_QUEUE_FULL), "{status:?}"),
        }
    };
    let from_callback = Arc::clone(&accepted);
    let mut host = Setup::device(broker.address())
        .on_event(move |client, told| {
            if matches!(told.name.as_str(), "CONNECTED" | "DELIVERED") {
                note(&from_callback, client);
            }
        })
        .start();
    host.online();
    let token = host.subscribe("load", 0).unwrap();
    accepted.lock().unwrap().insert(token);
    let mut outcomes = HashSet::new();
    let mut lost = 0;
    let kills = if std::env::var_os("ENOS_SOAK").is_some() { 200 } else { 11 };
    for _ in 0..kills {
        let mut delivered = 0;
        while delivered < 200 {
            for _ in 0..3 {
                note(&accepted, host.client());
            }
            let told = host.next();
            if told.token != 0 {
                assert!(outcomes.insert(told.token), "twice: {told:?}");
                delivered += usize::from(told.status == ENOS_OK);
                lost += usize::from(told.status == ENOS_ERR_NETWORK);
            }
        }
        broker.kill();
        loop {
            let told = host.next();
            if told.token != 0 {
                assert!(outcomes.insert(told.token), "twice: {told:?}");
                lost += usize::from(told.status == ENOS_ERR_NETWORK);
            }
            if told.name == "DISCONNECTED" {
                assert_eq!(told.status, ENOS_ERR_NETWORK);
                break;
            }
        }
        broker.restart();
        while host.next().name != "CONNECTED" {}
        host.seen.clear();
    }
    println!("{kills} kills under load: {} calls accepted, {lost} ended with the link", outcomes.len());
    assert!(lost > 0, "no kill met anything in flight");
    host.disconnect();
    loop {
        let told = host.next();
        if told.token != 0 {
            assert!(outcomes.insert(told.token), "twice: {told:?}");
        }
        if told.name == "DISCONNECTED" {
            break;
        }
    }
    assert_eq!(*accepted.lock().unwrap(), outcomes);
}

/// Runs the loops of these clients on this thread, by their descriptors, until each has had `events` events of this
/// type.
fn drive(hosts: &mut [Host], name: &str) {
    let mut waiting: HashSet<usize> = (0..hosts.len()).collect();
    let end = Instant::now() + 2 * PATIENCE;
    while !waiting.is_empty() {
        assert!(Instant::now() < end, "{} of {} have no {name}", waiting.len(), hosts.len());
        let mut polls: Vec<_> =
            hosts.iter().map(|host| libc::pollfd { fd: host.fd(), events: libc::POLLIN, revents: 0 }).collect();
        // SAFETY: as many pollfds as said.
        unsafe { libc::poll(polls.as_mut_ptr(), polls.len() as libc::nfds_t, 1000) };
        for at in (0..polls.len()).filter(|at| polls[*at].revents != 0) {
            assert_eq!((polls[at].revents, hosts[at].run_loop(0)), (libc::POLLIN, ENOS_OK));
            while let Some(told) = hosts[at].take() {
                assert_eq!(told.status, ENOS_OK, "{told:?}");
                if told.name == name {
                    assert!(waiting.remove(&at), "twice: {told:?}");
                }
            }
        }
    }
}

#[test]
fn many_clients_connect_publish_and_leave_at_once() {
    let many = if std::env::var_os("ENOS_SOAK").is_some() { 1000 } else { 300 };
    let broker = Mosquitto::start_with("allow_anonymous true\nlog_type error\n");
    let mut hosts: Vec<_> = (0..many)
        .map(|n| Setup::device(broker.address()).identity("pk", &format!("dk{n}")).connect_timeout(60_000).create())
        .collect();
    let start = Instant::now();
    hosts.iter().for_each(|host| host.connect());
    drive(&mut hosts, "CONNECTED");
    let online = start.elapsed();
    for host in &hosts {
        host.publish("t", b"1", 1).unwrap();
    }
    drive(&mut hosts, "DELIVERED");
    hosts.iter().for_each(|host| host.disconnect());
    drive(&mut hosts, "DISCONNECTED");
    eprintln!("{many} clients: online after {online:?}, all done after {:?}", start.elapsed());
}
