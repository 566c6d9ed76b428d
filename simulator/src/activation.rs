//! The message that carries a device secret, correct or faulty.

use mqttbytes::v4::Publish;
use serde_json::{json, Value};

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

/// Faults of an activation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spoil {
    /// The params name another device.
    OtherDevice,
    /// The topic names another device.
    OtherTopic,
    /// There is no `deviceSecret`.
    NoSecret,
    /// `deviceSecret` is "".
    EmptySecret,
    /// Another method.
    OtherMethod,
    /// The payload ends in the middle.
    Truncated,
    /// A secret of this many bytes.
    Huge(usize),
}

impl Spoil {
    pub fn apply(&self, publish: &mut Publish) {
        match self {
            Spoil::OtherTopic => publish.topic = publish.topic.replace("/thing/", "-other/thing/"),
            Spoil::Truncated => publish.payload.truncate(publish.payload.len() / 2),
            Spoil::OtherMethod => edit(publish, |body| body["method"] = "thing.service.other".into()),
            Spoil::OtherDevice => edit(publish, |body| {
                let other = format!("{}-other", body["params"]["deviceKey"].as_str().unwrap_or_default());
                body["params"]["deviceKey"] = other.into();
            }),
            Spoil::EmptySecret => edit(publish, |body| body["params"]["deviceSecret"] = "".into()),
            Spoil::Huge(bytes) => edit(publish, |body| body["params"]["deviceSecret"] = "S".repeat(*bytes).into()),
            Spoil::NoSecret => edit(publish, |body| {
                if let Some(params) = body["params"].as_object_mut() {
                    params.remove("deviceSecret");
                }
            }),
        }
    }
}

fn edit(publish: &mut Publish, change: impl FnOnce(&mut Value)) {
    if let Ok(mut body @ Value::Object(_)) = serde_json::from_slice(&publish.payload) {
        change(&mut body);
        publish.payload = body.to_string().into();
    }
}
