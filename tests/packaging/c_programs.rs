//! The programs in tests/c with the library that ships, which is optimised with link-time optimisation.
//! tests/programs/c.rs runs them with the library of this test run, which has assertions.

use crate::installation::library;
use support::native::{c_compilers, cpp_compilers, passed, succeed, test_source, Workshop, CPP_STANDARDS};

#[track_caller]
fn runs(source: &str, compilers: Vec<&str>, standards: &[&str]) {
    let workshop = Workshop::with(&library());
    for compiler in compilers {
        for standard in standards {
            let program = workshop.build(compiler, standard, &test_source(source));
            passed(&succeed(workshop.command(&program).arg(format!("{compiler}-{standard}-store"))));
        }
    }
}

#[test]
fn the_boundary_from_c() {
    runs("test_boundary.c", c_compilers(), &["c99"]);
}

#[test]
fn the_cover_for_cplusplus() {
    runs("test_hpp.cpp", cpp_compilers(), &CPP_STANDARDS);
}
