//! A firmware that EnOS offers. Offers come as ENOS_EVENT_OTA_OFFER; see the chapter on firmware updates. The functions
//! of this chapter are pure: any thread may call them, also in an event callback.

use std::ffi::{c_char, CString};
use std::sync::Arc;

use super::guard::{getter, guard};
use super::handle::Boxed;
use super::output::Out;
use super::status::enos_status;
use super::value::{enos_value, view};
use crate::error::{Error, Result, Status};
use crate::model::firmware::FirmwareState;
use crate::protocol::Firmware;
use crate::session::ota::Offer;

/// A firmware: opaque. One from enos_firmware_parse() or enos_firmware_copy() is yours until enos_firmware_free(); one
/// in an event belongs to the library until the callback returns.
pub struct enos_firmware {
    offer: Arc<Offer>,
    version: CString,
    url: CString,
    sign_method: CString,
    sign: CString,
}

impl Boxed for enos_firmware {}

impl enos_firmware {
    pub(super) fn new(offer: Arc<Offer>) -> Result<enos_firmware> {
        let c = |text: &str| {
            CString::new(text).map_err(|_| Error::new(Status::ENOS_ERR_PARSE, "the firmware holds a NUL character"))
        };
        let Firmware { version, url, sign_method, sign, .. } = &offer.firmware;
        Ok(enos_firmware { version: c(version)?, url: c(url)?, sign_method: c(sign_method)?, sign: c(sign)?, offer })
    }

    #[cfg(feature = "ota")]
    pub(super) fn offer(&self) -> &Arc<Offer> {
        &self.offer
    }

    pub(super) fn firmware(&self) -> &Firmware {
        &self.offer.firmware
    }

    /// 0: the client's own device.
    pub(super) fn subdevice(&self) -> u64 {
        self.offer.subdevice
    }
}

/// Reads from a firmware; `nothing` for NULL.
///
/// # Safety
/// `firmware` is NULL or a handle as the header describes it.
unsafe fn look<T: Copy>(firmware: *const enos_firmware, nothing: T, read: impl FnOnce(&enos_firmware) -> T) -> T {
    // SAFETY: the caller's promise.
    getter(nothing, || unsafe { enos_firmware::borrow(firmware, "firmware") }.map_or(nothing, read))
}

/// Reads a firmware from JSON: an element of "data" in the reply to ENOS_OP_OTA_VERSION_QUERY, which also comes as
/// ENOS_EVENT_OTA_OFFER, or one that you have stored. The state of the result is ENOS_FIRMWARE_OFFERED.
///
/// @param value      an object with the texts version, fileUrl (up to 8192 bytes), signMethod and sign, none of them
///                   empty, and fileSize, a number or a text.
/// @param subdevice  the sub-device that it is for; 0: the client's own device.
/// @param out        receives the firmware, yours to free with enos_firmware_free().
/// @retval ENOS_OK             done.
/// @retval ENOS_ERR_NOT_FOUND  the value is missing.
/// @retval ENOS_ERR_PARSE      it is not such an object.
#[no_mangle]
pub unsafe extern "C" fn enos_firmware_parse(
    value: enos_value,
    subdevice: u64,
    out: *mut *mut enos_firmware,
) -> enos_status {
    guard(|| {
        // SAFETY: the header's contract.
        let out = unsafe { Out::new(out, "out") }?;
        // SAFETY: likewise.
        let json = unsafe { view(&value) }.map_err(|(status, words)| Error::new(status, words))?;
        let firmware = Firmware::parse(json)?;
        let offer = Offer { firmware, subdevice, state: FirmwareState::Offered };
        out.set(enos_firmware::new(Arc::new(offer))?.give());
        Ok(())
    })
}

/// The version.
///
/// @param firmware  may be NULL.
/// @return  a text that is valid as long as the firmware; NULL for NULL.
#[no_mangle]
pub unsafe extern "C" fn enos_firmware_version(firmware: *const enos_firmware) -> *const c_char {
    // SAFETY: the header's contract.
    unsafe { look(firmware, std::ptr::null(), |it| it.version.as_ptr()) }
}

/// Where the image is, as EnOS says it. It is often relative to the HTTP address of your EnOS environment, and may be
/// valid for a short time only.
///
/// @param firmware  may be NULL.
/// @return  a text that is valid as long as the firmware; NULL for NULL.
#[no_mangle]
pub unsafe extern "C" fn enos_firmware_url(firmware: *const enos_firmware) -> *const c_char {
    // SAFETY: the header's contract.
    unsafe { look(firmware, std::ptr::null(), |it| it.url.as_ptr()) }
}

/// How the digest is computed, as EnOS says it: "md5" or "sha256", in any case.
///
/// @param firmware  may be NULL.
/// @return  a text that is valid as long as the firmware; NULL for NULL.
#[no_mangle]
pub unsafe extern "C" fn enos_firmware_sign_method(firmware: *const enos_firmware) -> *const c_char {
    // SAFETY: the header's contract.
    unsafe { look(firmware, std::ptr::null(), |it| it.sign_method.as_ptr()) }
}

/// The digest of the image, in hexadecimal digits of any case.
///
/// @param firmware  may be NULL.
/// @return  a text that is valid as long as the firmware; NULL for NULL.
#[no_mangle]
pub unsafe extern "C" fn enos_firmware_sign(firmware: *const enos_firmware) -> *const c_char {
    // SAFETY: the header's contract.
    unsafe { look(firmware, std::ptr::null(), |it| it.sign.as_ptr()) }
}

/// The size of the image.
///
/// @param firmware  may be NULL.
/// @return  bytes; 0 for NULL.
#[no_mangle]
pub unsafe extern "C" fn enos_firmware_size(firmware: *const enos_firmware) -> u64 {
    // SAFETY: the header's contract.
    unsafe { look(firmware, 0, |it| it.firmware().size) }
}

/// The sub-device that the firmware is for.
///
/// @param firmware  may be NULL.
/// @return  0: the client's own device.
#[no_mangle]
pub unsafe extern "C" fn enos_firmware_subdevice(firmware: *const enos_firmware) -> u64 {
    // SAFETY: the header's contract.
    unsafe { look(firmware, 0, enos_firmware::subdevice) }
}

/// Where the firmware stood when the event came. It does not change later.
///
/// @param firmware  may be NULL.
/// @return  one of enum enos_firmware_state; 0 for NULL.
#[no_mangle]
pub unsafe extern "C" fn enos_firmware_get_state(firmware: *const enos_firmware) -> i32 {
    // SAFETY: the header's contract.
    unsafe { look(firmware, 0, |it| it.offer.state as i32) }
}

/// The name of a state, for logs.
///
/// @param state  every value is accepted.
/// @return       static text, e.g. "OFFERED"; "UNKNOWN" for a value that is no state.
#[no_mangle]
pub extern "C" fn enos_firmware_state_name(state: i32) -> *const c_char {
    getter(c"UNKNOWN", || FirmwareState::from_number(state).map_or(c"UNKNOWN", FirmwareState::c_name)).as_ptr()
}

/// Copies a firmware, for example to keep that of an event.
///
/// @param firmware  the firmware.
/// @param out       receives the copy, yours to free with enos_firmware_free().
/// @retval ENOS_OK  done.
#[no_mangle]
pub unsafe extern "C" fn enos_firmware_copy(
    firmware: *const enos_firmware,
    out: *mut *mut enos_firmware,
) -> enos_status {
    guard(|| {
        // SAFETY: the header's contract.
        let (out, firmware) = unsafe { (Out::new(out, "out")?, enos_firmware::borrow(firmware, "firmware")?) };
        out.set(enos_firmware::new(Arc::clone(&firmware.offer))?.give());
        Ok(())
    })
}

/// Frees a firmware from enos_firmware_parse() or enos_firmware_copy().
///
/// @param firmware  may be NULL: nothing happens.
#[no_mangle]
pub unsafe extern "C" fn enos_firmware_free(firmware: *mut enos_firmware) {
    // SAFETY: the header's contract.
    getter((), || unsafe { enos_firmware::free(firmware) });
}
