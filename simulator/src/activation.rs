//! The message that carries a device secret.

use mqttbytes::v4::Publish;
use serde_json::json;

use crate::{config::Spelling, packet, Device, Secret};

/// The activation message of a device.
pub fn message(device: &Device, secret: &Secret, spelling: Spelling, id: u64, qos: u8) -> Publish {
    let topic = device.id.session() + spelling.suffix();
    let body = json!({
        "id": id.to_string(),
        "version": "1.0",
        "method": "thing.activate.info",
        "params": {
            "assetId": device.asset_id(),
            "productKey": device.id.product_key,
            "deviceKey": device.id.device_key,
            "deviceSecret": secret.expose(),
        }
    });
    Publish::new(topic, packet::qos(qos), body.to_string())
}
