//! The activation message.

use std::ffi::{c_char, CStr};
use std::ptr::{null, null_mut};

use enos::error::Status::*;
use enos::ffi::activation::*;

use super::*;

const TOPIC: &CStr = c"/ext/session/pk/dk/thing/activate/info";
const ACTIVATION: &CStr = c"{\"id\":\"7\",\"method\":\"thing.activate.info\",\"params\":{\"assetId\":\"a1\",\
    \"productKey\":\"pk\",\"deviceKey\":\"dk\",\"deviceSecret\":\"hush\"}}";

fn parse(topic: &CStr, payload: &CStr) -> (i32, *mut enos_activation) {
    let mut out = null_mut();
    // SAFETY: texts, and a place for the handle.
    let status = unsafe {
        enos_activation_parse(
            c"pk".as_ptr(),
            c"dk".as_ptr(),
            topic.as_ptr(),
            NUL_TERMINATED,
            payload.as_ptr().cast(),
            NUL_TERMINATED,
            &mut out,
        )
    };
    (status, out)
}

#[test]
fn an_activation_can_be_read_answered_and_freed() {
    let (status, activation) = parse(TOPIC, ACTIVATION);
    accepted(status);
    // SAFETY: a live handle; the getters' texts are read before it is freed.
    unsafe {
        assert_eq!(text(enos_activation_product_key(activation)), "pk");
        assert_eq!(text(enos_activation_device_key(activation)), "dk");
        assert_eq!(text(enos_activation_device_secret(activation)), "hush");
        assert_eq!(text(enos_activation_asset_id(activation)), "a1");

        let (mut topic, mut payload) = ([0; 64], [0; 64]);
        let (mut topic_len, mut payload_len) = (0, 0);
        let mut reply = |topic_cap, payload_cap| {
            let (t, p) = (topic.as_mut_ptr(), payload.as_mut_ptr());
            let status =
                enos_activation_reply(activation, t, topic_cap, &mut topic_len, p, payload_cap, &mut payload_len);
            (status, topic_len, payload_len, text(t), text(p))
        };
        let (status, topic_needed, payload_needed, ..) = reply(0, 0);
        refused(status, ENOS_ERR_BUFFER_TOO_SMALL, "needed");
        let empty = (topic_needed, payload_needed, String::new(), String::new());
        let (status, a, b, c, d) = reply(topic_needed, payload_needed - 1);
        refused(status, ENOS_ERR_BUFFER_TOO_SMALL, "needed");
        assert_eq!((a, b, c, d), empty);
        let (status, a, b, c, d) = reply(topic_needed - 1, payload_needed);
        refused(status, ENOS_ERR_BUFFER_TOO_SMALL, "needed");
        assert_eq!((a, b, c, d), empty);
        let (status, a, b, c, d) = reply(topic_needed, payload_needed);
        accepted(status);
        assert_eq!((a, b), (topic_needed - 1, payload_needed - 1));
        assert_eq!(c, "/ext/session/pk/dk/thing/activate/info_reply");
        assert_eq!(d, r#"{"id":"7","code":200}"#);

        let (mut spare, mut len) = ([0; 8], 0);
        let (buf, n): (*mut c_char, *mut usize) = (spare.as_mut_ptr(), &mut len);
        refused(enos_activation_reply(null(), buf, 8, n, buf, 8, n), ENOS_ERR_NULL_ARG, "activation");
        refused(enos_activation_reply(activation, null_mut(), 8, n, buf, 8, n), ENOS_ERR_NULL_ARG, "topic");
        refused(enos_activation_reply(activation, buf, 8, null_mut(), buf, 8, n), ENOS_ERR_NULL_ARG, "topic_len");
        refused(enos_activation_reply(activation, buf, 8, n, null_mut(), 8, n), ENOS_ERR_NULL_ARG, "payload");
        refused(enos_activation_reply(activation, buf, 8, n, buf, 8, null_mut()), ENOS_ERR_NULL_ARG, "payload_len");
        enos_activation_free(activation);
    }
}

#[test]
fn other_messages_are_not_taken_for_activations() {
    refused(parse(c"/other", ACTIVATION).0, ENOS_ERR_NOT_ACTIVATION, "topic");
    refused(parse(c"/ext/session/pk/x/thing/activate/info", ACTIVATION).0, ENOS_ERR_IDENTITY_MISMATCH, "another");
    refused(parse(TOPIC, c"{").0, ENOS_ERR_PARSE, "");
    let (status, out) = parse(TOPIC, c"");
    refused(status, ENOS_ERR_PARSE, "");
    assert!(out.is_null(), "nothing is written on failure");
}

#[test]
fn parsing_an_activation_checks_its_arguments() {
    let mut out = null_mut();
    let (pk, dk, t, p) = (c"pk".as_ptr(), c"dk".as_ptr(), TOPIC.as_ptr(), ACTIVATION.as_ptr().cast::<u8>());
    let n = NUL_TERMINATED;
    // SAFETY: texts, NULL, and lengths that are refused before they are used.
    unsafe {
        refused(enos_activation_parse(null(), dk, t, n, p, n, &mut out), ENOS_ERR_NULL_ARG, "product_key");
        refused(enos_activation_parse(pk, null(), t, n, p, n, &mut out), ENOS_ERR_NULL_ARG, "device_key");
        refused(enos_activation_parse(pk, dk, null(), n, p, n, &mut out), ENOS_ERR_NULL_ARG, "topic");
        refused(enos_activation_parse(pk, dk, t, n, null(), 1, &mut out), ENOS_ERR_NULL_ARG, "payload");
        refused(enos_activation_parse(pk, dk, t, n, p, n, null_mut()), ENOS_ERR_NULL_ARG, "out");
        refused(enos_activation_parse(BAD_UTF8, dk, t, n, p, n, &mut out), ENOS_ERR_INVALID_ARG, "product_key");
        refused(enos_activation_parse(pk, c"".as_ptr(), t, n, p, n, &mut out), ENOS_ERR_INVALID_ARG, "device_key");
        refused(enos_activation_parse(pk, dk, t, n + 1, p, n, &mut out), ENOS_ERR_INVALID_ARG, "topic");
        refused(enos_activation_parse(pk, dk, t, n, p, n + 1, &mut out), ENOS_ERR_INVALID_ARG, "payload");
        refused(enos_activation_parse(pk, dk, null(), 0, null(), 0, &mut out), ENOS_ERR_NOT_ACTIVATION, "topic");
        assert!(out.is_null());

        enos_activation_free(null_mut());
        assert!(enos_activation_product_key(null()).is_null());
        assert!(enos_activation_device_key(null()).is_null());
        assert!(enos_activation_device_secret(null()).is_null());
        assert!(enos_activation_asset_id(null()).is_null());
    }
}
