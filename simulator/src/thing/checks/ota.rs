//! Versions of firmware and the progress of upgrades.

use serde_json::{json, Value};

use super::{no_params, nothing, optional, Request, Verdict};
use crate::thing::state::Upgrade;

/// `ota/device/inform`: a device that reports the version of its upgrade has finished it.
pub fn inform(request: &mut Request) -> Verdict {
    let version = request.params.get("version").and_then(Value::as_str).filter(|version| !version.is_empty());
    let version = version.ok_or_else(|| (1220, "\"version\" in the params is not a string".to_owned()))?;
    request.thing.informed(version);
    nothing()
}

/// `ota/device/progress`: `step` is a percentage, or a negative number for a failure; as a string or as a number.
pub fn progress(request: &mut Request) -> Verdict {
    let step = request.params.get("step");
    let number = step.and_then(|step| step.as_i64().or_else(|| step.as_str()?.parse().ok()));
    if number.is_none_or(|step| step > 100) {
        return Err((1220, "\"step\" in the params is not a number up to 100".to_owned()));
    }
    optional(request.params, &["desc"], "a string", Value::is_string)?;
    match request.thing.upgrade {
        Upgrade::None => Err((764, "there is no such task: no ota/device/upgrade was sent to the device".to_owned())),
        Upgrade::Pushed => Err((765, "the task has not started: ota/device/upgrade is not answered yet".to_owned())),
        Upgrade::Started => nothing(),
    }
}

/// `ota/device/getversion`: only a device that has reported its version gets the firmware that waits for it.
pub fn getversion(request: &mut Request) -> Verdict {
    no_params(request)?;
    let thing = &mut *request.thing;
    if thing.version.is_none() || thing.firmware.is_empty() {
        return Ok(json!([]));
    }
    thing.started_on_request();
    Ok(thing.firmware.clone().into())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{code, Desk};
    use super::*;

    #[test]
    fn an_upgrade_is_sent_answered_and_then_progresses() {
        let progress = |upgrade, params| {
            let mut device = Desk::default();
            device.thing.upgrade = upgrade;
            device.code("ota/device/progress", params)
        };
        assert_eq!(progress(Upgrade::None, json!({"step": "10"})), 764);
        assert_eq!(progress(Upgrade::Pushed, json!({"step": "10"})), 765);
        for step in [json!("10"), json!(100), json!("-3")] {
            assert_eq!(progress(Upgrade::Started, json!({"step": step, "desc": ""})), 200);
        }
        for wrong in [json!({}), json!({"step": "101"}), json!({"step": "half"}), json!({"step": 1, "desc": 1})] {
            assert_eq!(progress(Upgrade::Started, wrong), 1220);
        }
        let informed = [json!({"version": "2"}), json!({}), json!({"version": 2}), json!({"version": ""})];
        assert_eq!(informed.map(|params| code("ota/device/inform", params)), [200, 1220, 1220, 1220]);
    }

    #[test]
    fn the_reported_version_ends_the_upgrade() {
        let mut device = Desk::default();
        device.thing.firmware = vec![json!({"version": "2", "fileUrl": "file"})];
        let query = |device: &mut Desk| device.ask_with("ota/device/getversion", json!({"params": {}}));
        assert_eq!(query(&mut device), (200, json!([])), "its version is not known");
        assert_eq!(device.code("ota/device/inform", json!({"version": "1"})), 200);
        assert_eq!(query(&mut device).1[0]["version"], "2");
        assert_eq!(device.code("ota/device/progress", json!({"step": "100"})), 200);
        assert_eq!(device.code("ota/device/inform", json!({"version": "2"})), 200);
        assert_eq!(query(&mut device), (200, json!([])));
        assert_eq!(device.code("ota/device/progress", json!({"step": "100"})), 764);
    }
}
