//! Thread-local state while a callback of the host's storage runs.

use std::cell::{Cell, RefCell};

thread_local! {
    static RUNNING: Cell<bool> = const { Cell::new(false) };
    static EXPLANATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// True while a storage callback runs on this thread. The ABI refuses every call then.
pub fn in_storage_callback() -> bool {
    RUNNING.get()
}

/// Marks this thread as running a storage callback, until it is dropped.
pub(super) struct Running(());

impl Running {
    /// `None` if a storage callback already runs on this thread. It must not call the library.
    pub(super) fn enter() -> Option<Running> {
        if RUNNING.replace(true) {
            return None;
        }
        EXPLANATION.take();
        Some(Running(()))
    }

    /// The words that [`explain`] set during this call.
    pub(super) fn explanation(&self) -> Option<String> {
        EXPLANATION.take()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.set(false);
    }
}

/// Sets the words of an error for a storage of the library's own. The vtable can return only a number.
pub(super) fn explain(words: String) {
    EXPLANATION.set(Some(words));
}
