//! One answer for each command, the host's or the library's.

use std::ptr::null_mut;

use enos::internals::error::Status::*;
use enos::internals::ffi::command::*;
use enos::internals::ffi::json::*;
use serde_json::json;
use support::scene::Scene;

use super::*;

#[test]
fn a_command_is_answered_in_the_callback() {
    let Scene { mut host, mut peer, broker: _broker } = Scene::with(|setup| {
        setup.on_event(|_, told| {
            let Some(command) = told.command else { return };
            assert_eq!((command.kind(), command.name().as_str()), (2, "reboot"));
            assert_eq!(command.params().unwrap(), r#"{ "a":[1] }"#);
            assert_eq!(command.raw(), told.payload);
            assert!((20_000..=25_000).contains(&command.remaining_ms()) && command.since_login_ms() < 20_000);
            assert!(!command.was_interrupted());
            command.reply(2001, Some(r#"{"done":[true]}"#)).unwrap();
            assert_eq!(command.reply(200, None), Err(ENOS_ERR_STATE), "once");
            assert!(last_error().contains("answered before"));
        })
    });
    let payload = r#"{"id":"41 \"x\"","version":"1.0","method":"thing.service.reboot","params":{ "a":[1] }}"#;
    peer.send(&packet("thing/service/reboot", payload, 1));
    assert_eq!(peer.expect(PUBACK).id(), 1);
    let answer = peer.answer_publish();
    assert_eq!(answer.topic(), "/sys/pk/dk/thing/service/reboot_reply");
    assert_eq!(answer.payload(), br#"{"id":"41 \"x\"","code":2001,"data":{"done":[true]}}"#);
    let told = host.expect("COMMAND");
    assert_eq!((told.topic, told.payload), (topic("thing/service/reboot").into_bytes(), payload.as_bytes().to_vec()));
    assert_eq!(host.expect("DELIVERED").status, ENOS_OK);
    let stats = host.stats();
    assert_eq!((stats.commands, stats.commands_refused), (1, 0));
}

#[test]
fn a_retained_command_is_answered_later() {
    let Scene { mut host, mut peer, broker: _broker } = Scene::with(Setup::keep_commands);
    command(&mut peer, "1");
    let first = kept(&mut host);
    command(&mut peer, "2");
    let second = kept(&mut host);
    let token = second.reply_message(200, "well").unwrap();
    let answer = json_of(&peer.answer_publish());
    assert_eq!(answer, json!({"id": 2, "code": 200, "data": {}, "message": "well"}));
    let delivered = host.expect("DELIVERED");
    assert_eq!((delivered.token, delivered.topic), (token, topic("thing/service/x_reply").into_bytes()));
    second.release();
    // A second retain needs a second release.
    first.retain();
    first.release();
    first.reply(200, None).unwrap();
    assert_eq!(code_and_id(&mut peer), (200, json!(1)));
    assert_eq!(first.params().unwrap(), r#"{"a":1}"#, "an answer releases nothing");
    first.release();
}

#[test]
fn the_library_answers_what_the_host_does_not() {
    let mut scenes = [Scene::new(), Scene::with(Setup::keep_commands)];
    for (path, code) in [
        ("thing/service/x", 1101),
        ("thing/service/measurepoint/set", 1101),
        ("thing/enable", 200),
        ("thing/disable", 200),
        ("thing/delete", 200),
        ("thing/model/down_raw", 1101),
        ("rrpc/request/5", 1101),
        ("thing/that/is/new", 1101),
    ] {
        let codes = [code, if code == 1101 { 1102 } else { code }];
        for (keeps, (Scene { host, peer, .. }, code)) in scenes.iter_mut().zip(codes).enumerate() {
            peer.send(&packet(path, &envelope("1"), 7));
            peer.expect(PUBACK);
            let command = kept(host);
            if keeps == 1 {
                command.release();
            }
            let answer = peer.answer_publish();
            assert_eq!(json_of(&answer)["code"], code, "{path}");
            let reply = if path == "rrpc/request/5" { "rrpc/response/5".into() } else { format!("{path}_reply") };
            assert_eq!(answer.topic(), topic(&reply));
        }
    }
    // This one is told, and left to the host.
    let [Scene { host, peer, .. }, _] = &mut scenes;
    peer.send(&packet("traffic/control", &envelope("\"1\""), 7));
    peer.expect(PUBACK);
    host.expect("COMMAND");
    command(peer, "\"next\"");
    assert_eq!(code_and_id(peer).1, json!("next"));
    assert!(host.take_all().iter().all(|told| told.name == "COMMAND"), "the library's own answers have no event");
}

#[test]
fn an_answer_that_is_refused_leaves_the_command_open() {
    let Scene { mut host, mut peer, broker: _broker } = Scene::with(Setup::keep_commands);
    command(&mut peer, "1");
    let kept = kept(&mut host);
    for data in ["", "{", "nope", r#"{"a":1,"a":2}"#, r#""\ud800""#, "1e999"] {
        assert_eq!(kept.reply(200, Some(data)), Err(ENOS_ERR_INVALID_ARG), "{data}");
    }
    let large = format!("\"{}\"", "x".repeat(512 * 1024));
    assert_eq!(kept.reply(200, Some(&large)), Err(ENOS_ERR_TOO_LARGE));
    assert_eq!(kept.reply_raw(b"x"), Err(ENOS_ERR_INVALID_ARG));
    let mut json = null_mut();
    // SAFETY: a place for the builder, the builder, and texts.
    unsafe {
        assert_eq!(enos_json_new(&mut json), 0);
        enos_json_begin_object(json, std::ptr::null());
        assert_eq!(kept.reply_json(200, json, None), Err(ENOS_ERR_INVALID_ARG), "an open object");
        enos_json_double(json, c"a".as_ptr(), f64::NAN);
        enos_json_end(json);
        assert!(kept.reply_json(200, json, None).is_err(), "a failed builder");
        assert_eq!(kept.reply_json(200, std::ptr::null(), Some(c"\xFF")), Err(ENOS_ERR_INVALID_ARG));
        enos_json_clear(json);
        enos_json_begin_object(json, std::ptr::null());
        enos_json_int(json, c"a".as_ptr(), 5);
        enos_json_end(json);
        kept.reply_json(200, json, None).unwrap();
        enos_json_free(json);
    }
    assert_eq!(json_of(&peer.answer_publish()), json!({"id": 1, "code": 200, "data": {"a": 5}}));
    kept.release();
    // The largest answer that EnOS takes.
    command(&mut peer, "1");
    let kept = self::kept(&mut host);
    let frame = r#"{"id":1,"code":200,"data":""}"#.len();
    let data = |len: usize| format!("\"{}\"", "x".repeat(len - frame));
    assert_eq!(kept.reply(200, Some(&data(512 * 1024))), Err(ENOS_ERR_TOO_LARGE));
    kept.reply(200, Some(&data(512 * 1024 - 1))).unwrap();
    assert_eq!(peer.answer_publish().payload().len(), 512 * 1024 - 1);
    kept.release();
}

#[test]
fn functions_take_null() {
    // SAFETY: NULL, and places for results.
    unsafe {
        assert_eq!(enos_command_get_type(null_mut()), 0);
        assert_eq!(text(enos_command_name(null_mut())), "");
        assert!(enos_command_params(null_mut()).text.is_null());
        assert!(enos_command_raw(null_mut(), null_mut()).is_null());
        assert_eq!(enos_command_subdevice(null_mut()), 0);
        assert_eq!((enos_command_remaining_ms(null_mut()), enos_command_since_login_ms(null_mut())), (0, 0));
        assert_eq!(enos_command_was_interrupted(null_mut()), 0);
        enos_command_release(null_mut());
        let mut token = 77;
        let null = ENOS_ERR_NULL_ARG as i32;
        assert_eq!(enos_command_retain(null_mut()), null);
        assert_eq!(enos_command_reply(null_mut(), 200, null_mut(), null_mut(), &mut token), null);
        assert_eq!(enos_command_reply_text(null_mut(), 200, null_mut(), 0, null_mut(), &mut token), null);
        assert_eq!(enos_command_reply_raw(null_mut(), null_mut(), 0, &mut token), null);
        assert!(last_error().contains("command is NULL"));
        assert_eq!(token, 77);
    }
}

#[test]
fn settings_have_ranges() {
    let setup = Setup::device(nobody());
    let config = setup.config();
    // SAFETY: a config, and texts.
    unsafe {
        let bad = ENOS_ERR_INVALID_ARG as i32;
        for ms in [0, 499, 60_001, u32::MAX] {
            assert_eq!(enos_config_set_command_timeout(config, null_mut(), ms), bad);
        }
        for name in [c"", c"a/b", c"+", c"\xFF"] {
            assert_eq!(enos_config_set_command_timeout(config, name.as_ptr(), 1000), bad);
        }
        for (commands, bytes) in [(0, 1024), (10_001, 1024), (1, 1023), (1, (1 << 30) + 1)] {
            assert_eq!(enos_config_set_command_limits(config, commands, bytes), bad);
        }
        assert_eq!(enos_config_set_command_quiet_time(config, 600_001), bad);
    }
    let setup = setup.command_timeout(None, 500).command_timeout(Some("a"), 60_000).command_timeout(Some("a"), 500);
    setup.command_limits(10_000, 1 << 30).command_limits(1, 1024).command_quiet_time(600_000).command_record(0);
}

#[test]
fn all_calls_are_allowed_in_the_callback() {
    let tokens: Notes<u64> = Notes::default();
    let noted = tokens.clone();
    let Scene { mut host, mut peer, broker: _broker } = Scene::with(move |setup| {
        setup.inflight(1000).on_event(move |client, told| {
            let Some(command) = told.command else { return };
            let mut tokens = noted.lock().unwrap();
            tokens.extend((0..100).map(|_| client.publish("t", b"", 1).unwrap()));
            tokens.push(client.subscribe("s", 1).unwrap());
            tokens.push(command.reply(200, None).unwrap());
        })
    });
    command(&mut peer, "1");
    let served = peer.oblige();
    host.expect("COMMAND");
    // The callback holds the lock.
    while tokens.lock().unwrap().is_empty() {
        std::thread::yield_now();
    }
    let tokens = std::mem::take(&mut *tokens.lock().unwrap());
    assert!(host.outcomes(&tokens).values().all(|told| told.status == ENOS_OK));
    host.go_offline();
    let packets = served.join().unwrap();
    assert_eq!(packets.iter().filter(|one| one.kind == PUBLISH && one.topic().ends_with("x_reply")).count(), 1);
}

#[test]
fn a_device_that_posts_all_it_can_answers_its_commands() {
    let Scene { mut host, mut peer, broker: _broker } = Scene::with(|setup| setup.keep_commands().inflight(4));
    while host.publish("t", b"", 1).is_ok() {}
    for _ in 0..4 {
        assert_eq!(peer.expect(PUBLISH).topic(), "t");
    }
    command(&mut peer, "1");
    let kept = kept(&mut host);
    let token = kept.reply(200, None).unwrap();
    assert_eq!(code_and_id(&mut peer).0, 200);
    assert_eq!(host.expect("DELIVERED").token, token);
    kept.release();
}
