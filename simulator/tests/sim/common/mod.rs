//! A small MQTT client over the codec, and a cloud with a queue of its events.

pub mod gateway;
pub mod http;
pub mod program;
pub mod tls;

use bytes::BytesMut;
use enos_sim::{Cloud, Config, Device, DeviceId, Event, Record};
use hmac::{Hmac, Mac};
use mqttbytes::{
    v4::{self, Packet, Publish},
    QoS,
};
use serde_json::{json, Value};
use sha1::{Digest, Sha1};
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::mpsc::{channel, Receiver},
    time::{Duration, Instant},
};

/// Long enough for a busy machine; a passing test does not wait this long.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub const PRODUCT_SECRET: &str = "Pr0ductS3cret";
pub const DEVICE_SECRET: &str = "D3viceS3cret";
pub const POST: &str = "/sys/pk/dk/thing/measurepoint/post";

pub fn dk() -> DeviceId {
    DeviceId::new("pk", "dk")
}

/// A cloud on a free port, with one device that is not active yet.
pub fn config() -> Config {
    Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        devices: vec![Device::inactive(dk(), PRODUCT_SECRET)],
        seed: Some(7),
        ..Config::default()
    }
}

/// The same device, active.
pub fn active() -> Config {
    Config { devices: vec![Device::active(dk(), DEVICE_SECRET)], ..config() }
}

/// The same with these faults.
pub fn faulty(config: Config, faults: &[&str]) -> Config {
    Config { faults: faults.iter().map(|fault| fault.parse().unwrap()).collect(), ..config }
}

pub struct Sim {
    pub cloud: Cloud,
    events: Receiver<Record>,
}

impl Sim {
    pub fn start(config: Config) -> Sim {
        let (sender, events) = channel();
        let cloud = Cloud::start(config, move |record| drop(sender.send(record.clone()))).unwrap();
        Sim { cloud, events }
    }

    pub fn address(&self) -> SocketAddr {
        self.cloud.address()
    }

    /// The next event, as JSON.
    pub fn next(&self) -> Value {
        serde_json::to_value(self.events.recv_timeout(PATIENCE).expect("an event")).unwrap()
    }

    /// The next event of this name, as JSON; earlier events are discarded.
    pub fn wait_for(&self, name: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let mut passed = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let record = self.events.recv_timeout(left).unwrap_or_else(|_| panic!("no {name} after {passed:#?}"));
            let event = serde_json::to_value(&record).unwrap();
            if event["event"] == name {
                return event;
            }
            passed.push(event);
        }
    }

    /// Waits until a task is in this state.
    pub fn wait_for_task(&self, task: u64, state: &str) -> Value {
        let mut events = std::iter::repeat_with(|| self.wait_for("upgrade"));
        events.find(|event| event["task"] == task && event["state"] == state).unwrap()
    }

    /// Stops the cloud, and returns the rest of its events.
    pub fn stop(self) -> Vec<Record> {
        self.cloud.stop();
        self.events.iter().collect()
    }

    /// The same, and a logged-in device.
    pub fn online(config: Config) -> (Sim, Client) {
        let sim = Sim::start(config);
        let client = sim.device(DEVICE_SECRET);
        (sim, client)
    }

    /// A device that is logged in with `secret`.
    pub fn device(&self, secret: &str) -> Client {
        self.log_in(&Login::device(secret))
    }

    /// A device that is logged in for its activation.
    pub fn product(&self) -> Client {
        self.log_in(&Login::product())
    }

    pub fn log_in(&self, login: &Login) -> Client {
        let mut client = Client::open(self.address());
        assert_eq!(client.login(login), 0);
        client
    }

    /// The code with which such a login is answered.
    pub fn answer(&self, login: &Login) -> u8 {
        Client::open(self.address()).login(login)
    }
}

pub fn count(records: &[Record], is: impl Fn(&Event) -> bool) -> usize {
    records.iter().filter(|record| is(&record.event)).count()
}

pub fn sha1_plain(content: &str, secret: &str) -> String {
    hex::encode_upper(Sha1::digest(format!("{content}{secret}")))
}

pub fn sha256_plain(content: &str, secret: &str) -> String {
    hex::encode_upper(sha2::Sha256::digest(format!("{content}{secret}")))
}

pub fn md5_plain(content: &str, secret: &str) -> String {
    hex::encode_upper(md5::Md5::digest(format!("{content}{secret}")))
}

pub fn hmac_sha1(content: &str, secret: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{content}{secret}").as_bytes());
    hex::encode_upper(mac.finalize().into_bytes())
}

/// The login of a device.
#[derive(Clone)]
pub struct Login {
    pub id: DeviceId,
    pub client_id: String,
    pub secure_mode: u8,
    pub label: &'static str,
    pub timestamp: String,
    pub secret: String,
    pub digest: fn(&str, &str) -> String,
    pub keep_alive: u16,
}

impl Login {
    pub fn device(secret: &str) -> Login {
        Login {
            id: dk(),
            client_id: "dk".into(),
            secure_mode: 2,
            label: "hmacsha1",
            timestamp: "1700000000000".into(),
            secret: secret.into(),
            digest: hmac_sha1,
            keep_alive: 60,
        }
    }

    /// The encoded CONNECT.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = BytesMut::new();
        self.connect().write(&mut out).unwrap();
        out.to_vec()
    }

    pub fn product() -> Login {
        Login { secure_mode: 3, ..Login::device(PRODUCT_SECRET) }
    }

    pub fn connect(&self) -> v4::Connect {
        let DeviceId { product_key, device_key } = &self.id;
        let content = format!(
            "clientId{}deviceKey{device_key}productKey{product_key}timestamp{}",
            self.client_id, self.timestamp
        );
        let mut connect = v4::Connect::new(format!(
            "{}|securemode={},signmethod={},timestamp={}|",
            self.client_id, self.secure_mode, self.label, self.timestamp
        ));
        connect.keep_alive = self.keep_alive;
        connect.set_login(format!("{device_key}&{product_key}"), (self.digest)(&content, &self.secret));
        connect
    }
}

pub struct Client<S = TcpStream> {
    pub stream: S,
    pub buffer: BytesMut,
    packet_id: u16,
}

/// A TCP connection whose reads time out.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

impl Client {
    pub fn open(address: SocketAddr) -> Client {
        Client::over(connect(address))
    }
}

impl<S: Read + Write> Client<S> {
    pub fn over(stream: S) -> Client<S> {
        Client { stream, buffer: BytesMut::new(), packet_id: 0 }
    }

    /// Reads more bytes; 0 is the end.
    fn more(&mut self) -> io::Result<usize> {
        let mut chunk = [0; 4096];
        let n = loop {
            match self.stream.read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.buffer.extend_from_slice(&chunk[..n]);
        Ok(n)
    }

    /// The next packet, or the error kind with which the link ended.
    pub fn try_next(&mut self) -> Result<Packet, io::ErrorKind> {
        loop {
            match v4::read(&mut self.buffer, 64 << 20) {
                Ok(packet) => return Ok(packet),
                Err(mqttbytes::Error::InsufficientBytes(_)) => match self.more() {
                    Ok(0) => return Err(io::ErrorKind::UnexpectedEof),
                    Ok(_) => {}
                    Err(error) => return Err(error.kind()),
                },
                Err(_) => return Err(io::ErrorKind::InvalidData),
            }
        }
    }

    pub fn next(&mut self) -> Packet {
        self.try_next().unwrap()
    }

    /// Exactly so many raw bytes.
    pub fn bytes(&mut self, n: usize) -> Vec<u8> {
        while self.buffer.len() < n {
            assert_ne!(self.more().unwrap(), 0, "the link ended after {:02x?}", &self.buffer[..]);
        }
        self.buffer.split_to(n).to_vec()
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub fn send(&mut self, write: impl FnOnce(&mut BytesMut) -> Result<usize, mqttbytes::Error>) {
        let mut out = BytesMut::new();
        write(&mut out).unwrap();
        self.write(&out);
    }

    /// The code of the CONNACK.
    pub fn login(&mut self, login: &Login) -> u8 {
        self.send(|out| login.connect().write(out));
        self.connack()
    }

    pub fn connack(&mut self) -> u8 {
        let bytes = self.bytes(4);
        assert_eq!(bytes[..3], [0x20, 2, 0]);
        bytes[3]
    }

    /// The return code of the SUBACK.
    pub fn subscribe(&mut self, filter: &str, qos: QoS) -> u8 {
        let mut subscribe = v4::Subscribe::new(filter, qos);
        self.packet_id += 1;
        subscribe.pkid = self.packet_id;
        self.send(|out| subscribe.write(out));
        let bytes = self.bytes(5);
        let [high, low] = self.packet_id.to_be_bytes();
        assert_eq!(bytes[..4], [0x90, 3, high, low]);
        bytes[4]
    }

    /// Subscribes to the answer, and sends a request; returns the answer. Any other packet before it is a mistake.
    pub fn ask(&mut self, topic: &str, params: Value) -> Value {
        let reply = format!("{topic}_reply");
        assert!(self.subscribe(&reply, QoS::AtMostOnce) < 2);
        self.request(topic, params);
        let (answered, body) = self.next_json();
        assert_eq!(answered, reply);
        body
    }

    /// Sends a request with QoS 0.
    pub fn request(&mut self, topic: &str, params: Value) {
        let suffix = topic.trim_start_matches("/ext/session").trim_start_matches("/sys").splitn(4, '/').nth(3);
        let method = suffix.unwrap().replace('/', ".");
        let body = json!({"id": "7", "version": "1.0", "method": method, "params": params});
        self.publish(topic, QoS::AtMostOnce, body.to_string());
    }

    pub fn publish(&mut self, topic: &str, qos: QoS, payload: impl Into<Vec<u8>>) {
        let mut publish = Publish::new(topic, qos, payload);
        if qos != QoS::AtMostOnce {
            self.packet_id += 1;
            publish.pkid = self.packet_id;
        }
        self.send(|out| publish.write(out));
    }

    pub fn post(&mut self, id: &str) {
        self.publish(POST, QoS::AtMostOnce, post(id));
    }

    pub fn next_publish(&mut self) -> Publish {
        match self.next() {
            Packet::Publish(publish) => publish,
            other => panic!("no PUBLISH but {other:?}"),
        }
    }

    /// The next publication's topic and JSON.
    pub fn next_json(&mut self) -> (String, Value) {
        let publish = self.next_publish();
        (publish.topic, serde_json::from_slice(&publish.payload).unwrap())
    }

    /// Sends a PINGREQ and waits for its PINGRESP: all earlier packets have been processed then.
    pub fn ping(&mut self) {
        self.send(|out| v4::PingReq.write(out));
        assert_eq!(self.next(), Packet::PingResp);
    }

    /// Waits for the end of the link; there must be no further packet.
    pub fn end(&mut self) -> io::ErrorKind {
        match self.try_next() {
            Ok(packet) => panic!("not the end, but {packet:?}"),
            Err(kind) => kind,
        }
    }
}

pub fn post(id: &str) -> String {
    let params = json!({"measurepoints": {"temperature": 21.5}, "time": 1700000000000u64});
    json!({"id": id, "version": "1.0", "method": "thing.measurepoint.post", "params": params}).to_string()
}
