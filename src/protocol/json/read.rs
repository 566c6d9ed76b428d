//! Reading JSON in place: a value is a range of bytes, so nothing is copied, allocated or freed.
//!
//! Every function accepts any bytes, also unchecked ones: it never panics, never recurses, and needs time that is
//! linear in the number of bytes. A function does not check bytes that it does not need.

mod number;
#[cfg(test)]
mod tests;

use std::ops::Range;

use super::MAX_DEPTH;
use crate::model::value::Kind;
pub use number::{double, integer, number_end};

/// Why a value cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not JSON.
    Malformed,
    /// It is JSON, but of another type.
    OtherKind,
    /// The number does not fit.
    OutOfRange,
}

pub type Read<T> = Result<T, Fault>;

/// A member of an object or an element of an array, as ranges. An element has no key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub key: Option<Range<usize>>,
    pub value: Range<usize>,
}

/// The type, according to the first byte.
pub fn kind(text: &[u8]) -> Read<Kind> {
    match text.get(skip_blanks(text, 0)) {
        Some(b'n') => Ok(Kind::ENOS_VALUE_NULL),
        Some(b't' | b'f') => Ok(Kind::ENOS_VALUE_BOOL),
        Some(b'-' | b'0'..=b'9') => Ok(Kind::ENOS_VALUE_NUMBER),
        Some(b'"') => Ok(Kind::ENOS_VALUE_TEXT),
        Some(b'[') => Ok(Kind::ENOS_VALUE_ARRAY),
        Some(b'{') => Ok(Kind::ENOS_VALUE_OBJECT),
        _ => Err(Fault::Malformed),
    }
}

/// The next member or element of a container. `cursor` begins at 0, and moves past it. `None` if there are no more.
pub fn next(container: &[u8], cursor: &mut usize) -> Read<Option<Item>> {
    let Some(Place { key, value, mark }) = place(container, *cursor)? else { return Ok(None) };
    let end = value_end(container, value).ok_or(Fault::Malformed)?;
    *cursor = end | mark;
    Ok(Some(Item { key, value: value..end }))
}

/// Where the next member or element begins.
struct Place {
    key: Option<Range<usize>>,
    value: usize,
    /// For the cursor behind it.
    mark: usize,
}

fn place(container: &[u8], cursor: usize) -> Read<Option<Place>> {
    let begins = cursor == 0;
    let (is_object, mut at) = if begins {
        match kind(container)? {
            Kind::ENOS_VALUE_OBJECT => (true, skip_blanks(container, 0) + 1),
            Kind::ENOS_VALUE_ARRAY => (false, skip_blanks(container, 0) + 1),
            _ => return Err(Fault::OtherKind),
        }
    } else {
        (cursor & OBJECT != 0, cursor & !OBJECT)
    };
    let mark = if is_object { OBJECT } else { 0 };
    at = skip_blanks(container, at);
    match container.get(at) {
        Some(byte) if *byte == if is_object { b'}' } else { b']' } => return Ok(None),
        Some(_) if begins => {}
        Some(b',') => at = skip_blanks(container, at + 1),
        _ => return Err(Fault::Malformed),
    }
    if !is_object {
        return Ok(Some(Place { key: None, value: at, mark }));
    }
    let end = string_end(container, at).ok_or(Fault::Malformed)?;
    let key = Some(at..end);
    at = skip_blanks(container, end);
    if container.get(at) != Some(&b':') {
        return Err(Fault::Malformed);
    }
    Ok(Some(Place { key, value: skip_blanks(container, at + 1), mark }))
}

/// The mark of an object in a cursor. Otherwise each step would have to look for the beginning of the container, behind
/// all blanks. No slice is so long that its positions need this bit.
const OBJECT: usize = 1 << (usize::BITS - 1);

/// How many members or elements a container has.
pub fn count(container: &[u8]) -> Read<usize> {
    let (mut cursor, mut count) = (0, 0);
    while next(container, &mut cursor)?.is_some() {
        count += 1;
    }
    Ok(count)
}

/// The part of `text` that a JSON Pointer (RFC 6901) refers to. `None` if there is no such part, or the pointer is
/// invalid. What stands behind the part is not looked at.
pub fn at(text: &[u8], pointer: &[u8]) -> Option<Range<usize>> {
    let mut here = skip_blanks(text, 0);
    let mut tokens = pointer.split(|byte| *byte == b'/');
    if tokens.next() != Some(b"") {
        return None;
    }
    for token in tokens {
        let container = text.get(here..)?;
        here += match kind(container).ok()? {
            Kind::ENOS_VALUE_OBJECT => member(container, token)?,
            Kind::ENOS_VALUE_ARRAY => element(container, index(token)?)?,
            _ => return None,
        };
    }
    Some(here..value_end(text, here)?)
}

/// Where the value of the member with this name begins. If `token` contains an invalid escape, no member matches.
fn member(object: &[u8], token: &[u8]) -> Option<usize> {
    let mut cursor = 0;
    while let Ok(Some(Place { key, value, mark })) = place(object, cursor) {
        let key = key?;
        let key = object.get(key.start + 1..key.end - 1)?;
        // Most names contain no escapes, and can be compared directly.
        let plain = !key.contains(&b'\\') && !token.contains(&b'~');
        let equal = match plain {
            true => key == token,
            false => unescaped(key).eq(pointer_token(token).map(Some)),
        };
        if equal {
            return Some(value);
        }
        cursor = value_end(object, value)? | mark;
    }
    None
}

fn element(array: &[u8], index: usize) -> Option<usize> {
    let mut cursor = 0;
    for _ in 0..index {
        next(array, &mut cursor).ok()??;
    }
    place(array, cursor).ok()?.map(|place| place.value)
}

/// An array index: digits without a leading zero. `None` for anything else, also for "-", which means the element after
/// the last one.
fn index(token: &[u8]) -> Option<usize> {
    match token {
        [b'0'] | [b'1'..=b'9', ..] if token.iter().all(u8::is_ascii_digit) => {
            std::str::from_utf8(token).ok()?.parse().ok()
        }
        _ => None,
    }
}

/// The bytes of a token: ~0 is ~, ~1 is /. An invalid escape becomes a byte that no text contains.
fn pointer_token(token: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let mut rest = token.iter().copied();
    std::iter::from_fn(move || match rest.next()? {
        b'~' => Some(match rest.next() {
            Some(b'0') => b'~',
            Some(b'1') => b'/',
            _ => NO_TEXT,
        }),
        byte => Some(byte),
    })
}

/// This byte does not occur in UTF-8.
const NO_TEXT: u8 = 0xFF;

/// Whether `text` is a JSON string with exactly this content.
pub fn equals(text: &[u8], expected: &[u8]) -> bool {
    string(text).is_ok_and(|string| unescaped(string).eq(expected.iter().map(|byte| Some(*byte))))
}

/// The bytes of a text, unescaped. They are valid UTF-8.
pub fn text(text: &[u8]) -> Read<impl Iterator<Item = u8> + Clone + '_> {
    let string = string(text)?;
    if std::str::from_utf8(string).is_err() || unescaped(string).any(|byte| byte.is_none()) {
        return Err(Fault::Malformed);
    }
    Ok(unescaped(string).flatten())
}

pub fn boolean(text: &[u8]) -> Read<bool> {
    match (kind(text)?, trim(text)) {
        (_, b"true") => Ok(true),
        (_, b"false") => Ok(false),
        (Kind::ENOS_VALUE_BOOL, _) => Err(Fault::Malformed),
        _ => Err(Fault::OtherKind),
    }
}

/// The inside of a string.
fn string(text: &[u8]) -> Read<&[u8]> {
    if kind(text)? != Kind::ENOS_VALUE_TEXT {
        return Err(Fault::OtherKind);
    }
    let string = trim(text);
    if string_end(string, 0) == Some(string.len()) {
        Ok(&string[1..string.len() - 1])
    } else {
        Err(Fault::Malformed)
    }
}

/// The bytes of a string, which is without its quotes, unescaped. `None` for an escape that is no character, such as half
/// of a surrogate pair.
pub fn unescaped(inside: &[u8]) -> impl Iterator<Item = Option<u8>> + Clone + '_ {
    let (mut at, mut ready) = (0, Bytes::default());
    std::iter::from_fn(move || {
        if let Some(byte) = ready.next() {
            return Some(Some(byte));
        }
        let byte = *inside.get(at)?;
        at += 1;
        if byte != b'\\' {
            return Some(Some(byte));
        }
        let Some((character, len)) = escape(inside.get(at..).unwrap_or_default()) else {
            at = inside.len();
            return Some(None);
        };
        at += len;
        ready = Bytes::of(character);
        ready.next().map(Some)
    })
}

/// The UTF-8 of one character.
#[derive(Clone, Default)]
struct Bytes {
    bytes: [u8; 4],
    at: usize,
    len: usize,
}

impl Bytes {
    fn of(character: char) -> Bytes {
        let mut bytes = [0; 4];
        let len = character.encode_utf8(&mut bytes).len();
        Bytes { bytes, at: 0, len }
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.bytes[..self.len].get(self.at).copied()?;
        self.at += 1;
        Some(byte)
    }
}

/// Reads an escape after its backslash: the character, and the length of the escape.
pub fn escape(text: &[u8]) -> Option<(char, usize)> {
    let character = match text.first()? {
        byte @ (b'"' | b'\\' | b'/') => *byte as char,
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let unit = hex4(text.get(1..5)?)?;
            if !(0xD800..0xDC00).contains(&unit) {
                return Some((char::from_u32(unit)?, 5));
            }
            let low = hex4(text.get(5..11)?.strip_prefix(b"\\u")?)?;
            let low = low.checked_sub(0xDC00).filter(|low| *low < 0x400)?;
            return Some((char::from_u32(0x10000 + ((unit - 0xD800) << 10) + low)?, 11));
        }
        _ => return None,
    };
    Some((character, 1))
}

pub fn hex4(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, digit| Some(value << 4 | char::from(*digit).to_digit(16)?))
}

/// Without the blanks of JSON around it.
fn trim(text: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let from = text.iter().position(|byte| !is_blank(byte)).unwrap_or(text.len());
    let to = text.iter().rposition(|byte| !is_blank(byte)).map_or(from, |last| last + 1);
    text.get(from..to).unwrap_or_default()
}

pub fn skip_blanks(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// The position after the string that begins at `at`, with its quotes.
fn string_end(text: &[u8], at: usize) -> Option<usize> {
    if text.get(at) != Some(&b'"') {
        return None;
    }
    let mut end = at + 1;
    loop {
        end = plain_end(text, end);
        match text.get(end)? {
            b'"' => return Some(end + 1),
            b'\\' => end += 2,
            _ => return None,
        }
    }
}

/// The position of the next quote, backslash or control character of a string.
pub fn plain_end(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    // Most strings are longer than 8 bytes, and most bytes are plain. A bit is set in each byte that is not.
    const ONES: u64 = u64::MAX / 255;
    let below = |bytes: u64, limit: u64| bytes.wrapping_sub(ONES * limit) & !bytes;
    let mut plain = 0;
    for chunk in rest.chunks_exact(8) {
        let bytes = chunk.try_into().map_or(0, u64::from_le_bytes);
        let quote = below(bytes ^ (ONES * u64::from(b'"')), 1);
        let backslash = below(bytes ^ (ONES * u64::from(b'\\')), 1);
        if (below(bytes, 0x20) | quote | backslash) & (ONES << 7) != 0 {
            break;
        }
        plain += 8;
    }
    let is_other = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1F);
    let tail = rest.get(plain..).unwrap_or_default();
    at + plain + tail.iter().position(is_other).unwrap_or(tail.len())
}

/// The position after the value that begins at `at`. Inside a container, only strings and brackets are checked.
fn value_end(text: &[u8], at: usize) -> Option<usize> {
    match text.get(at)? {
        b'"' => string_end(text, at),
        b'-' | b'0'..=b'9' => number_end(text, at),
        b't' => literal_end(text, at, b"true"),
        b'f' => literal_end(text, at, b"false"),
        b'n' => literal_end(text, at, b"null"),
        b'{' | b'[' => container_end(text, at),
        _ => None,
    }
}

pub fn literal_end(text: &[u8], at: usize, literal: &[u8]) -> Option<usize> {
    text.get(at..)?.starts_with(literal).then_some(at + literal.len())
}

fn container_end(text: &[u8], mut at: usize) -> Option<usize> {
    // One bit for each open level: whether it is an object.
    let (mut objects, mut depth) = (0u64, 0usize);
    loop {
        match text.get(at)? {
            b'"' => {
                at = string_end(text, at)?;
                continue;
            }
            open @ (b'{' | b'[') => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return None;
                }
                objects = objects << 1 | u64::from(*open == b'{');
            }
            close @ (b'}' | b']') => {
                if (objects & 1 == 1) != (*close == b'}') {
                    return None;
                }
                objects >>= 1;
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
}
