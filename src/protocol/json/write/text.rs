//! Texts and numbers, as JSON.

use std::io::Write;

/// With the quotes.
pub fn escaped_len(text: &str) -> usize {
    let more = text.bytes().map(|byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 1,
        0..=0x1F => 5,
        _ => 0,
    });
    text.len().saturating_add(more.sum::<usize>()).saturating_add(2)
}

pub fn write_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escape_into(out, text);
    out.push(b'"');
}

pub fn escape_into(out: &mut Vec<u8>, text: &str) {
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        let short = match byte {
            b'"' | b'\\' => byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0..=0x1F => 0,
            _ => continue,
        };
        out.extend_from_slice(&text.as_bytes()[plain..at]);
        plain = at + 1;
        match short {
            0 => drop(write!(out, "\\u{byte:04x}")),
            short => out.extend_from_slice(&[b'\\', short]),
        }
    }
    out.extend_from_slice(&text.as_bytes()[plain..]);
}

/// serde_json writes the shortest digits. This removes a ".0", because a reader of whole numbers may refuse it, and a
/// "+" in the exponent, which is redundant.
pub fn write_shortest(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>) {
    let from = out.len();
    // Writing to memory does not fail.
    let _ = write(out);
    if out.get(from..).is_some_and(|number| number.ends_with(b".0")) {
        out.truncate(out.len() - 2);
    }
    if let Some(plus) = out.get(from..).and_then(|number| number.iter().position(|byte| *byte == b'+')) {
        out.remove(from + plus);
    }
}
