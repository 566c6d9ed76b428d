//! What is true of this thread while the host's code runs on it.

use std::cell::{Cell, RefCell};

thread_local! {
    static RUNNING: Cell<bool> = const { Cell::new(false) };
    static EXPLANATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// True while a storage callback runs on this thread: the boundary refuses every call then.
pub fn in_storage_callback() -> bool {
    RUNNING.get()
}

/// Marks this thread as running the host's code for as long as it lives.
pub(super) struct Running(());

impl Running {
    /// `None` when the host's code runs on this thread already: nothing of the library may be entered from there.
    pub(super) fn enter() -> Option<Running> {
        if RUNNING.replace(true) {
            return None;
        }
        EXPLANATION.take();
        Some(Running(()))
    }

    /// What [`explain`] left during this call.
    pub(super) fn explanation(&self) -> Option<String> {
        EXPLANATION.take()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.set(false);
    }
}

/// Leaves words beside the number that a store of our own is about to return: the vtable has room for a code only.
pub(super) fn explain(words: String) {
    EXPLANATION.set(Some(words));
}
