//! The primitives that [`inbox`](super::inbox) and [`awake`](super::awake) use. This is a module of its own so that a
//! model checker can replace it (tests/loom.rs).

pub use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
pub use std::sync::{Arc, Mutex, MutexGuard};
