//! Sub-devices with a cloud that the test controls.

mod cloud;
mod faults;
mod filters;
mod flood;
mod logins;
mod orders;
mod posts;
mod random;
mod register;
mod secrets;
mod switching;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{json, Value};

use cloud::Cloud;

use super::{NewSubdevice, SubdeviceState as State};
use crate::error::{Result, Status as S};
use crate::model::flags::Flag;
use crate::model::link::{LinkEvent, LinkRequest};
use crate::model::storage::StorageError;
use crate::protocol::topic::split;
use crate::protocol::{DeviceSecret, Identity, Operation, Secret};
use crate::session::tests::{lost, world};
use crate::session::{Action, Call, Event, EventKind, Handed, Input, Loaded, Now, Session, Settings, Task};

/// A gateway, its cloud and its host.
struct Park {
    session: Session,
    now: u64,
    attempt: u64,
    cloud: Cloud,
    /// The cloud's messages that have not arrived yet.
    replies: Vec<Input>,
    events: Vec<Event>,
    /// The secrets in the storage, by device key.
    disk: BTreeMap<String, Vec<DeviceSecret>>,
    /// How many of the next storage calls fail.
    storage_fails: usize,
    /// A store of a secret that was begun waits for the test, in `stores`.
    storage_holds: bool,
    stores: Vec<Input>,
    /// The SUBSCRIBE and the UNSUBSCRIBE packets.
    subscribed: Vec<Vec<String>>,
    unsubscribed: Vec<Vec<String>>,
    /// What the broker has subscribed on this link.
    subscriptions: BTreeSet<String>,
    /// The broker's answers to those packets wait for the test.
    broker_holds: bool,
    acks: Vec<Input>,
    /// The secrets that have arrived, by device key.
    arrived: BTreeMap<String, String>,
    /// The commands that were handed over.
    handed: Vec<Handed>,
    /// The sub-devices whose durable messages were to be read.
    pages_read: Vec<u64>,
}

impl Park {
    /// A gateway that is offline.
    fn new() -> Park {
        Park::with(world::settings())
    }

    fn with(settings: Settings) -> Park {
        let settings = Settings { device_secret: Some(Secret::new(b"own").unwrap()), ..settings };
        Park {
            session: Session::new(settings, 1),
            now: 1_000_000,
            attempt: 0,
            cloud: Cloud::default(),
            replies: Vec::new(),
            events: Vec::new(),
            disk: BTreeMap::new(),
            storage_fails: 0,
            storage_holds: false,
            stores: Vec::new(),
            subscribed: Vec::new(),
            unsubscribed: Vec::new(),
            subscriptions: BTreeSet::new(),
            broker_holds: false,
            acks: Vec::new(),
            arrived: BTreeMap::new(),
            handed: Vec::new(),
            pages_read: Vec::new(),
        }
    }

    /// A gateway that is online and has these sub-devices, which are online too.
    fn online(count: usize) -> (Park, Vec<u64>) {
        let mut park = Park::new();
        let ids = park.add(count);
        park.connect();
        assert_eq!(park.states(&ids), vec![State::Online; count]);
        park.forget();
        (park, ids)
    }

    fn now(&self) -> Now {
        Now { ms: self.now, wall_ms: 1_700_000_000_000 + self.now }
    }

    fn new_one(key: &str) -> NewSubdevice {
        NewSubdevice {
            identity: Identity::new("sub", key, None).unwrap(),
            device_secret: Some(Secret::new(b"secret").unwrap()),
            product_secret: None,
            method: None,
            add_topology: false,
            online: true,
            user: 7,
        }
    }

    fn key(n: usize) -> String {
        format!("{n:04}")
    }

    /// Adds sub-devices with the keys 0000, 0001 and so on.
    fn add(&mut self, count: usize) -> Vec<u64> {
        self.try_add((0..count).map(|n| Park::new_one(&Park::key(n))).collect()).unwrap()
    }

    fn try_add(&mut self, new: Vec<NewSubdevice>) -> Result<Vec<u64>> {
        let count = new.len() as u64;
        let first = self.session.add_subdevices(self.now(), new)?;
        self.perform();
        Ok((first..first + count).collect())
    }

    fn set_online(&mut self, id: u64, on: bool) {
        self.session.set_subdevice_online(self.now(), id, on).unwrap();
        self.perform();
    }

    fn remove(&mut self, id: u64) {
        self.session.remove_subdevice(self.now(), id).unwrap();
        self.perform();
    }

    fn connect(&mut self) {
        self.session.connect(self.now());
        self.perform();
    }

    fn lose_link(&mut self) {
        self.cloud.logged_in.clear();
        self.replies.clear();
        self.acks.clear();
        self.subscriptions.clear();
        self.feed(Input::Link { attempt: self.attempt, what: lost("lost") });
    }

    fn feed(&mut self, input: Input) {
        self.session.handle(self.now(), input);
        self.perform();
    }

    fn link(&mut self, what: LinkEvent) {
        let attempt = self.attempt;
        self.feed(Input::Link { attempt, what });
    }

    /// A message of the cloud.
    fn message(&mut self, topic: &str, body: &Value) {
        let payload = body.to_string().into_bytes().into();
        self.link(LinkEvent::Message { topic: topic.as_bytes().to_vec(), payload, qos: 1, retained: false });
    }

    /// The replies that the cloud has held back arrive.
    fn deliver(&mut self) {
        while !self.replies.is_empty() {
            let input = self.next_reply();
            self.feed(input);
        }
    }

    fn next_reply(&mut self) -> Input {
        let input = self.replies.remove(0);
        if let Input::Link { what: LinkEvent::Message { payload, .. }, .. } = &input {
            let data = serde_json::from_slice::<Value>(payload).unwrap()["data"].take();
            let several = data["loginedSubDevices"].as_array().into_iter().flatten();
            for device in several.chain(data.as_array().into_iter().flatten()).chain([&data]) {
                if let Some(secret) = device["deviceSecret"].as_str() {
                    self.arrived.insert(Cloud::key(device), secret.to_owned());
                }
            }
        }
        input
    }

    fn perform(&mut self) {
        while let Some(action) = self.session.next_action() {
            let input = match action {
                Action::Load => Some(Input::Loaded(Box::<Loaded>::default())),
                Action::Open { attempt, .. } => {
                    self.attempt = attempt;
                    // Each CONNECT begins a new MQTT session.
                    self.subscriptions.clear();
                    Some(Input::Link { attempt, what: LinkEvent::Connected })
                }
                Action::LoadSubdevice { id, identity } => {
                    let secrets = self.disk.get(identity.device_key()).cloned().unwrap_or_default();
                    Some(Input::SubdeviceLoaded { id, result: self.storage().map(|()| secrets) })
                }
                Action::StoreSubdevice { id, identity, secret } => {
                    let result = self.storage();
                    if result.is_ok() {
                        self.disk.entry(identity.device_key().to_owned()).or_default().push(secret);
                    }
                    self.stores.push(Input::SubdeviceStored { id, result });
                    if self.storage_holds {
                        None
                    } else {
                        self.stores.pop()
                    }
                }
                Action::Send(request) => {
                    self.sent(request);
                    None
                }
                Action::Outbox { subdevice, task: Task::ReadPage { .. } } => {
                    self.pages_read.push(subdevice);
                    None
                }
                Action::HandOver(handed) => {
                    self.handed.push(*handed);
                    None
                }
                Action::Emit(event) => {
                    self.events.push(event);
                    None
                }
                Action::Disconnect { attempt, .. } => Some(Input::Link { attempt, what: LinkEvent::Closed }),
                _ => None,
            };
            if let Some(input) = input {
                self.session.handle(self.now(), input);
            }
            while !self.cloud.holds && !self.replies.is_empty() {
                let input = self.next_reply();
                self.session.handle(self.now(), input);
            }
        }
    }

    fn storage(&mut self) -> std::result::Result<(), StorageError> {
        let fails = self.storage_fails > 0;
        self.storage_fails = self.storage_fails.saturating_sub(1);
        if fails {
            return Err(StorageError::new(-5, "the disk is full"));
        }
        Ok(())
    }

    fn sent(&mut self, request: LinkRequest) {
        let attempt = self.attempt;
        let what = match request {
            LinkRequest::Subscribe { token, filters } => {
                let granted = vec![Some(1); filters.len()];
                let filters: Vec<_> = filters.into_iter().map(|(filter, _)| filter).collect();
                self.subscriptions.extend(filters.iter().cloned());
                self.subscribed.push(filters);
                return self.acknowledge(LinkEvent::Subscribed { token, granted });
            }
            LinkRequest::Unsubscribe { token, filters } => {
                filters.iter().for_each(|filter| assert!(self.subscriptions.remove(filter), "{filter}"));
                self.unsubscribed.push(filters);
                return self.acknowledge(LinkEvent::Unsubscribed { token });
            }
            LinkRequest::Publish { token, topic, payload, .. } => {
                let body: Value = serde_json::from_slice(&payload).unwrap();
                let path = split(topic.as_bytes()).unwrap().path;
                let path = std::str::from_utf8(path).unwrap().to_owned();
                if topic.ends_with("_reply") {
                    self.cloud.answers.push((topic.clone(), body.clone()));
                }
                if topic.starts_with("/sys/") && !topic.ends_with("_reply") {
                    self.cloud.data.push((topic.clone(), body["params"].clone()));
                }
                if path == "thing/measurepoint/post" {
                    self.cloud.posts.push(topic.clone());
                    self.cloud.ids.push((topic.clone(), body["id"].clone()));
                }
                if let Some(mut answer) = self.cloud.answer(self.now, &path, &body["params"]) {
                    answer["id"] = body["id"].clone();
                    let payload = answer.to_string().into_bytes().into();
                    let topic = format!("{topic}_reply").into_bytes();
                    let what = LinkEvent::Message { topic, payload, qos: 0, retained: false };
                    self.replies.push(Input::Link { attempt, what });
                }
                LinkEvent::Delivered { token }
            }
        };
        self.session.handle(self.now(), Input::Link { attempt, what });
    }

    /// The broker answers a SUBSCRIBE or UNSUBSCRIBE packet.
    fn acknowledge(&mut self, what: LinkEvent) {
        let input = Input::Link { attempt: self.attempt, what };
        match self.broker_holds {
            true => self.acks.push(input),
            false => self.session.handle(self.now(), input),
        }
    }

    /// The answers that the broker has held back arrive, and so do those that follow from them.
    fn release_acks(&mut self) {
        self.broker_holds = false;
        for input in std::mem::take(&mut self.acks) {
            self.feed(input);
        }
    }

    /// Lets time pass. The session does what is due.
    fn wait(&mut self, ms: u64) {
        let until = self.now + ms;
        loop {
            let next = self.session.deadline().map_or(until, |at| at.max(self.now)).min(until);
            self.now = next;
            self.feed(Input::Tick);
            if next >= until {
                return;
            }
        }
    }

    fn states(&self, ids: &[u64]) -> Vec<State> {
        ids.iter().map(|id| self.session.subdevice_state(*id).unwrap()).collect()
    }

    /// The states that the host was told of, since this was called last.
    fn told(&mut self) -> Vec<(u64, State, S, i32)> {
        let events = std::mem::take(&mut self.events).into_iter();
        events
            .filter(|event| event.kind == EventKind::SubdeviceState)
            .map(|event| {
                assert_eq!(event.user, 7);
                let state = State::from_number(event.subdevice_state).unwrap();
                (event.subdevice, state, event.status, event.detail_code)
            })
            .collect()
    }

    /// Forgets what was told and sent.
    fn forget(&mut self) {
        self.events.clear();
        self.subscribed.clear();
        self.unsubscribed.clear();
        self.cloud.logins.clear();
    }

    fn post(&mut self, subdevice: u64) -> Result<u64> {
        self.post_with(subdevice, 0, r#"{"measurepoints":{"p":1}}"#)
    }

    /// A post that is joined with others.
    fn join(&mut self, subdevice: u64) -> Result<u64> {
        self.post_with(subdevice, Flag::ENOS_REQUEST_JOIN as u32, r#"{"measurepoints":{"p":1}}"#)
    }

    fn post_with(&mut self, subdevice: u64, flags: u32, params: &str) -> Result<u64> {
        let call = Call {
            operation: Operation::ENOS_OP_MEASUREPOINT_POST,
            subdevice,
            name: "",
            params: params.as_bytes(),
            flags,
            timeout_ms: None,
            user: 5,
        };
        let token = self.session.request(self.now(), &call)?;
        self.perform();
        Ok(token)
    }

    /// How many were in each login, since the last call.
    fn login_sizes(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.cloud.logins).iter().map(|(_, keys)| keys.len()).collect()
    }
}

impl Park {
    /// EnOS answers the last post that the sub-device is not logged in.
    fn deny_last_post(&mut self) {
        let (topic, id) = self.cloud.ids.last().cloned().unwrap();
        self.message(&format!("{topic}_reply"), &json!({"id": id, "code": 1009, "message": "not logged in"}));
    }
}
