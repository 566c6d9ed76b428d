//! The frame of every exported function: it stops panics, refuses calls from callbacks, and sets the thread's last
//! error.

use std::sync::Arc;

use super::handle::{enos_client, share_client};
use super::last_error::remember;
use super::status::enos_status;
use crate::client::Client;
use crate::error::{Error, Result, Status};
use crate::storage::vtable::in_storage_callback;
use crate::transport::thread::without_cancellation;
use crate::{log, panic};

/// Runs the body of a fallible function. The message of a failure becomes the thread's last error; success clears it.
pub fn guard(body: impl FnOnce() -> Result<()>) -> enos_status {
    without_cancellation(|| {
        let outcome = panic::catch(|| {
            outside_callbacks()?;
            body()
        })
        .and_then(|outcome| outcome);
        told(outcome)
    })
}

/// [`guard`] for functions that neither allocate nor lock nor call anybody: their words are constants. They have no
/// cancellation point, so cancellation stays as it is, which saves time.
pub(super) fn guard_without_memory(
    body: impl FnOnce() -> std::result::Result<(), (Status, &'static str)>,
) -> enos_status {
    let outcome = panic::catch(|| {
        outside_callbacks()?;
        Ok(body())
    });
    match outcome.and_then(|outcome| outcome) {
        Ok(Ok(())) => told(Ok(())),
        Ok(Err((status, words))) => {
            remember(words);
            status as enos_status
        }
        Err(error) => told(Err(error)),
    }
}

/// Apart and never inlined, as in [`panic::catch`].
#[inline(never)]
fn told(outcome: Result<()>) -> enos_status {
    match outcome {
        Ok(()) => {
            remember("");
            Status::ENOS_OK as enos_status
        }
        Err(Error { status, message }) => {
            remember(&message);
            status as enos_status
        }
    }
}

/// [`guard`] for a function on a client. After a panic the state of the client is not known: the client is marked, and
/// refuses every later call.
///
/// # Safety
/// `client` is NULL or a handle as the header describes it.
pub(super) unsafe fn on_client(
    client: *const enos_client,
    body: impl FnOnce(&Arc<Client>) -> Result<()>,
) -> enos_status {
    guard(|| {
        // SAFETY: the caller's promise.
        let client = unsafe { share_client(client) }?;
        panic::catch(|| body(&client)).unwrap_or_else(|fault| {
            client.mark_unusable();
            Err(fault)
        })
    })
}

/// Runs the body of a function that cannot fail and does not change the thread's last error.
pub(super) fn getter<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    without_cancellation(|| panic::catch(body).unwrap_or(fallback))
}

/// [`getter`] for functions like those of [`guard_without_memory`].
pub(super) fn getter_without_memory<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    panic::catch(body).unwrap_or(fallback)
}

/// Host code that the library waits for must not call the library, because it would wait for itself.
fn outside_callbacks() -> Result<()> {
    let kind = if in_storage_callback() {
        "storage"
    } else if log::in_log_callback() {
        "log"
    } else {
        return Ok(());
    };
    Err(Error::new(Status::ENOS_ERR_IN_CALLBACK, format!("a {kind} callback must not call the library")))
}

/// Exported with the feature only, so that a test can tell a library that has it.
#[cfg(feature = "internals")]
#[no_mangle]
static enos_has_internals: u8 = 1;

/// The name of that symbol, and its value.
#[cfg(feature = "internals")]
pub fn internals() -> (&'static str, u8) {
    ("enos_has_internals", enos_has_internals)
}

/// Panics inside an exported function, as a bug of the library would.
#[cfg(feature = "internals")]
pub fn provoke_panic() -> enos_status {
    guard(|| panic!("provoked by a test"))
}

/// The same, inside a call on this client.
///
/// # Safety
/// `client` is NULL or a handle as the header describes it.
#[cfg(feature = "internals")]
pub unsafe fn provoke_panic_on(client: *const enos_client) -> enos_status {
    // SAFETY: the caller's promise.
    unsafe { on_client(client, |_| panic!("provoked by a test")) }
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::super::last_error::last_error;
    use super::*;

    fn words() -> String {
        // SAFETY: last_error() is a NUL-terminated string, valid until the next call.
        unsafe { CStr::from_ptr(last_error()) }.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_failure_is_remembered_until_a_success() {
        assert_eq!(guard(|| Err(Error::invalid("qos is 7"))), Status::ENOS_ERR_INVALID_ARG as i32);
        assert_eq!(words(), "qos is 7");
        assert_eq!(guard(|| Ok(())), 0);
        assert_eq!(words(), "");
    }

    #[test]
    fn a_nul_does_not_cut_the_words() {
        guard(|| Err(Error::invalid("topic \"a\0b\"")));
        assert_eq!(words(), "topic \"a?b\"");
    }

    #[test]
    fn each_thread_has_its_own() {
        guard(|| Err(Error::invalid("mine")));
        std::thread::spawn(|| assert_eq!(words(), "")).join().unwrap();
        assert_eq!(words(), "mine");
    }
}
