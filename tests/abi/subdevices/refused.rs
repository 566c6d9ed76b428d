//! Calls that cannot be right.

use std::ffi::CString;
use std::ptr::null;

use super::*;

#[test]
fn each_wrong_addition_is_refused_in_words_and_adds_nothing() {
    let desk = desk(0, |_| ());
    let host = Setup::device(desk.address()).subdevice_limit(3).start();
    let refused = |options: &[_], wanted, words: &str| {
        assert_eq!(host.add_subdevices_c(options), Err(wanted), "{words}");
        assert!(last_error().contains(words), "{} does not say {words:?}", last_error());
        host.subdevices(|_, _, _, _| panic!("one was added"));
    };
    let (good, other) = (Sub::new("a"), Sub::new("b"));
    let with = |change: fn(&mut Sub)| {
        let mut sub = Sub::new("x");
        change(&mut sub);
        sub
    };
    let c = |text: &str| CString::new(text).unwrap();
    let mut bad = good.as_c();
    bad.struct_size = 8;
    refused(&[bad], ENOS_ERR_STRUCT_SIZE, "options[0]");
    refused(&[good.as_c(), good.as_c()], ENOS_ERR_INVALID_ARG, "options[1]: the client has sub/a already");
    let mut bad = other.as_c();
    bad.product_key = null();
    refused(&[good.as_c(), bad], ENOS_ERR_NULL_ARG, "options[1]: product_key is NULL");
    let mut bad = other.as_c();
    bad.device_secret = null();
    refused(&[good.as_c(), bad], ENOS_ERR_NULL_ARG, "options[1]: device_secret");
    for (sub, words) in [
        (with(|sub| sub.flags = 0x80), "flags: 0x80"),
        (with(|sub| sub.sign_method = 9), "sign_method is 9"),
        (with(|sub| sub.sign_method = -1), "sign_method is -1"),
        (Sub { device_key: c("a/b"), ..good.clone() }, "device_key holds '/'"),
        (Sub { device_key: c(""), ..good.clone() }, "device_key is empty"),
        (Sub { device_secret: Some(c(&"x".repeat(2_000))), ..good.clone() }, "device_secret: the secret has 2000"),
        (Sub { product_secret: Some(c("p")), ..good.clone() }, "needs enos_config_set_storage()"),
        (Sub { product_key: c(PRODUCT_KEY), device_key: c(DEVICE_KEY), ..good.clone() }, "has pk/dk already"),
    ] {
        refused(&[sub.as_c()], ENOS_ERR_INVALID_ARG, words);
    }
    refused(&[], ENOS_ERR_INVALID_ARG, "count is 0");
    let four = ["a", "b", "c", "d"].map(Sub::new);
    refused(&four.each_ref().map(Sub::as_c), ENOS_ERR_QUEUE_FULL, "at most 3");
    assert_eq!(host.subdevices_without_callback(), ENOS_ERR_NULL_ARG);
    let ids = host.add_subdevices(&["a", "b", "c"].map(Sub::new)).unwrap();
    assert_eq!(ids, [1, 2, 3]);
    let offline = host.add_subdevices(&[Sub { flags: OFFLINE, ..Sub::new("d") }]).unwrap();
    assert_eq!(host.set_subdevice_online(offline[0], true), ENOS_ERR_QUEUE_FULL);
}

#[test]
fn the_limits_have_a_range() {
    for (limit, batch, join) in [(0, 1, 0), (10_001, 1, 0), (1, 0, 0), (1, 1_001, 0), (1, 1, 10_001)] {
        let setup = Setup::empty();
        // SAFETY: a config.
        let statuses = unsafe {
            use enos::internals::ffi::subdevice::*;
            [
                enos_config_set_subdevice_limit(setup.config(), limit),
                enos_config_set_subdevice_batch(setup.config(), batch),
                enos_config_set_join_time(setup.config(), join),
            ]
        };
        assert!(statuses.contains(&(ENOS_ERR_INVALID_ARG as i32)), "{limit} {batch} {join}");
    }
}

#[test]
fn states_have_names() {
    let names: Vec<_> = (0..9).map(subdevice_state_name).collect();
    let known = ["OFFLINE", "ACTIVATING", "LOGGING_IN", "ONLINE", "REFUSED", "DISABLED", "DELETED"];
    assert_eq!(names[1..8], known);
    assert_eq!((&*names[0], &*names[8], &*subdevice_state_name(-1)), ("UNKNOWN", "UNKNOWN", "UNKNOWN"));
}
