//! What faults make of a publication of the cloud.

use mqttbytes::v4::Publish;
use serde_json::{json, Value};

use crate::fault::Kind;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spoil {
    /// An activation, or the reply to a login of sub-devices, names another device.
    OtherDevice,
    /// The topic names another device.
    OtherTopic,
    /// The last sub-device is missing in the reply to a batch.
    LeaveOut,
    /// The first sub-device that has logged in is in the list twice.
    ListTwice,
    /// It is in the list of those that have failed as well.
    BothLists,
    /// There is no `deviceSecret`.
    NoSecret,
    /// `deviceSecret` is "".
    EmptySecret,
    /// Another method.
    OtherMethod,
    /// The payload ends in the middle.
    Truncated,
    /// A secret, data or params of this many bytes.
    Huge(usize),
    /// An id of this many bytes.
    HugeId(usize),
    /// The id of the next message.
    OtherId,
    /// No id.
    NoId,
    /// An id that is a number.
    NumericId,
    /// A code that is a text.
    TextCode,
    /// Each member of the envelope has another type.
    WrongType,
    /// Data or params of so many levels.
    Deep(usize),
    /// The retain flag is set.
    Retained,
    /// An offer names a digest that is not that of the image.
    WrongDigest,
    /// A size that is larger by one.
    WrongSize,
    /// The size as a text.
    TextSize,
    /// A kind of digest that nobody knows.
    OtherDigest,
}

/// Those without a value, by name.
pub const SPOILS: [(&str, Spoil); 19] = [
    ("other-device", Spoil::OtherDevice),
    ("other-topic", Spoil::OtherTopic),
    ("other-method", Spoil::OtherMethod),
    ("no-secret", Spoil::NoSecret),
    ("leave-out", Spoil::LeaveOut),
    ("list-twice", Spoil::ListTwice),
    ("both-lists", Spoil::BothLists),
    ("empty-secret", Spoil::EmptySecret),
    ("truncated", Spoil::Truncated),
    ("other-id", Spoil::OtherId),
    ("no-id", Spoil::NoId),
    ("numeric-id", Spoil::NumericId),
    ("text-code", Spoil::TextCode),
    ("wrong-type", Spoil::WrongType),
    ("retained", Spoil::Retained),
    ("wrong-digest", Spoil::WrongDigest),
    ("wrong-size", Spoil::WrongSize),
    ("text-size", Spoil::TextSize),
    ("other-digest", Spoil::OtherDigest),
];

impl Spoil {
    /// Whether it can be done to a publication of this kind.
    pub fn fits(&self, kind: Kind) -> bool {
        match self {
            Spoil::OtherDevice | Spoil::NoSecret | Spoil::EmptySecret => {
                matches!(kind, Kind::Activation | Kind::Login | Kind::Batch)
            }
            Spoil::LeaveOut | Spoil::ListTwice | Spoil::BothLists => kind == Kind::Batch,
            Spoil::WrongDigest | Spoil::WrongSize | Spoil::TextSize | Spoil::OtherDigest => kind == Kind::Offer,
            Spoil::OtherMethod => matches!(kind, Kind::Activation | Kind::Command),
            Spoil::OtherTopic | Spoil::Truncated | Spoil::Huge(_) | Spoil::Retained => {
                kind.is_reply() || matches!(kind, Kind::Activation | Kind::Command)
            }
            _ => kind.is_reply() || kind == Kind::Command,
        }
    }

    pub fn apply(&self, publish: &mut Publish) {
        match self {
            Spoil::OtherTopic => {
                let topic = publish.topic.replace("/thing/", "-other/thing/");
                publish.topic = topic.replace("/combine/", "-other/combine/");
            }
            Spoil::Truncated => publish.payload.truncate(publish.payload.len() / 2),
            Spoil::Retained => publish.retain = true,
            Spoil::Deep(levels) => deepen(publish, *levels),
            Spoil::OtherMethod => edit(publish, |body| body["method"] = "thing.service.other".into()),
            Spoil::OtherDevice => edit(publish, |body| {
                if let Some(device) = devices(body).into_iter().next() {
                    device["deviceKey"] = format!("{}-other", device["deviceKey"].as_str().unwrap_or_default()).into();
                }
            }),
            Spoil::LeaveOut => edit(publish, |body| {
                let [logged_in, failed] = lists(body);
                drop(logged_in.and_then(Vec::pop).or_else(|| failed?.pop()));
            }),
            Spoil::ListTwice => edit(publish, |body| {
                let [logged_in, _] = lists(body);
                logged_in.into_iter().for_each(|list| list.extend(list.first().cloned()));
            }),
            Spoil::BothLists => edit(publish, |body| {
                if let [Some(logged_in), Some(failed)] = lists(body) {
                    failed.extend(logged_in.first().cloned());
                }
            }),
            Spoil::EmptySecret => edit(publish, |body| {
                let secrets = devices(body).into_iter().filter_map(|device| device.get_mut("deviceSecret"));
                secrets.for_each(|secret| *secret = "".into());
            }),
            Spoil::NoSecret => edit(publish, |body| {
                devices(body).into_iter().for_each(|device| remove(device, "deviceSecret"));
            }),
            Spoil::Huge(bytes) => edit(publish, |body| {
                let huge = "S".repeat(*bytes).into();
                let name = content(body);
                match body.get_mut("params").and_then(|params| params.get_mut("deviceSecret")) {
                    Some(secret) => *secret = huge,
                    None => body[name] = huge,
                }
            }),
            Spoil::HugeId(bytes) => edit(publish, |body| body["id"] = "7".repeat(*bytes).into()),
            Spoil::OtherId => edit(publish, |body| {
                let id = number(&body["id"]);
                body["id"] = (id + 1).to_string().into();
            }),
            Spoil::NumericId => edit(publish, |body| body["id"] = number(&body["id"]).into()),
            Spoil::NoId => edit(publish, |body| remove(body, "id")),
            Spoil::TextCode => edit(publish, |body| {
                let code = body.get("code").map_or_else(|| "200".to_owned(), Value::to_string);
                body["code"] = code.into();
            }),
            Spoil::WrongType => edit(publish, |body| body.as_object_mut().into_iter().flatten().for_each(retype)),
            Spoil::WrongDigest => edit_offers(publish, |offer| {
                let sign = offer["sign"].as_str().unwrap_or_default();
                let first = if sign.starts_with('0') { "1" } else { "0" };
                offer["sign"] = format!("{first}{}", sign.get(1..).unwrap_or_default()).into();
            }),
            Spoil::WrongSize => edit_offers(publish, |offer| {
                offer["fileSize"] = offer["fileSize"].as_u64().unwrap_or_default().saturating_add(1).into();
            }),
            Spoil::TextSize => edit_offers(publish, |offer| offer["fileSize"] = offer["fileSize"].to_string().into()),
            Spoil::OtherDigest => edit_offers(publish, |offer| offer["signMethod"] = "crc32".into()),
        }
    }
}

/// Those that an activation, or the reply to a login of sub-devices, names.
fn devices(body: &mut Value) -> Vec<&mut Value> {
    let name = content(body);
    match body.get_mut(name) {
        Some(Value::Object(members)) if members.contains_key("deviceKey") => body.get_mut(name).into_iter().collect(),
        _ => lists(body).into_iter().flatten().flatten().collect(),
    }
}

/// The sub-devices that a batch has logged in, and those that have failed.
fn lists(body: &mut Value) -> [Option<&mut Vec<Value>>; 2] {
    let Some(Value::Object(data)) = body.get_mut("data") else { return [None, None] };
    let mut lists = [None, None];
    for (name, list) in data {
        match (name.as_str(), list) {
            ("loginedSubDevices", Value::Array(list)) => lists[0] = Some(list),
            ("failedSubDevices", Value::Array(list)) => lists[1] = Some(list),
            _ => {}
        }
    }
    lists
}

/// The member with the content of a request or reply.
fn content(body: &Value) -> &'static str {
    if body.get("params").is_some() {
        "params"
    } else {
        "data"
    }
}

fn number(id: &Value) -> u64 {
    id.as_u64().or_else(|| id.as_str()?.parse().ok()).unwrap_or_default()
}

fn remove(body: &mut Value, name: &str) {
    if let Some(members) = body.as_object_mut() {
        members.remove(name);
    }
}

fn retype((_, value): (&String, &mut Value)) {
    *value = match value {
        Value::String(_) => json!([1]),
        Value::Number(_) => json!({"a": "b"}),
        Value::Object(_) => json!("text"),
        Value::Array(_) => json!(7),
        Value::Bool(_) | Value::Null => json!("text"),
    };
}

/// As text, because dropping a value of many levels needs as much stack.
fn deepen(publish: &mut Publish, levels: usize) {
    let mut name = "data";
    edit(publish, |body| {
        name = content(body);
        remove(body, name);
    });
    let Some(head) = publish.payload.strip_suffix(b"}") else { return };
    let deep = format!(",\"{name}\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    publish.payload = [head, deep.as_bytes()].concat().into();
}

fn edit(publish: &mut Publish, change: impl FnOnce(&mut Value)) {
    if let Ok(mut body @ Value::Object(_)) = serde_json::from_slice(&publish.payload) {
        change(&mut body);
        publish.payload = body.to_string().into();
    }
}

/// Edits the offers of firmware in a command, or in the reply to a device that asks for them.
fn edit_offers(publish: &mut Publish, change: impl Fn(&mut Value)) {
    edit(publish, |body| {
        let name = content(body);
        match body.get_mut(name) {
            Some(Value::Array(offers)) => offers.iter_mut().filter(|offer| offer.is_object()).for_each(change),
            Some(offer @ Value::Object(_)) => change(offer),
            _ => {}
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use mqttbytes::QoS;

    fn spoiled(spoil: &Spoil, body: &Value) -> Publish {
        let mut publish = Publish::new("/sys/pk/dk/thing/x", QoS::AtMostOnce, body.to_string());
        spoil.apply(&mut publish);
        publish
    }

    fn json(spoil: Spoil, body: Value) -> Value {
        serde_json::from_slice(&spoiled(&spoil, &body).payload).unwrap()
    }

    #[test]
    fn envelopes_are_spoiled() {
        let reply = json!({"id": "7", "code": 200, "data": {"a": 1}});
        assert_eq!(json(Spoil::OtherId, reply.clone())["id"], "8");
        assert_eq!(json(Spoil::NumericId, reply.clone())["id"], 7);
        assert_eq!(json(Spoil::NoId, reply.clone()).get("id"), None);
        assert_eq!(json(Spoil::HugeId(20), reply.clone())["id"].as_str().unwrap().len(), 20);
        assert_eq!(json(Spoil::TextCode, reply.clone())["code"], "200");
        assert_eq!(json(Spoil::Huge(30), reply.clone())["data"].as_str().unwrap().len(), 30);
        assert_eq!(json(Spoil::WrongType, reply.clone()), json!({"id": [1], "code": {"a": "b"}, "data": "text"}));
        assert_eq!(json(Spoil::Deep(3), reply.clone()), json!({"id": "7", "code": 200, "data": [[[]]]}));
        let command = json!({"id": "7", "method": "m", "params": {}});
        assert_eq!(json(Spoil::Deep(2), command.clone())["params"], json!([[]]));
        assert_eq!(json(Spoil::Huge(3), command.clone())["params"], "SSS");
        assert_eq!(json(Spoil::TextCode, command)["code"], "200");
        let deep = spoiled(&Spoil::Deep(10_000), &reply);
        assert!(deep.payload.len() > 20_000 && serde_json::from_slice::<Value>(&deep.payload).is_err());
        assert!(spoiled(&Spoil::Retained, &reply).retain);
    }

    #[test]
    fn replies_to_logins_are_spoiled() {
        let data = |spoil: Spoil, data: &Value| json(spoil, json!({"id": "7", "data": data}))["data"].clone();
        let device = |key: &str| json!({"productKey": "pk", "deviceKey": key, "deviceSecret": "s"});
        let login = device("a");
        assert_eq!(data(Spoil::OtherDevice, &login)["deviceKey"], "a-other");
        assert_eq!(data(Spoil::EmptySecret, &login)["deviceSecret"], "");
        assert_eq!(data(Spoil::NoSecret, &login).get("deviceSecret"), None);
        let lists = |logged_in: &[&str], failed: &[&str]| {
            let list = |keys: &[&str]| keys.iter().map(|key| device(key)).collect::<Vec<_>>();
            json!({"loginedSubDevices": list(logged_in), "failedSubDevices": list(failed)})
        };
        let batch = lists(&["a", "b"], &["c"]);
        assert_eq!(data(Spoil::OtherDevice, &batch), lists(&["a-other", "b"], &["c"]));
        assert_eq!(data(Spoil::LeaveOut, &batch), lists(&["a"], &["c"]));
        assert_eq!(data(Spoil::LeaveOut, &lists(&[], &["c", "d"])), lists(&[], &["c"]));
        assert_eq!(data(Spoil::ListTwice, &batch), lists(&["a", "b", "a"], &["c"]));
        assert_eq!(data(Spoil::BothLists, &batch), lists(&["a", "b"], &["c", "a"]));
        assert!(!data(Spoil::NoSecret, &batch).to_string().contains("deviceSecret"));
    }

    #[test]
    fn offers_are_spoiled() {
        let offer = json!({"version": "2", "sign": "0abc", "signMethod": "md5", "fileSize": 7});
        let params = |spoil: Spoil| json(spoil, json!({"id": "7", "params": offer}))["params"].clone();
        assert_eq!(params(Spoil::WrongDigest)["sign"], "1abc");
        assert_eq!(params(Spoil::WrongSize)["fileSize"], 8);
        assert_eq!(params(Spoil::TextSize)["fileSize"], "7");
        let reply = json!({"id": "7", "code": 200, "data": [offer]});
        assert_eq!(json(Spoil::OtherDigest, reply)["data"][0]["signMethod"], "crc32");
    }

    #[test]
    fn raw_bytes_stay_as_they_are() {
        for (_, spoil) in SPOILS.iter().filter(|(_, spoil)| *spoil != Spoil::Truncated) {
            assert_eq!(spoiled(spoil, &json!("raw")).payload, "\"raw\"");
        }
    }
}
