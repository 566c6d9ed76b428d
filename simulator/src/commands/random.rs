//! Commands at random: each kind that does not end the session.

use serde_json::{json, Value};

/// The topic after the device's prefix, and the params.
pub fn command(random: &mut fastrand::Rng) -> (String, Value) {
    let number = random.u32(..);
    let service = ["reboot", "set_limit", "self-test"][random.usize(..3)];
    let ids: Vec<_> = (0..random.usize(..4)).map(|n| format!("point{n}")).collect();
    let points: serde_json::Map<_, _> = ids.iter().map(|id| (id.clone(), json!(random.f64()))).collect();
    let (suffix, params) = match random.usize(..9) {
        0 => (format!("thing/service/{service}"), json!({"number": number, "text": "\u{6e29}\n\"", "list": [1, {}]})),
        1 => ("thing/service/measurepoint/set".into(), points.into()),
        2 => ("thing/service/measurepoint/get".into(), ids.into()),
        3 => ("thing/model/down_raw".into(), hex::encode(number.to_be_bytes()).into()),
        4 => (format!("rrpc/request/{number}"), json!({"number": number})),
        5 => ("thing/enable".into(), json!([])),
        6 => ("traffic/control".into(), json!({})),
        7 => {
            let firmware = json!({
                "version": format!("{number}.0"), "fileUrl": "/file", "fileSize": number, "sign": "00", "signMethod": "md5",
            });
            ("ota/device/upgrade".into(), firmware)
        }
        _ => (format!("thing/unknown/{service}"), json!([number, null, true])),
    };
    (suffix, params)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_kind_comes() {
        let mut random = fastrand::Rng::with_seed(1);
        let kind = |(suffix, _): (String, Value)| suffix.splitn(3, '/').take(2).collect::<Vec<_>>().join("/");
        let kinds: BTreeSet<_> = (0..200).map(|_| kind(command(&mut random))).collect();
        let expected = [
            "ota/device",
            "rrpc/request",
            "thing/enable",
            "thing/model",
            "thing/service",
            "thing/unknown",
            "traffic/control",
        ];
        assert_eq!(kinds.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    }
}
