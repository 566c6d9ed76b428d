//! One function for each request: whether its params have the form that EnOS documents, and what EnOS answers.

pub mod attributes;
pub mod gateway;
pub mod ota;
pub mod points;
pub mod reports;
pub mod tags;

use serde_json::{json, Map, Value};

use super::{state::Thing, Fields};
use crate::DeviceId;

/// The limit of attributes or tags in one request.
const MOST: usize = 200;

/// The data of the answer, or EnOS's code and text.
pub type Verdict<T = Value> = Result<T, (i64, String)>;

/// A request whose envelope is right.
pub struct Request<'a> {
    pub device: &'a DeviceId,
    /// The event's identifier, in a topic that has one.
    pub name: &'a str,
    /// The slips of Envision's Python SDK are forgiven.
    pub lax: bool,
    /// The whole envelope.
    pub body: &'a Fields,
    pub params: &'a Value,
    pub model: Option<&'a Value>,
    /// What the cloud knows of the device.
    pub thing: &'a mut Thing,
}

impl Request<'_> {
    /// With a model, the device can only have what the model has.
    fn check_model(&self, map: &str, ids: impl IntoIterator<Item = impl AsRef<str>>) -> Verdict<()> {
        let Some(known) = self.model.and_then(|model| model.get(map)).and_then(Value::as_object) else { return Ok(()) };
        match ids.into_iter().find(|id| !known.contains_key(id.as_ref())) {
            Some(id) => Err((1204, format!("the model has no \"{}\" in its {map}", id.as_ref()))),
            None => Ok(()),
        }
    }
}

fn nothing() -> Verdict {
    Ok(json!({}))
}

fn object<'a>(code: i64, value: &'a Value, name: &str) -> Verdict<&'a Map<String, Value>> {
    let object = value.get(name).and_then(Value::as_object);
    object.ok_or_else(|| (code, format!("\"{name}\" in the params is not an object")))
}

fn members<'a>(code: i64, value: &'a Value, name: &str) -> Verdict<&'a Map<String, Value>> {
    match object(code, value, name)? {
        members if members.is_empty() => Err((code, format!("\"{name}\" in the params has no members"))),
        members => Ok(members),
    }
}

/// An array of texts, at most 200.
fn texts<'a>(code: i64, params: &'a Value, name: &str) -> Verdict<Vec<&'a str>> {
    let list = params.get(name).and_then(Value::as_array);
    let list = list.ok_or_else(|| (code, format!("\"{name}\" in the params is not an array")))?;
    at_most(code, list.len())?;
    let texts: Option<Vec<_>> = list.iter().map(Value::as_str).collect();
    texts.ok_or_else(|| (code, format!("\"{name}\" in the params has an item that is not a string")))
}

fn items(params: &Value) -> Verdict<&Vec<Value>> {
    let items = params.as_array().filter(|items| !items.is_empty());
    items.ok_or_else(|| (1220, "the params are not an array with items".to_owned()))
}

fn at_most(code: i64, count: usize) -> Verdict<()> {
    match count {
        0..=MOST => Ok(()),
        _ => Err((code, format!("{count} in one request; {MOST} are the most"))),
    }
}

/// Optional: by default EnOS uses its own time.
fn time(code: i64, params: &Value, name: &str) -> Verdict<()> {
    match params.get(name) {
        Some(time) if !time.is_u64() => Err((code, format!("the {name} {time} is not a number of milliseconds"))),
        _ => Ok(()),
    }
}

/// Members that may be missing, but have this type if they are there.
fn optional(params: &Value, names: &[&str], type_name: &str, is: fn(&Value) -> bool) -> Verdict<()> {
    match names.iter().find(|name| params.get(**name).is_some_and(|value| !is(value))) {
        Some(name) => Err((1220, format!("\"{name}\" is not {type_name}"))),
        None => Ok(()),
    }
}

/// The params of a request that has none: an empty object.
fn no_params(request: &Request) -> Verdict<()> {
    match request.params {
        Value::Object(_) => Ok(()),
        _ => Err((1220, "the params are not an object".to_owned())),
    }
}

#[cfg(test)]
pub mod tests {
    use super::super::{judge, Place, Session};
    use super::*;
    use crate::config::Methods;

    /// A device, and what the cloud knows of it.
    #[derive(Default)]
    pub struct Device {
        pub thing: Thing,
        pub model: Option<Value>,
        pub lax: bool,
    }

    impl Device {
        /// The answer to a request with this body, to which id and method are added.
        pub fn ask(&mut self, suffix: &str, body: Value) -> (i64, Value) {
            let mut whole = json!({"id": "1", "method": suffix.replace('/', ".")});
            whole.as_object_mut().unwrap().append(&mut body.as_object().unwrap().clone());
            let topic = format!("/sys/pk/dk/{suffix}");
            let methods = if self.lax { Methods::Lax } else { Methods::Strict };
            let session = Session { may_publish: true, methods, model: self.model.as_ref() };
            let device = DeviceId::new("pk", "dk");
            let place = Place::of(&topic);
            let judgement = judge(&device, session, &mut self.thing, &place, whole.to_string().as_bytes());
            let reply: Value = serde_json::from_slice(&judgement.payload).unwrap();
            (judgement.code, reply["data"].clone())
        }

        pub fn code(&mut self, suffix: &str, params: Value) -> i64 {
            self.ask(suffix, json!({"params": params})).0
        }
    }

    pub fn code(suffix: &str, params: Value) -> i64 {
        Device::default().code(suffix, params)
    }
}
