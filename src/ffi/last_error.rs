//! The thread's last error in words.

use std::cell::RefCell;
use std::ffi::c_char;

use crate::text;

thread_local! {
    /// The message of the last failure, NUL-terminated; empty if the last call succeeded.
    static LAST_ERROR: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

pub(super) fn remember(words: &str) {
    // While the thread ends there is no place to keep the words. The status says enough.
    let _ = LAST_ERROR.try_with(|last| {
        let Ok(mut last) = last.try_borrow_mut() else { return };
        last.clear();
        for character in words.chars().map(text::plain) {
            last.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        if !last.is_empty() {
            last.push(0);
        }
    });
}

/// The thread's last error for C, valid until this thread's next call.
pub(super) fn last_error() -> *const c_char {
    LAST_ERROR
        .try_with(|last| match last.try_borrow() {
            Ok(text) if !text.is_empty() => text.as_ptr().cast(),
            _ => c"".as_ptr(),
        })
        .unwrap_or(c"".as_ptr())
}
