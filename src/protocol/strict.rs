//! JSON that every reader reads alike. JSON from the host is refused if another reader would refuse it, or could read
//! it differently: EnOS answers a message that it cannot read without saying which one it was.
//!
//! These rules are stricter than RFC 8259:
//! - no half of a surrogate pair (`"\\ud800"`), because it is no character;
//! - no number beyond the range of a double (`1e999`);
//! - no key twice in an object, because readers differ in which one counts.

use std::collections::HashSet;

/// The first fault in `text`, which is valid JSON, and its position in bytes.
pub fn fault(text: &str) -> Option<(&'static str, usize)> {
    // The members so far of each open object. `None` for an array.
    let mut open: Vec<Option<HashSet<String>>> = Vec::new();
    let mut names_a_member = false;
    let mut at = 0;
    while let Some(byte) = text.as_bytes().get(at).copied() {
        let mut end = at + 1;
        match byte {
            b'"' => {
                end = at + string_len(text.get(at..)?);
                let string = text.get(at..end)?;
                let Some(read) = super::json::unescaped(string) else {
                    return Some(("has a text with half of a surrogate pair", at));
                };
                let members = open.last_mut().filter(|_| names_a_member).and_then(Option::as_mut);
                if members.is_some_and(|members| !members.insert(read.to_string())) {
                    return Some(("has a member of an object twice", at));
                }
                names_a_member = false;
            }
            b'-' | b'0'..=b'9' => {
                let rest = text.get(at..)?;
                let is_part = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
                end = at + rest.find(|c| !is_part(c)).unwrap_or(rest.len());
                if !text.get(at..end)?.parse::<f64>().is_ok_and(f64::is_finite) {
                    return Some(("has a number that no double can hold", at));
                }
            }
            b'{' => {
                open.push(Some(HashSet::new()));
                names_a_member = true;
            }
            b'[' => {
                open.push(None);
                names_a_member = false;
            }
            b'}' | b']' => drop(open.pop()),
            b',' => names_a_member = open.last().is_some_and(Option::is_some),
            _ => {}
        }
        at = end;
    }
    None
}

/// The length of the string at the start of `text`, with its quotes.
fn string_len(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let is_end = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        is_end
    });
    end.map_or(text.len(), |end| end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_reader_reads_alike_is_taken() {
        for text in [
            "{}",
            "[]",
            "0",
            r#""a""#,
            r#"{"a":{"a":1,"b":[{"a":1},{"a":2}]},"b":"a","c":"\ud83d\ude00"}"#,
            r#"{"a":"{\"a\":1,","b":"a\\","":1}"#,
            "[1.7976931348623157e308,-1E-999,123456789012345678901234567890,-0,1e+2]",
            r#" { "a" : [ "a" , "a" , { } , [ ] ] , "b" : null } "#,
        ] {
            assert_eq!(fault(text), None, "{text}");
            serde_json::from_str::<serde_json::Value>(text).unwrap();
        }
    }

    #[test]
    fn what_one_of_them_would_refuse_is_refused() {
        for (text, at) in [
            (r#"{"a":"\ud800"}"#, 5),
            (r#"["\ude00"]"#, 1),
            (r#"{"\ud800x":1}"#, 1),
            ("[1,1e999]", 3),
            ("-1e400", 0),
            (r#"{"a":1,"a":1}"#, 7),
            (r#"{"a":1,"\u0061":1}"#, 7),
            (r#"{"x":[{"a":{},"b":"a","a":2}]}"#, 22),
        ] {
            assert_eq!(fault(text).map(|(_, at)| at), Some(at), "{text}");
        }
    }

    /// Compares with another reader: both must refuse the same texts.
    #[test]
    fn random_texts_are_judged_as_serde_json_does() {
        let mut random = fastrand::Rng::with_seed(11);
        let parts =
            ["{", "}", "[", "]", ",", ":", "\"a\"", "\"\\ud800\"", "\"\\ud83d\\ude00\"", "1e999", "1", "-2.5", "null"];
        let mut judged = 0;
        for _ in 0..200_000 {
            let text: String = (0..random.usize(1..9)).map(|_| parts[random.usize(..parts.len())]).collect();
            if serde_json::from_str::<Box<serde_json::value::RawValue>>(&text).is_err() {
                continue;
            }
            judged += 1;
            let reads = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            let twice = fault(&text).is_some_and(|(what, _)| what.contains("twice"));
            assert!(twice || reads == fault(&text).is_none(), "{text}");
        }
        assert!(judged > 1_000, "{judged}");
    }
}
