//! Gives libenos.so its SONAME and keeps it loaded once loaded (its threads outlive a dlclose).

/// The ABI's number, kept here: the header, CMakeLists.txt and enos_abi_version() take it from this line.
const ABI: u32 = 1;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-env=ENOS_ABI_VERSION={ABI}");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libenos.so.{ABI}");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
