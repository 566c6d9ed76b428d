//! The logins of sub-devices, as Envision's SDKs send them: recorded, with their signatures.

use crate::common::*;
use enos_sim::{Config, Device, DeviceId};
use serde_json::{json, Value};

/// The params of `thing/topo/add` and of `combine/login`, from each SDK.
fn recorded() -> Vec<(&'static str, Value, Value)> {
    vec![
        (
            "Java, 2022",
            json!([{"clientId": "subPK.subDK.1795870215577",
                "sign": "6f13d73a227797b1f480ebb6b267e43a92b502f7765336f88dca863c414f0523", "deviceKey": "subDK",
                "productKey": "subPK", "signMethod": "sha256", "timestamp": "1795870215577"}]),
            json!({"clientId": "subPK.subDK.1795870215832",
                "sign": "a636a9d4b6b4741182d61f66bbb284d427b53bb48f0e25c72b77221e5224d6d9", "deviceKey": "subDK",
                "productKey": "subPK", "secureMode": "2", "signMethod": "sha256", "timestamp": "1795870215832"}),
        ),
        (
            "Java, 2019",
            json!([{"clientId": "subPK.subDK.1795870492771", "sign": "1E0D4E7519F0785D91391F6F58FEA2853505682D",
                "deviceKey": "subDK", "productKey": "subPK", "signMethod": "hmacsha1",
                "timestamp": "1795870492771"}]),
            json!({"clientId": "subPK.subDK.1795870493025", "sign": "8EC4D25DBC3B506E3807141C18AC6489B5AC2EFC",
                "deviceKey": "subDK", "productKey": "subPK", "cleanSession": "false", "signMethod": "hmacsha1",
                "timestamp": "1795870493025"}),
        ),
        (
            "Python",
            json!([{"productKey": "subPK", "deviceKey": "subDK", "clientId": "subPK.subDK.1795869756105",
                "timestamp": "1795869756105", "signMethod": "hmacsha256",
                "sign": "3dbdf5860d03513110cfe2cf71618540f0e00c27dc7fdd527c736f760d7e480b"}]),
            json!({"productKey": "subPK", "deviceKey": "subDK", "clientId": "subPKsubDK1795869756349",
                "timestamp": "1795869756349",
                "sign": "ee9b98e4d05bf8c067a9127e213cc4c137d1b6352ff105ac498f1e9c806678ce", "secureMode": "2",
                "signMethod": "hmacsha256", "cleanSession": "False"}),
        ),
        (
            "Node",
            json!([{"timestamp": 1795869929648_u64, "productKey": "subPK", "deviceKey": "subDK", "clientId": "subDK",
                "signMethod": "sha256",
                "sign": "18090D3BE243877910FDE85B051D002F384B46E20A696125519F610AF8A3AA41"}]),
            json!({"timestamp": 1795869929892_u64, "productKey": "subPK", "deviceKey": "subDK", "clientId": "subDK",
                "signMethod": "sha256",
                "sign": "8581800DECC5643D22B0B1612F54B5869099D7E2B67F4E3D841FF1B59069868A"}),
        ),
        (
            "C, 2022",
            json!([{"productKey": "subPK", "deviceKey": "subDK", "signmethod": "hmacSha256",
                "sign": "620D2C2EFB8A7F424CF51E1B386F0111EE40C2797B0E826B9C9D033DB76B076D",
                "timestamp": "1795872033404", "clientId": "subPK.subDK"}]),
            json!({"productKey": "subPK", "deviceKey": "subDK", "clientId": "subPKsubDK",
                "timestamp": "1795872034045", "signMethod": "Sha256",
                "sign": "918121259F54872098FD95D2E82997611E06E35B17E27F47128AA2CFC12C3E68",
                "cleanSession": "true"}),
        ),
        (
            "C, 2019",
            json!([{"clientId": "subDK", "productKey": "subPK", "deviceKey": "subDK", "timestamp": "1795871578",
                "signmethod": "hmacsha1", "sign": "9C7FA92A26E55334585FC57EA931C7094A9580BF"}]),
            json!({"clientId": "subDK", "productKey": "subPK", "deviceKey": "subDK", "timestamp": "1795871579",
                "signMethod": "hmacsha1", "cleanSession": "true",
                "sign": "D12147A7B912B5188A2C8C7A729FEC9972DE7EB4"}),
        ),
    ]
}

/// The params of `combine/login/batch`. The C SDK of 2019 has no batch.
fn batches() -> Vec<(&'static str, Value)> {
    vec![
        (
            "Java, 2022",
            json!({"clientId": "login.batch",
            "subDevices": [{"sign": "acd3c4850000f09fb6eb30e1a1fc1f9a43949fee890547c3cf43132af4ee656b",
            "deviceKey": "subDK", "productKey": "subPK",
            "secureMode": "2"}, {"sign": "fc1ec6e64ea548bcca4fe785345ab9d9fc5c5497a1ef13e27b8318f4de4fc160",
            "deviceKey": "subDK2", "productKey": "subPK", "secureMode": "2"}], "signMethod": "sha256",
            "timestamp": "1795870216209"}),
        ),
        (
            "Python",
            json!({"clientId": "login.batch", "timestamp": "1795869756.7137682", "signMethod": "hmacsha256",
            "subDevices": [{"productKey": "subPK", "deviceKey": "subDK", "secureMode": "2",
            "sign": "8cea71261a48f5d06c69eb1f8789832b65ea143489da8a6488013fa3ec760d78"}, {"productKey": "subPK",
            "deviceKey": "subDK2", "secureMode": "2",
            "sign": "a9561de8e5166fa4e4d9b7bbdef327be1785cb5b881ea7bfcfeffa69c497790e"}]}),
        ),
        (
            "Node",
            json!({"clientId": "gwPK", "signMethod": "sha256", "timestamp": "1795869930381",
            "subDevices": [{"sign": "387794B4F611B156FC3E29453E7E54EAB03D996AE4CC1CB2C289E3A81AA0B12B",
            "secureMode": 2, "productKey": "subPK",
            "deviceKey": "subDK"}, {"sign": "F3CA598B5041FEA70EF6E299991E5825A9DF492D2CD9CA32D8C3365459287E6F",
            "secureMode": 2, "productKey": "subPK", "deviceKey": "subDK2"}]}),
        ),
    ]
}

fn gateway() -> (Sim, Client) {
    let sub = |key: &str, secret: &str| Device::active(DeviceId::new("subPK", key), secret);
    let gateway = Device::active(dk(), DEVICE_SECRET).gateway();
    Sim::online(Config {
        devices: vec![gateway, sub("subDK", "subDS"), sub("subDK2", "subDS2").behind(dk())],
        ..config()
    })
}

#[test]
fn each_sdk_adds_a_sub_device_and_logs_it_in() {
    for (sdk, addition, login) in recorded() {
        let (_sim, mut client) = gateway();
        assert_eq!(client.ask("/sys/pk/dk/thing/topo/add", addition)["code"], 200, "{sdk}");
        assert_eq!(client.ask("/ext/session/pk/dk/combine/login", login.clone())["code"], 200, "{sdk}");
        let mut forged = login;
        forged["clientId"] = "another".into();
        assert_eq!(client.ask("/ext/session/pk/dk/combine/login", forged)["code"], 742, "{sdk}");
    }
}

#[test]
fn the_sdks_log_in_batches() {
    for (sdk, params) in batches() {
        let (sim, mut client) = gateway();
        sim.cloud.set_topology(&dk(), &DeviceId::new("subPK", "subDK"), true).unwrap();
        let reply = client.ask("/ext/session/pk/dk/combine/login/batch", params);
        assert_eq!((&reply["code"], &reply["data"]["failedSubDevices"]), (&json!(200), &json!([])), "{sdk}: {reply}");
    }
}
