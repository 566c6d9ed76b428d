//! One function for each request: whether its params have the form that EnOS documents, and what EnOS answers.

pub mod attributes;
pub mod channel;
pub mod gateway;
pub mod ota;
pub mod points;
pub mod reports;
pub mod tags;

use serde_json::{json, Map, Value};
use std::io;

use super::{state::Thing, Fields, Session};
use crate::{event::Event, DeviceId};

/// The limit of attributes or tags in one request.
const MOST: usize = 200;

/// The data of the answer, or EnOS's code and text.
pub type Verdict<T = Value> = Result<T, (i64, String)>;

/// A request whose envelope is right.
pub struct Request<'a, 's> {
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
    pub session: &'a mut Session<'s>,
    /// The code and the text of an answer that has data; 200 unless the request fails in part.
    pub outcome: (i64, String),
}

impl Request<'_, '_> {
    /// Whether the device may have sub-devices.
    fn is_gateway(&self) -> bool {
        self.session.registry.find(self.device).is_some_and(|device| device.is_gateway)
    }

    /// Whether this device is in its topology.
    fn owns(&self, sub_device: &DeviceId) -> bool {
        self.session.registry.find(sub_device).is_some_and(|device| device.gateways.contains(self.device))
    }

    /// The state file was written, or not.
    fn saved(&mut self, saved: io::Result<()>) {
        if let Err(error) = saved {
            self.session.tell(self.device, Event::StateNotSaved { reason: error.to_string() });
        }
    }

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
    use crate::{
        config::Config, digest::Algorithm, firmware::Depot, gateways::Gateways, login::Mode, registry::Registry, Device,
    };

    /// A cloud with one device online, and what it knows of that.
    pub struct Desk {
        pub thing: Thing,
        pub config: Config,
        pub registry: Registry,
        pub gateways: Gateways,
        /// Who sends: a device, a gateway, or the integration channel.
        pub device: DeviceId,
        pub mode: Mode,
        /// The text of the last answer.
        pub message: String,
    }

    impl Default for Desk {
        fn default() -> Desk {
            Desk::with(Device::active(DeviceId::new("pk", "dk"), "ds"), Vec::new())
        }
    }

    impl Desk {
        fn with(device: Device, others: Vec<Device>) -> Desk {
            let id = device.id.clone();
            let config = Config { devices: [vec![device], others].concat(), seed: Some(1), ..Config::default() };
            let registry = Registry::open(&config).unwrap();
            let (thing, gateways, message) = (Thing::default(), Gateways::default(), String::new());
            Desk { thing, config, registry, gateways, device: id, mode: Mode::Device, message }
        }

        /// A gateway without sub-devices, and devices that may become them: s1, s2 and s3 are active, new is not.
        pub fn gateway() -> Desk {
            let active = |key| Device::active(DeviceId::new("pk", key), "ds");
            let new = Device::inactive(DeviceId::new("pk", "new"), "ps");
            let others = vec![active("s1"), active("s2"), active("s3"), new];
            Desk::with(Device::active(DeviceId::new("gwpk", "gw"), "gs").gateway(), others)
        }

        /// The answer to these params on a topic of the device.
        pub fn ask(&mut self, suffix: &str, params: Value) -> (i64, Value) {
            self.ask_with(suffix, json!({"params": params}))
        }

        /// The answer to a request with this body, to which id and method are added.
        pub fn ask_with(&mut self, suffix: &str, body: Value) -> (i64, Value) {
            let head = if suffix.starts_with("combine/") { self.device.session() } else { self.device.sys() };
            self.ask_on(&(head + suffix), &suffix.replace('/', "."), body)
        }

        pub fn ask_on(&mut self, topic: &str, method: &str, body: Value) -> (i64, Value) {
            let mut whole = json!({"id": "1", "method": method});
            whole.as_object_mut().unwrap().append(&mut body.as_object().unwrap().clone());
            let mut session = Session {
                mode: self.mode,
                config: &self.config,
                registry: &mut self.registry,
                gateways: &mut self.gateways,
                connection: 1,
                depot: &Depot::default(),
                local: None,
                events: Vec::new(),
            };
            let place = Place::of(topic);
            let payload = whole.to_string();
            let judgement = judge(&self.device, &mut session, &mut self.thing, &place, payload.as_bytes());
            self.message = judgement.message;
            let reply: Value = serde_json::from_slice(&judgement.payload).unwrap();
            (judgement.code, reply["data"].clone())
        }

        pub fn code(&mut self, suffix: &str, params: Value) -> i64 {
            self.ask(suffix, params).0
        }
    }

    pub fn code(suffix: &str, params: Value) -> i64 {
        Desk::default().code(suffix, params)
    }

    /// The params of a sub-device's login, signed with this secret.
    pub fn signed(key: &str, secret: &str) -> Value {
        let product_key = if key == "gw" { "gwpk" } else { "pk" };
        let content = format!("clientIdcdeviceKey{key}productKey{product_key}timestamp1700000000000");
        json!({
            "productKey": product_key, "deviceKey": key, "clientId": "c",
            "timestamp": "1700000000000", "signMethod": "sha256",
            "sign": Algorithm::Sha256.password(&content, secret), "secureMode": if secret == "ps" { "3" } else { "2" },
        })
    }
}
