//! Tests that need a process of their own: they count its threads, its memory or its descriptors, fork it, or set the
//! log callback, of which a process has one.

use std::any::type_name;
use std::env;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use crate::native::valgrind_command;

const MARK: &str = "ENOS_TEST_ALONE";

/// Runs a test in a process of its own, on that process's only thread. `test` is a closure in the test's own function.
pub fn alone<F: FnOnce()>(test: F) {
    alone_with(&[], test);
}

/// The same, with these variables in its environment.
pub fn alone_with<F: FnOnce()>(environment: &[(&str, &str)], test: F) {
    run(|program| Some(Command::new(program)), environment, test);
}

/// The same under valgrind, with additional options; an error of valgrind fails the test. If valgrind is not installed,
/// the test is skipped with a message.
pub fn alone_under_valgrind<F: FnOnce()>(options: &[&str], test: F) {
    run(|program| valgrind_command(options, program), &[], test);
}

fn run<F: FnOnce()>(command: impl FnOnce(&Path) -> Option<Command>, environment: &[(&str, &str)], test: F) {
    if env::var_os(MARK).is_some() {
        return test();
    }
    // "abi::idle::it_sleeps::{{closure}}": the test's name is between the name of the program and that of the closure.
    let name = type_name::<F>().strip_suffix("::{{closure}}").and_then(|path| path.split_once("::"));
    let (_, name) = name.expect("a closure in the function of a test");
    let Some(mut command) = command(&env::current_exe().unwrap()) else { return };
    let output = command
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(MARK, "1")
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let passed = output.status.success() && stdout.contains("test result: ok. 1 passed;");
    assert!(passed, "{name}, in a process of its own: {}\n{stdout}\n{stderr}", output.status);
    for said in stdout.lines().filter(|line| !is_summary(line)) {
        match said.starts_with("skipped: ") {
            // scripts/test counts it, so the test harness must not capture it.
            true => std::io::stderr().write_all(format!("\n{said}\n").as_bytes()).unwrap(),
            false => println!("{said}"),
        }
    }
    eprint!("{stderr}");
}

/// Whether a line comes from the test harness.
fn is_summary(line: &str) -> bool {
    line.is_empty() || line.starts_with("running ") || line.starts_with("test ")
}
