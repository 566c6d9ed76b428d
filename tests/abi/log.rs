//! The log: the loop delivers it. In whole sessions, failing and succeeding, at the finest level, neither the log nor
//! the events contain a secret, a password or a payload.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use enos::error::Status::*;
use enos::ffi::guard::provoke_panic;
use support::alone::alone;
use support::broker::*;
use support::host::{last_error, Setup, Store, DEVICE_SECRET, ONLINE, PATIENCE_MS, PRODUCT_SECRET};
use support::log;

const FRESH: &str = "a-fresh-s3cret-from-the-cloud";
const PAYLOAD: &str = "what-the-device-says";

#[test]
fn the_log_is_delivered_by_the_loop() {
    alone(|| {
        let host = Setup::device(nobody()).create();
        for level in [0, 6, -1, i32::MAX] {
            assert_eq!(log::listen(level), ENOS_ERR_INVALID_ARG as i32);
            assert!(last_error().contains("max_level"), "{}", last_error());
        }
        assert_eq!(log::listen(enos::ffi::log::enos_log_level::ENOS_LOG_ERROR as i32), 0);
        let ms = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
        let before = ms();
        assert_eq!(provoke_panic(), ENOS_ERR_PANIC as i32);
        let written = before..=ms();
        std::thread::sleep(Duration::from_millis(20));
        let provoked = || log::records().into_iter().find(|record| record.target == "panic" && record.ctx == log::CTX);
        assert!(provoked().is_none(), "no callback outside the loop");
        assert_eq!(host.run_loop(0), ENOS_OK);
        let record = provoked().expect("the fault is in the log");
        assert_eq!((record.level, record.inside), (1, ENOS_ERR_IN_CALLBACK as i32));
        assert!(record.message.contains("src/ffi/guard.rs:"), "{}", record.message);
        assert!(written.contains(&record.time_ms), "{} is when it was delivered, or nothing", record.time_ms);
        log::stop();
    });
}

#[test]
fn log_and_events_contain_no_secret_password_or_payload() {
    alone(|| {
        assert_eq!(log::listen(log::TRACE), 0);
        let (broker, store) = (Broker::bind(), Store::new());
        let mut passwords = Vec::new();
        let mut errors = Vec::new();
        let mut accept = |code: u8| {
            let mut peer = broker.accept();
            let connect = peer.expect(CONNECT);
            passwords.push(connect.credentials()[2].to_owned());
            peer.send(&connack(code));
            peer
        };

        // The product secret is refused, then accepted. The device secret comes in every wrong form before the right
        // one.
        let mut host = Setup::product(broker.address(), &store).start();
        host.connect();
        drop((accept(4), accept(5)));
        assert_eq!(host.wait(ONLINE, PATIENCE_MS), ENOS_ERR_ACTIVATION_REFUSED);
        errors.push(last_error());
        host.connect();
        let mut peer = accept(0);
        let push = |device: &str, secret: &str, more: &str| {
            let body = format!(
                r#"{{"id":"7","method":"thing.activate.info","params":{{"productKey":"pk","deviceKey":"{device}","deviceSecret":"{secret}"}}}}{more}"#
            );
            publish(b"/ext/session/pk/dk/thing/activate/info", body.as_bytes(), None)
        };
        peer.send(&push("another", FRESH, ""));
        peer.send(&push("dk", FRESH, "}"));
        peer.send(&push("dk", &FRESH.repeat(100), ""));
        peer.send(&push("dk", FRESH, ""));
        host.until("ACTIVATED");
        // As the device: refused, lost, refused again, online.
        drop(accept(4));
        accept(0).reset();
        host.until("DISCONNECTED");
        let mut peer = accept(0);
        while host.state() != ONLINE {
            host.next();
        }
        host.publish("t", PAYLOAD.as_bytes(), 1).unwrap();
        host.post(&format!("{{\"p\":\"{PAYLOAD}\"}}")).unwrap();
        host.subscribe("s", 1).unwrap();
        peer.send(&push("dk", FRESH, ""));
        peer.send(&publish(b"in", PAYLOAD.as_bytes(), Some(1)));
        for result in [host.publish("+", PAYLOAD.as_bytes(), 1), host.post(PAYLOAD)] {
            assert!(result.is_err());
            errors.push(last_error());
        }
        host.disconnect();
        let events = loop {
            let told = host.next();
            if told.name == "DISCONNECTED" && told.status == ENOS_OK {
                break std::mem::take(&mut host.seen);
            }
        };
        drop(host);

        // A configured device secret, refused with both methods.
        let host = Setup::device(broker.address()).start();
        host.connect();
        drop((accept(5), accept(5)));
        assert_eq!(host.wait(ONLINE, PATIENCE_MS), ENOS_ERR_CREDENTIALS);
        errors.push(last_error());
        drop(host);
        log::stop();
        let log = log::said();
        let push = "bytes, QoS 0, topic /ext/session/pk/dk/thing/activate/info";
        for words in ["logging in", "CONNECTED", "ACTIVATED", "sent CONNECT, ", push] {
            assert!(log.contains(words), "it says nothing of {words}:\n{log}");
        }
        let details: String = events.iter().map(|told| format!("{}\n", told.detail)).collect();
        let said = format!("{log}\n{details}\n{}", errors.join("\n"));
        assert!(passwords.len() >= 8 && passwords.iter().all(|password| password.len() >= 40));
        let payload_in_log = log.contains(PAYLOAD);
        assert!(!payload_in_log, "a payload:\n{log}");
        for secret in passwords.iter().map(String::as_str).chain([DEVICE_SECRET, PRODUCT_SECRET, FRESH]) {
            let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
            for form in [secret.to_owned(), secret.to_lowercase(), hex.clone(), hex.to_uppercase()] {
                assert!(!said.contains(&form), "{form} is in:\n{said}");
            }
            // Not even a part of it.
            for part in secret.as_bytes().windows(8).map(|part| std::str::from_utf8(part).unwrap()) {
                assert!(!said.contains(part), "{part}, of {secret}, is in:\n{said}");
            }
        }
    });
}

#[test]
fn trace_names_every_packet_in_both_directions_and_shows_no_payload() {
    alone(|| {
        assert_eq!(log::listen(log::TRACE), 0);
        let broker = Broker::bind();
        let mut host = Setup::device(broker.address()).keep_alive(10).start();
        host.connect();
        let mut peer = broker.accept_mqtt();
        host.until("CONNECTED");
        host.publish("zero", PAYLOAD.as_bytes(), 0).unwrap();
        peer.expect(PUBLISH);
        host.publish("one\u{7f}", PAYLOAD.as_bytes(), 1).unwrap();
        let publish_id = peer.answer_publish().id();
        host.subscribe("a/+", 1).unwrap();
        let subscribe_id = peer.expect(SUBSCRIBE).id();
        peer.send(&suback(subscribe_id, &[1]));
        host.unsubscribe("a/+").unwrap();
        let unsubscribe_id = peer.expect(UNSUBSCRIBE).id();
        peer.send(&unsuback(unsubscribe_id));
        host.until("UNSUBSCRIBED");
        peer.send(&[publish(b"zero", PAYLOAD.as_bytes(), None), publish(b"\n\xff", b"", Some(513))].concat());
        assert_eq!(peer.expect(PUBACK).id(), 513);
        // A PINGREQ comes when nothing has been sent for a keep-alive.
        peer.expect(PINGREQ);
        peer.send(&[pingresp(), publish(b"last", b"", None)].concat());
        for _ in ["zero", "?", "last"] {
            host.until("MESSAGE");
        }
        host.disconnect();
        peer.expect(DISCONNECT);
        host.until("DISCONNECTED");
        drop(host);
        log::stop();

        let said: Vec<_> = log::records().into_iter().filter(|record| record.target == "mqtt").collect();
        assert!(said.iter().all(|record| record.level == log::TRACE));
        let (sent, received): (Vec<_>, Vec<_>) =
            said.iter().map(|record| record.message.as_str()).partition(|words| words.starts_with("sent "));
        let size = PAYLOAD.len();
        assert!(sent[0].starts_with("sent CONNECT, ") && sent[0].ends_with(" bytes"), "{}", sent[0]);
        assert_eq!(
            sent[1..],
            [
                format!("sent PUBLISH, {} bytes, QoS 0, topic zero", 8 + size),
                format!("sent PUBLISH, {} bytes, QoS 1, packet id {publish_id}, topic one?", 10 + size),
                format!("sent SUBSCRIBE, 10 bytes, packet id {subscribe_id}, filters a/+ (QoS 1)"),
                format!("sent UNSUBSCRIBE, 9 bytes, packet id {unsubscribe_id}, filters a/+"),
                "sent PUBACK, 4 bytes, packet id 513".to_owned(),
                "sent PINGREQ, 2 bytes".to_owned(),
                "sent DISCONNECT, 2 bytes".to_owned(),
            ]
        );
        assert_eq!(
            received,
            [
                "received CONNACK, 4 bytes, code 0".to_owned(),
                format!("received PUBACK, 4 bytes, packet id {publish_id}"),
                format!("received SUBACK, 5 bytes, packet id {subscribe_id}, codes 1"),
                format!("received UNSUBACK, 4 bytes, packet id {unsubscribe_id}"),
                format!("received PUBLISH, {} bytes, QoS 0, topic zero", 8 + size),
                "received PUBLISH, 8 bytes, QoS 1, packet id 513, topic ?\u{fffd}".to_owned(),
                "received PINGRESP, 2 bytes".to_owned(),
                "received PUBLISH, 8 bytes, QoS 0, topic last".to_owned(),
            ]
        );
        assert!(!log::said().contains(PAYLOAD));
    });
}
