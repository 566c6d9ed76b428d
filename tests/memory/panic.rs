//! A fault of the library prints nothing; a panic of a Rust host stays with the host's hook. Looked at from outside, in
//! a process of its own.

use std::env;
use std::process::Command;

use enos::internals::ffi::guard::provoke_panic;

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
