//! libenos: puts a device on the EnOS cloud. What it offers are the C functions in [`ffi`].
//!
//! Data comes in at one end and leaves at the other; a floor knows only the floors below it:
//! [`ffi`] over [`client`] over [`session`], [`transport`] and [`storage`], over [`protocol`].

mod client;
mod config;
#[cfg(feature = "ota")]
mod download;
mod error;
mod ffi;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
mod log;
mod model;
mod panic;
mod protocol;
mod session;
mod sorted;
mod storage;
mod text;
mod transport;
