//! Commands and their answers.

use enos::error::Status::*;
use serde_json::{json, Value};
use support::broker::*;
use support::scene::Scene;

fn json_of(packet: &Packet) -> Value {
    serde_json::from_slice(packet.payload()).unwrap()
}

#[test]
fn a_command_is_answered_on_its_reply_topic() {
    let mut scene = Scene::with(|setup| {
        setup.on_event(|client, told| {
            if told.name == "MESSAGE" {
                let command: Value = serde_json::from_slice(&told.payload).unwrap();
                let topic = String::from_utf8(told.topic.clone()).unwrap();
                client.reply(&topic, command["id"].as_str().unwrap(), 2001, Some(r#"{"done":[true]}"#)).unwrap();
            }
        })
    });
    let command = json!({"id": "41 \"x\"", "version": "1.0", "method": "thing.service.reboot", "params": {}});
    let topic = "/sys/pk/dk/thing/service/reboot";
    scene.peer.send(&publish(topic.as_bytes(), command.to_string().as_bytes(), Some(1)));
    scene.peer.expect(PUBACK);
    let answer = scene.peer.answer_publish();
    assert_eq!(answer.topic(), "/sys/pk/dk/thing/service/reboot_reply");
    let said = json_of(&answer);
    assert_eq!((&said["id"], &said["code"], &said["data"]), (&command["id"], &json!(2001), &json!({"done": [true]})));
    scene.host.expect("MESSAGE");
    assert_eq!(scene.host.expect("DELIVERED").status, ENOS_OK);

    let token = scene.host.reply(topic, "42", 200, None).unwrap();
    assert_eq!(json_of(&scene.peer.answer_publish())["data"], json!({}));
    assert_eq!(scene.host.expect("DELIVERED").token, token);
}

/// The host posts again as soon as there is room, so half of the limit is never free.
#[test]
fn a_device_that_posts_all_it_can_answers_its_commands_and_is_told_of_room() {
    let Scene { mut host, mut peer, broker: _broker } = Scene::with(|setup| setup.inflight(4));
    let fill = |client: support::host::Client| while client.publish("t", b"", 1).is_ok() {};
    fill(host.client());
    let token = host.reply("c", "1", 200, None).unwrap();
    for _ in 0..4 {
        assert_eq!(peer.expect(PUBLISH).topic(), "t");
    }
    let answer = peer.answer_publish();
    assert_eq!(answer.topic(), "c_reply");
    assert_eq!(host.expect("DELIVERED").token, token);
    for id in 1..=3 {
        peer.send(&puback(id));
        host.expect("DELIVERED");
        host.expect("ROOM");
        fill(host.client());
        assert_eq!(peer.expect(PUBLISH).topic(), "t");
    }
    // Answers have a limit and a ROOM event as well.
    while host.reply("c", "1", 200, None).is_ok() {}
    assert_eq!(host.reply("c", "1", 200, None), Err(ENOS_ERR_QUEUE_FULL));
    for _ in 0..100 {
        assert_eq!(peer.answer_publish().topic(), "c_reply");
    }
    assert_eq!(host.until("ROOM").status, ENOS_OK);
    assert!(host.reply("c", "1", 200, None).is_ok());
}
