//! A whole client, through the C ABI, with a broker, a storage and a firmware that do what the input says.
//!
//! Everything runs in one thread, and nothing blocks: a step ends when there is nothing left to do. Checks: calls
//! return only documented statuses, each accepted call has one outcome, all texts are printable, received messages are
//! within the limits, and in the end the client goes offline and can be destroyed.

use crate::input::Input;
use crate::oracle::{check_log, check_words, listen};
use crate::stored;
use crate::wire::Wires;
use enos::internals::error::Status::{self, *};
use enos::internals::protocol::Operation;
use openssl::ssl::SslContext;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use support::broker::*;
use support::host::*;
use support::tls::{server_context, Pki};

const MAX_MESSAGE: usize = 1024;
/// Tokens of durable messages begin here.
const DURABLE_TOKENS: u64 = 1 << 62;
/// The most steps of one input.
const STEPS: usize = 64;

const TOPICS: [&str; 7] = [
    "/sys/pk/dk/thing/measurepoint/post_reply",
    "/sys/pk/dk/thing/service/measurepoint/set",
    "/ext/session/pk/dk/thing/activate/info",
    "/ext/session/pk/dk/thing/activated/info",
    "/sys/pk/dk/rrpc/request/1",
    "/ext/session/pk/other/thing/activate/info",
    "a/b",
];
const FILTERS: [&str; 4] = ["a/+", "#", "/sys/pk/dk/thing/service/#", "a/b"];
const PAYLOADS: [&str; 5] = [
    r#"{"id":"1","version":"1.0","method":"thing.activate.info","params":{"assetId":"a1","productKey":"pk","deviceKey":"dk","deviceSecret":"new-s3cret"}}"#,
    r#"{"id":"7","version":"1.0","method":"thing.service.measurepoint.set","params":{"p1":30.5}}"#,
    r#"{"id":"1","code":200,"data":{}}"#,
    r#"{"id":null,"code":1006,"message":"not JSON"}"#,
    "",
];
const PARAMS: &str = r#"{"measurepoints":{"p1":1.5},"time":1700000000000}"#;

pub fn tcp(bytes: &[u8]) {
    run(Input::new(bytes), Wires::bind(None), |wires| Setup::at(wires.address()), BTreeMap::new());
}

pub fn tls(bytes: &[u8]) {
    static SECURE: OnceLock<(Pki, SslContext)> = OnceLock::new();
    let (pki, context) = SECURE.get_or_init(|| {
        let pki = Pki::new();
        let context = server_context(&pki.server(), |_| ());
        (pki, context)
    });
    let to = |wires: &Wires| Setup::to(&format!("ssl://{}", wires.address())).tls(Some(&pki.ca()), None);
    run(Input::new(bytes), Wires::bind(Some(context.clone())), to, BTreeMap::new());
}

pub fn storage(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let records = stored::records(&mut input);
    run(input, Wires::bind(None), |wires| Setup::at(wires.address()), records);
}

fn run(mut input: Input, wires: Wires, to: impl FnOnce(&Wires) -> Setup, records: BTreeMap<String, Vec<u8>>) {
    listen();
    let flags = input.byte();
    let is = |bit: u8| flags & 1 << bit != 0;
    let store = Store::with(records);
    let mut setup = to(&wires);
    if is(0) {
        setup = setup.product_secret(PRODUCT_SECRET).storage(&store);
    } else {
        setup = setup.device_secret(DEVICE_SECRET);
        if is(1) {
            setup = setup.storage(&store);
        }
    }
    if is(2) {
        setup = setup.inflight(2).queue_limits(3, MAX_MESSAGE).outbox_limits(3, 4096, i32::from(is(3)));
    }
    if is(4) {
        setup = setup.sign_method(3);
    }
    let host = setup.max_message(MAX_MESSAGE).create();
    let mut run = Run { host, wires, store, tokens: Vec::new(), outcomes: BTreeMap::new(), is_online: false };
    run.host.connect();
    run.settle();
    if is(5) {
        run.oblige(0);
    }
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        run.step(&mut input);
        run.hear();
    }
    run.end();
}

/// The client, without a moment to go offline.
pub fn settle(host: &Host, wires: &mut Wires) {
    for _ in 0..500 {
        if !wires.work() && !host.readable(0) {
            return;
        }
        assert_eq!(host.run_loop(0), ENOS_OK, "{}", last_error());
    }
}

struct Run {
    host: Host,
    wires: Wires,
    store: Store,
    /// Accepted calls, which end with the link at the latest.
    tokens: Vec<u64>,
    outcomes: BTreeMap<u64, Told>,
    is_online: bool,
}

impl Run {
    fn settle(&mut self) {
        settle(&self.host, &mut self.wires);
        self.hear();
    }

    /// Takes the events, and checks each.
    fn hear(&mut self) {
        check_log();
        assert!(self.host.state() >= 0 && self.host.fd() >= 0);
        while let Some(told) = self.host.take() {
            check_words(&told.detail);
            assert_ne!(told.status, ENOS_ERR_PANIC, "{told:?}");
            match told.name.as_str() {
                "CONNECTED" => assert!(!std::mem::replace(&mut self.is_online, true), "connected twice: {told:?}"),
                "DISCONNECTED" => self.is_online = self.host.state() == ONLINE,
                "MESSAGE" => assert!(told.payload.len() <= MAX_MESSAGE, "{told:?}"),
                _ => {}
            }
            let token = told.token;
            if token != 0 && self.tokens.contains(&token) || token >= DURABLE_TOKENS && is_end(&told) {
                if let Some(first) = self.outcomes.insert(token, told) {
                    panic!("a second outcome of {first:?}: {:?}", self.outcomes[&token]);
                }
            }
        }
    }

    fn step(&mut self, input: &mut Input) {
        match input.byte() % 24 {
            // The broker.
            0 => self.wires.send(input.chunk()),
            1 => self.wires.send_raw(input.chunk()),
            2 => self.wires.send(&packet(input.byte(), input.chunk())),
            3 => {
                let id = input.byte();
                let topic = topic(input);
                self.wires.send(&publish(topic, payload(input), (id != 0).then_some(id.into())));
            }
            4 => return self.oblige(0),
            5 => return self.oblige(input.byte()),
            6 => return self.answer_as_cloud(input),
            7 => self.wires.close(),
            8 => self.wires.reset(),
            9 => {
                self.wires.work();
                self.wires.packet();
            }
            // The firmware.
            10 => {
                let (topic, flags) = (text(topic(input)), input.byte());
                let qos = i32::from(flags & 1);
                let accepted = match flags & 2 {
                    0 => self.host.publish(&topic, payload(input), qos),
                    _ => self.host.publish_durable(&topic, payload(input)),
                };
                self.accepted(accepted);
            }
            11 => {
                let flags = [0, DURABLE, DURABLE | UNTIL_REPLY, DURABLE | UNTIL_REPLY | RESUME];
                let accepted = self.host.post_flags(PARAMS, input.one_of(&flags));
                self.accepted(accepted);
            }
            12 => {
                let params = text(input.chunk());
                let accepted = self.host.post_flags(&params, input.one_of(&[0, DURABLE]));
                // Params that the cloud could not read are not accepted.
                assert!(accepted.is_err() || serde_json::from_str::<Value>(&params).is_ok(), "{params}");
                self.accepted(accepted);
            }
            13 => {
                let filter = match input.byte() {
                    0 => text(input.chunk()),
                    n => FILTERS[usize::from(n) % FILTERS.len()].to_owned(),
                };
                // A subscription has no end.
                fine(self.host.subscribe(&filter, 1).map(drop));
            }
            14 => {
                let accepted = self.host.unsubscribe(input.one_of(&FILTERS));
                self.accepted(accepted);
            }
            15 => drop(self.host.stats()),
            16 if input.byte() % 4 > 1 => {
                let operation = i32::from(input.byte() % 100);
                let flags = u32::from(input.byte()) | u32::from(input.byte() & 3) << 8;
                let name = text(input.chunk());
                let (name, params) = (Some(&*name).filter(|name| !name.is_empty()), Some(input.chunk()));
                let ask = Ask { flags, name, params, ..Ask::of(Operation::ENOS_OP_OTHER) };
                let accepted = self.host.request(&Ask { operation, ..ask });
                self.accepted(accepted);
            }
            16 => {
                let message = Durable { topic: None, payload: PARAMS.as_bytes(), flags: UNTIL_REPLY };
                let other = Durable { topic: Some("a/b"), payload: input.chunk(), flags: 0 };
                fine(self.host.publish_batch(&[message, other][..usize::from(input.byte() % 2) + 1]).map(drop));
            }
            17 => self.host.connect(),
            18 => self.host.disconnect(),
            19 => match input.byte() % 4 {
                0 => fine(into(self.host.activation_saved())),
                1 => {
                    let status = self.host.flush(0);
                    // Or why only a long wait is left.
                    let waits = [ENOS_ERR_CREDENTIALS, ENOS_ERR_ACTIVATION_REFUSED, ENOS_ERR_ACTIVATION_TIMEOUT];
                    let lost = [ENOS_ERR_NETWORK, ENOS_ERR_TLS, ENOS_ERR_PROTOCOL, ENOS_ERR_CONFLICT];
                    if !waits.contains(&status) && !lost.contains(&status) {
                        fine(into(status));
                    }
                }
                2 => fine(self.host.outbox_info().map(drop)),
                // The method asserts that the call is not refused.
                _ if self.store.number() > 0 => match input.byte() % 3 {
                    0 => drop(self.host.dead_letters()),
                    1 => drop(self.host.show_waiting()),
                    _ => {
                        let kept = self.host.show_waiting().into_iter().chain(self.host.dead_letters()).next();
                        kept.iter().for_each(|kept| fine(into(self.host.drop_message(kept.token))));
                    }
                },
                _ => {}
            },
            20 => self.host.wake(),
            // The storage.
            21 => self.store.fail(-5, input.byte() % 2 == 0),
            22 => self.store.mend(),
            _ => {
                let (which, at, byte) = (input.byte(), input.byte(), input.byte());
                let mut records = self.store.records();
                let count = records.len().max(1);
                if let Some(value) = records.values_mut().nth(usize::from(which) % count) {
                    match value.get_mut(usize::from(at)) {
                        Some(place) => *place = byte,
                        None => value.truncate(byte.into()),
                    }
                }
            }
        }
        self.settle();
    }

    /// The broker answers all received packets correctly, or with the given code.
    fn oblige(&mut self, code: u8) {
        for _ in 0..8 {
            let mut answered = false;
            while let Some(packet) = self.wires.packet() {
                let answer = match (packet.kind, code) {
                    (_, 0) => packet.answer(),
                    (CONNECT, _) => connack(code % 8),
                    (SUBSCRIBE, _) => suback(packet.id(), &[code]),
                    _ => [packet.answer(), packet.answer()].concat(),
                };
                self.wires.send(&answer);
                answered |= !answer.is_empty();
            }
            self.settle();
            if !answered {
                return;
            }
        }
    }

    /// EnOS answers the received posts, with codes from the input.
    fn answer_as_cloud(&mut self, input: &mut Input) {
        while let Some(packet) = self.wires.packet() {
            self.wires.send(&packet.answer());
            if packet.kind != PUBLISH {
                continue;
            }
            let id = serde_json::from_slice::<Value>(packet.payload()).map_or(Value::Null, |post| post["id"].clone());
            let code = input.one_of(&[200, 200, 500, 1006, 1206]);
            let answer = format!(r#"{{"id":{id},"code":{code},"message":"m"}}"#);
            self.wires.send(&publish(format!("{}_reply", packet.topic()).as_bytes(), answer.as_bytes(), None));
        }
        self.settle();
    }

    fn accepted(&mut self, result: Result<u64, Status>) {
        match result {
            Ok(token) if token < DURABLE_TOKENS => self.tokens.push(token),
            result => fine(result.map(drop)),
        }
    }

    /// The broker ends, and the storage works.
    fn end(mut self) {
        self.store.mend();
        self.host.disconnect();
        self.settle();
        self.wires = Wires::bind(None);
        let start = Instant::now();
        while self.host.state() != IDLE {
            assert!(start.elapsed() < Duration::from_secs(20), "in state {} for good", self.host.state());
            if self.host.state() == PERSISTING {
                fine(into(self.host.activation_saved()));
            }
            assert_eq!(self.host.run_loop(5), ENOS_OK, "{}", last_error());
        }
        self.settle();
        let without: Vec<_> = self.tokens.iter().filter(|token| !self.outcomes.contains_key(token)).collect();
        assert!(without.is_empty(), "no outcome of {without:?}");
        self.host.destroy();
    }
}

/// Whether this is the outcome of a durable message.
fn is_end(told: &Told) -> bool {
    matches!(told.name.as_str(), "DELIVERED" | "REPLY")
}

/// The statuses that a call may return, whatever the broker does.
#[track_caller]
fn fine(result: Result<(), Status>) {
    let Err(status) = result else { return };
    check_words(&last_error());
    let legal = [
        ENOS_ERR_STATE,
        ENOS_ERR_QUEUE_FULL,
        ENOS_ERR_INVALID_ARG,
        ENOS_ERR_TOO_LARGE,
        ENOS_ERR_TIMEOUT,
        ENOS_ERR_STORAGE,
        ENOS_ERR_UNSUPPORTED,
    ];
    assert!(legal.contains(&status), "{status:?}: {}", last_error());
}

fn into(status: Status) -> Result<(), Status> {
    match status {
        ENOS_OK => Ok(()),
        status => Err(status),
    }
}

fn topic<'a>(input: &mut Input<'a>) -> &'a [u8] {
    match input.byte() {
        0 => input.chunk(),
        n => TOPICS[usize::from(n) % TOPICS.len()].as_bytes(),
    }
}

fn payload<'a>(input: &mut Input<'a>) -> &'a [u8] {
    match input.byte() {
        0 => input.chunk(),
        1 => &[b'x'; MAX_MESSAGE + 1],
        n => PAYLOADS[usize::from(n) % PAYLOADS.len()].as_bytes(),
    }
}

/// A text without a NUL.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "")
}
