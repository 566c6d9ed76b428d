//! The thing model: topics, and what the cloud says to a request on one.

use serde_json::{json, Map, Value};

use crate::DeviceId;

/// The largest payload that EnOS takes.
pub const LARGEST_PAYLOAD: usize = 512 * 1024;

/// What a gateway asks for its sub-devices. Saying yes without having any would be a lie.
const SUB_DEVICES: [&str; 4] = ["combine/", "thing/topo/add", "thing/topo/delete", "thing/device/register"];

/// Where in EnOS's tree of topics a topic lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// `/sys/{pk}/{dk}/suffix`
    Sys(DeviceId, &'a str),
    /// `/ext/session/{pk}/{dk}/suffix`
    Session(DeviceId, &'a str),
    /// No device's.
    Free,
}

impl Place<'_> {
    pub fn of(topic: &str) -> Place<'_> {
        let split = |rest: &str, len: usize| {
            let (product_key, rest) = rest.split_once('/')?;
            let (device_key, suffix) = rest.split_once('/')?;
            Some((DeviceId::new(product_key, device_key), len - suffix.len()))
        };
        let sys = topic.strip_prefix("/sys/").and_then(|rest| split(rest, topic.len()));
        let session = topic.strip_prefix("/ext/session/").and_then(|rest| split(rest, topic.len()));
        match (sys, session) {
            (Some((id, at)), _) => Place::Sys(id, topic.get(at..).unwrap_or_default()),
            (_, Some((id, at))) => Place::Session(id, topic.get(at..).unwrap_or_default()),
            _ => Place::Free,
        }
    }

    pub fn owner(&self) -> Option<&DeviceId> {
        match self {
            Place::Sys(id, _) | Place::Session(id, _) => Some(id),
            Place::Free => None,
        }
    }

    pub fn suffix(&self) -> &str {
        match self {
            Place::Sys(_, suffix) | Place::Session(_, suffix) => suffix,
            Place::Free => "",
        }
    }

    /// Whether EnOS answers a request there.
    pub fn is_request(&self) -> bool {
        let suffix = self.suffix();
        let heads = ["thing/", "ota/device/", "network/status/report", "connection/state/post", "combine/"];
        heads.iter().any(|head| suffix.starts_with(head)) && !self.is_answer()
    }

    /// Whether a device answers the cloud there.
    pub fn is_answer(&self) -> bool {
        self.suffix().ends_with("_reply") || self.suffix().starts_with("rrpc/response/")
    }
}

/// The topic on which a device answers a command sent on `topic`.
pub fn answer_topic(topic: &str) -> String {
    match topic.split_once("/rrpc/request/") {
        Some((device, id)) => format!("{device}/rrpc/response/{id}"),
        None => format!("{topic}_reply"),
    }
}

/// What the cloud has to say to a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// As it was sent, text or number; null when it could not be found.
    pub id: Value,
    pub code: i64,
    pub message: String,
    /// The reply's payload.
    pub payload: Vec<u8>,
}

impl Judgement {
    fn new(id: Value, code: i64, message: String, data: Value) -> Judgement {
        let mut body = json!({"id": id, "code": code, "data": data});
        if !message.is_empty() {
            body["message"] = message.clone().into();
        }
        Judgement { id, code, message, payload: body.to_string().into() }
    }
}

/// Judges a request of `device` on `place`.
pub fn judge(device: &DeviceId, may_publish: bool, place: &Place, payload: &[u8]) -> Judgement {
    let parsed = serde_json::from_slice::<Value>(payload);
    let id = parsed.as_ref().ok().and_then(|body| body.get("id")).cloned().unwrap_or_default();
    let verdict = if payload.len() > LARGEST_PAYLOAD {
        Err((1008, format!("the payload of {} bytes is above {LARGEST_PAYLOAD}", payload.len())))
    } else if payload.is_empty() {
        Err((1251, "the payload is empty".to_owned()))
    } else if place.owner() != Some(device) {
        Err((1009, "the topic is another device's".to_owned()))
    } else if !may_publish {
        Err((1009, "this session is for activation: log in with the device secret".to_owned()))
    } else if place.suffix() == "thing/model/up_raw" {
        // Raw data has no envelope; a script of the product's would decode it and write the answer.
        return Judgement { id: Value::Null, code: 200, message: String::new(), payload: payload.to_vec() };
    } else {
        match parsed {
            Err(error) => Err((1220, format!("the payload is not JSON: {error}"))),
            Ok(Value::Object(body)) => check_envelope(&body, place),
            Ok(_) => Err((1220, "the payload is not a JSON object".to_owned())),
        }
    };
    match verdict {
        Ok(data) => Judgement::new(id, 200, String::new(), data),
        Err((code, message)) => Judgement::new(id, code, message, json!({})),
    }
}

type Verdict = Result<Value, (i64, String)>;

fn check_envelope(body: &Map<String, Value>, place: &Place) -> Verdict {
    match body.get("id") {
        Some(Value::String(id)) if !id.is_empty() => {}
        Some(Value::Number(_)) => {}
        _ => return Err((1220, "there is no \"id\"".to_owned())),
    }
    let expected = place.suffix().replace('/', ".");
    match body.get("method") {
        Some(Value::String(method)) if *method == expected => {}
        Some(method) => return Err((1260, format!("the method is {method}, this topic's is {expected}"))),
        None => return Err((1260, format!("there is no \"method\", this topic's is {expected}"))),
    }
    let Some(params) = body.get("params") else { return Err((1220, "there is no \"params\"".to_owned())) };
    check_params(place, params)
}

fn check_params(place: &Place, params: &Value) -> Verdict {
    let object_in = |code: i64, value: &Value, name: &str| match value.get(name) {
        Some(Value::Object(members)) if !members.is_empty() => Ok(()),
        _ => Err((code, format!("\"{name}\" in the params is not an object with members"))),
    };
    let array_in = |code: i64, name: &str| match params.get(name) {
        Some(Value::Array(_)) => Ok(()),
        _ => Err((code, format!("\"{name}\" in the params is not an array"))),
    };
    let items = || match params {
        Value::Array(items) if !items.is_empty() => Ok(items),
        _ => Err((1220, "the params are not an array with items".to_owned())),
    };
    match place.suffix() {
        "thing/measurepoint/post" | "thing/measurepoint/resume" => object_in(1206, params, "measurepoints")?,
        "thing/measurepoint/post/batch" | "thing/measurepoint/resume/batch" => {
            items()?.iter().try_for_each(|item| object_in(1206, item, "measurepoints"))?;
        }
        "thing/attribute/update" => object_in(1207, params, "attributes")?,
        "thing/attribute/query" => array_in(1208, "attributes")?,
        "thing/attribute/delete" => array_in(1209, "attributes")?,
        "thing/tag/query" | "thing/tag/delete" => array_in(1220, "tags")?,
        "thing/tag/update" => drop(items()?),
        "thing/topo/get" | "ota/device/getversion" => return Ok(json!([])),
        suffix if suffix.starts_with("thing/event/") && suffix.ends_with("/post") => object_in(1204, params, "events")?,
        suffix if SUB_DEVICES.iter().any(|head| suffix.starts_with(head)) => {
            return Err((740, "sub-devices are not simulated".to_owned()));
        }
        _ => {}
    }
    Ok(json!({}))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: &str = "/sys/pk/dk/thing/measurepoint/post";
    const POST: &str =
        r#"{"id":"7","version":"1.0","method":"thing.measurepoint.post","params":{"measurepoints":{"t":1},"time":1}}"#;

    fn code(topic: &str, payload: &str) -> i64 {
        judge(&DeviceId::new("pk", "dk"), true, &Place::of(topic), payload.as_bytes()).code
    }

    #[test]
    fn posts_are_judged() {
        assert_eq!(code(TOPIC, POST), 200);
        assert_eq!(code(TOPIC, &POST.replace("\"7\"", "7")), 200);
        assert_eq!(code(TOPIC, ""), 1251);
        assert_eq!(code(TOPIC, "{"), 1220);
        assert_eq!(code(TOPIC, "[]"), 1220);
        assert_eq!(code(TOPIC, &POST.replace(".post", ".resume")), 1260);
        assert_eq!(code(TOPIC, &POST.replace("measurepoints", "points")), 1206);
        assert_eq!(code("/sys/pk/other/thing/measurepoint/post", POST), 1009);
        assert_eq!(code(TOPIC, &POST.replace("\"t\":1", &format!("\"t\":\"{}\"", "x".repeat(LARGEST_PAYLOAD)))), 1008);
        let event = r#"{"id":"1","method":"thing.event.alarm.post","params":{"events":{"level":1}}}"#;
        assert_eq!(code("/sys/pk/dk/thing/event/alarm/post", event), 200);
        assert_eq!(code("/sys/pk/dk/thing/model/up_raw", "\u{1}raw"), 200);
    }

    #[test]
    fn the_reply_has_the_id_as_it_came() {
        let judgement = judge(&DeviceId::new("pk", "dk"), true, &Place::of(TOPIC), POST.as_bytes());
        let reply: Value = serde_json::from_slice(&judgement.payload).unwrap();
        assert_eq!(reply, json!({"id": "7", "code": 200, "data": {}}));
    }

    #[test]
    fn places() {
        let id = DeviceId::new("pk", "dk");
        assert_eq!(Place::of("/sys/pk/dk/a/b"), Place::Sys(id.clone(), "a/b"));
        assert_eq!(Place::of("/ext/session/pk/dk/a"), Place::Session(id, "a"));
        assert_eq!(Place::of("/sys/pk"), Place::Free);
        assert!(Place::of("/sys/pk/dk/thing/service/set_reply").is_answer());
        assert_eq!(answer_topic("/sys/p/d/rrpc/request/9"), "/sys/p/d/rrpc/response/9");
    }
}
