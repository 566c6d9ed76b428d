//! Firmware updates: the host's calls, and the record in the host's storage.
//!
//! The lock of the updates is held while a record is read, stored and put into the session, so that a call of the host
//! and the loop never store an older record over a newer one. It is taken before the lock of the queues.

use std::sync::MutexGuard;

use super::{broken, now, Client, HostRequest};
use crate::error::{Error, Result};
use crate::model::flags::Flag;
use crate::model::storage::StorageError;
use crate::protocol::update::Phase;
use crate::protocol::{Firmware, Identity, Operation, Update};
use crate::session::ota::{Found, Work, Worked, STEP_NOT_DOWNLOADED, STEP_REFUSED};
use crate::storage::record::Role;
use crate::storage::records::{Records, Value};
use crate::storage::update;

/// How many pieces of work are done before a call: reading the record, reporting a failure, storing what has changed.
const PIECES: usize = 8;

/// A piece of work that was done.
#[derive(PartialEq, Eq)]
enum Piece {
    Storage,
    Report,
}

impl Client {
    /// Tells EnOS of an update: 0 to 100 percent, or a negative number for a refusal or a failure, which ends the offer. It
    /// survives a restart if there is a storage. `accepted` gets the token before any event of it can be delivered.
    pub fn report_update(
        &self,
        subdevice: u64,
        firmware: &Firmware,
        step: i32,
        words: &str,
        accepted: &mut dyn FnMut(u64),
    ) -> Result<()> {
        if step > 100 {
            return Err(Error::invalid(format!("step is {step}; it can be 0 to 100, or negative for a failure")));
        }
        self.report_step(subdevice, step, words, accepted)?;
        if step < 0 {
            // The report is accepted, so what follows is no error of the call: it is tried again in the loop.
            let failed = !matches!(step, STEP_REFUSED | STEP_NOT_DOWNLOADED);
            let _ = self.tell(|session, now| {
                session.firmware_ended(now, subdevice, firmware, failed);
                Ok(())
            });
            drop(self.use_record(subdevice));
        }
        Ok(())
    }

    fn report_step(&self, subdevice: u64, step: i32, words: &str, accepted: &mut dyn FnMut(u64)) -> Result<()> {
        let params = serde_json::json!({ "step": step.to_string(), "desc": words }).to_string();
        let flags = match self.queues {
            Some(_) => Flag::ENOS_REQUEST_DURABLE as u32 | Flag::ENOS_REQUEST_UNTIL_REPLY as u32,
            None => 0,
        };
        let request = HostRequest {
            operation: Operation::ENOS_OP_OTA_PROGRESS,
            subdevice,
            flags,
            name: "",
            params: Some(params.as_bytes()),
            timeout_ms: 0,
            user: 0,
        };
        self.request(&request, accepted)
    }

    /// The firmware is installed, and the next start runs it. When this returns, the storage has it.
    pub fn firmware_installed(&self, subdevice: u64, firmware: &Firmware) -> Result<()> {
        self.take_firmware(subdevice, Phase::Installed, firmware)
    }

    /// The whole image is there, and its size and its digest are right. When this returns, the storage has it.
    #[cfg(feature = "ota")]
    pub fn firmware_verified(&self, subdevice: u64, firmware: &Firmware) -> Result<()> {
        self.take_firmware(subdevice, Phase::Verified, firmware)
    }

    /// Whether a download of this firmware may write to the slot of the device. `ENOS_ERR_STATE` if not.
    #[cfg(feature = "ota")]
    pub fn may_download(&self, subdevice: u64, firmware: &Firmware, retry_failed: bool) -> Result<()> {
        let _updates = self.use_record(subdevice)?;
        self.session()?.may_download(subdevice, firmware, retry_failed)
    }

    /// Tells the host something of a download, in the loop.
    #[cfg(feature = "ota")]
    pub fn tell_of_download(&self, event: crate::session::Event) -> Result<()> {
        self.tell(|session, _| {
            session.tell_host(event);
            Ok(())
        })
    }

    fn take_firmware(&self, subdevice: u64, phase: Phase, firmware: &Firmware) -> Result<()> {
        let _updates = self.use_record(subdevice)?;
        let (identity, record) = self.session()?.plan_firmware(subdevice, phase, firmware)?;
        store(self.records_of(&identity)?, &record)?;
        self.session()?.firmware_taken(subdevice, phase, firmware);
        Ok(())
    }

    /// Locks the updates, and brings the record of the device up to date. It is read if it was not read before.
    fn use_record(&self, subdevice: u64) -> Result<MutexGuard<'_, ()>> {
        let updates = self.updates.lock().map_err(|_| broken())?;
        self.session()?.knows_firmware_of(subdevice)?;
        for _ in 0..PIECES {
            if self.do_piece(subdevice, true).is_none() {
                break;
            }
        }
        self.waker.notify();
        Ok(updates)
    }

    /// Does what the session wants for the record of a device.
    pub(super) fn work_on_update(&self, subdevice: u64) {
        if let Ok(_updates) = self.updates.lock() {
            let reported = self.do_piece(subdevice, false) == Some(Piece::Report);
            if reported {
                // Before the report is sent: otherwise, after a power cut, it would be sent twice.
                self.do_piece(subdevice, false);
            }
        }
    }

    /// `None` without a storage.
    fn records_of(&self, identity: &Identity) -> Result<Option<Records>> {
        let queues = self.queues.as_ref().map(|queues| queues.lock().map_err(|_| broken())).transpose()?;
        Ok(queues.map(|queues| queues.records_of(identity)))
    }

    /// Does the next piece of work. `None` if there is none, or it has failed.
    fn do_piece(&self, subdevice: u64, force: bool) -> Option<Piece> {
        let work = self.session().ok().and_then(|mut session| session.ota_work(now(), subdevice, force));
        let (identity, work) = work?;
        let records = || Ok(self.records_of(&identity)?);
        let (piece, worked) = match work {
            Work::Load => (Piece::Storage, Worked::Loaded(records().and_then(load))),
            Work::Report { step, words } => {
                (Piece::Report, Worked::Reported(self.report_step(subdevice, step, &words, &mut |_| {})))
            }
            Work::Store(record) => {
                let stored = records().and_then(|records| store(records, &record));
                (Piece::Storage, Worked::Stored(stored.map(|()| record)))
            }
        };
        let failed = matches!(worked, Worked::Loaded(Err(_)) | Worked::Reported(Err(_)) | Worked::Stored(Err(_)));
        if let Ok(mut session) = self.session() {
            session.ota_worked(now(), subdevice, worked);
        }
        (!failed).then_some(piece)
    }
}

fn load(records: Option<Records>) -> std::result::Result<Found, StorageError> {
    let Some(records) = records else { return Ok(Found::Nothing) };
    Ok(match records.look(Role::Ota)? {
        Value::None => Found::Nothing,
        Value::Whole(data) => match update::decode(&data) {
            Ok(record) => Found::Record(Box::new(record)),
            Err(error) => Found::Broken(format!("the record of firmware updates: {error}")),
        },
        Value::Broken { words, .. } => Found::Broken(words),
    })
}

fn store(records: Option<Records>, record: &Update) -> std::result::Result<(), StorageError> {
    let Some(records) = records else { return Ok(()) };
    match record.is_empty() {
        true => records.erase(Role::Ota),
        false => records.store(Role::Ota, &update::encode(record)),
    }
}
