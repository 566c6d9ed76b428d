//! Building JSON: the params of a request or the data of an answer, without a JSON library. It can be used without a
//! client as well. If your firmware has a JSON library of its own, you do not need these functions: the other functions
//! accept and return JSON as text.
//!
//! A builder appends to one text. Begin an object or an array, put members, end it. Most calls return nothing: the
//! builder keeps the first error, and ignores later calls. enos_json_result(), or the call that uses the text, returns
//! that error and names the key at which it happened. So one check at the end is enough, and an incomplete text is
//! never used.
//!
//! A member of an object has a key. An element of an array and the outermost value have none (NULL). The result is
//! always valid JSON: valid UTF-8, no key twice in an object, at most 64 levels. It does not depend on the locale.
//!
//! Only one thread at a time may use a builder. All calls are allowed in an event callback.

use std::ffi::{c_char, c_void};

use super::guard::{getter, guard};
use super::handle::Boxed;
use super::input::{bytes, optional_text};
use super::output::Out;
use super::status::enos_status;
use super::value::{enos_value, view};
use crate::error::{Result, Status};
use crate::log::{self, Level};
use crate::model::nonfinite::Nonfinite;
use crate::protocol::json::write::Builder;

/// A builder of JSON: opaque. enos_json_new() makes it, and it is yours until enos_json_free().
pub struct enos_json {
    builder: Builder,
}

impl Boxed for enos_json {}

impl enos_json {
    /// The whole text, or the first error.
    pub(super) fn text(&self) -> Result<&str> {
        self.builder.result()
    }
}

/// ENOS_NO_TIME in the header.
const NO_TIME: i64 = i64::MIN;

/// Runs a put. An invalid key becomes an error of the text.
///
/// # Safety
/// `json` is NULL or a builder that nobody else uses, `key` NULL or a NUL-terminated text.
unsafe fn put(json: *mut enos_json, key: *const c_char, put: impl FnOnce(&mut Builder, Option<&str>)) {
    getter((), || {
        // SAFETY: the caller's promise.
        let Ok(json) = (unsafe { enos_json::borrow_mut(json, "json") }) else { return };
        // SAFETY: the caller's promise.
        match unsafe { optional_text(key, "key") } {
            Ok(key) => {
                let before = json.builder.left_out();
                put(&mut json.builder, key);
                if json.builder.left_out() > before {
                    let name = key.or(json.builder.point()).unwrap_or_default();
                    log::write(Level::Info, "json", format_args!("{name}: a number that is not finite is left out"));
                }
            }
            Err(error) => json.builder.fail(None, error.status, error.message),
        }
    });
}

/// Makes an empty builder.
///
/// @param out  receives the builder. Free it with enos_json_free().
/// @retval ENOS_OK  made.
#[no_mangle]
pub unsafe extern "C" fn enos_json_new(out: *mut *mut enos_json) -> enos_status {
    guard(|| {
        // SAFETY: the header's contract.
        let out = unsafe { Out::new(out, "out") }?;
        out.set(enos_json { builder: Builder::default() }.give());
        Ok(())
    })
}

/// Frees a builder, and the text that enos_json_result() returned.
///
/// @param json  may be NULL.
#[no_mangle]
pub unsafe extern "C" fn enos_json_free(json: *mut enos_json) {
    // SAFETY: the header's contract.
    getter((), || unsafe { enos_json::free(json) });
}

/// Empties a builder and clears its error. The builder keeps its memory: if the next text has the same size, it does
/// not allocate.
///
/// @param json  may be NULL.
#[no_mangle]
pub unsafe extern "C" fn enos_json_clear(json: *mut enos_json) {
    // SAFETY: the header's contract.
    unsafe { put(json, std::ptr::null(), |json, _| json.clear()) }
}

/// Chooses what happens to NaN and the infinities from now on. enos_json_clear() does not change it.
///
/// @param json    may be NULL.
/// @param policy  one of enum enos_nonfinite. Another number becomes an error of the text. The default is
///                ENOS_NONFINITE_ERROR.
#[no_mangle]
pub unsafe extern "C" fn enos_json_set_nonfinite(json: *mut enos_json, policy: i32) {
    // SAFETY: the header's contract.
    unsafe {
        put(json, std::ptr::null(), |json, _| match Nonfinite::from_number(policy) {
            Some(policy) => json.set_nonfinite(policy),
            None => {
                let status = Status::ENOS_ERR_INVALID_ARG;
                json.fail(None, status, format_args!("{policy} is not one of enum enos_nonfinite"));
            }
        });
    }
}

/// Begins an object.
///
/// @param json  may be NULL.
/// @param key   the member's key in an object, otherwise NULL.
#[no_mangle]
pub unsafe extern "C" fn enos_json_begin_object(json: *mut enos_json, key: *const c_char) {
    // SAFETY: the header's contract.
    unsafe { put(json, key, Builder::begin_object) }
}

/// Begins an array.
///
/// @param json  may be NULL.
/// @param key   the member's key in an object, otherwise NULL.
#[no_mangle]
pub unsafe extern "C" fn enos_json_begin_array(json: *mut enos_json, key: *const c_char) {
    // SAFETY: the header's contract.
    unsafe { put(json, key, Builder::begin_array) }
}

/// Begins the params of a post of measure points: {"measurepoints":{...},"time":...}. Members follow, with the id as
/// the key. Each is a value or a point (enos_json_begin_point()). One enos_json_end() closes all of it.
///
/// It is the outermost value, or, in a batch, an element of the array that enos_json_begin_array() has begun.
///
/// @param json     may be NULL.
/// @param time_ms  when they were measured, in milliseconds since 1970. With ENOS_NO_TIME there is no time, and EnOS
///                 takes the time of arrival.
#[no_mangle]
pub unsafe extern "C" fn enos_json_begin_measurepoints(json: *mut enos_json, time_ms: i64) {
    let time = (time_ms != NO_TIME).then_some(time_ms);
    // SAFETY: the header's contract.
    unsafe { put(json, std::ptr::null(), |json, key| json.begin_measurepoints(key, time)) }
}

/// Begins a measure point with a quality: "id":{"value":...,"quality":...}. Then put one value without a key, and call
/// enos_json_end().
///
/// @param json     may be NULL.
/// @param id       the id of the measure point.
/// @param quality  EnOS documents 0 to 9; a negative number leaves it out.
#[no_mangle]
pub unsafe extern "C" fn enos_json_begin_point(json: *mut enos_json, id: *const c_char, quality: i32) {
    let quality = (quality >= 0).then_some(quality);
    // SAFETY: the header's contract.
    unsafe {
        put(json, id, |json, id| match id {
            Some(id) => json.begin_point(id, quality),
            None => json.fail(None, Status::ENOS_ERR_NULL_ARG, "id is NULL"),
        });
    }
}

/// Ends the innermost object, array, measure point or post.
///
/// @param json  may be NULL.
#[no_mangle]
pub unsafe extern "C" fn enos_json_end(json: *mut enos_json) {
    // SAFETY: the header's contract.
    unsafe { put(json, std::ptr::null(), |json, _| json.end()) }
}

/// # Safety
/// As for [`put`]; `text` is NULL, or points to `len` bytes or to a NUL-terminated text.
unsafe fn put_text(
    json: *mut enos_json,
    key: *const c_char,
    text: *const c_char,
    len: usize,
    write: impl FnOnce(&mut Builder, Option<&str>, &[u8]),
) {
    // SAFETY: the caller's promise.
    unsafe {
        put(json, key, |json, key| match bytes(text.cast::<c_void>(), len, "text") {
            Ok(bytes) => write(json, key, bytes),
            Err(error) => json.fail(key, error.status, error.message),
        });
    }
}

/// Puts a text.
///
/// @param json  may be NULL.
/// @param key   the member's key in an object, otherwise NULL.
/// @param text  UTF-8, which is checked: invalid bytes become an error of the text. It may contain NULs.
/// @param len   in bytes, or ENOS_NUL_TERMINATED.
#[no_mangle]
pub unsafe extern "C" fn enos_json_text(json: *mut enos_json, key: *const c_char, text: *const c_char, len: usize) {
    // SAFETY: the header's contract.
    unsafe {
        put_text(json, key, text, len, |json, key, bytes| match std::str::from_utf8(bytes) {
            Ok(text) => json.text(key, text),
            Err(error) => {
                let at = error.valid_up_to();
                json.fail(
                    key,
                    Status::ENOS_ERR_INVALID_ARG,
                    format_args!("its byte {at} begins no character of UTF-8"),
                );
            }
        });
    }
}

/// Puts a text that may not be UTF-8, such as one from a meter. Invalid bytes are replaced by U+FFFD.
///
/// @param json  may be NULL.
/// @param key   the member's key in an object, otherwise NULL.
/// @param text  any bytes.
/// @param len   in bytes, or ENOS_NUL_TERMINATED.
#[no_mangle]
pub unsafe extern "C" fn enos_json_text_lossy(
    json: *mut enos_json,
    key: *const c_char,
    text: *const c_char,
    len: usize,
) {
    // SAFETY: the header's contract.
    unsafe { put_text(json, key, text, len, Builder::text_lossy) }
}

/// Puts a whole number.
///
/// @param json   may be NULL.
/// @param key    the member's key in an object, otherwise NULL.
/// @param value  written exactly. A reader that uses doubles rounds numbers beyond 2^53.
#[no_mangle]
pub unsafe extern "C" fn enos_json_int(json: *mut enos_json, key: *const c_char, value: i64) {
    // SAFETY: the header's contract.
    unsafe { put(json, key, |json, key| json.int(key, value)) }
}

/// Puts a whole number that is not negative, as enos_json_int() does.
///
/// @param json   may be NULL.
/// @param key    the member's key in an object, otherwise NULL.
/// @param value  the number.
#[no_mangle]
pub unsafe extern "C" fn enos_json_uint(json: *mut enos_json, key: *const c_char, value: u64) {
    // SAFETY: the header's contract.
    unsafe { put(json, key, |json, key| json.int(key, value)) }
}

/// Puts a double: the fewest digits that read back as this double, at most 24 bytes. 100.0 is written as 100.
///
/// @param json   may be NULL.
/// @param key    the member's key in an object, otherwise NULL.
/// @param value  the number. For NaN and the infinities, see enos_json_set_nonfinite().
#[no_mangle]
pub unsafe extern "C" fn enos_json_double(json: *mut enos_json, key: *const c_char, value: f64) {
    // SAFETY: the header's contract.
    unsafe { put(json, key, |json, key| json.double(key, value)) }
}

/// Puts a float: the fewest digits that read back as this float. 21.1f is written as 21.1. enos_json_double() would
/// write 21.100000381469727.
///
/// @param json   may be NULL.
/// @param key    the member's key in an object, otherwise NULL.
/// @param value  the number. For NaN and the infinities, see enos_json_set_nonfinite().
#[no_mangle]
pub unsafe extern "C" fn enos_json_float(json: *mut enos_json, key: *const c_char, value: f32) {
    // SAFETY: the header's contract.
    unsafe { put(json, key, |json, key| json.float(key, value)) }
}

/// Puts true or false.
///
/// @param json   may be NULL.
/// @param key    the member's key in an object, otherwise NULL.
/// @param value  0 is false, any other number is true.
#[no_mangle]
pub unsafe extern "C" fn enos_json_bool(json: *mut enos_json, key: *const c_char, value: i32) {
    // SAFETY: the header's contract.
    unsafe { put(json, key, |json, key| json.bool(key, value != 0)) }
}

/// Puts null.
///
/// @param json  may be NULL.
/// @param key   the member's key in an object, otherwise NULL.
#[no_mangle]
pub unsafe extern "C" fn enos_json_null(json: *mut enos_json, key: *const c_char) {
    // SAFETY: the header's contract.
    unsafe { put(json, key, Builder::null) }
}

/// Puts JSON that is already encoded. It is checked as in enos_value_parse(); if it is invalid, that is an error of the
/// text.
///
/// @param json  may be NULL.
/// @param key   the member's key in an object, otherwise NULL.
/// @param text  one JSON value.
/// @param len   in bytes, or ENOS_NUL_TERMINATED.
#[no_mangle]
pub unsafe extern "C" fn enos_json_raw(json: *mut enos_json, key: *const c_char, text: *const c_char, len: usize) {
    // SAFETY: the header's contract.
    unsafe { put_text(json, key, text, len, Builder::raw) }
}

/// Puts a part of a received message, as enos_json_raw() does. If the value does not exist, that is an error of the
/// text.
///
/// @param json   may be NULL.
/// @param key    the member's key in an object, otherwise NULL.
/// @param value  the part.
#[no_mangle]
pub unsafe extern "C" fn enos_json_value(json: *mut enos_json, key: *const c_char, value: enos_value) {
    // SAFETY: the header's contract.
    unsafe {
        put(json, key, |json, key| match view(&value) {
            Ok(text) => json.raw(key, text),
            Err((status, words)) => json.fail(key, status, words),
        });
    }
}

/// The length of the text so far, for example to see if another reading fits.
///
/// @param json  may be NULL.
/// @return  the length in bytes; 0 for NULL.
#[no_mangle]
pub unsafe extern "C" fn enos_json_size(json: *const enos_json) -> usize {
    // SAFETY: the header's contract.
    getter(0, || unsafe { enos_json::borrow(json, "json") }.map_or(0, |json| json.builder.size()))
}

/// How many numbers were left out since the builder was cleared: see ENOS_NONFINITE_LEAVE_OUT.
///
/// @param json  may be NULL.
/// @return  the count; 0 for NULL.
#[no_mangle]
pub unsafe extern "C" fn enos_json_left_out(json: *const enos_json) -> u32 {
    // SAFETY: the header's contract.
    getter(0, || unsafe { enos_json::borrow(json, "json") }.map_or(0, |json| json.builder.left_out()))
}

/// The whole text, or the first error.
///
/// @param json  the builder.
/// @param text  receives the text, with a NUL after it. It belongs to the builder, and is valid until the builder is
///              changed or freed.
/// @param len   receives its length in bytes, without the NUL; may be NULL.
/// @retval ENOS_OK                the text is complete.
/// @retval ENOS_ERR_STATE         something is still open, nothing was put, or a put was not allowed where it was made:
///                                a key was missing, unexpected or used twice, or it was a second value.
/// @retval ENOS_ERR_INVALID_ARG   a text or key is not UTF-8, or a number is not finite.
/// @retval ENOS_ERR_PARSE         JSON that was put as such is invalid.
/// @retval ENOS_ERR_NOT_FOUND     a value was missing.
/// @retval ENOS_ERR_TOO_LARGE     more than 64 levels.
#[no_mangle]
pub unsafe extern "C" fn enos_json_result(
    json: *const enos_json,
    text: *mut *const c_char,
    len: *mut usize,
) -> enos_status {
    guard(|| {
        // SAFETY: the header's contract.
        let (json, text, len) =
            unsafe { (enos_json::borrow(json, "json")?, Out::new(text, "text")?, Out::optional(len)) };
        let result = json.builder.result()?;
        text.set(result.as_ptr().cast());
        if let Some(len) = len {
            len.set(result.len());
        }
        Ok(())
    })
}
