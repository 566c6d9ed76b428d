//! The programs in tests/c, against the libenos.so of this test run.

use std::path::PathBuf;
use std::process::Command;

mod native;
use native::{c_compilers, cpp_compilers, root, succeed, Workshop};

fn source(name: &str) -> PathBuf {
    root().join("tests/c").join(name)
}

/// Every line of TAP is an `ok`, and there are as many as were planned.
#[track_caller]
fn passed(tap: &str) {
    let failed: Vec<_> = tap.lines().filter(|line| line.starts_with("not ok") || line.starts_with('#')).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    let ok = tap.lines().filter(|line| line.starts_with("ok ")).count();
    assert!(ok > 0 && tap.lines().any(|line| line == format!("1..{ok}")), "{tap}");
}

#[test]
fn the_boundary_from_c() {
    let workshop = Workshop::new();
    for compiler in c_compilers() {
        let program = workshop.build(compiler, "c99", &source("test_boundary.c"));
        passed(&succeed(workshop.command(&program).arg(format!("{compiler}-store"))));
    }
}

#[test]
fn the_boundary_from_cplusplus() {
    let workshop = Workshop::new();
    for compiler in cpp_compilers() {
        let program = workshop.build(compiler, "c++11", &source("test_cplusplus.cpp"));
        passed(&succeed(&mut workshop.command(&program)));
    }
}

#[test]
fn the_boundary_under_valgrind() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("valgrind is not installed: nothing was tested");
        return;
    }
    let workshop = Workshop::new();
    let program = workshop.build("cc", "c99", &source("test_boundary.c"));
    let mut command = workshop.command("valgrind");
    command.args(["--quiet", "--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=definite,indirect"]);
    passed(&succeed(command.arg(&program).arg("store")));
}
