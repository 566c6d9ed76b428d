//! What holds for all targets.

use std::panic::PanicHookInfo;

/// Has every panic told, also one that the library catches and makes a status of.
pub fn watch(tell: fn(&PanicHookInfo)) {
    // The library's hook keeps its own panics to itself. It is there once a call has been made, and then this one is first.
    drop(support::host::Setup::empty());
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        tell(info);
        before(info);
    }));
}

/// Words for a person, which may quote what somebody else wrote.
#[track_caller]
pub fn check_words(words: &str) {
    assert!(!words.contains(char::is_control), "control characters in {words:?}");
    assert!(words.len() < 4096, "{} bytes of words: {words:?}", words.len());
}
