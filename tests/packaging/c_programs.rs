//! The programs in tests/c, against the libenos.so of this test run, which checks its assertions, and against the one that
//! ships, which is optimised and linked as a whole.

use std::path::PathBuf;

use crate::installation::library;
use support::native::{c_compilers, cpp_compilers, passed, root, succeed, Workshop, CPP_STANDARDS};

fn source(name: &str) -> PathBuf {
    root().join("tests/c").join(name)
}

/// One for each of the two libraries.
fn workshops() -> [Workshop; 2] {
    [Workshop::new(), Workshop::with(&library())]
}

#[test]
fn the_boundary_from_c() {
    for workshop in workshops() {
        for compiler in c_compilers() {
            let program = workshop.build(compiler, "c99", &source("test_boundary.c"));
            passed(&succeed(workshop.command(&program).arg(format!("{compiler}-store"))));
        }
    }
}

#[test]
fn the_boundary_from_cplusplus() {
    for workshop in workshops() {
        for compiler in cpp_compilers() {
            let program = workshop.build(compiler, "c++11", &source("test_cplusplus.cpp"));
            passed(&succeed(&mut workshop.command(&program)));
        }
    }
}

#[test]
fn the_cover_for_cplusplus() {
    for workshop in workshops() {
        for compiler in cpp_compilers() {
            for standard in CPP_STANDARDS {
                let program = workshop.build(compiler, standard, &source("test_hpp.cpp"));
                passed(&succeed(workshop.command(&program).arg(format!("{compiler}-{standard}-store"))));
            }
        }
    }
}

#[test]
fn the_json_of_the_examples() {
    for workshop in workshops() {
        let sources = [source("test_json.c"), root().join("c_examples/json.c")];
        for compiler in c_compilers() {
            passed(&succeed(&mut workshop.command(workshop.build_all(compiler, "c99", &sources))));
        }
    }
}
