//! Properties of the library that ships, for a linker and a loader.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::installation::{built, cargo_home, library, sources, target};
use support::native::{functions, header, root, succeed};

fn dynamic_section() -> String {
    succeed(Command::new("readelf").arg("--dynamic").arg("--wide").arg(library()))
}

#[test]
fn it_exports_the_functions_of_the_header_and_nothing_else() {
    let symbols = succeed(Command::new("nm").args(["--dynamic", "--defined-only", "--format=posix"]).arg(library()));
    let exported: BTreeSet<_> = symbols.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    let declared: BTreeSet<_> = functions(&header()).into_iter().map(|(name, _)| name).collect();
    assert!(declared.len() > 50, "the header could not be read: {declared:?}");
    assert_eq!(exported, declared);
}

#[test]
fn it_is_named_after_its_abi_and_stays_loaded() {
    let dynamic = dynamic_section();
    assert!(dynamic.contains(concat!("Library soname: [libenos.so.", env!("ENOS_ABI_VERSION"), "]")), "{dynamic}");
    assert!(dynamic.lines().any(|line| line.contains("FLAGS_1") && line.contains("NODELETE")), "{dynamic}");
}

#[test]
fn it_needs_nothing_but_the_c_library_and_openssl() {
    let dynamic = dynamic_section();
    let needed = dynamic.lines().filter(|line| line.contains("(NEEDED)"));
    let names: Vec<_> = needed.filter_map(|line| line.split(['[', ']']).nth(1)).collect();
    let mut system = vec!["libc.", "libgcc_s.", "libm.", "libpthread.", "libdl.", "librt.", "ld-linux", "linux-vdso"];
    if cfg!(all(feature = "tls", not(feature = "static-openssl"))) {
        system.extend(["libssl.", "libcrypto."]);
    }
    assert!(!names.is_empty(), "{dynamic}");
    for name in names {
        assert!(system.iter().any(|known| name.starts_with(known)), "{name} is needed as well");
    }
}

#[test]
fn it_is_hardened() {
    let dynamic = dynamic_section();
    assert!(dynamic.lines().any(|line| line.contains("FLAGS_1") && line.contains("NOW")), "lazy binding: {dynamic}");
    let segments = succeed(Command::new("readelf").args(["--segments", "--wide"]).arg(library()));
    let segment = |name: &str| segments.lines().find(|line| line.trim_start().starts_with(name)).unwrap_or_default();
    assert!(segment("GNU_STACK").contains(" RW "), "an executable stack: {segments}");
    assert!(segment("GNU_RELRO").contains(" R "), "no RELRO: {segments}");
    assert!(!segments.lines().any(|line| line.contains(" RWE ")), "memory to write and to execute: {segments}");
    // Only in the C part: Rust has neither.
    let needed = succeed(Command::new("nm").args(["--dynamic", "--undefined-only"]).arg(library()));
    let needs = |name: &str| needed.lines().any(|line| line.split('@').next().is_some_and(|one| one.ends_with(name)));
    assert!(needs("__stack_chk_fail"), "no stack protector: {needed}");
    assert!(needs("_chk"), "no _FORTIFY_SOURCE: {needed}");
}

/// Neither the feature for tests, nor what it adds.
#[test]
fn it_has_no_hook_for_tests() {
    let mut tree = Command::new(env!("CARGO"));
    tree.args(["tree", "--locked", "--offline", "--package=enos", "--edges=normal", "--depth=0", "--format={p} {f}"]);
    let features = succeed(tree.current_dir(root()));
    assert!(features.starts_with("enos ") && !features.contains("internals"), "{features}");
    let debug = built().join(format!("{}.debug", library().file_name().unwrap().to_str().unwrap()));
    let symbols = succeed(Command::new("nm").arg(debug));
    assert!(symbols.contains("5panic6caught"), "no function of the library's own: {symbols}");
    // This program has the feature.
    let (marker, _) = std::hint::black_box(enos::internals::ffi::guard::internals());
    let own = succeed(Command::new("nm").arg(std::env::current_exe().unwrap()));
    assert!(own.contains(marker), "{marker} would not be found");
    assert!(!symbols.contains(marker), "{symbols}");
}

/// A panic message names a file: with a path in the sources, not on the build machine.
#[test]
fn it_does_not_tell_where_it_was_built() {
    let strings = succeed(Command::new("strings").args(["--all", "--bytes=6"]).arg(library()));
    assert!(strings.contains("src/transport/"), "it names no file at all");
    let home = std::env::var("HOME").unwrap();
    for path in [sources(), built(), &target(), &cargo_home(), &root(), Path::new(&home), Path::new("/tmp")] {
        let path = format!("{}/", path.display());
        let found: Vec<_> = strings.lines().filter(|line| line.contains(&path)).collect();
        assert!(found.is_empty(), "{path} is named: {found:?}");
    }
}
