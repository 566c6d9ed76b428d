//! Downloads: a firmware, and a sink in memory.

use std::ffi::{c_char, c_void, CString};
use std::ptr::null;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use enos::internals::error::Status;
use enos::internals::ffi::firmware::enos_firmware;
use enos::internals::ffi::ota::*;
use sha2::{Digest, Sha256};

use super::{status, Client, Firmware, Host, Told, PATIENCE};

pub const LATER: i32 = enos_sink_result::ENOS_SINK_LATER as i32;

/// An image of these many bytes.
pub fn image(size: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(size as u64);
    std::iter::repeat_with(|| random.u8(..)).take(size).collect()
}

impl Firmware {
    /// Version 2, with a SHA-256 digest.
    pub fn of(url: &str, image: &[u8]) -> Firmware {
        Firmware::with(url, image.len() as u64, "sha256", &hex(&Sha256::digest(image)))
    }

    pub fn with(url: &str, size: u64, method: &str, sign: &str) -> Firmware {
        let json =
            format!(r#"{{"version":"2","fileUrl":"{url}","fileSize":{size},"signMethod":"{method}","sign":"{sign}"}}"#);
        Firmware::parse(&json, 0).unwrap()
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[derive(Default)]
pub struct State {
    pub bytes: Vec<u8>,
    /// The offsets and lengths of the blocks.
    pub blocks: Vec<(u64, usize)>,
    pub verified: u32,
    pub failed: Option<Status>,
    pub begun: u32,
    /// What the functions return; LATER puts the answer off.
    pub begin_result: i32,
    pub block_result: i32,
    pub verified_result: i32,
    /// What begin() says, if it is not how much is there.
    pub claims: Option<u64>,
    /// How long block() takes.
    pub slow: Duration,
    /// The bytes are only counted.
    pub counts_only: bool,
}

/// A slot in memory, and the sink that writes to it.
#[derive(Clone, Default)]
pub struct Slot(Arc<(Mutex<State>, Condvar)>);

impl Slot {
    /// The same bytes, for another download.
    pub fn again(&self) -> Slot {
        Slot::with(&self.state().bytes)
    }

    pub fn with(bytes: &[u8]) -> Slot {
        let slot = Slot::default();
        slot.state().bytes = bytes.to_vec();
        slot
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0 .0.lock().unwrap()
    }

    /// Waits until the state is as wanted.
    #[track_caller]
    pub fn wait(&self, wanted: impl Fn(&State) -> bool) {
        let end = Instant::now() + PATIENCE;
        let mut state = self.state();
        while !wanted(&state) {
            let left = end.checked_duration_since(Instant::now()).expect("the slot is not as it was wanted");
            state = self.0 .1.wait_timeout(state, left).unwrap().0;
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state());
        self.0 .1.notify_all();
        result
    }

    pub fn sink(&self) -> enos_ota_sink {
        enos_ota_sink {
            struct_size: size_of::<enos_ota_sink>(),
            // Never freed, because a test that fails may leave a download behind.
            ctx: Arc::into_raw(Arc::clone(&self.0)).cast_mut().cast(),
            begin: Some(begin),
            block: Some(block),
            read: Some(read),
            verified: Some(verified),
            failed: Some(failed),
        }
    }
}

/// # Safety
/// It is the ctx of a slot.
unsafe fn slot(ctx: *mut c_void) -> Slot {
    // SAFETY: the caller's promise. The count that from_raw takes is the one just added.
    unsafe {
        Arc::increment_strong_count(ctx.cast::<(Mutex<State>, Condvar)>());
        Slot(Arc::from_raw(ctx.cast()))
    }
}

unsafe extern "C" fn begin(ctx: *mut c_void, firmware: *const enos_firmware, resume_at: *mut u64) -> i32 {
    assert!(!firmware.is_null());
    // SAFETY: the library's contract.
    let slot = unsafe { slot(ctx) };
    slot.change(|state| {
        state.begun += 1;
        // SAFETY: likewise.
        unsafe { *resume_at = state.claims.unwrap_or(state.bytes.len() as u64) };
        state.begin_result
    })
}

unsafe extern "C" fn block(ctx: *mut c_void, offset: u64, data: *const u8, len: usize) -> i32 {
    // SAFETY: the library's contract.
    let (slot, bytes) = unsafe { (slot(ctx), std::slice::from_raw_parts(data, len)) };
    std::thread::sleep(slot.state().slow);
    slot.change(|state| {
        assert!(state.verified == 0 && (1..=65536).contains(&len));
        let there = state.blocks.last().map_or(state.bytes.len() as u64, |(at, len)| at + *len as u64);
        assert!(offset == 0 || offset == there, "blocks come in order: {offset} after {there}");
        state.blocks.push((offset, len));
        if state.block_result >= 0 && !state.counts_only {
            state.bytes.truncate(offset as usize);
            state.bytes.extend_from_slice(bytes);
        }
        state.block_result
    })
}

unsafe extern "C" fn read(ctx: *mut c_void, offset: u64, buffer: *mut u8, len: usize) -> i32 {
    // SAFETY: the library's contract.
    let (slot, buffer) = unsafe { (slot(ctx), std::slice::from_raw_parts_mut(buffer, len)) };
    buffer.copy_from_slice(&slot.state().bytes[offset as usize..][..len]);
    0
}

unsafe extern "C" fn verified(ctx: *mut c_void, firmware: *const enos_firmware) -> i32 {
    assert!(!firmware.is_null());
    // SAFETY: the library's contract.
    let slot = unsafe { slot(ctx) };
    slot.change(|state| {
        state.verified += 1;
        state.verified_result
    })
}

unsafe extern "C" fn failed(ctx: *mut c_void, _: *const enos_firmware, code: i32) {
    // SAFETY: the library's contract.
    let slot = unsafe { slot(ctx) };
    slot.change(|state| state.failed = Some(status(code)));
}

/// The options of a download.
#[derive(Default)]
pub struct Options<'a> {
    pub url: Option<&'a str>,
    pub headers: &'a [&'a str],
    pub max_bytes: u64,
    pub bytes_per_s: u32,
    pub flags: u32,
    pub stall_s: u32,
}

impl Client {
    /// The token.
    pub fn download(&self, firmware: &Firmware, slot: &Slot, options: &Options) -> Result<u64, Status> {
        self.download_to(firmware, &slot.sink(), options)
    }

    pub fn download_to(&self, firmware: &Firmware, sink: &enos_ota_sink, options: &Options) -> Result<u64, Status> {
        let c = |text: &str| CString::new(text).unwrap();
        let url = options.url.map(c);
        let headers: Vec<CString> = options.headers.iter().map(|line| c(line)).collect();
        let mut pointers: Vec<*const c_char> = headers.iter().map(|line| line.as_ptr()).collect();
        pointers.push(null());
        let options = enos_ota_options {
            struct_size: size_of::<enos_ota_options>(),
            url: url.as_ref().map_or(null(), |url| url.as_ptr()),
            headers: pointers.as_ptr(),
            max_bytes: options.max_bytes,
            bytes_per_s: options.bytes_per_s,
            flags: options.flags,
            stall_s: options.stall_s,
            reserved: 0,
        };
        let mut token = 0;
        // SAFETY: everything outlives the call, and the sink's slot outlives the download.
        match status(unsafe { enos_ota_download(self.handle(), firmware.handle(), sink, &options, &mut token) }) {
            Status::ENOS_OK => Ok(token),
            other => Err(other),
        }
    }

    pub fn cancel_download(&self, token: u64) -> Status {
        // SAFETY: the client is there.
        status(unsafe { enos_ota_cancel(self.handle(), token) })
    }

    pub fn continue_download(&self, token: u64, result: i32) -> Status {
        // SAFETY: the client is there.
        status(unsafe { enos_ota_continue(self.handle(), token, result) })
    }
}

impl Host {
    /// The outcome of a download. Its progress before that never goes back, except to a beginning.
    #[track_caller]
    pub fn download_outcome(&mut self, token: u64) -> Told {
        loop {
            let told = self.until("OTA");
            assert_eq!(told.token, token, "{told:?}");
            if told.status != Status::ENOS_OK || told.detail_code == 100 {
                return told;
            }
            assert!((0..100).contains(&told.detail_code), "{told:?}");
        }
    }
}
