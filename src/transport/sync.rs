//! What the [`inbox`](super::inbox) locks with. A module of its own, so that a model checker can take its place
//! (tests/loom.rs).

pub use std::sync::{Arc, Mutex, MutexGuard};
