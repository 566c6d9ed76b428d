//! Checks whether a request exists, and whether its params have the shape that EnOS documents.

use serde_json::{json, Map, Value};

use super::{Place, Session, Upgrade};
use crate::DeviceId;

/// The limit of attributes or tags in one request.
const MOST: usize = 200;

/// Requests of a gateway for its sub-devices. They are refused, because sub-devices are not simulated.
const SUB_DEVICES: [&str; 3] = ["thing/topo/add", "thing/topo/delete", "thing/device/register"];

const KNOWN: [&str; 19] = [
    "thing/measurepoint/post",
    "thing/measurepoint/post/batch",
    "thing/measurepoint/resume",
    "thing/measurepoint/resume/batch",
    "thing/model/up_raw",
    "thing/attribute/update",
    "thing/attribute/query",
    "thing/attribute/delete",
    "thing/tag/update",
    "thing/tag/query",
    "thing/tag/delete",
    "thing/tsltemplate/get",
    "thing/topo/get",
    "thing/log/post",
    "ota/device/inform",
    "ota/device/progress",
    "ota/device/getversion",
    "network/status/report",
    "connection/state/post",
];

/// The data of the answer, or EnOS's code and text.
pub type Verdict<T = Value> = Result<T, (i64, String)>;

/// Whether EnOS documents a request on this topic.
pub fn is_known(place: &Place) -> bool {
    let suffix = place.suffix();
    match place {
        Place::Session(..) => suffix.starts_with("combine/"),
        Place::Sys(..) => KNOWN.contains(&suffix) || SUB_DEVICES.contains(&suffix) || is_event(suffix),
        Place::Free => false,
    }
}

/// `thing/event/{id}/post`
fn is_event(suffix: &str) -> bool {
    let id = suffix.strip_prefix("thing/event/").and_then(|rest| rest.strip_suffix("/post"));
    id.is_some_and(|id| !id.is_empty() && !id.contains('/'))
}

/// Checks the params of a known request.
pub fn check(device: &DeviceId, session: Session, place: &Place, body: &Map<String, Value>) -> Verdict {
    let Some(params) = body.get("params") else { return Err((1220, "there is no \"params\"".to_owned())) };
    match place.suffix() {
        "thing/measurepoint/post" | "thing/measurepoint/resume" => points(params)?,
        "thing/measurepoint/post/batch" | "thing/measurepoint/resume/batch" => batch(device, body, params)?,
        "thing/attribute/update" => {
            let Some(attributes) = params.get("attributes").and_then(Value::as_object) else {
                return Err((1207, "\"attributes\" in the params is not an object".to_owned()));
            };
            at_most(1207, attributes.len())?;
        }
        "thing/attribute/query" => drop(list(1208, params, "attributes")?),
        "thing/attribute/delete" => at_most(1209, list(1209, params, "attributes")?.len())?,
        "thing/tag/query" => drop(list(1220, params, "tags")?),
        "thing/tag/delete" => at_most(1220, list(1220, params, "tags")?.len())?,
        "thing/tag/update" => tags(params)?,
        "thing/tsltemplate/get" => {
            return Ok(json!({
                "tslAttributeMap": {}, "tslMeasurepointMap": {}, "tslServiceMap": {}, "tslEventMap": {},
            }));
        }
        "thing/topo/get" | "ota/device/getversion" => return Ok(json!([])),
        "ota/device/inform" if !params.get("version").is_some_and(Value::is_string) => {
            return Err((1220, "\"version\" in the params is not a string".to_owned()));
        }
        "ota/device/progress" => progress(params, session.upgrade)?,
        suffix if is_event(suffix) => {
            members(1204, params, "events")?;
            time(1204, params)?;
        }
        suffix if SUB_DEVICES.contains(&suffix) || suffix.starts_with("combine/") => {
            return Err((740, "sub-devices are not simulated".to_owned()));
        }
        _ => {}
    }
    Ok(json!({}))
}

fn members<'a>(code: i64, value: &'a Value, name: &str) -> Verdict<&'a Map<String, Value>> {
    match value.get(name) {
        Some(Value::Object(members)) if !members.is_empty() => Ok(members),
        _ => Err((code, format!("\"{name}\" in the params is not an object with members"))),
    }
}

fn list<'a>(code: i64, params: &'a Value, name: &str) -> Verdict<&'a Vec<Value>> {
    let list = params.get(name).and_then(Value::as_array);
    list.ok_or_else(|| (code, format!("\"{name}\" in the params is not an array")))
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
fn time(code: i64, params: &Value) -> Verdict<()> {
    match params.get("time") {
        Some(time) if !time.is_u64() => Err((code, format!("the time {time} is not a number of milliseconds"))),
        _ => Ok(()),
    }
}

fn points(params: &Value) -> Verdict<()> {
    for (name, point) in members(1206, params, "measurepoints")? {
        let quality = match point.as_object() {
            // A struct may have a member of this name as well.
            Some(point) if point.len() == 2 && point.contains_key("value") => point.get("quality"),
            _ => None,
        };
        if quality.is_some_and(|quality| quality.as_u64().is_none_or(|quality| quality > 9)) {
            return Err((1206, format!("the quality of \"{name}\" is not a number from 0 to 9")));
        }
    }
    time(1206, params)
}

fn batch(device: &DeviceId, body: &Map<String, Value>, params: &Value) -> Verdict<()> {
    let flag = |name: &str| match body.get(name) {
        None => Ok(false),
        Some(Value::Bool(on)) => Ok(*on),
        Some(_) => Err((1220, format!("\"{name}\" is neither true nor false"))),
    };
    let (offline, skip) = (flag("allowOfflineSubDevice")?, flag("skipInvalidMeasurepoints")?);
    for item in items(params)? {
        let is = |name: &str, own: &str| item.get(name).is_none_or(|key| key == own);
        let own = is("productKey", &device.product_key) && is("deviceKey", &device.device_key);
        if !own && !offline {
            return Err((1212, "an item is for another device, which is not a sub-device of this one".to_owned()));
        }
        match points(item) {
            Err(_) if skip => {}
            outcome => outcome?,
        }
    }
    Ok(())
}

fn tags(params: &Value) -> Verdict<()> {
    let tags = items(params)?;
    at_most(1220, tags.len())?;
    let is_key = |key: &str| key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let is_tag = |tag: &Value| {
        tag.get("tagKey").and_then(Value::as_str).is_some_and(is_key)
            && tag.get("tagValue").is_some_and(Value::is_string)
    };
    match tags.iter().all(is_tag) {
        true => Ok(()),
        false => {
            Err((1220, "a tag needs a \"tagKey\", which begins with a letter or _, and a \"tagValue\"".to_owned()))
        }
    }
}

/// `step` is a percentage, or a negative number for a failure; as a string or as a number.
fn progress(params: &Value, upgrade: Upgrade) -> Verdict<()> {
    let step = params.get("step");
    let number = step.and_then(|step| step.as_i64().or_else(|| step.as_str()?.parse().ok()));
    if number.is_none_or(|step| step > 100) {
        return Err((1220, "\"step\" in the params is not a number up to 100".to_owned()));
    }
    match upgrade {
        Upgrade::None => Err((764, "there is no such task: no ota/device/upgrade was sent to the device".to_owned())),
        Upgrade::Pushed => Err((765, "the task has not started: ota/device/upgrade is not answered yet".to_owned())),
        Upgrade::Started => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::judge;
    use super::*;
    use crate::config::Methods;

    const SESSION: Session = Session { may_publish: true, methods: Methods::Strict, upgrade: Upgrade::None };

    fn judged(session: Session, suffix: &str, body: Value) -> (i64, Value) {
        let mut whole = json!({"id": "1", "method": suffix.replace('/', ".")});
        whole.as_object_mut().unwrap().append(&mut body.as_object().unwrap().clone());
        let topic = format!("/sys/pk/dk/{suffix}");
        let judgement = judge(&DeviceId::new("pk", "dk"), session, &Place::of(&topic), whole.to_string().as_bytes());
        let reply: Value = serde_json::from_slice(&judgement.payload).unwrap();
        (judgement.code, reply["data"].clone())
    }

    fn code(suffix: &str, params: Value) -> i64 {
        judged(SESSION, suffix, json!({"params": params})).0
    }

    #[test]
    fn points_have_a_quality_up_to_9_and_a_time_that_is_a_number() {
        let post = |points: Value| code("thing/measurepoint/post", points);
        assert_eq!(post(json!({"measurepoints": {"t": {"value": 1, "quality": 9}}, "time": 1})), 200);
        assert_eq!(post(json!({"measurepoints": {"t": {"quality": "good", "other": 10}}})), 200, "a struct");
        for wrong in [json!({"t": {"value": 1, "quality": 10}}), json!({"t": {"value": 1, "quality": "0"}}), json!({})]
        {
            assert_eq!(post(json!({"measurepoints": wrong})), 1206);
        }
        assert_eq!(post(json!({"measurepoints": {"t": 1}, "time": "1"})), 1206);
        let event = |params| code("thing/event/alarm/post", params);
        assert_eq!(event(json!({"events": {"level": 1}, "time": 1})), 200);
        assert_eq!(event(json!({"events": {"level": 1}, "time": "1"})), 1204);
    }

    #[test]
    fn a_batch_is_of_the_device_alone_unless_that_is_allowed() {
        let own = json!({"measurepoints": {"t": 1}});
        let other = json!({"productKey": "pk", "deviceKey": "sub", "measurepoints": {"t": 1}});
        let batch = |more: Value| judged(SESSION, "thing/measurepoint/post/batch", more).0;
        assert_eq!(batch(json!({"params": [own]})), 200);
        assert_eq!(batch(json!({"params": [own, other]})), 1212);
        assert_eq!(batch(json!({"params": [own, other], "allowOfflineSubDevice": true})), 200);
        assert_eq!(batch(json!({"params": [own], "allowOfflineSubDevice": "true"})), 1220);
        assert_eq!(batch(json!({"params": [own, {}]})), 1206);
        assert_eq!(batch(json!({"params": [own, {}], "skipInvalidMeasurepoints": true})), 200);
        assert_eq!(batch(json!({"params": [own], "skipInvalidMeasurepoints": 1})), 1220);
    }

    #[test]
    fn attributes_and_tags_are_limited_and_have_a_form() {
        let attributes =
            |count| json!({"attributes": (0..count).map(|n| (format!("a{n}"), n.into())).collect::<Map<_, _>>()});
        let update = "thing/attribute/update";
        assert_eq!([0, 200, 201].map(|count| code(update, attributes(count))), [200, 200, 1207]);
        assert_eq!(code("thing/attribute/delete", json!({"attributes": vec!["a"; 201]})), 1209);
        assert_eq!(code("thing/attribute/delete", json!({"attributes": []})), 200);
        let tags = |count: usize, key: &str| Value::from(vec![json!({"tagKey": key, "tagValue": "v"}); count]);
        let update = "thing/tag/update";
        assert_eq!(
            [(1, "_a"), (200, "a"), (201, "a")].map(|(count, key)| code(update, tags(count, key))),
            [200, 200, 1220]
        );
        assert_eq!([code(update, tags(1, "1a")), code(update, json!([{"tagValue": "v"}]))], [1220; 2]);
        assert_eq!(code("thing/tag/delete", json!({"tags": vec!["a"; 201]})), 1220);
    }

    #[test]
    fn an_upgrade_is_sent_answered_and_then_progresses() {
        let progress = |upgrade, params| {
            judged(Session { upgrade, ..SESSION }, "ota/device/progress", json!({"params": params})).0
        };
        assert_eq!(progress(Upgrade::None, json!({"step": "10"})), 764);
        assert_eq!(progress(Upgrade::Pushed, json!({"step": "10"})), 765);
        for step in [json!("10"), json!(100), json!("-3")] {
            assert_eq!(progress(Upgrade::Started, json!({"step": step})), 200);
        }
        for wrong in [json!({}), json!({"step": "101"}), json!({"step": "half"})] {
            assert_eq!(progress(Upgrade::Started, wrong), 1220);
        }
        assert_eq!(
            (code("ota/device/inform", json!({"version": "2"})), code("ota/device/inform", json!({}))),
            (200, 1220)
        );
    }

    #[test]
    fn the_model_has_its_four_maps() {
        let (code, data) = judged(SESSION, "thing/tsltemplate/get", json!({"params": {}}));
        assert_eq!((code, data.as_object().unwrap().len()), (200, 4));
        assert!(["Attribute", "Measurepoint", "Service", "Event"]
            .iter()
            .all(|of| data[format!("tsl{of}Map")].is_object()));
    }

    #[test]
    fn undocumented_requests_are_refused() {
        for suffix in ["thing/measurepoint/put", "thing/event/post", "thing/event/a/b/post", "ota/device/request"] {
            assert_eq!(code(suffix, json!({})), 1009, "{suffix}");
        }
        assert_eq!(code("thing/topo/add", json!([])), 740);
        assert!(!is_known(&Place::of("/ext/session/pk/dk/thing/measurepoint/post")));
        assert!(is_known(&Place::of("/ext/session/pk/dk/combine/login")));
    }
}
