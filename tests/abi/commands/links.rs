//! Commands across the end of a connection, and across a disable.

use enos::internals::error::Status::*;
use enos_sim::Event;
use serde_json::json;
use support::desk::{device_id, Desk};
use support::ends::End;
use support::scene::Scene;

use super::*;

#[test]
fn an_answer_that_waits_goes_out_on_the_next_link() {
    let mut scene = Scene::with(|setup| setup.keep_commands().command_timeout(Some("short"), 1_000));
    command(&mut scene.peer, "1");
    scene.peer.send(&packet("thing/service/short", &envelope("2"), 8));
    scene.peer.expect(PUBACK);
    let (kept, short) = (kept(&mut scene.host), kept(&mut scene.host));
    scene.peer.stream.shutdown(std::net::Shutdown::Both).unwrap();
    scene.host.until("DISCONNECTED");
    let token = kept.reply(200, None).unwrap();
    let late = short.reply(200, None).unwrap();
    // The deadline of this one is over before there is a link.
    let told = scene.host.until("DELIVERED");
    assert_eq!((told.token, told.status), (late, ENOS_ERR_TIMEOUT), "{told:?}");
    scene.peer = scene.broker.accept_mqtt();
    assert_eq!(code_and_id(&mut scene.peer), (200, json!(1)));
    let told = scene.host.until("DELIVERED");
    assert_eq!((told.token, told.status), (token, ENOS_OK));
    command(&mut scene.peer, "3");
    self::kept(&mut scene.host).release();
    assert_eq!(code_and_id(&mut scene.peer), (1102, json!(3)), "and nothing else");
    kept.release();
    short.release();
}

#[test]
fn an_answer_without_an_acknowledgement_goes_out_once_more() {
    let mut scene = Scene::with(Setup::keep_commands);
    command(&mut scene.peer, "1");
    let kept = kept(&mut scene.host);
    let token = kept.reply(200, None).unwrap();
    for _ in 0..2 {
        assert_eq!(json_of(&scene.peer.expect(PUBLISH))["id"], 1);
        scene.reconnect();
    }
    let told = scene.host.seen.iter().find(|told| told.token == token).unwrap();
    assert_eq!(told.status, ENOS_ERR_NETWORK);
    command(&mut scene.peer, "2");
    self::kept(&mut scene.host).release();
    assert_eq!(code_and_id(&mut scene.peer), (1102, json!(2)), "and no third time");
    kept.release();
}

/// One client, and fifty connections one after the other.
#[test]
fn after_each_kind_of_end_commands_come_and_are_answered() {
    let mut scene = Scene::new();
    for end in End::all().iter().cycle().take(50) {
        end.come(scene.peer);
        scene.host.until("DISCONNECTED");
        scene.peer = scene.broker.accept_mqtt();
        scene.host.until("CONNECTED");
        for (path, code) in [
            ("thing/service/x", 1101),
            ("thing/service/measurepoint/set", 1101),
            ("thing/service/measurepoint/get", 1101),
            ("thing/enable", 200),
            ("thing/disable", 200),
            ("thing/delete", 200),
        ] {
            scene.peer.send(&packet(path, &envelope("1"), 7));
            scene.peer.expect(PUBACK);
            assert_eq!(code_and_id(&mut scene.peer).0, code, "{end:?}");
        }
    }
}

/// A message at QoS 1 needs a packet id. One without is told, and the next connection has its commands.
#[test]
fn a_packet_id_of_zero_ends_the_connection_in_words() {
    let mut scene = Scene::new();
    scene.peer.send(&packet("thing/service/x", &envelope("1"), 0));
    let told = scene.host.until("DISCONNECTED");
    assert_eq!(told.status, ENOS_ERR_PROTOCOL, "{told:?}");
    assert!(told.detail.contains("packet id"), "{told:?}");
    scene.peer = scene.broker.accept_mqtt();
    command(&mut scene.peer, "2");
    assert_eq!(code_and_id(&mut scene.peer), (1101, json!(2)), "the first one was not handed over");
    assert_eq!(scene.host.stats().commands, 1);
}

#[test]
fn a_disconnect_waits_for_answers_that_were_given() {
    let Scene { mut host, mut peer, broker: _broker } = Scene::with(Setup::keep_commands);
    command(&mut peer, "1");
    command(&mut peer, "2");
    let (first, second) = (kept(&mut host), kept(&mut host));
    let token = first.reply(200, None).unwrap();
    let served = peer.oblige();
    host.go_offline();
    assert!(host.seen.iter().any(|told| told.token == token && told.status == ENOS_OK));
    let packets = served.join().unwrap();
    assert_eq!(packets.iter().map(|packet| packet.kind).collect::<Vec<_>>(), [PUBLISH, DISCONNECT]);
    // It can still be answered: that goes out if the device comes back in time.
    second.reply(200, None).unwrap();
    second.release();
    first.release();
}

#[test]
fn after_a_disable_and_an_enable_commands_work_again() {
    let desk = Desk::active(|_| ());
    let mut host = Setup::device(desk.address()).create();
    host.online();
    let answered = |host: &mut Host, path: &str, code: i64| {
        let id = desk.cloud.command(&device_id(), path, json!({})).unwrap();
        host.until("COMMAND");
        host.loop_until(|_| {
            desk.count(|event| {
                matches!(event, Event::CommandReply { id: known, code: Some(said), timed_out: false, .. }
                    if *known == id && *said == code)
            }) == 1
        });
    };
    for connects in 2..4 {
        answered(&mut host, "thing/disable", 200);
        desk.cloud.kick(&device_id()).unwrap();
        host.loop_until(|host| host.state() == ONLINE && host.stats().connects >= connects);
        answered(&mut host, "thing/enable", 200);
        for path in ["thing/service/x", "thing/service/measurepoint/set", "thing/service/measurepoint/get"] {
            answered(&mut host, path, 1101);
        }
    }
    answered(&mut host, "thing/delete", 200);
}

/// It is told, and the link answers other commands.
#[test]
fn a_command_whose_answer_has_no_topic_stops_no_other() {
    let mut scene = Scene::new();
    let name = "x".repeat(65_535 - topic("thing/service/").len());
    scene.peer.send(&packet(&format!("thing/service/{name}"), &envelope("1"), 8));
    scene.peer.expect(PUBACK);
    let told = scene.host.expect("OVERFLOW");
    assert!(told.status == ENOS_ERR_REFUSED && told.detail.contains("1 unreadable"), "{told:?}");
    command(&mut scene.peer, "2");
    assert_eq!(code_and_id(&mut scene.peer), (1101, json!(2)));
    // The longest topic that has an answer.
    let name = &name["_reply".len()..];
    scene.peer.send(&packet(&format!("thing/service/{name}"), &envelope("3"), 8));
    scene.peer.expect(PUBACK);
    assert_eq!(code_and_id(&mut scene.peer), (1101, json!(3)));
}
