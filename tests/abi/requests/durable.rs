//! Durable requests of every kind.

use enos::internals::error::Status::*;
use enos::internals::protocol::operations::{Durability, Sender, TABLE};
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
        let can = row.durable != Durability::Never && row.check_sender(Sender::Device).is_ok();
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
        TABLE.iter().filter(|row| row.check_sender(Sender::Device).is_ok() && row.durable != Durability::Never).count()
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

/// Accepted together, sent on two links: what is in flight when the first one is lost, and what is behind it, is late.
#[test]
fn requests_that_were_accepted_together_go_as_late_data_after_a_reconnect() {
    use Operation::{ENOS_OP_EVENT_POST, ENOS_OP_MEASUREPOINT_POST, ENOS_OP_MEASUREPOINT_POST_BATCH};
    let store = Store::new();
    let mut scene = Scene::with(|setup| setup.storage(&store).inflight(2));
    let (post, batch) = (
        r#"{"measurepoints":{"p":1},"time":1700000000000}"#,
        r#"[{"measurepoints":{"p":1},"time":1700000000000},{"measurepoints":{"p":2},"time":1700000000001}]"#,
    );
    let kept = DURABLE | UNTIL_REPLY;
    let asks = [
        Ask { flags: kept | RESUME, user: 1, ..Ask::json(ENOS_OP_MEASUREPOINT_POST, post) },
        Ask { flags: kept | RESUME, user: 2, ..Ask::json(ENOS_OP_MEASUREPOINT_POST_BATCH, batch) },
        Ask { flags: kept, user: 3, ..Ask::json(ENOS_OP_MEASUREPOINT_POST_BATCH, batch) },
        Ask {
            flags: kept,
            name: Some("e"),
            user: 4,
            ..Ask::json(ENOS_OP_EVENT_POST, r#"{"events":{},"time":1700000000000}"#)
        },
        Ask { flags: kept | RESUME, user: 5, ..Ask::json(ENOS_OP_MEASUREPOINT_POST, post) },
    ];
    let tokens = scene.host.request_batch(&asks).unwrap();
    let path = |packet: &Packet| packet.topic().strip_prefix("/sys/pk/dk/thing/").unwrap().to_owned();
    let first = next(&mut scene.peer);
    assert_eq!(path(&first), "measurepoint/post");
    answer(&mut scene.peer, &first, 200);
    assert_eq!(scene.host.until("REPLY").token, tokens[0]);
    assert_eq!(path(&next(&mut scene.peer)), "measurepoint/post/batch");
    scene.reconnect();
    for (at, late) in [
        (1, "measurepoint/resume/batch"),
        (2, "measurepoint/post/batch"),
        (3, "event/e/post"),
        (4, "measurepoint/resume"),
    ] {
        let packet = next(&mut scene.peer);
        let params: serde_json::Value = serde_json::from_slice(asks[at].params.unwrap()).unwrap();
        assert_eq!((path(&packet), &body(&packet)["params"]), (late.to_owned(), &params));
        answer(&mut scene.peer, &packet, 200);
        let told = scene.host.until("REPLY");
        let expected = (tokens[at], asks[at].operation, at + 1, ENOS_OK);
        assert_eq!((told.token, told.operation, told.user, told.status), expected);
    }
    assert_eq!(scene.host.flush(PATIENCE_MS), ENOS_OK);
    exactly_once(&tokens, &scene.host.seen);
}

#[test]
fn a_durable_request_is_refused_if_a_time_in_it_is_none() {
    use Operation::*;
    let store = Store::new();
    let host = Setup::device(nobody()).storage(&store).create();
    let points = |more: &str| format!(r#"{{"measurepoints":{{"p":1}}{more}}}"#);
    let good = points(r#","time":1700000000000"#);
    for flags in [0, STAMP, WITHOUT_TIME] {
        for wrong in ["null", r#""yesterday""#, "1700000000"] {
            let (item, event) =
                (points(&format!(r#","time":{wrong}"#)), format!(r#"{{"events":{{}},"time":{wrong}}}"#));
            let batch = format!("[{good},{item}]");
            for (operation, name, params) in [
                (ENOS_OP_MEASUREPOINT_POST_BATCH, None, &batch),
                (ENOS_OP_MEASUREPOINT_RESUME_BATCH, None, &batch),
                (ENOS_OP_MEASUREPOINT_POST, None, &item),
                (ENOS_OP_EVENT_POST, Some("e"), &event),
                (ENOS_OP_LOG_POST, None, &event),
            ] {
                let ask = Ask { flags: DURABLE | flags, name, ..Ask::json(operation, params) };
                assert_eq!(host.request(&ask), Err(ENOS_ERR_INVALID_ARG), "{operation:?} {flags} {params}");
            }
        }
    }
    let batch = |flags, params: &str| {
        host.request(&Ask { flags: DURABLE | flags, ..Ask::json(ENOS_OP_MEASUREPOINT_POST_BATCH, params) })
    };
    let without = format!("[{good},{}]", points(""));
    for (flags, params, words) in [
        (0, &*without, "each item of a durable batch needs its own \"time\""),
        (STAMP, &*without, "each item has a \"time\" of its own"),
        (WITHOUT_TIME, "[]", "at least one item"),
        (WITHOUT_TIME, "[1]", "params[0] is not a JSON object"),
        (WITHOUT_TIME, r#"[{"measurepoints":{}}]"#, "params[0]: its \"measurepoints\""),
    ] {
        assert_eq!(batch(flags, params), Err(ENOS_ERR_INVALID_ARG), "{flags} {params}");
        assert!(last_error().contains(words), "{}", last_error());
    }
    assert_eq!(host.waiting(), 0);
    batch(WITHOUT_TIME, &without).unwrap();
    batch(0, &format!("[{good}]")).unwrap();
    let shown = host.show_waiting();
    assert_eq!(shown[0].payload, without.as_bytes(), "as it is");
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
