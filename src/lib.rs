//! libenos: puts a device on the EnOS cloud.
//!
//! Data comes in at one end and leaves at the other; a floor knows only the floors below it:
//! [`ffi`] over [`client`] over [`session`], [`transport`] and [`storage`], over [`protocol`].

pub mod client;
pub mod config;
pub mod error;
pub mod ffi;
pub mod log;
pub mod model;
pub mod panic;
pub mod protocol;
pub mod session;
pub mod sorted;
pub mod storage;
pub mod text;
pub mod transport;
