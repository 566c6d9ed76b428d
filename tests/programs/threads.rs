//! Eight threads on one client (tests/c/stress_device.c): as they are, and under DRD, which reports what they share without
//! a lock. What it is not to report, and why, stands in tests/c/stress_device.supp.

use std::process::Command;
use support::mosquitto::Mosquitto;
use support::native::{root, Workshop, FOUND};

/// Runs it to its end; its last line.
#[track_caller]
fn passes(command: &mut Command, broker: &Mosquitto, rounds: usize) -> String {
    let output = command.arg(format!("tcp://{}", broker.address())).arg(rounds.to_string()).output().unwrap();
    let (printed, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.is_empty(), "{}\n{printed}\n{said}", output.status);
    printed.lines().last().unwrap().to_owned()
}

#[test]
fn eight_threads_get_each_outcome_once_and_drd_finds_no_race() {
    let broker = Mosquitto::start_with("allow_anonymous true\nlog_type error\n");
    let workshop = Workshop::new();
    let program = workshop.build("cc", "c99", &root().join("tests/c/stress_device.c"));
    let (fast, watched) = if std::env::var_os("ENOS_SOAK").is_some() { (20_000, 1000) } else { (1000, 40) };
    println!("{fast} rounds of each: {}", passes(&mut workshop.command(&program), &broker, fast));
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("skipped: valgrind is not installed");
        return;
    }
    let mut command = workshop.command("valgrind");
    // What is inlined would hide whose code it is.
    command.args(["--tool=drd", "--quiet", "--read-inline-info=no", "--num-callers=20"]);
    command.arg(format!("--suppressions={}", root().join("tests/c/stress_device.supp").display()));
    command.arg(format!("--error-exitcode={FOUND}")).arg(&program);
    println!("{watched} rounds of each under DRD: {}", passes(&mut command, &broker, watched));
}
