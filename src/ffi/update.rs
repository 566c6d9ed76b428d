//! Firmware updates. EnOS offers a firmware with the command ota/device/upgrade, or in the reply to
//! ENOS_OP_OTA_VERSION_QUERY. The library stores the offer, tells EnOS that it has arrived, and gives it to you as
//! ENOS_EVENT_OTA_OFFER. You decide, now or after a restart:
//!
//!   - take it: fetch the image yourself (fileUrl, size and digest are in the firmware), check it and install it. Then
//!     call enos_ota_installed() and restart;
//!   - refuse it: enos_ota_report() with step -5.
//!
//! EnOS offers a firmware only to a device that has reported its version. With enos_config_set_firmware_version() the
//! library reports it at the first CONNECTED, and once more on a later link if EnOS has not answered. Otherwise send
//! ENOS_OP_OTA_VERSION_REPORT yourself after each start. For a sub-device do that each time that it has started.
//!
//! When a version is reported, the library compares it with what was installed before. If they are equal, that is the
//! success of the update, for EnOS as well. If another version runs, the library tells EnOS step -4 once, and remembers
//! the image as one that has failed. Either comes as ENOS_EVENT_OTA with token 0. For the client's own device this
//! counts from the first client on that is created after the one that was told enos_ota_installed(). For a sub-device
//! each report after that counts.
//!
//! The newest offer replaces the one before it. While a firmware is verified or installed, its slot is not free: a newer
//! offer is told and stored, but no download of it begins until the first one runs or has failed. An offer of the
//! version that runs is not told; the library reports the version again, which ends the task of EnOS.
//!
//! Without a storage (enos_config_set_storage()) all of this is remembered only until the client is destroyed.
//! docs/ota.md has examples for a downloader of your own, RAUC and SWUpdate.

use std::ffi::c_char;

use super::config::{enos_config, set};
use super::firmware::enos_firmware;
use super::guard::on_client;
use super::handle::{enos_client, Boxed};
use super::input::{optional_text, text};
use super::request::token_out;
use super::status::enos_status;

/// Sets the version of the firmware that runs. The client reports it to EnOS at its first CONNECTED.
///
/// @param config   the config.
/// @param version  1 to 512 bytes, without control characters. Default: none; the client reports no version.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  not such a text.
#[no_mangle]
pub unsafe extern "C" fn enos_config_set_firmware_version(
    config: *mut enos_config,
    version: *const c_char,
) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { set(config, |c| c.config.set_firmware_version(text(version, "version")?)) }
}

/// Tells EnOS how an update goes, with ENOS_OP_OTA_PROGRESS. If there is a storage, the report is durable, and waits for
/// EnOS's answer; it replaces an older report of the same device that was not sent yet (ENOS_ERR_SUPERSEDED). A refusal
/// or a failure ends the offer: it is not told again, and its slot is free. After a failure other than -2, which is not
/// the fault of the image, the same image has the state ENOS_FIRMWARE_FAILED when it is offered again.
///
/// @param client     the client.
/// @param firmware   the firmware, of the client's own device or of a sub-device.
/// @param step       0 to 100: percent. -5: you do not want it. Other negative numbers are failures: -1 any, -2 the
///                   download, -3 the verification, -4 the writing; the others are yours.
/// @param desc       words for EnOS's console; may be NULL.
/// @param out_token  receives the token; may be NULL.
/// @retval ENOS_OK               accepted: REPLY will come with the token.
/// @retval ENOS_ERR_STATE        there is no storage, and the device is not online.
/// @retval ENOS_ERR_QUEUE_FULL   too many calls have no outcome yet, or the outbox is full.
/// @retval ENOS_ERR_STORAGE      your storage does not take the report.
/// @retval ENOS_ERR_NOT_FOUND    the client has no such sub-device.
/// @retval ENOS_ERR_UNSUPPORTED  the client is an integration channel.
/// @retval ENOS_ERR_TOO_LARGE    desc is too long for a message.
/// @retval ENOS_ERR_INVALID_ARG  step is more than 100, or desc is not UTF-8.
#[no_mangle]
pub unsafe extern "C" fn enos_ota_report(
    client: *mut enos_client,
    firmware: *const enos_firmware,
    step: i32,
    desc: *const c_char,
    out_token: *mut u64,
) -> enos_status {
    let body = |client: &std::sync::Arc<crate::client::Client>| {
        // SAFETY: the header's contract.
        let firmware = unsafe { enos_firmware::borrow(firmware, "firmware") }?;
        // SAFETY: likewise.
        let words = unsafe { optional_text(desc, "desc") }?.unwrap_or_default();
        // SAFETY: likewise.
        let mut accepted = unsafe { token_out(out_token) };
        client.report_update(firmware.subdevice(), firmware.firmware(), step, words, &mut accepted)
    };
    // SAFETY: the header's contract.
    unsafe { on_client(client, body) }
}

/// Says that a firmware is installed, and that the next start of the device runs it. Call it right before the restart.
/// When it returns ENOS_OK, the storage has it, and the version that is reported after the restart decides (see above).
///
/// @param client    the client.
/// @param firmware  the firmware, of the client's own device or of a sub-device.
/// @retval ENOS_OK             done.
/// @retval ENOS_ERR_STORAGE    your storage does not take it. Call it again before you restart.
/// @retval ENOS_ERR_NOT_FOUND  the client has no such sub-device.
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn enos_ota_installed(client: *mut enos_client, firmware: *const enos_firmware) -> enos_status {
    let body = |client: &std::sync::Arc<crate::client::Client>| {
        // SAFETY: the header's contract.
        let firmware = unsafe { enos_firmware::borrow(firmware, "firmware") }?;
        client.firmware_installed(firmware.subdevice(), firmware.firmware())
    };
    // SAFETY: the header's contract.
    unsafe { on_client(client, body) }
}
