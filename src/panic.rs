//! A panic of the library becomes a status. It is caught here and logged, and never printed to stderr.

use std::any::Any;
use std::cell::Cell;
use std::panic::{catch_unwind, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

use crate::error::{Error, Result, Status};
use crate::log;

thread_local! {
    /// How many calls of `catch` are active on this thread. Panics on the own threads of a Rust host are left to the
    /// host's hook.
    static OPEN: Cell<u32> = const { Cell::new(0) };
    /// Where the present panic began. The hook records it. `catch` logs it after the unwinding has released all locks.
    static PLACE: Cell<Option<String>> = const { Cell::new(None) };
}

/// Runs `body`. A panic in it becomes `ENOS_ERR_PANIC`; the message and the log have the place in the source.
///
/// This is for the ABI's functions and for the body of each thread that the library starts.
pub fn catch<T>(body: impl FnOnce() -> T) -> Result<T> {
    open();
    let outcome = catch_unwind(AssertUnwindSafe(body));
    OPEN.set(OPEN.get() - 1);
    outcome.map_err(|payload| caught(&*payload))
}

// A separate function that is never inlined, because `catch` is in every function of the ABI.

#[inline(never)]
fn open() {
    install_hook();
    OPEN.set(OPEN.get() + 1);
}

#[cold]
#[inline(never)]
fn caught(payload: &(dyn Any + Send)) -> Error {
    let place = PLACE.try_with(Cell::take).ok().flatten().unwrap_or_else(|| "an unknown place".to_owned());
    let message = format!("a fault of libenos itself, at {place}{}; please report it", words(payload));
    log::error("panic", format_args!("{message}"));
    Error::new(Status::ENOS_ERR_PANIC, message)
}

/// The panic's message if it is a literal. A formatted message is withheld, because it may contain a secret.
fn words(payload: &(dyn Any + Send)) -> String {
    match payload.downcast_ref::<&'static str>() {
        Some(literal) => format!(" ({literal})"),
        None => String::new(),
    }
}

fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if OPEN.get() > 0 {
                // A thread that is ending cannot store it, and a second panic here would abort the process.
                let _ = PLACE.try_with(|kept| kept.set(Some(place(info))));
            } else {
                before(info);
            }
        }));
    });
}

fn place(info: &PanicHookInfo<'_>) -> String {
    info.location().map_or_else(|| "an unknown place".to_owned(), |at| format!("{}:{}", at.file(), at.line()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_passes_through() {
        assert_eq!(catch(|| 7).unwrap(), 7);
    }

    #[test]
    fn a_literal_is_told_with_its_place() {
        let error = catch(|| panic!("the sky fell")).unwrap_err();
        assert_eq!(error.status, Status::ENOS_ERR_PANIC);
        assert!(error.message.contains("src/panic.rs:"), "{}", error.message);
        assert!(error.message.contains("(the sky fell)"), "{}", error.message);
    }

    #[test]
    fn formatted_words_are_withheld() {
        let secret = "s3cret".to_owned();
        let error = catch(|| panic!("cannot use {secret}")).unwrap_err();
        assert!(!error.message.contains("s3cret"), "{}", error.message);
        assert!(error.message.contains("src/panic.rs:"), "{}", error.message);
    }

    #[test]
    fn nested_catches_end_one_by_one() {
        let outer = catch(|| {
            assert!(catch(|| panic!("inner")).is_err());
            OPEN.get()
        });
        assert_eq!(outer.unwrap(), 1);
        assert_eq!(OPEN.get(), 0);
    }
}
