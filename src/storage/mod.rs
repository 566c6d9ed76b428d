//! The host's vtable made safe, the records kept in it, and the directory store.
//!
//! [`vtable`] is the C struct and the one place that calls through it; [`record`] is what a value looks like on flash
//! and [`contents`] what stands inside one; [`records`] puts the two together, and [`queue`] makes of records a queue of
//! messages: these two are what the client uses.
//! [`directory`] is a host like any other: a ready-made set of the same callbacks.

mod bytes;
mod callback;
pub mod contents;
pub mod directory;
pub mod key_value;
pub mod queue;
pub mod record;
pub mod records;
pub mod secrets;
pub mod vtable;
