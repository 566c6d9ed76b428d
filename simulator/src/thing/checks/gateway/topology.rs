//! Which sub-devices belong to a gateway: `thing/topo/add`, `delete` and `get`.

use serde_json::json;

use super::{named, text, Request, Signing, Verdict};
use crate::{event::Event, login::Mode, thing::checks::items, thing::checks::nothing, DeviceId};

/// Each with its signature. If one is refused, none is added.
pub fn add(request: &mut Request) -> Verdict {
    if !request.is_gateway() {
        return Err((1255, "the device is not a gateway".to_owned()));
    }
    let mut devices = Vec::new();
    for item in items(request.params)? {
        let id = named(item)?;
        let signing = Signing::of(item)?;
        let sign = text(item, "sign")?;
        if let Err((code, message)) = may_be_added(request, &id, &signing, &sign) {
            let gateway = request.device.clone();
            request.session.tell(&id, Event::TopologyAdd { gateway, code, message: message.clone() });
            return Err((code, format!("{id}: {message}")));
        }
        devices.push(id);
    }
    let behind = request.session.registry.behind(request.device).filter(|device| !devices.contains(&device.id)).count();
    let limit = request.session.config.gateways.topology;
    let outcome = match behind + devices.len() > limit {
        true => Err((1255, format!("the gateway has {behind} other sub-devices; {limit} are the most"))),
        false => nothing(),
    };
    let (code, message) = outcome.as_ref().err().cloned().unwrap_or((200, String::new()));
    if code == 200 {
        let saved = request.session.registry.connect(request.device, &devices, true);
        request.saved(saved);
    }
    for id in &devices {
        let gateway = request.device.clone();
        request.session.tell(id, Event::TopologyAdd { gateway, code, message: message.clone() });
    }
    outcome
}

fn may_be_added(request: &Request, id: &DeviceId, signing: &Signing, sign: &str) -> Verdict<()> {
    let device = request.session.registry.find(id).ok_or_else(|| (1255, "there is no such device".to_owned()))?;
    if device.is_gateway {
        return Err((1255, "the device is a gateway itself".to_owned()));
    }
    if device.gateways.iter().any(|gateway| gateway != request.device) {
        return Err((1255, "the device belongs to another gateway".to_owned()));
    }
    let with_device_secret = signing.verify(request, &device, Mode::Device, sign);
    // One that has to be activated yet knows its product secret only.
    match with_device_secret.is_err() && !device.active && device.product_secret.is_some() {
        true => signing.verify(request, &device, Mode::Product, sign),
        false => with_device_secret,
    }
}

/// If one is refused, none is removed.
pub fn delete(request: &mut Request) -> Verdict {
    if !request.is_gateway() {
        return Err((1256, "the device is not a gateway".to_owned()));
    }
    let devices: Vec<_> = items(request.params)?.iter().map(named).collect::<Verdict<_>>()?;
    for id in &devices {
        if !request.owns(id) {
            return Err((1256, format!("{id} is not in the topology of this gateway")));
        }
        if request.session.gateways.login_of(id).is_some() {
            return Err((1256, format!("{id} is online: log it out first")));
        }
    }
    let saved = request.session.registry.connect(request.device, &devices, false);
    request.saved(saved);
    for id in &devices {
        request.session.tell(id, Event::TopologyDelete { gateway: request.device.clone() });
    }
    nothing()
}

pub fn get(request: &mut Request) -> Verdict {
    if !request.is_gateway() {
        return Err((1200, "the device is not a gateway".to_owned()));
    }
    let devices = request.session.registry.behind(request.device);
    Ok(devices.map(|device| json!({"productKey": device.id.product_key, "deviceKey": device.id.device_key})).collect())
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{signed, Desk};
    use super::*;
    use crate::Device;
    use serde_json::Value;

    const ADD: &str = "thing/topo/add";
    const DELETE: &str = "thing/topo/delete";

    fn s(n: u32) -> Value {
        json!({"productKey": "pk", "deviceKey": format!("s{n}")})
    }

    #[test]
    fn what_was_added_is_there_until_it_is_deleted() {
        let mut desk = Desk::gateway();
        assert_eq!(desk.ask("thing/topo/get", json!({})), (200, json!([])));
        assert_eq!(desk.code(ADD, json!([signed("s1", "ds"), signed("s2", "ds")])), 200);
        assert_eq!(desk.code(ADD, json!([signed("s1", "ds")])), 200, "it is there already");
        assert_eq!(desk.ask("thing/topo/get", json!({})), (200, json!([s(1), s(2)])));
        assert_eq!(desk.code(DELETE, json!([s(1), s(3)])), 1256, "the second is not in it");
        assert_eq!(desk.code(DELETE, json!([s(1)])), 200);
        assert_eq!(desk.ask("thing/topo/get", json!({})), (200, json!([s(2)])));
        assert_eq!(desk.code("combine/login", signed("s2", "ds")), 200);
        assert_eq!(desk.code(DELETE, json!([s(2)])), 1256, "it is online");
    }

    #[test]
    fn who_may_not_be_added() {
        let mut desk = Desk::gateway();
        let mut add = |key: &str, secret: &str| desk.code(ADD, json!([signed("s1", "ds"), signed(key, secret)]));
        assert_eq!([add("s2", "wrong"), add("none", "ds"), add("gw", "ds")], [742, 1255, 1255]);
        assert_eq!(desk.code(ADD, json!([{"productKey": "pk", "deviceKey": "s1"}])), 1220);
        assert_eq!(desk.ask("thing/topo/get", json!({})).1, json!([]), "none was added");
        let elsewhere = Device::active(DeviceId::new("pk", "s4"), "ds").behind(DeviceId::new("pk", "other"));
        desk.registry.put(elsewhere).unwrap();
        assert_eq!(desk.code(ADD, json!([signed("s4", "ds")])), 1255);
        desk.config.gateways.topology = 1;
        assert_eq!(desk.code(ADD, json!([signed("s1", "ds"), signed("s2", "ds")])), 1255);
        assert_eq!(desk.code(ADD, json!([signed("s1", "ds")])), 200);
    }

    #[test]
    fn one_that_is_not_active_proves_itself_with_the_product_secret() {
        let mut desk = Desk::gateway();
        assert_eq!(desk.code(ADD, json!([signed("new", "ps")])), 200);
        let active = Device { product_secret: Some("ps".into()), ..Device::active(DeviceId::new("pk", "s1"), "ds") };
        desk.registry.put(active).unwrap();
        assert_eq!(desk.code(ADD, json!([signed("s1", "ps")])), 742);
    }

    #[test]
    fn the_second_spelling_and_a_number() {
        let mut desk = Desk::gateway();
        let mut item = signed("s1", "ds");
        item["signmethod"] = item["signMethod"].take();
        item["timestamp"] = json!(1_700_000_000_000_u64);
        assert_eq!(desk.code(ADD, json!([item])), 200);
    }
}
