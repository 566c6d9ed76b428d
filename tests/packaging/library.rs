//! What the library that ships shows to a linker and a loader.

use std::collections::BTreeSet;
use std::process::Command;

use crate::installation::library;
use support::native::{functions, header, succeed};

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
