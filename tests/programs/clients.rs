//! Clients as C programs have them, with a broker of this test's.

use std::net::TcpListener;
use support::broker::Peer;
use support::native::{c_compilers, root, succeed, Workshop};

/// A broker that takes whoever connects, and obliges, for as long as this process lives.
fn broker() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            Peer { stream }.oblige();
        }
    });
    port
}

/// Runs a program of tests/c with such a broker.
fn run(source: &str) {
    let workshop = Workshop::new();
    for compiler in c_compilers() {
        let program = workshop.build(compiler, "c99", &root().join("tests/c").join(source));
        let tap = succeed(workshop.command("timeout").arg("100").arg(&program).arg(broker().to_string()));
        assert!(!tap.contains("not ok"), "{tap}");
    }
}

#[test]
fn a_name_server_that_never_answers_harms_nobody_else() {
    run("test_resolver.c");
}

#[test]
fn a_signal_each_millisecond_disturbs_nothing() {
    run("test_signals.c");
}
