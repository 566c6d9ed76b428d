//! Measure points and events.

use serde_json::Value;

use super::{items, members, nothing, time, Request, Verdict};
use crate::{event::Event, DeviceId};

/// The limit of items in a measure point that is an array.
const LONGEST_ARRAY: usize = 128;

/// `thing/measurepoint/post` and `thing/measurepoint/resume`.
pub fn post(request: &mut Request) -> Verdict {
    points(request, request.params)?;
    nothing()
}

/// `thing/measurepoint/post/batch` and `thing/measurepoint/resume/batch`.
pub fn batch(request: &mut Request) -> Verdict {
    let flag = |name: &str| match request.body.get(name) {
        None => Ok(false),
        Some(Value::Bool(on)) => Ok(*on),
        Some(Value::String(unset)) if request.lax && unset.is_empty() => Ok(false),
        Some(_) => Err((1220, format!("\"{name}\" is neither true nor false"))),
    };
    let (offline, skip) = (flag("allowOfflineSubDevice")?, flag("skipInvalidMeasurepoints")?);
    let mut devices = Vec::new();
    for item in items(request.params)? {
        let is = |name: &str, own: &str| {
            item.get(name).is_none_or(|key| key == own || (request.lax && key.as_str() == Some("")))
        };
        let own = is("productKey", &request.device.product_key) && is("deviceKey", &request.device.device_key);
        let device = if own { request.device.clone() } else { named(item) };
        if !own && !offline && !is_of_sub_device(request, &device) {
            return Err((1212, "an item is for another device, which is not an online sub-device".to_owned()));
        }
        match points(request, item) {
            Err(_) if skip => {}
            Err(refusal) => return Err(refusal),
            Ok(()) => devices.push(device),
        }
    }
    request.session.tell(request.device, Event::BatchItems { devices });
    nothing()
}

/// The device that an item names.
fn named(item: &Value) -> DeviceId {
    let key = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default();
    DeviceId::new(key("productKey"), key("deviceKey"))
}

/// Whether a device is a sub-device that is logged in through the one that sends.
fn is_of_sub_device(request: &Request, device: &DeviceId) -> bool {
    let login = request.session.gateways.login_of(device);
    login.is_some_and(|login| login.gateway == *request.device && login.connection == request.session.connection)
}

/// `thing/event/{id}/post`
pub fn event(request: &mut Request) -> Verdict {
    members(1204, request.params, "events")?;
    time(1204, request.params, "time")?;
    request.check_model("tslEventMap", [request.name])?;
    nothing()
}

pub fn points(request: &Request, params: &Value) -> Verdict<()> {
    let points = members(1206, params, "measurepoints")?;
    for (name, point) in points {
        let members = point.as_object().filter(|members| members.len() == 2);
        // A struct may have a member of one of these names as well.
        let with_quality = members.and_then(|members| Some((members.get("value")?, members.get("quality")?)));
        let (value, quality) = with_quality.map_or((point, None), |(value, quality)| (value, Some(quality)));
        if quality.is_some_and(|quality| quality.as_u64().is_none_or(|quality| quality > 9)) {
            return Err((1206, format!("the quality of \"{name}\" is not a number from 0 to 9")));
        }
        if value.as_array().is_some_and(|items| items.len() > LONGEST_ARRAY) {
            return Err((1206, format!("\"{name}\" has more than {LONGEST_ARRAY} items")));
        }
    }
    time(1206, params, "time")?;
    request.check_model("tslMeasurepointMap", points.keys())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{code, signed, Desk};
    use crate::config::Methods;
    use serde_json::{json, Value};

    #[test]
    fn points_have_a_quality_up_to_9_and_a_time_that_is_a_number() {
        let post = |points: Value| code("thing/measurepoint/post", points);
        assert_eq!(post(json!({"measurepoints": {"t": {"value": 1, "quality": 9}}, "time": 1})), 200);
        for structure in [json!({"quality": "good", "other": 10}), json!({"value": 1, "unit": "K"})] {
            assert_eq!(post(json!({"measurepoints": {"t": structure}})), 200);
        }
        assert_eq!(post(json!({"measurepoints": {"t": vec![0; 128]}})), 200);
        for wrong in [
            json!({"t": {"value": 1, "quality": 10}}),
            json!({"t": {"value": 1, "quality": "0"}}),
            json!({"t": vec![0; 129]}),
            json!({"t": {"value": vec![0; 129], "quality": 0}}),
            json!({}),
        ] {
            assert_eq!(post(json!({"measurepoints": wrong})), 1206);
        }
        assert_eq!(post(json!({"measurepoints": {"t": 1}, "time": "1"})), 1206);
        let event = |params| code("thing/event/alarm/post", params);
        assert_eq!(event(json!({"events": {"level": 1}, "time": 1})), 200);
        assert_eq!(event(json!({"events": {"level": 1}, "time": "1"})), 1204);
        assert_eq!(event(json!({"events": [1]})), 1204);
    }

    #[test]
    fn a_batch_is_of_the_device_alone_unless_that_is_allowed() {
        let own = json!({"measurepoints": {"t": 1}});
        let other = json!({"productKey": "pk", "deviceKey": "sub", "measurepoints": {"t": 1}});
        let batch = |more: Value| Desk::default().ask_with("thing/measurepoint/post/batch", more).0;
        assert_eq!(batch(json!({"params": [own]})), 200);
        assert_eq!(batch(json!({"params": [own, other]})), 1212);
        assert_eq!(batch(json!({"params": [own, other], "allowOfflineSubDevice": true})), 200);
        assert_eq!(batch(json!({"params": [own], "allowOfflineSubDevice": "true"})), 1220);
        assert_eq!(batch(json!({"params": [own, {}]})), 1206);
        assert_eq!(batch(json!({"params": [own, {}], "skipInvalidMeasurepoints": true})), 200);
        assert_eq!(batch(json!({"params": [own], "skipInvalidMeasurepoints": 1})), 1220);
    }

    #[test]
    fn a_batch_of_a_gateway_has_items_of_sub_devices_that_are_online() {
        let mut gateway = Desk::gateway();
        let item = |key: &str| json!({"productKey": "pk", "deviceKey": key, "measurepoints": {"t": 1}});
        let suffix = "thing/measurepoint/post/batch";
        assert_eq!(gateway.code("thing/topo/add", json!([signed("s1", "ds")])), 200);
        assert_eq!(gateway.code(suffix, json!([item("s1")])), 1212, "it is not logged in");
        assert_eq!(gateway.code("combine/login", signed("s1", "ds")), 200);
        assert_eq!(gateway.code(suffix, json!([item("s1"), {"measurepoints": {"t": 2}}])), 200);
        assert_eq!(gateway.code(suffix, json!([item("s1"), item("s2")])), 1212);
    }

    #[test]
    fn empty_keys_and_flags_are_forgiven_where_that_is_set() {
        let item = json!({"productKey": "", "deviceKey": "", "measurepoints": {"t": 1}});
        let suffix = "thing/measurepoint/resume/batch";
        let mut lax = Desk::default();
        lax.config.methods = Methods::Lax;
        assert_eq!([Desk::default().code(suffix, json!([item])), lax.code(suffix, json!([item]))], [1212, 200]);
        let flags = json!({"params": [{"measurepoints": {"t": 1}}], "allowOfflineSubDevice": ""});
        assert_eq!([Desk::default().ask_with(suffix, flags.clone()).0, lax.ask_with(suffix, flags).0], [1220, 200]);
    }

    #[test]
    fn with_a_model_only_what_it_has_is_accepted() {
        let model = json!({"tslMeasurepointMap": {"t": {}}, "tslEventMap": {"alarm": {}}});
        let mut device = Desk::default();
        device.config.model = Some(model);
        let mut post = |name: &str| device.code("thing/measurepoint/post", json!({"measurepoints": {name: 1}}));
        assert_eq!([post("t"), post("u")], [200, 1204]);
        let mut event = |name: &str| device.code(&format!("thing/event/{name}/post"), json!({"events": {"level": 1}}));
        assert_eq!([event("alarm"), event("other")], [200, 1204]);
    }
}
