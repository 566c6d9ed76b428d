//! Building and installing with CMake, and what a firmware's build does with the result.
//!
//! One test: the steps stand on each other. Cargo builds in a directory of its own, which is kept, so that only the
//! first run takes its time.

use std::env;
use std::path::Path;
use std::process::Command;

mod native;
use native::{root, succeed};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const ABI: &str = env!("ENOS_ABI_VERSION");

fn configure(sources: &Path, build: &Path) -> Command {
    let mut command = Command::new("cmake");
    command.arg("-S").arg(sources).arg("-B").arg(build);
    command.arg("-DENOS_CARGO_PROFILE=dev").arg(format!("-DCARGO_EXECUTABLE={}", env!("CARGO")));
    command.arg(format!("-DENOS_CARGO_TARGET_DIR={}/cmake", env!("CARGO_TARGET_TMPDIR")));
    command
}

fn build(directory: &Path) {
    succeed(Command::new("cmake").arg("--build").arg(directory));
}

#[test]
fn installed_and_found_or_built_as_a_part() {
    let work = tempfile::tempdir().unwrap();
    let at = |name: &str| work.path().join(name);
    let firmware = root().join("tests/cmake");

    succeed(&mut configure(&root(), &at("library")));
    build(&at("library"));
    succeed(Command::new("cmake").arg("--install").arg(at("library")).arg("--prefix").arg(at("first")));
    // An installed tree can be moved.
    std::fs::rename(at("first"), at("prefix")).unwrap();

    let libdir = at("prefix").join(installed_libdir(&at("prefix")));
    let links = |name: &str| std::fs::read_link(libdir.join(name)).unwrap().into_os_string().into_string().unwrap();
    assert_eq!(links("libenos.so"), format!("libenos.so.{ABI}"));
    assert_eq!(links(&format!("libenos.so.{ABI}")), format!("libenos.so.{VERSION}"));
    assert!(libdir.join(format!("libenos.so.{VERSION}")).metadata().unwrap().is_file());

    succeed(configure(&firmware, &at("found")).arg(format!("-DCMAKE_PREFIX_PATH={}", at("prefix").display())));
    build(&at("found"));
    assert_eq!(succeed(&mut Command::new(at("found").join("firmware"))).trim(), VERSION);

    succeed(configure(&firmware, &at("part")).arg(format!("-DENOS_SOURCES={}", root().display())));
    build(&at("part"));
    assert_eq!(succeed(&mut Command::new(at("part").join("firmware"))).trim(), VERSION);

    let examples = root().join("c_examples");
    succeed(configure(&examples, &at("examples")).arg(format!("-DCMAKE_PREFIX_PATH={}", at("prefix").display())));
    build(&at("examples"));
    let mut sign = Command::new(at("examples").join("01_sign"));
    assert!(succeed(sign.args(["device", "pk", "dk"]).env("ENOS_SECRET", "s")).contains("dk&pk"));

    if Command::new("pkg-config").arg("--version").output().is_err() {
        eprintln!("pkg-config is not installed: enos.pc was not tested");
        return;
    }
    let mut pkg_config = Command::new("pkg-config");
    pkg_config.args(["--cflags", "--libs", "enos"]).env("PKG_CONFIG_PATH", libdir.join("pkgconfig"));
    let flags = succeed(&mut pkg_config);
    // The shell reads the flags, as in a makefile: blanks in paths are escaped in them.
    let mut compile = Command::new("sh");
    compile.arg("-c").arg(format!("exec cc \"$0\" -o \"$1\" {flags}")).arg(firmware.join("firmware.c"));
    succeed(compile.arg(at("packaged")));
    assert_eq!(succeed(Command::new(at("packaged")).env("LD_LIBRARY_PATH", &libdir)).trim(), VERSION);
}

/// lib, lib64 or lib/<triple>: where the library came to lie.
fn installed_libdir(prefix: &Path) -> String {
    let find = Command::new("find").arg(prefix).args(["-name", "libenos.so", "-printf", "%P"]).output().unwrap();
    let found = String::from_utf8(find.stdout).unwrap();
    found.strip_suffix("/libenos.so").unwrap_or_else(|| panic!("libenos.so was not installed: {found}")).to_owned()
}
