//! The log: messages for a person. It is off by default, and the library never writes to stdout or stderr.
//!
//! Records wait in a queue until a client's loop (enos_client_loop(), _wait(), or the thread of
//! enos_client_loop_start()) delivers them. Your callback runs only there, one call at a time. The queue holds 256
//! records; if no thread loops, later ones are dropped, and a record then says how many. No record contains a secret or
//! the payload of a message. Line breaks, other control characters and bidirectional controls are replaced by '?'.

use std::ffi::{c_char, c_void, CString};
use std::mem::size_of;

use super::guard::guard;
use super::status::enos_status;
use crate::error::{Error, Result};
use crate::log::{self, Level, Sink};

/// How important a record is.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum enos_log_level {
    /// Something is broken and stays broken until somebody acts.
    ENOS_LOG_ERROR = 1,
    /// Something went wrong, and the library handles it.
    ENOS_LOG_WARN = 2,
    /// For an operator: connected, activated, lost.
    ENOS_LOG_INFO = 3,
    /// For a firmware engineer.
    ENOS_LOG_DEBUG = 4,
    /// Each MQTT packet in both directions, with the target "mqtt": its kind, its size with the header, its QoS, packet
    /// id and topic if it has them, and the codes of an answer. Of a CONNECT, only the size.
    ENOS_LOG_TRACE = 5,
}

/// One record. The record and everything that it points to belong to the library, and are valid during the call.
#[repr(C)]
pub struct enos_log_record {
    /// The size of the library's struct: later versions are longer. Read only what your header declares.
    pub struct_size: usize,
    /// One of enum enos_log_level.
    pub level: i32,
    /// 0.
    pub reserved: u32,
    /// When it was written, which may be long before it is delivered: milliseconds since 1970 by the system's clock at
    /// that moment.
    pub time_ms: u64,
    /// The part of the library that wrote it, e.g. "session". Never NULL.
    pub target: *const c_char,
    /// The text, at most 1024 bytes of UTF-8. Never NULL.
    pub message: *const c_char,
}

/// Receives log records. It must not call any enos_* function, except for enos_strerror(), the _name functions and
/// others that return no status.
///
/// @param ctx     what enos_log_set() was given.
/// @param record  the record.
pub type enos_log_cb = Option<unsafe extern "C" fn(ctx: *mut c_void, record: *const enos_log_record)>;

struct Ctx(*mut c_void);

// SAFETY: the header says that the callback runs on whichever thread loops, one call at a time.
unsafe impl Send for Ctx {}
// SAFETY: as above.
unsafe impl Sync for Ctx {}

impl Ctx {
    /// A method, because a closure that uses the field would capture the bare pointer, which is not Send.
    fn get(&self) -> *mut c_void {
        self.0
    }
}

fn sink(cb: unsafe extern "C" fn(*mut c_void, *const enos_log_record), ctx: Ctx) -> Sink {
    Box::new(move |record| {
        // The log replaces control characters, so there is no NUL, and these cannot fail.
        let target = CString::new(record.target).unwrap_or_default();
        let message = CString::new(record.message.as_str()).unwrap_or_default();
        let record = enos_log_record {
            struct_size: size_of::<enos_log_record>(),
            level: record.level as i32,
            reserved: 0,
            time_ms: record.time_ms,
            target: target.as_ptr(),
            message: message.as_ptr(),
        };
        // SAFETY: enos_log_set()'s contract: callable with its ctx until it is replaced.
        unsafe { cb(ctx.get(), &record) }
    })
}

fn level(value: i32) -> Result<Level> {
    const ALL: [(enos_log_level, Level); 5] = [
        (enos_log_level::ENOS_LOG_ERROR, Level::Error),
        (enos_log_level::ENOS_LOG_WARN, Level::Warn),
        (enos_log_level::ENOS_LOG_INFO, Level::Info),
        (enos_log_level::ENOS_LOG_DEBUG, Level::Debug),
        (enos_log_level::ENOS_LOG_TRACE, Level::Trace),
    ];
    ALL.iter().find_map(|(c, level)| (*c as i32 == value).then_some(*level)).ok_or_else(|| {
        Error::invalid(format!("max_level is {value}; it can be 1 (ENOS_LOG_ERROR) to 5 (ENOS_LOG_TRACE)"))
    })
}

/// Sets the log callback of the process, in place of an earlier one. When this returns, no call of the earlier callback
/// is running or will be made, so its ctx may be freed. (Do not hold a lock that the earlier callback takes.)
///
/// @param cb         the callback; NULL switches the log off and drops what waits. Default: NULL.
/// @param ctx        passed to the callback; may be NULL. Yours, and used until the callback is replaced.
/// @param max_level  ENOS_LOG_ERROR to ENOS_LOG_TRACE: records of this level and of more important ones. Ignored if cb
///                   is NULL.
/// @retval ENOS_OK               done.
/// @retval ENOS_ERR_INVALID_ARG  max_level is no level; nothing was changed.
/// @retval ENOS_ERR_IN_CALLBACK  called from a log or storage callback; nothing was changed.
#[no_mangle]
pub unsafe extern "C" fn enos_log_set(cb: enos_log_cb, ctx: *mut c_void, max_level: i32) -> enos_status {
    guard(|| {
        match cb {
            Some(cb) => {
                let max_level = level(max_level)?;
                log::set(Some(sink(cb, Ctx(ctx))), max_level);
            }
            None => log::set(None, Level::Error),
        }
        Ok(())
    })
}
