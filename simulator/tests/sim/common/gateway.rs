//! A gateway and its sub-devices.

use enos_sim::{Config, Device, DeviceId};
use mqttbytes::QoS;
use serde_json::{json, Value};

use super::{config, dk, sha256_plain, Client, DEVICE_SECRET};

pub const SUB_SECRET: &str = "SubS3cret";
pub const SUB_POST: &str = "/sys/spk/s1/thing/measurepoint/post";

pub fn sub(n: usize) -> DeviceId {
    DeviceId::new("spk", format!("s{n}"))
}

pub fn gateway() -> DeviceId {
    dk()
}

/// A gateway, and three sub-devices in its topology.
pub fn behind() -> Config {
    let subs = (1..4).map(|n| Device::active(sub(n), SUB_SECRET).behind(gateway()));
    Config { devices: [Device::active(dk(), DEVICE_SECRET).gateway()].into_iter().chain(subs).collect(), ..config() }
}

pub fn name(id: &DeviceId) -> Value {
    json!({"productKey": id.product_key, "deviceKey": id.device_key})
}

pub fn sign(id: &DeviceId, secret: &str) -> String {
    let (product_key, device_key) = (&id.product_key, &id.device_key);
    sha256_plain(&format!("clientIdcdeviceKey{device_key}productKey{product_key}timestamp1700000000000"), secret)
}

pub fn signed(id: &DeviceId, secret: &str) -> Value {
    let mut signed = name(id);
    let more = json!({"clientId": "c", "timestamp": "1700000000000", "signMethod": "sha256", "secureMode": "2"});
    signed.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
    signed["sign"] = sign(id, secret).into();
    signed
}

pub fn batch(subs: &[(DeviceId, &str)]) -> Value {
    let item = |(id, secret): &(DeviceId, &str)| {
        let mut item = name(id);
        item["sign"] = sign(id, secret).into();
        item
    };
    let subs: Vec<_> = subs.iter().map(item).collect();
    json!({"clientId": "c", "timestamp": "1700000000000", "signMethod": "sha256", "subDevices": subs})
}

pub fn session(suffix: &str) -> String {
    format!("/ext/session/pk/dk/{suffix}")
}

pub fn log_in(client: &mut Client, n: usize) {
    assert_eq!(client.ask(&session("combine/login"), signed(&sub(n), SUB_SECRET))["code"], 200);
}

pub fn post_of(topic: &str, client: &mut Client) -> i64 {
    client.ask(topic, json!({"measurepoints": {"t": 1}}))["code"].as_i64().unwrap()
}

pub fn answer(client: &mut Client) -> (String, Value) {
    let (topic, body) = client.next_json();
    let reply = json!({"id": body["id"], "code": 200, "data": {}});
    client.publish(&format!("{topic}_reply"), QoS::AtMostOnce, reply.to_string());
    (topic, body["params"].clone())
}
