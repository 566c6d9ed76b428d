//! What Rust code that uses this crate gets is this crate's Paho, even where the system has one.

use paho_engine::{enos_paho_connect_sent, enos_paho_set_interface, enos_paho_set_max_packet, sys, MARKER};
use std::{ffi::CStr, fs, ptr::null_mut};

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

#[test]
fn our_functions_are_there() {
    // SAFETY: NULL is a handle that they know.
    unsafe {
        assert_eq!(enos_paho_set_max_packet(null_mut(), 1), sys::MQTTASYNC_FAILURE);
        assert_eq!(enos_paho_set_interface(null_mut(), null_mut()), sys::MQTTASYNC_FAILURE);
        assert_eq!(enos_paho_connect_sent(null_mut()), 0);
    }
}
