//! The messages of the integration channel, whose items name devices of the product.

use serde_json::Value;

use super::{attributes, items, members, nothing, points, time, Request, Verdict};
use crate::DeviceId;

/// `integration/measurepoint/post`
pub fn points(request: &mut Request) -> Verdict {
    each(request, points::points)
}

/// `integration/event/post`: the outputs of each event, by its identifier.
pub fn events(request: &mut Request) -> Verdict {
    each(request, |request, item| {
        let events = members(1204, item, "events")?;
        time(1204, item, "time")?;
        if let Some((name, _)) = events.iter().find(|(_, outputs)| !outputs.is_object()) {
            return Err((1204, format!("the outputs of the event \"{name}\" are not an object")));
        }
        request.check_model("tslEventMap", events.keys())
    })
}

/// `integration/attribute/post`
pub fn attributes(request: &mut Request) -> Verdict {
    each(request, |request, item| attributes::check(request, item).map(drop))
}

/// An item for a device that is not registered refuses the whole request.
fn each(request: &Request, check: impl Fn(&Request, &Value) -> Verdict<()>) -> Verdict {
    // Envision's Python SDK sends attributes without items.
    if request.lax && request.params.as_array().is_some_and(Vec::is_empty) {
        return nothing();
    }
    for item in items(request.params)? {
        let device_key = item.get("deviceKey").and_then(Value::as_str);
        let device_key = device_key.ok_or_else(|| (1220, "an item has no \"deviceKey\"".to_owned()))?;
        let id = DeviceId::new(&request.device.product_key, device_key);
        if request.session.registry.find(&id).is_none() {
            return Err((1257, format!("there is no device {id}")));
        }
        check(request, item)?;
    }
    nothing()
}

#[cfg(test)]
mod tests {
    use super::super::tests::Desk;
    use super::*;
    use crate::{config::Methods, login::Mode, login::CHANNEL};
    use serde_json::json;

    fn channel() -> Desk {
        Desk { mode: Mode::Channel, device: DeviceId::new("pk", CHANNEL), ..Desk::gateway() }
    }

    fn post(desk: &mut Desk, what: &str, params: Value) -> i64 {
        let method = format!("integration.{what}.post");
        desk.ask_on(&format!("/sys/pk/integration/{what}/post"), &method, json!({"params": params})).0
    }

    #[test]
    fn items_are_checked() {
        let mut desk = channel();
        let point =
            |key: &str| json!({"deviceKey": key, "measurepoints": {"t": {"value": 1, "quality": 9}}, "time": 1});
        assert_eq!(post(&mut desk, "measurepoint", json!([point("s1"), point("s2")])), 200);
        assert_eq!(post(&mut desk, "measurepoint", json!([point("s1"), point("none")])), 1257);
        assert_eq!(post(&mut desk, "measurepoint", json!([{"deviceKey": "s1"}])), 1206);
        assert_eq!(post(&mut desk, "measurepoint", json!([{"measurepoints": {"t": 1}}])), 1220);
        let event = |events: Value| json!([{"deviceKey": "s1", "time": 1, "events": events}]);
        assert_eq!(post(&mut desk, "event", event(json!({"alarm": {"level": 3}}))), 200);
        assert_eq!(post(&mut desk, "event", event(json!({"alarm": 3}))), 1204);
        assert_eq!(post(&mut desk, "attribute", json!([{"deviceKey": "s1", "attributes": {"a": 2.3}}])), 200);
        assert_eq!(post(&mut desk, "attribute", json!([{"deviceKey": "s1", "attributes": []}])), 1207);
        assert_eq!(post(&mut desk, "attribute", json!([])), 1220);
        desk.config.methods = Methods::Lax;
        assert_eq!(post(&mut desk, "attribute", json!([])), 200);
    }

    #[test]
    fn only_the_channel_of_the_product_may_use_it_and_nothing_else() {
        let params = json!([{"deviceKey": "s1", "measurepoints": {"t": 1}}]);
        assert_eq!(post(&mut Desk::gateway(), "measurepoint", params.clone()), 1009);
        let mut other = Desk { device: DeviceId::new("other", CHANNEL), ..channel() };
        assert_eq!(post(&mut other, "measurepoint", params), 1009);
        let own = json!({"measurepoints": {"t": 1}});
        assert_eq!(channel().code("thing/measurepoint/post", own), 1009);
    }
}
