//! The programs of tests/c under valgrind: no memory error, and nothing that is lost for good.

use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;

use enos_sim::{Cloud, Config, Device, DeviceId};

use support::native::{root, Workshop};

/// Builds a program, and runs it to its end with these arguments and this input.
#[track_caller]
fn check(workshop: &Workshop, compiler: &str, standard: &str, source: &str, arguments: &[&str], input: &str) {
    let source: PathBuf = root().join("tests/c").join(source);
    let program = workshop.build(compiler, standard, &source);
    let Some(mut command) = workshop.valgrind(program) else { return };
    command.args(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let (words, printed) = (output.status.to_string(), String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success() && said.is_empty(), "{}: {words}\n{printed}\n{said}", source.display());
}

/// A cloud with the device pk/dk, and its address.
fn cloud() -> (Cloud, String) {
    let device = Device::inactive(DeviceId::new("pk", "dk"), "product-secret");
    let config = Config { listen: "127.0.0.1:0".parse().unwrap(), devices: vec![device], ..Config::default() };
    let cloud = Cloud::start(config, |_| ()).unwrap();
    let address = format!("tcp://{}", cloud.address());
    (cloud, address)
}

#[test]
fn the_boundary_from_c() {
    let workshop = Workshop::new();
    check(&workshop, "cc", "c99", "test_boundary.c", &["store"], "");
}

#[test]
fn the_boundary_from_cplusplus() {
    let workshop = Workshop::new();
    check(&workshop, "c++", "c++11", "test_cplusplus.cpp", &[], "");
}

#[test]
fn the_cover_for_cplusplus() {
    let workshop = Workshop::new();
    check(&workshop, "c++", "c++11", "test_hpp.cpp", &["store"], "");
}

#[test]
fn an_activation() {
    let workshop = Workshop::new();
    let (_cloud, address) = cloud();
    let device = ["store", "pk", "dk", "product-secret", "0", "1000", "0"];
    let arguments = [&[address.as_str()], &device[..]].concat();
    // Once to be activated, and once with what is stored.
    check(&workshop, "cc", "c99", "crash_device.c", &arguments, "");
    check(&workshop, "cc", "c99", "crash_device.c", &arguments, "");
}

#[test]
fn an_activation_that_is_hard_to_store_and_a_post() {
    let workshop = Workshop::new();
    let (_cloud, address) = cloud();
    check(&workshop, "cc", "c99", "memory_device.c", &[&address, "store", "2"], "product-secret\n.....");
}
