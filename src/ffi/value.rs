//! Reading JSON in place: in an event, or in a text of your own. It can be used without a client as well.
//!
//! An enos_value is a view: a pointer and a length. It is passed by value, and nothing is copied or freed. It is valid
//! as long as the text that it points into. Only enos_value_parse() allocates, and only for the time of the call, if an
//! object and those around it have more than 32 keys together.
//!
//! {NULL, 0} is a missing value. A look-up in a missing value gives a missing value, so look-ups can be chained, and
//! one check at the end is enough:
//!
//!     double power;
//!     if (enos_value_double(enos_value_at(params, "/limits/power"), &power) == ENOS_OK) ...
//!
//! The functions that read a value return ENOS_ERR_NOT_FOUND if it is missing, ENOS_ERR_INVALID_ARG if it has another
//! type, ENOS_ERR_PARSE if it is not JSON, and ENOS_ERR_TOO_LARGE if it is a number that does not fit: nothing is
//! rounded, truncated or saturated.
//!
//! Call enos_value_parse() first: it checks all of a text. Every function also accepts an unchecked value, such as
//! {payload, payload_len} of an event. Then the result may be meaningless, but the function reads nothing outside the
//! value, does not recurse, and needs time linear in its length. If an object contains a key twice, which
//! enos_value_parse() refuses, the first one counts.
//!
//! Any thread may call these functions, also in an event callback. In a storage or log callback, those that return an
//! enos_status fail with ENOS_ERR_IN_CALLBACK.

use std::ffi::{c_char, c_void};
use std::{ptr, slice};

use super::guard::{getter_without_memory, guard, guard_without_memory};
use super::input::{bytes, text};
use super::output::{Out, TextOut};
use super::status::enos_status;
use crate::error::Status;
use crate::model::value::Kind;
use crate::protocol::json::read::{self, Fault, Read};
use crate::protocol::json::strict_value;

/// A JSON value: where its text is.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct enos_value {
    /// The first byte; NULL if the value is missing. There is no NUL after the text.
    pub text: *const c_char,
    /// The length in bytes.
    pub len: usize,
}

impl enos_value {
    pub(super) const MISSING: enos_value = NOT_THERE;

    /// All of a text.
    pub(super) fn whole(text: Option<&[u8]>) -> enos_value {
        text.map_or(NOT_THERE, |text| enos_value { text: text.as_ptr().cast(), len: text.len() })
    }

    /// The value at this JSON Pointer in a payload.
    pub(super) fn at(payload: &[u8], pointer: &str) -> enos_value {
        read::at(payload, pointer.as_bytes()).map_or(NOT_THERE, |range| part(payload, range))
    }
}

const NOT_THERE: enos_value = enos_value { text: ptr::null(), len: 0 };

/// A failure whose words are constant, so that it needs no memory.
type Plain = (Status, &'static str);

const PANIC: i32 = Status::ENOS_ERR_PANIC as i32;

/// The bytes of a value. A missing value is an error.
///
/// # Safety
/// The value is {NULL, 0}, or its bytes can be read while the reference lives.
pub(super) unsafe fn view(value: &enos_value) -> std::result::Result<&[u8], Plain> {
    if value.text.is_null() {
        return Err((Status::ENOS_ERR_NOT_FOUND, "the value is missing"));
    }
    if value.len > isize::MAX as usize {
        return Err((Status::ENOS_ERR_INVALID_ARG, "the length of the value is more than there can be bytes"));
    }
    // SAFETY: the caller's promise; the length is one that a slice can have.
    Ok(unsafe { slice::from_raw_parts(value.text.cast(), value.len) })
}

fn plain(fault: Fault) -> Plain {
    match fault {
        Fault::Malformed => (Status::ENOS_ERR_PARSE, "the value is not JSON"),
        Fault::OtherKind => (Status::ENOS_ERR_INVALID_ARG, "the value is of another type"),
        Fault::OutOfRange => (Status::ENOS_ERR_TOO_LARGE, "the number does not fit"),
    }
}

/// The part of a value's bytes.
fn part(bytes: &[u8], range: std::ops::Range<usize>) -> enos_value {
    bytes.get(range).map_or(NOT_THERE, |part| enos_value { text: part.as_ptr().cast(), len: part.len() })
}

/// # Safety
/// As for [`view`]; `out` is NULL or points to a place for a `T`.
unsafe fn read<T>(value: enos_value, out: *mut T, read: impl FnOnce(&[u8]) -> Read<T>) -> enos_status {
    guard_without_memory(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::optional(out) }.ok_or((Status::ENOS_ERR_NULL_ARG, "out is NULL"))?;
        // SAFETY: likewise.
        let bytes = unsafe { view(&value) }?;
        out.set(read(bytes).map_err(plain)?);
        Ok(())
    })
}

/// Checks a text, and returns its value.
///
/// @param text  any bytes. They must stay valid as long as the value is used.
/// @param len   in bytes, or ENOS_NUL_TERMINATED.
/// @param out   receives the value.
/// @retval ENOS_OK         it is one JSON value (RFC 8259), and every reader reads it alike.
/// @retval ENOS_ERR_PARSE  it is not JSON, or more than one value; it has more than 64 levels; or it contains half of a
///                         surrogate pair, a number that is too large for a double, or an object with a key twice.
#[no_mangle]
pub unsafe extern "C" fn enos_value_parse(text: *const c_char, len: usize, out: *mut enos_value) -> enos_status {
    guard(|| {
        // SAFETY: the header's contract.
        let (out, bytes) = unsafe { (Out::new(out, "out")?, bytes(text.cast::<c_void>(), len, "text")?) };
        let (value, _) = strict_value("the text", bytes)?;
        out.set(enos_value { text: value.as_ptr().cast(), len: value.len() });
        Ok(())
    })
}

/// The part of a value that a JSON Pointer (RFC 6901) refers to: "" is the whole value, "/a/0" the first element of the
/// member "a". In a key, "~1" stands for "/" and "~0" for "~". Each call scans the value once for each level of the
/// pointer. To visit all elements, use enos_value_next().
///
/// @param value    may be missing.
/// @param pointer  the JSON Pointer.
/// @return  the part; {NULL, 0} if it is missing or the pointer is invalid. It is valid as long as value is.
#[no_mangle]
pub unsafe extern "C" fn enos_value_at(value: enos_value, pointer: *const c_char) -> enos_value {
    getter_without_memory(NOT_THERE, || {
        // SAFETY: the header's contract.
        let (Ok(bytes), Ok(pointer)) = (unsafe { (view(&value), text(pointer, "pointer")) }) else { return NOT_THERE };
        read::at(bytes, pointer.as_bytes()).map_or(NOT_THERE, |range| part(bytes, range))
    })
}

/// The type of a value.
///
/// @param value  may be missing.
/// @return  one of enum enos_value_kind; ENOS_ERR_PARSE if no JSON value begins like this.
#[no_mangle]
pub unsafe extern "C" fn enos_value_type(value: enos_value) -> i32 {
    getter_without_memory(PANIC, || {
        // SAFETY: the header's contract.
        let Ok(bytes) = (unsafe { view(&value) }) else { return Kind::ENOS_VALUE_NONE as i32 };
        read::kind(bytes).map_or(Status::ENOS_ERR_PARSE as i32, |kind| kind as i32)
    })
}

/// Iterates over an object or an array, in the order of the text.
///
///     size_t cursor = 0;
///     while (enos_value_next(params, &cursor, &key, &value) == 1) ...
///
/// @param container  an object or an array.
/// @param cursor     0 before the first call; each call advances it.
/// @param key        receives the key of the member, a text (enos_value_equals(), enos_value_text()), or {NULL, 0} for
///                   an array. May be NULL.
/// @param value      receives the member or element.
/// @return  1 if there was one; 0 if there are no more. Negative: ENOS_ERR_NOT_FOUND, ENOS_ERR_INVALID_ARG (it is
///          neither an object nor an array), ENOS_ERR_PARSE, ENOS_ERR_NULL_ARG. enos_last_error() is left as it is.
#[no_mangle]
pub unsafe extern "C" fn enos_value_next(
    container: enos_value,
    cursor: *mut usize,
    key: *mut enos_value,
    value: *mut enos_value,
) -> i32 {
    getter_without_memory(PANIC, || {
        let next = || {
            // SAFETY: the header's contract.
            let (place, key, value) = unsafe { (Out::optional(cursor), Out::optional(key), Out::optional(value)) };
            let null = (Status::ENOS_ERR_NULL_ARG, "cursor or value is NULL");
            let (place, value) = (place.ok_or(null)?, value.ok_or(null)?);
            // SAFETY: the header's contract; the cursor is not NULL, and the caller has set it.
            let (bytes, mut at) = unsafe { (view(&container)?, cursor.read_unaligned()) };
            let next = read::next(bytes, &mut at).map_err(plain)?;
            place.set(at);
            let Some(item) = next else { return Ok(0) };
            value.set(part(bytes, item.value));
            if let Some(key) = key {
                key.set(item.key.map_or(NOT_THERE, |range| part(bytes, range)));
            }
            Ok(1)
        };
        next().unwrap_or_else(|(status, _): Plain| status as i32)
    })
}

/// The number of members of an object or elements of an array.
///
/// @param container  an object or an array.
/// @return  the number. Negative: the errors of enos_value_next(), and ENOS_ERR_TOO_LARGE above 2^31 - 1.
#[no_mangle]
pub unsafe extern "C" fn enos_value_count(container: enos_value) -> i32 {
    getter_without_memory(PANIC, || {
        let count = || {
            // SAFETY: the header's contract.
            let bytes = unsafe { view(&container) }?;
            let all = read::count(bytes).map_err(plain)?;
            i32::try_from(all).map_err(|_| plain(Fault::OutOfRange))
        };
        count().unwrap_or_else(|(status, _): Plain| status as i32)
    })
}

/// Whether a value is this text, byte for byte, after its escapes are resolved. The text may contain NULs.
///
/// @param value     a text, such as a key.
/// @param expected  UTF-8.
/// @param len       in bytes, or ENOS_NUL_TERMINATED.
/// @return  1 if it is; 0 if it is another text, has another type or is missing.
#[no_mangle]
pub unsafe extern "C" fn enos_value_equals(value: enos_value, expected: *const c_char, len: usize) -> i32 {
    getter_without_memory(0, || {
        // SAFETY: the header's contract.
        let (value, expected) = unsafe { (view(&value), bytes(expected.cast::<c_void>(), len, "expected")) };
        let (Ok(value), Ok(expected)) = (value, expected) else { return 0 };
        i32::from(read::equals(value, expected))
    })
}

/// Reads a whole number. 100, 100.0 and 1e2 are the same.
///
/// @param value  the number.
/// @param out    receives it.
/// @retval ENOS_OK               read.
/// @retval ENOS_ERR_NOT_FOUND    the value is missing.
/// @retval ENOS_ERR_INVALID_ARG  it is not a whole number.
/// @retval ENOS_ERR_TOO_LARGE    it is below -2^63 or above 2^63 - 1.
/// @retval ENOS_ERR_PARSE        it is not JSON.
#[no_mangle]
pub unsafe extern "C" fn enos_value_int(value: enos_value, out: *mut i64) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { read(value, out, |text| i64::try_from(read::integer(text)?).map_err(|_| Fault::OutOfRange)) }
}

/// Reads a whole number that is not negative, as enos_value_int() does.
///
/// @param value  the number.
/// @param out    receives it.
/// @retval ENOS_OK               read.
/// @retval ENOS_ERR_NOT_FOUND    the value is missing.
/// @retval ENOS_ERR_INVALID_ARG  it is not a whole number.
/// @retval ENOS_ERR_TOO_LARGE    it is negative, or above 2^64 - 1.
/// @retval ENOS_ERR_PARSE        it is not JSON.
#[no_mangle]
pub unsafe extern "C" fn enos_value_uint(value: enos_value, out: *mut u64) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { read(value, out, |text| u64::try_from(read::integer(text)?).map_err(|_| Fault::OutOfRange)) }
}

/// Reads a number as the nearest double. A number that is nearer to 0 than to any other double becomes 0.
///
/// @param value  the number.
/// @param out    receives it.
/// @retval ENOS_OK               read.
/// @retval ENOS_ERR_NOT_FOUND    the value is missing.
/// @retval ENOS_ERR_INVALID_ARG  it is not a number.
/// @retval ENOS_ERR_TOO_LARGE    it is larger than any double.
/// @retval ENOS_ERR_PARSE        it is not JSON.
#[no_mangle]
pub unsafe extern "C" fn enos_value_double(value: enos_value, out: *mut f64) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { read(value, out, read::double) }
}

/// Reads true or false.
///
/// @param value  the value.
/// @param out    receives 1 or 0.
/// @retval ENOS_OK               read.
/// @retval ENOS_ERR_NOT_FOUND    the value is missing.
/// @retval ENOS_ERR_INVALID_ARG  it is neither.
/// @retval ENOS_ERR_PARSE        it is not JSON.
#[no_mangle]
pub unsafe extern "C" fn enos_value_bool(value: enos_value, out: *mut i32) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { read(value, out, |text| read::boolean(text).map(i32::from)) }
}

/// Reads a text, with its escapes resolved.
///
/// @param value       the text.
/// @param buffer      receives the text and a NUL after it. (NULL, 0) asks for the capacity.
/// @param cap         the capacity of the buffer, in bytes.
/// @param buffer_len  receives the length without the final NUL. The text itself may contain NULs. If the buffer is too
///                    small, it receives the capacity that is needed.
/// @retval ENOS_OK                    read.
/// @retval ENOS_ERR_NOT_FOUND         the value is missing.
/// @retval ENOS_ERR_INVALID_ARG       it is not a text.
/// @retval ENOS_ERR_BUFFER_TOO_SMALL  the buffer is too small.
/// @retval ENOS_ERR_PARSE             it is not JSON or not UTF-8, or contains half of a surrogate pair.
#[no_mangle]
pub unsafe extern "C" fn enos_value_text(
    value: enos_value,
    buffer: *mut c_char,
    cap: usize,
    buffer_len: *mut usize,
) -> enos_status {
    guard_without_memory(|| {
        if buffer.is_null() && cap > 0 || buffer_len.is_null() {
            return Err((Status::ENOS_ERR_NULL_ARG, "buffer or buffer_len is NULL"));
        }
        // SAFETY: the header's contract; what must not be NULL is not.
        let (out, bytes) = unsafe { (TextOut::unchecked(buffer, cap, buffer_len), view(&value)?) };
        let text = read::text(bytes).map_err(plain)?;
        match out.set_each(text.clone().count(), text) {
            true => Ok(()),
            false => Err((Status::ENOS_ERR_BUFFER_TOO_SMALL, "the buffer is too small for the text")),
        }
    })
}
