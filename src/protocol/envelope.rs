//! The JSON around every message. A request has an id, and its answer has the same id and a code. A command arrives
//! from the cloud, and its answer goes to the cloud.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::json;
use crate::error::{Error, Result, Status};
use crate::text;

/// The largest payload that every version of EnOS accepts. 512 KiB and more are refused.
pub const MAX_PAYLOAD: usize = 512 * 1024 - 1;

/// The code of a success. Every other code is a failure, and the cloud defines its meaning.
pub const CODE_OK: i32 = 200;

/// Describes an answer from EnOS to a person. For a failure, the words contain the code, because EnOS may send no
/// words.
pub fn in_words(code: i32, words: String) -> String {
    match code {
        CODE_OK => words,
        code if words.is_empty() => format!("EnOS answered {code}"),
        code => format!("EnOS answered {code}: {words}"),
    }
}

/// The version of the envelope. EnOS accepts both 1.0 and 1.1.
const VERSION: &str = "1.0";

/// The maximum length of an id in bytes.
const MAX_ID: usize = 256;

/// How many characters of the cloud's message are kept.
const MAX_MESSAGE: usize = 256;

/// An empty `data`, `{}`.
const NOTHING: &[u8] = b"{}";

/// The payload of a request: `{"id":..,"version":"1.0","method":..,"params":..}`. `params` is an object or an
/// array, and is inserted byte for byte. `members` follow it, each with the value true. `ENOS_ERR_TOO_LARGE` if the
/// payload exceeds [`MAX_PAYLOAD`].
pub fn request<'a>(
    id: &str,
    method: &str,
    params: &[u8],
    members: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<u8>> {
    #[derive(Serialize)]
    struct Request<'a> {
        id: &'a str,
        version: &'a str,
        method: &'a str,
        params: &'a RawValue,
    }
    let bytes = params.len() + id.len() + method.len();
    let params = callers_json("params", params)?;
    if !params.get().starts_with(['{', '[']) {
        return Err(Error::invalid("params is neither a JSON object nor a JSON array"));
    }
    let mut payload = write(&Request { id, version: VERSION, method, params }, bytes)?;
    for member in members {
        payload.pop();
        payload.extend_from_slice(format!(",\"{member}\":true}}").as_bytes());
    }
    check_size(payload.len())?;
    Ok(payload)
}

/// A payload that has no envelope: a copy of the bytes.
pub fn bytes(bytes: &[u8]) -> Result<Vec<u8>> {
    check_size(bytes.len())?;
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len())
        .map_err(|_| Error::new(Status::ENOS_ERR_NO_MEMORY, "no memory for a copy of the payload"))?;
    copy.extend_from_slice(bytes);
    Ok(copy)
}

/// The payload of an answer to a command: `{"id":..,"code":..,"data":..,"message":..}`. `id` is the JSON text of the
/// command's id, as it came; a command without one is answered without one. `data` is any JSON value; `None` means `{}`.
/// `ENOS_ERR_TOO_LARGE` if the payload exceeds [`MAX_PAYLOAD`].
pub fn answer(id: Option<&str>, code: i32, data: Option<&[u8]>, message: Option<&str>) -> Result<Vec<u8>> {
    #[derive(Serialize)]
    struct Answer<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RawValue>,
        code: i32,
        data: &'a RawValue,
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<&'a str>,
    }
    let data = data.unwrap_or(NOTHING);
    let message_len = message.map_or(0, str::len);
    if message_len > MAX_PAYLOAD {
        return Err(too_large("message", message_len));
    }
    let len = data.len() + id.map_or(0, str::len) + message_len;
    let id = id.map(|id| json::value("the id", id.as_bytes())).transpose()?;
    write(&Answer { id, code, data: callers_json("data", data)?, message }, len)
}

/// The code and the words of an answer without an id. EnOS sends such an answer to a request that it cannot read.
/// `None` if this is no such answer.
pub fn parse_nameless_reply(payload: &[u8]) -> Option<(i32, String)> {
    let fields: Fields = json::object("the reply", payload).ok()?;
    let is_nameless = fields.id.is_none_or(|id| id.get() == "null");
    let code = fields.code.and_then(whole_number).filter(|_| is_nameless)?;
    Some((code, fields.message.and_then(json::string).map(|words| clean(&words)).unwrap_or_default()))
}

/// The fields of an answer that are used.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    code: Option<&'a RawValue>,
    message: Option<&'a RawValue>,
}

/// The cloud's answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The id of the request, whether it was sent as a text or as a number.
    pub id: String,
    /// [`CODE_OK`], or the cloud's error code, unchanged.
    pub code: i32,
    /// The cloud's words, for a log: at most 256 characters, and often empty. Characters that are not plain are
    /// replaced by blanks.
    pub message: String,
}

/// Reads an answer. `data` and unknown fields are ignored.
pub fn parse_reply(payload: &[u8]) -> Result<Reply> {
    let fields: Fields = json::object("the reply", payload)?;
    let code = fields.code.ok_or_else(|| json::parse_error("the reply has no code"))?;
    Ok(Reply {
        id: id("the reply", fields.id)?,
        code: whole_number(code).ok_or_else(|| json::parse_error("the reply's code is no number of 32 bits"))?,
        message: fields.message.and_then(json::string).map(|words| clean(&words)).unwrap_or_default(),
    })
}

fn id(what: &str, raw: Option<&RawValue>) -> Result<String> {
    let id = raw.and_then(json::string_or_number);
    let id = id.ok_or_else(|| json::parse_error(format!("{what} has no id (text or a number)")))?;
    if id.len() > MAX_ID {
        return Err(json::parse_error(format!("{what} has an id of {} bytes; at most {MAX_ID} are read", id.len())));
    }
    Ok(id.to_string())
}

/// `200`, `200.0` and `"200"` are the same code.
fn whole_number(raw: &RawValue) -> Option<i32> {
    let text = json::string_or_number(raw)?;
    text.parse().ok().or_else(|| {
        let number: f64 = text.parse().ok()?;
        let fits = number.fract() == 0.0 && (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&number);
        fits.then_some(number as i32)
    })
}

fn clean(words: &str) -> String {
    words.chars().take(MAX_MESSAGE).map(|c| if text::is_plain(c) { c } else { ' ' }).collect()
}

/// An error if EnOS does not accept a payload of this length.
pub fn check_size(len: usize) -> Result<()> {
    match len {
        0..=MAX_PAYLOAD => Ok(()),
        _ => Err(too_large("the payload", len)),
    }
}

/// Checks JSON from the host. A fault in it is a wrong argument, and not a wrong message.
fn callers_json<'a>(field: &str, json: &'a [u8]) -> Result<&'a RawValue> {
    if json.len() > MAX_PAYLOAD {
        return Err(too_large(field, json.len()));
    }
    let wrong = |error: Error| match error.status {
        Status::ENOS_ERR_PARSE => Error::invalid(error.message),
        _ => error,
    };
    let (value, _) = json::strict_value(field, json).map_err(wrong)?;
    json::value(field, value.as_bytes())
}

fn write(message: &impl Serialize, payload: usize) -> Result<Vec<u8>> {
    let no_memory = || Error::new(Status::ENOS_ERR_NO_MEMORY, "no memory for the message");
    let mut out = Vec::new();
    out.try_reserve(payload.saturating_add(64)).map_err(|_| no_memory())?;
    serde_json::to_writer(&mut out, message).map_err(|_| no_memory())?;
    if out.len() > MAX_PAYLOAD {
        return Err(too_large("the message", out.len()));
    }
    Ok(out)
}

fn too_large(what: &str, len: usize) -> Error {
    Error::new(Status::ENOS_ERR_TOO_LARGE, format!("{what} has {len} bytes; EnOS takes at most {MAX_PAYLOAD}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(payload: &str) -> Reply {
        parse_reply(payload.as_bytes()).unwrap()
    }

    fn unread(payload: &[u8]) -> String {
        let error = parse_reply(payload).unwrap_err();
        assert_eq!(error.status, Status::ENOS_ERR_PARSE);
        error.message
    }

    #[test]
    fn requests_carry_params_byte_for_byte() {
        let payload = request("a\"1", "m", b" {\"x\" : 1.10}\n", []).unwrap();
        assert_eq!(payload, br#"{"id":"a\"1","version":"1.0","method":"m","params":{"x" : 1.10}}"#);
        assert_eq!(request("1", "m", b"[]", []).unwrap(), br#"{"id":"1","version":"1.0","method":"m","params":[]}"#);
    }

    #[test]
    fn params_that_would_break_the_envelope_are_refused() {
        for params in
            [&b""[..], b"{", b"{}}", b"{},\"id\":2", b"{\"a\":\xFF}", b"nul", b"1", b"\"x\"", b"null", b"{a:1}"]
        {
            let error = request("1", "m", params, []).unwrap_err();
            assert_eq!(error.status, Status::ENOS_ERR_INVALID_ARG);
            assert!(error.message.starts_with("params "), "{error}");
        }
        let deep = [b"[".repeat(1000), b"]".repeat(1000)].concat();
        assert_eq!(request("1", "m", &deep, []).unwrap_err().message, "params nests deeper than 64 levels");
    }

    #[test]
    fn the_limit_holds_for_the_whole_payload() {
        let frame = request("1", "m", br#"[""]"#, []).unwrap().len();
        let params = |length: usize| format!("[\"{}\"]", "x".repeat(length));
        let largest = request("1", "m", params(MAX_PAYLOAD - frame).as_bytes(), []).unwrap();
        assert_eq!(largest.len(), MAX_PAYLOAD);
        for length in [MAX_PAYLOAD - frame + 1, MAX_PAYLOAD * 2] {
            let error = request("1", "m", params(length).as_bytes(), []).unwrap_err();
            assert_eq!(error.status, Status::ENOS_ERR_TOO_LARGE);
        }
    }

    #[test]
    fn answers_have_data_whatever_it_is() {
        let written = |id, code, data: Option<&[u8]>, message| {
            String::from_utf8(answer(id, code, data, message).unwrap()).unwrap()
        };
        assert_eq!(written(Some("\"7\""), 200, None, None), r#"{"id":"7","code":200,"data":{}}"#);
        assert_eq!(written(Some("7"), -5, Some(b"\"\""), Some("")), r#"{"id":7,"code":-5,"data":"","message":""}"#);
        assert_eq!(written(None, 2000, Some(b"{\"a\":[1]}"), None), r#"{"code":2000,"data":{"a":[1]}}"#);
        assert_eq!(
            written(Some("null"), 1, Some(b" 1"), Some("\"")),
            r#"{"id":null,"code":1,"data":1,"message":"\""}"#
        );
        let error = answer(None, 200, Some(b""), None).unwrap_err();
        assert_eq!(error.status, Status::ENOS_ERR_INVALID_ARG);
        assert!(error.message.starts_with("data "), "{error}");
        let error = answer(None, 200, None, Some(&"x".repeat(MAX_PAYLOAD + 1))).unwrap_err();
        assert_eq!(error.status, Status::ENOS_ERR_TOO_LARGE);
        assert!(error.message.starts_with("message "), "{error}");
    }

    #[test]
    fn replies_are_read_leniently() {
        let plain = Reply { id: "12".into(), code: 200, message: String::new() };
        for payload in [
            r#"{"id":"12","code":200,"data":{}}"#,
            r#"{"id":12,"code":200,"data":""}"#,
            r#" { "data" : [1,{}] , "code":"200", "id":"\u00312", "message":null, "x":{"y":[]} } "#,
            r#"{"id":"12","code":200.0,"message":17}"#,
            r#"{"id":"12","code":2e2}"#,
        ] {
            assert_eq!(reply(payload), plain, "{payload}");
        }
        assert_eq!(reply(r#"{"id":"1","code":-2147483648}"#).code, i32::MIN);
        assert_eq!(reply(r#"{"id":"1","code":1220,"message":"a\n\u0000b\u009fé\u2028\u202ec"}"#).message, "a  b é  c");
        let long = format!(r#"{{"id":"1","code":1,"message":"{}"}}"#, "é".repeat(1000));
        assert_eq!(reply(&long).message, "é".repeat(256));
    }

    #[test]
    fn replies_without_id_or_code_are_refused() {
        for id in ["null", "true", "[]", r#""\ud800""#] {
            assert_eq!(
                unread(format!(r#"{{"id":{id},"code":1}}"#).as_bytes()),
                "the reply has no id (text or a number)"
            );
        }
        assert_eq!(unread(br#"{"id":"1"}"#), "the reply has no code");
        for code in ["2147483648", "-2147483649", "1.5", "1e99", "true", r#""NaN""#, r#""inf""#, r#""""#] {
            let payload = format!(r#"{{"id":"1","code":{code}}}"#);
            assert_eq!(unread(payload.as_bytes()), "the reply's code is no number of 32 bits", "{code}");
        }
        assert!(unread(format!(r#"{{"id":"{}","code":1}}"#, "1".repeat(257)).as_bytes()).contains("257 bytes"));
        assert!(unread(br#"{"id":"1","id":"2","code":1}"#).starts_with("the reply has a field twice"));
        unread(b"[]");
        unread(b"\xFF");
    }

    #[test]
    fn a_reply_may_have_no_name() {
        let words = |payload: &str| parse_nameless_reply(payload.as_bytes());
        assert_eq!(words(r#"{"id":null,"code":1220,"message":"x"}"#), Some((1220, "x".into())));
        assert_eq!(words(r#"{"code":"1220"}"#), Some((1220, String::new())));
        for payload in [r#"{"id":"1","code":1220}"#, r#"{"id":1,"code":1220}"#, r#"{"id":null}"#, "[]", "{"] {
            assert_eq!(words(payload), None, "{payload}");
        }
    }

    #[test]
    fn what_another_reader_would_refuse_is_refused() {
        for json in [r#"{"a":"\ud800"}"#, "[1e999]", r#"{"a":1,"a":2}"#] {
            for error in [
                request("1", "m", json.as_bytes(), []).unwrap_err(),
                answer(None, 200, Some(json.as_bytes()), None).unwrap_err(),
            ] {
                assert_eq!(error.status, Status::ENOS_ERR_INVALID_ARG);
                assert!(error.message.contains(" has a ") && error.message.contains("(byte "), "{error}");
            }
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        let mut random = fastrand::Rng::with_seed(6);
        for _ in 0..2_000 {
            let id: String = (0..random.usize(..20)).map(|_| random.char(..)).collect();
            let code = random.i32(..);
            let raw = serde_json::to_string(&id).unwrap();
            let payload = answer(Some(&raw), code, None, None).unwrap();
            assert_eq!(parse_reply(&payload).unwrap(), Reply { id: id.clone(), code, message: String::new() });
            let payload: serde_json::Value = serde_json::from_slice(&request(&id, &id, b"{}", []).unwrap()).unwrap();
            assert_eq!((payload["id"].as_str(), payload["method"].as_str()), (Some(&*id), Some(&*id)));
        }
    }

    #[test]
    fn damaged_and_random_payloads_are_words() {
        let mut random = fastrand::Rng::with_seed(7);
        let whole = br#"{"id":"12","code":200,"data":{"a":[1,"\u00e9"]},"message":"ok","method":"m"}"#;
        for _ in 0..20_000 {
            let mut payload = whole[..random.usize(..=whole.len())].to_vec();
            for _ in 0..random.usize(..4).min(payload.len()) {
                let at = random.usize(..payload.len());
                payload[at] = random.u8(..);
            }
            let valid = serde_json::from_slice::<serde_json::Value>(&payload).is_ok();
            assert!(valid || parse_reply(&payload).is_err());
        }
    }
}
