//! Gateways and their sub-devices.

use crate::common::{gateway::*, program::Program, *};
use enos_sim::{Config, Device, DeviceId, Event, GatewayConfig};
use mqttbytes::QoS;
use serde_json::json;
use std::{thread, time::Duration};

#[test]
fn from_registration_to_a_post_and_back() {
    let mut config = behind();
    config.products.push(enos_sim::Product { product_key: "new".into(), product_secret: "ps".into() });
    let (sim, mut client) = Sim::online(config);
    let made = client.ask("/sys/pk/dk/thing/device/register", json!([{"productKey": "new", "deviceKey": "n1"}]));
    let secret = made["data"][0]["deviceSecret"].as_str().unwrap().to_owned();
    let n1 = DeviceId::new("new", "n1");
    assert_eq!(client.ask(&session("combine/login"), signed(&n1, &secret))["code"], 740);
    assert_eq!(client.ask("/sys/pk/dk/thing/topo/add", json!([signed(&n1, &secret)]))["code"], 200);
    let topology = client.ask("/sys/pk/dk/thing/topo/get", json!({}))["data"].clone();
    assert_eq!(topology, json!([name(&n1), name(&sub(1)), name(&sub(2)), name(&sub(3))]));

    let post = "/sys/new/n1/thing/measurepoint/post";
    assert_eq!(post_of(post, &mut client), 1009, "it is not logged in");
    assert_eq!(client.ask(&session("combine/login"), signed(&n1, &secret))["code"], 200);
    assert_eq!(sim.cloud.logged_in_through(&n1), Some(gateway()));
    assert_eq!(post_of(post, &mut client), 200);
    assert_eq!(client.ask("/sys/pk/dk/thing/topo/delete", json!([name(&n1)]))["code"], 1256);
    assert_eq!(client.ask(&session("combine/logout"), name(&n1))["data"], name(&n1));
    assert_eq!(post_of(post, &mut client), 1009);
    assert_eq!(client.ask("/sys/pk/dk/thing/topo/delete", json!([name(&n1)]))["code"], 200);
    assert_eq!(client.ask(&session("combine/login"), signed(&n1, &secret))["code"], 740);

    let summary = sim.cloud.summary();
    let counts = summary.of(&n1).unwrap();
    assert_eq!((counts.sub_device_logins, counts.sub_device_logins_refused, counts.topology_adds), (1, 2, 1));
    assert_eq!((counts.posts_accepted, counts.posts_refused), (1, 2));
}

#[test]
fn a_batch_and_what_each_sub_device_has_of_its_own() {
    let (sim, mut client) = Sim::online(behind());
    let reply = client
        .ask(&session("combine/login/batch"), batch(&[(sub(1), SUB_SECRET), (sub(2), "wrong"), (sub(3), SUB_SECRET)]));
    assert_eq!((&reply["code"], &reply["data"]["failedSubDevices"]), (&json!(742), &json!([name(&sub(2))])));
    assert_eq!(sim.cloud.sub_devices_online(), [(sub(1), gateway()), (sub(3), gateway())]);
    let attributes = |n: usize| format!("/sys/spk/s{n}/thing/attribute/update");
    assert_eq!(client.ask(&attributes(1), json!({"attributes": {"serial": 1}}))["code"], 200);
    assert_eq!(client.ask(&attributes(2), json!({"attributes": {"serial": 2}}))["code"], 1009);
    assert_eq!(sim.cloud.thing(&sub(1)).attributes["serial"], 1);
    assert!(sim.cloud.thing(&sub(2)).attributes.is_empty() && sim.cloud.thing(&gateway()).attributes.is_empty());
    let item = |n: usize, t: i64| {
        let mut item = name(&sub(n));
        item["measurepoints"] = if t < 0 { json!({}) } else { json!({"t": t}) };
        item
    };
    let own = json!({"measurepoints": {"t": 1}});
    let post = "/sys/pk/dk/thing/measurepoint/post/batch";
    assert_eq!(client.ask(post, json!([own, item(1, 1), item(3, 2), item(1, 3)]))["code"], 200);
    assert_eq!(client.ask(post, json!([own, item(2, 1)]))["code"], 1212, "it is not logged in");
    assert_eq!(client.ask(post, json!([own, item(1, -1)]))["code"], 1206);
    let summary = sim.cloud.summary();
    assert_eq!([gateway(), sub(1), sub(2), sub(3)].map(|id| summary.of(&id).unwrap().batch_items), [1, 2, 0, 1]);
    let events = sim.stop();
    let logins = events.iter().filter_map(|record| match &record.event {
        Event::SubDeviceLogin { code, batch: true, .. } => Some((record.device.clone().unwrap(), *code)),
        _ => None,
    });
    assert_eq!(logins.collect::<Vec<_>>(), [(sub(1), 200), (sub(2), 742), (sub(3), 200)], "in order");
    assert_eq!(count(&events, |event| matches!(event, Event::LoginBatch { size: 3, logged_in: 2, code: 742 })), 1);
    assert_eq!(count(&events, |event| matches!(event, Event::SubDeviceOffline { .. })), 2, "with the link");
}

#[test]
fn replies_come_only_where_the_gateway_has_subscribed() {
    let (sim, mut client) = Sim::online(behind());
    log_in(&mut client, 1);
    client.request(SUB_POST, json!({"measurepoints": {"t": 1}}));
    client.ping();
    let unsent = std::iter::repeat_with(|| sim.wait_for("reply")).find(|reply| reply["device"] == "spk/s1").unwrap();
    assert_eq!((&unsent["code"], &unsent["unsent"]), (&json!(200), &json!("not_subscribed")));
}

#[test]
fn commands_reach_a_sub_device_through_its_gateway() {
    let sim = Sim::start(behind());
    sim.cloud.command_cached(&sub(1), "thing/service/kept", json!({})).unwrap();
    let mut client = sim.device(DEVICE_SECRET);
    assert!(sim.cloud.command(&sub(1), "thing/service/x", json!({})).is_err(), "it is not logged in");
    log_in(&mut client, 1);
    assert_eq!(answer(&mut client).0, "/sys/spk/s1/thing/service/kept", "after the login");
    let firmware = json!({"version": "2"});
    for (suffix, params) in [
        ("thing/service/x", json!({"n": 1})),
        ("thing/service/measurepoint/set", json!({"p": 1})),
        ("thing/service/measurepoint/get", json!(["p"])),
        ("thing/enable", json!([])),
        ("ota/device/upgrade", firmware),
    ] {
        thread::scope(|scope| {
            let call = scope.spawn(|| sim.cloud.call(&sub(1), suffix, params.clone()).unwrap());
            assert_eq!(answer(&mut client), (format!("/sys/spk/s1/{suffix}"), params.clone()));
            assert_eq!(call.join().unwrap().code, Some(200));
        });
    }
    assert_eq!(sim.cloud.tasks(&sub(1))[0].state, enos_sim::TaskState::Received);
    sim.cloud.command(&sub(1), "thing/model/down_raw", json!("00ff")).unwrap();
    assert_eq!(client.next_publish().payload.as_ref(), [0, 0xff]);
    client.publish("/sys/spk/s1/thing/model/down_raw_reply", QoS::AtMostOnce, [1]);
    client.ping();
    assert_eq!(sim.cloud.open_commands(&sub(1)), 0);

    sim.cloud.command(&sub(1), "thing/service/x", json!({})).unwrap();
    let (topic, body) = client.next_json();
    assert!(sim.cloud.log_out(&sub(1)));
    client.publish(&format!("{topic}_reply"), QoS::AtMostOnce, json!({"id": body["id"], "code": 200}).to_string());
    let stray = sim.wait_for("stray_reply");
    assert_eq!((&stray["why"], &stray["device"]), (&json!("not_logged_in"), &json!("spk/s1")));
}

#[test]
fn a_sub_device_is_disabled_enabled_and_deleted() {
    let (sim, mut client) = Sim::online(behind());
    log_in(&mut client, 1);
    assert!(sim.cloud.disable(&sub(1)).unwrap());
    assert_eq!(answer(&mut client), (session("combine/disable"), json!([name(&sub(1))])));
    assert_eq!(sim.wait_for("command_reply")["code"], 200);
    assert_eq!(post_of(SUB_POST, &mut client), 1009);
    assert_eq!(client.ask(&session("combine/login"), signed(&sub(1), SUB_SECRET))["code"], 723);
    assert!(sim.cloud.enable(&sub(1)).unwrap());
    assert_eq!(answer(&mut client), (session("combine/enable"), json!([name(&sub(1))])));
    log_in(&mut client, 1);
    assert_eq!(post_of(SUB_POST, &mut client), 200);
    assert!(sim.cloud.remove_device(&sub(1)).unwrap());
    assert_eq!(answer(&mut client), (session("combine/delete"), json!([name(&sub(1))])));
    assert_eq!(post_of(SUB_POST, &mut client), 1009);
    assert_eq!(client.ask(&session("combine/login"), signed(&sub(1), SUB_SECRET))["code"], 705);
    assert_eq!(sim.cloud.topology(&gateway()), [sub(2), sub(3)]);
    assert_eq!(sim.cloud.online(), [gateway()], "the gateway stays");
}

#[test]
fn a_login_through_another_gateway_ends_the_first() {
    let other = DeviceId::new("pk", "other");
    let mut config = behind();
    config.devices.push(Device::active(other.clone(), DEVICE_SECRET).gateway());
    let (sim, mut client) = Sim::online(config);
    log_in(&mut client, 1);
    let login = Login { id: other.clone(), ..Login::device(DEVICE_SECRET) };
    let mut second = sim.log_in(&login);
    let claim = "/ext/session/pk/other/combine/login";
    assert_eq!(second.ask(claim, signed(&sub(1), SUB_SECRET))["code"], 740);
    assert_eq!(second.ask("/sys/pk/other/thing/topo/add", json!([signed(&sub(1), SUB_SECRET)]))["code"], 1255);
    sim.cloud.set_topology(&other, &sub(1), true).unwrap();
    assert_eq!(second.ask(claim, signed(&sub(1), SUB_SECRET))["code"], 200);
    assert_eq!(sim.cloud.logged_in_through(&sub(1)), Some(other.clone()));
    assert_eq!([post_of(SUB_POST, &mut client), post_of(SUB_POST, &mut second)], [1009, 200]);
    let ended = sim.wait_for("sub_device_offline");
    assert!(ended["reason"].as_str().unwrap().contains("pk/other"));
    assert_eq!((&ended["gateway"], &ended["connection"]), (&json!("pk/dk"), &json!(1)));
    sim.cloud.set_topology(&other, &sub(1), false).unwrap();
    assert_eq!(post_of(SUB_POST, &mut second), 1009);
}

#[test]
fn the_logins_end_with_the_link() {
    let (sim, mut client) = Sim::online(faulty(behind(), &["got-pingreq:delay=300@1"]));
    log_in(&mut client, 1);
    // The old link takes its time to end.
    client.send(|out| mqttbytes::v4::PingReq.write(out));
    let mut client = sim.device(DEVICE_SECRET);
    assert_eq!(sim.cloud.sub_devices_online(), [], "at once");
    assert_eq!(sim.wait_for("sub_device_offline")["device"], "spk/s1");
    assert_eq!(post_of(SUB_POST, &mut client), 1009);
    log_in(&mut client, 1);
    sim.cloud.kick(&sub(1)).unwrap();
    assert_eq!(post_of(SUB_POST, &mut client), 1009);
    sim.cloud.kick(&gateway()).unwrap();
    client.end();
}

#[test]
fn a_sub_device_has_no_connection_of_its_own() {
    let sim = Sim::start(behind());
    let login = Login { id: sub(1), ..Login::device(SUB_SECRET) };
    assert_eq!(sim.answer(&login), 5);
    assert!(sim.wait_for("connack")["reason"].as_str().unwrap().contains("771"));
}

#[test]
fn a_sub_device_is_told_commands_at_random() {
    let (_sim, mut client) = Sim::online(Config { commands_every: Some(Duration::from_millis(5)), ..behind() });
    // Commands may come at any time, so nothing waits for the reply.
    client.request(&session("combine/login"), signed(&sub(1), SUB_SECRET));
    while !client.next_publish().topic.starts_with("/sys/spk/s1/") {}
}

#[test]
fn the_program_has_gateways_and_the_console_reaches_their_sub_devices() {
    let options = "--batch-limit 5 --batch-failure whole --sub-devices-online 9 --sub-devices-counted ever \
                   --qos1-logins ignore --topology-limit 9 --product-limit 9 --filters-in-packet 8 \
                   --filters-on-link 50 --filter-excess close --refuse-every 40";
    let options: Vec<_> = options.split_whitespace().collect();
    let gateway = format!("pk,gw,,{DEVICE_SECRET}");
    let sub_device = format!("spk,s1,,{SUB_SECRET}");
    let args = ["--interactive", "--gateway", &gateway, "--sub-device", &sub_device];
    let mut program = Program::start(&[&args[..], &options].concat());
    let mut client = Client::open(program.address);
    assert_eq!(client.login(&Login { id: DeviceId::new("pk", "gw"), ..Login::device(DEVICE_SECRET) }), 0);
    let login = |client: &mut Client| {
        client.ask("/ext/session/pk/gw/combine/login", signed(&sub(1), SUB_SECRET))["code"].clone()
    };
    assert_eq!(login(&mut client), 200);
    program.say("online");
    program.process.expect("spk/s1 through pk/gw");
    for (line, topic) in [("disable", "combine/disable"), ("enable", "combine/enable"), ("delete", "combine/delete")] {
        program.say(&format!("{line} @spk/s1"));
        assert_eq!(answer(&mut client), (format!("/ext/session/pk/gw/{topic}"), json!([name(&sub(1))])));
    }
    assert_eq!(login(&mut client), 705);
}

#[test]
fn hundreds_of_sub_devices_log_in_and_post() {
    const MANY: usize = 400;
    let subs = (1..=MANY).map(|n| Device::active(sub(n), SUB_SECRET).behind(gateway()));
    let devices = [Device::active(dk(), DEVICE_SECRET).gateway()].into_iter().chain(subs).collect();
    let gateways = GatewayConfig { online: MANY, ..GatewayConfig::default() };
    let (sim, mut client) = Sim::online(Config { devices, gateways, ..config() });
    for round in 0..MANY / 100 {
        let part: Vec<_> = (1..=100).map(|n| (sub(100 * round + n), SUB_SECRET)).collect();
        assert_eq!(client.ask(&session("combine/login/batch"), batch(&part))["code"], 200);
    }
    assert_eq!(sim.cloud.sub_devices_online().len(), MANY);
    for n in 1..=MANY {
        assert_eq!(post_of(&format!("/sys/spk/s{n}/thing/measurepoint/post"), &mut client), 200);
    }
    let summary = sim.cloud.summary();
    assert!((1..=MANY).all(|n| summary.of(&sub(n)).unwrap().posts_accepted == 1));
    assert_eq!(summary.of(&gateway()).unwrap().login_batches, MANY as u64 / 100);
}
