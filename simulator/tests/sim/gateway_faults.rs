//! What a cloud or a broker may do to a gateway.

use crate::common::{gateway::*, *};
use enos_sim::{Config, Excess, FilterLimits, GatewayConfig};
use mqttbytes::{v4::SubscribeFilter, QoS};
use serde_json::{json, Value};

/// The reply to a login on the first connection, with these faults.
fn spoiled(faults: &[&str], batch_of: Option<usize>) -> Value {
    let (_sim, mut client) = Sim::online(faulty(behind(), faults));
    match batch_of {
        None => client.ask(&session("combine/login"), signed(&sub(1), SUB_SECRET)),
        Some(subs) => {
            let subs: Vec<_> = (1..=subs).map(|n| (sub(n), SUB_SECRET)).collect();
            client.ask(&session("combine/login/batch"), batch(&subs))
        }
    }
}

fn keys(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|item| item["deviceKey"].as_str().unwrap()).collect()
}

#[test]
fn replies_to_logins_are_wrong_on_demand() {
    assert_eq!(spoiled(&["login:other-device"], None)["data"]["deviceKey"], "s1-other");
    assert_eq!(spoiled(&["login:code=723"], None)["code"], 723);
    assert_eq!(spoiled(&["reply:code=5"], None)["code"], 5, "it is a reply as well");
    let data = |fault: &str| spoiled(&[fault], Some(3))["data"].clone();
    assert_eq!(keys(&data("batch:leave-out")["loginedSubDevices"]), ["s1", "s2"]);
    assert_eq!(keys(&data("batch:list-twice")["loginedSubDevices"]), ["s1", "s2", "s3", "s1"]);
    assert_eq!(keys(&data("batch:both-lists")["failedSubDevices"]), ["s1"]);
    assert_eq!(keys(&data("batch:other-device")["loginedSubDevices"]), ["s1-other", "s2", "s3"]);
}

#[test]
fn logins_get_no_reply_or_are_not_heard() {
    let (sim, mut client) = Sim::online(faulty(behind(), &["login=/2:silence", "got-login=3:silence"]));
    log_in(&mut client, 1);
    for n in [2, 3] {
        client.request(&session("combine/login"), signed(&sub(n), SUB_SECRET));
        client.ping();
    }
    assert_eq!(sim.cloud.sub_devices_online(), [(sub(1), gateway()), (sub(2), gateway())]);
    log_in(&mut client, 3);
}

#[test]
fn a_broker_with_few_filters() {
    let filters = FilterLimits { in_packet: Some(2), on_link: Some(3), ..FilterLimits::default() };
    let ask = |client: &mut Client, names: &[&str]| {
        let wanted = names.iter().map(|name| SubscribeFilter::new((*name).to_owned(), QoS::AtMostOnce));
        let mut subscribe = mqttbytes::v4::Subscribe::new_many(wanted);
        subscribe.pkid = 9;
        client.send(|out| subscribe.write(out));
    };
    let codes = |client: &mut Client, names: &[&str]| {
        ask(client, names);
        client.bytes(4 + names.len())[4..].to_vec()
    };
    let (_sim, mut client) = Sim::online(Config { filters, ..active() });
    assert_eq!(codes(&mut client, &["a", "b", "c"]), [0, 0, 0x80]);
    assert_eq!(codes(&mut client, &["c", "d"]), [0, 0x80]);
    assert_eq!(codes(&mut client, &["a"]), [0], "it is one of the three");

    let (_sim, mut client) =
        Sim::online(Config { filters: FilterLimits { excess: Excess::Close, ..filters }, ..active() });
    ask(&mut client, &["a", "b", "c"]);
    client.end();

    let filters = FilterLimits { refuse_every: Some(3), ..FilterLimits::default() };
    let (_sim, mut client) = Sim::online(Config { filters, ..active() });
    assert_eq!(codes(&mut client, &["a", "b", "c", "d"]), [0, 0, 0x80, 0]);
    assert_eq!(codes(&mut client, &["c", "c"]), [0, 0x80]);
}

#[test]
fn logins_with_qos_1_are_acknowledged_and_ignored_where_that_is_set() {
    let gateways = GatewayConfig { ignore_qos1_logins: true, ..GatewayConfig::default() };
    let (sim, mut client) = Sim::online(Config { gateways, ..behind() });
    client.subscribe(&session("combine/login_reply"), QoS::AtMostOnce);
    let body = json!({"id": "1", "method": "combine.login", "params": signed(&sub(1), SUB_SECRET)});
    client.publish(&session("combine/login"), QoS::AtLeastOnce, body.to_string());
    assert!(matches!(client.next(), mqttbytes::v4::Packet::PubAck(_)));
    client.ping();
    assert_eq!(sim.cloud.sub_devices_online(), []);
    log_in(&mut client, 1);
}

#[test]
fn a_login_on_an_old_link_is_not_carried_out() {
    let (sim, mut old) = Sim::online(faulty(behind(), &["got-login:delay=300@1"]));
    old.request(&session("combine/login"), signed(&sub(1), SUB_SECRET));
    let mut client = sim.device(DEVICE_SECRET);
    log_in(&mut client, 1);
    old.end();
    assert_eq!(post_of(SUB_POST, &mut client), 200);
}
