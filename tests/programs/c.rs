//! The programs in tests/c, against the libenos.so of this test run.

use std::path::PathBuf;

use support::native::{c_compilers, cpp_compilers, passed, root, succeed, Workshop, CPP_STANDARDS};

fn source(name: &str) -> PathBuf {
    root().join("tests/c").join(name)
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
fn the_cover_for_cplusplus() {
    let workshop = Workshop::new();
    for compiler in cpp_compilers() {
        for standard in CPP_STANDARDS {
            let program = workshop.build(compiler, standard, &source("test_hpp.cpp"));
            passed(&succeed(workshop.command(&program).arg(format!("{compiler}-{standard}-store"))));
        }
    }
}

#[test]
fn the_json_of_the_examples() {
    let workshop = Workshop::new();
    let sources = [source("test_json.c"), root().join("c_examples/json.c")];
    for compiler in c_compilers() {
        passed(&succeed(&mut workshop.command(workshop.build_all(compiler, "c99", &sources))));
    }
}
