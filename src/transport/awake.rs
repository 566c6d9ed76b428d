//! Whether the loop is working. While it is, or while no thread waits, a notification costs no system call. This is a
//! module of its own so that a model checker can try every order (tests/loom.rs).

use super::sync::{AtomicBool, AtomicUsize, Ordering};

/// While the loop works, or after it was notified, it looks for work before it waits, and need not be woken. The same is
/// true while no thread waits.
pub struct Awake {
    at_work: AtomicBool,
    waiting: AtomicUsize,
}

impl Awake {
    pub fn new() -> Awake {
        Awake { at_work: AtomicBool::new(false), waiting: AtomicUsize::new(0) }
    }

    /// Reports work. Returns true if a thread waits for it and has to be woken.
    pub fn notify(&self) -> bool {
        // First the work, then the waiting threads; `wait` takes the opposite order. Both reads also write, so that they see
        // the latest value.
        !self.at_work.swap(true, Ordering::AcqRel) && self.waiting.fetch_add(0, Ordering::AcqRel) > 0
    }

    /// A thread waits from here until [`waited`](Self::waited). Returns true if there is work already.
    pub fn wait(&self) -> bool {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        self.at_work.fetch_or(false, Ordering::AcqRel)
    }

    pub fn waited(&self) {
        self.waiting.fetch_sub(1, Ordering::AcqRel);
    }

    /// The loop is about to look for work.
    pub fn rouse(&self) {
        // A swap like the others, so that each change follows the one before it in one order.
        self.at_work.swap(true, Ordering::AcqRel);
    }

    /// From here on a notification wakes the loop, which looks for remaining work once more after this call.
    pub fn rest(&self) {
        // A swap, to see everything that was done before a notification that woke no thread.
        self.at_work.swap(false, Ordering::AcqRel);
    }
}
