//! Sub-devices behind a gateway, with the simulator as their cloud.

mod activation;
mod durable;
mod links;
mod posts;
mod refused;
mod register;
mod threads;
mod topics;
mod topology;

use std::sync::Mutex;

use enos::internals::error::Status::*;
use enos::internals::protocol::Operation;
use enos_sim::{Config, Device, DeviceId, Event};
use serde_json::json;
use support::desk::{device_id, sub_id, sub_key as key, Desk};
use support::host::*;

/// A cloud with a gateway that has so many active sub-devices.
fn desk(count: usize, set: impl FnOnce(&mut Config)) -> Desk {
    Desk::gateway(count, set)
}

fn subs(count: usize) -> Vec<Sub> {
    (0..count).map(|n| Sub { user: 1000 + n, ..Sub::new(&key(n)) }).collect()
}

/// The gateway, and its sub-devices, all online.
fn online(desk: &Desk, count: usize) -> (Host, Vec<u64>) {
    let mut host = Setup::device(desk.address()).inflight(1_000).start();
    let ids = host.add_subdevices(&subs(count)).unwrap();
    host.connect();
    host.until_all(&ids, SubState::Online);
    (host, ids)
}

fn post(subdevice: u64) -> Ask<'static> {
    Ask { subdevice, user: 5, ..Ask::json(Operation::ENOS_OP_MEASUREPOINT_POST, r#"{"measurepoints":{"p":1}}"#) }
}

/// Each posts, and each reply is its own.
fn post_for_all(host: &mut Host, ids: &[u64]) {
    let tokens: Vec<u64> = ids.iter().map(|id| host.request(&post(*id)).unwrap()).collect();
    let outcomes = host.outcomes(&tokens);
    for (token, id) in tokens.iter().zip(ids) {
        let told = &outcomes[token];
        assert_eq!((told.status, told.subdevice, told.user), (ENOS_OK, *id, 5), "{told:?}");
    }
}

/// A durable post of a device, completed by its reply.
fn kept(subdevice: u64, params: &str) -> Ask<'_> {
    let flags = DURABLE | UNTIL_REPLY;
    Ask { subdevice, user: 100, flags, ..Ask::json(Operation::ENOS_OP_MEASUREPOINT_POST, params) }
}

fn params(number: u32) -> String {
    format!(r#"{{"measurepoints":{{"n":{number}}},"time":1700000000000}}"#)
}

/// The numbers that the cloud has of a sub-device, in that order.
fn numbers(desk: &Desk, n: usize) -> Vec<u64> {
    let (topic, numbers) = (format!("/sys/{SUB_PRODUCT}/{}/thing/measurepoint/post", key(n)), Mutex::new(Vec::new()));
    desk.count(|event| {
        let Event::Publish { topic: of, payload, .. } = event else { return false };
        if *of == topic {
            let number = &payload.json.as_ref().unwrap()["params"]["measurepoints"]["n"];
            numbers.lock().unwrap().extend(number.as_u64());
        }
        false
    });
    numbers.into_inner().unwrap()
}

fn is_subscribe(event: &Event) -> bool {
    matches!(event, Event::Subscribe { .. })
}

#[test]
fn two_hundred_log_in_with_few_packets_and_post() {
    let desk = desk(200, |_| ());
    let (mut host, ids) = online(&desk, 200);
    assert_eq!(desk.cloud.sub_devices_online().len(), 200);
    assert_eq!(desk.count(|event| matches!(event, Event::LoginBatch { size: 100, logged_in: 100, code: 200 })), 2);
    post_for_all(&mut host, &ids);
    assert_eq!(desk.count(is_subscribe), 3, "one for the replies to logins, and one for each batch");
    let mut shown = Vec::new();
    host.subdevices(|id, device_key, state, user| {
        shown.push((id, device_key.to_owned(), state, user));
        shown.len() < 150
    });
    let wanted = |n: usize| (ids[n], key(n), SubState::Online as i32, 1000 + n);
    assert_eq!(shown, (0..150).map(wanted).collect::<Vec<_>>());
}

#[test]
fn a_command_is_answered_for_its_sub_device() {
    let desk = desk(2, |_| ());
    let broker = desk.address();
    let mut host = Setup::device(broker)
        .on_event(|_, told| {
            if let Some(command) = told.command {
                assert_eq!(command.subdevice(), told.subdevice);
                command.reply(200, Some(r#"{"done":true}"#)).unwrap();
            }
        })
        .start();
    let ids = host.add_subdevices(&subs(2)).unwrap();
    host.connect();
    host.until_all(&ids, SubState::Online);
    let id = desk.cloud.command(&sub_id(1), "thing/service/x", json!({})).unwrap();
    host.until("COMMAND");
    assert_eq!(host.until("DELIVERED").status, ENOS_OK);
    let is_its =
        |event: &Event| matches!(event, Event::CommandReply { id: answered, code: Some(200), .. } if *answered == id);
    host.loop_until(|_| desk.count_of(&sub_id(1), is_its) == 1);
}

#[test]
fn every_request_of_a_device_can_be_sent_for_a_sub_device() {
    let desk = desk(1, |_| ());
    let (mut host, ids) = online(&desk, 1);
    let id = ids[0];
    let asks = [
        (Operation::ENOS_OP_EVENT_POST, Some("alarm"), r#"{"events":{"level":1}}"#),
        (Operation::ENOS_OP_ATTRIBUTE_UPDATE, None, r#"{"attributes":{"a":1}}"#),
        (Operation::ENOS_OP_ATTRIBUTE_QUERY, None, r#"{"attributes":["a"]}"#),
        (Operation::ENOS_OP_TAG_UPDATE, None, r#"[{"tagKey":"k","tagValue":"v"}]"#),
        (Operation::ENOS_OP_MODEL_GET, None, "{}"),
        (Operation::ENOS_OP_MEASUREPOINT_RESUME, None, r#"{"measurepoints":{"p":1},"time":1700000000000}"#),
        (Operation::ENOS_OP_RAW_UP, None, "raw"),
    ];
    for (operation, name, params) in asks {
        let token = host.request(&Ask { subdevice: id, name, ..Ask::json(operation, params) }).unwrap();
        let told = host.until("REPLY");
        assert_eq!((told.token, told.status, told.subdevice), (token, ENOS_OK, id), "{operation:?}: {told:?}");
    }
    assert_eq!(desk.cloud.thing(&sub_id(0)).attributes["a"], json!(1));
    let of_gateway = Ask { subdevice: id, ..Ask::of(Operation::ENOS_OP_TOPOLOGY_GET) };
    assert_eq!(host.request(&of_gateway), Err(ENOS_ERR_UNSUPPORTED));
    let of_gateway = host.request(&Ask::of(Operation::ENOS_OP_TOPOLOGY_GET)).unwrap();
    let told = host.until("REPLY");
    assert_eq!((told.token, told.data.as_deref()), (of_gateway, Some(r#"[{"deviceKey":"s000","productKey":"sub"}]"#)));
}

#[test]
fn what_the_cloud_does_with_one_is_its_state() {
    let desk = desk(3, |config| config.gateways.batch = Some(2));
    let (mut host, ids) = online(&desk, 3);
    let told_of = |host: &mut Host, id: u64, state: SubState| {
        let told = host.until_all(&[id], state);
        told.into_iter().rfind(|told| told.subdevice == id && told.name == "SUBDEVICE_STATE").unwrap()
    };
    // Its login ends without a word. The next post tells it, and it logs in again.
    assert!(desk.cloud.log_out(&sub_id(0)));
    let token = host.request(&post(ids[0])).unwrap();
    let told = told_of(&mut host, ids[0], SubState::Refused);
    assert_eq!((told.status, told.detail_code), (ENOS_ERR_REFUSED, 1009));
    assert!((1_000..=2_000).contains(&told.retry_in_ms));
    let refused: Vec<_> = host.told("REPLY").into_iter().filter(|told| told.token == token).collect();
    assert_eq!((refused[0].status, refused[0].detail_code), (ENOS_ERR_REFUSED, 1009));
    host.until_all(&ids, SubState::Online);
    // Disabled, and enabled again.
    desk.cloud.disable(&sub_id(1)).unwrap();
    assert_eq!(told_of(&mut host, ids[1], SubState::Disabled).status, ENOS_OK);
    assert_eq!(host.request(&post(ids[1])), Err(ENOS_ERR_STATE));
    assert!(last_error().contains("DISABLED"));
    desk.cloud.enable(&sub_id(1)).unwrap();
    told_of(&mut host, ids[1], SubState::Online);
    // Deleted.
    desk.cloud.remove_device(&sub_id(2)).unwrap();
    told_of(&mut host, ids[2], SubState::Deleted);
    post_for_all(&mut host, &ids[..2]);
}

#[test]
fn the_host_takes_one_offline_and_online_and_removes_it() {
    let desk = desk(2, |_| ());
    let (mut host, ids) = online(&desk, 2);
    assert_eq!(host.set_subdevice_online(ids[0], false), ENOS_OK);
    host.until_all(&ids[..1], SubState::Offline);
    host.loop_until(|_| desk.cloud.logged_in_through(&sub_id(0)).is_none());
    assert_eq!(host.set_subdevice_online(ids[0], true), ENOS_OK);
    host.until_all(&ids[..1], SubState::Online);
    assert_eq!(desk.cloud.logged_in_through(&sub_id(0)), Some(device_id()));
    assert_eq!(host.remove_subdevice(ids[1]), ENOS_OK);
    host.loop_until(|_| desk.cloud.logged_in_through(&sub_id(1)).is_none());
    for id in [ids[1], 0, 77] {
        assert_eq!(host.subdevice_state(id), ENOS_ERR_NOT_FOUND as i32);
        assert_eq!(host.remove_subdevice(id), ENOS_ERR_NOT_FOUND);
        assert_eq!(host.set_subdevice_online(id, true), ENOS_ERR_NOT_FOUND);
    }
    let again = host.add_subdevices(&[Sub::new(&key(1))]).unwrap();
    assert!(again[0] > ids[1]);
    host.until_all(&again, SubState::Online);
}

#[test]
fn one_that_is_not_in_the_topology_is_added_if_it_may_be() {
    let desk = desk(1, |config| config.devices.extend([1, 2].map(|n| Device::active(sub_id(n), SUB_SECRET))));
    let mut host = Setup::device(desk.address()).start();
    let mut all = subs(3);
    all[1].flags = ADD_TOPOLOGY;
    let ids = host.add_subdevices(&all).unwrap();
    host.connect();
    host.until_all(&ids[..2], SubState::Online);
    let told = host.until_all(&ids[2..], SubState::Refused);
    let told = told.iter().chain(&host.seen).rfind(|told| told.subdevice == ids[2] && told.detail_code != 0).unwrap();
    assert_eq!((told.status, told.detail_code), (ENOS_ERR_REFUSED, 740));
    assert!(desk.cloud.topology(&device_id()).contains(&sub_id(1)));
    assert!(!desk.cloud.topology(&device_id()).contains(&sub_id(2)));
}

/// A gateway signs with each method, and its sub-devices with the same one, or with their own.
#[test]
fn the_signatures_follow_the_gateway() {
    for method in 1..=3 {
        let desk = desk(3, |_| ());
        let mut host = Setup::device(desk.address()).sign_method(method).start();
        let mut all = subs(3);
        all[2].sign_method = 3;
        let ids = host.add_subdevices(&all).unwrap();
        host.connect();
        host.until_all(&ids, SubState::Online);
    }
}
