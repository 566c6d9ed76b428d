//! The library's log. A process has one log callback, so a test that uses it runs in its own process (see
//! [`crate::alone`]).

use std::ffi::c_void;
use std::fmt;
use std::ptr::null_mut;
use std::sync::Mutex;

use enos::ffi::log::{enos_log_record, enos_log_set};

use crate::host::text;

pub const TRACE: i32 = 5;
/// The ctx of the callback.
pub const CTX: usize = 77;

#[derive(Clone, Debug)]
pub struct Record {
    pub ctx: usize,
    pub level: i32,
    pub target: String,
    pub message: String,
    /// Milliseconds since 1970.
    pub time_ms: u64,
    /// The result of a call of the library inside the callback.
    pub inside: i32,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.level, self.target, self.message)
    }
}

static RECORDS: Mutex<Vec<Record>> = Mutex::new(Vec::new());

unsafe extern "C" fn on_log(ctx: *mut c_void, record: *const enos_log_record) {
    // SAFETY: NULL switches off, if anything.
    let inside = unsafe { enos_log_set(None, null_mut(), 0) };
    // SAFETY: the header's promise.
    let &enos_log_record { struct_size, level, time_ms, target, message, .. } = unsafe { &*record };
    assert_eq!(struct_size, size_of::<enos_log_record>());
    let (target, message) = (text(target), text(message));
    let record = Record { ctx: ctx as usize, level, target, message, time_ms, inside };
    RECORDS.lock().unwrap().push(record);
}

/// Sets the callback, for records up to this level; returns the status.
pub fn listen(level: i32) -> i32 {
    // SAFETY: a callback that does not look at its ctx.
    unsafe { enos_log_set(Some(on_log), CTX as *mut c_void, level) }
}

pub fn stop() {
    // SAFETY: no callback.
    assert_eq!(unsafe { enos_log_set(None, null_mut(), 0) }, 0);
}

/// The records so far.
pub fn records() -> Vec<Record> {
    RECORDS.lock().unwrap().clone()
}

/// As one text, a line for each record.
pub fn said() -> String {
    records().iter().map(|record| format!("{record}\n")).collect()
}
