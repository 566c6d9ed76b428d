//! The packets on the wire, and how a client finds, keeps and leaves its broker.

use enos::internals::error::Status::*;
use enos::internals::ffi::sign::{enos_sign_params, enos_sign_password};
use enos::internals::model::sign::enos_sign_method::{self, *};
use std::ffi::CString;
use std::time::{Duration, Instant, SystemTime};
use support::broker::*;
use support::host;
use support::host::{Setup, Store, ONLINE, PATIENCE_MS};
use support::scene::Scene;

/// The password for these values, by the signing function.
fn password(client_id: &str, secret: &str, mode: i32, method: enos_sign_method, timestamp_ms: u64) -> String {
    let [client_id, secret] = [client_id, secret].map(|text| CString::new(text).unwrap());
    let params = enos_sign_params {
        struct_size: size_of::<enos_sign_params>(),
        client_id: client_id.as_ptr(),
        product_key: c"pk".as_ptr(),
        device_key: c"dk".as_ptr(),
        secret: secret.as_ptr(),
        secret_len: host::NUL_TERMINATED,
        secure_mode: mode,
        sign_method: method as i32,
        timestamp_ms,
    };
    let (mut out, mut len) = ([0; 65], 0);
    // SAFETY: a struct, a buffer with its size, a place for the length.
    assert_eq!(unsafe { enos_sign_password(&params, out.as_mut_ptr(), out.len(), &mut len) }, 0);
    host::text(out.as_ptr())
}

#[test]
fn connect_is_mqtt_3_1_1_clean_and_signed_anew_each_time() {
    let broker = Broker::bind();
    let store = Store::new();
    let methods = [(ENOS_SIGN_HMACSHA1, "hmacsha1"), (ENOS_SIGN_SHA1, "hmacsha1"), (ENOS_SIGN_SHA256, "sha256")];
    for (method, label) in methods {
        for mode in [2, 3] {
            let setup = match mode {
                2 => Setup::device(broker.address()),
                _ => Setup::product(broker.address(), &store),
            };
            let secret = if mode == 2 { host::DEVICE_SECRET } else { host::PRODUCT_SECRET };
            // So far apart that the clock has advanced.
            let setup = setup.connect_budget(0, 0, 10);
            let host = setup.client_id("serial-7 äöü").keep_alive(77).sign_method(method as i32).start();
            host.connect();
            let mut stamps = Vec::new();
            for _ in 0..2 {
                let mut peer = broker.accept();
                let connect = peer.expect(CONNECT);
                assert_eq!(connect.body[..10], [0, 4, b'M', b'Q', b'T', b'T', 4, 0xc2, 0, 77], "flags and keep-alive");
                let [client_id, user_name, given] = connect.credentials();
                assert_eq!(user_name, "dk&pk");
                let start = format!("serial-7 äöü|securemode={mode},signmethod={label},timestamp=");
                let stamp = client_id.strip_prefix(&start).and_then(|rest| rest.strip_suffix('|'));
                let stamp: u64 = stamp.unwrap_or_else(|| panic!("{client_id}")).parse().unwrap();
                assert_eq!(given, password("serial-7 äöü", secret, mode, method, stamp));
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64;
                assert!(stamp.abs_diff(now) < 60_000, "{stamp} at {now}");
                stamps.push(stamp);
                peer.send(&connack(3));
                peer.expect_end();
            }
            assert_ne!(stamps[0], stamps[1], "a new session has a new client id");
        }
    }
}

#[test]
fn names_and_both_families_of_addresses_are_found() {
    let broker = Broker::bind();
    let port = broker.address().port();
    let mut uris = vec![(broker, format!("tcp://localhost:{port}"))];
    // The machine may have no IPv6.
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        let broker = Broker::bind_to("[::1]:0");
        let port = broker.address().port();
        uris.push((broker, format!("tcp://[::1]:{port}")));
    }
    for (broker, uri) in uris {
        let mut host = Setup::to(&uri).device_secret("s").start();
        host.connect();
        let _peer = broker.accept_mqtt();
        host.expect("CONNECTED");
    }
    // An unknown name is the same failure as an unreachable broker.
    let mut host = Setup::to("tcp://no-such-name.invalid:1").device_secret("s").start();
    host.connect();
    let told = host.expect("DISCONNECTED");
    assert_eq!(told.status, ENOS_ERR_NETWORK);
    assert!(told.detail.contains("no-such-name.invalid") && told.retry_in_ms > 0, "{told:?}");
}

#[test]
fn an_interface_that_is_missing_shows_when_connecting() {
    let broker = Broker::bind();
    let mut host = Setup::device(broker.address()).bind_interface("no-such-if0").start();
    host.connect();
    assert_eq!(host.expect("DISCONNECTED").status, ENOS_ERR_NETWORK);
    assert_eq!(host.expect("DISCONNECTED").status, ENOS_ERR_NETWORK, "and again: it may come yet");
}

#[test]
fn qos_0_is_delivered_when_it_is_written_and_not_before() {
    let Scene { mut host, mut peer, broker: _broker } = Scene::new();
    // More than the buffers of two sockets can hold.
    let tokens: Vec<u64> = (0..60).map(|_| host.publish("t", &[1; 500_000], 0).unwrap()).collect();
    let early = host.expect("DELIVERED");
    assert_eq!((early.token, early.status), (tokens[0], ENOS_OK));
    std::thread::sleep(Duration::from_millis(300));
    let mut delivered = 1;
    while host.take().is_some() {
        delivered += 1;
    }
    assert!(delivered < 60, "30 MB cannot have been written to a peer that does not read");
    for _ in 0..60 {
        assert_eq!(peer.expect(PUBLISH).payload().len(), 500_000);
    }
    while delivered < 60 {
        assert_eq!(host.expect("DELIVERED").status, ENOS_OK);
        delivered += 1;
    }
}

#[test]
fn a_broker_that_answers_nothing_has_each_call_end_with_the_timeout() {
    let Scene { mut host, mut peer, broker: _broker } = Scene::with(|setup| setup.reply_timeout(200));
    let start = Instant::now();
    let tokens = [
        host.publish("t", b"", 1).unwrap(),
        host.subscribe("s", 1).unwrap(),
        host.unsubscribe("u").unwrap(),
        host.post("{}").unwrap(),
    ];
    let outcomes = host.outcomes(&tokens);
    assert!(outcomes.values().all(|told| told.status == ENOS_ERR_TIMEOUT), "{outcomes:?}");
    assert!((Duration::from_millis(190)..Duration::from_secs(10)).contains(&start.elapsed()), "{:?}", start.elapsed());
    // The link stays, and late answers are ignored.
    while let Some(packet) = Some(peer.read()).filter(|packet| packet.kind != UNSUBSCRIBE) {
        if packet.kind == PUBLISH {
            peer.send(&puback(packet.id()));
        }
    }
    peer.send(&suback(2, &[1]));
    peer.send(&publish(b"end", b"", None));
    assert_eq!(host.expect("MESSAGE").topic, b"end");
    assert_eq!(host.wait(ONLINE, PATIENCE_MS), ENOS_OK);
    host::exactly_once(&tokens, &host.seen);
}

#[test]
fn a_broker_that_never_acknowledges_does_not_grow_the_client_without_bound() {
    let Scene { mut host, mut peer, broker: _broker } = Scene::with(|setup| setup.inflight(4).reply_timeout(100));
    let tokens: Vec<u64> = (0..4).map(|_| host.publish("t", &[1; 100], 1).unwrap()).collect();
    let outcomes = host.outcomes(&tokens);
    assert!(outcomes.values().all(|told| told.status == ENOS_ERR_TIMEOUT), "{outcomes:?}");
    // They have had their outcome, but Paho still holds them, so they count.
    assert_eq!(host.publish("t", b"", 1), Err(ENOS_ERR_QUEUE_FULL));
    assert_eq!(host.post("{}"), Err(ENOS_ERR_QUEUE_FULL));
    // Acknowledgements make room again.
    let mut acknowledged = 0;
    while acknowledged < 4 {
        let packet = peer.expect(PUBLISH);
        peer.send(&puback(packet.id()));
        acknowledged += 1;
    }
    let served = peer.oblige();
    let start = Instant::now();
    let token = loop {
        match host.publish("t", b"", 1) {
            Ok(token) => break token,
            Err(status) => assert!(status == ENOS_ERR_QUEUE_FULL && start.elapsed() < PATIENCE, "{status:?}"),
        }
        std::thread::yield_now();
    };
    assert_eq!(host.outcomes(&[token])[&token].status, ENOS_OK);
    host.go_offline();
    served.join().unwrap();
}
