//! The programs in tests/c with the library that ships, which is optimised with link-time optimisation.
//! tests/programs/c.rs runs them with the library of this test run, which has assertions.

use std::path::Path;

use crate::installation::library;
use support::native::{c_compilers, cpp_compilers, passed, root, succeed, test_source, Workshop, CPP_STANDARDS};

#[track_caller]
fn runs(sources: &[impl AsRef<Path>], compilers: Vec<&str>, standards: &[&str]) {
    let workshop = Workshop::with(&library());
    for compiler in compilers {
        for standard in standards {
            let program = workshop.build_all(compiler, standard, sources);
            passed(&succeed(workshop.command(&program).arg(format!("{compiler}-{standard}-store"))));
        }
    }
}

#[test]
fn the_boundary_from_c() {
    runs(&[test_source("test_boundary.c")], c_compilers(), &["c99"]);
}

#[test]
fn the_cover_for_cplusplus() {
    runs(&[test_source("test_hpp.cpp")], cpp_compilers(), &CPP_STANDARDS);
}

#[test]
fn the_json_of_the_examples() {
    runs(&[test_source("test_json.c"), root().join("c_examples/json.c")], c_compilers(), &["c99"]);
}
