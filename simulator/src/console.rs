//! The commands that `--interactive` reads from standard input.

use enos_sim::{Cloud, DeviceId, Digest, Fault, FileUrl, Offer};
use serde_json::Value;

pub const HELP: &str = "\
command SUFFIX JSON    a command to every device that is online, or to one: command @PK/DK SUFFIX JSON
cache @PK/DK SUFFIX JSON   a command that is kept until the device has answered it, also if it is offline
disable @PK/DK         disable a device, as in the console: it is told, and its session ends; enable @PK/DK
raw HEX                bytes as they are; raw @PK/DK HEX
kick                   close the connections; kick @PK/DK; the login of a sub-device ends without a word to its gateway
delete @PK/DK          delete a device, as in the console: it is told, and its session ends
thing @PK/DK           the attributes, tags and firmware that the cloud has of a device
firmware VERSION=FILE  serves an image of this version, as --firmware does
offer @PK/DK VERSION [on-request] [md5] [https] [relative]
                       offers a device the image: at once, at its next login, or when it asks for it
offer @PK/DK JSON [on-request]
                       the same with these params: an object with version, fileUrl, fileSize, sign, signMethod
cancel @PK/DK TASK     cancels an upgrade; the device is not told, but its progress is refused with 764
faults [FAULT] [...]   these faults, in place of those of before, for connections and HTTP requests from now on
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
        "firmware" => cloud.add_firmware(crate::args::firmware(rest)?),
        "offer" => {
            let device = device.ok_or("offer needs a device: @PK/DK")?;
            cloud.offer(&device, offer(rest)?).map_err(|error| format!("{device}: {error}"))?;
        }
        "cancel" => {
            let device = device.ok_or("cancel needs a device: @PK/DK")?;
            let task = rest.parse().map_err(|_| "cancel needs the number of the upgrade".to_owned())?;
            if !cloud.cancel(&device, task) {
                return Err(format!("{device} has no upgrade {task} that is not over"));
            }
        }
        "faults" => {
            let faults: Result<Vec<Fault>, _> = rest.split_whitespace().map(str::parse).collect();
            cloud.set_faults(faults.map_err(|error| error.to_string())?);
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

/// `VERSION [WORD ...]` or `JSON [on-request]`
fn offer(text: &str) -> Result<Offer, String> {
    let mut params = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let (mut offer, words) = match params.next() {
        Some(Ok(value @ Value::Object(_))) => {
            (Offer::raw(value), text.get(params.byte_offset()..).unwrap_or_default().to_owned())
        }
        _ if text.starts_with('{') => return Err("the params are not JSON".into()),
        _ => {
            let (version, words) = split(text);
            (Offer::new(version), words.to_owned())
        }
    };
    for word in words.split_whitespace() {
        offer = match word {
            "on-request" => offer.on_request(),
            "md5" => offer.digest(Digest::Md5),
            "https" => offer.url(FileUrl::Https),
            "relative" => offer.url(FileUrl::Relative),
            _ => return Err(format!("\"{word}\" is not on-request, md5, https or relative")),
        };
    }
    Ok(offer)
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
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("image");
        std::fs::write(&file, "image").unwrap();
        assert_eq!(perform(&cloud, &format!("firmware 2={}", file.display())), Outcome::Done);
        assert!(said("firmware 3=/nowhere").contains("/nowhere"));
        assert!(said("offer 2").contains("needs a device"));
        assert!(said("offer @pk/dk 3").contains("no image"));
        assert!(said("offer @pk/dk 2 https").contains("no such port"));
        assert!(said("offer @pk/dk 2 sha1").contains("not on-request"));
        assert!(said("offer @pk/dk {\"version\"").contains("not JSON"));
        assert_eq!(perform(&cloud, "offer @pk/dk 2 md5 relative"), Outcome::Done);
        assert_eq!(perform(&cloud, "offer @pk/dk {\"version\": \"4\"} on-request"), Outcome::Done);
        assert!(said("thing @pk/dk").contains(r#"{"task":2,"version":"4","on_request":true,"state":"created"}"#));
        assert_eq!(perform(&cloud, "cancel @pk/dk 1"), Outcome::Done);
        assert!(said("cancel @pk/dk 1").contains("no upgrade 1"));
        assert_eq!(perform(&cloud, "faults http:cut=5 connack:delay=1"), Outcome::Done);
        assert!(said("faults http:twice").contains("cannot be done"));
        assert_eq!(perform(&cloud, "delete @pk/dk"), Outcome::Done);
        assert!(said("thing @pk/dk").contains(r#""tasks":[]"#));
        assert!(said("delete @pk/dk").contains("not registered"));
        assert_eq!(perform(&cloud, "quit\n"), Outcome::Quit);
    }
}
