//! The conversion of a download's arguments.

use std::ffi::c_char;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::super::handle::Boxed;
use super::super::input::{optional_text, text, versioned};
use super::super::request::token_out;
use super::sink::HostSink;
use super::{enos_firmware, enos_ota_flags, enos_ota_options, enos_ota_sink};
use crate::client::{Client, Wanted};
use crate::error::{Error, Result};

const BYTES_PER_S: RangeInclusive<u32> = 1000..=1_000_000_000;
const STALL_S: RangeInclusive<u32> = 5..=3600;
const DEFAULT_STALL_S: u32 = 60;
const FLAGS: u32 = enos_ota_flags::ENOS_OTA_RETRY_FAILED as u32;
/// More than a download takes.
const MOST_HEADERS: usize = 64;

/// # Safety
/// Each pointer is as the header describes it.
pub unsafe fn download(
    client: &Arc<Client>,
    firmware: *const enos_firmware,
    sink: *const enos_ota_sink,
    options: *const enos_ota_options,
    out_token: *mut u64,
) -> Result<()> {
    // SAFETY: the caller's promise.
    let firmware = unsafe { enos_firmware::borrow(firmware, "firmware") }?;
    // SAFETY: likewise.
    let vtable = unsafe { versioned(sink, "sink") }?;
    let offer = Arc::clone(firmware.offer());
    let sink = HostSink::check(&vtable, enos_firmware::new(Arc::clone(&offer))?)?;
    let mut wanted = Wanted {
        offer,
        url: None,
        headers: Vec::new(),
        bytes_per_s: 0,
        max_bytes: 0,
        stall_ms: 0,
        retry_failed: false,
    };
    let mut stall_s = 0;
    if !options.is_null() {
        // SAFETY: likewise.
        let options: enos_ota_options = unsafe { versioned(options, "options") }?;
        if options.reserved != 0 || options.flags & !FLAGS != 0 {
            return Err(Error::invalid("options has a flag that there is not, or reserved is not 0"));
        }
        // SAFETY: likewise.
        wanted.url = unsafe { optional_text(options.url, "options->url") }?.map(str::to_owned);
        // SAFETY: likewise.
        wanted.headers = unsafe { texts(options.headers, "options->headers") }?;
        wanted.bytes_per_s = check(options.bytes_per_s, &BYTES_PER_S, "options->bytes_per_s")?;
        wanted.max_bytes = options.max_bytes;
        wanted.retry_failed = options.flags & FLAGS != 0;
        stall_s = check(options.stall_s, &STALL_S, "options->stall_s")?;
    }
    let stall_s = if stall_s == 0 { DEFAULT_STALL_S } else { stall_s };
    wanted.stall_ms = u64::from(stall_s) * 1000;
    // SAFETY: likewise.
    let mut accepted = unsafe { token_out(out_token) };
    client.download(wanted, |control| sink.with(control), &mut accepted)
}

pub fn go_on(client: &Client, token: u64, result: i32) -> Result<()> {
    match result {
        ..=0 => client.continue_download(token, result),
        _ => Err(Error::invalid(format!("result is {result}; it can be ENOS_SINK_OK, or negative"))),
    }
}

pub fn cancel(client: &Client, token: u64) -> Result<()> {
    client.cancel_download(token)
}

/// 0 stands for the default.
fn check(value: u32, range: &RangeInclusive<u32>, name: &str) -> Result<u32> {
    match value == 0 || range.contains(&value) {
        true => Ok(value),
        false => {
            Err(Error::invalid(format!("{name} is {value}; it can be 0, or {} to {}", range.start(), range.end())))
        }
    }
}

/// Texts up to a NULL.
///
/// # Safety
/// `list` is NULL or points to texts, and a NULL behind them, that nobody changes meanwhile.
unsafe fn texts(list: *const *const c_char, name: &str) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    if list.is_null() {
        return Ok(texts);
    }
    for at in 0..MOST_HEADERS {
        // SAFETY: the caller's promise: the NULL was not reached yet.
        let one = unsafe { *list.add(at) };
        if one.is_null() {
            return Ok(texts);
        }
        // SAFETY: likewise.
        texts.push(unsafe { text(one, &format!("{name}[{at}]")) }?.to_owned());
    }
    Err(Error::invalid(format!("{name} has more than {MOST_HEADERS} lines, or no NULL behind the last one")))
}
