//! What the log and the events say of whole sessions, failing and succeeding, at the finest level: no secret, no
//! password, no payload. A program of its own, for the log is the process's.

use enos::error::Status::*;
use enos::ffi::log::enos_log_set;
use std::ffi::{c_char, c_void};
use std::sync::Mutex;
use support::alone::alone;
use support::broker::*;
use support::host::{last_error, text, Setup, Store, DEVICE_SECRET, ONLINE, PATIENCE_MS, PRODUCT_SECRET};

static LOG: Mutex<String> = Mutex::new(String::new());
const TRACE: i32 = 5;
const FRESH: &str = "a-fresh-s3cret-from-the-cloud";
const PAYLOAD: &str = "what-the-device-says";

unsafe extern "C" fn on_log(_: *mut c_void, level: i32, target: *const c_char, message: *const c_char) {
    let line = format!("{level} {}: {}\n", text(target), text(message));
    LOG.lock().unwrap().push_str(&line);
}

#[test]
fn nothing_that_is_said_holds_a_secret_a_password_or_a_payload() {
    alone(|| {
        // SAFETY: a callback that needs no ctx.
        assert_eq!(unsafe { enos_log_set(Some(on_log), std::ptr::null_mut(), TRACE) }, 0);
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

        // The product secret is refused; then it is not, and the secret comes in every wrong way before the right one.
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

        // A secret of the device's own, refused with both methods.
        let host = Setup::device(broker.address()).start();
        host.connect();
        drop((accept(5), accept(5)));
        assert_eq!(host.wait(ONLINE, PATIENCE_MS), ENOS_ERR_CREDENTIALS);
        errors.push(last_error());
        drop(host);
        // SAFETY: no callback.
        assert_eq!(unsafe { enos_log_set(None, std::ptr::null_mut(), TRACE) }, 0);

        let log = LOG.lock().unwrap();
        for words in ["logging in", "CONNECTED", "ACTIVATED"] {
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
            // Not even a good part of it.
            for part in secret.as_bytes().windows(8).map(|part| std::str::from_utf8(part).unwrap()) {
                assert!(!said.contains(part), "{part}, of {secret}, is in:\n{said}");
            }
        }
    });
}
