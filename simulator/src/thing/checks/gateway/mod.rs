//! Requests of a gateway for its sub-devices.

pub mod logins;
pub mod register;
pub mod topology;

use serde_json::Value;

use super::{Request, Verdict};
use crate::{digest::Algorithm, login::Claim, login::Mode, Device, DeviceId};

/// The device that an object names.
fn named(value: &Value) -> Verdict<DeviceId> {
    let id = key(value, "productKey").zip(key(value, "deviceKey"));
    let (product_key, device_key) = id.ok_or_else(|| {
        (1220, "a \"productKey\" or a \"deviceKey\" is missing, or is not a string of 1 to 256 bytes".to_owned())
    })?;
    Ok(DeviceId::new(product_key, device_key))
}

fn key<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name)?.as_str().filter(|key| (1..=256).contains(&key.len()))
}

/// A member that is a text; Node's SDK sends numbers.
fn text(value: &Value, name: &str) -> Verdict<String> {
    match value.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        _ => Err((1220, format!("\"{name}\" is missing, or is neither a string nor a number"))),
    }
}

/// What is signed together with a sub-device's name: the client id, the time, and the method.
struct Signing {
    client_id: String,
    timestamp: String,
    method: String,
}

impl Signing {
    fn of(value: &Value) -> Verdict<Signing> {
        // The documents and the C SDKs write the second name.
        let method = text(value, "signMethod").or_else(|_| text(value, "signmethod"))?;
        Ok(Signing { client_id: text(value, "clientId")?, timestamp: text(value, "timestamp")?, method })
    }

    /// Checks the signature of a sub-device; the code of a failure is 742.
    fn verify(&self, request: &Request, device: &Device, mode: Mode, sign: &str) -> Verdict<()> {
        let config = request.session.config;
        let claim = Claim::of_sub_device(&device.id, mode, &self.client_id, &self.timestamp, &self.method);
        let known = Algorithm::of_label(&self.method, device.hmacsha1.unwrap_or(config.hmacsha1), config.md5);
        if known.is_empty() {
            return Err((742, format!("the signMethod {} is not accepted", self.method)));
        }
        claim.signed(sign).verify(device, config).map_err(|reason| (742, reason.replace("password", "signature")))
    }
}
