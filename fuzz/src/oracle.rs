//! Checks for all targets.

use enos::internals::ffi::log::{enos_log_record, enos_log_set};
use std::ffi::c_void;
use std::panic::PanicHookInfo;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once};
use support::host::{text, DEVICE_SECRET, PRODUCT_SECRET};
use support::log::TRACE;

use super::Target;

const SECRETS: [&str; 2] = [DEVICE_SECRET, PRODUCT_SECRET];

static INPUT_HAS_SECRET: AtomicBool = AtomicBool::new(false);

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

/// Runs a target on an input.
pub fn run(target: Target, input: &[u8]) {
    // The fuzzer learns the secrets, because the words are compared with them. What the input says may be quoted.
    let has_secret = SECRETS.iter().any(|secret| input.windows(secret.len()).any(|part| part == secret.as_bytes()));
    INPUT_HAS_SECRET.store(has_secret, Ordering::Relaxed);
    target(input);
}

fn are_fit(words: &str) -> bool {
    let tells_secret = SECRETS.iter().any(|secret| words.contains(secret));
    let may_tell = INPUT_HAS_SECRET.load(Ordering::Relaxed);
    words.len() < 4096 && !words.contains(char::is_control) && (may_tell || !tells_secret)
}

unsafe extern "C" fn on_log(_ctx: *mut c_void, record: *const enos_log_record) {
    // SAFETY: the library's record, valid during the call.
    let message = text(unsafe { (*record).message });
    if !are_fit(&message) {
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
