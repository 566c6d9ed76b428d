//! Gives libenos.so its SONAME and keeps it loaded once loaded (its threads outlive a dlclose).

use std::env;

/// The ABI's number, kept here: the header, CMakeLists.txt and enos_abi_version() take it from this line.
const ABI: u32 = 1;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Otherwise curl-sys builds a libcurl without TLS, and links it statically.
    if env::var_os("CARGO_FEATURE_OTA").is_some() && env::var_os("DEP_CURL_STATIC").is_some() {
        panic!("the feature ota needs libcurl and pkg-config; Debian's package is libcurl4-openssl-dev");
    }
    println!("cargo:rustc-env=ENOS_ABI_VERSION={ABI}");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libenos.so.{ABI}");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
