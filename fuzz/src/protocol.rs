//! Topics, and the JSON around every message, against serde_json's own reader and simple rules.

use crate::input::Input;
use crate::oracle::check_words;
use enos::internals::error::Status;
use enos::internals::ffi::activation::*;
use enos::internals::protocol::{envelope, topic as topics};
use serde_json::Value;
use std::ffi::CStr;
use std::ptr::null_mut;
use support::host::last_error;

const TOPIC: &str = "/ext/session/pk/dk/thing/activate/info";

/// The output of serde_json for its input: no duplicate keys, and nothing that the two readers could interpret
/// differently.
fn second_reader(json: &[u8]) -> Option<(Value, Vec<u8>)> {
    let value: Value = serde_json::from_slice(json).ok()?;
    let text = serde_json::to_vec(&value).ok()?;
    (depth(&value) < 60).then_some((value, text))
}

fn depth(value: &Value) -> usize {
    1 + match value {
        Value::Array(all) => all.iter().map(depth).max().unwrap_or(0),
        Value::Object(all) => all.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// An id, as the library reads it.
fn id_of(value: &Value) -> Option<String> {
    let id = match value.get("id")? {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (id.len() <= 256).then_some(id)
}

fn code_of(value: &Value) -> Option<i32> {
    let text = match value.get("code")? {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    text.parse().ok().or_else(|| {
        let number: f64 = text.parse().ok()?;
        (number.fract() == 0.0 && number.abs() <= 2_147_483_648.0 && number < 2_147_483_648.0).then_some(number as i32)
    })
}

pub fn reply(json: &[u8]) {
    match envelope::parse_reply(json) {
        Ok(reply) => check_words(&reply.message),
        Err(error) => check_words(&error.message),
    }
    let Some((value, text)) = second_reader(json) else { return };
    let read = envelope::parse_reply(&text).ok();
    let expected = id_of(&value).zip(code_of(&value)).filter(|_| value.is_object());
    assert_eq!(read.map(|reply| (reply.id, reply.code)), expected, "{value}");
}

/// Params from a firmware: the message is one JSON text, with the params unchanged, and nothing else.
pub fn request(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let id = String::from_utf8_lossy(input.chunk()).into_owned();
    let json = input.rest();
    let raw_id = serde_json::to_string(&id).expect("a text is JSON");
    let answer = envelope::answer(Some(&raw_id), 200, Some(json), None);
    for written in [envelope::request(&id, "a.method", json, []), answer] {
        match written {
            Err(error) => check_words(&error.message),
            Ok(written) => {
                let Ok(given) = serde_json::from_slice::<Value>(json) else { continue };
                let value: Value = serde_json::from_slice(&written).expect("what was made of JSON is JSON");
                assert_eq!(value["id"], *id);
                assert!(value["params"] == given || value["data"] == given, "{value}");
                assert!(value.as_object().is_some_and(|all| (3..=4).contains(&all.len())), "{value}");
            }
        }
    }
}

/// The status, and the secret and the answer of a parsed activation.
fn parse_activation(topic: &[u8], payload: &[u8]) -> (i32, Option<(String, Vec<u8>)>) {
    let mut activation = null_mut();
    // SAFETY: texts and bytes that live across the call, and a place for the activation.
    let status = unsafe {
        enos_activation_parse(
            c"pk".as_ptr(),
            c"dk".as_ptr(),
            topic.as_ptr().cast(),
            topic.len(),
            payload.as_ptr(),
            payload.len(),
            &mut activation,
        )
    };
    if status != Status::ENOS_OK as i32 {
        assert!(activation.is_null());
        check_words(&last_error());
        return (status, None);
    }
    let (mut topic, mut payload) = ([0u8; 256], vec![0u8; 70_000]);
    let (mut topic_len, mut payload_len) = (0, 0);
    // SAFETY: an activation, buffers with their sizes, and places for the lengths. It is freed once, at the end.
    let secret = unsafe {
        let status = enos_activation_reply(
            activation,
            topic.as_mut_ptr().cast(),
            topic.len(),
            &mut topic_len,
            payload.as_mut_ptr().cast(),
            payload.len(),
            &mut payload_len,
        );
        assert_eq!(status, 0, "{}", last_error());
        let asset_id = enos_activation_asset_id(activation);
        if !asset_id.is_null() {
            check_words(CStr::from_ptr(asset_id).to_str().unwrap());
        }
        let secret = CStr::from_ptr(enos_activation_device_secret(activation)).to_str().unwrap().to_owned();
        enos_activation_free(activation);
        secret
    };
    payload.truncate(payload_len);
    (status, Some((secret, payload)))
}

pub fn activation(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let topic = match input.byte() {
        0 => input.chunk(),
        _ => TOPIC.as_bytes(),
    };
    let json = input.rest();
    parse_activation(topic, json);
    // A complete message for this device is an activation, and its secret is the one in the message.
    let Some((value, text)) = second_reader(json) else { return };
    let params = &value["params"];
    let fits = value["method"] == "thing.activate.info" && params["productKey"] == "pk" && params["deviceKey"] == "dk";
    let secret = params["deviceSecret"].as_str().filter(|_| fits && value.is_object() && params.is_object());
    match parse_activation(TOPIC.as_bytes(), &text).1 {
        Some((read, answer)) => {
            assert_eq!(Some(read.as_str()), secret, "{value}");
            let answer: Value = serde_json::from_slice(&answer).expect("an answer in JSON");
            let id = value.get("id").filter(|id| id.is_string() || id.is_number()).unwrap_or(&Value::Null);
            assert_eq!((&answer["id"], &answer["code"]), (id, &Value::from(200)), "{value}");
        }
        // The library decides which texts can be secrets; these can.
        None => assert!(
            !secret
                .is_some_and(|secret| (1..=64).contains(&secret.len()) && secret.bytes().all(|b| b.is_ascii_graphic())),
            "{value}"
        ),
    }
}

pub fn topic(bytes: &[u8]) {
    if let Some(address) = topics::split(bytes) {
        let head = bytes.strip_suffix(address.path).expect("the path ends the topic");
        let keys = [b"/", address.product_key, b"/", address.device_key, b"/"].concat();
        assert!(matches!(head.strip_suffix(&keys[..]), Some(b"/sys" | b"/ext/session")), "{bytes:?}");
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    assert_eq!(topics::Inbound::of(topics::reply_topic(text).as_bytes()), topics::Inbound::Reply, "{text:?}");
    let Some((filter, topic)) = text.split_once('\n') else { return };
    let (filter_is, topic_is) = (topics::validate_filter(filter), topics::validate_publish_topic(topic));
    for error in [&filter_is, &topic_is].into_iter().filter_map(|result| result.as_ref().err()) {
        check_words(&error.message);
    }
    let fits = |text: &str| (1..=65_535).contains(&text.len()) && !text.contains('\0');
    assert_eq!(topic_is.is_ok(), fits(topic) && !topic.contains(['+', '#']), "{topic:?}");
    let levels: Vec<&str> = filter.split('/').collect();
    let plain = |level: &str| level == "+" || !level.contains(['+', '#']);
    let (last, others) = levels.split_last().expect("at least one");
    let valid = fits(filter) && others.iter().all(|level| plain(level)) && (plain(last) || *last == "#");
    assert_eq!(filter_is.is_ok(), valid, "{filter:?}");
}
