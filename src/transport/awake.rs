//! Whether the loop is at work: while it is, a notification costs no system call. A module of its own, so that a model
//! checker can try it in every order (tests/loom.rs).

use super::sync::{AtomicBool, Ordering};

/// The loop is at work, or has been notified: it looks for work before it waits, and need not be woken.
pub struct Awake(AtomicBool);

impl Awake {
    pub fn new() -> Awake {
        Awake(AtomicBool::new(false))
    }

    /// Says that there is work. True when the loop rests, and has to be woken.
    pub fn notify(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }

    pub fn is_awake(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The loop is about to look for work.
    pub fn rouse(&self) {
        // A swap like the others: so each change is of the one before it, and there is no doubt about their order.
        self.0.swap(true, Ordering::AcqRel);
    }

    /// The loop rests, and looks once more for work that is left: what is notified from here on wakes it.
    pub fn rest(&self) {
        // A swap, to see all that was done before a notification that did not wake.
        self.0.swap(false, Ordering::AcqRel);
    }
}
