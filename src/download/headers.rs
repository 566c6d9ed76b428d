//! The header lines that the host adds to a request.

use crate::error::{Error, Result};

const MAX_LINES: usize = 32;
const MAX_LINE: usize = 8 * 1024;
/// What the download itself decides.
const OURS: [&str; 7] =
    ["range", "if-range", "accept-encoding", "content-length", "transfer-encoding", "connection", "te"];

/// `ENOS_ERR_INVALID_ARG` unless each line is `Name: value`. The words do not quote a value.
pub fn check(lines: &[String]) -> Result<()> {
    if lines.len() > MAX_LINES {
        return Err(Error::invalid(format!("there are {} headers; there can be {MAX_LINES}", lines.len())));
    }
    lines
        .iter()
        .enumerate()
        .try_for_each(|(at, line)| one(line).map_err(|why| Error::invalid(format!("headers[{at}] {why}"))))
}

fn one(line: &str) -> std::result::Result<(), String> {
    let Some((name, value)) = line.split_once(':') else { return Err("has no colon: it is \"Name: value\"".into()) };
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err("has a name with characters that a header cannot have".into());
    }
    if line.len() > MAX_LINE || line.bytes().any(|byte| byte < b' ' || byte == 0x7f) || value.trim().is_empty() {
        return Err(format!("({name}) has no value, a control character in it, or more than {MAX_LINE} bytes"));
    }
    match OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
        true => Err(format!("({name}) is one that the download itself sends")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_name_and_a_value() {
        let check = |line: &str| check(&[line.to_owned()]);
        for line in ["Authorization: Bearer x", "X-A:b", "Cookie: a=b; c=d"] {
            check(line).unwrap();
        }
        let refused = [
            "",
            "x",
            ": y",
            "a b: c",
            "A: ",
            "A:",
            "A: b\r\nC: d",
            "Range: bytes=0-",
            "accept-encoding: gzip",
            "A: \u{1}",
            "Ä: x",
        ];
        for line in refused {
            assert!(check(line).is_err(), "{line}");
        }
        assert!(!check("Range: secret").unwrap_err().message.contains("secret"));
        assert!(check(&format!("A: {}", "x".repeat(MAX_LINE))).is_err());
        assert!(super::check(&vec!["A: b".to_owned(); 33]).is_err());
    }
}
