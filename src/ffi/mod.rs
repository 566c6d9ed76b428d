//! The exported functions. They check and convert arguments, call the client, and convert the result. They contain no
//! other logic.
//!
//! Each file that exports functions is a chapter of `include/enos.h`, and its doc comment opens the chapter.
//! `tools/generate` puts the chapters together in the order in which a reader needs them. The opening, with the common
//! conventions, is in `cbindgen.toml`.
//!
//! | chapter | file |
//! |---|---|
//! | status codes, version, errors | [`status`] |
//! | log | [`log`] |
//! | signing | [`sign`] |
//! | the activation message | [`activation`] |
//! | reading JSON | [`value`] |
//! | building JSON | [`json`] |
//! | storage | [`storage`] |
//! | firmware | [`firmware`] |
//! | events | [`event`] |
//! | configuration | [`config`] |
//! | timeouts, retries and limits | [`limits`] |
//! | TLS | [`tls`] |
//! | client | [`client`], with [`stats`] |
//! | messages | [`message`] |
//! | commands | [`command`] |
//! | requests | [`request`] |
//! | sub-devices | [`subdevice`] |
//! | firmware updates | [`update`] |
//! | the outbox | [`outbox`] |
//!
//! [`guard`], [`input`], [`output`] and [`handle`] are the helpers of all chapters.

// The header's opening says what a caller has to do. Functions that ask for more say so themselves.
#![allow(clippy::missing_safety_doc)]
#![allow(non_camel_case_types)]

pub mod activation;
pub mod client;
pub mod command;
pub mod config;
pub mod event;
pub mod firmware;
pub mod guard;
pub mod handle;
pub mod input;
pub mod json;
mod last_error;
pub mod limits;
pub mod log;
pub mod message;
pub mod outbox;
pub mod output;
pub mod request;
pub mod sign;
pub mod stats;
pub mod status;
pub mod storage;
pub mod subdevice;
pub mod tls;
pub mod update;
pub mod value;
