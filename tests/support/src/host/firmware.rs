//! Firmware that is offered, and the calls about it.

use std::ffi::{c_char, CStr, CString};
use std::fmt;
use std::ptr::{null, null_mut};

use enos::internals::error::Status;
use enos::internals::ffi::firmware::*;
use enos::internals::ffi::update::*;
use enos::internals::ffi::value::enos_value;

use super::client::token;
use super::{ok, status, text, Client, Setup};

pub use enos::internals::model::firmware::enos_firmware_state as FirmwareState;

/// A firmware of the test's own.
pub struct Firmware(*mut enos_firmware);

// SAFETY: the functions of a firmware are pure.
unsafe impl Send for Firmware {}
// SAFETY: as above.
unsafe impl Sync for Firmware {}

// Every SAFETY below: the handle is valid until the firmware is dropped; texts live across the call.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Firmware {
    pub fn parse(json: &str, subdevice: u64) -> Result<Firmware, Status> {
        let (value, mut out) = (enos_value { text: json.as_ptr().cast(), len: json.len() }, null_mut());
        match status(unsafe { enos_firmware_parse(value, subdevice, &mut out) }) {
            Status::ENOS_OK => Ok(Firmware(out)),
            error => Err(error),
        }
    }

    /// A copy of the firmware of an event.
    pub(super) fn copy(firmware: *const enos_firmware) -> Option<Firmware> {
        if firmware.is_null() {
            return None;
        }
        let mut out = null_mut();
        ok(unsafe { enos_firmware_copy(firmware, &mut out) });
        Some(Firmware(out))
    }

    pub fn handle(&self) -> *const enos_firmware {
        self.0
    }

    pub fn version(&self) -> String {
        text(unsafe { enos_firmware_version(self.0) })
    }

    pub fn url(&self) -> String {
        text(unsafe { enos_firmware_url(self.0) })
    }

    pub fn sign_method(&self) -> String {
        text(unsafe { enos_firmware_sign_method(self.0) })
    }

    pub fn sign(&self) -> String {
        text(unsafe { enos_firmware_sign(self.0) })
    }

    pub fn size(&self) -> u64 {
        unsafe { enos_firmware_size(self.0) }
    }

    pub fn subdevice(&self) -> u64 {
        unsafe { enos_firmware_subdevice(self.0) }
    }

    pub fn state(&self) -> FirmwareState {
        let state = unsafe { enos_firmware_get_state(self.0) };
        FirmwareState::from_number(state).unwrap_or_else(|| panic!("state {state}"))
    }
}

impl Drop for Firmware {
    fn drop(&mut self) {
        // SAFETY: made by the library, freed once.
        unsafe { enos_firmware_free(self.0) }
    }
}

impl Clone for Firmware {
    fn clone(&self) -> Firmware {
        Firmware::copy(self.0).unwrap()
    }
}

impl PartialEq for Firmware {
    fn eq(&self, other: &Firmware) -> bool {
        let all = |it: &Firmware| (it.version(), it.url(), it.sign_method(), it.sign(), it.size(), it.subdevice());
        all(self) == all(other) && self.state() == other.state()
    }
}

impl fmt::Debug for Firmware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.version(), self.state().name())
    }
}

// Every SAFETY below: the handles are valid; the text lives across the call.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Client {
    /// Returns the token.
    pub fn ota_report(self, firmware: &Firmware, step: i32, desc: Option<&str>) -> Result<u64, Status> {
        let desc: Option<CString> = desc.map(|desc| CString::new(desc).unwrap());
        let desc: *const c_char = desc.as_deref().map_or(null(), CStr::as_ptr);
        token(|out| unsafe { enos_ota_report(self.handle(), firmware.handle(), step, desc, out) })
    }

    pub fn ota_installed(self, firmware: &Firmware) -> Status {
        status(unsafe { enos_ota_installed(self.handle(), firmware.handle()) })
    }
}

impl Setup {
    pub fn firmware_version(self, version: &str) -> Setup {
        let version = CString::new(version).unwrap();
        // SAFETY: a config and a text.
        self.set(|config| unsafe { enos_config_set_firmware_version(config, version.as_ptr()) })
    }
}
