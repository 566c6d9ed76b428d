//! Hostile clients: the cloud does not crash or grow, and serves the others.

use crate::common::*;
use enos_sim::{Config, Device, DeviceId, Limits, Product};
use mqttbytes::{
    v4::{Connect, LastWill, Packet},
    QoS,
};
use std::{
    io::{ErrorKind, Read, Write},
    time::Duration,
};

fn assert_sound(sim: &Sim) {
    sim.device(DEVICE_SECRET).ping();
}

/// Sends bytes and waits for the link to end.
fn throw(sim: &Sim, bytes: &[u8]) {
    let mut stream = connect(sim.address());
    // The cloud may close before everything is written.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let end = stream.read_to_end(&mut Vec::new());
    assert!(!matches!(end, Err(error) if error.kind() == ErrorKind::WouldBlock), "{bytes:02x?} keeps the link");
}

fn login_bytes() -> Vec<u8> {
    Login::device(DEVICE_SECRET).bytes()
}

#[test]
fn garbage_before_and_after_a_login() {
    let sim = Sim::start(active());
    let mut random = fastrand::Rng::with_seed(1);
    for round in 0..400 {
        let mut bytes = if round % 2 == 0 { Vec::new() } else { login_bytes() };
        let packet = bytes.len();
        bytes.extend((0..random.usize(1..80)).map(|_| random.u8(..)));
        if round % 4 > 1 {
            // A valid frame around invalid content.
            bytes[packet] = random.u8(1..15) << 4 | random.u8(..16);
            let rest = bytes.len() - packet;
            if rest >= 2 {
                bytes[packet + 1] = (rest - 2) as u8;
            }
        }
        throw(&sim, &bytes);
    }
    assert_sound(&sim);
}

#[test]
fn a_login_with_a_byte_changed() {
    let sim = Sim::start(active());
    let (login, mut random) = (login_bytes(), fastrand::Rng::with_seed(2));
    for place in 0..login.len() {
        let mut bytes = login.clone();
        bytes[place] ^= 1 << random.u8(..8);
        throw(&sim, &bytes);
    }
    assert_sound(&sim);
}

#[test]
fn packets_of_a_broker_and_packets_that_enos_refuses() {
    let sim = Sim::start(active());
    let packets: [&[u8]; 10] = [
        &[0x20, 2, 0, 0],
        &[0x90, 3, 0, 1, 0],
        &[0xb0, 2, 0, 1],
        &[0xd0, 0],
        &[0x50, 2, 0, 1],
        &[0x34, 6, 0, 1, b'a', 0, 1, b'x'],
        &[0x30, 3, 0, 1, b'#'],
        &[0x30, 2, 0, 0],
        &[0x30, 3, 0, 1, 0],
        &[0xf0, 0],
    ];
    for packet in packets {
        let mut client = sim.device(DEVICE_SECRET);
        client.write(packet);
        client.end();
    }
    let mut client = sim.device(DEVICE_SECRET);
    client.write(&login_bytes());
    client.end();
    let mut client = Client::open(sim.address());
    client.write(&[0xc0, 0]);
    client.end();
    assert!(sim.wait_for("closed")["reason"].is_string());
}

#[test]
fn other_protocols_are_told_so() {
    let sim = Sim::start(active());
    for connect in [&b"\x10\x0c\0\x04MQTT\x05\x02\0\x3c\0\0"[..], b"\x10\x0e\0\x06MQIsdp\x03\x02\0\x3c\0\0"] {
        let mut client = Client::open(sim.address());
        client.write(connect);
        assert_eq!(client.connack(), 1);
        client.end();
    }
}

#[test]
fn large_packets_are_limited() {
    let (sim, mut client) = Sim::online(active());
    // A header that announces 256 MB.
    client.write(&[0x30, 0xff, 0xff, 0xff, 0x7f]);
    client.end();
    let mut client = Client::open(sim.address());
    client.write(&[0x10, 0xff, 0xff, 0xff, 0xff, 0x01]);
    client.end();
    // The largest valid CONNECT: names and will of 64 KB.
    let mut connect = Connect::new("c".repeat(65_535));
    connect.last_will = Some(LastWill::new("w".repeat(65_535), vec![0; 65_535], QoS::AtMostOnce, false));
    connect.set_login(format!("{}&pk", "d".repeat(60_000)), "p".repeat(65_535));
    let mut client = Client::open(sim.address());
    client.send(|out| connect.write(out));
    assert_eq!(client.connack(), 4);
    assert_sound(&sim);
}

#[test]
fn deep_json_and_topics_of_any_characters() {
    let (sim, mut client) = Sim::online(active());
    client.subscribe("#", QoS::AtMostOnce);
    client.subscribe("é/+", QoS::AtMostOnce);
    // A subscriber to all topics gets its own device's topics and free topics, but not those of other devices.
    for (topic, comes_back) in [
        ("é", true),
        ("$x", false),
        ("/sys/é/\u{10ffff}/", false),
        ("/sys//", true),
        ("/ext/session///", false),
        ("\u{1b}[2J", true),
    ] {
        client.publish(topic, QoS::AtMostOnce, vec![0xff; 10]);
        assert_eq!(sim.wait_for("publish")["payload_hex"], "ff".repeat(10));
        if comes_back {
            assert_eq!(client.next_publish().topic, topic);
        }
    }
    client.publish(POST, QoS::AtMostOnce, "[".repeat(400_000));
    assert_eq!(sim.wait_for("reply")["code"], 1220);
    let records = sim.stop();
    assert!(records.iter().all(|record| !record.to_string().contains('\u{1b}')));
}

#[test]
fn what_a_fault_holds_back_is_limited() {
    let (_sim, mut client) = Sim::online(faulty(active(), &["pingresp:delay=600000"]));
    client.write(&[0xc0, 0].repeat(2000));
    client.end();
}

#[test]
fn keys_are_limited() {
    let products = vec![Product { product_key: "pk".into(), product_secret: PRODUCT_SECRET.into() }];
    let sim = Sim::start(Config { products, ..config() });
    let id = DeviceId::new("pk", "d".repeat(257));
    assert_eq!(sim.answer(&Login { id, ..Login::product() }), 4);
}

#[test]
fn subscriptions_are_limited() {
    let limits = Limits { subscriptions: 3, ..Limits::default() };
    let (_sim, mut client) = Sim::online(Config { limits, ..active() });
    let codes = ["a", "b", "c", "d", "c"].map(|filter| client.subscribe(filter, QoS::AtMostOnce));
    assert_eq!(codes, [0, 0, 0, 0x80, 0]);
}

#[test]
fn connections_are_limited_and_released() {
    let limits = Limits { connections: 5, ..Limits::default() };
    let sim = Sim::start(Config { limits, devices: many(5), ..config() });
    let mut held: Vec<_> = (0..5).map(|n| held_open(&sim, n)).collect();
    let mut more = Client::open(sim.address());
    more.end();
    held.truncate(4);
    let deadline = std::time::Instant::now() + PATIENCE;
    while try_login(&sim).is_err() {
        assert!(std::time::Instant::now() < deadline, "a place does not come free");
    }
}

/// A connection that is logged in as a device of its own.
fn held_open(sim: &Sim, n: usize) -> Client {
    let id = DeviceId::new("pk", format!("d{n}"));
    sim.log_in(&Login { id, ..Login::device(DEVICE_SECRET) })
}

fn try_login(sim: &Sim) -> Result<Packet, ErrorKind> {
    let mut client = Client::open(sim.address());
    // The cloud may close before this is written.
    let _ = client.stream.write_all(&login_bytes());
    client.try_next()
}

/// Active devices from `pk/d0` on.
fn many(n: usize) -> Vec<Device> {
    (0..n).map(|n| Device::active(DeviceId::new("pk", format!("d{n}")), DEVICE_SECRET)).collect()
}

#[test]
fn product_logins_register_no_more_than_the_limit() {
    let limits = Limits { devices: 2, ..Limits::default() };
    let products = vec![Product { product_key: "pk".into(), product_secret: PRODUCT_SECRET.into() }];
    let sim = Sim::start(Config { limits, products, devices: vec![], ..config() });
    let outcomes = ["a", "b", "c", "a"].map(|device_key| {
        let id = DeviceId::new("pk", device_key);
        sim.answer(&Login { id, ..Login::product() })
    });
    assert_eq!(outcomes, [0, 0, 5, 0]);
    // The registered devices work like any other.
    let id = DeviceId::new("pk", "b");
    let secret = sim.cloud.device(&id).unwrap().device_secret.unwrap().expose().to_owned();
    assert_eq!(sim.answer(&Login { id, ..Login::device(&secret) }), 0);
}

#[test]
fn silent_clients_are_closed() {
    let limits = Limits { connect_wait: Duration::from_millis(50), ..Limits::default() };
    let sim = Sim::start(Config { limits, ..active() });
    let mut silent = Client::open(sim.address());
    silent.end();
    let mut half = Client::open(sim.address());
    half.write(&login_bytes()[..10]);
    half.end();
}

#[test]
fn clients_that_do_not_read_are_closed() {
    let limits = Limits { write_wait: Duration::from_millis(100), ..Limits::default() };
    let (sim, mut client) = Sim::online(Config { limits, ..active() });
    client.subscribe("#", QoS::AtMostOnce);
    client.stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let mut publish = bytes::BytesMut::new();
    mqttbytes::v4::Publish::new("a", QoS::AtMostOnce, vec![0; 500_000]).write(&mut publish).unwrap();
    // Each publication is returned, until the buffers between the two are full.
    let failed = (0..1000).any(|_| client.stream.write_all(&publish).is_err());
    assert!(failed, "500 MB were taken from a client that does not read");
    assert_sound(&sim);
}

#[test]
fn hundreds_at_once() {
    let sim = Sim::start(Config { devices: many(300), ..config() });
    let mut clients: Vec<_> = (0..300).map(|n| held_open(&sim, n)).collect();
    assert_eq!(sim.cloud.online().len(), 300);
    clients.iter_mut().for_each(Client::ping);
}
