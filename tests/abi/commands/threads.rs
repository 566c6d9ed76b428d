//! Handles in many threads, and after the end of the client.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{mpsc, Arc};
use std::thread;

use enos::internals::error::Status::*;
use support::scene::Scene;

use super::*;

#[test]
fn a_handle_outlives_its_client() {
    let Scene { mut host, mut peer, broker: _broker } = Scene::with(Setup::keep_commands);
    command(&mut peer, "1");
    let kept = kept(&mut host);
    kept.retain();
    host.destroy();
    assert_eq!((kept.kind(), kept.name().as_str(), kept.params().unwrap().as_str()), (2, "x", r#"{"a":1}"#));
    assert_eq!(kept.raw(), envelope("1").as_bytes());
    for _ in 0..2 {
        assert_eq!(kept.reply(200, None), Err(ENOS_ERR_STATE));
        assert!(last_error().contains("gone"), "{}", last_error());
    }
    kept.release();
    assert_eq!(kept.name(), "x");
    kept.release();
}

/// Threads answer, read and release while another one destroys the client.
#[test]
fn threads_use_handles_while_the_client_is_destroyed() {
    for round in 0..10 {
        let Scene { mut host, peer, broker: _broker } =
            Scene::with(|setup| setup.keep_commands().command_limits(1000, 1 << 20));
        let mut sender = peer;
        for id in 0..64 {
            sender.send(&publish(topic("thing/service/x").as_bytes(), envelope(&id.to_string()).as_bytes(), None));
        }
        let kept: Vec<Command> = (0..64).map(|_| self::kept(&mut host)).collect();
        let served = sender.oblige();
        let begin = Arc::new(AtomicBool::new(false));
        let threads: Vec<_> = kept
            .chunks(8)
            .map(|commands| {
                let (commands, begin) = (commands.to_vec(), Arc::clone(&begin));
                thread::spawn(move || {
                    while !begin.load(SeqCst) {
                        thread::yield_now();
                    }
                    for (n, command) in commands.iter().enumerate() {
                        if n % 3 > 0 {
                            assert!(matches!(command.reply(200, None), Ok(_) | Err(ENOS_ERR_STATE)));
                        }
                        assert_eq!(command.params().unwrap(), r#"{"a":1}"#);
                        command.release();
                    }
                })
            })
            .collect();
        begin.store(true, SeqCst);
        if round % 2 == 0 {
            thread::yield_now();
        }
        host.destroy();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        served.join().unwrap();
    }
}

/// Eight threads answer as fast as they can, each command twice, while commands come. Each has one answer, and its
/// acknowledgement goes out before.
#[test]
fn eight_threads_answer_at_once() {
    const COMMANDS: u16 = 4_000;
    let (to, from) = mpsc::channel::<Command>();
    let from = Arc::new(Mutex::new(from));
    let accepted = Arc::new(AtomicUsize::new(0));
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let (from, accepted) = (Arc::clone(&from), Arc::clone(&accepted));
            thread::spawn(move || loop {
                let Ok(command) = from.lock().unwrap().recv() else { return };
                thread::scope(|scope| {
                    for _ in 0..2 {
                        scope.spawn(|| match command.reply(200, None) {
                            Ok(_) => drop(accepted.fetch_add(1, SeqCst)),
                            Err(status) => assert_eq!(status, ENOS_ERR_STATE),
                        });
                    }
                });
                command.release();
            })
        })
        .collect();
    let to = Mutex::new(to);
    let Scene { mut peer, host, broker: _broker } = Scene::with(|setup| {
        setup.on_event(move |_, told| {
            if let Some(command) = told.command {
                command.retain();
                to.lock().unwrap().send(command).unwrap();
            }
        })
    });
    let mut acknowledged = HashMap::new();
    let (mut sent, mut answered) = (0, 0);
    while answered < COMMANDS {
        while sent < COMMANDS && sent < answered + 50 {
            sent += 1;
            peer.send(&packet("thing/service/x", &envelope(&sent.to_string()), sent));
        }
        let packet = peer.read();
        if packet.kind == PUBACK {
            acknowledged.insert(u64::from(packet.id()), 0);
            continue;
        }
        let said = json_of(&packet);
        assert_eq!(said["code"], 200, "{said}");
        let answers = acknowledged.get_mut(&said["id"].as_u64().unwrap()).expect("the acknowledgement goes first");
        *answers += 1;
        assert_eq!(*answers, 1, "{said}");
        peer.send(&puback(packet.id()));
        answered += 1;
    }
    // This drops the callback's sender, and ends the workers.
    host.destroy();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    assert_eq!(accepted.load(SeqCst), usize::from(COMMANDS));
}

/// A lock of the host that is held around an answer, and taken in the callback.
#[test]
fn a_lock_of_the_host_around_an_answer_is_no_deadlock() {
    let lock = Arc::new(Mutex::new(Vec::<Command>::new()));
    let in_callback = Arc::clone(&lock);
    let Scene { mut peer, host, broker: _broker } = Scene::with(|setup| {
        setup.on_event(move |_, told| {
            let mut kept = in_callback.lock().unwrap();
            if let Some(command) = told.command {
                command.retain();
                kept.push(command);
            }
        })
    });
    let stop = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (lock, stop) = (Arc::clone(&lock), Arc::clone(&stop));
            thread::spawn(move || {
                while !stop.load(SeqCst) {
                    let mut kept = lock.lock().unwrap();
                    if let Some(command) = kept.pop() {
                        let _ = command.reply(200, None);
                        command.release();
                    }
                }
            })
        })
        .collect();
    for id in 0..500 {
        command(&mut peer, &id.to_string());
        assert_eq!(code_and_id(&mut peer).0, 200);
    }
    stop.store(true, SeqCst);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    drop(host);
}
