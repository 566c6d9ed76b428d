//! Compiles the C that the targets call, and links cJSON and the fuzzer with clang's libFuzzer and AddressSanitizer.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../c_examples");
    println!("cargo::rerun-if-changed=../include");
    cc::Build::new()
        .file("../c_examples/flash_store.c")
        .include("../include")
        .define("SECTOR", "4096u") // small, so that sectors change often
        .define("SECTORS", "4u")
        .compile("examples");
    println!("cargo::rustc-link-lib=cjson");
    if std::env::var_os("CARGO_FEATURE_LIBFUZZER").is_some() {
        println!("cargo::rustc-link-arg-bins=-fsanitize=address,fuzzer");
    }
}
