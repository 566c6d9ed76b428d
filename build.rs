//! Gives libenos.so its SONAME and keeps it loaded once loaded (its threads outlive a dlclose).

/// The ABI's number; `ENOS_ABI_VERSION` in the header, `ENOS_SOVERSION` in CMakeLists.txt.
const ABI: u32 = 0;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libenos.so.{ABI}");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
