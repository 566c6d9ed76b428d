//! Whether this thread is inside an event callback.

use std::cell::Cell;

use crate::error::{Error, Result, Status};

thread_local! {
    static IN_CALLBACK: Cell<bool> = const { Cell::new(false) };
}

/// For calls that wait, or that would destroy what the callback uses.
pub fn refuse_in_callback(function: &str) -> Result<()> {
    if IN_CALLBACK.get() {
        return Err(Error::new(
            Status::ENOS_ERR_IN_CALLBACK,
            format!("{function}() was called inside an event callback; nothing was done"),
        ));
    }
    Ok(())
}

/// Runs `call` as an event callback. The mark is also removed if it unwinds.
pub fn run<T>(call: impl FnOnce() -> T) -> T {
    struct Mark(bool);
    impl Drop for Mark {
        fn drop(&mut self) {
            IN_CALLBACK.set(self.0);
        }
    }
    let _mark = Mark(IN_CALLBACK.replace(true));
    call()
}
