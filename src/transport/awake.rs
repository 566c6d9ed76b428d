//! Whether the loop is at work: while it is, or nobody waits, a notification costs no system call. A module of its own, so that a model
//! checker can try it in every order (tests/loom.rs).

use super::sync::{AtomicBool, AtomicUsize, Ordering};

/// The loop is at work, or has been notified: it looks for work before it waits, and need not be woken. Nor has anybody to
/// be woken while nobody waits.
pub struct Awake {
    at_work: AtomicBool,
    waiting: AtomicUsize,
}

impl Awake {
    pub fn new() -> Awake {
        Awake { at_work: AtomicBool::new(false), waiting: AtomicUsize::new(0) }
    }

    /// Says that there is work. True when somebody waits for it, and has to be woken.
    pub fn notify(&self) -> bool {
        // Work first, then who waits; a wait does both the other way round. Reads that also write are of the latest value.
        !self.at_work.swap(true, Ordering::AcqRel) && self.waiting.fetch_add(0, Ordering::AcqRel) > 0
    }

    /// Somebody waits from here on, to [`waited`](Self::waited). True when there is work already.
    pub fn wait(&self) -> bool {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        self.at_work.fetch_or(false, Ordering::AcqRel)
    }

    pub fn waited(&self) {
        self.waiting.fetch_sub(1, Ordering::AcqRel);
    }

    /// The loop is about to look for work.
    pub fn rouse(&self) {
        // A swap like the others: so each change is of the one before it, and there is no doubt about their order.
        self.at_work.swap(true, Ordering::AcqRel);
    }

    /// The loop rests, and looks once more for work that is left: what is notified from here on wakes it.
    pub fn rest(&self) {
        // A swap, to see all that was done before a notification that did not wake.
        self.at_work.swap(false, Ordering::AcqRel);
    }
}
