//! The EnOS protocol as pure functions: no I/O, no clock, no unsafe code.
//!
//! [`sign`] makes the credentials of a CONNECT, and [`activation`] reads the secret that the cloud sends once.
//! [`operations`] is the table of a device's requests to EnOS, [`command`] is the table of the cloud's commands, [`envelope`]
//! is the JSON around both, and [`request`] is what the outbox stores.
#![forbid(unsafe_code)]

pub mod activation;
pub mod command;
pub mod envelope;
pub mod firmware;
pub mod identity;
pub mod json;
pub mod operations;
pub mod outbox;
pub mod request;
pub mod secret;
pub mod sign;
pub mod subdevice;
pub mod topic;
pub mod update;
pub(crate) mod wipe;

pub use activation::Activation;
pub use firmware::Firmware;
pub use identity::Identity;
pub use operations::Operation;
pub use outbox::{Suspect, Totals};
pub use request::Request;
pub use secret::{DeviceSecret, Secret, Standing};
pub use sign::SignParams;
pub use update::Update;
