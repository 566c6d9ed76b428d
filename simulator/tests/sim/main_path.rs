//! The normal life of a device: activation, login, posts, commands.

use crate::common::*;
use enos_sim::{Activation, Completed, Config, Event, HmacSha1, SecondLogin, Spelling};
use mqttbytes::{v4::Packet, QoS};
use serde_json::{json, Value};

/// Logs in with the product secret, and returns the device secret that is pushed.
fn activate(sim: &Sim) -> (Client, String, Value) {
    let mut client = sim.product();
    let (topic, body) = client.next_json();
    let secret = body["params"]["deviceSecret"].as_str().unwrap().to_owned();
    (client, secret, json!({"topic": topic, "body": body}))
}

#[test]
fn a_device_is_activated_and_posts() {
    let sim = Sim::start(config());
    let (mut client, secret, push) = activate(&sim);
    assert_eq!(push["topic"], "/ext/session/pk/dk/thing/activate/info");
    assert_eq!(push["body"]["method"], "thing.activate.info");
    assert_eq!(push["body"]["params"]["productKey"], "pk");
    assert_eq!(push["body"]["params"]["deviceKey"], "dk");
    assert_eq!(push["body"]["params"]["assetId"], "asset-dk");
    let reply = json!({"id": push["body"]["id"], "code": 200}).to_string();
    client.publish("/ext/session/pk/dk/thing/activate/info_reply", QoS::AtMostOnce, reply);
    assert_eq!(sim.wait_for("activation_reply")["code"], 200);
    assert!(!sim.cloud.device(&dk()).unwrap().active, "not before the first device login");

    let mut client = sim.device(&secret);
    sim.wait_for("activated");
    assert_eq!(client.subscribe(&format!("{POST}_reply"), QoS::AtLeastOnce), 1);
    client.publish(POST, QoS::AtLeastOnce, post("41"));
    assert!(matches!(client.next(), Packet::PubAck(ack) if ack.pkid == 2));
    assert_eq!(client.next_json(), (format!("{POST}_reply"), json!({"id": "41", "code": 200, "data": {}})));

    let mut late = Client::open(sim.address());
    assert_eq!(late.login(&Login::product()), 5, "product-secret logins have ended");
    late.end();
    let summary = sim.cloud.summary();
    assert_eq!((summary.connects, summary.connacks[&0], summary.connacks[&5]), (3, 2, 1));
    assert!(summary.devices[0].active && summary.devices[0].online);
    assert_eq!(summary.devices[0].counts.posts_accepted, 1);
    let printed: String = sim.stop().iter().map(|r| format!("{r}{}", serde_json::to_string(r).unwrap())).collect();
    assert!(!printed.contains(&secret) && !printed.contains(PRODUCT_SECRET));
}

#[test]
fn the_other_spelling_with_qos_1() {
    let activation = Activation { spelling: Spelling::Activated, ..Activation::default() };
    let sim = Sim::start(Config { activation, push_qos: 1, ..config() });
    let mut client = sim.product();
    let push = client.next_publish();
    assert_eq!((push.topic.as_str(), push.qos), ("/ext/session/pk/dk/thing/activated/info", QoS::AtLeastOnce));
    client.send(|out| mqttbytes::v4::PubAck::new(push.pkid).write(out));
    assert_eq!(sim.wait_for("puback_received")["packet_id"], push.pkid);
}

#[test]
fn a_second_product_login_gets_the_same_secret_or_a_new_one() {
    let sim = Sim::start(config());
    let (first, second) = (activate(&sim).1, activate(&sim).1);
    assert_eq!(first, second);

    let activation = Activation { second_login: SecondLogin::NewSecret, ..Activation::default() };
    let sim = Sim::start(Config { activation, ..config() });
    let (first, second) = (activate(&sim).1, activate(&sim).1);
    assert_ne!(first, second);
    assert_eq!(sim.answer(&Login::device(&first)), 4, "the old one is void");
    sim.device(&second);
}

#[test]
fn a_push_can_complete_the_activation() {
    let activation = Activation { completed: Completed::Push, ..Activation::default() };
    let sim = Sim::start(Config { activation, ..config() });
    let secret = activate(&sim).1;
    assert_eq!(sim.answer(&Login::product()), 5);
    sim.device(&secret);
}

#[test]
fn all_signatures_of_real_sdks_are_accepted() {
    let sim = Sim::start(active());
    let good = Login::device(DEVICE_SECRET);
    let lower: fn(&str, &str) -> String = |content, secret| sha256_plain(content, secret).to_lowercase();
    for login in [
        good.clone(),
        Login { digest: sha1_plain, ..good.clone() },
        Login { digest: sha1_plain, label: "sha1", ..good.clone() },
        Login { digest: sha256_plain, label: "sha256", ..good.clone() },
        Login { digest: lower, label: "hmacsha256", timestamp: "1700000000000.123".into(), ..good.clone() },
        Login { digest: md5_plain, label: "hmacmd5", timestamp: "1700000000".into(), ..good.clone() },
        Login { client_id: format!("dk{{ip={}}}", "1".repeat(90)), ..good.clone() },
        Login { client_id: "pk.dk".into(), ..good.clone() },
    ] {
        assert_eq!(sim.answer(&login), 0, "{} {}", login.label, login.client_id);
    }
}

#[test]
fn the_meaning_of_hmacsha1_is_a_setting() {
    let outcomes = |hmacsha1| {
        let sim = Sim::start(Config { hmacsha1, ..active() });
        [hmac_sha1, sha1_plain].map(|digest| sim.answer(&Login { digest, ..Login::device(DEVICE_SECRET) }))
    };
    assert_eq!(outcomes(HmacSha1::Hmac), [0, 4]);
    assert_eq!(outcomes(HmacSha1::Plain), [4, 0]);
    assert_eq!(outcomes(HmacSha1::Either), [0, 0]);
}

#[test]
fn refusals_say_why() {
    let sim = Sim::start(active());
    let good = Login::device(DEVICE_SECRET);
    for (login, code, reason) in [
        (Login { secret: "wrong".into(), ..good.clone() }, 4, "wrong secret"),
        (Login { id: enos_sim::DeviceId::new("pk", "nobody"), ..good.clone() }, 5, "not registered"),
        (Login { secure_mode: 4, ..good.clone() }, 4, "securemode=4"),
        (Login { label: "crc32", ..good.clone() }, 4, "signmethod=crc32"),
        (Login { digest: |_, _| String::new(), ..good.clone() }, 4, "no password"),
        (Login { client_id: "".into(), ..good.clone() }, 4, "nothing before"),
        (Login { secure_mode: 3, ..good.clone() }, 5, "active"),
    ] {
        let mut client = Client::open(sim.address());
        assert_eq!(client.login(&login), code);
        client.end();
        let connack = sim.wait_for("connack");
        assert!(connack["reason"].as_str().unwrap().contains(reason), "{connack}");
    }
    let mut disabled = sim.cloud.device(&dk()).unwrap();
    disabled.enabled = false;
    sim.cloud.put_device(disabled).unwrap();
    assert_eq!(sim.answer(&good), 5);
    assert!(sim.cloud.remove_device(&dk()).unwrap());
    assert_eq!(sim.answer(&good), 5);

    let sim = Sim::start(Config { refusal_code: Some(5), md5: false, ..active() });
    assert_eq!(sim.answer(&Login { digest: md5_plain, label: "md5", ..good }), 5);
}

#[test]
fn replies_need_a_subscription_and_check_the_post() {
    let (sim, mut client) = Sim::online(active());
    client.post("1");
    assert_eq!(sim.wait_for("reply")["sent"], false);
    client.ping();
    client.subscribe("/sys/+/+/thing/measurepoint/post_reply", QoS::AtMostOnce);
    let other = POST.replace("/dk/", "/other/");
    for (topic, payload, code) in [
        (POST, post("2"), 200),
        (POST, String::new(), 1251),
        (POST, "{".into(), 1220),
        (POST, post("3").replace("point.post", "point.put"), 1260),
        (other.as_str(), post("4"), 1009),
        (POST, post("5").replace("21.5", &format!("\"{}\"", "x".repeat(512 * 1024))), 1008),
    ] {
        client.publish(topic, QoS::AtMostOnce, payload);
        let (reply_topic, body) = client.next_json();
        assert_eq!((reply_topic, &body["code"]), (format!("{topic}_reply"), &json!(code)));
    }
    let counts = sim.cloud.summary().devices[0].counts.clone();
    assert_eq!((counts.posts_accepted, counts.posts_refused), (2, 5));
}

#[test]
fn subscriptions_are_granted_routed_and_refused() {
    let refused_filters = vec!["/secret/#".into()];
    let (sim, mut client) = Sim::online(Config { refused_filters, ..active() });
    assert_eq!(client.subscribe("/free/+/x", QoS::AtMostOnce), 0);
    assert_eq!(client.subscribe("/free/#", QoS::ExactlyOnce), 1, "EnOS knows no QoS 2");
    assert_eq!(client.subscribe("/secret/a", QoS::AtMostOnce), 0x80);
    assert_eq!(client.subscribe("/a/#/b", QoS::AtMostOnce), 0x80);
    client.publish("/free/a/x", QoS::AtMostOnce, "hello");
    assert_eq!(client.next_publish().payload, "hello");
    sim.cloud.publish("/free/b", b"world", 1);
    let publish = client.next_publish();
    assert_eq!((publish.payload.as_ref(), publish.qos), (&b"world"[..], QoS::AtLeastOnce));
    let mut unsubscribe = mqttbytes::v4::Unsubscribe::new("/free/#");
    unsubscribe.pkid = 9;
    client.send(|out| unsubscribe.write(out));
    assert_eq!(client.bytes(4), [0xb0, 2, 0, 9]);
    sim.cloud.publish("/free/b", b"missed", 0);
    client.ping();
}

#[test]
fn a_session_for_activation_takes_no_commands_and_no_posts() {
    let sim = Sim::start(config());
    let mut client = activate(&sim).0;
    assert!(sim.cloud.command(&dk(), "thing/service/x", json!({})).is_err());
    client.post("1");
    assert_eq!(sim.wait_for("reply")["code"], 1009);
}

#[test]
fn a_new_login_replaces_the_old_one() {
    let sim = Sim::start(active());
    let mut old = sim.device(DEVICE_SECRET);
    let mut new = sim.device(DEVICE_SECRET);
    old.end();
    new.ping();
    assert_eq!(sim.cloud.online(), [dk()]);
    sim.cloud.kick(&dk()).unwrap();
    new.end();
}

#[test]
fn silence_beyond_the_keepalive_ends_the_link() {
    let sim = Sim::start(active());
    let mut client = Client::open(sim.address());
    assert_eq!(client.login(&Login { keep_alive: 1, ..Login::device(DEVICE_SECRET) }), 0);
    client.end();
    assert!(sim.wait_for("closed")["reason"].as_str().unwrap().contains("keepalive"));
}

#[test]
fn the_end_of_the_cloud_is_orderly() {
    let (sim, mut client) = Sim::online(active());
    let records = sim.stop();
    client.end();
    assert_eq!(count(&records, |event| matches!(event, Event::Closed { .. })), 1);
}
