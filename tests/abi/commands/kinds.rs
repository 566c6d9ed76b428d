//! What is a command, and how it is read.

use enos::internals::error::Status::*;
use serde_json::json;
use support::mosquitto::{tool, Mosquitto};
use support::scene::Scene;

use super::*;

#[test]
fn the_type_says_what_the_cloud_wants() {
    let Scene { mut host, mut peer, broker: _broker } = Scene::with(Setup::keep_commands);
    for (topic, kind, name) in [
        (topic("thing/service/reboot"), 2, "reboot"),
        (topic("thing/service/measurepoint/set"), 3, ""),
        (topic("thing/service/measurepoint/get"), 4, ""),
        (topic("thing/model/down_raw"), 5, ""),
        (topic("rrpc/request/17"), 6, ""),
        (topic("thing/enable"), 7, ""),
        (topic("thing/disable"), 8, ""),
        (topic("thing/delete"), 9, ""),
        ("/ext/session/pk/dk/combine/disable".into(), 1, ""),
        (topic("thing/that/is/new"), 1, ""),
    ] {
        peer.send(&publish(topic.as_bytes(), envelope("1").as_bytes(), None));
        let command = kept(&mut host);
        assert_eq!((command.kind(), command.name().as_str()), (kind, name), "{topic}");
        assert_eq!(command.params(), (kind != 5).then(|| r#"{"a":1}"#.to_owned()), "{topic}");
        assert_eq!(command.raw(), envelope("1").as_bytes());
        command.release();
        peer.answer_publish();
    }
}

#[test]
fn other_messages_stay_messages() {
    let Scene { mut host, mut peer, broker: _broker } = Scene::new();
    for topic in [
        "a/b".to_owned(),
        "/sys/pk/other/thing/service/x".into(),
        "/sys/other/dk/thing/service/x".into(),
        topic("thing/measurepoint/post"),
        topic("thing/service/x_reply"),
        topic("thing/service/a\0b"),
    ] {
        peer.send(&publish(topic.as_bytes(), envelope("1").as_bytes(), None));
        assert_eq!(host.expect("MESSAGE").topic, topic.as_bytes());
    }
    peer.send(&publish(topic("thing/that/is/new").as_bytes(), br#"{"id":"1"}"#, None));
    host.expect("MESSAGE");
    peer.send(&publish(b"/sys/pk/dk/thing/service/\xFF", b"{}", None));
    host.expect("MESSAGE");
}

#[test]
fn raw_commands_are_bytes() {
    let Scene { mut host, mut peer, broker: _broker } = Scene::with(Setup::keep_commands);
    for path in ["thing/model/down_raw", "rrpc/request/5"] {
        peer.send(&publish(topic(path).as_bytes(), b"\x00\xFF\x7b", None));
        let command = kept(&mut host);
        assert_eq!((command.raw(), command.params()), (vec![0, 0xFF, 0x7b], None));
        if path == "thing/model/down_raw" {
            assert_eq!(command.reply(200, None), Err(ENOS_ERR_INVALID_ARG));
        }
        assert_eq!(command.reply_raw(&vec![0; 512 * 1024]), Err(ENOS_ERR_TOO_LARGE));
        command.reply_raw(b"\x01\x00").unwrap();
        assert_eq!(peer.answer_publish().payload(), b"\x01\x00");
        command.release();
    }
    peer.send(&publish(topic("thing/model/down_raw").as_bytes(), b"", None));
    let command = kept(&mut host);
    assert_eq!(command.raw(), b"");
    command.reply_raw(b"").unwrap();
    assert_eq!(peer.answer_publish().payload(), b"");
    command.release();
}

/// 0, "0", "" and none are four different ids.
#[test]
fn an_id_comes_back_as_it_came() {
    let Scene { mut peer, host: _host, broker: _broker } = Scene::with(|setup| {
        setup.on_event(|_, told| told.command.iter().for_each(|it| assert!(it.reply(200, None).is_ok())))
    });
    let long = format!("\"{}\"", "9".repeat(10_000));
    for id in ["0", "\"0\"", "\"\"", "null", "1.0", "-1", "9223372036854775808", r#""\u00e9\"""#, &long, "1", "1"] {
        command(&mut peer, id);
        let answer = String::from_utf8(peer.answer_publish().payload().to_vec()).unwrap();
        assert_eq!(answer, format!(r#"{{"id":{id},"code":200,"data":{{}}}}"#));
    }
    peer.send(&packet("thing/service/x", "{}", 7));
    peer.expect(PUBACK);
    assert_eq!(peer.answer_publish().payload(), br#"{"code":200,"data":{}}"#);
}

#[test]
fn a_command_that_cannot_be_read_is_told_and_answered_if_it_has_an_id() {
    let Scene { mut host, mut peer, broker: _broker } = Scene::new();
    let deep = format!(r#"{{"id":"deep","params":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let long = format!(r#"{{"id":"{}","params":{{}}}}"#, "1".repeat(20_000));
    let mut refused = 0;
    for (payload, id) in [
        ("", None),
        ("[1]", None),
        ("nonsense", None),
        (r#"{"id":[7],"params":{}}"#, None),
        (long.as_str(), None),
        (r#"{"id":7,"params":{"#, Some(json!(7))),
        (r#"{"id":"a","id":"b"}"#, Some(json!("a"))),
        (&deep, Some(json!("deep"))),
    ] {
        peer.send(&packet("thing/service/x", payload, 7));
        peer.expect(PUBACK);
        if let Some(id) = id {
            assert_eq!(code_and_id(&mut peer), (460, id));
        }
        let told = host.expect("OVERFLOW");
        assert_eq!((told.status, told.detail_code), (ENOS_ERR_REFUSED, 1));
        assert!(told.detail.contains("1 unreadable"), "{}", told.detail);
        refused += 1;
        assert_eq!((host.stats().commands, host.stats().commands_refused), (0, refused));
    }
}

/// A broker or a tool has retained a command: it must not be carried out at each login.
#[test]
fn a_retained_message_is_never_a_command() {
    let mut scene = Scene::new();
    let paths = ["thing/service/x", "thing/service/measurepoint/set", "thing/model/down_raw", "rrpc/request/1"];
    let paths = paths.into_iter().chain(["thing/enable", "thing/disable", "thing/delete", "ota/device/upgrade"]);
    let paths: Vec<_> = paths.chain(["traffic/control"]).collect();
    for _ in 0..3 {
        for path in &paths {
            let mut bytes = packet(path, &envelope("1"), 7);
            bytes[0] |= 1;
            scene.peer.send(&bytes);
            scene.peer.expect(PUBACK);
            let told = scene.host.expect("OVERFLOW");
            assert!(told.status == ENOS_ERR_REFUSED && told.detail.contains("1 retained"), "{told:?}");
        }
        command(&mut scene.peer, "1");
        assert_eq!(code_and_id(&mut scene.peer).0, 1101, "the next packet is the answer to the next command");
        scene.host.expect("COMMAND");
        scene.reconnect();
    }
    assert_eq!(scene.host.stats().commands_refused, 3 * paths.len() as u64);
    // On another topic it is a message, and says that it was retained.
    let mut bytes = publish(topic("something/new").as_bytes(), envelope("1").as_bytes(), None);
    bytes[0] |= 1;
    scene.peer.send(&bytes);
    scene.host.expect("MESSAGE");
}

/// A broker that delivers nothing without a subscription.
#[test]
fn with_another_broker_the_host_subscribes() {
    let broker = Mosquitto::start();
    let mut host = Setup::device(broker.address()).create();
    host.online();
    for filter in ["thing/service/+", "thing/enable"] {
        host.subscribe(&topic(filter), 1).unwrap();
        host.expect("SUBSCRIBED");
    }
    for path in ["thing/service/x", "thing/enable"] {
        let (topic, payload) = (topic(path), envelope("1"));
        let mut command = tool("mosquitto_pub", broker.address());
        assert!(command.args(["-t", &topic, "-q", "1", "-m", &payload]).status().unwrap().success());
        assert_eq!(host.until("COMMAND").topic, topic.as_bytes());
    }
    host.go_offline();
}
