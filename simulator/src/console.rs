//! The commands that `--interactive` reads from standard input.

use enos_sim::{Cloud, DeviceId};
use serde_json::Value;

pub const HELP: &str = "\
command SUFFIX JSON    a command to every device that is online, or to one: command @PK/DK SUFFIX JSON
cache @PK/DK SUFFIX JSON   a command that is kept until the device has answered it, also if it is offline
disable @PK/DK         disable a device, as in the console: it is told, and its session ends; enable @PK/DK
raw HEX                bytes as they are; raw @PK/DK HEX
kick                   close the connections; kick @PK/DK; the login of a sub-device ends without a word to its gateway
delete @PK/DK          delete a device, as in the console: it is told, and its session ends
thing @PK/DK           the attributes, tags and firmware that the cloud has of a device
firmware @PK/DK JSON   firmware for a device that asks for it: an object with version, fileUrl, fileSize ...
publish TOPIC TEXT     to whoever has subscribed to the topic
online                 who is logged in, and the sub-devices with their gateways
summary                what the cloud saw
quit                   end
";

/// The result of a line.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Say(String),
    Quit,
}

/// Performs a line.
pub fn perform(cloud: &Cloud, line: &str) -> Outcome {
    attempt(cloud, line.trim()).unwrap_or_else(|error| Outcome::Say(format!("{error}\n")))
}

fn attempt(cloud: &Cloud, line: &str) -> Result<Outcome, String> {
    let (verb, rest) = split(line);
    let (device, rest) = match rest.strip_prefix('@') {
        Some(rest) => {
            let (device, rest) = split(rest);
            let (product_key, device_key) = device.split_once('/').ok_or("write a device as @PK/DK")?;
            (Some(DeviceId::new(product_key, device_key)), rest)
        }
        None => (None, rest),
    };
    let each = |act: &dyn Fn(&DeviceId) -> Result<(), String>| {
        let devices = device.clone().map_or_else(|| cloud.online(), |device| vec![device]);
        if devices.is_empty() {
            return Err("no device is online".to_owned());
        }
        devices.iter().try_for_each(act)
    };
    match verb {
        "" => {}
        "cache" => {
            let device = device.ok_or("cache needs a device: @PK/DK")?;
            let (suffix, params) = suffix_and_params(rest)?;
            let kept = cloud.command_cached(&device, suffix, params);
            kept.map_err(|error| format!("{device}: {error}"))?;
        }
        "command" => {
            let (suffix, params) = suffix_and_params(rest)?;
            each(&|device| {
                cloud.command(device, suffix, params.clone()).map(drop).map_err(|error| format!("{device}: {error}"))
            })?;
        }
        "raw" => {
            let bytes = hex::decode(rest).map_err(|error| format!("that is not hex: {error}"))?;
            each(&|device| cloud.send_raw(device, &bytes).map_err(|error| format!("{device}: {error}")))?;
        }
        "kick" => each(&|device| cloud.kick(device).map_err(|error| format!("{device}: {error}")))?,
        "delete" | "disable" | "enable" => {
            let device = device.ok_or(format!("{verb} needs a device: @PK/DK"))?;
            let known = match verb {
                "delete" => cloud.remove_device(&device),
                "disable" => cloud.disable(&device),
                _ => cloud.enable(&device),
            };
            match known {
                Ok(true) => {}
                Ok(false) => return Err(format!("{device} is not registered")),
                Err(error) => return Err(format!("the state file could not be written: {error}")),
            }
        }
        "thing" => {
            let device = device.ok_or("thing needs a device: @PK/DK")?;
            let thing = serde_json::to_string(&cloud.thing(&device)).unwrap_or_default();
            return Ok(Outcome::Say(format!("{thing}\n")));
        }
        "firmware" => {
            let device = device.ok_or("firmware needs a device: @PK/DK")?;
            let firmware = json(rest)?;
            cloud.change_thing(&device, |thing| thing.firmware.push(firmware));
        }
        "publish" => {
            let (topic, text) = split(rest);
            cloud.publish(topic, text.as_bytes(), 1);
        }
        "online" => {
            let mut lines: Vec<_> = cloud.online().iter().map(|device| format!("{device}\n")).collect();
            let sub_devices = cloud.sub_devices_online();
            lines.extend(sub_devices.iter().map(|(device, gateway)| format!("{device} through {gateway}\n")));
            return Ok(Outcome::Say(lines.concat()));
        }
        "summary" => cloud.report_summary(),
        "quit" => return Ok(Outcome::Quit),
        _ => return Ok(Outcome::Say(HELP.into())),
    }
    Ok(Outcome::Done)
}

fn suffix_and_params(text: &str) -> Result<(&str, Value), String> {
    let (suffix, params) = split(text);
    Ok((suffix, json(params)?))
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("the params are not JSON: {error}"))
}

/// The first word, and what follows it.
fn split(text: &str) -> (&str, &str) {
    text.split_once(char::is_whitespace).map_or((text, ""), |(word, rest)| (word, rest.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use enos_sim::{Config, Device};

    #[test]
    fn lines_are_understood_or_answered() {
        let devices = vec![Device::active(DeviceId::new("pk", "dk"), "ds")];
        let config = Config { listen: "127.0.0.1:0".parse().unwrap(), devices, ..Config::default() };
        let cloud = Cloud::start(config, |_| {}).unwrap();
        let said = |line: &str| match perform(&cloud, line) {
            Outcome::Say(words) => words,
            other => format!("{other:?}"),
        };
        assert!(said("help").contains("summary"));
        assert!(said("command thing/x {").contains("not JSON"));
        assert!(said("command thing/x {}").contains("no device is online"));
        assert!(said("command @pk/dk thing/x {}").contains("pk/dk: the device is not online"));
        assert!(said("raw 3").contains("not hex"));
        assert_eq!(perform(&cloud, "publish /a b c"), Outcome::Done);
        assert_eq!(perform(&cloud, "  "), Outcome::Done);
        assert_eq!(perform(&cloud, "cache @pk/dk thing/x {}"), Outcome::Done);
        assert_eq!(cloud.open_commands(&DeviceId::new("pk", "dk")), 1);
        assert!(said("cache thing/x {}").contains("needs a device"));
        assert_eq!(perform(&cloud, "disable @pk/dk"), Outcome::Done);
        assert!(!cloud.device(&DeviceId::new("pk", "dk")).unwrap().enabled);
        assert_eq!(perform(&cloud, "enable @pk/dk"), Outcome::Done);
        assert!(cloud.device(&DeviceId::new("pk", "dk")).unwrap().enabled);
        assert_eq!(perform(&cloud, "firmware @pk/dk {\"version\":\"2\"}"), Outcome::Done);
        assert!(said("thing @pk/dk").contains(r#""firmware":[{"version":"2"}],"upgrade":"none"}"#));
        assert_eq!(perform(&cloud, "delete @pk/dk"), Outcome::Done);
        assert!(said("thing @pk/dk").contains(r#""firmware":[]"#));
        assert!(said("delete @pk/dk").contains("not registered"));
        assert_eq!(perform(&cloud, "quit\n"), Outcome::Quit);
    }
}
