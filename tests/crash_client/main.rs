//! `kill -9` of a device: at every storage call, event and packet of an activation, and again and again.

#[path = "../native/mod.rs"]
mod native;

mod activation;
mod device;
mod proxy;
mod restarts;
