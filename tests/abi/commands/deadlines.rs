//! Each command has a deadline. After it the library has answered.

use std::time::{Duration, Instant};

use enos::internals::error::Status::*;
use serde_json::json;
use support::gate::Gate;
use support::scene::Scene;

use super::*;

#[test]
fn at_its_deadline_a_command_is_answered_and_takes_no_other_answer() {
    let Scene { mut host, mut peer, broker: _broker } =
        Scene::with(|setup| setup.keep_commands().command_timeout(None, 60_000).command_timeout(Some("x"), 500));
    peer.send(&packet("thing/enable", &envelope("1"), 6));
    peer.expect(PUBACK);
    let slow = kept(&mut host);
    let start = Instant::now();
    command(&mut peer, "2");
    let kept = kept(&mut host);
    assert!(slow.remaining_ms() > 30_000 && (1..=500).contains(&kept.remaining_ms()));
    assert_eq!(code_and_id(&mut peer), (1102, json!(2)));
    assert!(start.elapsed() >= Duration::from_millis(490), "{:?}", start.elapsed());
    assert_eq!(kept.remaining_ms(), 0);
    assert_eq!(kept.reply(200, None), Err(ENOS_ERR_STATE));
    assert!(last_error().contains("deadline"), "{}", last_error());
    assert_eq!(kept.params().unwrap(), r#"{"a":1}"#);
    kept.release();
    slow.reply(200, None).unwrap();
    assert_eq!(code_and_id(&mut peer), (200, json!(1)), "the release of the other sent nothing");
    slow.release();
}

#[test]
fn enable_disable_and_delete_are_agreed_to_at_the_deadline() {
    let Scene { mut host, mut peer, broker: _broker } =
        Scene::with(|setup| setup.keep_commands().command_timeout(None, 500));
    for path in ["thing/enable", "thing/disable", "thing/delete"] {
        peer.send(&packet(path, &envelope("1"), 7));
        peer.expect(PUBACK);
        let kept = kept(&mut host);
        assert_eq!(code_and_id(&mut peer).0, 200);
        kept.release();
    }
}

/// While a callback blocks, the library cannot answer. It answers afterwards, and what has waited too long is not handed
/// over.
#[test]
fn a_callback_that_blocks_delays_the_answers_of_the_library() {
    let gate = Gate::default();
    let held = gate.clone();
    let Scene { mut host, mut peer, broker: _broker } = Scene::with(move |setup| {
        setup.command_timeout(None, 500).on_event(move |_, told| {
            if let Some(command) = told.command.filter(|command| command.name() == "block") {
                held.pass();
                assert_eq!(command.remaining_ms(), 0);
                assert_eq!(command.reply(200, None), Err(ENOS_ERR_STATE));
            }
        })
    });
    peer.send(
        &[packet("thing/service/block", &envelope("1"), 1), packet("thing/service/x", &envelope("2"), 2)].concat(),
    );
    gate.wait_for_arrival();
    std::thread::sleep(Duration::from_millis(700));
    gate.open();
    let mut answers = Vec::new();
    while answers.len() < 2 {
        let packet = peer.read();
        if packet.kind == PUBLISH {
            peer.send(&puback(packet.id()));
            answers.push((json_of(&packet)["id"].clone(), json_of(&packet)["code"].clone()));
        }
    }
    answers.sort_by_key(|(id, _)| id.as_i64());
    assert_eq!(answers[0], (json!(1), json!(1102)));
    assert_eq!(answers[1].0, json!(2));
    host.expect("COMMAND");
}

/// The mark of a command is stored before its callback, and that may take long.
#[test]
fn the_deadline_begins_after_a_slow_store() {
    let store = Store::new();
    store.answer(|request| {
        if request.is_store() && request.key.contains("commands") {
            std::thread::sleep(Duration::from_millis(600));
        }
        None
    });
    let Scene { mut host, mut peer, broker: _broker } = Scene::with(|setup| {
        setup.storage(&store).command_timeout(None, 500).on_event(|_, told| {
            if let Some(command) = told.command {
                assert!(command.remaining_ms() > 250);
                command.reply(200, None).unwrap();
            }
        })
    });
    command(&mut peer, "1");
    assert_eq!(code_and_id(&mut peer), (200, json!(1)));
    host.until("DELIVERED");
}

/// EnOS sends the commands that it has kept one after the other, right after the login.
#[test]
fn the_burst_after_a_login_can_be_refused() {
    for refuse in [true, false] {
        let Scene { mut host, mut peer, broker: _broker } = Scene::with(|setup| {
            let setup = setup.on_event(|_, told| {
                told.command.iter().for_each(|it| assert!(it.reply(200, None).is_ok()));
            });
            setup.command_quiet_time(if refuse { 600_000 } else { 0 })
        });
        for id in 0..50 {
            command(&mut peer, &id.to_string());
            assert_eq!(code_and_id(&mut peer), (if refuse { 429 } else { 200 }, json!(id)));
        }
        peer.send(&packet("thing/enable", &envelope("1"), 7));
        peer.expect(PUBACK);
        assert_eq!(code_and_id(&mut peer).0, 200);
        if refuse {
            let told = host.until("OVERFLOW");
            assert!(told.status == ENOS_ERR_REFUSED && told.detail.contains("right after the login"), "{told:?}");
        }
        host.until("COMMAND");
        let stats = host.stats();
        assert_eq!((stats.commands, stats.commands_refused), if refuse { (1, 50) } else { (51, 0) });
    }
}
