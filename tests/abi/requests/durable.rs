//! Durable requests of every kind.

use enos::internals::error::Status::*;
use enos::internals::protocol::operations::{Durability, TABLE};
use enos::internals::protocol::Operation;
use support::broker::*;
use support::host::*;
use support::scene::Scene;

use super::{answer, body, lines, next, reply};

/// One request of each operation that can be durable.
fn all() -> Vec<super::Line> {
    let mut all: Vec<super::Line> = Vec::new();
    for line in lines() {
        let row = line.operation.row();
        let can = row.durable != Durability::Never && row.check_sender().is_ok();
        if can && all.iter().all(|other| other.operation != line.operation) {
            all.push(line);
        }
    }
    all
}

fn asks(lines: &[super::Line], flags: u32) -> Vec<Ask<'_>> {
    lines
        .iter()
        .map(|line| Ask {
            flags: flags | line.flags,
            name: line.name.as_deref(),
            params: Some(&line.params),
            user: line.operation as usize,
            ..Ask::of(line.operation)
        })
        .collect()
}

#[test]
fn all_operations_go_in_one_batch_and_each_has_its_outcome() {
    let (broker, store, all) = (Broker::bind(), Store::new(), all());
    assert_eq!(
        all.len() + 2,
        TABLE.iter().filter(|row| row.check_sender().is_ok() && row.durable != Durability::Never).count()
    );
    let mut host = Setup::device(broker.address()).storage(&store).start();
    let tokens = host.request_batch(&asks(&all, DURABLE | UNTIL_REPLY)).unwrap();
    assert!(tokens.windows(2).all(|two| two[1] == two[0] + 1), "they are in one page");
    host.connect();
    let mut peer = broker.accept_mqtt();
    for line in &all {
        let packet = next(&mut peer);
        assert_eq!(packet.topic(), line.topic);
        if line.operation.has_raw_reply() {
            reply(&mut peer, &packet, b"raw");
        } else {
            answer(&mut peer, &packet, 200);
        }
    }
    for (token, line) in tokens.iter().zip(&all) {
        let told = host.until("REPLY");
        let number = line.operation as i32;
        assert_eq!((told.token, told.operation, told.user, told.status), (*token, number, number as usize, ENOS_OK));
    }
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
    exactly_once(&tokens, &host.seen);
}

#[test]
fn after_a_restart_the_operation_is_known_and_the_pointer_is_null() {
    let (broker, store, all) = (Broker::bind(), Store::new(), all());
    let setup = || Setup::device(broker.address()).storage(&store);
    let host = setup().start();
    // Without UNTIL_REPLY, and each with a value of its own.
    let tokens: Vec<u64> = asks(&all, DURABLE).iter().map(|ask| host.request(ask).unwrap()).collect();
    let kept = host.show_waiting();
    assert_eq!(kept.iter().map(|kept| kept.token).collect::<Vec<_>>(), tokens);
    host.destroy();
    let mut host = setup().start();
    host.connect();
    let _broker = broker.accept_mqtt().oblige();
    for (token, line) in tokens.iter().zip(&all) {
        let told = host.until("DELIVERED");
        assert_eq!((told.token, told.operation, told.user), (*token, line.operation as i32, 0));
    }
    assert_eq!(host.flush(PATIENCE_MS), ENOS_OK);
}

#[test]
fn a_batch_of_points_that_is_late_goes_to_its_resume_topic() {
    let store = Store::new();
    let mut scene = Scene::with(|setup| setup.storage(&store));
    let params = r#"[{"measurepoints":{"p":1},"time":1700000000000}]"#;
    let flags = DURABLE | UNTIL_REPLY | RESUME | 0x200;
    let ask = Ask { flags, ..Ask::json(Operation::ENOS_OP_MEASUREPOINT_POST_BATCH, params) };
    let token = scene.host.request(&ask).unwrap();
    assert_eq!(next(&mut scene.peer).topic(), "/sys/pk/dk/thing/measurepoint/post/batch");
    scene.reconnect();
    let packet = next(&mut scene.peer);
    assert_eq!(packet.topic(), "/sys/pk/dk/thing/measurepoint/resume/batch");
    assert_eq!(
        (&body(&packet)["method"], &body(&packet)["skipInvalidMeasurepoints"]),
        (&"thing.measurepoint.resume.batch".into(), &true.into())
    );
    answer(&mut scene.peer, &packet, 200);
    let told = scene.host.until("REPLY");
    assert_eq!((told.token, told.operation, told.status), (token, 11, ENOS_OK));
}

#[test]
fn what_waits_for_a_time_or_makes_room_keeps_its_operation_and_pointer() {
    let store = Store::new();
    let host = Setup::device(nobody()).storage(&store).create();
    let event = |flags, params| Ask {
        flags: DURABLE | flags,
        name: Some("e"),
        ..Ask::json(Operation::ENOS_OP_EVENT_POST, params)
    };
    assert_eq!(host.request(&event(0, "{}")), Err(ENOS_ERR_INVALID_ARG), "it has no time");
    assert!(last_error().contains("needs its own \"time\""), "{}", last_error());
    host.request(&event(WITHOUT_TIME, "{}")).unwrap();
    host.request(&event(STAMP, "{}")).unwrap();
    let waiting = host.show_waiting();
    assert_eq!((&waiting[0].payload[..], waiting[0].topic.as_deref()), (&b"{}"[..], Some("e")));
    let stamped: serde_json::Value = serde_json::from_slice(&waiting[1].payload).unwrap();
    assert!(stamped["time"].is_u64() && stamped.as_object().unwrap().len() == 1, "{stamped}");
}
