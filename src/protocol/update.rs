//! What a device has to remember of its firmware updates across a restart.

use super::Firmware;
use crate::error::{Error, Result, Status};
use crate::model::firmware::FirmwareState;

/// How far a firmware that was taken has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The whole image is there, and its size and its digest are right.
    Verified,
    /// The next start runs it.
    Installed,
}

/// The record of one device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// The newest offer that was neither taken nor refused.
    pub open: Option<Firmware>,
    /// What is in the slot of the device. Nothing else may be written there.
    pub taken: Option<(Phase, Firmware)>,
    /// The image that has failed last.
    pub failed: Option<Firmware>,
}

impl Update {
    pub fn is_empty(&self) -> bool {
        *self == Update::default()
    }

    pub fn state_of(&self, firmware: &Firmware) -> FirmwareState {
        match &self.taken {
            Some((Phase::Verified, taken)) if taken.is_same_image(firmware) => FirmwareState::Verified,
            Some((Phase::Installed, taken)) if taken.is_same_image(firmware) => FirmwareState::Installed,
            _ if is(&self.failed, firmware) => FirmwareState::Failed,
            _ => FirmwareState::Offered,
        }
    }

    /// Whether a download of this firmware may write to the slot. A verified one may be verified once more: the last time,
    /// the host may not have been told. `retry_failed`: the host wants it although it has failed before.
    pub fn may_download(&self, firmware: &Firmware, retry_failed: bool) -> Result<()> {
        let state = |words| Err(Error::new(Status::ENOS_ERR_STATE, words));
        match (self.state_of(firmware), &self.taken) {
            (FirmwareState::Verified, _) => Ok(()),
            (FirmwareState::Installed, _) => state("this firmware is installed, and waits for the restart"),
            (_, Some(_)) => state(
                "another firmware is verified or installed; until that one is installed and has been started, or has \
                 failed, no other is written to its slot",
            ),
            (FirmwareState::Failed, None) if !retry_failed => {
                state("this very image has failed before; it is not taken again unless you ask for that")
            }
            (FirmwareState::Failed | FirmwareState::Offered, None) => Ok(()),
        }
    }

    pub fn offer(&mut self, firmware: &Firmware) {
        let is_taken = self.taken.as_ref().is_some_and(|(_, taken)| taken.is_same_image(firmware));
        if !is_taken {
            self.open = Some(firmware.clone());
        }
    }

    pub fn take(&mut self, phase: Phase, firmware: &Firmware) {
        self.open.take_if(|open| open.is_same_image(firmware));
        self.taken = Some((phase, firmware.clone()));
    }

    /// It was refused or given up, or it has failed.
    pub fn end(&mut self, firmware: &Firmware, failed: bool) {
        self.open.take_if(|open| open.is_same_image(firmware));
        self.taken.take_if(|(_, taken)| taken.is_same_image(firmware));
        if failed {
            self.failed = Some(firmware.clone());
        }
    }

    /// It runs.
    pub fn succeed(&mut self, firmware: &Firmware) {
        self.end(firmware, false);
        self.failed.take_if(|failed| failed.is_same_image(firmware));
    }
}

fn is(one: &Option<Firmware>, firmware: &Firmware) -> bool {
    one.as_ref().is_some_and(|one| one.is_same_image(firmware))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub fn firmware(version: &str) -> Firmware {
        Firmware {
            version: version.into(),
            url: format!("/ota/{version}"),
            sign_method: "md5".into(),
            sign: "0cc175b9c0f1b6a831c399e269772661".into(),
            size: 1024,
        }
    }

    /// Each call in each record: what becomes of it.
    #[test]
    fn a_slot_is_not_written_to_until_it_is_free() {
        use FirmwareState as State;
        let (a, b) = (firmware("a"), firmware("b"));
        let mut update = Update::default();
        let may = |update: &Update, firmware| [false, true].map(|retry| update.may_download(firmware, retry).is_ok());
        assert_eq!((update.state_of(&a), may(&update, &a)), (State::Offered, [true; 2]));
        update.offer(&a);
        update.take(Phase::Verified, &a);
        update.offer(&b);
        assert_eq!([&a, &b].map(|it| update.state_of(it)), [State::Verified, State::Offered]);
        assert_eq!([&a, &b].map(|it| may(&update, it)), [[true; 2], [false; 2]]);
        // The offer of what is taken is not another one.
        update.offer(&a);
        assert_eq!(update.open, Some(b.clone()));
        update.take(Phase::Installed, &a);
        assert_eq!([&a, &b].map(|it| update.state_of(it)), [State::Installed, State::Offered]);
        assert_eq!([&a, &b].map(|it| may(&update, it)), [[false; 2]; 2]);
        let mut succeeded = update.clone();
        succeeded.succeed(&a);
        assert_eq!(succeeded, Update { open: Some(b.clone()), ..Update::default() });
        update.end(&a, true);
        assert_eq!([&a, &b].map(|it| update.state_of(it)), [State::Failed, State::Offered]);
        assert_eq!([&a, &b].map(|it| may(&update, it)), [[false, true], [true; 2]]);
        update.end(&b, false);
        assert_eq!(update, Update { failed: Some(a.clone()), ..Update::default() });
        update.take(Phase::Verified, &a);
        update.succeed(&a);
        assert!(update.is_empty());
    }
}
