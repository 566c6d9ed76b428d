//! Commands that a restart has interrupted.

use std::collections::BTreeMap;
use std::sync::{mpsc, Arc, Mutex};

use enos::internals::error::Status::*;
use serde_json::json;
use support::scene::Scene;

use super::*;

/// What the storage holds of commands.
fn mark(store: &Store) -> Option<Vec<u8>> {
    store.keys("commands").first().map(|key| store.records()[key].clone())
}

fn scene(store: &Store) -> Scene {
    Scene::with(|setup| setup.storage(store).keep_commands())
}

/// The stores and erases while this runs.
fn calls(store: &Store, run: impl FnOnce()) -> (usize, usize) {
    store.calls();
    run();
    let Calls { stores, erases, .. } = store.calls();
    (stores, erases)
}

#[test]
fn a_command_without_its_answer_is_marked_when_it_comes_again() {
    let store = Store::new();
    // Each process is killed before the answer is acknowledged: its storage is what there was at that moment.
    for (process, replies) in [(0, false), (1, true), (2, false)] {
        let Scene { mut host, mut peer, broker: _broker } = scene(&store);
        command(&mut peer, "\"reboot\"");
        let kept = kept(&mut host);
        assert_eq!(kept.was_interrupted(), process > 0, "process {process}");
        assert!(mark(&store).is_some(), "stored before the callback");
        if replies {
            kept.reply(200, None).unwrap();
            peer.expect(PUBLISH);
        }
        let at_the_kill = store.records().clone();
        drop(host);
        kept.release();
        *store.records() = at_the_kill;
    }
    // The mark goes with the acknowledgement.
    let Scene { mut host, mut peer, broker: _broker } = scene(&store);
    command(&mut peer, "\"reboot\"");
    let kept = kept(&mut host);
    assert!(kept.was_interrupted());
    kept.reply(200, None).unwrap();
    assert_eq!(code_and_id(&mut peer).0, 200);
    host.until("DELIVERED");
    host.loop_until(|_| mark(&store).is_none());
    kept.release();
    command(&mut peer, "\"reboot\"");
    let again = self::kept(&mut host);
    assert!(!again.was_interrupted(), "its answer got out");
    again.release();
    peer.answer_publish();
}

/// A firmware reboots as soon as it knows that its answer is out.
#[test]
fn in_the_callback_of_delivered_the_mark_is_gone() {
    let store = Store::new();
    let disk = store.clone();
    let (to, marks) = mpsc::channel();
    let Scene { host: _host, mut peer, broker: _broker } = Scene::with(|setup| {
        setup.storage(&store).on_event(move |_, told| {
            if let Some(command) = told.command {
                command.reply(200, None).unwrap();
            }
            if told.name == "COMMAND" || told.name == "DELIVERED" {
                to.send((told.name.clone(), mark(&disk).is_some())).unwrap();
            }
        })
    });
    command(&mut peer, "1");
    assert_eq!(code_and_id(&mut peer).0, 200);
    for (name, is_marked) in [("COMMAND", true), ("DELIVERED", false)] {
        assert_eq!(marks.recv_timeout(PATIENCE).unwrap(), (name.to_owned(), is_marked));
    }
}

/// The acknowledgement comes after the host was told that there was none in time.
#[test]
fn a_late_acknowledgement_removes_the_mark() {
    let store = Store::new();
    let Scene { mut host, mut peer, broker: _broker } =
        Scene::with(|setup| setup.storage(&store).keep_commands().command_timeout(None, 500).reply_timeout(500));
    command(&mut peer, "1");
    let kept = kept(&mut host);
    let token = kept.reply(200, None).unwrap();
    kept.release();
    let answer = peer.expect(PUBLISH);
    let told = host.until("DELIVERED");
    assert_eq!((told.token, told.status), (token, ENOS_ERR_TIMEOUT));
    assert!(mark(&store).is_some(), "the answer may be lost");
    peer.send(&puback(answer.id()));
    host.loop_until(|_| mark(&store).is_none());
}

/// A process that remembers no commands removes what earlier ones have left.
#[test]
fn a_record_is_removed_once_it_is_switched_off() {
    let store = Store::new();
    let Scene { mut host, mut peer, broker: _broker } = scene(&store);
    command(&mut peer, "1");
    let kept = kept(&mut host);
    let at_the_kill = store.records().clone();
    drop(host);
    kept.release();
    *store.records() = at_the_kill;
    let Scene { host: _host, .. } = Scene::with(|setup| setup.storage(&store).command_record(0));
    assert!(mark(&store).is_none());
}

#[test]
fn only_the_same_command_is_marked() {
    let store = Store::new();
    let Scene { mut host, mut peer, broker: _broker } = scene(&store);
    command(&mut peer, "7");
    let first = kept(&mut host);
    let at_the_kill = store.records().clone();
    drop(host);
    first.release();
    *store.records() = at_the_kill;
    let Scene { mut host, mut peer, broker: _broker } = scene(&store);
    let other = |path: &str, payload: &str, peer: &mut Peer, host: &mut Host| {
        peer.send(&publish(topic(path).as_bytes(), payload.as_bytes(), None));
        let command = kept(host);
        let interrupted = command.was_interrupted();
        command.reply(200, None).unwrap();
        command.release();
        peer.answer_publish();
        interrupted
    };
    for (path, payload) in [
        ("thing/service/x", r#"{"id":7,"params":{"a":2}}"#),
        ("thing/service/x", r#"{"id":"7","params":{"a":1}}"#),
        ("thing/service/x", r#"{"id":8,"params":{"a":1}}"#),
        ("thing/service/y", r#"{"id":7,"params":{"a":1}}"#),
    ] {
        assert!(!other(path, payload, &mut peer, &mut host), "{path} {payload}");
    }
    assert!(other("thing/service/x", r#"{"id":7,"params":{"a":1}}"#, &mut peer, &mut host));
    assert!(!other("thing/service/x", r#"{"id":7,"params":{"a":1}}"#, &mut peer, &mut host));
}

#[test]
fn a_command_costs_one_store_and_one_erase_or_nothing() {
    for (on, cost) in [(1, (1, 1)), (0, (0, 0))] {
        let store = Store::new();
        let Scene { mut host, mut peer, broker: _broker } =
            Scene::with(|setup| setup.storage(&store).command_record(on));
        let spent = calls(&store, || {
            command(&mut peer, "1");
            assert_eq!(code_and_id(&mut peer).0, 1101);
            host.expect("COMMAND");
            host.loop_until(|_| mark(&store).is_none());
            host.go_offline();
        });
        assert_eq!(spent, cost);
    }
}

#[test]
fn a_storage_that_fails_does_not_stop_commands() {
    let store = Store::new();
    let Scene { mut host, mut peer, broker: _broker } = scene(&store);
    store.on_calls(-5, -5, -5);
    command(&mut peer, "1");
    let kept = kept(&mut host);
    kept.reply(200, None).unwrap();
    assert_eq!(code_and_id(&mut peer), (200, json!(1)));
    assert_eq!(host.until("DELIVERED").status, ENOS_OK);
    kept.release();
}

/// A record that is not whole is as good as none.
#[test]
fn a_garbled_record_does_no_harm() {
    let store = Store::new();
    let Scene { mut host, mut peer, broker: _broker } = scene(&store);
    command(&mut peer, "1");
    let first = kept(&mut host);
    let at_the_kill: BTreeMap<_, _> = store.records().clone();
    drop(host);
    first.release();
    for cut in [1, 5, 20] {
        *store.records() = at_the_kill.clone();
        let key = store.keys("commands").remove(0);
        store.garble(&key, |bytes| bytes.truncate(bytes.len() - cut));
        let Scene { mut host, mut peer, broker: _broker } = scene(&store);
        command(&mut peer, "1");
        let kept = kept(&mut host);
        assert!(!kept.was_interrupted());
        kept.release();
        assert_eq!(code_and_id(&mut peer).0, 1102);
    }
}

/// With several commands at once there is one record of all.
#[test]
fn each_of_several_commands_is_marked() {
    let store = Store::new();
    let Scene { mut host, mut peer, broker: _broker } = scene(&store);
    let mut commands = Vec::new();
    for id in 0..5 {
        command(&mut peer, &id.to_string());
        commands.push(kept(&mut host));
    }
    let all = mark(&store).unwrap().len();
    commands[2].reply(200, None).unwrap();
    assert_eq!(code_and_id(&mut peer).1, json!(2));
    host.until("DELIVERED");
    let at_the_kill = Arc::new(Mutex::new(BTreeMap::new()));
    host.loop_until(|_| {
        *at_the_kill.lock().unwrap() = store.records().clone();
        mark(&store).is_some_and(|record| record.len() < all)
    });
    drop(host);
    commands.iter().for_each(|command| command.release());
    *store.records() = at_the_kill.lock().unwrap().clone();
    let Scene { mut host, mut peer, broker: _broker } = scene(&store);
    for id in 0..5 {
        command(&mut peer, &id.to_string());
        let kept = kept(&mut host);
        assert_eq!(kept.was_interrupted(), id != 2, "{id}");
        kept.release();
        peer.answer_publish();
    }
}
