//! docs/offline-build.md: its commands, run unchanged, make the library that this program tests.

use std::fs;
use std::process::Command;

use crate::installation::{built, cargo_home, sources};
use support::native::succeed;

#[test]
fn the_library_is_built_from_vendored_crates_alone() {
    let symbols = succeed(Command::new("nm").arg("--dynamic").arg(built().join("libenos.so")));
    assert!(symbols.contains(" T enos_client_create"), "{symbols}");
    // Paho's sources came from the vendored crates as well: nothing was unpacked elsewhere.
    assert!(sources().join("vendor/paho-mqtt-sys/paho.mqtt.c").is_dir());
    assert!(fs::read_dir(cargo_home().join("registry/src")).is_err());
}
