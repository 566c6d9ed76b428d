//! What the [`inbox`](super::inbox) and [`awake`](super::awake) are made of. A module of its own, so that a model checker can take its place
//! (tests/loom.rs).

pub use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
pub use std::sync::{Arc, Mutex, MutexGuard};
