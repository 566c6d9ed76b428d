//! A panic of the library prints nothing; a panic of a Rust host still reaches the host's hook. The test checks the
//! output of a process.

use std::env;
use std::process::Command;

use enos::ffi::guard::provoke_panic;

const INSIDE: &str = "ENOS_TEST_INSIDE";

#[test]
fn seen_from_outside() {
    if env::var_os(INSIDE).is_some() {
        assert_ne!(provoke_panic(), 0);
        std::panic::catch_unwind(|| panic!("the host's own")).unwrap_err();
        return;
    }
    let mut again = Command::new(env::current_exe().unwrap());
    let output = again.args(["--exact", "panic::seen_from_outside", "--nocapture"]).env(INSIDE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("the host's own"), "{said}");
    assert!(!said.contains("provoked by a test") && !said.contains("guard.rs"), "{said}");
}
