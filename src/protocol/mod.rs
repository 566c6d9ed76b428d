//! What EnOS says on the wire, as pure functions: no I/O, no clock, no unsafe.
//!
//! A host with an MQTT stack of its own needs this room only: [`sign`] makes the CONNECT, [`activation`] reads the
//! secret that the cloud sends once, [`thing_model`] and [`envelope`] make and read the messages.
#![forbid(unsafe_code)]

pub mod activation;
pub mod durable;
pub mod envelope;
pub mod identity;
mod json;
pub mod secret;
pub mod sign;
mod strict;
pub mod thing_model;
pub mod topic;
pub(crate) mod wipe;

pub use activation::Activation;
pub use durable::{Content, Durable, Suspect, Totals};
pub use identity::Identity;
pub use secret::{Secret, Standing};
pub use sign::{SecureMode, SignMethod, SignParams};
