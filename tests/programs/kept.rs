//! A firmware that uses a pointer into an event after the callback: the tools of docs/debugging.md find it.

use std::process::{Command, Output};
use std::thread;

use support::broker::{publish, Broker};
use support::native::{test_source, Workshop, FOUND};

/// Runs the device with a broker that sends it a message.
fn with_a_message(mut device: Command) -> Output {
    let broker = Broker::bind();
    device.arg(format!("tcp://{}", broker.address()));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut peer = broker.accept();
            peer.welcome();
            peer.send(&publish(b"t", &[b'x'; 1000], None));
            peer.expect_end();
        });
        device.output().unwrap()
    })
}

#[test]
fn a_read_after_the_callback_is_found() {
    let workshop = Workshop::new();
    let build = |options: &[&str]| workshop.build_with("gcc", "c99", options, &[test_source("keeping_device.c")]);
    let reported = |device: Command, words: &str| {
        let output = with_a_message(device);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(words) && said.contains("keeping_device.c:"), "{output:?}");
        assert_eq!(output.status.code(), Some(FOUND));
    };
    if let Some(device) = workshop.valgrind(build(&[])) {
        reported(device, "Invalid read");
    }
    let mut device = workshop.command(build(&["-fsanitize=address"]));
    device.env("ASAN_OPTIONS", format!("exitcode={FOUND}"));
    reported(device, "heap-use-after-free");
}
