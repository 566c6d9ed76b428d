//! The host's storage behind a safe interface, the records in it, and the directory storage.
//!
//! [`vtable`] is the C struct, and the only code that calls it. [`record`] is the format of a value, and [`contents`]
//! the format of the data in it. The client uses [`records`], which combines the two, and [`queue`], a queue of
//! messages that is made of records. [`directory`] is a storage like that of any host: a ready-made set of the same
//! callbacks.

mod bytes;
mod callback;
pub mod contents;
pub mod directory;
pub mod key_value;
pub mod queue;
pub mod record;
pub mod records;
pub mod secrets;
pub mod update;
pub mod vtable;
