//! Values, where the documents of JSON leave a choice, or where firmware had bad surprises with other libraries.

mod verdicts;

use std::ffi::CString;
use std::ptr::{null, null_mut};
use std::thread;

use enos::internals::error::Status::*;
use enos::internals::ffi::json::*;
use enos::internals::ffi::log::enos_log_level::ENOS_LOG_INFO;
use enos::internals::ffi::value::*;
use enos::internals::protocol::envelope;
use support::alone::alone;
use support::broker::nobody;
use support::host::{last_error, Setup};
use support::log;
use verdicts::{BAD, GOOD, OPEN};

const NOTHING: enos_value = enos_value { text: null(), len: 0 };

fn parse(text: &[u8]) -> (i32, enos_value) {
    let mut value = NOTHING;
    // SAFETY: bytes with their length, which outlive the value, and a place for it.
    let status = unsafe { enos_value_parse(text.as_ptr().cast(), text.len(), &mut value) };
    (status, value)
}

/// The status of the builder's text, and the text.
fn build(calls: impl FnOnce(*mut enos_json)) -> (i32, String) {
    let (mut json, mut text, mut len) = (null_mut(), null(), 0);
    // SAFETY: places for the builder and its text; it is freed once, after the text was copied.
    unsafe {
        assert_eq!(enos_json_new(&mut json), 0);
        calls(json);
        let status = enos_json_result(json, &mut text, &mut len);
        let bytes = if status == 0 { std::slice::from_raw_parts(text.cast::<u8>(), len) } else { &[] };
        let text = std::str::from_utf8(bytes).expect("UTF-8").to_owned();
        enos_json_free(json);
        (status, text)
    }
}

fn at(value: enos_value, pointer: &str) -> enos_value {
    let pointer = CString::new(pointer).unwrap();
    // SAFETY: a value, and a text.
    unsafe { enos_value_at(value, pointer.as_ptr()) }
}

/// The JSON of a value whose text is constant; "" for nothing.
fn source(value: enos_value) -> &'static str {
    if value.len == 0 {
        return "";
    }
    // SAFETY: the bytes of the constant text.
    let bytes = unsafe { std::slice::from_raw_parts(value.text.cast(), value.len) };
    std::str::from_utf8(bytes).expect("UTF-8")
}

fn text(value: enos_value) -> Result<Vec<u8>, i32> {
    let mut buffer = vec![0u8; 1000];
    let mut len = 0;
    // SAFETY: a value, a buffer with its size, and a place for the length.
    match unsafe { enos_value_text(value, buffer.as_mut_ptr().cast(), buffer.len(), &mut len) } {
        0 => Ok(buffer[..len].to_vec()),
        status => Err(status),
    }
}

/// What is read, what is put as ready JSON, and what EnOS is sent, are judged alike.
#[test]
fn one_verdict_for_each_text_in_both_directions() {
    let good = GOOD.iter().map(|text| (text.as_bytes(), true));
    let bad = BAD.iter().map(|text| (*text, false));
    for (json, expected) in good.chain(bad).chain(OPEN.iter().copied()) {
        let shown = String::from_utf8_lossy(json);
        assert_eq!(parse(json).0, if expected { 0 } else { ENOS_ERR_PARSE as i32 }, "{shown}");
        // SAFETY: the builder, and bytes with their length.
        let (status, built) = build(|to| unsafe { enos_json_raw(to, null(), json.as_ptr().cast(), json.len()) });
        assert_eq!(status, if expected { 0 } else { ENOS_ERR_PARSE as i32 }, "{shown}");
        assert!(!expected || built.as_bytes() == json.trim_ascii(), "{shown}");
        let params = [b"{\"p\":", json, b"}"].concat();
        // In the middle of a message, some of the bad texts would end it.
        let sent = envelope::answer(None, 200, Some(json), None).is_ok();
        assert_eq!(sent, expected, "{shown}");
        assert!(!expected || parse(&params).0 == 0, "{shown}");
    }
}

/// One dead sensor of forty: the post has the other 39, and the log names it.
#[test]
fn a_number_that_is_not_finite_costs_no_other_point() {
    alone(|| {
        assert_eq!(log::listen(ENOS_LOG_INFO as i32), 0);
        let host = Setup::device(nobody()).create();
        // SAFETY: the builder, and texts.
        let (status, text) = build(|json| unsafe {
            enos_json_set_nonfinite(json, 2);
            enos_json_begin_measurepoints(json, 1);
            for point in 0..40 {
                let key = CString::new(format!("sensor{point}")).unwrap();
                enos_json_double(json, key.as_ptr(), if point == 17 { f64::NAN } else { 0.5 });
            }
            enos_json_end(json);
            assert_eq!(enos_json_left_out(json), 1);
        });
        assert_eq!((status, text.matches("sensor").count()), (0, 39));
        assert!(!text.contains("sensor17\""), "{text}");
        assert_eq!(host.run_loop(0), ENOS_OK);
        assert!(log::said().contains("sensor17: a number that is not finite is left out"), "{}", log::said());
        log::stop();
    });
}

#[test]
fn keys_are_compared_byte_for_byte_and_the_first_of_two_counts() {
    let (status, keys) = parse(br#"{"Power":1,"power":2,"POWER":3,"admin\u0000x":4,"a\u0308":5,"\u00e4":6}"#);
    assert_eq!(status, 0);
    for (pointer, expected) in [
        ("/Power", "1"),
        ("/power", "2"),
        ("/POWER", "3"),
        ("/a\u{308}", "5"),
        ("/\u{e4}", "6"),
        ("/admin", ""),
        ("/pOWER", ""),
    ] {
        assert_eq!(source(at(keys, pointer)), expected, "{pointer}");
    }
    let admin = parse(br#""admin\u0000x""#).1;
    // SAFETY: a value, and texts with their lengths.
    let equals = |text: &str| unsafe { enos_value_equals(admin, text.as_ptr().cast(), text.len()) };
    assert_eq!((equals("admin"), equals("admin\0x")), (0, 1));
    // A pointer and a walk agree on an unchecked text.
    let twice = br#"{"a":{"b":1,"b":2},"a":3}"#;
    let twice = enos_value { text: twice.as_ptr().cast(), len: twice.len() };
    let (mut cursor, mut key, mut first) = (0, NOTHING, NOTHING);
    // SAFETY: a value, and places for the cursor, the key and the member.
    assert_eq!(unsafe { enos_value_next(twice, &mut cursor, &mut key, &mut first) }, 1);
    assert_eq!(at(twice, "/a").text, first.text);
    assert_eq!(at(at(twice, "/a"), "/b").len, 1);
}

/// Texts from meters: single bytes, cut and overlong characters, another encoding.
#[test]
fn bytes_that_are_not_utf8_are_refused_with_their_place_or_replaced() {
    let mut texts: Vec<Vec<u8>> = (0..=255).map(|byte| vec![b'x', byte]).collect();
    texts.extend(
        [&b"\xE4\xB8"[..], b"\xC0\x80", b"\xED\xA0\x80", b"\xF4\x90\x80\x80", b"\xB2\xE2\xCA\xD4"].map(<[u8]>::to_vec),
    );
    for bytes in texts {
        let put = |lossy: bool| {
            // SAFETY: the builder, and texts with their lengths.
            build(|json| unsafe {
                enos_json_begin_object(json, null());
                let put = if lossy { enos_json_text_lossy } else { enos_json_text };
                put(json, c"meter".as_ptr(), bytes.as_ptr().cast(), bytes.len());
                enos_json_end(json);
            })
        };
        let good = std::str::from_utf8(&bytes);
        let (status, strict) = put(false);
        let words = last_error();
        match good {
            Ok(good) => {
                assert_eq!(status, 0);
                assert_eq!(text(at(parse(strict.as_bytes()).1, "/meter")), Ok(good.as_bytes().to_vec()));
            }
            Err(error) => {
                assert_eq!(status, ENOS_ERR_INVALID_ARG as i32);
                assert!(words.contains(&format!("\"meter\": its byte {}", error.valid_up_to())), "{words}");
            }
        }
        let (status, lossy) = put(true);
        assert_eq!(status, 0);
        let expected = String::from_utf8_lossy(&bytes).into_owned().into_bytes();
        assert_eq!(text(at(parse(lossy.as_bytes()).1, "/meter")), Ok(expected));
    }
}

/// The same limit in both directions, and no recursion: on a small stack.
#[test]
fn levels_are_limited_on_a_small_stack() {
    let levels = || {
        for (levels, expected) in [(63, 0), (64, 0), (65, ENOS_ERR_PARSE as i32), (1_000_000, ENOS_ERR_PARSE as i32)] {
            let nested = [b"[".repeat(levels), b"]".repeat(levels)].concat();
            assert_eq!(parse(&nested).0, expected, "{levels}");
            let unchecked = enos_value { text: nested.as_ptr().cast(), len: nested.len() };
            // SAFETY: bytes with their length.
            let count = unsafe { enos_value_count(unchecked) };
            assert_eq!(count == 1, levels <= 65, "{levels}");
            // SAFETY: the builder.
            let (status, text) = build(|json| unsafe {
                (0..levels).for_each(|_| enos_json_begin_array(json, null()));
                (0..levels).for_each(|_| enos_json_end(json));
            });
            assert_eq!(status, if expected == 0 { 0 } else { ENOS_ERR_TOO_LARGE as i32 }, "{levels}");
            assert!(status != 0 || text.as_bytes() == nested);
        }
    };
    thread::Builder::new().stack_size(64 * 1024).spawn(levels).unwrap().join().unwrap();
}
