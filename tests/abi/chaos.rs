//! Everything at once: threads that call one client in any order, a thread that starts and stops its loop, and a broker
//! that breaks connections at any packet. No call hangs, each accepted call has one outcome, and when the broker works
//! again the device comes online.

use enos::internals::error::Status::{self, *};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use support::broker::*;
use support::host;
use support::host::{exactly_once, Client, Setup, ONLINE, PATIENCE_MS};

const SECONDS: u64 = 2;

/// Accepts connections. While `wild`, it randomly refuses, stops answering, sends garbage and hangs up.
fn moody_broker(wild: Arc<AtomicBool>, seed: u64) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut dice = fastrand::Rng::with_seed(seed);
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let (mut dice, wild) = (dice.fork(), Arc::clone(&wild));
            thread::spawn(move || serve(Peer { stream }, &wild, &mut dice));
        }
    });
    address
}

fn serve(mut peer: Peer, wild: &AtomicBool, dice: &mut fastrand::Rng) {
    while let Some(packet) = peer.try_read() {
        let odds = if wild.load(Ordering::SeqCst) { dice.u32(0..100) } else { 100 };
        match odds {
            0 => return peer.reset(),
            1 => return,
            2 => drop(peer.try_send(&[0xf0, 0])),
            3..=8 => continue,
            9 => drop(peer.try_send(&publish(b"in", &vec![7; dice.usize(0..5000)], None))),
            _ => {}
        }
        let refused = wild.load(Ordering::SeqCst) && dice.u32(0..20) == 0;
        let answer = match packet.kind {
            CONNECT if refused => connack(3),
            SUBSCRIBE if refused => suback(packet.id(), &[0x80]),
            _ => packet.answer(),
        };
        if !peer.try_send(&answer) {
            return;
        }
    }
}

/// Makes calls in any order. A token is recorded under the callback's lock, because its outcome may come at once.
fn call(client: Client, tokens: &Mutex<Vec<u64>>, end: Instant, seed: u64) {
    let mut dice = fastrand::Rng::with_seed(seed);
    let fine = |status: Status| assert!(matches!(status, ENOS_OK | ENOS_ERR_STATE | ENOS_ERR_TIMEOUT), "{status:?}");
    while Instant::now() < end {
        let result = match dice.u32(0..10_000) {
            0..=4999 => client.publish("t", &vec![1; dice.usize(0..3000)], dice.i32(0..2)),
            5000..=5999 => client.subscribe(&format!("s/{}", dice.u32(0..20)), dice.i32(0..2)),
            6000..=6499 => client.unsubscribe(&format!("s/{}", dice.u32(0..20))),
            6500..=8499 => client.post("{}"),
            8500..=8999 => {
                client.connect();
                continue;
            }
            9000 => {
                client.disconnect();
                continue;
            }
            9001..=9050 => {
                fine(client.loop_start());
                continue;
            }
            9051..=9054 => {
                fine(client.loop_stop());
                continue;
            }
            9055..=9200 => {
                fine(client.run_loop(dice.u32(0..20)));
                continue;
            }
            9201..=9400 => {
                let status = client.wait(ONLINE, dice.u32(0..20));
                assert!(
                    matches!(status, ENOS_ERR_NETWORK | ENOS_ERR_PROTOCOL | ENOS_ERR_CREDENTIALS)
                        || matches!(status, ENOS_OK | ENOS_ERR_STATE | ENOS_ERR_TIMEOUT),
                    "{status:?}"
                );
                continue;
            }
            _ => {
                client.wake();
                assert!((0..6).contains(&client.state()) && client.fd() >= 0);
                thread::yield_now();
                continue;
            }
        };
        match result {
            Ok(token) => tokens.lock().unwrap().push(token),
            Err(status) => {
                assert!(matches!(status, ENOS_ERR_STATE | ENOS_ERR_QUEUE_FULL), "{status:?}");
                thread::sleep(Duration::from_micros(200));
            }
        }
    }
}

#[test]
fn nothing_is_lost_and_nothing_hangs() {
    let seed = std::env::var("ENOS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    eprintln!("ENOS_SEED={seed}");
    let wild = Arc::new(AtomicBool::new(true));
    let address = moody_broker(Arc::clone(&wild), seed);
    let mut host = Setup::device(address)
        .sign_method(3)
        .connect_timeout(300)
        .reply_timeout(200)
        .inflight(50)
        .on_event(|client, told| {
            if told.name == "MESSAGE" {
                // It may be accepted or refused here.
                client.connect();
            }
        })
        .start();
    host.connect();
    let (client, tokens) = (host.client(), Mutex::new(Vec::new()));
    let end = Instant::now() + Duration::from_secs(SECONDS);
    thread::scope(|scope| {
        for n in 0..4 {
            let tokens = &tokens;
            scope.spawn(move || call(client, tokens, end, seed.wrapping_add(n)));
        }
    });
    wild.store(false, Ordering::SeqCst);
    assert!(matches!(host.loop_start(), ENOS_OK | ENOS_ERR_STATE));
    host.connect();
    // A refusal may still come from a connection that was made while it was wild.
    while host.wait(ONLINE, PATIENCE_MS) != ENOS_OK {
        host.connect();
    }
    // Subscriptions have their outcome on this link at the latest.
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    host.disconnect();
    assert_eq!(host.wait(host::IDLE, PATIENCE_MS), ENOS_OK);
    assert_eq!(host.loop_stop(), ENOS_OK);
    assert_eq!(host.run_loop(0), ENOS_OK);
    while host.take().is_some() {}
    let tokens = tokens.into_inner().unwrap();
    let connected = host.seen.iter().filter(|told| told.name == "CONNECTED").count();
    let delivered = host.seen.iter().filter(|told| told.token != 0 && told.status == ENOS_OK).count();
    eprintln!("{} calls, {delivered} of them successful, {connected} sessions", tokens.len());
    assert!(connected > 0 && !tokens.is_empty());
    exactly_once(&tokens, &host.seen);
}
