//! Downloads of firmware, over HTTP and HTTPS. This is an optional feature of a build (ENOS_FEATURE_OTA). Without it the
//! functions are there, and return ENOS_ERR_UNSUPPORTED.
//!
//! The image goes in blocks of at most 64 KiB to your sink, which writes them to a slot. If a connection is lost, the
//! download continues where it was, also after a restart. When all bytes are there, their number and their digest are
//! compared with the offer. Only if both are right, the sink's verified() is called.
//!
//! The functions of the sink are called on a thread of the library that runs while the download does, one at a time. So
//! a sink may take its time: nothing else waits for it. As in an event callback, all functions of the library may be
//! called in it except for enos_client_destroy(), _loop, _loop_stop, _wait and _flush.
//!
//! ENOS_EVENT_OTA tells the progress, with the token of the download, ENOS_OK and 0 to 99 percent in detail_code; then
//! its one outcome, after which the sink is not used any more:
//!
//!   - ENOS_OK with 100 in detail_code: verified() has returned ENOS_SINK_OK;
//!   - ENOS_ERR_REFUSED: the server answered detail_code, such as 403 or 404. The URL is wrong or has expired. Ask EnOS
//!     again (ENOS_OP_OTA_VERSION_QUERY), or set another URL: what is there is not fetched again;
//!   - ENOS_ERR_CANCELLED: you have cancelled it;
//!   - ENOS_ERR_DIGEST: the file on the server is not the one that was offered;
//!   - ENOS_ERR_STORAGE: the sink failed with detail_code, or your storage does not take that the image is verified;
//!   - ENOS_ERR_NETWORK: there was no new byte in 100 tries, or for a day;
//!   - ENOS_ERR_TLS, ENOS_ERR_PROTOCOL: in 5 tries, the server was not the right one, or its answers were not the image;
//!   - ENOS_ERR_TOO_LARGE: it would take more bytes than max_bytes;
//!   - ENOS_ERR_NO_MEMORY: there is no memory for a block.
//!
//! EnOS is told the progress in steps of about 5 percent, and a failure (-2, -3 or -4), which ends the offer, as
//! enos_ota_report() does. After ENOS_ERR_REFUSED and ENOS_ERR_CANCELLED it is told nothing: download again, or give the
//! firmware up with enos_ota_report().
//!
//! The server is checked with the authorities of enos_config_set_tls(). Its name is always checked. If it asks for a
//! certificate, it is shown the device's. Redirects are followed, without your headers if they lead to another server,
//! and never from https:// to http://. The environment variables for proxies of libcurl count.

use std::ffi::{c_char, c_void};
use std::mem::size_of;

use super::firmware::enos_firmware;
use super::guard::on_client;
use super::handle::enos_client;
use super::input::Versioned;
use super::status::enos_status;

#[cfg(not(feature = "ota"))]
mod absent;
#[cfg(feature = "ota")]
mod present;
#[cfg(feature = "ota")]
mod sink;

#[cfg(not(feature = "ota"))]
use absent as build;
#[cfg(feature = "ota")]
use present as build;

/// What a function of a sink returns. On failure, it returns a negative number of your own instead.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "ota"), allow(dead_code, reason = "they are in the header of every build"))]
pub enum enos_sink_result {
    /// Done.
    ENOS_SINK_OK = 0,
    /// It is not done yet. Call enos_ota_continue() when it is, from any thread. Meanwhile the download waits.
    ENOS_SINK_LATER = 1,
}

/// Where the image goes: functions of yours. They must not unwind and not longjmp. The struct itself is copied; ctx is
/// yours, and has to be valid until the outcome, or until enos_client_destroy() has returned ENOS_OK.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct enos_ota_sink {
    /// sizeof(enos_ota_sink); ENOS_INIT() sets it.
    pub struct_size: usize,
    /// Passed to each function; may be NULL.
    pub ctx: *mut c_void,
    /// Called once, first. Write to `*resume_at` how many bytes of this image (version, size and digest) the slot has from
    /// an earlier download, before you return; 0, which is there already: none. They are read back for the digest, and the
    /// download continues behind them. Must not be NULL.
    pub begin:
        Option<unsafe extern "C" fn(ctx: *mut c_void, firmware: *const enos_firmware, resume_at: *mut u64) -> i32>,
    /// Writes the `len` bytes at `data`, 1 to 65536, to the slot. Blocks come in order. A block ends at a multiple of
    /// 65536 bytes of the image, at its end, or where a connection was lost. `offset` 0 begins anew: all bytes that are
    /// there are given up. The data is valid until the function returns: copy it before you return ENOS_SINK_LATER. If
    /// this returns ENOS_SINK_OK, begin() may count these bytes after a power cut only if they have survived it. Must not
    /// be NULL.
    pub block: Option<unsafe extern "C" fn(ctx: *mut c_void, offset: u64, data: *const u8, len: usize) -> i32>,
    /// Reads `len` bytes back, 1 to 65536, of those that begin() has counted. ENOS_SINK_LATER is not possible here. Must
    /// not be NULL.
    pub read: Option<unsafe extern "C" fn(ctx: *mut c_void, offset: u64, buffer: *mut u8, len: usize) -> i32>,
    /// The image is complete, and its size and digest are right. Your storage has that, so that it is not forgotten by a
    /// power cut: then another download of this firmware reads it back, and calls this again. Install it here, or
    /// later. Until enos_ota_installed(), or enos_ota_report() with a failure, no other download of this device begins.
    /// Must not be NULL.
    pub verified: Option<unsafe extern "C" fn(ctx: *mut c_void, firmware: *const enos_firmware) -> i32>,
    /// The last call if the download fails: release what the slot occupies. With ENOS_ERR_CANCELLED and ENOS_ERR_REFUSED
    /// you may keep it for the next download. May be NULL. Not called if verified() has returned ENOS_SINK_OK.
    pub failed: Option<unsafe extern "C" fn(ctx: *mut c_void, firmware: *const enos_firmware, status: enos_status)>,
}

// SAFETY: repr(C), begins with its size; zero is a valid value of each field.
unsafe impl Versioned for enos_ota_sink {
    const NAME: &'static str = "enos_ota_sink";
    const V0_1: usize = size_of::<enos_ota_sink>();
}

/// How a download is made.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct enos_ota_options {
    /// sizeof(enos_ota_options); ENOS_INIT() sets it.
    pub struct_size: usize,
    /// In place of the offer's: http:// or https://, up to 8192 bytes. The offer's URL may be only a path, or have
    /// expired. NULL: the offer's.
    pub url: *const c_char,
    /// Up to 32 lines "Name: value" for the server of the URL, each up to 8192 bytes; the last pointer is NULL. NULL:
    /// none.
    pub headers: *const *const c_char,
    /// How much may be fetched over all tries. 0: three times the size of the image.
    pub max_bytes: u64,
    /// 1000 to 1000000000. 0: no limit.
    pub bytes_per_s: u32,
    /// A set of enum enos_ota_flags.
    pub flags: u32,
    /// A connection is given up when it has brought fewer than 16 bytes a second for so long: 5 to 3600 seconds. 0: 60.
    pub stall_s: u32,
    /// 0.
    pub reserved: u32,
}

// SAFETY: repr(C), begins with its size; zero is a valid value of each field.
unsafe impl Versioned for enos_ota_options {
    const NAME: &'static str = "enos_ota_options";
    const V0_1: usize = size_of::<enos_ota_options>();
}

/// Flags of enos_ota_options.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "ota"), allow(dead_code, reason = "they are in the header of every build"))]
pub enum enos_ota_flags {
    /// Also an image that has failed before (ENOS_FIRMWARE_FAILED).
    ENOS_OTA_RETRY_FAILED = 0x1,
}

/// Begins to download a firmware. A client has one download at a time. It goes on whether the client is connected or
/// not. Storage callbacks may run inside this call.
///
/// @param client     the client.
/// @param firmware   the firmware, of the client's own device or of a sub-device; copied.
/// @param sink       made with ENOS_INIT(); copied.
/// @param options    made with ENOS_INIT(), and copied; NULL: the defaults.
/// @param out_token  receives the token, before the sink is called; may be NULL.
/// @retval ENOS_OK               begun: the outcome will come with the token.
/// @retval ENOS_ERR_STATE        another download is under way; another firmware of this device is verified or
///                               installed; or this image is installed, or has failed before and flags does not have
///                               ENOS_OTA_RETRY_FAILED.
/// @retval ENOS_ERR_UNSUPPORTED  this build has no downloads, or no TLS, which the URL needs; libcurl does not use
///                               libenos's OpenSSL; or the digest is neither MD5 nor SHA-256.
/// @retval ENOS_ERR_INVALID_ARG  the URL does not begin with http:// or https://, or an option is out of its range.
/// @retval ENOS_ERR_NULL_ARG     a function of the sink that must not be NULL is.
/// @retval ENOS_ERR_NOT_FOUND    the client has no such sub-device.
/// @retval ENOS_ERR_STORAGE      your storage does not let the record of the updates be read.
/// @retval ENOS_ERR_NO_MEMORY    no thread can be started.
/// @retval ENOS_ERR_STRUCT_SIZE  sink or options was not made with ENOS_INIT().
#[no_mangle]
pub unsafe extern "C" fn enos_ota_download(
    client: *mut enos_client,
    firmware: *const enos_firmware,
    sink: *const enos_ota_sink,
    options: *const enos_ota_options,
    out_token: *mut u64,
) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { on_client(client, |client| build::download(client, firmware, sink, options, out_token)) }
}

/// Finishes a call of the sink that has returned ENOS_SINK_LATER, or is about to. Any thread may call this.
///
/// @param client  the client.
/// @param token   the download's.
/// @param result  ENOS_SINK_OK, or a negative number of yours: then the download has failed.
/// @retval ENOS_OK               the download continues.
/// @retval ENOS_ERR_STATE        it waits for no answer.
/// @retval ENOS_ERR_NOT_FOUND    there is no such download, or it has had its outcome.
/// @retval ENOS_ERR_INVALID_ARG  result is more than 0.
/// @retval ENOS_ERR_UNSUPPORTED  this build has no downloads.
#[no_mangle]
pub unsafe extern "C" fn enos_ota_continue(client: *mut enos_client, token: u64, result: i32) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { on_client(client, |client| build::go_on(client, token, result)) }
}

/// Cancels a download. Its outcome, ENOS_ERR_CANCELLED, comes within a second, or as soon as the sink's function that
/// runs returns. One that has returned ENOS_SINK_LATER is not waited for.
///
/// @param client  the client.
/// @param token   the download's.
/// @retval ENOS_OK               it will end.
/// @retval ENOS_ERR_STATE        the image is verified: it cannot be cancelled any more. enos_ota_report() gives it up.
/// @retval ENOS_ERR_NOT_FOUND    there is no such download, or it has had its outcome.
/// @retval ENOS_ERR_UNSUPPORTED  this build has no downloads.
#[no_mangle]
pub unsafe extern "C" fn enos_ota_cancel(client: *mut enos_client, token: u64) -> enos_status {
    // SAFETY: the header's contract.
    unsafe { on_client(client, |client| build::cancel(client, token)) }
}
