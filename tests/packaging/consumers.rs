//! Building and installing with CMake, and each way in which a firmware's build can take the result.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::installation::{build, cmake, configure, libdir, runs, Consumer, ABI, VERSION};
use support::native::{root, succeed};

/// Where libenos is installed for all tests of this file.
fn prefix() -> &'static Path {
    static PREFIX: OnceLock<PathBuf> = OnceLock::new();
    PREFIX.get_or_init(|| {
        let at = |name: &str| Path::new(env!("CARGO_TARGET_TMPDIR")).join("consumers").join(name);
        let _ = fs::remove_dir_all(at("first"));
        let _ = fs::remove_dir_all(at("prefix"));
        succeed(&mut configure(&root(), &at("build")));
        build(&at("build"));
        install(&at("first"), &[]);
        // An installed tree can be moved.
        fs::rename(at("first"), at("prefix")).unwrap();
        at("prefix")
    })
}

fn install(prefix: &Path, options: &[&str]) {
    let build = concat!(env!("CARGO_TARGET_TMPDIR"), "/consumers/build");
    succeed(cmake().args(["--install", build]).args(options).arg("--prefix").arg(prefix));
}

fn installed_library() -> PathBuf {
    libdir(prefix()).join(format!("libenos.so.{VERSION}"))
}

#[test]
fn the_library_is_installed_with_its_links() {
    let links =
        |name: &str| fs::read_link(libdir(prefix()).join(name)).unwrap().into_os_string().into_string().unwrap();
    assert_eq!(links("libenos.so"), format!("libenos.so.{ABI}"));
    assert_eq!(links(&format!("libenos.so.{ABI}")), format!("libenos.so.{VERSION}"));
    assert!(installed_library().symlink_metadata().unwrap().is_file());
}

#[test]
fn a_firmware_finds_it_with_find_package() {
    let consumer = Consumer::new("find_package");
    runs(&consumer.find_in(prefix()), None);
}

#[test]
fn a_firmware_has_it_as_a_part_with_add_subdirectory() {
    let work = tempfile::tempdir().unwrap();
    succeed(&mut configure(&root().join("tests/consumers/add_subdirectory"), work.path()));
    build(work.path());
    runs(&work.path().join("firmware"), None);
}

#[test]
fn a_firmware_finds_it_with_pkg_config() {
    let libdir = libdir(prefix());
    let consumer = Consumer::new("pkg_config");
    let program = consumer.make(|make| {
        let prefix = consumer.link_to(prefix());
        make.env("PKG_CONFIG_PATH", prefix.join(libdir.strip_prefix(self::prefix()).unwrap()).join("pkgconfig"));
    });
    runs(&program, Some(&libdir));
}

#[test]
fn a_firmware_names_it_in_its_makefile() {
    let libdir = libdir(prefix());
    let consumer = Consumer::new("plain");
    let program = consumer.make(|make| {
        make.arg(format!("ENOS_INCLUDE={}", consumer.link_to(&prefix().join("include")).display()));
        make.arg(format!("ENOS_LIB={}", consumer.link_to(&libdir).display()));
    });
    runs(&program, Some(&libdir));
}

#[test]
fn the_examples_find_it() {
    let work = tempfile::tempdir().unwrap();
    let mut command = configure(&root().join("c_examples"), work.path());
    succeed(command.arg(format!("-DCMAKE_PREFIX_PATH={}", prefix().display())));
    build(work.path());
    let mut sign = Command::new(work.path().join("01_sign"));
    assert!(succeed(sign.args(["device", "pk", "dk"]).env("ENOS_SECRET", "s")).contains("dk&pk"));
}

#[test]
fn it_has_our_paho_where_the_system_has_one() {
    // The linker that made the library finds Debian's.
    let work = tempfile::tempdir().unwrap();
    let mut link = Command::new("cc");
    link.args(["-shared", "-Wl,--no-as-needed", "-lpaho-mqtt3as", "-lpaho-mqtt3a", "-o"]);
    succeed(link.arg(work.path().join("theirs.so")));

    let dynamic = succeed(Command::new("readelf").args(["--dynamic", "--wide"]).arg(installed_library()));
    assert!(dynamic.contains("(NEEDED)"), "{dynamic}");
    assert!(!dynamic.contains("paho"), "{dynamic}");
    let bytes = fs::read(installed_library()).unwrap();
    let marker = paho_engine::MARKER.as_bytes();
    assert!(bytes.windows(marker.len()).any(|window| window == marker), "the library has another Paho");
    let consumer = Consumer::new("find_package");
    let loaded = succeed(Command::new("ldd").arg(consumer.find_in(prefix())));
    assert!(loaded.contains("libenos.so.") && !loaded.contains("paho"), "{loaded}");
}

/// What the library names as the file with its debug information leads a debugger to the source.
#[test]
fn its_debug_information_is_a_file_of_its_own() {
    let sections = succeed(Command::new("readelf").args(["--sections", "--wide"]).arg(installed_library()));
    assert!(sections.contains(".gnu_debuglink"), "{sections}");
    assert!(!sections.contains(".debug_info") && !sections.contains(".symtab"), "{sections}");

    let name = format!("libenos.so.{VERSION}.debug");
    let found = |at: &Path| succeed(Command::new("find").arg(at).args(["-name", &name]));
    assert_eq!(found(prefix()), "", "it was not asked for");
    let work = tempfile::tempdir().unwrap();
    install(work.path(), &["--component", "debug"]);
    let debug = found(work.path());
    assert!(debug.contains("/lib/debug/"), "{debug}");

    let library = work.path().join("libenos.so");
    fs::copy(installed_library(), &library).unwrap();
    let symbols = succeed(Command::new("nm").args(["--dynamic", "--format=posix"]).arg(&library));
    let symbol = symbols.lines().find_map(|line| line.strip_prefix("enos_version T ")).unwrap();
    let source = |library: &Path| {
        let address = symbol.split(' ').next().unwrap();
        succeed(Command::new("addr2line").arg("-e").arg(library).arg(address))
    };
    assert!(!source(&library).contains(".rs"), "the library was not stripped");
    fs::copy(debug.trim(), work.path().join(name)).unwrap();
    assert!(source(&library).contains("src/ffi/"), "{}", source(&library));
}
