//! Building and installing with CMake, and each way in which a firmware can use the result.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::installation::{
    self, build, built, cmake, configure, libdir, library, prefix, runs, sources, Consumer, ABI, VERSION,
};
use support::native::{root, succeed};

fn install(prefix: &Path, options: &[&str]) {
    succeed(cmake().arg("--install").arg(built()).args(options).arg("--prefix").arg(prefix));
}

#[test]
fn the_library_is_installed_with_its_links() {
    let links =
        |name: &str| fs::read_link(libdir(prefix()).join(name)).unwrap().into_os_string().into_string().unwrap();
    assert_eq!(links("libenos.so"), format!("libenos.so.{ABI}"));
    assert_eq!(links(&format!("libenos.so.{ABI}")), format!("libenos.so.{VERSION}"));
    assert!(library().symlink_metadata().unwrap().is_file());
}

#[test]
fn a_firmware_finds_it_with_find_package() {
    let consumer = Consumer::new("find_package");
    runs(&consumer.find_in(prefix()), None);
}

#[test]
fn a_firmware_has_it_as_a_part_with_add_subdirectory() {
    let work = tempfile::tempdir().unwrap();
    succeed(&mut configure(&sources().join("tests/consumers/add_subdirectory"), work.path()));
    build(work.path());
    runs(&work.path().join("firmware"), None);
    // Its image: the firmware, and what it needs at run time.
    let image = |options: &[&str]| -> Vec<String> {
        succeed(cmake().args(options).arg(work.path()));
        let image = tempfile::tempdir().unwrap();
        succeed(cmake().arg("--install").arg(work.path()).arg("--prefix").arg(image.path()));
        let find = succeed(Command::new("find").arg(image.path()).args(["-not", "-type", "d", "-printf", "%P\\n"]));
        let mut files: Vec<_> = find.lines().map(|path| path.rsplit('/').next().unwrap().to_owned()).collect();
        files.sort();
        files
    };
    let soname = format!("libenos.so.{ABI}");
    assert_eq!(image(&[]), ["LICENSE", "NOTICE", "firmware", &format!("libenos.so.{VERSION}"), &soname]);
    let with_more = image(&["-DENOS_INSTALL_DEVELOPMENT=ON"]);
    for name in ["enos.h", "enos-config.cmake", "enos.pc", "libenos.so", "valgrind.supp", "flash_store.c"] {
        assert!(with_more.iter().any(|file| file == name), "{name} is not in {with_more:?}");
    }
}

/// CMake's error for a target without a library, before anything is built.
#[test]
fn musl_is_refused_with_a_reason_and_static_linking_causes_a_warning() {
    let configured = |option: &str| {
        let work = tempfile::tempdir().unwrap();
        let output = configure(&root(), work.path()).arg(option).output().unwrap();
        (
            output.status.success(),
            String::from_utf8(output.stderr).unwrap().split_whitespace().collect::<Vec<_>>().join(" "),
        )
    };
    let (fine, said) = configured("-DENOS_RUST_TARGET=x86_64-unknown-linux-musl");
    assert!(!fine && said.contains("Rust makes no shared library") && said.contains("docs/porting.md"), "{said}");
    let (fine, said) = configured("-DCMAKE_EXE_LINKER_FLAGS=-O1 -static");
    assert!(fine && said.contains("it is a shared library") && said.contains("docs/porting.md"), "{said}");
    assert_eq!(configured("-DCMAKE_EXE_LINKER_FLAGS=-static-libgcc"), (true, String::new()));
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
fn the_examples_that_are_installed_find_it() {
    let work = tempfile::tempdir().unwrap();
    let mut command = configure(&prefix().join("share/doc/enos/c_examples"), work.path());
    succeed(command.arg(format!("-DCMAKE_PREFIX_PATH={}", prefix().display())));
    build(work.path());
    let mut sign = Command::new(work.path().join("01_sign"));
    assert!(succeed(sign.args(["device", "pk", "dk"]).env("ENOS_SECRET", "s")).contains("dk&pk"));
}

#[test]
fn it_has_our_paho_where_the_system_has_one() {
    // The linker of the library finds Debian's OpenSSL.
    let work = tempfile::tempdir().unwrap();
    let mut link = Command::new("cc");
    link.args(["-shared", "-Wl,--no-as-needed", "-lpaho-mqtt3as", "-lpaho-mqtt3a", "-o"]);
    succeed(link.arg(work.path().join("theirs.so")));

    let dynamic = succeed(Command::new("readelf").args(["--dynamic", "--wide"]).arg(library()));
    assert!(dynamic.contains("(NEEDED)"), "{dynamic}");
    assert!(!dynamic.contains("paho"), "{dynamic}");
    let bytes = fs::read(library()).unwrap();
    let marker = paho_engine::MARKER.as_bytes();
    assert!(bytes.windows(marker.len()).any(|window| window == marker), "the library has another Paho");
    let consumer = Consumer::new("find_package");
    let loaded = succeed(Command::new("ldd").arg(consumer.find_in(prefix())));
    assert!(loaded.contains("libenos.so.") && !loaded.contains("paho"), "{loaded}");
}

/// A debugger finds the sources through the debug file that the library names.
#[test]
fn its_debug_information_is_a_file_of_its_own() {
    let sections = succeed(Command::new("readelf").args(["--sections", "--wide"]).arg(library()));
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
    fs::copy(installation::library(), &library).unwrap();
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
