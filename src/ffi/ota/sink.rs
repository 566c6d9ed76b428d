//! The host's sink, made safe: the only code that calls it.

use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;

use super::super::input::null;
use super::super::status::enos_status;
use super::{enos_firmware, enos_ota_sink, enos_sink_result};
use crate::download::control::Control;
use crate::download::sink::{Answer, Refused, Sink};
use crate::error::{Result, Status};

const OK: i32 = enos_sink_result::ENOS_SINK_OK as i32;
const LATER: i32 = enos_sink_result::ENOS_SINK_LATER as i32;

type BeginFn = unsafe extern "C" fn(*mut c_void, *const enos_firmware, *mut u64) -> i32;
type BlockFn = unsafe extern "C" fn(*mut c_void, u64, *const u8, usize) -> i32;
type ReadFn = unsafe extern "C" fn(*mut c_void, u64, *mut u8, usize) -> i32;
type VerifiedFn = unsafe extern "C" fn(*mut c_void, *const enos_firmware) -> i32;
type FailedFn = unsafe extern "C" fn(*mut c_void, *const enos_firmware, enos_status);

/// The host's functions, after the check that they are there.
pub struct HostSink {
    ctx: *mut c_void,
    begin: BeginFn,
    block: BlockFn,
    read: ReadFn,
    verified: VerifiedFn,
    failed: Option<FailedFn>,
    firmware: enos_firmware,
}

/// A sink of a download, by whose control the host answers later.
pub struct Controlled {
    sink: HostSink,
    control: Arc<Control>,
}

// SAFETY: only the host's ctx is not Send, and the header says that the functions are called on a thread of the library.
unsafe impl Send for HostSink {}

impl HostSink {
    pub fn check(raw: &enos_ota_sink, firmware: enos_firmware) -> Result<HostSink> {
        Ok(HostSink {
            ctx: raw.ctx,
            begin: raw.begin.ok_or_else(|| null("sink->begin"))?,
            block: raw.block.ok_or_else(|| null("sink->block"))?,
            read: raw.read.ok_or_else(|| null("sink->read"))?,
            verified: raw.verified.ok_or_else(|| null("sink->verified"))?,
            failed: raw.failed,
            firmware,
        })
    }

    pub fn with(self, control: Arc<Control>) -> Controlled {
        Controlled { sink: self, control }
    }

    fn firmware(&self) -> *const enos_firmware {
        ptr::from_ref(&self.firmware)
    }
}

impl Controlled {
    /// A call that may be answered later.
    fn call(&mut self, call: impl FnOnce(&HostSink) -> i32) -> Answer<()> {
        self.control.open();
        let result = match call(&self.sink) {
            LATER => self.control.await_answer().ok_or(Refused::Cancelled)?,
            result => result,
        };
        self.control.shut();
        meaning(result)
    }
}

impl Sink for Controlled {
    fn begin(&mut self) -> Answer<u64> {
        let mut resume_at = 0;
        // SAFETY: the header's contract for the sink; the firmware and the place for the number outlive the call.
        self.call(|sink| unsafe { (sink.begin)(sink.ctx, sink.firmware(), &mut resume_at) })?;
        Ok(resume_at)
    }

    fn block(&mut self, offset: u64, bytes: &[u8]) -> Answer<()> {
        // SAFETY: the header's contract for the sink; the bytes outlive the call.
        self.call(|sink| unsafe { (sink.block)(sink.ctx, offset, bytes.as_ptr(), bytes.len()) })
    }

    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Answer<()> {
        // SAFETY: the header's contract for the sink; the buffer outlives the call.
        let result = unsafe { (self.sink.read)(self.sink.ctx, offset, buffer.as_mut_ptr(), buffer.len()) };
        meaning(result)
    }

    fn verified(&mut self) -> Answer<()> {
        // SAFETY: the header's contract for the sink; the firmware outlives the call.
        self.call(|sink| unsafe { (sink.verified)(sink.ctx, sink.firmware()) })
    }

    fn failed(&mut self, status: Status) {
        if let Some(failed) = self.sink.failed {
            // SAFETY: the header's contract for the sink; the firmware outlives the call.
            unsafe { failed(self.sink.ctx, self.sink.firmware(), status as enos_status) }
        }
    }
}

fn meaning(result: i32) -> Answer<()> {
    match result {
        OK => Ok(()),
        ..0 => Err(Refused::Host(result, format!("it returned {result}"))),
        _ => Err(Refused::Host(result, format!("it returned {result}, which is not an answer to it"))),
    }
}
