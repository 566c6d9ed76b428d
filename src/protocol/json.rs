//! Reading JSON that may contain a secret: from the caller's buffer, with temporary memory that is wiped, and with
//! error texts that quote nothing of it.

pub mod read;
mod strict;
pub mod write;

use serde::Deserialize;
use serde_json::error::Category;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::error::{Error, Result, Status};
use strict::Fault;

/// The maximum nesting of arrays and objects. EnOS itself uses less than 10 levels.
pub const MAX_DEPTH: usize = 64;

/// Reads the object `json` into the fields of `T`, each a borrowed [`RawValue`]. Fields that `T` does not have are
/// ignored. If a field of `T` occurs twice, that is an error, because nobody knows which one counts. The error text
/// begins with `what`.
pub fn object<'a, T: Deserialize<'a>>(what: &str, json: &'a [u8]) -> Result<T> {
    let text = document(what, json)?;
    if !text.trim_start().starts_with('{') {
        return Err(parse_error(format!("{what} is not a JSON object")));
    }
    serde_json::from_str(text).map_err(|error| malformed(what, &error))
}

/// Reads the array `json` into its elements. The error text begins with `what`.
pub fn array<'a>(what: &str, json: &'a [u8]) -> Result<Vec<&'a RawValue>> {
    let text = document(what, json)?;
    if !text.trim_start().starts_with('[') {
        return Err(parse_error(format!("{what} is not a JSON array")));
    }
    serde_json::from_str(text).map_err(|error| malformed(what, &error))
}

/// Checks that `json` is one JSON value, which can be embedded unchanged.
pub fn value<'a>(what: &str, json: &'a [u8]) -> Result<&'a RawValue> {
    serde_json::from_str(document(what, json)?).map_err(|error| malformed(what, &error))
}

/// Like [`value`], but also checks that every reader reads it alike: see [`strict`]. The value is without the blanks
/// around it, and comes with the number of its levels.
pub fn strict_value<'a>(what: &str, json: &'a [u8]) -> Result<(&'a str, usize)> {
    strict::check(json).map_err(|Fault { words, at }| match words {
        strict::NO_MEMORY => Error::new(Status::ENOS_ERR_NO_MEMORY, format!("{what} {words}")),
        strict::TOO_DEEP => parse_error(format!("{what} {words}")),
        _ => parse_error(format!("{what} {words} (byte {})", at + 1)),
    })
}

/// The text of a JSON string, unescaped. `None` if `raw` is no string, or contains half of a surrogate pair.
///
/// serde_json would unescape into a buffer of its own, which nobody wipes.
pub fn string(raw: &RawValue) -> Option<Zeroizing<String>> {
    unescaped(raw.get())
}

/// The same for the source text of a JSON string.
pub fn unescaped(string: &str) -> Option<Zeroizing<String>> {
    let mut rest = string.strip_prefix('"')?.strip_suffix('"')?;
    // An escape is never shorter than its character, so this buffer never reallocates, and leaves no copy in freed
    // memory.
    let mut text = Zeroizing::new(String::new());
    text.try_reserve_exact(rest.len()).ok()?;
    while let Some(at) = rest.find('\\') {
        text.push_str(rest.get(..at)?);
        let (unescaped, tail) = unescape(rest.get(at + 1..)?)?;
        text.push(unescaped);
        rest = tail;
    }
    text.push_str(rest);
    Some(text)
}

/// The text of a JSON string, or the digits of a JSON number.
pub fn string_or_number(raw: &RawValue) -> Option<Zeroizing<String>> {
    if is_number(raw) {
        return Some(Zeroizing::new(raw.get().to_owned()));
    }
    string(raw)
}

/// Reads an optional field, and tells a null from a field that is missing.
pub fn present<'a, D: serde::Deserializer<'a>>(value: D) -> std::result::Result<Option<&'a RawValue>, D::Error> {
    Deserialize::deserialize(value).map(Some)
}

pub fn is_number(raw: &RawValue) -> bool {
    raw.get().starts_with(|c: char| c == '-' || c.is_ascii_digit())
}

pub fn parse_error(words: impl Into<String>) -> Error {
    Error::new(Status::ENOS_ERR_PARSE, words)
}

/// `json` as a text that is safe to give to a parser. It may still not be JSON.
fn document<'a>(what: &str, json: &'a [u8]) -> Result<&'a str> {
    let text = std::str::from_utf8(json)
        .map_err(|error| parse_error(format!("{what} is not UTF-8 (byte {})", error.valid_up_to() + 1)))?;
    if depth(text) > MAX_DEPTH {
        return Err(parse_error(format!("{what} nests deeper than {MAX_DEPTH} levels")));
    }
    Ok(text)
}

/// The maximum nesting of brackets outside strings. The text need not be valid JSON.
pub fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0usize);
    let (mut in_string, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// serde_json's error text may quote the input, so only its position and kind are used.
fn malformed(what: &str, error: &serde_json::Error) -> Error {
    let kind = match error.classify() {
        Category::Eof => "ends in the middle of its JSON",
        // Every field is taken raw, so a wrong type cannot occur.
        Category::Data => "has a field twice",
        Category::Syntax | Category::Io => "is not JSON",
    };
    parse_error(format!("{what} {kind} (line {}, column {})", error.line(), error.column()))
}

/// Reads an escape after its backslash: the character, and the rest of the text.
fn unescape(text: &str) -> Option<(char, &str)> {
    let mut chars = text.chars();
    let c = match chars.next()? {
        c @ ('"' | '\\' | '/') => c,
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => return unescape_unicode(chars.as_str()),
        _ => return None,
    };
    Some((c, chars.as_str()))
}

fn unescape_unicode(text: &str) -> Option<(char, &str)> {
    let (unit, rest) = hex4(text)?;
    if !(0xD800..0xDC00).contains(&unit) {
        return Some((char::from_u32(unit)?, rest));
    }
    let (low, rest) = hex4(rest.strip_prefix("\\u")?)?;
    let low = low.checked_sub(0xDC00).filter(|low| *low < 0x400)?;
    Some((char::from_u32(0x10000 + ((unit - 0xD800) << 10) + low)?, rest))
}

fn hex4(text: &str) -> Option<(u32, &str)> {
    let digits = text.get(..4)?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    Some((u32::from_str_radix(digits, 16).ok()?, text.get(4..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(json: &str) -> Option<String> {
        string(value("it", json.as_bytes()).unwrap()).map(|text| text.to_string())
    }

    #[test]
    fn strings_unescape_as_serde_json_has_it() {
        let cases = [
            r#""""#,
            r#""plain""#,
            r#""\"\\\/\b\f\n\r\t""#,
            r#""\u00e9\u4E2d\u0000""#,
            r#""a\ud83D\uDE00b""#,
            r#""é中😀""#,
        ];
        for json in cases {
            assert_eq!(text(json), Some(serde_json::from_str::<String>(json).unwrap()), "{json}");
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_no_text() {
        for json in
            [r#""\ud83d""#, r#""\ude00""#, r#""\ud83dx""#, r#""\ud83d\n""#, r#""\ud83d\u0041""#, r#""\ud83d\ud83d""#]
        {
            assert_eq!(text(json), None, "{json}");
        }
        for json in ["1", "null", "[]", "{}", "true"] {
            assert_eq!(text(json), None, "{json}");
        }
    }

    #[test]
    fn random_strings_unescape_as_serde_json_has_it() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..20_000 {
            let length = random.usize(..12);
            let inner: String = (0..length)
                .map(|_| match random.u8(..8) {
                    0 => format!("\\u{:04x}", random.u16(..)),
                    1 => format!("\\u{:04X}", random.u16(0xD780..0xE010)),
                    2 => format!("\\{}", char::from(*random.choice(b"\"\\/bfnrt").unwrap())),
                    3 => random.char(' '..).to_string().replace(['"', '\\'], ""),
                    _ => random.alphanumeric().to_string(),
                })
                .collect();
            let json = format!("\"{inner}\"");
            assert_eq!(text(&json), serde_json::from_str::<String>(&json).ok(), "{json}");
        }
    }

    #[test]
    fn brackets_count_only_outside_strings() {
        assert_eq!(depth(r#"{"a":[[1],[2]]}"#), 3);
        assert_eq!(depth(r#"{"[[[[\"[[[[":"{{{{\\"}"#), 1);
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(value("it", nested(MAX_DEPTH).as_bytes()).is_ok());
        let error = value("it", nested(MAX_DEPTH + 1).as_bytes()).unwrap_err();
        assert_eq!(error, parse_error("it nests deeper than 64 levels"));
        assert_eq!(value("it", "[".repeat(1 << 20).as_bytes()).unwrap_err().status, Status::ENOS_ERR_PARSE);
    }

    #[test]
    fn words_name_the_place_and_quote_nothing() {
        #[derive(Deserialize, Debug)]
        struct Fields<'a> {
            #[serde(borrow)]
            _a: Option<&'a RawValue>,
        }
        let words = |json: &[u8]| object::<Fields>("the payload", json).unwrap_err().message;
        assert_eq!(words(b"{\"secret\":\n s3cret}"), "the payload is not JSON (line 2, column 2)");
        assert_eq!(words(b"{\"_a\":\"s3cret"), "the payload ends in the middle of its JSON (line 1, column 13)");
        assert_eq!(words(b"{\"_a\":1,\"_a\":2}"), "the payload has a field twice (line 1, column 12)");
        assert_eq!(words(b" [\"s3cret\"]"), "the payload is not a JSON object");
        assert_eq!(words(b"{\"_a\":\"\xC3\"}"), "the payload is not UTF-8 (byte 8)");
        assert_eq!(words(b""), "the payload is not a JSON object");
    }
}
