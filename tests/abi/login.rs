//! Logging in and activating, against the simulator.

use enos::internals::error::Status::{self, *};
use enos::internals::model::sign::enos_sign_method::{self, *};
use enos_sim::{Event, HmacSha1, Spelling, ThrottleConfig};
use serde_json::json;
use std::time::{Duration, Instant};
use support::desk::{device_id, Desk};
use support::host::{last_error, Host, Setup, Store, ACTIVATING, ONLINE, PATIENCE_MS, WAITING};

/// Waits until it is online, and returns the events until then: name and status.
#[track_caller]
fn go_online(host: &mut Host) -> Vec<(String, Status)> {
    let before = host.seen.len();
    host.connect();
    assert_eq!(host.wait(ONLINE, PATIENCE_MS), ENOS_OK, "{}", last_error());
    host.until("CONNECTED");
    host.seen[before..].iter().map(|told| (told.name.clone(), told.status)).collect()
}

fn told(name: &str, status: Status) -> (String, Status) {
    (name.to_owned(), status)
}

#[test]
fn each_method_logs_in_where_it_is_meant_to() {
    let cases: [(enos_sign_method, HmacSha1, bool); 5] = [
        (ENOS_SIGN_HMACSHA1, HmacSha1::Hmac, true),
        (ENOS_SIGN_HMACSHA1, HmacSha1::Plain, false),
        (ENOS_SIGN_SHA1, HmacSha1::Plain, true),
        (ENOS_SIGN_SHA1, HmacSha1::Hmac, false),
        (ENOS_SIGN_SHA256, HmacSha1::Hmac, true),
    ];
    for (method, cloud, fits) in cases {
        let desk = Desk::active(|config| config.hmacsha1 = cloud);
        let mut host = Setup::device(desk.address()).sign_method(method as i32).create();
        if fits {
            assert_eq!(go_online(&mut host), [told("CONNECTED", ENOS_OK)]);
        } else {
            host.connect();
            assert_eq!(host.wait(ONLINE, PATIENCE_MS), ENOS_ERR_CREDENTIALS);
            let refusal = host.expect("DISCONNECTED");
            assert_eq!((refusal.status, refusal.detail_code), (ENOS_ERR_CREDENTIALS, 4));
            assert!(refusal.retry_in_ms >= 600_000, "{refusal:?}");
        }
        assert_eq!(desk.modes(), [2]);
    }
}

#[test]
fn auto_finds_out_in_two_connects_and_remembers() {
    let desk = Desk::active(|config| config.hmacsha1 = HmacSha1::Plain);
    let store = Store::new();
    let mut host = Setup::device(desk.address()).storage(&store).create();
    let refused = told("DISCONNECTED", ENOS_ERR_CREDENTIALS);
    assert_eq!(go_online(&mut host), [refused.clone(), told("CONNECTED", ENOS_OK)]);
    assert_eq!(desk.connects(), 2);
    let retry = host.seen[0].retry_in_ms;
    assert!((1..60_000).contains(&retry), "the second method follows at once, not after {retry} ms");
    // First the same client again, then the next process with the same storage.
    host.go_offline();
    assert_eq!(go_online(&mut host), [told("CONNECTED", ENOS_OK)]);
    drop(host);
    let mut host = Setup::device(desk.address()).storage(&store).create();
    assert_eq!(go_online(&mut host), [told("CONNECTED", ENOS_OK)]);
    assert_eq!(desk.connects(), 4);
    // Without its storage it has to find out again.
    let mut host = Setup::device(desk.address()).create();
    assert_eq!(go_online(&mut host), [refused, told("CONNECTED", ENOS_OK)]);
}

#[test]
fn auto_reports_what_it_tried_when_everything_is_refused() {
    let desk = Desk::active(|_| ());
    let host = Setup::at(desk.address()).device_secret("wrong").create();
    host.connect();
    assert_eq!(host.wait(ONLINE, PATIENCE_MS), ENOS_ERR_CREDENTIALS);
    let words = last_error();
    assert!(["HMACSHA1", "SHA1", "ENOS_SIGN_SHA256"].iter().all(|word| words.contains(word)), "{words}");
    assert_eq!((desk.connects(), host.state()), (2, WAITING));
}

#[test]
fn two_hang_ups_do_not_keep_a_device_with_a_good_secret_offline() {
    // The other method is tried, because some brokers refuse by hanging up. Its refusal does not end the rotation.
    let desk = Desk::active(|config| {
        config.hmacsha1 = HmacSha1::Hmac;
        config.faults = vec!["got-connect:close@1-2".parse().unwrap()];
    });
    let mut host = Setup::device(desk.address()).create();
    let network = told("DISCONNECTED", ENOS_ERR_NETWORK);
    let refused = told("DISCONNECTED", ENOS_ERR_CREDENTIALS);
    assert_eq!(go_online(&mut host), [network.clone(), network, refused, told("CONNECTED", ENOS_OK)]);
}

#[test]
fn activation_stores_the_secret_answers_and_logs_in_as_the_device() {
    for spelling in [Spelling::Activate, Spelling::Activated] {
        for push_qos in [0, 1] {
            let desk = Desk::inactive(|config| {
                config.activation.spelling = spelling;
                config.push_qos = push_qos;
            });
            let store = Store::new();
            // A login right after the activation would make the simulator drop unread data.
            let mut host = Setup::product(desk.address(), &store).connect_budget(0, 0, 300).create();
            assert_eq!(go_online(&mut host), [told("ACTIVATED", ENOS_OK), told("CONNECTED", ENOS_OK)]);
            let device = desk.cloud.device(&device_id()).unwrap();
            let secret = device.device_secret.unwrap().expose().to_owned();
            assert!(device.active && host.seen[0].secret.as_ref() == Some(&secret) && host.seen[1].secret.is_none());
            assert_eq!(desk.modes(), [3, 2]);
            desk.wait_for(|event| {
                matches!(event, Event::ActivationReply { code: Some(200), topic }
                if topic.contains(spelling.suffix()))
            });
            assert!(store.has("secrets.0"));
            drop(host);
            // The next process does not need the product secret any more.
            let mut host = Setup::product(desk.address(), &store).create();
            assert_eq!(go_online(&mut host), [told("CONNECTED", ENOS_OK)]);
            assert_eq!(desk.modes(), [3, 2, 2]);
        }
    }
}

#[test]
fn a_first_start_at_its_worst_keeps_to_the_connect_budget() {
    // Plain SHA-1 and AUTO: a refusal, the activation, the login. EnOS bans the device at the fourth CONNECT.
    let desk = Desk::inactive(|config| {
        config.hmacsha1 = HmacSha1::Plain;
        config.throttle = Some(ThrottleConfig::default());
    });
    let store = Store::new();
    let mut host = Setup::product(desk.address(), &store).connect_budget(3, 125_000, 1100).create();
    let start = Instant::now();
    assert_eq!(
        go_online(&mut host),
        [told("DISCONNECTED", ENOS_ERR_CREDENTIALS), told("ACTIVATED", ENOS_OK), told("CONNECTED", ENOS_OK)]
    );
    assert!(start.elapsed() >= Duration::from_millis(2200), "{:?}", start.elapsed());
    assert_eq!((desk.modes(), desk.count(|event| matches!(event, Event::Banned { .. }))), (vec![3, 3, 2], 0));
    // The next process counts these three.
    drop(host);
    let mut host = Setup::product(desk.address(), &store).connect_budget(3, 125_000, 1100).create();
    host.connect();
    assert_eq!(host.wait(ONLINE, 300), ENOS_ERR_TIMEOUT);
    assert_eq!((host.state(), desk.connects(), host.take()), (WAITING, 3, None));
}

#[test]
fn a_host_that_keeps_calling_connect_does_not_earn_the_ban() {
    let desk = Desk::active(|config| config.throttle = Some(ThrottleConfig::default()));
    let setup = Setup::at(desk.address()).device_secret("wrong").connect_budget(3, 125_000, 1100);
    let mut host = setup
        .on_event(|client, told| {
            if told.name == "DISCONNECTED" {
                client.connect();
            }
        })
        .create();
    let end = Instant::now() + Duration::from_millis(3500);
    while Instant::now() < end {
        host.connect();
        assert_eq!(host.run_loop(1), ENOS_OK);
    }
    assert_eq!((desk.connects(), desk.count(|event| matches!(event, Event::Banned { .. }))), (3, 0));
    while host.take().is_some() {}
    assert_eq!(host.seen.iter().filter(|told| told.name == "DISCONNECTED").count(), 3, "{:#?}", host.seen);
}

#[test]
fn a_product_secret_that_is_refused_is_told_at_once() {
    let desk = Desk::inactive(|_| ());
    let store = Store::new();
    let mut host = Setup::at(desk.address()).product_secret("wrong").storage(&store).create();
    let start = Instant::now();
    host.connect();
    assert_eq!(host.wait(ONLINE, PATIENCE_MS), ENOS_ERR_ACTIVATION_REFUSED);
    assert!(start.elapsed() < Duration::from_secs(10));
    assert!(last_error().contains("deleted and registered anew"), "{}", last_error());
    let refusal = host.seen.last().cloned().unwrap_or_else(|| host.until("DISCONNECTED"));
    let refusal = if refusal.status == ENOS_ERR_ACTIVATION_REFUSED { refusal } else { host.until("DISCONNECTED") };
    assert_eq!(refusal.status, ENOS_ERR_ACTIVATION_REFUSED);
    assert!(refusal.retry_in_ms >= 600_000);
    assert_eq!((host.state(), desk.modes()), (WAITING, vec![3, 3]));

    // A device that is active already, but has lost its secret.
    let desk = Desk::inactive(|_| ());
    let mut device = desk.cloud.device(&device_id()).unwrap();
    device.active = true;
    desk.cloud.put_device(device).unwrap();
    let host = Setup::product(desk.address(), &store).create();
    host.connect();
    assert_eq!(host.wait(ONLINE, PATIENCE_MS), ENOS_ERR_ACTIVATION_REFUSED);
}

#[test]
fn an_activation_that_does_not_come_is_reported_and_waited_for() {
    let desk = Desk::inactive(|config| config.faults = vec!["activation:delay=1500".parse().unwrap()]);
    let store = Store::new();
    let mut host = Setup::product(desk.address(), &store).activation_timeout(200).create();
    host.connect();
    assert_eq!(host.wait(ONLINE, PATIENCE_MS), ENOS_ERR_ACTIVATION_TIMEOUT);
    let report = host.expect("ACTIVATION_LATE");
    assert_eq!((report.status, host.state()), (ENOS_ERR_ACTIVATION_TIMEOUT, ACTIVATING));
    assert!(report.retry_in_ms >= 500_000, "{report:?}");
    assert_eq!(desk.cloud.online(), [device_id()], "it stays connected");
    // It comes late, and is accepted.
    assert_eq!(host.expect("ACTIVATED").status, ENOS_OK);
    host.expect("CONNECTED");
    assert_eq!((host.wait(ONLINE, 0), desk.modes()), (ENOS_OK, vec![3, 2]));
}

#[test]
fn an_unusable_activation_is_reported_later_and_never_used_or_delivered() {
    let faults = [
        ("other-device", "names another device"),
        ("other-topic", ""),
        ("other-method", "method is not"),
        ("no-secret", "deviceSecret"),
        ("empty-secret", "deviceSecret"),
        ("truncated", "cannot be used"),
        ("garbage=300", "cannot be used"),
        ("payload=", "cannot be used"),
        ("huge=200000", ""),
    ];
    let run = |fault: &str, words: &str| {
        let desk = Desk::inactive(|config| config.faults = vec![format!("activation:{fault}@1").parse().unwrap()]);
        let store = Store::new();
        let mut host = Setup::product(desk.address(), &store).activation_timeout(200).create();
        host.connect();
        if words.is_empty() {
            assert_eq!(host.expect("OVERFLOW").detail_code, 1, "{fault}");
        }
        let late = host.expect("ACTIVATION_LATE");
        assert_eq!(late.status, ENOS_ERR_ACTIVATION_TIMEOUT, "{fault}");
        assert!(late.detail.contains(words) && late.secret.is_none() && late.payload.is_empty(), "{fault}: {late:?}");
        assert!(!store.has("secrets.0"), "{fault}");
        host.go_offline();
        assert_eq!(go_online(&mut host), [told("ACTIVATED", ENOS_OK), told("CONNECTED", ENOS_OK)], "{fault}");
    };
    // In parallel, because going offline waits a moment for a secret that may be on its way.
    std::thread::scope(|scope| {
        for (fault, words) in faults {
            scope.spawn(move || run(fault, words));
        }
    });
}

#[test]
fn a_duplicate_activation_is_ignored() {
    let desk = Desk::inactive(|config| config.faults = vec!["activation:twice".parse().unwrap()]);
    let store = Store::new();
    let mut host = Setup::product(desk.address(), &store).create();
    assert_eq!(go_online(&mut host), [told("ACTIVATED", ENOS_OK), told("CONNECTED", ENOS_OK)]);
    assert_eq!(desk.modes(), [3, 2]);
}

#[test]
fn data_goes_both_ways() {
    let desk = Desk::active(|_| ());
    let mut host = Setup::device(desk.address()).keep_commands().create();
    go_online(&mut host);
    let token = host.post(r#"{"measurepoints":{"temperature":21.5},"time":1524448722000}"#).unwrap();
    let reply = host.expect("REPLY");
    assert_eq!((reply.token, reply.status, reply.detail_code), (token, ENOS_OK, 200));
    let token = host.post(r#"{"nothing":"that EnOS knows"}"#).unwrap();
    let reply = host.expect("REPLY");
    assert_eq!((reply.token, reply.status), (token, ENOS_ERR_REFUSED));
    assert!(![0, 200].contains(&reply.detail_code), "{reply:?}");

    let id = desk.cloud.command(&device_id(), "thing/service/reboot", json!({"delay": 5})).unwrap();
    let told = host.expect("COMMAND");
    assert_eq!(told.topic, b"/sys/pk/dk/thing/service/reboot");
    let command = told.command.unwrap();
    let token = command.reply(200, Some(r#"{"ok":true}"#)).unwrap();
    command.release();
    assert_eq!(host.expect("DELIVERED").token, token);
    desk.wait_for(|event| {
        matches!(event, Event::CommandReply { id: answered, code: Some(200), timed_out: false, .. }
        if *answered == id)
    });
}
