//! Updates with a storage and a cloud that the test controls.

mod random;
mod scenes;

use serde_json::{json, Value};

use crate::error::Status as S;
use crate::model::link::{LinkEvent, LinkRequest};
use crate::model::storage::StorageError;
use crate::protocol::topic::split;
use crate::protocol::update::{tests::firmware, Phase};
use crate::protocol::{Firmware, Operation, Secret, Update};
use crate::session::ota::{Found, Work, Worked};
use crate::session::tests::{lost, world};
use crate::session::{Action, Call, Event, EventKind, Input, Loaded, Now, Session, Settings};

/// A device with one slot, its storage and the cloud.
struct Board {
    session: Session,
    version: Option<String>,
    now: u64,
    attempt: u64,
    /// What the storage holds: the record, and the steps that were reported durably.
    disk: Update,
    steps: Vec<i32>,
    /// How many reports were made.
    reports: usize,
    /// The record in the storage cannot be read, in these words.
    broken: Option<&'static str>,
    /// How many of the next uses of the storage fail.
    storage_fails: usize,
    /// The record cannot be stored.
    fails_to_store: bool,
    /// The outbox does not take a report.
    fails_to_report: bool,
    /// How many pieces of work may be done until the process ends.
    lives_for: usize,
    /// The cloud does not answer requests.
    is_mute: bool,
    /// What the cloud was told: the versions, and the answers to offers by their ids.
    versions: Vec<String>,
    answers: Vec<(i64, i64)>,
    events: Vec<Event>,
}

impl Board {
    fn new(version: Option<&str>) -> Board {
        Board {
            session: session(version),
            version: version.map(str::to_owned),
            now: 1_000_000,
            attempt: 0,
            disk: Update::default(),
            steps: Vec::new(),
            reports: 0,
            broken: None,
            storage_fails: 0,
            fails_to_store: false,
            fails_to_report: false,
            lives_for: usize::MAX,
            is_mute: false,
            versions: Vec::new(),
            answers: Vec::new(),
            events: Vec::new(),
        }
    }

    fn online(version: &str) -> Board {
        let mut board = Board::new(Some(version));
        board.connect();
        assert_eq!(std::mem::take(&mut board.versions), [version]);
        board.events.clear();
        board
    }

    fn now(&self) -> Now {
        Now { ms: self.now, wall_ms: 1_700_000_000_000 + self.now }
    }

    fn connect(&mut self) {
        self.session.connect(self.now());
        self.perform();
    }

    /// The device starts again, with this version.
    fn restart(&mut self, version: &str) {
        self.version = Some(version.to_owned());
        self.session = session(Some(version));
        self.lives_for = usize::MAX;
        self.events.clear();
        self.connect();
    }

    fn link(&mut self, what: LinkEvent) {
        self.session.handle(self.now(), Input::Link { attempt: self.attempt, what });
        self.perform();
    }

    fn message(&mut self, path: &str, body: &Value) {
        let (topic, payload) = (format!("/sys/pk/dk/{path}").into_bytes(), body.to_string().into_bytes().into());
        self.link(LinkEvent::Message { topic, payload, qos: 1, retained: false });
    }

    /// EnOS offers a firmware. Returns the id of the command.
    fn offer(&mut self, firmware: &Firmware) -> i64 {
        let id = 1_000_000 + self.answers.len() as i64 + self.now as i64;
        self.message("ota/device/upgrade", &json!({"id": id, "method": "ota.device.upgrade", "params": row(firmware)}));
        id
    }

    fn wait(&mut self, ms: u64) {
        let until = self.now + ms;
        while self.now < until {
            self.now = self.session.deadline().map_or(until, |at| at.max(self.now + 1)).min(until);
            self.session.handle(self.now(), Input::Tick);
            self.perform();
        }
    }

    fn lose_link(&mut self) {
        self.link(lost("lost"));
    }

    fn perform(&mut self) {
        while let Some(action) = self.session.next_action() {
            let attempt = self.attempt;
            let input = match action {
                Action::Load => Some(Input::Loaded(Box::<Loaded>::default())),
                Action::Open { attempt, .. } => {
                    self.attempt = attempt;
                    Some(Input::Link { attempt, what: LinkEvent::Connected })
                }
                Action::Send(request) => {
                    self.sent(request);
                    None
                }
                Action::Ota { subdevice } => {
                    self.work(subdevice, false);
                    None
                }
                Action::Emit(event) => {
                    self.events.push(event);
                    None
                }
                Action::Disconnect { .. } => Some(Input::Link { attempt, what: LinkEvent::Closed }),
                _ => None,
            };
            if let Some(input) = input {
                self.session.handle(self.now(), input);
            }
        }
    }

    /// Does a piece of work as the client does it. False if there is none. The process may end before and after it.
    fn work(&mut self, subdevice: u64, force: bool) -> bool {
        if self.lives_for == 0 {
            return false;
        }
        let Some((_, work)) = self.session.ota_work(self.now(), subdevice, force) else { return false };
        self.lives_for -= 1;
        let fails = self.storage();
        let worked = match (work, fails) {
            (Work::Load, Ok(())) => Worked::Loaded(Ok(match self.broken {
                Some(words) => Found::Broken(words.into()),
                None if self.disk.is_empty() => Found::Nothing,
                None => Found::Record(Box::new(self.disk.clone())),
            })),
            (Work::Load, Err(failure)) => Worked::Loaded(Err(failure)),
            (Work::Report { step, words }, mut result) => {
                if self.fails_to_report {
                    result = Err(StorageError::new(0, "the outbox is full"));
                }
                assert!(!words.is_empty());
                if result.is_ok() {
                    // The newest replaces the older ones.
                    self.steps = vec![step];
                    self.reports += 1;
                }
                Worked::Reported(result.map_err(Into::into))
            }
            (Work::Store(record), mut result) => {
                if self.fails_to_store {
                    result = Err(StorageError::new(-6, "the disk is read-only"));
                }
                if result.is_ok() {
                    (self.disk, self.broken) = ((*record).clone(), None);
                }
                Worked::Stored(result.map(|()| record))
            }
        };
        if self.lives_for == 0 {
            return false;
        }
        let failed = matches!(worked, Worked::Loaded(Err(_)) | Worked::Reported(Err(_)) | Worked::Stored(Err(_)));
        self.session.ota_worked(self.now(), subdevice, worked);
        !failed
    }

    fn storage(&mut self) -> std::result::Result<(), StorageError> {
        let fails = self.storage_fails > 0;
        self.storage_fails = self.storage_fails.saturating_sub(1);
        match fails {
            true => Err(StorageError::new(-5, "the disk is full")),
            false => Ok(()),
        }
    }

    /// A call of the host, or the end of a download, as the client makes it.
    fn take(&mut self, phase: Phase, firmware: &Firmware) -> crate::error::Result<()> {
        self.use_record();
        let (_, record) = self.session.plan_firmware(0, phase, firmware)?;
        self.storage()?;
        self.disk = record;
        self.session.firmware_taken(0, phase, firmware);
        self.perform();
        Ok(())
    }

    fn use_record(&mut self) {
        self.session.knows_firmware_of(0).unwrap();
        while self.work(0, true) {}
    }

    /// The host refuses it, or it fails.
    fn end(&mut self, firmware: &Firmware, failed: bool) {
        self.session.firmware_ended(self.now(), 0, firmware, failed);
        self.use_record();
        self.perform();
    }

    fn may_download(&mut self, firmware: &Firmware, retry_failed: bool) -> bool {
        self.use_record();
        self.session.may_download(0, firmware, retry_failed).is_ok()
    }

    fn sent(&mut self, request: LinkRequest) {
        let attempt = self.attempt;
        let what = match request {
            LinkRequest::Subscribe { token, filters } => {
                LinkEvent::Subscribed { token, granted: vec![Some(1); filters.len()] }
            }
            LinkRequest::Unsubscribe { token, .. } => LinkEvent::Unsubscribed { token },
            LinkRequest::Publish { token, topic, payload, .. } => {
                let body: Value = serde_json::from_slice(&payload).unwrap();
                match std::str::from_utf8(split(topic.as_bytes()).unwrap().path).unwrap() {
                    "ota/device/upgrade_reply" => {
                        self.answers.push((body["id"].as_i64().unwrap(), body["code"].as_i64().unwrap()));
                    }
                    "ota/device/inform" => {
                        self.versions.push(body["params"]["version"].as_str().unwrap().to_owned());
                        self.reply(&topic, &body["id"], &json!({}));
                    }
                    _ => {}
                }
                LinkEvent::Delivered { token }
            }
        };
        self.session.handle(self.now(), Input::Link { attempt, what });
    }

    fn reply(&mut self, topic: &str, id: &Value, data: &Value) {
        if self.is_mute {
            return;
        }
        let payload = json!({"id": id, "code": 200, "data": data}).to_string().into_bytes().into();
        let topic = format!("{topic}_reply").into_bytes();
        let what = LinkEvent::Message { topic, payload, qos: 0, retained: false };
        self.session.handle(self.now(), Input::Link { attempt: self.attempt, what });
    }

    /// What the host was told of updates since the last call: the kind, the status, and version and state.
    fn told(&mut self) -> Vec<(EventKind, S, String)> {
        let events = std::mem::take(&mut self.events).into_iter();
        let about = |event: &Event| match &event.firmware {
            Some(offer) => format!("{} {}", offer.firmware.version, offer.state.name()),
            None => String::new(),
        };
        events
            .filter(|event| matches!(event.kind, EventKind::OtaOffer | EventKind::Ota))
            .map(|event| (event.kind, event.status, about(&event)))
            .collect()
    }

    fn report_version(&mut self, version: &str) {
        let params = json!({"version": version}).to_string();
        let call = Call {
            operation: Operation::ENOS_OP_OTA_VERSION_REPORT,
            subdevice: 0,
            name: "",
            params: params.as_bytes(),
            flags: 0,
            timeout_ms: None,
            user: 0,
        };
        self.session.request(self.now(), &call).unwrap();
        self.perform();
    }
}

fn session(version: Option<&str>) -> Session {
    let device_secret = Some(Secret::new(b"own").unwrap());
    let firmware_version = version.map(Box::from);
    Session::new(Settings { device_secret, firmware_version, outbox: None, ..world::settings() }, 1)
}

fn row(firmware: &Firmware) -> Value {
    let Firmware { version, url, sign_method, sign, size } = firmware;
    json!({"version": version, "fileUrl": url, "signMethod": sign_method, "sign": sign, "fileSize": size})
}

/// An offer that was told, in this state.
fn offer(status: S, about: &str) -> (EventKind, S, String) {
    (EventKind::OtaOffer, status, about.to_owned())
}

/// The outcome of an installation that was told.
fn outcome(status: S, about: &str) -> (EventKind, S, String) {
    (EventKind::Ota, status, about.to_owned())
}
