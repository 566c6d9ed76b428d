//! Payloads for the output: unchanged, except that secrets and signatures are masked.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::Value;

/// Binary payloads are shown up to this many bytes.
const SHOWN_BYTES: usize = 1024;
const MASK: &str = "***";

/// A payload with masked secrets and signatures.
#[derive(Clone, Debug, Serialize)]
pub struct Payload {
    pub bytes: usize,
    /// The parsed payload, if it is JSON; of members with the same name the last one.
    #[serde(skip)]
    pub json: Option<Value>,
    /// Its original text (including numbers, order and members with the same name), on one line.
    #[serde(rename = "payload", skip_serializing_if = "Option::is_none")]
    pub text: Option<Box<RawValue>>,
    /// Its first kilobyte in hex, if it is not JSON.
    #[serde(rename = "payload_hex", skip_serializing_if = "Option::is_none")]
    pub hex: Option<String>,
}

impl Payload {
    pub fn of(payload: &[u8]) -> Payload {
        let bytes = payload.len();
        let parsed = std::str::from_utf8(payload).ok().and_then(|text| {
            let json = serde_json::from_str(text).ok()?;
            Some((json, RawValue::from_string(masked(text)).ok()?))
        });
        match parsed {
            Some((mut json, text)) => {
                mask(&mut json);
                Payload { bytes, json: Some(json), text: Some(text), hex: None }
            }
            None => {
                let hex = hex::encode(payload.get(..SHOWN_BYTES).unwrap_or(payload));
                Payload { bytes, json: None, text: None, hex: Some(hex) }
            }
        }
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.ends_with("secret") || name == "sign" || name == "password"
}

/// Masks secrets at any depth (which the parser has limited).
fn mask(json: &mut Value) {
    match json {
        Value::Object(members) => {
            for (name, value) in members {
                match is_secret(name) {
                    true => *value = MASK.into(),
                    false => mask(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask),
        _ => {}
    }
}

/// The same in the text of a JSON value. Everything else is unchanged, except line ends.
fn masked(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(c) = rest.chars().next() {
        if c != '"' {
            shown.push(if matches!(c, '\n' | '\r') { ' ' } else { c });
            rest = rest.split_at(c.len_utf8()).1;
            continue;
        }
        let (text, after) = rest.split_at(text_len(rest));
        shown.push_str(text);
        rest = after;
        // A string before a colon is a member's name.
        let Some(value) = after.trim_start().strip_prefix(':') else { continue };
        if serde_json::from_str::<String>(text).is_ok_and(|name| is_secret(&name)) {
            shown.push_str(&format!(":\"{MASK}\""));
            rest = value.split_at(value_len(value)).1;
        }
    }
    shown
}

/// The length of the string that begins here with its quote.
fn text_len(json: &str) -> usize {
    let mut escaped = false;
    let end = json.char_indices().skip(1).find(|(_, c)| {
        let is_end = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        is_end
    });
    end.map_or(json.len(), |(at, _)| at + 1)
}

/// The length of the value that begins here, including white space.
fn value_len(json: &str) -> usize {
    let (mut at, mut depth) = (0, 0u32);
    while let Some(c) = json.get(at..).and_then(|rest| rest.chars().next()) {
        match c {
            '"' => at += text_len(json.get(at..).unwrap_or_default()),
            ',' | '}' | ']' if depth == 0 => break,
            _ => {
                match c {
                    '{' | '[' => depth += 1,
                    '}' | ']' => depth -= 1,
                    _ => {}
                }
                at += c.len_utf8();
            }
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(payload: &str) -> String {
        Payload::of(payload.as_bytes()).text.unwrap().get().to_owned()
    }

    #[test]
    fn it_is_shown_as_it_came() {
        for payload in [
            r#"{"b":20.60,"a":1e2,"a":-0.0,"é":"\u00e9\"}"}"#,
            r#" [ 1 , {"x" : [ ] } ] "#,
            "\"sign\"",
            r#"[":","sign",{"k":"secret"}]"#,
            "18446744073709551616.00",
        ] {
            assert_eq!(shown(payload), payload.trim());
        }
        assert_eq!(shown("{\r\n\"a\":\n1}"), "{  \"a\": 1}", "on one line");
    }

    #[test]
    fn secrets_are_masked_at_any_depth() {
        for (payload, expected) in [
            (
                r#"{"params":[{"deviceSecret":"s3\"cr3t","sign":"ABC"}],"id":"1"}"#,
                r#"{"params":[{"deviceSecret":"***","sign":"***"}],"id":"1"}"#,
            ),
            (r#"{"secret" : {"a":["s3","}"]} , "x":1}"#, r#"{"secret":"***", "x":1}"#),
            (
                r#"{"\u0073ign":12,"password":null,"sign":1,"sign":2}"#,
                r#"{"\u0073ign":"***","password":"***","sign":"***","sign":"***"}"#,
            ),
        ] {
            assert_eq!(shown(payload), expected);
            let json = Payload::of(payload.as_bytes()).json.unwrap();
            assert_eq!(serde_json::from_str::<Value>(expected).unwrap(), json, "the same for a program");
        }
        let record = serde_json::to_string(&Payload::of(br#"{"t":20.60,"t":1,"sign":"ABC"}"#)).unwrap();
        assert_eq!(record, r#"{"bytes":30,"payload":{"t":20.60,"t":1,"sign":"***"}}"#);
    }

    #[test]
    fn what_is_not_json_is_shown_in_hex() {
        assert_eq!(Payload::of(&[0xff; 5000]).hex.unwrap().len(), 2 * SHOWN_BYTES);
        assert_eq!(Payload::of(br#"{"a":1e999}"#).text.map(|text| text.to_string()), None);
    }
}
