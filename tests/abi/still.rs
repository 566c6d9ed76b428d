//! A connection whose receiving direction is stalled, while the sending direction makes progress.

use enos::error::Status::*;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use support::broker::*;
use support::host::{Host, Setup, Told};
use support::parallel;
use support::proxy::{Proxy, Wire, TO_DEVICE};
#[cfg(feature = "tls")]
use support::tls::{Pki, TlsBroker};

/// The smallest keep-alive; and the time until a loss has to be reported.
const KEEP_ALIVE_S: u32 = 10;
const LIMIT: Duration = Duration::from_millis(KEEP_ALIVE_S as u64 * 2500);
const LATE: Duration = Duration::from_secs(3);

/// Sends 20 messages of 4 kB each second, of which none is acknowledged; returns the event of the loss, and its time.
fn black_holed(proxy: &Proxy, mut host: Host) -> (Told, Duration) {
    host.connect();
    host.expect("CONNECTED");
    proxy.swallow(TO_DEVICE, true);
    let start = Instant::now();
    loop {
        // Later messages may find the queue full; earlier ones are still sent.
        let _ = host.publish("t", &[7; 4000], 1);
        std::thread::sleep(Duration::from_millis(50));
        while let Some(told) = host.take() {
            if told.name == "DISCONNECTED" {
                return (told, start.elapsed());
            }
        }
        assert!(start.elapsed() < LIMIT + LATE, "nothing was told");
    }
}

/// A device that connects through a proxy to a broker that accepts everything.
fn behind_proxy(secure: bool) -> (Proxy, Setup, JoinHandle<()>) {
    let between = |behind, wire| Proxy::bind("127.0.0.1:0".parse().unwrap(), behind, wire);
    #[cfg(feature = "tls")]
    if secure {
        let pki = Pki::new();
        let broker = TlsBroker::new(&pki.server());
        let proxy = between(broker.address(), Wire::Tls);
        let setup = Setup::secure(&format!("ssl://{}", proxy.address()), &pki.ca());
        let served = std::thread::spawn(move || {
            // Keeps the directory with the authority's file, which is read at each CONNECT.
            let _pki = pki;
            broker.accept().oblige().join().unwrap();
        });
        return (proxy, setup, served);
    }
    assert!(!secure);
    let broker = Broker::bind();
    let proxy = between(broker.address(), Wire::Mqtt);
    let setup = Setup::device(proxy.address());
    (proxy, setup, std::thread::spawn(move || drop(broker.accept().oblige().join().unwrap())))
}

#[test]
fn a_stalled_receiving_direction_is_reported_however_much_is_sent() {
    let kinds = if cfg!(feature = "tls") { &[false, true][..] } else { &[false] };
    parallel::each(kinds, |&secure| {
        let (proxy, setup, served) = behind_proxy(secure);
        let (told, after) = black_holed(&proxy, setup.keep_alive(KEEP_ALIVE_S).start());
        assert!((LIMIT - Duration::from_secs(1)..LIMIT + LATE).contains(&after), "after {after:?}: {told:?}");
        assert_eq!(told.status, ENOS_ERR_NETWORK);
        assert!(told.detail.contains("no byte has come for"), "{told:?}");
        drop(proxy);
        served.join().unwrap();
    });
}
