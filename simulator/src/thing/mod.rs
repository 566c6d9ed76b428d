//! The thing model: topics, and the cloud's answers to requests.

mod checks;
mod state;
mod table;

use serde_json::{json, Map, Value};
use std::net::IpAddr;

use crate::{
    config::{Config, Methods},
    event::Event,
    firmware::Depot,
    gateways::Gateways,
    login::Mode,
    registry::Registry,
    DeviceId,
};
use checks::{Request, Verdict};
use table::Check;

pub use state::Thing;

/// EnOS accepts at most one byte less.
pub const TOO_LARGE: usize = 512 * 1024;

/// The members of an envelope.
type Fields = Map<String, Value>;

/// What an answer depends on, apart from the request and the device's state.
pub struct Session<'a> {
    pub mode: Mode,
    pub config: &'a Config,
    pub registry: &'a mut Registry,
    pub gateways: &'a mut Gateways,
    /// The number of the connection on which the request came.
    pub connection: u64,
    pub depot: &'a Depot,
    /// The address at which the device has found the cloud.
    pub local: Option<IpAddr>,
    /// What has happened to devices because of the request, and on which connection.
    pub events: Vec<(u64, DeviceId, Event)>,
}

impl Session<'_> {
    pub fn tell(&mut self, device: &DeviceId, event: Event) {
        self.events.push((self.connection, device.clone(), event));
    }
}

/// The place of a topic in EnOS's tree of topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// `/sys/{pk}/{dk}/suffix`
    Sys(DeviceId, &'a str),
    /// `/ext/session/{pk}/{dk}/suffix`
    Session(DeviceId, &'a str),
    /// `/sys/{pk}/integration/suffix`
    Integration(String, &'a str),
    /// Not a topic of EnOS.
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
        let suffix = |at: usize| topic.get(at..).unwrap_or_default();
        match (sys, session) {
            // A device may have this key, too.
            (Some((id, at)), _) if id.device_key == "integration" && is_channel_topic(suffix(at)) => {
                Place::Integration(id.product_key, suffix(at))
            }
            (Some((id, at)), _) => Place::Sys(id, suffix(at)),
            (_, Some((id, at))) => Place::Session(id, suffix(at)),
            _ => Place::Free,
        }
    }

    pub fn owner(&self) -> Option<&DeviceId> {
        match self {
            Place::Sys(id, _) | Place::Session(id, _) => Some(id),
            Place::Integration(..) | Place::Free => None,
        }
    }

    pub fn suffix(&self) -> &str {
        match self {
            Place::Sys(_, suffix) | Place::Session(_, suffix) | Place::Integration(_, suffix) => suffix,
            Place::Free => "",
        }
    }

    /// Whether EnOS answers requests on this topic.
    pub fn is_request(&self) -> bool {
        let suffix = self.suffix();
        let heads = ["thing/", "ota/device/", "network/status/report", "connection/state/post", "combine/"];
        let is_known = heads.iter().any(|head| suffix.starts_with(head)) || matches!(self, Place::Integration(..));
        is_known && !self.is_answer()
    }

    /// Whether devices answer the cloud on this topic.
    pub fn is_answer(&self) -> bool {
        let suffix = self.suffix();
        suffix.ends_with("_reply") || suffix.starts_with("rrpc/response/") || suffix == TRAFFIC
    }
}

/// A topic of the integration channel, or of its replies.
fn is_channel_topic(suffix: &str) -> bool {
    table::is_channel(suffix.strip_suffix("_reply").unwrap_or(suffix))
}

/// A command that is answered on its own topic.
const TRAFFIC: &str = "traffic/control";
/// A command without an envelope.
pub const DOWN_RAW: &str = "thing/model/down_raw";
pub const DOWN_RAW_REPLY: &str = "thing/model/down_raw_reply";
pub const UPGRADE: &str = "ota/device/upgrade";
pub const INFORM: &str = "ota/device/inform";

/// The topic of a command to a device.
pub fn command_topic(device: &DeviceId, suffix: &str) -> String {
    let head = if suffix.starts_with("combine/") { device.session() } else { device.sys() };
    head + suffix
}

/// The topic on which a device answers a command sent on `topic`.
pub fn answer_topic(topic: &str) -> String {
    if topic.ends_with("/traffic/control") {
        return topic.to_owned();
    }
    match topic.split_once("/rrpc/request/") {
        Some((device, id)) => format!("{device}/rrpc/response/{id}"),
        None => format!("{topic}_reply"),
    }
}

/// The cloud's answer to a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// As it was sent, string or number; null if it could not be found.
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

/// Checks a request of `device` on `place`.
pub fn judge(device: &DeviceId, session: &mut Session, thing: &mut Thing, place: &Place, payload: &[u8]) -> Judgement {
    let parsed = serde_json::from_slice::<Value>(payload);
    let id = parsed.as_ref().ok().and_then(|body| body.get("id")).cloned().unwrap_or_default();
    let verdict = match may_send(device, session.mode, place, payload) {
        Err(refusal) => Err(refusal),
        Ok((Check::Raw, _)) => {
            return Judgement { id: Value::Null, code: 200, message: String::new(), payload: payload.to_vec() }
        }
        Ok((Check::Json(check), name)) => {
            object(parsed).and_then(|body| judge_json(device, session, thing, place, name, &body, check))
        }
    };
    match verdict {
        Ok((data, (code, message))) => Judgement::new(id, code, message, data),
        Err((code, message)) => Judgement::new(id, code, message, json!({})),
    }
}

/// The check of a request that may be sent, and the name in its topic.
fn may_send<'a>(device: &DeviceId, mode: Mode, place: &'a Place, payload: &[u8]) -> Verdict<(Check, &'a str)> {
    if payload.len() >= TOO_LARGE {
        return Err((1008, format!("the payload has {} bytes; {} are the most", payload.len(), TOO_LARGE - 1)));
    }
    if payload.is_empty() {
        return Err((1251, "the payload is empty".to_owned()));
    }
    if place.owner().is_some_and(|owner| owner != device) {
        return Err((1009, "the topic belongs to another device, or to a sub-device that is not logged in".to_owned()));
    }
    let is_allowed = match (mode, place) {
        (Mode::Product, _) => Err("this session is for activation: log in with the device secret"),
        (Mode::Channel, Place::Integration(product_key, _)) if *product_key == device.product_key => Ok(()),
        (Mode::Channel, _) => Err("the integration channel has only the topics /sys/{its product key}/integration/"),
        (Mode::Device, Place::Integration(..)) => Err("the integration channel needs a login with securemode 4"),
        (Mode::Device, _) => Ok(()),
    };
    is_allowed.map_err(|reason| (1009, reason.to_owned()))?;
    let row = table::find(place).ok_or_else(|| (1009, "EnOS documents no request on this topic".to_owned()))?;
    Ok((row.0.check, row.1))
}

fn object(parsed: serde_json::Result<Value>) -> Verdict<Fields> {
    match parsed {
        Ok(Value::Object(body)) => Ok(body),
        Ok(_) => Err((1220, "the payload is not a JSON object".to_owned())),
        Err(error) => Err((1220, format!("the payload is not JSON: {error}"))),
    }
}

fn judge_json(
    device: &DeviceId,
    session: &mut Session,
    thing: &mut Thing,
    place: &Place,
    name: &str,
    body: &Fields,
    check: fn(&mut Request) -> Verdict,
) -> Verdict<(Value, (i64, String))> {
    let lax = session.config.methods == Methods::Lax;
    check_envelope(lax, body, place)?;
    let params = body.get("params").ok_or_else(|| (1220, "there is no \"params\"".to_owned()))?;
    let model = session.config.model.as_ref();
    let outcome = (200, String::new());
    let mut request = Request { device, name, lax, body, params, model, thing, session, outcome };
    check(&mut request).map(|data| (data, request.outcome))
}

fn check_envelope(lax: bool, body: &Fields, place: &Place) -> Verdict<()> {
    match body.get("id") {
        // A request without an id is answered as well.
        None => {}
        Some(Value::String(id)) if !id.is_empty() => {}
        Some(Value::Number(_)) => {}
        _ => return Err((1220, "the \"id\" is neither a string nor a number".to_owned())),
    }
    if body.get("version").is_some_and(|version| !version.is_string()) {
        return Err((1220, "the \"version\" is not a string".to_owned()));
    }
    let prefix = if matches!(place, Place::Integration(..)) { "integration." } else { "" };
    let expected = prefix.to_owned() + &place.suffix().replace('/', ".");
    match body.get("method") {
        Some(Value::String(method)) if *method == expected || lax => Ok(()),
        Some(method) => Err((1260, format!("the method is {method}, this topic's is {expected}"))),
        None => Err((1260, format!("there is no \"method\", this topic's is {expected}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: &str = "/sys/pk/dk/thing/measurepoint/post";
    const POST: &str =
        r#"{"id":"7","version":"1.0","method":"thing.measurepoint.post","params":{"measurepoints":{"t":1},"time":1}}"#;

    fn judged(methods: Methods, topic: &str, payload: &str) -> Judgement {
        let device = DeviceId::new("pk", "dk");
        let config = Config { methods, ..Config::default() };
        let mut session = Session {
            mode: Mode::Device,
            registry: &mut Registry::open(&config).unwrap(),
            config: &config,
            gateways: &mut Gateways::default(),
            connection: 1,
            depot: &Depot::default(),
            local: None,
            events: Vec::new(),
        };
        judge(&device, &mut session, &mut Thing::default(), &Place::of(topic), payload.as_bytes())
    }

    fn code(topic: &str, payload: &str) -> i64 {
        judged(Methods::Strict, topic, payload).code
    }

    #[test]
    fn posts_are_judged() {
        assert_eq!(code(TOPIC, POST), 200);
        assert_eq!(code(TOPIC, &POST.replace("\"7\"", "7")), 200);
        assert_eq!(code(TOPIC, &POST.replace("\"id\":\"7\",", "")), 200);
        assert_eq!(code(TOPIC, &POST.replace("\"7\"", "[7]")), 1220);
        assert_eq!(code(TOPIC, &POST.replace("\"1.0\"", "\"1.1\"")), 200);
        assert_eq!(code(TOPIC, &POST.replace("\"1.0\"", "1.0")), 1220);
        assert_eq!(code(TOPIC, &POST.replace("\"params\"", "\"parms\"")), 1220);
        assert_eq!(code(TOPIC, ""), 1251);
        assert_eq!(code(TOPIC, "{"), 1220);
        assert_eq!(code(TOPIC, "[]"), 1220);
        assert_eq!(code(TOPIC, &POST.replace(".post", ".resume")), 1260);
        assert_eq!(code(TOPIC, &POST.replace("measurepoints", "points")), 1206);
        assert_eq!(code("/sys/pk/other/thing/measurepoint/post", POST), 1009);
        let long = |bytes: usize| POST.replace("\"t\":1", &format!("\"t\":\"{}\"", "x".repeat(bytes - POST.len() - 1)));
        assert_eq!(long(TOO_LARGE).len(), TOO_LARGE);
        assert_eq!((code(TOPIC, &long(TOO_LARGE)), code(TOPIC, &long(TOO_LARGE - 1))), (1008, 200));
        let event = r#"{"id":"1","method":"thing.event.alarm.post","params":{"events":{"level":1}}}"#;
        assert_eq!(code("/sys/pk/dk/thing/event/alarm/post", event), 200);
        assert_eq!(code("/sys/pk/dk/thing/model/up_raw", "\u{1}raw"), 200);
    }

    #[test]
    fn a_method_may_be_another_where_that_is_set() {
        let slip = POST.replace("thing.measurepoint.post", "measurepoint.post");
        assert_eq!([Methods::Strict, Methods::Lax].map(|methods| judged(methods, TOPIC, &slip).code), [1260, 200]);
    }

    #[test]
    fn the_reply_has_the_id_as_it_came() {
        let judgement = judged(Methods::Strict, TOPIC, POST);
        let reply: Value = serde_json::from_slice(&judgement.payload).unwrap();
        assert_eq!(reply, json!({"id": "7", "code": 200, "data": {}}));
    }

    #[test]
    fn places() {
        let id = DeviceId::new("pk", "dk");
        assert_eq!(Place::of("/sys/pk/dk/a/b"), Place::Sys(id.clone(), "a/b"));
        assert_eq!(Place::of("/ext/session/pk/dk/a"), Place::Session(id, "a"));
        assert_eq!(Place::of("/sys/pk"), Place::Free);
        let channel = "/sys/pk/integration/measurepoint/post";
        assert_eq!(Place::of(channel), Place::Integration("pk".into(), "measurepoint/post"));
        assert_eq!((Place::of(channel).is_request(), code(channel, "[]")), (true, 1009));
        let device = DeviceId::new("pk", "integration");
        let own = "/sys/pk/integration/thing/measurepoint/post";
        assert_eq!(Place::of(own), Place::Sys(device, "thing/measurepoint/post"));
        assert!(Place::of("/sys/pk/dk/thing/service/set_reply").is_answer());
        assert_eq!(answer_topic("/sys/p/d/rrpc/request/9"), "/sys/p/d/rrpc/response/9");
        assert_eq!(answer_topic("/sys/p/d/traffic/control"), "/sys/p/d/traffic/control");
        assert!(Place::of("/sys/p/d/traffic/control").is_answer());
    }
}
