//! Limits: more commands than the device can take, and answers that are too large for the broker.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Instant;

use enos::internals::error::Status::*;
use serde_json::json;
use support::scene::Scene;

use super::*;

#[test]
fn a_command_over_the_limits_is_refused_with_a_code() {
    let Scene { mut host, mut peer, broker: _broker } =
        Scene::with(|setup| setup.keep_commands().command_limits(2, 4096));
    command(&mut peer, "1");
    let first = kept(&mut host);
    command(&mut peer, "2");
    let second = kept(&mut host);
    command(&mut peer, "3");
    assert_eq!(code_and_id(&mut peer), (429, json!(3)));
    let told = host.expect("OVERFLOW");
    assert_eq!((told.status, told.detail_code), (ENOS_ERR_REFUSED, 1));
    assert!(told.detail.contains("1 over the limits (answered 429"), "{}", told.detail);
    // An answer does not end the command, but its last release does.
    first.reply(200, None).unwrap();
    assert_eq!(code_and_id(&mut peer), (200, json!(1)));
    command(&mut peer, "4");
    assert_eq!(code_and_id(&mut peer), (429, json!(4)));
    first.release();
    command(&mut peer, "5");
    kept(&mut host).release();
    assert_eq!(code_and_id(&mut peer), (1102, json!(5)));
    // Bytes are limited, too.
    let large = format!(r#"{{"id":6,"params":"{}"}}"#, "x".repeat(4096));
    peer.send(&packet("thing/service/x", &large, 7));
    peer.expect(PUBACK);
    assert_eq!(code_and_id(&mut peer), (429, json!(6)));
    second.release();
    assert_eq!(code_and_id(&mut peer), (1102, json!(2)));
    host.loop_until(|host| host.stats().commands_refused == 3);
}

/// 5000 commands in a moment, for a host that keeps all that it gets: each has one answer.
#[test]
fn a_flood_of_commands_is_answered() {
    const FLOOD: u64 = 5_000;
    let kept: Notes<Command> = Notes::default();
    let all = kept.clone();
    let Scene { mut host, peer, broker: _broker } = Scene::with(|setup| {
        setup.on_event(move |_, told| {
            if let Some(command) = told.command {
                command.retain();
                all.lock().unwrap().push(command);
            }
        })
    });
    let mut sender = peer.stream.try_clone().unwrap();
    let packets = peer.oblige();
    for id in 0..FLOOD {
        let bytes = publish(topic("thing/service/x").as_bytes(), envelope(&id.to_string()).as_bytes(), None);
        std::io::Write::write_all(&mut sender, &bytes).unwrap();
    }
    host.loop_until(|host| host.stats().commands + host.stats().commands_refused == FLOOD);
    while kept.lock().unwrap().len() < 64 {
        std::thread::yield_now();
    }
    let kept = std::mem::take(&mut *kept.lock().unwrap());
    kept.iter().for_each(|command| assert!(command.reply(200, None).is_ok()));
    kept.iter().for_each(|command| command.release());
    host.go_offline();
    let mut answers = vec![0u32; FLOOD as usize];
    let (mut done, mut busy) = (0, 0);
    for packet in packets.join().unwrap().iter().filter(|packet| packet.kind == PUBLISH) {
        let said = json_of(packet);
        answers[said["id"].as_u64().unwrap() as usize] += 1;
        match said["code"].as_i64().unwrap() {
            200 => done += 1,
            429 => busy += 1,
            code => panic!("{code}"),
        }
    }
    assert!(answers.iter().all(|count| *count == 1), "not one answer each");
    assert_eq!((done, busy, host.stats().messages_dropped), (64, FLOOD - 64, 0));
}

/// A fast callback has no need of refusals, however many commands come at once. The packet ids of both sides begin again
/// in the meantime, and the params of a command that is kept stay as they are.
#[test]
fn sixty_six_thousand_commands_are_answered_after_their_acknowledgements() {
    const COMMANDS: u32 = 66_000;
    let packet_id = |command: u32| ((command - 1) % 65_535 + 1) as u16;
    let Scene { mut peer, mut host, broker: _broker } = Scene::with(|setup| {
        setup.on_event(|_, told| {
            if let Some(command) = told.command {
                match command.name().as_str() {
                    "keep" => command.retain(),
                    _ => drop(command.reply(200, None).unwrap()),
                }
            }
        })
    });
    peer.send(&packet("thing/service/keep", r#"{"id":0,"params":{"kept":[1,2,3]}}"#, 1));
    peer.expect(PUBACK);
    let first = kept(&mut host);
    let mut acknowledged = 0;
    let (mut sent, mut answered) = (0, 0);
    while answered < COMMANDS {
        // Some are always on their way.
        while sent < COMMANDS && sent < answered + 50 {
            sent += 1;
            peer.send(&packet("thing/service/x", &envelope(&sent.to_string()), packet_id(sent)));
        }
        let packet = peer.read();
        match packet.kind {
            PUBACK => {
                acknowledged += 1;
                assert_eq!(packet.id(), packet_id(acknowledged));
            }
            PUBLISH => {
                let said = json_of(&packet);
                assert!(said["id"].as_u64().unwrap() <= acknowledged.into(), "the answer {said} came first");
                assert_eq!(said["code"], 200);
                peer.send(&puback(packet.id()));
                answered += 1;
            }
            kind => panic!("{kind}"),
        }
    }
    assert_eq!((host.stats().commands, host.stats().connects), (u64::from(COMMANDS) + 1, 1));
    assert_eq!(first.params().unwrap(), r#"{"kept":[1,2,3]}"#);
    first.release();
    assert_eq!(code_and_id(&mut peer), (1102, json!(0)));
}

/// The host keeps many commands, and another thread posts all that it can.
#[test]
fn fifty_kept_commands_are_answered_among_posts_at_full_rate() {
    const KEPT: usize = 50;
    const POSTS: usize = 2_000;
    let Scene { mut host, peer, broker: _broker } = Scene::with(Setup::keep_commands);
    let client = host.client();
    let mut sender = peer.stream.try_clone().unwrap();
    let packets = peer.oblige();
    let (stop, start) = (AtomicBool::new(false), Instant::now());
    let (outcomes, answers, posts) = std::thread::scope(|scope| {
        let posts = scope.spawn(|| {
            let mut tokens = Vec::new();
            while !stop.load(SeqCst) && start.elapsed() < PATIENCE {
                match client.publish("t", b"", 1) {
                    Ok(token) => tokens.push(token),
                    Err(status) => {
                        assert_eq!(status, ENOS_ERR_QUEUE_FULL);
                        std::thread::yield_now();
                    }
                }
            }
            tokens
        });
        for id in 0..KEPT {
            let bytes = publish(topic("thing/service/x").as_bytes(), envelope(&id.to_string()).as_bytes(), None);
            std::io::Write::write_all(&mut sender, &bytes).unwrap();
        }
        let (mut commands, mut outcomes, mut answers) = (Vec::new(), BTreeSet::new(), Vec::new());
        while answers.is_empty() || !answers.iter().all(|token| outcomes.contains(token)) {
            let told = host.next();
            match told.command {
                Some(command) => commands.push(command),
                None if told.name == "ROOM" => {}
                None => {
                    assert_eq!((told.name.as_str(), told.status), ("DELIVERED", ENOS_OK), "{told:?}");
                    assert!(outcomes.insert(told.token), "{told:?} came twice");
                }
            }
            if answers.is_empty() && commands.len() == KEPT && outcomes.len() >= POSTS {
                answers = commands.iter().map(|command| command.reply(200, None).unwrap()).collect();
                commands.iter().for_each(|command| command.release());
            }
        }
        stop.store(true, SeqCst);
        (outcomes, answers, posts.join().unwrap())
    });
    assert!(outcomes.iter().all(|token| answers.contains(token) || posts.contains(token)));
    assert_eq!(host.stats().connects, 1);
    host.go_offline();
    let mut counts = [0; KEPT];
    for packet in packets.join().unwrap().iter().filter(|packet| packet.kind == PUBLISH && packet.topic() != "t") {
        counts[json_of(packet)["id"].as_u64().unwrap() as usize] += 1;
    }
    assert_eq!(counts, [1; KEPT]);
}

/// The next command and its answer pass, and the large answer is not sent again on the next connection.
#[test]
fn an_answer_at_which_the_broker_ends_the_connection_does_not_end_the_next_one() {
    let mut scene = Scene::with(Setup::keep_commands);
    command(&mut scene.peer, "1");
    let large = kept(&mut scene.host);
    let token = large.reply(200, Some(&format!("\"{}\"", "x".repeat(100_000)))).unwrap();
    assert!(scene.peer.expect(PUBLISH).payload().len() > 100_000);
    scene.reconnect();
    let lost = scene.host.seen.iter().find(|told| told.token == token).unwrap();
    assert_eq!((lost.name.as_str(), lost.status), ("DELIVERED", ENOS_ERR_NETWORK));
    large.release();
    command(&mut scene.peer, "2");
    kept(&mut scene.host).release();
    assert_eq!(code_and_id(&mut scene.peer), (1102, json!(2)));
}
