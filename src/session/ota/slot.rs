//! The update of one device: its record, what has to be changed in it, and the report of its version.

use super::*;
use crate::protocol::update::Phase;

/// How many offers of one device may wait to be stored.
const MAX_OFFERS: usize = 16;
/// The pause between two tries of the storage.
const AGAIN_MIN_MS: u64 = 1_000;
const AGAIN_MAX_MS: u64 = 120_000;

/// A change of the record that is to be stored.
pub enum Change {
    /// EnOS has offered it, by a command or in the reply to a query.
    Offer { firmware: Firmware, reply: Option<ReplyTo> },
    /// The host has refused it or given it up, or it has failed.
    End { firmware: Firmware, failed: bool },
    /// It runs.
    Success(Firmware),
    /// It was installed, and another version runs.
    RolledBack(Firmware),
}

impl Change {
    fn apply(&self, record: &mut Update) {
        match self {
            Change::Offer { firmware, .. } => record.offer(firmware),
            Change::End { firmware, failed } => record.end(firmware, *failed),
            Change::Success(firmware) => record.succeed(firmware),
            Change::RolledBack(firmware) => record.end(firmware, true),
        }
    }
}

/// The report of the version that the library sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    No,
    Wanted,
    /// Sent, as this entry of the exchange.
    Sent(u64),
    /// It had no answer, and is sent again on the next link.
    NextLink,
}

pub struct Slot {
    /// 0: the client's own device.
    pub id: u64,
    /// What the host has given with the sub-device.
    pub user: usize,
    /// `None`: it was not read yet.
    pub record: Option<Box<Update>>,
    /// The version that runs, as it was reported last.
    pub version: Option<String>,
    /// The version was not compared with the record yet.
    compares: bool,
    /// The firmware in the slot got there in this process, which therefore runs the version before it.
    taken_here: bool,
    /// An installation that has failed, which is not reported yet.
    rolled_back: Option<Firmware>,
    changes: Vec<Change>,
    /// How many of the changes are in the record that is being stored.
    being_stored: usize,
    /// The loop was asked to work on it.
    is_queued: bool,
    again_at: Option<u64>,
    backoff: Backoff,
    pub report: Report,
}

impl Default for Slot {
    fn default() -> Slot {
        Slot {
            id: 0,
            user: 0,
            record: None,
            version: None,
            compares: false,
            taken_here: false,
            rolled_back: None,
            changes: Vec::new(),
            being_stored: 0,
            is_queued: false,
            again_at: None,
            backoff: Backoff::new(AGAIN_MIN_MS, AGAIN_MAX_MS),
            report: Report::No,
        }
    }
}

impl Slot {
    /// Nothing has to be done for it.
    pub fn is_idle(&self) -> bool {
        !self.has_work() && self.report == Report::No
    }

    fn has_work(&self) -> bool {
        let unread = self.record.is_none() && self.compares;
        unread || self.rolled_back.is_some() || !self.changes.is_empty()
    }

    /// When it has to be worked on. `None`: not at all, or the loop knows it already.
    pub fn due(&self) -> Option<u64> {
        (self.has_work() && !self.is_queued).then(|| self.again_at.unwrap_or(0))
    }

    pub fn ask_for_work(&mut self, now: u64, actions: &mut VecDeque<Action>) {
        if self.due().is_some_and(|at| at <= now) {
            self.is_queued = true;
            actions.push_back(Action::Ota { subdevice: self.id });
        }
    }

    /// The version of the device is reported.
    pub fn reported(&mut self, version: &str, actions: &mut VecDeque<Action>) {
        self.version = Some(version.to_owned());
        self.compares = true;
        self.compare(actions);
    }

    /// Compares the version that runs with the one that was installed. The own device runs what it has installed only after
    /// a restart of the client. A sub-device may have restarted by itself.
    fn compare(&mut self, actions: &mut VecDeque<Action>) {
        let (Some(record), Some(version), true) = (&self.record, &self.version, self.compares) else { return };
        self.compares = false;
        let is_result = |change: &Change| matches!(change, Change::Success(_) | Change::RolledBack(_));
        let is_decided = self.rolled_back.is_some() || self.changes.iter().any(is_result);
        match &record.taken {
            Some(_) if is_decided || (self.id == 0 && self.taken_here) => {}
            Some((_, firmware)) if firmware.version == *version => {
                self.changes.push(Change::Success(firmware.clone()));
            }
            Some((Phase::Installed, firmware)) => {
                let words = format!("{version:?} runs after the installation of {:?}", firmware.version);
                actions.push_back(Action::Log(Level::Warn, words));
                self.rolled_back = Some(firmware.clone());
            }
            Some((Phase::Verified, _)) | None => {}
        }
        if let Some(open) = record.open.as_ref().filter(|open| open.version == *version) {
            self.changes.push(Change::End { firmware: open.clone(), failed: false });
        }
    }

    /// EnOS offers a firmware. The answer is due when it is stored. Returns the answer if there is one at once.
    pub fn offered(&mut self, firmware: Firmware, reply: Option<ReplyTo>, actions: &mut VecDeque<Action>) -> Answered {
        if self.version.as_ref() == Some(&firmware.version) {
            let words =
                format!("EnOS offers {:?}, which runs already; its version is reported again", firmware.version);
            actions.push_back(Action::Log(Level::Info, words));
            self.report = Report::Wanted;
            return answered(reply, envelope::CODE_OK, "");
        }
        let offers = self.changes.iter().filter(|change| matches!(change, Change::Offer { .. })).count();
        if offers >= MAX_OFFERS {
            actions.push_back(Action::Log(Level::Warn, "an offer of a firmware was refused: too many wait".into()));
            return answered(reply, command::CODE_TOO_MANY, "the device is busy with other offers");
        }
        self.changes.push(Change::Offer { firmware, reply });
        // EnOS waits for the answer, so the pause after a failure of the storage does not count.
        self.again_at = None;
        None
    }

    /// The host has ended an offer, or a download has failed.
    pub fn end(&mut self, firmware: &Firmware, failed: bool) {
        self.changes.push(Change::End { firmware: firmware.clone(), failed });
    }

    /// The host or a download has taken a firmware, and the record says so.
    pub fn taken(&mut self, phase: Phase, firmware: &Firmware) {
        if let Some(record) = &mut self.record {
            record.take(phase, firmware);
            self.taken_here = true;
            // What became of an earlier try, and could not be stored yet, says nothing of this one.
            self.rolled_back.take_if(|earlier| earlier.is_same_image(firmware));
            self.changes.retain(|change| match change {
                Change::Offer { .. } => true,
                Change::End { firmware: earlier, .. } | Change::Success(earlier) | Change::RolledBack(earlier) => {
                    !earlier.is_same_image(firmware)
                }
            });
        }
    }

    /// What has to be done next. `force`: also before the pause after a failure is over.
    pub fn work(&mut self, now: u64, force: bool, out: &mut Out) -> Option<Work> {
        self.is_queued = false;
        if !force && self.again_at.is_some_and(|at| now < at) {
            return None;
        }
        self.again_at = None;
        let Some(record) = &self.record else { return Some(Work::Load) };
        if let (Some(firmware), true) = (&self.rolled_back, self.changes.is_empty()) {
            let running = self.version.as_deref().unwrap_or_default();
            let words = format!("after the installation of {}, the device runs {running}", firmware.version);
            return Some(Work::Report { step: STEP_NOT_WRITTEN, words });
        }
        let mut after = record.clone();
        self.changes.iter().for_each(|change| change.apply(&mut after));
        self.being_stored = self.changes.len();
        if after == *record {
            self.stored(after, out);
            return None;
        }
        Some(Work::Store(after))
    }

    /// The record was read. `Err`: it cannot be read now.
    pub fn loaded(&mut self, found: std::result::Result<Found, StorageError>, now: u64, out: &mut Out) {
        match found {
            Err(failure) => self.failed(&failure, now, out),
            Ok(_) if self.record.is_some() => {}
            Ok(found) => {
                let record = match found {
                    Found::Record(record) => record,
                    Found::Nothing => Box::default(),
                    Found::Broken(words) => {
                        let words = format!("{words}; what it said of updates is forgotten");
                        out.tell(self.event(EventKind::Ota, Status::ENOS_ERR_STORAGE, words));
                        Box::default()
                    }
                };
                let taken = record.taken.iter().filter(|(phase, _)| *phase == Phase::Verified);
                let offers: Vec<Firmware> = taken.map(|(_, firmware)| firmware).chain(&record.open).cloned().collect();
                self.record = Some(record);
                self.compare(out.actions);
                // What ends here is not an offer any more.
                for firmware in offers {
                    let ends = self.changes.iter().any(|change| match change {
                        Change::End { firmware: other, .. } | Change::Success(other) => firmware.is_same_image(other),
                        _ => false,
                    });
                    if !ends {
                        self.tell_offer(&firmware, Status::ENOS_OK, "", out);
                    }
                }
            }
        }
    }

    /// EnOS will be told of the failed installation, or cannot be told now.
    pub fn told(&mut self, result: Result<()>, now: u64, out: &mut Out) {
        match result {
            Err(error) => self.pause("a failed installation is not reported yet", &error.into(), now, out),
            Ok(()) => self.changes.extend(self.rolled_back.take().map(Change::RolledBack)),
        }
    }

    /// The record is stored.
    pub fn stored(&mut self, record: Box<Update>, out: &mut Out) {
        self.backoff.reset();
        self.record = Some(record);
        for change in self.changes.drain(..self.being_stored.min(self.changes.len())).collect::<Vec<_>>() {
            match change {
                Change::Offer { firmware, reply } => {
                    out.answers.extend(answered(reply, envelope::CODE_OK, ""));
                    self.tell_offer(&firmware, Status::ENOS_OK, "", out);
                }
                Change::End { .. } => {}
                Change::Success(firmware) => {
                    let words = format!("{} runs after its installation", firmware.version);
                    self.tell(EventKind::Ota, &firmware, Status::ENOS_OK, words, out);
                }
                Change::RolledBack(firmware) => {
                    let version = self.version.as_deref().unwrap_or_default();
                    let words = format!("{version} runs after the installation of {}", firmware.version);
                    self.tell(EventKind::Ota, &firmware, Status::ENOS_ERR_NOT_INSTALLED, words, out);
                }
            }
        }
        self.being_stored = 0;
    }

    /// The storage cannot be used now. Offers are refused, because EnOS waits for their answers. Other changes are tried
    /// again.
    pub fn failed(&mut self, failure: &StorageError, now: u64, out: &mut Out) {
        self.being_stored = 0;
        self.pause("the record of firmware updates waits for its storage", failure, now, out);
        let (offers, others) =
            std::mem::take(&mut self.changes).into_iter().partition(|it| matches!(it, Change::Offer { .. }));
        self.changes = others;
        let offers: Vec<Change> = offers;
        for change in offers {
            let Change::Offer { firmware, reply } = change else { continue };
            out.answers.extend(answered(reply, command::CODE_FAILED, "the device cannot store the offer"));
            let words = format!("the offer could not be stored: {}", failure.message);
            self.tell_offer(&firmware, failure.status, &words, out);
        }
    }

    /// What has failed is tried again later.
    fn pause(&mut self, what: &str, failure: &StorageError, now: u64, out: &mut Out) {
        let wait = self.backoff.next(out.rng).max(AGAIN_MIN_MS);
        self.again_at = Some(now.saturating_add(wait));
        let words = format!("{what}: {} (code {})", failure.message, failure.code);
        out.actions.push_back(Action::Log(Level::Warn, words));
    }

    fn tell_offer(&self, firmware: &Firmware, status: Status, words: &str, out: &mut Out) {
        let state = self.state_of(firmware).name();
        let words = match words {
            "" => format!("EnOS offers {}, {} bytes ({state})", firmware.version, firmware.size),
            words => words.to_owned(),
        };
        self.tell(EventKind::OtaOffer, firmware, status, words, out);
    }

    fn tell(&self, kind: EventKind, firmware: &Firmware, status: Status, words: String, out: &mut Out) {
        let offer = Offer { firmware: firmware.clone(), subdevice: self.id, state: self.state_of(firmware) };
        out.tell(Event { firmware: Some(Arc::new(offer)), ..self.event(kind, status, words) });
    }

    fn state_of(&self, firmware: &Firmware) -> FirmwareState {
        self.record.as_ref().map_or(FirmwareState::Offered, |record| record.state_of(firmware))
    }

    fn event(&self, kind: EventKind, status: Status, words: String) -> Event {
        Event { subdevice: self.id, user: self.user, ..Event::new(kind, status, words) }
    }
}

fn answered(reply: Option<ReplyTo>, code: i32, words: &'static str) -> Answered {
    reply.map(|reply| (reply, code, words))
}
