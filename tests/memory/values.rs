//! Reading JSON does not allocate, and building it does not once the builder has its memory.

use std::ffi::CStr;
use std::ptr::{null, null_mut};

use enos::internals::error::Status::*;
use enos::internals::ffi::json::*;
use enos::internals::ffi::value::*;

use crate::allocations::{allocations, refusing};

/// The size of the allocations that are refused. Smaller ones are for the words of an error.
const LARGE: usize = 8 * 1024;

const NOTHING: enos_value = enos_value { text: null(), len: 0 };

fn parse(text: &str) -> enos_value {
    let mut value = NOTHING;
    // SAFETY: a text with its length, and a place for the value.
    assert_eq!(unsafe { enos_value_parse(text.as_ptr().cast(), text.len(), &mut value) }, 0);
    value
}

fn members(count: usize) -> String {
    let members: Vec<_> =
        (0..count).map(|n| format!("\"k\\u0065y{n}\":{{\"a\":[{n}.5e1],\"b\":\"\\ud83d\\ude00\"}}")).collect();
    format!("{{{}}}", members.join(","))
}

#[test]
fn reading_does_not_allocate() {
    // The message of the last failure has its memory from here on.
    assert!(unread("[1e400]"));
    // 2 more keys are open in each member.
    let few = members(30);
    assert_eq!(allocations(|| assert_eq!(parse(&few).len, few.len())), 0);
    // For more keys there is one list of their places, which doubles.
    let many = members(1_000);
    assert!((1..=6).contains(&allocations(|| assert_eq!(parse(&many).len, many.len()))));
    let all = parse(&few);
    let count = allocations(|| {
        let (mut cursor, mut key, mut item, mut len) = (0, NOTHING, NOTHING, 0);
        let mut buffer = [0; 16];
        let mut double = 0.0;
        // SAFETY: values, texts and places for the results.
        unsafe {
            while enos_value_next(all, &mut cursor, &mut key, &mut item) == 1 {
                assert_eq!(enos_value_text(key, buffer.as_mut_ptr(), buffer.len(), &mut len), 0);
                assert_eq!(enos_value_double(enos_value_at(item, c"/a/0".as_ptr()), &mut double), 0);
                assert_ne!(enos_value_double(enos_value_at(item, c"/b".as_ptr()), &mut double), 0);
                assert_eq!(enos_value_equals(enos_value_at(item, c"/b".as_ptr()), c"x".as_ptr(), 1), 0);
            }
            assert_eq!(enos_value_count(all), 30);
        }
    });
    assert_eq!(count, 0);
}

fn unread(text: &str) -> bool {
    let mut value = NOTHING;
    // SAFETY: a text with its length, and a place for the value.
    unsafe { enos_value_parse(text.as_ptr().cast(), text.len(), &mut value) != 0 }
}

/// A post of each kind of value, with any numbers.
///
/// # Safety
/// `json` is a builder.
unsafe fn post(json: *mut enos_json, seed: i64) {
    const KEYS: [&CStr; 4] = [c"temperature", c"power", c"state", c"meter"];
    // SAFETY: the caller's promise, and texts.
    unsafe {
        enos_json_clear(json);
        enos_json_begin_measurepoints(json, 1_700_000_000_000);
        enos_json_float(json, KEYS[0].as_ptr(), 21.1 + seed as f32);
        enos_json_begin_point(json, KEYS[1].as_ptr(), 9);
        enos_json_double(json, null(), 1500.5 * seed as f64);
        enos_json_end(json);
        enos_json_int(json, KEYS[2].as_ptr(), seed);
        enos_json_text_lossy(json, KEYS[3].as_ptr(), c"\xB0C".as_ptr(), 2);
        enos_json_raw(json, c"raw".as_ptr(), c"{\"a\":[1,{\"b\":2}]}".as_ptr(), 17);
        enos_json_end(json);
        let mut text = null();
        assert_eq!(enos_json_result(json, &mut text, null_mut()), 0);
    }
}

#[test]
fn building_does_not_allocate_once_it_is_warm() {
    let mut json = null_mut();
    // SAFETY: a place for the builder, which is freed once.
    unsafe {
        assert_eq!(enos_json_new(&mut json), 0);
        post(json, 1_000_000_000);
        assert_eq!(allocations(|| (0..1_000).for_each(|seed| post(json, seed))), 0);
        enos_json_free(json);
    }
}

/// Without memory for a part of it, there is no text, and not a shorter one.
#[test]
fn a_text_without_memory_is_an_error_that_stays() {
    let long = "x".repeat(LARGE);
    let mut json = null_mut();
    // SAFETY: a place for the builder, which is freed once; texts with their lengths.
    unsafe {
        assert_eq!(enos_json_new(&mut json), 0);
        let put = |from: usize| {
            enos_json_clear(json);
            enos_json_begin_array(json, null());
            for number in 0..4 {
                let text = || enos_json_text(json, null(), long.as_ptr().cast(), long.len());
                if number >= from {
                    refusing(LARGE, text)
                } else {
                    text()
                };
            }
            enos_json_end(json);
            let (mut text, mut len) = (null(), 0);
            (enos_json_result(json, &mut text, &mut len), len)
        };
        assert_eq!(put(0), (ENOS_ERR_NO_MEMORY as i32, 0));
        // With room for one text only.
        assert_eq!(put(1), (ENOS_ERR_NO_MEMORY as i32, 0));
        assert_eq!(put(4), (0, 4 * (LARGE + 2) + 5));
        // It has its memory now.
        assert_eq!(put(0), (0, 4 * (LARGE + 2) + 5));
        enos_json_free(json);
    }
    let many = members(10_000);
    let mut value = NOTHING;
    // SAFETY: a text with its length, and a place for the value.
    let status = refusing(LARGE, || unsafe { enos_value_parse(many.as_ptr().cast(), many.len(), &mut value) });
    assert_eq!((status, value.len), (ENOS_ERR_NO_MEMORY as i32, 0));
}
