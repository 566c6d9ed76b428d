//! The session's side of the firmware updates: what passes between them, the host, the cloud and the client.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::exchange::{Outgoing, Owner};
use super::io::{Action, Now};
use super::ota::{Ota, Out, Report, Work, Worked};
use super::Session;
use crate::error::{Error, Result, Status};
use crate::log::Level;
use crate::protocol::command::{self, Command, ReplyTo};
use crate::protocol::update::Phase;
use crate::protocol::{envelope, json, Firmware, Identity, Operation, Update};

impl Session {
    /// The first call to connect: the version that runs is compared with what was installed.
    pub(super) fn begin_ota(&mut self, now: Now) {
        let is_known = self.ota.as_deref().is_some_and(|ota| ota.version(0).is_some());
        let Some(version) = self.settings.firmware_version.clone().filter(|_| !is_known) else { return };
        self.version_reported(now, 0, &version);
        self.with_ota(|ota, _| ota.slot(0, 0).report = Report::Wanted);
    }

    /// The version of a device is reported.
    fn version_reported(&mut self, now: Now, subdevice: u64, version: &str) {
        let user = self.user_of(subdevice);
        self.with_ota(|ota, out| {
            ota.slot(subdevice, user).reported(version, out.actions);
            ota.ask_for_work(now.ms, out.actions);
        });
    }

    /// The host sends a request.
    pub(super) fn notice_version(&mut self, now: Now, subdevice: u64, operation: Operation, params: &[u8]) {
        if operation == Operation::ENOS_OP_OTA_VERSION_REPORT {
            if let Some(version) = version_in(params) {
                self.version_reported(now, subdevice, &version);
            }
        }
    }

    /// A command that offers a firmware.
    pub(super) fn offer_arrived(&mut self, now: Now, subdevice: u64, command: &Command) {
        let reply = command.reply_to();
        match Firmware::parse(command.params().unwrap_or_default()) {
            Ok(firmware) => self.offered(subdevice, firmware, Some(reply)),
            Err(error) => {
                self.actions.push_back(Action::Log(Level::Warn, format!("an offer was refused: {}", error.message)));
                self.answer_offer(now, &reply, command::CODE_UNREADABLE, &error.message);
            }
        }
    }

    /// What the reply to a version query offers, and to whom.
    pub(super) fn offers_in(&mut self, token: u64, code: i32, payload: &[u8]) -> Vec<(u64, Firmware)> {
        let is_query = self.exchange.is_version_query(token).filter(|_| code == envelope::CODE_OK);
        let Some(subdevice) = is_query else { return Vec::new() };
        let mut offers = Vec::new();
        for row in rows_in(payload) {
            match Firmware::parse(row.get().as_bytes()) {
                Ok(firmware) => offers.push((subdevice, firmware)),
                Err(error) => {
                    let words = format!("a row of a version query cannot be read: {}", error.message);
                    self.actions.push_back(Action::Log(Level::Warn, words));
                }
            }
        }
        offers
    }

    pub(super) fn offered(&mut self, subdevice: u64, firmware: Firmware, reply: Option<ReplyTo>) {
        let user = self.user_of(subdevice);
        self.with_ota(|ota, out| {
            let answer = ota.slot(subdevice, user).offered(firmware, reply, out.actions);
            out.answers.extend(answer);
        });
    }

    fn answer_offer(&mut self, now: Now, reply: &ReplyTo, code: i32, words: &str) {
        self.with_commands(now, |commands, around| commands.refuse(reply, code, words, around));
    }

    /// The next piece of work for the record of a device, and the device. `None`: there is none now. `force`: a pause after
    /// a failure of the storage is cut short. The caller holds the client's lock for updates until it has called
    /// [`ota_worked`](Self::ota_worked).
    pub fn ota_work(&mut self, now: Now, subdevice: u64, force: bool) -> Option<(Identity, Work)> {
        let identity = self.identity_of(subdevice).ok()?;
        let work = self.with_ota(|ota, out| ota.get(subdevice)?.work(now.ms, force, out));
        if work.is_none() {
            // Changes that leave the record as it is were done at once.
            self.run_ota(now);
        }
        work.map(|work| (identity, work))
    }

    pub fn ota_worked(&mut self, now: Now, subdevice: u64, worked: Worked) {
        self.with_ota(|ota, out| {
            let Some(slot) = ota.get(subdevice) else { return };
            match worked {
                Worked::Loaded(found) => slot.loaded(found, now.ms, out),
                Worked::Reported(result) => slot.told(result, now.ms, out),
                Worked::Stored(Ok(record)) => slot.stored(record, out),
                Worked::Stored(Err(failure)) => slot.failed(&failure, now.ms, out),
            }
        });
        self.run_ota(now);
    }

    /// Whether a download of this firmware may write to the slot of the device. The record has to be read before:
    /// [`knows_firmware_of`](Self::knows_firmware_of).
    #[cfg(feature = "ota")]
    pub fn may_download(&self, subdevice: u64, firmware: &Firmware, retry_failed: bool) -> Result<()> {
        self.record_of(subdevice)?.may_download(firmware, retry_failed)
    }

    /// The record of the device was read. If not, the slot is there, so that it can be read.
    pub fn knows_firmware_of(&mut self, subdevice: u64) -> Result<bool> {
        self.identity_of(subdevice)?;
        let user = self.user_of(subdevice);
        Ok(self.with_ota(|ota, _| ota.slot(subdevice, user).record.is_some()))
    }

    /// The record with this firmware taken, and the device. The caller stores it, and then calls
    /// [`firmware_taken`](Self::firmware_taken); it holds the client's lock for updates meanwhile.
    pub fn plan_firmware(&self, subdevice: u64, phase: Phase, firmware: &Firmware) -> Result<(Identity, Update)> {
        let identity = self.identity_of(subdevice)?;
        let mut record = self.record_of(subdevice)?.clone();
        if phase == Phase::Verified {
            record.may_download(firmware, true)?;
        }
        record.take(phase, firmware);
        Ok((identity, record))
    }

    pub fn firmware_taken(&mut self, subdevice: u64, phase: Phase, firmware: &Firmware) {
        self.with_ota(|ota, _| ota.get(subdevice).map(|slot| slot.taken(phase, firmware)));
    }

    /// The host has refused a firmware or given it up, or it has failed. The record says so as soon as the storage takes it.
    pub fn firmware_ended(&mut self, now: Now, subdevice: u64, firmware: &Firmware, failed: bool) {
        let user = self.user_of(subdevice);
        self.with_ota(|ota, _| ota.slot(subdevice, user).end(firmware, failed));
        self.run_ota(now);
    }

    #[cfg(feature = "ota")]
    pub fn download_token(&mut self) -> u64 {
        self.exchange.new_token()
    }

    /// The host is told something of a download.
    #[cfg(feature = "ota")]
    pub fn tell_host(&mut self, event: super::Event) {
        self.actions.push_back(Action::Emit(event));
    }

    fn record_of(&self, subdevice: u64) -> Result<&Update> {
        let words = "the record of the updates was not read";
        let record = self.ota.as_deref().and_then(|ota| ota.record(subdevice));
        record.ok_or_else(|| Error::new(Status::ENOS_ERR_STORAGE, words))
    }

    /// Does what is due.
    pub(super) fn run_ota(&mut self, now: Now) {
        if self.ota.is_none() {
            return;
        }
        let outcomes = self.exchange.take_told(Owner::Ota);
        let reports = self.with_ota(|ota, out| {
            outcomes.iter().for_each(|(token, outcome)| ota.answered(*token, outcome, out.actions));
            ota.ask_for_work(now.ms, out.actions);
            ota.reports()
        });
        for (subdevice, version) in reports {
            self.report_version(now, subdevice, &version);
        }
        let answers = self.ota.as_deref_mut().map(Ota::take_answers).unwrap_or_default();
        for (reply, code, words) in answers {
            self.answer_offer(now, &reply, code, words);
        }
    }

    /// Reports a version, if its device is online.
    fn report_version(&mut self, now: Now, subdevice: u64, version: &str) {
        let (true, Ok(identity)) = (self.connection.is_online(), self.sender(subdevice)) else { return };
        let Ok(params) = serde_json::to_vec(&serde_json::json!({ "version": version })) else { return };
        let request = Outgoing {
            operation: Operation::ENOS_OP_OTA_VERSION_REPORT,
            identity: &identity,
            subdevice,
            name: "",
            params: &params,
            members: 0,
            until_reply: true,
            timeout_ms: None,
            user: 0,
        };
        let sent = self.exchange.request(Owner::Ota, request, now.ms, &mut self.actions);
        let report = sent.map_or(Report::No, Report::Sent);
        self.with_ota(|ota, _| ota.get(subdevice).map(|slot| slot.report = report));
        self.count_live(now, params.len());
    }

    fn with_ota<T>(&mut self, call: impl FnOnce(&mut Ota, &mut Out) -> T) -> T {
        let Session { ota, actions, rng, .. } = self;
        let ota = ota.get_or_insert_default();
        let mut answers = ota.take_answers();
        let result = call(ota, &mut Out { answers: &mut answers, actions, rng });
        ota.answers = answers;
        result
    }

    fn user_of(&self, subdevice: u64) -> usize {
        let one = self.gateway.as_deref().and_then(|gateway| gateway.get(subdevice).ok());
        one.map_or(0, |one| one.user)
    }

    fn identity_of(&self, subdevice: u64) -> Result<Identity> {
        match subdevice {
            0 => Ok(self.settings.identity.clone()),
            id => self.subdevice_identity(id),
        }
    }
}

/// The version in the params of a report.
fn version_in(params: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Params<'a> {
        #[serde(borrow)]
        version: Option<&'a RawValue>,
    }
    let version = json::object::<Params>("params", params).ok()?.version?;
    json::string(version).map(|version| version.to_string())
}

/// The elements of the "data" of a reply.
fn rows_in(payload: &[u8]) -> Vec<&RawValue> {
    #[derive(Deserialize)]
    struct Data<'a> {
        #[serde(borrow)]
        data: Option<&'a RawValue>,
    }
    let data = json::object::<Data>("the reply", payload).ok().and_then(|reply| reply.data);
    data.and_then(|data| json::array("data", data.get().as_bytes()).ok()).unwrap_or_default()
}
