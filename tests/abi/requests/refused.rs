//! Requests that cannot be right, refused before they are sent.

use std::ptr::{null, null_mut};

use enos::internals::error::Status::{self, *};
use enos::internals::ffi::json::*;
use enos::internals::ffi::request::{enos_client_request_batch, enos_request};
use enos::internals::protocol::Operation::{self, *};
use support::broker::*;
use support::host::*;
use support::scene::Scene;

/// The client goes on after each refusal, and nothing was sent.
fn nothing_was_sent(scene: &mut Scene) {
    scene.host.publish("marker", b"", 0).unwrap();
    assert_eq!(scene.peer.expect(PUBLISH).topic(), "marker");
    scene.host.expect("DELIVERED");
    assert!(scene.host.take().is_none());
}

#[test]
fn each_wrong_request_is_refused_in_words() {
    let mut scene = Scene::new();
    let of = |operation: Operation| Ask::of(operation);
    let named = |operation, name| Ask { name: Some(name), ..Ask::of(operation) };
    let query = ENOS_OP_ATTRIBUTE_QUERY;
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let deep = Ask::json(ENOS_OP_TAG_UPDATE, &deep);
    let (bad_utf8, large) = (&b"{\"a\":\"\xFF\"}"[..], vec![b'x'; 524_288]);
    let large_json = format!(r#"{{"a":"{}"}}"#, "x".repeat(524_288 - 70));
    let cases: &[(Ask, Status, &str)] = &[
        (Ask { operation: 0, ..of(query) }, ENOS_ERR_INVALID_ARG, "operation is 0"),
        (Ask { operation: 99, ..of(query) }, ENOS_ERR_INVALID_ARG, "operation is 99"),
        (Ask { operation: -1, ..of(query) }, ENOS_ERR_INVALID_ARG, "operation is -1"),
        (named(query, "x"), ENOS_ERR_INVALID_ARG, "has no name of its own"),
        (of(ENOS_OP_EVENT_POST), ENOS_ERR_INVALID_ARG, "needs a name"),
        (named(ENOS_OP_EVENT_POST, "a/b"), ENOS_ERR_INVALID_ARG, "one level"),
        (named(ENOS_OP_EVENT_POST, "+"), ENOS_ERR_INVALID_ARG, "name"),
        (of(ENOS_OP_OTHER), ENOS_ERR_INVALID_ARG, "name is empty"),
        (named(ENOS_OP_OTHER, "/thing/x"), ENOS_ERR_INVALID_ARG, "empty level"),
        (named(ENOS_OP_OTHER, "thing/model/up_raw"), ENOS_ERR_INVALID_ARG, "ENOS_OP_RAW_UP"),
        (of(ENOS_OP_PUBLISH), ENOS_ERR_INVALID_ARG, "topic is empty"),
        (named(ENOS_OP_PUBLISH, "a/#"), ENOS_ERR_INVALID_ARG, "'#'"),
        (Ask::json(query, "[]"), ENOS_ERR_INVALID_ARG, "takes an object"),
        (Ask::json(ENOS_OP_TAG_UPDATE, "{}"), ENOS_ERR_INVALID_ARG, "takes an array"),
        (Ask::json(query, "1"), ENOS_ERR_INVALID_ARG, "neither a JSON object nor a JSON array"),
        (Ask::json(query, "{"), ENOS_ERR_INVALID_ARG, "params"),
        (Ask::json(query, ""), ENOS_ERR_INVALID_ARG, "params"),
        (Ask::json(query, r#"{"a":[{"b":1,"b":2}]}"#), ENOS_ERR_INVALID_ARG, "member of an object twice"),
        (Ask::json(query, r#"{"a":1,"\u0061":2}"#), ENOS_ERR_INVALID_ARG, "member of an object twice"),
        (deep, ENOS_ERR_INVALID_ARG, "deeper than 64 levels"),
        (Ask { params: Some(bad_utf8), ..of(query) }, ENOS_ERR_INVALID_ARG, "params"),
        (Ask { params: Some(&large), ..of(ENOS_OP_RAW_UP) }, ENOS_ERR_TOO_LARGE, "524288"),
        (Ask::json(query, &large_json), ENOS_ERR_TOO_LARGE, "EnOS takes at most 524287"),
        (Ask { subdevice: 5, ..of(query) }, ENOS_ERR_NOT_FOUND, "sub-device 5"),
        (Ask { flags: 0x200, ..of(query) }, ENOS_ERR_INVALID_ARG, "ENOS_OP_ATTRIBUTE_QUERY does not take 0x200"),
        (Ask { flags: 1 << 31, ..of(query) }, ENOS_ERR_INVALID_ARG, "not known"),
        (Ask { flags: UNTIL_REPLY, ..of(query) }, ENOS_ERR_INVALID_ARG, "ENOS_REQUEST_DURABLE"),
        (Ask { flags: DURABLE, ..of(query) }, ENOS_ERR_INVALID_ARG, "cannot be durable"),
        (of(ENOS_OP_SUBDEVICE_LOGIN), ENOS_ERR_UNSUPPORTED, "enos_client_add_subdevices()"),
        (of(ENOS_OP_INTEGRATION_RAW_UP), ENOS_ERR_UNSUPPORTED, "only an integration channel"),
    ];
    for (ask, status, words) in cases {
        assert_eq!(scene.host.request(ask), Err(*status), "{ask:?}");
        assert!(last_error().contains(words), "{ask:?}: {}", last_error());
    }
    // SAFETY: texts that live during the calls.
    for bad in [c"\xFF".as_ptr(), c"a\xC0\x80".as_ptr()] {
        let request = enos_request_with(|request| request.name = bad);
        assert_eq!(scene.host.request_c(&request), Err(ENOS_ERR_INVALID_ARG));
        assert!(last_error().contains("name is not UTF-8"), "{}", last_error());
    }
    nothing_was_sent(&mut scene);
}

fn enos_request_with(set: impl FnOnce(&mut enos_request)) -> enos_request {
    let mut request = Ask::of(ENOS_OP_EVENT_POST).as_c(Some(c"e"));
    set(&mut request);
    request
}

/// What is set in the struct, and the status and the words of the refusal.
type Case<'a> = (&'a dyn Fn(&mut enos_request), Status, &'a str);

#[test]
fn a_struct_that_contradicts_itself_is_refused() {
    let mut scene = Scene::new();
    let mut json = null_mut();
    // SAFETY: a builder that only this test uses, and structs that live during the calls.
    unsafe {
        assert_eq!(enos_json_new(&mut json), 0);
        let with_json = |request: &mut enos_request| request.json = json;
        let cases: [Case; 7] = [
            (&|request| request.struct_size = 7, ENOS_ERR_STRUCT_SIZE, "ENOS_INIT(request)"),
            (&|request| request.reserved = 1, ENOS_ERR_INVALID_ARG, "reserved"),
            (&|request| request.params_len = 3, ENOS_ERR_NULL_ARG, "params is NULL"),
            (
                &|request| (request.params, request.params_len) = (c"{}".as_ptr().cast(), usize::MAX),
                ENOS_ERR_INVALID_ARG,
                "length of params",
            ),
            (
                &|request| (request.json, request.params, request.params_len) = (json, c"{}".as_ptr().cast(), 2),
                ENOS_ERR_INVALID_ARG,
                "both set",
            ),
            (&|request| request.name = null(), ENOS_ERR_INVALID_ARG, "needs a name"),
            (
                &|request| (request.flags, request.timeout_ms) = (DURABLE, 5),
                ENOS_ERR_INVALID_ARG,
                "timeout_ms has to be 0",
            ),
        ];
        for (set, status, words) in cases {
            assert_eq!(scene.host.request_c(&enos_request_with(set)), Err(status), "{words}");
            assert!(last_error().contains(words), "{words}: {}", last_error());
        }

        // A builder that is empty, open, or has an error. It can be completed, and is then taken.
        assert_eq!(scene.host.request_c(&enos_request_with(with_json)), Err(ENOS_ERR_STATE));
        enos_json_begin_object(json, null());
        assert_eq!(scene.host.request_c(&enos_request_with(with_json)), Err(ENOS_ERR_STATE));
        assert!(last_error().contains("1 levels are open"), "{}", last_error());
        enos_json_double(json, c"load".as_ptr(), f64::NAN);
        assert_eq!(scene.host.request_c(&enos_request_with(with_json)), Err(ENOS_ERR_INVALID_ARG));
        assert!(last_error().contains("load"), "{}", last_error());
        enos_json_clear(json);
        enos_json_begin_array(json, null());
        enos_json_end(json);
        assert_eq!(scene.host.request_c(&enos_request_with(with_json)), Err(ENOS_ERR_INVALID_ARG), "not an object");
        nothing_was_sent(&mut scene);
        enos_json_clear(json);
        enos_json_begin_object(json, null());
        enos_json_int(json, c"n".as_ptr(), i64::MAX);
        enos_json_end(json);
        scene.host.request_c(&enos_request_with(with_json)).unwrap();
        enos_json_free(json);
    }
    let packet = super::next(&mut scene.peer);
    assert!(packet.payload().ends_with(br#""params":{"n":9223372036854775807}}"#));
}

#[test]
fn a_refusal_of_a_batch_says_which_request_it_is_and_what_is_wrong_with_it() {
    let host = Setup::device(nobody()).storage(&Store::new()).create();
    let size = size_of::<enos_request>();
    for (sizes, status, index, words) in [
        (
            [7, size],
            ENOS_ERR_STRUCT_SIZE,
            0,
            "requests[0]: it->struct_size is 7, which no enos_request has; set it with ENOS_INIT(it)",
        ),
        (
            [size, size - 1],
            ENOS_ERR_STRUCT_SIZE,
            1,
            &format!(
                "requests[1]: it->struct_size is {}, which no enos_request has; set it with ENOS_INIT(it)",
                size - 1
            ),
        ),
    ] {
        let requests = sizes.map(|size| {
            let time = c"{\"time\":1700000000000}";
            enos_request_with(|request| {
                (request.struct_size, request.flags) = (size, DURABLE);
                (request.params, request.params_len) = (time.as_ptr().cast(), time.count_bytes());
            })
        });
        let mut bad = 5;
        // SAFETY: structs that live during the call.
        let code = unsafe { enos_client_request_batch(host.handle(), requests.as_ptr(), 2, null_mut(), &mut bad) };
        assert_eq!((code, bad), (status as i32, index), "{}", last_error());
        assert_eq!(last_error(), words);
    }
}
