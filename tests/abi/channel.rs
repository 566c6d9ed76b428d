//! The integration channel: a client that is logged in as a product.

use std::collections::BTreeSet;
use std::time::Duration;

use enos::internals::error::Status::*;
use enos::internals::model::sign::enos_sign_method::*;
use enos::internals::protocol::operations::{Params, Sender, TABLE};
use enos::internals::protocol::Operation::*;
use enos_sim::HmacSha1;
use serde_json::json;
use support::broker::*;
use support::desk::Desk;
use support::host::*;
use support::scene::Scene;

use crate::requests::{answer, body, lines, next, reply, Line};

const RAW_UP: &str = "/sys/pk/integration/model/up_raw";

/// A channel that is online with a scripted broker.
fn scene(set: impl FnOnce(Setup) -> Setup) -> Scene {
    let broker = Broker::bind();
    let mut host = set(Setup::channel(broker.address())).start();
    host.connect();
    let peer = broker.accept_mqtt();
    host.expect("CONNECTED");
    Scene { host, peer, broker }
}

/// The requests of a channel, one of each operation.
fn own() -> Vec<Line> {
    let mut seen = BTreeSet::new();
    lines().into_iter().filter(|line| line.operation as i32 >= 90 && seen.insert(line.operation as i32)).collect()
}

fn ask(line: &Line, flags: u32) -> Ask<'_> {
    Ask { flags, params: Some(&line.params), user: line.operation as usize, ..Ask::of(line.operation) }
}

fn raw(params: &[u8]) -> Ask<'_> {
    Ask { params: Some(params), ..Ask::of(ENOS_OP_INTEGRATION_RAW_UP) }
}

/// Answers the next request, which has to be this one.
fn take(peer: &mut Peer, line: &Line) {
    let packet = next(peer);
    assert_eq!((packet.topic(), packet.qos()), (&*line.topic, 1));
    if line.operation.row().params == Params::Bytes {
        assert_eq!(packet.payload(), line.params);
        return reply(peer, &packet, b"\x00\x01");
    }
    let params: serde_json::Value = serde_json::from_slice(&line.params).unwrap();
    let wanted = json!({"id": body(&packet)["id"], "version": "1.0", "method": line.method, "params": params});
    assert_eq!(body(&packet), wanted);
    answer(peer, &packet, 200);
}

#[test]
fn each_method_logs_in_and_the_four_messages_are_answered() {
    for (method, cloud, connects) in [
        (ENOS_SIGN_HMACSHA1, HmacSha1::Hmac, 1),
        (ENOS_SIGN_SHA1, HmacSha1::Plain, 1),
        (ENOS_SIGN_SHA256, HmacSha1::Hmac, 1),
        (ENOS_SIGN_AUTO, HmacSha1::Hmac, 1),
        (ENOS_SIGN_AUTO, HmacSha1::Plain, 2),
    ] {
        let desk = Desk::inactive(|config| config.hmacsha1 = cloud);
        let mut host = Setup::channel(desk.address()).sign_method(method as i32).start();
        host.connect();
        host.until("CONNECTED");
        assert_eq!(desk.modes(), vec![4; connects]);
        let params = r#"[{"deviceKey":"dk","measurepoints":{"p":1},"events":{"e":{}},"attributes":{"a":1},"time":1700000000000}]"#;
        let mut tokens = vec![host.request(&raw(b"\x01\x02")).unwrap()];
        for operation in
            [ENOS_OP_INTEGRATION_MEASUREPOINT_POST, ENOS_OP_INTEGRATION_EVENT_POST, ENOS_OP_INTEGRATION_ATTRIBUTE_POST]
        {
            tokens.push(host.request(&Ask::json(operation, params)).unwrap());
        }
        for (_, told) in host.outcomes(&tokens) {
            assert_eq!((&*told.name, told.status), ("REPLY", ENOS_OK), "{told:?}");
        }
        let unknown = r#"[{"deviceKey":"other","measurepoints":{"p":1}}]"#;
        let token = host.request(&Ask::json(ENOS_OP_INTEGRATION_MEASUREPOINT_POST, unknown)).unwrap();
        let told = &host.outcomes(&[token])[&token];
        assert_eq!((told.status, told.detail_code), (ENOS_ERR_REFUSED, 1257));
    }
}

#[test]
fn a_wrong_secret_is_refused_and_waited_for() {
    let desk = Desk::inactive(|_| ());
    let mut host = Setup::channel(desk.address()).integration_channel("pk", "wrong").start();
    host.connect();
    // AUTO tries its second method first.
    host.until("DISCONNECTED");
    let told = host.until("DISCONNECTED");
    assert_eq!((told.status, desk.modes()), (ENOS_ERR_CREDENTIALS, vec![4, 4]));
    assert!(told.retry_in_ms >= 600_000, "{told:?}");
    assert!(told.detail.contains("the product secret of the integration channel"), "{told:?}");
    assert!(!told.detail.contains("wrong,"), "{told:?}");
}

#[test]
fn each_connect_is_that_of_the_channel_and_the_budget_is_kept() {
    let broker = Broker::bind();
    let mut host = Setup::channel(broker.address()).sign_method(3).connect_budget(2, 600_000, 0).start();
    host.connect();
    for _ in 0..2 {
        let mut peer = broker.accept();
        let connect = peer.expect(CONNECT);
        let [client_id, user_name, password] = connect.credentials();
        let timestamp = client_id.strip_prefix("pk|securemode=4,signmethod=sha256,timestamp=").unwrap();
        assert!(timestamp.strip_suffix('|').unwrap().parse::<u64>().unwrap() > 1_577_836_800_000, "{client_id}");
        assert_eq!((user_name, password.len()), ("%channel%&pk", 64));
        peer.send(&connack(0));
        host.until("CONNECTED");
        peer.stream.shutdown(std::net::Shutdown::Both).unwrap();
        let told = host.until("DISCONNECTED");
        assert_eq!(told.status, ENOS_ERR_NETWORK);
    }
    assert!(broker.accept_within(Duration::from_millis(500)).is_none(), "the budget has no room");
    assert_eq!(host.state(), WAITING);
}

#[test]
fn a_disconnect_during_the_login_is_done_at_once() {
    let broker = Broker::bind();
    let mut host = Setup::channel(broker.address()).start();
    host.connect();
    let mut peer = broker.accept();
    peer.expect(CONNECT);
    host.disconnect();
    assert_eq!(host.state(), IDLE, "no secret may be on its way");
    assert_eq!(host.until("DISCONNECTED").status, ENOS_OK);
    peer.expect_end();
}

#[test]
fn each_request_is_sent_as_enos_documents_it_and_also_on_the_next_link() {
    let mut scene = scene(|setup| setup);
    let own = own();
    assert_eq!(own.len(), 4);
    for _ in 0..2 {
        for line in &own {
            let token = scene.host.request(&ask(line, 0)).unwrap();
            take(&mut scene.peer, line);
            let told = scene.host.expect("REPLY");
            let operation = line.operation as i32;
            assert_eq!((told.token, told.status, told.operation), (token, ENOS_OK, operation));
        }
        scene.peer.stream.shutdown(std::net::Shutdown::Both).unwrap();
        scene.peer = scene.broker.accept_mqtt();
        scene.host.until("CONNECTED");
    }
}

#[test]
fn raw_requests_take_turns() {
    let mut scene = scene(|setup| setup);
    let tokens = [b"a", b"b"].map(|bytes| scene.host.request(&raw(bytes)).unwrap());
    for (token, bytes) in tokens.into_iter().zip([b"a", b"b"]) {
        let packet = next(&mut scene.peer);
        assert_eq!((packet.topic(), packet.payload()), (RAW_UP, &bytes[..]));
        scene.host.publish("marker", b"", 0).unwrap();
        assert_eq!(scene.peer.read().topic(), "marker", "the next one waits for the reply");
        scene.host.expect("DELIVERED");
        reply(&mut scene.peer, &packet, b"decoded");
        let told = scene.host.expect("REPLY");
        assert_eq!((told.token, told.status, &told.payload[..]), (token, ENOS_OK, &b"decoded"[..]));
    }
}

/// The records of the channel are apart from those of each device of the product.
#[test]
fn durable_requests_survive_a_restart_and_are_the_channels_own() {
    let (store, own) = (Store::new(), own());
    let asks: Vec<_> = own.iter().map(|line| ask(line, DURABLE | UNTIL_REPLY)).collect();
    let tokens = Setup::channel(nobody()).storage(&store).create().request_batch(&asks).unwrap();
    let device = Setup::device(nobody()).storage(&store).create();
    assert_eq!(device.waiting(), 0);
    drop(device);

    let mut scene = scene(|setup| setup.storage(&store));
    for (line, token) in own.iter().zip(tokens) {
        take(&mut scene.peer, line);
        let told = scene.host.until("REPLY");
        assert_eq!((told.token, told.status), (token, ENOS_OK));
    }
    let plain = scene.host.publish_durable("a/b", b"1").unwrap();
    assert_eq!(next(&mut scene.peer).topic(), "a/b");
    assert_eq!(scene.host.until("DELIVERED").token, plain);
    assert_eq!((scene.host.flush(PATIENCE_MS), scene.host.waiting()), (ENOS_OK, 0));
    scene.peer.oblige();
    drop(scene.host);
    let secret = PRODUCT_SECRET.as_bytes();
    for (key, value) in store.records().iter() {
        assert!(!value.windows(secret.len()).any(|part| part == secret), "{key} has the product secret");
    }
}

#[test]
fn a_durable_reading_has_a_time() {
    let host = Setup::channel(nobody()).storage(&Store::new()).create();
    let request = |params, flags| {
        host.request(&Ask { flags: DURABLE | flags, ..Ask::json(ENOS_OP_INTEGRATION_MEASUREPOINT_POST, params) })
    };
    let without = r#"[{"deviceKey":"dk","measurepoints":{"p":1}}]"#;
    assert_eq!(request(without, 0), Err(ENOS_ERR_INVALID_ARG));
    assert!(last_error().contains("\"time\""), "{}", last_error());
    request(without, WITHOUT_TIME).unwrap();
    request(r#"[{"deviceKey":"dk","measurepoints":{"p":1},"time":1700000000000}]"#, 0).unwrap();
    assert_eq!(host.waiting(), 2);
}

#[test]
fn what_only_a_device_can_do_is_refused_in_words() {
    let mut scene = scene(|setup| setup.storage(&Store::new()));
    let host = &scene.host;
    let words = |words: &str| assert!(last_error().contains(words), "{} does not say {words}", last_error());
    for row in TABLE.iter().filter(|row| row.check_sender(Sender::Channel).is_err()) {
        for flags in [0, DURABLE] {
            let name = row.path.contains("{}").then_some("x");
            let asked = host.request(&Ask { name, flags, ..Ask::of(row.operation) });
            assert_eq!(asked, Err(ENOS_ERR_UNSUPPORTED), "{:?}", row.operation);
            words("an integration channel cannot send it");
        }
    }
    let good = r#"{"measurepoints":{"p":1},"time":1700000000000}"#;
    let batch =
        [Ask { flags: DURABLE, ..raw(b"1") }, Ask { flags: DURABLE, ..Ask::json(ENOS_OP_MEASUREPOINT_POST, good) }];
    assert_eq!(host.request_batch(&batch), Err((ENOS_ERR_UNSUPPORTED, 1)));
    for asked in [
        host.post(r#"{"p":1}"#),
        host.post_flags(r#"{"measurepoints":{"p":1},"time":1700000000000}"#, DURABLE),
        host.post_event("e", r#"{"x":1}"#, 0),
        host.update_attributes(r#"{"x":1}"#, 0),
        host.add_subdevices(&[Sub::new("s")]).map(|_| 0),
        host.topic("thing/x").map(|_| 0),
    ] {
        assert_eq!(asked, Err(ENOS_ERR_UNSUPPORTED));
        words("an integration channel");
    }
    assert_eq!(host.request(&Ask { subdevice: 1, ..raw(b"1") }), Err(ENOS_ERR_NOT_FOUND));
    assert_eq!((host.activation_saved(), host.waiting()), (ENOS_ERR_STATE, 0));
    scene.host.publish("marker", b"", 0).unwrap();
    assert_eq!(scene.peer.read().topic(), "marker", "nothing else was sent");
}

#[test]
fn a_device_refuses_the_messages_of_the_channel() {
    let host = Scene::with(|setup| setup.storage(&Store::new()));
    for line in own() {
        for flags in [0, DURABLE] {
            assert_eq!(host.host.request(&ask(&line, flags)), Err(ENOS_ERR_UNSUPPORTED));
            assert!(last_error().contains("only an integration channel"), "{}", last_error());
        }
    }
}

#[test]
fn what_comes_without_a_request_is_a_message() {
    let mut scene = scene(|setup| setup);
    for topic in [
        "/sys/pk/%channel%/thing/service/measurepoint/set",
        "/ext/session/pk/%channel%/thing/disable",
        "/sys/pk/integration/measurepoint/post_reply",
    ] {
        scene.peer.send(&publish(topic.as_bytes(), br#"{"id":"1","version":"1.0","method":"x","params":{}}"#, None));
        assert_eq!(scene.host.expect("MESSAGE").topic, topic.as_bytes());
    }
    scene.peer.send(&publish(b"/ext/session/pk/%channel%/thing/activate/info", b"{}", None));
    scene.host.publish("marker", b"", 0).unwrap();
    assert_eq!(scene.peer.read().topic(), "marker", "nothing was answered");
    scene.host.expect("DELIVERED");
}

#[test]
fn a_client_is_a_device_or_a_channel() {
    let setup = || Setup::channel(nobody());
    for (setup, words) in [
        (setup().identity("pk", "dk"), "enos_config_set_identity()"),
        (setup().client_id("c"), "enos_config_set_client_id()"),
        (setup().device_secret("s"), "enos_config_set_device_secret()"),
        (setup().product_secret("s"), "enos_config_set_product_secret()"),
    ] {
        let (status, said) = setup.try_create().err().unwrap();
        assert_eq!(status, ENOS_ERR_INVALID_ARG);
        assert!(said.contains("integration channel and") && said.contains(words), "{said}");
    }
    let (status, said) = Setup::empty().server("tcp://127.0.0.1").try_create().err().unwrap();
    assert_eq!(status, ENOS_ERR_INVALID_ARG);
    assert!(said.contains("enos_config_set_identity(), or enos_config_set_integration_channel()"), "{said}");
    setup().create();
}
