//! Checks for all targets.

use enos::ffi::log::{enos_log_record, enos_log_set};
use std::ffi::c_void;
use std::panic::PanicHookInfo;
use std::ptr::null_mut;
use std::sync::{Mutex, Once};
use support::host::{text, DEVICE_SECRET, PRODUCT_SECRET};
use support::log::TRACE;

/// The first invalid record of the log.
static BAD_RECORD: Mutex<Option<String>> = Mutex::new(None);

/// Reports every panic, also one that the library catches and turns into a status.
pub fn watch(tell: fn(&PanicHookInfo)) {
    // The library's hook hides its own panics. It is installed by the first call; this hook must be installed after it,
    // to run first.
    drop(support::host::Setup::empty());
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        tell(info);
        before(info);
    }));
}

/// A text for a person, which may quote untrusted data.
#[track_caller]
pub fn check_words(words: &str) {
    assert!(are_fit(words), "{words:?}");
}

fn are_fit(words: &str) -> bool {
    is_text(words) && !tells_secret(words)
}

fn is_text(words: &str) -> bool {
    words.len() < 4096 && !words.contains(char::is_control)
}

fn tells_secret(words: &str) -> bool {
    [DEVICE_SECRET, PRODUCT_SECRET].iter().any(|secret| words.contains(secret))
}

unsafe extern "C" fn on_log(_ctx: *mut c_void, record: *const enos_log_record) {
    // SAFETY: the library's record, valid during the call.
    let (target, message) = unsafe { (text((*record).target), text((*record).message)) };
    // The trace of the packets quotes topics, and a broker may put into one whatever it knows.
    let is_fit = is_text(&message) && (target == "mqtt" || !tells_secret(&message));
    if !is_fit {
        BAD_RECORD.lock().unwrap().get_or_insert(message);
    }
}

/// Checks the log in the same way.
pub fn listen() {
    static LISTENS: Once = Once::new();
    // SAFETY: a callback that does not look at its ctx.
    LISTENS.call_once(|| assert_eq!(unsafe { enos_log_set(Some(on_log), null_mut(), TRACE) }, 0));
}

#[track_caller]
pub fn check_log() {
    let bad = BAD_RECORD.lock().unwrap().take();
    assert!(bad.is_none(), "in the log: {bad:?}");
}
