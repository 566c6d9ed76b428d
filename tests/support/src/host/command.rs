//! The functions of a command, as methods.

use std::ffi::{CStr, CString};
use std::ptr::null;

use enos::internals::error::Status;
use enos::internals::ffi::command::*;
use enos::internals::ffi::handle::enos_command;
use enos::internals::ffi::json::enos_json;
use enos::internals::ffi::value::enos_value;

use super::client::token;
use super::{ok, text};

/// The handle of a command. It is valid in the callback, and until it is released if it is retained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Command(pub(super) *mut enos_command);

// SAFETY: the header says that any thread may use a command.
unsafe impl Send for Command {}
// SAFETY: as above, several at once.
unsafe impl Sync for Command {}

// Every SAFETY below: the handle is valid as described; texts and bytes live across the call.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Command {
    pub fn handle(self) -> *mut enos_command {
        self.0
    }

    pub fn kind(self) -> i32 {
        unsafe { enos_command_get_type(self.0) }
    }

    pub fn subdevice(self) -> u64 {
        unsafe { enos_command_subdevice(self.0) }
    }

    pub fn name(self) -> String {
        text(unsafe { enos_command_name(self.0) })
    }

    /// The text of the params; `None` if there are none.
    pub fn params(self) -> Option<String> {
        let value: enos_value = unsafe { enos_command_params(self.0) };
        let bytes = |value: enos_value| unsafe { std::slice::from_raw_parts(value.text.cast::<u8>(), value.len) };
        (!value.text.is_null()).then(|| String::from_utf8(bytes(value).to_vec()).unwrap())
    }

    pub fn raw(self) -> Vec<u8> {
        let mut len = 0;
        unsafe {
            let bytes = enos_command_raw(self.0, &mut len);
            std::slice::from_raw_parts(bytes, len).to_vec()
        }
    }

    pub fn remaining_ms(self) -> u32 {
        unsafe { enos_command_remaining_ms(self.0) }
    }

    pub fn since_login_ms(self) -> u32 {
        unsafe { enos_command_since_login_ms(self.0) }
    }

    pub fn was_interrupted(self) -> bool {
        unsafe { enos_command_was_interrupted(self.0) != 0 }
    }

    #[track_caller]
    pub fn retain(self) {
        ok(unsafe { enos_command_retain(self.0) });
    }

    pub fn release(self) {
        unsafe { enos_command_release(self.0) }
    }

    /// Answers without a message.
    pub fn reply(self, code: i32, data: Option<&str>) -> Result<u64, Status> {
        let (data, len) = data.map_or((null(), 0), |data| (data.as_ptr().cast(), data.len()));
        token(|out| unsafe { enos_command_reply_text(self.0, code, data, len, null(), out) })
    }

    pub fn reply_json(self, code: i32, data: *const enos_json, message: Option<&CStr>) -> Result<u64, Status> {
        token(|out| unsafe { enos_command_reply(self.0, code, data, message.map_or(null(), CStr::as_ptr), out) })
    }

    pub fn reply_message(self, code: i32, message: &str) -> Result<u64, Status> {
        self.reply_json(code, null(), Some(&CString::new(message).unwrap()))
    }

    pub fn reply_raw(self, data: &[u8]) -> Result<u64, Status> {
        token(|out| unsafe { enos_command_reply_raw(self.0, data.as_ptr().cast(), data.len(), out) })
    }
}
