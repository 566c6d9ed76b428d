//! The flash store of the examples: on a flash in memory whose power is cut, and in a process that is killed.

use std::path::PathBuf;

use support::native::{c_compilers, passed, root, succeed, Workshop};
use support::program::Program;

fn source(name: &str) -> PathBuf {
    root().join(name)
}

#[test]
fn it_survives_power_cuts_and_failing_flash() {
    let workshop = Workshop::new();
    let program = workshop.build("cc", "c11", &source("tests/c/test_flash_store.c"));
    passed(&succeed(workshop.command("timeout").arg("300").arg(program)));
}

#[test]
fn its_sectors_wear_evenly() {
    let workshop = Workshop::new();
    let program = workshop.build("cc", "c11", &source("tests/c/test_flash_wear.c"));
    let Some(mut under_valgrind) = workshop.valgrind(&program) else {
        return passed(&succeed(&mut workshop.command(&program)));
    };
    passed(&succeed(&mut under_valgrind));
}

#[test]
fn it_survives_kill_9_in_the_middle_of_its_stores() {
    let workshop = Workshop::new();
    let stores = ["c_examples/flash_store.c", "c_examples/flash_file.c"].map(source);
    for compiler in c_compilers() {
        let writer = source("tests/c/flash_store_writer.c");
        let program = workshop.build_all(compiler, "c99", &[&writer, &stores[0], &stores[1]]);
        let start = || Program::start(workshop.command(&program).arg(format!("flash-{compiler}")));
        let number = |line: &str| line.parse::<u32>().unwrap();
        let mut last = 0;
        for round in 0..40 {
            let mut writer = start();
            let found = number(&writer.expect(""));
            // What was said to be stored is; and one more may be, that nobody could be told of.
            assert!(found == last || found == last + 1, "{found} after {last}");
            let stop = found + 1 + round * 7 % 50;
            while number(&writer.expect("")) < stop {}
            last = number(writer.kill().lines().last().unwrap());
        }
        assert!(last > 500);
    }
}
