//! What Rust code that uses this crate gets is this crate's Paho, even where the system has one.

use paho_engine::{sys, MARKER};
use std::{ffi::CStr, fs};

#[test]
fn the_library_is_ours() {
    // SAFETY: the table is static, and ends in a NULL; its values are C strings.
    let product = unsafe {
        let info = sys::MQTTAsync_getVersionInfo();
        CStr::from_ptr((*info).value)
    };
    assert_eq!(product.to_str().unwrap(), MARKER);
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    assert!(!maps.contains("libpaho"), "the system's Paho is loaded");
}
