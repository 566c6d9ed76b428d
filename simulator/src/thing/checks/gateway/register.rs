//! `thing/device/register`: new devices, made by a gateway.

use serde_json::{json, Value};
use std::collections::BTreeMap;

use super::{key, Request, Verdict};
use crate::{event::Event, thing::checks::items, Device, DeviceId};

/// The limit of devices in one request.
const MOST: usize = 1000;

/// The reply has the secret of each.
pub fn register(request: &mut Request) -> Verdict {
    if !request.is_gateway() {
        return Err((1009, "the device may not register others: it is not a gateway".to_owned()));
    }
    let items = items(request.params)?;
    if items.len() > MOST {
        return Err((460, format!("{} devices in one request; {MOST} are the most", items.len())));
    }
    let mut devices: BTreeMap<DeviceId, Device> = BTreeMap::new();
    let mut in_order = Vec::new();
    for item in items {
        let device = device(request, item, &devices)?;
        in_order.push(device.clone());
        if devices.insert(device.id.clone(), device).is_some() {
            return Err((702, "the same device key is in the request twice".to_owned()));
        }
    }
    let mut of_product: BTreeMap<&str, usize> = BTreeMap::new();
    in_order.iter().for_each(|device| *of_product.entry(&device.id.product_key).or_default() += 1);
    let limit = request.session.config.gateways.devices_of_product;
    for (product_key, count) in of_product {
        let room = request.session.registry.room(product_key, limit);
        if count > room {
            return Err((739, format!("the product has room for {room} more devices, not for {count}")));
        }
    }
    let saved = request.session.registry.put_all(in_order.iter().cloned());
    request.saved(saved);
    for device in &in_order {
        request.session.tell(&device.id, Event::Registered { gateway: request.device.clone() });
    }
    Ok(in_order.iter().map(reply).collect())
}

fn reply(device: &Device) -> Value {
    json!({
        "assetId": device.asset_id(),
        "productKey": device.id.product_key,
        "deviceKey": device.id.device_key,
        "deviceSecret": device.device_secret.as_ref().map(|secret| secret.expose()),
    })
}

fn device(request: &Request, item: &Value, earlier: &BTreeMap<DeviceId, Device>) -> Verdict<Device> {
    let product_key = key(item, "productKey").ok_or_else(|| (1220, "a \"productKey\" is missing".to_owned()))?;
    // An object with a text for each language, or, in older documents, one text.
    if item.get("deviceName").is_some_and(|name| !name.is_object() && !name.is_string()) {
        return Err((1220, "a \"deviceName\" is neither an object nor a string".to_owned()));
    }
    let device_key = match item.get("deviceKey") {
        None | Some(Value::Null) => free_key(request, product_key, earlier),
        Some(_) => {
            let key = key(item, "deviceKey");
            key.ok_or_else(|| (714, "a \"deviceKey\" is not a string of 1 to 256 bytes".to_owned()))?.to_owned()
        }
    };
    let id = DeviceId::new(product_key, device_key);
    if request.session.registry.find(&id).is_some() {
        return Err((702, format!("there is a device {id} already")));
    }
    let device = request.session.registry.prepare(&id);
    device.ok_or_else(|| (600, format!("there is no product {product_key}")))
}

/// A device key that no device has.
fn free_key(request: &Request, product_key: &str, earlier: &BTreeMap<DeviceId, Device>) -> String {
    let mut number = request.session.registry.all().count() + earlier.len() + 1;
    loop {
        let id = DeviceId::new(product_key, format!("device-{number}"));
        if request.session.registry.find(&id).is_none() && !earlier.contains_key(&id) {
            return id.device_key;
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::Desk;
    use super::*;

    const REGISTER: &str = "thing/device/register";

    #[test]
    fn devices_are_made_with_a_secret_of_their_own() {
        let mut desk = Desk::gateway();
        let (code, made) = desk.ask(
            REGISTER,
            json!([{"productKey": "pk", "deviceKey": "n1", "deviceName": {"defaultValue": "n"}}, {"productKey": "pk"}]),
        );
        assert_eq!((code, made.as_array().unwrap().len(), &made[0]["deviceKey"]), (200, 2, &json!("n1")));
        let secret = desk.registry.find(&DeviceId::new("pk", "n1")).unwrap().device_secret.unwrap();
        assert_eq!(made[0]["deviceSecret"], secret.expose());
        assert!(made[1]["deviceSecret"] != made[0]["deviceSecret"] && made[1]["deviceKey"].is_string());
    }

    #[test]
    fn a_request_is_refused_as_a_whole() {
        let mut desk = Desk::gateway();
        desk.config.gateways.devices_of_product = 6;
        let new = |key: &str| json!({"productKey": "pk", "deviceKey": key});
        let before = desk.registry.all().count();
        assert_eq!(desk.code(REGISTER, json!([new("n1"), new("s1")])), 702);
        assert_eq!(desk.code(REGISTER, json!([new("n1"), new("n1")])), 702);
        assert_eq!(desk.code(REGISTER, json!([new("n1"), {"productKey": "none"}])), 600);
        assert_eq!(desk.code(REGISTER, json!([new("n1"), new("")])), 714);
        assert_eq!(desk.code(REGISTER, json!([new("n1"), {}])), 1220);
        assert_eq!(desk.code(REGISTER, json!([])), 1220);
        assert_eq!(desk.code(REGISTER, vec![json!({"productKey": "pk"}); 1001].into()), 460);
        assert_eq!(desk.code(REGISTER, json!([new("n1"), new("n2"), new("n3")])), 739);
        assert_eq!(desk.registry.all().count(), before);
        assert_eq!(desk.code(REGISTER, json!([new("n1"), new("n2")])), 200);
    }
}
