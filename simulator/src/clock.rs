//! What happens at a time of its own: commands that were not answered in time, and commands at random.

use serde_json::{json, Value};
use std::{sync::Arc, time::Instant};

use crate::{commands::Order, connection::Input, event::Event, login::Mode, shared::Shared, thing};

/// Runs until the cloud stops.
pub fn run(shared: &Arc<Shared>) {
    let mut next_random = shared.config.commands_every.map(|every| Instant::now() + every);
    while !shared.is_stopping() {
        shared.await_deadline(next_random);
        let now = Instant::now();
        expire(shared, now);
        if let (Some(every), Some(next)) = (shared.config.commands_every, next_random) {
            if now >= next {
                send_at_random(shared);
                next_random = Some(now + every);
            }
        }
    }
}

fn expire(shared: &Shared, now: Instant) {
    let expired = shared.commands().expire(now);
    for (device, waiting) in expired {
        let handle = shared.find_online(&device).map(|(handle, _)| handle);
        let topic = thing::answer_topic(&waiting.topic);
        let elapsed_ms = now.duration_since(waiting.sent).as_millis() as u64;
        let id = waiting.order.id;
        let event = Event::CommandReply { topic, id, code: None, elapsed_ms, timed_out: true, payload: None };
        shared.report(handle.as_ref().map(|handle| handle.number), Some(device.clone()), event);
        let Some(handle) = handle else { continue };
        match waiting.order.ends_session {
            Some(reason) => handle.close(reason),
            // A full inbox is tried again with the next answer.
            None => drop(handle.inbox.try_send(Input::Cached(device))),
        }
    }
}

/// One command to each device that is online.
fn send_at_random(shared: &Shared) {
    let sub_devices = shared.sub_devices_online().into_iter().map(|(sub_device, _)| sub_device);
    for device in shared.devices_online().into_iter().chain(sub_devices) {
        let Some((handle, Mode::Device)) = shared.find_online(&device) else { continue };
        let (suffix, params) = shared.with_random(random_command);
        // A connection that is busy has enough to do.
        let _ = handle.inbox.try_send(Input::Command(device, Order::new(shared.next_id(), &suffix, params)));
    }
}

/// A command of any kind that does not end the session: the topic after the device's prefix, and the params.
fn random_command(random: &mut fastrand::Rng) -> (String, Value) {
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
        let kinds: BTreeSet<_> = (0..200).map(|_| kind(random_command(&mut random))).collect();
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
